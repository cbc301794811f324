"""How long a takeover takes, by its cause, as scenarios: many in a row under a flow of orders, each run audited."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import numpy as np

from gateway.bench.scenario import Round, Scenario, Subject
from gateway.bench.scenarios.calls import Measure, anew
from gateway.bench.units import NS_PER_MS
from gateway.chaos.namespaces import Namespaces
from gateway.chaos.plan import Kind
from gateway.chaos.takeovers import SUSPECT_AFTER_MS, TakeoverSeries, measure_takeovers, quiet_world
from gateway.demo.cli import SAMPLE_ORDERS
from gateway.errors import GatewayError

TAKEOVERS, QUICK_TAKEOVERS = 10, 2  # of a round
STEPS = {  # each from the cause on; the last one is what counts, and comes first
    "first_order_at_broker": "first new order at the broker",
    "detect": "suspected",
    "register": "register won",
    "connect": "connected to the broker",
    "logon": "logged on",
    "ready": "synchronised",
}


def round_of(series: TakeoverSeries) -> Round:
    """Each step of each takeover, in ns from the cause on. Raises GatewayError: an order was doubled or lost."""
    if not series.passed:
        raise GatewayError("the audit found an order doubled or lost; `gateway chaos --takeovers` tells which")
    steps = {
        name: np.array([value * NS_PER_MS for one in series.times if (value := getattr(one, step)) is not None])
        for step, name in STEPS.items()
    }
    return Round(series={name: values for name, values in steps.items() if len(values)})


def _takeovers(cause: Kind, network: str = "loopback") -> Measure:
    seeds = itertools.count(1)  # when each comes differs from round to round

    def measure(directory: Path, count: int) -> Round:
        world = quiet_world(SAMPLE_ORDERS, network=network)
        run = measure_takeovers(directory / "world", world, count, cause, next(seeds), lambda done: None)
        return round_of(asyncio.run(run))

    return measure


def _scenario(name: str, text: str, *subjects: Subject) -> Scenario:
    return Scenario(f"takeover.{name}", text, subjects, TAKEOVERS, QUICK_TAKEOVERS, heavy=True)


SCENARIOS = (
    _scenario(
        "process-death",
        "from SIGKILL of the primary on: the peer's kernel closes the tripwire",
        Subject("gateway", "gateway", anew(_takeovers(Kind.KILL))),
    ),
    _scenario(
        "host-loss",
        f"from the moment on at which nothing comes from the primary any more; suspect_after {SUSPECT_AFTER_MS} ms",
        Subject("gateway", "gateway", anew(_takeovers(Kind.ISOLATE))),
        Subject(
            "gateway, wires taken down",
            "gateway",
            anew(_takeovers(Kind.ISOLATE, "namespaces")),
            obstacle=Namespaces.obstacle,
        ),
    ),
)
