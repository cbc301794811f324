"""A client of the simulated world. May depend on: clientwire, orders (states), simtruth."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memmove, memset

from .clientwire cimport (CLIENT_PROTOCOL_VERSION, FATE_GAP_FILLED, FRAME_ACCEPTED, FRAME_ERROR, FRAME_FATE,
                          FRAME_HEADER_BYTES, FRAME_LOGIN, FRAME_MESSAGE, FRAME_ORDER_STATE, FRAME_PING,
                          FRAME_POSITIONS, FRAME_REJECTED, FRAME_STANDBY, FRAME_SUBMIT, FRAME_WELCOME, SUBMIT_AGAIN,
                          frame_available, frame_header_t, login_body_t, position_t)
from .orders cimport ORDER_REFUSED, ORDER_UNKNOWN
from .simtruth cimport (TRUE_CLORDID_BYTES, TRUE_SESSIONS, scan_tag, truth_clordid, truth_delivered, truth_new_order,
                        truth_order_of, truth_t, truth_told_accepted, truth_told_again, truth_told_rejected,
                        truth_told_unknown)

cdef enum:
    POSITIONS_BYTES = TRUE_SESSIONS * 16         # position_t each
    LOGIN_BYTES = 8 + 2 + POSITIONS_BYTES        # login_body_t, name, positions

cdef const char* ORDER_HEAD = b"\x01D11="
cdef const char* ORDER_REST = b"\x0155=SIM\x0154=1\x0138=100\x0140=2\x0144=10\x01"


cdef void simclient_init(simclient_t* c, truth_t* truth, uint8_t index) noexcept nogil:
    cdef int i
    c.truth = truth
    c.index = index
    c.down = 0
    c.epoch = 0
    c.active = -1
    c.pending_count = 0
    c.skipped = 0
    memset(c.position, 0, sizeof(c.position))
    memset(c.generation, 0, sizeof(c.generation))
    for i in range(2):
        c.links[i].phase = SIM_DOWN
        c.links[i].connection = -1
        c.links[i].filled = 0
        c.links[i].out_size = 0


# --- connections ------------------------------------------------------------------------------------------------------

cdef void simclient_on_connected(simclient_t* c, int link) noexcept nogil:
    cdef simlink_t* up = &c.links[link]
    cdef login_body_t login
    cdef uint8_t name[2]
    cdef uint8_t body[LOGIN_BYTES]
    up.phase = SIM_GREETED
    up.filled = 0
    up.out_size = 0
    login.version = CLIENT_PROTOCOL_VERSION
    login.name_length = 2
    login.token_length = 0
    login.position_count = TRUE_SESSIONS
    name[0] = c'c'
    name[1] = c'0' + c.index
    memcpy(up.named_seq, c.position, sizeof(c.position))
    memcpy(up.named_generation, c.generation, sizeof(c.generation))
    memcpy(body, &login, sizeof(login))
    memcpy(body + sizeof(login), name, 2)
    write_positions(c, body + sizeof(login) + 2)
    send(up, FRAME_LOGIN, 0, 0, body, sizeof(body))


cdef void simclient_on_disconnected(simclient_t* c, int link) noexcept nogil:
    c.links[link].phase = SIM_DOWN
    c.links[link].connection = -1
    c.links[link].filled = 0
    c.links[link].out_size = 0
    if c.active == link:
        c.active = -1


cdef void simclient_on_bytes(simclient_t* c, int link, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef simlink_t* up = &c.links[link]
    cdef uint32_t used = 0
    cdef int64_t length
    size = min(size, SIM_RX_BYTES - up.filled)
    memcpy(up.rx + up.filled, data, size)
    up.filled += size
    while up.phase != SIM_CLOSING:
        length = frame_available(up.rx + used, up.filled - used)
        if length <= 0:
            break
        take_frame(c, link, up.rx + used)
        used += <uint32_t>length
    memmove(up.rx, up.rx + used, up.filled - used)
    up.filled -= used


# --- orders -----------------------------------------------------------------------------------------------------------

cdef void simclient_new_order(simclient_t* c, uint8_t session) noexcept nogil:
    cdef int32_t order
    if c.pending_count == SIM_PENDING:
        return
    order = truth_new_order(c.truth, c.index, session)
    if order < 0:
        return
    c.pending[c.pending_count] = order
    c.handed_in[c.pending_count] = 0
    c.pending_count += 1
    if c.active >= 0:
        hand_in(c, c.pending_count - 1)


cdef void hand_in(simclient_t* c, uint32_t i) noexcept nogil:
    cdef uint8_t body[96]
    cdef uint32_t head = 5
    cdef uint32_t rest = 31
    memcpy(body, ORDER_HEAD, head)
    truth_clordid(c.pending[i], body + head)
    memcpy(body + head + TRUE_CLORDID_BYTES, ORDER_REST, rest)
    send_in(&c.links[c.active], FRAME_SUBMIT, SUBMIT_AGAIN if c.handed_in[i] else 0, c.links[c.active].epoch,
            c.truth.orders[c.pending[i]].session, body, head + TRUE_CLORDID_BYTES + rest)
    c.handed_in[i] = 1


cdef int32_t settle(simclient_t* c, const uint8_t* clordid, uint32_t length) noexcept nogil:
    """The order is pending no more; its index, -1 if it was not."""
    cdef int32_t order = truth_order_of(c.truth, clordid, length)
    cdef uint32_t i
    for i in range(c.pending_count):
        if <int32_t>c.pending[i] == order:
            c.pending_count -= 1
            memmove(&c.pending[i], &c.pending[i + 1], (c.pending_count - i) * sizeof(uint32_t))
            memmove(&c.handed_in[i], &c.handed_in[i + 1], (c.pending_count - i) * sizeof(bint))
            return order
    return -1


# --- frames -----------------------------------------------------------------------------------------------------------

cdef void take_frame(simclient_t* c, int link, const uint8_t* data) noexcept nogil:
    cdef simlink_t* up = &c.links[link]
    cdef frame_header_t header
    cdef const uint8_t* body = data + FRAME_HEADER_BYTES
    cdef uint32_t length
    memcpy(&header, data, FRAME_HEADER_BYTES)
    length = header.length - FRAME_HEADER_BYTES
    if header.type == FRAME_WELCOME:
        take_welcome(c, link, <uint32_t>header.seq)
    elif header.type == FRAME_STANDBY:
        up.phase = SIM_STANDBY
        if c.active == link:
            c.active = -1
    elif header.type == FRAME_ERROR:
        up.phase = SIM_CLOSING
    elif link == c.active:
        take_told(c, &header, body, length)


cdef void take_welcome(simclient_t* c, int link, uint32_t epoch) noexcept nogil:
    cdef uint32_t i
    c.links[link].epoch = epoch
    if epoch < c.epoch or (c.active >= 0 and c.active != link and epoch <= c.links[c.active].epoch):
        c.links[link].phase = SIM_OUTRANKED
        return
    if c.active >= 0 and c.active != link:
        c.links[c.active].phase = SIM_OUTRANKED
    c.epoch = epoch
    c.active = link
    c.links[link].phase = SIM_PRIMARY
    for i in range(c.pending_count):
        hand_in(c, i)


cdef void take_told(simclient_t* c, const frame_header_t* header, const uint8_t* body, uint32_t length) noexcept nogil:
    cdef int32_t order
    if header.type == FRAME_MESSAGE:
        take_message(c, header, body, length)
    elif header.type == FRAME_ACCEPTED:
        order = settle(c, body, length)
        if order >= 0:
            truth_told_accepted(c.truth, order)
    elif header.type == FRAME_REJECTED:
        order = settle(c, body + 1, body[0])
        if order >= 0:
            truth_told_rejected(c.truth, order)
    elif header.type == FRAME_ORDER_STATE:
        order = settle(c, body, length)
        if order >= 0 and header.flags == ORDER_REFUSED:
            truth_told_rejected(c.truth, order)
        elif order >= 0 and header.flags == ORDER_UNKNOWN:
            truth_told_unknown(c.truth, order)
        elif order >= 0:
            truth_told_accepted(c.truth, order)
    elif header.type == FRAME_FATE and header.flags == FATE_GAP_FILLED:
        order = truth_order_of(c.truth, body, length)
        if order >= 0:
            truth_told_unknown(c.truth, order)


cdef void take_message(simclient_t* c, const frame_header_t* header, const uint8_t* body,
                       uint32_t size) noexcept nogil:
    cdef uint16_t session = header.session
    cdef uint32_t length = 0
    cdef const uint8_t* kind = scan_tag(body, size, "35", &length)
    if session >= TRUE_SESSIONS:
        return
    if (header.generation == c.links[c.active].named_generation[session]
            and header.seq <= c.links[c.active].named_seq[session]):
        truth_told_again(c.truth, c.index, header.seq)
    if (header.generation < c.generation[session]
            or (header.generation == c.generation[session] and header.seq <= c.position[session])):
        c.skipped += 1
        return
    c.generation[session] = header.generation
    c.position[session] = header.seq
    if kind is not NULL and kind[0] == c'8':      # a Reject of ours is passed on too; it is no execution
        truth_delivered(c.truth, c.index, <uint8_t>session, header.seq)


cdef void simclient_ping(simclient_t* c, int link) noexcept nogil:
    send(&c.links[link], FRAME_PING, 0, 0, NULL, 0)


cdef void simclient_tell_positions(simclient_t* c, int link) noexcept nogil:
    cdef uint8_t body[POSITIONS_BYTES]
    write_positions(c, body)
    send(&c.links[link], FRAME_POSITIONS, 0, 0, body, sizeof(body))


cdef void write_positions(const simclient_t* c, uint8_t* place) noexcept nogil:
    cdef position_t position
    cdef uint16_t i
    memset(&position, 0, sizeof(position))
    for i in range(TRUE_SESSIONS):
        position.session = i
        position.seq = c.position[i]
        position.generation = c.generation[i]
        memcpy(place + i * sizeof(position), &position, sizeof(position))


cdef void send(simlink_t* up, uint8_t kind, uint8_t flags, uint16_t session, const uint8_t* body,
               uint32_t length) noexcept nogil:
    send_in(up, kind, flags, 0, session, body, length)


cdef void send_in(simlink_t* up, uint8_t kind, uint8_t flags, uint32_t epoch, uint16_t session, const uint8_t* body,
                  uint32_t length) noexcept nogil:
    cdef frame_header_t header
    if up.out_size + FRAME_HEADER_BYTES + length > SIM_OUT_BYTES:
        return
    memset(&header, 0, sizeof(header))
    header.length = FRAME_HEADER_BYTES + length
    header.type = kind
    header.flags = flags
    header.session = session
    header.generation = epoch
    memcpy(up.out + up.out_size, &header, FRAME_HEADER_BYTES)
    if length:
        memcpy(up.out + up.out_size + FRAME_HEADER_BYTES, body, length)
    up.out_size += header.length
