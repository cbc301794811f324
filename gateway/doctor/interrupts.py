"""Checks of interrupts: who takes the reactor's core away? Pure over a Host."""

from __future__ import annotations

from gateway.doctor.aim import Aim
from gateway.doctor.cores import isolated_cores, text_of, watched
from gateway.doctor.finding import Check, Verdict, fault, ok, unknown, warn
from gateway.doctor.host import ONLINE, Host, UnreadableError

AREA = "interrupts"
MAX_NAMED = 4


def _affinity(host: Host, aim: Aim) -> Verdict:
    cores = watched(host, aim)
    if not cores:
        return unknown("no core is configured or isolated: nothing to keep them away from")
    here: list[str] = []
    readable = 0
    for number in (name for name in host.names("proc/irq") if name.isdecimal()):
        try:
            reached = _reached(host, number)
        except UnreadableError:
            continue
        readable += 1
        if reached & cores:
            here.append(_named(host, number))
    if not readable:
        return unknown("no affinity in /proc/irq can be read here")
    if not here:
        return ok(f"none of {readable} on core {text_of(cores)}")
    more = f" and {len(here) - MAX_NAMED} more" if len(here) > MAX_NAMED else ""
    return fault(aim, f"on core {text_of(cores)}: {', '.join(here[:MAX_NAMED])}{more}", _move(host, cores))


def _reached(host: Host, number: str) -> frozenset[int]:
    """Where an interrupt goes: to all cores that it may go to, if the kernel does not tell which it has chosen."""
    effective = f"proc/irq/{number}/effective_affinity_list"
    if host.exists(effective) and (cores := host.cores(effective)):
        return cores
    return host.cores(f"proc/irq/{number}/smp_affinity_list")


def _named(host: Host, number: str) -> str:
    """`36 (eth0-rx)`: a directory of each handler's name is in /proc/irq/N."""
    try:
        handlers = [name for name in host.names(f"proc/irq/{number}") if host.is_directory(f"proc/irq/{number}/{name}")]
    except UnreadableError:
        handlers = []
    return f"{number} ({', '.join(handlers)})" if handlers else number


def _move(host: Host, cores: frozenset[int]) -> str:
    try:
        rest = host.cores(ONLINE) - cores
    except UnreadableError:
        rest = frozenset()
    target = ",".join(map(str, sorted(rest))) or "OTHERS"
    return f"for f in /proc/irq/*/smp_affinity_list; do echo {target} > $f; done"


def _balancer(host: Host, aim: Aim) -> Verdict:
    if "irqbalance" not in host.running():
        return ok("irqbalance does not run")
    cores = watched(host, aim)
    if cores and cores <= isolated_cores(host):
        return ok("irqbalance runs, and leaves isolated cores alone")
    fix = "systemctl disable --now irqbalance"
    if not cores:
        return warn("irqbalance runs, and no core is isolated", fix)
    return fault(aim, f"irqbalance runs, and core {text_of(cores)} is not isolated", fix)


CHECKS = (
    Check(
        AREA,
        "interrupts on the core",
        "none",
        "each stops the reactor for some microseconds, and empties its caches",
        _affinity,
    ),
    Check(
        AREA,
        "irqbalance",
        "off, or kept away by isolation",
        "it moves interrupts to the core that looks idle",
        _balancer,
    ),
)
