"""A counterparty of the simulated world. May depend on: session, record, simtruth."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memmove, memset

from .instant cimport instant_t
from .parser cimport message_t
from .record cimport FLAG_APPLICATION, record_header_t, record_payload, record_payload_length
from .session cimport (EVENT_REJECT_SENT, SEND_OK, SESSION_DISCONNECTED, SESSION_READY, session_event,
                       session_on_bytes, session_on_connected, session_on_disconnected, session_send_application,
                       session_set_seq, session_t)
from .simtruth cimport (TRUE_CLORDID_BYTES, scan_tag, truth_clordid, truth_executed, truth_order_of, truth_processed,
                        truth_rejected_by_counterparty, truth_t)


cdef void broker_init(broker_t* b, session_t* session, truth_t* truth, uint8_t index) noexcept nogil:
    memset(b, 0, sizeof(broker_t))
    b.session = session
    b.truth = truth
    b.index = index
    b.connection = -1
    session.hooks.context = b
    session.hooks.route = NULL
    session.hooks.on_message = take_message
    session.hooks.on_record = NULL
    session.hooks.on_event = told


cdef void broker_on_connected(broker_t* b, const instant_t* now) noexcept nogil:
    b.filled = 0
    session_on_connected(b.session, now)


cdef void broker_on_disconnected(broker_t* b, const instant_t* now) noexcept nogil:
    b.filled = 0
    b.connection = -1
    session_on_disconnected(b.session, now)


cdef void broker_on_bytes(broker_t* b, const uint8_t* data, uint32_t size, const instant_t* now) noexcept nogil:
    cdef uint32_t used
    if size > BROKER_RX_BYTES - b.filled:
        size = BROKER_RX_BYTES - b.filled
    memcpy(b.rx + b.filled, data, size)
    b.filled += size
    used = <uint32_t>session_on_bytes(b.session, b.rx, b.filled, now)
    memmove(b.rx, b.rx + used, b.filled - used)
    b.filled -= used


cdef void told(void* context, session_t* session, session_event event, uint64_t a, uint64_t b) noexcept nogil:
    if event == EVENT_REJECT_SENT:
        truth_rejected_by_counterparty((<broker_t*>context).truth, b, a)


cdef void take_message(void* context, session_t* session, const message_t* message,
                       const record_header_t* record) noexcept nogil:
    cdef broker_t* b = <broker_t*>context
    cdef const uint8_t* raw = record_payload(record)
    cdef uint32_t size = record_payload_length(record)
    cdef uint32_t length = 0
    cdef const uint8_t* kind = scan_tag(raw, size, "35", &length)
    cdef const uint8_t* text = scan_tag(raw, size, "11", &length)
    cdef int32_t order = truth_order_of(b.truth, text, length)
    if order < 0:
        return
    if kind[0] == c'D':
        truth_processed(b.truth, order)
        await_session(b, order, ANSWER_NEW)
        await_session(b, order, ANSWER_FILLED)
    elif kind[0] == c'H':
        await_session(b, order, ANSWER_STATUS if b.truth.orders[order].processed else ANSWER_NOT_THERE)


cdef void await_session(broker_t* b, uint32_t order, uint8_t answer) noexcept nogil:
    cdef pending_answer_t* p = &b.pending[b.tail & (BROKER_PENDING - 1)]
    if b.tail - b.head == BROKER_PENDING:
        return
    p.order = order
    p.answer = answer
    truth_clordid(order, p.clordid)
    b.tail += 1


cdef void broker_drain(broker_t* b, const instant_t* now) noexcept nogil:
    cdef char body[256]
    cdef uint32_t length
    cdef pending_answer_t* p
    cdef const record_header_t* record = NULL
    while b.head != b.tail and b.session.state == SESSION_READY:
        p = &b.pending[b.head & (BROKER_PENDING - 1)]
        length = write_report(p, body)
        if session_send_application(b.session, b"8", 1, <const uint8_t*>body, length, 0, 0, 0, FLAG_APPLICATION, now,
                                    &record) != SEND_OK:
            return
        if p.answer != ANSWER_NOT_THERE:
            truth_executed(b.truth, b.index, p.order, record.seq)
        b.head += 1


cdef uint32_t write_report(const pending_answer_t* p, char* body) noexcept nogil:
    """ExecutionReport (8), FIX 4.4: ExecType (150), OrdStatus (39), OrdRejReason (103) of what is not known."""
    cdef char clordid[TRUE_CLORDID_BYTES + 1]
    memcpy(clordid, p.clordid, TRUE_CLORDID_BYTES)
    clordid[TRUE_CLORDID_BYTES] = 0
    if p.answer == ANSWER_NOT_THERE:
        return snprintf(body, 256, b"37=NONE\x0111=%s\x0117=0\x01150=I\x0139=8\x01103=5\x0155=SIM\x0154=1\x01151=0\x01"
                        b"14=0\x016=0\x01", clordid)
    return snprintf(body, 256, b"37=%u\x0111=%s\x0117=%u\x01150=%c\x0139=%c\x0155=SIM\x0154=1\x01151=%u\x0114=%u\x01"
                    b"6=1\x01", p.order, clordid, p.order * 4 + p.answer,
                    c'0' if p.answer == ANSWER_NEW else (c'F' if p.answer == ANSWER_FILLED else c'I'),
                    c'2' if p.answer == ANSWER_FILLED else c'0', 0 if p.answer == ANSWER_FILLED else 100,
                    100 if p.answer == ANSWER_FILLED else 0)


cdef bint broker_idle(const broker_t* b) noexcept nogil:
    return b.head == b.tail and b.session.state == SESSION_READY


cdef bint broker_ask_for_all(broker_t* b, const instant_t* now) noexcept nogil:
    cdef const record_header_t* record = NULL
    return session_send_application(b.session, b"2", 1, b"7=1\x0116=0\x01", 9, 0, 0, 0, 0, now, &record) == SEND_OK


cdef bint broker_reset(broker_t* b, uint32_t jump, const instant_t* now) noexcept nogil:
    cdef const record_header_t* record = NULL
    cdef char body[64]
    cdef uint64_t number = b.session.next_out + 1 + jump
    cdef uint32_t length = snprintf(body, sizeof(body), b"123=N\x0136=%llu\x01", <unsigned long long>number)
    if b.session.state != SESSION_READY or session_send_application(
            b.session, b"4", 1, <const uint8_t*>body, length, 0, 0, 0, 0, now, &record) != SEND_OK:
        return 0
    b.session.state = SESSION_DISCONNECTED       # where alone our session lets its numbers be set
    session_set_seq(b.session, number, b.session.next_in, now)
    b.session.state = SESSION_READY
    return 1
