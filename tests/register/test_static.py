"""The `static` register under a role: what the held node may do, and what it may not. Node a (0) may act alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.native.role import Cause, Command, CommandStatus, RegisterOutcome, Release, Role, State
from gateway.register import RegisterValue, perform
from gateway.register.static import StaticRegister

MS = 1_000_000
A, B, BOTH = 1, 2, 3


class Node:
    """A role whose requests are answered by its own `static` register at once."""

    def __init__(self, path: Path, node: int, *, epoch: int = 0) -> None:
        self.now = 1_000 * MS
        self.register = StaticRegister(path / f"{node}.json", node=node, peer=1 - node, alone=0, own_last_epoch=epoch)
        self.role = Role(node, 1 - node, now=self.now, own_last_lsn=epoch, own_last_epoch=epoch, preferred=node == 0)
        self.settle()

    def settle(self) -> None:
        async def answer() -> None:
            while (request := self.role.take_request()) is not None:
                outcome = await perform(self.register, request)
                self.role.on_register(request.id, outcome.kind, outcome.value, self.now)

        asyncio.run(answer())

    def passes(self, ms: int, hearing: tuple[State, int] | None = None) -> None:
        for _ in range(ms // 10):
            self.now += 10 * MS
            if hearing is not None:
                self.role.on_peer(hearing[0], hearing[1], hearing[1], 0, self.now)
            self.role.on_timer(self.now)
            self.settle()

    def command(self, command: Command) -> CommandStatus:
        status = self.role.command(command, self.now)
        self.settle()
        return status


def test_first_start_is_that_of_the_node_that_may_act_alone(tmp_path: Path) -> None:
    a, b = Node(tmp_path, 0), Node(tmp_path, 1)
    assert (a.role.state, a.role.epoch) == (State.PRIMARY, 1)
    b.passes(10_000)
    assert b.role.state is State.STARTING
    b.passes(20, hearing=(State.PRIMARY, 1))
    assert (b.role.state, b.role.epoch) == (State.STANDBY, 1)


def test_held_standby_waits_for_an_operator(tmp_path: Path) -> None:
    b = Node(tmp_path, 1)
    b.passes(100, hearing=(State.PRIMARY, 1))
    b.passes(10_000)
    assert b.role.state is State.STANDBY
    assert b.command(Command.TAKEOVER) is CommandStatus.NOT_IN_SYNC
    assert b.command(Command.ACT_ALONE) is CommandStatus.ACCEPTED
    assert (b.role.state, b.role.epoch, b.role.skip_ahead) == (State.PRIMARY, 2, True)
    b.passes(5_000)
    assert (b.role.state, b.role.release) == (State.PRIMARY, Release.ALL)


def test_node_that_may_act_alone_goes_solo_and_comes_back(tmp_path: Path) -> None:
    a = Node(tmp_path, 0)
    a.passes(20, hearing=(State.STANDBY, 1))
    a.role.on_standby(True, 0, a.now)
    a.settle()
    a.passes(20, hearing=(State.STANDBY, 1))
    assert a.role.release is Release.ACKED
    a.passes(200)
    assert (a.role.state, a.role.release) == (State.PRIMARY, Release.ALL)


def test_node_that_may_act_alone_waits_for_its_peer_when_it_restarts(tmp_path: Path) -> None:
    Node(tmp_path, 0)
    a = Node(tmp_path, 0, epoch=1)
    a.passes(2_900)
    assert a.role.state is State.STARTING
    a.passes(200)
    assert (a.role.state, a.role.epoch) == (State.PRIMARY, 2)


def test_node_that_may_act_alone_follows_a_peer_that_was_promoted_meanwhile(tmp_path: Path) -> None:
    Node(tmp_path, 0)
    a = Node(tmp_path, 0, epoch=1)
    a.passes(50, hearing=(State.PRIMARY, 2))
    assert (a.role.state, a.role.epoch) == (State.STANDBY, 2)
    a.passes(10_000)
    assert a.role.state is State.STANDBY, "it was not told that it is in sync"


def test_restarted_node_leads_again_although_the_held_standby_lives(tmp_path: Path) -> None:
    Node(tmp_path, 0)
    a = Node(tmp_path, 0, epoch=1)
    a.passes(3_100, hearing=(State.STANDBY, 1))
    assert (a.role.state, a.role.epoch) == (State.PRIMARY, 2)


def test_held_primary_after_a_switchover_is_fenced_when_it_loses_its_peer(tmp_path: Path) -> None:
    b = Node(tmp_path, 1)
    b.passes(100, hearing=(State.PRIMARY, 1))
    b.role.on_handover(2, b.now)
    b.settle()
    assert (b.role.state, b.role.release) == (State.PRIMARY, Release.ACKED)
    b.passes(200)
    assert (b.role.state, b.role.cause) == (State.FENCED, Cause.LOST_REGISTER)
    b.passes(20, hearing=(State.PRIMARY, 3))
    assert (b.role.state, b.role.epoch) == (State.STANDBY, 3)


def test_promoted_node_needs_the_operator_again_after_a_restart(tmp_path: Path) -> None:
    b = Node(tmp_path, 1)
    b.passes(100, hearing=(State.PRIMARY, 1))
    b.passes(100)
    b.command(Command.ACT_ALONE)
    assert b.role.epoch == 2
    b = Node(tmp_path, 1, epoch=2)
    b.passes(10_000)
    assert b.role.state is State.STARTING
    assert b.command(Command.ACT_ALONE) is CommandStatus.ACCEPTED
    assert (b.role.state, b.role.epoch) == (State.PRIMARY, 3)


def test_held_node_may_not_drop_the_other_but_may_hand_over_to_it(tmp_path: Path) -> None:
    async def tell() -> None:
        register = StaticRegister(tmp_path / "1.json", node=1, peer=0, alone=0, own_last_epoch=4)
        cell = await register.read()
        assert cell == RegisterValue(1, 4, 0, A)
        refused = await register.compare_and_set(cell, RegisterValue(0, 5, 1, B))
        assert (refused.kind, refused.value) == (RegisterOutcome.LOST, RegisterValue(2, 6, 0, A))
        assert refused.value is not None
        granted = await register.compare_and_set(refused.value, RegisterValue(0, 7, 0, BOTH))
        assert granted.kind is RegisterOutcome.WON
        await register.close()

    asyncio.run(tell())


@pytest.mark.parametrize(("node", "peer", "alone"), [(0, 0, 0), (0, 2, 0), (0, 1, 2)])
def test_indices_that_make_no_sense_are_refused(tmp_path: Path, node: int, peer: int, alone: int) -> None:
    with pytest.raises(ValueError, match="node"):
        StaticRegister(tmp_path / "x.json", node=node, peer=peer, alone=alone)
