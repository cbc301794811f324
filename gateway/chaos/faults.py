"""Does to a world what a plan says: strikes, waits, and puts right again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from gateway.chaos.plan import Fault, Kind, Target
from gateway.chaos.world import ChaosWorld
from gateway.demo.observer import NODES, OTHER
from gateway.demo.timeline import Kill

Repair = Callable[[], None]


class Inflictor:
    """Carries out the faults of one round. `kills`: SIGKILLs of a primary while the pair was whole."""

    def __init__(self, world: ChaosWorld) -> None:
        self.kills: list[Kill] = []
        self._world = world

    async def inflict(self, faults: tuple[Fault, ...]) -> None:
        """All of them, each at its time; returns when each has been put right, so that the pair can heal."""
        started = time.monotonic()
        await asyncio.gather(*(self._one(fault, started) for fault in faults))

    async def _one(self, fault: Fault, started: float) -> None:
        await asyncio.sleep(max(0.0, started + fault.at_s - time.monotonic()))
        nodes = await self._nodes(fault.target)
        if fault.kind is Kind.KILL:
            await self._kill(nodes, fault.for_s)
        elif fault.kind is Kind.BROKER_KILL:
            await self._kill_broker(fault.for_s)
        else:
            repair = self._strike(fault.kind, nodes)
            try:
                await asyncio.sleep(fault.for_s)
            finally:
                repair()

    async def _nodes(self, target: Target | None) -> tuple[str, ...]:
        if target is None or target is Target.BOTH:
            return NODES
        primary = await self._world.primary_or("a")
        return (primary if target is Target.PRIMARY else OTHER[primary],)

    async def _kill(self, nodes: tuple[str, ...], for_s: float) -> None:
        world = self._world
        statuses = await world.see.statuses() if len(nodes) == 1 else {}
        status = statuses.get(nodes[0])
        for node in nodes:
            if world.is_running(node):
                killed_at = await world.kill(node)
                if status is not None and status["release"] == "ACKED":
                    self.kills.append(Kill(node, OTHER[node], status["epoch"] + 1, killed_at))
        await asyncio.sleep(for_s)
        for node in nodes:
            if not world.is_running(node):  # the other fault may have started it already
                await world.start_node(node)

    async def _kill_broker(self, for_s: float) -> None:
        world = self._world
        if world.is_running("broker"):
            await world.kill("broker")
        await asyncio.sleep(for_s)
        if not world.is_running("broker"):
            await world.start_broker()

    def _strike(self, kind: Kind, nodes: tuple[str, ...]) -> Repair:
        """Does it; what undoes it."""
        world = self._world
        if kind in (Kind.PAUSE, Kind.BROKER_PAUSE):
            return self._pause(nodes if kind is Kind.PAUSE else ("broker",))
        if kind is Kind.DISK_FULL:
            world.set_disk_full(nodes[0], True)
            return lambda: world.set_disk_full(nodes[0], False)
        if kind is Kind.BAD_PATH:
            world.set_bad_path(True)
            return lambda: world.set_bad_path(False)
        if kind is Kind.BROKER_DROP:
            world.drop_broker_connections()
            return lambda: None
        links = _links(kind, nodes, world)
        world.cut(*links)
        return lambda: world.mend(*links)

    def _pause(self, names: tuple[str, ...]) -> Repair:
        def each(act: Callable[[str], None]) -> None:
            for name in names:
                if self._world.is_running(name):
                    with contextlib.suppress(ProcessLookupError):
                        act(name)

        each(self._world.pause)
        return lambda: each(self._world.wake)


def _links(kind: Kind, nodes: tuple[str, ...], world: ChaosWorld) -> tuple[str, ...]:
    if kind is Kind.ISOLATE:
        return world.links_of(nodes[0])
    fixed = {Kind.CUT_PATH: "path", Kind.CUT_TRIPWIRE: "tripwire"}
    if kind in fixed:
        return (fixed[kind],)
    what = {Kind.CUT_REGISTER: "register", Kind.REGISTER_LOSS: "register", Kind.CUT_BROKER: "broker"}
    return tuple(f"{what.get(kind, 'clients')}-{node}" for node in nodes)
