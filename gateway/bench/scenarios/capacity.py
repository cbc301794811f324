"""How much a pair carries, as scenarios: each function of gateway.bench.capacity gives plain figures."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.bench.capacity.catch_up import measure_catch_up
from gateway.bench.capacity.resend import measure_resend
from gateway.bench.capacity.start import measure_start
from gateway.bench.capacity.throughput import measure_throughput
from gateway.bench.scenario import Calls, Instrument, Opener, Round, Scenario, Setting, Subject

Measure = Callable[[Path, int], dict[str, float]]  # in a new directory, with so many operations


def figures(measure: Measure) -> Opener:
    """Opens an instrument that builds, measures and tears down in every round."""

    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        def one() -> Round:
            with tempfile.TemporaryDirectory(dir=setting.directory) as directory:
                return Round(figures=measure(Path(directory), setting.operations))

        yield Calls(one)

    return opened


def _scenario(name: str, text: str, measure: Measure, operations: int, quick_operations: int) -> Scenario:
    subjects = (Subject("gateway", "gateway", figures(measure)),)
    return Scenario(f"capacity.{name}", text, subjects, operations, quick_operations, heavy=True)


def _throughput(sessions: int, mode: str) -> Scenario:
    def measure(directory: Path, orders: int) -> dict[str, float]:
        return measure_throughput(directory, orders=orders, sessions=sessions, mode=mode)

    text = f"orders a second through {sessions} session{'s' * (sessions > 1)}, sustained and as a burst; {mode}"
    return _scenario(f"orders.{mode}.{sessions}", text, measure, 500_000, 20_000)


SCENARIOS = (
    *(_throughput(sessions, mode) for mode in ("sync", "async") for sessions in (1, 10, 100)),
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
        300_000,
    ),
)
