"""What the demonstration and `gateway status` show fits 80 columns, whatever the numbers."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from gateway.audit.audit import AuditResult, EpochChange, Finding
from gateway.audit.evidence import BrokerEvidence, BrokerOrder, ClientEvidence, ClientOrder
from gateway.control import cli as control
from gateway.demo.conductor import DemoResult, Options
from gateway.demo.report import print_result
from gateway.demo.timeline import Kill, TakeoverTimes, latencies_us, takeover_times
from gateway.demo.trader import Counts
from gateway.demo.view import LiveView, PlainView, nodes_table

MS = 10**6
LARGE = 12_345_678


def status(role: str, **more: object) -> dict:
    return {
        "role": role,
        "epoch": 1234,
        "release": "NOTHING",
        "register": {"in_sync": ["a", "b"]},
        "log": {"last_lsn": LARGE, "released_lsn": LARGE},
        "peer": {"received_lsn": LARGE},
        "sessions": [{"name": "SESSION-ONE", "state": "DISCONNECTED", "next_out": LARGE, "next_in": LARGE}] * 2,
        **more,
    }


def printed(*things: object) -> str:
    console = Console(file=io.StringIO(), width=80)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def fits(text: str) -> bool:
    return "…" not in text and all(len(line) <= 80 for line in text.splitlines())


def result(*, passed: bool = True, slow: float = 1234.56) -> DemoResult:
    finding = Finding("lost", "orders that the broker never processed", [] if passed else ["order-7"], int(not passed))
    audit = AuditResult(LARGE, LARGE, 0, LARGE, LARGE, LARGE, [finding], [EpochChange(1, 1, "a", 0, 1)])
    takeover = TakeoverTimes("a", "b", 12, slow, slow, slow, slow, slow, None, 9_999_998, 9_999_999)
    row = {f"p{p}": 9_999_999.9 for p in (50, 90, 99, 99.9)} | {"max": 9_999_999.9}
    latencies = {"order to accepted": row, "order to first execution": row}
    return DemoResult(Options(Path(), Path(), 1, 1), audit, [takeover, takeover], latencies, 1.0)


def shown(outcome: DemoResult) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_result(console, outcome)
    return console.file.getvalue()


def test_the_result_fits_and_shows_every_number_whole():
    text = shown(result())
    assert fits(text)
    for number in ("1234.56", "9999998→9999999", "10,000,000", "12,345,678"):
        assert number in text
    assert "AUDIT PASSED" in text


def test_a_failed_audit_says_what_failed_with_examples():
    text = shown(result(passed=False))
    assert "AUDIT FAILED" in text
    assert "1 orders that the broker never processed, for example: order-7" in text


def test_the_nodes_fit_and_show_every_number_whole():
    text = printed(nodes_table({"a": status("PRIMARY"), "b": status("STANDBY")}))
    assert fits(text)
    assert text.count(str(LARGE)) == 7
    assert "down" in printed(nodes_table({"a": None, "b": None}))


def test_the_status_command_fits_and_shows_every_number_whole(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    control._print({"a": status("PRIMARY"), "b": status("STANDBY")})
    text = capsys.readouterr().out
    assert fits(text)
    assert text.count(str(LARGE)) == 2 * 2 + 2 * 4
    assert text.count("SESSION-ONE") == 4


def test_the_status_command_says_in_full_why_a_node_does_not_answer(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    why = "node b at 127.0.0.1:7014 does not answer: " + "a reason that takes more than one line " * 3
    control._print({"a": status("PRIMARY"), "b": {"error": why}})
    assert why in capsys.readouterr().out


def test_the_status_command_says_why_a_session_stopped_and_that_nobody_is_primary(capsys):
    standing = status("STANDBY")
    standing["sessions"][0] |= {"state": "STOPPED", "stopped_because": "our MsgSeqNum is too low"}
    control._print({"a": standing, "b": {"error": "node b does not answer"}})
    text = capsys.readouterr().out
    assert f"node a: session {standing['sessions'][0]['name']} stopped: our MsgSeqNum is too low\n" in text
    assert "no node that answers is primary: orders wait\n" in text


def test_the_status_command_says_what_an_operator_has_switched_off(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    primary = status("PRIMARY")
    name = primary["sessions"][0]["name"]
    primary["sessions"][0] |= {"state": "DISCONNECTED", "logged_out": True}
    primary["kill_switch"] = {"all": True, "clients": ["momentum"]}
    standby = status("STANDBY") | {"kill_switch": primary["kill_switch"]}
    control._print({"a": primary, "b": standby})
    text = capsys.readouterr().out
    assert fits(text.partition("node a: ")[0])
    assert "logged out" in text.partition("node a: ")[0]
    assert f"node a: session {name} was logged out by an operator; `gateway session {name} resume --node a`" in text
    all_stopped, one_stopped = [line for line in text.splitlines() if "kill switch" in line]
    assert all_stopped.endswith("is set for all clients; `gateway kill --clear --node a` lets orders pass")
    assert one_stopped.endswith(
        "is set for momentum; `gateway kill --clear --node a --client momentum` lets orders pass"
    )


def test_the_status_command_names_no_way_to_clear_the_kill_switch_where_nobody_is_primary(capsys):
    control._print(
        {"a": status("STANDBY") | {"kill_switch": {"all": True, "clients": []}}, "b": {"error": "no answer"}}
    )
    text = capsys.readouterr().out
    assert "node a: the kill switch is set for all clients\n" in text
    assert "--clear" not in text


def test_the_plain_view_tells_each_tenth_once():
    console = Console(file=io.StringIO(), width=80)
    with PlainView(console, 100) as view:
        for submitted in range(0, 101, 5):
            view.progress(Counts(submitted, submitted, 2 * submitted))
        view.event("something " * 20)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 11
    assert "100 orders submitted, 100 accepted, 200 executions received" in lines[9]


def test_the_live_view_draws_what_it_was_told():
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with LiveView(console, 100) as view:
        view.event("node b took over")
        view.progress(Counts(50, 40, 70))
        view.nodes({"a": None, "b": status("PRIMARY")})
        text = printed(view._draw())
    assert fits(text)
    for expected in ("node b took over", "50/100", "40/100", "70 executions received", "down"):
        assert expected in text


def incident(directory: Path, **more: object) -> Path:
    report = {
        "suspected_wall_ns": 1005 * MS,
        "ms_after_suspicion": {"register_won": 1.5, "promoted": 2.0, "first_order": None},
        "sessions": [{"ms_after_suspicion": {"connecting": 2.0, "connected": 3.0, "logged_on": 4.0, "ready": None}}],
        **more,
    }
    (directory / "incidents").mkdir()
    (directory / "incidents" / "epoch-000002.json").write_bytes(orjson.dumps(report))
    return directory


def test_the_steps_of_a_takeover_count_from_the_kill(tmp_path: Path):
    broker = BrokerEvidence([BrokerOrder("early", 5, 990 * MS), BrokerOrder("again", 7, 1011 * MS)])
    broker.orders += [BrokerOrder("new", 9, 1012 * MS), BrokerOrder("later", 10, 1013 * MS)]
    times = takeover_times(Kill("a", "b", 2, 1000 * MS), incident(tmp_path), broker, (7, 8))
    assert (times.detect, times.register, times.connect, times.logon, times.ready) == (5.0, 6.5, 8.0, 9.0, None)
    assert times.first_order_at_broker == 12.0  # an order that went again is no new order
    assert (times.last_seq_before, times.first_seq_after) == (7, 8)


def test_latencies_are_of_what_was_answered_only():
    client = ClientEvidence()
    for number in range(1, 101):
        client.orders[f"{number}"] = ClientOrder(f"{number}", 0, "accepted", number, number * 1000, number * 2000)
    client.orders["none"] = ClientOrder("none", 0)
    client.orders["rejected"] = ClientOrder("rejected", 0, "rejected", 0, 10**9)
    latencies = latencies_us(client)
    assert latencies["order to accepted"]["p50"] == 50.5
    assert (latencies["order to accepted"]["max"], latencies["order to first execution"]["max"]) == (100.0, 200.0)
    assert latencies_us(ClientEvidence()) == {"order to accepted": {}, "order to first execution": {}}
