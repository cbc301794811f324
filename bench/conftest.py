"""A table of percentiles below pytest-benchmark's own: `distribution(name, nanoseconds)` adds a row to it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)
_rows: list[tuple[str, NDArray[np.float64]]] = []

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
