"""What a client hands in: checked, made idempotent, held or numbered, or refused.

May depend on: replica, session, risk, orders, parser, ring, clientwire. Never does I/O, never reads a clock, never
allocates after intake_init.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strlen

from .clientwire cimport (MAX_CLORDID_BYTES, MAX_FRAME_BYTES, REJECT_BACK_PRESSURE, REJECT_CLORDID_TAKEN,
                          REJECT_FORBIDDEN_MSG_TYPE, REJECT_FORBIDDEN_TAG, REJECT_HOLD_FULL, REJECT_MALFORMED,
                          REJECT_NO_CLORDID, REJECT_NOT_READY, REJECT_QUANTITY_REQUIRED, REJECT_TOO_LARGE,
                          REJECT_UNKNOWN_SESSION)
from .doubt cimport doubt_append, doubt_body, doubt_msg_type, doubts_full
from .encoder cimport write_uint
from .instant cimport instant_t
from .journal cimport journal_at, journal_commit, journal_reserve
from .orders cimport (ORDER_NOT_THERE, order_in_doubt, order_t, orders_by_client, orders_by_session, orders_full,
                      orders_original)
from .parser cimport (PARSE_OK, PARSE_TOO_MANY_FIELDS, field_decimal_e8, field_is, field_t, find_field, parse_fields,
                      parse_status)
from .record cimport (FLAG_APPLICATION, FLAG_ORDER, RECORD_REJECTED, record_header_t, record_payload)
from .replica cimport replica_catch_up
from .ring cimport RING_HEADER_BYTES, ring_init, ring_peek, ring_release, ring_write
from .risk cimport risk_check, risk_limits_quantity
from .session cimport SEND_NOT_READY, SEND_OK, SEND_TOO_LARGE, send_status, session_send_application, session_t
from .stages cimport stages_check
from .tags cimport names_new_order

cdef enum:
    TAG_CLORDID = 11
    TAG_ORDER_QTY = 38
    TAG_ORD_TYPE = 40
    TAG_PRICE = 44
    TAG_CASH_ORDER_QTY = 152
    TAG_ORDER_PERCENT = 516
    MAX_MSG_TYPE_BYTES = 4
    MSGTYPE_CANCEL = 0x46           # 'F' OrderCancelRequest
    MSGTYPE_MASS_CANCEL = 0x71      # 'q' OrderMassCancelRequest


cdef void intake_init(intake_t* t, replica_t* replica, uint64_t window_records) noexcept nogil:
    memset(t, 0, sizeof(intake_t))
    t.replica = replica
    t.window_records = window_records
    t.fields.fields = t.index
    t.fields.field_capacity = MAX_INDEXED_FIELDS


cdef int intake_add_session(intake_t* t, uint16_t session, bint hold_when_not_ready) noexcept nogil:
    cdef ring_t* held = <ring_t*>malloc(RING_HEADER_BYTES + HELD_BYTES)
    if held is NULL:
        return -1
    ring_init(held, RING_HEADER_BYTES + HELD_BYTES)
    t.sessions[session].held = held
    t.sessions[session].hold_when_not_ready = hold_when_not_ready
    t.sessions[session].hold_max_age_ns = HOLD_MAX_AGE_NS
    return 0


cdef void intake_free(intake_t* t) noexcept nogil:
    cdef uint32_t i
    for i in range(MAX_SESSIONS):
        free(t.sessions[i].held)
        t.sessions[i].held = NULL


cdef intake_verdict intake_submit(intake_t* t, submission_t* s, const instant_t* now) noexcept nogil:
    cdef uint8_t reason
    cdef bint new_id
    replica_catch_up(t.replica)
    reason = inspect(t, s)
    if reason:
        return refuse(t, s, reason, now)
    new_id = carries_new_clordid(s)
    if new_id:
        if find_repeated(t, s):
            t.repeated += 1
            return INTAKE_HELD if s.order_in_doubt else INTAKE_REPEATED
        if s.again and t.sessions[s.session].lossy:
            return doubt(t, s, now)
        # What has waited in the log through a stop of the pair must not go out when nobody expects it any more.
        reason = REJECT_NOT_READY if s.age_ns > t.sessions[s.session].hold_max_age_ns else check_order(t, s, now)
        if reason:
            return refuse(t, s, reason, now)
    if intake_holds(t, s.session) and not (is_cancel(s) and names_known_order(t, s)):
        return hold(t, s, now)      # first come, first numbered
    stages_check(t.stages)
    reason = number(t, s, new_id, now)
    if reason == 0:
        t.accepted += 1
        return INTAKE_NUMBERED
    if reason == REJECT_TOO_LARGE:
        return refuse(t, s, reason, now)
    if not t.sessions[s.session].hold_when_not_ready:
        return refuse(t, s, reason, now)
    return hold(t, s, now)


cdef uint32_t intake_drain(intake_t* t, uint16_t session, const instant_t* now) noexcept nogil:
    cdef ring_t* held = t.sessions[session].held
    cdef const uint8_t* message = NULL
    cdef uint32_t length
    cdef uint32_t left = 0
    cdef submission_t s
    cdef held_t header
    cdef uint8_t reason
    while True:
        length = ring_peek(held, &message)
        if length == 0:
            t.holding[session // 64] &= ~(<uint64_t>1 << session % 64)
            return left
        memset(&s, 0, sizeof(s))
        memcpy(&header, message, sizeof(header))
        s.client = header.client
        s.origin_lsn = header.origin_lsn
        s.session = session
        s.msg_type_length = header.msg_type_length
        s.msg_type = message + HELD_HEADER_BYTES
        s.body = s.msg_type + s.msg_type_length
        s.body_length = length - HELD_HEADER_BYTES - s.msg_type_length
        replica_catch_up(t.replica)
        reason = inspect(t, &s)
        if reason == 0 and carries_new_clordid(&s):
            if find_repeated(t, &s):      # the client handed it in twice while it waited
                ring_release(held)
                continue
            reason = check_order(t, &s, now)
        if reason == 0 and now.mono_ns - header.since_mono_ns > t.sessions[session].hold_max_age_ns:
            reason = REJECT_NOT_READY
        elif reason == 0:
            reason = number(t, &s, carries_new_clordid(&s), now)
            if reason == REJECT_NOT_READY or reason == REJECT_BACK_PRESSURE:
                return left
        if reason:
            if log_refusal(t, &s, reason, now) != 0:
                return left               # no space for the record now: it stays held
            t.refused += 1
        else:
            t.accepted += 1
            left += 1
        ring_release(held)


cdef void intake_settle(intake_t* t, uint16_t session, const instant_t* now) noexcept nogil:
    cdef const record_header_t* record
    cdef order_t* order
    cdef submission_t s
    cdef uint8_t reason
    cdef uint32_t i = 0
    while i < t.replica.doubts.count and t.replica.doubts.not_there:
        record = journal_at(t.replica.journal, t.replica.doubts.lsns[i])
        i += 1
        if record is NULL or record.session != session:
            continue
        memset(&s, 0, sizeof(s))
        s.client = record.client
        s.session = session
        s.origin_lsn = record.seq
        s.msg_type = doubt_msg_type(record, &s.msg_type_length)
        s.body = doubt_body(record, &s.body_length)
        if inspect(t, &s) != 0:
            continue
        order = orders_by_client(&t.replica.orders, s.client, s.clordid, s.clordid_length)
        if order is NULL or order.state != ORDER_NOT_THERE:
            continue
        reason = order.reason
        if reason == 0:
            reason = check_limits(t, &s, now)
        if reason == 0:
            reason = number(t, &s, 1, now)
        if reason == REJECT_NOT_READY or reason == REJECT_BACK_PRESSURE:
            return
        if reason and log_refusal(t, &s, reason, now) != 0:
            return
        t.refused += reason != 0
        t.accepted += reason == 0
        replica_catch_up(t.replica)


cdef void intake_forget_held(intake_t* t) noexcept nogil:
    cdef uint32_t i
    for i in range(MAX_SESSIONS):
        if t.sessions[i].held is not NULL:
            ring_init(t.sessions[i].held, RING_HEADER_BYTES + HELD_BYTES)


cdef bint intake_holds(const intake_t* t, uint16_t session) noexcept nogil:
    return t.sessions[session].held.written != t.sessions[session].held.read


# --- helpers --------------------------------------------------------------------------------------------------------

cdef bint is_header_or_trailer_tag(uint32_t tag) noexcept nogil:
    """Tags that the gateway writes itself: 8 9 10 34 35 43 49 52 56 122 369 and security fields 89 90 91 93."""
    if tag < 64:
        return ((<uint64_t>1 << tag) & ((<uint64_t>1 << 8) | (<uint64_t>1 << 9) | (<uint64_t>1 << 10)
                | (<uint64_t>1 << 34) | (<uint64_t>1 << 35) | (<uint64_t>1 << 43) | (<uint64_t>1 << 49)
                | (<uint64_t>1 << 52) | (<uint64_t>1 << 56))) != 0
    return (89 <= tag <= 91) or tag == 93 or tag == 122 or tag == 369


cdef bint is_session_level(const submission_t* s) noexcept nogil:
    """MsgType 0 to 5 and A, and XMLnonFIX (n) which the gateway has no use for."""
    return s.msg_type_length == 1 and (c'0' <= s.msg_type[0] <= c'5' or s.msg_type[0] == c'A' or s.msg_type[0] == c'n')


cdef bint is_msg_type(const submission_t* s) noexcept nogil:
    cdef uint32_t i
    if s.msg_type_length == 0 or s.msg_type_length > MAX_MSG_TYPE_BYTES:
        return 0
    for i in range(s.msg_type_length):
        if s.msg_type[i] <= 0x20 or s.msg_type[i] > 0x7E:
            return 0
    return 1


cdef bint is_cancel(const submission_t* s) noexcept nogil:
    return s.msg_type_length == 1 and (s.msg_type[0] == c'F' or s.msg_type[0] == c'q')


cdef bint names_known_order(intake_t* t, const submission_t* s) noexcept nogil:
    """Else what a cancel is about may be waiting here itself: the cancel must not overtake it."""
    return orders_original(&t.replica.orders, s.client, &t.fields) is not NULL


cdef bint carries_new_clordid(const submission_t* s) noexcept nogil:
    cdef uint32_t packed = 0
    memcpy(&packed, s.msg_type, min(s.msg_type_length, <uint32_t>MAX_MSG_TYPE_BYTES))
    return names_new_order(packed)


cdef bint trades_unchecked(const submission_t* s) noexcept nogil:
    """E (NewOrderList), S, i, AJ (quotes): they may trade, but hold quantities, and ClOrdIDs if any, where neither the
    limits nor the order table see them. Kill switch and idempotency must have no such way around them."""
    if s.msg_type_length == 1:
        return s.msg_type[0] == c'E' or s.msg_type[0] == c'S' or s.msg_type[0] == c'i'
    return s.msg_type_length == 2 and s.msg_type[0] == c'A' and s.msg_type[1] == c'J'


cdef uint8_t inspect(intake_t* t, submission_t* s) noexcept nogil:
    """Indexes the fields and finds the ClOrdID, which the answer names whatever else is wrong. 0, or the
    reject_reason."""
    cdef parse_status status = parse_fields(s.body, s.body_length, &t.fields)
    cdef const field_t* clordid = find_field(&t.fields, TAG_CLORDID, 0)
    s.clordid = s.body + clordid.offset if clordid is not NULL else NULL
    s.clordid_length = clordid.length if clordid is not NULL else 0
    if not is_printable(s.clordid, s.clordid_length):     # the client protocol has no way to name it (clientwire.pxd)
        s.clordid = NULL
        s.clordid_length = 0
        return malformed(s, FAULT_CLORDID, 0)
    if s.forbidden or s.session >= t.replica.session_count:
        return REJECT_UNKNOWN_SESSION
    if s.cut_off or status == PARSE_TOO_MANY_FIELDS:
        return malformed(s, FAULT_TOO_MANY_FIELDS, 0)
    if status != PARSE_OK:
        return malformed(s, FAULT_BYTE, t.fields.consumed)
    if s.body_length == 0:
        return malformed(s, FAULT_NO_FIELDS, 0)
    if not is_msg_type(s):
        return malformed(s, FAULT_MSG_TYPE, 0)
    if is_session_level(s) or trades_unchecked(s):
        return REJECT_FORBIDDEN_MSG_TYPE
    if carries_new_clordid(s) and (s.clordid is NULL or s.clordid_length > MAX_CLORDID_BYTES):
        return REJECT_NO_CLORDID
    return inspect_fields(t, s)


cdef bint is_printable(const uint8_t* text, uint32_t length) noexcept nogil:
    """ASCII without control characters."""
    cdef uint8_t outside = 0
    cdef uint32_t i
    for i in range(length):
        outside |= <uint8_t>(text[i] - 0x20) > 0x5E
    return not outside


cdef uint8_t inspect_fields(const intake_t* t, submission_t* s) noexcept nogil:
    cdef const field_t* field
    cdef uint32_t i
    cdef uint64_t seen = 0
    for i in range(t.fields.field_count):
        field = &t.fields.fields[i]
        if is_header_or_trailer_tag(field.tag):
            return REJECT_FORBIDDEN_TAG
        if field.length == 0:
            return malformed(s, FAULT_EMPTY, field.tag)
        if field.tag == TAG_CLORDID or field.tag == TAG_ORDER_QTY or field.tag == TAG_PRICE:
            # The counterparty might take the other one than was checked here; of a cross, both.
            if seen & (<uint64_t>1 << field.tag) and carries_new_clordid(s):
                return malformed(s, FAULT_TWICE, field.tag)
            seen |= <uint64_t>1 << field.tag
    return 0


cdef bint find_repeated(intake_t* t, submission_t* s) noexcept nogil:
    cdef order_t* order = orders_by_client(&t.replica.orders, s.client, s.clordid, s.clordid_length)
    if order is NULL:
        return 0
    s.order_state = order.state
    s.order_seq = order.seq
    s.order_lsn = order.lsn
    s.order_generation = order.generation
    s.order_in_doubt = order_in_doubt(order)
    s.reason = order.reason
    return 1


cdef uint8_t check_order(intake_t* t, submission_t* s, const instant_t* now) noexcept nogil:
    if orders_by_session(&t.replica.orders, s.session, s.clordid, s.clordid_length) is not NULL:
        return REJECT_CLORDID_TAKEN
    if orders_full(&t.replica.orders):
        return REJECT_BACK_PRESSURE
    return check_limits(t, s, now)


cdef uint8_t check_limits(intake_t* t, submission_t* s, const instant_t* now) noexcept nogil:
    cdef const field_t* price
    cdef const field_t* quantity
    cdef int64_t price_e8 = 0
    cdef int64_t quantity_e8 = 0
    cdef bint ok = 0
    if is_cancel(s):
        return 0
    quantity = find_field(&t.fields, TAG_ORDER_QTY, 0)
    if quantity is not NULL:
        quantity_e8 = field_decimal_e8(&t.fields, quantity, &ok)
        if not ok:
            return malformed(s, FAULT_NO_NUMBER, TAG_ORDER_QTY)
        if quantity_e8 <= 0:
            return malformed(s, FAULT_BELOW_UNIT, TAG_ORDER_QTY)
    if risk_limits_quantity(&t.replica.risk, s.client) and (
            quantity is NULL or find_field(&t.fields, TAG_CASH_ORDER_QTY, 0) is not NULL
            or find_field(&t.fields, TAG_ORDER_PERCENT, 0) is not NULL):
        return REJECT_QUANTITY_REQUIRED         # or the counterparty might take another measure than was checked
    price = find_field(&t.fields, TAG_PRICE, 0)
    if price is not NULL:
        price_e8 = field_decimal_e8(&t.fields, price, &ok)
        if not ok:
            return malformed(s, FAULT_NO_NUMBER, TAG_PRICE)
        if goes_at_any_price(t):
            price_e8 = 0
    return risk_check(&t.replica.risk, s.client, quantity_e8, price_e8, now.wall_ns)


cdef bint goes_at_any_price(const intake_t* t) noexcept nogil:
    """OrdType (40) market, stop, market on close: the counterparty has no use for a Price (44)."""
    cdef const field_t* ord_type = find_field(&t.fields, TAG_ORD_TYPE, 0)
    return ord_type is not NULL and (field_is(&t.fields, ord_type, c'1') or field_is(&t.fields, ord_type, c'3')
                                     or field_is(&t.fields, ord_type, c'5'))


cdef uint8_t number(intake_t* t, submission_t* s, bint new_id, const instant_t* now) noexcept nogil:
    """Gives the message its MsgSeqNum and its place in the log. 0, or why not."""
    cdef session_t* session = &t.replica.sessions[s.session]
    cdef const record_header_t* record = NULL
    cdef uint8_t flags = FLAG_APPLICATION
    cdef send_status status
    cdef uint32_t offset = 0
    cdef uint32_t length = 0
    if not t.open:
        return REJECT_NOT_READY
    if t.gated and t.replica.journal.last_lsn - t.acked_lsn > t.window_records:
        return REJECT_BACK_PRESSURE
    if new_id:
        flags |= FLAG_ORDER
        offset = <uint32_t>(s.clordid - s.body)
        length = s.clordid_length
    status = session_send_application(session, s.msg_type, s.msg_type_length, s.body, s.body_length, offset, length,
                                      s.client, flags, now, &record)
    if status == SEND_OK:
        return 0
    if status == SEND_TOO_LARGE:
        return REJECT_TOO_LARGE
    return REJECT_NOT_READY if status == SEND_NOT_READY else REJECT_BACK_PRESSURE


cdef intake_verdict hold(intake_t* t, submission_t* s, const instant_t* now) noexcept nogil:
    cdef uint8_t message[HELD_HEADER_BYTES + MAX_MSG_TYPE_BYTES + MAX_FRAME_BYTES]
    cdef uint8_t* at = message + HELD_HEADER_BYTES
    cdef held_t header
    header.since_mono_ns = now.mono_ns - s.age_ns
    header.origin_lsn = s.origin_lsn
    header.client = s.client
    header.msg_type_length = s.msg_type_length
    memcpy(message, &header, sizeof(header))
    memcpy(at, s.msg_type, s.msg_type_length)
    memcpy(at + s.msg_type_length, s.body, s.body_length)
    if not ring_write(t.sessions[s.session].held, message,
                      HELD_HEADER_BYTES + s.msg_type_length + s.body_length):
        return refuse(t, s, REJECT_HOLD_FULL, now)
    t.holding[s.session // 64] |= <uint64_t>1 << s.session % 64
    t.held += 1
    return INTAKE_HELD


cdef intake_verdict doubt(intake_t* t, submission_t* s, const instant_t* now) noexcept nogil:
    """An earlier primary may have sent it: into the log with it, and out only if the counterparty has it not."""
    if orders_by_session(&t.replica.orders, s.session, s.clordid, s.clordid_length) is not NULL:
        return refuse(t, s, REJECT_CLORDID_TAKEN, now)
    if (not t.open or orders_full(&t.replica.orders) or doubts_full(&t.replica.doubts)
            or doubt_append(t.replica.journal, t.epoch, s.client, s.session, s.clordid, s.clordid_length, s.msg_type,
                            s.msg_type_length, s.body, s.body_length, s.origin_lsn, now) != 0):
        return INTAKE_COME_AGAIN
    t.doubted += 1
    return INTAKE_HELD


# --- by topic --------------------------------------------------------------------------------------------------------

include "intake_refusals.pxi"
