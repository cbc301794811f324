"""What one simulated run ended with. Plain values that travel between processes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.native.sim import World
from gateway.sim.schedule import Scenario, scenario_of, wild

INVARIANTS = (
    "no invariant",
    "1 (no ClOrdID is processed twice)",
    "2 (no MsgSeqNum is given twice)",
    "3 (no accepted order is lost)",
    "4 (each execution reaches its client once, in order)",
    "5 (one node releases in an epoch)",
    "6 (logs agree)",
    "7 (the pair heals)",
    "the release rule (nothing leaves before the standby in sync holds it)",
    "the truth of a rejection (what was rejected was not sent)",
    "the form of messages (the counterparty has no reason to reject one)",
    "the replay (a log says the same when it is read again)",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`broken`: number of the invariant that did not hold, 0: all did; `text` says how."""

    seed: int
    broken: int
    text: str
    events: int
    orders: int
    promotions: int
    gone: bool
    coverage: list[list[int]]
    session_coverage: list[list[int]]
    days: int = 0

    @property
    def verdict(self) -> str:
        """One line about it."""
        if not self.broken:
            return "every invariant holds"
        return f"breaks {INVARIANTS[self.broken]}: {self.text}"


def run_scenario(scenario: Scenario) -> Outcome:
    """Runs it."""
    outcome, _ = _run(scenario, trace=False)
    return outcome


def trace_scenario(scenario: Scenario) -> tuple[Outcome, list[tuple[object, ...]]]:
    """Runs it and keeps what happened, for gateway.sim.story."""
    return _run(scenario, trace=True)


def run_seed(seed: int) -> Outcome:
    """Runs the scenario of a seed."""
    return run_scenario(scenario_of(seed))


def run_wild_seed(seed: int) -> Outcome:
    """Runs it under wild clocks."""
    return run_scenario(wild(scenario_of(seed)))


def _run(scenario: Scenario, *, trace: bool) -> tuple[Outcome, list[tuple[object, ...]]]:
    world = World(scenario.seed, trace=trace, **scenario.options)  # type: ignore[arg-type]
    result = world.run([fault.native() for fault in scenario.faults])
    broken, text = result["broken"], result["text"]
    if not broken and not result["healed"]:
        broken, text = INVARIANTS.index("7 (the pair heals)"), "the run did not come to an end"
    outcome = Outcome(
        scenario.seed,
        broken,
        text,
        result["events"],
        result["orders"],
        result["promotions"],
        result["gone"],
        result["coverage"],
        result["session_coverage"],
        result["days"],
    )
    return outcome, result["trace"]
