"""Any number of accepted FIX sessions on one port, with asyncio: what the broker simulator's modes have in common.

The door finds the session of a connection; this carries bytes and time, and hands application messages to the mode's
own Counterparty. Knows nothing of orders.
"""

from __future__ import annotations

import asyncio
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import structlog

from gateway.config.connections import Acceptor as DoorSettings
from gateway.config.units import Address
from gateway.errors import JournalError
from gateway.native.session import Event, Session, SessionNotReady
from gateway.wire.directory import Directory, Refusal, Template
from gateway.wire.directory import Identity as Names
from gateway.wire.door import Arrival, Door

log = structlog.get_logger("broker")

PREPARE_EVERY_S = 0.05
STOP_TIMEOUT_S = 2.0

Identity = tuple[str, str, str]  # BeginString, SenderCompID (ours), TargetCompID


class Counterparty(ABC):
    """One FIX session, over whatever connection it has at present."""

    def __init__(self, identity: Identity, session: Session, *, replace_connection: bool) -> None:
        self.identity = identity
        self.session = session
        self.link: Link | None = None
        self._replace_connection = replace_connection
        self._timer: asyncio.TimerHandle | None = None
        # Replies that could not be numbered yet (a resend is being answered): they go first when that is over.
        self._waiting: list[tuple[str, bytes]] = []

    @abstractmethod
    def take(self, message: bytes) -> None:
        """An application message came in, in sequence."""

    def told(self, event: Event) -> None:  # noqa: B027 a mode need not care
        """Anything else happened in the session."""

    def detached(self) -> None:  # noqa: B027 a mode need not care
        """The connection is gone."""

    @property
    def wants_connection(self) -> bool:
        """Whether a connection would be taken: it has none, or gives the one it has up."""
        return self.link is None or self._replace_connection or self.session.closing

    def attach(self, link: Link) -> bool:
        """Gives the session a connection. False: it has one, and keeps it."""
        if not self.wants_connection:
            return False
        if self.link is not None:
            old = self.link
            self.detach(old)
            old.transport.abort()
        self.link = link
        self.session.connected(time.monotonic_ns(), time.time_ns())
        return True

    def detach(self, link: Link) -> None:
        """The connection is gone."""
        if self.link is not link:
            return
        self.link = None
        if self._timer is not None:
            self._timer.cancel()
        self.session.disconnected(time.monotonic_ns(), time.time_ns())
        self._report_events()
        self.detached()

    def receive(self, data: bytes | bytearray) -> int:
        """Handles bytes from the connection; how many were used up."""
        used = self.session.receive(data, time.monotonic_ns(), time.time_ns())
        self._report_events()
        self.flush()
        return used

    def flush(self) -> None:
        """Writes what is to be sent, closes if that is due, and sets the timer anew."""
        link = self.link
        if link is None:
            return
        self._send_waiting()
        output = self.session.output()
        if output:
            link.transport.write(output)
        if self.session.closing:
            link.transport.close()
            return
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.session.deadline
        if deadline is not None:
            delay = max(0, deadline - time.monotonic_ns()) / 1e9
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def logout(self) -> None:
        """Starts the logout handshake."""
        self.session.logout("broker stops", time.monotonic_ns(), time.time_ns())
        self.flush()

    def _tick(self) -> None:
        self.session.timer(time.monotonic_ns(), time.time_ns())
        self._report_events()
        self.flush()

    def _report_events(self) -> None:
        for event in self.session.take_events():
            if event.kind == "MESSAGE":
                self.take(event.data)
                continue
            self.told(event)
            text = event.data.decode("ascii", "replace")
            log.info(event.kind.lower(), session=":".join(self.identity), a=event.a, b=event.b, text=text)

    def send(self, msg_type: str, body: bytes) -> int:
        """MsgSeqNum of the reply; 0: it waits."""
        if not self._waiting:
            try:
                return self.session.send(msg_type, body, time.monotonic_ns(), time.time_ns())
            except SessionNotReady:
                pass
        self._waiting.append((msg_type, body))
        return 0

    def _send_waiting(self) -> None:
        while self._waiting and self.session.status == "READY":
            msg_type, body = self._waiting[0]
            try:
                self.session.send(msg_type, body, time.monotonic_ns(), time.time_ns())
            except SessionNotReady:  # no room just now
                return
            self._waiting.pop(0)


class Link(asyncio.Protocol):
    """One connection of a session."""

    transport: asyncio.Transport

    def __init__(self, arrival: Arrival[Counterparty], turned_away: Callable[[], None]) -> None:
        self._arrival = arrival
        self._turned_away = turned_away
        self._buffer = bytearray(arrival.received)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bytes can flow; some have come already."""
        self.transport = cast(asyncio.Transport, transport)
        if self._arrival.key.attach(self):
            self.data_received(b"")
        else:  # another was quicker
            self._turned_away()
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        self._buffer += data
        used = self._arrival.key.receive(self._buffer)
        del self._buffer[:used]

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._arrival.key.detach(self)
        self._arrival.ended()

    def eof_received(self) -> bool:
        """The other side closed: so do we."""
        return False


class Acceptor:
    """Accepts connections for its sessions until SIGTERM or SIGINT."""

    def __init__(
        self,
        addresses: list[Address],
        counterparties: list[Counterparty],
        settings: DoorSettings | None = None,
        templates: Sequence[Template[Counterparty]] = (),
    ) -> None:
        """Raises ConfigError: `settings` name a certificate or option that cannot be used."""
        self._addresses = addresses
        self._counterparties = list(counterparties)
        directory: Directory[Counterparty] = Directory()
        for counterparty in counterparties:
            directory.add(Names(*counterparty.identity), counterparty)
        for template in templates:
            directory.add_template(replace(template, make=self._kept(template.make)))
        self._door = Door(settings or DoorSettings(), directory, self._welcome)
        self._starting: set[asyncio.Task[object]] = set()

    def _kept(self, make: Callable[[Names], Counterparty]) -> Callable[[Names], Counterparty]:
        """A session of a template is looked after like any other."""

        def made(names: Names) -> Counterparty:
            counterparty = make(names)
            self._counterparties.append(counterparty)
            return counterparty

        return made

    def _welcome(self, arrival: Arrival[Counterparty]) -> bool:
        if not arrival.key.wants_connection:
            return False
        loop = asyncio.get_running_loop()
        start = loop.create_task(
            loop.connect_accepted_socket(lambda: Link(arrival, self._count_turned_away), arrival.socket)
        )
        self._starting.add(start)
        start.add_done_callback(lambda done: self._started(arrival, done))
        return True

    def _started(self, arrival: Arrival[Counterparty], start: asyncio.Task[object]) -> None:
        self._starting.discard(start)
        if start.cancelled() or start.exception() is not None:  # it was gone before it could be used
            arrival.socket.close()
            arrival.ended()

    def _count_turned_away(self) -> None:
        self._door.refused[Refusal.NOT_WELCOME] += 1

    async def run(self) -> None:
        """Serves. Prints each address when it listens. Raises GatewayError: cannot listen."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        for address in self._door.open(self._addresses):
            print(f"listening on {address}", flush=True)
        keeping = asyncio.create_task(self._keep_journals())
        await stopped.wait()
        keeping.cancel()
        await self._stop()

    async def _keep_journals(self) -> None:
        """The next segment of a journal is ready before the present one is full; what waited for it goes then."""
        while True:
            await asyncio.sleep(PREPARE_EVERY_S)
            for counterparty in self._counterparties:
                try:
                    counterparty.session.journal.prepare()
                except JournalError as error:
                    log.error("journal_failed", session=":".join(counterparty.identity), error=str(error))
                counterparty.flush()

    async def _stop(self) -> None:
        self._door.close()
        for counterparty in self._counterparties:
            counterparty.logout()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while any(c.link is not None for c in self._counterparties) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for counterparty in self._counterparties:
            counterparty.session.journal.close()
