"""`gateway send FILE.csv`: submits a file of orders and prints what became of each. The only part that prints."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.client.orderfile import read_orders
from gateway.client.orders import Absent
from gateway.client.sending import OrderRun, SendRun
from gateway.client.sync import Client
from gateway.config import load_config
from gateway.errors import ConfigError, GatewayError

TOKEN_VARIABLE = "GATEWAY_TOKEN"
EXIT_UNKNOWN_FATE = 1
EXIT_CANNOT_RUN = 2


def send(
    file: Annotated[Path, typer.Argument(help="CSV file of orders; see configs/orders.csv.")],
    client: Annotated[str, typer.Option(help="Name of this client in the gateway's configuration.")],
    config: Annotated[Path | None, typer.Option(help="The pair's configuration, for the nodes' addresses.")] = None,
    nodes: Annotated[str | None, typer.Option(help="The nodes' addresses: host:port or shm:PATH, with commas.")] = None,
    session: Annotated[
        str | None, typer.Option(help="FIX session to send on; may be left out if there is one.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0, help="Orders per second; 0: as fast as they are taken.")] = 0,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for answers after the last order.")] = 10,
    token_file: Annotated[Path | None, typer.Option(help=f"File with the token; otherwise ${TOKEN_VARIABLE}.")] = None,
) -> None:
    """Submit the orders of a CSV file and print the fate of each.

    Exit status 0: the fate of every order is known; 1: of some it is not; 2: the run could not start or go on.
    """
    try:
        orders = read_orders(file)
        addresses = _addresses(config, nodes)
        with Client(addresses, client, _token(token_file), from_now=True) as connection:
            chosen = _session(connection, session, any(order.session is None for order in orders))
            with _Display(len(orders)) as display:
                run = SendRun(connection, orders, chosen, display.show)
                known = run.run(rate, wait)
    except GatewayError as error:
        typer.echo(f"gateway send: {error}", err=True)
        raise typer.Exit(EXIT_CANNOT_RUN) from None
    _print_fates(run.orders)
    if not known:
        raise typer.Exit(EXIT_UNKNOWN_FATE)


def _addresses(config: Path | None, nodes: str | None) -> str:
    if (config is None) == (nodes is None):
        raise ConfigError("give either --config FILE or --nodes host:port,host:port (shm:PATH: shared memory)")
    if config is not None:
        return ",".join(str(node.clients) for node in load_config(config).node.values())
    assert nodes is not None
    return nodes


def _token(file: Path | None) -> str:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{file}: the token cannot be read from it") from None


def _session(client: Client, wanted: str | None, needed: bool) -> str:
    if wanted is not None or not needed:
        return wanted or ""
    if len(client.sessions) != 1:
        names = ", ".join(client.sessions) or "none"
        raise ConfigError(f"--session must name one of this client's sessions: {names}")
    return client.sessions[0]


class _Display:
    """A progress bar on a terminal; elsewhere a line at each tenth."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._told = 0
        self._progress: Progress | None = None

    def __enter__(self) -> _Display:
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn())
            self._progress = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
            self._submitted = self._progress.add_task("submitted", total=self._total)
            self._answered = self._progress.add_task("answered", total=self._total)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, run: SendRun) -> None:
        """After each step."""
        if self._progress is not None:
            self._progress.update(self._submitted, completed=run.submitted)
            self._progress.update(self._answered, completed=run.answered)
            return
        tenth = 10 * run.submitted // self._total
        if tenth > self._told:
            self._told = tenth
            typer.echo(f"submitted {run.submitted} of {self._total}, answered {run.answered}", err=True)


def _print_fates(orders: list[OrderRun]) -> None:
    if sys.stdout.isatty():
        table = Table(title=f"{len(orders)} orders")
        for heading in ("line", "ClOrdID", "order", "number", "fate"):
            table.add_column(heading)
        for order in orders:
            style = "" if order.known and not order.refused else "yellow" if order.known else "bold red"
            table.add_row(*_cells(order), style=style)
        Console().print(table)
    else:
        for order in orders:
            typer.echo("\t".join(_cells(order)))
    fates = Counter("known" if order.known else "unknown" for order in orders)
    typer.echo(f"fate known: {fates['known']}, not known: {fates['unknown']}", err=True)


def _cells(run: OrderRun) -> tuple[str, str, str, str, str]:
    order, submission = run.source.order, run.submission
    price = f" at {order.price!s}" if order.price is not Absent.ABSENT else ""
    what = f"{order.side.name.lower()} {order.quantity!s} {order.symbol}{price}"
    identifier = submission.cl_ord_id if submission is not None else run.source.cl_ord_id or ""
    number = str(submission.seq) if submission is not None and submission.seq else "-"
    return str(run.source.line), identifier, what, number, run.describe()
