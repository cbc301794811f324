# The Python face: constants. Part of clientwire.pyx.


PROTOCOL_VERSION = CLIENT_PROTOCOL_VERSION
HEADER_BYTES = FRAME_HEADER_BYTES
MAX_FRAME = MAX_FRAME_BYTES
MAX_CLORDID = MAX_CLORDID_BYTES
FROM_NOW = UINT64_MAX            # seq of a position: what is there already is not wanted


class FrameError(ValueError):
    """A frame, or an argument for one, is not what the client protocol allows."""


class FrameType(IntEnum):
    """Kind of a frame."""

    LOGIN = FRAME_LOGIN
    SUBMIT = FRAME_SUBMIT
    CHECKPOINT = FRAME_CHECKPOINT
    FETCH = FRAME_FETCH
    PING = FRAME_PING
    POSITIONS = FRAME_POSITIONS
    WELCOME = FRAME_WELCOME
    STANDBY = FRAME_STANDBY
    ACCEPTED = FRAME_ACCEPTED
    REJECTED = FRAME_REJECTED
    HELD = FRAME_HELD
    ORDER_STATE = FRAME_ORDER_STATE
    MESSAGE = FRAME_MESSAGE
    FATE = FRAME_FATE
    SESSION = FRAME_SESSION
    CHECKPOINT_STORED = FRAME_CHECKPOINT_STORED
    CHECKPOINT_VALUE = FRAME_CHECKPOINT_VALUE
    PONG = FRAME_PONG
    ERROR = FRAME_ERROR


class RejectReason(IntEnum):
    """Why the gateway refused a submission."""

    MALFORMED = REJECT_MALFORMED
    FORBIDDEN_TAG = REJECT_FORBIDDEN_TAG
    NO_CLORDID = REJECT_NO_CLORDID
    UNKNOWN_SESSION = REJECT_UNKNOWN_SESSION
    CLORDID_TAKEN = REJECT_CLORDID_TAKEN
    NOT_READY = REJECT_NOT_READY
    HOLD_FULL = REJECT_HOLD_FULL
    BACK_PRESSURE = REJECT_BACK_PRESSURE
    KILLED = REJECT_KILLED
    MAX_ORDER_QTY = REJECT_MAX_ORDER_QTY
    MAX_NOTIONAL = REJECT_MAX_NOTIONAL
    THROTTLE = REJECT_THROTTLE
    TOO_LARGE = REJECT_TOO_LARGE
    FORBIDDEN_MSG_TYPE = REJECT_FORBIDDEN_MSG_TYPE
    MAX_OPEN_QTY = REJECT_MAX_OPEN_QTY
    PRICE_REQUIRED = REJECT_PRICE_REQUIRED
    QUANTITY_REQUIRED = REJECT_QUANTITY_REQUIRED
    CANCELED = REJECT_CANCELED


class FateKind(IntEnum):
    """What the answer to a counterparty's ResendRequest did to an accepted order."""

    RESENT = FATE_RESENT
    GAP_FILLED = FATE_GAP_FILLED


class ErrorCode(IntEnum):
    """Why a node closes a client's connection."""

    PROTOCOL = ERROR_PROTOCOL
    VERSION = ERROR_VERSION
    LOGIN = ERROR_LOGIN
    TOO_SLOW = ERROR_TOO_SLOW
    FENCED = ERROR_FENCED
    FULL = ERROR_FULL


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
    IN_DOUBT = 13
    NOT_THERE = 14


class SessionStatus(IntEnum):
    """State of a FIX session (`session_state` of native/session.pxd)."""

    DISCONNECTED = 0
    LOGON_AWAITED = 1
    LOGON_SENT = 2
    RECOVERING = 3
    READY = 4
    LOGOUT_SENT = 5
    STOPPED = 6
