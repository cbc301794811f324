"""Makes a connection to an endpoint: source address, interface, socket options, proxy, TLS, all within one time-out.

What comes out is a connected non-blocking socket that carries plain bytes. With TLS it is one end of a socket pair, and
a pump on this event loop does the rest.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass

from gateway.config.connections import ClientTls, Endpoint, Tcp, tcp_of, tls_of
from gateway.config.units import Address, format_duration
from gateway.wire.errors import ConnectError
from gateway.wire.proxy import ProxyLogin, connect_through, login
from gateway.wire.tcpoptions import SocketOption, apply, options
from gateway.wire.tls import client_context, server_name
from gateway.wire.tlsstream import TlsRoute, connect_tls


@dataclass(frozen=True, slots=True)
class Route:
    """Everything that it takes to reach an endpoint, secrets and certificates included."""

    where: str  # in errors: session 'X': endpoint 10.0.0.1:9880
    address: Address
    source: str | None
    options: list[SocketOption]
    proxy: ProxyLogin | None
    remote_name: str | None
    tls: TlsRoute | None
    timeout_ns: int


def route_to(endpoint: Endpoint, tcp: Tcp, tls: ClientTls | None, timeout_ns: int, owner: str) -> Route:
    """The route to `endpoint` of a session with `tcp` and `tls`; `owner` names it: session 'X'. Reads certificates and
    passwords. Raises ConfigError."""
    where = f"{owner}: endpoint {endpoint.address}"
    own_tls = tls_of(endpoint, tls)
    tls_route = None
    if own_tls is not None:
        tls_where = f"{where}: tls" if endpoint.tls else f"{owner}: tls"
        name = server_name(own_tls, endpoint.remote_name, endpoint.address.host)
        tls_route = TlsRoute(client_context(own_tls, tls_where), name, own_tls.handshake_timeout)
    proxy = login(endpoint.proxy, where) if endpoint.proxy else None
    wanted = options(tcp_of(endpoint, tcp))
    return Route(where, endpoint.address, endpoint.source, wanted, proxy, endpoint.remote_name, tls_route, timeout_ns)


async def dial(route: Route) -> socket.socket:
    """A connected non-blocking socket that belongs to the caller. Raises ConnectError; ConfigError: an option of the
    socket is refused by the system."""
    attempt = _Attempt(route)
    try:
        async with asyncio.timeout(route.timeout_ns / 1e9):
            return await attempt.run()
    except OSError as error:  # TimeoutError is one, with a number if the system gave up and without if we did
        ours = isinstance(error, TimeoutError) and error.errno is None
        what = f"not finished within {format_duration(route.timeout_ns)}" if ours else _words(error)
        raise ConnectError(f"{route.where}: {attempt.stage}: {what}") from None
    except ConnectError as error:
        raise type(error)(f"{route.where}: {attempt.stage}: {error}") from None


class _Attempt:
    """One attempt; `stage` says how far it has come."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self.stage = "making a socket"

    async def run(self) -> socket.socket:
        route = self._route
        reached = route.proxy.address if route.proxy else route.address
        sock = socket.socket(socket.AF_INET6 if ":" in reached.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            await self._connect(sock, reached)
            if route.proxy is not None:
                self.stage = "asking the proxy"
                host = route.remote_name or route.address.host
                await connect_through(sock, route.proxy, host, route.address.port)
            if route.tls is None:
                return sock
            self.stage = "TLS handshake"
            return await connect_tls(sock, route.tls)
        except BaseException:
            sock.close()
            raise

    async def _connect(self, sock: socket.socket, reached: Address) -> None:
        route = self._route
        sock.setblocking(False)
        apply(sock, route.options, route.where)
        if route.source is not None:
            self.stage = f"binding to {route.source}"
            # The port is chosen with the connection, so that many connections to one place can have the same source.
            sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
            sock.bind((route.source, 0))
        self.stage = f"connecting to proxy {reached}" if route.proxy else "connecting"
        await asyncio.get_running_loop().sock_connect(sock, tuple(reached))
        # A connection's own state takes the place of what was set before it.
        quick_ack = [option for option in route.options if option.key == "quick_ack"]
        apply(sock, quick_ack, route.where)


def _words(error: OSError) -> str:
    """uvloop puts its own text in the place of the system's."""
    return os.strerror(error.errno) if error.errno else str(error)
