"""Rounds of chaos, one after the other: a world lives for some rounds, and each ends whole and audited."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.audit import AuditResult, audit
from gateway.audit.evidence import Evidence, read_diverged
from gateway.chaos.faults import Inflictor
from gateway.chaos.plan import Kind, plan_round
from gateway.chaos.verdict import RoundResult, Summary
from gateway.chaos.world import ChaosWorld, WorldOptions
from gateway.demo.observer import NODES
from gateway.demo.timeline import Kill, takeover_times
from gateway.errors import GatewayError

RATE, COUNT = 200.0, 400  # orders a second and orders of a round
HEAL_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 30.0
ARRIVAL_TIMEOUT_S = 10.0  # how long what is on its way to the client may take, after the pair has healed
AUDIT_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class CampaignOptions:
    """What the user chose."""

    directory: Path
    seed: int
    first: int
    rounds: int
    minutes: float | None
    worlds: tuple[WorldOptions, ...]  # taken in turns
    rounds_a_world: int
    kinds: frozenset[Kind]
    keep: bool = False  # the files of worlds in which all went well, too


def world_directory(place: Path, born: int) -> Path:
    """Where the files of the world are that began with round `born`."""
    return place / f"world-{born:06d}"


class Campaign:
    """Runs rounds; tells of each as soon as it is over."""

    def __init__(self, options: CampaignOptions, tell: Callable[[RoundResult], None]) -> None:
        self.summary = Summary()
        self._options = options
        self._tell = tell
        self._started = time.monotonic()

    async def run(self) -> Summary:
        """All rounds, or as many as fit in the time. Every process is stopped on return and on cancellation."""
        number, end = self._options.first, self._options.first + self._options.rounds
        try:
            while number < end and not self._out_of_time():
                number = await self._live(number, end)
        finally:
            self.summary.seconds = time.monotonic() - self._started
        return self.summary

    def _out_of_time(self) -> bool:
        minutes = self._options.minutes
        return minutes is not None and time.monotonic() - self._started > minutes * 60

    async def _live(self, number: int, end: int) -> int:
        """The rounds of one world, up to the first that fails; the number of the next round."""
        options = self._options
        index = number // options.rounds_a_world
        world_options = options.worlds[index % len(options.worlds)]
        end = min(end, (index + 1) * options.rounds_a_world)
        directory = world_directory(options.directory, number)
        life: Life | None = None
        try:
            async with ChaosWorld(directory, world_options) as world:
                life = Life(world, number, options.seed, options.kinds)
                while life.passed and number < end and not self._out_of_time():
                    self._take(await life.round(number))
                    number += 1
        except (GatewayError, OSError) as error:
            if life is not None:
                raise
            self._take(stillborn(world_options, options.seed, number, str(error)))
            return number + 1
        if life.passed and not options.keep:
            shutil.rmtree(directory)
        return number

    def _take(self, result: RoundResult) -> None:
        self.summary.add(result)
        self._tell(result)


def stillborn(options: WorldOptions, seed: int, number: int, problem: str) -> RoundResult:
    """The result of a round whose world did not come about."""
    plan = plan_round(seed, number, frozenset(Kind))
    return RoundResult(plan, options.name, number, problem=f"before the first fault: {problem}")


def forgive_window(evidence: Evidence, unreplicated: set[str]) -> int:
    """The invariant of async sessions: what was in the unreplicated window may be lost, and nothing else; how many are.

    Marks them in the evidence as told of, so that an audit does not count them.
    """
    gone = unreplicated - {order.cl_ord_id for order in evidence.broker.orders}
    lost = [
        order for order in evidence.client.orders.values() if order.outcome == "accepted" and order.cl_ord_id in gone
    ]
    for order in lost:
        order.not_sent_again = True
    return len(lost)


def _impossible(options: WorldOptions) -> frozenset[Kind]:
    """Faults that a world has no means for."""
    kinds = set()
    if options.engine == "quickfix":
        kinds.add(Kind.BROKER_KILL)  # its books are in memory: killed, it would take an order again
    if options.network == "namespaces":
        kinds.add(Kind.BAD_PATH)  # a wire carries all or nothing
    return frozenset(kinds)


class Life:
    """One world's rounds."""

    def __init__(self, world: ChaosWorld, born: int, seed: int, kinds: frozenset[Kind]) -> None:
        self._world = world
        self._born = born
        self._seed = seed
        self._kinds = kinds - _impossible(world.options)
        self._epochs = 1
        self._orders = 0
        self._window_losses = self._told_losses = 0
        self.passed = True  # so far

    async def round(self, number: int) -> RoundResult:
        """One round. Never raises for what goes wrong in the world: that is the result's `problem`."""
        plan = plan_round(self._seed, number, self._kinds)
        options = self._world.options
        result = RoundResult(plan, options.name, self._born)
        started = time.monotonic()
        try:
            await self._run(result)
        except (GatewayError, OSError) as error:
            result.problem = str(error) or type(error).__name__
            with contextlib.suppress(OSError, ValueError, GatewayError):
                self._count(result, await asyncio.to_thread(self._audit))
        result.took_s = time.monotonic() - started
        self.passed = result.passed
        return result

    async def _run(self, result: RoundResult) -> None:
        world = self._world
        await world.trade(RATE, COUNT)
        inflictor = Inflictor(world)
        await inflictor.inflict(result.round.faults)
        repaired = time.monotonic()
        await world.see.until("the pair is whole again", world.see.healthy, HEAL_TIMEOUT_S)
        result.healed_s = round(time.monotonic() - repaired, 3)
        await world.see.until("every order is answered", world.answered, ANSWER_TIMEOUT_S)
        await world.see.until("the pair is still whole", world.see.healthy, HEAL_TIMEOUT_S)
        verdict = await self._until_audit_passes()
        self._count(result, verdict)
        result.takeover_ms = self._takeover_times(inflictor.kills, verdict)

    async def _until_audit_passes(self) -> AuditResult:
        """The last executions may be on their way still; what is doubled does not go away by waiting."""
        deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
        while True:
            verdict = await asyncio.to_thread(self._audit)
            if verdict.passed or time.monotonic() > deadline:
                return verdict
            await asyncio.sleep(AUDIT_EVERY_S)

    def _audit(self) -> AuditResult:
        evidence = self._world.evidence()
        if self._world.options.mode == "async":
            self._window_losses = forgive_window(evidence, self._unreplicated())
        return audit(evidence)

    def _unreplicated(self) -> set[str]:
        """ClOrdIDs of what a primary released and its successor never had: on record in the returning node's files."""
        journals = [self._world.node_dir(node) / "journal" for node in NODES]
        return {record.cl_ord_id for path in journals for record in read_diverged(path) if record.cl_ord_id}

    def _count(self, result: RoundResult, verdict: AuditResult) -> None:
        problem = result.problem
        result.count(verdict)
        result.problem = "; ".join(filter(None, (problem, result.problem)))
        result.window_losses, self._told_losses = self._window_losses - self._told_losses, self._window_losses
        result.orders, self._orders = verdict.submitted - self._orders, verdict.submitted
        result.takeovers, self._epochs = len(verdict.epochs) - self._epochs, len(verdict.epochs)

    def _takeover_times(self, kills: list[Kill], verdict: AuditResult) -> list[float]:
        """Milliseconds from each SIGKILL of a primary to the first new order at the broker, where one took over."""
        numbers = {change.epoch: (change.last_out_before, change.first_out_after) for change in verdict.epochs}
        broker = self._world.evidence().broker if kills else None
        times = []
        for kill in kills:
            directory = self._world.node_dir(kill.successor)
            if broker is not None and (directory / "incidents" / f"epoch-{kill.epoch:06d}.json").exists():
                first = takeover_times(kill, directory, broker, numbers.get(kill.epoch, (0, 0))).first_order_at_broker
                times += [first] if first is not None else []
        return times
