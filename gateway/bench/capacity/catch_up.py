"""A standby that lacks a long log joins while orders go on: how fast it catches up, and what the orders feel of it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.bench.capacity.pair import Deadline, Pair, load_spec, running_pair
from gateway.bench.scenario import Round
from gateway.native.load import Load

WINDOW = 4096
INTERVAL_NS = 100_000  # between two orders
BATCH = 100  # orders between two looks at whether the standby is there
QUIET_ORDERS = 20_000

Batch = tuple[float, NDArray[np.uint64]]  # when it ended (wall clock, s), and what its orders took (ns)


def measure_catch_up(directory: Path, *, records: int = 1_000_000, mode: str = "sync") -> Round:
    """Records a second from the standby's joining until it counts as in sync, and what orders take to the counterparty
    before that and meanwhile. Raises TimeoutError, RuntimeError."""
    spec = load_spec(mode=mode, max_orders=records + 1_000_000)
    with running_pair(directory, spec, alone=True) as pair, pair.load() as load:
        load.go(records, WINDOW)
        quiet = np.empty(QUIET_ORDERS, np.uint64)
        load.latencies(quiet, INTERVAL_NS)
        behind = pair.last_lsn("a") or 0
        pair.start("b", as_elsewhere=True)
        batches, ended = _until_caught_up(pair, load)
        began = _joined(pair)
    return Round(
        series={"order beside a catch-up": during(batches, began, ended), "order without": quiet},
        figures={
            "records": behind,
            "catch_up_ms": (ended - began) * 1e3,
            "records_per_s": behind / (ended - began),
        },
    )


def during(batches: list[Batch], began: float, ended: float) -> NDArray[np.uint64]:
    """What the orders of those batches took of which any part falls between two moments. Each begins where the one
    before ended, so that there is one however short the time was."""
    starts = [-np.inf, *(end for end, _ in batches[:-1])]
    return np.concatenate(
        [taken for start, (end, taken) in zip(starts, batches, strict=True) if start <= ended and end >= began]
    )


def _until_caught_up(pair: Pair, load: Load) -> tuple[list[Batch], float]:
    """Orders until node a counts node b as in sync, and when it did (wall clock, s)."""
    deadline = Deadline(pair, "node b has caught up")
    batches: list[Batch] = []
    ended = None
    while ended is None:
        deadline.check()
        taken = np.empty(BATCH, np.uint64)
        load.latencies(taken, INTERVAL_NS)
        batches.append((time.time(), taken))
        ended = pair.moment("a", lambda entry: entry.get("cause") == "CAUGHT_UP")
    return batches, ended


def _joined(pair: Pair) -> float:
    """When node b began to follow (wall clock, s). What it notes is written when its control thread gets round to it:
    later than node a's, maybe."""
    return pair.wait_for(
        lambda: pair.moment("b", lambda entry: entry["event"] == "following"), "node b has noted that it follows"
    )
