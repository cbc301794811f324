"""Turns the node's notes into structured log lines. `at`: when it happened; `timestamp`: when it was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from gateway.native.node import DROP_NAMES, SESSION_EVENT_NAMES, Note
from gateway.native.role import Cause, RegisterOutcome, Release, State
from gateway.node.incident import utc_text

logger = structlog.get_logger("node")

WARNINGS = frozenset({"suspected", "truncation", "journal_full", "replication_stalled", "turned_away"})
SESSION_WARNINGS = frozenset({"GAP", "REJECT_SENT", "REJECT_RECEIVED", "GARBLED", "DISCONNECTED"})
# Values of SESSION_EVENT arguments that an operator can use, by event.
EVENT_ARGUMENTS = {
    "GAP": ("first_missing", "received"),
    "RESEND_REQUESTED": ("begin_seq_no", "end_seq_no"),
    "READY": ("messages_resent", "messages_gap_filled"),
    "REJECT_SENT": ("session_reject_reason", "ref_seq_num"),
    "REJECT_RECEIVED": ("ref_seq_num", None),
    "GARBLED": ("reason", "bytes_dropped"),
    "DISCONNECTED": ("reason", None),
    "STOPPED": ("reason", "expected_by_counterparty"),
    "RESET": ("generation", None),
}


# disconnect_reason of session.pxd.
DISCONNECT_REASONS = (
    "",
    "transport",
    "logon_timeout",
    "heartbeat_timeout",
    "logout",
    "logout_timeout",
    "logon_refused",
    "protocol",
)


# stop_reason of session.pxd.
STOP_REASONS = (
    "",
    "our MsgSeqNum is lower than the counterparty expects",
    "the counterparty's MsgSeqNum is lower than we expect",
    "by an operator",
)


def stop_text(note: Note) -> str | None:
    """Why a session stopped, in words; None if the note says something else."""
    if note.code != "session" or SESSION_EVENT_NAMES[note.a] != "STOPPED":
        return None
    text = note.text.decode("ascii", "replace")
    reason = STOP_REASONS[note.b] if note.b < len(STOP_REASONS) else f"reason {note.b}"
    return f"{reason} ({text})" if text else reason


BAD_MAC_REMEDY = (
    "give both nodes, and each receiver, the same secret (replication.key_file or key_env); if they have it, somebody "
    "else sends to this node's replication address: close it to other hosts"
)


# Of a switchover that is given up: while it is not known whether the register has it, and when it has it not.
UNDECIDED_REMEDY = (
    "the register has not answered and may have it done: `gateway status` says who is primary once it does"
)
GIVEN_UP_REMEDY = (
    "this node goes on as primary: its standby, or the register, was not there or too slow, see `gateway status` and "
    "both logs. When the standby is in sync again, say `gateway switchover` again"
)


# What b and c of a note are, by code; of others they are "lsn" and "value". An empty name: nothing for people.
NOTE_ARGUMENTS = {
    "suspected": ("", ""),
    "register_won": ("", ""),
    "stopped": ("", ""),
    "promoted": ("lsn", "epoch"),
    "following": ("lsn", "epoch"),
    "replication_stalled": ("lsn", "acknowledged"),
}


def log_note(note: Note, session_names: list[str], client_names: Sequence[str] = ()) -> None:
    """Writes one note as one line, at the level that fits it."""
    log = logger.bind(at=utc_text(note.wall_ns))
    if note.code == "role":
        log.warning(
            "role",
            state=State(note.a).name,
            epoch=note.b,
            release=Release(note.c >> 8).name,
            cause=Cause(note.c & 0xFF).name,
        )
    elif note.code == "session":
        _log_session(log, note, session_names)
    elif note.code in {"connecting", "connected", "disconnected", "first_order", "turned_away"}:
        write = log.warning if note.code in WARNINGS else log.info
        write(note.code, session=session_names[note.session], endpoint=note.a)
    elif note.code in {"in_doubt", "skipped_ahead"}:
        values = {"asked": note.a} if note.code == "in_doubt" else {"first_skipped": note.b, "next_out": note.c}
        log.warning(note.code, session=session_names[note.session], **values)
    elif note.code == "datagrams_dropped":
        _log_dropped(log, note)
    elif note.code == "not_passed_on" or (note.code == "truncation" and note.a):
        _log_failure(log, note, session_names)
    elif note.code in {"question_refused", "switchover_given_up"}:
        _log_for_an_operator(log, note)
    elif note.code == "reconciled":
        log.warning("reconciled", settled=note.b)
    elif note.code == "client":
        _log_client(log, note, client_names)
    elif note.code in {"tripwire", "peer"}:
        log.info(f"{note.code}_{'up' if note.a else 'down'}")
    elif note.code == "register":
        log.info("register", outcome=RegisterOutcome(note.a).name, version=note.b)
    elif note.code != "command_done":
        write = log.warning if note.code in WARNINGS else log.info
        named = zip(NOTE_ARGUMENTS.get(note.code, ("lsn", "value")), (note.b, note.c), strict=True)
        write(note.code, **{name: value for name, value in named if name})


def _log_client(log: Any, note: Note, client_names: Sequence[str]) -> None:
    if note.a == 2:
        log.warning("client_refused", reason="unknown client or wrong token, or this node stops")
        return
    name = client_names[note.b - 1] if 0 < note.b <= len(client_names) else note.b
    log.info(("client_gone", "client_logged_in")[note.a], client=name)


def _log_for_an_operator(log: Any, note: Note) -> None:
    if note.code == "question_refused":
        log.warning("question_refused", count=note.b, remedy="ask the counterparty, then send- or give-up-doubted")
        return
    log.warning("switchover_given_up", epoch=note.b, remedy=UNDECIDED_REMEDY if note.a else GIVEN_UP_REMEDY)


def _log_failure(log: Any, note: Note, session_names: list[str]) -> None:
    if note.code == "not_passed_on":
        log.error(
            "not_passed_on",
            session=session_names[note.session],
            lsn=note.b,
            bytes=note.c,
            remedy="its client was not told of it: `gateway journal inspect` shows the record",
        )
        return
    log.error(
        "truncation_failed",
        lsn=note.b,
        reason=note.text.decode(errors="replace"),
        remedy="this node cannot follow the primary before its disk can be written to; it goes on trying",
    )


def _log_dropped(log: Any, note: Note) -> None:
    reason = DROP_NAMES[note.a]
    if reason != "wrong_version":
        remedy = {"remedy": BAD_MAC_REMEDY} if reason == "bad_mac" else {}
        log.warning("datagrams_dropped", reason=reason, count=note.b, **remedy)
        return
    log.error(
        "peer_of_another_format",
        peer_version=note.c >> 8,
        own_version=note.c & 0xFF,
        count=note.b,
        remedy="the two nodes cannot replicate: run a version of the program on both that speaks the same one",
    )


def _log_session(log: Any, note: Note, session_names: list[str]) -> None:
    event = SESSION_EVENT_NAMES[note.a]
    values: dict[str, Any] = {"session": session_names[note.session]}
    named = zip(EVENT_ARGUMENTS.get(event, ()), (note.b, note.c), strict=False)
    values |= {name: value for name, value in named if name is not None}
    if event == "DISCONNECTED":
        values["reason"] = DISCONNECT_REASONS[note.b]
    if note.text:
        values["text"] = note.text.decode("ascii", "replace")
    if event == "STOPPED":
        log.error("session_stopped", **values)
    elif event in SESSION_WARNINGS:
        log.warning(f"session_{event.lower()}", **values)
    else:
        log.info(f"session_{event.lower()}", **values)
