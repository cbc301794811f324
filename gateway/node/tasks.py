"""Coroutines beside the rest of the control thread's work. One that fails is told: nobody waits for its result.

May depend on: nothing of the node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

log = structlog.get_logger("node")

REMEDY = "orders go on without it; report this line, and restart this node when it is standby"


class Tasks:
    """Those of one owner."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[None, None, None], what: str) -> None:
        """Runs it on the running loop; `what` names it in the log if it fails."""
        task = asyncio.get_running_loop().create_task(coroutine, name=what)
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def finish(self) -> None:
        """Waits until all have ended."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def cancel(self) -> None:
        """Ends them."""
        for task in self._running:
            task.cancel()
        await self.finish()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", task=task.get_name(), remedy=REMEDY, exc_info=error)
