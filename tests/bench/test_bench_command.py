"""`gateway bench` itself: a short run of a codec and of a real pair, its files, and what it says to wrong arguments."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.bench.registry import all_scenarios, chosen, own_scenarios
from gateway.bench.results import read_result, write_result
from gateway.config import load_config
from gateway.errors import GatewayError
from tests.bench.synthetic import run_of, subject

TIMEOUT_S = 110
LOCAL = Path(__file__).parents[2] / "configs" / "local.toml"


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "gateway", "bench", *map(str, arguments)],
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_a_quick_run_of_the_codec_and_the_table_of_it(tmp_path):
    done = bench("codec.parse.order", "orders", "--quick", "--json", tmp_path / "run.json", "--report", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = read_result(tmp_path / "run.json")
    assert [scenario.scenario for scenario in result.scenarios] == ["codec.parse.order", "orders.table"]
    gateway = result.scenarios[0].subject("gateway")
    assert gateway is not None
    assert len(gateway.rounds) == 2
    assert gateway.pooled("parse").percentile(50) > 0
    assert "codec.parse.order" in done.stdout
    assert "p99.99" in done.stdout
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("config", [(), ("--config", LOCAL, "--node", "a")])
def test_a_quick_run_of_a_real_pair_beside_its_floor(tmp_path, config):
    done = bench("wire.tcp.sync.epoll", "--quick", "--json", tmp_path / "run.json", *config)
    assert done.returncode == 0, done.stdout + done.stderr
    (scenario,) = read_result(tmp_path / "run.json").scenarios
    for name in ("gateway", "floor"):
        found = scenario.subject(name)
        assert found is not None, scenario.missing
        assert found.names() == ["order to broker", "execution to client", "order to execution"]
        assert found.pooled("order to broker").count == 2 * 200
        assert found.rounds[0].over_time
    gateway = scenario.subject("gateway")
    assert gateway is not None
    assert gateway.stages()["order"].count == 2 * 200
    assert {missing.subject for missing in scenario.missing} <= {"quickfix, memory", "quickfix, file"}


def test_a_quick_run_of_what_takes_minutes_in_full_size(tmp_path):
    names = ("capacity.catch-up", "memory.node", "growth.journal", "takeover.process-death")
    done = bench(*names, "--quick", "--rounds", "1", "--json", tmp_path / "run.json")
    assert done.returncode == 0, done.stdout + done.stderr
    catch_up, memory, growth, takeover = read_result(tmp_path / "run.json").scenarios
    assert catch_up.subjects[0].rounds[0].figures["records"] > 100_000
    assert catch_up.subjects[0].pooled("order beside a catch-up").count > 0
    figures = memory.subjects[0].rounds[0].figures
    assert figures["node_a_full_mib"] >= figures["node_a_anonymous_mib"] > 0
    assert [subject.subject for subject in growth.subjects] == ["gateway", "gateway, long journal"]
    short, long = (subject.rounds[0].figures["journal_mib"] for subject in growth.subjects)
    assert long > short
    assert takeover.subjects[0].pooled("first new order at the broker").count == 2
    assert "MiB" in done.stdout


def test_comparing_two_files_needs_no_run(tmp_path):
    for name, median in (("old", 10_000), ("new", 20_000)):
        write_result(run_of(subject(median=median)), tmp_path / f"{name}.json")
    done = bench("--compare", tmp_path / "old.json", tmp_path / "new.json")
    assert done.returncode == 0, done.stderr
    assert "slower" in done.stdout
    assert "order to broker p99" in done.stdout


def test_a_foreign_file_is_an_error_before_anything_is_measured(tmp_path):
    (tmp_path / "old.json").write_text("{}")
    done = bench("codec", "--compare", tmp_path / "old.json")
    assert done.returncode == 1
    assert done.stderr.startswith(f"gateway: {tmp_path / 'old.json'}: not a result of `gateway bench")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says", "status"),
    [
        (("--node", "a"), "--config and --node go together", 2),
        (("--config", LOCAL), "--config and --node go together", 2),
        (("--config", LOCAL, "--node", "c"), "a or b", 2),
        (("--rounds", "0"), "--rounds", 2),
        (("--rate", "0"), "--rate", 2),
        (("codec.prase.order",), "did you mean codec.parse.order", 1),
        (("nothing-like-it",), "gateway bench --list", 1),
        (("--config", "/nowhere.toml", "--node", "a"), "/nowhere.toml", 1),
    ],
)
def test_wrong_arguments_are_told_what_is_allowed(arguments, says, status):
    done = bench(*arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_names_every_scenario():
    done = bench("--list")
    assert done.returncode == 0
    for scenario in all_scenarios():
        assert scenario.name in done.stdout


def test_scenarios_are_chosen_by_name_beginning_or_glob():
    assert [one.name for one in chosen(["codec.parse.order"])] == ["codec.parse.order"]
    assert {one.name.split(".")[1] for one in chosen(["codec"])} == {"parse", "encode"}
    assert {one.name for one in chosen(["wire.*.sync.poll"])} == {f"wire.{w}.sync.poll" for w in ("shm", "tcp", "fix")}
    with pytest.raises(GatewayError, match="no scenario matches 'cod'"):
        chosen(["cod"])


def test_without_names_what_takes_minutes_is_left_out():
    assert not any(one.heavy for one in chosen([]))
    assert any(one.heavy for one in chosen(["capacity"]))


def test_names_are_unique_and_every_scenario_measures_the_gateway_or_the_machine():
    found = all_scenarios()
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert {subject.role for subject in one.subjects} & {"gateway", "floor"}


def test_an_own_configuration_chooses_its_mode_and_reactor():
    assert own_scenarios(load_config(LOCAL), "a") == ["wire.*.sync.epoll"]
