"""`gateway demo` with few orders: real processes, two kills, and a verdict that its exit status repeats."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gateway.broker.ledger import read_ledger
from tests.support.command import gateway

COUNT = 300


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    place = tmp_path_factory.mktemp("demo")
    options = ("--count", COUNT, "--rate", 400, "--dir", place / "run", "--report", place / "report")
    return gateway("demo", *options), place


def test_it_passes_its_audit_through_two_kills(run):
    done, _ = run
    assert done.returncode == 0, done.stdout + done.stderr
    assert "AUDIT PASSED" in done.stdout
    assert done.stdout.count("SIGKILL to primary") == 2
    assert done.stdout.count("took over as primary") == 2


def test_what_it_prints_fits_80_columns_and_nothing_is_cut_off(run):
    done, place = run
    tables = [line for line in done.stdout.splitlines() if not line.startswith("[") and str(place) not in line]
    assert len(tables) > 20
    assert [line for line in tables if len(line) > 80 or "…" in line] == []


def test_the_report_says_what_the_audit_found(run):
    _, place = run
    report = json.loads((place / "report" / "report.json").read_text())
    assert report["audit"]["passed"] is True
    assert report["audit"]["submitted"] == report["audit"]["processed_by_broker"] == COUNT
    first, second = report["takeovers"]
    assert (first["killed"], first["successor"], first["epoch"]) == ("a", "b", 2)
    assert (second["killed"], second["successor"], second["epoch"]) == ("b", "a", 3)
    for takeover in (first, second):
        assert takeover["first_seq_after"] == takeover["last_seq_before"] + 1
        assert 0 < takeover["detect"] <= takeover["register"] <= takeover["connect"] <= takeover["logon"]
        assert takeover["logon"] <= takeover["ready"]
    assert first["ready"] <= first["first_order_at_broker"]  # at the second kill all orders may be out already
    page = (place / "report" / "report.html").read_text()
    assert "Audit passed" in page
    assert f"<td>{COUNT}</td>" in page


def test_it_leaves_its_evidence_and_no_process(run):
    _, place = run
    ledger = list(read_ledger(place / "run" / "broker-ledger.jsonl"))
    assert len({entry["cl_ord_id"] for entry in ledger if entry["processed"]}) == COUNT
    assert {path.name for path in (place / "run").iterdir()} >= {"node-a", "node-b", "client-record.jsonl", "pair.toml"}
    asked = gateway("status", "--config", place / "run" / "pair.toml")
    assert asked.returncode == 1
    assert asked.stdout.count("does not answer") == 2
    assert not _processes_of(place / "run")


def test_a_directory_that_holds_something_is_refused(tmp_path: Path):
    (tmp_path / "precious").write_text("do not touch")
    done = gateway("demo", "--dir", tmp_path)
    assert done.returncode != 0
    assert "is not empty" in done.stderr
    assert (tmp_path / "precious").read_text() == "do not touch"


def test_orders_that_cannot_be_read_are_found_before_anything_starts(tmp_path: Path):
    (tmp_path / "orders.csv").write_text("symbol,side,quantity\nABC,up,5\n")
    done = gateway("demo", "--orders", tmp_path / "orders.csv", "--dir", tmp_path / "run")
    assert done.returncode != 0
    assert "orders.csv" in done.stderr
    assert not (tmp_path / "run").exists()


def _processes_of(directory: Path) -> list[str]:
    """Command lines of processes that name the directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(directory) in command:
                found.append(command)
    return found
