"""Connects a socket for asyncio. It is made here, not by the loop, so that it is known while it is being connected."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any


async def dial(host: str, port: int, in_flight: set[Any]) -> socket.socket:
    """Connects to the first of the host's addresses that answers. Raises OSError.

    The socket is in `in_flight` from its beginning; one that is returned is left there, to be taken out when it is had.
    """
    failures = []
    for family, kind, protocol, _, place in await _look_up(host, port):
        try:
            return await _connect(socket.socket(family, kind, protocol), place, in_flight)
        except OSError as error:
            failures.append(error.strerror or str(error))
    raise OSError("; ".join(failures))


async def _look_up(host: str, port: int) -> list[tuple[Any, ...]]:
    with contextlib.suppress(socket.gaierror):  # a number needs no thread that looks it up
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    return list(await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))


async def _connect(connection: socket.socket, place: Any, in_flight: set[Any]) -> socket.socket:
    in_flight.add(connection)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, place)
    except BaseException:
        in_flight.discard(connection)
        connection.close()
        raise
    return connection
