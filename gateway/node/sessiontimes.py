"""What a session's times ask of the node at a moment: to be open or closed, and since when its numbers may be in use.

Pure: answers for moments that it is given. Whether numbers really start over is decided by the primary, from its log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

from gateway.config import Session
from gateway.fix.schedule import Schedule, Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NS_PER_US = 1000


class Order(IntEnum):
    """The schedule's commands of `session_command` (node.pxd)."""

    OPEN = 7
    CLOSE = 8
    START_OVER = 9


class Step(NamedTuple):
    """One command; `value`: of START_OVER, nanoseconds since the Unix epoch."""

    order: Order
    value: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """What a session is to be. `since`: numbers in use since before it start over."""

    is_open: bool
    since: datetime | None


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """The times of one session. `connects`: outside its windows it is logged out."""

    schedule: Schedule
    connects: bool

    @classmethod
    def of(cls, session: Session) -> SessionTimes | None:
        """From `schedule` or `reset_at` of the configuration; None: it has neither."""
        if session.windows is not None:
            return cls(session.windows, connects=True)
        if session.reset_at is None:
            return None
        at = session.reset_at.time
        return cls(Schedule([Window(at, at)], session.reset_at.zone.key), connects=False)

    def state(self, at: datetime) -> State:
        """What the session is to be at `at`."""
        opening = self.schedule.opening(at)
        is_open = opening is not None or not self.connects
        return State(is_open, opening.start if opening is not None else None)

    def steps(self, before: State | None, now: State) -> list[Step]:
        """What leads from one state (None: a node that starts) to another. Nothing, if they are the same: what an
        operator has done since stays."""
        if before == now:
            return []
        steps = [Step(Order.START_OVER, since_epoch_ns(now.since))] if now.since is not None else []
        if self.connects and (before is not None or not now.is_open):
            steps.append(Step(Order.OPEN if now.is_open else Order.CLOSE))
        return steps


def since_epoch_ns(at: datetime) -> int:
    """Nanoseconds since the Unix epoch, exact to the microsecond."""
    since = at - EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * NS_PER_US
