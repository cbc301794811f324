"""A FIX session: what a counterparty sends, chosen by the input; or the input itself, as messages and as mere bytes."""

from __future__ import annotations

import random
import struct
from typing import ClassVar

from tests.fuzz.fixtext import TOKENS, repaired
from tests.fuzz.session import Fuzzer, Watch, session_of

CHOSEN, SENT, SENT_REPAIRED = range(3)
MAX_MESSAGES = 100


class Choices(random.Random):
    """Draws from the input first, so that a changed byte changes one choice; then from a generator that it seeds."""

    def __init__(self, data: bytes) -> None:
        super().__init__(int.from_bytes(data[:8], "little"))
        self._data = data
        self._at = 0

    def _take(self, count: int) -> int | None:
        if self._at + count > len(self._data):
            return None
        taken = self._data[self._at : self._at + count]
        self._at += count
        return int.from_bytes(taken, "little")

    def random(self) -> float:
        """In [0, 1)."""
        taken = self._take(2)
        return super().random() if taken is None else taken / 65536

    def getrandbits(self, k: int) -> int:
        """So many bits."""
        taken = self._take((k + 7) // 8)
        return super().getrandbits(k) if taken is None else taken & (1 << k) - 1


class SessionTarget:
    """The first byte says which way the rest is taken."""

    tokens: ClassVar[list[bytes]] = TOKENS

    def seeds(self) -> list[bytes]:
        """Seeds of the generator, and conversations."""
        heartbeat = b"8=FIX.4.4\x019=0\x0135=0\x0149=BROKER\x0156=GW\x0134=%d\x0152=20231114-22:13:20.000\x0110=0\x01"
        resend = heartbeat.replace(b"35=0", b"35=2").replace(b"10=0", b"7=1\x0116=0\x0110=0")
        fill = heartbeat.replace(b"35=0", b"35=4").replace(b"10=0", b"123=Y\x0136=9\x0110=0")
        report = heartbeat.replace(b"35=0", b"35=8").replace(b"10=0", b"37=a\x0117=b\x01150=0\x0139=0\x0110=0")
        talk = heartbeat % 2 + report % 3 + resend % 4 + fill % 5 + report % 12
        seeds = [bytes([CHOSEN]) + struct.pack("<Q", seed) for seed in range(8)]
        return (
            seeds + [bytes([SENT_REPAIRED, option]) + talk for option in range(4)] + [bytes([SENT, 0]) + repaired(talk)]
        )

    def run(self, data: bytes) -> None:
        """One session. AssertionError when something does not hold."""
        kind = data[0] % 3 if data else 0
        if kind == CHOSEN:
            Fuzzer(Choices(data[1:])).run_session()
            return
        peer = session_of(random.Random(data[1] if len(data) > 1 else 0)).logged_on()
        watch = Watch(peer)
        rest = repaired(data[2:]) if kind == SENT_REPAIRED else data[2:]
        for _ in range(MAX_MESSAGES):
            used = peer.session.receive(rest, *peer.clock.now)
            assert 0 <= used <= len(rest)
            watch.look()
            if used == 0 or peer.session.closing:
                break
            rest = rest[used:]
        peer.timer_after(31)
        watch.look()
        peer.session.disconnected(*peer.clock.now)
