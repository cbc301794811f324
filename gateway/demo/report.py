"""The demonstration's result for a person (tables), for a program (JSON) and for a colleague (HTML)."""

from __future__ import annotations

from pathlib import Path

import orjson
from jinja2 import Environment, PackageLoader, select_autoescape
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.demo.conductor import DemoResult

STEPS = ("detect", "register", "connect", "logon", "ready", "first_order_at_broker")
MANY_US = 10_000  # from here on, a tenth of a microsecond says nothing
STEP_HEADINGS = (*STEPS[:-1], "order")


def print_result(console: Console, result: DemoResult) -> None:
    """The audit, the takeovers and the latencies as tables."""
    audit = result.audit
    counts = Table(title="Audit", show_header=False)
    counts.add_column("")
    counts.add_column("", justify="right")
    for name, value in (
        ("orders submitted", audit.submitted),
        ("orders accepted", audit.accepted),
        ("orders rejected by the gateway", audit.rejected),
        ("orders processed by the broker", audit.processed),
        ("executions sent by the broker", audit.executions_sent),
        ("executions received by the client", audit.executions_received),
    ):
        counts.add_row(name, f"{value:,}")
    counts.add_section()
    for finding in audit.findings:
        mark = "[green]ok[/green]" if finding.passed else "[red]FAILED[/red]"
        counts.add_row(f"{finding.name} {mark}", str(finding.count))
    console.print(counts)
    console.print(_takeovers(result))
    latencies = _narrow_table("Latency seen by the client, microseconds")
    latencies.add_column("")
    for heading in next(iter(result.latencies.values()), {}):
        latencies.add_column(heading, justify="right")
    for name, row in result.latencies.items():
        latencies.add_row(name, *(f"{value:,.1f}" if value < MANY_US else f"{value:,.0f}" for value in row.values()))
    console.print(latencies)
    for finding in audit.findings:
        if not finding.passed:
            console.print(f"[red]{finding.count} {finding.meaning}[/red], for example: {', '.join(finding.examples)}")
    console.print("[bold green]AUDIT PASSED[/bold green]" if audit.passed else "[bold red]AUDIT FAILED[/bold red]")


def _takeovers(result: DemoResult) -> Table:
    """One line for each takeover, in 80 columns."""
    table = _narrow_table("Takeovers: milliseconds from SIGKILL to the end of each step")
    table.caption = "order: first new order at the broker; MsgSeqNum: last before→first after"
    for heading in ("epoch", "primary", *STEP_HEADINGS, "MsgSeqNum"):
        table.add_column(heading, justify="right", overflow="fold")
    for takeover in result.takeovers:
        values = takeover.as_dict()
        table.add_row(
            str(takeover.epoch),
            f"{takeover.killed}→{takeover.successor}",
            *(f"{values[step]:.2f}" if values[step] is not None else "-" for step in STEPS),
            f"{takeover.last_seq_before}→{takeover.first_seq_after}",
        )
    return table


def _narrow_table(title: str) -> Table:
    return Table(title=title, box=SIMPLE_HEAD, padding=0, show_edge=False)


def write_report(result: DemoResult, directory: Path) -> None:
    """`report.json` and `report.html` in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    report = result.as_dict()
    (directory / "report.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    environment = Environment(loader=PackageLoader("gateway.demo"), autoescape=select_autoescape())
    slowest = max((t[step] or 0.0 for t in report["takeovers"] for step in STEPS), default=1.0) or 1.0
    page = environment.get_template("report.html.j2").render(report=report, steps=STEPS, slowest=slowest)
    (directory / "report.html").write_text(page)
