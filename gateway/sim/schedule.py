"""From a seed to a scenario: the world's options and its schedule of faults.

May depend on: gateway.native.sim (names only). Never runs anything: a scenario is plain values, so that it can be
shrunk, printed and replayed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from gateway.native.sim import FAULT_NAMES, SEEN_NAMES, SESSION_NAMES

MS = 1_000_000
FAULTS_FROM_NS = 5 * MS
FAULTS_END_NS = 700 * MS
MAX_KILL_STEPS = 60
WALL_JUMP_ZERO = DRIFT_ZERO = 1_000_000
MAX_WALL_JUMP_S = 100_000
MAX_DRIFT_PPM = 200_000
MAX_JUMP = 50  # of MsgSeqNum
BOTH_PATHS = 2  # and the tripwire
BOTH_PATHS_ONLY = 3
TRIGGER_SEEN = 1  # as in native/sim.pxd
TRIGGER_SESSION = 32

KIND = {name: index for index, name in enumerate(FAULT_NAMES)}
DIRECTED = frozenset({"cut_path", "cut_register", "cut_broker", "cut_clients"})
TRIGGER = {
    "": 0,
    **{name: TRIGGER_SEEN + index for index, name in enumerate(SEEN_NAMES)},
    **{f"session {name}": TRIGGER_SESSION + index for index, name in enumerate(SESSION_NAMES)},
}
# States that a run is in for so short a time that a moment drawn by chance hardly meets them.
SHORT_STATES = (
    *("starting", "joining", "following", "candidate", "solo", "handing over", "fenced", "down"),
    *("session disconnected", "session logon sent", "session recovering", "session logout sent", "session no primary"),
)
TRIGGERED = 0.4  # of the faults that are not the first
ASYNC = 0.2  # of the runs
ABSENCE = 0.06  # of the runs
LOST_LOG = 0.03
WILD_SALT = 0x574C44
WILD_S = 999_999  # at a time
WILD_PPM = 500_000
WILD_JUMPS = 12  # of each node's wall clock
WILD_DRIFTS = 4
# How often each kind is drawn, in proportion; 4 where nothing is said.
WEIGHTS = {
    "kill": 14,
    "power": 6,
    "pause": 10,
    "isolate": 6,
    "cut_path": 8,
    "takeover": 3,
    "switchover": 5,
    "solo": 3,
    "wall_jump": 8,
}
DURATIONS_MS = ((1, 4), (1, 30), (30, 80), (50, 400), (300, 1500))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Times in ns from the start of the run; `target` and `param` as native/sim.pxd says for each kind."""

    at_ns: int
    kind: str
    target: int
    duration_ns: int
    param: int
    when: str = ""  # from at_ns on, as soon as the node is in this state (SEEN_NAMES), or "session <state>"

    def native(self) -> tuple[int, int, int, int, int, int]:
        """As `World.run` takes it."""
        return self.at_ns, KIND[self.kind], self.target, self.duration_ns, self.param, TRIGGER[self.when]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one seed stands for; `faults` may have been shrunk."""

    seed: int
    options: dict[str, int | bool]
    faults: tuple[Fault, ...]

    def with_faults(self, faults: tuple[Fault, ...]) -> Scenario:
        """The same world under other faults."""
        return replace(self, faults=faults)


def scenario_of(seed: int) -> Scenario:
    """The scenario of a seed, the same for ever as long as this file stays the same."""
    chance = random.Random(seed)
    durability = chance.choice((0, 1, 1, 2))
    options: dict[str, int | bool] = {
        "sessions": chance.choice((1, 1, 2)),
        "clients": chance.choice((1, 2, 2, 3)),
        "durability": durability,
        "refuses_second": chance.random() < 0.5,
        "watch": chance.random() < 0.7,
        "order_every_ns": chance.choice((2, 10, 30, 60)) * MS,
        "flush_every_ns": (200 if durability == 0 else chance.choice((1, 5))) * MS,
        "faults_end_ns": FAULTS_END_NS,
        "resend_max_age_ns": chance.choice((60_000, 60_000, 30, 1)) * MS,
    }
    if chance.random() < ASYNC:
        options["sync"] = False
        options["order_every_ns"] = max(options["order_every_ns"], 5 * MS)  # skip_ahead is for so many
    count = chance.choice((1, 1, 2, 2, 2, 3, 4, 6))
    faults = sorted((_draw(chance) for _ in range(count)), key=lambda fault: fault.at_ns)
    faults[1:] = [_waiting(chance, fault) if chance.random() < TRIGGERED else fault for fault in faults[1:]]
    faults = [_timely(fault, faults, options) for fault in faults]
    if chance.random() < ABSENCE:
        options["resend_max_age_ns"] = MS
        faults = _absence(chance, options["clients"])
    elif chance.random() < LOST_LOG:
        faults = _lost_log(chance)
    return Scenario(seed, options, tuple(faults))


def _timely(fault: Fault, faults: list[Fault], options: dict[str, int | bool]) -> Fault:
    """Days change by the wall clocks, and those must be right for it (docs/limits.md)."""
    jumps = any(other.kind == "wall_jump" for other in faults)
    return replace(fault, kind="close") if fault.kind == "day_change" and (jumps or "sync" in options) else fault


def wild(scenario: Scenario) -> Scenario:
    """The same scenario under clocks that are wrong all the time: far off, jumping, and running at other speeds."""
    chance = random.Random(scenario.seed ^ WILD_SALT)
    jumps = [
        Fault(chance.randrange(FAULTS_END_NS), "wall_jump", node, 0, WALL_JUMP_ZERO + chance.randrange(-WILD_S, WILD_S))
        for node in (0, 1)
        for _ in range(WILD_JUMPS)
    ]
    drifts = [
        Fault(chance.randrange(FAULTS_END_NS), "drift", node, 0, DRIFT_ZERO + chance.randrange(-WILD_PPM, WILD_PPM))
        for node in (0, 1)
        for _ in range(WILD_DRIFTS)
    ]
    kept = [replace(fault, kind="close") if fault.kind == "day_change" else fault for fault in scenario.faults]
    return scenario.with_faults((*kept, *jumps, *drifts))


def _lost_log(chance: random.Random) -> list[Fault]:
    """The standby comes back without its log, and the primary dies before it can tell the register."""
    at = chance.randrange(60 * MS, 300 * MS)
    change = chance.choice(("kill", "power", "isolate"))
    faults = [
        Fault(at, "bit_flip", 1, chance.randrange(1, 30) * MS, 0),
        Fault(at + chance.randrange(40 * MS), change, 0, chance.randrange(100, 600) * MS, 0),
    ]
    return [Fault(max(0, at - 5 * MS), "cut_register", 0, 100 * MS, 3), *faults] if chance.random() < 0.5 else faults


def _absence(chance: random.Random, clients: int) -> list[Fault]:
    """Orders do not reach the counterparty, and two new primaries follow each other while the clients are away."""
    at = chance.randrange(60 * MS, 200 * MS)
    away = at + chance.randrange(10 * MS)
    change = chance.choice(("kill", "takeover", "switchover"))
    return [
        Fault(at, "cut_broker", 0, 60 * MS, 3),
        *(Fault(away, "client_crash", client, chance.randrange(500 * MS, 900 * MS), 0) for client in range(clients)),
        Fault(away + chance.randrange(10 * MS), "kill", 0, chance.randrange(1, 60) * MS, 0),
        Fault(away + chance.randrange(200 * MS, 400 * MS), change, chance.randrange(2), 20 * MS, 0),
    ]


def _waiting(chance: random.Random, fault: Fault) -> Fault:
    """Armed early, and let loose by a state that an earlier fault brings about."""
    return replace(fault, at_ns=chance.randrange(0, fault.at_ns + 1), when=chance.choice(SHORT_STATES))


def _draw(chance: random.Random) -> Fault:
    kind = chance.choices(FAULT_NAMES, [WEIGHTS.get(name, 4) for name in FAULT_NAMES])[0]
    at_ns = chance.randrange(FAULTS_FROM_NS, FAULTS_END_NS * 3 // 4)
    if chance.random() < 0.3:  # close to the start, where nothing has settled
        at_ns = chance.randrange(0, 30 * MS)
    low, high = chance.choice(DURATIONS_MS)
    target = chance.randrange(4 if kind in {"bad_paths", "slow_paths"} else 2)
    if kind == "cut_path":
        target = chance.choice((0, 1, BOTH_PATHS, BOTH_PATHS, BOTH_PATHS_ONLY))
    return Fault(at_ns, kind, target, chance.randrange(low * MS, high * MS), _param(chance, kind))


def _param(chance: random.Random, kind: str) -> int:
    if kind == "kill":
        return chance.choice((0, chance.randrange(MAX_KILL_STEPS)))
    if kind in DIRECTED:
        return chance.choice((1, 2, 3, 3))
    if kind == "wall_jump":
        return WALL_JUMP_ZERO + chance.randrange(-MAX_WALL_JUMP_S, MAX_WALL_JUMP_S)
    if kind == "drift":
        return DRIFT_ZERO + chance.randrange(-MAX_DRIFT_PPM, MAX_DRIFT_PPM)
    if kind == "broker_reset":
        return chance.randrange(MAX_JUMP)
    return 0
