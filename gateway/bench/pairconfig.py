"""The configuration of the pair that is measured: on the loopback, with a directory of its own, and otherwise as the
user's own configuration is where one is given."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.bench.processes import LOOPBACK, Cores
from gateway.config import Config
from gateway.config.models import NodeName
from gateway.config.section import Section
from gateway.demo.world import free_ports, write_secret

SENDER, TARGET, OMS, BEGIN_STRING, CLIENT = "GATEWAY", "BROKER", "OMS", "FIX.4.4", "bench"
WAYS = ("shm", "tcp", "fix")  # in which a client's orders come in
REACTORS = ("busy-poll", "epoll")
MODES = ("async", "sync")
HEARTBEAT_S = 3600  # a pair that is not being measured is stopped, and must not be missed
PAUSED_AT_MOST = "10min"
STARTUP_WAIT = "30s"  # node b must not become primary because node a was slow to start
LAYOUT = """\
[pair]
id = 1

[register]
kind = "file"
path = "register"

[replication]
key_file = "replication.key"
suspect_after = "{suspect_after}"
startup_wait = "{startup_wait}"
{replication}
[journal]
{journal}
{nodes}
{sessions}
{door}
[[client]]
name = "{client}"
{more}"""
SESSION = """
[[session]]
name = "{target}"
begin_string = "{begin_string}"
sender_comp_id = "{sender}"
target_comp_id = "{target}"
endpoints = ["{broker}"]
heartbeat = {heartbeat}
mode = "{mode}"
{session}
[session.tcp]
{tcp}
"""
NODE = """\
[node.{name}]
data_dir = "node-{name}"
replication = [{udp}]
tripwire = "{trip}"
clients = "{clients}"
shared_clients = "{name}.sock"
control = "{control}"
{listen}reactor = "{reactor}"
cpu = {cpu}
yield_when_idle = {yields}
"""
DOOR = """
[[session]]
name = "OMS"
begin_string = "{begin_string}"
sender_comp_id = "{sender}"
target_comp_id = "OMS"
heartbeat = {heartbeat}
role = "acceptor"
client = "{client}"
route = "{target}"
"""
NAMES = {"begin_string": BEGIN_STRING, "sender": SENDER, "client": CLIENT, "heartbeat": HEARTBEAT_S}
# What of the user's own tables counts here: the rest names files, hosts or times that are not this pair's.
OWN_REPLICATION = ("datagram_bytes", "heartbeat_interval", "retransmit_after", "nak_after", "window_records")
OWN_SESSION = ("timestamp_digits", "validation", "without_checks")
OWN_TCP = ("nodelay", "send_buffer", "receive_buffer", "quick_ack", "busy_poll")


@dataclass(frozen=True, slots=True)
class PairSpec:
    """What a pair is like. The texts are lines of the configuration's sections."""

    mode: str = "sync"
    reactor: str = "busy-poll"
    standby_reactor: str | None = None  # of node b; None: the same
    way: str = "tcp"
    sessions: int = 1
    paths: int = 1
    yields: bool = True
    suspect_after: str = PAUSED_AT_MOST
    startup_wait: str = STARTUP_WAIT
    replication: str = ""
    journal: str = 'segment_bytes = "64 MiB"'
    session: str = "timestamp_digits = 6"
    tcp: str = ""
    more: str = ""  # sections behind the last


@dataclass(frozen=True, slots=True)
class PairPlaces:
    """Files and ports of one pair."""

    directory: Path
    brokers: list[int]  # of each session's counterparty
    clients: dict[str, int] = field(default_factory=dict)
    control: dict[str, int] = field(default_factory=dict)
    listen: dict[str, int] = field(default_factory=dict)
    replication: dict[str, list[int]] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.directory / "pair.toml"

    def log(self, node: str) -> Path:
        """What a node's process writes."""
        return self.directory / f"{node}.log"


def target_of(session: int) -> str:
    """Name and TargetCompID (56) of a session by its number."""
    return f"{TARGET}{session}" if session else TARGET


def spec_of(config: Config, node: NodeName, spec: PairSpec) -> PairSpec:
    """`spec` with what the user's own configuration says of node `node`."""
    own = config.node[node]
    session = next(session for session in config.session if session.role == "initiator")
    return replace(
        spec,
        paths=len(own.replication),
        yields=own.yield_when_idle,
        replication=_lines(config.replication, OWN_REPLICATION),
        journal=_lines(config.journal, ("segment_bytes", "durability", "flush_interval")),
        session=_lines(session, OWN_SESSION),
        tcp=_lines(session.tcp, OWN_TCP),
    )


def write_pair(directory: Path, spec: PairSpec, cores: Cores) -> PairPlaces:
    """Makes the files of a pair in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    write_secret(directory / "replication.key", secrets.token_hex(16))
    ports = iter(free_ports(spec.sessions + 2 * (4 + spec.paths)))
    places = PairPlaces(directory, [next(ports) for _ in range(spec.sessions)])
    nodes = [
        _node("a", spec, spec.reactor, places, ports, cores.gateway),
        _node("b", spec, spec.standby_reactor or spec.reactor, places, ports, cores.standby),
    ]
    places.config.write_text(
        LAYOUT.format(
            suspect_after=spec.suspect_after,
            startup_wait=spec.startup_wait,
            replication=spec.replication,
            journal=spec.journal,
            nodes="\n".join(nodes),
            sessions="".join(_session(index, spec, port) for index, port in enumerate(places.brokers)),
            door=DOOR.format(**NAMES, target=TARGET) if spec.way == "fix" else "",
            client=CLIENT,
            more=spec.more,
        )
    )
    return places


def _node(name: str, spec: PairSpec, reactor: str, places: PairPlaces, ports: Iterator[int], cpu: int) -> str:
    """A node's section; its ports are taken from `ports` and kept in `places`."""
    places.replication[name] = [next(ports) for _ in range(spec.paths)]
    trip, places.clients[name], places.control[name], places.listen[name] = (next(ports) for _ in range(4))
    return NODE.format(
        name=name,
        udp=", ".join(f'"{LOOPBACK}:{port}"' for port in places.replication[name]),
        trip=f"{LOOPBACK}:{trip}",
        clients=f"{LOOPBACK}:{places.clients[name]}",
        control=f"{LOOPBACK}:{places.control[name]}",
        listen=f'fix_listen = ["{LOOPBACK}:{places.listen[name]}"]\n' if spec.way == "fix" else "",
        reactor=reactor,
        cpu=cpu,
        yields=str(spec.yields).lower(),
    )


def _session(index: int, spec: PairSpec, port: int) -> str:
    return SESSION.format(
        **NAMES,
        target=target_of(index),
        broker=f"{LOOPBACK}:{port}",
        mode=spec.mode,
        session=spec.session,
        tcp=spec.tcp,
    )


def _lines(section: Section, keys: tuple[str, ...]) -> str:
    """The keys of a section that the user has set, as TOML."""
    values: dict[str, Any] = section.model_dump(mode="json", include=set(keys), exclude_unset=True)
    return "\n".join(f"{key} = {json.dumps(values[key])}" for key in keys if values.get(key) is not None)
