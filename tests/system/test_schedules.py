"""Windows and day changes of real pairs: numbers start over once, whoever is up when they are to."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.demo.observer import OTHER, is_primary
from gateway.demo.world import LOOPBACK
from tests.system.stage import Stage

OPEN_FOR = timedelta(seconds=9)  # for the start of a pair on a busy machine
CLOSED_FOR = timedelta(seconds=4)  # for a new broker
HOUR = timedelta(hours=1)
BEFORE = f'endpoints = ["{LOOPBACK}'


def clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"


async def generations(stage: Stage) -> list[int]:
    statuses = (await stage.see.statuses()).values()
    return [status["sessions"][0]["generation"] for status in statuses if status is not None]


async def new_broker(stage: Stage) -> None:
    """One that begins at MsgSeqNum 1 too."""
    await stage.stop("broker")
    shutil.rmtree(stage.broker_store)
    await stage.start_broker()


async def test_a_day_change_that_no_node_saw_is_made_up_for_once(native_stage: Stage) -> None:
    async with native_stage as stage:
        await stage.flow(rate=200, count=20).done()
        leader = await stage.see.primary()
        assert await generations(stage) == [0, 0]
        for node in (OTHER[leader], leader):
            await stage.stop(node)
        await new_broker(stage)
        stage.amend(BEFORE, f'reset_at = "{clock(datetime.now(UTC))} UTC"\n{BEFORE}')
        for node in ("a", "b"):
            await stage.start_node(node)
        await stage.see.until_healthy()
        assert await generations(stage) == [1, 1]
        dead, _ = await stage.take_over()
        await stage.rejoin(dead)
        assert await generations(stage) == [1, 1]


async def test_a_window_ends_with_a_logout_and_the_next_begins_at_one(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    now = datetime.now(UTC)
    end = now + OPEN_FOR
    start = end + CLOSED_FOR
    windows = f"{clock(now - HOUR)}-{clock(end)}, {clock(start)}-{clock(now + HOUR)} UTC"
    stage.amend(BEFORE, f'schedule = "{windows}"\n{BEFORE}')

    async def logged_out() -> bool:
        status = await stage.see.status(leader)
        session = status["sessions"][0] if is_primary(status) else {}
        return not session.get("in_window", True) and session["state"] == "DISCONNECTED"

    async with stage:
        leader = await stage.see.primary()
        assert await generations(stage) == [0, 0]
        await stage.see.until("the window has ended", logged_out)
        assert datetime.now(UTC) >= end.replace(microsecond=0)
        await new_broker(stage)
        await stage.see.until_healthy()
        assert datetime.now(UTC) >= start.replace(microsecond=0)
        assert await generations(stage) == [1, 1]
        code, _ = await stage.see.command(leader, "sessions/BROKER/logout")
        assert code == 200
        await stage.see.until("it is logged out", lambda: logged_out_by_hand(stage, leader))
        dead, _ = await stage.take_over()
        await stage.rejoin(dead)
        assert await generations(stage) == [1, 1]


async def logged_out_by_hand(stage: Stage, node: str) -> bool:
    status = await stage.see.status(node)
    assert status is not None
    session = status["sessions"][0]
    return session["in_window"] and session["state"] == "DISCONNECTED"
