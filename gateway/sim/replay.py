"""A scenario as text that `gateway sim --replay` takes, so that a shrunk schedule can be run again."""

from __future__ import annotations

import orjson

from gateway.errors import GatewayError
from gateway.sim.schedule import KIND, TRIGGER, Fault, Scenario, scenario_of


def to_text(scenario: Scenario) -> str:
    """JSON on one line: seed, options, faults. All of them, so that it says the same when seeds say something else."""
    faults = [[f.at_ns, f.kind, f.target, f.duration_ns, f.param, f.when] for f in scenario.faults]
    return orjson.dumps({"seed": scenario.seed, "options": scenario.options, "faults": faults}).decode()


def from_text(text: str) -> Scenario:
    """The scenario. Raises GatewayError: not one."""
    try:
        raw = orjson.loads(text)
        own = scenario_of(raw["seed"])
        faults = tuple(Fault(*values) for values in raw["faults"])
        options = {**own.options, **raw["options"]}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise GatewayError(f"--replay: not a scenario as printed by `gateway sim`: {error}") from None
    for fault in faults:
        if fault.kind not in KIND or fault.when not in TRIGGER:
            raise GatewayError(f"--replay: no fault {fault.kind!r} when {fault.when!r}; known are {', '.join(KIND)}")
    return Scenario(own.seed, options, faults)
