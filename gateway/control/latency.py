"""`gateway latency`: how long each stage of an order takes on the running nodes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.config import load_config
from gateway.control.client import ControlClient, ControlError
from gateway.control.options import ConfigOption
from gateway.node.latency import StageHistogram, stages_dict, stages_from

NODES = ("a", "b")
COLUMNS = (50.0, 90.0, 99.0, 99.9)


def latency(
    config: ConfigOption,
    node: Annotated[str | None, typer.Option(help="a or b; absent: both, as far as they have sent orders")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="only what comes within so long; 0: since the start")] = 0,
    json: Annotated[bool, typer.Option(help="with all buckets, as JSON")] = False,
) -> None:
    """Shows how long each stage of an order takes, from the client's hand to the broker and back, in microseconds."""
    if node not in (None, *NODES):
        raise typer.BadParameter(f"--node: a or b, found {node!r}")
    found = asyncio.run(_collect(config, (node,) if node else NODES, seconds))
    if json:
        typer.echo(orjson.dumps({each: _as_json(answer) for each, answer in found.items()}).decode())
    else:
        for each, answer in found.items():
            _print(each, answer)
    if all(isinstance(answer, str) for answer in found.values()):
        raise typer.Exit(1)


async def _collect(config: Any, nodes: tuple[str, ...], seconds: float) -> dict[str, dict[str, StageHistogram] | str]:
    async with ControlClient(load_config(config)) as client:

        async def read(node: str) -> dict[str, StageHistogram] | str:
            try:
                before = stages_from((await client.latency(node))["stages"]) if seconds else None
                await asyncio.sleep(seconds)
                after = stages_from((await client.latency(node))["stages"])
            except ControlError as error:
                return str(error)
            return {name: stage.minus(before[name]) if before else stage for name, stage in after.items()}

        answers = await asyncio.gather(*map(read, nodes))
    return dict(zip(nodes, answers, strict=True))


def _as_json(answer: dict[str, StageHistogram] | str) -> dict[str, Any]:
    return {"error": answer} if isinstance(answer, str) else stages_dict(answer)


def _print(node: str, answer: dict[str, StageHistogram] | str) -> None:
    console = Console()
    if isinstance(answer, str):
        console.print(answer, highlight=False)
        return
    if not any(stage.count for stage in answer.values()):
        console.print(f"node {node}: no orders", highlight=False)
        return
    table = Table(box=SIMPLE_HEAD, title=f"node {node}, microseconds", title_justify="left")
    for name in ("stage", "orders", *(f"p{share:g}" for share in COLUMNS), "max"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name, stage in answer.items():
        times = [f"{stage.percentile(share) / 1e3:.2f}" if stage.count else "" for share in (*COLUMNS, 100.0)]
        table.add_row(name, str(stage.count), *times)
    console.print(table)
