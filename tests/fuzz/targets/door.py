"""The first bytes of an accepted connection, as they come in: refused or identified, once and for all."""

from __future__ import annotations

from typing import ClassVar

from gateway.wire.directory import Directory, Identity, Refusal, Template
from gateway.wire.firstmessage import Unfit, identify

MOST_BYTES = 512
US = ("FIX.4.4", "US")


def logon(sender: bytes = b"CLIENT", more: bytes = b"") -> bytes:
    body = b"35=A\x0149=" + sender + b"\x0156=US\x0134=1\x0152=20260101-00:00:00\x01" + more
    head = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
    return head + b"10=%03d\x01" % (sum(head) % 256)


class DoorTarget:
    """Bytes of one connection."""

    tokens: ClassVar[list[bytes]] = [
        b"8=FIX.4.4\x01",
        b"9=60\x01",
        b"35=A\x01",
        b"49=FUND1\x01",
        b"50=desk\x01",
        b"10=000\x01",
    ]

    def seeds(self) -> list[bytes]:
        """Logons, known and unknown, and the beginning of one."""
        return [logon(), logon(b"FUND7", b"50=desk\x01"), logon(more=b"58=" + b"x" * 400 + b"\x01"), logon()[:20]]

    def run(self, data: bytes) -> None:
        """Feeds it byte after byte, as a slow peer would, and all at once."""
        found = None
        for end in range(1, min(len(data), MOST_BYTES) + 1):
            found = identify(data[:end], MOST_BYTES)
            if found is not None:
                break
        assert found is not None or len(data) < MOST_BYTES
        whole = identify(data[:MOST_BYTES], MOST_BYTES) if data else None
        if isinstance(found, Identity):
            assert whole == found
        assert isinstance(whole, Unfit) or type(whole) is type(found)
        if isinstance(found, Identity):
            _check_directory(found)


def _check_directory(identity: Identity) -> None:
    directory: Directory[Identity] = Directory()
    directory.add(Identity(*US, "CLIENT"), Identity(*US, "CLIENT"))
    directory.add_template(Template(*US, "FUND*", 1, lambda made: made))
    first, second = directory.find(identity), directory.find(identity)
    assert first == second
    assert isinstance(first, Refusal) or first.basis == identity.basis
