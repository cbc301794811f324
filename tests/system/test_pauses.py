"""SIGSTOP looks like death to the peer. Whoever wakes up must find out that the world has moved on."""

from collections.abc import Callable

import pytest

from gateway.demo.observer import OTHER
from tests.system.conftest import ENGINES
from tests.system.stage import Stage


@pytest.mark.parametrize("engine", ENGINES)
async def test_paused_primary_is_fenced_when_it_wakes(make_stage: Callable[..., Stage], engine: str) -> None:
    # QuickFIX refuses the new connection until the paused node's, which its kernel keeps open, has timed out.
    async with make_stage(engine=engine, heartbeat_s=2) as stage:
        flow = stage.flow(rate=800, count=8000)
        await flow.submitted(400)
        paused = await stage.see.primary()
        successor = OTHER[paused]
        stage.pause(paused)
        target = flow.counts.accepted + 200  # read now: when the successor is ready, all that waited comes at once
        await stage.see.until_primary(successor)
        await flow.accepted(target)
        stage.wake(paused)
        await stage.see.until_healthy()
        assert await stage.see.primary() == successor
        result = await stage.assert_all_processed(flow)
    assert [change.epoch for change in result.epochs] == [1, 2]


async def test_paused_standby_is_left_behind_and_catches_up(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=800, count=1600)
        await flow.submitted(400)
        leader = await stage.see.primary()
        stage.pause(OTHER[leader])
        target = flow.counts.accepted + 200
        await stage.until_solo(leader)
        await flow.accepted(target)
        stage.wake(OTHER[leader])
        await stage.see.until_healthy()
        assert await stage.see.primary() == leader
        counts = await flow.done()
        status = await stage.see.status(leader)
        assert status is not None
        assert status["epoch"] == 1
        result = await stage.judge()
    assert counts.accepted == result.processed == 1600


async def test_both_paused_and_woken_go_on_as_one_pair(native_stage: Stage) -> None:
    stage = native_stage
    async with stage:
        flow = stage.flow(rate=800, count=1600)
        await flow.submitted(400)
        leader = await stage.see.primary()
        for node in (leader, OTHER[leader]):
            stage.pause(node)
        submitted = flow.counts.submitted
        await flow.submitted(submitted + 300)
        for node in (OTHER[leader], leader):
            stage.wake(node)
        await stage.see.until_healthy()
        await stage.assert_all_processed(flow)
