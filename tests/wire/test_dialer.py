"""Dialling: source, options, proxy, TLS and time-out of one connection, and what is told when it fails."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from gateway.config.connections import ClientTls, Endpoint, Proxy, ServerTls, Tcp
from gateway.errors import ConfigError
from gateway.wire.dialer import dial, route_to
from gateway.wire.errors import ConnectError, ProxyError
from gateway.wire.tls import server_context
from tests.support.waiting import wait_until
from tests.wire.certificates import Certificates
from tests.wire.net import echo, read, run, serving, write

SECOND = 10**9


def route(port, tcp=None, tls=None, timeout_s=5.0, **table):
    endpoint = Endpoint(address=f"127.0.0.1:{port}", **table)
    return route_to(endpoint, tcp or Tcp(), tls, int(timeout_s * SECOND), "session 'X'")


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


def serving_tls(certificates, handler=echo, name="broker.example", **options):
    cert, key = certificates.issue(name)
    return serving(handler, server_context(ServerTls(cert_file=cert, key_file=key, **options), "tls"))


async def assert_echoes(sock):
    assert not sock.getblocking()
    await write(sock, b"hello")
    assert await read(sock, 5) == b"hello"
    sock.close()


def test_a_plain_connection_has_its_source_interface_and_options():
    async def story():
        async with serving(echo) as port:
            tcp = Tcp(user_timeout="2s", quick_ack=True)
            sock = await dial(route(port, tcp, source="127.0.0.9", interface="lo"))
            assert sock.getsockname()[0] == "127.0.0.9"
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2000
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).startswith(b"lo\0")
            await assert_echoes(sock)

    run(story())


def test_nobody_there_is_told_with_the_endpoint():
    async def story():
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            with pytest.raises(ConnectError, match=rf"session 'X': endpoint 127.0.0.1:{port}: connecting: .*refused"):
                await dial(route(port))

    run(story())


def test_a_source_address_that_is_not_ours_is_told():
    with pytest.raises(ConnectError, match=r"endpoint 127.0.0.1:9: binding to 192.0.2.77: [Cc]annot assign"):
        run(dial(route(9, source="192.0.2.77")))


def test_an_interface_that_is_not_there_is_a_mistake_of_the_configuration():
    with pytest.raises(ConfigError, match="no network interface 'nope0'"):
        run(dial(route(9, interface="nope0")))


def test_a_handshake_that_never_ends_is_given_up_in_time():
    async def story():
        silent = asyncio.Event()

        async def say_nothing(reader, writer):
            await silent.wait()

        async with serving(say_nothing) as port:
            with pytest.raises(ConnectError, match="TLS handshake: not finished within 200ms"):
                await dial(route(port, tls=ClientTls(), timeout_s=0.2))
            tls = ClientTls(handshake_timeout="200ms")
            with pytest.raises(ConnectError, match="TLS handshake: not finished in time"):
                await dial(route(port, tls=tls))
            silent.set()

    run(story())


def test_tls_looks_plain_to_the_caller(certificates):
    async def story():
        async with serving_tls(certificates) as port:
            tls = ClientTls(ca_file=certificates.ca_file, server_name="broker.example")
            await assert_echoes(await dial(route(port, tls=tls)))

    run(story())


def test_the_server_is_told_the_name_that_is_wanted(certificates):
    async def story():
        cert, key = certificates.issue("broker.example")
        context = server_context(ServerTls(cert_file=cert, key_file=key), "tls")
        names = []
        context.sni_callback = lambda _object, name, _context: names.append(name)
        async with serving(echo, context) as port:
            tls = ClientTls(ca_file=certificates.ca_file, server_name="broker.example")
            await assert_echoes(await dial(route(port, tls=tls)))
        assert names == ["broker.example"]

    run(story())


def test_without_a_name_the_certificate_must_be_of_the_address(certificates):
    async def story():
        tls = ClientTls(ca_file=certificates.ca_file)
        async with serving_tls(certificates, name="127.0.0.1") as port:
            await assert_echoes(await dial(route(port, tls=tls)))
        async with serving_tls(certificates, name="broker.example") as port:
            with pytest.raises(
                ConnectError, match="TLS handshake: the certificate is not accepted: IP address mismatch"
            ):
                await dial(route(port, tls=tls))

    run(story())


def test_a_port_without_tls_is_told():
    async def story():
        async def greet(reader, writer):
            await reader.read(1)
            writer.write(b"8=FIX.4.4\x019=5\x01")
            await writer.drain()

        async with serving(greet) as port:
            with pytest.raises(ConnectError, match="TLS handshake: it failed: wrong version number"):
                await dial(route(port, tls=ClientTls()))

    run(story())


def test_one_endpoint_of_a_tls_session_can_be_plain():
    async def story():
        async with serving(echo) as port:
            await assert_echoes(await dial(route(port, tls=ClientTls(), plaintext=True)))

    run(story())


def test_an_abandoned_attempt_leaves_no_socket_behind():
    async def story():
        started, closed = asyncio.Event(), asyncio.Event()

        async def watch(reader, writer):
            started.set()
            await reader.read()
            closed.set()

        async with serving(watch) as port:
            attempt = asyncio.create_task(dial(route(port, tls=ClientTls())))
            await started.wait()
            before = len(os.listdir("/proc/self/fd"))
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt
            await closed.wait()
            left = before - 4  # both ends of the connection and of the pair
            await wait_until(lambda: len(os.listdir("/proc/self/fd")) <= left, "the descriptors are closed")

    run(story())


def test_tls_through_a_proxy(certificates, monkeypatch):
    """HTTP CONNECT by name, then the handshake with that name."""
    monkeypatch.setenv("PROXY_PASSWORD", "hunter2")

    async def story():
        seen = []

        async def proxy(reader, writer):
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", int(target))

            async def carry(source, sink):
                while data := await source.read(65536):
                    sink.write(data)
                sink.close()

            await asyncio.gather(carry(reader, to_writer), carry(to_reader, writer))

        async with serving_tls(certificates) as target, serving(proxy) as port:
            through = Proxy(kind="http", address=f"127.0.0.1:{port}", user="us", password_env="PROXY_PASSWORD")
            tls = ClientTls(ca_file=certificates.ca_file)
            found = route(target, tls=tls, proxy=through, remote_name="broker.example")
            assert "hunter2" not in repr(found)
            await assert_echoes(await dial(found))
        assert seen[0].startswith(f"CONNECT broker.example:{target} HTTP/1.1\r\n".encode())
        assert b"\r\nProxy-Authorization: Basic dXM6aHVudGVyMg==\r\n" in seen[0]

    run(story())


def test_a_refusing_proxy_is_told_with_endpoint_and_stage():
    async def story():
        async def refuse(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        async with serving(refuse) as port:
            through = Proxy(kind="http", address=f"127.0.0.1:{port}")
            with pytest.raises(
                ProxyError,
                match=rf"endpoint 127.0.0.1:9: asking the proxy: HTTP proxy 127.0.0.1:{port}: cannot connect: 403",
            ):
                await dial(route(9, proxy=through))

    run(story())
