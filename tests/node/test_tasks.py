"""Tasks beside a node's work: what fails is told, what is to end ends."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from gateway.node.tasks import Tasks


async def _fail() -> None:
    raise ValueError("no such thing")


async def _forever(begun: asyncio.Event) -> None:
    begun.set()
    await asyncio.Event().wait()


def test_a_task_that_fails_is_told_with_its_name_and_a_remedy() -> None:
    async def run() -> None:
        tasks = Tasks()
        tasks.start(_fail(), "things are watched")
        await tasks.finish()

    with capture_logs() as lines:
        asyncio.run(run())
    (line,) = lines
    assert (line["event"], line["task"], line["log_level"]) == ("task_failed", "things are watched", "error")
    assert "no such thing" in str(line["exc_info"])
    assert "restart" in line["remedy"]


def test_a_task_that_is_ended_is_no_failure() -> None:
    async def run() -> None:
        tasks = Tasks()
        begun = asyncio.Event()
        tasks.start(_forever(begun), "nothing")
        await begun.wait()
        await asyncio.wait_for(tasks.cancel(), 5)

    with capture_logs() as lines:
        asyncio.run(run())
    assert lines == []
