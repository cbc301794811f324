"""`gateway chaos`: the command line around campaigns."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from gateway.chaos.campaign import Campaign, CampaignOptions
from gateway.chaos.etcd import HAVE_ETCD
from gateway.chaos.plan import Kind
from gateway.chaos.takeovers import HEARTBEAT_S, SEGMENT_BYTES, TakeoverSeries, measure_takeovers
from gateway.chaos.verdict import RoundResult, Summary
from gateway.chaos.world import WorldOptions
from gateway.client.orderfile import read_orders
from gateway.demo.cli import EXIT_INTERRUPTED, SAMPLE_ORDERS, Mode
from gateway.errors import ConfigError

EXIT_BROKEN = 1
ENDLESS_ROUNDS = 1 << 40
ROUNDS_A_WORLD = 20
TAKEOVER_SUSPECT_AFTER_MS = 50
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


def chaos(
    rounds: Annotated[int | None, typer.Option(min=1, help="How many rounds; with --minutes: as many as fit.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the faults of every round.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="The first round's number.")] = 0,
    mode: Annotated[Mode, typer.Option(help="Replication mode of the session.")] = Mode.SYNC,
    engine: Annotated[Engine, typer.Option(help="FIX engine of the broker; both: in turns.")] = Engine.BOTH,
    register: Annotated[RegisterKind, typer.Option(help="Register of the pair; both: in turns.")] = RegisterKind.BOTH,
    fault: Annotated[list[Kind] | None, typer.Option(help="Only faults of this kind; may be repeated.")] = None,
    world_rounds: Annotated[int, typer.Option(min=1, help="Rounds until everything is made anew.")] = ROUNDS_A_WORLD,
    suspect_after: Annotated[
        int | None, typer.Option(min=20, help="suspect_after of the pair, ms; 250, with --takeovers 50.")
    ] = None,
    takeovers: Annotated[
        int | None,
        typer.Option(min=1, help="Instead of rounds: so many takeovers, timed; --fault kill or isolate (host loss)."),
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
    console = Console(highlight=False, soft_wrap=True)
    if takeovers is not None:
        place = _place(directory)
        world = WorldOptions(
            mode.value,
            _engines(engine)[0],
            _registers(register)[0],
            orders.resolve(),
            suspect_after or TAKEOVER_SUSPECT_AFTER_MS,
            relays=False,
            segment_bytes=SEGMENT_BYTES,
            heartbeat_s=HEARTBEAT_S,
        )
        raise typer.Exit(_measure(console, place, world, takeovers, _one_fault(fault), seed, json, keep))
    suspect_after = suspect_after or SUSPECT_AFTER_MS
    worlds = tuple(
        WorldOptions(mode.value, each, kind, orders.resolve(), suspect_after)
        for kind in _registers(register)
        for each in _engines(engine)
    )
    if rounds is None:
        rounds = ENDLESS_ROUNDS if minutes is not None else 20
    place = _place(directory)
    kinds = frozenset(fault) if fault else frozenset(Kind)
    options = CampaignOptions(place, seed, first, rounds, minutes, worlds, world_rounds, kinds, keep)
    repeat = _command(seed, mode, engine, register, fault, world_rounds, suspect_after)

    def tell(result: RoundResult) -> None:
        if json:
            console.print(orjson.dumps(result.as_dict()).decode(), markup=False)
        else:
            _tell_round(console, result)
        if not result.passed:
            start = max(first, result.round.number // world_rounds * world_rounds)
            command = f"{repeat} --first {start} --rounds {result.round.number - start + 1}"
            where = place / f"world-{start:06d}"
            Console(stderr=True, soft_wrap=True, highlight=False).print(
                f"round {result.round.number}: {result.problem}\n  files: {where}\n  again: {command}", markup=False
            )

    campaign = Campaign(options, tell)
    try:
        asyncio.run(_until_signal(campaign.run()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _tell_summary(console, campaign.summary, json)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _tell_summary(console, campaign.summary, json)
    with contextlib.suppress(OSError):
        place.rmdir()  # nothing failed
    if campaign.summary.failed:
        raise typer.Exit(EXIT_BROKEN)


def _place(chosen: Path | None) -> Path:
    return chosen.resolve() if chosen is not None else Path(tempfile.mkdtemp(prefix="gateway-chaos-"))


def _one_fault(chosen: list[Kind] | None) -> Kind:
    kinds = set(chosen or [Kind.KILL])
    if kinds not in ({Kind.KILL}, {Kind.ISOLATE}):
        raise ConfigError("--takeovers: --fault is kill (SIGKILL) or isolate (loss of the host)")
    return kinds.pop()


def _measure(
    console: Console, place: Path, world: WorldOptions, count: int, fault: Kind, seed: int, json: bool, keep: bool
) -> int:
    def tell(done: int) -> None:
        if not json and (done % 10 == 0 or done == count):
            console.print(f"{done} of {count} takeovers")

    try:
        series = asyncio.run(_until_signal(measure_takeovers(place / "takeovers", world, count, fault, seed, tell)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return EXIT_INTERRUPTED
    _tell_series(console, series, json)
    if keep or not series.passed:
        console.print(f"files: {place / 'takeovers'}", markup=False)
    else:
        shutil.rmtree(place / "takeovers")
        with contextlib.suppress(OSError):
            place.rmdir()
    return 0 if series.passed else EXIT_BROKEN


def _tell_series(console: Console, series: TakeoverSeries, json: bool) -> None:
    values = series.as_dict()
    if json:
        console.print(orjson.dumps(values).decode(), markup=False)
        return
    table = Table(title=f"{values['takeovers']} takeovers, {series.fault}: milliseconds to the end of each step")
    table.add_column("step")
    for name in ("p50", "p90", "p99", "max"):
        table.add_column(name, justify="right")
    for step, points in values["ms"].items():
        table.add_row(step.replace("_", " "), *(f"{value:.2f}" for value in points.values()))
    console.print(table)
    for finding in series.audit.findings if series.audit is not None else ():
        if not finding.passed:
            console.print(f"{finding.name}: {finding.count} ({', '.join(finding.examples)})", markup=False)
    console.print("[green]audit passed[/]" if series.passed else "[bold red]AUDIT FAILED[/]")


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


def _command(
    seed: int,
    mode: Mode,
    engine: Engine,
    register: RegisterKind,
    fault: list[Kind] | None,
    world_rounds: int,
    suspect_after: int,
) -> str:
    parts = [f"gateway chaos --seed {seed} --mode {mode} --engine {engine} --register {register}"]
    parts += [f"--fault {kind}" for kind in fault or ()]
    parts += [f"--world-rounds {world_rounds}"] if world_rounds != ROUNDS_A_WORLD else []
    parts += [f"--suspect-after {suspect_after}"] if suspect_after != SUSPECT_AFTER_MS else []
    return " ".join(parts)


def _tell_round(console: Console, result: RoundResult) -> None:
    state = f"healed in {result.healed_s:.1f} s" if result.healed_s is not None else "[red]not healed[/]"
    verdict = "[green]ok[/]" if result.passed else "[bold red]FAILED[/]"
    console.print(
        f"{result.round.number:5} {verdict} {result.world:<22} {result.round}; {result.orders} orders, "
        f"{result.takeovers} takeovers, duplicates {result.duplicates}, losses {result.losses}, {state}, "
        f"{result.took_s:.1f} s"
    )


def _tell_summary(console: Console, summary: Summary, json: bool) -> None:
    values = summary.as_dict()
    if json:
        console.print(orjson.dumps(values).decode(), markup=False)
        return
    faults = ", ".join(f"{kind} {count}" for kind, count in values["faults"].items())
    times = ", ".join(f"{name} {value:.1f} ms" for name, value in values["takeover_ms"].items()) or "none measured"
    console.print(
        f"{summary.rounds} rounds in {summary.seconds:.0f} s, {summary.orders} orders, {summary.takeovers} takeovers; "
        f"duplicates {summary.duplicates}, losses {summary.losses}, unhealed {summary.unhealed}, "
        f"rounds failed {summary.failed}\nfaults: {faults}\n"
        f"SIGKILL of a primary to the first new order at the broker: {times} ({len(summary.takeover_ms)} takeovers)"
    )
