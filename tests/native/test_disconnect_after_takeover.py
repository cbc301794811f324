"""A connection that ends when its node is no longer primary changes neither the log nor what is derived from it."""

from __future__ import annotations

import pytest

from gateway.native.journal import Journal
from gateway.native.node import Node
from tests.fuzz.rig import MS, Cell
from tests.support.driven_pairs import DrivenParty, copy, node_of_pair, raw

SUSPECT_NS = 50 * MS
SESSION = 0
SET_SEQ = 4  # session_command


class Party(DrivenParty):
    """A driven node with a session that starts over after each disconnect."""

    def __init__(
        self,
        number: int,
        journal: Journal,
        cell: Cell,
        incarnation: int = 1,
        kind: type[Node] = Node,
        **options: object,
    ) -> None:
        owner = node_of_pair(number, journal, kind, incarnation=incarnation, suspect_after_ns=SUSPECT_NS)
        owner.add_session(
            "ONE",
            begin_string="FIX.4.4",
            sender_comp_id="GW",
            target_comp_id="BROKER",
            **{"reset_on_disconnect": True, **options},
        )
        super().__init__(owner, journal, cell)
        self.become_primary()

    @property
    def role(self) -> str:
        return self.owner.status()["role"]

    @property
    def numbers(self) -> tuple[int, int, int]:
        session = self.owner.status()["sessions"][SESSION]
        return session["generation"], session["next_out"], session["next_in"]

    def log_on(self) -> bytes:
        while not self.node.wants_connection(SESSION):
            self.turn([], 10 * MS)
        self.node.session_connects(SESSION)
        self.turn([])
        return self.node.session_reads(SESSION)[0]


class Pair:
    """`old` was primary until `new` became it."""

    def __init__(self, kind: type[Node] = Node, **options: object) -> None:
        self.options = options
        self.old = Party(0, copy(), Cell((1, 1, 0, 1)), kind=kind, **options)
        self.sent: list[bytes] = []

    def take_over(self) -> None:
        cell = Cell((9, self.old.owner.status()["epoch"], 1, 2))
        self.new = Party(1, copy(self.old.journal), cell, **self.options)
        self.old.cell = cell

    def talk(self, turns: int = 200) -> None:
        for _ in range(turns):
            self.sent = self.new.turn(self.old.turn(self.sent))


@pytest.mark.parametrize("up", [True, False])
def test_it_starts_nothing_over(up):
    pair = Pair()
    old = pair.old
    while not old.node.wants_connection(SESSION):
        old.turn([], 10 * MS)
    if up:
        old.node.session_connects(SESSION)
        old.turn([])
    pair.take_over()
    pair.talk()
    assert old.role == "STANDBY"
    before = raw(old.journal)
    if not up:
        old.node.session_connects(SESSION)  # only now
    _, closes = old.node.session_reads(SESSION)
    assert closes
    old.node.session_leaves(SESSION)
    assert raw(old.journal) == before
    pair.talk()
    assert raw(old.journal) == raw(pair.new.journal)
    assert old.numbers == pair.new.numbers


def test_the_next_primary_starts_over_in_its_place():
    pair = Pair()
    assert b"\x0134=1\x01" in pair.old.log_on()
    pair.take_over()
    assert b"\x0134=1\x01" in pair.new.log_on()
    pair.talk()
    assert pair.old.numbers == pair.new.numbers == (1, 2, 1)


def test_numbers_that_an_operator_has_set_stay():
    pair = Pair()
    pair.old.node.session_command(SESSION, SET_SEQ, next_out=40, next_in=50)
    pair.take_over()
    assert pair.new.numbers == (0, 40, 50)
