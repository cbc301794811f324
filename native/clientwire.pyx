"""The client protocol's frames: where one ends, and a Python face that builds and reads every kind.

May depend on: nothing (the states of orders and sessions that frames carry are repeated here as Python enums, so that a
client needs no other native module; a test compares them with orders.pxd and session.pxd). Never does I/O, never keeps
state between calls. The Python client, the tools and the tests use this face; nothing else knows the layout.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport UINT8_MAX, UINT16_MAX, UINT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from enum import IntEnum


cdef enum:
    SOH = 1
    MAX_TAG_DIGITS = 9
    MESSAGE_POSS_DUP = 1         # flag of MESSAGE
    CHECKPOINT_NO_SUCH_KEY = 1   # flag of CHECKPOINT_VALUE


cdef int64_t frame_available(const uint8_t* data, size_t size) noexcept nogil:
    cdef uint32_t length
    if size < sizeof(uint32_t):
        return 0
    memcpy(&length, data, sizeof(uint32_t))
    if length < FRAME_HEADER_BYTES or length > MAX_FRAME_BYTES:
        return -1
    return length if size >= length else 0


# ---------------------------------------------------------------------------------------------------------------------
# Python face: constants

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


# ---------------------------------------------------------------------------------------------------------------------
# Python face: frames as objects

cdef class Frame:
    """One decoded frame; subclasses name their fields in `__slots_shown__` (secrets are not in it)."""

    __slots_shown__ = ()
    cdef readonly uint8_t type

    def __repr__(self):
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots_shown__)
        return f"{self.__class__.__name__}({fields})"

    def __eq__(self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots_shown__)

    __hash__ = None


cdef class SessionInfo(Frame):
    """One session as WELCOME describes it."""

    __slots_shown__ = ("session", "name", "state", "generation", "next_out", "next_in")
    cdef readonly uint16_t session
    cdef readonly str name
    cdef readonly uint8_t state
    cdef readonly uint32_t generation
    cdef readonly uint64_t next_out
    cdef readonly uint64_t next_in

    def __init__(self, uint16_t session, str name, uint8_t state, uint32_t generation, uint64_t next_out,
                 uint64_t next_in=0):
        self.session = session
        self.name = name
        self.state = state
        self.generation = generation
        self.next_out = next_out
        self.next_in = next_in


cdef class Login(Frame):
    """LOGIN. Its repr leaves the token out."""

    __slots_shown__ = ("version", "name", "positions")
    cdef readonly uint16_t version
    cdef readonly str name
    cdef readonly bytes token
    cdef readonly list positions


cdef class Submit(Frame):
    """SUBMIT: `fields` is the body's bytes, "tag=value<SOH>" repeated."""

    __slots_shown__ = ("session", "msg_type", "fields")
    cdef readonly uint16_t session
    cdef readonly str msg_type
    cdef readonly bytes fields


cdef class Checkpoint(Frame):
    """CHECKPOINT: store `value` under `key`."""

    __slots_shown__ = ("key", "value")
    cdef readonly bytes key
    cdef readonly bytes value


cdef class Fetch(Frame):
    """FETCH: ask for the value under `key`."""

    __slots_shown__ = ("key",)
    cdef readonly bytes key


cdef class Ping(Frame):
    """PING; the PONG carries the same `seq`."""

    __slots_shown__ = ("seq",)
    cdef readonly uint64_t seq


cdef class Positions(Frame):
    """POSITIONS: replaces those of the LOGIN."""

    __slots_shown__ = ("positions",)
    cdef readonly list positions


cdef class Welcome(Frame):
    """WELCOME: this node (0 for a, 1 for b) is primary in `epoch`."""

    __slots_shown__ = ("node", "epoch", "sessions")
    cdef readonly uint8_t node
    cdef readonly uint64_t epoch
    cdef readonly list sessions


cdef class Standby(Frame):
    """STANDBY: this node is not primary now."""

    __slots_shown__ = ("node",)
    cdef readonly uint8_t node


cdef class Accepted(Frame):
    """ACCEPTED: numbered `seq` of (session, generation), in the log, released."""

    __slots_shown__ = ("session", "generation", "seq", "cl_ord_id")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint64_t seq
    cdef readonly str cl_ord_id


cdef class Rejected(Frame):
    """REJECTED by the gateway: the order has no number and was not sent."""

    __slots_shown__ = ("session", "reason", "cl_ord_id", "text")
    cdef readonly uint16_t session
    cdef readonly uint8_t reason
    cdef readonly str cl_ord_id
    cdef readonly str text


cdef class Held(Frame):
    """HELD: waits without a number until its session is ready."""

    __slots_shown__ = ("session", "cl_ord_id")
    cdef readonly uint16_t session
    cdef readonly str cl_ord_id


cdef class OrderState(Frame):
    """ORDER_STATE: the answer to a repeated submission. `reason` is set if `state` is REFUSED."""

    __slots_shown__ = ("session", "generation", "seq", "state", "reason", "cl_ord_id")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint64_t seq
    cdef readonly uint8_t state
    cdef readonly uint32_t reason
    cdef readonly str cl_ord_id


cdef class Message(Frame):
    """MESSAGE: a FIX message of the counterparty, as received."""

    __slots_shown__ = ("session", "generation", "seq", "poss_dup", "raw")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint64_t seq
    cdef readonly bint poss_dup
    cdef readonly bytes raw


cdef class Fate(Frame):
    """FATE: what a resend did to an accepted order."""

    __slots_shown__ = ("session", "generation", "seq", "kind", "cl_ord_id")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint64_t seq
    cdef readonly uint8_t kind
    cdef readonly str cl_ord_id


cdef class SessionChange(Frame):
    """SESSION: a session's state changed."""

    __slots_shown__ = ("session", "generation", "state", "next_out")
    cdef readonly uint16_t session
    cdef readonly uint32_t generation
    cdef readonly uint8_t state
    cdef readonly uint64_t next_out


cdef class CheckpointStored(Frame):
    """CHECKPOINT_STORED: the value of `key` is in the log."""

    __slots_shown__ = ("key",)
    cdef readonly bytes key


cdef class CheckpointValue(Frame):
    """CHECKPOINT_VALUE; `value` is None if there is no such key."""

    __slots_shown__ = ("key", "value")
    cdef readonly bytes key
    cdef readonly bytes value


cdef class Pong(Frame):
    """PONG."""

    __slots_shown__ = ("seq",)
    cdef readonly uint64_t seq


cdef class NodeError(Frame):
    """ERROR: the node closes the connection after it."""

    __slots_shown__ = ("code", "text")
    cdef readonly uint8_t code
    cdef readonly str text


# ---------------------------------------------------------------------------------------------------------------------
# Python face: frames a client sends

def login(str name, bytes token, positions=(), uint16_t version=CLIENT_PROTOCOL_VERSION):
    """LOGIN frame. `positions` is an iterable of (session, generation, seq): the last message read of each session."""
    cdef bytes name_bytes = _ascii(name, "client name")
    cdef list places = list(positions)
    cdef bytes body_end = name_bytes + token + _positions(places)
    cdef login_body_t head
    head.version = version
    head.name_length = _length16(name_bytes, "client name")
    head.token_length = _length16(token, "token")
    head.position_count = len(places)
    return _frame(FRAME_LOGIN, 0, 0, 0, 0, 0, (<char*>&head)[:sizeof(login_body_t)] + body_end)


def submit(uint16_t session, str msg_type, str cl_ord_id, bytes fields):
    """SUBMIT frame. `fields`: "tag=value<SOH>" repeated; 11=`cl_ord_id` is put before them unless `cl_ord_id` is empty.

    Raises FrameError if the MsgType is empty or longer than 255 bytes, the ClOrdID is longer than MAX_CLORDID or holds
    SOH, a field is not "tag=value<SOH>", or the frame becomes longer than MAX_FRAME.
    """
    cdef bytes kind = _ascii(msg_type, "MsgType (35)")
    cdef bytes identifier = _ascii(cl_ord_id, "ClOrdID (11)")
    cdef size_t kind_length = PyBytes_GET_SIZE(kind)
    cdef size_t id_length = PyBytes_GET_SIZE(identifier)
    cdef size_t fields_length = PyBytes_GET_SIZE(fields)
    cdef size_t prefix_length = id_length + 4 if id_length else 0
    if not 0 < kind_length <= UINT8_MAX:
        raise FrameError(f"MsgType (35) must have 1 to 255 bytes, found {kind_length}")
    if id_length > MAX_CLORDID_BYTES or b"\x01" in identifier:
        raise FrameError(f"ClOrdID (11) must have at most {MAX_CLORDID_BYTES} bytes and no SOH, found {cl_ord_id!r}")
    _check_fields(fields)
    cdef bytes frame = _new_frame(FRAME_SUBMIT, 0, session, 0, 0, 0, 1 + kind_length + prefix_length + fields_length)
    cdef char* at = PyBytes_AS_STRING(frame) + FRAME_HEADER_BYTES
    (<uint8_t*>at)[0] = <uint8_t>kind_length
    at += 1
    memcpy(at, PyBytes_AS_STRING(kind), kind_length)
    at += kind_length
    if id_length:
        memcpy(at, b"11=", 3)
        memcpy(at + 3, PyBytes_AS_STRING(identifier), id_length)
        at[3 + id_length] = SOH
        at += prefix_length
    memcpy(at, PyBytes_AS_STRING(fields), fields_length)
    return frame


def stamped(bytes frame not None, uint64_t epoch, uint64_t mono_ns):
    """A SUBMIT frame that is handed in for the first time: in which epoch, when (CLOCK_MONOTONIC, ns; or 0)."""
    cdef bytes copy = PyBytes_FromStringAndSize(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))
    (<frame_header_t*>PyBytes_AS_STRING(copy)).seq = mono_ns
    (<frame_header_t*>PyBytes_AS_STRING(copy)).generation = <uint32_t>epoch
    return copy


def submit_again(bytes frame not None):
    """A SUBMIT frame, marked as handed in before: perhaps to a primary that is gone."""
    cdef bytearray marked = bytearray(frame)
    marked[5] |= SUBMIT_AGAIN
    return bytes(marked)


def checkpoint(bytes key, bytes value):
    """CHECKPOINT frame: store `value` under `key` in the pair's log."""
    return _frame(FRAME_CHECKPOINT, 0, 0, 0, 0, 0, _counted16(key) + value)


def fetch(bytes key):
    """FETCH frame: ask for the value under `key`."""
    return _frame(FRAME_FETCH, 0, 0, 0, 0, 0, key)


def ping(uint64_t seq):
    """PING frame."""
    return _frame(FRAME_PING, 0, 0, seq, 0, 0, b"")


def positions(places):
    """POSITIONS frame; `places` as for `login`."""
    return _frame(FRAME_POSITIONS, 0, 0, 0, 0, 0, _positions(places))


# ---------------------------------------------------------------------------------------------------------------------
# Python face: frames a node sends

def welcome(uint8_t node, uint64_t epoch, sessions):
    """WELCOME frame; `sessions` is an iterable of SessionInfo."""
    cdef session_body_t head
    cdef SessionInfo info
    cdef bytes name
    cdef list infos = list(sessions)
    cdef list parts = [bytes((node,))]
    for info in infos:
        name = _ascii(info.name, "session name")
        if len(name) > UINT8_MAX:
            raise FrameError(f"session name must have at most 255 bytes, found {len(name)}")
        head.next_out = info.next_out
        head.next_in = info.next_in
        head.generation = info.generation
        head.session = info.session
        head.state = info.state
        head.name_length = len(name)
        parts.append((<char*>&head)[:sizeof(session_body_t)])
        parts.append(name)
    return _frame(FRAME_WELCOME, 0, len(infos), epoch, 0, 0, b"".join(parts))


def standby(uint8_t node):
    """STANDBY frame."""
    return _frame(FRAME_STANDBY, 0, 0, 0, 0, 0, bytes((node,)))


def accepted(uint16_t session, uint32_t generation, uint64_t seq, str cl_ord_id):
    """ACCEPTED frame."""
    return _frame(FRAME_ACCEPTED, 0, session, seq, generation, 0, _ascii(cl_ord_id, "ClOrdID (11)"))


def rejected(uint16_t session, uint8_t reason, str cl_ord_id, str text):
    """REJECTED frame."""
    cdef bytes identifier = _ascii(cl_ord_id, "ClOrdID (11)")
    if len(identifier) > UINT8_MAX:
        raise FrameError(f"ClOrdID (11) must have at most 255 bytes, found {len(identifier)}")
    return _frame(FRAME_REJECTED, reason, session, 0, 0, 0,
                  bytes((len(identifier),)) + identifier + _ascii(text, "text"))


def held(uint16_t session, str cl_ord_id):
    """HELD frame."""
    return _frame(FRAME_HELD, 0, session, 0, 0, 0, _ascii(cl_ord_id, "ClOrdID (11)"))


def order_state(uint16_t session, uint32_t generation, uint64_t seq, uint8_t state, str cl_ord_id, uint32_t reason=0):
    """ORDER_STATE frame."""
    return _frame(FRAME_ORDER_STATE, state, session, seq, generation, reason, _ascii(cl_ord_id, "ClOrdID (11)"))


def message(uint16_t session, uint32_t generation, uint64_t seq, bytes raw, bint poss_dup=False):
    """MESSAGE frame; `raw` is the FIX message."""
    return _frame(FRAME_MESSAGE, MESSAGE_POSS_DUP if poss_dup else 0, session, seq, generation, 0, raw)


def fate(uint16_t session, uint32_t generation, uint64_t seq, uint8_t kind, str cl_ord_id):
    """FATE frame."""
    return _frame(FRAME_FATE, kind, session, seq, generation, 0, _ascii(cl_ord_id, "ClOrdID (11)"))


def session_change(uint16_t session, uint32_t generation, uint8_t state, uint64_t next_out):
    """SESSION frame."""
    return _frame(FRAME_SESSION, state, session, next_out, generation, 0, b"")


def checkpoint_stored(bytes key):
    """CHECKPOINT_STORED frame."""
    return _frame(FRAME_CHECKPOINT_STORED, 0, 0, 0, 0, 0, key)


def checkpoint_value(bytes key, bytes value):
    """CHECKPOINT_VALUE frame; `value` None says that there is no such key."""
    cdef uint8_t flags = CHECKPOINT_NO_SUCH_KEY if value is None else 0
    return _frame(FRAME_CHECKPOINT_VALUE, flags, 0, 0, 0, 0, _counted16(key) + (value or b""))


def pong(uint64_t seq):
    """PONG frame."""
    return _frame(FRAME_PONG, 0, 0, seq, 0, 0, b"")


def error(uint8_t code, str text):
    """ERROR frame."""
    return _frame(FRAME_ERROR, code, 0, 0, 0, 0, _ascii(text, "text"))


# ---------------------------------------------------------------------------------------------------------------------
# Python face: reading

def decode(buffer, Py_ssize_t start=0):
    """Decode every whole frame of `buffer` from byte `start` on.

    Returns (frames, used): `used` is the number of bytes taken from `start`; what is behind them is the beginning of a
    frame whose rest is still to come. A malformed frame raises FrameError, but only as the first one: frames before it
    are returned first. So call again until no frame is returned.
    """
    cdef Py_buffer view
    cdef list frames = []
    cdef const uint8_t* data
    cdef size_t size
    cdef size_t used = 0
    cdef int64_t length
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        if start < 0 or start > view.len:
            raise IndexError(f"start {start} is outside of a buffer of {view.len} bytes")
        data = <const uint8_t*>view.buf + start
        size = view.len - start
        while True:
            length = frame_available(data + used, size - used)
            if length == 0:
                break
            try:
                if length < 0:
                    raise FrameError(f"frame length {_peek_length(data + used)} is not in {FRAME_HEADER_BYTES}.."
                                     f"{MAX_FRAME_BYTES}: the stream is not the client protocol, or it is damaged")
                frames.append(_decode_one(data + used, <size_t>length))
            except FrameError:
                if frames:
                    break
                raise
            used += <size_t>length
        return frames, used
    finally:
        PyBuffer_Release(&view)


def find_cl_ord_id(bytes fields):
    """Value of ClOrdID (11) in "tag=value<SOH>..." fields, or None if there is no such field."""
    cdef const char* data = PyBytes_AS_STRING(fields)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(fields)
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t end
    while at < size:
        end = at
        while end < size and data[end] != SOH:
            end += 1
        if end - at > 3 and memcmp(data + at, b"11=", 3) == 0:
            return _text(<const uint8_t*>data + at + 3, end - at - 3, "ClOrdID (11)")
        at = end + 1
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Helpers of the face

cdef bytes _new_frame(uint8_t type, uint8_t flags, uint16_t session, uint64_t seq, uint32_t generation, uint32_t aux,
                      size_t body_length):
    cdef frame_header_t header
    cdef bytes frame
    if body_length > MAX_FRAME_BYTES - FRAME_HEADER_BYTES:
        raise FrameError(f"{FrameType(type).name} frame would have {FRAME_HEADER_BYTES + body_length} bytes; "
                         f"at most {MAX_FRAME_BYTES} are allowed")
    header.length = <uint32_t>(FRAME_HEADER_BYTES + body_length)
    header.type = type
    header.flags = flags
    header.session = session
    header.seq = seq
    header.generation = generation
    header.aux = aux
    frame = PyBytes_FromStringAndSize(NULL, header.length)
    memcpy(PyBytes_AS_STRING(frame), &header, FRAME_HEADER_BYTES)
    return frame


cdef bytes _frame(uint8_t type, uint8_t flags, uint16_t session, uint64_t seq, uint32_t generation, uint32_t aux,
                  bytes body):
    cdef size_t length = PyBytes_GET_SIZE(body)
    cdef bytes frame = _new_frame(type, flags, session, seq, generation, aux, length)
    memcpy(PyBytes_AS_STRING(frame) + FRAME_HEADER_BYTES, PyBytes_AS_STRING(body), length)
    return frame


cdef bytes _positions(places):
    cdef position_t place
    cdef list parts = []
    place.reserved = 0
    for session, generation, seq in places:
        place.session = session
        place.generation = generation
        place.seq = seq
        parts.append((<char*>&place)[:sizeof(position_t)])
    return b"".join(parts)


cdef bytes _ascii(str text, str what):
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise FrameError(f"{what} must be ASCII, found {text!r}") from None


cdef uint16_t _length16(bytes value, str what) except? 0:
    if len(value) > UINT16_MAX:
        raise FrameError(f"{what} must have at most {UINT16_MAX} bytes, found {len(value)}")
    return <uint16_t>len(value)


cdef bytes _counted16(bytes value):
    cdef uint16_t length = _length16(value, "key")
    return (<char*>&length)[:sizeof(uint16_t)] + value


cdef _check_fields(bytes fields):
    """Refuses what the node could only refuse without naming the order, since it could not read its ClOrdID.

    After a tag whose value is a Length, a data field may hold SOH; from there on the node judges.
    """
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(fields)
    cdef size_t size = PyBytes_GET_SIZE(fields)
    cdef size_t at = 0
    cdef size_t start
    cdef uint64_t tag
    while at < size:
        start = at
        tag = 0
        while at < size and c"0" <= data[at] <= c"9" and at - start < MAX_TAG_DIGITS:
            tag = tag * 10 + data[at] - c"0"
            at += 1
        if tag == 0 or data[start] == c"0" or at + 1 >= size or data[at] != c"=" or data[at + 1] == SOH:
            raise FrameError(f"field at byte {start} of {size} is not tag=value: {fields[start:start + 40]!r}")
        if _is_length_tag(tag):
            return
        while at < size and data[at] != SOH:
            at += 1
        if at == size:
            raise FrameError(f"field {tag} at byte {start} does not end with SOH: {fields[start:start + 40]!r}")
        at += 1


cdef bint _is_length_tag(uint64_t tag) noexcept:
    """Fields of type Length that precede a data field (FIX 4.4 volume 6, FIX 5.0 SP2)."""
    return (tag == 90 or tag == 93 or tag == 95 or tag == 212 or (348 <= tag <= 364 and not tag & 1) or tag == 445
            or tag == 618 or tag == 621 or tag == 1184 or tag == 1277 or tag == 1280 or tag == 1282 or tag == 1397
            or tag == 1401 or tag == 1403 or tag == 1468 or tag == 1525)


cdef uint32_t _peek_length(const uint8_t* data):
    cdef uint32_t length
    memcpy(&length, data, sizeof(uint32_t))
    return length


cdef inline str _text(const uint8_t* data, size_t length, str what):
    try:
        return PyUnicode_DecodeASCII(<const char*>data, length, NULL)
    except UnicodeDecodeError:
        raise FrameError(f"{what} is not ASCII: {(<const char*>data)[:length]!r}") from None


cdef inline bytes _bytes(const uint8_t* data, size_t length):
    return PyBytes_FromStringAndSize(<const char*>data, length)


cdef Frame _decode_one(const uint8_t* data, size_t size):
    cdef frame_header_t header
    cdef const uint8_t* body = data + FRAME_HEADER_BYTES
    cdef size_t length = size - FRAME_HEADER_BYTES
    cdef Frame frame
    memcpy(&header, data, FRAME_HEADER_BYTES)
    if header.type == FRAME_MESSAGE:
        frame = _decode_message(&header, body, length)
    elif header.type == FRAME_ACCEPTED:
        frame = _decode_accepted(&header, body, length)
    elif header.type == FRAME_SUBMIT:
        frame = _decode_submit(&header, body, length)
    elif header.type >= FRAME_WELCOME:
        frame = _decode_from_node(&header, body, length)
    else:
        frame = _decode_from_client(&header, body, length)
    frame.type = header.type
    return frame


cdef Frame _decode_message(const frame_header_t* header, const uint8_t* body, size_t length):
    cdef Message frame = Message.__new__(Message)
    frame.session = header.session
    frame.generation = header.generation
    frame.seq = header.seq
    frame.poss_dup = header.flags & MESSAGE_POSS_DUP
    frame.raw = _bytes(body, length)
    return frame


cdef Frame _decode_accepted(const frame_header_t* header, const uint8_t* body, size_t length):
    cdef Accepted frame = Accepted.__new__(Accepted)
    frame.session = header.session
    frame.generation = header.generation
    frame.seq = header.seq
    frame.cl_ord_id = _text(body, length, "ClOrdID of ACCEPTED")
    return frame


cdef Frame _decode_submit(const frame_header_t* header, const uint8_t* body, size_t length):
    cdef Submit frame = Submit.__new__(Submit)
    if length < 1 or body[0] == 0 or length < 1 + <size_t>body[0]:
        raise FrameError(f"SUBMIT body of {length} bytes does not hold its MsgType")
    frame.session = header.session
    frame.msg_type = _text(body + 1, body[0], "MsgType of SUBMIT")
    frame.fields = _bytes(body + 1 + body[0], length - 1 - body[0])
    return frame


cdef Frame _decode_from_client(const frame_header_t* header, const uint8_t* body, size_t length):
    cdef Checkpoint stored
    cdef Fetch wanted
    cdef Ping pinged
    cdef Positions placed
    if header.type == FRAME_LOGIN:
        return _decode_login(body, length)
    if header.type == FRAME_CHECKPOINT:
        stored = Checkpoint.__new__(Checkpoint)
        stored.key = _key(body, length, "CHECKPOINT")
        stored.value = _bytes(body + 2 + len(stored.key), length - 2 - len(stored.key))
        return stored
    if header.type == FRAME_FETCH:
        wanted = Fetch.__new__(Fetch)
        wanted.key = _bytes(body, length)
        return wanted
    if header.type == FRAME_PING:
        pinged = Ping.__new__(Ping)
        pinged.seq = header.seq
        return pinged
    if header.type == FRAME_POSITIONS:
        placed = Positions.__new__(Positions)
        placed.positions = _decode_positions(body, length)
        return placed
    raise FrameError(f"frame type {header.type} is not known")


cdef Frame _decode_login(const uint8_t* body, size_t length):
    cdef login_body_t head
    cdef Login frame = Login.__new__(Login)
    cdef size_t text_length
    if length < sizeof(login_body_t):
        raise FrameError(f"LOGIN body of {length} bytes is too short")
    memcpy(&head, body, sizeof(login_body_t))
    text_length = sizeof(login_body_t) + head.name_length + head.token_length
    if length != text_length + head.position_count * sizeof(position_t):
        raise FrameError(f"LOGIN body has {length} bytes, its lengths add up to "
                         f"{text_length + head.position_count * sizeof(position_t)}")
    frame.version = head.version
    frame.name = _text(body + sizeof(login_body_t), head.name_length, "client name of LOGIN")
    frame.token = _bytes(body + sizeof(login_body_t) + head.name_length, head.token_length)
    frame.positions = _decode_positions(body + text_length, length - text_length)
    return frame


cdef list _decode_positions(const uint8_t* body, size_t length):
    cdef position_t place
    cdef size_t at
    cdef list places = []
    if length % sizeof(position_t) != 0:
        raise FrameError(f"positions have {length} bytes, which is not a multiple of {sizeof(position_t)}")
    for at in range(0, length, sizeof(position_t)):
        memcpy(&place, body + at, sizeof(position_t))
        places.append((place.session, place.generation, place.seq))
    return places


cdef Frame _decode_from_node(const frame_header_t* header, const uint8_t* body, size_t length):
    if header.type == FRAME_WELCOME:
        return _decode_welcome(header, body, length)
    if header.type == FRAME_STANDBY:
        return _decode_standby(body, length)
    if header.type in (FRAME_HELD, FRAME_REJECTED, FRAME_ORDER_STATE, FRAME_FATE):
        return _decode_about_order(header, body, length)
    if header.type == FRAME_SESSION:
        return _decode_session(header)
    if header.type in (FRAME_CHECKPOINT_STORED, FRAME_CHECKPOINT_VALUE):
        return _decode_checkpoint_answer(header, body, length)
    if header.type == FRAME_PONG:
        return _decode_pong(header)
    if header.type == FRAME_ERROR:
        return _decode_error(header, body, length)
    raise FrameError(f"frame type {header.type} is not known")


cdef Frame _decode_welcome(const frame_header_t* header, const uint8_t* body, size_t length):
    cdef Welcome frame = Welcome.__new__(Welcome)
    cdef session_body_t head
    cdef size_t at = 1
    cdef uint16_t left = header.session
    if length < 1:
        raise FrameError("WELCOME body is empty")
    frame.node = body[0]
    frame.epoch = header.seq
    frame.sessions = []
    while left:
        if length - at < sizeof(session_body_t):
            raise FrameError(f"WELCOME body of {length} bytes does not hold its {header.session} sessions")
        memcpy(&head, body + at, sizeof(session_body_t))
        at += sizeof(session_body_t)
        if length - at < head.name_length:
            raise FrameError(f"WELCOME body of {length} bytes does not hold the name of session {head.session}")
        frame.sessions.append(SessionInfo(head.session, _text(body + at, head.name_length, "session name"),
                                          head.state, head.generation, head.next_out, head.next_in))
        at += head.name_length
        left -= 1
    if at != length:
        raise FrameError(f"WELCOME body has {length - at} bytes too many")
    return frame


cdef Frame _decode_standby(const uint8_t* body, size_t length):
    cdef Standby frame = Standby.__new__(Standby)
    if length != 1:
        raise FrameError(f"STANDBY body must have 1 byte, found {length}")
    frame.node = body[0]
    return frame


cdef Frame _decode_about_order(const frame_header_t* header, const uint8_t* body, size_t length):
    cdef Held held
    cdef OrderState state
    cdef Fate fate
    if header.type == FRAME_REJECTED:
        return _decode_rejected(header, body, length)
    if header.type == FRAME_HELD:
        held = Held.__new__(Held)
        held.session = header.session
        held.cl_ord_id = _text(body, length, "ClOrdID of HELD")
        return held
    if header.type == FRAME_ORDER_STATE:
        state = OrderState.__new__(OrderState)
        state.session = header.session
        state.generation = header.generation
        state.seq = header.seq
        state.state = header.flags
        state.reason = header.aux
        state.cl_ord_id = _text(body, length, "ClOrdID of ORDER_STATE")
        return state
    fate = Fate.__new__(Fate)
    fate.session = header.session
    fate.generation = header.generation
    fate.seq = header.seq
    fate.kind = header.flags
    fate.cl_ord_id = _text(body, length, "ClOrdID of FATE")
    return fate


cdef Frame _decode_rejected(const frame_header_t* header, const uint8_t* body, size_t length):
    cdef Rejected frame = Rejected.__new__(Rejected)
    if length < 1 or length < 1 + <size_t>body[0]:
        raise FrameError(f"REJECTED body of {length} bytes does not hold its ClOrdID")
    frame.session = header.session
    frame.reason = header.flags
    frame.cl_ord_id = _text(body + 1, body[0], "ClOrdID of REJECTED")
    # The text may quote what the client sent, so it need not be ASCII.
    frame.text = _bytes(body + 1 + body[0], length - 1 - body[0]).decode("ascii", "backslashreplace")
    return frame


cdef Frame _decode_session(const frame_header_t* header):
    cdef SessionChange frame = SessionChange.__new__(SessionChange)
    frame.session = header.session
    frame.generation = header.generation
    frame.state = header.flags
    frame.next_out = header.seq
    return frame


cdef Frame _decode_checkpoint_answer(const frame_header_t* header, const uint8_t* body, size_t length):
    cdef CheckpointStored stored
    cdef CheckpointValue value
    if header.type == FRAME_CHECKPOINT_STORED:
        stored = CheckpointStored.__new__(CheckpointStored)
        stored.key = _bytes(body, length)
        return stored
    value = CheckpointValue.__new__(CheckpointValue)
    value.key = _key(body, length, "CHECKPOINT_VALUE")
    if not header.flags & CHECKPOINT_NO_SUCH_KEY:
        value.value = _bytes(body + 2 + len(value.key), length - 2 - len(value.key))
    return value


cdef Frame _decode_pong(const frame_header_t* header):
    cdef Pong frame = Pong.__new__(Pong)
    frame.seq = header.seq
    return frame


cdef Frame _decode_error(const frame_header_t* header, const uint8_t* body, size_t length):
    cdef NodeError frame = NodeError.__new__(NodeError)
    frame.code = header.flags
    frame.text = _bytes(body, length).decode("ascii", "backslashreplace")
    return frame


cdef bytes _key(const uint8_t* body, size_t length, str what):
    cdef uint16_t key_length
    if length < sizeof(uint16_t):
        raise FrameError(f"{what} body of {length} bytes does not hold its key")
    memcpy(&key_length, body, sizeof(uint16_t))
    if length - sizeof(uint16_t) < key_length:
        raise FrameError(f"{what} body of {length} bytes does not hold its key of {key_length} bytes")
    return _bytes(body + sizeof(uint16_t), key_length)
