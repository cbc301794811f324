"""The replication channel under attack: a flood as if from the peer has no effect but to be counted."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.demo.observer import OTHER
from tests.support.flood import KINDS, may_flood
from tests.system.stage import Stage

RATE = 100_000
ROOT = Path(__file__).parents[2]
# What each kind is counted as.
COUNTED = {
    "forged": {"bad_mac"},
    "replayed": {"duplicate", "stale"},
    "truncated": {"truncated"},
    "bit_flipped": {"bad_mac"},
    "wrong_magic": {"wrong_magic"},
    "wrong_version": {"wrong_version"},
    "wrong_pair": {"wrong_pair"},
    "wrong_node": {"wrong_node"},
    "oversized": {"oversized"},
}

pytestmark = pytest.mark.skipif(not may_flood(), reason="needs raw sockets (root)")


async def flood(stage: Stage, node: str, seconds: float) -> dict:
    """Floods the port of `node` as if from its peer."""
    source, target = (str(stage.replication_ports[name]) for name in (OTHER[node], node))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.flood", source, target, "--rate", str(RATE), "--seconds", str(seconds)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(told)


@pytest.mark.parametrize("victim", ["primary", "standby"])
async def test_a_flood_from_the_peers_address_is_counted_and_changes_nothing(
    make_stage: Callable[..., Stage], victim: str
) -> None:
    async with make_stage() as stage:
        primary = await stage.see.primary()
        node = primary if victim == "primary" else OTHER[primary]
        before = await stage.see.status(primary)
        flow = stage.flow(rate=500, count=3000)
        await flow.submitted(100)
        sent = await flood(stage, node, 4)
        counts = await flow.done()
        after = await stage.see.status(primary)
        flooded = await stage.see.status(node)
        log = (stage.directory / f"{node}.log").read_text()
        result = await stage.judge()
    assert before is not None
    assert after is not None
    assert flooded is not None
    assert sent["rate"] > RATE / 2
    dropped = flooded["replication"]["dropped"]
    for kind in KINDS:
        assert sum(dropped[reason] for reason in COUNTED[kind]) > 1000, (kind, dropped)
    assert (after["epoch"], after["role"]) == (before["epoch"], "PRIMARY")
    assert sorted(after["register"]["in_sync"]) == ["a", "b"]
    assert counts.accepted == result.processed == 3000
    told = log.count("datagrams_dropped") + log.count("peer_of_another_format")
    assert 1 <= told <= 10


async def test_replayed_datagrams_alone_raise_an_alert(make_stage: Callable[..., Stage]) -> None:
    async with make_stage() as stage:
        primary = await stage.see.primary()
        flow = stage.flow(rate=500, count=500)
        source, target = (str(stage.replication_ports[name]) for name in (OTHER[primary], primary))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.flood", source, target, "--rate", "20000", "--seconds", "2"),
            *("--kinds", "replayed"),
            stdout=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
        )
        assert await process.wait() == 0
        counts = await flow.done()
        log = (stage.directory / f"{primary}.log").read_text()
        result = await stage.judge()
    assert "datagrams_dropped" in log
    assert "duplicate" in log
    assert counts.accepted == result.processed == 500
