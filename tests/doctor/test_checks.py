"""Each check on a host that is as it should be, on one that is not, and on one that does not tell."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gateway.config import Address
from gateway.doctor.aim import Aim, PeerPath
from gateway.doctor.checks import CHECKS
from gateway.doctor.finding import Status
from gateway.doctor.host import UnreadableError
from gateway.doctor.probes import ClockState, Coalescing, Rings

from .tree import ALL_REFUSED, CPU, FILES, LIMITS, US, FakeProbes, grow, look, look_at_all

OK, WARN, BAD, UNKNOWN = Status.OK, Status.WARN, Status.BAD, Status.UNKNOWN
SOURCE = "sys/devices/system/clocksource/clocksource0"
THP = "sys/kernel/mm/transparent_hugepage/enabled"
PREEMPT = "sys/kernel/debug/sched/preempt"
NODE = "sys/devices/system/node"
NET = "proc/sys/net/core"
GUEST = {"proc/cpuinfo": "flags : fpu hypervisor\n"}


def test_a_host_that_is_as_it_should_be_passes_every_check(tmp_path):
    found = look_at_all(grow(tmp_path))
    assert [(f.what, f.found) for f in found if f.status is not OK] == []
    assert not any(f.fix for f in found)
    assert all(f.wanted and f.why for f in found)


def test_every_check_has_a_name_of_its_own():
    assert len({check.what for check in CHECKS}) == len(CHECKS)


def test_every_check_is_explained_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "host.md").read_text()
    assert [check.what for check in CHECKS if f"\n| {check.what} |" not in page] == []


# check, changed files, status, part of what was found, part of the command
FILES_THAT_ARE_WRONG = [
    ("core of the reactor", {f"{CPU}/online": "0-1,3"}, BAD, "not on line", "cpu2/online"),
    ("core of the reactor", {"sys/fs/cgroup/user.slice/cpuset.cpus.effective": "0-1"}, BAD, "0, 1", "AllowedCPUs=2"),
    (
        "core of the reactor",
        {"proc/self/cgroup": "4:cpu,cpuset:/x\n", "sys/fs/cgroup/cpuset/x/cpuset.effective_cpus": "3"},
        BAD,
        "3",
        "AllowedCPUs=2",
    ),
    ("isolation", {f"{CPU}/isolated": "3"}, BAD, "core 2 is not isolated", "isolcpus=managed_irq,domain,2"),
    ("timer tick", {f"{CPU}/nohz_full": "(null)"}, BAD, "none", "nohz_full=2"),
    ("timer tick", {f"{CPU}/nohz_full": None}, BAD, "none", "nohz_full=2"),
    ("RCU callbacks", {"proc/cmdline": "quiet"}, BAD, "none", "rcu_nocbs=2"),
    ("RCU callbacks", {"proc/cmdline": "nohz_full=2 rcu_nocbs=3"}, BAD, "3", "rcu_nocbs=2"),
    ("SMT sibling", {f"{CPU}/cpu2/topology/thread_siblings_list": "2,6"}, BAD, "6", "cpu6/online"),
    ("frequency governor", {f"{CPU}/cpu2/cpufreq/scaling_governor": "powersave"}, BAD, "powersave on 2", "performance"),
    ("idle states", {f"{CPU}/cpu2/cpuidle/state1/disable": "0"}, WARN, "C6 (133 us)", "idle-set -D 2"),
    ("turbo", {f"{CPU}/intel_pstate/no_turbo": "1"}, WARN, "off", "no_turbo"),
    ("turbo", {f"{CPU}/intel_pstate/no_turbo": None, f"{CPU}/cpufreq/boost": "0"}, WARN, "off", "echo 1"),
    ("interrupts on the core", {"proc/irq/31/smp_affinity_list": "1-2"}, BAD, "31 (eth0-rx)", "echo 0,1,3"),
    ("irqbalance", {"proc/78/comm": "irqbalance", f"{CPU}/isolated": ""}, BAD, "not isolated", "disable --now"),
    ("swap", {"proc/swaps": "Filename Type\n/dev/sda2 partition 1 0 -2\n"}, BAD, "/dev/sda2", "swapoff -a"),
    ("locked memory limit", {"proc/self/limits": "Max locked memory 65536 65536 bytes"}, WARN, "64 KiB", "MEMLOCK"),
    ("transparent huge pages", {THP: "[always] madvise never"}, WARN, "always", "echo madvise"),
    ("transparent huge pages", {THP: "always madvise [never]"}, WARN, "never", "echo madvise"),
    ("free huge pages", {"proc/buddyinfo": "Node 0, zone Normal 9 9 9 9 9 9 9 9 9 1 1"}, WARN, "6 MiB", "compact"),
    ("NUMA", {"sys/class/net/eth0/device/numa_node": "0"}, BAD, "eth0 on node 0", "0,1"),
    ("clock source", {f"{SOURCE}/current_clocksource": "hpet"}, BAD, "hpet", "echo tsc"),
    (
        "clock source",
        {f"{SOURCE}/current_clocksource": "xen", f"{SOURCE}/available_clocksource": "xen"},
        BAD,
        "",
        "dmesg",
    ),
    ("preemption", {"proc/cmdline": "preempt=none"}, WARN, "none", "echo full"),
    ("preemption", {PREEMPT: "(none) voluntary full"}, WARN, "none", "echo full"),
    ("mitigations", {f"{CPU}/vulnerabilities/meltdown": "Mitigation: PTI"}, WARN, "meltdown", "mitigations=off"),
    ("open files limit", {"proc/self/limits": "Max open files 256 256 files"}, BAD, "256", "LimitNOFILE=1000"),
    ("steal", {"proc/stat": "cpu2 99 0 0 890 0 0 0 11 0 0"}, BAD, "1.10%", "dedicated"),
    ("steal", {"proc/stat": "cpu2 99 0 0 896 0 0 0 5 0 0"}, WARN, "0.50%", "dedicated"),
    ("net.core.busy_poll", {f"{NET}/busy_poll": "0"}, WARN, "0", "sysctl -w net.core.busy_poll=50"),
    ("net.core.busy_read", {f"{NET}/busy_read": "0"}, WARN, "0", "sysctl -w net.core.busy_read=50"),
    ("net.core.rmem_max", {f"{NET}/rmem_max": "212992"}, BAD, "212992", "net.core.rmem_max=4194304"),
    ("net.core.wmem_max", {f"{NET}/wmem_max": "212992"}, BAD, "212992", "net.core.wmem_max=4194304"),
    ("link", {"sys/class/net/eth0/operstate": "down"}, BAD, "eth0: down", "ip link set eth0 up"),
]


@pytest.mark.parametrize(("what", "files", "status", "found", "fix"), FILES_THAT_ARE_WRONG)
def test_what_is_wrong_is_found_and_the_command_named(tmp_path, what, files, status, found, fix):
    finding = look(tmp_path, what, files)
    assert finding.status is status
    assert found in finding.found
    assert fix in finding.fix


# check, changed answers, status, part of what was found, part of the command
ANSWERS_THAT_ARE_WRONG = [
    ("synchronisation", {"clock_state": ClockState(False, 16_000_000)}, BAD, "not synchronised", "chronyc waitsync"),
    ("synchronisation", {"chrony_tracking": "A,b,3,1.0,-0.0042,0,0"}, WARN, "off by 4200 us", "chronyc makestep"),
    ("path MTU to the peer", {"path_mtu": 1427}, BAD, "1427 to 10.0.0.2", "replication.datagram_bytes = 1399"),
    ("hardware time stamps", {"hardware_stamps": False}, WARN, "eth0: no", "1588"),
    ("interrupt coalescing", {"coalescing": Coalescing(50, 50, False)}, WARN, "rx 50 us", "rx-usecs 0"),
    ("interrupt coalescing", {"coalescing": Coalescing(0, 0, True)}, WARN, "adaptive", "adaptive-rx off"),
    ("rings", {"rings": Rings(256, 4096, 256, 4096)}, WARN, "rx 256 of 4096", "ethtool -G eth0 rx 512"),
    ("flush of data_dir", {"flush_times": [11_000 * US] * 10}, BAD, "11000 us p99", "NVMe"),
    ("flush of data_dir", {"flush_times": [1 * US] * 10}, WARN, "in memory", "NVMe"),
]


@pytest.mark.parametrize(("what", "answers", "status", "found", "fix"), ANSWERS_THAT_ARE_WRONG)
def test_what_is_measured_wrong_is_found(tmp_path, what, answers, status, found, fix):
    finding = look(tmp_path, what, probes=FakeProbes(**answers))
    assert finding.status is status
    assert found in finding.found
    assert fix in finding.fix


# check, changed files, part of what was found: other ways of being right
FILES_THAT_ARE_RIGHT = [
    (
        "core of the reactor",
        {"proc/self/cgroup": "0::/../../elsewhere", "sys/fs/cgroup/cpuset.cpus.effective": "2"},
        "",
    ),
    (
        "core of the reactor",
        {"proc/self/cgroup": "1:cpuset:/\n0::/", "sys/fs/cgroup/cpuset/cpuset.effective_cpus": "2"},
        "allowed",
    ),
    ("isolation", {f"{CPU}/isolated": "", "sys/fs/cgroup/cpuset.cpus.isolated": "2"}, "core 2 is isolated"),
    ("RCU callbacks", {"proc/cmdline": "rcu_nocbs=all"}, "all"),
    ("RCU callbacks", {"proc/cmdline": "nohz_full=2-3"}, "2, 3"),
    ("idle states", {f"{CPU}/cpu2/cpuidle/state1/disable": "0", "proc/cmdline": "idle=poll"}, "idle=poll"),
    (
        "idle states",
        {f"{CPU}/cpu2/cpuidle/state1/disable": "0", "dev/cpu_dma_latency": struct.pack("=i", 0)},
        "holds 0 us",
    ),
    ("turbo", {f"{CPU}/intel_pstate/no_turbo": None, f"{CPU}/cpufreq/boost": "1"}, "on"),
    ("irqbalance", {"proc/78/comm": "irqbalance"}, "leaves isolated cores alone"),
    ("NUMA", {f"{NODE}/node1/cpulist": None, f"{NODE}/node0/cpulist": "0-3"}, "one node"),
    ("NUMA", {"sys/class/net/eth0/device/numa_node": "-1"}, "no card tells"),
    ("preemption", {"sys/kernel/realtime": "1"}, "PREEMPT_RT"),
    ("preemption", {PREEMPT: "none voluntary (full) lazy", "proc/cmdline": ""}, "full"),
    ("mitigations", {"proc/cmdline": "mitigations=off"}, "off"),
    ("mitigations", {f"{CPU}/vulnerabilities/meltdown": "Mitigation: Enhanced / Automatic IBRS"}, "none"),
    ("open files limit", {"proc/self/limits": "Max open files unlimited unlimited files"}, "unlimited"),
    ("locked memory limit", {"proc/self/limits": "Max locked memory 1073741824 1 bytes"}, "1048576 KiB"),
    ("free huge pages", {"proc/meminfo": "HugePages_Free: 12\n"}, "12 reserved pages"),
]


@pytest.mark.parametrize(("what", "files", "found"), FILES_THAT_ARE_RIGHT)
def test_other_ways_of_being_right_are_known(tmp_path, what, files, found):
    finding = look(tmp_path, what, files)
    assert (finding.status, finding.fix) == (OK, "")
    assert found in finding.found


NOTHING_READABLE = [
    ("core of the reactor", {"proc/self/cgroup": None}),
    ("core of the reactor", {"proc/self/cgroup": "nothing"}),
    ("core of the reactor", {"sys/fs/cgroup/user.slice/cpuset.cpus.effective": "some"}),
    ("core of the reactor", {"sys/fs/cgroup/user.slice/cpuset.cpus.effective": None}),
    ("isolation", {f"{CPU}/isolated": None}),
    ("isolation", {f"{CPU}/isolated": "2-x"}),
    ("timer tick", {f"{CPU}/nohz_full": "all of them"}),
    ("RCU callbacks", {"proc/cmdline": "rcu_nocbs=0-31:2/4"}),
    ("RCU callbacks", {"proc/cmdline": None}),
    ("SMT sibling", {f"{CPU}/cpu2/topology/thread_siblings_list": "2;6"}),
    ("SMT sibling", {f"{CPU}/cpu2/topology/thread_siblings_list": None}),
    ("frequency governor", {f"{CPU}/cpu2/cpufreq/scaling_governor": None}),
    ("idle states", {f"{CPU}/cpu2/cpuidle/state1/latency": "long"}),
    ("turbo", {f"{CPU}/intel_pstate/no_turbo": None}),
    ("turbo", {f"{CPU}/intel_pstate/no_turbo": "maybe"}),
    ("interrupts on the core", {name: None for name in FILES if name.startswith("proc/irq")}),
    ("swap", {"proc/swaps": None}),
    ("locked memory limit", {"proc/self/limits": "Max locked memory"}),
    ("transparent huge pages", {THP: "always madvise never"}),
    ("transparent huge pages", {THP: None}),
    ("free huge pages", {"proc/buddyinfo": "Node 0, zone Normal many"}),
    ("NUMA", {f"{NODE}/node0/cpulist": "??"}),
    ("clock source", {f"{SOURCE}/current_clocksource": None}),
    ("preemption", {"proc/cmdline": "quiet"}),
    ("mitigations", {f"{CPU}/vulnerabilities/meltdown": None}),
    ("open files limit", {"proc/self/limits": "Max open files several"}),
    ("open files limit", {"proc/self/limits": None}),
    ("steal", {"proc/stat": "cpu 1 2 3"}),
    ("steal", {"proc/stat": "cpu2 1 2 3"}),
    ("steal", {"proc/stat": "cpu2 a b c d e f g h"}),
    ("net.core.busy_poll", {f"{NET}/busy_poll": ""}),
    ("net.core.rmem_max", {f"{NET}/rmem_max": None}),
    ("link", {"sys/class/net/eth0/operstate": "unknown"}),
    ("link", {"sys/class/net/eth0/operstate": None}),
]


@pytest.mark.parametrize(("what", "files"), NOTHING_READABLE)
def test_what_is_absent_or_garbled_is_unknown_and_says_why(tmp_path, what, files):
    finding = look(tmp_path, what, files)
    assert (finding.status, finding.fix) == (UNKNOWN, "")
    assert finding.found


@pytest.mark.parametrize(
    "what",
    [
        "synchronisation",
        "path MTU to the peer",
        "hardware time stamps",
        "interrupt coalescing",
        "rings",
        "flush of data_dir",
    ],
)
def test_a_probe_that_is_refused_is_unknown(tmp_path, what):
    finding = look(tmp_path, what, probes=ALL_REFUSED)
    assert (finding.status, finding.found) == (UNKNOWN, "not here")


def test_a_guest_without_power_management_is_told_who_decides(tmp_path):
    missing = {name: None for name in FILES if "cpufreq" in name or "cpuidle" in name or "pstate" in name}
    for number, what in enumerate(("frequency governor", "idle states", "turbo")):
        finding = look(tmp_path / str(number), what, GUEST | missing)
        assert finding.status is UNKNOWN
        assert "virtual machine" in finding.found


def test_a_guest_without_tsc_is_only_warned(tmp_path):
    files = GUEST | {f"{SOURCE}/current_clocksource": "kvm-clock", f"{SOURCE}/available_clocksource": "kvm-clock"}
    assert look(tmp_path, "clock source", files).status is WARN


@pytest.mark.parametrize("what", ["isolation", "timer tick", "RCU callbacks", "swap"])
def test_what_costs_latency_is_only_a_warning_where_no_core_is_given_to_the_reactor(tmp_path, what):
    files = {
        f"{CPU}/isolated": "",
        f"{CPU}/nohz_full": "",
        "proc/cmdline": "",
        "proc/swaps": "Filename\n/swap file 1 0 -2\n",
    }
    assert look(tmp_path, what, files).status is BAD
    assert look(tmp_path, what, files, busy_poll=False).status is WARN
    assert look(tmp_path, what, files, cpu=None).status is WARN


def test_without_a_configured_core_the_isolated_ones_are_looked_at(tmp_path):
    finding = look(tmp_path, "interrupts on the core", {"proc/irq/31/smp_affinity_list": "3"}, cpu=None)
    assert finding.status is WARN
    assert "core 2, 3" in finding.found


def test_without_a_core_to_look_at_interrupts_are_unknown(tmp_path):
    assert look(tmp_path, "interrupts on the core", {f"{CPU}/isolated": ""}, cpu=None).status is UNKNOWN


def test_an_interrupt_counts_where_the_kernel_sends_it_not_where_it_could(tmp_path):
    assert look(tmp_path, "interrupts on the core", {"proc/irq/30/effective_affinity_list": "2"}).status is BAD


def test_many_interrupts_are_counted_and_some_named(tmp_path):
    files = {f"proc/irq/{number}/smp_affinity_list": "2" for number in range(100, 110)}
    found = look(tmp_path, "interrupts on the core", files).found
    assert "100, 101, 102, 103 and 6 more" in found


def test_a_core_that_is_not_there_is_told(tmp_path):
    assert "no core 9" in look(tmp_path, "SMT sibling", cpu=9).found


def test_smt_of_the_whole_host_counts_without_a_core(tmp_path):
    assert look(tmp_path, "SMT sibling", {f"{CPU}/smt/active": "1"}, cpu=None).status is WARN
    assert look(tmp_path / "off", "SMT sibling", cpu=None).status is OK


def test_a_running_nodes_limits_are_read_when_its_process_is_named(tmp_path):
    files = {"proc/4711/limits": LIMITS.replace("65536", "32")}
    finding = look(tmp_path, "open files limit", files, process="4711")
    assert finding.status is BAD
    assert "of process 4711" in finding.found
    assert look(tmp_path, "open files limit", files).status is OK


def test_a_clock_that_nobody_keeps_wants_a_keeper(tmp_path):
    probes = FakeProbes(clock_state=ClockState(False, 0))
    finding = look(tmp_path, "synchronisation", {"proc/77/comm": "bash"}, probes)
    assert finding.status is BAD
    assert "install chrony" in finding.fix


@pytest.mark.parametrize("answer", ["", "506 Cannot talk to daemon", "a,b,c,d,e", UnreadableError("no chronyc")])
def test_without_chronys_word_the_kernels_counts(tmp_path, answer):
    finding = look(tmp_path, "synchronisation", probes=FakeProbes(chrony_tracking=answer))
    assert finding.status is OK
    assert "kept by chronyd" in finding.found


def test_a_path_that_just_fits_is_good_and_ipv6_takes_20_bytes_more(tmp_path):
    assert look(tmp_path, "path MTU to the peer", probes=FakeProbes(path_mtu=1428)).status is OK
    path = PeerPath(Address("fd00::1", 7001), Address("fd00::2", 7001))
    narrow, wide = FakeProbes(path_mtu=1447), FakeProbes(path_mtu=1448)
    assert look(tmp_path, "path MTU to the peer", probes=narrow, paths=(path,)).status is BAD
    assert look(tmp_path, "path MTU to the peer", probes=wide, paths=(path,)).status is OK


@pytest.mark.parametrize(
    ("durability", "median_us", "status"),
    [("every", 80, OK), ("every", 900, WARN), ("every", 5000, BAD), ("interval", 5000, OK), ("none", 50_000, OK)],
)
def test_how_quick_a_flush_must_be_depends_on_durability(tmp_path, durability, median_us, status):
    probes = FakeProbes(flush_times=[median_us * US] * 50)
    assert look(tmp_path, "flush of data_dir", probes=probes, durability=durability).status is status


def test_no_flush_in_time_is_unknown(tmp_path):
    assert look(tmp_path, "flush of data_dir", probes=FakeProbes(flush_times=[])).status is UNKNOWN


def test_traffic_that_stays_on_the_host_needs_no_card(tmp_path):
    local = (PeerPath(Address("127.0.0.1", 1), Address("127.0.0.1", 2)),)
    probes = FakeProbes(interface_towards="lo")
    for what in ("link", "hardware time stamps", "interrupt coalescing", "rings"):
        finding = look(tmp_path, what, probes=probes, paths=local)
        assert (finding.status, finding.found) == (UNKNOWN, "nothing goes over a network card")
    assert look(tmp_path, "net.core.busy_poll", {f"{NET}/busy_poll": "0"}, paths=local).status is OK


def test_without_a_configuration_the_card_of_the_default_route_is_looked_at(tmp_path):
    found = {finding.what: finding for finding in look_at_all(grow(tmp_path), Aim())}
    assert found["rings"].found.startswith("eth0:")
    assert found["path MTU to the peer"].status is UNKNOWN
    assert found["flush of data_dir"].status is UNKNOWN


def test_one_card_that_does_not_tell_hides_no_other(tmp_path):
    class Two(FakeProbes):
        def rings(self, card):
            if card == "eth9":
                raise UnreadableError("eth9: the driver does not tell")
            return Rings(64, 4096, 64, 4096)

    finding = look(tmp_path, "rings", probes=Two(), interfaces=("eth9",))
    assert finding.status is WARN
    assert finding.found == "eth9: the driver does not tell; eth0: rx 64 of 4096, tx 64 of 4096"


RUBBISH = [b"", b"\xff\xfe\x00", b"-1", b"9" * 5000, b"0-99999999999", b"(\n[\n:\n1 2 3\n", b"a b c d\n\n e f"]


@pytest.mark.parametrize("path", FILES)
def test_no_rubbish_in_a_file_makes_a_check_raise(tmp_path, path):
    grow(tmp_path)
    file = tmp_path / path
    for aim in (None, Aim()):
        for content in RUBBISH:
            file.write_bytes(content)
            found = look_at_all(tmp_path) if aim is None else look_at_all(tmp_path, aim)
            assert len(found) == len(CHECKS)
    file.unlink()
    assert len(look_at_all(tmp_path)) == len(CHECKS)
    file.mkdir()
    assert len(look_at_all(tmp_path)) == len(CHECKS)


def test_a_host_that_shows_nothing_is_all_unknown_but_for_what_absence_means(tmp_path):
    found = look_at_all(tmp_path, probes=ALL_REFUSED)
    assert {f.what for f in found if f.status is not UNKNOWN} == {"timer tick"}
