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
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from bench.conftest import Distribution
from gateway.bench.forwarders import forwarder
from gateway.bench.pairconfig import PairSpec
from gateway.bench.probed_pair import probed_pair
from gateway.bench.quickfix_pair import quickfix_round_trips
from gateway.native.floors import COLUMNS

ORDERS = 20_000
WARM_UP = 3_000
PAUSE_NS = 20_000


def tell(distribution: Distribution, name: str, times: NDArray[np.uint64]) -> None:
    due, _, out, answered, back = (times[:, column] for column in range(COLUMNS))
    distribution(f"{name}: order to broker", out - due)
    distribution(f"{name}: execution to client", back - answered)
    distribution(f"{name}: order to execution", back - due)


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_order_through_the_pair(
    benchmark: BenchmarkFixture, distribution: Distribution, tmp_path: Path, mode: str
) -> None:
    with probed_pair(tmp_path, PairSpec(mode=mode)) as pair:
        pair.measure(WARM_UP, pause_ns=PAUSE_NS)
        times = benchmark.pedantic(pair.measure, (ORDERS,), {"pause_ns": PAUSE_NS}, rounds=1)
    tell(distribution, f"gateway {mode}", times)


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_bytes_through_a_forwarder(benchmark: BenchmarkFixture, distribution: Distribution, mode: str) -> None:
    with forwarder(with_standby=mode == "sync") as floor:
        floor.measure(WARM_UP, pause_ns=PAUSE_NS)
        times = benchmark.pedantic(floor.measure, (ORDERS,), {"pause_ns": PAUSE_NS}, rounds=1)
    tell(distribution, f"forwarder {mode}", times)


def test_order_through_quickfix(benchmark: BenchmarkFixture, distribution: Distribution, tmp_path: Path) -> None:
    elapsed = benchmark.pedantic(quickfix_round_trips, (tmp_path, ORDERS // 10, WARM_UP // 10), rounds=1)
    distribution("QuickFIX: order to execution", elapsed)
