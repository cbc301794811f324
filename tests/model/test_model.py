"""The protocol model (docs/model/pair.pml), checked by spin over every interleaving, and each deliberate mistake in it.

GATEWAY_MODEL="-DCRASHES=2 -DVERSIONS=6" checks the larger size: 12 million states, half a minute, 2 GiB.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[2] / "docs" / "model" / "pair.pml"
SIZE = os.environ.get("GATEWAY_MODEL", "").split()
MISTAKES = sorted(set(re.findall(r"MISTAKE_(\w+)", MODEL.read_text())) - {""})
MAX_STATES_LOG2 = 24
MAX_DEPTH = 400_000

pytestmark = pytest.mark.skipif(
    shutil.which("spin") is None or shutil.which("gcc") is None, reason="no spin here: apt install spin gcc"
)


def check(directory: Path, *flags: str) -> tuple[int, str]:
    """(errors found, spin's report) of the exhaustive search."""
    for command in (
        ["spin", *flags, "-a", str(MODEL)],
        ["gcc", "-O2", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
    search = ["./pan", "-E", f"-m{MAX_DEPTH}", f"-w{MAX_STATES_LOG2}"]  # -E: it ends where the register's changes do
    report = subprocess.run(search, cwd=directory, check=True, capture_output=True, text=True).stdout
    assert "max search depth too small" not in report
    assert "Search not completed" not in report or "errors: 1" in report
    found = re.search(r"errors: (\d+)", report)
    assert found is not None, report
    return int(found[1]), report


def test_no_interleaving_breaks_the_protocol(tmp_path: Path) -> None:
    errors, report = check(tmp_path, *SIZE)
    assert errors == 0, report


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(tmp_path: Path, mistake: str) -> None:
    errors, report = check(tmp_path, f"-DMISTAKE_{mistake}")
    assert errors == 1, report
    assert "assertion violated" in report
