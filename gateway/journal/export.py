"""Records as JSON objects, one a line: for people, spreadsheets, log systems. Passwords are masked."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.journal.fields import masked_fields
from gateway.native import record as names
from gateway.native.journal import Journal, Record

NS_PER_S = 1_000_000_000
STATE_NAMES = {1: "RESET", 2: "SET_SEQ", 3: "KILL", 4: "LIMITS", 5: "DOUBTS", 6: "RESEND"}
FLAG_NAMES = {
    names.APPLICATION: "APPLICATION",
    names.ORDER: "ORDER",
    names.POSS_DUP: "POSS_DUP",
    names.RESET: "RESET",
}


def export(journal: Journal, from_lsn: int = 1, to_lsn: int | None = None) -> Iterator[bytes]:
    """One line of JSON, with its line feed, for each record from `from_lsn` to `to_lsn` (None: the last one now)."""
    for record in journal.records(from_lsn):
        if to_lsn is not None and record.lsn > to_lsn:
            return
        yield orjson.dumps(as_object(record), option=orjson.OPT_APPEND_NEWLINE)


def as_object(record: Record) -> dict[str, Any]:
    """The record as export writes it: header, flags by name, and the payload as its kind has it."""
    return {
        "lsn": record.lsn,
        "epoch": record.epoch,
        "kind": names.KIND_NAMES.get(record.kind, str(record.kind)),
        "session": record.session,
        "seq": record.seq,
        "time": utc_text(record.time_ns),
        "client": record.client,
        "aux": record.aux,
        "flags": [name for bit, name in FLAG_NAMES.items() if record.flags & bit],
        **_payload(record),
    }


def utc_text(time_ns: int) -> str:
    """Nanoseconds since the Unix epoch as ISO 8601, UTC."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    except (OverflowError, ValueError, OSError):
        return f"{time_ns} ns"


def _payload(record: Record) -> dict[str, Any]:
    payload = record.payload
    if record.kind in (names.OUT, names.IN):
        return {"fields": masked_fields(payload)}
    if record.kind == names.STATE:
        return {"state": STATE_NAMES.get(record.aux, str(record.aux)), **_state(record)}
    if record.kind == names.REJECTED:
        clordid, text = _prefixed(payload)
        return {"clordid": _text(clordid), "text": _text(text)}
    if record.kind == names.DOUBT:
        clordid, rest = _prefixed(payload)
        kind = rest[1 : 1 + rest[0]] if rest else b""
        return {"clordid": _text(clordid), "msg_type": _text(kind), "fields": masked_fields(rest[1 + len(kind) :])}
    if record.kind == names.CHECKPOINT:
        key, value = _prefixed(payload)
        return {"key": _text(key), "value_bytes": len(value)}  # the client's own business
    return {}


def _state(record: Record) -> dict[str, Any]:
    payload = record.payload
    if record.aux == 2 and len(payload) >= 16:
        next_out, next_in = struct.unpack_from("<QQ", payload)
        return {"next_out": next_out, "next_in": next_in}
    if record.aux == 3 and payload:
        return {"killed": bool(payload[0])}
    return {"payload": payload.hex()}


def _prefixed(payload: bytes) -> tuple[bytes, bytes]:
    """What a length of 16 bits in front delimits, and the rest."""
    if len(payload) < 2:
        return b"", payload
    (length,) = struct.unpack_from("<H", payload)
    return payload[2 : 2 + length], payload[2 + length :]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
