"""The configuration of a pair: one file, read by both nodes. Pure data with checks; times in ns, sizes in bytes.

The position of a session or client in the file is its number in the log: for a living journal, add new ones at the end
and never change the order.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.config.connections import Acceptor, ClientTls, Endpoint, Tcp
from gateway.config.receivers import MAX_RECEIVERS, Receiver
from gateway.config.section import Section, refuse_inline_secret
from gateway.config.units import Duration, Size, SocketAddress, TimeOfDay, parse_duration, parse_size
from gateway.errors import ConfigError
from gateway.fix.logontags import SECRET_TAGS, SESSION_TAGS
from gateway.fix.schedule import Schedule, parse_schedule

MAX_SESSIONS = 128
MAX_CLIENTS = 255
MAX_ENDPOINTS = 8
PLACES_E8 = 10**8
ENDPOINT = re.compile(r"https?://[^/\s]+:\d{1,5}/?")

CompId = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[\x21-\x7e]+$")]
Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9_.-]+$")]
NodeName = Literal["a", "b"]
LogonTag = Annotated[str, Field(pattern=r"^[1-9]\d{0,8}$")]


class Pair(Section):
    """`[pair]`."""

    id: int = Field(ge=1, le=2**32 - 1, description="number of this pair; datagrams of another are dropped")


class RegisterSection(Section):
    """`[register]`."""

    kind: Literal["etcd", "file", "static"]
    endpoints: list[str] = Field(default=[], description="etcd: http(s)://host:port of each member of the cluster")
    key: str | None = Field(None, min_length=1, description='etcd: the cell; "fix-gateway/pair-ID", if not given')
    user: str | None = Field(None, min_length=1, description="etcd: with password_env or password_file")
    password_env: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = Field(None, description="etcd: whose certificates are trusted; the system's, if not given")
    cert_file: Path | None = Field(None, description="etcd: our certificate, with key_file")
    key_file: Path | None = None
    path: Path | None = Field(None, description="file: directory that both nodes see")
    act_alone: NodeName | None = Field(None, description="static: the node that may act alone when its peer is lost")
    timeout: Duration = parse_duration("500ms")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "file" and self.path is None:
            raise ValueError('kind "file" needs `path`, a directory that both nodes see')
        if self.kind == "etcd":
            self._check_etcd()
        elif self.endpoints:
            raise ValueError(f'`endpoints` belong to kind "etcd", not to {self.kind!r}')
        if self.kind == "static" and self.act_alone is None:
            raise ValueError('kind "static" needs `act_alone`, "a" or "b"')
        return self

    def _check_etcd(self) -> None:
        if not self.endpoints:
            raise ValueError('kind "etcd" needs `endpoints`, such as ["https://10.0.0.1:2379"]')
        for endpoint in self.endpoints:
            if not ENDPOINT.fullmatch(endpoint):
                raise ValueError(f"endpoint {endpoint!r}: must be http://host:port or https://host:port")
        if (self.user is None) != (self.password_env is None and self.password_file is None):
            raise ValueError("`user` and one of `password_env` and `password_file` go together")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` go together")


class Replication(Section):
    """`[replication]`."""

    key_file: Path | None = None
    key_env: str | None = None
    datagram_bytes: int = Field(1400, ge=576, le=9000, description="UDP payload: MTU less 28")
    heartbeat_interval: Duration = parse_duration("10ms")
    suspect_after: Duration = parse_duration("50ms")
    fence_timeout: Duration = parse_duration("2s")
    startup_wait: Duration = parse_duration("1s")
    retransmit_after: Duration = parse_duration("2ms")
    nak_after: Duration = parse_duration("1ms")
    window_records: int = Field(8192, ge=16, description="unacknowledged records before orders are held")
    catch_up_window: Size = parse_size("256 KiB")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.key_file is None) == (self.key_env is None):
            raise ValueError("exactly one of `key_file` and `key_env` names the key (32 hexadecimal digits)")
        if self.suspect_after < 2 * self.heartbeat_interval:
            raise ValueError("`suspect_after` must be at least twice `heartbeat_interval`")
        return self


class Node(Section):
    """`[node.a]`, `[node.b]`."""

    data_dir: Path
    replication: list[SocketAddress] = Field(min_length=1, max_length=2, description="one address a path")
    replication_peer: list[SocketAddress] | None = Field(
        None, description="where the peer is seen from here, if not at its own `replication` (address translation)"
    )
    tripwire: SocketAddress
    clients: SocketAddress
    shared_clients: Path | None = Field(
        None, description="Unix socket where clients on this host get shared memory to come in by (`shm:PATH`)"
    )
    control: SocketAddress
    fix_listen: list[SocketAddress] = Field([], description="where sessions of the acceptor role are served")
    control_token_file: Path | None = None
    reactor: Literal["epoll", "busy-poll"] = "epoll"
    yield_when_idle: bool = Field(True, description="busy-poll: let others run on the core when there is nothing to do")
    cpu: int | None = Field(None, ge=0, description="core that the reactor is pinned to")


class JournalSection(Section):
    """`[journal]`."""

    segment_bytes: Size = parse_size("64 MiB")
    durability: Literal["none", "interval", "every"] = "interval"
    flush_interval: Duration = parse_duration("100ms")
    max_orders: int = Field(1 << 20, ge=1024, description="ClOrdIDs over the life of the journal")


CheckName = Literal[
    "formats", "values", "order", "user_fields", "unknown_fields", "unknown_messages", "required", "group_order"
]


class Session(Section):
    """`[[session]]`."""

    name: Name
    begin_string: Literal["FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"]
    default_appl_ver_id: Literal["7", "8", "9"] | None = Field(
        None, description="FIXT.1.1: 7 FIX50, 8 FIX50SP1, 9 FIX50SP2 (if absent)"
    )
    sender_comp_id: CompId
    target_comp_id: CompId
    sender_sub_id: CompId | None = None
    target_sub_id: CompId | None = None
    sender_location_id: CompId | None = None
    target_location_id: CompId | None = None
    qualifier: Name | None = Field(None, description="tells sessions apart that have all IDs in common; not sent")
    role: Literal["initiator", "acceptor"] = Field(
        "initiator", description="initiator: we connect to `endpoints`; acceptor: they connect to node.X.fix_listen"
    )
    endpoints: list[Endpoint] = Field([], max_length=MAX_ENDPOINTS)
    endpoint_order: Literal["in-order", "round-robin"] = Field(
        "in-order", description="after a connection is lost: from the first endpoint again, or from the next one"
    )
    tcp: Tcp = Tcp()
    tls: ClientTls | None = None
    client_certificate: str | None = Field(
        None, min_length=1, description="acceptor: a name that the client's certificate must have"
    )
    heartbeat: int = Field(30, ge=0, le=3600, description="HeartBtInt (108), seconds")
    mode: Literal["sync", "async"] = "sync"
    skip_ahead: int = Field(1000, ge=0, le=10**6)
    resend_max_age: Duration = parse_duration("60s")
    resend_chunk: int = Field(0, ge=0, description="most messages one of our ResendRequests asks for; 0: all")
    when_not_ready: Literal["hold", "refuse"] = "hold"
    hold_max_age: Duration = Field(parse_duration("60s"), description="what was held longer is refused, not sent")
    cancels_before_ready: bool = False
    logon_barrier: bool = True
    send_next_expected: bool = Field(False, description="NextExpectedMsgSeqNum (789) in our Logon")
    reset_on_logon: bool = False
    reset_on_logout: bool = False
    reset_on_disconnect: bool = False
    reset_at: TimeOfDay | None = Field(None, description="day change of a session that never closes")
    schedule: str | None = Field(
        None,
        description="when it is connected; both MsgSeqNums start over with each window",
        examples=["Mon-Fri 07:00-17:30 Europe/London", "Sun 17:00-Fri 16:00 America/New_York"],
    )
    holidays: list[date] = Field([], description="local days on which no window of `schedule` starts")
    cancels_on_disconnect: bool = False
    test_session: bool = Field(False, description="TestMessageIndicator (464) in our Logon, and wanted in theirs")
    send_last_processed: bool = Field(False, description="LastMsgSeqNumProcessed (369) in every header")
    orig_sending_time_optional: bool = Field(False, description="PossDupFlag=Y is taken without OrigSendingTime (122)")
    validation: Literal["session", "full"] = Field(
        "session", description="session: header, trailer and numbers; full: content too, against a data dictionary"
    )
    dictionaries: Path | None = Field(
        None, description="directory of FIX41.xml to FIX50SP2.xml and FIXT11.xml for `full`; absent: the gateway's own"
    )
    without_checks: list[CheckName] = Field([], description="checks that `full` leaves out")
    timestamp_digits: Literal[0, 3, 6, 9] = 3
    sending_time_tolerance: Duration = parse_duration("120s")
    logon_timeout: Duration = parse_duration("10s")
    logout_timeout: Duration = parse_duration("2s")
    reconnect_min: Duration = parse_duration("10ms")
    reconnect_max: Duration = parse_duration("1s")
    reconnect_jitter: float = Field(0.2, ge=0, le=1, description="part of each delay that is left to chance")
    connect_timeout: Duration = Field(
        parse_duration("1s"), description="for one attempt at an endpoint; with a proxy or TLS, for all of it"
    )
    client: Name | None = Field(
        None, description="acceptor: the [[client]] that comes over this session; its orders go to `route`"
    )
    route: Name | None = Field(
        None, description="acceptor: the session its orders go to, unless DeliverToCompID (128) names another"
    )
    logon_hook: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = Field(
        None,
        description="module:function that fills or signs each Logon of ours",
        examples=["gateway.signing.hmac_sha256:sign"],
    )
    logon_options: dict[str, str] = Field({}, description="what `logon_hook` is given; names of secrets, not secrets")
    logon_fields: dict[LogonTag, str] = Field(
        {}, description="further fields of our Logon, by tag; nothing secret: that is for `logon_hook`"
    )
    username: str | None = None
    password_env: str | None = None
    password_file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_inline_secret(cls, data: object) -> object:
        return refuse_inline_secret(data, "password")

    @model_validator(mode="after")
    def _connections(self) -> Self:
        if self.begin_string == "FIX.4.0" and self.reset_on_logon:
            raise ValueError("`reset_on_logon`: FIX.4.0 has no ResetSeqNumFlag (141)")
        if self.role == "initiator" and not self.endpoints:
            raise ValueError('an initiator needs `endpoints`, at least 1, such as ["192.0.2.10:9880"]')
        if self.role == "acceptor" and (self.endpoints or self.tls is not None or self.tcp != Tcp()):
            raise ValueError(
                "`endpoints`, `tls` and `tcp` are an initiator's; an acceptor has node.X.fix_listen, "
                "[acceptor.tls] and [acceptor.tcp]"
            )
        if self.role == "initiator" and (self.client is not None or self.route is not None):
            raise ValueError("`client` and `route` are an acceptor's: whose orders come in, and where they go")
        if self.role == "acceptor" and (self.client is None or self.route is None):
            raise ValueError(
                "an acceptor needs `client`, the [[client]] whose orders come in, and `route`, the session they go to"
            )
        if self.role == "acceptor" and self.mode == "async":
            raise ValueError(
                '`mode`: a client\'s own session is "sync": a takeover must not tell it an execution twice'
            )
        if self.role == "acceptor" and self.logon_hook is not None:
            raise ValueError("`logon_hook` is an initiator's: an acceptor answers a Logon")
        for tag, value in self.logon_fields.items():
            if int(tag) in SESSION_TAGS or int(tag) in SECRET_TAGS:
                raise ValueError(f"`logon_fields`: {tag} is written by the session itself, or is a secret")
            if not value.isascii() or not value.isprintable() or not value:
                raise ValueError(f"`logon_fields`: the value of {tag} must be printable ASCII")
        if self.logon_options and self.logon_hook is None:
            raise ValueError("`logon_options` belong to a `logon_hook`")
        if self.role == "initiator" and self.client_certificate is not None:
            raise ValueError("`client_certificate` is an acceptor's; ours is `tls.cert_file`")
        return self

    @model_validator(mode="after")
    def _times(self) -> Self:
        if self.schedule is not None and self.reset_at is not None:
            raise ValueError(
                "`schedule` and `reset_at` exclude each other: with a schedule, both MsgSeqNums start over "
                "with each window"
            )
        if self.holidays and self.schedule is None:
            raise ValueError("`holidays` belong to a `schedule`, and this session has none")
        try:
            _ = self.windows
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def windows(self) -> Schedule | None:
        """When it is connected; None: always."""
        return parse_schedule(self.schedule, self.holidays) if self.schedule is not None else None

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it one session."""
        return (
            self.begin_string,
            self.sender_comp_id,
            self.sender_sub_id or "",
            self.target_comp_id,
            self.target_sub_id or "",
            *([self.qualifier] if self.qualifier else []),
        )


class Limits(Section):
    """`[client.limits]`: pre-trade checks. Absent: not limited."""

    max_order_qty: Decimal | None = Field(None, gt=0)
    max_notional: Decimal | None = Field(None, gt=0)
    max_open_qty: Decimal | None = Field(None, gt=0)
    orders_per_second: float | None = Field(None, gt=0)
    burst: int = Field(1, ge=1)


class Client(Section):
    """`[[client]]`."""

    name: Name
    token_env: str | None = None
    token_file: Path | None = None
    sessions: list[str] | None = Field(None, description="sessions it may use; absent: all")
    unrouted: bool = Field(False, description="also gets messages that belong to no client")
    limits: Limits = Limits()

    @property
    def has_token(self) -> bool:
        """Whether it must show a token."""
        return self.token_env is not None or self.token_file is not None


class Log(Section):
    """`[log]`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "json"


class Config(Section):
    """The whole file."""

    pair: Pair
    register_: RegisterSection = Field(alias="register")
    replication: Replication
    node: dict[NodeName, Node]
    journal: JournalSection = JournalSection()
    session: list[Session] = Field(min_length=1, max_length=MAX_SESSIONS)
    acceptor: Acceptor = Acceptor()
    client: list[Client] = Field(min_length=1, max_length=MAX_CLIENTS)
    receiver: list[Receiver] = Field(default=[], max_length=MAX_RECEIVERS)
    log: Log = Log()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems: list[str] = []
        problems += _missing_nodes(self)
        problems += _clashes(self)
        problems += _doubles("session name", [session.name for session in self.session])
        problems += _doubles("session identity", [" ".join(session.identity) for session in self.session])
        problems += _doubles("client name", [client.name for client in self.client])
        problems += _doubles("receiver name", [receiver.name for receiver in self.receiver])
        problems += _unknown_sessions(self)
        problems += _open_doors(self)
        problems += _acceptors(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def fingerprint(self) -> str:
        """Hash of what gives records their meaning: the pair, and sessions and clients in their order."""
        identity = [str(self.pair.id), *(" ".join(s.identity) for s in self.session), *(c.name for c in self.client)]
        return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]


def _missing_nodes(config: Config) -> list[str]:
    return [f"[node.{name}] is missing: a pair has nodes a and b" for name in ("a", "b") if name not in config.node]


def _clashes(config: Config) -> list[str]:
    seen: dict[tuple[str, object], str] = {}
    problems = []
    for name, node in config.node.items():
        places = [("udp", address, f"node.{name}.replication[{i}]") for i, address in enumerate(node.replication)]
        places += [("tcp", address, f"node.{name}.fix_listen[{i}]") for i, address in enumerate(node.fix_listen)]
        places += [("tcp", getattr(node, key), f"node.{name}.{key}") for key in ("tripwire", "clients", "control")]
        for protocol, address, key in places:
            if (protocol, address) in seen:
                problems.append(f"{key} and {seen[protocol, address]} are the same address {address}")
            seen[protocol, address] = key
    for receiver in config.receiver:
        ours = {f"receiver {receiver.name!r}: nodes.{name}": address for name, address in receiver.nodes.items()}
        for key, address in {**ours, f"receiver {receiver.name!r}: address": receiver.address}.items():
            if ("udp", address) in seen:
                problems.append(f"{key} and {seen['udp', address]} are the same address {address}")
            seen["udp", address] = key
    lengths = {len(node.replication) for node in config.node.values()}
    if len(lengths) > 1:
        problems.append("both nodes need the same number of `replication` addresses")
    return problems


def _doubles(what: str, values: list[str]) -> list[str]:
    return [f"{what} {value!r} occurs twice" for value in sorted({v for v in values if values.count(v) > 1})]


def _unknown_sessions(config: Config) -> list[str]:
    known = {session.name for session in config.session}
    return [
        f"client {client.name!r}: no session {name!r}; there are: {', '.join(sorted(known))}"
        for client in config.client
        for name in client.sessions or ()
        if name not in known
    ]


def _open_doors(config: Config) -> list[str]:
    problems = []
    for name, node in config.node.items():
        if not node.clients.is_loopback:
            problems += [
                f"client {client.name!r} needs `token_env` or `token_file`: "
                f"node.{name}.clients {node.clients} is not loopback"
                for client in config.client
                if not client.has_token and client.name not in {session.client for session in config.session}
            ]
        if not node.control.is_loopback and node.control_token_file is None:
            problems.append(f"node.{name}.control {node.control} is not loopback: it needs `control_token_file`")
    return problems


def _acceptors(config: Config) -> list[str]:
    accepted = [session.name for session in config.session if session.role == "acceptor"]
    problems = _bridges(config)
    tls = config.acceptor.tls
    if tls is None or tls.client_ca_file is None:
        problems += [
            f"session {session.name!r}: `client_certificate` needs [acceptor.tls] with `client_ca_file`"
            for session in config.session
            if session.client_certificate is not None
        ]
    for name, node in config.node.items():
        if accepted and not node.fix_listen:
            problems.append(f"node.{name}.fix_listen is missing: session {accepted[0]!r} is an acceptor's")
        if node.fix_listen and not accepted:
            problems.append(f'node.{name}.fix_listen: no session has role = "acceptor"')
        if config.acceptor.allowed is None:
            problems += [
                f"[acceptor] needs `allowed`, the networks that may connect: node.{name}.fix_listen {address} is not "
                "loopback"
                for address in node.fix_listen
                if not address.is_loopback
            ]
    return problems


def _bridges(config: Config) -> list[str]:
    initiators = {session.name for session in config.session if session.role == "initiator"}
    clients = {client.name: client for client in config.client}
    bridges = [session for session in config.session if session.role == "acceptor"]
    problems = _doubles("acceptors' client", [session.client or "" for session in bridges])
    for session in bridges:
        client = clients.get(session.client or "")
        if client is None:
            problems.append(f"session {session.name!r}: no client {session.client!r}; there are: {', '.join(clients)}")
        elif client.has_token:
            problems.append(f"client {client.name!r} comes over session {session.name!r}: it has no use for a token")
        if session.route not in initiators:
            known = ", ".join(sorted(initiators))
            problems.append(f"session {session.name!r}: `route` {session.route!r} is no initiator; there are: {known}")
        elif client is not None and client.sessions is not None and session.route not in client.sessions:
            problems.append(f"session {session.name!r}: client {client.name!r} may not use `route` {session.route!r}")
    problems += [
        f"client {client.name!r}: session {name!r} is an acceptor's, nothing can be sent there"
        for client in config.client
        for name in client.sessions or ()
        if name in {session.name for session in bridges}
    ]
    return problems
