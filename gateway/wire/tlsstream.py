"""Turns a connected socket into a TLS stream that looks plain: the handshake, and a pump that does the rest."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from gateway.wire.errors import ConnectError
from gateway.wire.pump import LINGER_S, Pump, stream_pair
from gateway.wire.tls import explain


@dataclass(frozen=True, slots=True)
class TlsRoute:
    """How the other side must prove who it is."""

    context: ssl.SSLContext
    server_name: str
    handshake_timeout_ns: int


async def connect_tls(sock: socket.socket, tls: TlsRoute) -> socket.socket:
    """The client's side of a handshake on a connected socket, which is taken over; the end that carries plain bytes.
    Raises ConnectError."""
    inner, outer = stream_pair()
    pump = Pump(inner)
    handshake = asyncio.get_running_loop().create_connection(
        lambda: pump,
        sock=sock,
        ssl=tls.context,
        server_hostname=tls.server_name,
        ssl_handshake_timeout=tls.handshake_timeout_ns / 1e9,
        ssl_shutdown_timeout=LINGER_S,
    )
    await _finished(handshake, pump, sock, outer)
    return outer


async def accept_tls(
    sock: socket.socket, context: ssl.SSLContext, handshake_timeout_ns: int
) -> tuple[socket.socket, frozenset[str]]:
    """The server's side; the end that carries plain bytes, and the names in the client's certificate. Raises
    ConnectError."""
    inner, outer = stream_pair()
    pump = Pump(inner)
    handshake = asyncio.get_running_loop().connect_accepted_socket(
        lambda: pump,
        sock,
        ssl=context,
        ssl_handshake_timeout=handshake_timeout_ns / 1e9,
        ssl_shutdown_timeout=LINGER_S,
    )
    transport, _ = await _finished(handshake, pump, sock, outer)
    return outer, certificate_names(transport.get_extra_info("peercert") or {})


def certificate_names(certificate: dict[str, Any]) -> frozenset[str]:
    """Common name and alternative names of a certificate, in the form of ssl.SSLSocket.getpeercert()."""
    subject = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return frozenset(subject + [value for _, value in certificate.get("subjectAltName", ())])


async def _finished(handshake: Any, pump: Pump, sock: socket.socket, outer: socket.socket) -> Any:
    """What `handshake` returns. If it fails or is given up, nothing stays open."""
    try:
        return await handshake
    except BaseException as error:
        pump.never_connected()
        outer.close()
        with contextlib.suppress(OSError):
            sock.close()
        if isinstance(error, OSError | EOFError):  # ssl.SSLError is an OSError
            raise ConnectError(explain(error)) from None
        raise
