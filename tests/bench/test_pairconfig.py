"""The pair that is measured is like the user's own where that matters, and reaches nobody else."""

import pytest

from gateway.bench.capacity.pair import load_spec
from gateway.bench.pairconfig import MODES, REACTORS, WAYS, PairSpec, spec_of, write_pair
from gateway.bench.processes import Cores
from gateway.config import load_config

CORES = Cores(gateway=3, standby=4, measuring=5)
OWN = """\
[pair]
id = 77

[register]
kind = "static"
act_alone = "a"

[replication]
key_env = "SOME_KEY"
datagram_bytes = 8900
suspect_after = "75ms"

[journal]
durability = "every"

[node.a]
data_dir = "a"
replication = ["10.0.0.1:1", "10.0.1.1:1"]
tripwire = "10.0.0.1:2"
clients = "127.0.0.1:3"
control = "127.0.0.1:4"
yield_when_idle = false

[node.b]
data_dir = "b"
replication = ["10.0.0.2:1", "10.0.1.2:1"]
tripwire = "10.0.0.2:2"
clients = "127.0.0.1:5"
control = "127.0.0.1:6"

[[session]]
name = "REAL"
begin_string = "FIX.4.2"
sender_comp_id = "US"
target_comp_id = "VENUE"
endpoints = ["192.0.2.1:9880"]
password_env = "PASSWORD"
validation = "full"

[session.tcp]
quick_ack = true
receive_buffer = "1 MiB"
interface = "eth7"

[[client]]
name = "someone"
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reactor", REACTORS)
def test_every_kind_of_pair_has_a_valid_configuration(tmp_path, way, mode, reactor):
    places = write_pair(tmp_path, PairSpec(mode=mode, reactor=reactor, way=way, paths=2), CORES)
    config = load_config(places.config)
    assert config.session[0].mode == mode
    assert (config.node["a"].reactor, config.node["a"].cpu, config.node["b"].cpu) == (reactor, 3, 4)
    assert len(config.node["a"].replication) == 2
    assert bool(config.node["a"].fix_listen) == (way == "fix")


def test_a_pair_for_load_has_many_sessions_and_two_kinds_of_reactor(tmp_path):
    places = write_pair(tmp_path, load_spec(mode="async", sessions=3, max_orders=5000), CORES)
    config = load_config(places.config)
    assert [(s.name, s.target_comp_id, s.mode) for s in config.session] == [
        (name, name, "async") for name in ("BROKER", "BROKER1", "BROKER2")
    ]
    assert [session.endpoints[0].address.port for session in config.session] == places.brokers
    assert len(set(places.brokers)) == 3
    assert (config.node["a"].reactor, config.node["b"].reactor) == ("busy-poll", "epoll")
    assert config.journal.max_orders == 5000


def test_the_users_settings_are_taken_over_and_his_addresses_and_names_are_not(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    places = write_pair(tmp_path / "pair", spec_of(load_config(own), "a", PairSpec()), CORES)
    config = load_config(places.config)
    assert len(config.node["a"].replication) == 2
    assert config.node["a"].yield_when_idle is False
    assert config.replication.datagram_bytes == 8900
    assert config.journal.durability == "every"
    assert config.session[0].validation == "full"
    assert (config.session[0].tcp.quick_ack, config.session[0].tcp.receive_buffer) == (True, 1 << 20)
    text = places.config.read_text()
    for foreign in ("10.0.", "192.0.2.", "eth7", "VENUE", "PASSWORD", "SOME_KEY", "75ms"):
        assert foreign not in text
    addresses = [*config.node["a"].replication, *config.node["b"].replication, config.session[0].endpoints[0].address]
    assert all(address.is_loopback for address in addresses)
