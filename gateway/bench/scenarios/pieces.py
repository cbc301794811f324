"""The pieces of an order's way, each by itself: session, journal, risk, order table, ring."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from gateway.bench.messages import BEGIN_STRING, CL_ORD_ID, EXECUTION, ORDER, SENDER, TARGET, WALL_NS
from gateway.bench.processes import pinned, placed
from gateway.bench.scenario import Calls, Instrument, Opener, Round, Scenario, Setting, Subject
from gateway.bench.scenarios.calls import calls
from gateway.errors import GatewayError
from gateway.journal.flusher import Flusher, Policy
from gateway.native import record as names
from gateway.native.journal import Journal
from gateway.native.orders import OrderTable
from gateway.native.pieces import time_copy, time_order_inserts, time_order_lookups, time_ring, time_risk
from gateway.native.ring import Ring
from gateway.native.risk import Risk
from gateway.native.session import Session
from gateway.native.timing import measure_receive, measure_send

E8 = 10**8
BATCH = 64
RECORD_BYTES = 250  # about those of a NewOrderSingle's record
RECORD_HEADER_BYTES = 44
RING_BYTES = 1 << 16
READ_MESSAGES = 4  # of a read of a session
SESSION_BATCH = 500
POLICIES: tuple[Policy, ...] = ("none", "interval", "every")


def logged_on(messages: int) -> tuple[Session, Session]:
    """An initiator and an acceptor that are ready, with room for as many messages."""
    room = 1 << (messages + 100).bit_length()
    pair = [
        Session(
            Journal.memory(segment_bytes=1 << 30, max_records=4 * room, max_sessions=1, max_seq=2 * room),
            role=role,
            begin_string=BEGIN_STRING,
            sender_comp_id=sender,
            target_comp_id=target,
        )
        for role, sender, target in (("initiator", SENDER, TARGET), ("acceptor", TARGET, SENDER))
    ]
    for session in pair:
        session.connected(1, WALL_NS)
    while any(session.status != "READY" for session in pair):
        for here, there in (pair, pair[::-1]):
            there.receive(here.output(), 1, WALL_NS)
    return pair[0], pair[1]


def _order_out(setting: Setting) -> Callable[[], Round]:
    def measure() -> Round:
        initiator, _ = logged_on(setting.operations)
        return Round({"order out": np.asarray(measure_send(initiator, ORDER, len(CL_ORD_ID), setting.operations))})

    return measure


def _execution_in(setting: Setting) -> Callable[[], Round]:
    batches = max(1, setting.operations // SESSION_BATCH)

    def measure() -> Round:
        initiator, acceptor = logged_on(setting.operations)
        taken = []
        for _ in range(batches):
            for _ in range(SESSION_BATCH):
                acceptor.send("8", EXECUTION, 1, WALL_NS)
            stream = acceptor.output()
            piece = READ_MESSAGES * len(stream) // SESSION_BATCH
            taken.append(measure_receive(initiator, stream, piece) / SESSION_BATCH)
            initiator.take_events()
        return Round({"execution in": np.array(taken)})

    return measure


def _append(policy: Policy) -> Opener:
    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        with Journal.open(setting.directory / "journal", max_seq=1 << 26) as journal:
            flusher = Flusher(journal, policy=policy, interval_ns=1_000_000, on_error=_failed)
            flusher.start()

            def measure() -> Round:
                with pinned(placed().gateway):
                    taken = journal.measure_append(setting.operations // BATCH, RECORD_BYTES, BATCH)
                return Round({"append": np.asarray(taken)})

            try:
                yield Calls(measure)
            finally:
                flusher.stop()

    return opened


def _failed(text: object) -> None:
    raise GatewayError(f"the journal cannot be flushed: {text}")


def _copy(setting: Setting) -> Callable[[], Round]:
    data = bytes(range(RECORD_BYTES)) + bytes(RECORD_HEADER_BYTES)
    return lambda: Round({"append": np.asarray(time_copy(data, setting.operations // BATCH, BATCH))})


def _risk(setting: Setting) -> Callable[[], Round]:
    risk = Risk()
    risk.set_limits(
        1,
        max_order_qty_e8=10**6 * E8,
        max_notional_e8=10**9 * E8,
        max_open_qty_e8=10**9 * E8,
        orders_per_second=1e5,
        burst=100,
    )

    def measure() -> Round:
        risk.forget()
        taken = time_risk(risk, 1, 1 * E8, 190 * E8, setting.operations // BATCH, BATCH)
        return Round({"check": np.asarray(taken)})

    return measure


def _order_table(setting: Setting) -> Callable[[], Round]:
    count = setting.operations // BATCH * BATCH
    room = 1 << (2 * count).bit_length()
    journal = Journal.memory(segment_bytes=1 << 28, max_records=room, max_sessions=1, max_seq=room)
    start = b"35=D\x0111="
    ids = [b"order-%09d" % number for number in range(count)]
    for number, name in enumerate(ids, 1):
        journal.append(
            names.OUT,
            0,
            start + name + b"\x01",
            seq=number,
            client=1,
            aux=len(start) << 16 | len(name),
            flags=names.ORDER | names.APPLICATION,
        )
    order = np.random.default_rng(1).permutation(count)
    shuffled = b"".join(ids[place] for place in order)

    def measure() -> Round:
        table = OrderTable(journal, room)
        inserted = time_order_inserts(table, 1, count + 1, BATCH)
        by_client = time_order_lookups(table, 1, -1, shuffled, len(ids[0]), BATCH)
        by_session = time_order_lookups(table, 1, 0, shuffled, len(ids[0]), BATCH)
        return Round(
            {
                "insert": np.asarray(inserted),
                "find by client": np.asarray(by_client),
                "find by session": np.asarray(by_session),
            }
        )

    return measure


def _ring(setting: Setting) -> Callable[[], Round]:
    ring = Ring(bytearray(RING_BYTES + 192))
    message = bytes(RECORD_BYTES)
    return lambda: Round({"in and out": np.asarray(time_ring(ring, message, setting.operations // BATCH, BATCH))})


def _one(name: str, text: str, prepare: Callable[[Setting], Callable[[], Round]], operations: int) -> Scenario:
    return Scenario(name, text, (Subject("gateway", "gateway", calls(prepare)),), operations, operations // 20)


SCENARIOS = (
    _one("session.out", "an order numbered, encoded into the log, handed to the transport", _order_out, 100_000),
    _one("session.in", "an execution parsed, checked, put in sequence, logged", _execution_in, 50_000),
    *(
        Scenario(
            f"journal.append.{policy}",
            f"a record of {RECORD_BYTES} bytes into the journal, CRC and index included; flushed: {policy}",
            (Subject("gateway", "gateway", _append(policy)), Subject("floor", "floor", calls(_copy))),
            operations=200_000,
            quick_operations=6_400,
        )
        for policy in POLICIES
    ),
    _one("risk.check", "an order against all limits and the throttle", _risk, 500_000),
    _one("orders.table", "ClOrdIDs into the order table, and found again in any order", _order_table, 100_000),
    _one("ring.message", f"{RECORD_BYTES} bytes into a ring and out of it, one thread", _ring, 500_000),
)
