"""Feeds a session what no counterparty should send, and looks at what must hold all the same."""

from __future__ import annotations

import random

from gateway.fix.builtin import CHECKS, builtin_dictionary
from gateway.native.parser import parse
from tests.support.sessions import Scripted, messages_in

ROUNDS_PER_SESSION = 300
TYPES = ["0", "1", "2", "3", "4", "5", "A", "8", "D", "j", "AE", "*", ""]
TAGS = [
    7,
    16,
    34,
    35,
    36,
    43,
    45,
    49,
    52,
    56,
    58,
    96,
    95,
    98,
    108,
    112,
    115,
    122,
    123,
    128,
    141,
    453,
    448,
    464,
    789,
    9999,
]
VALUES = [b"", b"Y", b"N", b"0", b"1", b"-1", b"5", b"999999", b"4294967295", b"4294967296", b"9" * 18, b"9" * 30, b"x"]
VALUES += [b"20231114-22:13:20", b"20991231-00:00:00.000", b"GW", b"BROKER", b"\x00\xff", b"a" * 5000, b"2", b"3"]
OWN = builtin_dictionary()


def session_of(chance: random.Random) -> Scripted:
    """A session of any kind."""
    role = chance.choice(["initiator", "acceptor"])
    options = {
        "logon_barrier": False,  # it would be answered by luck alone
        "send_next_expected": chance.random() < 0.3,
        "resend_chunk": chance.choice([0, 0, 3]),
        "sending_time_tolerance_ns": chance.choice([0, 120 * 10**9]),
        "reset_on_disconnect": chance.random() < 0.1,
    }
    if chance.random() < 0.5:
        options |= {"dictionary": OWN, "checks": CHECKS}
    return Scripted(role, chance.choice(["FIX.4.0", "FIX.4.2", "FIX.4.4", "FIXT.1.1"]), **options)


class Fuzzer:
    """One session, as `chance` has it; a number is a seed."""

    def __init__(self, chance: random.Random | int) -> None:
        self.random = random.Random(chance) if isinstance(chance, int) else chance

    def run_session(self) -> None:
        """One session from Logon to whatever end. AssertionError: something does not hold."""
        peer = session_of(self.random)
        watch = Watch(peer)
        for _ in range(ROUNDS_PER_SESSION):
            self.step(peer)
            watch.look()

    def step(self, peer: Scripted) -> None:
        """One thing happens."""
        chance = self.random
        what = chance.random()
        session = peer.session
        if session.status in ("DISCONNECTED", "STOPPED") or session.closing:
            session.disconnected(*peer.clock.now)
            if session.status == "STOPPED":
                session.resume()
            session.connected(*peer.clock.now)
            peer.seq = session.next_in
        elif session.status.startswith("LOGON") and what < 0.9:
            peer.say("A", b"98=0\x01108=30\x011137=9\x01789=%d\x01" % session.next_out, session.next_in)
        elif what < 0.35:
            peer.say(chance.choice(["0", "8", "j"]), b"11=a\x0137=a\x01", session.next_in + chance.choice([0, 0, 0, 1]))
        elif what < 0.7:
            data = b"".join(self.message(peer) for _ in range(chance.randint(1, 4)))
            peer.feed(self.damaged(data) if chance.random() < 0.2 else data)
        elif what < 0.8:
            peer.timer_after(chance.choice([0, 1, 31, 40, 80]))
        elif what < 0.9 and session.status == "READY":
            session.send("D", b"11=a\x01", *peer.clock.now, clordid=b"a")
        elif what < 0.92 and session.status == "READY":
            session.reset_online(*peer.clock.now) if peer.begin_string != "FIX.4.0" else None
        elif what < 0.95:
            session.disconnected(*peer.clock.now)

    def message(self, peer: Scripted) -> bytes:
        """Mostly what the session could expect; sometimes anything."""
        chance = self.random
        kind = chance.choice(TYPES)
        seq = chance.choice([peer.session.next_in] * 6 + [peer.session.next_in + 2, 1, 0, peer.seq, 10**12])
        body = b"".join(self.field() for _ in range(chance.randint(0, 5)))
        if kind == "A" and chance.random() < 0.8:
            body = b"98=0\x01108=30\x01" + chance.choice([b"", b"141=Y\x01", b"1137=9\x01", b"789=1\x01"])
        if kind == "4" and chance.random() < 0.8:
            number = peer.session.next_in + chance.choice([-1, 0, 1, 5])
            body = chance.choice([b"", b"123=Y\x01"]) + b"36=%d\x01" % max(number, 0)
        if kind == "2" and chance.random() < 0.8:
            body = b"7=%d\x0116=%d\x01" % (chance.randint(0, 9), chance.choice([0, 3, 999999]))
        return peer.message(kind, body, seq, dup=chance.random() < 0.2)

    def field(self) -> bytes:
        """One field, of any kind."""
        return b"%d=%s\x01" % (self.random.choice(TAGS), self.random.choice(VALUES))

    def damaged(self, data: bytes) -> bytes:
        """Cut, changed or doubled somewhere."""
        at = self.random.randrange(len(data))
        kind = self.random.randrange(4)
        if kind == 0:
            return data[:at]
        if kind == 1:
            return data[:at] + bytes([self.random.randrange(256)]) + data[at + 1 :]
        return data[:at] + data[at // 2 :] if kind == 2 else data[at:] + data


class Watch:
    """What must hold after every step."""

    def __init__(self, peer: Scripted) -> None:
        self._peer = peer
        self._next_out = peer.session.next_out
        self._generation = peer.session.generation

    def look(self) -> None:
        """Checks the output since the last time, and the numbers."""
        session = self._peer.session
        if session.generation != self._generation:
            self._generation = session.generation
            self._next_out = 1
        for raw in messages_in(session.output(None, *self._peer.clock.now)):
            found = parse(raw)
            assert 1 <= found.seq < session.next_out or found.msg_type == "A" or session.generation, raw
        assert session.next_out >= self._next_out
        assert 1 <= session.next_in <= 2**32
        assert session.deadline is None or session.deadline >= 0
        self._next_out = session.next_out
        self._peer.events.clear()
