"""The demonstration's processes and files: a directory with a configuration, journals, a ledger and records."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path

from gateway.audit.evidence import ClientEvidence, Evidence, read_broker, read_client_record, read_journal
from gateway.errors import GatewayError

STOP_TIMEOUT_S = 8.0
LOOPBACK = "127.0.0.1"
SESSION = "BROKER"
CLIENT = "strategy"
SENDER, TARGET, BEGIN_STRING = "GATEWAY", "BROKER", "FIX.4.4"

CONFIG = """\
[pair]
id = 1

[register]
{register}

[replication]
key_file = "replication.key"
{replication}
[node.a]
data_dir = "node-a"
replication = ["{a_udp}"]
tripwire = "{a_trip}"
clients = "{a_clients}"
control = "{a_control}"
reactor = "{reactor}"
{node}
[node.b]
data_dir = "node-b"
replication = ["{b_udp}"]
tripwire = "{b_trip}"
clients = "{b_clients}"
control = "{b_control}"
reactor = "{reactor}"
{node}
[journal]
segment_bytes = "{segment_bytes}"

[[session]]
name = "{session}"
begin_string = "{begin_string}"
sender_comp_id = "{sender}"
target_comp_id = "{target}"
endpoints = ["{broker}"]
heartbeat = {heartbeat}
mode = "{mode}"
timestamp_digits = 6

[[client]]
name = "{client}"
{client_more}"""
DEFAULTS = {
    "register": 'kind = "file"\npath = "register"',
    "replication": "",
    "node": "",
    "segment_bytes": "16 MiB",
    "heartbeat": "30",
    "mode": "sync",
    "reactor": "epoll",
    "client_more": "",
}


def render_config(addresses: dict[str, str], **values: str) -> str:
    """The configuration with these addresses (`a_udp`, `a_trip`, ... `broker`) and, if not DEFAULTS, these values."""
    names = {
        "session": SESSION,
        "client": CLIENT,
        "sender": SENDER,
        "target": TARGET,
        "begin_string": BEGIN_STRING,
    }
    return CONFIG.format(**{**DEFAULTS, **names, **addresses, **values})


def free_ports(count: int) -> list[int]:
    """Ports that nothing on the loopback uses now, for TCP and UDP."""
    ports: list[int] = []
    with contextlib.ExitStack() as held:
        while len(ports) < count:
            tcp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            tcp.bind((LOOPBACK, 0))
            port = tcp.getsockname()[1]
            udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                udp.bind((LOOPBACK, port))
            except OSError:
                continue
            ports.append(port)
    return ports


class World:
    """Files and child processes. Every process it started is gone after `stop_all`, whatever happened."""

    def __init__(self, directory: Path, *, mode: str, reactor: str, engine: str) -> None:
        self.directory = directory
        self.engine = engine
        self.config = directory / "pair.toml"
        self.ledger = directory / "broker-ledger.jsonl"
        self.broker_store: Path | str = "memory"
        self.broker_options: tuple[str, ...] = ()  # more of them, as on the command line
        self.control_headers: dict[str, str] = {}  # of each request to a node's control API
        self.client_record = directory / "client-record.jsonl"
        ports = free_ports(9)
        self.broker_port = ports[8]
        self.control_ports = {"a": ports[3], "b": ports[7]}
        self.replication_ports = {"a": ports[0], "b": ports[4]}
        self.tripwire_port = ports[1]  # node a's: b connects to it
        self.client_ports = {"a": ports[2], "b": ports[6]}
        names = ("a_udp", "a_trip", "a_clients", "a_control", "b_udp", "b_trip", "b_clients", "b_control", "broker")
        self.addresses = {name: f"{LOOPBACK}:{port}" for name, port in zip(names, ports, strict=True)}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self._write_files(mode, reactor)

    def config_of(self, process: str) -> Path:
        """The configuration as a process is given it."""
        return self.config

    def control_address(self, node: str) -> str:
        """host:port of a node's control API."""
        return f"{LOOPBACK}:{self.control_ports[node]}"

    def node_dir(self, node: str) -> Path:
        """Data directory of a node."""
        return self.directory / f"node-{node}"

    async def start_broker(self) -> None:
        """Starts the broker simulator and returns when it accepts connections."""
        options = {
            "host": LOOPBACK,
            "port": self.broker_port,
            "engine": self.engine,
            "session": f"{BEGIN_STRING}:{TARGET}:{SENDER}",
            "ledger": self.ledger,
            "store": self.broker_store,
        }
        await self.start("broker", "broker-sim", *_flags(options), *self.broker_options)
        await self._until_listening(self.broker_port, "broker")

    async def start_node(self, node: str) -> None:
        """Starts node a or b."""
        await self.start(node, "node", "--config", str(self.config_of(node)), "--node", node)

    async def start_client(self, orders: Path, rate: float, count: int) -> asyncio.subprocess.Process:
        """Starts the strategy; its progress comes on standard output."""
        options = {
            "config": self.config_of("client"),
            "client": CLIENT,
            "session": SESSION,
            "orders": orders,
            "rate": rate,
            "count": count,
            "record": self.client_record,
        }
        return await self.start("client", "demo-client", *_flags(options), pipe=True)

    def client_evidence(self) -> ClientEvidence:
        """What the client says happened."""
        return read_client_record(self.client_record.read_bytes().splitlines())

    def evidence(self) -> Evidence:
        """What all parties say happened."""
        return Evidence(
            client=self.client_evidence(),
            broker=read_broker(self.ledger),
            journals={node: read_journal(self.node_dir(node) / "journal") for node in ("a", "b")},
        )

    async def start(self, name: str, *arguments: str, pipe: bool = False) -> asyncio.subprocess.Process:
        """Starts `gateway ARGUMENTS` as process `name`; its output goes to NAME.log, or input and output are pipes."""
        with (self.directory / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.launcher(name),
                sys.executable,
                "-m",
                "gateway",
                *arguments,
                stdin=asyncio.subprocess.PIPE if pipe else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if pipe else log,
                stderr=log,
                start_new_session=True,
            )
        self.processes[name] = process
        return process

    def launcher(self, process: str) -> list[str]:
        """What stands before a process's own command line."""
        return []

    def pause(self, name: str) -> None:
        """SIGSTOP: the process is there, and does nothing."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def wake(self, name: str) -> None:
        """SIGCONT."""
        self.processes[name].send_signal(signal.SIGCONT)

    async def kill(self, name: str) -> int:
        """SIGKILL, and waits until the process is gone. Wall time (ns) just before the signal."""
        process = self.processes[name]
        sent_at = time.time_ns()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        return sent_at

    async def stop(self, name: str) -> int:
        """SIGTERM, then SIGKILL if it does not stop in time; its exit status."""
        process = self.processes[name]
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                await self.kill(name)
        return process.returncode or 0

    async def stop_all(self, *first: str) -> None:
        """Stops everything: `first`, then the client, the nodes, and the broker last."""
        for name in dict.fromkeys((*first, "client", "a", "b", "broker")):
            if name in self.processes:
                await self.stop(name)

    def check_alive(self) -> None:
        """Raises GatewayError when a process that should run has ended by itself, with the end of its log."""
        for name, process in self.processes.items():
            if process.returncode not in (None, 0, -signal.SIGKILL):
                tail = (self.directory / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
                raise GatewayError(f"process {name} ended with status {process.returncode}:\n" + "\n".join(tail))

    async def _until_listening(self, port: int, name: str) -> None:
        for _ in range(400):
            try:
                _reader, writer = await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                self.check_alive()
                await asyncio.sleep(0.025)
                continue
            writer.close()
            return
        raise GatewayError(f"{name} does not listen on port {port} after 10 s; see {self.directory / name}.log")

    def _write_files(self, mode: str, reactor: str) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        write_secret(self.directory / "replication.key", secrets.token_hex(16))
        self.config.write_text(render_config(self.addresses, mode=mode, reactor=reactor))


def write_secret(path: Path, text: str) -> None:
    """A file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")


def _flags(options: dict[str, object]) -> list[str]:
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]
