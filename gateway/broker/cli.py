"""`gateway broker-sim`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer
import uvloop

from gateway.broker.options import BrokerOptions, SessionId
from gateway.errors import ConfigError
from gateway.logs import configure_logs

DEFAULT_SESSION = "FIX.4.4:BROKER:GATEWAY"


def broker_sim(
    port: Annotated[int, typer.Option(help="port to listen on; 0: any free one, which is printed")],
    session: Annotated[
        list[str] | None,
        typer.Option(help=f"BeginString:SenderCompID:TargetCompID; may be repeated. Without: {DEFAULT_SESSION}"),
    ] = None,
    mode: Annotated[
        Literal["fill", "echo"],
        typer.Option(help="a broker that fills orders, or one that sends them back (conformance)"),
    ] = "fill",
    config: Annotated[
        Path | None, typer.Option(help="mode echo: file of its sessions, configs/conformance.toml")
    ] = None,
    dictionaries: Annotated[
        Path | None, typer.Option(help="mode echo: directory of FIX40.xml ... FIX50SP2.xml, FIXT11.xml")
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    engine: Annotated[
        Literal["native", "quickfix"], typer.Option(help="own session core, or the quickfix package")
    ] = "native",
    ledger: Annotated[Path | None, typer.Option(help="file of evidence: what was processed")] = None,
    store: Annotated[str, typer.Option(help="directory of the message store, or 'memory'")] = "memory",
    fill: Annotated[
        Literal["model", "immediate", "partial", "none"], typer.Option(help="how orders are filled")
    ] = "model",
    reject_symbol: Annotated[
        list[str] | None, typer.Option(help="orders in this symbol are rejected; may be repeated")
    ] = None,
    seed: Annotated[int, typer.Option(help="of the price model")] = 1,
    accept_duplicates: Annotated[
        bool, typer.Option(help="process a ClOrdID again, to show that audits can fail")
    ] = False,
    on_duplicate_connection: Annotated[
        Literal["replace", "refuse"], typer.Option(help="a Logon while the old connection lives (native engine)")
    ] = "replace",
    reset_on_logon: Annotated[bool, typer.Option(help="start MsgSeqNums at 1 with each Logon")] = False,
    cancel_on_disconnect: Annotated[bool, typer.Option(help="cancel open orders when the connection is lost")] = False,
) -> None:
    """Runs a FIX acceptor that acknowledges, fills by a simple price model, and keeps a ledger."""
    configure_logs("info", "json")
    if mode == "echo":
        _echo(host, port, config, dictionaries)
        return
    options = BrokerOptions(
        host,
        port,
        [SessionId.parse(text) for text in session or [DEFAULT_SESSION]],
        ledger,
        None if store == "memory" else Path(store),
        fill,
        frozenset(reject_symbol or ()),
        seed,
        accept_duplicates,
        on_duplicate_connection,
        reset_on_logon,
        cancel_on_disconnect,
    )
    if engine == "native":
        from gateway.broker.native_engine import NativeEngine  # noqa: PLC0415

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(NativeEngine(options).run())
        return
    if port == 0:
        raise ConfigError("--port: the quickfix engine needs a port of its own, 0 is not possible")
    try:
        from gateway.broker.quickfix_engine import run_quickfix  # noqa: PLC0415
    except ImportError:
        raise ConfigError("--engine quickfix: the quickfix package is not installed; pip install quickfix") from None
    run_quickfix(options)


def _echo(host: str, port: int, config: Path | None, dictionaries: Path | None) -> None:
    from gateway.broker.echo import echo_acceptor  # noqa: PLC0415
    from gateway.broker.echo_config import load_echo_config  # noqa: PLC0415

    if config is None:
        raise ConfigError(
            "--config: missing; mode echo is told its sessions by a file, such as configs/conformance.toml"
        )
    acceptor = echo_acceptor(host, port, load_echo_config(config), dictionaries)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(acceptor.run())
