"""A standby's reactor whose disk refuses to cut the tail that the primary has not: it says so once, and tries again."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from gateway.errors import JournalError
from gateway.native.journal import Journal
from gateway.native.node import Node, Note
from gateway.native.reactor import Command, Reactor
from gateway.native.role import RegisterOutcome, Request
from tests.fuzz.rig import MS, Cell
from tests.support.driven_pairs import DrivenParty, copy, node_of_pair, raw
from tests.support.waiting import wait_for

REASON = "diverged-2-2-1.log: No space left on device"
# The reactor waits for 20 ms at most, sends a heartbeat every 10 ms, and tries the disk every 500 ms. On a busy host it
# has fewer turns, and the disk is tried at more of them.
TURNS, TRIES_IN_THEM = 20, 6
TRIES, TURNS_BETWEEN_THEM = 3, 400
IN_SYNC = 3  # both nodes


class FullDisk(Node):
    """Refuses truncations until there is space."""

    turns_of_tries: list[int]
    reactor: Reactor
    space: bool

    def truncate(self, lsn: int) -> None:
        self.turns_of_tries.append(self.reactor.turns)
        if not self.space:
            raise JournalError(REASON)
        super().truncate(lsn)


class Primary(DrivenParty):
    """Driven by the test; begins an epoch of its own behind what its log has."""

    def __init__(self, number: int, journal: Journal, cell: Cell, incarnation: int = 1) -> None:
        super().__init__(node_of_pair(number, journal, incarnation=incarnation), journal, cell)
        self.become_primary()


def received(path: socket.socket) -> list[bytes]:
    datagrams = []
    with contextlib.suppress(BlockingIOError):
        while True:
            datagrams.append(path.recv(1 << 16))
    return datagrams


class Standby:
    """A node whose log has an epoch that the primary's has not, on a reactor of its own."""

    def __init__(self, journal: Journal, primary: Primary) -> None:
        self.journal = journal
        self.primary = primary
        self.notes: list[Note] = []
        self.owner = node_of_pair(1, journal, FullDisk)
        self.reactor = Reactor(self.owner)
        self.owner.turns_of_tries = self.tries = []
        self.owner.reactor = self.reactor
        self.owner.space = False
        self.paths = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for path in self.paths:
            path.bind(("127.0.0.1", 0))
            path.setblocking(False)
        for path, other in (self.paths, self.paths[::-1]):
            path.connect(other.getsockname())
        self.reactor.add_path(self.paths[0].fileno())
        self.thread = threading.Thread(target=self.reactor.run, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.reactor.command(Command.STOP)
        self.thread.join()
        for path in self.paths:
            path.close()

    def hear(self) -> None:
        """Takes its notes; what it asks of the register is answered."""
        for note in self.owner.take_notes():
            if isinstance(note, Request):
                self.answer(note)
            else:
                self.notes.append(note)

    def answer(self, request: Request) -> None:
        asked = SimpleNamespace(take_request=iter([request, None]).__next__, answer_register=self.tell)
        self.primary.cell.serve(asked)

    def tell(self, number: int, outcome: RegisterOutcome, value: tuple[int, int, int, int]) -> None:
        version, epoch, primary, in_sync = value
        value_b = epoch << 32 | primary << 8 | in_sync
        self.reactor.command(Command.REGISTER, id=number, a=outcome, value_a=version, value_b=value_b)

    def talk(self) -> None:
        """Carries what the nodes send each other."""
        for datagram in self.primary.turn(received(self.paths[1]), MS):
            self.paths[1].send(datagram)
        self.hear()

    def is_refused(self, times: int = 1) -> bool:
        self.talk()
        return len(self.tries) >= times

    def is_told(self, notes: int) -> bool:
        self.talk()
        return len(self.truncations()) >= notes

    def is_in_sync(self) -> bool:
        self.talk()
        return self.primary.cell.value[3] == IN_SYNC

    def truncations(self) -> list[tuple[int, int, bytes]]:
        self.hear()
        return [(note.a, note.b, note.text) for note in self.notes if note.code == "truncation"]


COMMON_LSN = 1
TOLD_ONCE = [(0, COMMON_LSN, b""), (1, COMMON_LSN, REASON.encode())]


@pytest.fixture
def standby() -> Iterator[Standby]:
    """That was refused once."""
    common = Primary(0, copy(), Cell()).journal
    assert common.last_lsn == COMMON_LSN
    lost = Primary(1, copy(common), Cell((1, 1, 1, 2))).journal
    made = Standby(lost, Primary(0, copy(common), Cell((2, 2, 0, 1))))
    try:
        wait_for(made.is_refused, "the disk has refused the truncation")
        yield made
    finally:
        made.close()


def test_it_is_told_once_and_tried_again_now_and_then(standby):
    first = standby.tries[0]
    wait_for(lambda: standby.reactor.turns >= first + TURNS, "the reactor has had its turns")
    assert sum(turn < first + TURNS for turn in standby.tries) <= TRIES_IN_THEM
    wait_for(lambda: standby.is_refused(TRIES), "it has been tried again")
    assert standby.truncations() == TOLD_ONCE


def test_the_reactor_sleeps_until_it_tries_again(standby):
    wait_for(lambda: len(standby.tries) >= TRIES, "it has been tried again, while the primary is silent")
    assert standby.tries[TRIES - 1] - standby.tries[0] < TURNS_BETWEEN_THEM


def test_it_is_done_and_the_primary_followed_once_the_disk_works(standby):
    standby.owner.space = True
    wait_for(standby.is_in_sync, "the standby is in sync")
    assert raw(standby.journal) == raw(standby.primary.journal)
    assert standby.truncations() == TOLD_ONCE


def test_one_for_another_primary_is_told_anew(standby):
    standby.primary = Primary(0, standby.primary.journal, standby.primary.cell, incarnation=2)
    wait_for(lambda: standby.is_told(2 * len(TOLD_ONCE)), "it is told again")
    assert standby.truncations() == TOLD_ONCE * 2
    standby.owner.space = True
    wait_for(standby.is_in_sync, "the standby is in sync")
    assert raw(standby.journal) == raw(standby.primary.journal)
