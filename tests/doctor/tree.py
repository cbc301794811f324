"""A host of files in a directory, on which everything is as it should be, and probes that answer from a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.config import Address
from gateway.doctor.aim import Aim, PeerPath
from gateway.doctor.checks import CHECKS, examine_all
from gateway.doctor.finding import examine
from gateway.doctor.host import Host, UnreadableError
from gateway.doctor.probes import ClockState, Coalescing, Rings

CPU = "sys/devices/system/cpu"
LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max open files            65536                65536                files
Max locked memory         unlimited            unlimited            bytes
"""
FILES = {
    "proc/cmdline": "ro isolcpus=managed_irq,domain,2-3 nohz_full=2-3 rcu_nocbs=2-3 preempt=full",
    "proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu tsc\n",
    "proc/self/cgroup": "0::/user.slice/one\n",
    "sys/fs/cgroup/user.slice/cpuset.cpus.effective": "0-3",
    "proc/self/limits": LIMITS,
    "proc/77/comm": "chronyd",
    "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
    "proc/meminfo": "MemTotal: 1 kB\nHugePages_Free:       0\n",
    "proc/buddyinfo": "Node 0, zone   Normal   9 8 7 6 5 4 3 2 1 100 100\n",
    "proc/stat": "cpu  800 0 0 200 0 0 0 0 0 0\ncpu2 900 0 0 100 0 0 0 0 0 0\nctxt 1\n",
    "proc/net/route": "Iface\tDestination\tGateway\neth0\t00000000\t01\neth1\t0000000A\t00\n",
    "proc/irq/30/smp_affinity_list": "0-3",
    "proc/irq/30/effective_affinity_list": "0",
    "proc/irq/31/smp_affinity_list": "0-1",
    "proc/irq/31/eth0-rx/node": "",
    "proc/irq/default_smp_affinity": "f",
    "proc/sys/net/core/busy_poll": "50",
    "proc/sys/net/core/busy_read": "50",
    "proc/sys/net/core/rmem_max": "4194304",
    "proc/sys/net/core/wmem_max": "4194304",
    f"{CPU}/online": "0-3",
    f"{CPU}/isolated": "2-3",
    f"{CPU}/nohz_full": "2-3",
    f"{CPU}/smt/active": "0",
    f"{CPU}/cpu2/topology/thread_siblings_list": "2",
    f"{CPU}/cpu2/cpufreq/scaling_governor": "performance",
    f"{CPU}/cpu2/cpuidle/state0/name": "POLL",
    f"{CPU}/cpu2/cpuidle/state0/latency": "0",
    f"{CPU}/cpu2/cpuidle/state0/disable": "0",
    f"{CPU}/cpu2/cpuidle/state1/name": "C6",
    f"{CPU}/cpu2/cpuidle/state1/latency": "133",
    f"{CPU}/cpu2/cpuidle/state1/disable": "1",
    f"{CPU}/intel_pstate/no_turbo": "0",
    f"{CPU}/vulnerabilities/meltdown": "Not affected",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "sys/devices/system/node/node0/cpulist": "0-1",
    "sys/devices/system/node/node1/cpulist": "2-3",
    "sys/class/net/eth0/device/numa_node": "1",
    "sys/class/net/eth0/operstate": "up",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm",
}
AIM = Aim(
    cpu=2,
    busy_poll=True,
    data_dir=Path("/data"),
    paths=(PeerPath(Address("10.0.0.1", 7001), Address("10.0.0.2", 7001)),),
    receive_buffer=4 << 20,
    send_buffer=4 << 20,
    descriptors=1000,
    configured=True,
)
US = 1000


class FakeProbes:
    """Answers from its attributes; an answer that is an exception is raised."""

    def __init__(self, **changes):
        self.answers = {
            "path_mtu": 1500,
            "interface_towards": "eth0",
            "flush_times": [80 * US] * 100,
            "clock_state": ClockState(True, 500),
            "chrony_tracking": "A9FEA97B,time,3,1.0,0.000012,-0.000001,0.00001,1,2,3,4,5,64.0,Normal\n",
            "hardware_stamps": True,
            "coalescing": Coalescing(0, 0, False),
            "rings": Rings(4096, 4096, 4096, 4096),
        } | changes

    def __getattr__(self, name):
        def answer(*_):
            value = self.answers[name]
            if isinstance(value, Exception):
                raise value
            return value

        return answer


ALL_REFUSED = FakeProbes(**dict.fromkeys(FakeProbes().answers, UnreadableError("not here")))


def grow(root, files=None):
    """Writes FILES, changed by `files` (None: no such file), below an empty `root`."""
    for path, content in (FILES | (files or {})).items():
        if content is not None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def look(root, what, files=None, probes=None, process="self", **changes):
    """The finding of the check named `what` on a changed host, for a changed aim."""
    host = Host(grow(root, files), process, probes or FakeProbes())
    check = next(check for check in CHECKS if check.what == what)
    return examine(check, host, replace(AIM, **changes))


def look_at_all(root, aim=AIM, probes=None):
    """Every finding on the tree below `root` as it is."""
    return examine_all(Host(root, "self", probes or FakeProbes()), aim)
