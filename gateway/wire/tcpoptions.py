"""The options of a TCP socket as setsockopt() takes them, from their section of the configuration.

`options` is pure; `apply` sets them on one socket; `probe` tries them on a socket of its own, so that what is not
permitted here, or is cut short by the system, is known before the first connection.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

from gateway.config.connections import NS_PER_MS, NS_PER_S, NS_PER_US, Tcp
from gateway.errors import ConfigError

SO_BUSY_POLL = 46  # <asm-generic/socket.h>; the socket module has no name for it
# What each privileged option needs, and how a service gets it.
CAPABILITIES = {"busy_poll": "CAP_NET_ADMIN", "interface": "CAP_NET_RAW"}
LIMITS = {"send_buffer": "net.core.wmem_max", "receive_buffer": "net.core.rmem_max"}


class SocketOption(NamedTuple):
    """One call of setsockopt(): `value` is an int, or the bytes of an interface's name."""

    key: str  # of the configuration
    level: int
    name: int
    value: int | bytes


def options(tcp: Tcp) -> list[SocketOption]:
    """What to set, before the connection is made."""
    found = [SocketOption("nodelay", socket.IPPROTO_TCP, socket.TCP_NODELAY, int(tcp.nodelay))]
    if tcp.interface is not None:
        found.append(
            SocketOption("interface", socket.SOL_SOCKET, socket.SO_BINDTODEVICE, tcp.interface.encode() + b"\0")
        )
    keepalive = (
        ("keepalive_idle", socket.TCP_KEEPIDLE, _units(tcp.keepalive_idle, NS_PER_S)),
        ("keepalive_interval", socket.TCP_KEEPINTVL, _units(tcp.keepalive_interval, NS_PER_S)),
        ("keepalive_count", socket.TCP_KEEPCNT, tcp.keepalive_count),
    )
    if any(value is not None for _, _, value in keepalive):
        found.append(SocketOption("keepalive_idle", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
    found += [SocketOption(key, socket.IPPROTO_TCP, name, v) for key, name, v in keepalive if v is not None]
    rest = (
        ("user_timeout", socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _units(tcp.user_timeout, NS_PER_MS)),
        ("send_buffer", socket.SOL_SOCKET, socket.SO_SNDBUF, tcp.send_buffer),
        ("receive_buffer", socket.SOL_SOCKET, socket.SO_RCVBUF, tcp.receive_buffer),
        ("quick_ack", socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1 if tcp.quick_ack else None),
        ("busy_poll", socket.SOL_SOCKET, SO_BUSY_POLL, _units(tcp.busy_poll, NS_PER_US)),
    )
    return found + [SocketOption(key, level, name, v) for key, level, name, v in rest if v is not None]


def packed(wanted: list[SocketOption]) -> list[tuple[int, int, bytes]]:
    """As setsockopt() of C takes them."""
    return [
        (option.level, option.name, option.value if isinstance(option.value, bytes) else struct.pack("i", option.value))
        for option in wanted
    ]


def apply(sock: socket.socket, wanted: list[SocketOption], where: str) -> None:
    """Sets every option on a TCP socket. Raises ConfigError that names `where` and the key, such as
    session 'X': tcp.busy_poll."""
    for option in wanted:
        try:
            sock.setsockopt(option.level, option.name, option.value)
        except OSError as error:
            raise ConfigError(f"{where}: tcp.{option.key}: {_explained(option, error)}") from None


def probe(tcp: Tcp, where: str) -> list[str]:
    """Tries the options on a socket that is never connected; a warning for each that the system cuts short. Raises
    ConfigError as `apply` does."""
    warnings = []
    wanted = options(tcp)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        apply(sock, wanted, where)
        for option in wanted:
            if option.key in LIMITS and isinstance(option.value, int):
                # Linux keeps twice of what was asked for, and tells that (socket(7)).
                granted = sock.getsockopt(option.level, option.name) // 2
                if granted < option.value:
                    warnings.append(
                        f"{where}: tcp.{option.key}: {option.value} bytes wanted, {granted} granted; "
                        f"raise it with: sysctl -w {LIMITS[option.key]}={option.value}"
                    )
    return warnings


def _units(duration_ns: int | None, unit_ns: int) -> int | None:
    return None if duration_ns is None else duration_ns // unit_ns


def _explained(option: SocketOption, error: OSError) -> str:
    if error.errno == errno.EPERM and option.key in CAPABILITIES:
        capability = CAPABILITIES[option.key]
        return (
            f"not permitted: it needs {capability}; give it with systemd's AmbientCapabilities={capability} or "
            f"leave the key out"
        )
    if error.errno == errno.ENODEV and isinstance(option.value, bytes):
        there = ", ".join(name for _, name in socket.if_nameindex())
        return f"there is no network interface {option.value[:-1].decode()!r}; there are: {there}"
    return f"the system refuses the value {option.value!r}: {error.strerror}"
