"""Rounds of chaos on real processes; full size: `gateway chaos --rounds 1000`."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

ROUNDS = os.environ.get("GATEWAY_CHAOS_ROUNDS", "6")  # of each test


def chaos(*arguments: str) -> tuple[int, list[dict]]:
    command = [sys.executable, "-m", "gateway", "chaos", "--json", *arguments]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    return run.returncode, [orjson.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize("engine", ["native", "quickfix"])
def test_nothing_is_doubled_or_lost_and_the_pair_heals(tmp_path: Path, engine: str) -> None:
    place = tmp_path / "worlds"
    status, lines = chaos("--rounds", ROUNDS, "--engine", engine, "--dir", str(place))
    *rounds, summary = lines
    assert [each["problem"] for each in rounds] == [""] * int(ROUNDS)
    assert status == 0
    assert (summary["duplicates"], summary["losses"], summary["unhealed"]) == (0, 0, 0)
    assert all(each["orders"] > 0 for each in rounds)
    assert not place.exists()  # only what failed is kept


def test_killed_primaries_are_replaced_and_the_time_is_told(tmp_path: Path) -> None:
    options = ("--engine", "native", "--register", "file", "--fault", "kill", "--dir", str(tmp_path / "worlds"))
    status, lines = chaos("--rounds", "4", *options)
    assert status == 0
    assert lines[-1]["takeovers"] > 0
    assert len(lines[-1]["takeover_ms"]) == 4
