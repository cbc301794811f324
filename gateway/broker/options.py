"""What a broker simulator is told, whichever engine runs it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gateway.broker.book import Book, FillMode, Outcome
from gateway.broker.ledger import Ledger
from gateway.config.connections import Acceptor
from gateway.config.units import Address
from gateway.errors import ConfigError
from gateway.fix.fields import Fields, Tag
from gateway.native.encoder import utc_timestamp

BEGIN_STRINGS = ("FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1")


class SessionId(NamedTuple):
    """One session, from the broker's side."""

    begin_string: str
    sender_comp_id: str
    target_comp_id: str

    @classmethod
    def parse(cls, text: str) -> SessionId:
        """`FIX.4.4:BROKER:GATEWAY`: BeginString, the broker's CompID, the gateway's. Raises ConfigError."""
        parts = text.split(":")
        if len(parts) != 3 or not all(parts) or parts[0] not in BEGIN_STRINGS:
            raise ConfigError(
                f"--session: found {text!r}, allowed: BeginString:SenderCompID:TargetCompID, "
                "such as FIX.4.4:BROKER:GATEWAY"
            )
        return cls(*parts)


@dataclass(slots=True)
class BrokerOptions:
    """Options of both engines."""

    addresses: list[Address]
    sessions: list[SessionId]
    ledger: Path | None = None
    store: Path | None = None
    fill: FillMode = "model"
    reject_symbols: frozenset[str] = frozenset()
    seed: int = 1
    accept_duplicates: bool = False
    on_duplicate_connection: Literal["replace", "refuse"] = "replace"
    reset_on_logon: bool = False
    cancel_on_disconnect: bool = False
    door: Acceptor = field(default_factory=Acceptor)


@dataclass(slots=True)
class Desk:
    """The application behind one session: its book and its part of the ledger."""

    session: SessionId
    options: BrokerOptions
    ledger: Ledger
    book: Book = field(init=False)

    def __post_init__(self) -> None:
        self.book = Book(
            self.session.begin_string,
            f"{time.time_ns() // 1_000_000:x}",
            self.options.fill,
            self.options.reject_symbols,
            self.options.seed,
            self.options.accept_duplicates,
        )

    def take(self, msg_type: str, fields: Fields) -> Outcome:
        """Hands an application message to the book."""
        return self.book.take(msg_type, fields, self._transact_time())

    def cancel_all(self) -> Outcome:
        """The connection is lost: cancels every open order if that is the broker's policy."""
        if not self.options.cancel_on_disconnect:
            return Outcome("", "", False, [])
        return self.book.cancel_all(self._transact_time())

    def record(
        self, msg_type: str, fields: Fields, received_wall_ns: int, outcome: Outcome, numbers: list[int]
    ) -> None:
        """Writes the ledger's entry; `numbers` are the MsgSeqNums of the replies, 0 where unknown."""
        values = dict(reversed(fields))
        entry: dict[str, Any] = {
            "wall_ns": received_wall_ns,
            "session": ":".join(self.session),
            "seq": int(values.get(Tag.MSG_SEQ_NUM, 0)),
            "msg_type": msg_type,
            "poss_dup": values.get(Tag.POSS_DUP_FLAG) == "Y",
            "poss_resend": values.get(Tag.POSS_RESEND) == "Y",
            "cl_ord_id": outcome.cl_ord_id,
            "action": outcome.action,
            "processed": outcome.processed,
            "executions": [
                {"exec_id": reply.exec_id, "exec_type": reply.exec_type, "seq": number}
                for reply, number in zip(outcome.replies, numbers, strict=True)
                if reply.exec_id
            ],
        }
        self.ledger.write(entry)

    @staticmethod
    def _transact_time() -> str:
        return utc_timestamp(time.time_ns(), 3).decode()
