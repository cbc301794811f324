"""`gateway node`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.config import load_config
from gateway.logs import configure_logs
from gateway.node.process import NodeProcess


def node(
    config: Annotated[Path, typer.Option(help="configuration file of the pair")],
    node: Annotated[str, typer.Option(help="which node this is: a or b")],
) -> None:
    """Runs one node of the pair until SIGTERM."""
    if node not in ("a", "b"):
        raise typer.BadParameter(f"--node: a or b, found {node!r}")
    loaded = load_config(config)
    configure_logs(loaded.log.level, loaded.log.format)
    NodeProcess(loaded, node).run()
