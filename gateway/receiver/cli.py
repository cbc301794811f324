"""`gateway receiver`, `gateway drop-copy`, `gateway promote`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.config import load_config
from gateway.errors import GatewayError
from gateway.logs import configure_logs
from gateway.receiver.copies import Copies
from gateway.receiver.process import ReceiverProcess, section_of
from gateway.receiver.promote import assess
from gateway.receiver.promote import promote as make_journal

ConfigOption = Annotated[Path, typer.Option("--config", help="configuration file of the pair")]
NameArgument = Annotated[str, typer.Argument(help="name of the receiver, as in the configuration", show_default=False)]


def receiver(name: NameArgument, config: ConfigOption) -> None:
    """Keeps a copy of the pair's log, never waited for, until SIGTERM."""
    loaded = load_config(config)
    configure_logs(loaded.log.level, loaded.log.format)
    ReceiverProcess(loaded, name).run()


def drop_copy(
    name: NameArgument,
    config: ConfigOption,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="append to this file, and go on behind its last line")
    ] = None,
    from_lsn: Annotated[
        int | None, typer.Option("--from", min=1, help="first LSN; default: a new file all, standard output what comes")
    ] = None,
) -> None:
    """Writes each application message of the pair as a line of JSON, and keeps the log, until SIGTERM."""
    loaded = load_config(config)
    _, section = section_of(loaded, name)
    if section.kind != "drop-copy":
        raise GatewayError(f"receiver {name!r} is of kind {section.kind!r}: run it by `gateway receiver {name}`")
    configure_logs(loaded.log.level, loaded.log.format)
    ReceiverProcess(loaded, name, lambda journal, names: Copies(journal, names, output, from_lsn)).run()


def promote(
    name: NameArgument,
    config: ConfigOption,
    node: Annotated[str, typer.Option("--as", help="the node that it shall become: a or b")] = "a",
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="go on in spite of what may be missing")] = False,
) -> None:
    """Says what a disaster-recovery receiver may lack; with --accept-loss makes the journal of a node of it."""
    if node not in ("a", "b"):
        raise typer.BadParameter(f"--as: a or b, found {node!r}")
    loaded = load_config(config)
    loss = assess(loaded, name)
    typer.echo(loss.text())
    if not accept_loss:
        typer.echo("nothing was done. Make sure that both nodes of the pair are dead, then say --accept-loss")
        raise typer.Exit(1)
    path = make_journal(loaded, name, node)
    typer.echo(f"made {path}. Go on with a register of this site, which must not be the pair's old one:")
    typer.echo(f"  gateway node --config {config} --node {node}")
    typer.echo(
        f"  gateway act-alone --config {config} --node {node} --accept-loss    # its sessions skip numbers ahead"
    )
