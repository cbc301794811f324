"""Takeover after SIGKILL of the primary, twenty times in a row under a steady flow of orders, audited.

Run: pytest bench/bench_takeover.py, about a minute. Times from the kill; the last is when the broker has read the first
order that only the new primary can have sent.
"""

import asyncio
from pathlib import Path

from bench.conftest import Distribution
from gateway.demo.cli import SAMPLE_ORDERS
from gateway.demo.conductor import Conductor, Options
from gateway.demo.trader import Counts

KILLS = 20
RATE = 1000  # orders a second
ORDERS_PER_KILL = 2500
NS_PER_MS = 1e6
STEPS = {
    "detect": "suspected",
    "register": "register won",
    "connect": "connected to the broker",
    "logon": "logged on",
    "ready": "synchronised",
    "first_order_at_broker": "first new order at the broker",
}


class Silent:
    """A view that shows nothing."""

    def event(self, text: str) -> None:
        """Nothing."""

    def progress(self, counts: Counts) -> None:
        """Nothing."""

    def nodes(self, statuses: dict) -> None:
        """Nothing."""


def test_takeover_after_sigkill(distribution: Distribution, tmp_path: Path) -> None:
    options = Options(tmp_path, SAMPLE_ORDERS, RATE, ORDERS_PER_KILL * (KILLS + 1), kills=KILLS)
    result = asyncio.run(Conductor(options, Silent()).run())
    assert result.audit.passed
    for step, name in STEPS.items():
        times_ms = [getattr(takeover, step) for takeover in result.takeovers]
        distribution(f"kill to {name}", [time * NS_PER_MS for time in times_ms if time is not None])
