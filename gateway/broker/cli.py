"""`gateway broker-sim`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import uvloop
from pydantic import ValidationError

from gateway.broker.options import BrokerOptions, SessionId
from gateway.config.connections import Acceptor
from gateway.config.load import describe
from gateway.config.units import Address
from gateway.errors import ConfigError
from gateway.logs import configure_logs

DEFAULT_SESSION = "FIX.4.4:BROKER:GATEWAY"
DEFAULT_HOST = "127.0.0.1"


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
    host: Annotated[
        list[str] | None, typer.Option(help="address to listen on; may be repeated. Without: 127.0.0.1")
    ] = None,
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
    allow: Annotated[
        list[str] | None, typer.Option(help="network that may connect, such as 10.1.0.0/16; may be repeated")
    ] = None,
    max_connections: Annotated[int | None, typer.Option(help="at a time, in all")] = None,
    max_connections_per_source: Annotated[int | None, typer.Option(help="at a time, of one address")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="TLS: file of our certificate and its chain, PEM")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="TLS: file of its key, if not in the certificate's")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="TLS: certificates are required of clients, of these authorities")
    ] = None,
) -> None:
    """Runs a FIX acceptor that acknowledges, fills by a simple price model, and keeps a ledger."""
    configure_logs("info", "json")
    addresses = [Address(name, port) for name in host or [DEFAULT_HOST]]
    tls = _without_none(cert_file=tls_cert, key_file=tls_key, client_ca_file=tls_client_ca)
    door = _without_none(
        allowed=allow or None,
        max_connections=max_connections,
        max_connections_per_source=max_connections_per_source,
        tls=tls or None,
    )
    if mode == "echo":
        _echo(addresses, config, dictionaries, door)
        return
    options = BrokerOptions(
        addresses,
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
        door_settings(door),
    )
    if engine == "native":
        from gateway.broker.native_engine import NativeEngine  # noqa: PLC0415

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(NativeEngine(options).run())
        return
    if door or len(addresses) > 1:
        raise ConfigError("--engine quickfix: has one --host, no TLS and no limits; --engine native has")
    if port == 0:
        raise ConfigError("--port: the quickfix engine needs a port of its own, 0 is not possible")
    try:
        from gateway.broker.quickfix_engine import run_quickfix  # noqa: PLC0415
    except ImportError:
        raise ConfigError("--engine quickfix: the quickfix package is not installed; pip install quickfix") from None
    run_quickfix(options)


def door_settings(wanted: dict[str, Any], base: Acceptor | None = None) -> Acceptor:
    """The acceptor's section with what the command line says in its place. Raises ConfigError."""
    try:
        return Acceptor.model_validate((base or Acceptor()).model_dump(exclude_unset=True, mode="json") | wanted)
    except ValidationError as error:
        raise ConfigError("\n".join(f"options of the acceptor: {line}" for line in describe(error))) from None


def _without_none(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _echo(addresses: list[Address], file: Path | None, dictionaries: Path | None, door: dict[str, Any]) -> None:
    from gateway.broker.echo import echo_acceptor  # noqa: PLC0415
    from gateway.broker.echo_config import load_echo_config  # noqa: PLC0415

    if file is None:
        raise ConfigError(
            "--config: missing; mode echo is told its sessions by a file, such as configs/conformance.toml"
        )
    config = load_echo_config(file)
    acceptor = echo_acceptor(addresses, config, dictionaries, door_settings(door, config.acceptor))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(acceptor.run())
