# The Python face: reads frames of either side. Part of clientwire.pyx.


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


# --- helpers ----------------------------------------------------------------------------------------------------------

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
