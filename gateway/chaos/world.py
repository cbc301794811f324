"""A pair, broker, register and client as processes, with every link between them through a relay that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson

from gateway.audit.evidence import ClientEvidence, merge_clients, read_client_record
from gateway.chaos.etcd import EtcdCluster
from gateway.chaos.namespaces import Namespaces
from gateway.chaos.relay import Faults, Relay
from gateway.chaos.tcplink import TcpLink
from gateway.demo.observer import NODES, OTHER, Observer
from gateway.demo.trader import Counts
from gateway.demo.world import CLIENT, LOOPBACK, SESSION, World, render_config, write_secret
from gateway.errors import GatewayError

SEGMENT_BYTES = "64 KiB"  # so small that a full disk is soon felt, and segments are changed often
HEARTBEAT_S = 1
BAD_PATH = Faults(loss=0.1, duplicate=0.05, delay=0.1, max_delay_s=0.01)
NO_FAULTS = Faults()
FILE_SIZE_FULL = 0
SECOND_CLIENT = "hedger"
CLIENTS = (CLIENT, SECOND_CLIENT)


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """What a world is made of."""

    mode: str
    engine: str
    register: str
    orders: Path
    suspect_after_ms: int
    reactor: str = "epoll"
    network: str = "loopback"  # or namespaces
    relays: bool = True  # False: the links are direct, and none can be cut
    segment_bytes: str = SEGMENT_BYTES
    heartbeat_s: int = HEARTBEAT_S

    @property
    def name(self) -> str:
        """The choices that differ from world to world."""
        return f"{self.engine} {self.register} {self.mode}"


class Link(Protocol):
    """Something that can be cut and mended."""

    cut: bool


class FileLink:
    """The way to a register that is a directory: a symbolic link that can be taken away."""

    def __init__(self, path: Path, target: Path) -> None:
        self._path, self._target = path, target
        self.cut = False

    @property
    def cut(self) -> bool:
        """Whether the directory cannot be found."""
        return not self._path.is_symlink()

    @cut.setter
    def cut(self, value: bool) -> None:
        if value:
            self._path.unlink(missing_ok=True)
        elif self.cut:
            self._path.symlink_to(self._target, target_is_directory=True)


class ChaosWorld(World):
    """`async with ChaosWorld(directory, options) as world:` starts everything, and stops everything."""

    def __init__(self, directory: Path, options: WorldOptions) -> None:
        super().__init__(directory, mode=options.mode, reactor=options.reactor, engine=options.engine)
        self.options = options
        if options.engine == "native":
            self.broker_store = directory / "broker-store"
        self.counts = {client: Counts() for client in CLIENTS}
        self.links: dict[str, Link] = {}
        self._cuts: dict[str, int] = {}
        self._hosts: Namespaces | None = None
        self._followers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> ChaosWorld:
        async with contextlib.AsyncExitStack() as stack:
            if self.options.network == "namespaces":
                self._make_hosts(stack)
            await self._make_links(stack)
            self._write_views()
            self.see = await stack.enter_async_context(Observer(self))
            stack.push_async_callback(self._end)
            await self.start_broker()
            for node in NODES:
                await self.start_node(node)
            await self.see.until_healthy()
            for client in CLIENTS:
                await self._start_strategy(client)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def launcher(self, process: str) -> list[str]:
        """Nodes run on hosts of their own, if there are such."""
        return self._hosts.launcher(process) if self._hosts is not None and process in NODES else []

    def control_address(self, node: str) -> str:
        """host:port of a node's control API."""
        return self.addresses[f"{node}_control"]

    def config_of(self, process: str) -> Path:
        """Each process sees the others through the relays, so each has a configuration of its own."""
        return self.directory / f"{process}.toml"

    # --- the client ---------------------------------------------------------------------------------------------------

    async def trade(self, rate: float, count: int) -> None:
        """Makes the clients together send so many orders; returns when they have begun."""
        before = {}
        for client in CLIENTS:
            before[client] = self.counts[client].submitted
            self.counts[client].done = False
            stdin = self.processes[client].stdin
            assert stdin is not None
            wanted = {"rate": rate / len(CLIENTS), "count": count // len(CLIENTS)}
            stdin.write(orjson.dumps(wanted, option=orjson.OPT_APPEND_NEWLINE))
            await stdin.drain()

        async def begun() -> bool:
            return all(self.counts[client].submitted > before[client] for client in CLIENTS)

        await self.see.until("the clients send orders", begun)

    async def answered(self) -> bool:
        """Whether the clients know the outcome of all that they were made to send."""
        return all(counts.done for counts in self.counts.values())

    def record_of(self, client: str) -> Path:
        """Where a client records what it is told."""
        return self.directory / f"{client}-record.jsonl"

    def client_evidence(self) -> ClientEvidence:
        """What all clients say happened."""
        records = (self.record_of(client).read_bytes().splitlines() for client in CLIENTS)
        return merge_clients(map(read_client_record, records))

    # --- what can be done to it ---------------------------------------------------------------------------------------

    def cut(self, *names: str) -> None:
        """Cuts links; each cut needs a mend of its own."""
        for name in names:
            self._cuts[name] = self._cuts.get(name, 0) + 1
            self.links[name].cut = True

    def mend(self, *names: str) -> None:
        """Takes back a cut of each."""
        for name in names:
            self._cuts[name] -= 1
            self.links[name].cut = self._cuts[name] > 0

    def links_of(self, node: str) -> tuple[str, ...]:
        """Names of the links of a node's host."""
        everything = ("path", "tripwire", *(f"{what}-{node}" for what in ("broker", "register", "clients", "host")))
        return tuple(name for name in everything if name in self.links)

    def wires_of(self, node: str) -> tuple[str, ...]:
        """Those of its links that are devices, and the way to a register that is a directory, which no device carries;
        none without namespaces."""
        if self._hosts is None:
            return ()
        register = f"register-{node}"
        files = (register,) if isinstance(self.links.get(register), FileLink) else ()
        return ("path", "tripwire", f"host-{node}", *files)

    def drop_broker_connections(self) -> None:
        """Resets the connections to the broker."""
        for node in NODES:
            link = self.links[f"broker-{node}"]
            assert isinstance(link, TcpLink)
            link.drop()

    def set_bad_path(self, bad: bool) -> None:
        """Whether datagrams between the nodes are lost, doubled and delayed."""
        self._relay.faults = BAD_PATH if bad else NO_FAULTS

    def set_disk_full(self, node: str, full: bool) -> None:
        """Whether the files of a node's process cannot grow. Needs no privilege: RLIMIT_FSIZE of our own child."""
        process = self.processes[node]
        if process.returncode is None:
            soft = FILE_SIZE_FULL if full else resource.RLIM_INFINITY
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    def is_running(self, name: str) -> bool:
        """Whether a process is there, paused or not."""
        return self.processes[name].returncode is None

    # --- making it ----------------------------------------------------------------------------------------------------

    def _make_hosts(self, stack: contextlib.AsyncExitStack) -> None:
        self._hosts = hosts = stack.enter_context(Namespaces())
        for name in ("control", "client"):
            write_secret(self.directory / f"{name}.token", secrets.token_hex(16))
        token = (self.directory / "control.token").read_text().strip()
        self.control_headers = {"Authorization": f"Bearer {token}"}
        for i, node in enumerate(NODES):
            places = {
                "udp": hosts.path.addresses[i],
                "trip": hosts.tripwire.addresses[i],
                "clients": hosts.hosts[node].addresses[1],
                "control": hosts.hosts[node].addresses[1],
            }
            for what, host in places.items():
                port = self.addresses[f"{node}_{what}"].rpartition(":")[2]
                self.addresses[f"{node}_{what}"] = f"{host}:{port}"
            self.links[f"host-{node}"] = hosts.hosts[node]
        self.links |= {"path": hosts.path, "tripwire": hosts.tripwire}

    async def _make_links(self, stack: contextlib.AsyncExitStack) -> None:
        if self.options.register == "etcd":
            cluster = EtcdCluster(self.directory / "etcd")
            stack.callback(cluster.__exit__)
            await asyncio.to_thread(cluster.__enter__)
            host, port = cluster.endpoints[0].removeprefix("http://").split(":")
            self._etcd = (host, int(port))
        else:
            (self.directory / "register").mkdir()
            for node in NODES:
                self.links[f"register-{node}"] = FileLink(self.directory / f"register-{node}", Path("register"))
        if self.options.relays:
            await self._make_relays(stack)

    async def _make_relays(self, stack: contextlib.AsyncExitStack) -> None:
        if self._hosts is None:
            a, b = ((LOOPBACK, self.replication_ports[node]) for node in NODES)
            self._relay = stack.enter_context(Relay(a, b, NO_FAULTS))
            self.links["path"] = self._relay
            await self._relay_tcp(stack, "tripwire", (LOOPBACK, self.tripwire_port))
        for node in NODES:
            here = LOOPBACK if self._hosts is None else self._hosts.hosts[node].addresses[0]
            there = LOOPBACK if self._hosts is None else self._hosts.hosts[node].addresses[1]
            await self._relay_tcp(stack, f"broker-{node}", (LOOPBACK, self.broker_port), here)
            await self._relay_tcp(stack, f"clients-{node}", (there, self.client_ports[node]))
            if self.options.register == "etcd":
                await self._relay_tcp(stack, f"register-{node}", self._etcd, here)

    async def _relay_tcp(
        self, stack: contextlib.AsyncExitStack, name: str, target: tuple[str, int], host: str = LOOPBACK
    ) -> None:
        self.links[name] = await stack.enter_async_context(TcpLink(target, host))

    def _write_views(self) -> None:
        for node in NODES:
            self._write_view(node, self._seen_by(node) if self.options.relays else {}, self._register_of(node))
        clients = {f"{node}_clients": self._address(f"clients-{node}") for node in NODES if self.options.relays}
        self._write_view("client", clients, self._register_of("a"))

    def _seen_by(self, node: str) -> dict[str, str]:
        """Addresses that are not a process's own, for a node."""
        seen = {"broker": self._address(f"broker-{node}")}
        if self._hosts is None:
            host, port = self._relay.a_peer if node == "a" else self._relay.b_peer
            seen[f"{OTHER[node]}_udp"] = f"{host}:{port}"
            if node == "b":  # who connects
                seen["a_trip"] = self._address("tripwire")
        return seen

    def _write_view(self, process: str, seen: dict[str, str], register: str) -> None:
        text = render_config(
            {**self.addresses, **seen},
            register=register,
            replication=f'suspect_after = "{self.options.suspect_after_ms}ms"\n',
            segment_bytes=self.options.segment_bytes,
            heartbeat=str(self.options.heartbeat_s),
            mode=self.options.mode,
            reactor=self.options.reactor,
            client_more=self._client_more(),
            node="" if self._hosts is None else 'control_token_file = "control.token"\n',
        )
        self.config_of(process).write_text(text)

    def _client_more(self) -> str:
        """The rest of the first client, and the other one."""
        token = "" if self._hosts is None else 'token_file = "client.token"\n'
        # What an async primary sent just before it died is known to no client: its executions go to who wants them.
        unrouted = "unrouted = true\n" if self.options.mode == "async" else ""
        return f'{unrouted}{token}\n[[client]]\nname = "{SECOND_CLIENT}"\n{token}'

    def _register_of(self, node: str) -> str:
        if self.options.register == "etcd":
            link = self.links.get(f"register-{node}")
            place = link.address if isinstance(link, TcpLink) else ":".join(map(str, self._etcd))
            return f'kind = "etcd"\nendpoints = ["http://{place}"]'
        return f'kind = "file"\npath = "register-{node}/cell"'

    def _address(self, name: str) -> str:
        link = self.links[name]
        assert isinstance(link, TcpLink)
        return link.address

    async def _start_strategy(self, client: str) -> None:
        options = {
            "config": self.config_of("client"),
            "client": client,
            "session": SESSION,
            "orders": self.options.orders,
            "record": self.record_of(client),
        }
        flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        process = await self.start(client, "chaos-client", *flags, pipe=True)
        self._followers.append(asyncio.create_task(self._follow(client, process)))

    async def _follow(self, client: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.counts[client] = Counts(**orjson.loads(line))

    async def _end(self) -> None:
        for name, process in self.processes.items():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self.wake(name)
        for name in list(self.processes):
            if self.is_running(name):
                await self.kill(name)
        for follower in self._followers:
            follower.cancel()

    async def primary_or(self, otherwise: str) -> str:
        """Name of the primary; `otherwise`, if no node says that it is."""
        try:
            return await self.see.primary()
        except GatewayError:
            return otherwise
