"""`gateway journal`: inspect, verify, export. Reads only; works beside a live node, and on a `diverged-` file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from gateway.journal.export import as_object, export, utc_text
from gateway.journal.verify import Summary, summarize
from gateway.native.journal import Journal

app = typer.Typer(no_args_is_help=True, help="Inspect, verify and export a journal. Nothing is changed.")

JournalPath = Annotated[
    Path, typer.Argument(help="A journal's directory, or one segment or diverged- file.", show_default=False)
]


@app.command()
def inspect(
    path: JournalPath,
    lsn: Annotated[int | None, typer.Option(min=1, help="Show this record.")] = None,
    last: Annotated[int, typer.Option(min=0, help="Show so many of the newest records.")] = 0,
) -> None:
    """What the journal holds: records by kind, epochs, sessions and their numbers; or single records."""
    with Journal.open(path, read_only=True) as journal:
        if lsn is not None:
            if not journal.first_lsn <= lsn <= journal.last_lsn:
                raise typer.BadParameter(f"LSN {lsn}: the journal holds {journal.first_lsn} to {journal.last_lsn}")
            _print_record(journal, lsn)
        elif last:
            for number in range(max(journal.first_lsn, journal.last_lsn - last + 1), journal.last_lsn + 1):
                _print_record(journal, number)
        else:
            _print_summary(path, summarize(journal))


@app.command()
def verify(path: JournalPath) -> None:
    """Checks every record: CRC, LSNs without a gap, epochs that never go back. Exit status 1 if anything is damaged."""
    with Journal.open(path, read_only=True) as journal:
        summary = summarize(journal)
    typer.echo(
        f"{path}: {sum(summary.kinds.values())} records, LSN {summary.first_lsn} to {summary.last_lsn}, "
        f"{len(summary.epochs)} epochs"
    )
    if summary.torn_bytes:
        typer.echo(
            f"torn tail of {summary.torn_bytes} bytes behind the last record: "
            "the node cuts it off at its start and keeps it"
        )
    if not summary.sound:
        typer.echo(f"damaged: {summary.damage}")
        raise typer.Exit(1)
    typer.echo("sound")


@app.command("export")
def export_command(
    path: JournalPath,
    from_lsn: Annotated[int, typer.Option("--from", min=1, help="First LSN.")] = 1,
    to_lsn: Annotated[int | None, typer.Option("--to", min=1, help="Last LSN.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A new file; default: standard output.")] = None,
) -> None:
    """Every record as one line of JSON. Values of passwords (554, 925, 1402, 1404) and RawData (96) are masked.

    Of a damaged journal, what lies before the damage; the exit status is 1 then.
    """
    with Journal.open(path, read_only=True) as journal:
        if output is None:
            for line in export(journal, from_lsn, to_lsn):
                sys.stdout.buffer.write(line)
            sys.stdout.flush()
        else:
            try:
                with output.open("xb") as file:
                    file.writelines(export(journal, from_lsn, to_lsn))
            except FileExistsError:
                raise typer.BadParameter(f"{output} is there already: name a new file") from None
        damage = journal.recovery.damage
    if damage is not None:
        typer.echo(f"not everything was exported: {damage}", err=True)
        raise typer.Exit(1)


def _print_record(journal: Journal, lsn: int) -> None:
    segment, offset = journal.place_of(lsn)
    place = {"segment": f"{segment:020d}.log", "offset": offset}
    typer.echo(orjson.dumps({**place, **as_object(journal.at(lsn))}, option=orjson.OPT_INDENT_2).decode())


def _print_summary(path: Path, summary: Summary) -> None:
    console = Console()
    facts = Table(box=None, show_header=False, title=str(path), title_justify="left")
    for name, value in _facts(summary):
        facts.add_row(name, value)
    console.print(facts)
    if not summary.sessions:
        return
    table = Table(
        "session", "next out", "next in", "OUT", "IN", "resets", "numbers skipped", "numbers repeated", box=None
    )
    for session in sorted(summary.sessions.values(), key=lambda session: session.session):
        table.add_row(
            *map(
                str,
                (
                    session.session,
                    session.next_out,
                    session.next_in,
                    session.out_records,
                    session.in_records,
                    session.resets,
                    session.out_skipped,
                    session.out_repeated,
                ),
            )
        )
    console.print(table)


def _facts(summary: Summary) -> list[tuple[str, str]]:
    return [
        ("LSN", f"{summary.first_lsn} to {summary.last_lsn}, flushed to {summary.flushed_lsn}"),
        ("bytes", str(summary.bytes)),
        ("time", f"{utc_text(summary.first_time_ns)} to {utc_text(summary.last_time_ns)}"),
        ("records", ", ".join(f"{count} {kind}" for kind, count in summary.kinds.items()) or "none"),
        ("epochs", ", ".join(f"{epoch} (LSN {first} to {last})" for epoch, first, last in summary.epochs) or "none"),
        ("torn tail", f"{summary.torn_bytes} bytes" if summary.torn_bytes else "none"),
        ("damage", summary.damage or "none"),
    ]
