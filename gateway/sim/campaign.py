"""Many seeds over some processes, until there are enough or the time is over."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.native.sim import FAULT_NAMES, SEEN_NAMES, SESSION_NAMES
from gateway.sim.outcome import Outcome, run_seed, run_wild_seed

CHUNK = 20
MAX_FAILURES_KEPT = 10


@dataclass(slots=True)
class Tally:
    """Sums over the runs so far."""

    runs: int = 0
    events: int = 0
    orders: int = 0
    promotions: int = 0
    gone: int = 0
    days: int = 0
    failed: int = 0
    failures: list[Outcome] = field(default_factory=list)
    coverage: list[list[int]] = field(default_factory=lambda: _zeros(len(SEEN_NAMES)))
    session_coverage: list[list[int]] = field(default_factory=lambda: _zeros(len(SESSION_NAMES)))

    def add(self, outcome: Outcome) -> None:
        """Counts a run."""
        self.runs += 1
        self.events += outcome.events
        self.orders += outcome.orders
        self.promotions += outcome.promotions
        self.gone += outcome.gone
        self.days += outcome.days
        if outcome.broken:
            self.failed += 1
            if len(self.failures) < MAX_FAILURES_KEPT:
                self.failures.append(outcome)
        for total, part in ((self.coverage, outcome.coverage), (self.session_coverage, outcome.session_coverage)):
            for row, more in zip(total, part, strict=True):
                for i, count in enumerate(more):
                    row[i] += count


def run_campaign(
    first_seed: int,
    seeds: int,
    jobs: int,
    minutes: float | None = None,
    on_run: Callable[[Tally], None] = lambda tally: None,
    stop_at_failure: bool = False,
    wild_clocks: bool = False,
) -> Tally:
    """Runs seeds `first_seed` and the next ones; `minutes` ends it earlier. `on_run` is called after each."""
    tally = Tally()
    deadline = time.monotonic() + minutes * 60 if minutes is not None else float("inf")
    run = run_wild_seed if wild_clocks else run_seed
    for outcome in _outcomes(run, range(first_seed, first_seed + seeds), jobs):
        tally.add(outcome)
        on_run(tally)
        if time.monotonic() >= deadline or (stop_at_failure and tally.failures):
            break
    return tally


def _outcomes(run: Callable[[int], Outcome], seeds: range, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(run, seeds)
        return
    with multiprocessing.Pool(jobs) as pool:
        yield from pool.imap_unordered(run, seeds, CHUNK)


def _zeros(columns: int) -> list[list[int]]:
    return [[0] * columns for _ in FAULT_NAMES]
