"""A Logon that waits for the control thread's fields while an operator or the schedule wants its session out."""

from __future__ import annotations

import pytest

from gateway.native.driven import DrivenNode
from gateway.native.journal import Journal
from gateway.native.node import Node
from tests.fuzz.rig import KEY, MS, PAIR, Cell, Clock
from tests.native.test_disconnect_after_takeover import Pair

LOGOUT, RESET, CLOSE = 1, 3, 8  # session_command
SESSION = 0


@pytest.fixture
def node() -> DrivenNode:
    """Connected, and its Logon waits."""
    journal = Journal.memory(segment_bytes=1 << 18, max_records=1 << 11, max_sessions=4, max_seq=1 << 10)
    owner = Node(journal, node=0, pair_id=PAIR, key=KEY, incarnation=1, order_capacity=256, reorder_slots=16,
                 window_records=64, startup_wait_ns=20 * MS, preferred=True)  # fmt: skip
    owner.add_session("ONE", begin_string="FIX.4.4", sender_comp_id="GW", target_comp_id="BROKER", fills_logon=True)
    made = DrivenNode(owner)
    clock, cell = Clock(made), Cell((1, 1, 0, 1))
    while not made.wants_connection(SESSION):
        clock.move(10 * MS)
        cell.serve(made)
        made.turn()
        journal.flush()
    made.session_connects(SESSION)
    made.turn()
    assert made.session_reads(SESSION) == (b"", False)
    return made


def test_it_goes_out_once_it_is_filled(node):
    node.session_filled(SESSION, b"553=user\x01")
    node.turn()
    sent, closes = node.session_reads(SESSION)
    assert b"35=A" in sent
    assert b"553=user" in sent
    assert not closes


@pytest.mark.parametrize("command", [LOGOUT, RESET, CLOSE])
def test_it_does_not_go_out_under_the_old_numbers_of_a_session_that_is_to_be_out(node, command):
    assert node.session_command(SESSION, command) == 0
    node.session_filled(SESSION, b"553=user\x01")
    node.turn()
    assert node.session_reads(SESSION) == (b"", True)
    node.session_leaves(SESSION)
    session = node.owner.status()["sessions"][SESSION]
    assert session["generation"] == (command == RESET)
    assert session["next_out"] == 1


@pytest.mark.parametrize("up", [True, False])
def test_it_goes_out_when_a_node_is_primary_again(up):
    pair = Pair(fills_logon=True, reset_on_disconnect=False)
    old = pair.old
    if up:
        old.log_on()
        old.node.session_filled(SESSION, b"553=user\x01")
    pair.take_over()
    pair.talk()
    if up:
        old.node.session_leaves(SESSION)
    while old.role != "PRIMARY":  # the other one is gone
        old.turn([], MS)
    assert old.log_on() == b""
    assert old.node.session_reads(SESSION) == (b"", False)
    old.node.session_filled(SESSION, b"553=user\x01")
    old.turn([])
    assert b"35=A" in old.node.session_reads(SESSION)[0]
