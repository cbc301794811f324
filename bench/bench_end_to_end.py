"""An order through a real pair: TCP in to TCP out, and on to its execution; beside a forwarder and QuickFIX.

Run: pytest bench/bench_end_to_end.py, on a machine with nothing else to do. One order at a time. `order to broker` ends
when the NewOrderSingle has been read from the primary's socket, `order to execution` when the client has read the
ExecutionReport. The forwarder is the same way without FIX and without a log: what the operating system takes (`sync`: a
datagram goes to a second process and back first). QuickFIX has no pair and no client: its initiator's application sends
straight to its acceptor's.
"""

from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.conftest import Distribution
from gateway.bench.forwarders import measure_forwarder
from gateway.bench.probed_pair import probed_pair
from gateway.bench.quickfix_pair import quickfix_round_trips

ORDERS = 20_000
WARM_UP = 3_000
PAUSE_NS = 20_000


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_order_through_the_pair(
    benchmark: BenchmarkFixture, distribution: Distribution, tmp_path: Path, mode: str
) -> None:
    with probed_pair(tmp_path, mode) as probe:
        probe.measure(np.empty((WARM_UP, 4), np.uint64), PAUSE_NS)
        times = np.empty((ORDERS, 4), np.uint64)
        benchmark.pedantic(probe.measure, (times, PAUSE_NS), rounds=1)
    distribution(f"gateway {mode}: order to broker", times[:, 1] - times[:, 0])
    distribution(f"gateway {mode}: execution to client", times[:, 3] - times[:, 2])
    distribution(f"gateway {mode}: order to execution", times[:, 3] - times[:, 0])


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_bytes_through_a_forwarder(benchmark: BenchmarkFixture, distribution: Distribution, mode: str) -> None:
    times = np.empty((WARM_UP + ORDERS, 4), np.uint64)
    benchmark.pedantic(measure_forwarder, (times, PAUSE_NS), {"with_standby": mode == "sync"}, rounds=1)
    times = times[WARM_UP:]
    distribution(f"forwarder {mode}: order to broker", times[:, 1] - times[:, 0])
    distribution(f"forwarder {mode}: order to execution", times[:, 3] - times[:, 0])


def test_order_through_quickfix(benchmark: BenchmarkFixture, distribution: Distribution, tmp_path: Path) -> None:
    elapsed = benchmark.pedantic(quickfix_round_trips, (tmp_path, ORDERS // 10, WARM_UP // 10), rounds=1)
    distribution("QuickFIX: order to execution", elapsed)
