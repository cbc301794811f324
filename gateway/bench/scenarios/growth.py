"""What a node takes as it fills, as scenarios: its memory, and the cost of an order beside that of an empty node."""

from __future__ import annotations

from pathlib import Path

from gateway.bench.capacity.growth import Before, measure_cost, measure_memory
from gateway.bench.scenario import GATEWAY, Round, Scenario, Subject
from gateway.bench.scenarios.calls import Measure, anew

SESSIONS = 100
DAY, QUICK_DAY = 1_000_000, 20_000  # orders
LONG, QUICK_LONG = 100_000, 5_000  # orders, of more than 3 kB or of the usual 180 bytes
FLOW = 200_000  # orders that are measured, at most
PER_SINGLE = 10  # of them, for each that is measured alone on its way


def _cost(before: int, *, answered: bool = False, long: bool = False, sessions: int = 1) -> Measure:
    """Of an order; `before`: 1, as many orders as the scenario has operations lie before it, or 0."""

    def measure(directory: Path, operations: int) -> Round:
        flow = min(FLOW, operations)
        behind = Before(before * operations, answered, long, sessions)
        return measure_cost(directory, behind, single_orders=flow // PER_SINGLE, flow_orders=flow)

    return measure


def _scenario(name: str, text: str, sizes: tuple[int, int], first: Measure, **others: Measure) -> Scenario:
    """`others`: what stands beside the first, by what is different."""
    subjects = [Subject(GATEWAY, "gateway", anew(first))]
    subjects += [Subject(f"{GATEWAY}, {how.replace('_', ' ')}", "gateway", anew(one)) for how, one in others.items()]
    return Scenario(name, text, tuple(subjects), *sizes, heavy=True)


SCENARIOS = (
    _scenario(
        "memory.node",
        f"resident memory with {SESSIONS} sessions, idle and after many orders",
        (DAY, QUICK_DAY),
        lambda directory, orders: measure_memory(directory, orders=orders, sessions=SESSIONS),
    ),
    _scenario(
        "growth.sessions",
        f"an order with 1, 10 and {SESSIONS} sessions",
        (FLOW, QUICK_DAY),
        _cost(0),
        **{f"{sessions}_sessions": _cost(0, sessions=sessions) for sessions in (10, SESSIONS)},
    ),
    _scenario(
        "growth.day",
        "an order in the morning, and after a day of executed orders",
        (DAY, QUICK_DAY),
        _cost(0),
        full_day=_cost(1, answered=True),
    ),
    _scenario(
        "growth.open",
        "an order with nothing open, and with many orders open",
        (DAY, QUICK_DAY),
        _cost(0),
        open_orders=_cost(1),
    ),
    _scenario(
        "growth.journal",
        "an order after as many orders, short or of more than 3 kB each",
        (LONG, QUICK_LONG),
        _cost(1),
        long_journal=_cost(1, long=True),
    ),
)
