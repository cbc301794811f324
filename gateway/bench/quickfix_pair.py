"""QuickFIX's own initiator and acceptor, each a process, with file stores and no logs, through its Python package.

`python -m gateway.bench.quickfix_pair PORT DIRECTORY` is the acceptor: it answers each NewOrderSingle with an
ExecutionReport. Imported only where the quickfix package is wanted.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import quickfix as fix

from gateway.demo.world import BEGIN_STRING, LOOPBACK, SENDER, TARGET, free_ports

ANSWER_TIMEOUT_S = 10.0
SETTINGS = """\
[DEFAULT]
ConnectionType={kind}
{place}
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=30
UseDataDictionary=N
SocketNodelay=Y
FileStorePath={store}
[SESSION]
BeginString={begin_string}
SenderCompID={sender}
TargetCompID={target}
"""
ORDER = {1: "ACCOUNT1", 21: "1", 55: "AAPL", 54: "1", 38: "100", 40: "2", 44: "190.25", 59: "0"}
EXECUTION = {
    37: "ORD0000001", 17: "EXEC0000001", 150: "F", 39: "2", 1: "ACCOUNT1", 55: "AAPL", 54: "1", 38: "100", 40: "2",
    44: "190.25", 59: "0", 32: "100", 31: "190.25", 30: "XNAS", 151: "0", 14: "100", 6: "190.25", 75: "20261121",
    60: "20261121-07:00:00.000", 21: "1",
}  # fmt: skip


class Application(fix.Application):  # type: ignore[misc]
    """What both sides share."""

    # ruff: noqa: D102 - the methods are QuickFIX's callbacks

    def onCreate(self, session_id: fix.SessionID) -> None: ...

    def onLogon(self, session_id: fix.SessionID) -> None: ...

    def onLogout(self, session_id: fix.SessionID) -> None: ...

    def toAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None: ...

    def fromAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None: ...

    def toApp(self, message: fix.Message, session_id: fix.SessionID) -> None: ...


class Broker(Application):
    """Answers at once."""

    def fromApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        answer = _message("8", EXECUTION)
        answer.setField(11, message.getField(11))
        fix.Session.sendToTarget(answer, session_id)


class Strategy(Application):
    """Hands over the time of each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.ready: queue.SimpleQueue[fix.SessionID] = queue.SimpleQueue()
        self.answered: queue.SimpleQueue[int] = queue.SimpleQueue()

    def onLogon(self, session_id: fix.SessionID) -> None:
        self.ready.put(session_id)

    def fromApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        self.answered.put(time.monotonic_ns())


def quickfix_round_trips(directory: Path, count: int, warm_up: int) -> list[int]:
    """ns from handing an order to the initiator to its application's callback with the execution, for each order."""
    (port,) = free_ports(1)
    acceptor = subprocess.Popen(
        [sys.executable, "-m", "gateway.bench.quickfix_pair", str(port), str(directory)], stdin=subprocess.PIPE
    )
    strategy = Strategy()
    place = f"SocketConnectHost={LOOPBACK}\nSocketConnectPort={port}\nReconnectInterval=1"
    initiator, _kept = _engine(fix.SocketInitiator, strategy, "initiator", place, directory, SENDER, TARGET)
    initiator.start()
    try:
        session_id = strategy.ready.get(timeout=ANSWER_TIMEOUT_S)
        elapsed = []
        for number in range(warm_up + count):
            order = _message("D", ORDER | {11: f"order-{number:09d}", 60: "20261121-07:00:00.000"})
            start = time.monotonic_ns()
            fix.Session.sendToTarget(order, session_id)
            elapsed.append(strategy.answered.get(timeout=ANSWER_TIMEOUT_S) - start)
    finally:
        initiator.stop()
        acceptor.communicate()
    return elapsed[warm_up:]


def _message(msg_type: str, fields: dict[int, str]) -> fix.Message:
    message = fix.Message()
    message.getHeader().setField(35, msg_type)
    for tag, value in fields.items():
        message.setField(tag, value)
    return message


def _engine(
    engine: Any, application: Application, kind: str, place: str, directory: Path, sender: str, target: str
) -> tuple[Any, tuple[Any, ...]]:
    """The engine, and what must outlive it."""
    path = directory / f"{kind}.cfg"
    store = directory / f"{kind}-store"
    path.write_text(
        SETTINGS.format(kind=kind, place=place, store=store, begin_string=BEGIN_STRING, sender=sender, target=target)
    )
    settings = fix.SessionSettings(str(path))
    stores = fix.FileStoreFactory(settings)
    return engine(application, stores, settings), (application, stores, settings)


def _serve(port: str, directory: str) -> None:
    place = f"SocketAcceptHost={LOOPBACK}\nSocketAcceptPort={port}\nSocketReuseAddress=Y"
    acceptor, _kept = _engine(fix.SocketAcceptor, Broker(), "acceptor", place, Path(directory), TARGET, SENDER)
    acceptor.start()
    sys.stdin.read()  # until the other side is done
    acceptor.stop()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
