"""Ports for the control API's tests."""

from __future__ import annotations

import contextlib
import socket

import pytest


@pytest.fixture
def unused_tcp_ports():
    """Eight ports that nothing on the loopback uses now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(8)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
