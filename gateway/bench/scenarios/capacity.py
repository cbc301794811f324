"""How much a pair carries, as scenarios: each function of gateway.bench.capacity gives plain figures."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

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


def _throughput(sessions: int, mode: str) -> Scenario:
    def measure(directory: Path, orders: int) -> dict[str, float]:
        return measure_throughput(directory, orders=orders, sessions=sessions, mode=mode)

    text = f"orders a second through {sessions} session{'s' * (sessions > 1)}, sustained and as a burst; {mode}"
    subjects = (Subject("gateway", "gateway", figures(measure)),)
    return Scenario(f"capacity.orders.{mode}.{sessions}", text, subjects, 500_000, 20_000, heavy=True)


SCENARIOS = tuple(_throughput(sessions, mode) for mode in ("sync", "async") for sessions in (1, 10))
