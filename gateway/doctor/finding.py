"""What a check is, and what it finds. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.doctor.aim import Aim
from gateway.doctor.host import Host, UnreadableError


class Status(StrEnum):
    """How good a thing is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """What a check saw. `wanted` goes before the check's own; `fix` is a command for a shell."""

    status: Status
    found: str
    fix: str = ""
    wanted: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. `judge` may raise UnreadableError: the verdict is `unknown` then."""

    area: str
    what: str
    wanted: str
    why: str
    judge: Callable[[Host, Aim], Verdict]


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the result."""

    area: str
    what: str
    status: Status
    found: str
    wanted: str
    why: str
    fix: str


def examine(check: Check, host: Host, aim: Aim) -> Finding:
    """The finding of one check. Nothing that the host shows makes it raise."""
    try:
        verdict = check.judge(host, aim)
    except UnreadableError as error:
        verdict = Verdict(Status.UNKNOWN, str(error))
    except (OSError, ValueError) as error:  # what no reader has foreseen is no reason to leave the other checks out
        verdict = Verdict(Status.UNKNOWN, f"cannot be read: {error}")
    fix = verdict.fix if verdict.status in (Status.WARN, Status.BAD) else ""
    return Finding(
        check.area, check.what, verdict.status, verdict.found, verdict.wanted or check.wanted, check.why, fix
    )


def ok(found: str, wanted: str = "") -> Verdict:
    """As it should be."""
    return Verdict(Status.OK, found, wanted=wanted)


def warn(found: str, fix: str, wanted: str = "") -> Verdict:
    """Costs latency or its evenness."""
    return Verdict(Status.WARN, found, fix, wanted)


def bad(found: str, fix: str, wanted: str = "") -> Verdict:
    """At odds with what the configuration asks for."""
    return Verdict(Status.BAD, found, fix, wanted)


def fault(aim: Aim, found: str, fix: str, wanted: str = "") -> Verdict:
    """Bad where a core is given to a busy-polling reactor, a warning elsewhere."""
    return Verdict(Status.BAD if aim.polls_on_its_core else Status.WARN, found, fix, wanted)


def unknown(why: str, wanted: str = "") -> Verdict:
    """Cannot be told here."""
    return Verdict(Status.UNKNOWN, why, wanted=wanted)
