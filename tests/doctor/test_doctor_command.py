"""`gateway doctor`: what it wants of the host, how it is told, and its exit status; and the probes on this host."""

from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gateway.cli import build_app
from gateway.config import Address, load_config
from gateway.doctor import cli
from gateway.doctor.aim import SPARE_DESCRIPTORS, aim_of
from gateway.doctor.checks import CHECKS
from gateway.doctor.finding import Finding, Status
from gateway.doctor.host import Host, core_list
from gateway.doctor.probes import FLUSHES, Probes, UnreadableError
from gateway.doctor.table import as_json, print_findings, summary

from .tree import FakeProbes, grow

TCP = 'tcp = { receive_buffer = "64 MiB", interface = "eth7" }'
PAIR = f"""
[pair]
id = 1
[register]
kind = "file"
path = "register"
[replication]
key_env = "KEY"
datagram_bytes = 1200
[node.a]
data_dir = "a"
replication = ["10.0.0.1:7001"]
tripwire = "10.0.0.1:7002"
clients = "10.0.0.1:7003"
control = "127.0.0.1:7004"
reactor = "busy-poll"
cpu = 2
[node.b]
data_dir = "b"
replication = ["10.0.0.2:7001"]
tripwire = "10.0.0.2:7002"
clients = "10.0.0.2:7003"
control = "127.0.0.1:7014"
[journal]
durability = "every"
[[session]]
name = "BROKER"
begin_string = "FIX.4.4"
sender_comp_id = "GATEWAY"
target_comp_id = "BROKER"
endpoints = ["192.0.2.10:9880"]
{TCP}
[[client]]
name = "momentum"
token_env = "TOKEN"
"""


@pytest.fixture
def pair(tmp_path):
    file = tmp_path / "pair.toml"
    file.write_text(PAIR)
    return file


@pytest.fixture
def on_a_good_host(tmp_path, monkeypatch):
    root = grow(tmp_path / "host")
    monkeypatch.setattr(cli, "Host", lambda process: Host(root, process, FakeProbes()))
    return root


def doctor(*arguments):
    return CliRunner().invoke(build_app("doctor"), ["doctor", *map(str, arguments)])


def test_what_is_wanted_comes_from_the_nodes_configuration(pair):
    aim = aim_of(load_config(pair), "a", 4 << 20)
    assert (aim.cpu, aim.busy_poll, aim.polls_on_its_core) == (2, True, True)
    assert (aim.data_dir, aim.durability, aim.datagram_bytes) == (pair.parent / "a", "every", 1200)
    assert [(path.own.host, path.peer.host) for path in aim.paths] == [("10.0.0.1", "10.0.0.2")]
    assert (aim.receive_buffer, aim.send_buffer) == (64 << 20, 4 << 20)
    assert aim.interfaces == ("eth7",)
    assert aim.leaves_the_host
    other = aim_of(load_config(pair), "b", 4 << 20)
    assert (other.cpu, other.polls_on_its_core, other.paths[0].own.host) == (None, False, "10.0.0.2")


def test_more_connections_want_more_descriptors(pair):
    few = aim_of(load_config(pair), "a", 0).descriptors
    pair.write_text(PAIR + "\n[acceptor]\nmax_connections = 10000\n")
    many = aim_of(load_config(pair), "a", 0).descriptors
    assert SPARE_DESCRIPTORS < few < many
    assert many > 10000


def test_a_good_host_passes_and_the_status_is_0(pair, on_a_good_host):
    pair.write_text(PAIR.replace(TCP, ""))
    result = doctor("--config", pair, "--node", "a")
    assert result.exit_code == 0, result.output
    assert f"{len(CHECKS)} ok, 0 warn, 0 bad, 0 unknown" in result.output


def test_something_bad_makes_the_status_1_and_tells_the_command(pair, on_a_good_host):
    result = doctor("--config", pair, "--node", "a")
    assert result.exit_code == 1
    assert f"    sysctl -w net.core.rmem_max={64 << 20}\n" in result.output


def test_a_warning_leaves_the_status_0(pair, on_a_good_host):
    pair.write_text(PAIR.replace(TCP, ""))
    (on_a_good_host / "proc/sys/net/core/busy_poll").write_text("0")
    result = doctor("--config", pair, "--node", "a")
    assert result.exit_code == 0
    assert "1 warn" in result.output


def test_json_has_every_line_with_all_that_the_table_has(pair, on_a_good_host):
    result = doctor("--config", pair, "--node", "a", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["passed"], told["counts"]["bad"]) == (1, False, 1)
    assert len(told["findings"]) == len(CHECKS)
    assert all(set(f) == {"area", "what", "status", "found", "wanted", "why", "fix"} for f in told["findings"])


def test_it_runs_on_this_host_whatever_that_is():
    result = doctor("--json")
    assert result.exit_code in (0, 1)
    assert len(json.loads(result.stdout)["findings"]) == len(CHECKS)


@pytest.mark.parametrize("arguments", [("--node", "a"), ("--config", "pair.toml"), ("--config", "x", "--node", "c")])
def test_a_configuration_and_a_node_of_it_go_together(arguments):
    assert doctor(*arguments).exit_code == 2


def test_a_command_is_one_line_however_narrow_the_terminal_is():
    fix = "x" * 300
    finding = Finding("area", "what", Status.BAD, "[red]found", "wanted", "why", fix)
    console = Console(width=60, record=True, file=io.StringIO())
    print_findings([finding], console)
    text = console.export_text()
    assert fix in text
    assert "[red]found" in text  # what a file holds is no markup


def test_the_summary_counts_each_status():
    findings = [Finding("a", "w", status, "", "", "", "") for status in (Status.OK, Status.OK, Status.BAD)]
    assert summary(findings) == "2 ok, 0 warn, 1 bad, 0 unknown"
    assert as_json(findings)["passed"] is False


@pytest.mark.parametrize(
    ("text", "cores"), [("", set()), ("(null)", set()), ("3", {3}), ("0-2,8", {0, 1, 2, 8}), ("5-4", set())]
)
def test_lists_of_cores_are_read(text, cores):
    assert core_list(text) == cores


@pytest.mark.parametrize("text", ["x", "1-", "-1", "0-31:2/4", "0-99999999999", "1,,2", "٣"])
def test_what_is_no_list_of_cores_is_refused(text):
    with pytest.raises(ValueError, match="not a list of cores"):
        core_list(text)


def test_the_mtu_of_loopback_is_told():
    here = Address("127.0.0.1", 9)
    assert Probes().path_mtu(here, here) >= 1500


def test_the_way_to_this_host_begins_at_loopback():
    assert Probes().interface_towards(Address("127.0.0.1", 9)) == "lo"


def test_an_address_of_another_host_is_told():
    with pytest.raises(UnreadableError, match=r"192\.0\.2\.1 towards 127\.0\.0\.1:9"):
        Probes().path_mtu(Address("192.0.2.1", 0), Address("127.0.0.1", 9))


def test_flushes_are_measured_and_leave_nothing_behind(tmp_path):
    times = Probes().flush_times(tmp_path / "not" / "made" / "yet")
    assert 1 <= len(times) <= FLUSHES
    assert all(time > 0 for time in times)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_told():
    with pytest.raises(UnreadableError, match="/proc"):
        Probes().flush_times(Path("/proc"))


def test_the_kernels_clock_is_asked():
    state = Probes().clock_state()
    assert isinstance(state.synchronised, bool)
    assert state.max_error_us >= 0


@pytest.mark.parametrize("probe", ["hardware_stamps", "coalescing", "rings"])
def test_a_card_that_is_not_there_is_told(probe):
    assert "none9" not in [name for _, name in socket.if_nameindex()]
    with pytest.raises(UnreadableError, match="none9"):
        getattr(Probes(), probe)("none9")


def test_without_chronyc_that_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnreadableError, match="not installed"):
        Probes().chrony_tracking()


@pytest.mark.parametrize(("status", "text"), [(0, "a,b,c"), (1, "506 Cannot talk to daemon")])
def test_chronyc_is_asked_for_its_tracking(monkeypatch, tmp_path, status, text):
    command = tmp_path / "chronyc"
    command.write_text(f'#!/bin/sh\n[ "$*" = "-c tracking" ] && echo "{text}"; exit {status}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if status == 0:
        assert Probes().chrony_tracking() == "a,b,c\n"
    else:
        with pytest.raises(UnreadableError, match="Cannot talk"):
            Probes().chrony_tracking()


def test_a_process_that_is_not_there_is_told():
    result = CliRunner().invoke(build_app("doctor"), ["doctor", "--pid", str(1 << 30)])
    assert result.exit_code == 2
    assert f"there is no process {1 << 30}" in result.output
