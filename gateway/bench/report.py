"""A result as one HTML page with its plots in it, and the JSON beside it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from gateway.bench.compare import compare
from gateway.bench.histogram import PERCENTILES
from gateway.bench.plots import percentile_plot, stage_plot, time_plot
from gateway.bench.results import RunResult, ScenarioResult, SubjectResult, write_result
from gateway.bench.tables import (
    RATIO_HEADINGS,
    figure_rows,
    latency_cells,
    number,
    percent_name,
    ratio_cells,
    series_of,
    unit_of,
)
from gateway.errors import GatewayError


def require_plots() -> None:
    """Raises GatewayError when matplotlib is not there."""
    if find_spec("matplotlib") is None:
        raise GatewayError("--report needs matplotlib, which is not installed; pip install matplotlib")


def write_report(result: RunResult, directory: Path, earlier: RunResult | None = None) -> None:
    """`report.html` and `report.json` in `directory`; with `earlier`, the comparison too. Raises GatewayError."""
    require_plots()
    environment = Environment(loader=PackageLoader("gateway.bench"), autoescape=select_autoescape(["html", "j2"]))
    page = environment.get_template("report.html.j2").render(
        result=result,
        headings=[*(percent_name(percent) for percent in PERCENTILES), *RATIO_HEADINGS],
        scenarios=[_scenario(scenario) for scenario in result.scenarios],
        comparison=compare(earlier, result) if earlier is not None else None,
        number=number,
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "report.html").write_text(page)
    except OSError as error:
        raise GatewayError(f"--report {directory}: {error.strerror}") from None
    write_result(result, directory / "report.json")


def _scenario(scenario: ScenarioResult) -> dict[str, Any]:
    unit, factor = unit_of(scenario)
    pictures = [percentile_plot(scenario, series) for series in series_of(scenario)]
    pictures += [picture for picture in (time_plot(scenario), stage_plot(scenario)) if picture is not None]
    return {
        "name": scenario.scenario,
        "text": scenario.text,
        "load": scenario.load,
        "unit": unit,
        "missing": scenario.missing,
        "rows": [
            _row(scenario, subject, series, factor)
            for series in series_of(scenario)
            for subject in scenario.subjects
            if series in subject.names()
        ],
        "figures": figure_rows(scenario),
        "pictures": [Markup(picture) for picture in pictures],
    }


def _row(scenario: ScenarioResult, subject: SubjectResult, series: str, factor: float) -> dict[str, Any]:
    pooled = subject.pooled(series)
    return {
        "subject": subject.subject,
        "series": series,
        "count": pooled.count,
        "values": latency_cells(pooled, factor),
        "ratios": ratio_cells(scenario, subject, series),
    }
