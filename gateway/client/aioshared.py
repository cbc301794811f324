"""`SharedConnection` as a transport of asyncio, as far as `AsyncClient` needs one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from typing import Any

from gateway.client.links import CONNECT_TIMEOUT_NS
from gateway.client.shared import SharedConnection, refusal

READ_BYTES = 256 * 1024
CONNECT_TIMEOUT_S = CONNECT_TIMEOUT_NS / 1e9


async def open_shared(path: str, in_flight: set[Any]) -> SharedConnection:
    """Connects to the node's socket at `path` and takes the memory. Raises OSError. `in_flight` as of `dial`."""
    loop = asyncio.get_running_loop()
    connection = SharedConnection()
    in_flight.add(connection)
    try:
        error = connection.connect_ex(path)
        if error:
            raise OSError(error, refusal(error))
        readable = asyncio.Event()
        loop.add_reader(connection.fileno(), readable.set)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):  # by then another attempt has taken its place
                await readable.wait()
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "the node did not hand over memory in time") from None
        finally:
            loop.remove_reader(connection.fileno())
        connection.finish()
    except BaseException:
        in_flight.discard(connection)
        connection.close()
        raise
    return connection


class SharedTransport:
    """Hands what is read to `on_data`, and the reason of the end, once, to `on_end`, unless it was aborted."""

    def __init__(
        self,
        connection: SharedConnection,
        on_data: Callable[[SharedTransport, bytes], None],
        on_end: Callable[[SharedTransport, str], None],
    ) -> None:
        self._connection = connection
        self._on_data, self._on_end = on_data, on_end
        self._loop = asyncio.get_running_loop()
        self._backlog = bytearray()
        self._reading = True
        self._closing = False
        self._buffer = bytearray(READ_BYTES)
        self._loop.add_reader(connection.fileno(), self._woken)
        self._loop.call_soon(self._woken)  # what was written before we came is announced by no wake-up

    def write(self, data: bytes) -> None:
        """Writes now what there is room for, and the rest when there is more."""
        if not self._closing:
            self._backlog += data
            self._write_backlog()

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return self._closing

    def pause_reading(self) -> None:
        """What the node writes stays where it is."""
        self._reading = False

    def resume_reading(self) -> None:
        """Goes on."""
        self._reading = True
        self._loop.call_soon(self._woken)

    def fileno(self) -> int:
        """Of the socket that carries the wake-ups."""
        return self._connection.fileno()

    def abort(self) -> None:
        """Closes."""
        if not self._closing:
            self._closing = True
            self._loop.remove_reader(self._connection.fileno())
            self._connection.close()

    def _woken(self) -> None:
        if self._closing:
            return
        if not self._reading:
            self._connection.drain_wakeups()
            if self._connection.ended:  # it would be readable at once, again and again, until reading goes on
                self._loop.remove_reader(self._connection.fileno())
            self._write_backlog()
            return
        try:
            size = self._connection.recv_into(self._buffer)
        except BlockingIOError:
            self._write_backlog()
            return
        except OSError as error:
            self._end(error.strerror or str(error))
            return
        if size == 0:
            self._end("closed by the node")
            return
        self._write_backlog()
        self._loop.call_soon(self._woken)  # until there is nothing: only then will the node wake us again
        self._on_data(self, bytes(self._buffer[:size]))

    def _write_backlog(self) -> None:
        if self._backlog:
            with contextlib.suppress(OSError):  # reading tells
                del self._backlog[: self._connection.send(self._backlog)]

    def _end(self, why: str) -> None:
        self.abort()
        self._on_end(self, why)
