"""Connections to the clients' port that are no clients, or bad ones."""

from __future__ import annotations

import socket
import struct

import pytest

from gateway.client import Order, Outcome, Side
from gateway.config import load_config
from gateway.native import clientwire as wire
from tests.support.rig import WAIT_S, Rig

SLOTS = 32
PING = struct.pack("<IBBHQII", 24, 5, 0, 0, 77, 0, 0)
PONG = 27


def connect(rig: Rig) -> socket.socket:
    """A bare connection to the primary."""
    primary = rig.status()["node"]
    connection = socket.create_connection(tuple(load_config(rig.world.config).node[primary].clients), WAIT_S)
    connection.settimeout(WAIT_S)
    return connection


def answers_a_ping(connection: socket.socket) -> bool:
    connection.sendall(PING)
    return connection.recv(24)[4:5] == bytes([PONG])


def frames(connection: socket.socket) -> list[object]:
    """The first whole frame that comes, alone."""
    data = b""
    while not (decoded := wire.decode(data)[0]):
        data += connection.recv(4096)
    return decoded[:1]


def test_connections_that_say_nothing_do_not_keep_clients_out(rig: Rig):
    idle = [connect(rig) for _ in range(SLOTS + 8)]
    try:
        assert answers_a_ping(idle[-1])
        assert idle[0].recv(1) == b"", "the oldest makes room"
        client = rig.client()
        order = Order(symbol="ABC", side=Side.BUY, quantity=1, price=1)
        assert client.send("BROKER", order, "among-idlers").wait(WAIT_S).outcome is Outcome.ACCEPTED
    finally:
        for connection in idle:
            connection.close()


def test_a_client_for_which_there_is_no_place_is_told_so(rig: Rig):
    taken = []
    try:
        for _ in range(SLOTS + 1):
            taken.append(connect(rig))
            taken[-1].sendall(wire.login("strategy", b""))
            (answer,) = frames(taken[-1])
            if isinstance(answer, wire.NodeError):
                break
        assert (answer.code, len(taken)) == (wire.ErrorCode.FULL, SLOTS + 1)
        assert "every place" in answer.text
    finally:
        for connection in taken:
            connection.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(64),
        bytes(24),
        b"\xff" * 100_000,
        struct.pack("<IBBHQII", 24, 1, 0, 0, 0, 0, 0),
        struct.pack("<IBBHQII", 24, 2, 0, 0, 0, 0, 0),
        struct.pack("<IBBHQII", 24, 250, 0, 0, 0, 0, 0),
        struct.pack("<IBBHQII", 32, 1, 0, 0, 0, 0, 0) + struct.pack("<HHHH", 1, 65535, 65535, 65535),
        wire.login("strategy", b"") + struct.pack("<IBBHQII", 26, 2, 0, 0, 0, 0, 0) + b"\xff" * 2,
        wire.login("strategy", b"") + struct.pack("<IBBHQII", 25, 3, 0, 0, 0, 0, 0) + b"\x01",
        wire.login("strategy", b"") + struct.pack("<IBBHQII", 25, 6, 0, 0, 0, 0, 0) + b"\x01",
        wire.login("strategy", b"") + struct.pack("<IBBHQII", 24, 16, 0, 0, 0, 0, 0),
    ],
)
def test_garbage_harms_nobody(rig: Rig, garbage: bytes):
    bad = connect(rig)
    bad.sendall(garbage)
    bad.shutdown(socket.SHUT_WR)
    while bad.recv(65536):
        pass
    bad.close()
    client = rig.client()
    order = Order(symbol="ABC", side=Side.BUY, quantity=1, price=1)
    assert client.send("BROKER", order).wait(WAIT_S).outcome is Outcome.ACCEPTED
