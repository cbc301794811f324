"""From a failing scenario to its shortest: faults are taken out and shortened while the same invariant still breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.sim.outcome import Outcome, run_scenario
from gateway.sim.schedule import FAULTS_END_NS, MS, Scenario

Runner = Callable[[Scenario], Outcome]
MAX_RUNS = 400


def shrink(scenario: Scenario, outcome: Outcome, run: Runner = run_scenario) -> tuple[Scenario, Outcome]:
    """The smallest scenario found, and how it ends. Deterministic; at most MAX_RUNS runs."""
    runs = 0
    shrunk = True
    while shrunk and runs < MAX_RUNS:
        shrunk = False
        for candidate in _smaller(scenario):
            runs += 1
            attempt = run(candidate)
            if attempt.broken == outcome.broken:
                scenario, outcome, shrunk = candidate, attempt, True
                break
            if runs >= MAX_RUNS:
                break
    return scenario, outcome


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Simpler ones, the boldest first."""
    faults = scenario.faults
    for i in range(len(faults)):
        yield scenario.with_faults(faults[:i] + faults[i + 1 :])
    if scenario.options["sessions"] != 1 or scenario.options["clients"] != 1:
        yield replace(scenario, options={**scenario.options, "sessions": 1, "clients": 1})
    if scenario.options["faults_end_ns"] == FAULTS_END_NS and faults:
        end = max(fault.at_ns + fault.duration_ns for fault in faults) + 50 * MS
        if end < FAULTS_END_NS * 3 // 4:
            yield replace(scenario, options={**scenario.options, "faults_end_ns": end})
    for i, fault in enumerate(faults):
        if fault.duration_ns >= 10 * MS:
            shorter = replace(fault, duration_ns=fault.duration_ns // 2 // MS * MS)
            yield scenario.with_faults((*faults[:i], shorter, *faults[i + 1 :]))
