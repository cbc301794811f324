"""Carries bytes between a TLS stream and a socket pair, so that whoever holds the other end sees a plain stream.

    TLS transport  <->  Pump  <->  inner | outer  <->  reactor

Buffers are bounded in both directions: who sends faster than the other side reads is made to wait. What was written to
the outer end before it was closed is sent; what the counterparty sent before it closed is delivered. An error on one
side closes the other. Never looks at the bytes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

READ_BYTES = 64 * 1024
HIGH_WATER_BYTES = 256 * 1024
LINGER_S = 5.0  # for what is under way when one side has closed


class Pump(asyncio.Protocol):
    """The protocol of one TLS transport."""

    def __init__(self, inner: socket.socket, ended: Callable[[], None] | None = None) -> None:
        """`inner` is one end of a connected stream, non-blocking, and belongs to the pump. `ended` is called once, when
        nothing flows any more."""
        self._inner = inner
        self._ended = ended
        self._pending = bytearray()  # towards inner
        self._transport: asyncio.Transport | None = None
        self._outward_open = True  # the outer end may still write
        self._inward_open = True  # the outer end may still read
        self._tls_open = False
        self._finished = False
        self._linger: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._tls_open = True
        self._loop.add_reader(self._inner, self._inner_readable)

    def data_received(self, data: bytes) -> None:
        """The counterparty sent."""
        if not self._inward_open:
            return
        sent = 0
        if not self._pending:
            sent = self._send(data)
            if sent == len(data) or not self._inward_open:
                return
            self._loop.add_writer(self._inner, self._inner_writable)
        assert self._transport is not None
        self._transport.pause_reading()
        self._pending += data[sent:]

    def eof_received(self) -> bool:
        """The counterparty closed: TLS knows no half-closed connection."""
        return False

    def pause_writing(self) -> None:
        """The counterparty reads too slowly."""
        self._loop.remove_reader(self._inner)

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._outward_open and self._tls_open:
            self._loop.add_reader(self._inner, self._inner_readable)

    def connection_lost(self, exc: Exception | None) -> None:
        """The TLS side is gone; what came from it is delivered first."""
        self._tls_open = False
        self._cancel_linger()
        if self._pending:
            self._linger = self._loop.call_later(LINGER_S, self._finish)
        else:
            self._finish()

    def never_connected(self) -> None:
        """The handshake failed, or nobody waits for it any more."""
        if self._transport is not None:
            self._transport.abort()
            return
        self._finished = True
        self._inner.close()

    def _inner_readable(self) -> None:
        try:
            data = self._inner.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # the outer end was closed with input unread; what it wrote has been read by now
            data = b""
        assert self._transport is not None
        if data:
            self._transport.write(data)
            return
        self._outward_open = False
        self._loop.remove_reader(self._inner)
        self._transport.close()
        self._linger = self._loop.call_later(LINGER_S, self._transport.abort)

    def _inner_writable(self) -> None:
        del self._pending[: self._send(self._pending)]
        if self._pending and self._inward_open:
            return
        self._pending.clear()
        self._loop.remove_writer(self._inner)
        if not self._tls_open:
            self._finish()
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._inner.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:  # nobody reads the outer end any more, but what it wrote may still have to go out
            self._inward_open = False
            return 0

    def _cancel_linger(self) -> None:
        if self._linger is not None:
            self._linger.cancel()

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        self._cancel_linger()
        self._loop.remove_reader(self._inner)
        self._loop.remove_writer(self._inner)
        self._inner.close()
        if self._ended is not None:
            self._ended()


def stream_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, both non-blocking."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        end.setblocking(False)
    return ends
