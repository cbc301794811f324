"""The command line beside a running pair: send, status, journal, kill."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.broker.ledger import read_ledger
from tests.support.command import gateway
from tests.support.rig import Rig

ORDERS = """\
cl_ord_id,symbol,side,quantity,price
{prefix}-1,ABC,buy,10,1
{prefix}-2,ABC,buy,10,1
"""


def test_a_file_of_orders_is_sent_once_however_often_it_is_given(rig: Rig, tmp_path: Path):
    file = tmp_path / "orders.csv"
    file.write_text(ORDERS.format(prefix="tool"))
    fates = []
    for _ in range(2):
        done = gateway("send", file, "--config", rig.world.config, "--client", "strategy", "--session", "BROKER")
        assert done.returncode == 0, done.stderr
        fates.append([line.split("\t") for line in done.stdout.splitlines()])
    assert [line[1] for line in fates[0]] == ["tool-1", "tool-2"]
    assert [line[3] for line in fates[0]] == [line[3] for line in fates[1]]
    names = [e["cl_ord_id"] for e in read_ledger(rig.world.ledger) if e["cl_ord_id"].startswith("tool-")]
    assert names == ["tool-1", "tool-2"]


def test_an_order_that_is_refused_has_a_known_fate(rig: Rig, tmp_path: Path):
    file = tmp_path / "orders.csv"
    file.write_text("cl_ord_id,symbol,side,quantity,price\ntool-large,ABC,buy,101,1\n")
    done = gateway("send", file, "--config", rig.world.config, "--client", "limited", "--session", "BROKER")
    assert done.returncode == 0, done.stderr
    assert "max_order_qty" in done.stdout


def test_the_status_shows_both_nodes_and_every_session_in_80_columns(rig: Rig):
    done = gateway("status", "--config", rig.world.config)
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "…" not in done.stdout
    for expected in ("primary", "standby", "BROKER", "REFUSING", "HOLDING", "ready"):
        assert expected in done.stdout
    states = json.loads(gateway("status", "--config", rig.world.config, "--json").stdout)
    assert {state["role"] for state in states.values()} == {"PRIMARY", "STANDBY"}


def test_the_journal_of_a_living_node_can_be_verified_and_read(rig: Rig):
    for node in ("a", "b"):
        path = rig.world.node_dir(node) / "journal"
        verified = gateway("journal", "verify", path)
        assert verified.returncode == 0, verified.stdout
        assert verified.stdout.splitlines()[-1] == "sound"
        first = json.loads(gateway("journal", "export", path, "--to", 1).stdout)
        assert (first["lsn"], first["kind"]) == (1, "EPOCH")


def test_the_status_shows_what_an_operator_has_switched_off(rig: Rig):
    primary = rig.status()["node"]

    def shown() -> tuple[str, dict]:
        text = gateway("status", "--config", rig.world.config).stdout
        return text, json.loads(gateway("status", "--config", rig.world.config, "--json").stdout)[primary]

    try:
        for path, arguments in (
            ("sessions/HOLDING/logout", {}),
            ("kill", {"client": "throttled"}),
            ("kill", {"client": "limited"}),
        ):
            assert rig.command(path, **arguments)[0] == 200
        text, state = shown()
        assert state["kill_switch"] == {"all": False, "clients": ["limited", "throttled"]}
        assert [entry["name"] for entry in state["sessions"] if entry["logged_out"]] == ["HOLDING"]
        assert f"node {primary}: session HOLDING was logged out by an operator" in text
        assert f"node {primary}: the kill switch is set for throttled" in text
        assert rig.command("kill")[0] == 200
        text, state = shown()
        assert state["kill_switch"]["all"] is True
        assert f"node {primary}: the kill switch is set for all clients" in text
    finally:
        rig.command("unkill")
        for client in ("limited", "throttled"):
            rig.command("unkill", client=client)
        rig.command("sessions/HOLDING/resume")
    text, state = shown()
    assert state["kill_switch"] == {"all": False, "clients": []}
    assert "operator" not in text
    assert "kill switch" not in text


def test_the_kill_switch_on_the_command_line(rig: Rig):
    primary = rig.status()["node"]
    for arguments in ((), ("--clear",)):
        done = gateway("kill", "--config", rig.world.config, "--node", primary, "--client", "throttled", *arguments)
        assert done.returncode == 0, done.stderr
        assert "accepted" in done.stdout
    unknown = gateway("kill", "--config", rig.world.config, "--node", primary, "--client", "nobody")
    assert unknown.returncode != 0
    assert "no client 'nobody'; there are: strategy" in unknown.stderr
