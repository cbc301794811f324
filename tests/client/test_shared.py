"""The client's end of shared memory, against a node that hands memory over and then does as it likes."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client import aioshared
from gateway.client.aioshared import SharedTransport, open_shared
from gateway.client.shared import SharedConnection
from gateway.client.sockets import Sockets
from gateway.native.sharedstream import SharedStream
from tests.support.waiting import turns, wait_until

WAIT_S = 10.0
TURNS = 20


class Door:
    """Listens at `path`; `let_in` takes one client and gives it memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(WAIT_S)

    def let_in(self) -> tuple[socket.socket, SharedStream]:
        connection, _ = self._listener.accept()
        descriptor = SharedStream.make()
        stream = SharedStream(descriptor, is_node=True)
        socket.send_fds(connection, [b"\0"], [descriptor])
        os.close(descriptor)
        return connection, stream

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path / "node.sock")
    yield door
    door.close()


@pytest.fixture
def sockets(door: Door) -> Iterator[Sockets]:
    sockets = Sockets([[(socket.AF_UNIX, str(door.path))]])
    yield sockets
    sockets.close()


def test_a_node_that_closes_while_nothing_is_read_does_not_keep_the_client_busy(door: Door, sockets: Sockets) -> None:
    assert sockets.connect(0) == ""
    connection, stream = door.let_in()
    assert [what for _, what in sockets.poll(WAIT_S)] == [(None, None)]
    sockets.listen(0, False)
    stream.write(b"execution")
    connection.close()
    list(sockets.poll(WAIT_S))
    sockets.wake()  # what a poll returns for now is this, and not the end of the connection
    list(sockets.poll(WAIT_S))
    assert list(sockets.poll(0)) == []
    sockets.listen(0, True)
    assert [bytes(data or b"") for _, (data, _) in sockets.poll(WAIT_S)] == [b"execution"]
    assert [why for _, (_, why) in sockets.poll(WAIT_S)] == ["closed by the node"]


def test_an_asyncio_client_is_not_kept_busy_either(door: Door) -> None:
    read: list[bytes] = []
    ended: list[str] = []
    drained = 0

    class Counting(SharedConnection):
        def drain_wakeups(self) -> None:
            nonlocal drained
            drained += 1
            super().drain_wakeups()

    async def story() -> None:
        nonlocal drained
        shared = Counting()
        assert shared.connect_ex(str(door.path)) == 0
        connection, stream = door.let_in()
        shared.finish()
        transport = SharedTransport(shared, lambda _, data: read.append(data), lambda _, why: ended.append(why))
        transport.pause_reading()
        stream.write(b"execution")
        connection.close()
        await turns(TURNS)
        assert drained < TURNS // 2
        transport.resume_reading()
        await wait_until(lambda: ended, "the transport has ended")

    asyncio.run(story())
    assert (read, ended) == ([b"execution"], ["closed by the node"])


def test_what_was_written_is_read_on_after_a_strategy_raised(door: Door) -> None:
    read: list[bytes] = []

    def on_data(_: SharedTransport, data: bytes) -> None:
        read.append(data)
        if len(read) == 1:
            stream.write(b"second")  # while the node believes that it is read: no wake-up
            raise RuntimeError("a defect")

    async def story() -> None:
        nonlocal stream
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        shared = SharedConnection()
        shared.connect_ex(str(door.path))
        connection, stream = door.let_in()
        shared.finish()
        stream.write(b"first")
        transport = SharedTransport(shared, on_data, lambda *_: None)
        await wait_until(lambda: len(read) > 1, "the second is read")
        transport.abort()
        connection.close()

    stream: SharedStream
    asyncio.run(story())
    assert read == [b"first", b"second"]


def test_a_node_that_never_hands_memory_over_is_given_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioshared, "CONNECT_TIMEOUT_S", 0.0)
    with pytest.raises(OSError, match="hand over memory") as caught:
        asyncio.run(open_shared(str(door.path), set()))
    assert caught.value.errno == errno.ETIMEDOUT


def nobody(path: Path) -> None:
    """No such file."""


def stale(path: Path) -> None:
    Door(path).close()


@pytest.mark.parametrize(("prepare", "remedy"), [(nobody, "`shared_clients`"), (stale, "does the node run")])
def test_why_a_socket_cannot_be_connected_to_is_said_with_a_remedy(tmp_path: Path, prepare, remedy: str) -> None:
    path = tmp_path / "a.sock"
    prepare(path)
    sockets = Sockets([[(socket.AF_UNIX, str(path))]])
    assert remedy in sockets.connect(0)
    sockets.close()
    with pytest.raises(OSError, match=remedy):
        asyncio.run(open_shared(str(path), set()))
