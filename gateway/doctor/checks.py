"""All checks, in the order in which they are told."""

from __future__ import annotations

from gateway.doctor import card, clock, cores, disk, interrupts, kernel, memory, network, power
from gateway.doctor.aim import Aim
from gateway.doctor.finding import Check, Finding, examine
from gateway.doctor.host import Host

AREAS = (cores, power, interrupts, memory, clock, kernel, network, card, disk)
CHECKS: tuple[Check, ...] = tuple(check for area in AREAS for check in area.CHECKS)


def examine_all(host: Host, aim: Aim) -> list[Finding]:
    """What every check finds."""
    return [examine(check, host, aim) for check in CHECKS]
