"""What a proxy answers, bytes that its network chose to change included. A ProxyError, or a connection, comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import ClassVar

from gateway.config import Address
from gateway.wire.errors import ProxyError
from gateway.wire.proxy import ProxyLogin, connect_through

TIMEOUT_S = 5.0


class ProxyTarget:
    """The first byte says which kind of proxy and whether with a password; the rest is all that it ever says."""

    tokens: ClassVar[list[bytes]] = [
        b"\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 407 ",
        b"\x05\x00",
        b"\x05\x02",
        b"\x01\x00",
    ]

    def seeds(self) -> list[bytes]:
        """Answers as they should be."""
        reply = b"\x05\x00\x00"
        return [
            b"\x00\x05\x00" + reply + b"\x01" + bytes(6),
            b"\x01\x05\x02\x01\x00" + reply + b"\x04" + bytes(18),
            b"\x01\x05\x02\x01\x00" + reply + b"\x03\x05proxy\x00\x00",
            b"\x02HTTP/1.1 200 Connection established\r\nServer: x\r\n\r\n",
            b"\x03HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        ]

    def run(self, data: bytes) -> None:
        """One connection."""
        kind = "http" if data[:1] and data[0] & 2 else "socks5"
        user, password = ("user", b"secret") if data[:1] and data[0] & 1 else ("", b"")
        asyncio.run(self._connect(ProxyLogin(kind, Address("127.0.0.1", 1), user, password), data[1:]))

    async def _connect(self, login: ProxyLogin, answers: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for end in (ours, theirs):
                end.setblocking(False)
            theirs.send(answers)
            theirs.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ProxyError):
                async with asyncio.timeout(TIMEOUT_S):
                    await connect_through(ours, login, "broker.example", 443)
