"""Operator's commands on the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.config import load_config
from gateway.control.client import ControlClient, ControlError
from gateway.control.options import ConfigOption, NodeOption


def status(config: ConfigOption, json: Annotated[bool, typer.Option(help="everything, as JSON")] = False) -> None:
    """Shows the state of both nodes."""

    async def collect() -> dict[str, Any]:
        async with ControlClient(load_config(config)) as client:
            states: dict[str, Any] = {}
            for node in ("a", "b"):
                try:
                    states[node] = await client.status(node)
                except ControlError as error:
                    states[node] = {"error": str(error)}
            return states

    states = asyncio.run(collect())
    if json:
        typer.echo(orjson.dumps(states, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(states)
    if all("error" in state for state in states.values()):
        raise typer.Exit(1)


def takeover(config: ConfigOption, node: NodeOption) -> None:
    """Makes the standby NODE primary now, whether its peer lives or not."""
    _command(config, node, "takeover")


def switchover(config: ConfigOption, node: NodeOption) -> None:
    """Makes the primary NODE hand over to its standby, losing nothing."""
    _command(config, node, "switchover")
    typer.echo(f"`gateway status` says when its standby is primary; if node {node} gives it up, its log says so")


def solo(config: ConfigOption, node: NodeOption) -> None:
    """Makes the primary NODE go on without its standby, until that was stopped, or cut off, and is back."""
    _command(config, node, "solo")


def act_alone(
    config: ConfigOption,
    node: NodeOption,
    accept_loss: Annotated[
        bool, typer.Option(help="you vouch that the peer is dead and accept that records may be missing")
    ] = False,
) -> None:
    """Makes NODE primary although it may not have the whole log. The last resort."""
    if not accept_loss:
        raise typer.BadParameter("say --accept-loss: what the other node had and this one has not will be missing")
    _command(config, node, "act-alone")


def session(
    config: ConfigOption,
    node: NodeOption,
    name: Annotated[str, typer.Argument(help="session")],
    command: Annotated[str, typer.Argument(help="logout, resume, reset, set-seq, send-doubted or give-up-doubted")],
    next_out: Annotated[int | None, typer.Option(min=1, help="set-seq: our next MsgSeqNum")] = None,
    next_in: Annotated[int | None, typer.Option(min=1, help="set-seq: the MsgSeqNum we expect")] = None,
) -> None:
    """Logs a session out or in, resets it, sets its MsgSeqNums, or settles its orders in doubt by hand.

    set-seq: of a session that is logged out; both numbers are needed, `gateway status` shows those in force. NODE is
    the primary.

    send-doubted: the counterparty has none of them, send them. give-up-doubted: do not; their clients are told UNKNOWN.
    """
    numbers = (next_out, next_in)
    if command == "set-seq" and None in numbers:
        raise typer.BadParameter("set-seq: say both --next-out and --next-in; `gateway status` shows those in force")
    if command != "set-seq" and numbers != (None, None):
        raise typer.BadParameter(f"--next-out and --next-in are for set-seq, not for {command}")
    body = {"next_out": next_out, "next_in": next_in} if command == "set-seq" else None
    _command(config, node, f"sessions/{name}/{command}", body)


def kill(
    config: ConfigOption,
    node: NodeOption,
    client: Annotated[str | None, typer.Option(help="only this client; absent: all")] = None,
    clear: Annotated[bool, typer.Option(help="let orders pass again")] = False,
) -> None:
    """Sets the kill switch: no new orders from the client, cancels pass."""
    _command(config, node, "unkill" if clear else "kill", {"client": client} if client else None)


def _command(config: Path, node: str, path: str, body: dict[str, Any] | None = None) -> None:
    if node not in ("a", "b"):
        raise typer.BadParameter(f"--node: a or b, found {node!r}")

    async def send() -> None:
        async with ControlClient(load_config(config)) as client:
            await client.command(node, path, body)

    asyncio.run(send())
    typer.echo(f"node {node}: {path.rpartition('/')[2]} accepted")


def _print(states: dict[str, Any]) -> None:
    """Nodes, then sessions, as tables of at most 80 columns; last, what is wrong."""
    nodes = _table("node", "role", "epoch", "release", "in sync", "last LSN", "released")
    sessions = _table("node", "session", "state", "next out", "next in")
    receivers = _table("node", "receiver", "kind", "joined", "holds LSN")
    for node, state in states.items():
        if "error" in state:
            nodes.add_row(node, "no answer")
            continue
        nodes.add_row(
            node,
            state["role"].lower(),
            str(state["epoch"]),
            state["release"].lower(),
            " ".join(state["register"]["in_sync"]),
            str(state["log"]["last_lsn"]),
            str(state["log"]["released_lsn"]),
        )
        for entry in state["sessions"]:
            numbers = (str(entry["next_out"]), str(entry["next_in"]))
            down = entry.get("logged_out") and entry["state"] == "DISCONNECTED"
            sessions.add_row(node, entry["name"], "logged out" if down else entry["state"].lower(), *numbers)
        for entry in state.get("receivers", []):
            joined = "yes" if entry["joined"] else "no"
            receivers.add_row(node, entry["name"], entry["kind"], joined, str(entry["received_lsn"]))
    console = Console()
    console.print(nodes)
    for table in (sessions, receivers):
        if table.row_count:
            console.print(table)
    for complaint in _complaints(states):
        console.print(complaint, markup=False, highlight=False, soft_wrap=True)


def _complaints(states: dict[str, Any]) -> Iterator[str]:
    """What an operator must see to, a line each."""
    led = any(state.get("role") == "PRIMARY" for state in states.values())
    for node, state in states.items():
        if "error" in state:
            yield state["error"]
            continue
        for entry in state["sessions"]:
            if why := entry.get("stopped_because"):
                yield f"node {node}: session {entry['name']} stopped: {why}"
            if entry.get("logged_out"):
                again = f"`gateway session {entry['name']} resume --node {node}` logs it on"
                yield f"node {node}: session {entry['name']} was logged out by an operator; {again}"
        if state["role"] == "PRIMARY":
            for client in _killed(state):
                clear = f"gateway kill --clear --node {node}{f' --client {client}' if client else ''}"
                yield f"node {node}: the kill switch is set for {client or 'all clients'}; `{clear}` lets orders pass"
        elif not led:
            for client in _killed(state):  # only a primary could clear it
                yield f"node {node}: the kill switch is set for {client or 'all clients'}"
    if not led:
        yield "no node that answers is primary: orders wait"


def _killed(state: dict[str, Any]) -> Iterator[str]:
    """Clients that may not trade; "": none may."""
    switch = state.get("kill_switch", {"all": False, "clients": []})
    if switch["all"]:
        yield ""
    yield from switch["clients"]


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in headings:
        numeric = heading in ("epoch", "last LSN", "released", "next out", "next in")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    return table
