"""Loading a configuration: what is accepted, each error with file, key, what was found, what is allowed."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.config import Address, load_config, read_key, read_secret
from gateway.errors import ConfigError

ECHO_MODE = "conformance.toml"  # of the broker simulator, not of a pair
SAMPLES = [
    path for path in sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.toml")) if path.name != ECHO_MODE
]

VALID = """\
[pair]
id = 7

[register]
kind = "file"
path = "register"

[replication]
key_file = "key"

[node.a]
data_dir = "a"
replication = ["127.0.0.1:7001"]
tripwire = "127.0.0.1:7002"
clients = "127.0.0.1:7003"
control = "127.0.0.1:7004"

[node.b]
data_dir = "b"
replication = ["127.0.0.1:7011"]
tripwire = "127.0.0.1:7012"
clients = "127.0.0.1:7013"
control = "127.0.0.1:7014"

[[session]]
name = "BROKER"
begin_string = "FIX.4.4"
sender_comp_id = "US"
target_comp_id = "THEM"
endpoints = ["127.0.0.1:9880"]

[[client]]
name = "strategy"
limits = { max_order_qty = 100.5 }
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "pair.toml"


def errors_of(file, text):
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    return str(caught.value)


def changed(old, new):
    assert VALID.count(old) == 1
    return VALID.replace(old, new)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_every_sample_loads(sample):
    assert load_config(sample).session


def test_there_are_samples():
    assert SAMPLES


def test_a_small_file_is_enough(file):
    file.write_text(VALID)
    config = load_config(file)
    assert config.pair.id == 7
    assert config.node["b"].clients == Address("127.0.0.1", 7013)
    assert config.replication.heartbeat_interval == 10_000_000
    assert config.client[0].limits.max_order_qty == Decimal("100.5")


def test_relative_paths_count_from_the_file(file):
    file.write_text(VALID)
    config = load_config(file)
    assert config.register_.path == file.parent / "register"
    assert config.node["a"].data_dir == file.parent / "a"
    assert config.replication.key_file == file.parent / "key"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("id = 7", "id = 0", ["pair.id", "found 0", "greater than or equal to 1"]),
        ("id = 7", "", ["pair.id", "missing"]),
        ("id = 7", "id = 7\nidd = 1", ["pair.idd", "unknown key", "did you mean 'id'?"]),
        ("[[client]]", "[pears]\n[[client]]", ["pears", "unknown key"]),
        ('kind = "file"', 'kind = "paper"', ["register.kind", "found 'paper'", "'file'", "'static'"]),
        ('path = "register"', "", ["register", "`path`"]),
        ('kind = "file"', 'kind = "static"', ["register", "`act_alone`", '"a" or "b"']),
        ('key_file = "key"', "", ["replication", "`key_file`", "`key_env`"]),
        ('key_file = "key"', 'key_file = "key"\nkey_env = "KEY"', ["replication", "exactly one"]),
        (
            'key_file = "key"',
            'key_file = "key"\nheartbeat_interval = 10',
            ["replication.heartbeat_interval", "found 10", '"10ms"'],
        ),
        (
            'key_file = "key"',
            'key_file = "key"\nsuspect_after = "11ms"',
            ["replication", "`suspect_after`", "twice `heartbeat_interval`"],
        ),
        (
            'key_file = "key"',
            'key_file = "key"\ncatch_up_window = "1 MB"',
            ["replication.catch_up_window", "found '1 MB'", '"64 MiB"'],
        ),
        ('"127.0.0.1:7003"', '"localhost:7003"', ["node.a.clients", "found 'localhost:7003'", "numeric address"]),
        ('"127.0.0.1:7003"', '"127.0.0.1:70030"', ["node.a.clients", "found '127.0.0.1:70030'", "65535"]),
        (
            '"127.0.0.1:7003"',
            '"127.0.0.1:7004"',
            ["node.a.control and node.a.clients are the same address 127.0.0.1:7004"],
        ),
        ('"127.0.0.1:7003"', '"10.0.0.1:7003"', ["client 'strategy'", "`token_env` or `token_file`", "not loopback"]),
        ('"127.0.0.1:7014"', '"10.0.0.1:7014"', ["node.b.control", "not loopback", "`control_token_file`"]),
        ('["127.0.0.1:7011"]', '["127.0.0.1:7011", "127.0.0.1:7021"]', ["the same number of `replication`"]),
        ("[node.b]", "[node.c]", ["node", "c", "'a' or 'b'"]),
        ('"FIX.4.4"', '"FIX.9"', ["session[0].begin_string", "found 'FIX.9'", "'FIX.4.4' or 'FIXT.1.1'"]),
        ('"US"', '"U S"', ["session[0].sender_comp_id", "found 'U S'"]),
        ('endpoints = ["127.0.0.1:9880"]', "endpoints = []", ["session[0]", "`endpoints`, at least 1"]),
        (
            'endpoints = ["127.0.0.1:9880"]',
            'endpoints = ["127.0.0.1:9880"]\nreset_at = "5pm"',
            ["session[0].reset_at", "found '5pm'", '"17:00 America/New_York"'],
        ),
        (
            'endpoints = ["127.0.0.1:9880"]',
            'endpoints = ["127.0.0.1:9880"]\nschedule = "Mon-Fri 7-17 UTC"',
            ["session[0]", "window 'Mon-Fri 7-17'", "Mon-Fri 07:00-17:30 Europe/London"],
        ),
        (
            'endpoints = ["127.0.0.1:9880"]',
            'endpoints = ["127.0.0.1:9880"]\nschedule = "07:00-17:00 UTC"\nreset_at = "17:00 UTC"',
            ["session[0]", "`schedule` and `reset_at` exclude each other"],
        ),
        (
            'endpoints = ["127.0.0.1:9880"]',
            'endpoints = ["127.0.0.1:9880"]\nholidays = [2026-12-25]',
            ["session[0]", "`holidays` belong to a `schedule`"],
        ),
        ('name = "strategy"', 'name = "strategy"\nsessions = ["BROKR"]', ["client 'strategy'", "'BROKR'", "BROKER"]),
        (
            "max_order_qty = 100.5",
            "max_order_qty = -1",
            ["client[0].limits.max_order_qty", "found -1", "greater than 0"],
        ),
        (
            "[[client]]",
            '[[client]]\nname = "strategy"\n\n[[client]]',
            ["client name 'strategy' occurs twice"],
        ),
    ],
)
def test_an_error_names_file_and_key_and_what_was_found_and_is_allowed(file, old, new, expected):
    text = errors_of(file, changed(old, new))
    for part in [str(file), *expected]:
        assert part in text


def test_every_problem_is_told_at_once(file):
    text = errors_of(file, VALID.replace("id = 7", "id = 0").replace('"FIX.4.4"', '"FIX.9"'))
    assert len(text.splitlines()) == 2


def test_what_is_no_toml_is_told_with_its_line(file):
    assert "line 2" in errors_of(file, "[pair]\nid = \n")


def test_a_file_that_is_not_there_is_told_by_name(file):
    with pytest.raises(ConfigError, match=re.escape(str(file))):
        load_config(file)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "BROKER"', 'name = "BROKER"\npassword = "hunter2"'),
        ('name = "strategy"', 'name = "strategy"\ntoken = "hunter2"'),
        ('key_file = "key"', 'key = "hunter2"'),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(file, old, new):
    text = errors_of(file, changed(old, new))
    assert "hunter2" not in text
    assert "_file" in text


def test_a_configuration_shows_where_secrets_are_and_never_what_they_are(file, monkeypatch):
    monkeypatch.setenv("TOKEN", "hunter2")
    (file.parent / "key").write_text("hunter2")
    file.write_text(changed('name = "strategy"', 'name = "strategy"\ntoken_env = "TOKEN"'))
    config = load_config(file)
    assert read_secret("token", env="TOKEN", file=None) == b"hunter2"
    for shown in (repr(config), str(config), config.model_dump_json(), repr(config.client[0])):
        assert "hunter2" not in shown
    assert "TOKEN" in repr(config)


def test_a_secret_that_is_not_there_is_told_by_its_place(tmp_path, monkeypatch):
    monkeypatch.delenv("TOKEN", raising=False)
    with pytest.raises(ConfigError, match="token of x: environment variable TOKEN is not set"):
        read_secret("token of x", env="TOKEN", file=None)
    with pytest.raises(ConfigError, match=r"token of x: .*/none cannot be read: No such file"):
        read_secret("token of x", env=None, file=tmp_path / "none")


def test_an_empty_secret_is_refused(tmp_path):
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ConfigError, match=r"token of x: .*/token is empty"):
        read_secret("token of x", env=None, file=tmp_path / "token")


@pytest.mark.parametrize("text", ["", "hunter2", "00" * 15, "00" * 17, "0g" * 16, "é" * 32])
def test_a_bad_replication_key_is_refused_and_not_repeated(tmp_path, text):
    (tmp_path / "key").write_text(text)
    with pytest.raises(ConfigError, match="replication key") as caught:
        read_key(env=None, file=tmp_path / "key")
    assert not text or text not in str(caught.value)


def test_a_good_replication_key_is_its_bytes(tmp_path):
    (tmp_path / "key").write_text("00ff" * 8 + "\n")
    assert read_key(env=None, file=tmp_path / "key") == b"\x00\xff" * 8


def test_the_fingerprint_is_of_what_gives_records_their_meaning(file):
    def fingerprint(text):
        file.write_text(text)
        return load_config(file).fingerprint()

    same = fingerprint(VALID)
    assert fingerprint(changed('"127.0.0.1:9880"', '"127.0.0.1:9881"')) == same
    assert fingerprint(changed('"strategy"', '"tactics"')) != same
    assert fingerprint(changed('"THEM"', '"OTHERS"')) != same


def test_fields_may_be_added_to_a_logon_but_not_the_sessions_own_nor_secrets(tmp_path):
    place = 'endpoints = ["127.0.0.1:9880"]'
    file = tmp_path / "pair.toml"
    file.write_text(VALID.replace(place, f'{place}\nlogon_fields = {{ 1603 = "gateway", 1604 = "1.0" }}'))
    assert load_config(file).session[0].logon_fields == {"1603": "gateway", "1604": "1.0"}
    for tag, value, text in [
        ("108", "30", "108 is written by the session itself"),
        ("1402", "x", "or is a secret"),
        ("1603", "a\\u0001b", "must be printable ASCII"),
    ]:
        file.write_text(VALID.replace(place, f'{place}\nlogon_fields = {{ {tag} = "{value}" }}'))
        with pytest.raises(ConfigError, match=text):
            load_config(file)


def test_a_qualifier_tells_sessions_with_the_same_ids_apart(tmp_path):
    second = VALID[VALID.index("[[session]]") : VALID.index("[[client]]")].replace('name = "BROKER"', 'name = "SECOND"')
    file = tmp_path / "pair.toml"
    file.write_text(VALID.replace("[[client]]", second + "\n[[client]]", 1))
    with pytest.raises(ConfigError, match=r"session identity .* occurs twice"):
        load_config(file)
    file.write_text(VALID.replace("[[client]]", second + 'qualifier = "drop"\n\n[[client]]', 1))
    assert load_config(file).session[1].qualifier == "drop"
