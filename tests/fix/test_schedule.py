"""Sessions' windows: days and weeks, time zones and changes of the clock, holidays, non-stop."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.fix.schedule import Opening, Schedule, Window, parse_schedule, weekday

WORKDAYS = frozenset(range(5))
LONDON = ZoneInfo("Europe/London")
NEW_YORK = ZoneInfo("America/New_York")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def london(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LONDON)


def daily(start: str, end: str, zone: str = "UTC", **more) -> Schedule:
    return Schedule([Window(time.fromisoformat(start), time.fromisoformat(end), WORKDAYS)], zone, **more)


def test_a_session_of_the_day_is_open_from_start_to_just_before_end():
    schedule = daily("08:00", "17:00")
    assert [schedule.is_open(utc(f"2026-11-20 {at}")) for at in ("07:59:59", "08:00", "16:59:59", "17:00")] == [
        False,
        True,
        True,
        False,
    ]
    assert not schedule.is_open(utc("2026-11-21 12:00"))  # Saturday
    assert schedule.next_opening(utc("2026-11-20 17:00")) == Opening(utc("2026-11-23 08:00"), utc("2026-11-23 17:00"))


def test_a_session_over_midnight_belongs_to_the_day_it_starts_on():
    schedule = daily("22:00", "21:00")
    assert schedule.is_open(utc("2026-11-21 20:59"))  # Friday's, on Saturday
    assert not schedule.is_open(utc("2026-11-21 22:30"))
    assert not schedule.is_open(utc("2026-11-20 21:30"))


def test_equal_start_and_end_is_a_whole_day_and_the_next_follows_at_once():
    schedule = Schedule([Window(time(17), time(17))])
    assert schedule.is_open(utc("2026-11-20 17:00"))
    assert schedule.next_change(utc("2026-11-20 18:00")) == utc("2026-11-21 17:00")
    assert schedule.is_new_session(utc("2026-11-20 16:59"), utc("2026-11-20 17:00"))
    assert not schedule.is_new_session(utc("2026-11-20 17:00"), utc("2026-11-21 16:59"))


def test_a_session_of_the_week_lasts_from_sunday_to_friday():
    week = Window(time(17), time(16), frozenset({weekday("sunday")}), weekday("friday"))
    schedule = Schedule([week], "America/New_York")
    opening = schedule.opening(utc("2026-11-18 12:00"))
    assert opening == Opening(utc("2026-11-15 22:00"), utc("2026-11-20 21:00"))
    assert not schedule.is_open(utc("2026-11-21 12:00"))
    assert not schedule.is_new_session(utc("2026-11-16 00:00"), utc("2026-11-20 20:00"))
    assert schedule.is_new_session(utc("2026-11-20 20:00"), utc("2026-11-23 00:00"))


def test_a_week_may_be_whole():
    schedule = Schedule([Window(time(17), time(17), frozenset({6}), 6)])
    assert schedule.opening(utc("2026-11-18 12:00")) == Opening(utc("2026-11-15 17:00"), utc("2026-11-22 17:00"))


def test_several_windows_a_day():
    schedule = Schedule([Window(time(9), time(12)), Window(time(13), time(18))])
    assert [schedule.is_open(utc(f"2026-11-20 {at}:30")) for at in ("08", "10", "12", "14", "18")] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert schedule.next_change(utc("2026-11-20 10:00")) == utc("2026-11-20 12:00")
    assert schedule.next_change(utc("2026-11-20 12:00")) == utc("2026-11-20 13:00")
    assert schedule.is_new_session(utc("2026-11-20 11:00"), utc("2026-11-20 13:00"))


def test_no_window_starts_on_a_holiday():
    schedule = daily("22:00", "21:00", holidays=[date(2026, 12, 25)])
    assert schedule.is_open(utc("2026-12-25 12:00"))  # the one of the 24th
    assert not schedule.is_open(utc("2026-12-25 22:00"))
    assert schedule.next_opening(utc("2026-12-25 12:00")).start == utc("2026-12-28 22:00")


def test_a_session_without_windows_never_ends():
    schedule = Schedule()
    assert schedule.is_open(utc("2026-11-21 12:00"))
    assert schedule.next_change(utc("2026-11-21 12:00")) is None
    assert not schedule.is_new_session(utc("2000-01-01 00:00"), utc("2026-11-21 12:00"))


def test_local_times_follow_the_change_of_the_clock():
    schedule = daily("08:00", "17:00", "Europe/London")
    assert schedule.opening(utc("2026-03-27 12:00")).start == utc("2026-03-27 08:00")
    assert schedule.opening(utc("2026-03-30 12:00")).start == utc("2026-03-30 07:00")


@pytest.mark.parametrize(("day", "hours"), [(28, 24), (29, 23), (30, 24)])
def test_a_day_in_which_the_clock_changes_is_shorter(day, hours):
    schedule = Schedule([Window(time(0), time(0))], "Europe/London")
    opening = schedule.opening(london(f"2026-03-{day} 12:00"))
    assert opening.end - opening.start == timedelta(hours=hours)


def test_a_time_that_the_clock_skips_comes_later_and_one_that_comes_twice_is_the_first():
    schedule = Schedule([Window(time(1, 30), time(12))], "Europe/London")
    assert schedule.opening(london("2026-03-29 11:00")).start == utc("2026-03-29 01:30")  # 02:30 local
    assert schedule.opening(london("2026-10-25 11:00")).start == utc("2026-10-25 00:30")  # before the change


def test_windows_that_overlap_are_refused():
    with pytest.raises(ConfigError, match=r"overlap: one that starts Monday 08:00 ends Monday 17:00"):
        Schedule([Window(time(8), time(17)), Window(time(16), time(18))])
    Schedule([Window(time(8), time(17)), Window(time(17), time(18))])


def test_what_is_no_zone_and_no_weekday_is_refused():
    with pytest.raises(ConfigError, match="'Europe/Atlantis' is not known"):
        Schedule([], "Europe/Atlantis")
    assert [weekday(name) for name in ("Mon", "tuesday", "su")] == [0, 1, 6]
    for name in ("t", "someday", ""):
        with pytest.raises(ConfigError, match="weekday"):
            weekday(name)


moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))
times = st.times().map(lambda at: at.replace(microsecond=0, tzinfo=None))


@given(times, times, moments, st.sampled_from(["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe"]))
def test_nothing_changes_before_the_next_change(start, end, at, zone):
    schedule = Schedule([Window(start, end, WORKDAYS)], zone)
    change = schedule.next_change(at)
    assert change > at
    before = schedule.opening(at)
    assert schedule.opening(at + (change - at) / 2) == before
    assert schedule.opening(change - timedelta(microseconds=1)) == before
    assert schedule.opening(change) != before


@given(times, times, moments, moments)
def test_numbers_start_over_once_in_each_opening(start, end, one, other):
    schedule = Schedule([Window(start, end)], "America/New_York")
    early, late = sorted((one, other))
    if schedule.is_open(late):
        same = schedule.opening(early) == schedule.opening(late)
        assert schedule.is_new_session(early, late) == (not same)
        assert not schedule.is_new_session(late, late)


@pytest.mark.parametrize(
    ("text", "at", "start", "end"),
    [
        ("Mon-Fri 07:00-17:30 UTC", "2026-11-20 12:00", "2026-11-20 07:00", "2026-11-20 17:30"),
        ("monday - friday 07:00 - 17:30 UTC", "2026-11-20 12:00", "2026-11-20 07:00", "2026-11-20 17:30"),
        ("Fri-Mon 07:00-08:00 UTC", "2026-11-22 07:30", "2026-11-22 07:00", "2026-11-22 08:00"),  # over the weekend
        ("Sat 07:00:30-08:00 UTC", "2026-11-21 07:30", "2026-11-21 07:00:30", "2026-11-21 08:00"),
        ("17:00-17:00 UTC", "2026-11-21 07:30", "2026-11-20 17:00", "2026-11-21 17:00"),
        (
            "Sun 17:00-Fri 16:00 America/New_York",
            "2026-11-18 12:00",
            "2026-11-15 22:00",
            "2026-11-20 21:00",
        ),
        (
            "Mon-Thu 07:00-17:30, Fri 07:00-16:00 Europe/London",
            "2026-07-03 14:00",
            "2026-07-03 06:00",
            "2026-07-03 15:00",
        ),
    ],
)
def test_a_schedule_is_read_from_its_text(text: str, at: str, start: str, end: str):
    assert parse_schedule(text).opening(utc(at)) == Opening(utc(start), utc(end))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Mon-Fri 07:00-17:30 Europe/London"),
        ("07:00-17:30", "a time zone"),
        ("Mon-Fri 07:00-17:30", "a time zone"),
        ("Mon-Fri 7-17 UTC", "window 'Mon-Fri 7-17'"),
        ("Mon-Fri 07:00-24:00 UTC", "'24:00'"),
        ("Mon-Fri 07:00-17:30 Europe/Lundon", "'Europe/Lundon' is not known"),
        ("Mon-Fri 07:00-17:30 Europe", "'Europe' is not known"),
        ("Mo-Frx 07:00-17:30 UTC", "weekday 'Frx'"),
        ("Mon-Tue 07:00-Fri 17:30 UTC", "starts on one"),
        ("Mon-Fri 07:00-17:30, Fri 16:00-18:00 UTC", "overlap"),
    ],
)
def test_a_wrong_text_is_refused_with_what_is_expected(text: str, says: str):
    with pytest.raises(ConfigError, match=re.escape(says)):
        parse_schedule(text)
