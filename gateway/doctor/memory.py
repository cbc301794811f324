"""Checks of memory: paging, huge pages, NUMA. Pure over a Host."""

from __future__ import annotations

from gateway.doctor.aim import Aim
from gateway.doctor.finding import Check, Verdict, fault, ok, unknown, warn
from gateway.doctor.host import Host, UnreadableError, shown
from gateway.doctor.interfaces import interfaces_of

AREA = "memory"
MIB = 1 << 20
NODE_BYTES = 1 << 30  # of a node with 100 sessions and a million orders
FREE_IN_HUGE_PAGES = 256 * MIB
HUGE_PAGE_ORDER = 9  # of 4 KiB pages: 2 MiB
PAGE_BYTES = 4096
THP = "sys/kernel/mm/transparent_hugepage/enabled"


def _swap(host: Host, aim: Aim) -> Verdict:
    devices = [line.split()[0] for line in host.text("proc/swaps").splitlines()[1:] if line.split()]
    if not devices:
        return ok("none")
    return fault(aim, ", ".join(devices), "swapoff -a (and take it out of /etc/fstab)")


def _locked(host: Host, aim: Aim) -> Verdict:
    limit = host.limit("Max locked memory")
    if limit is None:
        return ok(f"unlimited, {host.whose}")
    found = f"{limit // 1024} KiB, {host.whose}"
    return (
        ok(found) if limit >= NODE_BYTES else warn(found, "LimitMEMLOCK=infinity in the unit, or: ulimit -l unlimited")
    )


def _transparent(host: Host, aim: Aim) -> Verdict:
    text = host.text(THP)
    chosen = next((word.strip("[]") for word in text.split() if word.startswith("[")), None)
    fix = f"echo madvise > /{THP}"
    if chosen == "madvise":
        return ok("madvise")
    if chosen in ("always", "never"):
        return warn(chosen, fix)
    raise UnreadableError(f"/{THP}: not understood: {shown(text)}")


def _huge_free(host: Host, aim: Aim) -> Verdict:
    free = 0
    for line in host.text("proc/buddyinfo").splitlines():
        counts = line.partition("zone")[2].split()[1:]
        if not counts or not all(count.isdecimal() for count in counts):
            raise UnreadableError(f"/proc/buddyinfo: not understood: {shown(line)}")
        free += sum(int(count) * PAGE_BYTES << order for order, count in enumerate(counts) if order >= HUGE_PAGE_ORDER)
    found = f"{free // MIB} MiB free in blocks of 2 MiB and more"
    reserved = _reserved(host)
    found += f"; {reserved} reserved pages, which the gateway does not use" if reserved else ""
    return ok(found) if free >= FREE_IN_HUGE_PAGES else warn(found, "echo 1 > /proc/sys/vm/compact_memory")


def _reserved(host: Host) -> int:
    try:
        return int(host.labelled("proc/meminfo", "HugePages_Free"))
    except (UnreadableError, ValueError):
        return 0


def _numa(host: Host, aim: Aim) -> Verdict:
    nodes = {
        int(name[4:]): host.cores(f"sys/devices/system/node/{name}/cpulist")
        for name in host.names("sys/devices/system/node")
        if name.startswith("node") and name[4:].isdecimal()
    }
    if len(nodes) == 1:
        return ok("one node")
    if aim.cpu is None:
        return unknown(f"{len(nodes)} nodes, and no core is configured")
    own = next((node for node, cores in nodes.items() if aim.cpu in cores), None)
    if own is None:
        return unknown(f"core {aim.cpu} is in no node")
    cards = {name: _node_of_card(host, name) for name in interfaces_of(host, aim)}
    far = {name: node for name, node in cards.items() if node not in (own, None)}
    if far:
        where = ", ".join(f"{name} on node {node}" for name, node in far.items())
        cores = ",".join(map(str, sorted(nodes.get(next(iter(far.values())) or 0, frozenset()))))
        return fault(aim, f"core {aim.cpu} on node {own}, {where}", f"set `cpu` to one of {cores or 'its node'}")
    near = ", ".join(name for name, node in cards.items() if node == own)
    return ok(f"core {aim.cpu} on node {own}" + (f", with {near}" if near else "; no card tells its own"))


def _node_of_card(host: Host, name: str) -> int | None:
    """None: it has none, or does not tell."""
    try:
        node = host.number(f"sys/class/net/{name}/device/numa_node")
    except UnreadableError:
        return None
    return node if node >= 0 else None


CHECKS = (
    Check(AREA, "swap", "none", "a page that must come back from disk costs milliseconds", _swap),
    Check(
        AREA,
        "locked memory limit",
        f"unlimited, or at least {NODE_BYTES // MIB} MiB",
        "memory that may not be locked can be taken away under pressure",
        _locked,
    ),
    Check(
        AREA,
        "transparent huge pages",
        "madvise",
        "the gateway asks for them for its tables; `never` costs TLB misses, `always` stalls others for compaction",
        _transparent,
    ),
    Check(
        AREA,
        "free huge pages",
        f"at least {FREE_IN_HUGE_PAGES // MIB} MiB",
        "a node that starts on fragmented memory gets small pages instead",
        _huge_free,
    ),
    Check(
        AREA,
        "NUMA",
        "core and network card on one node",
        "what crosses over to the other node costs 100 ns and more each time",
        _numa,
    ),
)
