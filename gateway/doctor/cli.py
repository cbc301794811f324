"""`gateway doctor`: the command line around the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from gateway.config import load_config
from gateway.doctor.aim import aim_of
from gateway.doctor.checks import examine_all
from gateway.doctor.host import Host
from gateway.doctor.table import as_json, print_findings
from gateway.node.build import UDP_BUFFER_BYTES


def doctor(
    config: Annotated[Path | None, typer.Option(help="Configuration file of the pair: what is wanted here.")] = None,
    node: Annotated[str | None, typer.Option(help="With --config: which node is this host's, a or b.")] = None,
    pid: Annotated[
        int | None, typer.Option(min=1, help="A running node: its limits and cores, not this shell's.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Check this host as a latency engineer would: what was found, what is wanted, why, and the command that fixes it.

    Reads, and measures how long a flush of data_dir takes (at most a second). Changes nothing. Exit status 1 when
    something is bad: at odds with what the configuration asks for.
    """
    if (config is None) != (node is None):
        raise typer.BadParameter("--config and --node go together")
    if node not in (None, "a", "b"):
        raise typer.BadParameter(f"--node: a or b, found {node!r}")
    if pid is not None and not Path(f"/proc/{pid}").exists():
        raise typer.BadParameter(f"--pid: there is no process {pid}")
    aim = aim_of(load_config(config) if config is not None else None, node or "", UDP_BUFFER_BYTES)
    findings = examine_all(Host(process="self" if pid is None else str(pid)), aim)
    if json:
        typer.echo(orjson.dumps(as_json(findings), option=orjson.OPT_INDENT_2).decode())
    else:
        print_findings(findings)
    raise typer.Exit(0 if as_json(findings)["passed"] else 1)
