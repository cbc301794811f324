"""How much a pair carries, as scenarios."""

from __future__ import annotations

from pathlib import Path

from gateway.bench.capacity.catch_up import measure_catch_up
from gateway.bench.capacity.resend import measure_resend
from gateway.bench.capacity.start import measure_start
from gateway.bench.capacity.throughput import measure_throughput
from gateway.bench.scenario import Round, Scenario, Subject
from gateway.bench.scenarios.calls import Measure, anew


def _scenario(name: str, text: str, measure: Measure, operations: int, quick_operations: int) -> Scenario:
    subjects = (Subject("gateway", "gateway", anew(measure)),)
    return Scenario(f"capacity.{name}", text, subjects, operations, quick_operations, heavy=True)


def _throughput(sessions: int, mode: str, *, answered: bool) -> Scenario:
    def measure(directory: Path, orders: int) -> Round:
        return measure_throughput(directory, orders=orders, sessions=sessions, mode=mode, answered=answered)

    what = "orders a second, each answered by an execution," if answered else "orders a second"
    text = f"{what} through {sessions} session{'s' * (sessions > 1)}, sustained and as a burst; {mode}"
    return _scenario(f"{'executions' if answered else 'orders'}.{mode}.{sessions}", text, measure, 500_000, 20_000)


SCENARIOS = (
    *(
        _throughput(sessions, mode, answered=answered)
        for answered in (False, True)
        for mode in ("sync", "async")
        for sessions in (1, 10, 100)
    ),
    _scenario(
        "start",
        "a start with a long journal, until the node can trade",
        lambda directory, records: measure_start(directory, records=records),
        1_000_000,
        20_000,
    ),
    _scenario(
        "resend",
        "a resend of many messages",
        lambda directory, messages: measure_resend(directory, messages=messages),
        100_000,
        5_000,
    ),
    _scenario(
        "catch-up",
        "a standby that lacks many records catches up under live flow",
        lambda directory, records: measure_catch_up(directory, records=records),
        1_000_000,
        100_000,
    ),
)
