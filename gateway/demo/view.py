"""The demonstration on the screen: a live view in a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gateway.demo.trader import Counts

SHOWN_EVENTS = 12
PLAIN_PROGRESS_STEPS = 10


class PlainView:
    """Plain lines with the time since the start."""

    def __init__(self, console: Console, count: int) -> None:
        self._console = console
        self._count = count
        self._start = time.monotonic()
        self._told = 0

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def event(self, text: str) -> None:
        """One line of the story."""
        line = f"[{time.monotonic() - self._start:7.3f} s] {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def progress(self, counts: Counts) -> None:
        """A line at each tenth of the way."""
        step = counts.submitted * PLAIN_PROGRESS_STEPS // max(self._count, 1)
        if step > self._told:
            self._told = step
            self.event(
                f"{counts.submitted} orders submitted, {counts.accepted} accepted, "
                f"{counts.executions} executions received"
            )

    def nodes(self, statuses: dict[str, dict[str, Any] | None]) -> None:
        """Nothing: events tell it."""


class LiveView:
    """Nodes, progress and the last events, redrawn as they change."""

    def __init__(self, console: Console, count: int) -> None:
        self._start = time.monotonic()
        self._events: deque[str] = deque(maxlen=SHOWN_EVENTS)
        self._statuses: dict[str, dict[str, Any] | None] = {"a": None, "b": None}
        self._bars = Progress(TextColumn("{task.description:>10}"), BarColumn(bar_width=50), MofNCompleteColumn())
        self._tasks = {name: self._bars.add_task(name, total=count) for name in ("submitted", "accepted")}
        self._executions = 0
        self._live = Live(console=console, refresh_per_second=12, get_renderable=self._draw)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def event(self, text: str) -> None:
        """One line of the story."""
        self._events.append(f"{time.monotonic() - self._start:7.3f} s  {text}")

    def progress(self, counts: Counts) -> None:
        """Moves the bars."""
        for name, task in self._tasks.items():
            self._bars.update(task, completed=getattr(counts, name))
        self._executions = counts.executions

    def nodes(self, statuses: dict[str, dict[str, Any] | None]) -> None:
        """Redraws the nodes."""
        self._statuses = statuses

    def _draw(self) -> Group:
        return Group(
            nodes_table(self._statuses),
            self._bars,
            f"{self._executions:,} executions received",
            Panel("\n".join(self._events), title="what happens", expand=True),
        )


def nodes_table(statuses: dict[str, dict[str, Any] | None]) -> Table:
    """One line for each node, in 80 columns; None: it does not answer."""
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in ("node", "role", "epoch", "release", "LSN", "acked", "session"):
        table.add_column(heading, overflow="fold")
    for heading in ("next out", "next in"):
        table.add_column(heading, justify="right", overflow="fold")
    for node, status in statuses.items():
        if status is None:
            table.add_row(node, "[red]down[/red]", *[""] * 7)
            continue
        colour = {"PRIMARY": "green", "STANDBY": "cyan"}.get(status["role"], "yellow")
        session = status["sessions"][0]
        leads = status["role"] == "PRIMARY"
        table.add_row(
            node,
            f"[{colour}]{status['role'].lower()}[/{colour}]",
            str(status["epoch"]),
            status["release"].lower() if leads else "",
            str(status["log"]["last_lsn"]),
            str(status["peer"]["received_lsn"]) if leads else "",
            session["state"].lower() if leads else "mirrored",
            str(session["next_out"]),
            str(session["next_in"]),
        )
    return table
