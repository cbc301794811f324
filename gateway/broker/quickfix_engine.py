"""The broker simulator on the quickfix package: an independent counterparty. Imported only when it is asked for."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import quickfix as fix
import structlog

from gateway.broker.book import Outcome
from gateway.broker.ledger import Ledger
from gateway.broker.options import BrokerOptions, Desk, SessionId
from gateway.errors import GatewayError
from gateway.fix.fields import Fields, decode_fields

log = structlog.get_logger("broker")

LOGOUT_TIMEOUT_S = 2.0
HEADER = """\
[DEFAULT]
ConnectionType=acceptor
SocketAcceptHost={host}
SocketAcceptPort={port}
SocketReuseAddress=Y
SocketNodelay=Y
StartTime=00:00:00
EndTime=00:00:00
UseDataDictionary=N
CheckLatency=N
MillisecondsInTimeStamp=Y
ResetOnLogon={reset}
FileStorePath={store}

"""
SESSION = """\
[SESSION]
BeginString={0}
SenderCompID={1}
TargetCompID={2}

"""


class BrokerApplication(fix.Application):  # type: ignore[misc]
    """quickfix's callbacks, from its own threads: one message at a time."""

    def __init__(self, desks: dict[str, Desk]) -> None:
        super().__init__()
        self._desks = desks
        self._lock = threading.RLock()  # sending may end the session, which calls back

    def onCreate(self, session_id: fix.SessionID) -> None:
        """A session was set up."""

    def onLogon(self, session_id: fix.SessionID) -> None:
        """A session logged on."""
        log.info("logged_on", session=session_id.toString())

    def onLogout(self, session_id: fix.SessionID) -> None:
        """A session is gone."""
        log.info("logged_out", session=session_id.toString())
        desk = self._desks[session_id.toString()]
        with self._lock:
            outcome = desk.cancel_all()
            if outcome.replies:
                self._answer(session_id, desk, "", [], time.time_ns(), outcome)

    def toAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """A session message goes out."""

    def fromAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """A session message came in."""

    def toApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """An application message goes out."""

    def fromApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """An application message came in, in sequence."""
        received = time.time_ns()
        desk = self._desks[session_id.toString()]
        fields = decode_fields(message.toString().encode("latin-1"))
        msg_type = fields[2][1]
        with self._lock:
            self._answer(session_id, desk, msg_type, fields, received, desk.take(msg_type, fields))

    def _answer(
        self, session_id: fix.SessionID, desk: Desk, msg_type: str, fields: Fields, received: int, outcome: Outcome
    ) -> None:
        # Into the ledger first: a kill must lose nothing that was answered. All that sends is on the acceptor's thread.
        first = fix.Session.lookupSession(session_id).getExpectedSenderNum()
        desk.record(msg_type, fields, received, outcome, list(range(first, first + len(outcome.replies))))
        for reply in outcome.replies:
            answer = fix.Message()
            answer.getHeader().setField(fix.MsgType(reply.msg_type))
            for tag, value in reply.fields:
                answer.setField(int(tag), str(value))
            fix.Session.sendToTarget(answer, session_id)


def run_quickfix(options: BrokerOptions) -> None:
    """Serves until SIGTERM or SIGINT, then ends the process. Raises GatewayError: cannot listen, or the store cannot be
    used."""
    ledger = Ledger(options.ledger)
    desks = {fix.SessionID(*identity).toString(): Desk(identity, options, ledger) for identity in options.sessions}
    with tempfile.TemporaryDirectory() as scratch:
        store_path = options.store or Path(scratch) / "store"
        store_path.mkdir(parents=True, exist_ok=True)
        settings_file = Path(scratch) / "acceptor.cfg"
        settings_file.write_text(_settings(options, store_path))
        settings = fix.SessionSettings(str(settings_file))
        stores = fix.FileStoreFactory(settings) if options.store is not None else fix.MemoryStoreFactory()
        application = BrokerApplication(desks)
        try:
            acceptor = fix.SocketAcceptor(application, stores, settings)
            acceptor.start()
        except (fix.ConfigError, fix.RuntimeError) as error:
            raise GatewayError(f"cannot listen on {options.addresses[0]}: {error}") from None
        print(f"listening on {options.addresses[0]}", flush=True)
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        while not stopped.wait(0.1):
            pass
        _log_out(options)
    ledger.close()
    # The binding survives neither a stop nor the interpreter's end: now and then it would be a segmentation fault.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _log_out(options: BrokerOptions) -> None:
    """Asks each session to log out, which it does on the engine's own thread, and waits a while for it."""
    sessions = [fix.Session.lookupSession(fix.SessionID(*identity)) for identity in options.sessions]
    for session in sessions:
        session.logout("broker stops")
    deadline = time.monotonic() + LOGOUT_TIMEOUT_S
    while any(session.isLoggedOn() for session in sessions) and time.monotonic() < deadline:
        time.sleep(0.02)


def _settings(options: BrokerOptions, store: Path) -> str:
    text = HEADER.format(
        host=options.addresses[0].host,
        port=options.addresses[0].port,
        reset="Y" if options.reset_on_logon else "N",
        store=store,
    )
    return text + "".join(SESSION.format(*identity) for identity in options.sessions)


__all__ = ["BrokerApplication", "SessionId", "run_quickfix"]
