"""Through a proxy: SOCKS5 (RFC 1928, RFC 1929) and CONNECT of an HTTP proxy (RFC 9110, section 9.3.6; RFC 7617).

Works on a socket that is connected to the proxy already, since source address, interface and options are ours to
choose, and reads not one byte beyond the proxy's answer. (python-socks makes the connection itself, and reads ahead.)
Names are never looked up here: the proxy does that. No error holds the password.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import socket
from dataclasses import dataclass, field

from gateway.config.connections import Proxy
from gateway.config.secrets import read_secret
from gateway.config.units import Address
from gateway.errors import ConfigError
from gateway.wire.errors import ProxyError

MAX_ANSWER_BYTES = 8192
MAX_SHOWN = 60
END_OF_ANSWER = b"\r\n\r\n"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r\n")

SOCKS_VERSION, LOGIN_VERSION = 5, 1
NO_LOGIN, USER_AND_PASSWORD, NONE_ACCEPTABLE = 0, 2, 0xFF
CONNECT = 1
IPV4, DOMAIN_NAME, IPV6 = 1, 3, 4
SUCCEEDED = 0
REPLIES = {
    1: "general failure",
    2: "its rules do not allow the connection",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "it knows no CONNECT",
    8: "it does not know this kind of address",
}


@dataclass(frozen=True, slots=True)
class ProxyLogin:
    """A proxy and what it wants to hear."""

    kind: str
    address: Address
    user: str = ""
    password: bytes = field(default=b"", repr=False)


def login(proxy: Proxy, where: str) -> ProxyLogin:
    """With the password read from its place. Raises ConfigError."""
    password = read_secret(f"{where}: password of the proxy", env=proxy.password_env, file=proxy.password_file)
    if proxy.kind == "socks5" and len(password) > 255:
        raise ConfigError(f"{where}: password of the proxy: SOCKS5 allows 255 bytes (RFC 1929)")
    return ProxyLogin(proxy.kind, proxy.address, proxy.user or "", password)


async def connect_through(sock: socket.socket, proxy: ProxyLogin, host: str, port: int) -> None:
    """Makes the proxy at the other end of `sock` (non-blocking) connect to `host`, an address or a name.

    Raises ProxyError: it refused or does not speak the protocol; OSError: the connection broke.
    """
    conversation = _Conversation(sock, proxy)
    if proxy.kind == "socks5":
        await _socks5(conversation, proxy, host, port)
    else:
        await _http_connect(conversation, proxy, host, port)


class _Conversation:
    """Bytes to and from the proxy."""

    def __init__(self, sock: socket.socket, proxy: ProxyLogin) -> None:
        self._sock = sock
        self._name = f"{'SOCKS5' if proxy.kind == 'socks5' else 'HTTP'} proxy {proxy.address}"
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        data = b""
        while len(data) < count:
            more = await self._loop.sock_recv(self._sock, count - len(data))
            if not more:
                raise self.error(f"closed in the middle of its answer, after {data[:MAX_SHOWN]!r}")
            data += more
        return data

    def error(self, what: str) -> ProxyError:
        return ProxyError(f"{self._name}: {what}")


async def _socks5(proxy: _Conversation, login: ProxyLogin, host: str, port: int) -> None:
    methods = bytes([NO_LOGIN, USER_AND_PASSWORD] if login.user else [NO_LOGIN])
    await proxy.send(bytes([SOCKS_VERSION, len(methods)]) + methods)
    version, method = await proxy.receive(2)
    if version != SOCKS_VERSION:
        raise proxy.error(f"does not speak SOCKS5: its first bytes are {bytes([version, method])!r}")
    if method == NONE_ACCEPTABLE:
        wanted = "takes neither our login nor none" if login.user else "wants a login: `user` and its password"
        raise proxy.error(wanted)
    if method not in methods:
        raise proxy.error(f"chose login method {method}, which was not offered")
    if method == USER_AND_PASSWORD:
        await _socks5_login(proxy, login)
    await proxy.send(bytes([SOCKS_VERSION, CONNECT, 0]) + _socks5_address(host) + port.to_bytes(2, "big"))
    await _socks5_reply(proxy)


async def _socks5_login(proxy: _Conversation, login: ProxyLogin) -> None:
    user = login.user.encode()
    await proxy.send(bytes([LOGIN_VERSION, len(user)]) + user + bytes([len(login.password)]) + login.password)
    version, status = await proxy.receive(2)
    if version != LOGIN_VERSION:
        raise proxy.error(f"answers the login with version {version} (RFC 1929 has 1)")
    if status != SUCCEEDED:
        raise proxy.error(f"does not take user {login.user!r} with this password (status {status})")


def _socks5_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return bytes([DOMAIN_NAME, len(name)]) + name
    return bytes([IPV4 if address.version == 4 else IPV6]) + address.packed


async def _socks5_reply(proxy: _Conversation) -> None:
    version, reply, _, kind = await proxy.receive(4)
    if version != SOCKS_VERSION:
        raise proxy.error(f"answers with version {version} instead of 5")
    if reply != SUCCEEDED:
        raise proxy.error(f"cannot connect: {REPLIES.get(reply, f'reply {reply}, which RFC 1928 does not have')}")
    lengths = {IPV4: 4, IPV6: 16}
    if kind == DOMAIN_NAME:
        length = (await proxy.receive(1))[0]
    elif kind in lengths:
        length = lengths[kind]
    else:
        raise proxy.error(f"answers with address type {kind}, which RFC 1928 does not have")
    await proxy.receive(length + 2)  # the address it connects from, which nobody needs


async def _http_connect(proxy: _Conversation, login: ProxyLogin, host: str, port: int) -> None:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1".encode(), f"Host: {target}".encode()]
    if login.user:
        token = base64.b64encode(login.user.encode() + b":" + login.password)
        lines.append(b"Proxy-Authorization: Basic " + token)
    await proxy.send(b"\r\n".join(lines) + END_OF_ANSWER)
    answer = b""
    while not answer.endswith(END_OF_ANSWER):
        if len(answer) == MAX_ANSWER_BYTES:
            raise proxy.error(f"its answer has no end within {MAX_ANSWER_BYTES} bytes")
        answer += await proxy.receive(1)  # what follows the answer is the tunnel's
        if len(answer) == 5 and answer != b"HTTP/":
            raise proxy.error(f"does not speak HTTP: its first bytes are {answer!r}")
    status = STATUS_LINE.match(answer)
    if status is None:
        first_line = answer.splitlines()[0][:MAX_SHOWN]
        raise proxy.error(f"answers with {first_line!r}, which is no status line")
    _check_status(proxy, login, int(status[1]), (status[2] or b"").decode("ascii", "replace")[:MAX_SHOWN])


def _check_status(proxy: _Conversation, login: ProxyLogin, status: int, reason: str) -> None:
    if status == 407:
        wanted = f"does not take user {login.user!r} with this password" if login.user else "wants a login: `user`"
        raise proxy.error(f"{wanted} (status 407)")
    if not 200 <= status <= 299:
        raise proxy.error(f"cannot connect: {status} {reason}")
