"""The demonstration's script: start everything, kill the primary twice, stop everything, audit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from gateway.audit.audit import AuditResult, audit
from gateway.demo.observer import OTHER, STEP_TIMEOUT_S, Observer, pair_is_healthy
from gateway.demo.timeline import Kill, TakeoverTimes, latencies_us, takeover_times
from gateway.demo.trader import Counts
from gateway.demo.world import LOOPBACK, World

REPAIR_PAUSE_S = 0.5  # how long the dead node stays away


class View(Protocol):
    """Shows what happens while it happens."""

    def event(self, text: str) -> None:
        """One line of the story."""

    def progress(self, counts: Counts) -> None:
        """The client's counters."""

    def nodes(self, statuses: dict[str, dict[str, Any] | None]) -> None:
        """Status of each node; None: not there."""


@dataclass(slots=True)
class Options:
    """What the user chose."""

    directory: Path
    orders: Path
    rate: float
    count: int
    mode: str = "sync"
    reactor: str = "epoll"
    engine: str = "native"
    kills: int = 2


@dataclass(slots=True)
class DemoResult:
    """What the demonstration showed."""

    options: Options
    audit: AuditResult
    takeovers: list[TakeoverTimes]
    latencies: dict[str, dict[str, float]]
    duration_s: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "mode": self.options.mode,
            "reactor": self.options.reactor,
            "engine": self.options.engine,
            "rate": self.options.rate,
            "count": self.options.count,
            "duration_s": round(self.duration_s, 3),
            "audit": self.audit.as_dict(),
            "takeovers": [takeover.as_dict() for takeover in self.takeovers],
            "latency_us": self.latencies,
        }


@dataclass(slots=True)
class Conductor:
    """Runs one demonstration. `run` raises GatewayError when something does not come about in time."""

    options: Options
    view: View
    world: World = field(init=False)
    counts: Counts = field(default_factory=Counts)
    kills: list[Kill] = field(default_factory=list)
    _observer: Observer = field(init=False)

    async def run(self) -> DemoResult:
        """The whole demonstration. Every process is stopped on return, on an error and on cancellation."""
        started = time.monotonic()
        options = self.options
        self.world = World(options.directory, mode=options.mode, reactor=options.reactor, engine=options.engine)
        async with Observer(self.world) as self._observer:
            try:
                await self._start()
                await self._trade()
                await self.world.stop(OTHER[await self._observer.primary()])  # first: it must not take over now
            finally:
                await asyncio.shield(self.world.stop_all())
        return self._judge(time.monotonic() - started)

    # --- acts ---------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        await self.world.start_broker()
        self.view.event(f"broker listens on {LOOPBACK}:{self.world.broker_port} ({self.options.engine} engine)")
        await self.world.start_node("a")
        await self.world.start_node("b")
        await self._until("the pair is in sync and logged on", self._healthy)
        self.view.event(f"pair is up: {await self._describe()}")

    async def _trade(self) -> None:
        options = self.options
        client = await self.world.start_client(options.orders, options.rate, options.count)
        reader = asyncio.create_task(self._follow_client(client))
        in_time_s = options.count / options.rate + STEP_TIMEOUT_S
        try:
            for number in range(1, options.kills + 1):
                await self._until_submitted(options.count * number // (options.kills + 1), in_time_s)
                await self._kill_primary()
            await self._until("the client has its last execution", self._client_done, in_time_s)
            await client.wait()
        finally:
            reader.cancel()
        self.world.check_alive()

    async def _kill_primary(self) -> None:
        victim = await self._observer.primary()
        successor = OTHER[victim]
        killed_at = await self.world.kill(victim)
        self.view.event(f"SIGKILL to primary {victim} after {self.counts.submitted} orders")
        await self._observer.until_primary(successor)
        status = await self._observer.status(successor)
        assert status is not None
        self.kills.append(Kill(victim, successor, status["epoch"], killed_at))
        self.view.event(
            f"node {successor} took over as primary of epoch {status['epoch']}, session logged on and ready"
        )
        await asyncio.sleep(REPAIR_PAUSE_S)
        await self.world.start_node(victim)
        self.view.event(f"node {victim} starts again")
        await self._until(f"node {victim} is back as in-sync standby", self._healthy)
        self.view.event(f"node {victim} is back: {await self._describe()}")

    def _judge(self, duration_s: float) -> DemoResult:
        world = self.world
        evidence = world.evidence()
        result = audit(evidence)
        numbers = {change.epoch: (change.last_out_before, change.first_out_after) for change in result.epochs}
        takeovers = [
            takeover_times(kill, world.node_dir(kill.successor), evidence.broker, numbers.get(kill.epoch, (0, 0)))
            for kill in self.kills
        ]
        return DemoResult(self.options, result, takeovers, latencies_us(evidence.client), duration_s)

    # --- what is known ------------------------------------------------------------------------------------------------

    async def _healthy(self) -> bool:
        statuses = await self._observer.statuses()
        self.view.nodes(statuses)
        return pair_is_healthy(statuses)

    async def _describe(self) -> str:
        statuses = await self._observer.statuses()
        return ", ".join(
            f"{node} {status['role'].lower()} (epoch {status['epoch']}, LSN {status['log']['last_lsn']})"
            for node, status in statuses.items()
            if status is not None
        )

    async def _client_done(self) -> bool:
        self.view.nodes(await self._observer.statuses())
        return self.counts.done

    async def _follow_client(self, client: asyncio.subprocess.Process) -> None:
        assert client.stdout is not None
        async for line in client.stdout:
            self.counts = Counts(**orjson.loads(line))
            self.view.progress(self.counts)

    async def _until_submitted(self, count: int, timeout_s: float) -> None:
        async def reached() -> bool:
            return self.counts.submitted >= count

        await self._until(f"{count} orders are submitted", reached, timeout_s)

    async def _until(
        self, what: str, condition: Callable[[], Awaitable[bool]], timeout_s: float = STEP_TIMEOUT_S
    ) -> None:
        await self._observer.until(what, condition, timeout_s)
