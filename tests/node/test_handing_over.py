"""Connections on their way to the reactor: none keeps its session or its place at the door after its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config import load_config
from gateway.native.node import Note
from gateway.node import connections as module
from gateway.node.connections import Connections
from gateway.node.tasks import Tasks
from gateway.wire.directory import Identity
from gateway.wire.door import Arrival
from tests.config.test_config_connections import acceptor

OMS = 0


class Commands:
    """Stands for the reactor's."""

    def __init__(self) -> None:
        self.full = False
        self.taken: list[int] = []

    def command(self, kind: int, **arguments: Any) -> None:
        if self.full:
            raise BufferError("full")
        self.taken.append(arguments["b"])


@pytest.fixture
def made(tmp_path: Path) -> tuple[Connections, Commands]:
    path = tmp_path / "pair.toml"
    path.write_text(acceptor())
    commands = Commands()
    return Connections(load_config(path), "a", commands, Tasks()), commands  # type: ignore[arg-type]


def arrival(ended: Callable[[], None]) -> Arrival[int]:
    ours, theirs = socket.socketpair()
    theirs.close()
    return Arrival(OMS, Identity("FIX.4.4", "GW", "OMS"), "127.0.0.1", ours, b"", ended)


def note(code: str) -> Note:
    return Note(code, OMS, 0, 0, 0, 0, 0, b"")


def test_a_connection_whose_fate_is_not_told_keeps_nobody_out_for_ever(made, monkeypatch):
    async def scene() -> None:
        ended: list[str] = []
        welcome = made[0]._welcome
        assert welcome(arrival(lambda: ended.append("first")))
        assert not welcome(arrival(lambda: ended.append("second")))
        monkeypatch.setattr(module, "LOST_AFTER_S", 0.0)
        assert welcome(arrival(lambda: ended.append("third")))
        assert ended == ["first"]
        made[0].take(note("turned_away"))
        assert ended == ["first", "third"]

    asyncio.run(scene())


def test_a_connection_whose_end_is_not_told_gives_its_place_to_the_next(made):
    async def scene() -> None:
        ended: list[str] = []
        for name in ("first", "second"):
            assert made[0]._welcome(arrival(lambda name=name: ended.append(name)))
            made[0].take(note("connected"))
        assert ended == ["first"]
        made[0].take(note("disconnected"))
        assert ended == ["first", "second"]

    asyncio.run(scene())
