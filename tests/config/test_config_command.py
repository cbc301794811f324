"""`gateway config`: what is in force is shown as a file that loads to the same, and secrets are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.config import load_config
from gateway.config.cli import app
from gateway.errors import ConfigError

SAMPLE = Path(__file__).resolve().parents[2] / "configs" / "pair.toml"
SECRETS = {
    "GATEWAY_REPLICATION_KEY": "5ec4e7" + "0" * 26,
    "MOMENTUM_TOKEN": "secret-of-momentum",
    "BROKER_PASSWORD": "secret-of-broker",
}


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """The sample with its secrets in place; the path of the configuration."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    text = SAMPLE.read_text()
    for name in ("operations", "control"):
        (tmp_path / f"{name}.token").write_text(f"secret-of-{name}")
    config = tmp_path / "pair.toml"
    config.write_text(text.replace("/etc/gateway", str(tmp_path)))
    return config


def test_what_is_printed_loads_to_the_same_configuration(tmp_path):
    result = run("check", SAMPLE)
    assert result.exit_code == 0
    copy = tmp_path / "copy.toml"
    copy.write_text(result.stdout)
    assert load_config(copy) == load_config(SAMPLE)


def test_defaults_are_shown_with_their_units():
    output = run("check", SAMPLE).stdout
    assert 'retransmit_after = "2ms"' in output
    assert 'catch_up_window = "256 KiB"' in output


def test_secrets_that_are_there_are_named_and_masked(secrets):
    result = run("check", secrets, "--node", "a")
    assert result.exit_code == 0
    assert "token of client 'momentum': ****, from environment variable MOMENTUM_TOKEN" in result.stdout
    assert f"control token of node a: ****, from {secrets.parent / 'control.token'}" in result.stdout
    assert "secret-of" not in result.output
    assert SECRETS["GATEWAY_REPLICATION_KEY"] not in result.output


def test_every_secret_that_is_missing_is_named(secrets, monkeypatch):
    monkeypatch.delenv("MOMENTUM_TOKEN")
    (secrets.parent / "control.token").unlink()
    result = run("check", secrets, "--node", "b")
    assert isinstance(result.exception, ConfigError)
    assert "MOMENTUM_TOKEN is not set" in str(result.exception)
    assert "control token of node b" in str(result.exception)


def test_a_node_that_does_not_exist_is_refused():
    assert run("check", SAMPLE, "--node", "c").exit_code == 2


def test_a_wrong_file_is_told(tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[pair]\nid = 0\n")
    result = run("check", wrong)
    assert isinstance(result.exception, ConfigError)
    assert f"{wrong}: pair.id: found 0" in str(result.exception)


def test_the_schema_knows_every_table_and_how_durations_are_written():
    schema = json.loads(run("schema").stdout)
    assert set(schema["properties"]) == {
        "pair",
        "register",
        "replication",
        "node",
        "journal",
        "session",
        "acceptor",
        "client",
        "receiver",
        "log",
    }
    assert schema["$defs"]["Replication"]["properties"]["suspect_after"]["type"] == "string"
    assert schema["additionalProperties"] is False
