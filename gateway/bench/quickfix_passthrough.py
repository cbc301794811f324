"""A gateway made of QuickFIX: `python -m gateway.bench.quickfix_passthrough LISTEN BROKER DIRECTORY STORE`.

Its acceptor takes orders from a client over FIX, its initiator sends them to the broker; executions go the other way.
One process, no pair, no log but its message store ("memory" or "file", which does not flush to the disk). It is a
program of its own because the quickfix package is not installed everywhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

import quickfix as fix

from gateway.bench.pairconfig import BEGIN_STRING, OMS, SENDER, TARGET
from gateway.bench.processes import LOOPBACK
from gateway.bench.quickfix_pair import Application

SETTINGS = """\
[DEFAULT]
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=3600
UseDataDictionary=N
SocketNodelay=Y
FileStorePath={store}
BeginString={begin_string}
SenderCompID={sender}
[SESSION]
{place}
"""


class Relay(Application):
    """Passes on what comes to the session of the other one."""

    def __init__(self, target: fix.SessionID) -> None:
        super().__init__()
        self._target = target

    def fromApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """An application message came."""
        fix.Session.sendToTarget(message, self._target)


def serve(listen: str, broker: str, directory: Path, store: str) -> None:
    """Runs until standard input ends."""
    to_broker = fix.SessionID(BEGIN_STRING, SENDER, TARGET)
    to_client = fix.SessionID(BEGIN_STRING, SENDER, OMS)
    initiator = f"ConnectionType=initiator\nTargetCompID={TARGET}\nSocketConnectHost={LOOPBACK}\n"
    initiator += f"SocketConnectPort={broker}\nReconnectInterval=1"
    acceptor = f"ConnectionType=acceptor\nTargetCompID={OMS}\nSocketAcceptHost={LOOPBACK}\n"
    acceptor += f"SocketAcceptPort={listen}\nSocketReuseAddress=Y"
    engines, kept = [], []
    for kind, place, target in (("SocketInitiator", initiator, to_client), ("SocketAcceptor", acceptor, to_broker)):
        path = directory / f"{kind}.cfg"
        path.write_text(
            SETTINGS.format(store=directory / f"{kind}-store", begin_string=BEGIN_STRING, sender=SENDER, place=place)
        )
        settings = fix.SessionSettings(str(path))
        stores = fix.FileStoreFactory(settings) if store == "file" else fix.MemoryStoreFactory()
        application = Relay(target)
        engines.append(getattr(fix, kind)(application, stores, settings))
        kept.append((application, stores, settings))  # the engines hold no references to them
    for engine in engines:
        engine.start()
    sys.stdin.read()
    for engine in engines:
        engine.stop(True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
