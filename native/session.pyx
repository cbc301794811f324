"""One FIX session: the state machine, for both roles.

Here: life, log, transport, operator and transmit queue; the rest is by topic in session_*.pxi, in one compilation unit.
All changes of `state` are in `enter`. What survives a crash is changed by `session_apply` alone. May depend on:
journal, parser, encoder, dictionary, version, tags, txqueue, fixbody. Never does I/O, never reads a clock, never
allocates after session_init.
"""

from typing import NamedTuple

from gateway.errors import ProtocolError

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset, strlen

from .clientwire cimport FATE_GAP_FILLED, FATE_RESENT
from .dictionary cimport CHECK_ALL, CHECK_UNKNOWN_MESSAGES, Dictionary, dictionary_t, dictionary_validate
from .encoder cimport (MAX_MSG_TYPE_BYTES, TIMESTAMP_BYTES, encode_bound, encode_message, encode_resend, encode_t,
                       template_init, write_uint, write_utc_timestamp)
from .fixbody cimport BODY_BYTES, body_char, body_raw, body_t, body_text, body_uint
from .journal cimport (DIRECTION_IN, DIRECTION_OUT, Journal, journal_at, journal_commit, journal_find, journal_reserve,
                       journal_t)
from .parser cimport (GARBLED_FIELD, MAX_MESSAGE_BYTES, PARSE_GARBLED, PARSE_INCOMPLETE, field_is, field_t, field_uint,
                      field_utc_timestamp, find_field, message_t, parse_message, parse_status)
from .record cimport (FLAG_APPLICATION, FLAG_ORDER, FLAG_PASSED_ON, FLAG_POSS_DUP, FLAG_RESET, RECORD_IN, RECORD_OUT,
                      RECORD_STATE, STATE_RESEND, STATE_RESET, STATE_SET_SEQ, record_header_t, record_payload,
                      record_payload_length)
from .tags cimport *
from .txqueue cimport (tx_clear, tx_consume, tx_drop_unsent, tx_free, tx_gather, tx_init, tx_is_resend, tx_lsn, tx_peek,
                       tx_push, tx_push_scratch, tx_queue_t, tx_room, tx_scratch)
from .version cimport (REASON_APPL_VER_ID, REASON_BAD_FORMAT, REASON_COMP_ID_PROBLEM, REASON_INVALID_TAG,
                       REASON_REQUIRED_TAG_MISSING, REASON_SENDING_TIME_PROBLEM, REASON_TAG_WITHOUT_VALUE,
                       REASON_VALUE_INCORRECT, fix_version, reject_text)

cdef enum:
    MAX_FIELDS = 2048                 # of one message that are indexed
    MAX_HEARTBEAT_S = 86400
    HEADER_FIELDS = 32                # among so many from the start the standard header's fields are looked for
    EARLY_BYTES = 1 << 20             # messages that arrived ahead of a gap
    EARLY_MESSAGES = 4096
    GAP_TRIES = 3                     # a ResendRequest without an effect, one HeartBtInt each; then we connect anew
    ROOM_FOR_SESSION = 64             # transmit items that application messages leave to the session itself
    RESEND_SCAN = 4096                # records that one step of a resend looks at
    REPLY_MARGIN_BYTES = 256          # what a resend adds to a stored message, at most
    MAX_REF_TAG_BYTES = 20            # of a RefTagID or RefMsgType that is repeated to the counterparty

cdef uint64_t MAX_SEQ = 0xFFFFFFFF           # record_header_t.aux holds the next MsgSeqNum in 32 bits
cdef uint64_t NEVER = <uint64_t>0xFFFFFFFFFFFFFFFF
cdef uint64_t NS_PER_SECOND = 1000000000


cdef struct early_t:
    uint64_t seq
    uint32_t offset
    uint32_t length
    bint answered                 # a ResendRequest that was answered on arrival


# Of the present connection, but for the buffers.
cdef struct private_t:
    tx_queue_t tx
    field_t index[MAX_FIELDS]
    uint8_t* early_bytes
    early_t* early
    uint32_t early_count
    uint32_t early_used
    uint64_t resend_next          # answering a ResendRequest: next number to look at; 0: none
    uint64_t resend_end
    uint64_t resent[2]            # orders from [0] to below [1] went again, and no record says so yet; [1] 0: none
    uint64_t gap_until            # inbound gap: numbers below this one are missing; 0: none
    uint64_t gap_asked            # asked for up to here, or kept
    bint gap_open_ended           # the last ResendRequest had EndSeqNo=0
    bint gap_awaited              # asked for by NextExpectedMsgSeqNum (789) in our Logon alone
    uint64_t gap_again_ns         # mono: when it is asked for again, unless it has become smaller by then
    uint64_t gap_next_in          # next_in at the last look
    uint32_t gap_tries
    bint early_lost               # a message behind the gap was not kept since the last ResendRequest
    uint64_t barrier_seq          # MsgSeqNum of the TestRequest that must be answered before READY; 0: none
    uint64_t heartbeat_ns
    uint64_t last_sent_ns         # mono
    uint64_t last_received_ns     # mono
    uint64_t deadline_ns          # mono: log-on or log-out time-out; NEVER: none
    bint test_request_sent
    bint closing
    bint resetting                # our Logon with ResetSeqNumFlag=Y is out, in mid-session
    bint repeated_logon           # our Logon went under the number of an earlier one that had no answer
    bint burn_logon               # the counterparty has that number: take a new one
    bint logged_out               # the handshake was complete
    bint reset_due                # the log had no space for the reset at the end of the last connection
    instant_t now                 # of the input in hand


cdef inline private_t* inside(const session_t* s) noexcept nogil:
    return <private_t*>s.private


# --- life -----------------------------------------------------------------------------------------------------------

cdef int session_init(session_t* s, const session_config_t* config, journal_t* journal) noexcept nogil:
    cdef body_t ids
    cdef private_t* p
    memset(s, 0, sizeof(session_t))
    s.config = config[0]
    s.journal = journal
    s.epoch = 1
    s.version = fix_version(s.config.begin_string)
    if s.version is NULL:
        return -1
    if s.version.appl_ver_id and s.config.default_appl_ver_id[0] == 0:
        s.config.default_appl_ver_id[0] = c'9'
    s.config.timestamp_digits = min(s.config.timestamp_digits, s.version.timestamp_digits)
    ids.length = 0
    body_text(&ids, TAG_SENDER_COMP_ID, s.config.sender_comp_id, <uint32_t>strlen(<char*>s.config.sender_comp_id))
    body_text(&ids, TAG_TARGET_COMP_ID, s.config.target_comp_id, <uint32_t>strlen(<char*>s.config.target_comp_id))
    body_raw(&ids, s.config.extra_ids, <uint32_t>strlen(<char*>s.config.extra_ids))
    if template_init(&s.header, s.config.begin_string, <uint32_t>strlen(<char*>s.config.begin_string), ids.bytes,
                     ids.length, s.config.timestamp_digits) != 0:
        return -1
    if s.config.max_message_bytes == 0:
        s.config.max_message_bytes = MAX_MESSAGE_BYTES
    p = <private_t*>calloc(1, sizeof(private_t))
    s.private = p
    if p is NULL or tx_init(&p.tx) != 0:
        return -1
    p.early_bytes = <uint8_t*>malloc(EARLY_BYTES)
    p.early = <early_t*>calloc(EARLY_MESSAGES, sizeof(early_t))
    p.deadline_ns = NEVER
    session_forget(s)
    return -1 if p.early_bytes is NULL or p.early is NULL else 0


cdef void session_free(session_t* s) noexcept nogil:
    cdef private_t* p = inside(s)
    if p is not NULL:
        tx_free(&p.tx)
        free(p.early_bytes)
        free(p.early)
        free(p)
    s.private = NULL


# --- what is derived from the log -----------------------------------------------------------------------------------

cdef void session_apply(session_t* s, const record_header_t* record) noexcept nogil:
    cdef const uint64_t* numbers
    if record.session != s.config.index:
        return
    if record.kind == RECORD_OUT:
        mark_use(s, record)
        s.next_out = record.seq + 1
        if not record.flags & FLAG_APPLICATION:
            s.pending_logon_seq = record.seq if is_logon(record) else (0 if s.pending_logon_seq == 0
                                                                       else s.pending_logon_seq)
    elif record.kind == RECORD_IN:
        mark_use(s, record)
        s.next_in = record.aux
        if not record.flags & FLAG_APPLICATION and is_logon(record):
            s.pending_logon_seq = 0
    elif record.kind == RECORD_STATE and record.aux == STATE_RESET:
        s.next_out = 1
        s.next_in = 1
        s.generation += 1
        s.pending_logon_seq = 0
        s.reset_ns = record.time_ns
        s.used_since_ns = 0
    elif record.kind == RECORD_STATE and record.aux == STATE_SET_SEQ and record_payload_length(record) >= 16:
        numbers = <const uint64_t*>record_payload(record)
        s.next_out = numbers[0]
        s.next_in = numbers[1]
        s.pending_logon_seq = 0
        mark_use(s, record)


cdef inline void mark_use(session_t* s, const record_header_t* record) noexcept nogil:
    if s.used_since_ns == 0:
        s.used_since_ns = max(record.time_ns, s.reset_ns)   # the clock of a node may be behind the one before it


cdef void session_forget(session_t* s) noexcept nogil:
    s.next_out = 1
    s.next_in = 1
    s.generation = 0
    s.pending_logon_seq = 0
    s.reset_ns = 0
    s.used_since_ns = 0


cdef bint is_logon(const record_header_t* record) noexcept nogil:
    return session_is_of_type(record, c'A')


cdef bint session_is_of_type(const record_header_t* record, uint8_t msg_type) noexcept nogil:
    cdef const uint8_t* p = record_payload(record)
    cdef const uint8_t* end = p + record_payload_length(record)
    cdef int fields = 0
    while p < end and fields < 2:
        p = <const uint8_t*>memchr(p, SOH, <size_t>(end - p))
        if p is NULL:
            return 0
        p += 1
        fields += 1
    return end - p >= 5 and memcmp(p, b"35=", 3) == 0 and p[3] == msg_type and p[4] == SOH


# --- the transport --------------------------------------------------------------------------------------------------

cdef void session_on_connected(session_t* s, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(s)
    p.now = now[0]
    if s.state == SESSION_STOPPED or (p.reset_due and append_reset(s) != 0):
        p.closing = 1
        return
    forget_connection(s, now)
    p.deadline_ns = now.mono_ns + s.config.logon_timeout_ns if s.config.logon_timeout_ns else NEVER
    if s.config.role == SESSION_ACCEPTOR:
        enter(s, SESSION_LOGON_AWAITED)
        return
    enter(s, SESSION_LOGON_SENT)
    if s.config.reset_on_logon and append_reset(s) != 0:
        close_session(s, DISCONNECT_PROTOCOL)     # no space for the record: another connection will try again
        return
    send_logon(s, s.config.reset_on_logon)


cdef void session_on_disconnected(session_t* s, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef bint reset = s.config.reset_on_disconnect or (s.config.reset_on_logout and p.logged_out)
    p.now = now[0]
    if s.state != SESSION_STOPPED:
        if s.state != SESSION_DISCONNECTED:
            tell(s, EVENT_DISCONNECTED, DISCONNECT_TRANSPORT, 0)
        enter(s, SESSION_DISCONNECTED)
    forget_connection(s, now)
    if reset and s.state == SESSION_DISCONNECTED:
        p.reset_due = 1
        append_reset(s)


cdef void forget_connection(session_t* s, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(s)
    p.now = now[0]
    tx_clear(&p.tx)
    p.early_count = 0
    p.early_used = 0
    p.resend_next = 0
    p.resent[1] = 0
    s.gap_fill_lsn = 0
    p.gap_until = 0
    p.gap_asked = 0
    p.early_lost = 0
    p.gap_awaited = 0
    p.barrier_seq = 0
    p.heartbeat_ns = s.config.heartbeat_s * NS_PER_SECOND
    p.last_sent_ns = now.mono_ns
    p.last_received_ns = now.mono_ns
    p.deadline_ns = NEVER
    p.test_request_sent = 0
    p.closing = 0
    p.resetting = 0
    p.repeated_logon = 0
    p.logged_out = 0


cdef void enter(session_t* s, session_state state) noexcept nogil:
    """The only place that changes `state`."""
    s.state = state


cdef size_t session_on_bytes(session_t* s, const uint8_t* data, size_t size, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef message_t m
    cdef parse_status status
    cdef size_t used = 0
    p.now = now[0]
    while used < size:
        if p.closing or s.state == SESSION_DISCONNECTED or s.state == SESSION_STOPPED:
            return size
        memset(&m, 0, sizeof(m))
        m.fields = p.index
        m.field_capacity = MAX_FIELDS
        status = parse_message(data + used, size - used, s.config.max_message_bytes, &m)
        if status == PARSE_INCOMPLETE:
            return used
        used += m.consumed
        if status == PARSE_GARBLED:
            tell(s, EVENT_GARBLED, m.reason, m.consumed)
            if m.reason == GARBLED_FIELD and m.field_count:
                refuse_bad_tag(s, &m)
        else:
            p.last_received_ns = now.mono_ns
            p.test_request_sent = 0
            take_message(s, &m)
    settle(s)
    return used


cdef void session_on_timer(session_t* s, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef uint64_t silence
    p.now = now[0]
    if s.state == SESSION_DISCONNECTED or s.state == SESSION_STOPPED or p.closing:
        return
    if now.mono_ns >= p.deadline_ns:
        close_session(s, DISCONNECT_LOGOUT_TIMEOUT if s.state == SESSION_LOGOUT_SENT else DISCONNECT_LOGON_TIMEOUT)
        return
    if (s.state != SESSION_RECOVERING and s.state != SESSION_READY) or p.heartbeat_ns == 0:
        return
    silence = now.mono_ns - p.last_received_ns
    if silence >= disconnect_after(s):
        close_session(s, DISCONNECT_HEARTBEAT_TIMEOUT)
        return
    if silence >= test_after(s) and not p.test_request_sent:
        p.test_request_sent = 1
        send_liveness_test(s)
    if now.mono_ns >= heartbeat_due(p):
        send_plain(s, c'0', NULL)
    if p.gap_until and now.mono_ns >= p.gap_again_ns and not ask_again(s):
        return
    continue_resend(s)
    settle(s)


cdef bint ask_again(session_t* s) noexcept nogil:
    """The counterparty has not answered our ResendRequest, or not in full. False: it never does."""
    cdef private_t* p = inside(s)
    p.gap_again_ns = p.now.mono_ns + p.heartbeat_ns
    if s.next_in != p.gap_next_in:
        p.gap_next_in = s.next_in      # it is at it
        p.gap_tries = 0
        return 1
    p.gap_tries += 1
    if p.gap_tries == GAP_TRIES:
        close_session(s, DISCONNECT_PROTOCOL)
        return 0
    p.gap_asked = 0
    ask_for_gap(s, p.gap_until)
    return 1


cdef uint64_t session_deadline(const session_t* s) noexcept nogil:
    cdef const private_t* p = inside(s)
    cdef uint64_t due = p.deadline_ns
    if s.state == SESSION_DISCONNECTED or s.state == SESSION_STOPPED or p.closing:
        return NEVER
    if (s.state == SESSION_RECOVERING or s.state == SESSION_READY) and p.heartbeat_ns:
        due = min(due, heartbeat_due(p))
        due = min(due, p.last_received_ns + (disconnect_after(s) if p.test_request_sent else test_after(s)))
        if p.gap_until:
            due = min(due, p.gap_again_ns)
    return due


cdef inline uint64_t heartbeat_due(const private_t* p) noexcept nogil:
    """While a TestRequest waits for its answer it speaks for us too, for as long as a counterparty waits."""
    return p.last_sent_ns + (p.heartbeat_ns // 10 * 12 if p.test_request_sent else p.heartbeat_ns)


cdef inline uint64_t test_after(const session_t* s) noexcept nogil:
    return s.config.test_request_after_ns if s.config.test_request_after_ns else inside(s).heartbeat_ns // 10 * 12


cdef inline uint64_t disconnect_after(const session_t* s) noexcept nogil:
    return s.config.disconnect_after_ns if s.config.disconnect_after_ns else inside(s).heartbeat_ns // 10 * 24


# --- operator -------------------------------------------------------------------------------------------------------

cdef int session_reset(session_t* s, const instant_t* now) noexcept nogil:
    inside(s).now = now[0]
    if s.state != SESSION_DISCONNECTED and s.state != SESSION_STOPPED:
        return -1
    return append_reset(s)


cdef bint session_starts_over(const session_t* s) noexcept nogil:
    return s.config.reset_on_disconnect and (
        journal_find(s.journal, s.config.index, DIRECTION_OUT, s.next_out - 1) is not NULL
        or journal_find(s.journal, s.config.index, DIRECTION_IN, s.next_in - 1) is not NULL)


cdef int session_set_seq(session_t* s, uint64_t next_out, uint64_t next_in, const instant_t* now) noexcept nogil:
    cdef uint64_t numbers[2]
    inside(s).now = now[0]
    if (s.state != SESSION_DISCONNECTED and s.state != SESSION_STOPPED) or next_out == 0 or next_in == 0:
        return -1
    numbers[0] = next_out
    numbers[1] = next_in
    return append_state(s, STATE_SET_SEQ, 0, <const uint8_t*>numbers, sizeof(numbers))


cdef void session_resume(session_t* s) noexcept nogil:
    if s.state == SESSION_STOPPED:
        enter(s, SESSION_DISCONNECTED)


cdef int append_reset(session_t* s) noexcept nogil:
    if append_state(s, STATE_RESET, FLAG_RESET, NULL, 0) != 0:
        return -1
    inside(s).reset_due = 0
    tell(s, EVENT_RESET, s.generation, 0)
    return 0


cdef int append_state(session_t* s, uint32_t kind, uint8_t flags, const uint8_t* payload,
                      uint32_t length) noexcept nogil:
    cdef record_header_t* record = journal_reserve(s.journal, length)
    if record is NULL:
        return -1
    fill_record(s, record, RECORD_STATE, flags, kind, 0)
    if length:
        memcpy(<uint8_t*>record_payload(record), payload, length)
    if journal_commit(s.journal, record, length) == 0:
        return -1                                 # another primary's records are in the log
    applied(s, record)
    return 0


cdef inline void fill_record(session_t* s, record_header_t* record, uint8_t kind, uint8_t flags, uint32_t aux,
                             uint64_t seq) noexcept nogil:
    record.seq = seq
    record.time_ns = inside(s).now.wall_ns
    record.epoch = s.epoch
    record.client = 0
    record.aux = aux
    record.session = s.config.index
    record.kind = kind
    record.flags = flags


# --- transmit queue -------------------------------------------------------------------------------------------------

cdef size_t session_tx_peek(session_t* s, uint64_t released_lsn, const uint8_t** data) noexcept nogil:
    return tx_peek(&inside(s).tx, released_lsn, data)


cdef size_t session_tx_gather(session_t* s, uint64_t released_lsn, uint8_t* place, size_t capacity,
                              const uint8_t** data) noexcept nogil:
    return tx_gather(&inside(s).tx, released_lsn, place, capacity, data)


cdef bint session_tx_empty(const session_t* s) noexcept nogil:
    return inside(s).tx.head == inside(s).tx.tail


cdef void session_tx_consume(session_t* s, size_t size, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(s)
    tx_consume(&p.tx, size)
    p.now = now[0]
    p.last_sent_ns = now.mono_ns
    if p.resend_next:
        continue_resend(s)
        settle(s)


cdef uint64_t session_sent_lsn(const session_t* s) noexcept nogil:
    return inside(s).tx.consumed_lsn


cdef bint session_closing(const session_t* s) noexcept nogil:
    return inside(s).closing


cdef bint session_ready_for(const session_t* s, uint32_t msg_type) noexcept nogil:
    if s.state == SESSION_READY:
        return 1
    return (s.state == SESSION_RECOVERING and s.config.cancels_before_ready
            and (msg_type == MSG_ORDER_CANCEL_REQUEST or msg_type == MSG_ORDER_MASS_CANCEL_REQUEST))


# --- helpers --------------------------------------------------------------------------------------------------------

cdef void settle(session_t* s) noexcept nogil:
    """READY when nothing is open on either side."""
    cdef private_t* p = inside(s)
    if (s.state == SESSION_RECOVERING and p.resend_next == 0 and p.gap_until == 0 and p.barrier_seq == 0
            and not p.closing):
        enter(s, SESSION_READY)
        tell(s, EVENT_READY, 0, 0)


cdef void tell(session_t* s, session_event event, uint64_t a, uint64_t b) noexcept nogil:
    if s.hooks.on_event is not NULL:
        s.hooks.on_event(s.hooks.context, s, event, a, b)


cdef void set_text(session_t* s, const char* text) noexcept nogil:
    cdef size_t length = min(strlen(text), sizeof(s.text) - 1)
    memmove(s.text, text, length)
    s.text[length] = 0


cdef void take_text(session_t* s, const message_t* m) noexcept nogil:
    cdef const field_t* text = find_field(m, TAG_TEXT, 3)
    cdef uint32_t length = 0
    if text is not NULL:
        length = min(text.length, <uint32_t>(sizeof(s.text) - 1))
        memcpy(s.text, m.data + text.offset, length)
    s.text[length] = 0


# --- by topic -------------------------------------------------------------------------------------------------------

include "session_receive.pxi"
include "session_logon.pxi"
include "session_numbers.pxi"
include "session_content.pxi"
include "session_send.pxi"
include "session_resend.pxi"
include "session_face.pxi"
