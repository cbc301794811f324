"""Tells the native node of the windows and day changes of its sessions. The reset itself is a log record.

Both nodes are told, whatever their role; a standby only remembers. Reads the clock and sleeps; what follows from a
moment is decided in `sessiontimes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from gateway.config import Config
from gateway.node.sessiontimes import SessionTimes, State, Step

log = structlog.get_logger("node")

LONGEST_SLEEP_S = 10.0  # a wall clock that is set anew is noticed as soon; what went wrong is tried again as late
REMEDY = (
    "until it passes this node keeps none of the session's times: see to the host's clock and time zones, "
    "or log it out and reset it by `gateway session`; the node goes on trying"
)


class DayChange:
    """Calls `tell(session index, step)` for each step of each session that has a schedule or a `reset_at`."""

    def __init__(self, config: Config, tell: Callable[[int, Step], None]) -> None:
        self._times = {index: times for index, s in enumerate(config.session) if (times := SessionTimes.of(s))}
        self._names = [s.name for s in config.session]
        self._states: dict[int, State] = {}
        self._tell = tell
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Tells the present state at once, and then each change."""
        for index, times in self._times.items():
            self._look(index, times, datetime.now(UTC))
            self._tasks.append(asyncio.get_running_loop().create_task(self._keep(index, times)))

    def stop(self) -> None:
        """Ends it."""
        for task in self._tasks:
            task.cancel()

    async def _keep(self, index: int, times: SessionTimes) -> None:
        while True:
            ahead = LONGEST_SLEEP_S
            try:
                now = datetime.now(UTC)
                self._look(index, times, now)
                change = times.schedule.next_change(now)
                if change is not None:
                    ahead = min((change - now).total_seconds(), LONGEST_SLEEP_S)
            except Exception:  # the session's later times must not suffer from it
                log.exception("schedule_failed", session=self._names[index], remedy=REMEDY)
            await asyncio.sleep(ahead)

    def _look(self, index: int, times: SessionTimes, now: datetime) -> None:
        state = times.state(now)
        for step in times.steps(self._states.get(index), state):
            self._tell(index, step)
        self._states[index] = state
