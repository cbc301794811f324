"""The result of a run as a file (JSON, by orjson), checked when it is read. Pure but for reading and writing it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.bench.histogram import Histogram, histogram_of, merged
from gateway.bench.scenario import Role, Round
from gateway.bench.units import NS_PER_MS
from gateway.config.load import describe
from gateway.errors import GatewayError

FORMAT = "fix-gateway-bench"
VERSION = 1
SLOTS = 100  # of a round, over time
MAX_PROBLEMS = 5  # that are told of a file


class Part(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RoundResult(Part):
    """One round of one subject."""

    series: dict[str, Histogram] = {}
    over_time: list[tuple[float, float, float]] = []  # ms since the round began; median and maximum from there on, ns
    figures: dict[str, float] = {}
    stages: dict[str, Histogram] = {}


class SubjectResult(Part):
    """All rounds of one subject."""

    subject: str
    role: Role
    rounds: list[RoundResult]

    def names(self) -> list[str]:
        """The series, the main one first."""
        return list(dict.fromkeys(name for one in self.rounds for name in one.series))

    def pooled(self, series: str) -> Histogram:
        """A series over all rounds."""
        return merged([one.series[series] for one in self.rounds if series in one.series])

    def stages(self) -> dict[str, Histogram]:
        """Each stage over all rounds."""
        names = dict.fromkeys(name for one in self.rounds for name in one.stages)
        return {name: merged([one.stages[name] for one in self.rounds if name in one.stages]) for name in names}


class Missing(Part):
    """A subject that was not measured."""

    subject: str
    why: str


class ScenarioResult(Part):
    """One question, answered."""

    scenario: str
    text: str
    load: str
    subjects: list[SubjectResult]
    missing: list[Missing] = []

    def subject(self, name: str) -> SubjectResult | None:
        """One of them by its name."""
        return next((subject for subject in self.subjects if subject.subject == name), None)


class RunResult(Part):
    """A whole run."""

    format: Literal["fix-gateway-bench"] = "fix-gateway-bench"
    version: Literal[1] = 1
    started: str  # UTC, ISO 8601
    settings: dict[str, Any]
    host: dict[str, Any]
    scenarios: list[ScenarioResult]

    def scenario(self, name: str) -> ScenarioResult | None:
        """One of them by its name."""
        return next((scenario for scenario in self.scenarios if scenario.scenario == name), None)


def round_result(one: Round) -> RoundResult:
    """What a file holds of a round. Raises ValueError when it holds no numbers."""
    return RoundResult(
        series={name: histogram_of(values) for name, values in one.series.items()},
        over_time=_over_time(one),
        figures=one.figures,
        stages={name: histogram_of(values) for name, values in one.stages.items() if len(values)},
    )


def _over_time(one: Round) -> list[tuple[float, float, float]]:
    if one.starts_ns is None or not one.series:
        return []
    values = np.asarray(next(iter(one.series.values())), np.float64)
    starts = (one.starts_ns - one.starts_ns[0]).astype(np.float64) / NS_PER_MS
    places = np.linspace(0, len(values), min(SLOTS, len(values)) + 1).astype(int)
    return [
        (float(starts[a]), float(np.median(values[a:b])), float(values[a:b].max()))
        for a, b in itertools.pairwise(places)
    ]


def write_result(result: RunResult, path: Path) -> None:
    """Raises GatewayError: it cannot be written."""
    try:
        path.write_bytes(orjson.dumps(result.model_dump(mode="json"), option=orjson.OPT_SERIALIZE_NUMPY))
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror}") from None


def read_result(path: Path) -> RunResult:
    """Raises GatewayError: there is no such file, or it is not a result of `gateway bench`."""
    try:
        data = orjson.loads(path.read_bytes())
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise GatewayError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise GatewayError(f'{path}: not a result of `gateway bench --json`: it has no "format": "{FORMAT}"')
    if data.get("version") != VERSION:
        raise GatewayError(f"{path}: version {data.get('version')!r} of the format; this gateway reads {VERSION}")
    try:
        return RunResult.model_validate(data)
    except ValidationError as error:
        raise GatewayError("\n".join(f"{path}: {line}" for line in describe(error)[:MAX_PROBLEMS])) from None
