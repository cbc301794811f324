"""What a round of chaos does: drawn from a seed and the round's number alone. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

PAIR_SHARE = 0.35  # of rounds that have two faults
EARLIEST_S, LATEST_S = 0.1, 0.9  # when the first fault strikes, after the first order
SHORTEST_GAP_S, LONGEST_GAP_S = 0.0, 1.0  # from one fault to the next
SHORTEST_S, LONGEST_S = 0.05, 2.5  # how long a fault stays


class Kind(StrEnum):
    """What goes wrong."""

    KILL = "kill"  # SIGKILL, and a start after a while
    PAUSE = "pause"  # SIGSTOP, and SIGCONT after a while
    ISOLATE = "isolate"  # every link of the host is cut
    CUT_PATH = "cut-path"  # the datagrams between the nodes
    CUT_TRIPWIRE = "cut-tripwire"
    CUT_REGISTER = "cut-register"  # of one node
    REGISTER_LOSS = "register-loss"  # for everybody
    CUT_BROKER = "cut-broker"  # of one node, nobody is told
    BROKER_DROP = "broker-drop"  # the broker's connections are reset
    BROKER_KILL = "broker-kill"
    BROKER_PAUSE = "broker-pause"
    CUT_CLIENTS = "cut-clients"
    BAD_PATH = "bad-path"  # datagrams are lost, doubled, delayed
    DISK_FULL = "disk-full"  # no file of the process can grow


ON_NODE = frozenset(
    {Kind.KILL, Kind.PAUSE, Kind.ISOLATE, Kind.CUT_REGISTER, Kind.CUT_BROKER, Kind.CUT_CLIENTS, Kind.DISK_FULL}
)
BOTH_TOO = frozenset({Kind.KILL, Kind.PAUSE})  # may strike both nodes at once
WEIGHTS = {
    Kind.KILL: 6,
    Kind.PAUSE: 4,
    Kind.ISOLATE: 4,
    Kind.CUT_PATH: 3,
    Kind.CUT_TRIPWIRE: 1,
    Kind.CUT_REGISTER: 2,
    Kind.REGISTER_LOSS: 2,
    Kind.CUT_BROKER: 2,
    Kind.BROKER_DROP: 2,
    Kind.BROKER_KILL: 1,
    Kind.BROKER_PAUSE: 1,
    Kind.CUT_CLIENTS: 1,
    Kind.BAD_PATH: 1,
    Kind.DISK_FULL: 2,
}


class Target(StrEnum):
    """Whom a fault strikes, by what it is when the fault comes."""

    PRIMARY = "primary"
    STANDBY = "standby"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when it comes (s after the first order of the round), how long it stays (s)."""

    kind: Kind
    target: Target | None
    at_s: float
    for_s: float

    def __str__(self) -> str:
        whom = f" {self.target}" if self.target else ""
        return f"{self.kind}{whom} {self.for_s:.2f} s"


@dataclass(frozen=True, slots=True)
class Round:
    """One round's faults."""

    number: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.faults))


def plan_round(seed: int, number: int, kinds: frozenset[Kind]) -> Round:
    """The faults of round `number`; only of these kinds."""
    draw = random.Random(f"{seed}:{number}")
    at_s = draw.uniform(EARLIEST_S, LATEST_S)
    faults = [_draw_fault(draw, kinds, at_s)]
    if draw.random() < PAIR_SHARE:
        faults.append(_draw_fault(draw, kinds, at_s + draw.uniform(SHORTEST_GAP_S, LONGEST_GAP_S)))
    return Round(number, tuple(faults))


def _draw_fault(draw: random.Random, kinds: frozenset[Kind], at_s: float) -> Fault:
    known = [kind for kind in Kind if kind in kinds]
    kind = draw.choices(known, [WEIGHTS[kind] for kind in known])[0]
    target = None
    if kind in ON_NODE:
        target = draw.choices(list(Target), [6, 3, 1 if kind in BOTH_TOO else 0])[0]
    return Fault(kind, target, round(at_s, 3), round(draw.uniform(SHORTEST_S, LONGEST_S), 3))
