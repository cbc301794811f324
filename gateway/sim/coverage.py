"""Which fault met which state of the protocol how often: a zero is a gap in what is tried."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from gateway.native.sim import FAULT_NAMES


def coverage_table(title: str, columns: Sequence[str], counts: Sequence[Sequence[int]]) -> Table:
    """As a table for the terminal; zeros stand out as a dot."""
    table = Table(title=title, box=None, pad_edge=False, header_style="bold")
    table.add_column("fault", no_wrap=True, min_width=15)
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    for name, row in zip(FAULT_NAMES, counts, strict=True):
        table.add_row(name, *(str(count) if count else "·" for count in row))
    return table


def coverage_markdown(columns: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """As a table for the documentation."""
    lines = ["| fault | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name, row in zip(FAULT_NAMES, counts, strict=True):
        lines.append(f"| {name} | " + " | ".join(str(count) for count in row) + " |")
    return "\n".join(lines)
