"""SIGKILL of either node, at any moment: nothing twice, nothing lost. The broker's ledger is the judge."""

import os
from pathlib import Path

import pytest

from gateway.demo.observer import OTHER
from tests.system.conftest import ENGINES
from tests.system.stage import Stage

ROUNDS = int(os.environ.get("GATEWAY_KILL_ROUNDS", "4"))  # full size: 200


async def test_orders_go_on_when_the_primary_is_killed(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=800, count=1200)
        await flow.submitted(400)
        dead, leader = await stage.take_over()
        await stage.rejoin(dead)
        counts = await flow.done()
        assert await stage.see.primary() == leader  # no automatic fail-back
        result = await stage.judge()
    assert counts.accepted == result.processed == 1200
    assert [change.epoch for change in result.epochs] == [1, 2]
    assert result.epochs[1].first_out_after == result.epochs[1].last_out_before + 1


async def test_orders_go_on_when_the_standby_is_killed(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=800, count=1200)
        await flow.submitted(400)
        leader = await stage.see.primary()
        await stage.kill(OTHER[leader])
        await stage.until_solo(leader)
        await stage.rejoin(OTHER[leader])
        result = await stage.assert_all_processed(flow)
    assert [change.epoch for change in result.epochs] == [1]


async def test_many_kills_in_a_row(native_stage: Stage) -> None:
    stage = native_stage
    async with stage:
        flow = stage.flow(rate=800, count=ROUNDS * 800)
        for number in range(ROUNDS):
            await flow.submitted(number * 800 + 300)
            dead, _ = await stage.take_over()
            await stage.rejoin(dead)
        counts = await flow.done()
        result = await stage.judge()
    assert counts.accepted == result.processed == ROUNDS * 800
    assert [change.epoch for change in result.epochs] == list(range(1, ROUNDS + 2))


async def test_standby_killed_while_it_catches_up(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=1500, count=4500)
        leader = await stage.see.primary()
        follower = OTHER[leader]
        await stage.kill(follower)
        await flow.submitted(2000)
        await stage.start_node(follower)
        await stage.until_role(follower, "STANDBY")
        await stage.kill(follower)
        await stage.rejoin(follower)
        await flow.done()
        result = await stage.judge()
    assert result.processed == 4500


async def test_a_standby_that_is_not_in_sync_does_not_take_over(native_stage: Stage) -> None:
    stage = native_stage
    async with stage:
        leader = await stage.see.primary()
        follower = OTHER[leader]
        await stage.kill(follower)
        await stage.until_solo(leader)
        flow = stage.flow(rate=800, count=800)
        await flow.submitted(400)
        await stage.kill(leader)
        await stage.start_node(follower)  # it lacks what the dead node did alone
        await stage.until_role(follower, "STARTING")
        await stage.start_node(leader)
        await stage.see.until_healthy()
        assert await stage.see.primary() == leader
        await flow.done()
        result = await stage.judge()
    assert result.processed == 800


async def test_both_killed_and_restarted_from_their_journals(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=800, count=1200)
        await flow.submitted(400)
        leader = await stage.see.primary()
        for node in (leader, OTHER[leader]):
            await stage.kill(node)
        for node in (leader, OTHER[leader]):
            await stage.start_node(node)
        await stage.see.until_healthy()
        await stage.assert_all_processed(flow)


async def test_one_of_two_killed_nodes_comes_back_alone_and_goes_on(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=800, count=1200)
        await flow.submitted(400)
        leader = await stage.see.primary()
        stage.pause(leader)  # else it might still go solo, and after that the other must not come back alone
        for node in (OTHER[leader], leader):
            await stage.kill(node)
        await stage.start_node(OTHER[leader])
        await stage.see.until_primary(OTHER[leader])
        await flow.submitted(900)
        await stage.rejoin(leader)
        await stage.assert_all_processed(flow)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_pair_that_speaks_fix_4_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setattr("gateway.demo.world.BEGIN_STRING", "FIX.4.2")
    async with Stage(tmp_path, engine=engine) as stage:
        flow = stage.flow(rate=800, count=1200)
        await flow.submitted(400)
        dead, _ = await stage.take_over()
        await stage.rejoin(dead)
        await stage.assert_all_processed(flow)
