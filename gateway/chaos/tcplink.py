"""A TCP relay that can be cut and mended: what is under way waits, nobody is told. Runs on the caller's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from gateway.demo.world import LOOPBACK

CHUNK_BYTES = 1 << 16
LINGER_NOT = struct.pack("ii", 1, 0)  # SO_LINGER: a close is a reset


class TcpLink:
    """Carries connections made to `address` on to `target`. An asynchronous context manager.

    While it is cut, bytes, ends of connections and new connections wait, as they do for packets that are lost.
    """

    def __init__(self, target: tuple[str, int], host: str = LOOPBACK) -> None:
        self._target = target
        self._host = host
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> TcpLink:
        self._server = await asyncio.start_server(self._carry, self._host, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.drop()

    @property
    def address(self) -> str:
        """host:port to connect to."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    @property
    def cut(self) -> bool:
        """Whether nothing passes."""
        return not self._open.is_set()

    @cut.setter
    def cut(self, value: bool) -> None:
        if value:
            self._open.clear()
        else:
            self._open.set()

    def drop(self) -> None:
        """Resets every connection, on both sides."""
        for writer in self._writers:
            _reset(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):  # cancelled by the end of the link alone
                await self._open.wait()
                await self._carry_on(reader, writer)
        finally:
            _reset(writer)
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _carry_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection(*self._target)
        self._writers.add(onward[1])
        try:
            await self._both_ways((reader, writer), onward)
        finally:
            _reset(onward[1])
            self._writers.discard(onward[1])

    async def _both_ways(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Until both directions have ended, or one side has reset its connection."""
        pumps = [asyncio.create_task(self._pump(near[0], far[1])), asyncio.create_task(self._pump(far[0], near[1]))]
        try:
            await asyncio.gather(*pumps)
            for _, writer in (near, far):
                writer.close()
                await writer.wait_closed()
        except OSError:
            await self._open.wait()
            raise
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK_BYTES):
            await self._open.wait()
            sink.write(data)
            await sink.drain()
        await self._open.wait()
        sink.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes a connection by a reset, unless it is closed already."""
    sock = writer.get_extra_info("socket")
    if not writer.transport.is_closing() and sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()
