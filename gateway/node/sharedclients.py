"""Clients on this host that come through shared memory: a Unix socket where each is handed memory of its own.

May depend on: the reactor's commands. Not in the path of an order: after the hand-over the reactor reads and writes the
memory, and the socket only carries wake-ups and the end of the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from pathlib import Path

import structlog

from gateway.errors import GatewayError
from gateway.native.reactor import Command, Reactor
from gateway.native.sharedstream import SharedStream

log = structlog.get_logger("node")

BACKLOG = 64
ACCEPT_RETRY_S = 0.1
MODE = 0o660  # the owner's user and group may connect; who they are, the login tells
GREETING = b"\0"
REMEDY = "; wanted: a path of at most 107 bytes that this node alone uses, in a directory where it may write"


class SharedClients:
    """Serves the socket at `path`."""

    def __init__(self, path: Path, reactor: Reactor) -> None:
        """Listens from here on. Raises GatewayError."""
        self._path = path
        self._reactor = reactor
        self._listener = _listen(path)

    async def serve(self) -> None:
        """Takes clients on, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # no descriptors left: there may be some later
                log.warning("shared_client_failed", error=str(error))
                await asyncio.sleep(ACCEPT_RETRY_S)
                continue
            try:
                self._hand_over(connection)
            except (OSError, BufferError) as error:
                log.warning("shared_client_failed", error=str(error))
                connection.close()

    def close(self) -> None:
        """Nobody comes in any more; who is in stays."""
        with contextlib.suppress(OSError):  # the next start removes it, or says why it cannot
            self._path.unlink()  # while it is surely ours: once nobody listens, another may put its own there
        self._listener.close()

    def _hand_over(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        descriptor = SharedStream.make()
        try:
            stream = SharedStream(descriptor, is_node=True)
            socket.send_fds(connection, [GREETING], [descriptor])
        finally:
            os.close(descriptor)
        self._reactor.command(Command.ADOPT_CLIENT, b=connection.fileno(), value_a=stream.address)
        stream.detach()  # the reactor's from here on
        connection.detach()


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        before = os.umask(0o777 & ~MODE)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        why = "something else is there" if error.errno == errno.EADDRINUSE else error.strerror or error
        raise GatewayError(f"shared_clients: cannot listen on {path}: {why}{REMEDY}") from None
    return listener


def _remove_stale(path: Path) -> None:
    """The socket of a node that was killed. One that somebody listens on, or another kind of file, stays."""
    if not path.is_socket():
        return  # bind() says what else is there
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # EAGAIN: somebody listens, and takes nobody on
        if probe.connect_ex(str(path)) == errno.ECONNREFUSED:
            path.unlink()
