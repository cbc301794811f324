"""A pair of real nodes between a probe's client and the same probe's broker."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.bench.messages import CL_ORD_ID, EXECUTION, ORDER_FIELDS
from gateway.bench.nodes import asked, last_words, node_program
from gateway.bench.pairconfig import (
    BEGIN_STRING,
    CLIENT,
    HEARTBEAT_S,
    OMS,
    SENDER,
    TARGET,
    PairPlaces,
    PairSpec,
    write_pair,
)
from gateway.bench.processes import LOOPBACK, Cores, connected, pinned, placed
from gateway.errors import GatewayError
from gateway.native import clientwire as wire
from gateway.native.floors import COLUMNS
from gateway.native.journal import Journal
from gateway.native.probe import Probe
from gateway.native.session import Session
from gateway.native.sharedstream import SharedStream
from gateway.node.latency import StageHistogram, stages_from

START_TIMEOUT_S = 60.0
POLL_S = 0.01
MAX_MESSAGES = 1 << 22  # that a probe may exchange
SEGMENT_BYTES = 1 << 30  # of the probe's journals: address space, not memory


@dataclass(frozen=True, slots=True)
class ProbedPair:
    """A running pair and the probe that measures it."""

    probe: Probe
    places: PairPlaces
    cores: Cores
    wait: str
    pids: list[int]  # of node a, the primary, and node b

    def measure(self, count: int, *, interval_ns: int = 0, pause_ns: int = 0) -> NDArray[np.uint64]:
        """`count` rows of times in ns: due, handed in, out, answered, in. Raises RuntimeError."""
        return times_of(self.probe, self.cores, self.wait, count, interval_ns, pause_ns)

    def stages(self) -> dict[str, StageHistogram]:
        """How long each stage of an order took so far, on the primary."""
        return stages_from(asked(self.places.control["a"], "latency")["stages"])

    def settle(self) -> None:
        """Waits until the pair can take orders. Raises GatewayError."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self.probe.pump() and _in_sync(self.places.control["a"])):
            if time.monotonic() > deadline:
                raise GatewayError(f"the pair is not ready after {START_TIMEOUT_S:g} s:\n{last_words(self.places)}")
            time.sleep(POLL_S)


def times_of(probe: Probe, cores: Cores, wait: str, count: int, interval_ns: int, pause_ns: int) -> NDArray[np.uint64]:
    """`count` orders of a probe on its own core, as `Probe.measure` says. Raises RuntimeError."""
    times = np.empty((count, COLUMNS), np.uint64)
    with pinned(cores.measuring):
        probe.pump()
        probe.measure(times, interval_ns=interval_ns, pause_ns=pause_ns, wait=wait)
    return times


@contextlib.contextmanager
def probed_pair(directory: Path, spec: PairSpec, cores: Cores | None = None) -> Iterator[ProbedPair]:
    """Starts a pair in `directory`; node a is primary. Everything is stopped at the end. Raises GatewayError.

    Busy-polling parties have cores of their own as far as there are any; with the epoll reactor, all share one.
    """
    cores = cores or placed(on_one=spec.reactor == "epoll")
    wait = "block" if spec.reactor == "epoll" else "yield" if cores.standby == cores.measuring else "spin"
    places = write_pair(directory, spec, cores)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOOPBACK, places.brokers[0])))
        pids = [stack.enter_context(node_program(places, node)).pid for node in ("a", "b")]
        broker, _ = _accepted(listener, places)
        stack.enter_context(broker)
        session = probe_session("acceptor", TARGET, SENDER)
        client_session = probe_session("initiator", OMS, SENDER) if spec.way == "fix" else None
        shared = None
        if spec.way == "shm":
            client, shared = _in_shared_memory(places)
        else:
            client = _at_the_door(places) if client_session else _logged_in(places)
        stack.enter_context(client)
        probe = probe_of(session, client, broker, client_session, shared)
        pair = ProbedPair(probe, places, cores, wait, pids)
        pair.settle()
        yield pair


def probe_of(
    session: Session,
    client: socket.socket,
    broker: socket.socket,
    client_session: Session | None,
    shared: SharedStream | None = None,
) -> Probe:
    """A probe between two connections, with the messages that all benchmarks use."""
    for sock in (client, broker):
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
    return Probe(
        session,
        client.fileno(),
        broker.fileno(),
        index=0,
        prefix=CL_ORD_ID[:-9],
        fields=ORDER_FIELDS,
        execution=EXECUTION,
        client_session=client_session,
        shared=shared,
    )


def probe_session(role: str, sender: str, target: str) -> Session:
    """A session of a probe's, connected, over a journal in memory."""
    session = Session(
        Journal.memory(max_sessions=1, max_seq=MAX_MESSAGES, segment_bytes=SEGMENT_BYTES),
        role=role,
        begin_string=BEGIN_STRING,
        sender_comp_id=sender,
        target_comp_id=target,
        heartbeat_s=HEARTBEAT_S,
    )
    session.connected(time.monotonic_ns(), time.time_ns())
    return session


def _accepted(listener: socket.socket, places: PairPlaces) -> tuple[socket.socket, object]:
    listener.settimeout(START_TIMEOUT_S)
    try:
        return listener.accept()
    except TimeoutError:
        raise GatewayError(f"no node connected in {START_TIMEOUT_S:g} s:\n{last_words(places)}") from None


def _logged_in(places: PairPlaces) -> socket.socket:
    """The client's connection to the primary, by the client protocol."""
    client = _connected(places, places.clients["a"])
    client.sendall(wire.login(CLIENT, b""))
    _check_welcome(client.recv(4096))
    return client


def _check_welcome(answer: bytes) -> None:
    frames, _ = wire.decode(answer)
    if not isinstance(frames[0], wire.Welcome):
        raise GatewayError(f"node a is not primary: {frames[0]!r}")


def _in_shared_memory(places: PairPlaces) -> tuple[socket.socket, SharedStream]:
    """The same in the primary's memory."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(START_TIMEOUT_S)
    client.connect(str(places.directory / "a.sock"))
    _, (descriptor, *_), _, _ = socket.recv_fds(client, 1, 1)
    stream = SharedStream(descriptor)
    os.close(descriptor)
    stream.sleep()
    stream.write(wire.login(CLIENT, b""))
    if stream.must_wake_reader():
        client.send(b"\0")
    client.recv(1)
    place = bytearray(4096)
    _check_welcome(bytes(place[: stream.read_into(place)]))
    return client, stream


def _at_the_door(places: PairPlaces) -> socket.socket:
    """The client's connection to the primary, for FIX."""
    return _connected(places, places.listen["a"])


def _connected(places: PairPlaces, port: int) -> socket.socket:
    """A connection to the primary, which may not listen yet."""
    return connected(port, START_TIMEOUT_S, lambda: f"node a does not take clients:\n{last_words(places)}")


def _in_sync(port: int) -> bool:
    return bool(asked(port, "status")["release"] == "ACKED")
