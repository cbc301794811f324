"""A node's threads: the reactor has its core, and no other thread runs there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.node.placement import check_core
from tests.support.rig import Rig
from tests.support.running import RunningPair

needs_two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")


@pytest.fixture
def pinned_pair(tmp_path: Path):
    pair = RunningPair(tmp_path)
    core = min(os.sched_getaffinity(0))
    text = pair.world.config.read_text()
    pair.world.config.write_text(text.replace("[node.a]\n", f"[node.a]\ncpu = {core}\n"))
    try:
        pair.start()
        yield pair, core
    finally:
        pair.stop()


@needs_two_cores
def test_the_reactor_has_its_core_to_itself(pinned_pair):
    pair, core = pinned_pair
    tasks = Path(f"/proc/{pair.world.processes['a'].pid}/task")
    places = [os.sched_getaffinity(int(task.name)) for task in tasks.iterdir()]
    assert places.count({core}) == 1
    assert all(core not in place for place in places if place != {core})


def test_without_a_core_of_its_own_it_runs_anywhere(rig: Rig):
    pid = rig.world.processes["a"].pid
    assert all(
        os.sched_getaffinity(int(task.name)) == os.sched_getaffinity(0) for task in Path(f"/proc/{pid}/task").iterdir()
    )


def test_a_core_that_is_not_there_is_named():
    with pytest.raises(GatewayError, match=r"node\.a\.cpu: cannot run on core 1023"):
        check_core(1023, "node.a.cpu")
