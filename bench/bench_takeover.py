"""Takeovers by their cause, many in a row under a flow of orders, audited. Run: pytest bench/bench_takeover.py.

Times from the cause on; the last is when the broker has read the first order that only the new primary can have sent.
"""

import pytest

from bench.conftest import Measured
from gateway.bench.registry import chosen

SUBJECTS = [(scenario.name, one.name) for scenario in chosen(["takeover"]) for one in scenario.subjects]


@pytest.mark.parametrize(("scenario", "subject"), SUBJECTS)
def test_takeover(measured: Measured, scenario: str, subject: str) -> None:
    measured(scenario, subject, rounds=2)
