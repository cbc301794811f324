"""Plots of a scenario as SVG. Needs matplotlib, which is imported when the first one is drawn."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from gateway.bench.histogram import Histogram
from gateway.bench.results import ScenarioResult, SubjectResult
from gateway.bench.tables import series_of, unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (9.0, 4.2)  # inches
TICKS = (0.0, 90.0, 99.0, 99.9, 99.99, 99.999)
CURVE = 100 - np.geomspace(100, 0.001, 200)  # percentages, denser towards the tail
MS_PER_S = 1000.0


def percentile_plot(scenario: ScenarioResult, series: str) -> str:
    """Latency by percentile, both axes logarithmic: the tail is where the difference is."""
    figure, axes = _blank(scenario, series)
    _, factor = unit_of(scenario)
    for subject in scenario.subjects:
        if series in subject.names():
            _curve(axes, subject.subject, subject.pooled(series), factor)
    axes.set_xscale("log")
    axes.set_xlabel("percentile")
    axes.set_xticks([100 / (100 - tick) for tick in TICKS], [f"{tick:g}" for tick in TICKS])
    axes.xaxis.minorticks_off()
    axes.legend(frameon=False)
    return _svg(figure, f"{scenario.scenario} {series} percentiles")


def time_plot(scenario: ScenarioResult) -> str | None:
    """The main series over time, all rounds one after the other; None where no times were kept."""
    if not any(one.over_time for subject in scenario.subjects for one in subject.rounds):
        return None
    figure, axes = _blank(scenario, series_of(scenario)[0])
    _, factor = unit_of(scenario)
    for subject in scenario.subjects:
        times, medians, highest = _over_time(subject)
        if times:
            (line,) = axes.plot(times, np.array(medians) / factor, lw=1.2, label=subject.subject)
            axes.plot(times, np.array(highest) / factor, lw=0.5, alpha=0.5, color=line.get_color())
    axes.set_xlabel("seconds of load; bold: median, thin: maximum")
    axes.legend(frameon=False)
    return _svg(figure, f"{scenario.scenario} over time")


def stage_plot(scenario: ScenarioResult) -> str | None:
    """What each stage of an order's way takes; None where no stages were recorded."""
    staged = [(subject.subject, subject.stages()) for subject in scenario.subjects]
    staged = [(name, stages) for name, stages in staged if stages]
    if not staged:
        return None
    figure, axes = _blank(scenario, "stages")
    _, factor = unit_of(scenario)
    axes.set_yscale("linear")
    axes.set_ylabel("")
    names = list(dict.fromkeys(stage for _, stages in staged for stage in stages))
    height = 0.8 / (2 * len(staged))
    for place, (subject, stages) in enumerate(staged):
        for half, percent in enumerate((50.0, 99.0)):
            values = [stages[name].percentile(percent) / factor if name in stages else 0.0 for name in names]
            rows = np.arange(len(names)) + (2 * place + half) * height
            axes.barh(rows, values, height, label=f"{subject} p{percent:g}")
    axes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, names)
    axes.invert_yaxis()
    axes.set_xlabel(unit_of(scenario)[0])
    axes.legend(frameon=False)
    return _svg(figure, f"{scenario.scenario} stages")


def _curve(axes: Axes, name: str, histogram: Histogram, factor: float) -> None:
    last = 100 - 100 / histogram.count  # beyond it there is no value
    percents = np.append(CURVE[last > CURVE], last)
    values = np.array(histogram.percentiles(tuple(percents))) / factor
    axes.plot(100 / (100 - percents), values, lw=1.4, label=name)


def _over_time(subject: SubjectResult) -> tuple[list[float], list[float], list[float]]:
    times: list[float] = []
    medians: list[float] = []
    highest: list[float] = []
    start = 0.0
    for one in subject.rounds:
        for at, median, high in one.over_time:
            times.append(start + at / MS_PER_S)
            medians.append(median)
            highest.append(high)
        start = times[-1] if times else 0.0
    return times, medians, highest


def _blank(scenario: ScenarioResult, title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # noqa: PLC0415  (an optional package, and slow to import)
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter  # noqa: PLC0415

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel(unit_of(scenario)[0])
    axes.grid(True, which="major", alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _svg(figure: Figure, salt: str) -> str:
    """The picture without the XML prologue; ids differ between pictures of one page."""
    import matplotlib as mpl  # noqa: PLC0415

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
