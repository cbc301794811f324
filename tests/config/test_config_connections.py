"""Connections in a configuration: endpoints in both forms, TLS, options, acceptors, and what cannot be."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from gateway.config import load_config
from gateway.config.cli import app
from gateway.config.connections import is_direct, tcp_of, tls_of
from gateway.errors import ConfigError
from tests.config.test_config_loading import VALID
from tests.wire.certificates import Certificates

PLAIN = 'endpoints = ["127.0.0.1:9880"]'
TABLES = """\
endpoint_order = "round-robin"
reconnect_jitter = 0.5

[session.tls]
ca_file = "ca.pem"
server_name = "fix.example"

[session.tcp]
user_timeout = "5s"
keepalive_idle = "10s"
send_buffer = "64 KiB"

[[session.endpoints]]
address = "192.0.2.10:9880"
source = "10.1.1.1"
interface = "eth1"

[[session.endpoints]]
address = "192.0.2.11:9880"
proxy = { kind = "http", address = "10.0.0.9:3128", user = "us", password_env = "PROXY_PASSWORD" }
remote_name = "backup.example"

[[session.endpoints]]
address = "127.0.0.1:9880"
plaintext = true
"""
ACCEPTOR = 'role = "acceptor"\nclient = "oms"\nroute = "BROKER"'
OMS = """
[[session]]
name = "OMS"
begin_string = "FIX.4.4"
sender_comp_id = "GATEWAY"
target_comp_id = "OMS"
%s

[[client]]
name = "oms"
"""


def load(tmp_path, text):
    file = tmp_path / "pair.toml"
    file.write_text(text)
    return load_config(file)


def acceptor(session=ACCEPTOR, node='fix_listen = ["127.0.0.1:70%s5"]', section=""):
    text = VALID + OMS % session
    for name, number in (("a", "0"), ("b", "1")):
        text = text.replace(f"[node.{name}]", f"[node.{name}]\n" + (node % number if "%" in node else node))
    return text + section


def test_an_endpoint_may_be_text_or_a_table(tmp_path):
    [session] = load(tmp_path, VALID).session
    assert [str(endpoint.address) for endpoint in session.endpoints] == ["127.0.0.1:9880"]
    assert is_direct(session.endpoints[0], session.tls)
    mixed = VALID.replace(PLAIN, 'endpoints = ["127.0.0.1:1", { address = "127.0.0.1:2", source = "127.0.0.9" }]')
    [session] = load(tmp_path, mixed).session
    assert [endpoint.source for endpoint in session.endpoints] == [None, "127.0.0.9"]


def test_an_endpoint_goes_before_its_session(tmp_path):
    [session] = load(tmp_path, VALID.replace(PLAIN, TABLES)).session
    first, second, third = session.endpoints
    assert tcp_of(first, session.tcp).interface == "eth1"
    assert tcp_of(first, session.tcp).user_timeout == session.tcp.user_timeout == 5 * 10**9
    assert tls_of(first, session.tls).ca_file == tmp_path / "ca.pem"
    assert second.proxy.address.port == 3128
    assert tls_of(third, session.tls) is None
    assert [is_direct(endpoint, session.tls) for endpoint in session.endpoints] == [False, False, True]


def test_what_is_shown_of_connections_loads_to_the_same(tmp_path):
    config = load(tmp_path, VALID.replace(PLAIN, TABLES))
    shown = CliRunner().invoke(app, ["check", str(tmp_path / "pair.toml")])
    assert shown.exit_code == 0
    assert load(tmp_path, shown.stdout) == config


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ('"localhost:9880"', ["session[0].endpoints[0].address", "names are not looked up"]),
        ('{ address = "127.0.0.1:1", souce = "::1" }', ["session[0].endpoints[0].souce", "did you mean 'source'"]),
        ('{ address = "127.0.0.1:1", source = "::1" }', ["endpoints[0]", "must both be IPv4 or both IPv6"]),
        ('{ address = "127.0.0.1:1", source = "eth1" }', ["endpoints[0].source", "found 'eth1'", "numeric IP"]),
        ('{ address = "127.0.0.1:1", remote_name = "x" }', ["`remote_name` belongs to a `proxy`"]),
        ('{ address = "127.0.0.1:1", plaintext = true, tls = {} }', ["`plaintext` and `tls` exclude each other"]),
        ('{ address = "127.0.0.1:1", interface = "a/b" }', ["endpoints[0].interface", "found 'a/b'"]),
    ],
)
def test_an_endpoint_that_cannot_be_is_told(tmp_path, endpoint, expected):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, VALID.replace(PLAIN, f"endpoints = [{endpoint}]"))
    for part in expected:
        assert part in str(caught.value)


def test_an_acceptors_session_is_served_where_the_nodes_listen(tmp_path):
    config = load(tmp_path, acceptor())
    assert config.session[1].role == "acceptor"
    assert [str(address) for address in config.node["b"].fix_listen] == ["127.0.0.1:7015"]
    assert config.acceptor.max_connections == 256


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (acceptor(ACCEPTOR.replace("oms", "nobody")), ["session 'OMS': no client 'nobody'", "there are: "]),
        (acceptor(ACCEPTOR.replace("BROKER", "OMS")), ["`route` 'OMS' is no initiator; there are: BROKER"]),
        (acceptor(f'{ACCEPTOR}\nmode = "async"'), ['a client\'s own session is "sync"']),
        (acceptor('role = "acceptor"'), ["an acceptor needs `client`", "and `route`"]),
        (acceptor().replace('name = "oms"', 'name = "oms"\nsessions = ["OMS"]'), ["client 'oms' may not use `route`"]),
        (acceptor(node=""), ["node.a.fix_listen is missing: session 'OMS' is an acceptor's"]),
        (acceptor(session=PLAIN), ['node.a.fix_listen: no session has role = "acceptor"']),
        (acceptor(session=f"{ACCEPTOR}\n{PLAIN}"), ["`endpoints`, `tls` and `tcp` are an initiator's"]),
        (acceptor(node='fix_listen = ["10.0.0.1:70%s5"]'), ["[acceptor] needs `allowed`", "not loopback"]),
        (acceptor(section='[acceptor]\nallowed = ["10.0.0.1/8"]\n'), ["acceptor.allowed[0]", "no bits set behind"]),
        (acceptor(section="[acceptor]\ntls = {}\n"), ["acceptor.tls", "an acceptor needs `cert_file`"]),
        (acceptor(f'{ACCEPTOR}\nclient_certificate = "x"'), ["`client_certificate` needs [acceptor.tls]"]),
        (
            acceptor(node='fix_listen = ["127.0.0.1:70%s3"]'),
            ["node.a.clients and node.a.fix_listen[0] are the same address 127.0.0.1:7003"],
        ),
        (VALID.replace(PLAIN, f'{PLAIN}\nclient_certificate = "x"'), ["`client_certificate` is an acceptor's"]),
    ],
)
def test_an_acceptor_that_cannot_be_is_told(tmp_path, text, expected):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    for part in expected:
        assert part in str(caught.value)


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    (tmp_path / "key").write_text("00" * 16)
    monkeypatch.setenv("PROXY_PASSWORD", "hunter2")


def check(tmp_path):
    return CliRunner().invoke(app, ["check", str(tmp_path / "pair.toml"), "--node", "a"])


def test_a_check_tries_certificates_and_options(tmp_path, secrets):
    Certificates(tmp_path)
    load(tmp_path, VALID.replace(PLAIN, TABLES.replace('"eth1"', '"lo"').replace("64 KiB", "1 GiB")))
    result = check(tmp_path)
    assert "session 'BROKER': endpoint 192.0.2.11:9880: TLS as configured, for fix.example" in result.stdout
    assert "tcp.send_buffer: 1073741824 bytes wanted" in result.stdout
    assert "hunter2" not in result.output


def test_a_check_tells_every_connection_that_cannot_be(tmp_path, secrets, monkeypatch):
    monkeypatch.delenv("PROXY_PASSWORD")
    Certificates(tmp_path)
    load(tmp_path, VALID.replace(PLAIN, TABLES))
    error = str(check(tmp_path).exception)
    assert "session 'BROKER': endpoint 192.0.2.10:9880: tcp.interface: there is no network interface 'eth1'" in error
    assert "endpoint 192.0.2.11:9880: password of the proxy: environment variable PROXY_PASSWORD is not set" in error


def test_a_check_tries_the_acceptors_certificate(tmp_path, secrets):
    load(tmp_path, acceptor(section='[acceptor]\ntls = { cert_file = "us.crt", key_file = "us.key" }\n'))
    assert "acceptor: tls.cert_file" in str(check(tmp_path).exception)
    Certificates(tmp_path).issue("us")
    assert "acceptor: TLS as configured" in check(tmp_path).stdout
