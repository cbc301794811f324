"""A table of percentiles below pytest-benchmark's own: `distribution(name, nanoseconds)` adds a row to it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console
from rich.table import Table

from gateway.bench.registry import chosen
from gateway.bench.scenario import Setting
from gateway.bench.units import figure

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)
_rows: list[tuple[str, NDArray[np.float64]]] = []

ROUNDS = 5
RATE = 10_000.0  # operations a second, where load is open-loop
Measured = Callable[..., None]
Distribution = Callable[[str, Sequence[float] | NDArray[np.float64]], None]


@pytest.fixture
def distribution() -> Distribution:
    """Adds a row of percentiles to the summary; values in nanoseconds."""
    return lambda name, values: _rows.append((name, np.asarray(values, dtype=np.float64)))


def pytest_terminal_summary() -> None:
    """Prints the rows."""
    if not _rows:
        return
    table = Table(title="Percentiles, microseconds")
    table.add_column("")
    for heading in ("samples", *(f"p{p:g}" if p < 100 else "max" for p in PERCENTILES)):
        table.add_column(heading, justify="right")
    for name, values in _rows:
        table.add_row(name, f"{len(values):,}", *(f"{np.percentile(values, p) / 1e3:,.3f}" for p in PERCENTILES))
    Console(width=120).print(table)


@pytest.fixture
def measured(benchmark: BenchmarkFixture, distribution: Distribution, tmp_path: Path) -> Measured:
    """Measures one subject of a scenario of `gateway bench`, in rounds one behind another; `scale`: of its operations.
    Prints the figures, and adds the latencies to the table."""

    def measure(scenario: str, subject: str = "gateway", rounds: int = ROUNDS, scale: float = 1.0) -> None:
        chosen_one = chosen([scenario])[0]
        opened = next(one for one in chosen_one.subjects if one.name == subject)
        if (why := opened.lacks()) is not None:
            pytest.skip(why)
        with opened.open(Setting(tmp_path, int(chosen_one.operations * scale), RATE)) as instrument:
            taken = [benchmark.pedantic(instrument.measure)] + [instrument.measure() for _ in range(rounds - 1)]
        for name in taken[0].series:
            distribution(f"{scenario}, {subject}: {name}", np.concatenate([one.series[name] for one in taken]))
        for name in taken[0].figures:
            benchmark.extra_info[name] = middle = float(np.median([one.figures[name] for one in taken]))
            print(f"\n  {scenario}, {subject}: {figure(name).label:40} {middle:16,.3f}", end="")

    return measure
