"""Many takeovers in a row under a flow of orders, and how long each step took. Links are direct: nothing adds delay."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.audit.audit import AuditResult, audit
from gateway.chaos.campaign import ANSWER_TIMEOUT_S, HEAL_TIMEOUT_S
from gateway.chaos.plan import Kind
from gateway.chaos.verdict import percentiles
from gateway.chaos.world import ChaosWorld, WorldOptions
from gateway.demo.observer import OTHER
from gateway.demo.timeline import Kill, TakeoverTimes, takeover_times

RATE, COUNT = 500.0, 300  # orders a second and orders of each takeover
EARLIEST_S, LATEST_S = 0.1, 0.3  # when it comes, after the first order
UNDISTURBED_S = 0.25  # so long nobody asks the nodes anything
STEPS = ("detect", "register", "connect", "logon", "ready", "first_order_at_broker")
SEGMENT_BYTES = "16 MiB"
HEARTBEAT_S = 30
SUSPECT_AFTER_MS = 50  # as in production


@dataclass(slots=True)
class TakeoverSeries:
    """What a series showed."""

    fault: str
    times: list[TakeoverTimes] = field(default_factory=list)
    audit: AuditResult | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing was doubled or lost."""
        return self.audit is not None and self.audit.passed

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values; milliseconds."""
        return {
            "fault": self.fault,
            "takeovers": len(self.times),
            "ms": {
                step: percentiles([value for each in self.times if (value := getattr(each, step)) is not None])
                for step in STEPS
            },
            "audit": self.audit.as_dict() if self.audit is not None else None,
        }


def quiet_world(
    orders: Path,
    *,
    mode: str = "sync",
    engine: str = "native",
    register: str = "file",
    network: str = "loopback",
    suspect_after_ms: int = SUSPECT_AFTER_MS,
) -> WorldOptions:
    """A world in which nothing but the gateway takes time."""
    return WorldOptions(
        mode,
        engine,
        register,
        orders,
        suspect_after_ms,
        network=network,
        relays=network == "namespaces",
        segment_bytes=SEGMENT_BYTES,
        heartbeat_s=HEARTBEAT_S,
    )


async def measure_takeovers(
    directory: Path, options: WorldOptions, count: int, fault: Kind, seed: int, tell: Callable[[int], None]
) -> TakeoverSeries:
    """Takes the primary away `count` times: KILL: SIGKILL; ISOLATE: from one moment on nothing comes from it, nor is
    its tripwire closed (its wires are taken down, or, on the loopback, SIGSTOP). `tell` is given the number done.
    """
    series = TakeoverSeries(fault.value)
    draw = random.Random(seed)
    kills = []
    async with ChaosWorld(directory, options) as world:
        for number in range(count):
            await world.trade(RATE, COUNT)
            await asyncio.sleep(draw.uniform(EARLIEST_S, LATEST_S))
            kills.append(await _take_away(world, fault))
            tell(number + 1)
        evidence = await asyncio.to_thread(world.evidence)
        series.audit = audit(evidence)
    numbers = {change.epoch: (change.last_out_before, change.first_out_after) for change in series.audit.epochs}
    series.times = [
        takeover_times(kill, world.node_dir(kill.successor), evidence.broker, numbers.get(kill.epoch, (0, 0)))
        for kill in kills
    ]
    return series


async def _take_away(world: ChaosWorld, fault: Kind) -> Kill:
    """One takeover, and all whole again."""
    primary = await world.see.primary()
    status = await world.see.status(primary)
    assert status is not None
    at_ns = time.time_ns()
    if fault is Kind.KILL:
        at_ns = await world.kill(primary)
    elif wires := world.wires_of(primary):
        world.cut(*wires)
    else:
        world.pause(primary)
    await asyncio.sleep(UNDISTURBED_S)
    await world.see.until_primary(OTHER[primary])
    if world.is_running(primary):
        await world.kill(primary)
    if fault is Kind.ISOLATE:
        world.mend(*world.wires_of(primary))
    await world.start_node(primary)
    await world.see.until("the pair is whole again", world.see.healthy, HEAL_TIMEOUT_S)
    await world.see.until("every order is answered", world.answered, ANSWER_TIMEOUT_S)
    return Kill(primary, OTHER[primary], status["epoch"] + 1, at_ns)
