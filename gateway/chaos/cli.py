"""`gateway chaos`: the command line around campaigns and series of takeovers."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gateway.chaos.campaign import Campaign, CampaignOptions, world_directory
from gateway.chaos.etcd import HAVE_ETCD
from gateway.chaos.namespaces import Namespaces
from gateway.chaos.plan import Kind
from gateway.chaos.report import Report
from gateway.chaos.takeovers import SUSPECT_AFTER_MS as TAKEOVER_SUSPECT_AFTER_MS
from gateway.chaos.takeovers import measure_takeovers, quiet_world
from gateway.chaos.verdict import RoundResult
from gateway.chaos.world import WorldOptions
from gateway.client.orderfile import read_orders
from gateway.demo.cli import EXIT_INTERRUPTED, SAMPLE_ORDERS, Mode, new_directory
from gateway.errors import ConfigError

EXIT_BROKEN = 1
ENDLESS_ROUNDS = 1 << 40
DEFAULT_ROUNDS = 20
ROUNDS_A_WORLD = 20
SUSPECT_AFTER_MS = 250  # so that a busy machine is not taken for a dead peer

T = TypeVar("T")


class Engine(StrEnum):
    """FIX engine of the broker simulator."""

    NATIVE = "native"
    QUICKFIX = "quickfix"
    BOTH = "both"


class RegisterKind(StrEnum):
    """Register of the pair."""

    FILE = "file"
    ETCD = "etcd"
    BOTH = "both"


class Network(StrEnum):
    """What is between the processes."""

    LOOPBACK = "loopback"
    NAMESPACES = "namespaces"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the user said of worlds and faults."""

    seed: int
    mode: Mode
    engine: Engine
    register: RegisterKind
    network: Network
    kinds: tuple[Kind, ...]
    world_rounds: int
    suspect_after: int | None
    orders: Path
    directory: Path
    keep: bool

    def worlds(self) -> tuple[WorldOptions, ...]:
        """The worlds that rounds take in turns."""
        return tuple(
            WorldOptions(
                self.mode.value,
                engine,
                register,
                self.orders.resolve(),
                self.suspect_after or SUSPECT_AFTER_MS,
                network=self.network.value,
            )
            for register in _registers(self.register)
            for engine in _engines(self.engine)
        )

    def takeover_world(self) -> WorldOptions:
        """The world in which takeovers are timed."""
        return quiet_world(
            self.orders.resolve(),
            mode=self.mode.value,
            engine=_engines(self.engine)[0],
            register=_registers(self.register)[0],
            network=self.network.value,
            suspect_after_ms=self.suspect_after or TAKEOVER_SUSPECT_AFTER_MS,
        )

    def command(self) -> str:
        """The same choice as a command line."""
        parts = [f"gateway chaos --seed {self.seed} --mode {self.mode} --engine {self.engine}"]
        parts += [f"--register {self.register}", f"--network {self.network}"]
        parts += [f"--fault {kind}" for kind in self.kinds]
        parts += [f"--world-rounds {self.world_rounds}"] if self.world_rounds != ROUNDS_A_WORLD else []
        parts += [f"--suspect-after {self.suspect_after}"] if self.suspect_after is not None else []
        return " ".join(parts)


def chaos(
    rounds: Annotated[int | None, typer.Option(min=1, help="How many rounds; with --minutes: as many as fit.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the faults of every round.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="The first round's number.")] = 0,
    mode: Annotated[Mode, typer.Option(help="Replication mode of the session.")] = Mode.SYNC,
    engine: Annotated[Engine, typer.Option(help="FIX engine of the broker; both: in turns.")] = Engine.BOTH,
    register: Annotated[RegisterKind, typer.Option(help="Register of the pair; both: in turns.")] = RegisterKind.BOTH,
    network: Annotated[Network, typer.Option(help="Namespaces need root.")] = Network.LOOPBACK,
    fault: Annotated[list[Kind] | None, typer.Option(help="Only faults of this kind; may be repeated.")] = None,
    takeovers: Annotated[
        int | None,
        typer.Option(min=1, help="Instead of rounds: so many takeovers, timed; --fault kill or isolate (host loss)."),
    ] = None,
    world_rounds: Annotated[int, typer.Option(min=1, help="Rounds until everything is made anew.")] = ROUNDS_A_WORLD,
    suspect_after: Annotated[
        int | None, typer.Option(min=20, help="suspect_after of the pair, ms; 250, with --takeovers 50.")
    ] = None,
    orders: Annotated[Path, typer.Option(help="CSV file of orders, sent over and over.")] = SAMPLE_ORDERS,
    directory: Annotated[Path | None, typer.Option("--dir", help="Where worlds are kept that failed.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep every world's files.")] = False,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Let faults loose on a pair of real processes, round by round, and audit each.

    Exit status 1 when an order was doubled or lost, or the pair did not heal; the round's files are kept, and the
    command that repeats it is printed.
    """
    read_orders(orders)  # its errors belong here, before anything is started
    if network is Network.NAMESPACES and (obstacle := Namespaces.obstacle()):
        raise ConfigError(f"--network namespaces: {obstacle}")
    place = new_directory(directory, "gateway-chaos-")
    kinds = tuple(fault or ())
    chosen = Chosen(
        seed, mode, engine, register, network, kinds, world_rounds, suspect_after, orders, place, keep
    )  # fmt: skip
    report = Report(json=json)
    if takeovers is not None:
        status = _measure(chosen, takeovers, report)
    else:
        if rounds is None:
            rounds = ENDLESS_ROUNDS if minutes is not None else DEFAULT_ROUNDS
        status = _campaign(chosen, first, rounds, minutes, report)
    with contextlib.suppress(OSError):
        place.rmdir()  # nothing failed
    raise typer.Exit(status)


def _campaign(chosen: Chosen, first: int, rounds: int, minutes: float | None, report: Report) -> int:
    """Exit status."""
    kinds = frozenset(chosen.kinds or Kind)
    options = CampaignOptions(
        chosen.directory, chosen.seed, first, rounds, minutes, chosen.worlds(), chosen.world_rounds, kinds, chosen.keep
    )

    def tell(result: RoundResult) -> None:
        report.round(result)
        if not result.passed:
            again = f"{chosen.command()} --first {result.born} --rounds {result.round.number - result.born + 1}"
            report.failure(result, str(world_directory(chosen.directory, result.born)), again)

    campaign = Campaign(options, tell)
    try:
        asyncio.run(_until_signal(campaign.run()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        report.summary(campaign.summary)
        return EXIT_INTERRUPTED
    report.summary(campaign.summary)
    return EXIT_BROKEN if campaign.summary.failed else 0


def _measure(chosen: Chosen, count: int, report: Report) -> int:
    """Exit status."""
    kinds = set(chosen.kinds or [Kind.KILL])
    if kinds not in ({Kind.KILL}, {Kind.ISOLATE}):
        raise ConfigError("--takeovers: --fault is kill (SIGKILL) or isolate (loss of the host)")
    files = chosen.directory / "takeovers"
    run = measure_takeovers(
        files, chosen.takeover_world(), count, kinds.pop(), chosen.seed, lambda done: report.takeover(done, count)
    )
    try:
        series = asyncio.run(_until_signal(run))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return EXIT_INTERRUPTED
    report.series(series)
    if chosen.keep or not series.passed:
        report.kept(str(files))
    else:
        shutil.rmtree(files)
    return 0 if series.passed else EXIT_BROKEN


async def _until_signal(run: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run


def _engines(chosen: Engine) -> list[str]:
    return ["native", "quickfix"] if chosen is Engine.BOTH else [chosen.value]


def _registers(chosen: RegisterKind) -> list[str]:
    if chosen is RegisterKind.ETCD and not HAVE_ETCD:
        raise ConfigError("--register etcd: there is no etcd here; apt install etcd-server, or --register file")
    if chosen is RegisterKind.BOTH:
        return ["file", "etcd"] if HAVE_ETCD else ["file"]
    return [chosen.value]
