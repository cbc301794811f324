"""The daily reset: at the time that a clock in the session's place shows, once a day, through daylight saving."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.node import daychange
from gateway.node.daychange import DayChange, next_reset

NEW_YORK = ZoneInfo("America/New_York")
PLACES = [ZoneInfo(name) for name in ("UTC", "America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Lord_Howe")]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "at", "expected"),
    [
        ("2026-01-15 12:00", "17:00", "2026-01-15 22:00"),  # winter: five hours behind
        ("2026-07-15 12:00", "17:00", "2026-07-15 21:00"),  # summer: four
        ("2026-01-15 22:00", "17:00", "2026-01-16 22:00"),  # at the moment itself: the next one
        ("2026-01-15 21:59:59", "17:00", "2026-01-15 22:00"),
        ("2026-01-16 03:00", "17:00", "2026-01-16 22:00"),  # still yesterday there
        ("2026-03-07 23:00", "17:00", "2026-03-08 21:00"),  # the clock goes forward in between
        ("2026-10-31 22:00", "17:00", "2026-11-01 22:00"),  # and back
        ("2026-03-08 05:00", "02:30", "2026-03-08 07:30"),  # a time that is skipped: an hour later on the clock
        ("2026-03-08 08:00", "02:30", "2026-03-09 06:30"),
        ("2026-11-01 04:00", "01:30", "2026-11-01 05:30"),  # a time that comes twice: the first one
        ("2026-11-01 05:30", "01:30", "2026-11-02 06:30"),  # and not the second one
        ("2026-12-31 23:00", "17:00", "2027-01-01 22:00"),
    ],
)
def test_the_next_reset_in_new_york(now: str, at: str, expected: str):
    found = next_reset(utc(now), time.fromisoformat(at), NEW_YORK)
    assert found.astimezone(UTC) == utc(expected)


moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
times = st.times().map(lambda at: at.replace(microsecond=0, fold=0, tzinfo=None))


@given(moments, times, st.sampled_from(PLACES))
def test_it_is_ahead_by_a_day_at_most_and_the_clock_shows_it(now: datetime, at: time, zone: ZoneInfo):
    found = next_reset(now, at, zone).astimezone(UTC)
    assert timedelta(0) < found - now <= timedelta(hours=25)
    shown = found.astimezone(zone)
    skipped = shown.utcoffset() != (found - timedelta(hours=2)).astimezone(zone).utcoffset()
    assert shown.time() == at or skipped


@given(moments, times, st.sampled_from(PLACES))
def test_each_day_has_one(now: datetime, at: time, zone: ZoneInfo):
    days = []
    for _ in range(5):
        now = next_reset(now, at, zone).astimezone(UTC)
        days.append(now.astimezone(zone).date())
    assert [later - earlier for earlier, later in pairwise(days)] == [timedelta(days=1)] * 4


class Clock:
    """A clock that only sleeping moves, and that may be woken too early."""

    def __init__(self, now: str, *, early: timedelta = timedelta(0)) -> None:
        self.now = utc(now)
        self.early = early
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) > 6:
            await asyncio.get_running_loop().create_future()  # the test is over
        early, self.early = self.early, timedelta(0)
        self.now += timedelta(seconds=seconds) - early
        await _yield()


async def _yield() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, None)
    await future


def resets(monkeypatch: pytest.MonkeyPatch, clock: Clock, sessions: list[tuple[str, ZoneInfo] | None]) -> list:
    """(session index, UTC time) of each reset until the clock has been slept on six times."""
    config = SimpleNamespace(
        session=[
            SimpleNamespace(reset_at=None if s is None else SimpleNamespace(time=time.fromisoformat(s[0]), zone=s[1]))
            for s in sessions
        ]
    )

    class FakeDatetime(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return clock.now.astimezone(tz)

    seen: list[tuple[int, datetime]] = []

    async def run() -> None:
        change = DayChange(config, lambda index: seen.append((index, clock.now)))
        change.start()
        for _ in range(100):
            await _yield()
        change.stop()
        for _ in range(3):
            await _yield()

    monkeypatch.setattr(daychange, "datetime", FakeDatetime)
    monkeypatch.setattr(daychange, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": clock.sleep}))
    asyncio.run(run())
    return seen


def test_a_session_is_reset_each_day_and_one_without_a_time_never(monkeypatch: pytest.MonkeyPatch):
    seen = resets(monkeypatch, Clock("2026-01-15 12:00"), [None, ("17:00", NEW_YORK)])
    assert seen == [(1, utc("2026-01-15 22:00") + timedelta(days=day)) for day in range(6)]


def test_a_timer_that_wakes_too_early_sleeps_again(monkeypatch: pytest.MonkeyPatch):
    clock = Clock("2026-01-15 12:00", early=timedelta(milliseconds=3))
    seen = resets(monkeypatch, clock, [("17:00", NEW_YORK)])
    assert seen[0] == (0, utc("2026-01-15 22:00"))
    assert clock.slept[1] == pytest.approx(0.003, abs=1e-6)
    assert len({at for _, at in seen}) == len(seen) == 5
