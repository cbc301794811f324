"""`gateway demo`: the command line around the conductor."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gateway.client.orderfile import read_orders
from gateway.demo.conductor import Conductor, DemoResult, Options, View
from gateway.demo.report import print_result, write_report
from gateway.demo.view import LiveView, PlainView
from gateway.errors import GatewayError

SAMPLE_ORDERS = Path(__file__).resolve().parents[2] / "configs" / "orders.csv"
EXIT_AUDIT_FAILED = 1
EXIT_INTERRUPTED = 130


class Mode(StrEnum):
    """Replication mode of the session."""

    SYNC = "sync"
    ASYNC = "async"


class Reactor(StrEnum):
    """How a node waits for input."""

    EPOLL = "epoll"
    BUSY_POLL = "busy-poll"


class Engine(StrEnum):
    """FIX engine of the broker simulator."""

    NATIVE = "native"
    QUICKFIX = "quickfix"


def demo(
    orders: Annotated[Path, typer.Option(help="CSV file of orders, sent over and over.")] = SAMPLE_ORDERS,
    rate: Annotated[float, typer.Option(min=1, max=20_000, help="Orders a second.")] = 500,
    count: Annotated[int, typer.Option(min=3, help="How many orders in all.")] = 6000,
    mode: Annotated[Mode, typer.Option(help="Replication mode of the session.")] = Mode.SYNC,
    reactor: Annotated[Reactor, typer.Option(help="How the nodes wait for input.")] = Reactor.EPOLL,
    engine: Annotated[Engine, typer.Option(help="FIX engine of the broker.")] = Engine.NATIVE,
    kills: Annotated[int, typer.Option(min=0, help="How often the primary is killed.")] = 2,
    report: Annotated[Path | None, typer.Option(help="Write report.json and report.html into this directory.")] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Directory for journals, logs and records; must not hold a run.")
    ] = None,
) -> None:
    """Watch a pair survive the death of its primary, twice, and see the audit.

    Starts a broker, nodes a and b and a client, each its own process. Exit status 1 if the audit fails.
    """
    read_orders(orders)  # its errors belong here, before anything is started
    console = Console()
    place = new_directory(directory, "gateway-demo-")
    options = Options(place, orders, rate, count, mode.value, reactor.value, engine.value, kills)
    view = LiveView(console, count) if console.is_terminal else PlainView(console, count)
    try:
        with view:
            result = asyncio.run(_conduct(options, view))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("interrupted; every process is stopped")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    print_result(console, result)
    console.print(f"journals, logs and records: {place}", soft_wrap=True)
    if report is not None:
        write_report(result, report)
        console.print(f"report: {report / 'report.html'} and report.json", soft_wrap=True)
    if not result.audit.passed:
        raise typer.Exit(EXIT_AUDIT_FAILED)


async def _conduct(options: Options, view: View) -> DemoResult:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await Conductor(options, view).run()


def new_directory(chosen: Path | None, prefix: str) -> Path:
    """The directory that the user chose, or a temporary one. Raises GatewayError: it is in use."""
    if chosen is None:
        return Path(tempfile.mkdtemp(prefix=prefix))
    if chosen.exists() and any(chosen.iterdir()):
        raise GatewayError(f"--dir {chosen}: is not empty; name a new directory")
    return chosen.resolve()
