"""The sockets of the blocking client and the poll over them. Knows bytes and nodes, nothing of what the bytes mean."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
from collections.abc import Iterator, Sequence

from gateway.client.address import SocketAddress
from gateway.client.shared import SharedConnection, refusal

READ_BYTES = 256 * 1024

# (bytes read, None), (None, why it closed), or (None, None): the connection is up.
Happened = tuple[memoryview | None, str | None]
_Connection = socket.socket | SharedConnection


class Sockets:
    """Non-blocking sockets, one per node. `poll` is one thread's; the rest may be called by any, one at a time."""

    def __init__(self, places: Sequence[Sequence[tuple[int, SocketAddress]]]) -> None:
        self.paused = False
        self._places = places
        self._attempts = [0] * len(places)
        self._sockets: list[_Connection | None] = [None] * len(places)
        self._connecting = [False] * len(places)
        self._backlog = [bytearray() for _ in places]  # what the kernel did not take
        self._listening = [True] * len(places)
        self._unread: set[int] = set()  # in shared memory: nothing announces what is there already
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._buffer = memoryview(bytearray(READ_BYTES))

    def connect(self, node: int) -> str:
        """Begins to connect; `poll` tells how it went. Each attempt takes the host's next address. Why not, or ""."""
        family, place = self._places[node][self._attempts[node] % len(self._places[node])]
        self._attempts[node] += 1
        if family == socket.AF_UNIX:
            shared = SharedConnection()
            error = shared.connect_ex(str(place))
            self._add(node, shared, selectors.EVENT_READ)
            return refusal(error) if error else ""
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = connection.connect_ex(place)
        self._add(node, connection, selectors.EVENT_WRITE)
        return "" if error in (0, errno.EINPROGRESS) else os.strerror(error)

    def _add(self, node: int, connection: _Connection, interest: int) -> None:
        self._sockets[node] = connection
        self._connecting[node] = True
        self._selector.register(connection, interest, node)

    def drop(self, node: int) -> None:
        """Closes the node's socket, if there is one."""
        connection, self._sockets[node] = self._sockets[node], None
        if connection is not None:
            with contextlib.suppress(KeyError):  # not registered while it is paused
                self._selector.unregister(connection)
            connection.close()
        self._backlog[node].clear()
        self._connecting[node] = False
        self._unread.discard(node)

    def write(self, node: int, data: bytes) -> None:
        """Writes as much as the kernel takes; the rest follows when it takes more."""
        connection = self._sockets[node]
        if not data or connection is None:
            return
        if self._backlog[node]:
            self._backlog[node] += data
            return
        sent = _send(connection, data)
        if sent < len(data):
            self._backlog[node] += memoryview(data)[sent:]
            self.wake()  # the I/O thread waits for room from now on, or finds the error

    def listen(self, node: int, wanted: bool) -> None:
        """What `poll` shall look for."""
        connection = self._sockets[node]
        was_wanted, self._listening[node] = self._listening[node], wanted
        self.paused = not all(self._listening)
        if connection is None:
            return
        if isinstance(connection, SharedConnection):
            if wanted and not was_wanted:
                self._unread.add(node)
            return  # it is watched always: for wake-ups, for room among them
        writing = self._connecting[node] or self._backlog[node]
        interest = (selectors.EVENT_WRITE if writing else 0) | (
            selectors.EVENT_READ if wanted and not self._connecting[node] else 0
        )
        key = self._selector.get_map().get(connection.fileno())
        if key is None and interest:
            self._selector.register(connection, interest, node)
        elif key is not None and not interest:
            self._selector.unregister(connection)
        elif key is not None and key.events != interest:
            self._selector.modify(connection, interest, node)

    def poll(self, timeout: float) -> Iterator[tuple[int, Happened]]:
        """Waits, reads and writes; yields what happened. The bytes yielded are gone at the next step."""
        unread, self._unread = self._unread, set()
        for key, mask in self._selector.select(0 if unread else timeout):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
                continue
            node: int = key.data
            connection = self._sockets[node]
            if connection is None or connection is not key.fileobj:
                continue  # dropped while an earlier one was handled
            if self._connecting[node]:
                yield node, self._connected(node, connection)
                continue
            if isinstance(connection, SharedConnection):
                unread.add(node)
            elif mask & selectors.EVENT_READ:
                yield node, self._read(connection)
        for node in unread:
            shared = self._sockets[node]
            if isinstance(shared, SharedConnection) and not self._connecting[node]:
                yield node, self._read_shared(node, shared)

    def write_backlog(self, node: int) -> None:
        """Writes what was left over."""
        connection, backlog = self._sockets[node], self._backlog[node]
        if connection is not None and backlog and not self._connecting[node]:
            del backlog[: _send(connection, backlog)]

    def wake(self) -> None:
        """Makes `poll` return."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def close(self) -> None:
        """Closes everything."""
        for node in range(len(self._sockets)):
            self.drop(node)
        self._close_own()

    def leave(self) -> None:
        """Closes a forked process's copies. Nothing is unregistered: the poll set is the parent's too."""
        for node, connection in enumerate(self._sockets):
            self._sockets[node] = None
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.close()
        self._close_own()

    def _close_own(self) -> None:
        ends, self._wake_read, self._wake_write = (self._wake_read, self._wake_write), -1, -1
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)
        self._selector.close()

    def _connected(self, node: int, connection: _Connection) -> Happened:
        self._connecting[node] = False
        if isinstance(connection, SharedConnection):
            try:
                connection.finish()
            except OSError as refusal:
                return None, refusal.strerror or str(refusal)
            self._unread.add(node)
            return None, None
        error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return None, (os.strerror(error) if error else None)

    def _read_shared(self, node: int, connection: SharedConnection) -> Happened:
        if not self._listening[node]:
            connection.drain_wakeups()
            if connection.ended:  # it would be readable at once, again and again, until it is listened to
                with contextlib.suppress(KeyError):
                    self._selector.unregister(connection)
            return self._buffer[:0], None
        happened = self._read(connection)
        if happened[0]:
            self._unread.add(node)  # there may be more, until it says that there is nothing
        return happened

    def _read(self, connection: _Connection) -> Happened:
        try:
            size = connection.recv_into(self._buffer)
        except BlockingIOError:
            return self._buffer[:0], None
        except OSError as error:
            return None, error.strerror or str(error)
        return (self._buffer[:size], None) if size else (None, "closed by the node")


def _send(connection: _Connection, data: bytes | bytearray) -> int:
    """How much the kernel took. A broken connection takes nothing: reading tells why."""
    try:
        return connection.send(data)
    except OSError:
        return 0
