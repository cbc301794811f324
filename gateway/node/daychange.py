"""Resets sessions at their configured time of day, in their own time zone. The reset itself is a log record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.config import Config


def next_reset(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The first moment after `now` (aware) at which a clock in `zone` shows `at`.

    A time that daylight saving skips comes later by the length of the gap; one that it repeats comes the first time.
    """
    local = now.astimezone(zone)
    candidate = datetime.combine(local.date(), at, zone)
    while candidate.timestamp() <= now.timestamp():
        candidate = datetime.combine(candidate.date() + timedelta(days=1), at, zone)
    return candidate


class DayChange:
    """Calls `reset(session index)` at each session's `reset_at`. Every node runs it; only a primary acts on it."""

    def __init__(self, config: Config, reset: Callable[[int], None]) -> None:
        self._due = [
            (index, session.reset_at) for index, session in enumerate(config.session) if session.reset_at is not None
        ]
        self._reset = reset
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts one timer for each session that has a reset time."""
        for index, at in self._due:
            self._tasks.append(asyncio.get_running_loop().create_task(self._keep(index, at.time, at.zone)))

    def stop(self) -> None:
        """Cancels the timers."""
        for task in self._tasks:
            task.cancel()

    async def _keep(self, index: int, at: time, zone: ZoneInfo) -> None:
        while True:
            now = datetime.now(zone)
            due = next_reset(now, at, zone)
            await asyncio.sleep(max(0.0, due.timestamp() - now.timestamp()))
            if datetime.now(zone).timestamp() >= due.timestamp():
                self._reset(index)
