"""Proxies: what we say to them byte for byte, and what is told of each answer that is no good."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config.connections import Proxy
from gateway.config.units import Address
from gateway.errors import ConfigError
from gateway.wire.errors import ProxyError
from gateway.wire.proxy import ProxyLogin, connect_through, login
from tests.wire.net import run

AT = Address("10.0.0.1", 1080)
SOCKS, SOCKS_LOGIN = ProxyLogin("socks5", AT), ProxyLogin("socks5", AT, "us", b"hunter2")
HTTP, HTTP_LOGIN = ProxyLogin("http", AT), ProxyLogin("http", AT, "us", b"hunter2")
REACHED = b"\x05\x00\x00\x01\x0a\x00\x00\x01\x04\x38"


def converse(proxy, answers, host="192.0.2.10", port=9880, keep_open=False):
    """What we said to a proxy that answers with `answers`, and what is left of them."""

    async def story():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            theirs.send(answers)
            if not keep_open:
                theirs.shutdown(socket.SHUT_WR)
            await connect_through(ours, proxy, host, port)
            left = b""
            if not keep_open:
                left = await asyncio.get_running_loop().sock_recv(ours, 65536)
            return theirs.recv(65536), left

    return run(story())


def test_socks5_by_address():
    said, left = converse(SOCKS, b"\x05\x00" + REACHED + b"8=FIX")
    assert said == b"\x05\x01\x00" + b"\x05\x01\x00\x01" + bytes([192, 0, 2, 10]) + (9880).to_bytes(2, "big")
    assert left == b"8=FIX"


def test_socks5_by_ipv6_address_and_by_name():
    said, _ = converse(SOCKS, b"\x05\x00" + REACHED, host="2001:db8::1")
    assert said[3:] == b"\x05\x01\x00\x04" + bytes.fromhex("20010db8000000000000000000000001") + b"\x26\x98"
    said, _ = converse(SOCKS, b"\x05\x00\x05\x00\x00\x03\x04host\x00\x50", host="fix.example")
    assert said[3:] == b"\x05\x01\x00\x03\x0bfix.example\x26\x98"


def test_socks5_with_a_login():
    said, left = converse(SOCKS_LOGIN, b"\x05\x02" + b"\x01\x00" + REACHED + b"x")
    assert said.startswith(b"\x05\x02\x00\x02" + b"\x01\x02us\x07hunter2" + b"\x05\x01\x00\x01")
    assert left == b"x"


def test_http_connect():
    said, left = converse(HTTP, b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n8=FIX")
    assert said == b"CONNECT 192.0.2.10:9880 HTTP/1.1\r\nHost: 192.0.2.10:9880\r\n\r\n"
    assert left == b"8=FIX"
    said, _ = converse(HTTP, b"HTTP/1.0 200\r\n\r\n.", host="2001:db8::1")
    assert said.startswith(b"CONNECT [2001:db8::1]:9880 HTTP/1.1\r\n")


def test_http_connect_with_a_login():
    said, _ = converse(HTTP_LOGIN, b"HTTP/1.1 200 OK\r\n\r\n.")
    assert b"\r\nProxy-Authorization: Basic dXM6aHVudGVyMg==\r\n" in said


@pytest.mark.parametrize(
    ("proxy", "answers", "expected"),
    [
        (SOCKS, b"", "closed in the middle of its answer"),
        (SOCKS, b"HTTP/1.1 400 Bad Request\r\n\r\n", r"does not speak SOCKS5: its first bytes are b'HT'"),
        (SOCKS, b"\x05\xff", "wants a login"),
        (SOCKS_LOGIN, b"\x05\xff", "takes neither our login nor none"),
        (SOCKS, b"\x05\x02", "chose login method 2, which was not offered"),
        (SOCKS_LOGIN, b"\x05\x01", "chose login method 1, which was not offered"),
        (SOCKS_LOGIN, b"\x05\x02\x01\x01", "does not take user 'us' with this password"),
        (SOCKS_LOGIN, b"\x05\x02\x05\x00", "answers the login with version 5"),
        (SOCKS, b"\x05\x00\x05\x02\x00\x01", "cannot connect: its rules do not allow the connection"),
        (SOCKS, b"\x05\x00\x05\x05\x00\x01", "cannot connect: connection refused"),
        (SOCKS, b"\x05\x00\x05\x63\x00\x01", "cannot connect: reply 99, which RFC 1928 does not have"),
        (SOCKS, b"\x05\x00\x04\x00\x00\x01", "answers with version 4"),
        (SOCKS, b"\x05\x00\x05\x00\x00\x09", "address type 9"),
        (SOCKS, b"\x05\x00" + REACHED[:-1], "closed in the middle of its answer"),
        (HTTP, b"", "closed in the middle of its answer"),
        (HTTP, b"\x05\x00\x00\x00\x00\x00", "does not speak HTTP: its first bytes"),
        (HTTP, b"HTTP/1.1 200 OK\r\n", "closed in the middle of its answer"),
        (HTTP, b"HTTP/2 200\r\n\r\n", "which is no status line"),
        (HTTP, b"HTTP/1.1 OK\r\n\r\n", "which is no status line"),
        (HTTP, b"HTTP/1.1 407 Authentication Required\r\n\r\n", r"wants a login: `user` \(status 407\)"),
        (HTTP_LOGIN, b"HTTP/1.1 407 No\r\n\r\n", r"does not take user 'us' with this password \(status 407\)"),
        (HTTP, b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "cannot connect: 502 Bad Gateway"),
        (HTTP, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000, "has no end within 8192 bytes"),
    ],
)
def test_an_answer_that_is_no_good_is_told(proxy, answers, expected):
    with pytest.raises(ProxyError, match=rf"(SOCKS5|HTTP) proxy 10.0.0.1:1080: .*{expected}") as caught:
        converse(proxy, answers)
    assert "hunter2" not in str(caught.value)


@given(st.binary(max_size=200), st.sampled_from([SOCKS, SOCKS_LOGIN, HTTP, HTTP_LOGIN]), st.booleans())
def test_whatever_a_proxy_answers_it_is_reached_or_told(answers, proxy, plausible):
    if plausible:
        answers = (b"\x05\x00" if proxy.kind == "socks5" else b"HTTP/1.") + answers
    with contextlib.suppress(ProxyError):
        said, _ = converse(proxy, answers)
        assert said


def test_the_password_is_read_from_its_place_and_not_shown(monkeypatch):
    monkeypatch.setenv("PROXY_PASSWORD", "hunter2")
    proxy = Proxy(kind="http", address="10.0.0.1:3128", user="us", password_env="PROXY_PASSWORD")
    found = login(proxy, "session 'X'")
    assert found.password == b"hunter2"
    assert "hunter2" not in repr(found) + repr(proxy)
    monkeypatch.delenv("PROXY_PASSWORD")
    with pytest.raises(ConfigError, match="session 'X': password of the proxy: environment variable PROXY_PASSWORD"):
        login(proxy, "session 'X'")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"user": "us"}, "go together"),
        ({"password_env": "X"}, "go together"),
        ({"password": "hunter2"}, "has no place in this file"),
        ({"kind": "http", "user": "a:b", "password_env": "X"}, "no colon"),
        ({"user": "x" * 256, "password_env": "X"}, "255 bytes"),
    ],
)
def test_a_login_that_cannot_be_is_refused(table, expected):
    with pytest.raises(ValidationError, match=expected):
        Proxy(**({"kind": "socks5", "address": "10.0.0.1:1080"} | table))
