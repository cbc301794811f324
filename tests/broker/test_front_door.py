"""The broker simulator's front door as its clients meet it: TLS, sources, limits, sessions made on demand."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.command import gateway
from tests.support.initiator import DEADLINE_S, LOOPBACK, Initiator
from tests.wire.certificates import Certificates


@contextlib.contextmanager
def broker(*options: object) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A broker simulator; its first port."""
    command = [sys.executable, "-m", "gateway", "broker-sim", "--port", "0", *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = next((line for line in process.stdout if line.startswith("listening on ")), None)
        assert line is not None, process.communicate()[1]
        yield int(line.rpartition(":")[2]), process
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0


def assert_refused(port: int, source: str = LOOPBACK) -> None:
    """A connection is closed before anything comes."""
    connection = socket.create_connection((LOOPBACK, port), timeout=DEADLINE_S, source_address=(source, 0))
    with connection as sock, contextlib.suppress(ConnectionResetError):
        assert sock.recv(1) == b""


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


def test_orders_over_tls_with_certificates_on_both_sides(certificates):
    cert, key = certificates.issue(LOOPBACK)
    own_cert, own_key = certificates.issue("client.example")
    tls = ssl.create_default_context(cafile=certificates.ca_file)
    with broker("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", certificates.ca_file) as (port, _):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            Initiator().connect(port, tls)
        tls.load_cert_chain(own_cert, own_key)
        client = Initiator().connect(port, tls)
        client.order("O-1")
        assert client.receive()[0][11] == "O-1"
        client.cut()


def test_sources_that_are_not_allowed_are_cut_off():
    with broker("--allow", "127.0.0.1") as (port, _):
        assert_refused(port, "127.0.0.9")
        Initiator().connect(port).cut()


def test_connections_are_limited_and_one_that_ends_makes_room():
    with broker("--max-connections", 1) as (port, _):
        client = Initiator().connect(port)
        assert_refused(port)
        client.cut()
        client.connect(port).cut()


def test_several_addresses_are_listened_on():
    with broker("--host", "127.0.0.1", "--host", "127.0.0.2") as (port, process):
        second = int(process.stdout.readline().rpartition(":")[2])
        Initiator().connect(port).cut()
        with socket.create_connection(("127.0.0.2", second), timeout=DEADLINE_S):
            pass


TEMPLATE = """\
sender_comp_id = "BROKER"

[[template]]
begin_string = "FIX.4.4"
target_comp_id = "FUND*"
limit = 2
validation = "session"

[acceptor]
max_connections = 8
tls = { cert_file = "127.0.0.1.crt", key_file = "127.0.0.1.key" }
"""


def test_sessions_of_a_template_are_made_on_demand_up_to_its_limit_and_keep_their_numbers(certificates, tmp_path):
    certificates.issue(LOOPBACK)
    (tmp_path / "echo.toml").write_text(TEMPLATE)
    tls = ssl.create_default_context(cafile=certificates.ca_file)
    with broker("--mode", "echo", "--config", tmp_path / "echo.toml") as (port, _):
        funds = [Initiator(sender=f"FUND{number}").connect(port, tls) for number in (1, 2)]
        for fund in funds:
            fund.order("O-1")
            assert fund.receive()[0][11] == "O-1"
        with pytest.raises((ConnectionError, AssertionError)):
            Initiator(sender="FUND3").connect(port, tls)
        with pytest.raises((ConnectionError, AssertionError)):
            Initiator(sender="HEDGE").connect(port, tls)
        funds[0].cut()
        funds[0].connect(port, tls).cut()
        funds[1].cut()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--allow", "10.0.0.1/8"], "allowed"),
        (["--max-connections", "0"], "max_connections: found 0, allowed: greater than or equal to 1"),
        (["--tls-key", "x.pem"], "belong to a `cert_file`"),
        (["--tls-client-ca", "x.pem"], "an acceptor needs `cert_file`"),
        (["--tls-cert", "nowhere.pem"], "acceptor: tls.cert_file: nowhere.pem cannot be read"),
        (["--engine", "quickfix", "--allow", "127.0.0.1"], "--engine native has"),
    ],
)
def test_options_that_cannot_be_are_told(options, said):
    done = gateway("broker-sim", "--port", "0", *options)
    assert done.returncode == 1
    assert said in done.stderr.replace("\n", " ")
