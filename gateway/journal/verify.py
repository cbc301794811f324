"""Checks and sums up a journal without changing it, also beside a live node."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gateway.native import record as names
from gateway.native.journal import Journal, Record


@dataclass
class SessionSummary:
    """One session since its last reset. Numbers are MsgSeqNum (34)."""

    session: int
    resets: int = 0
    next_out: int = 1
    next_in: int = 1
    out_records: int = 0
    in_records: int = 0
    out_skipped: int = 0
    out_repeated: int = 0


@dataclass
class Summary:
    """What a journal holds, and what is wrong with it."""

    first_lsn: int = 0
    last_lsn: int = 0
    flushed_lsn: int = 0
    bytes: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    epochs: list[tuple[int, int, int]] = field(default_factory=list)  # epoch, first LSN, last LSN
    first_time_ns: int = 0
    last_time_ns: int = 0
    sessions: dict[int, SessionSummary] = field(default_factory=dict)
    torn_bytes: int = 0
    damage: str | None = None

    @property
    def sound(self) -> bool:
        """Nothing is damaged. A torn tail is none: opening the journal cuts it off and keeps it."""
        return self.damage is None


def summarize(journal: Journal) -> Summary:
    """Reads every record. CRC, LSNs and epochs were checked when the journal was opened: see `recovery.damage`."""
    summary = Summary(
        first_lsn=journal.first_lsn,
        last_lsn=journal.last_lsn,
        flushed_lsn=journal.flushed_lsn,
        torn_bytes=journal.recovery.truncated_bytes,
        damage=journal.recovery.damage,
    )
    kinds: Counter[str] = Counter()
    for record in journal.records():
        kinds[names.KIND_NAMES.get(record.kind, str(record.kind))] += 1
        _count(summary, record)
    summary.kinds = dict(kinds)
    return summary


def _count(summary: Summary, record: Record) -> None:
    summary.bytes += len(record.raw)
    summary.first_time_ns = summary.first_time_ns or record.time_ns
    summary.last_time_ns = record.time_ns or summary.last_time_ns
    if summary.epochs and summary.epochs[-1][0] == record.epoch:
        summary.epochs[-1] = (*summary.epochs[-1][:2], record.lsn)
    else:
        summary.epochs.append((record.epoch, record.lsn, record.lsn))
    if record.kind in (names.OUT, names.IN) or (record.kind == names.STATE and record.flags & names.RESET):
        _count_session(summary.sessions.setdefault(record.session, SessionSummary(record.session)), record)


def _count_session(session: SessionSummary, record: Record) -> None:
    if record.kind == names.STATE:
        session.resets += 1
        session.next_out = session.next_in = 1
    elif record.kind == names.OUT:
        session.out_records += 1
        if record.seq < session.next_out:
            session.out_repeated += 1
        else:
            session.out_skipped += record.seq - session.next_out
            session.next_out = record.seq + 1
    else:
        session.in_records += 1
        session.next_in = max(session.next_in, record.aux, record.seq + 1)
