"""Orders a second through a pair, sustained and at burst, nothing lost."""

from __future__ import annotations

from pathlib import Path

from gateway.bench.capacity.pair import load_spec, running_pair
from gateway.bench.scenario import Round

WARM_UP = 20_000
WINDOW = 4096  # orders on their way; below the pair's own window, beyond which it holds them
BURST = 4096


def measure_throughput(
    directory: Path,
    *,
    orders: int = 1_000_000,
    sessions: int = 1,
    mode: str = "sync",
    answered: bool = False,
    window: int = WINDOW,
    reactor: str = "busy-poll",
) -> Round:
    """Orders a second, and the CPU time (ns) that an order takes of node a, node b and the load itself."""
    spec = load_spec(mode=mode, sessions=sessions, reactor=reactor, max_orders=orders + 1_000_000)
    with running_pair(directory, spec) as pair, pair.load(answered=answered) as load:
        load.go(WARM_UP, window)
        before = {node: pair.cpu_seconds(node) for node in ("a", "b")}
        run = load.go(orders, window)
        used = {node: pair.cpu_seconds(node) - before[node] for node in ("a", "b")}
        burst = load.go(BURST, BURST)
    return Round(
        figures={
            "orders_per_s": orders / run["elapsed_ns"] * 1e9,
            "burst_orders_per_s": BURST / burst["elapsed_ns"] * 1e9,
            "node_a_cpu_per_order_ns": used["a"] / orders * 1e9,
            "node_b_cpu_per_order_ns": used["b"] / orders * 1e9,
            "load_cpu_per_order_ns": run["load_cpu_ns"] / orders,
        }
    )
