"""What a killed broker had taken from a session but not written to its ledger; the session's journal knows it.

Without this, a kill between the two would look as if the gateway had lost an order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway.broker.ledger import read_ledger
from gateway.fix.fields import Tag, decode_fields
from gateway.native import record as names
from gateway.native.journal import Journal


@dataclass(slots=True)
class Unrecorded:
    """Messages to be handled now, oldest first, and the replies to the first of them that had been sent already."""

    received: list[bytes] = field(default_factory=list)
    sent: list[tuple[int, str]] = field(default_factory=list)  # MsgSeqNum, ExecID


def find_unrecorded(journal: Journal, ledger: Path, session: str) -> Unrecorded:
    """Compares the journal of `session` (BeginString:SenderCompID:TargetCompID) with the ledger."""
    last_seq = 0
    told: set[str] = set()
    for entry in read_ledger(ledger):
        if entry["session"] == session:
            last_seq = entry["seq"] or last_seq
            told.update(execution["exec_id"] for execution in entry["executions"])
    found = Unrecorded()
    for record in journal.records():
        if not record.flags & names.APPLICATION:
            continue
        if record.kind == names.IN and record.seq == last_seq:
            found = Unrecorded()
        elif record.kind == names.IN:
            found.received.append(record.payload)
        elif record.kind == names.OUT:
            exec_id = dict(decode_fields(record.payload)).get(Tag.EXEC_ID, "")
            if exec_id not in told:
                found.sent.append((record.seq, exec_id))
    return found
