"""Results for a person at a terminal. Reads nothing."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.bench.compare import Change, Comparison, Verdict
from gateway.bench.histogram import PERCENTILES, Histogram
from gateway.bench.results import RunResult, ScenarioResult, SubjectResult
from gateway.bench.scenario import FLOOR, GATEWAY
from gateway.bench.units import NS_PER_MS, NS_PER_US, figure

UNITS_OF_LATENCIES = (("ms", NS_PER_MS), ("us", NS_PER_US))
ENOUGH = 2.0  # of a unit, to be told in it
RATIOS = ((FLOOR, 50.0), (FLOOR, 99.0), (GATEWAY, 50.0))
RATIO_HEADINGS = ("p50 / floor", "p99 / floor", "p50 / gateway")
WIDTH_OF_FILES = 160
STYLES = {
    Verdict.FASTER: "green",
    Verdict.SMALLER: "green",
    Verdict.SLOWER: "red",
    Verdict.LARGER: "red",
    Verdict.UNKNOWN: "dim",
    Verdict.SAME: "dim",
}


def console_for_tables() -> Console:
    """Standard output; wide where it is a file."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_FILES)


def print_result(console: Console, result: RunResult) -> None:
    """A table for each scenario, and what was not measured."""
    for scenario in result.scenarios:
        _print_scenario(console, scenario)


def _print_scenario(console: Console, scenario: ScenarioResult) -> None:
    console.print(Text(f"\n{scenario.scenario}: {scenario.text}; {scenario.load}", style="bold"), soft_wrap=True)
    if any(subject.names() for subject in scenario.subjects):
        console.print(_latencies(scenario))
    stages = _stages(scenario)
    if stages.row_count:
        console.print(stages)
    figures = _figures(scenario)
    if figures.row_count:
        console.print(figures)
    for missing in scenario.missing:
        console.print(Text(f"{missing.subject}: not measured: {missing.why}", style="yellow"), soft_wrap=True)


def _latencies(scenario: ScenarioResult) -> Table:
    unit, factor = unit_of(scenario)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(unit)
    for heading in (*(percent_name(percent) for percent in PERCENTILES), *RATIO_HEADINGS):
        table.add_column(heading, justify="right", no_wrap=True)
    for series in series_of(scenario):
        table.add_section()
        for subject in scenario.subjects:
            if series in subject.names():
                latencies = latency_cells(subject.pooled(series), factor)
                table.add_row(_label(subject, series), *latencies, *ratio_cells(scenario, subject, series))
    return table


def _label(subject: SubjectResult, series: str) -> str:
    return f"{subject.subject}: {series}" if len(subject.names()) > 1 else subject.subject


def series_of(scenario: ScenarioResult) -> list[str]:
    """All series of a scenario, each once."""
    return list(dict.fromkeys(name for subject in scenario.subjects for name in subject.names()))


def ratio_to(scenario: ScenarioResult, subject: SubjectResult, other: str, series: str, percent: float) -> float | None:
    """A percentile of a subject over that of another one in the same run; None: there is no other."""
    reference = scenario.subject(other)
    if reference is None or reference is subject or series not in reference.names():
        return None
    below = reference.pooled(series).percentile(percent)
    return subject.pooled(series).percentile(percent) / below if below else None


def unit_of(scenario: ScenarioResult) -> tuple[str, float]:
    """In which unit a scenario is told, and how many ns it has: the largest of which even the quickest subject takes
    some for the main series."""
    medians = [subject.pooled(subject.names()[0]).percentile(50) for subject in scenario.subjects if subject.names()]
    least = min(medians, default=0.0)
    return next(((unit, factor) for unit, factor in UNITS_OF_LATENCIES if least >= ENOUGH * factor), ("ns", 1.0))


def latency_cells(histogram: Histogram, factor: float) -> list[str]:
    """Each percentile; nothing where there are too few values for it."""
    values = histogram.percentiles()
    return [
        number(value / factor) if percent >= 100 or histogram.count * (100 - percent) >= 100 else ""
        for percent, value in zip(PERCENTILES, values, strict=True)
    ]


def ratio_cells(scenario: ScenarioResult, subject: SubjectResult, series: str) -> list[str]:
    """Medians and 99th percentiles over the floor's, and the median over the gateway's, in this run."""
    ratios = [ratio_to(scenario, subject, other, series, percent) for other, percent in RATIOS]
    return ["" if ratio is None else f"{ratio:,.2f}" for ratio in ratios]


def percent_name(percent: float) -> str:
    """`p99.9`, or `max`."""
    return "max" if percent >= 100 else f"p{percent:g}"


def number(value: float) -> str:
    """With as many digits as say something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def _stages(scenario: ScenarioResult) -> Table:
    """What each stage of an order's way takes inside the gateway."""
    _, factor = unit_of(scenario)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    for percent in PERCENTILES:
        table.add_column(percent_name(percent), justify="right", no_wrap=True)
    for subject in scenario.subjects:
        for name, histogram in subject.stages().items():
            table.add_row(f"{subject.subject}: {name}", *latency_cells(histogram, factor))
    return table


def figure_rows(scenario: ScenarioResult) -> list[list[str]]:
    """Of each figure: subject, what it is, median over the rounds, lowest and highest, unit."""
    rows = []
    for subject in scenario.subjects:
        for name in subject.rounds[0].figures:
            values = sorted(one.figures[name] for one in subject.rounds if name in one.figures)
            told = figure(name)
            cells = [number(value) for value in (values[len(values) // 2], values[0], values[-1])]
            rows.append([subject.subject, told.text, *cells, told.unit])
    return rows


def _figures(scenario: ScenarioResult) -> Table:
    """Medians over the rounds."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure")
    for heading in ("median", "from", "to"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for subject, text, *cells in figure_rows(scenario):
        table.add_row(f"{subject}: {text}", *cells)
    return table


def print_comparison(console: Console, comparison: Comparison, *, everything: bool) -> None:
    """What changed; `everything`: what did not, too."""
    for line in comparison.host_differences:
        console.print(Text(f"not the same host or load: {line}", style="bold yellow"), soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("scenario", "subject", "what"):
        table.add_column(heading)
    for heading in ("old", "new", "new / old", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for change in comparison.changes:
        if everything or change.verdict is not Verdict.SAME:
            table.add_row(*_change_cells(change), style=STYLES.get(change.verdict))
    if table.row_count:
        console.print(table)
    same = sum(change.verdict is Verdict.SAME for change in comparison.changes)
    console.print(f"{len(comparison.changes)} compared, {same} without a difference", highlight=False)
    for what, names in (("old", comparison.only_old), ("new", comparison.only_new)):
        if names:
            console.print(f"only in the {what} result: {', '.join(names)}", highlight=False, soft_wrap=True)


def _change_cells(change: Change) -> list[str]:
    return [
        change.scenario,
        change.subject,
        change.what,
        number(change.old),
        number(change.new),
        f"{change.ratio:,.3f}",
        f"{change.low:,.3f} to {change.high:,.3f}",
        change.verdict.value,
    ]
