"""Findings as a table for people and as JSON. Reads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.doctor.finding import Finding, Status

STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.BAD: "bold red", Status.UNKNOWN: "dim"}
WIDTH_OF_FILES = 160  # where there is no terminal that has one


def print_findings(findings: Sequence[Finding], console: Console | None = None) -> None:
    """The table, and below it the commands that fix what is not as it should be; to standard output, if not told
    otherwise."""
    if console is None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDTH_OF_FILES)
    console.print(_table(findings))
    for finding in findings:
        if finding.fix:
            console.print(Text(f"{finding.status.value}: {finding.what}", style=STYLES[finding.status]))
            # A command is one line, so that it can be copied: wider than the terminal, if need be.
            console.print(Text(f"    {finding.fix}"), soft_wrap=True)
    console.print(Text(summary(findings)))


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for column in ("", "what", "found", "wanted", "why"):
        table.add_column(column, overflow="fold", no_wrap=not column)
    area = None
    for finding in findings:
        if finding.area != area:
            area = finding.area
            table.add_section()
        row = (finding.what, finding.found, finding.wanted, finding.why)
        table.add_row(Text(finding.status.value, style=STYLES[finding.status]), *map(Text, row))
    return table


def summary(findings: Sequence[Finding]) -> str:
    """`20 ok, 3 warn, 1 bad, 2 unknown`."""
    counts = Counter(finding.status for finding in findings)
    return ", ".join(f"{counts[status]} {status.value}" for status in Status)


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """JSON-able values: `passed`, how many of each status, and every finding."""
    counts = Counter(finding.status for finding in findings)
    return {
        "passed": not counts[Status.BAD],
        "counts": {status.value: counts[status] for status in Status},
        "findings": [asdict(finding) for finding in findings],
    }
