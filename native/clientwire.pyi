"""The client protocol's frames, as Python builds and reads them; see clientwire.pxd for their layout."""

from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar

PROTOCOL_VERSION: int
HEADER_BYTES: int
MAX_FRAME: int
MAX_CLORDID: int
FROM_NOW: int

class FrameError(ValueError):
    """A frame, or an argument for one, is not what the client protocol allows."""

class FrameType(IntEnum):
    """Kind of a frame."""

    LOGIN = 1
    SUBMIT = 2
    CHECKPOINT = 3
    FETCH = 4
    PING = 5
    POSITIONS = 6
    WELCOME = 16
    STANDBY = 17
    ACCEPTED = 18
    REJECTED = 19
    HELD = 20
    ORDER_STATE = 21
    MESSAGE = 22
    FATE = 23
    SESSION = 24
    CHECKPOINT_STORED = 25
    CHECKPOINT_VALUE = 26
    PONG = 27
    ERROR = 28

class RejectReason(IntEnum):
    """Why the gateway refused a submission."""

    MALFORMED = 1
    FORBIDDEN_TAG = 2
    NO_CLORDID = 3
    UNKNOWN_SESSION = 4
    CLORDID_TAKEN = 5
    NOT_READY = 6
    HOLD_FULL = 7
    BACK_PRESSURE = 8
    KILLED = 9
    MAX_ORDER_QTY = 10
    MAX_NOTIONAL = 11
    THROTTLE = 12
    TOO_LARGE = 13
    FORBIDDEN_MSG_TYPE = 14
    MAX_OPEN_QTY = 15
    PRICE_REQUIRED = 16
    QUANTITY_REQUIRED = 17
    CANCELED = 18

class FateKind(IntEnum):
    """What the answer to a counterparty's ResendRequest did to an accepted order."""

    RESENT = 1
    GAP_FILLED = 2

class ErrorCode(IntEnum):
    """Why a node closes a client's connection."""

    PROTOCOL = 1
    VERSION = 2
    LOGIN = 3
    TOO_SLOW = 4
    FENCED = 5
    FULL = 6

class OrderStatus(IntEnum):
    """What the gateway knows of an order (`order_state` of native/orders.pxd)."""

    SENT = 1
    NEW = 2
    PARTIALLY_FILLED = 3
    FILLED = 4
    CANCELED = 5
    REPLACED = 6
    PENDING = 7
    REJECTED = 8
    EXPIRED = 9
    OTHER = 10
    REFUSED = 11
    UNKNOWN = 12

class SessionStatus(IntEnum):
    """State of a FIX session (`session_state` of native/session.pxd)."""

    DISCONNECTED = 0
    LOGON_AWAITED = 1
    LOGON_SENT = 2
    RECOVERING = 3
    READY = 4
    LOGOUT_SENT = 5
    STOPPED = 6

class Frame:
    """One decoded frame; subclasses name their fields in `__slots_shown__` (secrets are not in it)."""

    __slots_shown__: ClassVar[tuple[str, ...]]
    __hash__: ClassVar[None]  # type: ignore[assignment]
    @property
    def type(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class SessionInfo(Frame):
    """One session as WELCOME describes it."""

    def __init__(
        self, session: int, name: str, state: int, generation: int, next_out: int, next_in: int = 0
    ) -> None: ...
    @property
    def session(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def next_out(self) -> int: ...
    @property
    def next_in(self) -> int: ...

class Login(Frame):
    """LOGIN. Its repr leaves the token out."""

    @property
    def version(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def token(self) -> bytes: ...
    @property
    def positions(self) -> list[tuple[int, int, int]]: ...

class Submit(Frame):
    """SUBMIT: `fields` is the body's bytes, "tag=value<SOH>" repeated."""

    @property
    def session(self) -> int: ...
    @property
    def msg_type(self) -> str: ...
    @property
    def fields(self) -> bytes: ...

class Checkpoint(Frame):
    """CHECKPOINT: store `value` under `key`."""

    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes: ...

class Fetch(Frame):
    """FETCH: ask for the value under `key`."""

    @property
    def key(self) -> bytes: ...

class Ping(Frame):
    """PING; the PONG carries the same `seq`."""

    @property
    def seq(self) -> int: ...

class Positions(Frame):
    """POSITIONS: replaces those of the LOGIN."""

    @property
    def positions(self) -> list[tuple[int, int, int]]: ...

class Welcome(Frame):
    """WELCOME: this node (0 for a, 1 for b) is primary in `epoch`."""

    @property
    def node(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def sessions(self) -> list[SessionInfo]: ...

class Standby(Frame):
    """STANDBY: this node is not primary now."""

    @property
    def node(self) -> int: ...

class Accepted(Frame):
    """ACCEPTED: numbered `seq` of (session, generation), in the log, released."""

    @property
    def session(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def cl_ord_id(self) -> str: ...

class Rejected(Frame):
    """REJECTED by the gateway: the order has no number and was not sent."""

    @property
    def session(self) -> int: ...
    @property
    def reason(self) -> int: ...
    @property
    def cl_ord_id(self) -> str: ...
    @property
    def text(self) -> str: ...

class Held(Frame):
    """HELD: waits without a number until its session is ready."""

    @property
    def session(self) -> int: ...
    @property
    def cl_ord_id(self) -> str: ...

class OrderState(Frame):
    """ORDER_STATE: the answer to a repeated submission. `reason` is set if `state` is REFUSED."""

    @property
    def session(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def state(self) -> int: ...
    @property
    def reason(self) -> int: ...
    @property
    def cl_ord_id(self) -> str: ...

class Message(Frame):
    """MESSAGE: a FIX message of the counterparty, as received."""

    @property
    def session(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def poss_dup(self) -> bool: ...
    @property
    def raw(self) -> bytes: ...

class Fate(Frame):
    """FATE: what a resend did to an accepted order."""

    @property
    def session(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def cl_ord_id(self) -> str: ...

class SessionChange(Frame):
    """SESSION: a session's state changed."""

    @property
    def session(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def state(self) -> int: ...
    @property
    def next_out(self) -> int: ...

class CheckpointStored(Frame):
    """CHECKPOINT_STORED: the value of `key` is in the log."""

    @property
    def key(self) -> bytes: ...

class CheckpointValue(Frame):
    """CHECKPOINT_VALUE; `value` is None if there is no such key."""

    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes | None: ...

class Pong(Frame):
    """PONG."""

    @property
    def seq(self) -> int: ...

class NodeError(Frame):
    """ERROR: the node closes the connection after it."""

    @property
    def code(self) -> int: ...
    @property
    def text(self) -> str: ...

def login(name: str, token: bytes, positions: Iterable[tuple[int, int, int]] = (), version: int = 1) -> bytes:
    """LOGIN frame. `positions` is an iterable of (session, generation, seq): the last message read of each session."""

def submit(session: int, msg_type: str, cl_ord_id: str, fields: bytes) -> bytes:
    """SUBMIT frame. `fields`: "tag=value<SOH>" repeated; 11=`cl_ord_id` goes before them unless it is empty."""

def stamped(frame: bytes, epoch: int, mono_ns: int) -> bytes: ...
def submit_again(frame: bytes) -> bytes: ...
def checkpoint(key: bytes, value: bytes) -> bytes:
    """CHECKPOINT frame: store `value` under `key` in the pair's log."""

def fetch(key: bytes) -> bytes:
    """FETCH frame: ask for the value under `key`."""

def ping(seq: int) -> bytes:
    """PING frame."""

def positions(places: Iterable[tuple[int, int, int]]) -> bytes:
    """POSITIONS frame; `places` as for `login`."""

def welcome(node: int, epoch: int, sessions: Iterable[SessionInfo]) -> bytes:
    """WELCOME frame; `sessions` is an iterable of SessionInfo."""

def standby(node: int) -> bytes:
    """STANDBY frame."""

def accepted(session: int, generation: int, seq: int, cl_ord_id: str) -> bytes:
    """ACCEPTED frame."""

def rejected(session: int, reason: int, cl_ord_id: str, text: str) -> bytes:
    """REJECTED frame."""

def held(session: int, cl_ord_id: str) -> bytes:
    """HELD frame."""

def order_state(session: int, generation: int, seq: int, state: int, cl_ord_id: str, reason: int = 0) -> bytes:
    """ORDER_STATE frame."""

def message(session: int, generation: int, seq: int, raw: bytes, poss_dup: bool = False) -> bytes:
    """MESSAGE frame; `raw` is the FIX message."""

def fate(session: int, generation: int, seq: int, kind: int, cl_ord_id: str) -> bytes:
    """FATE frame."""

def session_change(session: int, generation: int, state: int, next_out: int) -> bytes:
    """SESSION frame."""

def checkpoint_stored(key: bytes) -> bytes:
    """CHECKPOINT_STORED frame."""

def checkpoint_value(key: bytes, value: bytes | None) -> bytes:
    """CHECKPOINT_VALUE frame; `value` None says that there is no such key."""

def pong(seq: int) -> bytes:
    """PONG frame."""

def error(code: int, text: str) -> bytes:
    """ERROR frame."""

def decode(buffer: bytes | bytearray | memoryview, start: int = 0) -> tuple[list[Frame], int]:
    """Decode every whole frame of `buffer` from byte `start` on."""

def find_cl_ord_id(fields: bytes) -> str | None:
    """Value of ClOrdID (11) in "tag=value<SOH>..." fields, or None if there is no such field."""
