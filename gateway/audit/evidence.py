"""What the parties say happened, each in its own words, brought into one shape. Reads files, judges nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from gateway.broker.ledger import read_ledger
from gateway.native.journal import Journal, Record

# record_kind, record_flag and state_kind of record.pxd
OUT, IN, REJECTED, STATE, EPOCH = 1, 2, 3, 4, 5
FLAG_ORDER = 2
FLAG_RESET = 8
STATE_SET_SEQ = 2
NEXT_NUMBERS = struct.Struct("<QQ")  # payload of STATE_SET_SEQ: out, in


@dataclass(slots=True)
class ClientOrder:
    """One submission as the client saw it."""

    cl_ord_id: str
    submitted_wall_ns: int
    outcome: str = "none"  # accepted, rejected, none
    accepted_seq: int = 0
    outcome_wall_ns: int = 0
    first_execution_wall_ns: int = 0
    not_sent_again: bool = False  # told that a takeover filled its number


@dataclass(slots=True)
class ClientEvidence:
    """The client's record: its submissions and the executions it was given, in order. Of several clients together:
    `streams` has what each was given.
    """

    orders: dict[str, ClientOrder] = field(default_factory=dict)
    exec_ids: list[str] = field(default_factory=list)
    streams: list[list[str]] = field(default_factory=list)


@dataclass(slots=True)
class BrokerOrder:
    """One order that the broker's application processed."""

    cl_ord_id: str
    seq: int
    wall_ns: int


@dataclass(slots=True)
class BrokerEvidence:
    """The broker's ledger: every order it processed, in order, and every execution it reported."""

    orders: list[BrokerOrder] = field(default_factory=list)
    exec_ids: list[str] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class LogRecord:
    """The part of a log record that an audit looks at."""

    lsn: int
    epoch: int
    kind: int
    flags: int
    session: int
    seq: int
    crc: int
    cl_ord_id: str = ""
    next_out: int = 0  # what the record says comes next; 0: nothing
    next_in: int = 0


@dataclass(slots=True)
class JournalEvidence:
    """One node's log, as far as it is sound."""

    records: list[LogRecord]
    damage: str = ""  # what is wrong with the rest


@dataclass(slots=True)
class Evidence:
    """All of it."""

    client: ClientEvidence
    broker: BrokerEvidence
    journals: dict[str, JournalEvidence]


def read_client_record(lines: Iterable[bytes]) -> ClientEvidence:
    """The client's record as written by `gateway.audit.record.ClientRecorder`: one JSON object a line."""
    evidence = ClientEvidence()
    for line in lines:
        entry = orjson.loads(line)
        what = entry["what"]
        if what == "execution":
            evidence.exec_ids.append(entry["exec_id"])
            order = evidence.orders.get(entry["cl_ord_id"])
            if order is not None and not order.first_execution_wall_ns:
                order.first_execution_wall_ns = entry["wall_ns"]
            continue
        cl_ord_id = entry["cl_ord_id"]
        if what == "submitted":
            evidence.orders.setdefault(cl_ord_id, ClientOrder(cl_ord_id, entry["wall_ns"]))
        elif what == "not_sent_again":
            evidence.orders[cl_ord_id].not_sent_again = True
        else:
            order = evidence.orders[cl_ord_id]
            order.outcome = what
            order.outcome_wall_ns = entry["wall_ns"]
            order.accepted_seq = entry.get("seq", 0)
    return evidence


def merge_clients(clients: Iterable[ClientEvidence]) -> ClientEvidence:
    """The records of several clients, whose ClOrdIDs differ, as one."""
    merged = ClientEvidence()
    for client in clients:
        merged.orders |= client.orders
        merged.exec_ids += client.exec_ids
        merged.streams.append(client.exec_ids)
    return merged


def read_journal(path: Path) -> JournalEvidence:
    """Every record of a journal directory, without taking its lock."""
    with Journal.open(path, read_only=True) as journal:
        return JournalEvidence([_log_record(record) for record in journal.records()], journal.recovery.damage or "")


def read_diverged(path: Path) -> list[LogRecord]:
    """Records that a returning node put aside, because the pair had gone on without them; of a journal directory."""
    records: list[LogRecord] = []
    for file in sorted(path.glob("diverged-*.log")):
        with Journal.open(file, read_only=True) as journal:
            records += [_log_record(record) for record in journal.records()]
    return records


def _log_record(record: Record) -> LogRecord:
    cl_ord_id, next_out, next_in = "", 0, 0
    if record.kind == OUT:
        next_out = record.seq + 1
        if record.flags & FLAG_ORDER:
            offset, length = record.aux >> 16, record.aux & 0xFFFF
            cl_ord_id = record.payload[offset : offset + length].decode("ascii", "replace")
    elif record.kind == IN:
        next_in = record.aux
    elif record.kind == STATE and record.flags & FLAG_RESET:
        next_out = next_in = 1
    elif record.kind == STATE and record.aux == STATE_SET_SEQ:
        next_out, next_in = NEXT_NUMBERS.unpack_from(record.payload)
    return LogRecord(
        record.lsn,
        record.epoch,
        record.kind,
        record.flags,
        record.session,
        record.seq,
        record.crc,
        cl_ord_id,
        next_out,
        next_in,
    )


def read_broker(path: Path) -> BrokerEvidence:
    """The broker simulator's ledger."""
    evidence = BrokerEvidence()
    for entry in read_ledger(path):
        if entry["processed"]:
            evidence.orders.append(BrokerOrder(entry["cl_ord_id"], entry["seq"], entry["wall_ns"]))
        evidence.exec_ids.extend(execution["exec_id"] for execution in entry.get("executions", ()))
    return evidence
