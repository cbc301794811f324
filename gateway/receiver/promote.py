"""Makes a node's journal of a disaster-recovery receiver's: an operator's last resort when the pair is gone.

The receiver was never waited for: what it does not hold may have been sent, and filled. The copy is a new journal of
the node; the receiver's stays as it is. The node that runs on it still waits for `gateway act-alone`, which makes its
sessions skip numbers ahead, so that no number is used twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import Config
from gateway.errors import GatewayError
from gateway.journal.verify import Summary, summarize
from gateway.native.journal import Journal
from gateway.receiver.process import open_journal, section_of
from gateway.receiver.seen import Seen, read_seen

NODE_INDEX = {"a": 0, "b": 1}


@dataclass(frozen=True)
class Loss:
    """What a promotion would go on from, and what it may lack."""

    held: Summary
    seen: Seen | None
    session_names: list[str]

    @property
    def records_known_missing(self) -> int:
        """Records that the primary is known to have had, and this log has not."""
        return max(0, self.seen.log_end_lsn - self.held.last_lsn) if self.seen is not None else 0

    def text(self) -> str:
        """For the operator."""
        epoch = self.held.epochs[-1][0] if self.held.epochs else 0
        lines = [f"holds the log up to LSN {self.held.last_lsn} of epoch {epoch}"]
        if self.seen is None:
            lines.append("never heard of a primary: nobody knows what is missing")
        else:
            heard = f"{datetime.fromtimestamp(self.seen.heard_wall_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
            lines += [
                f"node {self.seen.node}, primary of epoch {self.seen.epoch}, was last heard at {heard}",
                f"its log then went to LSN {self.seen.log_end_lsn}, released to {self.seen.released_lsn}",
                f"known to be missing: {self.records_known_missing} records",
            ]
        lines.append("what the pair did after that is not known here: orders may have been sent, filled or canceled")
        for number, session in sorted(self.held.sessions.items()):
            name = self.session_names[number] if number < len(self.session_names) else str(number)
            lines.append(f"session {name}: next MsgSeqNum out {session.next_out}, in {session.next_in}")
        return "\n".join(lines)


def assess(config: Config, name: str) -> Loss:
    """Raises GatewayError: not a disaster-recovery receiver, still running, or its journal is damaged."""
    index, section = section_of(config, name)
    if section.kind != "disaster-recovery":
        raise GatewayError(f"receiver {name!r} is a {section.kind}: only a disaster-recovery receiver can be promoted")
    if not (section.data_dir / "journal").is_dir():
        raise GatewayError(f"{section.data_dir / 'journal'}: is not there; this must run on the receiver's host")
    with open_journal(config, section, index) as journal:  # for writing: a receiver that runs holds the lock
        held = summarize(journal)
    if not held.sound:
        raise GatewayError(f"{section.data_dir / 'journal'}: {held.damage}")
    if held.last_lsn == 0:
        raise GatewayError(f"receiver {name!r} holds nothing: there is nothing to go on from")
    return Loss(held, read_seen(section.data_dir), [session.name for session in config.session])


def promote(config: Config, name: str, node: str) -> Path:
    """Copies the log into a new journal of `node`; its path. Raises GatewayError: there is one already."""
    index, section = section_of(config, name)
    target: Path = config.node[node].data_dir / "journal"  # type: ignore[index]
    if target.exists():
        raise GatewayError(f"{target}: is there already; a promotion makes a new journal: move that one away first")
    making = target.with_name("journal.promoting")
    if making.exists():
        raise GatewayError(f"{making}: was left by a promotion that did not finish: remove it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        open_journal(config, section, index) as source,
        Journal.open(
            making, node=NODE_INDEX[node], pair_id=config.pair.id, segment_bytes=config.journal.segment_bytes
        ) as copy,
    ):
        for record in source.records():
            copy.append_raw(record.raw)
        copy.flush()
        if copy.last_lsn != source.last_lsn:
            raise GatewayError(f"{making}: ends at LSN {copy.last_lsn}, not at {source.last_lsn}")
    making.rename(target)
    return target
