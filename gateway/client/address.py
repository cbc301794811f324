"""Addresses of nodes: "host:port", or "shm:path" on this host, to what a socket needs. Never connects."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway.client.errors import InvalidRequest

Address = str | tuple[str, int] | Path
Place = tuple[str, int] | Path  # a Path: of the socket that a node's shared memory is had from
SocketAddress = str | tuple[str, int] | tuple[str, int, int, int]

SHARED = "shm:"
MAX_PATH_BYTES = 107  # of a Unix socket: sun_path, unix(7)


def parse_place(address: Address) -> Place:
    """Where a node is: as `parse_address`, or a Path from "shm:path" or a Path. Raises InvalidRequest."""
    if isinstance(address, str) and address.strip().startswith(SHARED):
        address = Path(address.strip().removeprefix(SHARED))
    if not isinstance(address, Path):
        return parse_address(address)
    if not address.name or len(str(address).encode()) > MAX_PATH_BYTES:
        raise InvalidRequest(
            f"node {SHARED}{address}: wanted the path of the node's `shared_clients`, at most {MAX_PATH_BYTES} bytes"
        )
    return address


def parse_address(address: str | tuple[str, int]) -> tuple[str, int]:
    """("host", port) from "host:port", "[::1]:port" or a pair. Raises InvalidRequest."""
    if not isinstance(address, str):
        host, port = address
        return str(host), int(port)
    host, colon, text = address.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not text.isdigit() or not 0 < int(text) < 65536:
        raise InvalidRequest(f"node {address!r} is not host:port, e.g. 127.0.0.1:7003, nor {SHARED}path")
    return host, int(text)


def parse_places(nodes: str | Path | Iterable[Address]) -> list[Place]:
    """Each node of the pair, from "host:port,host:port" or a sequence."""
    if isinstance(nodes, Path):
        nodes = [nodes]
    return [parse_place(each) for each in (nodes.split(",") if isinstance(nodes, str) else nodes)]


def format_address(address: Place) -> str:
    """As people write it."""
    if isinstance(address, Path):
        return f"{SHARED}{address}"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(address: Place) -> Sequence[tuple[int, SocketAddress]]:
    """(family, socket address) of each of the host's addresses. Raises OSError, naming the host."""
    if isinstance(address, Path):
        return [(socket.AF_UNIX, str(address))]
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"cannot look up {format_address(address)}: {error.strerror}") from None
    return [(family, place) for family, _, _, _, place in found]  # type: ignore[misc]
