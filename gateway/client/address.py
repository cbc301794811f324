"""Addresses of nodes: "host:port" to what a socket needs. Looks names up; never connects."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence

from gateway.client.errors import InvalidRequest

Address = str | tuple[str, int]


def parse_address(address: Address) -> tuple[str, int]:
    """("host", port) from "host:port", "[::1]:port" or a pair. Raises InvalidRequest."""
    if not isinstance(address, str):
        host, port = address
        return str(host), int(port)
    host, colon, text = address.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not text.isdigit() or not 0 < int(text) < 65536:
        raise InvalidRequest(f"node {address!r} is not host:port, e.g. 127.0.0.1:7001")
    return host, int(text)


def parse_addresses(nodes: str | Iterable[Address]) -> list[tuple[str, int]]:
    """Each node of the pair, from "host:port,host:port" or a sequence."""
    return [parse_address(each) for each in (nodes.split(",") if isinstance(nodes, str) else nodes)]


def format_address(address: tuple[str, int]) -> str:
    """As people write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(address: tuple[str, int]) -> Sequence[tuple[int, tuple[str, int] | tuple[str, int, int, int]]]:
    """(family, socket address) of each of the host's addresses. Raises OSError, naming the host."""
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"cannot look up {format_address(address)}: {error.strerror}") from None
    return [(family, place) for family, _, _, _, place in found]  # type: ignore[misc]
