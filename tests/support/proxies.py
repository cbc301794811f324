"""Proxies of tests: HTTP CONNECT and SOCKS5 by address, on loopback, that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator

BLOCK_BYTES = 65536
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """One running proxy; `targets` are what it was asked for."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._writers: set[asyncio.StreamWriter] = set()
        self.targets: list[tuple[str, int]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """`async with proxy.running()`: it is at `port`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.die()

    def die(self) -> None:
        """Cuts every connection and takes no more."""
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Cuts every connection; others may come."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            ask = self._ask_http if self._kind == "http" else self._ask_socks5
            host, port, answer = await ask(reader, writer)
            self.targets.append((host, port))
            there = await asyncio.open_connection(host, port)
            writer.write(answer)
            self._writers |= {writer, there[1]}
            await asyncio.gather(_carry(reader, there[1]), _carry(there[0], writer))
        writer.close()

    async def _ask_http(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> tuple[str, int, bytes]:
        request = await reader.readuntil(b"\r\n\r\n")
        host, _, port = request.split()[1].decode().rpartition(":")
        return host, int(port), b"HTTP/1.1 200 Connection established\r\n\r\n"

    async def _ask_socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int, bytes]:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        assert await reader.readexactly(4) == b"\x05\x01\x00\x01"
        host = str(ipaddress.ip_address(await reader.readexactly(4)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        return host, port, b"\x05\x00\x00\x01" + bytes(6)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(BLOCK_BYTES):
            sink.write(data)
            await sink.drain()
    sink.close()
