"""A connection to a node on this host through shared memory: a socket brings the memory, and then only wake-ups.

It has the methods of a non-blocking socket that the clients use, so that these treat it as one. One difference shows:
it is never writable for a selector. Where the node had no room, its socket becomes readable when there is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from gateway.native.sharedstream import SharedStream

WAKEUP = b"\0"
WAKEUPS_AT_ONCE = 4096
REMEDIES = {
    errno.ENOENT: "no such file: is it what the node's `shared_clients` says, and does the node run?",
    errno.ECONNREFUSED: "nobody listens there: does the node run?",
    errno.EACCES: "no permission: run as the node's user, or in its group",
    errno.EAGAIN: "the node does not take connections: is it stopped?",
}


def refusal(error: int) -> str:
    """Why a node's socket could not be connected to, and what to do about it."""
    return REMEDIES.get(error) or os.strerror(error)


class SharedConnection:
    """Connects to the socket at `path`. Not for several threads at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._stream: SharedStream | None = None
        self._closed = False  # by the node; what it wrote before is still to be read

    def connect_ex(self, path: str) -> int:
        """As of a socket: 0, or errno. The connection is up when the socket is readable and `finish` was called."""
        return self._socket.connect_ex(path)

    def fileno(self) -> int:
        """Of the socket that wakes us."""
        return self._socket.fileno()

    @property
    def ended(self) -> bool:
        """Whether the node has closed its side: the socket is readable from then on, and tells nothing more."""
        return self._closed

    def finish(self) -> None:
        """Takes the memory that the node hands over. Raises OSError; BlockingIOError: it has not come yet."""
        data, descriptors, _, _ = socket.recv_fds(self._socket, 1, 1)
        if not data or not descriptors:
            raise ConnectionError("closed by the node: its log says why")
        try:
            self._stream = SharedStream(descriptors[0])
        except ValueError as error:
            raise ConnectionError(str(error)) from None
        finally:
            os.close(descriptors[0])

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """How much there was room for. Raises OSError."""
        assert self._stream is not None
        size = self._stream.write(data)
        if self._stream.must_wake_reader():
            self._wake()
        return size

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """As of a socket. BlockingIOError says also that the node will wake us when there is something."""
        assert self._stream is not None
        self.drain_wakeups()
        while True:
            size = self._stream.read_into(buffer)
            if size:
                if self._stream.must_wake_writer():
                    self._wake()
                return size
            if self._closed:
                return 0
            if not self._stream.sleep():
                raise BlockingIOError

    def drain_wakeups(self) -> None:
        """Takes the wake-ups, so that the socket is readable again only for the next one."""
        with contextlib.suppress(BlockingIOError):
            try:
                size = WAKEUPS_AT_ONCE
                while size == WAKEUPS_AT_ONCE:
                    size = len(self._socket.recv(WAKEUPS_AT_ONCE))
                self._closed = self._closed or size == 0
            except ConnectionError:
                self._closed = True

    def close(self) -> None:
        """Closes the socket, which tells the node."""
        self._socket.close()
        self._stream = None

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # no room: wake-ups are on their way; broken: reading tells
            self._socket.send(WAKEUP)
