"""How much a pair carries. Run: pytest bench/bench_capacity.py, on a machine with nothing else to do.

CAPACITY_SCALE=0.1 in the environment makes everything a tenth as large.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gateway.bench.capacity.catch_up import measure_catch_up
from gateway.bench.capacity.growth import measure_cost, measure_memory
from gateway.bench.capacity.resend import measure_resend
from gateway.bench.capacity.start import measure_start
from gateway.bench.capacity.throughput import measure_throughput

SCALE = float(os.environ.get("CAPACITY_SCALE", "1"))


def _measure(benchmark: BenchmarkFixture, function: Callable[..., dict[str, float]], *arguments, **options) -> None:
    figures = benchmark.pedantic(function, arguments, options, rounds=1)
    benchmark.extra_info.update(figures)
    print()
    for name, value in figures.items():
        print(f"  {name:40} {value:16,.3f}")


@pytest.mark.parametrize("answered", [False, True], ids=["orders", "orders and executions"])
@pytest.mark.parametrize("sessions", [1, 10, 100])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_orders_a_second(benchmark: BenchmarkFixture, tmp_path: Path, mode: str, sessions: int, answered: bool) -> None:
    orders = int(1_000_000 * SCALE)
    _measure(benchmark, measure_throughput, tmp_path, orders=orders, sessions=sessions, mode=mode, answered=answered)


def test_start_with_a_long_journal(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    _measure(benchmark, measure_start, tmp_path, records=int(1_000_000 * SCALE))


def test_resend(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    _measure(benchmark, measure_resend, tmp_path, messages=int(100_000 * SCALE))


def test_catch_up_of_a_standby(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    _measure(benchmark, measure_catch_up, tmp_path, records=int(1_000_000 * SCALE))


def test_memory_of_a_node(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    _measure(benchmark, measure_memory, tmp_path, orders=int(1_000_000 * SCALE), sessions=100)


@pytest.mark.parametrize(("sessions", "orders"), [(1, 0), (100, 0), (1, 1_000_000), (100, 1_000_000)])
def test_cost_of_an_order(benchmark: BenchmarkFixture, tmp_path: Path, sessions: int, orders: int) -> None:
    _measure(benchmark, measure_cost, tmp_path, sessions=sessions, orders=int(orders * SCALE))
