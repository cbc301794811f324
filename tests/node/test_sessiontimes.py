"""What a session's windows and its daily reset ask of the node, moment by moment."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.units import DailyTime
from gateway.fix.schedule import Schedule, Window, parse_schedule
from gateway.node.sessiontimes import Order, SessionTimes, State, Step, since_epoch_ns

PLACES = ["UTC", "America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Lord_Howe"]


class Entry:
    """The part of a configured session that counts here."""

    def __init__(self, schedule: str | None = None, reset_at: str | None = None) -> None:
        self.windows = parse_schedule(schedule) if schedule else None
        self.reset_at = None
        if reset_at:
            clock, zone = reset_at.split(" ")
            self.reset_at = DailyTime(time.fromisoformat(clock), ZoneInfo(zone))


def times(**given_as: str) -> SessionTimes:
    found = SessionTimes.of(Entry(**given_as))
    assert found is not None
    return found


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def story(session: SessionTimes, *moments: str) -> list[list[tuple]]:
    """The steps that a node which starts at the first moment, and looks at each of the others, carries out."""
    before: State | None = None
    told = []
    for moment in moments:
        state = session.state(utc(moment))
        told.append([(s.order.name, s.value) if s.value else s.order.name for s in session.steps(before, state)])
        before = state
    return told


def over(text: str) -> tuple[str, int]:
    return ("START_OVER", int(utc(text).timestamp()) * 10**9)


def test_a_session_without_times_has_none():
    assert SessionTimes.of(Entry()) is None


def test_a_window_opens_and_closes_the_session_and_starts_its_numbers_over():
    assert story(
        times(schedule="Mon-Fri 07:00-17:30 Europe/London"),
        "2026-11-20 06:59:59",  # Friday; a node that starts before the window
        "2026-11-20 07:00",
        "2026-11-20 12:00",
        "2026-11-20 17:30",
        "2026-11-21 12:00",  # Saturday
        "2026-11-23 07:00",
    ) == [["CLOSE"], [over("2026-11-20 07:00"), "OPEN"], [], ["CLOSE"], [], [over("2026-11-23 07:00"), "OPEN"]]


def test_a_node_that_starts_in_a_window_makes_up_for_its_start_and_undoes_no_logout():
    assert story(times(schedule="Mon-Fri 07:00-17:30 UTC"), "2026-11-20 09:00") == [[over("2026-11-20 07:00")]]


def test_a_window_of_a_whole_day_follows_the_one_before_at_once():
    assert story(
        times(schedule="17:00-17:00 UTC"), "2026-11-20 16:59:59", "2026-11-20 17:00", "2026-11-21 16:59:59"
    ) == [[over("2026-11-19 17:00")], [over("2026-11-20 17:00"), "OPEN"], []]


def test_a_window_of_the_week_keeps_its_numbers_for_the_week():
    assert story(
        times(schedule="Sun 17:00-Fri 16:00 America/New_York"),
        "2026-11-18 12:00",
        "2026-11-20 21:00",
        "2026-11-22 22:00",
        "2026-11-27 20:59:59",
    ) == [[over("2026-11-15 22:00")], ["CLOSE"], [over("2026-11-22 22:00"), "OPEN"], []]


@pytest.mark.parametrize(
    ("at", "since"),
    [
        ("2026-03-27 07:00", "2026-03-27 07:00"),  # London, the Friday before its clock goes forward
        ("2026-03-30 06:00", "2026-03-30 06:00"),
        ("2026-10-23 06:00", "2026-10-23 06:00"),
        ("2026-10-26 06:59:59", None),
        ("2026-10-26 07:00", "2026-10-26 07:00"),
    ],
)
def test_windows_follow_the_clock_of_their_place(at: str, since: str | None):
    state = times(schedule="Mon-Fri 07:00-17:30 Europe/London").state(utc(at))
    assert state == State(since is not None, utc(since) if since else None)


def test_a_daily_reset_never_closes_the_session_and_undoes_no_logout():
    assert story(
        times(reset_at="17:00 America/New_York"), "2026-11-20 21:59:59", "2026-11-20 22:00", "2026-11-21 12:00"
    ) == [[over("2026-11-19 22:00")], [over("2026-11-20 22:00")], []]


@pytest.mark.parametrize(
    ("now", "at", "last", "following"),
    [
        ("2026-07-15 12:00", "17:00", "2026-07-14 21:00", "2026-07-15 21:00"),  # summer in New York
        ("2026-01-16 03:00", "17:00", "2026-01-15 22:00", "2026-01-16 22:00"),  # still yesterday there
        ("2026-03-07 23:00", "17:00", "2026-03-07 22:00", "2026-03-08 21:00"),  # the clock goes forward in between
        ("2026-10-31 22:00", "17:00", "2026-10-31 21:00", "2026-11-01 22:00"),  # and back
        ("2026-03-08 08:00", "02:30", "2026-03-08 07:30", "2026-03-09 06:30"),  # skipped: an hour later on the clock
        ("2026-11-01 05:30", "01:30", "2026-11-01 05:30", "2026-11-02 06:30"),  # comes twice: the first one
        ("2026-11-01 06:30", "01:30", "2026-11-01 05:30", "2026-11-02 06:30"),  # and not the second one
    ],
)
def test_the_daily_reset_in_new_york(now: str, at: str, last: str, following: str):
    session = times(reset_at=f"{at} America/New_York")
    assert session.state(utc(now)) == State(True, utc(last))
    assert session.schedule.next_change(utc(now)) == utc(following)


moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
clock_times = st.times().map(lambda at: at.replace(microsecond=0, fold=0, tzinfo=None))


@given(moments, clock_times, st.sampled_from(PLACES))
def test_a_daily_reset_comes_once_a_day_for_ever(now: datetime, at: time, zone: str):
    session = SessionTimes(Schedule([Window(at, at)], zone), connects=False)
    starts = [session.state(now).since]
    for _ in range(5):
        now = session.schedule.next_change(now)
        starts.append(session.state(now).since)
        assert starts[-1] == now
    days = [start.astimezone(ZoneInfo(zone)).date() for start in starts]
    assert [later - earlier for earlier, later in pairwise(days)] == [timedelta(days=1)] * 5


def test_moments_are_exact_to_the_microsecond():
    assert since_epoch_ns(utc("2026-11-20 17:00:00.000001")) == 1_795_194_000_000_001_000
    assert Step(Order.CLOSE).value == 0
