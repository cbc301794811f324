"""The front door of an acceptor: who may come in, how many, and whose session it is.

Listens, checks the source, limits connections, does the TLS handshake, reads the first message and finds its session.
What comes out is a connected non-blocking socket that carries plain bytes, and the bytes that were read from it. Nobody
who has not sent a whole Logon costs more than `max_first_message` bytes and `first_message_timeout`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic

import structlog

from gateway.config.connections import Acceptor
from gateway.config.units import Address
from gateway.errors import GatewayError
from gateway.wire.directory import Directory, Identity, Key, Refusal
from gateway.wire.errors import ConnectError
from gateway.wire.firstmessage import Unfit, identify
from gateway.wire.tcpoptions import apply, options, probe
from gateway.wire.tls import server_context
from gateway.wire.tlsstream import accept_tls

log = structlog.get_logger("wire")

BACKLOG = 128
ACCEPTS_PER_TURN = 32
REST_S = 0.1  # after the system had no descriptor or memory for a connection
TOLD_EVERY_S = 1.0  # refusals of one kind; all are counted
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class Arrival(Generic[Key]):
    """A connection whose session is known."""

    key: Key
    identity: Identity
    source: str
    socket: socket.socket  # non-blocking, plain bytes; belongs to who is welcomed
    received: bytes  # a whole Logon, and perhaps more
    ended: Callable[[], None]  # to be called once when the connection is gone: others may come then


@dataclass(slots=True, eq=False)
class _Visitor:
    """A connection that nobody has been told of yet."""

    source: str
    socket: socket.socket
    cancel: Callable[[], object] = field(default=lambda: None)
    crowded_out: bool = False


class _Refused(Exception):
    def __init__(self, reason: Refusal, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Door(Generic[Key]):
    """Accepts connections for the sessions of a directory. To be used on one event loop."""

    def __init__(
        self,
        settings: Acceptor,
        directory: Directory[Key],
        welcome: Callable[[Arrival[Key]], bool],
        where: str = "acceptor",
    ) -> None:
        """`welcome` takes the connection, or returns False: its session does not want it, and it is closed. Raises
        ConfigError: a certificate or an option of the sockets is wrong."""
        self._settings = settings
        self._directory = directory
        self._welcome = welcome
        self._where = where
        self._options = options(settings.tcp)
        for warning in probe(settings.tcp, where):
            log.warning("socket_option", text=warning)
        self._tls = _context(settings, where)
        self._listeners: list[socket.socket] = []
        self._visitors: dict[_Visitor, None] = {}  # in order of arrival
        self._open: Counter[str] = Counter()  # connections of each source, visitors and welcomed
        self._told: dict[Refusal, float] = {}
        self.refused: Counter[Refusal] = Counter()
        self.welcomed = 0

    def open(self, addresses: list[Address]) -> list[Address]:
        """Listens; the addresses, with the ports that the system chose for 0. Raises GatewayError."""
        assert not self._listeners
        try:
            for address in addresses:
                self._listeners.append(self._listen(address))
        except BaseException:
            self._stop_listening()
            raise
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.add_reader(listener, self._accept, listener)
        return [Address(*listener.getsockname()[:2]) for listener in self._listeners]

    def close(self) -> None:
        """Stops listening, and closes connections that were not welcomed yet. May be opened again."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener)
        self._stop_listening()
        for visitor in self._visitors:
            visitor.cancel()

    def counters(self) -> dict[str, int]:
        """For metrics: gauges `open` and `unidentified`, counter `welcomed`, and a counter for each Refusal."""
        counts = {"open": self._open.total(), "unidentified": len(self._visitors), "welcomed": self.welcomed}
        return counts | {f"refused.{reason}": self.refused[reason] for reason in Refusal}

    def _listen(self, address: Address) -> socket.socket:
        listener = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if listener.family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            apply(listener, self._options, self._where)  # accepted sockets have them from here
            listener.bind(tuple(address))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            what = os.strerror(error.errno) if error.errno else str(error)
            raise GatewayError(f"{self._where}: cannot listen on {address}: {what}") from None
        except BaseException:
            listener.close()
            raise
        return listener

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, peer = listener.accept()
            except OSError as error:
                if error.errno in NO_ROOM:
                    self._rest(listener, error)
                return  # nobody there, or gone again
            source = peer[0].partition("%")[0]
            reason = self._not_admitted(source)
            if reason is not None:
                sock.close()
                self._count(reason, source, "")
                continue
            self._admit(sock, source)

    def _rest(self, listener: socket.socket, error: OSError) -> None:
        """The listener stays readable: without a rest this would be a busy loop."""
        self._count(Refusal.FAULT, "", os.strerror(error.errno or 0))
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)

        def go_on() -> None:
            if listener in self._listeners:
                loop.add_reader(listener, self._accept, listener)

        loop.call_later(REST_S, go_on)

    def _not_admitted(self, source: str) -> Refusal | None:
        settings = self._settings
        if settings.allowed is not None:
            address = ipaddress.ip_address(source)
            if not any(address in network for network in settings.allowed):
                return Refusal.SOURCE
        if self._open.total() >= settings.max_connections:
            return Refusal.FULL
        if self._open[source] >= settings.max_connections_per_source:
            return Refusal.SOURCE_FULL
        return None

    def _admit(self, sock: socket.socket, source: str) -> None:
        if len(self._visitors) >= self._settings.max_unidentified:
            # Who means it sends the Logon at once, and is not the one that has been here for longest.
            oldest = next(iter(self._visitors))
            oldest.crowded_out = True
            oldest.cancel()
            del self._visitors[oldest]
        sock.setblocking(False)
        visitor = _Visitor(source, sock)
        self._visitors[visitor] = None
        self._open[source] += 1
        task = asyncio.get_running_loop().create_task(self._receive(visitor))
        task.add_done_callback(lambda done: self._received(visitor, done))
        visitor.cancel = task.cancel

    async def _receive(self, visitor: _Visitor) -> Arrival[Key]:
        async with asyncio.timeout(self._settings.first_message_timeout / 1e9):
            return await self._identified(visitor)

    def _received(self, visitor: _Visitor, task: asyncio.Task[Arrival[Key]]) -> None:
        """From the connection to the session, or to the counter."""
        # Not in the task itself: one that is cancelled early has not run at all.
        self._visitors.pop(visitor, None)
        try:
            self._hand_over(task.result())
        except _Refused as refused:
            self._turn_away(visitor, refused.reason, refused.detail)
        except TimeoutError:
            self._turn_away(visitor, Refusal.TOO_LATE)
        except asyncio.CancelledError:
            self._turn_away(visitor, Refusal.CROWDED_OUT if visitor.crowded_out else Refusal.DOOR_CLOSED)
        except Exception as error:
            log.exception("door_failed", source=visitor.source)
            self._turn_away(visitor, Refusal.FAULT, str(error))

    async def _identified(self, visitor: _Visitor) -> Arrival[Key]:
        names: frozenset[str] = frozenset()
        apply(visitor.socket, [option for option in self._options if option.key == "quick_ack"], self._where)
        if self._tls is not None and self._settings.tls is not None:
            timeout_ns = self._settings.tls.handshake_timeout
            try:
                visitor.socket, names = await accept_tls(visitor.socket, self._tls, timeout_ns)
            except ConnectError as error:
                raise _Refused(Refusal.TLS, str(error)) from None
        received, identity = await self._first_message(visitor.socket)
        key = self._directory.find(identity, names)
        if isinstance(key, Refusal):
            raise _Refused(key, str(identity))
        source = visitor.source
        return Arrival(key, identity, source, visitor.socket, received, self._ended_once(source))

    async def _first_message(self, sock: socket.socket) -> tuple[bytes, Identity]:
        loop, most = asyncio.get_running_loop(), self._settings.max_first_message
        data = b""
        while True:
            try:
                more = await loop.sock_recv(sock, most - len(data))
            except OSError:
                more = b""
            if not more:
                raise _Refused(Refusal.CLOSED)
            data += more
            found = identify(data, most)
            if isinstance(found, Unfit):
                raise _Refused(found.reason, found.detail)
            if found is not None:
                return data, found

    def _hand_over(self, arrival: Arrival[Key]) -> None:
        if not self._welcome(arrival):
            raise _Refused(Refusal.NOT_WELCOME, str(arrival.identity))
        self.welcomed += 1

    def _turn_away(self, visitor: _Visitor, reason: Refusal, detail: str = "") -> None:
        visitor.socket.close()
        self._release(visitor.source)
        self._count(reason, visitor.source, detail)

    def _ended_once(self, source: str) -> Callable[[], None]:
        pending = [source]

        def ended() -> None:
            with contextlib.suppress(IndexError):
                self._release(pending.pop())

        return ended

    def _release(self, source: str) -> None:
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]

    def _count(self, reason: Refusal, source: str, detail: str) -> None:
        self.refused[reason] += 1
        now = asyncio.get_running_loop().time()
        if now - self._told.get(reason, -TOLD_EVERY_S) >= TOLD_EVERY_S:
            self._told[reason] = now
            log.warning("refused", reason=str(reason), source=source, detail=detail, so_far=self.refused[reason])


def probe_door(settings: Acceptor, where: str) -> list[str]:
    """Tries certificates and socket options without opening anything; a line for each. Raises ConfigError."""
    found = probe(settings.tcp, where)
    if _context(settings, where) is not None:
        found.append(f"{where}: TLS as configured")
    return found


def _context(settings: Acceptor, where: str) -> ssl.SSLContext | None:
    return server_context(settings.tls, f"{where}: tls") if settings.tls else None
