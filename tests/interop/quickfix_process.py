"""A session of the quickfix package in a process of its own, for its binding does not survive being stopped.

Commands come as lines of JSON on standard input, [name, arguments...]; each is answered with one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import quickfix as fix

from gateway.fix.dictionary import APPLICATION_VERSIONS, TRANSPORT, VERSIONS

PUBLIC = Path(sys.prefix) / "share" / "quickfix"
SETTINGS = """\
[DEFAULT]
ConnectionType={kind}
SocketAcceptHost=127.0.0.1
SocketAcceptPort={port}
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
SocketReuseAddress=Y
SocketNodelay=Y
ReconnectInterval=1
HeartBtInt=30
LogonTimeout=5
LogoutTimeout=2
StartTime=00:00:00
EndTime=00:00:00
UseDataDictionary=Y
MillisecondsInTimeStamp=Y
ValidateUserDefinedFields=Y
{extra}

[SESSION]
BeginString={begin_string}
SenderCompID=THEIRS
TargetCompID=OURS
{dictionaries}
"""


def dictionaries(begin_string: str, appl_ver_id: str) -> str:
    """Settings that name the public dictionaries."""
    if begin_string != "FIXT.1.1":
        return f"DataDictionary={PUBLIC / VERSIONS[begin_string]}"
    return (
        f"DefaultApplVerID={appl_ver_id}\nTransportDataDictionary={PUBLIC / TRANSPORT}\n"
        f"AppDataDictionary={PUBLIC / APPLICATION_VERSIONS[appl_ver_id]}"
    )


class Peer(fix.Application):
    """quickfix's session; its callbacks come from quickfix's own threads."""

    def __init__(self, role: str, port: int, begin_string: str, appl_ver_id: str, extra: dict[str, str]) -> None:
        super().__init__()
        self.received: list[str] = []
        self.rejects: list[str] = []
        self.logons = 0
        self.logged_on = False
        self._begin_string = begin_string
        settings = SETTINGS.format(
            kind=role,
            port=port,
            begin_string=begin_string,
            dictionaries=dictionaries(begin_string, appl_ver_id),
            extra="\n".join(f"{key}={value}" for key, value in extra.items()),
        )
        with tempfile.TemporaryDirectory() as files:
            path = Path(files) / "settings.cfg"
            path.write_text(settings)
            self._settings = fix.SessionSettings(str(path))  # the engine keeps no reference of its own
        self._store = fix.FileStoreFactory(self._settings) if "FileStorePath" in extra else fix.MemoryStoreFactory()
        engine = fix.SocketAcceptor if role == "acceptor" else fix.SocketInitiator
        self._engine = engine(self, self._store, self._settings)
        self._session_id = fix.SessionID(begin_string, "THEIRS", "OURS")
        self._engine.start()

    @property
    def _session(self) -> fix.Session:
        return fix.Session.lookupSession(self._session_id)

    def state(self) -> dict[str, object]:
        """Everything a test wants to know."""
        return {
            "received": list(self.received),
            "rejects": list(self.rejects),
            "logons": self.logons,
            "logged_on": self.logged_on,
            "numbers": [self._session.getExpectedSenderNum(), self._session.getExpectedTargetNum()],
        }

    def set_next_sender(self, number: int) -> None:
        """MsgSeqNum of its next message."""
        self._session.setNextSenderMsgSeqNum(number)

    def logout(self, text: str) -> None:
        """Ends the session until `logon`."""
        self._session.logout(text)

    def logon(self) -> None:
        """May log on again."""
        self._session.logon()

    def send(self, text: str) -> None:
        """Sends a News (35=B) of one line."""
        message = fix.Message()
        message.getHeader().setField(fix.MsgType("B"))
        if self._begin_string != "FIX.4.0":
            message.setField(fix.Headline("news"))
        if self._begin_string in ("FIX.4.0", "FIX.4.1"):
            message.setField(fix.LinesOfText(1))
            message.setField(fix.Text(text))
        else:
            group = fix.Group(33, 58)
            group.setField(fix.Text(text))
            message.addGroup(group)
        fix.Session.sendToTarget(message, self._session_id)

    def onCreate(self, session_id: fix.SessionID) -> None:
        """A session was set up."""

    def onLogon(self, session_id: fix.SessionID) -> None:
        """Logged on."""
        self.logons += 1
        self.logged_on = True

    def onLogout(self, session_id: fix.SessionID) -> None:
        """Gone."""
        self.logged_on = False

    def toAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """A session message goes out."""
        self._note_reject(message)

    def fromAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """A session message came in."""
        self._note_reject(message)

    def toApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """An application message goes out."""

    def fromApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """An application message came in, in sequence."""
        self.received.append(message.toString().split("\x0158=")[1].split("\x01")[0])

    def _note_reject(self, message: fix.Message) -> None:
        if message.getHeader().getField(35) == "3":
            self.rejects.append(message.toString().replace("\x01", "|"))


def main() -> None:
    """Arguments: role, port, BeginString, ApplVerID, further settings as JSON."""
    role, port, begin_string, appl_ver_id, extra = sys.argv[1:]
    peer = Peer(role, int(port), begin_string, appl_ver_id, json.loads(extra))
    print(json.dumps("started"), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(peer, name)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
