"""Checks of the kernel, of limits and of the machine below. Pure over a Host."""

from __future__ import annotations

from gateway.doctor.aim import Aim
from gateway.doctor.cores import at_boot
from gateway.doctor.finding import Check, Verdict, bad, ok, unknown, warn
from gateway.doctor.host import Host, UnreadableError

AREA = "kernel"
PREEMPT = "sys/kernel/debug/sched/preempt"
VULNERABILITIES = "sys/devices/system/cpu/vulnerabilities"
# What makes each system call, or each return, dearer.
DEAR = ("PTI", "Clear CPU buffers", "untrained return thunk", "safe RET", "Mitigation: IBRS")
STEAL_COLUMN = 8  # of a line of /proc/stat, the name being 0
MAX_STEAL_OK, MAX_STEAL_WARN = 0.001, 0.01  # parts of the time since boot


def _preemption(host: Host, aim: Aim) -> Verdict:
    if host.exists("sys/kernel/realtime") and host.number("sys/kernel/realtime") == 1:
        return ok("PREEMPT_RT")
    mode = _mode(host)
    if mode is None:
        return unknown(f"/{PREEMPT} is for root, and the kernel's command line does not say", "full or voluntary")
    return warn(mode, f"echo full > /{PREEMPT}") if mode == "none" else ok(mode)


def _mode(host: Host) -> str | None:
    """none, voluntary, full or lazy: the one in parentheses of the debug file, else what was asked for at boot."""
    try:
        text = host.text(PREEMPT)
        return next((word.strip("()") for word in text.split() if word.startswith("(")), None)
    except UnreadableError:
        return host.kernel_options().get("preempt")


def _mitigations(host: Host, aim: Aim) -> Verdict:
    if host.kernel_options().get("mitigations") == "off":
        return ok("off: nothing that is not trusted may run here")
    dear = []
    for name in host.names(VULNERABILITIES):
        text = host.text(f"{VULNERABILITIES}/{name}")
        if text.startswith("Mitigation") and any(word in text for word in DEAR):
            dear.append(name)
    if not dear:
        return ok("none that makes a system call dearer")
    return warn(", ".join(dear), at_boot("mitigations=off") + "   # only where nothing else runs")


def _descriptors(host: Host, aim: Aim) -> Verdict:
    limit = host.limit("Max open files")
    wanted = f"at least {aim.descriptors}"
    if limit is None:
        return ok(f"unlimited, {host.whose}", wanted)
    found = f"{limit}, {host.whose}"
    fix = f"LimitNOFILE={aim.descriptors} in the unit, or: ulimit -n {aim.descriptors}"
    return ok(found, wanted) if limit >= aim.descriptors else bad(found, fix, wanted)


def _steal(host: Host, aim: Aim) -> Verdict:
    rows = {row[0]: row for row in (line.split() for line in host.text("proc/stat").splitlines()) if row}
    name = f"cpu{aim.cpu}" if aim.cpu is not None else "cpu"
    if name not in rows:
        raise UnreadableError(f"/proc/stat has no {name}")
    ticks = [int(value) for value in rows[name][1 : STEAL_COLUMN + 1]]
    if len(ticks) < STEAL_COLUMN or not sum(ticks):
        raise UnreadableError(f"/proc/stat does not tell what was stolen from {name}")
    part = ticks[STEAL_COLUMN - 1] / sum(ticks)
    found = f"{part:.2%} of {name} since boot" + (", a virtual machine" if host.is_virtual else "")
    fix = "use a host of your own, or an instance type with dedicated cores"
    if part <= MAX_STEAL_OK:
        return ok(found)
    return warn(found, fix) if part <= MAX_STEAL_WARN else bad(found, fix)


CHECKS = (
    Check(
        AREA,
        "preemption",
        "full, lazy, voluntary or PREEMPT_RT",
        "without it, a wake-up waits for whatever system call another runs on that core",
        _preemption,
    ),
    Check(
        AREA,
        "mitigations",
        "none that is dear, where nothing untrusted runs",
        "some add 100 ns and more to each system call; an order is two of them",
        _mitigations,
    ),
    Check(
        AREA,
        "open files limit",
        "room for every connection",
        "a connection that gets no descriptor is refused",
        _descriptors,
    ),
    Check(
        AREA,
        "steal",
        f"at most {MAX_STEAL_OK:.1%}",
        "time that the hypervisor gave to others: the reactor stands still, and a peer can look dead",
        _steal,
    ),
)
