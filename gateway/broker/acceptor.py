"""Any number of accepted FIX sessions on one port, with asyncio: what the broker simulator's modes have in common.

Finds the session of a connection from its first message, carries bytes and time, and hands application messages to the
mode's own Counterparty. Knows nothing of orders.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from abc import ABC, abstractmethod
from typing import cast

import structlog

from gateway.errors import GatewayError, JournalError
from gateway.native.parser import parse
from gateway.native.session import Event, Session, SessionNotReady

log = structlog.get_logger("broker")

TAG_BEGIN_STRING, TAG_MSG_TYPE, TAG_SENDER, TAG_TARGET = 8, 35, 49, 56
FIRST_MESSAGE_BYTES = 4096
FIRST_MESSAGE_TIMEOUT_S = 5.0
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

    def attach(self, link: Link) -> bool:
        """Gives the session a connection. False: it has one, and keeps it."""
        if self.link is not None:
            if not self._replace_connection and not self.session.closing:
                return False
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
    """One TCP connection: finds its session from the first message, then carries bytes."""

    transport: asyncio.Transport

    def __init__(self, engine: Acceptor) -> None:
        self._engine = engine
        self._counterparty: Counterparty | None = None
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection was accepted."""
        self.transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._first_message_timer = asyncio.get_running_loop().call_later(FIRST_MESSAGE_TIMEOUT_S, self._too_late)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        self._buffer += data
        if self._counterparty is None and not self._find_session():
            return
        assert self._counterparty is not None
        used = self._counterparty.receive(self._buffer)
        del self._buffer[:used]

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._first_message_timer.cancel()
        if self._counterparty is not None:
            self._counterparty.detach(self)

    def eof_received(self) -> bool:
        """The other side closed: so do we."""
        return False

    def _find_session(self) -> bool:
        parsed = parse(bytes(self._buffer))
        if parsed.status == "INCOMPLETE" and len(self._buffer) < FIRST_MESSAGE_BYTES:
            return False
        values = {tag: value.decode("latin-1") for tag, value in reversed(parsed.fields)}
        identity = (values.get(TAG_BEGIN_STRING, ""), values.get(TAG_TARGET, ""), values.get(TAG_SENDER, ""))
        counterparty = self._engine.counterparties.get(identity) if parsed.msg_type == "A" else None
        if counterparty is None or not counterparty.attach(self):
            self._engine.refused += 1
            log.warning("refused", identity=":".join(identity), known=counterparty is not None)
            self.transport.close()
            return False
        self._first_message_timer.cancel()
        self._counterparty = counterparty
        return True

    def _too_late(self) -> None:
        if self._counterparty is None:
            self._engine.refused += 1
            self.transport.abort()


class Acceptor:
    """Accepts connections for its sessions until SIGTERM or SIGINT."""

    def __init__(self, host: str, port: int, counterparties: list[Counterparty]) -> None:
        self._host = host
        self._port = port
        self.refused = 0
        self.counterparties = {counterparty.identity: counterparty for counterparty in counterparties}

    async def run(self) -> None:
        """Serves. Prints the port when it listens. Raises GatewayError: cannot listen."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        try:
            server = await loop.create_server(lambda: Link(self), self._host, self._port)
        except OSError as error:
            raise GatewayError(f"cannot listen on {self._host}:{self._port}: {error.strerror}") from None
        print(f"listening on {self._host}:{server.sockets[0].getsockname()[1]}", flush=True)
        keeping = asyncio.create_task(self._keep_journals())
        await stopped.wait()
        keeping.cancel()
        await self._stop(server)

    async def _keep_journals(self) -> None:
        """The next segment of a journal is ready before the present one is full; what waited for it goes then."""
        while True:
            await asyncio.sleep(PREPARE_EVERY_S)
            for counterparty in self.counterparties.values():
                try:
                    counterparty.session.journal.prepare()
                except JournalError as error:
                    log.error("journal_failed", session=":".join(counterparty.identity), error=str(error))
                counterparty.flush()

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for counterparty in self.counterparties.values():
            counterparty.logout()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while any(c.link is not None for c in self.counterparties.values()) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for counterparty in self.counterparties.values():
            counterparty.session.journal.close()
