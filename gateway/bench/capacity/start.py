"""From starting both nodes to the first order at the counterparty, with a long journal."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.bench.capacity.pair import INDEX, load_spec, running_pair
from gateway.bench.scenario import Round
from gateway.native.journal import Journal

WINDOW = 4096
RECORDS_PER_ORDER = 2  # the order, and the execution that answers it


def measure_start(directory: Path, *, records: int = 1_000_000) -> Round:
    """Until an order has reached the counterparty, with so many records; and the journal's opening alone."""
    with running_pair(directory, load_spec(max_orders=max(1 << 20, records))) as pair:
        with pair.load(answered=True) as load:
            load.go(records // RECORDS_PER_ORDER, WINDOW)
            pair.wait_until(lambda: pair.last_lsn("a") == pair.last_lsn("b"), "node b has all")
        for node in ("b", "a"):
            pair.stop(node)
        opening = time.perf_counter()
        with Journal.open(directory / "node-a" / "journal", node=INDEX["a"], pair_id=1) as journal:
            opened = time.perf_counter() - opening
            found = len(journal)
        start = time.perf_counter()
        for node in ("a", "b"):
            pair.start(node)
        with pair.load(in_sync=False, answered=True) as load:
            load.go(1, 1)
            ready = time.perf_counter() - start
        cpu = pair.cpu_seconds("a")
    return Round(
        figures={
            "records": found,
            "start_ms": ready * 1e3,
            "journal_open_ms": opened * 1e3,
            "node_a_cpu_ms": cpu * 1e3,
        }
    )
