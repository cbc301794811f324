"""When a session is open: daily and weekly windows in a time zone, holidays, and sessions that never end.

Answers for a moment that it is given; reads no clock. Times of a window are local: a day with a change of the clock is
an hour shorter or longer; a time that the change skips (02:30) comes as much later (03:30), one that comes twice is the
first.

As text: `Mon-Fri 07:00-17:30 Europe/London`, `Sun 17:00-Fri 16:00 America/New_York`, `17:00-17:00 UTC` (every day, and
the whole day); several windows with commas: `Mon-Thu 07:00-17:30, Fri 07:00-16:00 Europe/London`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.errors import ConfigError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = timedelta(days=1)
WEEK_DAYS = 7
LOOK_AHEAD_DAYS = 400  # holidays may close a session for long, but not for ever
_CLOCK = r"\d{2}:\d{2}(?::\d{2})?"
_WINDOW = re.compile(
    rf"(?:(?P<first>[A-Za-z]+)(?:\s*-\s*(?P<last>[A-Za-z]+))?\s+)?(?P<start>{_CLOCK})\s*-\s*"
    rf"(?:(?P<end_day>[A-Za-z]+)\s+)?(?P<end>{_CLOCK})"
)
EXPECTED = (
    'days, times and a time zone, such as "Mon-Fri 07:00-17:30 Europe/London", '
    '"Sun 17:00-Fri 16:00 America/New_York" or "17:00-17:00 UTC"'
)


@dataclass(frozen=True, slots=True)
class Window:
    """One window that comes again: from a local time on each of `days` to the next `end` behind it.

    `days`: weekdays, 0 is Monday. `end_day`: weekday of the end, for windows longer than a day. `end` equal to `start`
    is a whole day or, with `end_day`, a whole week.
    """

    start: time
    end: time
    days: frozenset[int] = frozenset(range(WEEK_DAYS))
    end_day: int | None = None

    def on(self, day: date, zone: tzinfo) -> Opening | None:
        """The window that starts on a local day, if one does."""
        if day.weekday() not in self.days:
            return None
        if self.end_day is None:
            last = day if self.end > self.start else day + DAY
        else:
            ahead = (self.end_day - day.weekday()) % WEEK_DAYS
            if ahead == 0 and self.end <= self.start:
                ahead = WEEK_DAYS
            last = day + ahead * DAY
        return Opening(_moment(day, self.start, zone), _moment(last, self.end, zone))


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """One time that the session is open: from `start` (inclusive) to `end` (exclusive), in UTC."""

    start: datetime
    end: datetime


class Schedule:
    """Windows of one session. Without windows it never ends.

    A holiday is a local day on which no window starts. Raises ConfigError for an unknown time zone, or windows that
    overlap.
    """

    def __init__(self, windows: Iterable[Window] = (), zone: str = "UTC", holidays: Iterable[date] = ()) -> None:
        try:
            self._zone: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(f"time zone {zone!r} is not known; a name such as Europe/London is expected") from None
        self._windows = tuple(windows)
        self._holidays = frozenset(holidays)
        self._reach = 2 * WEEK_DAYS if any(w.end_day is not None for w in self._windows) else 2
        self._check_overlap()

    @property
    def is_non_stop(self) -> bool:
        """Whether the session never ends."""
        return not self._windows

    def opening(self, at: datetime) -> Opening | None:
        """The opening that `at` lies in; None: closed, or non-stop."""
        day = at.astimezone(self._zone).date()
        return next(
            (o for o in self._openings(day - self._reach * DAY, self._reach + 2) if o.start <= at < o.end), None
        )

    def is_open(self, at: datetime) -> bool:
        """Whether the session is to be connected."""
        return self.is_non_stop or self.opening(at) is not None

    def next_opening(self, at: datetime) -> Opening | None:
        """The first opening that starts after `at`. None: non-stop, or none within LOOK_AHEAD_DAYS."""
        day = at.astimezone(self._zone).date()
        return next((o for o in self._openings(day - DAY, LOOK_AHEAD_DAYS) if o.start > at), None)

    def next_change(self, at: datetime) -> datetime | None:
        """When the answer of `is_open`, or the opening, is another. None: never."""
        here, following = self.opening(at), self.next_opening(at)
        moments = [o for o in (here.end if here else None, following.start if following else None) if o is not None]
        return min(moments, default=None)

    def is_new_session(self, last_active: datetime, at: datetime) -> bool:
        """Whether numbers start over at `at`: it lies in an opening that `last_active`, when the session was last
        active or reset, was not in. A session that was active before this opening began is of an earlier one."""
        opening = self.opening(at)
        return opening is not None and last_active < opening.start

    def _openings(self, first: date, days: int) -> Iterator[Opening]:
        """In order of their start."""
        for offset in range(days):
            day = first + offset * DAY
            if day not in self._holidays:
                yield from sorted(filter(None, (window.on(day, self._zone) for window in self._windows)))

    def _check_overlap(self) -> None:
        monday = date(2024, 1, 1)  # any fortnight without a change of the clock
        openings = sorted(
            o for w in self._windows for n in range(3 * WEEK_DAYS) if (o := w.on(monday + n * DAY, UTC)) is not None
        )
        for one, other in pairwise(openings):
            if other.start < one.end:
                raise ConfigError(
                    f"windows overlap: one that starts {one.start:%A %H:%M} ends {one.end:%A %H:%M}, "
                    f"and another starts {other.start:%A %H:%M}"
                )


def weekday(name: str) -> int:
    """0 for Monday. Raises ConfigError."""
    matches = [number for number, full in enumerate(WEEKDAYS) if len(name) >= 2 and full.startswith(name.lower())]
    if len(matches) != 1:
        raise ConfigError(f"weekday {name!r}: one of {', '.join(WEEKDAYS)}")
    return matches[0]


def _moment(day: date, at: time, zone: tzinfo) -> datetime:
    """A local time in UTC."""
    return datetime.combine(day, at, zone).astimezone(UTC)


def parse_schedule(text: str, holidays: Iterable[date] = ()) -> Schedule:
    """A schedule from its text (see above). Raises ConfigError: what is wrong, and what is expected."""
    windows, _, zone = text.strip().rpartition(" ")
    if not windows or ":" in zone:
        raise ConfigError(f"schedule {text!r}: {EXPECTED}")
    return Schedule([_window(part.strip()) for part in windows.split(",")], zone, holidays)


def _window(text: str) -> Window:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ConfigError(f"window {text!r}: {EXPECTED}")
    days = frozenset(range(WEEK_DAYS))
    if match["first"]:
        first = weekday(match["first"])
        last = weekday(match["last"]) if match["last"] else first
        days = frozenset((first + n) % WEEK_DAYS for n in range((last - first) % WEEK_DAYS + 1))
    if match["end_day"] and len(days) != 1:
        raise ConfigError(f"window {text!r}: one that ends on a weekday starts on one, as in Sun 17:00-Fri 16:00")
    end_day = weekday(match["end_day"]) if match["end_day"] else None
    return Window(_clock(match["start"]), _clock(match["end"]), days, end_day)


def _clock(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"time of day {text!r}: 00:00 to 23:59") from None
