"""Checks of the clock: quick to read, and right. Pure over a Host and its probes."""

from __future__ import annotations

from gateway.doctor.aim import Aim
from gateway.doctor.finding import Check, Verdict, bad, ok, warn
from gateway.doctor.host import Host, UnreadableError, shown
from gateway.doctor.probes import ClockState

AREA = "clock"
SOURCE = "sys/devices/system/clocksource/clocksource0"
KEEPERS = ("chronyd", "ptp4l", "phc2sys", "ntpd", "systemd-timesyn")  # as /proc/PID/comm has them: 15 characters
MAX_OFFSET_US = 1000  # of the system's clock from UTC
CHRONY_OFFSET_COLUMN = 4  # of `chronyc -c tracking`: "System time", seconds
INSTALL = "apt install chrony && systemctl enable --now chrony"


def _source(host: Host, aim: Aim) -> Verdict:
    current = host.text(f"{SOURCE}/current_clocksource")
    if current == "tsc":
        return ok("tsc")
    available = host.text(f"{SOURCE}/available_clocksource").split()
    found = f"{shown(current)}; available: {', '.join(available)}"
    if "tsc" in available:
        return bad(found, f"echo tsc > /{SOURCE}/current_clocksource")
    fix = "dmesg | grep -i -e tsc -e clocksource   # why the kernel does not trust it"
    return (warn if host.is_virtual else bad)(found, fix)


def _synchronised(host: Host, aim: Aim) -> Verdict:
    keepers = [name for name in KEEPERS if name in host.running()]
    by = ", ".join(keepers) or "nobody that is visible here"
    offset_us = _chrony_offset_us(host) if "chronyd" in keepers else None
    state = host.probes.clock_state()
    found = f"kept by {by}; {_described(state, offset_us)}"
    if not state.synchronised:
        return bad(found, "chronyc waitsync 60 0.001" if "chronyd" in keepers else INSTALL)
    if offset_us is not None and offset_us > MAX_OFFSET_US:
        return warn(found, "chronyc makestep")
    return ok(found)


def _described(state: ClockState, offset_us: float | None) -> str:
    text = f"synchronised, error at most {state.max_error_us} us" if state.synchronised else "not synchronised"
    return text + ("" if offset_us is None else f", off by {offset_us:.0f} us")


def _chrony_offset_us(host: Host) -> float | None:
    """How far off chrony thinks the clock is; None: it does not tell."""
    try:
        return abs(float(host.probes.chrony_tracking().split(",")[CHRONY_OFFSET_COLUMN])) * 1e6
    except (UnreadableError, ValueError, IndexError):
        return None


CHECKS = (
    Check(
        AREA,
        "clock source",
        "tsc",
        "the time is read for every message: 20 ns with the processor's counter, a microsecond without",
        _source,
    ),
    Check(
        AREA,
        "synchronisation",
        f"by chrony or PTP, within {MAX_OFFSET_US} us",
        "SendingTime (52) is checked by the counterparty, and rules on clocks apply; latencies between hosts need it",
        _synchronised,
    ),
)
