"""From a configuration to a node that is ready to run: journal, native node, sockets, reactor."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog

from gateway.config import Address, Config, Session, read_key, read_secret
from gateway.config.connections import is_direct, tcp_of
from gateway.errors import ConfigError, GatewayError
from gateway.fix.builtin import CHECKS as BUILTIN_CHECKS
from gateway.fix.builtin import builtin_dictionary
from gateway.fix.dictionary import appl_dictionaries_in, dictionary_in, session_dictionary_in
from gateway.native.dictionary import CHECKS
from gateway.native.feeder import Feeder
from gateway.native.journal import Journal
from gateway.native.node import Node
from gateway.native.reactor import Reactor
from gateway.register.etcd import EtcdOptions
from gateway.wire.tcpoptions import options, packed, probe

log = structlog.get_logger("node")

E8 = 10**8
BACKLOG = 64
UDP_BUFFER_BYTES = 4 << 20
NS_PER_MS = 10**6
FOREVER_NS = 2**63
OTHER = {"a": "b", "b": "a"}
INDEX = {"a": 0, "b": 1}


@dataclass(slots=True)
class Assembly:
    """A node and all that it holds open."""

    data_dir: Path
    journal: Journal
    node: Node
    reactor: Reactor
    sockets: list[socket.socket]
    feeder: Feeder | None = None  # of receivers that are not waited for, if there are any

    def close(self) -> None:
        """Closes sockets and journal; the reactor must have stopped."""
        for sock in self.sockets:
            sock.close()
        self.journal.close()


def assemble(config: Config, name: str) -> Assembly:
    """Opens the journal of node `name` (recovering it) and builds the node. Raises GatewayError: what cannot be had."""
    section = config.node[name]  # type: ignore[index]
    key = read_key(env=config.replication.key_env, file=config.replication.key_file)
    try:
        section.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GatewayError(f"node.{name}.data_dir: cannot make {section.data_dir}: {error.strerror}") from None
    journal = Journal.open(
        section.data_dir / "journal",
        node=INDEX[name],
        pair_id=config.pair.id,
        segment_bytes=config.journal.segment_bytes,
        max_sessions=len(config.session),
    )
    sockets: list[socket.socket] = []
    try:
        node = build_node(config, name, journal, key)
        reactor = build_reactor(config, name, node, sockets)
        feeder = build_feeder(config, name, node, sockets)
    except BaseException:
        for sock in sockets:
            sock.close()
        journal.close()
        raise
    return Assembly(section.data_dir, journal, node, reactor, sockets, feeder)


def build_node(config: Config, name: str, journal: Journal, key: bytes) -> Node:
    """The native node with its sessions and clients."""
    replication = config.replication
    every = config.journal.durability == "every"
    node = Node(
        journal,
        node=INDEX[name],
        pair_id=config.pair.id,
        key=key,
        incarnation=journal.next_incarnation(time.time_ns() // NS_PER_MS),
        heartbeat_interval_ns=replication.heartbeat_interval,
        suspect_after_ns=replication.suspect_after,
        fence_timeout_ns=replication.fence_timeout,
        register_timeout_ns=config.register_.timeout,
        startup_wait_ns=replication.startup_wait,
        preferred=name == "a",
        lost_tail=journal.recovery.tail_may_be_lost and (journal.recovery.tail_was_cut or not every),
        new_log=journal.recovery.new,
        datagram_bytes=replication.datagram_bytes,
        catch_up_window_bytes=replication.catch_up_window,
        retransmit_after_ns=replication.retransmit_after,
        nak_after_ns=replication.nak_after,
        window_records=replication.window_records,
        order_capacity=config.journal.max_orders * 4 // 3,
        flush_before_release=every,
    )
    for session in config.session:
        _add_session(node, session)
    for client in config.client:
        allowed = [
            i
            for i, s in enumerate(config.session)
            if s.role == "initiator" and (client.sessions is None or s.name in client.sessions)
        ]
        limits = client.limits
        node.add_client(
            client.name,
            read_secret(f"token of client {client.name!r}", env=client.token_env, file=client.token_file),
            sessions=sum(1 << i for i in allowed),
            unrouted=client.unrouted,
            max_order_qty_e8=_e8(limits.max_order_qty),
            max_notional_e8=_e8(limits.max_notional),
            max_open_qty_e8=_e8(limits.max_open_qty),
            orders_per_second=limits.orders_per_second or 0,
            burst=limits.burst,
        )
    _add_bridges(node, config)
    return node


def _add_bridges(node: Node, config: Config) -> None:
    sessions = [session.name for session in config.session]
    clients = [client.name for client in config.client]
    for i, session in enumerate(config.session):
        if session.client is not None and session.route is not None:
            node.bridge(i, clients.index(session.client) + 1, sessions.index(session.route))


def etcd_options(config: Config) -> EtcdOptions:
    """Where the register's cluster is. Raises ConfigError: a secret or certificate cannot be had."""
    section = config.register_
    tls = None
    if any(endpoint.startswith("https:") for endpoint in section.endpoints):
        try:
            tls = ssl.create_default_context(cafile=section.ca_file)
            if section.cert_file is not None:
                tls.load_cert_chain(section.cert_file, section.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(path) for path in (section.ca_file, section.cert_file, section.key_file) if path)
            raise ConfigError(f"register: a certificate or key cannot be used ({files}): {error}") from None
    password = read_secret("password of the register", env=section.password_env, file=section.password_file)
    return EtcdOptions(
        section.endpoints,
        section.key or f"fix-gateway/pair-{config.pair.id}",
        section.user or "",
        password.decode(),
        tls,
    )


def build_reactor(config: Config, name: str, node: Node, sockets: list[socket.socket]) -> Reactor:
    """The reactor with its sockets, which are added to `sockets`. Raises GatewayError: an address cannot be had."""
    section = config.node[name]  # type: ignore[index]
    peer = config.node[OTHER[name]]  # type: ignore[index]
    reactor = Reactor(node, busy_poll=section.reactor == "busy-poll", yield_when_idle=section.yield_when_idle)
    targets = section.replication_peer or peer.replication
    for i, (own, other) in enumerate(zip(section.replication, targets, strict=True)):
        reactor.add_path(_udp(own, other, f"node.{name}.replication[{i}]", sockets).fileno())
    reactor.listen_for_clients(_listen(section.clients, f"node.{name}.clients", sockets).fileno())
    if name == "a":
        reactor.listen_for_tripwire(_listen(section.tripwire, f"node.{name}.tripwire", sockets).fileno())
    else:
        reactor.connect_tripwire(*peer.tripwire)
    for i, session in enumerate(config.session):
        for k, endpoint in enumerate(session.endpoints):
            tcp = tcp_of(endpoint, session.tcp)
            # Where the system refuses one, the reactor could only try again and again.
            for warning in probe(tcp, f"session {session.name!r}: endpoint {endpoint.address}"):
                log.warning("socket_option", text=warning)
            reactor.add_endpoint(
                i,
                k,
                *endpoint.address,
                source=endpoint.source,
                options=packed(options(tcp)),
                by_control=not is_direct(endpoint, session.tls),
            )
        reactor.set_connect_timeout(i, session.connect_timeout)
    return reactor


def build_feeder(config: Config, name: str, node: Node, sockets: list[socket.socket]) -> Feeder | None:
    """The feeder of the configuration's receivers with its sockets; None without any. Raises GatewayError."""
    if not config.receiver:
        return None
    feeder = Feeder(node, pair_id=config.pair.id, incarnation=node.incarnation)
    for receiver in config.receiver:
        key = read_key(env=receiver.key_env, file=receiver.key_file, what=f"key of receiver {receiver.name!r}")
        own = receiver.nodes[name]  # type: ignore[index]
        feeder.add_receiver(
            _udp(own, receiver.address, f"receiver {receiver.name!r}: nodes.{name}", sockets).fileno(),
            key,
            datagram_bytes=receiver.datagram_bytes,
            window_bytes=receiver.window,
            retransmit_after_ns=2 * receiver.round_trip,
        )
    return feeder


def _add_session(node: Node, session: Session) -> None:
    node.add_session(
        session.name,
        begin_string=session.begin_string,
        sender_comp_id=session.sender_comp_id,
        target_comp_id=session.target_comp_id,
        extra_ids=_fields(
            (50, session.sender_sub_id),
            (142, session.sender_location_id),
            (57, session.target_sub_id),
            (143, session.target_location_id),
        ),
        logon_fields=_logon_fields(session),
        timestamp_digits=session.timestamp_digits,
        heartbeat_s=session.heartbeat,
        logon_timeout_ns=session.logon_timeout,
        logout_timeout_ns=session.logout_timeout,
        sending_time_tolerance_ns=session.sending_time_tolerance,
        # What a client is told never becomes too old for it.
        resend_max_age_ns=session.resend_max_age if session.role == "initiator" else FOREVER_NS,
        resend_chunk=session.resend_chunk,
        reset_on_logon=session.reset_on_logon,
        reset_on_logout=session.reset_on_logout,
        reset_on_disconnect=session.reset_on_disconnect,
        logon_barrier=session.logon_barrier,
        send_next_expected=session.send_next_expected,
        cancels_before_ready=session.cancels_before_ready,
        sync=session.mode == "sync",
        hold_when_not_ready=session.when_not_ready == "hold",
        hold_max_age_ns=session.hold_max_age,
        skip_ahead=session.skip_ahead,
        endpoints=len(session.endpoints),
        round_robin=session.endpoint_order == "round-robin",
        jitter=session.reconnect_jitter,
        acceptor=session.role == "acceptor",
        fills_logon=session.logon_hook is not None,
        min_backoff_ns=session.reconnect_min,
        max_backoff_ns=session.reconnect_max,
        default_appl_ver_id=session.default_appl_ver_id or "",
        test_session=session.test_session,
        send_last_processed=session.send_last_processed,
        orig_sending_time_optional=session.orig_sending_time_optional,
        **_validation(session),
    )


def _validation(session: Session) -> dict[str, Any]:
    """Dictionaries and checks. Raises ConfigError: a dictionary is missing or wrong."""
    if session.validation == "session":
        return {}
    without = sum(CHECKS[name] for name in session.without_checks)
    if session.dictionaries is None:
        return {"dictionary": builtin_dictionary(), "checks": BUILTIN_CHECKS & ~without}
    version = session.default_appl_ver_id or "9"
    return {
        "dictionary": dictionary_in(session.dictionaries, session.begin_string, version),
        "session_dictionary": session_dictionary_in(session.dictionaries, session.begin_string),
        "appl_dictionaries": appl_dictionaries_in(session.dictionaries) if session.begin_string == "FIXT.1.1" else {},
        "checks": sum(CHECKS.values()) & ~without,
    }


def _logon_fields(session: Session) -> bytes:
    """Username (553), Password (554) and what the configuration adds."""
    password = read_secret(
        f"password of session {session.name!r}", env=session.password_env, file=session.password_file
    )
    own = _fields((553, session.username), (554, password.decode() or None))
    return own + _fields(*((int(tag), value) for tag, value in session.logon_fields.items()))


def _fields(*pairs: tuple[int, str | None]) -> bytes:
    return b"".join(b"%d=%s\x01" % (tag, value.encode()) for tag, value in pairs if value)


def _e8(value: Decimal | None) -> int:
    return int(value * E8) if value is not None else 0


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def _udp(own: Address, other: Address, key: str, sockets: list[socket.socket]) -> socket.socket:
    sock = socket.socket(_family(own), socket.SOCK_DGRAM)
    sockets.append(sock)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UDP_BUFFER_BYTES)
        sock.bind(tuple(own))
        sock.connect(tuple(other))
    except OSError as error:
        raise GatewayError(f"{key}: cannot use {own} towards {other}: {error.strerror}") from None
    sock.setblocking(False)
    return sock


def _listen(address: Address, key: str, sockets: list[socket.socket]) -> socket.socket:
    sock = socket.socket(_family(address), socket.SOCK_STREAM)
    sockets.append(sock)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(tuple(address))
        sock.listen(BACKLOG)
    except OSError as error:
        raise GatewayError(f"{key}: cannot listen on {address}: {error.strerror}; is another node running?") from None
    sock.setblocking(False)
    return sock
