"""A primary between hostile clients and a hostile counterparty: client frames and FIX bytes, as the reactor does.

Whatever they send, the log stays sound, what clients get are whole frames, and what the counterparty gets are whole
messages.
"""

from __future__ import annotations

from typing import ClassVar

from gateway.native import clientwire as wire
from gateway.native.driven import DrivenNode
from gateway.native.encoder import Template
from gateway.native.journal import Journal
from gateway.native.node import Node
from tests.fuzz.fixtext import TOKENS, repaired
from tests.fuzz.rig import MS, Cell, Clock, check_log, small_journal, small_node
from tests.fuzz.steps import number, step, steps
from tests.support.sessions import messages_in

(CONNECT, LEAVE, BYTES, FRAME, FIX_BYTES, FIX_REPAIRED, FIX_MESSAGE, HANG_UP, TIME, NOT_READ) = range(10)
FRAME_LENGTH_AT = 0
MAX_SLOTS = 32


class NodeTarget:
    """A list of steps; a client's or a session's number is the first byte of each."""

    tokens: ClassVar[list[bytes]] = [
        *TOKENS,
        b"strategy",
        b"limited",
        b"token",
        b"BROKER",
        b"\x01\x00\x00\x00",
        bytes(8),
        b"D",
        b"F",
        b"G",
        b"\x10\x00",
    ]

    def seeds(self) -> list[bytes]:
        """Conversations as they should be, so that what is changed in them leads far."""
        order = b"55=Z\x0154=1\x0138=10\x0140=2\x0144=5\x01"
        login = step(CONNECT) + step(FRAME, b"\x00" + wire.login("strategy", b"", [(0, 0, 0)]))
        submits = b"".join(step(FRAME, b"\x00" + wire.submit(0, "D", f"c{i}", order)) for i in range(3))
        cancel = step(FRAME, b"\x00" + wire.submit(0, "F", "x1", b"41=c1\x0155=Z\x0154=1\x01"))
        again = step(FRAME, b"\x00" + wire.submit_again(wire.submit(0, "D", "c1", order)))
        fill = b"8" + b"37=o\x0117=e\x01150=F\x0139=2\x0111=c1\x0155=Z\x0154=1\x0114=10\x01151=0\x016=5\x01"
        store = step(FRAME, b"\x00" + wire.checkpoint(b"key", b"value" * 9)) + step(FRAME, b"\x00" + wire.fetch(b"key"))
        limited = step(CONNECT) + step(
            BYTES, b"\x01" + wire.login("limited", b"token") + wire.submit(0, "D", "l1", order)
        )
        raw = b"8=FIX.4.4\x0135=8\x0149=BROKER\x0156=GW\x0134=2\x0152=20231114-22:13:20\x0137=o\x0111=c1\x0139=1\x01"
        return [
            login + submits + step(FIX_MESSAGE, b"\x00" + fill) + cancel + again + step(TIME, b"\x05"),
            login + store + step(FRAME, b"\x00" + wire.ping(7)) + step(FRAME, b"\x00" + wire.positions([(0, 0, 1)])),
            limited
            + step(NOT_READ, b"\x01")
            + step(FIX_REPAIRED, b"\x00" + raw)
            + step(HANG_UP, b"\x00")
            + step(TIME, b"\xff"),
            login
            + submits
            + step(HANG_UP, b"\x00")
            + step(TIME, b"\x20")
            + again
            + step(FIX_MESSAGE, b"\x002" + b"7=1\x0116=0\x01"),
        ]

    def run(self, data: bytes) -> None:
        """One life of a primary."""
        stage = Stage()
        for what, argument in steps(data, 10):
            stage.act(what, argument)
            stage.turn()
        check_log(stage.journal)
        status = stage.owner.status()
        restarted = small_node(stage.journal, node=0, incarnation=2)
        restarted.rebuild()
        for now, then in zip(restarted.status()["sessions"], status["sessions"], strict=True):
            assert (now["next_out"], now["next_in"]) == (then["next_out"], then["next_in"])


class Stage:
    """A primary whose session is logged on, its clients, and its counterparty."""

    def __init__(self) -> None:
        self.journal: Journal = small_journal()
        self.owner: Node = small_node(self.journal, node=0)
        self.node = DrivenNode(self.owner)
        self.clock = Clock(self.node)
        self._cell = Cell((1, 1, 0, 1))  # alone, and the last primary
        self._template = [
            Template(b"FIX.4.4", b"49=BROKER\x0156=GW\x01"),
            Template(b"FIX.4.4", b"49=OTHER\x0156=GW\x01"),
        ]
        self._up: set[int] = set()
        self._clients: dict[int, bytes] = {}
        self._not_reading: set[int] = set()
        self._rest = {0: b"", 1: b""}
        while self.owner.status()["role"] != "PRIMARY":
            assert self.clock.passed_ns < 10**9, "it does not become primary"
            self.clock.move(10 * MS)
            self._cell.serve(self.node)
            self.node.turn()
        self.turn()
        self._answer(0, b"A", b"98=0\x01108=30\x01")
        self.turn()

    def act(self, what: int, argument: bytes) -> None:
        """One step of the input."""
        index, rest = number(argument), argument[1:]
        if what == CONNECT:
            slot = self.node.client_connects()
            if slot >= 0:
                self._clients[slot] = b""
                self._not_reading.discard(slot)
        elif what == LEAVE and index % MAX_SLOTS in self._clients:
            self._leave(index % MAX_SLOTS)
        elif what in (BYTES, FRAME):
            if what == FRAME and len(rest) >= 4:  # as long as it says
                rest = len(rest).to_bytes(4, "little") + rest[4:]
            self._client_sends(index % MAX_SLOTS, rest)
        elif what in (FIX_BYTES, FIX_REPAIRED):
            self._session_sends(index % 2, repaired(rest) if what == FIX_REPAIRED else rest)
        elif what == FIX_MESSAGE and rest:
            self._answer(index % 2, rest[:1], rest[1:])
        elif what == HANG_UP:
            self._hang_up(index % 2)
        elif what == TIME:
            self.clock.move(number(argument) ** 2 * MS)
        elif what == NOT_READ:
            self._not_reading.add(index % MAX_SLOTS)

    def turn(self) -> None:
        """What follows each step, and what it looks like from outside."""
        self._cell.serve(self.node)
        self.node.turn()
        for session in (0, 1):
            self._session_reads(session)
        for slot in list(self._clients):
            if slot not in self._not_reading:
                self._client_reads(slot)

    def _session_reads(self, session: int) -> None:
        if session not in self._up and self.node.wants_connection(session):
            self.node.session_connects(session)
            self._up.add(session)
            self._rest[session] = b""
        if session in self._up:
            data, closes = self.node.session_reads(session)
            messages_in(data)
            if closes:
                self._hang_up(session)

    def _hang_up(self, session: int) -> None:
        if session in self._up:
            self._up.remove(session)
            self.node.session_leaves(session)

    def _answer(self, session: int, msg_type: bytes, body: bytes) -> None:
        seq = self.owner.status()["sessions"][session]["next_in"]
        try:
            message = self._template[session].encode(msg_type, seq, self.clock.wall_ns, body)
        except ValueError:
            return
        self._session_sends(session, message)

    def _session_sends(self, session: int, data: bytes) -> None:
        if session not in self._up:
            return
        data = self._rest[session] + data
        used = self.node.session_sends(session, data)
        assert 0 <= used <= len(data)
        self._rest[session] = data[used:]

    def _client_sends(self, slot: int, data: bytes) -> None:
        if slot not in self._clients:
            return
        data = self._clients[slot] + data
        used = self.node.client_sends(slot, data)
        assert 0 <= used <= len(data)
        self._clients[slot] = data[used:]

    def _client_reads(self, slot: int) -> None:
        data, closes = self.node.client_reads(slot)
        used = 0
        while used < len(data):
            frames, more = wire.decode(data, used)
            assert frames, "a client got a part of a frame"
            used += more
        if closes:
            self._leave(slot)
        elif self._clients[slot]:
            self._client_sends(slot, b"")

    def _leave(self, slot: int) -> None:
        del self._clients[slot]
        self.node.client_leaves(slot)
