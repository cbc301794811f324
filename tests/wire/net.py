"""Counterparties of these tests: servers on loopback, each in a few lines."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvloop

LIMIT_S = 20
READ_BYTES = 1 << 18


def run(story):
    """Runs one test's coroutine on the loop that a node has, within a limit."""

    async def limited():
        async with asyncio.timeout(LIMIT_S):
            return await story

    return uvloop.run(limited())


@contextlib.asynccontextmanager
async def serving(handler, context=None):
    """A server on a free port of loopback; `await handler(reader, writer)` for each connection. Yields its port."""
    failures = []

    async def handle(reader, writer):
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception as error:
            failures.append(error)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
    assert not failures


async def echo(reader, writer):
    """Sends back what comes."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def read(sock: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes, or what came before the end."""
    loop, data = asyncio.get_running_loop(), bytearray()
    while len(data) < count and (more := await loop.sock_recv(sock, min(count - len(data), READ_BYTES))):
        data += more
    return bytes(data)


async def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end."""
    return await read(sock, 1 << 40)


async def write(sock: socket.socket, data: bytes) -> None:
    """All of it."""
    await asyncio.get_running_loop().sock_sendall(sock, data)
