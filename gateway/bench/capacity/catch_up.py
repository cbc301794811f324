"""A standby that lacks a long log joins while orders go on: how fast it catches up, and what the orders feel of it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.bench.capacity.pair import Options, Pair

WINDOW = 4096
INTERVAL_NS = 100_000  # between two orders
BATCH = 100  # orders between two looks at whether the standby is there
QUIET_ORDERS = 20_000


def measure_catch_up(directory: Path, *, records: int = 1_000_000, mode: str = "sync") -> dict[str, float]:
    """Records a second from the standby's joining until it counts as in sync, and the latency (ns, order in to order at
    the counterparty) of orders before that and meanwhile."""
    pair = Pair(directory, Options(mode=mode, max_orders=records + 1_000_000))
    try:
        pair.start("a")
        with pair.load() as load:
            load.go(records, WINDOW)
            quiet = np.empty(QUIET_ORDERS, np.uint64)
            load.latencies(quiet, INTERVAL_NS)
            behind = pair.last_lsn("a") or 0
            pair.start("b", niceness=10)  # it stands for another host: it must not hold up the load
            live: list[tuple[float, NDArray[np.uint64]]] = []
            while (ended := pair.moment("a", _caught_up)) is None:
                batch = np.empty(BATCH, np.uint64)
                live.append((time.time(), batch))
                load.latencies(batch, INTERVAL_NS)
        began = pair.moment("b", lambda entry: entry["event"] == "following")
    finally:
        pair.close()
    if began is None:
        raise RuntimeError(f"node b is in sync and has not followed; logs are in {directory}")
    busy = np.concatenate([batch for at, batch in live if began <= at <= ended])
    return {
        "records": behind,
        "seconds": ended - began,
        "records_per_second": behind / (ended - began),
        "quiet_p50_ns": float(np.percentile(quiet, 50)),
        "quiet_p99_ns": float(np.percentile(quiet, 99)),
        "live_p50_ns": float(np.percentile(busy, 50)),
        "live_p99_ns": float(np.percentile(busy, 99)),
    }


def _caught_up(entry: dict[str, object]) -> bool:
    return entry.get("cause") == "CAUGHT_UP"
