"""Nodes whose configurations differ."""

import asyncio
from collections.abc import Callable

from tests.system.stage import Stage

ANOTHER = """\
[[session]]
name = "ANOTHER"
begin_string = "FIX.4.4"
sender_comp_id = "GATEWAY"
target_comp_id = "ANOTHER"
endpoints = ["127.0.0.1:1"]

"""


async def test_a_standby_with_other_sessions_stops_and_says_why(native_stage: Stage) -> None:
    stage = native_stage
    async with stage:
        await stage.kill("b")
        stage.amend("[[session]]", ANOTHER + "[[session]]")
        await stage.start_node("b")
        await asyncio.wait_for(stage.processes["b"].wait(), 10)
        assert stage.processes["b"].returncode == 1
        log = (stage.directory / "b.log").read_text()
        assert "number 1, 'ANOTHER', is another one in the pair's log" in log
        assert await stage.see.primary() == "a"


async def test_a_peer_with_another_key_is_told_from_one_that_is_not_there(native_stage: Stage) -> None:
    stage = native_stage
    async with stage:
        await stage.kill("b")
        (stage.directory / "replication.key").write_text("00" * 16 + "\n")
        await stage.start_node("b")

        async def told() -> bool:
            logs = [(stage.directory / f"{node}.log").read_text() for node in ("a", "b")]
            return all('"reason": "bad_mac"' in log for log in logs)

        await stage.see.until("both nodes say that datagrams are dropped", told)
        assert (stage.directory / "b.log").read_text().count(
            '"event": "register"'
        ) <= 5  # not one for each of its reads


async def test_numbers_of_an_async_primary_are_skipped_by_a_successor_that_is_sync(
    make_stage: Callable[..., Stage],
) -> None:
    async with make_stage(mode="async") as stage:
        flow = stage.flow(rate=500, count=500)
        await stage.kill("b")
        stage.amend('mode = "async"', 'mode = "sync"')
        await stage.rejoin("b")
        await flow.submitted(250)
        assert await stage.take_over() == ("a", "b")
        await flow.done()
        assert '"event": "skipped_ahead"' in (stage.directory / "b.log").read_text()
