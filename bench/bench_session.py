"""One session with its journal in memory, timed inside native code: what an order and an execution cost, all included.

Run: pytest bench/bench_session.py. `order out`: numbered, encoded into the journal, sealed with its CRC-32C, handed to
the transport; each timed by itself, so some 20 ns of clock are in it. `execution in`: parsed, checked, put in sequence,
logged; averaged over reads of four messages.
"""

from bench.conftest import Distribution
from gateway.bench.messages import BEGIN_STRING, CL_ORD_ID, EXECUTION, ORDER, SENDER, TARGET, WALL_NS
from gateway.native.journal import Journal
from gateway.native.session import Session
from gateway.native.timing import measure_receive, measure_send

MESSAGES = 100_000
BATCHES = 200
BATCH = 500


def _logged_on() -> tuple[Session, Session]:
    """An initiator and an acceptor that are ready."""
    sessions = [
        Session(
            Journal.memory(segment_bytes=1 << 28, max_records=1 << 20, max_sessions=1, max_seq=1 << 20),
            role=role,
            begin_string=BEGIN_STRING,
            sender_comp_id=sender,
            target_comp_id=target,
        )
        for role, sender, target in (("initiator", SENDER, TARGET), ("acceptor", TARGET, SENDER))
    ]
    for session in sessions:
        session.connected(1, WALL_NS)
    while any(session.status != "READY" for session in sessions):
        for here, there in (sessions, sessions[::-1]):
            there.receive(here.output(), 1, WALL_NS)
    return sessions[0], sessions[1]


def test_order_out(distribution: Distribution) -> None:
    initiator, _ = _logged_on()
    distribution("order out", measure_send(initiator, ORDER, len(CL_ORD_ID), MESSAGES))


def test_execution_in(distribution: Distribution) -> None:
    initiator, acceptor = _logged_on()
    each = []
    for _ in range(BATCHES):
        for _ in range(BATCH):
            acceptor.send("8", EXECUTION, 1, WALL_NS)
        stream = acceptor.output()
        each.append(measure_receive(initiator, stream, 4 * len(stream) // BATCH) / BATCH)
        initiator.take_events()
    distribution("execution in", each)
