"""Checks of the cores: is the reactor's one its own? Pure over a Host."""

from __future__ import annotations

from gateway.doctor.aim import Aim
from gateway.doctor.finding import Check, Verdict, bad, fault, ok, unknown, warn
from gateway.doctor.host import ONLINE, Host, UnreadableError, core_list

AREA = "cores"
CPU = "sys/devices/system/cpu"


def watched(host: Host, aim: Aim) -> frozenset[int]:
    """The cores that must be quiet: the configured one, or else those that are isolated."""
    if aim.cpu is not None:
        return frozenset({aim.cpu})
    try:
        return isolated_cores(host)
    except UnreadableError:
        return frozenset()


def isolated_cores(host: Host) -> frozenset[int]:
    """Cores without load balancing: of isolcpus, or of isolated partitions (cgroup 2)."""
    cores = host.cores(f"{CPU}/isolated")
    try:
        return cores | host.cores("sys/fs/cgroup/cpuset.cpus.isolated")
    except UnreadableError:
        return cores  # older than Linux 6.7, or no cgroup 2


def at_boot(option: str) -> str:
    """The command that adds an option to the kernel's command line, with Debian's GRUB."""
    return f"sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{option} /' /etc/default/grub && update-grub && reboot"


def text_of(cores: frozenset[int]) -> str:
    """Cores as people read them."""
    return ", ".join(map(str, sorted(cores))) or "none"


def _pinned(host: Host, aim: Aim) -> Verdict:
    if aim.cpu is None:
        fix = 'set `cpu` of the node to an isolated core, with reactor = "busy-poll", in the configuration'
        return warn("no core is configured", fix)
    online = host.cores(ONLINE)
    if aim.cpu not in online:
        fix = f"echo 1 > /{CPU}/cpu{aim.cpu}/online, or set `cpu` of the node to one of: {text_of(online)}"
        return bad(f"core {aim.cpu} is not on line; on line: {text_of(online)}", fix)
    allowed = _cpuset(host)
    if aim.cpu not in allowed:
        fix = f"systemctl set-property --runtime gateway.service AllowedCPUs={aim.cpu}, or take it into the cpuset"
        return bad(f"core {aim.cpu} is not in the cpuset {host.whose}: {text_of(allowed)}", fix)
    return ok(f"core {aim.cpu}, allowed")


def _cpuset(host: Host) -> frozenset[int]:
    """Where the process may be pinned. Its affinity is no limit to that (and leaves isolated cores out)."""
    for line in host.text(f"proc/{host.process}/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            tops, name = ["sys/fs/cgroup", "sys/fs/cgroup/unified"], "cpuset.cpus.effective"
        elif "cpuset" in controllers.split(","):
            tops, name = ["sys/fs/cgroup/cpuset"], "cpuset.effective_cpus"
        else:
            continue
        for top in tops:
            if (file := _nearest(host, top, path, name)) is not None:
                return host.cores(file)
    raise UnreadableError("no cpuset can be read here")


def _nearest(host: Host, top: str, path: str, name: str) -> str | None:
    """The file of a cgroup, or of the nearest above that has one (in a container, its own is shown as the root)."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        file = "/".join([top, *parts[:depth], name])
        if host.exists(file):
            return file
    return None


def _isolated(host: Host, aim: Aim) -> Verdict:
    isolated = isolated_cores(host)
    if aim.cpu is None:
        if isolated:
            return ok(f"isolated: {text_of(isolated)}")
        return warn("no core is isolated", at_boot("isolcpus=managed_irq,domain,N"))
    if aim.cpu in isolated:
        return ok(f"core {aim.cpu} is isolated")
    found = f"core {aim.cpu} is not isolated; isolated: {text_of(isolated)}"
    return fault(aim, found, at_boot(f"isolcpus=managed_irq,domain,{aim.cpu}"))


def _tickless(host: Host, aim: Aim) -> Verdict:
    cores = host.cores(f"{CPU}/nohz_full") if host.exists(f"{CPU}/nohz_full") else frozenset()
    if (aim.cpu is None and cores) or aim.cpu in cores:
        return ok(f"without a tick: {text_of(cores)}")
    number = "N" if aim.cpu is None else aim.cpu
    return fault(aim, f"without a tick: {text_of(cores)}", at_boot(f"nohz_full={number}"))


def _callbacks(host: Host, aim: Aim) -> Verdict:
    options = host.kernel_options()
    told = options.get("rcu_nocbs", options.get("nohz_full", ""))  # nohz_full takes its cores along
    if told == "all":
        return ok("rcu_nocbs=all")
    try:
        cores = core_list(told)
    except ValueError as error:
        raise UnreadableError(f"/proc/cmdline: rcu_nocbs: {error}") from None
    if (aim.cpu is None and cores) or aim.cpu in cores:
        return ok(f"elsewhere for: {text_of(cores)}")
    number = "N" if aim.cpu is None else aim.cpu
    return fault(aim, f"elsewhere for: {text_of(cores)}", at_boot(f"rcu_nocbs={number}"))


def _siblings(host: Host, aim: Aim) -> Verdict:
    if aim.cpu is None:
        active = host.number(f"{CPU}/smt/active")
        return warn("SMT is on", "echo off > /sys/devices/system/cpu/smt/control") if active else ok("SMT is off")
    path = f"{CPU}/cpu{aim.cpu}/topology/thread_siblings_list"
    if not host.exists(f"{CPU}/cpu{aim.cpu}"):
        return unknown(f"there is no core {aim.cpu} here")
    others = host.cores(path) - {aim.cpu}
    if not others:
        return ok(f"core {aim.cpu} has no sibling")
    fix = "; ".join(f"echo 0 > /sys/devices/system/cpu/cpu{core}/online" for core in sorted(others))
    return fault(aim, f"core {aim.cpu} shares its units with {text_of(others)}", fix)


CHECKS = (
    Check(
        AREA,
        "core of the reactor",
        "`cpu` configured, on line, and in the cpuset",
        "a thread that moves finds cold caches; a node does not start on a core that it may not have",
        _pinned,
    ),
    Check(
        AREA,
        "isolation",
        "the reactor's core is isolated",
        "the scheduler puts nothing else there",
        _isolated,
    ),
    Check(
        AREA,
        "timer tick",
        "nohz_full for the reactor's core",
        "a tick takes some microseconds, 100 to 1000 times a second",
        _tickless,
    ),
    Check(
        AREA,
        "RCU callbacks",
        "rcu_nocbs for the reactor's core",
        "the kernel frees its memory there otherwise, when it likes",
        _callbacks,
    ),
    Check(
        AREA,
        "SMT sibling",
        "none, or off line",
        "two threads of a core share its caches and units: what runs beside costs up to half of the speed",
        _siblings,
    ),
)
