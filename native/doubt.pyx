"""Orders that an earlier primary may have sent without our log knowing it: their records, and the question about them.

May depend on: record, journal, parser. Never does I/O, never reads a clock, never allocates after doubts_init.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from .instant cimport instant_t
from .journal cimport journal_commit, journal_reserve, journal_t
from .parser cimport PARSE_OK, field_t, find_field, message_t, parse_fields
from .record cimport RECORD_DOUBT, record_header_t, record_payload, record_payload_length

cdef enum:
    SOH = 1
    TAG_EXEC_TRANS_TYPE = 20
    TAG_ORD_STATUS = 39
    TAG_ORD_REJ_REASON = 103
    TAG_EXEC_TYPE = 150
    MSGTYPE_REJECT = 0x33           # '3'
    MSGTYPE_EXECUTION_REPORT = 0x38  # '8'
    MSGTYPE_ORDER_STATUS_REQUEST = 0x48  # 'H'
    MSGTYPE_BUSINESS_REJECT = 0x6A  # 'j'


cdef int doubts_init(doubts_t* d) noexcept nogil:
    d.count = 0
    d.not_there = 0
    d.settled = 0
    d.refused = 0
    d.lsns = <uint64_t*>calloc(MAX_DOUBTS, sizeof(uint64_t))
    return 0 if d.lsns is not NULL else -1


cdef void doubts_free(doubts_t* d) noexcept nogil:
    free(d.lsns)
    d.lsns = NULL


cdef bint doubts_full(const doubts_t* d) noexcept nogil:
    return d.count == MAX_DOUBTS


cdef void doubts_add(doubts_t* d, uint64_t lsn) noexcept nogil:
    if d.count < MAX_DOUBTS:
        d.lsns[d.count] = lsn
        d.count += 1


cdef int doubt_append(journal_t* journal, uint32_t epoch, uint32_t client, uint16_t session, const uint8_t* clordid,
                      uint32_t clordid_length, const uint8_t* msg_type, uint32_t msg_type_length, const uint8_t* body,
                      uint32_t body_length, uint64_t origin_lsn, const instant_t* now) noexcept nogil:
    cdef uint16_t id_length = <uint16_t>clordid_length
    cdef uint32_t length = 2 + id_length + 1 + msg_type_length + body_length
    cdef record_header_t* record = journal_reserve(journal, length)
    cdef uint8_t* at
    if record is NULL:
        return -1
    record.seq = origin_lsn
    record.time_ns = now.wall_ns
    record.epoch = epoch
    record.client = client
    record.aux = 0
    record.session = session
    record.kind = RECORD_DOUBT
    record.flags = 0
    at = <uint8_t*>record_payload(record)
    memcpy(at, &id_length, 2)
    memcpy(at + 2, clordid, id_length)
    at += 2 + id_length
    at[0] = <uint8_t>msg_type_length
    memcpy(at + 1, msg_type, msg_type_length)
    memcpy(at + 1 + msg_type_length, body, body_length)
    journal_commit(journal, record, length)
    return 0


cdef const uint8_t* doubt_msg_type(const record_header_t* record, uint32_t* length) noexcept nogil:
    cdef const uint8_t* at = record_payload(record)
    at += 2 + (<const uint16_t*>at)[0]
    length[0] = at[0]
    return at + 1


cdef const uint8_t* doubt_body(const record_header_t* record, uint32_t* length) noexcept nogil:
    cdef uint32_t msg_type_length = 0
    cdef const uint8_t* at = doubt_msg_type(record, &msg_type_length) + msg_type_length
    length[0] = record_payload_length(record) - <uint32_t>(at - record_payload(record))
    return at


cdef uint32_t doubt_question(const record_header_t* record, message_t* scratch, uint8_t* buffer) noexcept nogil:
    cdef uint32_t body_length = 0
    cdef const uint8_t* body = doubt_body(record, &body_length)
    cdef uint16_t id_length = (<const uint16_t*>record_payload(record))[0]
    cdef uint32_t size
    cdef uint32_t written
    cdef uint32_t i
    cdef const field_t* field
    cdef const uint8_t* start
    memcpy(buffer, b"11=", 3)
    memcpy(buffer + 3, record_payload(record) + 2, id_length)
    buffer[3 + id_length] = SOH
    written = 4 + id_length
    if parse_fields(body, body_length, scratch) != PARSE_OK:
        return written
    for i in range(scratch.field_count):
        field = &scratch.fields[i]
        if not is_asked_with(field.tag):
            continue
        start = body + field.offset - 1 - digits_of(field.tag)     # from the tag to the SOH
        size = field.length + 2 + digits_of(field.tag)
        if written + size > MAX_QUESTION_BYTES:
            break
        memcpy(buffer + written, start, size)
        written += size
    return written


cdef bint says_unknown_order(const message_t* message) noexcept nogil:
    return (message.msg_type == MSGTYPE_EXECUTION_REPORT
            and (is_char(message, TAG_EXEC_TYPE, c'I') or is_char(message, TAG_EXEC_TRANS_TYPE, c'3'))
            and is_char(message, TAG_ORD_STATUS, c'8') and is_char(message, TAG_ORD_REJ_REASON, c'5'))


cdef bint asks_for_status(const message_t* message) noexcept nogil:
    return message.msg_type == MSGTYPE_ORDER_STATUS_REQUEST


cdef bint refuses_question(const message_t* message) noexcept nogil:
    return message.msg_type == MSGTYPE_REJECT or message.msg_type == MSGTYPE_BUSINESS_REJECT


# --- helpers --------------------------------------------------------------------------------------------------------

cdef bint is_asked_with(uint32_t tag) noexcept nogil:
    """Account, IDSource, SecurityID, Side, Symbol, SymbolSfx, SecurityType, maturity, PutOrCall, StrikePrice,
    OptAttribute, SecurityExchange, CFICode, MaturityDate."""
    return (tag == 1 or tag == 22 or tag == 48 or tag == 54 or tag == 55 or tag == 65 or tag == 167 or tag == 200
            or tag == 201 or tag == 202 or tag == 205 or tag == 206 or tag == 207 or tag == 461 or tag == 541)


cdef uint32_t digits_of(uint32_t tag) noexcept nogil:
    return 1 if tag < 10 else (2 if tag < 100 else 3)


cdef bint is_char(const message_t* message, uint32_t tag, uint8_t value) noexcept nogil:
    cdef const field_t* field = find_field(message, tag, 0)
    return field is not NULL and field.length == 1 and message.data[field.offset] == value
