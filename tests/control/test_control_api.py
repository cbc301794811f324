"""The control API over the loopback: server and client together, with a node that notes what it is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest

from gateway.config import Address, load_config
from gateway.control.client import ControlClient, ControlError
from gateway.control.server import ROLE_COMMANDS, SESSION_COMMANDS, ControlServer
from gateway.errors import GatewayError

TOKEN = "correct-horse"


@dataclass
class FakeNode:
    """Notes each command; refuses all when `refusal` is set."""

    role: str = "PRIMARY"
    refusal: str = ""
    told: list[tuple[Any, ...]] = field(default_factory=list)

    async def status(self) -> dict[str, Any]:
        return {"role": self.role, "epoch": 4}

    async def command(self, name: str) -> dict[str, Any]:
        return self._take(name)

    async def session_command(self, session: str, name: str, arguments: dict[str, int]) -> dict[str, Any]:
        return self._take(session, name, arguments)

    async def kill_switch(self, client: str | None, killed: bool) -> dict[str, Any]:
        return self._take("kill", client, killed)

    def _take(self, *what: Any) -> dict[str, Any]:
        if self.refusal:
            raise GatewayError(self.refusal)
        self.told.append(what)
        return {"accepted": True}


class Place:
    """A configuration, and node a's control server at the address in it."""

    def __init__(self, config, node, token_file):
        self.config = config
        self.node = node
        self.address: Address = config.node["a"].control
        self.server = ControlServer(node, self.address, token_file)

    async def __aenter__(self):
        await self.server.start()
        return self

    async def __aexit__(self, *_):
        await self.server.stop()

    async def raw(self, method, path, *, data=None, headers=None):
        """Status and body of a request that the client would not send."""
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://{self.address}{path}", data=data, headers=headers) as response,
        ):
            return response.status, orjson.loads(await response.read())


@pytest.fixture
def node():
    return FakeNode()


@pytest.fixture
def make_place(tmp_path, node, unused_tcp_ports):
    """A place; `token`: the server's, `shown`: what the client shows, if not the same."""

    def make(token=None, shown=None):
        files = {name: tmp_path / f"{name}.token" for name in ("server", "client")}
        files["server"].write_text(f"{token}\n")
        files["client"].write_text(f"{shown or token}\n")
        path = tmp_path / "pair.toml"
        path.write_text(configuration(unused_tcp_ports, files["client"] if token or shown else None))
        return Place(load_config(path), node, files["server"] if token else None)

    return make


def configuration(ports, token_file):
    nodes = ""
    for name, offset in (("a", 0), ("b", 4)):
        nodes += f'[node.{name}]\ndata_dir = "{name}"\nreplication = ["127.0.0.1:{ports[offset]}"]\n'
        for key, port in zip(("tripwire", "clients", "control"), ports[offset + 1 : offset + 4], strict=True):
            nodes += f'{key} = "127.0.0.1:{port}"\n'
        if token_file is not None:
            nodes += f'control_token_file = "{token_file}"\n'
    return (
        '[pair]\nid = 1\n[register]\nkind = "file"\npath = "r"\n[replication]\nkey_file = "k"\n'
        + nodes
        + '[[session]]\nname = "S"\nbegin_string = "FIX.4.4"\nsender_comp_id = "A"\ntarget_comp_id = "B"\n'
        + f'endpoints = ["127.0.0.1:{ports[0]}"]\n[[client]]\nname = "c"\n'
    )


def during(place, scenario):
    """What `scenario(client)` returns while the server runs."""

    async def main():
        async with place, ControlClient(place.config) as client:
            return await scenario(client)

    return asyncio.run(main())


def test_status_is_the_nodes_own(make_place):
    assert during(make_place(), lambda client: client.status("a")) == {"role": "PRIMARY", "epoch": 4}


@pytest.mark.parametrize("name", ROLE_COMMANDS)
def test_a_role_command_reaches_the_node(make_place, node, name):
    during(make_place(), lambda client: client.command("a", name))
    assert node.told == [(name,)]


@pytest.mark.parametrize("name", SESSION_COMMANDS)
def test_a_session_command_reaches_the_node_with_its_numbers(make_place, node, name):
    body = {"next_out": 12, "next_in": 7}
    during(make_place(), lambda client: client.command("a", f"sessions/BROKER/{name}", body))
    assert node.told == [("BROKER", name, body)]


def test_the_kill_switch_is_for_one_client_or_all(make_place, node):
    async def scenario(client):
        await client.command("a", "kill", {"client": "momentum"})
        await client.command("a", "kill")
        await client.command("a", "unkill")

    during(make_place(), scenario)
    assert node.told == [("kill", "momentum", True), ("kill", None, True), ("kill", None, False)]


def test_a_refusal_comes_back_with_the_nodes_reason(make_place, node):
    node.refusal = "this node is not primary: say it to node b"
    with pytest.raises(ControlError, match="node a: this node is not primary: say it to node b"):
        during(make_place(), lambda client: client.command("a", "solo"))


def test_a_node_that_is_not_there_is_told_by_name_and_address(make_place):
    place = make_place()
    with pytest.raises(
        ControlError, match=f"node b at {place.config.node['b'].control} does not answer: Connection refused$"
    ):
        during(place, lambda client: client.status("b"))


@pytest.mark.parametrize(("role", "status"), [("PRIMARY", 200), ("STANDBY", 200), ("FENCED", 503), ("JOINING", 503)])
def test_health_is_good_in_the_roles_that_serve(make_place, node, role, status):
    node.role = role
    place = make_place()
    assert during(place, lambda _: place.raw("GET", "/healthz")) == (status, {"role": role})


@pytest.mark.parametrize(
    ("path", "data", "text"),
    [
        ("/fly", None, "no command 'fly'; there are: takeover"),
        ("/sessions/BROKER/fly", None, "no session command 'fly'; there are: logout"),
        ("/sessions/BROKER/set-seq", b"{", "malformed request"),
        ("/sessions/BROKER/set-seq", b"[1]", "a JSON object is expected"),
        ("/sessions/BROKER/set-seq", b'{"next_out": "many"}', "malformed request"),
        ("/sessions/BROKER/set-seq", b'{"next_out": null}', "malformed request"),
        ("/sessions/BROKER/set-seq", b'{"next_out": [1]}', "malformed request"),
        ("/sessions/BROKER/set-seq", b'{"next_out": -1}', "`next_out`: a whole number"),
        ("/sessions/BROKER/set-seq", b'{"nextout": 1}', "unknown key 'nextout'"),
        ("/kill", b'{"client": 5}', "`client`: a name is expected"),
        ("/kill", b'{"clent": "momentum"}', "unknown key 'clent'"),
    ],
)
def test_a_malformed_request_is_refused_with_the_reason(make_place, node, path, data, text):
    place = make_place()
    status, body = during(place, lambda _: place.raw("POST", path, data=data))
    assert status == 400
    assert text in body["error"]
    assert node.told == []


def test_with_the_token_commands_pass(make_place, node):
    during(make_place(token=TOKEN), lambda client: client.command("a", "solo"))
    assert node.told == [("solo",)]


def test_a_web_page_is_no_operator(make_place, node):
    place = make_place()
    status, body = during(place, lambda _: place.raw("POST", "/kill", headers={"Origin": "http://example.com"}))
    assert (status, node.told) == (403, [])
    assert "web pages" in body["error"]


@pytest.mark.parametrize("path", ["/status", "/healthz", "/solo", "/sessions/BROKER/reset", "/nowhere/at/all"])
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer é"}]
)
def test_without_the_token_nothing_passes(make_place, node, path, headers):
    place = make_place(token=TOKEN)
    method = "GET" if path in ("/status", "/healthz") else "POST"
    status, body = during(place, lambda _: place.raw(method, path, headers=headers))
    assert status == 401
    assert TOKEN not in str(body)
    assert node.told == []


def test_a_client_with_a_wrong_token_is_told(make_place, node):
    with pytest.raises(ControlError, match="wrong or missing bearer token"):
        during(make_place(token=TOKEN, shown="wrong"), lambda client: client.command("a", "solo"))
    assert node.told == []


def test_an_address_that_is_taken_is_told(make_place):
    place = make_place()

    async def main():
        async with place:
            with pytest.raises(GatewayError, match=f"control: cannot listen on {place.address}"):
                await ControlServer(place.node, place.address, None).start()

    asyncio.run(main())
