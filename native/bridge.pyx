"""A client OMS on a FIX session of its own: what of it the log does not have yet.

May depend on: record, journal, orders, parser, fixbody. Never does I/O, never reads a clock, never allocates after
bridge_init.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from .clientwire cimport (MAX_CLORDID_BYTES, REJECT_BACK_PRESSURE, REJECT_CANCELED, REJECT_CLORDID_TAKEN,
                          REJECT_FORBIDDEN_MSG_TYPE, REJECT_FORBIDDEN_TAG, REJECT_HOLD_FULL, REJECT_KILLED,
                          REJECT_MALFORMED, REJECT_MAX_NOTIONAL, REJECT_MAX_OPEN_QTY, REJECT_MAX_ORDER_QTY,
                          REJECT_NOT_READY, REJECT_NO_CLORDID, REJECT_PRICE_REQUIRED, REJECT_QUANTITY_REQUIRED,
                          REJECT_THROTTLE, REJECT_TOO_LARGE, REJECT_UNKNOWN_SESSION)
from .encoder cimport write_uint
from .fixbody cimport body_char, body_t, body_text, body_uint
from .journal cimport journal_at, journal_t
from .orders cimport order_table_t, orders_by_client
from .parser cimport MAX_MESSAGE_BYTES, field_t, find_field, message_t, parse_message
from .record cimport record_header_t, record_payload, record_payload_length
from .tags cimport data_tag_after, names_new_order

cdef enum:
    REFUSED_AT_ONCE = 1024           # orders, while there is no room for one
    MAX_COPIED_BYTES = 100           # of a field of a message that is refused: a refusal is whole, whatever it refuses
    TAG_CLORDID = 11
    TAG_CUM_QTY = 14
    TAG_EXEC_ID = 17
    TAG_EXEC_TRANS_TYPE = 20
    TAG_ORDER_ID = 37
    TAG_ORDER_QTY = 38
    TAG_ORD_STATUS = 39
    TAG_ORIGCLORDID = 41
    TAG_REF_SEQ_NUM = 45
    TAG_SIDE = 54
    TAG_SYMBOL = 55
    TAG_TEXT = 58
    TAG_TRANSACT_TIME = 60
    TAG_AVG_PX = 6
    TAG_CXL_REJ_REASON = 102
    TAG_ORD_REJ_REASON = 103
    TAG_EXEC_TYPE = 150
    TAG_LEAVES_QTY = 151
    TAG_REF_MSG_TYPE = 372
    TAG_BUSINESS_REJECT_REF_ID = 379
    TAG_BUSINESS_REJECT_REASON = 380
    TAG_CXL_REJ_RESPONSE_TO = 434
    MSGTYPE_NEW_ORDER = 0x44         # D
    MSGTYPE_CANCEL = 0x46            # F
    MSGTYPE_REPLACE = 0x47           # G


# --- derived from the log -------------------------------------------------------------------------------------------

cdef int bridge_init(bridge_t* b, uint32_t client) noexcept nogil:
    b.pending = <uint64_t*>calloc(MAX_PENDING, sizeof(uint64_t))
    if b.pending is NULL:
        return -1
    b.client = client
    bridge_forget(b)
    return 0


cdef void bridge_free(bridge_t* b) noexcept nogil:
    free(b.pending)
    b.pending = NULL
    b.client = 0


cdef void bridge_forget(bridge_t* b) noexcept nogil:
    b.first = b.end = b.next = b.inherited = 0
    b.passed_lsn = 0
    b.patience = 0
    b.cursor = 1


cdef void bridge_apply(bridge_t* b, const record_header_t* record, const message_t* message, order_table_t* orders,
                       journal_t* journal) noexcept nogil:
    cdef const field_t* id = new_clordid(message)
    if id is NULL:
        return
    if orders_by_client(orders, b.client, message.data + id.offset, id.length) is not NULL:
        return                       # a repeat: it has its outcome
    bridge_sweep(b, orders, journal)
    if b.end - b.first == MAX_PENDING:
        drop_latest(b, orders, journal)
    if b.end - b.first == MAX_PENDING:
        squeeze(b, orders, journal)
    if b.end - b.first == MAX_PENDING:
        b.first += 1                 # no primary lets it come to that
    b.pending[b.end % MAX_PENDING] = record.lsn
    b.end += 1


cdef bint bridge_has_room(bridge_t* b, order_table_t* orders, journal_t* journal) noexcept nogil:
    if b.end - b.first < MAX_PENDING:
        b.patience = 0
        return 1
    if b.patience:
        b.patience -= 1
        return 0
    squeeze(b, orders, journal)
    if b.end - b.first == MAX_PENDING:
        b.patience = REFUSED_AT_ONCE
        return 0
    return 1


cdef void drop_latest(bridge_t* b, order_table_t* orders, journal_t* journal) noexcept nogil:
    """What was refused for want of room goes first: it costs nothing to find."""
    while b.end > b.first and is_settled(b, orders, journal_at(journal, b.pending[(b.end - 1) % MAX_PENDING])):
        b.end -= 1
    b.next = min(b.next, b.end)
    b.inherited = min(b.inherited, b.end)


cdef void squeeze(bridge_t* b, order_table_t* orders, journal_t* journal) noexcept nogil:
    """Takes out of `pending` what has an outcome, wherever it is: one order may wait for long before many others."""
    cdef uint64_t kept = b.end
    cdef uint64_t next = b.next
    cdef uint64_t inherited = b.inherited
    cdef uint64_t i = b.end
    while i > b.first:
        i -= 1
        if is_settled(b, orders, journal_at(journal, b.pending[i % MAX_PENDING])):
            # What is before moves up by one: so do the marks at it or behind it.
            next += i >= b.next
            inherited += i >= b.inherited
            continue
        kept -= 1
        b.pending[kept % MAX_PENDING] = b.pending[i % MAX_PENDING]
    b.first = kept
    b.next = max(next, kept)
    b.inherited = inherited


cdef void bridge_passed(bridge_t* b, const record_header_t* record) noexcept nogil:
    b.passed_lsn = record.lsn - record.aux


cdef void bridge_sweep(bridge_t* b, order_table_t* orders, journal_t* journal) noexcept nogil:
    while b.first < b.end and is_settled(b, orders, journal_at(journal, b.pending[b.first % MAX_PENDING])):
        b.first += 1
    b.next = max(b.next, b.first)


cdef bint is_settled(const bridge_t* b, order_table_t* orders, const record_header_t* record) noexcept nogil:
    cdef field_t fields[MAX_SCANNED_FIELDS]
    cdef message_t message
    cdef const field_t* id
    if record is NULL:
        return 1
    memset(&message, 0, sizeof(message))
    message.fields = fields
    message.field_capacity = MAX_SCANNED_FIELDS
    parse_message(record_payload(record), record_payload_length(record), MAX_MESSAGE_BYTES, &message)
    id = find_field(&message, TAG_CLORDID, 3)
    return id is NULL or orders_by_client(orders, b.client, message.data + id.offset, id.length) is not NULL


cdef void bridge_promote(bridge_t* b) noexcept nogil:
    b.next = b.first
    b.inherited = b.end
    b.cursor = b.passed_lsn + 1


# --- messages -------------------------------------------------------------------------------------------------------

cdef const field_t* new_clordid(const message_t* message) noexcept nogil:
    cdef const field_t* id = whole_clordid(message) if names_new_order(message.msg_type) else NULL
    return id if id is not NULL and id - message.fields < MAX_SCANNED_FIELDS else NULL


cdef const field_t* whole_clordid(const message_t* message) noexcept nogil:
    cdef const field_t* id = find_field(message, TAG_CLORDID, 3)
    cdef uint32_t i
    if id is NULL or id.length == 0 or id.length > MAX_CLORDID_BYTES:
        return NULL
    for i in range(id.length):
        if not 0x20 <= message.data[id.offset + i] <= 0x7E:
            return NULL
    return id


cdef bint is_header_or_trailer(uint32_t tag) noexcept nogil:
    """Standard header and trailer, the group NoHops included (FIX 5.0SP2 volume 1): they are of one connection."""
    if tag < 64:
        return ((<uint64_t>1 << tag) & ((<uint64_t>1 << 8) | (<uint64_t>1 << 9) | (<uint64_t>1 << 10)
                | (<uint64_t>1 << 34) | (<uint64_t>1 << 35) | (<uint64_t>1 << 43) | (<uint64_t>1 << 49)
                | (<uint64_t>1 << 50) | (<uint64_t>1 << 52) | (<uint64_t>1 << 56) | (<uint64_t>1 << 57))) != 0
    return (89 <= tag <= 91 or tag == 93 or tag == 97 or tag == 115 or tag == 116 or tag == 122 or tag == 128
            or tag == 129 or 142 <= tag <= 145 or tag == 212 or tag == 213 or tag == 347 or tag == 369
            or 627 <= tag <= 630 or tag == 1128 or tag == 1129 or tag == 1156)


cdef bint promises_data(uint32_t tag) noexcept nogil:
    """A length in the body: without what follows it, it would be that of another field."""
    return data_tag_after(tag) != 0 and not is_header_or_trailer(tag)


cdef uint32_t bridge_fields(const message_t* message, uint8_t* place, uint32_t capacity) noexcept nogil:
    cdef const field_t* field
    cdef uint32_t i
    cdef uint32_t size = 0
    cdef uint32_t start = 0
    cdef uint32_t end
    # A run of fields that belong to the body is copied at once: each begins where the one before it ended.
    for i in range(message.field_count):
        field = &message.fields[i]
        end = field.offset + field.length + 1
        if is_header_or_trailer(field.tag):
            if i > 0 and promises_data(message.fields[i - 1].tag):
                return 0
            start = end
            continue
        if i + 1 < message.field_count and not is_header_or_trailer(message.fields[i + 1].tag):
            continue
        if size + end - start > capacity:
            return 0
        memcpy(place + size, message.data + start, end - start)
        size += end - start
        start = end
    return size


cdef uint8_t bridge_refusal(const message_t* message, const uint8_t* begin_string, uint8_t reason, const uint8_t* text,
                            uint32_t text_length, uint64_t id, const uint8_t* time, uint32_t time_length,
                            body_t* body) noexcept nogil:
    cdef bint before_42 = begin_string[4] == c'4' and begin_string[6] <= c'1'
    cdef bint before_43 = begin_string[4] == c'4' and begin_string[6] <= c'2'
    cdef bint is_40 = before_43 and begin_string[6] == c'0'
    body.length = 0
    if message.msg_type == MSGTYPE_CANCEL or message.msg_type == MSGTYPE_REPLACE:
        body_text(body, TAG_ORDER_ID, b"NONE", 4)
        copy_field(body, message, TAG_CLORDID)
        copy_field(body, message, TAG_ORIGCLORDID)
        body_char(body, TAG_ORD_STATUS, c'8')
        if not before_42:
            body_char(body, TAG_CXL_REJ_RESPONSE_TO, c'1' if message.msg_type == MSGTYPE_CANCEL else c'2')
        body_uint(body, TAG_CXL_REJ_REASON, 2)               # broker / exchange option
        say_why(body, text, text_length)
        return c'9'
    if message.msg_type == MSGTYPE_NEW_ORDER or (names_new_order(message.msg_type) and message.msg_type != c'q'):
        body_text(body, TAG_ORDER_ID, b"NONE", 4)
        copy_field(body, message, TAG_CLORDID)
        body_exec_id(body, id)
        if before_43:
            body_char(body, TAG_EXEC_TRANS_TYPE, c'0')
        if not is_40:
            body_char(body, TAG_EXEC_TYPE, c'8')
        body_char(body, TAG_ORD_STATUS, c'8')
        body_uint(body, TAG_ORD_REJ_REASON, 6 if reason == REJECT_CLORDID_TAKEN else 0 if before_43 else 99)
        copy_field(body, message, TAG_SYMBOL)
        copy_field(body, message, TAG_SIDE)
        copy_field(body, message, TAG_ORDER_QTY)
        if not is_40:
            body_char(body, TAG_LEAVES_QTY, c'0')
        body_char(body, TAG_CUM_QTY, c'0')
        body_char(body, TAG_AVG_PX, c'0')
        body_text(body, TAG_TRANSACT_TIME, time, time_length)
        say_why(body, text, text_length)
        return c'8'
    body_uint(body, TAG_REF_SEQ_NUM, message.seq)
    if before_42:
        say_why(body, text, text_length)
        return c'3'                                          # there is no BusinessMessageReject yet
    body_msg_type(body, message)
    copy_field_as(body, TAG_BUSINESS_REJECT_REF_ID, message, TAG_CLORDID)
    body_uint(body, TAG_BUSINESS_REJECT_REASON, 3 if reason == REJECT_FORBIDDEN_MSG_TYPE
              else 7 if reason == REJECT_UNKNOWN_SESSION else 4 if reason == REJECT_NOT_READY else 0)
    say_why(body, text, text_length)
    return c'j'


cdef void copy_field(body_t* body, const message_t* message, uint32_t tag) noexcept nogil:
    copy_field_as(body, tag, message, tag)


cdef void copy_field_as(body_t* body, uint32_t new_tag, const message_t* message, uint32_t tag) noexcept nogil:
    cdef const field_t* field = find_field(message, tag, 3)
    if field is not NULL and 0 < field.length <= MAX_COPIED_BYTES:
        body_text(body, new_tag, message.data + field.offset, field.length)


cdef void say_why(body_t* body, const uint8_t* text, uint32_t length) noexcept nogil:
    if length:
        body_text(body, TAG_TEXT, text, length)


cdef void body_exec_id(body_t* body, uint64_t id) noexcept nogil:
    """Of the gateway's own: GW and the LSN, which is never given again."""
    cdef uint8_t text[24]
    memcpy(text, b"GW", 2)
    body_text(body, TAG_EXEC_ID, text, 2 + write_uint(text + 2, id))


cdef void body_msg_type(body_t* body, const message_t* message) noexcept nogil:
    cdef uint8_t text[4]
    cdef uint32_t length = 0
    cdef uint32_t left = message.msg_type
    while left:
        text[length] = <uint8_t>left
        left >>= 8
        length += 1
    body_text(body, TAG_REF_MSG_TYPE, text, length)


cdef const char* refusal_text(uint8_t reason) noexcept nogil:
    if reason == REJECT_MALFORMED:
        return b"gateway: a field is empty, repeated or no number"
    if reason == REJECT_FORBIDDEN_TAG:
        return b"gateway: a header field in the body"
    if reason == REJECT_NO_CLORDID:
        return b"gateway: ClOrdID (11) is missing or too long"
    if reason == REJECT_UNKNOWN_SESSION:
        return b"gateway: no such destination for this client"
    if reason == REJECT_CLORDID_TAKEN:
        return b"gateway: this ClOrdID was used before"
    if reason == REJECT_NOT_READY:
        return b"gateway: the destination is not logged on"
    if reason == REJECT_HOLD_FULL or reason == REJECT_BACK_PRESSURE:
        return b"gateway: too much is waiting already"
    if reason == REJECT_KILLED:
        return b"gateway: the kill switch is set"
    if reason == REJECT_MAX_ORDER_QTY:
        return b"gateway: above the limit on OrderQty (38)"
    if reason == REJECT_MAX_NOTIONAL:
        return b"gateway: above the limit on the order's value"
    if reason == REJECT_THROTTLE:
        return b"gateway: too many orders a second"
    if reason == REJECT_TOO_LARGE:
        return b"gateway: the message is too large"
    if reason == REJECT_FORBIDDEN_MSG_TYPE:
        return b"gateway: this MsgType (35) is not passed on"
    if reason == REJECT_MAX_OPEN_QTY:
        return b"gateway: above the limit on the open quantity"
    if reason == REJECT_PRICE_REQUIRED:
        return b"gateway: Price (44) is needed for the limit on the order's value"
    if reason == REJECT_QUANTITY_REQUIRED:
        return b"gateway: OrderQty (38) is needed for the limits on quantities"
    if reason == REJECT_CANCELED:
        return b"gateway: canceled before it was sent"
    return b"gateway: refused"
