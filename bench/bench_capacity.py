"""How much a pair carries, and how it grows. Run: pytest -s bench/bench_capacity.py, on a quiet machine.

CAPACITY_SCALE=0.1 in the environment makes everything a tenth as large.
"""

import os

import pytest

from bench.conftest import Measured
from gateway.bench.registry import chosen

SCALE = float(os.environ.get("CAPACITY_SCALE", "1"))
SUBJECTS = [
    (scenario.name, one.name) for scenario in chosen(["capacity", "memory", "growth"]) for one in scenario.subjects
]


@pytest.mark.parametrize(("scenario", "subject"), SUBJECTS)
def test_capacity(measured: Measured, scenario: str, subject: str) -> None:
    measured(scenario, subject, rounds=1, scale=SCALE)
