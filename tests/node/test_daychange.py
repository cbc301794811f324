"""The timer behind sessions' windows and daily resets: it tells each change once, at its moment."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
import structlog

from gateway.config.units import DailyTime
from gateway.fix.schedule import parse_schedule
from gateway.node import daychange
from gateway.node.daychange import LONGEST_SLEEP_S, DayChange
from gateway.node.sessiontimes import Order, Step, since_epoch_ns

NONE = SimpleNamespace(name="NONE", windows=None, reset_at=None)
AT_FIVE = SimpleNamespace(name="AT_FIVE", windows=None, reset_at=DailyTime(time(17), ZoneInfo("America/New_York")))
OFFICE = SimpleNamespace(name="OFFICE", windows=parse_schedule("Mon-Fri 07:00-17:30 UTC"), reset_at=None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Clock:
    """A clock that only sleeping moves, and that may be woken too early."""

    def __init__(self, now: str, *, until: str, early: timedelta = timedelta(0)) -> None:
        self.now = utc(now)
        self.until = utc(until)
        self.early = early
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.now >= self.until:
            await asyncio.get_running_loop().create_future()  # the test is over
        early, self.early = self.early, timedelta(0)
        self.now += timedelta(seconds=seconds) - early
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


def told(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, *sessions: object, failing: Container[datetime] = ()
) -> list[tuple[int, Step, datetime]]:
    """(session index, step, UTC time) of all that is told until the clock stands still; at the moments `failing` the
    node takes nothing."""

    class FakeDatetime(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return clock.now.astimezone(tz)

    seen: list[tuple[int, Step, datetime]] = []

    def tell(index: int, step: Step) -> None:
        if clock.now in failing:
            raise RuntimeError("no room")
        seen.append((index, step, clock.now))

    async def run() -> None:
        change = DayChange(SimpleNamespace(session=sessions), tell)
        change.start()
        while clock.now < clock.until:
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        change.stop()

    monkeypatch.setattr(daychange, "datetime", FakeDatetime)
    monkeypatch.setattr(daychange, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": clock.sleep}))
    asyncio.run(run())
    return seen


def start_over(moment: str) -> Step:
    return Step(Order.START_OVER, since_epoch_ns(utc(moment)))


def test_a_node_is_told_at_start_what_it_may_have_missed_and_a_session_without_times_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
):
    clock = Clock("2026-01-15 12:00", until="2026-01-15 12:00:20")
    assert told(monkeypatch, clock, NONE, AT_FIVE) == [(1, start_over("2026-01-14 22:00"), utc("2026-01-15 12:00"))]


def test_a_change_is_told_at_its_moment_even_by_a_timer_that_wakes_too_early(monkeypatch: pytest.MonkeyPatch):
    clock = Clock("2026-01-15 17:29:55", until="2026-01-15 17:30:05", early=timedelta(milliseconds=3))
    assert told(monkeypatch, clock, OFFICE)[1:] == [(0, Step(Order.CLOSE), utc("2026-01-15 17:30"))]
    assert clock.slept[:2] == [5.0, pytest.approx(0.003, abs=1e-6)]


def test_no_sleep_is_so_long_that_a_clock_set_anew_is_missed(monkeypatch: pytest.MonkeyPatch):
    clock = Clock("2026-01-15 12:00", until="2026-01-15 12:01")
    told(monkeypatch, clock, OFFICE)
    assert max(clock.slept) == LONGEST_SLEEP_S


def test_a_change_that_cannot_be_told_is_logged_with_what_to_do_and_told_later(monkeypatch: pytest.MonkeyPatch):
    clock = Clock("2026-01-15 17:29:55", until="2026-01-15 17:30:20")
    failing = [utc("2026-01-15 17:30")]
    with structlog.testing.capture_logs() as lines:
        seen = told(monkeypatch, clock, OFFICE, failing=failing)
    assert seen[1:] == [(0, Step(Order.CLOSE), utc("2026-01-15 17:30:10"))]
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert (line["event"], line["session"]) == ("schedule_failed", "OFFICE")
    assert "gateway session" in line["remedy"]
