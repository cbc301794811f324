"""What the gateway asks of the host: the parts of a configuration that the checks are made against. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from gateway.config import Address, Config
from gateway.config.connections import tcp_of

OTHER = {"a": "b", "b": "a"}
SPARE_DESCRIPTORS = 256  # journal segments, register, control API, logs, libraries
DESCRIPTORS_PER_CONNECTION = 2  # one more for what comes before the reactor has it: proxy, TLS


@dataclass(frozen=True, slots=True)
class PeerPath:
    """A way to the peer: our address and where the peer is."""

    own: Address
    peer: Address


@dataclass(frozen=True, slots=True)
class Aim:
    """What is wanted of one host; without a configuration, what any would want. Sizes in bytes, times in ns."""

    cpu: int | None = None
    busy_poll: bool = False
    data_dir: Path | None = None
    durability: str = "interval"
    flush_interval_ns: int = 10_000_000
    datagram_bytes: int = 1400
    paths: tuple[PeerPath, ...] = ()
    counterparties: tuple[Address, ...] = ()
    interfaces: tuple[str, ...] = ()  # that the configuration names
    receive_buffer: int = 0
    send_buffer: int = 0
    descriptors: int = SPARE_DESCRIPTORS
    configured: bool = False

    @property
    def polls_on_its_core(self) -> bool:
        """Whether a core is meant for the reactor alone: nothing else may take its time then."""
        return self.busy_poll and self.cpu is not None

    @property
    def leaves_the_host(self) -> bool:
        """Whether anything goes over a network card."""
        ends = [path.peer for path in self.paths] + list(self.counterparties)
        return not self.configured or any(not ipaddress.ip_address(end.host).is_loopback for end in ends)


def aim_of(config: Config | None, node: str, udp_buffer_bytes: int) -> Aim:
    """What node `node` asks for; `udp_buffer_bytes`: what it asks for each socket of the replication."""
    if config is None:
        return Aim(receive_buffer=udp_buffer_bytes, send_buffer=udp_buffer_bytes)
    own, peer = config.node[node], config.node[OTHER[node]]  # type: ignore[index]
    tcps = [config.acceptor.tcp] + [tcp_of(e, s.tcp) for s in config.session for e in s.endpoints or ()]
    endpoints = [endpoint for session in config.session for endpoint in session.endpoints]
    names = [endpoint.interface for endpoint in endpoints] + [tcp.interface for tcp in tcps]
    connections = config.acceptor.max_connections + len(config.session) + len(config.client)
    targets = own.replication_peer or peer.replication
    return Aim(
        cpu=own.cpu,
        busy_poll=own.reactor == "busy-poll",
        data_dir=own.data_dir,
        durability=config.journal.durability,
        flush_interval_ns=config.journal.flush_interval,
        datagram_bytes=config.replication.datagram_bytes,
        paths=tuple(PeerPath(a, b) for a, b in zip(own.replication, targets, strict=False)),
        counterparties=tuple(e.proxy.address if e.proxy else e.address for e in endpoints),
        interfaces=tuple(dict.fromkeys(name for name in names if name)),
        receive_buffer=max([udp_buffer_bytes, *(tcp.receive_buffer or 0 for tcp in tcps)]),
        send_buffer=max([udp_buffer_bytes, *(tcp.send_buffer or 0 for tcp in tcps)]),
        descriptors=SPARE_DESCRIPTORS + DESCRIPTORS_PER_CONNECTION * connections,
        configured=True,
    )
