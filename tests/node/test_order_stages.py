"""What a running node says about the stages of its orders: control API, command line and metrics agree."""

from __future__ import annotations

import itertools
import subprocess
import sys
import urllib.request

import numpy as np
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.client import Message, Order, Side
from gateway.demo.world import LOOPBACK
from gateway.native.stages import BUCKETS
from gateway.node.latency import StageHistogram, stages_from
from tests.support.rig import WAIT_S, Rig
from tests.support.waiting import wait_for

ORDERS = 40
_numbers = itertools.count(1)


def ask(rig: Rig, path: str, node: str) -> bytes:
    port = rig.world.control_ports[node]
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=WAIT_S) as answer:
        return answer.read()


def stages_of(rig: Rig, node: str) -> dict[str, StageHistogram]:
    return stages_from(orjson.loads(ask(rig, "/latency", node))["stages"])


def stages(rig: Rig) -> dict[str, StageHistogram]:
    """Of both nodes together: whoever is primary counts."""
    one, other = stages_of(rig, "a"), stages_of(rig, "b")
    return {
        name: StageHistogram(stage.counts + other[name].counts, stage.sum_ns + other[name].sum_ns)
        for name, stage in one.items()
    }


def trade(rig: Rig, *, shared: bool) -> None:
    """Orders one after the other, each answered by an execution."""
    client = rig.client(shared=shared)
    for _ in range(ORDERS):
        name = f"stage-{next(_numbers)}"
        client.send("BROKER", Order(symbol="ABC", side=Side.BUY, quantity=10, price="1"), name).wait(WAIT_S)
        while not (isinstance(event := client.next(WAIT_S), Message) and event.get(11) == name):
            pass


@pytest.mark.parametrize("shared", [False, True])
def test_every_stage_of_every_order_is_counted(rig: Rig, shared: bool):
    before = stages(rig)
    trade(rig, shared=shared)

    def since() -> dict[str, StageHistogram]:
        return {name: stage.minus(before[name]) for name, stage in stages(rig).items()}

    # The client that reads the last answer may be quicker than the node, which counts it when it has woken the client.
    wait_for(lambda: since()["delivered"].count >= ORDERS, "the last delivery is counted")
    came = since()
    assert {name: stage.count for name, stage in came.items()} == dict.fromkeys(came, ORDERS)
    parts = ("checked", "encoded", "journalled", "replicated", "acknowledged", "sent")
    assert sum(came[part].sum_ns for part in parts) == pytest.approx(came["order"].sum_ns, abs=len(parts) * ORDERS)


def test_the_command_shows_what_the_node_says(rig: Rig):
    trade(rig, shared=False)
    node = rig.status()["node"]
    said = stages_of(rig, node)["order"]
    command = [sys.executable, "-m", "gateway", "latency", "--config", str(rig.world.config)]
    shown = orjson.loads(subprocess.run([*command, "--json"], capture_output=True, check=True).stdout)
    assert shown[node]["order"]["count"] == said.count
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert "acknowledged" in text
    assert str(said.count) in text
    none = subprocess.run([*command, "--seconds", "0.01", "--node", node], capture_output=True, check=True, text=True)
    assert f"node {node}: no orders" in none.stdout


def test_prometheus_reads_the_metrics(rig: Rig):
    trade(rig, shared=False)
    node = rig.status()["node"]
    said = stages_of(rig, node)["order"]
    [family] = text_string_to_metric_families(ask(rig, "/metrics", node).decode())
    samples = [sample for sample in family.samples if sample.labels["stage"] == "order"]
    [count] = [sample.value for sample in samples if sample.name.endswith("_count")]
    [total] = [sample.value for sample in samples if sample.name.endswith("_sum")]
    buckets = [sample.value for sample in samples if sample.name.endswith("_bucket")]
    assert (count, total) == (said.count, pytest.approx(said.sum_ns / 1e9))
    assert buckets == sorted(buckets)
    assert buckets[-1] == said.count


def test_what_came_since_a_node_was_started_anew_is_all_it_says():
    counts = np.zeros(BUCKETS, np.uint64)
    counts[3] = 5
    before, after = StageHistogram(counts * np.uint64(2), 300), StageHistogram(counts, 100)
    assert after.minus(before).count == 5
    assert before.minus(after).count == 5
