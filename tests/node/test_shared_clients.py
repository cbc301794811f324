"""Clients in shared memory: what they are told is what a client over TCP is told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import mmap
import os
import select
import socket
import struct

import pytest

from gateway.client import AsyncClient, Client, LoginRefused, Message, NotConnected, Order, Side
from gateway.client.shared import SharedConnection
from gateway.errors import GatewayError
from gateway.native import clientwire as wire
from gateway.native.sharedstream import SharedStream
from gateway.node.sharedclients import SharedClients
from tests.support.rig import WAIT_S, Rig

_numbers = itertools.count(1)
RING_BYTES = 1 << 18


@pytest.fixture
def name() -> str:
    return f"shared-{next(_numbers)}"


def order(quantity: int = 10) -> Order:
    return Order(symbol="ABC", side=Side.BUY, quantity=quantity, price="1")


def executions(client: Client, names: list[str]) -> list[str]:
    """ClOrdIDs of the executions for orders of ours, until there are as many."""
    found: list[str] = []
    while len(found) < len(names):
        event = client.next(WAIT_S)
        if isinstance(event, Message) and event.get(11) in names:
            found.append(event.get(11) or "")
    return found


def test_orders_go_out_and_executions_come_back(rig: Rig, name: str):
    client = rig.client(shared=True)
    names = [f"{name}-{i}" for i in range(50)]
    submissions = [client.send("BROKER", order(), each) for each in names]
    assert {submission.wait(WAIT_S).outcome.name for submission in submissions} == {"ACCEPTED"}
    assert executions(client, names) == names


def test_more_than_the_rings_hold_goes_through_both_of_them(rig: Rig, name: str):
    client = rig.client(shared=True)
    value = os.urandom(40_000)
    handles = [client.store(f"{name}-{i}", value) for i in range(30)]
    for handle in handles:
        handle.wait(WAIT_S)
    assert all(client.fetch(f"{name}-{i}", WAIT_S) == value for i in range(30))


def test_a_client_that_does_not_read_for_a_while_misses_nothing(rig: Rig, name: str):
    client = rig.client(shared=True, max_events=10)
    names = [f"{name}-{i}" for i in range(100)]
    for each in names:
        client.send("BROKER", order(), each)
    assert executions(client, names) == names


def test_asyncio_clients_as_well(rig: Rig, name: str):
    async def story() -> list[str]:
        async with AsyncClient(rig.shared_nodes, "strategy", from_now=True, connect_timeout=WAIT_S) as client:
            names = [f"{name}-{i}" for i in range(50)]
            for submission in [await client.send("BROKER", order(), each) for each in names]:
                await submission.wait(WAIT_S)
            found: list[str] = []
            while len(found) < len(names):
                event = await client.next(WAIT_S)
                if isinstance(event, Message) and event.get(11) in names:
                    found.append(event.get(11) or "")
            assert found == names
            value = os.urandom(40_000)
            for handle in [client.store(f"{name}-{i}", value) for i in range(30)]:
                await handle.wait(WAIT_S)
            assert await client.fetch(f"{name}-29", WAIT_S) == value
            return found

    assert asyncio.run(story())


def test_a_wrong_token_is_refused_here_too(rig: Rig):
    with pytest.raises(LoginRefused):
        Client(rig.shared_nodes, "locked", "wrong", connect_timeout=WAIT_S)
    Client(rig.shared_nodes, "locked", "open sesame", connect_timeout=WAIT_S).close()


def test_a_path_where_nobody_listens_is_named(tmp_path):
    with pytest.raises(NotConnected, match=r"shm:.*nobody\.sock"):
        Client(tmp_path / "nobody.sock", "strategy", connect_timeout=0.05)


@pytest.mark.parametrize("kind", ["file", "listener", "long"])
def test_a_node_that_cannot_listen_says_where_and_what_it_wants(tmp_path, kind):
    path = tmp_path / ("x" * 200 if kind == "long" else "a.sock")
    with socket.socket(socket.AF_UNIX) as other:
        if kind == "listener":
            other.bind(str(path))
            other.listen()
        elif kind == "file":
            path.write_text("mine")
        with pytest.raises(GatewayError, match=r"shared_clients: .*(a\.sock|xxx).*this node alone"):
            SharedClients(path, None)
    assert kind == "long" or path.exists()


def test_the_socket_of_a_node_that_was_killed_is_taken_over(tmp_path):
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    SharedClients(path, None).close()
    assert not path.exists()


def test_a_node_does_not_wait_for_one_at_its_path_that_takes_nobody_on(tmp_path):
    path = tmp_path / "a.sock"
    with contextlib.ExitStack() as stack:
        stopped = stack.enter_context(socket.socket(socket.AF_UNIX))
        stopped.bind(str(path))
        stopped.listen(0)
        error = 0
        while error == 0:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            error = waiting.connect_ex(str(path))
        with pytest.raises(GatewayError, match="something else is there"):
            SharedClients(path, None)
    assert path.exists()


def connected(rig: Rig) -> tuple[socket.socket, int]:
    """A socket of the primary's, and the descriptor of its memory."""
    path = rig.shared_nodes["ab".index(rig.status()["node"])]
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(WAIT_S)
    connection.connect(str(path))
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    return connection, descriptors[0]


def read_to_the_end(connection: socket.socket) -> None:
    """Wake-ups, until the node has closed it; it need not have read our own."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(100):
            pass


def test_a_client_that_spoils_the_memory_is_cut_off_and_nobody_else_is(rig: Rig, name: str):
    other = rig.client(shared=True)
    connection, descriptor = connected(rig)
    with mmap.mmap(descriptor, 4096) as memory:
        memory[64:72] = struct.pack("<Q", RING_BYTES + 1)
    connection.send(b"\0")
    read_to_the_end(connection)
    connection.close()
    os.close(descriptor)
    other.send("BROKER", order(), name).wait(WAIT_S)
    assert executions(other, [name]) == [name]


def test_frames_that_make_no_sense_end_the_connection_with_the_reason(rig: Rig):
    connection, descriptor = connected(rig)
    stream = SharedStream(descriptor)
    os.close(descriptor)
    stream.write(b"\xff" * 100)
    connection.send(b"\0")
    read_to_the_end(connection)
    place = bytearray(4096)
    frames, _ = wire.decode(bytes(place[: stream.read_into(place)]))
    assert isinstance(frames[0], wire.NodeError)
    connection.close()


def test_what_was_written_before_the_client_left_counts(rig: Rig, name: str):
    watcher = rig.client()
    connection = SharedConnection()
    path = rig.shared_nodes["ab".index(rig.status()["node"])]
    connection.connect_ex(str(path))
    select.select([connection], [], [], WAIT_S)
    connection.finish()
    connection.send(wire.login("strategy", b""))
    connection.send(wire.submit(0, "D", name, order().body()))
    connection.close()
    assert executions(watcher, [name]) == [name]


def test_one_for_which_there_is_no_place_is_told_so_here_too(rig: Rig):
    path = rig.shared_nodes["ab".index(rig.status()["node"])]
    taken: list[SharedConnection] = []
    try:
        answer = None
        while not isinstance(answer, wire.NodeError) and len(taken) < 64:
            taken.append(joined(path))
            taken[-1].send(wire.login("strategy", b""))
            answer = first_frame(taken[-1])
        assert isinstance(answer, wire.NodeError)
        assert answer.code == wire.ErrorCode.FULL
    finally:
        for connection in taken:
            connection.close()


def joined(path: os.PathLike) -> SharedConnection:
    connection = SharedConnection()
    assert connection.connect_ex(str(path)) == 0
    select.select([connection], [], [], WAIT_S)
    connection.finish()
    return connection


def first_frame(connection: SharedConnection) -> object:
    data, buffer = b"", bytearray(1 << 16)
    while not (decoded := wire.decode(data)[0]):
        try:
            size = connection.recv_into(buffer)
        except BlockingIOError:
            select.select([connection], [], [], WAIT_S)
            continue
        if size == 0:
            return None
        data += buffer[:size]
    return decoded[0]
