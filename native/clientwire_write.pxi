# The Python face: builds the frames that clients and nodes send. Part of clientwire.pyx.


# --- frames a client sends --------------------------------------------------------------------------------------------

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


# --- frames a node sends ----------------------------------------------------------------------------------------------

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


# --- helpers ----------------------------------------------------------------------------------------------------------

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
