"""What a process that was forked must not do: go on with the clients of its parent.

They share sockets and ClOrdIDs, and only the parent has the I/O thread: what both send under one ClOrdID is sent once.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Protocol
from weakref import WeakSet

_log = logging.getLogger("gateway.client")

FORKED = "this client is that of the process this one was forked from: make a new one here"


class Forkable(Protocol):
    """A client that can be left to the parent."""

    def _leave_to_parent(self) -> None:
        """In the child: closes what is the child's own, and touches nothing that the parent uses."""


_clients: WeakSet[Forkable] = WeakSet()


def watch_forks(client: Forkable) -> None:
    """From now on `client` is left to the parent in each process that is forked."""
    _clients.add(client)


def let_go(descriptor: int) -> None:
    """In the child: what `descriptor` refers to ends when the parent ends it. The number stays taken, because an object
    of the parent's that is not to be touched would close it some time. Raises OSError, but has let go of it then too.
    """
    os.close(descriptor)  # first: it may be the last number that is to be had
    nothing = socket.socket(socket.AF_UNIX).detach()  # connected to nothing; a file would have to be there
    if nothing != descriptor:
        try:
            os.dup2(nothing, descriptor, inheritable=False)
        finally:
            os.close(nothing)


def _after_fork() -> None:
    for client in list(_clients):
        try:
            client._leave_to_parent()
        except Exception:  # the others must be left all the same
            _log.exception("a client could not be left to the parent of this process")


os.register_at_fork(after_in_child=_after_fork)
