"""From a configuration to a node: what cannot be had is named by its key, and nothing is left open."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from gateway.config import load_config
from gateway.demo.world import LOOPBACK, World
from gateway.errors import ConfigError, GatewayError
from gateway.native.journal import Journal
from gateway.node.build import assemble
from gateway.node.process import NodeProcess


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, mode="sync", reactor="epoll", engine="native")


def build(world: World, node: str = "a"):
    return assemble(load_config(world.config), node)


def change(world: World, old: str, new: str) -> None:
    text = world.config.read_text()
    assert old in text
    world.config.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("node", ["a", "b"])
def test_a_node_is_built_as_configured_and_leaves_nothing_open(world: World, node: str):
    assembly = build(world, node)
    status = assembly.node.status()
    assert (status["node"], status["role"]) == (node, "STARTING")
    assert [session["name"] for session in status["sessions"]] == ["BROKER"]
    assert assembly.journal.path == world.node_dir(node) / "journal"
    assembly.close()
    build(world, node).close()  # journal and addresses are free again


@pytest.mark.parametrize(("key", "kind"), [("clients", "tcp"), ("tripwire", "tcp"), ("replication[0]", "udp")])
def test_an_address_that_is_taken_is_named_and_all_else_is_given_back(world: World, key: str, kind: str):
    section = load_config(world.config).node["a"]
    address = section.replication[0] if kind == "udp" else getattr(section, key)
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    holder.bind(tuple(address))
    if kind == "tcp":
        holder.listen()
    with holder, pytest.raises(GatewayError) as refused:
        build(world)
    assert f"node.a.{key}: cannot" in str(refused.value)
    assert f"{LOOPBACK}:{address.port}" in str(refused.value)
    build(world).close()


def test_a_socket_option_that_the_system_refuses_is_named_before_the_first_connection(world: World):
    change(world, "heartbeat = 30", 'heartbeat = 30\ntcp = { interface = "nope0" }')
    with pytest.raises(
        ConfigError, match=r"session 'BROKER': endpoint .*: tcp.interface: there is no network interface"
    ):
        build(world)
    change(world, '{ interface = "nope0" }', '{ interface = "lo" }')
    build(world).close()


def test_a_core_that_does_not_exist_is_named(world: World):
    change(world, 'reactor = "epoll"', 'reactor = "epoll"\ncpu = 4095')
    with pytest.raises(GatewayError, match=r"node\.a\.cpu: cannot run on core 4095"):
        NodeProcess(load_config(world.config), "a")


def test_a_data_directory_that_cannot_be_made_is_named(world: World):
    (world.directory / "node-a").write_bytes(b"")
    with pytest.raises(GatewayError, match=r"node\.a\.data_dir: cannot make .*/node-a: File exists"):
        build(world)


def test_a_journal_in_use_is_refused(world: World):
    first = build(world)
    with pytest.raises(GatewayError, match="in use"):
        build(world)
    first.close()


def test_the_journal_of_another_pair_or_node_is_refused(world: World):
    build(world).close()
    change(world, "id = 1", "id = 2")
    with pytest.raises(GatewayError, match="of pair 1"):
        build(world)
    change(world, "id = 2", "id = 1")
    change(world, 'data_dir = "node-b"', 'data_dir = "node-a"')
    with pytest.raises(GatewayError, match="node"):
        build(world, "b")


def test_a_missing_key_is_named_before_anything_is_made(world: World):
    (world.directory / "replication.key").unlink()
    with pytest.raises(GatewayError, match=r"replication\.key"):
        build(world)
    assert not world.node_dir("a").exists()


def test_each_life_of_a_node_has_a_later_incarnation(world: World):
    lives = []
    for _ in range(3):
        build(world).close()
        with Journal.open(world.node_dir("a") / "journal", node=0, pair_id=1) as journal:
            lives.append(journal.next_incarnation(0))
    assert lives == sorted(set(lives))


def test_secrets_are_read_from_where_they_are_and_shown_nowhere(world: World, monkeypatch: pytest.MonkeyPatch):
    change(world, 'name = "strategy"', 'name = "strategy"\ntoken_env = "TEST_TOKEN"')
    with pytest.raises(GatewayError, match="TEST_TOKEN"):
        build(world)
    monkeypatch.setenv("TEST_TOKEN", "hush" * 1000)
    with pytest.raises((GatewayError, ValueError), match="token") as refused:
        build(world)
    assert "hush" not in str(refused.value)
    monkeypatch.setenv("TEST_TOKEN", "hush")
    assembly = build(world)
    assert "hush" not in str(assembly.node.status())
    assembly.close()


PUBLIC = Path(sys.prefix) / "share" / "quickfix"
FULL = 'mode = "sync"\nvalidation = "full"\n'


@pytest.mark.parametrize("version", ["FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"])
def test_a_session_of_any_version_validates_with_the_gateways_own_dictionary(world: World, version: str):
    change(world, 'begin_string = "FIX.4.4"', f'begin_string = "{version}"')
    change(world, 'mode = "sync"\n', FULL + 'without_checks = ["required"]\n')
    build(world).close()


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public dictionaries are not installed")
@pytest.mark.parametrize("version", ["FIX.4.2", 'FIXT.1.1"\ndefault_appl_ver_id = "7'])
def test_a_session_validates_with_dictionaries_in_a_directory(world: World, version: str):
    change(world, 'begin_string = "FIX.4.4"', f'begin_string = "{version}"')
    change(world, 'mode = "sync"\n', f'{FULL}dictionaries = "{PUBLIC}"\n')
    build(world).close()


def test_a_dictionary_that_is_missing_or_wrong_is_named(world: World):
    change(world, 'mode = "sync"\n', f'{FULL}dictionaries = "."\n')
    with pytest.raises(GatewayError, match=r"FIX44\.xml: No such file"):
        build(world)
    (world.directory / "FIX44.xml").write_text("<fix>\n<fields/>\n</fix>")
    with pytest.raises(GatewayError, match=r"FIX44\.xml:1: no <header>"):
        build(world)
