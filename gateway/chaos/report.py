"""Chaos as text for people, and as a JSON object a line for programs. Formats; decides nothing."""

from __future__ import annotations

from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from gateway.chaos.takeovers import TakeoverSeries
from gateway.chaos.verdict import RoundResult, Summary


class Report:
    """Writes to standard output; what failed, to standard error too."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._console = Console(highlight=False, soft_wrap=True)
        self._errors = Console(highlight=False, soft_wrap=True, stderr=True)

    def round(self, result: RoundResult) -> None:
        """One round, as soon as it is over."""
        if self._json:
            self._print_json(result.as_dict())
            return
        state = f"healed in {result.healed_s:.1f} s" if result.healed_s is not None else "[red]not healed[/]"
        verdict = "[green]ok[/]" if result.passed else "[bold red]FAILED[/]"
        self._console.print(
            f"{result.round.number:5} {verdict} {result.world:<21} {result.round}; {result.orders} orders, "
            f"{result.takeovers} takeovers, duplicates {result.duplicates}, losses {result.losses}, {state}, "
            f"{result.took_s:.1f} s"
        )

    def failure(self, result: RoundResult, files: str, command: str) -> None:
        """What was wrong, where the evidence is, how to see it again."""
        text = f"round {result.round.number}: {result.problem}\n  files: {files}\n  again: {command}"
        self._errors.print(text, markup=False)

    def summary(self, summary: Summary) -> None:
        """All rounds."""
        values = summary.as_dict()
        if self._json:
            self._print_json(values)
            return
        faults = ", ".join(f"{kind} {count}" for kind, count in values["faults"].items())
        window = f" (in unreplicated windows {summary.window_losses})" if summary.window_losses else ""
        times = ", ".join(f"{name} {value:.1f} ms" for name, value in values["takeover_ms"].items()) or "none measured"
        self._console.print(
            f"{summary.rounds} rounds in {summary.seconds:.0f} s, {summary.orders} orders, {summary.takeovers} "
            f"takeovers; duplicates {summary.duplicates}, losses {summary.losses}{window}, "
            f"unhealed {summary.unhealed}, rounds failed {summary.failed}\nfaults: {faults}\n"
            f"SIGKILL of a primary to the first new order at the broker: {times} ({len(summary.takeover_ms)} takeovers)"
        )

    def takeover(self, done: int, count: int) -> None:
        """How far a series of takeovers is."""
        if not self._json and (done % 10 == 0 or done == count):
            self._console.print(f"{done} of {count} takeovers")

    def series(self, series: TakeoverSeries) -> None:
        """A series of takeovers."""
        values = series.as_dict()
        if self._json:
            self._print_json(values)
            return
        table = Table(title=f"{values['takeovers']} takeovers, {series.fault}: milliseconds to the end of each step")
        table.add_column("step")
        for name in ("p50", "p90", "p99", "max"):
            table.add_column(name, justify="right")
        for step, points in values["ms"].items():
            table.add_row(step.replace("_", " "), *(f"{value:.2f}" for value in points.values()))
        self._console.print(table)
        for finding in series.audit.findings if series.audit is not None else ():
            if not finding.passed:
                self._console.print(f"{finding.name}: {finding.count} ({', '.join(finding.examples)})", markup=False)
        self._console.print("[green]audit passed[/]" if series.passed else "[bold red]AUDIT FAILED[/]")

    def kept(self, files: str) -> None:
        """Where files are."""
        self._errors.print(f"files: {files}", markup=False)

    def _print_json(self, values: dict[str, Any]) -> None:
        self._console.print(orjson.dumps(values).decode(), markup=False)
