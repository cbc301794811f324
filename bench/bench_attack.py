"""An order through a real pair while 100,000 forged, replayed and damaged datagrams a second arrive as the peer's.

Run as root: pytest bench/bench_attack.py, on a machine with nothing else to do. The same flood at a port beside the
node's (`beside`) is what the operating system takes of the machine for it; what it does beyond that is the channel's.
Node a polls on the first core; node b, client and broker share the second; the flood is where there is room.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.conftest import Distribution
from gateway.bench.pairconfig import PairSpec
from gateway.bench.probed_pair import probed_pair
from gateway.config import load_config
from tests.support.flood import may_flood

ORDERS = 4_000
WARM_UP = 1_000
PAUSE_NS = 20_000
RATE = 100_000
FLOOD_S = 200  # longer than the orders take
UNHURRIED = "1s"  # on a busy machine a node may have to wait for its core
UNUSED_PORT = 9  # discard: nothing listens there, and connected sockets send nothing to it


@contextlib.contextmanager
def flood(directory: Path, target: str) -> Iterator[list[float]]:
    """Floods the replication port of node a or b, or none of them (`beside`), or does nothing (`none`); the rate."""
    rate: list[float] = []
    if target == "none":
        yield rate
        return
    nodes = load_config(directory / "pair.toml").node
    ports = {name: nodes[name].replication[0].port for name in ("a", "b")}
    source, port = (ports["a"], ports["b"]) if target == "b" else (ports["b"], ports["a"])
    command = [sys.executable, "-m", "tests.support.flood", str(source), str(port)]
    command += ["--rate", str(RATE), "--seconds", str(FLOOD_S), "--tell"]
    command += ["--at", str(UNUSED_PORT)] if target == "beside" else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, range(os.cpu_count() or 1))
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        yield rate
        assert process.poll() is None, "the flood ended before the orders did"
        process.terminate()
        rate.append(json.loads(process.communicate()[0])["rate"])


@pytest.mark.skipif(not may_flood(), reason="needs raw sockets (root)")
@pytest.mark.parametrize("target", ["none", "beside", "a", "b"])
def test_order_under_attack(
    benchmark: BenchmarkFixture, distribution: Distribution, tmp_path: Path, target: str
) -> None:
    with probed_pair(tmp_path, PairSpec(suspect_after=UNHURRIED)) as pair:
        pair.measure(WARM_UP, pause_ns=PAUSE_NS)
        with flood(tmp_path, target) as rate:
            times = benchmark.pedantic(pair.measure, (ORDERS,), {"pause_ns": PAUSE_NS}, rounds=1)
    name = f"{rate[0]:,.0f}/s at {target}" if rate else "no flood"
    distribution(f"{name}: order to broker", times[:, 2] - times[:, 0])
    distribution(f"{name}: order to execution", times[:, 4] - times[:, 0])
