"""Two results side by side: what became faster or slower, and how sure that is. Pure.

For each percentile the statistic is the median over the rounds. Its ratio, new to old, gets a 95 % confidence interval
by the bootstrap over rounds (Efron, 1979): rounds are drawn with replacement on both sides, the ratio of the medians is
taken, many times over, and the interval is what the middle 95 % of these ratios span. Values within one round depend on
each other (a stall delays many orders), rounds hardly do: that is why rounds are drawn, not values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gateway.bench.histogram import PERCENTILES
from gateway.bench.results import RunResult, ScenarioResult, SubjectResult
from gateway.bench.units import Kind, figure

DRAWS = 4000
SEED = 20261121  # the same files give the same verdicts
CONFIDENCE = 95.0
MIN_ROUNDS = 5  # with fewer, an interval says little


class Verdict(StrEnum):
    """What a ratio says."""

    FASTER = "faster"
    SLOWER = "slower"
    SMALLER = "smaller"
    LARGER = "larger"
    HIGHER = "higher"
    LOWER = "lower"
    SAME = "no difference"
    UNKNOWN = "too few rounds"


WORDS = {  # for what went down, and for what went up
    Kind.TIME: (Verdict.FASTER, Verdict.SLOWER),
    Kind.RATE: (Verdict.SLOWER, Verdict.FASTER),
    Kind.SIZE: (Verdict.SMALLER, Verdict.LARGER),
    Kind.OTHER: (Verdict.LOWER, Verdict.HIGHER),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One percentile or figure, old and new."""

    scenario: str
    subject: str
    what: str  # such as "order to broker p99"
    old: float
    new: float
    ratio: float  # new / old
    low: float  # of the confidence interval of the ratio
    high: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes; what only one of the results has; and whether the hosts differ."""

    changes: list[Change]
    only_old: list[str]
    only_new: list[str]
    host_differences: list[str]


def compare(old: RunResult, new: RunResult) -> Comparison:
    """`new` against `old`."""
    generator = np.random.default_rng(SEED)
    changes: list[Change] = []
    before, after = _pairs(old), _pairs(new)
    for key in before:
        if key in after:
            changes += _changes(key, before[key], after[key], generator)
    return Comparison(
        changes,
        [" ".join(key) for key in before if key not in after],
        [" ".join(key) for key in after if key not in before],
        _host_differences(old, new),
    )


def _pairs(result: RunResult) -> dict[tuple[str, str], SubjectResult]:
    return {(scenario.scenario, one.subject): one for scenario in result.scenarios for one in _subjects(scenario)}


def _subjects(scenario: ScenarioResult) -> list[SubjectResult]:
    return [subject for subject in scenario.subjects if subject.rounds]


def _changes(
    key: tuple[str, str], old: SubjectResult, new: SubjectResult, generator: np.random.Generator
) -> list[Change]:
    found = []
    for name in old.names():
        if name not in new.names():
            continue
        before, after = _per_round(old, name), _per_round(new, name)
        for place, percent in enumerate(PERCENTILES):
            what = f"{name} {'max' if percent == 100 else f'p{percent:g}'}"
            values = before[:, place], after[:, place]
            found.append(_change(key, what, *values, generator, WORDS[Kind.TIME]))
    figures = [name for name in old.rounds[0].figures if name in new.rounds[0].figures]
    for name in figures:
        values = _figures(old, name), _figures(new, name)
        told = figure(name)
        found.append(_change(key, told.label, *values, generator, WORDS[told.kind]))
    return found


def _per_round(subject: SubjectResult, series: str) -> NDArray[np.float64]:
    return np.array([one.series[series].percentiles() for one in subject.rounds if series in one.series])


def _figures(subject: SubjectResult, name: str) -> NDArray[np.float64]:
    return np.array([one.figures[name] for one in subject.rounds if name in one.figures])


def _change(
    key: tuple[str, str],
    what: str,
    old: NDArray[np.float64],
    new: NDArray[np.float64],
    generator: np.random.Generator,
    words: tuple[Verdict, Verdict],
) -> Change:
    before, after = float(np.median(old)), float(np.median(new))
    ratio, low, high = ratio_of_medians(old, new, generator)
    return Change(*key, what, before, after, ratio, low, high, _verdict(low, high, min(len(old), len(new)), words))


def ratio_of_medians(
    old: NDArray[np.float64], new: NDArray[np.float64], generator: np.random.Generator
) -> tuple[float, float, float]:
    """new / old, and the ends of its confidence interval."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.median(new) / np.median(old)
        ratios = _resampled(new, generator) / _resampled(old, generator)
    tail = (100 - CONFIDENCE) / 2
    ratios = np.nan_to_num(ratios, nan=1.0, posinf=np.finfo(float).max)  # 0 / 0: nothing changed
    low, high = np.percentile(ratios, (tail, 100 - tail))
    return float(np.nan_to_num(ratio, nan=1.0, posinf=np.finfo(float).max)), float(low), float(high)


def _resampled(values: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    drawn = generator.integers(0, len(values), (DRAWS, len(values)))
    medians: NDArray[np.float64] = np.median(values[drawn], axis=1)
    return medians


def _verdict(low: float, high: float, rounds: int, words: tuple[Verdict, Verdict]) -> Verdict:
    if rounds < MIN_ROUNDS:
        return Verdict.UNKNOWN
    if high < 1:
        return words[0]
    return words[1] if low > 1 else Verdict.SAME


def _host_differences(old: RunResult, new: RunResult) -> list[str]:
    """What makes two results hard to compare."""
    found = [
        f"{name}: {old.host.get(name)} before, {new.host.get(name)} now"
        for name in ("cpu", "cores", "kernel")
        if old.host.get(name) != new.host.get(name)
    ]
    if old.settings.get("rate") != new.settings.get("rate"):
        found.append(f"rate: {old.settings.get('rate')} before, {new.settings.get('rate')} now")
    return found
