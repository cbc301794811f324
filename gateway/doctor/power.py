"""Checks of clock frequency and idle states. Pure over a Host."""

from __future__ import annotations

import struct

from gateway.doctor.aim import Aim
from gateway.doctor.cores import CPU, text_of, watched
from gateway.doctor.finding import Check, Verdict, fault, ok, unknown, warn
from gateway.doctor.host import ONLINE, Host, UnreadableError, shown

AREA = "power"
MAX_EXIT_US = 2  # C1: what a wake-up may cost
DMA_LATENCY = "dev/cpu_dma_latency"


def _governor(host: Host, aim: Aim) -> Verdict:
    cores = watched(host, aim) or host.cores(ONLINE)
    there = [core for core in sorted(cores) if host.exists(f"{CPU}/cpu{core}/cpufreq/scaling_governor")]
    if not there:
        return unknown("no cpufreq here" + (": the host of this virtual machine decides" if host.is_virtual else ""))
    found = {core: host.text(f"{CPU}/cpu{core}/cpufreq/scaling_governor") for core in there}
    slow = frozenset(core for core, governor in found.items() if governor != "performance")
    if not slow:
        return ok(f"performance on {text_of(frozenset(there))}")
    names = ", ".join(sorted({shown(found[core]).strip("'") for core in slow}))
    return fault(aim, f"{names} on {text_of(slow)}", "cpupower frequency-set -g performance")


def _idle_states(host: Host, aim: Aim) -> Verdict:
    held = _held_latency_us(host)
    if held is not None and held <= MAX_EXIT_US:
        return ok(f"/dev/cpu_dma_latency holds {held} us")
    if host.kernel_options().get("idle") == "poll":
        return ok("idle=poll")
    cores = watched(host, aim) or host.cores(ONLINE)
    deep = {}
    seen = False
    for core in sorted(cores):
        for state in _states(host, core):
            seen = True
            path = f"{CPU}/cpu{core}/cpuidle/{state}"
            exit_us = host.number(f"{path}/latency")
            if exit_us > MAX_EXIT_US and not host.number(f"{path}/disable"):
                deep[host.text(f"{path}/name")] = exit_us
    if not seen:
        return unknown("no cpuidle here" + (": the host of this virtual machine decides" if host.is_virtual else ""))
    if not deep:
        return ok(f"nothing deeper than {MAX_EXIT_US} us")
    states = ", ".join(f"{name} ({exit_us} us)" for name, exit_us in sorted(deep.items(), key=lambda item: item[1]))
    return warn(f"allowed: {states}", f"cpupower idle-set -D {MAX_EXIT_US}")


def _states(host: Host, core: int) -> list[str]:
    path = f"{CPU}/cpu{core}/cpuidle"
    return [name for name in host.names(path) if name.startswith("state")] if host.exists(path) else []


def _held_latency_us(host: Host) -> int | None:
    """What someone who holds /dev/cpu_dma_latency open has asked for."""
    try:
        content = host.raw(DMA_LATENCY)
    except UnreadableError:
        return None  # for root alone; the states tell as well
    return int(struct.unpack("=i", content)[0]) if len(content) == 4 else None


def _turbo(host: Host, aim: Aim) -> Verdict:
    if host.exists(f"{CPU}/intel_pstate/no_turbo"):
        path, on, fix = f"{CPU}/intel_pstate/no_turbo", 0, f"echo 0 > /{CPU}/intel_pstate/no_turbo"
    elif host.exists(f"{CPU}/cpufreq/boost"):
        path, on, fix = f"{CPU}/cpufreq/boost", 1, f"echo 1 > /{CPU}/cpufreq/boost"
    else:
        return unknown("not told here" + (": the host of this virtual machine decides" if host.is_virtual else ""))
    return ok("on") if host.number(path) == on else warn("off", fix)


CHECKS = (
    Check(
        AREA,
        "frequency governor",
        "performance",
        "others lower the clock when it is quiet, and the first order after that pays",
        _governor,
    ),
    Check(
        AREA,
        "idle states",
        f"none with an exit latency above {MAX_EXIT_US} us",
        "a core that sleeps wakes up late: tens of microseconds; one that polls does not sleep",
        _idle_states,
    ),
    Check(AREA, "turbo", "on", "one thread's speed is what counts here", _turbo),
)
