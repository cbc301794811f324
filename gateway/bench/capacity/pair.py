"""A pair of nodes with many sessions, the counterparties of all, and one client, loaded from this process.

Node a busy-polls on a core of its own; node b sleeps between datagrams, and shares the load's core where there are only
two.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from gateway.bench.messages import CL_ORD_ID, EXECUTION, ORDER_FIELDS
from gateway.bench.nodes import asked, last_words, node_program
from gateway.bench.pairconfig import BEGIN_STRING, CLIENT, SENDER, PairPlaces, PairSpec, target_of, write_pair
from gateway.bench.processes import LOOPBACK, Cores, pinned, placed
from gateway.native import clientwire as wire
from gateway.native.journal import Journal
from gateway.native.load import Load
from gateway.native.session import Session

START_TIMEOUT_S = 60.0
POLL_S = 0.001
PREFIX = CL_ORD_ID[:-9]
PAGE_KIB = 1024
INDEX = {"a": 0, "b": 1}
COUNTERPARTY_SEGMENT_BYTES = 1 << 26  # of the counterparties' journals: address space, not memory

T = TypeVar("T")


def load_spec(
    *, mode: str = "sync", sessions: int = 1, max_orders: int = 1 << 21, reactor: str = "busy-poll"
) -> PairSpec:
    """A pair that can take so many orders over all. Its node a is primary at once where it is started alone."""
    return PairSpec(
        mode=mode,
        sessions=sessions,
        reactor=reactor,
        standby_reactor="epoll",
        yields=False,
        suspect_after="5s",
        startup_wait="1s",
        journal=f"max_orders = {max_orders}",
    )


@dataclass(slots=True)
class Pair:
    """Its files, and what runs of it."""

    directory: Path
    spec: PairSpec
    cores: Cores = field(default_factory=placed)
    places: PairPlaces = field(init=False)
    listeners: list[socket.socket] = field(default_factory=list)
    counterparties: list[Session] = field(default_factory=list)
    handed_in: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _stops: dict[str, contextlib.ExitStack] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = write_pair(self.directory, self.spec, self.cores)
        log = Journal.memory(max_sessions=self.spec.sessions, segment_bytes=COUNTERPARTY_SEGMENT_BYTES)
        for index, port in enumerate(self.places.brokers):
            self.listeners.append(socket.create_server((LOOPBACK, port)))
            self.counterparties.append(
                Session(
                    log,
                    role="acceptor",
                    begin_string=BEGIN_STRING,
                    sender_comp_id=target_of(index),
                    target_comp_id=SENDER,
                    index=index,
                )
            )

    def start(self, node: str, *, as_elsewhere: bool = False) -> None:
        """Starts node a or b. `as_elsewhere`: it stands for another host, and runs when nobody else here wants to."""
        self._stops[node] = stack = contextlib.ExitStack()
        self.processes[node] = process = stack.enter_context(node_program(self.places, node))
        if as_elsewhere:
            os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))

    def start_both(self) -> None:
        """Starts node a, and node b once it will not be the primary."""
        self.start("a")
        self.wait_until(lambda: self.status("a").get("role") == "PRIMARY", "node a is primary")
        self.start("b")

    def stop(self, node: str) -> None:
        """Stops it in order, and waits."""
        if self.processes.pop(node, None) is not None:
            self._stops.pop(node).close()
        for listener in self.listeners:
            listener.setblocking(False)  # what it has left behind
            with contextlib.suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()

    def moment(self, node: str, wanted: Callable[[dict[str, Any]], bool]) -> float | None:
        """Wall clock (s) of the first such thing that happened to a node, by its log; None: it is not there yet."""
        *lines, _ = self.places.log(node).read_bytes().split(b"\n")  # the last one may be but half written
        for line in lines:
            if line.startswith(b"{") and wanted(entry := orjson.loads(line)):
                return datetime.fromisoformat(entry["at"]).timestamp()
        return None

    def journal_bytes(self, node: str) -> int:
        """The size of its journal."""
        directory = self.directory / f"node-{node}" / "journal"
        while True:
            with contextlib.suppress(FileNotFoundError):  # the node has given a file its name just now
                return sum(path.stat().st_size for path in directory.iterdir() if path.is_file())

    def flush(self) -> None:
        """Writes the journals, and everything else, to the disk."""
        os.sync()

    def last_lsn(self, node: str) -> int | None:
        """End of its log; None when it does not answer."""
        log = self.status(node).get("log")
        return int(log["last_lsn"]) if log else None

    def status(self, node: str) -> dict[str, Any]:
        """What its control API says; empty when it does not answer."""
        try:
            return asked(self.places.control[node], "status")
        except OSError:
            return {}

    def cpu_seconds(self, node: str) -> float:
        """User and system time that its process has used so far."""
        fields = Path(f"/proc/{self.processes[node].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))

    def resident_bytes(self, node: str) -> dict[str, int]:
        """Resident memory of its process: `total`, and of it `anonymous` and `file` (the journal's mapped pages)."""
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{self.processes[node].pid}/status").read_text().splitlines()
            if ":" in line
        )
        kinds = {"total": "VmRSS", "anonymous": "RssAnon", "file": "RssFile"}
        return {kind: int(status[name].split()[0]) * PAGE_KIB for kind, name in kinds.items()}

    @contextlib.contextmanager
    def load(self, *, in_sync: bool = True, answered: bool = False, fields: bytes = ORDER_FIELDS) -> Iterator[Load]:
        """The client and the counterparties, once every session is ready and the standby, if it runs, is in sync.

        Without `in_sync` the standby is not waited for. `answered`: each order by an ExecutionReport. `fields`: of the
        orders. Raises TimeoutError.
        """
        with contextlib.ExitStack() as stack:
            brokers = []
            for listener, session in zip(self.listeners, self.counterparties, strict=True):
                listener.settimeout(START_TIMEOUT_S)
                broker = stack.enter_context(listener.accept()[0])
                session.connected(time.monotonic_ns(), time.time_ns())
                brokers.append(broker)
            client = stack.enter_context(self._logged_in())
            for sock in (client, *brokers):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
            execution = EXECUTION if answered else b""
            load = Load(client.fileno(), prefix=PREFIX, fields=fields, execution=execution, first=self.handed_in)
            for session, broker in zip(self.counterparties, brokers, strict=True):
                load.add(session, broker.fileno())
            alone = not in_sync or "b" not in self.processes
            self.wait_until(
                lambda: load.pump() and (alone or self.status("a").get("release") == "ACKED"),
                "every session is ready and node b in sync",
            )
            stack.enter_context(pinned(self.cores.measuring))
            yield load
            self.handed_in = load.numbered
            for session in self.counterparties:
                session.disconnected(time.monotonic_ns(), time.time_ns())

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Asks every millisecond. Raises TimeoutError."""
        self.wait_for(lambda: condition() or None, what)

    def wait_for(self, asked_for: Callable[[], T | None], what: str) -> T:
        """Asks every millisecond, until there is something. Raises TimeoutError."""
        deadline = Deadline(self, what)
        while (found := asked_for()) is None:
            deadline.check()
            time.sleep(POLL_S)
        return found

    def close(self) -> None:
        """Stops all that runs."""
        for node in tuple(self.processes):
            self.stop(node)
        for listener in self.listeners:
            listener.close()

    def _logged_in(self) -> socket.socket:
        client = socket.create_connection((LOOPBACK, self.places.clients["a"]), START_TIMEOUT_S)
        client.settimeout(START_TIMEOUT_S)
        client.sendall(wire.login(CLIENT, b"", [(index, 0, wire.FROM_NOW) for index in range(self.spec.sessions)]))
        received = b""
        while not any(isinstance(frame, wire.Welcome) for frame in wire.decode(received)[0]):
            received += client.recv(1 << 16)  # STANDBY before it
        return client


@dataclass(frozen=True, slots=True)
class Deadline:
    """Of something that a pair is waited for."""

    pair: Pair
    what: str
    end: float = field(default_factory=lambda: time.monotonic() + START_TIMEOUT_S)

    def check(self) -> None:
        """Raises TimeoutError: it is past, with the last words of the nodes."""
        if time.monotonic() > self.end:
            raise TimeoutError(f"not {self.what!r} after {START_TIMEOUT_S:g} s:\n{last_words(self.pair.places)}")


@contextlib.contextmanager
def running_pair(directory: Path, spec: PairSpec, *, alone: bool = False) -> Iterator[Pair]:
    """Both nodes started, or, `alone`, node a; everything is stopped at the end."""
    pair = Pair(directory, spec)
    try:
        if alone:
            pair.start("a")
        else:
            pair.start_both()
        yield pair
    finally:
        pair.close()
