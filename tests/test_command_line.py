"""The `gateway` command: one module per sub-command in use, help for all, errors without a traceback."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from gateway import __version__
from gateway.cli import COMMANDS, HIDDEN, build_app
from tests.support.command import gateway


def test_help_names_every_command():
    result = CliRunner().invoke(build_app(None), ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert name in result.output
    for name in HIDDEN:
        assert name not in result.output


@pytest.mark.parametrize("name", [*COMMANDS, *HIDDEN])
def test_every_command_is_there_and_explains_itself(name):
    module, attribute, _ = {**COMMANDS, **HIDDEN}[name]
    target = getattr(importlib.import_module(module), attribute)
    assert isinstance(target, typer.Typer) or callable(target)
    result = CliRunner().invoke(build_app(name), [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


@pytest.mark.parametrize("name", ["receiver", "drop-copy", "promote"])
def test_help_says_what_a_receivers_name_is(name):
    result = CliRunner().invoke(build_app(name), [name, "--help"])
    assert "name of the receiver" in result.output


def test_only_the_module_of_the_command_in_use_is_imported():
    code = "import sys; from gateway.cli import build_app; build_app('config'); print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "gateway.config.cli" in loaded
    assert not {"gateway.node.cli", "gateway.demo.cli", "gateway.native.node", "aiohttp"} & set(loaded)


def test_the_version_is_shown():
    result = gateway("--version")
    assert (result.returncode, result.stdout) == (0, f"gateway {__version__}\n")


def test_an_unknown_command_is_refused():
    result = gateway("fly")
    assert result.returncode == 2
    assert "fly" in result.stderr


def test_an_error_is_one_message_and_no_traceback(tmp_path):
    result = gateway("config", "check", str(tmp_path / "none.toml"))
    assert result.returncode == 1
    assert result.stderr.startswith(f"gateway: {tmp_path / 'none.toml'}: ")
    assert "Traceback" not in result.stderr


def test_a_file_that_cannot_be_had_is_one_message_and_no_traceback(tmp_path):
    blocker = tmp_path / "file"
    blocker.touch()
    result = gateway("broker-sim", "--port", 0, "--ledger", blocker / "ledger")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"gateway: {blocker / 'ledger'}: Not a directory\n"


@pytest.mark.parametrize("command", ["takeover", "switchover", "solo", "kill"])
def test_an_operators_command_needs_a_node_that_exists(tmp_path, command):
    result = CliRunner().invoke(build_app(command), [command, "--config", str(tmp_path / "pair.toml"), "--node", "c"])
    assert result.exit_code == 2
    assert "a or b" in result.output


def test_a_switchover_that_is_accepted_is_not_called_done(monkeypatch):
    async def command(*_):
        return {"accepted": True}

    monkeypatch.setattr("gateway.control.client.ControlClient.command", command)
    where = ["--config", "configs/local.toml", "--node", "a"]
    result = CliRunner().invoke(build_app("switchover"), ["switchover", *where])
    accepted, outcome = result.output.splitlines()
    assert accepted == "node a: switchover accepted"
    assert outcome.startswith("`gateway status` says when its standby is primary; if node a gives it up")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["set-seq"], "both"),
        (["set-seq", "--next-out", "7"], "both"),
        (["set-seq", "--next-out", "7", "--next-in", "0"], "greater than or equal to 1"),
        (["logout", "--next-in", "7"], "for set-seq"),
    ],
)
def test_the_numbers_of_a_session_are_set_both_or_none(tmp_path, arguments, complaint):
    where = ["--config", str(tmp_path / "pair.toml"), "--node", "a"]
    result = CliRunner().invoke(build_app("session"), ["session", "BROKER", *arguments, *where])
    assert result.exit_code == 2
    assert complaint in result.output


def test_act_alone_wants_the_loss_accepted(tmp_path):
    result = CliRunner().invoke(build_app("act-alone"), ["act-alone", "--config", str(tmp_path), "--node", "a"])
    assert result.exit_code == 2
    assert "--accept-loss" in result.output
