"""What the stage histograms cost an order: `pytest bench/bench_stages.py`."""

from pytest_benchmark.fixture import BenchmarkFixture

from gateway.native.stages import Stages

ORDERS = 1_000_000


def test_stamps_of_an_order(benchmark: BenchmarkFixture) -> None:
    each = benchmark.pedantic(Stages().measure, (ORDERS,), rounds=10, warmup_rounds=1)
    benchmark.extra_info["ns_per_order"] = each
    print(f"\n{each:.1f} ns an order")
