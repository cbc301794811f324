"""Check of the disk that the journal is on. Pure over a Host and its probes."""

from __future__ import annotations

from gateway.doctor.aim import Aim
from gateway.doctor.finding import Check, Verdict, bad, ok, unknown, warn
from gateway.doctor.host import Host

AREA = "disk"
NS_PER_US = 1000
MIN_REAL_NS = 3 * NS_PER_US  # no device answers faster: nothing was flushed
MAX_EVERY_OK_NS, MAX_EVERY_NS = 200 * NS_PER_US, 2000 * NS_PER_US
FASTER = "put data_dir on an NVMe drive with power-loss protection"


def _flush(host: Host, aim: Aim) -> Verdict:
    if aim.data_dir is None:
        return unknown("without a configuration, there is no data_dir")
    times = sorted(host.probes.flush_times(aim.data_dir))
    if not times:
        return unknown("no flush ended in time")
    median, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    found = f"{_us(median)} median, {_us(p99)} p99, {_us(times[-1])} worst of {len(times)}"
    if aim.durability == "none":
        return ok(found, "any: the journal is not flushed")
    if median < MIN_REAL_NS:
        return warn(f"{found}: a file system in memory?", FASTER)
    if aim.durability == "every":
        return _every(found, median)
    wanted = f"p99 below `flush_interval`, {_us(aim.flush_interval_ns)}"
    return ok(found, wanted) if p99 < aim.flush_interval_ns else bad(found, FASTER, wanted)


def _every(found: str, median: int) -> Verdict:
    wanted = f"median at most {_us(MAX_EVERY_OK_NS)}: an order waits for it"
    if median <= MAX_EVERY_OK_NS:
        return ok(found, wanted)
    return (warn if median <= MAX_EVERY_NS else bad)(found, FASTER, wanted)


def _us(time_ns: int) -> str:
    return f"{time_ns / NS_PER_US:.0f} us"


CHECKS = (
    Check(
        AREA,
        "flush of data_dir",
        "quick enough for `durability`",
        "what is not flushed is lost if both hosts lose power; a flush that is late makes more of it",
        _flush,
    ),
)
