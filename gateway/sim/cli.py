"""`gateway sim`: the command line around campaigns, shrinking and stories."""

from __future__ import annotations

import os
import shlex
import time
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.native.sim import SEEN_NAMES, SESSION_NAMES
from gateway.sim.campaign import Tally, run_campaign
from gateway.sim.coverage import coverage_table
from gateway.sim.mutants import MAX_SEEDS, Verdict, check_mutations
from gateway.sim.outcome import trace_scenario
from gateway.sim.replay import from_text, to_text
from gateway.sim.schedule import Scenario, scenario_of, wild
from gateway.sim.shrink import shrink
from gateway.sim.story import describe_scenario, story_of


class Clocks(StrEnum):
    """How wrong the nodes' clocks are."""

    DRAWN = "drawn"
    WILD = "wild"


EXIT_BROKEN = 1
ENDLESS_SEEDS = 1 << 40
STORIES = 3  # told of failing seeds; the others are only named
STORY_LINES = 120


def sim(
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds; with --minutes: as many as fit.")] = None,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = len(os.sched_getaffinity(0)),
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long.")] = None,
    seed: Annotated[int | None, typer.Option(help="Run this seed alone and tell its story.")] = None,
    replay: Annotated[str | None, typer.Option(help="Run this scenario, as printed for a failing seed.")] = None,
    shrinks: Annotated[bool, typer.Option("--shrink/--no-shrink", help="Shrink what fails.")] = True,
    coverage: Annotated[bool, typer.Option(help="Show which fault met which state.")] = True,
    clocks: Annotated[Clocks, typer.Option(help="wild: both nodes' clocks are far off all the time.")] = Clocks.DRAWN,
    mutants: Annotated[bool, typer.Option("--mutants", help="Check that deliberate mistakes are found.")] = False,
) -> None:
    """Run the production state machines under every fault, in virtual time, and check the invariants at each step.

    Exit status 1 when one does not hold; the schedule is then shrunk and told, with a command that replays it.
    """
    console = Console()
    if mutants:
        raise typer.Exit(_check_mutations(console, seeds))
    if seed is not None or replay is not None:
        scenario = from_text(replay) if replay is not None else _scenario(seed or 0, clocks)
        raise typer.Exit(_tell(console, scenario, shrinks=False))
    if seeds is None:
        seeds = ENDLESS_SEEDS if minutes is not None else 1000
    started = time.monotonic()
    tally = _with_progress(console, first, seeds, jobs, minutes, clocks)
    _summarise(console, tally, time.monotonic() - started, coverage)
    for outcome in tally.failures[:STORIES]:
        _tell(console, _scenario(outcome.seed, clocks), shrinks=shrinks)
    raise typer.Exit(EXIT_BROKEN if tally.failed else 0)


def _scenario(seed: int, clocks: Clocks) -> Scenario:
    return wild(scenario_of(seed)) if clocks is Clocks.WILD else scenario_of(seed)


def _with_progress(console: Console, first: int, seeds: int, jobs: int, minutes: float | None, clocks: Clocks) -> Tally:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} runs"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("simulating", total=seeds if seeds != ENDLESS_SEEDS else None)

        def show(tally: Tally) -> None:
            progress.update(task, completed=tally.runs, description=f"simulating, {tally.failed} failed")

        return run_campaign(first, seeds, jobs, minutes, show, wild_clocks=clocks is Clocks.WILD)


def _summarise(console: Console, tally: Tally, seconds: float, coverage: bool) -> None:
    if coverage:
        console.print(coverage_table("faults by state of the node", SEEN_NAMES, tally.coverage))
        console.print(coverage_table("faults by state of the FIX session", SESSION_NAMES, tally.session_coverage))
    console.print(
        f"{tally.runs} runs in {seconds:.0f} s: {tally.events:,} events ({tally.events / seconds:,.0f} a second), "
        f"{tally.orders:,} orders, {tally.promotions:,} promotions, {tally.days:,} day changes; "
        f"in {tally.gone} runs the only copy of released "
        "records lost power"
    )
    if tally.failed:
        named = ", ".join(str(outcome.seed) for outcome in tally.failures)
        console.print(f"[bold red]{tally.failed} runs break an invariant[/]: seeds {named}")
    else:
        console.print("[bold green]every invariant holds in every run[/]")


def _tell(console: Console, scenario: Scenario, *, shrinks: bool) -> int:
    outcome, trace = trace_scenario(scenario)
    if outcome.broken and shrinks:
        scenario, _ = shrink(scenario, outcome)
        outcome, trace = trace_scenario(scenario)
    for line in describe_scenario(scenario):
        console.print(line, highlight=False, markup=False)
    lines = story_of(trace)
    if len(lines) > STORY_LINES and outcome.broken:
        lines = ["   ...", *lines[-STORY_LINES:]]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(f"seed {scenario.seed} {outcome.verdict}", style="bold red" if outcome.broken else "bold green")
    command = f"gateway sim --replay {shlex.quote(to_text(scenario))}"
    console.print(command, highlight=False, markup=False, soft_wrap=True)
    return EXIT_BROKEN if outcome.broken else 0


def _check_mutations(console: Console, seeds: int | None) -> int:
    """Builds and hunts each mistake; the table of docs/reliability.md."""

    def show(verdict: Verdict) -> None:
        found = f"{verdict.seeds} | {verdict.invariant}" if verdict.seeds else "not found |"
        console.print(f"| {verdict.mutation.name} | {found} |", highlight=False, markup=False, soft_wrap=True)

    console.print("| mistake | seeds | breaks |\n| --- | ---: | --- |", highlight=False, markup=False)
    verdicts = check_mutations(max_seeds=seeds or MAX_SEEDS, on_verdict=show)
    missed = sum(verdict.seeds == 0 for verdict in verdicts)
    console.print(f"{len(verdicts) - missed} of {len(verdicts)} found", style="bold red" if missed else "bold green")
    return EXIT_BROKEN if missed else 0
