"""The control thread's part of the counterparties' connections: those that take more than connect(), and those that
come in. Each ends as a plain socket in the reactor.

May depend on: gateway.wire, the reactor's commands. Not in the path of an order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.config import Config, Session
from gateway.config.connections import is_direct
from gateway.errors import GatewayError
from gateway.native.node import Note
from gateway.native.reactor import Command, Reactor
from gateway.node.tasks import Tasks
from gateway.wire.dialer import Route, dial, route_to
from gateway.wire.directory import Directory, Identity
from gateway.wire.door import Arrival, Door
from gateway.wire.errors import ConnectError

log = structlog.get_logger("node")

FAILED = (1 << 32) - 1  # in place of a descriptor: -1
LOST_AFTER_S = 10.0  # the reactor takes what it is handed within a turn


class Connections:
    """Dials and accepts for one node."""

    def __init__(self, config: Config, node: str, reactor: Reactor, tasks: Tasks) -> None:
        """Reads certificates and proxies' passwords. Raises ConfigError."""
        self._names = [session.name for session in config.session]
        self._reactor = reactor
        self._tasks = tasks
        self._routes = _routes(config)
        self._ended: dict[int, Callable[[], None]] = {}  # by session: tells the door that its connection is gone
        self._waiting: dict[int, tuple[float, Callable[[], None]]] = {}  # handed to the reactor when, not taken yet
        self._addresses = config.node[node].fix_listen  # type: ignore[index]
        self._door: Door[int] | None = None
        if self._addresses:
            self._door = Door(config.acceptor, _directory(config), self._welcome)

    def start(self) -> None:
        """Listens. Raises GatewayError."""
        if self._door is not None:
            self._door.open(self._addresses)

    def stop(self) -> None:
        """Nobody comes in any more; who is in stays."""
        if self._door is not None:
            self._door.close()

    def counters(self) -> dict[str, int]:
        """The door's; empty without one."""
        return self._door.counters() if self._door is not None else {}

    def take(self, note: Note) -> None:
        """Acts on a note about a connection."""
        if note.code == "connecting":
            route = self._routes.get((note.session, note.a))
            if route is not None:
                self._tasks.start(self._dial(note.session, note.b, route), "a counterparty is dialled")
        elif note.code == "connected" and note.session in self._waiting:
            if note.session in self._ended:  # the note of its end was lost
                self._ended.pop(note.session)()
            self._ended[note.session] = self._waiting.pop(note.session)[1]
        elif note.code == "turned_away" and note.session in self._waiting:
            self._waiting.pop(note.session)[1]()
        elif note.code == "disconnected" and note.session in self._ended:
            self._ended.pop(note.session)()

    async def _dial(self, session: int, attempt: int, route: Route) -> None:
        try:
            sock = await dial(route)
        except (ConnectError, GatewayError) as error:
            log.warning("connect_failed", session=self._names[session], error=str(error))
            self._reactor.command(Command.ADOPT, session=session, a=attempt, b=FAILED)
            return
        self._reactor.command(Command.ADOPT, session=session, a=attempt, b=sock.fileno())
        sock.detach()  # the reactor's from here on

    def _welcome(self, arrival: Arrival[int]) -> bool:
        now = asyncio.get_running_loop().time()
        if arrival.key in self._waiting:
            if now < self._waiting[arrival.key][0] + LOST_AFTER_S:
                return False  # one is on its way to the reactor
            self._waiting.pop(arrival.key)[1]()  # what became of it was lost among too many notes
        try:
            self._reactor.command(Command.ADOPT, session=arrival.key, b=arrival.socket.fileno(), data=arrival.received)
        except (BufferError, ValueError):
            return False
        arrival.socket.detach()
        self._waiting[arrival.key] = now, arrival.ended
        log.info("accepted", session=self._names[arrival.key], source=arrival.source)
        return True


def _routes(config: Config) -> dict[tuple[int, int], Route]:
    """By session and endpoint, where connect() alone does not do it."""
    return {
        (i, k): route_to(endpoint, session.tcp, session.tls, session.connect_timeout, f"session {session.name!r}")
        for i, session in enumerate(config.session)
        for k, endpoint in enumerate(session.endpoints)
        if not is_direct(endpoint, session.tls)
    }


def _directory(config: Config) -> Directory[int]:
    directory: Directory[int] = Directory()
    for i, session in enumerate(config.session):
        if session.role == "acceptor":
            directory.add(_identity(session), i, session.client_certificate)
    return directory


def _identity(session: Session) -> Identity:
    return Identity(
        session.begin_string,
        session.sender_comp_id,
        session.target_comp_id,
        session.sender_sub_id or "",
        session.sender_location_id or "",
        session.target_sub_id or "",
        session.target_location_id or "",
    )
