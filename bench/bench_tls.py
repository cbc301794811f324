"""What TLS costs: a message of 200 bytes to an echo and back, plain and by each way to TLS.

Run: pytest bench/bench_tls.py, on a machine with nothing else to do. The echo's own TLS is in the figures of every way
but `plain`. `TLS in the same thread` is what the cipher takes; what the pump and stunnel (package stunnel4) take beyond
that is the hand-over to another thread or process, twice for each round trip.
"""

import shutil
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.conftest import Distribution
from bench.tls_rig import Echo, own_tls, plain, pumped, round_trips, stunnelled

ROUND_TRIPS = 10_000
WARM_UP = 1_000


@pytest.mark.parametrize("way", ["plain", "TLS in the same thread", "TLS by the pump", "TLS by stunnel"])
def test_round_trip(benchmark: BenchmarkFixture, distribution: Distribution, tmp_path: Path, way: str) -> None:
    stunnel = shutil.which("stunnel4") or shutil.which("stunnel") or ""
    if way == "TLS by stunnel" and not stunnel:
        pytest.skip("stunnel is not installed; apt install stunnel4")
    echo = Echo(tmp_path, with_tls=way != "plain")
    ways = {
        "plain": plain,
        "TLS in the same thread": own_tls,
        "TLS by the pump": pumped,
        "TLS by stunnel": lambda echo: stunnelled(echo, stunnel),
    }
    try:
        with ways[way](echo) as sock:
            round_trips(sock, WARM_UP)
            elapsed = benchmark.pedantic(round_trips, (sock, ROUND_TRIPS), rounds=1)
    finally:
        echo.stop()
    distribution(f"{way}: round trip", elapsed)
