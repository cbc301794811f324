"""The demonstration's script: start everything, kill the primary twice, stop everything, audit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import orjson

from gateway.audit.audit import AuditResult, audit
from gateway.audit.evidence import Evidence, read_broker, read_client_record, read_journal
from gateway.demo.timeline import Kill, TakeoverTimes, latencies_us, takeover_times
from gateway.demo.world import CLIENT, LOOPBACK, SESSION, World
from gateway.errors import GatewayError

STEP_TIMEOUT_S = 30.0
POLL_S = 0.02
REPAIR_PAUSE_S = 0.5  # how long the dead node stays away
OTHER = {"a": "b", "b": "a"}


class View(Protocol):
    """Shows what happens while it happens."""

    def event(self, text: str) -> None:
        """One line of the story."""

    def progress(self, submitted: int, accepted: int, executions: int) -> None:
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
class Progress:
    """The client's counters as it last told them."""

    submitted: int = 0
    accepted: int = 0
    executions: int = 0
    done: bool = False


@dataclass(slots=True)
class Conductor:
    """Runs one demonstration. `run` raises GatewayError when something does not come about in time."""

    options: Options
    view: View
    world: World = field(init=False)
    progress: Progress = field(default_factory=Progress)
    kills: list[Kill] = field(default_factory=list)
    _http: aiohttp.ClientSession = field(init=False)

    async def run(self) -> DemoResult:
        """The whole demonstration. Every process is stopped on return, on an error and on cancellation."""
        started = time.monotonic()
        options = self.options
        self.world = World(options.directory, mode=options.mode, reactor=options.reactor, engine=options.engine)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as self._http:
            try:
                await self._start()
                await self._trade()
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
        client = await self.world.start(
            "client",
            "demo-client",
            "--config",
            str(self.world.config),
            "--client",
            CLIENT,
            "--session",
            SESSION,
            "--orders",
            str(options.orders),
            "--rate",
            str(options.rate),
            "--count",
            str(options.count),
            "--record",
            str(self.world.client_record),
            pipe=True,
        )
        reader = asyncio.create_task(self._follow_client(client))
        try:
            for number in range(1, options.kills + 1):
                await self._until_submitted(options.count * number // (options.kills + 1))
                await self._kill_primary()
            await self._until("the client has its last execution", self._client_done, options.count / options.rate + 60)
            await client.wait()
        finally:
            reader.cancel()
        self.world.check_alive()

    async def _kill_primary(self) -> None:
        victim = await self._primary()
        successor = OTHER[victim]
        killed_at = await self.world.kill(victim)
        self.view.event(f"SIGKILL to primary {victim} after {self.progress.submitted} orders")

        async def taken_over() -> bool:
            status = await self._status(successor)
            return status is not None and status["role"] == "PRIMARY" and _session_state(status) == "READY"

        await self._until(f"node {successor} has taken over", taken_over)
        status = await self._status(successor)
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
        evidence = Evidence(
            client=read_client_record(world.client_record.read_bytes().splitlines()),
            broker=read_broker(world.ledger),
            journals={node: read_journal(world.node_dir(node) / "journal") for node in ("a", "b")},
        )
        result = audit(evidence)
        numbers = {change.epoch: (change.last_out_before, change.first_out_after) for change in result.epochs}
        takeovers = [
            takeover_times(kill, world.node_dir(kill.successor), evidence.broker, numbers.get(kill.epoch, (0, 0)))
            for kill in self.kills
        ]
        return DemoResult(self.options, result, takeovers, latencies_us(evidence.client), duration_s)

    # --- what is known ------------------------------------------------------------------------------------------------

    async def _status(self, node: str) -> dict[str, Any] | None:
        try:
            async with self._http.get(f"http://{LOOPBACK}:{self.world.control_ports[node]}/status") as response:
                status: dict[str, Any] = orjson.loads(await response.read())
                return status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _statuses(self) -> dict[str, dict[str, Any] | None]:
        statuses = {node: await self._status(node) for node in ("a", "b")}
        self.view.nodes(statuses)
        return statuses

    async def _primary(self) -> str:
        for node, status in (await self._statuses()).items():
            if status is not None and status["role"] == "PRIMARY":
                return node
        raise GatewayError("no node is primary")

    async def _healthy(self) -> bool:
        statuses = await self._statuses()
        return any(
            status is not None
            and status["role"] == "PRIMARY"
            and status["release"] == "ACKED"
            and len(status["register"]["in_sync"]) == 2
            and _session_state(status) == "READY"
            and (statuses[OTHER[node]] or {}).get("role") == "STANDBY"
            for node, status in statuses.items()
        )

    async def _describe(self) -> str:
        statuses = await self._statuses()
        return ", ".join(
            f"{node} {status['role'].lower()} (epoch {status['epoch']}, LSN {status['log']['last_lsn']})"
            for node, status in statuses.items()
            if status is not None
        )

    async def _client_done(self) -> bool:
        await self._statuses()
        return self.progress.done

    async def _follow_client(self, client: asyncio.subprocess.Process) -> None:
        assert client.stdout is not None
        async for line in client.stdout:
            told = orjson.loads(line)
            self.progress = Progress(told["submitted"], told["accepted"], told["executions"], told["done"])
            self.view.progress(told["submitted"], told["accepted"], told["executions"])

    async def _until_submitted(self, count: int) -> None:
        async def reached() -> bool:
            return self.progress.submitted >= count

        await self._until(f"{count} orders are submitted", reached, self.options.count / self.options.rate + 60)

    async def _until(
        self, what: str, condition: Callable[[], Awaitable[bool]], timeout_s: float = STEP_TIMEOUT_S
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not await condition():
            self.world.check_alive()
            if time.monotonic() > deadline:
                raise GatewayError(
                    f"waited {timeout_s:.0f} s in vain until {what}; logs are in {self.options.directory}"
                )
            await asyncio.sleep(POLL_S)


def _session_state(status: dict[str, Any]) -> str:
    state: str = status["sessions"][0]["state"]
    return state
