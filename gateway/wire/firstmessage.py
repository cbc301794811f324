"""What the first bytes of an accepted connection say. Pure: no I/O, no time."""

from __future__ import annotations

from typing import NamedTuple

from gateway.native.parser import parse
from gateway.wire.directory import Identity, Refusal

START = b"8=FIX"
LOGON = "A"


class Unfit(NamedTuple):
    """The connection is to be refused."""

    reason: Refusal
    detail: str


def identify(data: bytes, most_bytes: int) -> Identity | Unfit | None:
    """The session that the first message is for, once the whole of it is there; None: more bytes are needed. A first
    message, or what pretends to be one, has at most `most_bytes`."""
    if not START.startswith(data[: len(START)]):
        return Unfit(Refusal.GARBLED, "BEGIN_STRING")
    parsed = parse(data, max_message_bytes=most_bytes)
    if parsed.status == "INCOMPLETE":
        return Unfit(Refusal.TOO_LARGE, "") if len(data) >= most_bytes else None
    if parsed.status != "OK":
        return Unfit(Refusal.TOO_LARGE if parsed.reason == "TOO_LONG" else Refusal.GARBLED, parsed.reason)
    if parsed.msg_type != LOGON:
        return Unfit(Refusal.NOT_LOGON, parsed.msg_type)
    return Identity.of_logon(dict(reversed(parsed.fields)))  # of a field that is there twice, the first
