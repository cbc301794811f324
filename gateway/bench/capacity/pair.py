"""A pair of nodes with many sessions, the counterparties of all, and one client, loaded from this process.

Node a busy-polls on the first core; node b sleeps between datagrams and shares the second with the load.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from gateway.bench.messages import CL_ORD_ID, EXECUTION, ORDER_FIELDS
from gateway.demo.world import LOOPBACK, free_ports, write_secret
from gateway.native import clientwire as wire
from gateway.native.journal import Journal
from gateway.native.load import Load
from gateway.native.session import Session

START_TIMEOUT_S = 60.0
CLIENT = "load"
BEGIN_STRING, GATEWAY = "FIX.4.4", "GATEWAY"
PREFIX = CL_ORD_ID[:-9]
PAGE_KIB = 1024
INDEX = {"a": 0, "b": 1}

CONFIG = """\
[pair]
id = 1

[register]
kind = "file"
path = "register"

[replication]
key_file = "replication.key"
suspect_after = "5s"
{replication}

[journal]
max_orders = {max_orders}
{journal}

[node.a]
data_dir = "node-a"
replication = ["{host}:{ports[0]}"]
tripwire = "{host}:{ports[1]}"
clients = "{host}:{ports[2]}"
control = "{host}:{ports[3]}"
reactor = "{reactor}"
yield_when_idle = false
cpu = {cores[0]}

[node.b]
data_dir = "node-b"
replication = ["{host}:{ports[4]}"]
tripwire = "{host}:{ports[5]}"
clients = "{host}:{ports[6]}"
control = "{host}:{ports[7]}"
reactor = "epoll"
cpu = {cores[1]}

[[client]]
name = "{client}"
"""
SESSION = """
[[session]]
name = "S{index}"
begin_string = "{begin_string}"
sender_comp_id = "{sender}"
target_comp_id = "BROKER{index}"
endpoints = ["{host}:{port}"]
heartbeat = 3600
mode = "{mode}"
timestamp_digits = 6
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Of a pair under load."""

    mode: str = "sync"
    sessions: int = 1
    answered: bool = False  # each order by an ExecutionReport
    max_orders: int = 1 << 21
    reactor: str = "busy-poll"
    replication: str = ""  # lines for that section of the configuration
    journal: str = ""


def _two_cores() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0)) * 2
    return cores[0], cores[1]


@dataclass(slots=True)
class Pair:
    """Its files, and what runs of it."""

    directory: Path
    options: Options
    ports: list[int] = field(init=False)
    cores: tuple[int, int] = field(default_factory=_two_cores)
    listeners: list[socket.socket] = field(default_factory=list)
    counterparties: list[Session] = field(default_factory=list)
    handed_in: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        write_secret(self.directory / "replication.key", os.urandom(16).hex())
        log = Journal.memory(max_sessions=self.options.sessions, segment_bytes=1 << 26)
        for index in range(self.options.sessions):
            self.listeners.append(socket.create_server((LOOPBACK, 0)))
            self.counterparties.append(
                Session(
                    log,
                    role="acceptor",
                    begin_string=BEGIN_STRING,
                    sender_comp_id=f"BROKER{index}",
                    target_comp_id=GATEWAY,
                    index=index,
                )
            )
        self.ports = free_ports(8)  # none of the listeners'
        self.config.write_text(self._text())

    @property
    def config(self) -> Path:
        """The configuration of both nodes."""
        return self.directory / "gateway.toml"

    def start(self, node: str, niceness: int = 0) -> None:
        """Starts node a or b."""
        with (self.directory / f"{node}.log").open("ab") as log:
            self.processes[node] = subprocess.Popen(
                [sys.executable, "-m", "gateway", "node", "--config", str(self.config), "--node", node],
                stdout=log,
                stderr=log,
            )
        if niceness:
            os.setpriority(os.PRIO_PROCESS, self.processes[node].pid, os.getpriority(os.PRIO_PROCESS, 0) + niceness)

    def start_both(self) -> None:
        """Starts node a, and node b once it will not be the primary."""
        self.start("a")
        wait_until(lambda: self.status("a").get("role") == "PRIMARY", "node a is primary", self.directory)
        self.start("b")

    def stop(self, node: str) -> None:
        """Stops it in order, and waits."""
        process = self.processes.pop(node, None)
        if process is not None:
            process.terminate()
            process.wait(START_TIMEOUT_S)
        for listener in self.listeners:
            listener.setblocking(False)  # what it has left behind
            with contextlib.suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()

    def moment(self, node: str, wanted: Callable[[dict[str, Any]], bool]) -> float | None:
        """Wall clock (s) at the first such line of its log."""
        for line in (self.directory / f"{node}.log").read_bytes().splitlines():
            if line.startswith(b"{") and wanted(entry := orjson.loads(line)):
                return datetime.fromisoformat(entry["timestamp"]).timestamp()
        return None

    def last_lsn(self, node: str) -> int | None:
        """End of its log; None when it does not answer."""
        log = self.status(node).get("log")
        return int(log["last_lsn"]) if log else None

    def status(self, node: str) -> dict[str, Any]:
        """What its control API says; empty when it does not answer."""
        port = self.ports[3 if node == "a" else 7]
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/status", timeout=5) as answer:
                status: dict[str, Any] = orjson.loads(answer.read())
        except OSError:
            return {}
        return status

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
    def load(self, *, in_sync: bool = True) -> Iterator[Load]:
        """The client and the counterparties, once every session is ready and the standby, if it runs, is in sync.

        Without `in_sync` the standby is not waited for.
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
            load = Load(
                client.fileno(),
                prefix=PREFIX,
                fields=ORDER_FIELDS,
                execution=EXECUTION if self.options.answered else b"",
                first=self.handed_in,
            )
            for session, broker in zip(self.counterparties, brokers, strict=True):
                load.add(session, broker.fileno())
            alone = not in_sync or "b" not in self.processes
            wait_until(
                lambda: load.pump() and (alone or self.status("a").get("release") == "ACKED"),
                "every session is ready and node b in sync",
                self.directory,
            )
            before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {self.cores[1]})
            stack.callback(os.sched_setaffinity, 0, before)
            yield load
            self.handed_in = load.numbered
            for session in self.counterparties:
                session.disconnected(time.monotonic_ns(), time.time_ns())

    def close(self) -> None:
        """Stops all that runs."""
        for node in tuple(self.processes):
            self.stop(node)
        for listener in self.listeners:
            listener.close()

    def _logged_in(self) -> socket.socket:
        client = socket.create_connection((LOOPBACK, self.ports[2]), START_TIMEOUT_S)
        client.settimeout(START_TIMEOUT_S)
        client.sendall(wire.login(CLIENT, b"", [(index, 0, wire.FROM_NOW) for index in range(self.options.sessions)]))
        received = b""
        while not any(isinstance(frame, wire.Welcome) for frame in wire.decode(received)[0]):
            received += client.recv(1 << 16)  # STANDBY before it
        return client

    def _text(self) -> str:
        options = self.options
        head = CONFIG.format(
            replication=options.replication,
            journal=options.journal,
            max_orders=options.max_orders,
            reactor=options.reactor,
            host=LOOPBACK,
            ports=self.ports,
            cores=self.cores,
            client=CLIENT,
        )
        return head + "".join(
            SESSION.format(
                index=index,
                begin_string=BEGIN_STRING,
                sender=GATEWAY,
                host=LOOPBACK,
                port=listener.getsockname()[1],
                mode=options.mode,
            )
            for index, listener in enumerate(self.listeners)
        )


def wait_until(condition: Callable[[], bool], what: str, directory: Path) -> None:
    """Asks every millisecond. Raises TimeoutError."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not {what!r} after {START_TIMEOUT_S} s; logs are in {directory}")
        time.sleep(0.001)


@contextlib.contextmanager
def running_pair(directory: Path, options: Options) -> Iterator[Pair]:
    """Both nodes started; everything is stopped at the end."""
    pair = Pair(directory, options)
    try:
        pair.start_both()
        yield pair
    finally:
        pair.close()
