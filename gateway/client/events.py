"""What a strategy is told, as small objects. Depends on nothing but the codec of a FIX body.

Every object that concerns a FIX session carries the session's name as the gateway's configuration spells it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.native.clientwire import ErrorCode, FateKind, RejectReason, SessionStatus

SOH = b"\x01"
# Length field -> the data field behind it, whose value may hold SOH (FIX 4.4 volume 6).
DATA_FIELDS = {
    b"90": b"91", b"93": b"89", b"95": b"96", b"212": b"213", b"348": b"349", b"350": b"351", b"352": b"353",
    b"354": b"355", b"356": b"357", b"358": b"359", b"360": b"361", b"362": b"363", b"364": b"365", b"445": b"446",
    b"618": b"619", b"621": b"622",
}  # fmt: skip


@dataclass(slots=True, eq=False)
class Message:
    """A FIX message of the counterparty, delivered once. (session, generation, seq) is its position for ever."""

    session: str
    generation: int
    seq: int  # MsgSeqNum (34)
    poss_dup: bool  # it came with PossDupFlag (43)=Y, since it was asked for again
    raw: bytes = field(repr=False)  # as received, BeginString to CheckSum
    index: int = field(repr=False)  # of the session in the gateway's configuration
    _fields: dict[int, str] | None = field(default=None, repr=False)

    @property
    def fields(self) -> dict[int, str]:
        """Tag -> value; of a repeated tag (a group's) the first one. `pairs()` gives all, in order."""
        if self._fields is None:
            first: dict[int, str] = {}
            for tag, value in self.pairs():
                first.setdefault(tag, value.decode("latin-1"))
            self._fields = first
        return self._fields

    def pairs(self) -> list[tuple[int, bytes]]:
        """Every field in the order of the message, header and trailer included."""
        return split_fields(self.raw)

    def get(self, tag: int) -> str | None:
        """Value of the first field with this tag, None if there is none."""
        return self.fields.get(tag)

    @property
    def msg_type(self) -> str:
        """MsgType (35), e.g. "8" for an ExecutionReport."""
        return self.fields.get(35, "")


@dataclass(slots=True, frozen=True)
class Fate:
    """An accepted order after a reconnection to its counterparty: RESENT under its number, or GAP_FILLED.

    GAP_FILLED means that it was not sent again: whether the counterparty has it, an OrderStatusRequest (35=H) tells.
    """

    session: str
    generation: int
    seq: int
    kind: FateKind
    cl_ord_id: str


@dataclass(slots=True, frozen=True)
class SessionState:
    """A FIX session's state changed. Orders get their numbers while it is READY."""

    session: str
    generation: int
    status: SessionStatus
    next_out: int  # MsgSeqNum of the gateway's next message


@dataclass(slots=True, frozen=True)
class Connected:
    """A primary has taken this client on; what was pending has been handed to it again."""

    node: int  # 0 for a, 1 for b
    address: str
    epoch: int
    sessions: tuple[SessionState, ...]


@dataclass(slots=True, frozen=True)
class Disconnected:
    """No primary now. Submissions are kept, and handed in at the next Connected."""

    address: str
    reason: str


@dataclass(slots=True, frozen=True)
class Refused:
    """A refusal that belongs to no pending submission: of a message sent without a promise (status requests, ...)."""

    session: str
    cl_ord_id: str
    reason: RejectReason | int
    text: str


@dataclass(slots=True, frozen=True)
class NodeComplaint:
    """A node closed the connection and said why."""

    address: str
    code: ErrorCode | int
    text: str


Event = Message | Fate | SessionState | Connected | Disconnected | Refused | NodeComplaint


def split_fields(raw: bytes) -> list[tuple[int, bytes]]:
    """FIX bytes as (tag, value) pairs. Data fields are taken by their length. Raises ValueError if it is not FIX."""
    pairs: list[tuple[int, bytes]] = []
    at = 0
    size = len(raw)
    data_tag, data_length = b"", 0
    while at < size:
        equals = raw.index(b"=", at)
        tag = raw[at:equals]
        end = equals + 1 + data_length if tag == data_tag else raw.find(SOH, equals)
        end = size if end < 0 else end
        value = raw[equals + 1 : end]
        pairs.append((int(tag), value))
        data_tag, data_length = DATA_FIELDS.get(tag, b""), 0
        if data_tag:
            data_length = int(value)
        at = end + 1
    return pairs
