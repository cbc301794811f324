"""The audit: what must be true of the evidence, whoever tells it (DESIGN section 9). Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gateway.audit.evidence import EPOCH, FLAG_RESET, IN, OUT, STATE, Evidence, LogRecord

MAX_EXAMPLES = 5


@dataclass(slots=True)
class Finding:
    """One thing that must be zero."""

    name: str
    meaning: str
    examples: list[str]
    count: int

    @property
    def passed(self) -> bool:
        """Whether there is none of it."""
        return self.count == 0


@dataclass(slots=True)
class EpochChange:
    """MsgSeqNums on both sides of an EPOCH record."""

    epoch: int
    lsn: int
    primary: str
    last_out_before: int
    first_out_after: int


@dataclass(slots=True)
class AuditResult:
    """Counts, findings and changes of epoch."""

    submitted: int
    accepted: int
    rejected: int
    processed: int
    executions_sent: int
    executions_received: int
    findings: list[Finding] = field(default_factory=list)
    epochs: list[EpochChange] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every finding is zero."""
        return all(finding.passed for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "passed": self.passed,
            "submitted": self.submitted,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "processed_by_broker": self.processed,
            "executions_sent": self.executions_sent,
            "executions_received": self.executions_received,
            "findings": [
                {"name": f.name, "meaning": f.meaning, "count": f.count, "examples": f.examples} for f in self.findings
            ],
            "epochs": [
                {
                    "epoch": e.epoch,
                    "lsn": e.lsn,
                    "primary": e.primary,
                    "last_msg_seq_num_before": e.last_out_before,
                    "first_msg_seq_num_after": e.first_out_after,
                }
                for e in self.epochs
            ],
        }


def audit(evidence: Evidence) -> AuditResult:
    """Judges the evidence. Every finding of the result must have count 0."""
    client, broker = evidence.client, evidence.broker
    processed = Counter(order.cl_ord_id for order in broker.orders)
    accepted = {order.cl_ord_id for order in client.orders.values() if order.outcome == "accepted"}
    rejected = {order.cl_ord_id for order in client.orders.values() if order.outcome == "rejected"}
    told = {order.cl_ord_id for order in client.orders.values() if order.not_sent_again}
    sent, received = Counter(broker.exec_ids), Counter(client.exec_ids)
    logs = {node: journal.records for node, journal in evidence.journals.items()}
    longest = max(logs.values(), key=lambda log: log[-1].lsn if log else 0, default=[])
    result = AuditResult(
        len(client.orders),
        len(accepted),
        len(rejected),
        sum(processed.values()),
        sum(sent.values()),
        sum(received.values()),
        epochs=epoch_changes(longest),
    )
    result.findings = [
        _finding(
            "processed twice",
            "orders that the broker processed more than once",
            [cl for cl, count in processed.items() if count > 1],
        ),
        _finding(
            "lost",
            "orders that the broker never processed, though the client was told nothing but that they are accepted",
            sorted(accepted - processed.keys() - told),
        ),
        _finding(
            "unanswered",
            "orders that the client was told nothing of",
            [o.cl_ord_id for o in client.orders.values() if o.outcome == "none"],
        ),
        _finding(
            "rejected but processed",
            "orders that the client was told are rejected and the broker processed",
            sorted(rejected & processed.keys()),
        ),
        _finding(
            "unknown to the client",
            "orders that the broker processed and the client never submitted",
            sorted(processed.keys() - client.orders.keys()),
        ),
        _finding(
            "executions missed",
            "executions that the broker sent and the client did not get",
            sorted(sent.keys() - received.keys()),
        ),
        _finding(
            "executions doubled",
            "executions that the client got more than once",
            [exec_id for exec_id, count in received.items() if count > 1],
        ),
        _finding(
            "executions out of order",
            "executions that the client got after one that the broker sent later",
            [late for stream in client.streams or [client.exec_ids] for late in out_of_order(broker.exec_ids, stream)],
        ),
        _finding(
            "journals damaged",
            "journals of which a part is not what was written there",
            [f"node {node}: {journal.damage}" for node, journal in evidence.journals.items() if journal.damage],
        ),
        _finding(
            "journals differ",
            "records with the same LSN and epoch that are not the same in both journals",
            differing_records(list(logs.values())),
        ),
        _finding("numbers reused", "MsgSeqNums out that the log gives to two messages", reused_numbers(longest)),
        _finding(
            "numbers skipped",
            "MsgSeqNums out or in that the log leaves out without a record that says why",
            skipped_numbers(longest),
        ),
        _finding(
            "orders logged twice",
            "ClOrdIDs that the log numbers twice",
            [cl for cl, n in Counter(r.cl_ord_id for r in longest if r.cl_ord_id).items() if n > 1],
        ),
    ]
    return result


def out_of_order(sent: list[str], received: list[str]) -> list[str]:
    """ExecIDs received after one that was sent later (invariant 4); each counts where it came first."""
    place = {exec_id: number for number, exec_id in enumerate(sent)}
    late, newest = [], -1
    for exec_id in dict.fromkeys(received):
        number = place.get(exec_id, newest)
        if number < newest:
            late.append(exec_id)
        newest = max(newest, number)
    return late


def differing_records(journals: list[list[LogRecord]]) -> list[str]:
    """LSNs at which two journals have a record of the same epoch that differs (invariant 6)."""
    if len(journals) < 2:
        return []
    first, second = ({record.lsn: record for record in log} for log in journals[:2])
    return [
        f"LSN {lsn} of epoch {first[lsn].epoch}"
        for lsn in sorted(first.keys() & second.keys())
        if first[lsn].epoch == second[lsn].epoch and first[lsn].crc != second[lsn].crc
    ]


def reused_numbers(log: list[LogRecord]) -> list[str]:
    """(session, MsgSeqNum) pairs that two OUT records of one generation carry (invariant 2)."""
    seen: set[tuple[int, int, int]] = set()
    generation: Counter[int] = Counter()
    reused = []
    for record in log:
        if record.kind == STATE and record.flags & FLAG_RESET:
            generation[record.session] += 1
        elif record.kind == OUT:
            number = (record.session, generation[record.session], record.seq)
            if number in seen:
                reused.append(f"session {record.session}, MsgSeqNum {record.seq}")
            seen.add(number)
    return reused


def skipped_numbers(log: list[LogRecord]) -> list[str]:
    """Gaps in each session's MsgSeqNums. Numbers that an operator or an async takeover passes over are on record."""
    expected: dict[tuple[int, int], int] = {}
    skipped = []
    for record in log:
        if record.kind in (OUT, IN):
            # A log that begins later says nothing about what was before.
            due = expected.get((record.session, record.kind), 1 if log[0].lsn == 1 else record.seq)
            if record.seq > due:
                way = "out" if record.kind == OUT else "in"
                skipped.append(f"session {record.session}, MsgSeqNum {way} {due} to {record.seq - 1}")
        for kind, following in ((OUT, record.next_out), (IN, record.next_in)):
            if following:
                expected[record.session, kind] = following
    return skipped


def epoch_changes(log: list[LogRecord]) -> list[EpochChange]:
    """Each EPOCH record with the MsgSeqNum out of session 0 before and after it."""
    changes: list[EpochChange] = []
    last_out = 0
    for record in log:
        if record.kind == EPOCH:
            changes.append(EpochChange(record.epoch, record.lsn, "?", last_out, 0))
        elif record.kind == OUT and record.session == 0:
            last_out = record.seq
            if changes and not changes[-1].first_out_after:
                changes[-1].first_out_after = record.seq
    return changes


def _finding(name: str, meaning: str, examples: list[str]) -> Finding:
    return Finding(name, meaning, examples[:MAX_EXAMPLES], len(examples))
