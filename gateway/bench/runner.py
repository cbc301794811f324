"""Runs scenarios: opens their subjects, warms them up, and measures them in turn, round by round.

Every round measures all subjects one after the other, and the order rotates from round to round, so that what the host
does meanwhile (its clock, its neighbours) falls on all of them alike. While one is measured, the others' processes are
stopped.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.bench.hostfacts import host_facts
from gateway.bench.results import Missing, RoundResult, RunResult, ScenarioResult, SubjectResult, round_result
from gateway.bench.scenario import Instrument, Round, Scenario, Setting, Subject
from gateway.config import Config
from gateway.config.models import NodeName
from gateway.errors import GatewayError

WARM_UP_ROUNDS = 1
QUICK_ROUNDS = 2
QUICK_RATE = 2_000.0
FAILURES = (GatewayError, OSError, RuntimeError, ValueError, MemoryError)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """Of a run."""

    directory: Path  # for the subjects' files
    rounds: int = 10
    rate: float = 5_000.0
    quick: bool = False
    config: Config | None = None
    node: NodeName = "a"


def run(scenarios: Sequence[Scenario], options: Options, progress: Progress) -> RunResult:
    """Measures them all. A subject that fails is named in the result, and the others go on."""
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts = host_facts(options.config, options.node, thorough=not options.quick)
    results = [_run_scenario(scenario, options, progress) for scenario in scenarios]
    return RunResult(started=started, settings=_settings(options), host=facts, scenarios=results)


def _settings(options: Options) -> dict[str, Any]:
    return {
        "rounds": options.rounds,
        "warm_up_rounds": WARM_UP_ROUNDS,
        "rate": options.rate,
        "quick": options.quick,
        "config": options.config is not None,
    }


def _run_scenario(scenario: Scenario, options: Options, progress: Progress) -> ScenarioResult:
    missing: dict[str, str] = {}
    found: dict[str, list[RoundResult]] = {}
    with contextlib.ExitStack() as stack:
        opened: dict[str, Instrument] = {}
        for subject in scenario.subjects:
            why = subject.lacks()
            if why is None:
                progress(f"{scenario.name}: starting {subject.name}")
                why = _open(stack, scenario, subject, options, opened)
            if why is not None:
                missing[subject.name] = why
        warm_up = 0 if scenario.heavy else WARM_UP_ROUNDS  # what is heavy begins anew in each round
        for turn in range(-warm_up, options.rounds):
            for name in _rotated(list(opened), turn + warm_up):
                progress(f"{scenario.name}: {_turn(turn, options.rounds)}, {name}")
                try:
                    one = _measure(opened[name])
                    if turn >= 0:
                        found.setdefault(name, []).append(round_result(one))
                except FAILURES as error:
                    missing[name] = f"failed: {error or type(error).__name__}"
                    del opened[name]
    return ScenarioResult(
        scenario=scenario.name,
        text=scenario.text,
        load=f"open loop, {options.rate:,.0f} a second" if scenario.open_loop else "one after the other",
        subjects=[
            SubjectResult(subject=subject.name, role=subject.role, rounds=found[subject.name])
            for subject in scenario.subjects
            if subject.name in found and subject.name not in missing
        ],
        missing=[Missing(subject=name, why=why) for name, why in missing.items()],
    )


def _open(
    stack: contextlib.ExitStack, scenario: Scenario, subject: Subject, options: Options, opened: dict[str, Instrument]
) -> str | None:
    """Opens a subject and lays it to sleep; why that failed, or None."""
    directory = options.directory / scenario.name / subject.name
    operations = scenario.quick_operations if options.quick else scenario.operations
    try:
        directory.mkdir(parents=True)
        setting = Setting(directory, operations, options.rate, options.config, options.node)
        instrument = stack.enter_context(subject.open(setting))
        instrument.sleep()
    except FAILURES as error:
        return f"failed: {error or type(error).__name__}"
    opened[subject.name] = instrument
    return None


def _measure(instrument: Instrument) -> Round:
    instrument.wake()
    try:
        return instrument.measure()
    finally:
        instrument.sleep()


def _rotated(names: list[str], turn: int) -> list[str]:
    places = turn % len(names) if names else 0
    return names[places:] + names[:places]


def _turn(turn: int, rounds: int) -> str:
    return "warm-up" if turn < 0 else f"round {turn + 1} of {rounds}"
