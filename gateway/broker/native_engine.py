"""The broker simulator on the gateway's own session core, with asyncio."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from typing import cast

import structlog

from gateway.broker.book import Outcome
from gateway.broker.ledger import Ledger
from gateway.broker.options import BrokerOptions, Desk, SessionId
from gateway.broker.unrecorded import Unrecorded, find_unrecorded
from gateway.errors import GatewayError
from gateway.fix.fields import Fields, decode_fields, encode_body
from gateway.native.journal import Journal
from gateway.native.parser import parse
from gateway.native.session import Session, SessionNotReady

log = structlog.get_logger("broker")

TAG_BEGIN_STRING, TAG_MSG_TYPE, TAG_SENDER, TAG_TARGET = 8, 35, 49, 56
FIRST_MESSAGE_BYTES = 4096
FIRST_MESSAGE_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 2.0


class Counterparty:
    """One FIX session of the broker, over whatever connection it has at present."""

    def __init__(self, identity: SessionId, index: int, options: BrokerOptions, ledger: Ledger) -> None:
        self.identity = identity
        self.desk = Desk(identity, options, ledger)
        self._options = options
        store = None if options.store is None else options.store / "-".join(identity).replace("/", "_")
        journal = Journal.memory(max_sessions=1) if store is None else Journal.open(store, max_sessions=1)
        self.session = Session(
            journal,
            role="acceptor",
            begin_string=identity.begin_string,
            sender_comp_id=identity.sender_comp_id,
            target_comp_id=identity.target_comp_id,
            reset_on_logon=options.reset_on_logon,
        )
        self.link: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Replies that could not be numbered yet (a resend is being answered): they go first when that is over.
        self._waiting: list[tuple[str, bytes]] = []
        if store is not None and options.ledger is not None:
            self._record_rest(find_unrecorded(journal, options.ledger, ":".join(identity)))

    def attach(self, link: Link) -> bool:
        """Gives the session a connection. False: it has one, and keeps it."""
        if self.link is not None:
            if self._options.on_duplicate_connection == "refuse":
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
        outcome = self.desk.cancel_all()
        if outcome.replies:
            self._answer("", [], time.time_ns(), outcome)

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
                self._take(event.data)
            else:
                log.info(
                    event.kind.lower(),
                    session=":".join(self.identity),
                    a=event.a,
                    b=event.b,
                    text=event.data.decode("ascii", "replace"),
                )

    def _take(self, message: bytes) -> None:
        received = time.time_ns()
        fields = decode_fields(message)
        msg_type = fields[2][1]
        self._answer(msg_type, fields, received, self.desk.take(msg_type, fields))

    def _answer(self, msg_type: str, fields: Fields, received_wall_ns: int, outcome: Outcome) -> None:
        numbers = [self._send(reply.msg_type, encode_body(reply.fields)) for reply in outcome.replies]
        self.desk.record(msg_type, fields, received_wall_ns, outcome, numbers)

    def _record_rest(self, rest: Unrecorded) -> None:
        """Handles what an earlier run took but did not finish: replies that were sent keep their ExecIDs."""
        sent = rest.sent
        for message in rest.received:
            fields = decode_fields(message)
            msg_type = fields[2][1]
            outcome = self.desk.take(msg_type, fields)
            for reply, (_, exec_id) in zip(outcome.replies, sent, strict=False):
                reply.exec_id = exec_id if reply.exec_id else ""
            numbers = [number for number, _ in sent][: len(outcome.replies)]
            unsent = outcome.replies[len(numbers) :]
            numbers += [self._send(reply.msg_type, encode_body(reply.fields)) for reply in unsent]
            self.desk.record(msg_type, fields, time.time_ns(), outcome, numbers)
            sent = []

    def _send(self, msg_type: str, body: bytes) -> int:
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
            msg_type, body = self._waiting.pop(0)
            self.session.send(msg_type, body, time.monotonic_ns(), time.time_ns())


class Link(asyncio.Protocol):
    """One TCP connection: finds its session from the first message, then carries bytes."""

    transport: asyncio.Transport

    def __init__(self, engine: NativeEngine) -> None:
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
            self.transport.abort()
            return False
        self._first_message_timer.cancel()
        self._counterparty = counterparty
        return True

    def _too_late(self) -> None:
        if self._counterparty is None:
            self._engine.refused += 1
            self.transport.abort()


class NativeEngine:
    """Accepts connections for its sessions until `stop`."""

    def __init__(self, options: BrokerOptions) -> None:
        self._options = options
        self._ledger = Ledger(options.ledger)
        self.refused = 0
        self.counterparties: dict[tuple[str, str, str], Counterparty] = {
            tuple(identity): Counterparty(identity, index, options, self._ledger)  # type: ignore[misc]
            for index, identity in enumerate(options.sessions)
        }

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT. Prints the port when it listens. Raises GatewayError: cannot listen."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        try:
            server = await loop.create_server(lambda: Link(self), self._options.host, self._options.port)
        except OSError as error:
            raise GatewayError(
                f"cannot listen on {self._options.host}:{self._options.port}: {error.strerror}"
            ) from None
        print(f"listening on {self._options.host}:{server.sockets[0].getsockname()[1]}", flush=True)
        await stopped.wait()
        await self._stop(server)

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for counterparty in self.counterparties.values():
            counterparty.logout()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while any(c.link is not None for c in self.counterparties.values()) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for counterparty in self.counterparties.values():
            counterparty.session.journal.close()
        self._ledger.close()
