"""What a node takes as it fills: resident memory, and the cost of an order with many sessions and a full table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.bench.capacity.pair import load_spec, running_pair
from gateway.bench.messages import ORDER_FIELDS
from gateway.bench.scenario import Round

WINDOW = 4096
LONG_WINDOW = 128  # of long orders: what is on its way is bounded in bytes, too
WARM_UP = 500
INTERVAL_NS = 100_000  # between two orders, one at a time
LEAST_MAX_ORDERS = 1 << 20  # the same table of orders for all that are compared, unless it must be larger
MIB = 1 << 20
LONG_FIELDS = ORDER_FIELDS + b"58=" + b"x" * 3000 + b"\x01"  # some sixteen times the bytes of an order


@dataclass(frozen=True, slots=True)
class Before:
    """What a node has behind it when the cost of an order is measured."""

    orders: int = 0
    answered: bool = False  # each was executed, and is not open any more
    long: bool = False  # each had a long text
    sessions: int = 1


def measure_memory(directory: Path, *, orders: int = 1_000_000, sessions: int = 100) -> Round:
    """Resident memory of both nodes once so many orders are in their logs; of it what is the journal's mapped files,
    which the kernel may take back."""
    spec = load_spec(sessions=sessions, max_orders=orders * 5 // 4)
    with running_pair(directory, spec) as pair, pair.load() as load:
        idle = pair.resident_bytes("a")
        load.go(orders, WINDOW)
        full = {node: pair.resident_bytes(node) for node in ("a", "b")}
    return Round(
        figures={
            "node_a_idle_mib": idle["total"] / MIB,
            "node_a_full_mib": full["a"]["total"] / MIB,
            "node_a_anonymous_mib": full["a"]["anonymous"] / MIB,
            "node_a_journal_mib": full["a"]["file"] / MIB,
            "node_b_full_mib": full["b"]["total"] / MIB,
        }
    )


def measure_cost(directory: Path, before: Before, *, single_orders: int, flow_orders: int) -> Round:
    """Of an order, after what was before: its latency alone on the way (to the counterparty), and the CPU time that it
    takes of node a when there are many at once."""
    orders = before.orders + WARM_UP + single_orders + flow_orders
    spec = load_spec(mode="async", sessions=before.sessions, max_orders=max(orders, LEAST_MAX_ORDERS))
    with running_pair(directory, spec, alone=True) as pair:
        if before.orders:
            fields, window = (LONG_FIELDS, LONG_WINDOW) if before.long else (ORDER_FIELDS, WINDOW)
            with pair.load(answered=before.answered, fields=fields) as load:
                load.go(before.orders, window)
            pair.flush()  # or its writing would be in what is measured next
        with pair.load() as load:
            load.latencies(np.empty(WARM_UP, np.uint64), INTERVAL_NS)
            single = np.empty(single_orders, np.uint64)
            load.latencies(single, INTERVAL_NS)
            used = pair.cpu_seconds("a")
            flow = load.go(flow_orders, WINDOW)
            used = pair.cpu_seconds("a") - used
        journal = pair.journal_bytes("a")
    return Round(
        series={"order to counterparty": single},
        figures={
            "node_a_cpu_per_order_ns": used / flow_orders * 1e9,
            "orders_per_s": flow_orders / flow["elapsed_ns"] * 1e9,
            "journal_mib": journal / MIB,
        },
    )
