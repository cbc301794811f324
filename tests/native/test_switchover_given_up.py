"""A switchover that a primary has accepted and gives up, since its standby is lost meanwhile, is told."""

from __future__ import annotations

from gateway.native.node import Note
from gateway.native.role import Command, CommandStatus
from tests.fuzz.rig import MS, Cell
from tests.support.driven_pairs import DrivenParty, copy, node_of_pair

SUSPECT_NS = 50 * MS
IN_SYNC = 3  # both nodes
RESET, SESSION = 3, 0  # session_command


class Member(DrivenParty):
    """A driven node of the pair."""

    def __init__(self, number: int, cell: Cell) -> None:
        journal = copy()
        owner = node_of_pair(number, journal, suspect_after_ns=SUSPECT_NS)
        owner.add_session("ONE", begin_string="FIX.4.4", sender_comp_id="GW", target_comp_id="BROKER")
        super().__init__(owner, journal, cell)

    def alone(self) -> None:
        """Nobody is heard until the peer is suspected."""
        for _ in range(2 * SUSPECT_NS // MS):
            self.turn([])

    def given_up(self) -> list[Note]:
        return [note for note in self.owner.take_notes() if getattr(note, "code", "") == "switchover_given_up"]


def pair_in_sync() -> tuple[Member, Member]:
    cell = Cell()
    primary, standby = Member(0, cell), Member(1, cell)
    sent: list[bytes] = []
    for _ in range(500):
        sent = standby.turn(primary.turn(sent))
    assert (primary.owner.status()["role"], cell.value[3]) == ("PRIMARY", IN_SYNC)
    return primary, standby


def test_a_standby_that_falls_silent_before_it_has_the_whole_log() -> None:
    primary, _ = pair_in_sync()
    assert primary.node.session_command(SESSION, RESET) == 0  # a record that the standby will not acknowledge
    assert primary.node.role_command(Command.SWITCHOVER) == CommandStatus.ACCEPTED
    assert not primary.given_up()
    primary.alone()
    (told,) = primary.given_up()
    assert (told.a, told.b) == (False, 1)
    assert primary.owner.status()["role"] == "PRIMARY"


def test_a_register_that_has_not_answered_when_the_standby_falls_silent() -> None:
    primary, _ = pair_in_sync()
    primary.cell = None
    assert primary.node.role_command(Command.SWITCHOVER) == CommandStatus.ACCEPTED
    primary.alone()
    (told,) = primary.given_up()
    assert (told.a, told.b) == (True, 1)


def test_a_switchover_that_is_done_is_not_given_up() -> None:
    primary, standby = pair_in_sync()
    assert primary.node.role_command(Command.SWITCHOVER) == CommandStatus.ACCEPTED
    sent: list[bytes] = []
    for _ in range(200):
        sent = standby.turn(primary.turn(sent))
    assert (primary.owner.status()["role"], standby.owner.status()["role"]) == ("STANDBY", "PRIMARY")
    assert not primary.given_up()
