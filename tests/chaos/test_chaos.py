"""Rounds of chaos on real processes; full size: `gateway chaos --rounds 1000`."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from gateway.chaos.campaign import Campaign, CampaignOptions, Life
from gateway.chaos.namespaces import Namespaces
from gateway.chaos.plan import Kind
from gateway.chaos.verdict import RoundResult
from gateway.chaos.world import ChaosWorld, WorldOptions
from gateway.demo.cli import SAMPLE_ORDERS

ROUNDS = os.environ.get("GATEWAY_CHAOS_ROUNDS", "4")  # of each test
WITH_NAMESPACES = pytest.mark.skipif(bool(Namespaces.obstacle()), reason=Namespaces.obstacle())


def chaos(*arguments: str) -> tuple[int, list[dict]]:
    command = [sys.executable, "-m", "gateway", "chaos", "--json", *arguments]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    return run.returncode, [orjson.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--engine", "native", "--seed", "1"), id="native"),
        pytest.param(("--engine", "quickfix", "--seed", "2"), id="quickfix"),
        pytest.param(("--engine", "native", "--seed", "31", "--mode", "async"), id="async"),
        pytest.param(
            ("--engine", "native", "--seed", "4", "--network", "namespaces"),
            id="namespaces",
            marks=WITH_NAMESPACES,
        ),
    ],
)
def test_nothing_is_doubled_or_lost_and_the_pair_heals(tmp_path: Path, options: tuple[str, ...]) -> None:
    place = tmp_path / "worlds"
    status, lines = chaos("--rounds", ROUNDS, *options, "--dir", str(place))
    *rounds, summary = lines
    assert [each["problem"] for each in rounds] == [""] * int(ROUNDS)
    assert status == 0
    assert (summary["duplicates"], summary["losses"], summary["unhealed"]) == (0, 0, 0)
    assert all(each["orders"] > 0 for each in rounds)
    assert not place.exists()  # only what failed is kept


@pytest.mark.parametrize(
    ("fault", "network"),
    [("kill", "loopback"), ("isolate", "loopback"), pytest.param("isolate", "namespaces", marks=WITH_NAMESPACES)],
)
def test_a_series_of_takeovers_tells_how_long_each_step_took(tmp_path: Path, fault: str, network: str) -> None:
    place = tmp_path / "worlds"
    what = ("--takeovers", "3", "--register", "file", "--fault", fault, "--network", network)
    status, (series,) = chaos(*what, "--dir", str(place))
    assert status == 0
    assert series["takeovers"] == 3
    assert series["audit"]["passed"]
    points = [series["ms"][step]["p50"] for step in ("detect", "register", "ready", "first_order_at_broker")]
    assert points == sorted(points)
    assert not place.exists()


def world_options(**options: str) -> WorldOptions:
    return WorldOptions("sync", "native", "file", SAMPLE_ORDERS, suspect_after_ms=250, **options)


def test_a_world_that_does_not_come_about_is_a_failure_and_its_files_are_kept(tmp_path: Path) -> None:
    told: list[RoundResult] = []
    worlds = (world_options(reactor="none"),)  # no node starts with that
    options = CampaignOptions(tmp_path, 1, 0, 1, None, worlds, 1, frozenset(Kind))
    summary = asyncio.run(Campaign(options, told.append).run())
    assert "before the first fault" in told[0].problem
    assert (summary.failed, summary.unhealed) == (1, 1)
    assert (tmp_path / "world-000000" / "a.log").exists()


def test_an_order_that_the_broker_processes_twice_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.chaos.campaign.ARRIVAL_TIMEOUT_S", 0.1)

    async def run() -> list[RoundResult]:
        async with ChaosWorld(tmp_path / "world", world_options()) as world:
            life = Life(world, 0, 1, frozenset({Kind.BROKER_DROP}))
            first = await life.round(0)
            entry = next(line for line in world.ledger.read_bytes().splitlines() if b'"processed":true' in line)
            with world.ledger.open("ab") as ledger:
                ledger.write(entry + b"\n")
            return [first, await life.round(1)]

    sound, unsound = asyncio.run(run())
    assert sound.passed
    assert unsound.duplicates > 0
    assert "processed twice: 1" in unsound.problem


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    assert chaos("--rounds", "1", "--dir", str(tmp_path)) == (1, [])
