"""`gateway bench`: the command line around scenarios, results, comparison and report."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.bench.compare import compare
from gateway.bench.registry import all_scenarios, chosen, own_scenarios
from gateway.bench.report import require_plots, write_report
from gateway.bench.results import RunResult, read_result, write_result
from gateway.bench.runner import QUICK_RATE, QUICK_ROUNDS, Options, Progress, run
from gateway.bench.tables import console_for_tables, print_comparison, print_result
from gateway.config import load_config
from gateway.config.models import NodeName

DEFAULT_ROUNDS = 10
DEFAULT_RATE = 5_000.0
EXIT_FAILED = 1


def bench(
    scenarios: Annotated[
        list[str] | None, typer.Argument(help="Names or globs, such as codec or 'wire.*.sync.*'.", metavar="SCENARIO")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="Show the scenarios, and run none.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each, interleaved; 10 if not given.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=1, max=1e7, help="Orders a second of open-loop load; 5000 if not given.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few and short rounds: shows that it works.")] = False,
    config: Annotated[Path | None, typer.Option(help="Your configuration: the pair is set up as it says.")] = None,
    node: Annotated[str | None, typer.Option(help="With --config: which node's settings, a or b.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the result to this file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write report.html and report.json into this directory.")] = None,
    old: Annotated[
        Path | None,
        typer.Option("--compare", help="Compare with this earlier result: a new run, or the file named after it."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="With --compare: show what did not change, too.")] = False,
) -> None:
    """Measure latencies on this host, beside the floor and other engines; or compare two results.

    Without names, everything that is not heavy; with --config, an order's way as that configuration has it. It starts a
    pair of its own on the loopback and never connects to a real counterparty. Give it a quiet machine.
    """
    if (config is None) != (node is None):
        raise typer.BadParameter("--config and --node go together")
    if node not in (None, "a", "b"):
        raise typer.BadParameter(f"--node: a or b, found {node!r}")
    console = console_for_tables()
    if list_them:
        _list(console)
        return
    names = list(scenarios or ())
    earlier = read_result(old) if old is not None else None
    if report is not None:
        require_plots()
    if earlier is not None and len(names) == 1 and names[0].endswith(".json"):
        result = read_result(Path(names[0]))
    else:
        result = _measured(names, rounds, rate, quick, config, "b" if node == "b" else "a")
        print_result(console, result)
    if json is not None:
        write_result(result, json)
    if report is not None:
        write_report(result, report, earlier)
        console.print(f"report: {report / 'report.html'}", soft_wrap=True, highlight=False)
    if earlier is not None:
        print_comparison(console, compare(earlier, result), everything=everything)
    if any(missing.why.startswith("failed") for scenario in result.scenarios for missing in scenario.missing):
        raise typer.Exit(EXIT_FAILED)


def _measured(
    names: list[str], rounds: int | None, rate: float | None, quick: bool, config: Path | None, node: NodeName
) -> RunResult:
    own = load_config(config) if config is not None else None
    signal.signal(signal.SIGTERM, _stop)
    wanted = chosen(names or (own_scenarios(own, node) if own is not None else []))
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as directory, _progress() as progress:
        options = Options(
            directory=Path(directory),
            rounds=rounds or (QUICK_ROUNDS if quick else DEFAULT_ROUNDS),
            rate=rate or (QUICK_RATE if quick else DEFAULT_RATE),
            quick=quick,
            config=own,
            node=node,
        )
        return run(wanted, options, progress)


def _stop(number: int, _: object) -> None:
    """Ends as an interrupt does: what was started is stopped."""
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A line on the terminal that says what is going on; nothing where standard error is a file."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("", refresh_per_second=2) as status:
        yield status.update


def _list(console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("scenario", "what is measured", "subjects"):
        table.add_column(heading, overflow="fold")
    for scenario in all_scenarios():
        name = scenario.name + (" *" if scenario.heavy else "")
        table.add_row(name, scenario.text, ", ".join(subject.name for subject in scenario.subjects))
    console.print(table)
    console.print("* takes minutes: only run where it is named")
