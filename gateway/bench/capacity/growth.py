"""What a node takes as it fills: resident memory, and the cost of an order with many sessions and a full table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gateway.bench.capacity.pair import Options, Pair, running_pair

WINDOW = 4096
SINGLE_ORDERS = 20_000
INTERVAL_NS = 100_000  # between two orders, one at a time
FLOW_ORDERS = 200_000


def measure_memory(directory: Path, *, orders: int = 1_000_000, sessions: int = 100) -> dict[str, float]:
    """Resident bytes of both nodes once so many orders are in their logs; of it what is the journal's mapped files,
    which the kernel may take back."""
    with running_pair(directory, Options(sessions=sessions, max_orders=orders * 5 // 4)) as pair, pair.load() as load:
        idle = pair.resident_bytes("a")
        load.go(orders, WINDOW)
        full = {node: pair.resident_bytes(node) for node in ("a", "b")}
    return {
        "node_a_idle_bytes": idle["total"],
        "node_a_bytes": full["a"]["total"],
        "node_a_anonymous_bytes": full["a"]["anonymous"],
        "node_a_journal_bytes": full["a"]["file"],
        "node_b_bytes": full["b"]["total"],
    }


def measure_cost(directory: Path, *, sessions: int = 1, orders: int = 0) -> dict[str, float]:
    """Of an order, with so many sessions and after so many orders: its latency alone on the way (ns, to the
    counterparty), and the CPU time (ns) that it takes of node a when there are many at once."""
    pair = Pair(directory, Options(mode="async", sessions=sessions, max_orders=orders + 1_000_000))
    try:
        pair.start("a")
        with pair.load() as load:
            if orders:
                load.go(orders, WINDOW)
            single = np.empty(SINGLE_ORDERS, np.uint64)
            load.latencies(single, INTERVAL_NS)
            before = pair.cpu_seconds("a")
            flow = load.go(FLOW_ORDERS, WINDOW)
            used = pair.cpu_seconds("a") - before
    finally:
        pair.close()
    return {
        "p50_ns": float(np.percentile(single, 50)),
        "p99_ns": float(np.percentile(single, 99)),
        "node_a_cpu_ns": used / FLOW_ORDERS * 1e9,
        "orders_per_second": FLOW_ORDERS / flow["elapsed_ns"] * 1e9,
    }
