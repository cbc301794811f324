"""One FIX session: the state machine, for both roles.

All changes of `state` are in `enter`. What survives a crash is changed by `session_apply` alone. May depend on:
journal, parser, encoder, dictionary, version, tags, txqueue, fixbody. Never does I/O, never reads a clock, never
allocates after session_init.
"""

from typing import NamedTuple

from gateway.errors import ProtocolError

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset, strlen

from .dictionary cimport CHECK_ALL, CHECK_UNKNOWN_MESSAGES, Dictionary, dictionary_t, dictionary_validate
from .encoder cimport (TIMESTAMP_BYTES, encode_bound, encode_message, encode_resend, encode_t, template_init,
                       write_uint, write_utc_timestamp)
from .fixbody cimport BODY_BYTES, body_char, body_raw, body_t, body_text, body_uint
from .journal cimport DIRECTION_OUT, Journal, journal_commit, journal_find, journal_reserve, journal_t
from .parser cimport (GARBLED_FIELD, MAX_MESSAGE_BYTES, PARSE_GARBLED, PARSE_INCOMPLETE, field_is, field_t,
                      field_uint, field_utc_timestamp, find_field, message_t, parse_message, parse_status)
from .record cimport (FLAG_APPLICATION, FLAG_ORDER, FLAG_POSS_DUP, FLAG_RESET, RECORD_IN, RECORD_OUT, RECORD_STATE,
                      STATE_RESET, STATE_SET_SEQ, record_header_t, record_payload, record_payload_length)
from .tags cimport *
from .txqueue cimport (tx_clear, tx_consume, tx_free, tx_init, tx_peek, tx_push, tx_push_scratch, tx_queue_t, tx_room,
                       tx_scratch)
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
        s.next_out = record.seq + 1
        if not record.flags & FLAG_APPLICATION:
            s.pending_logon_seq = record.seq if is_logon(record) else (0 if s.pending_logon_seq == 0
                                                                       else s.pending_logon_seq)
    elif record.kind == RECORD_IN:
        s.next_in = record.aux
        if not record.flags & FLAG_APPLICATION and is_logon(record):
            s.pending_logon_seq = 0
    elif record.kind == RECORD_STATE and record.aux == STATE_RESET:
        s.next_out = 1
        s.next_in = 1
        s.generation += 1
        s.pending_logon_seq = 0
    elif record.kind == RECORD_STATE and record.aux == STATE_SET_SEQ and record_payload_length(record) >= 16:
        numbers = <const uint64_t*>record_payload(record)
        s.next_out = numbers[0]
        s.next_in = numbers[1]
        s.pending_logon_seq = 0


cdef void session_forget(session_t* s) noexcept nogil:
    s.next_out = 1
    s.next_in = 1
    s.generation = 0
    s.pending_logon_seq = 0


cdef bint is_logon(const record_header_t* record) noexcept nogil:
    """MsgType (35) is the third field of a message: behind its second SOH."""
    cdef const uint8_t* p = record_payload(record)
    cdef const uint8_t* end = p + record_payload_length(record)
    cdef int fields = 0
    while p < end and fields < 2:
        p = <const uint8_t*>memchr(p, SOH, <size_t>(end - p))
        if p is NULL:
            return 0
        p += 1
        fields += 1
    return end - p >= 5 and memcmp(p, b"35=A\x01", 5) == 0


# --- the transport --------------------------------------------------------------------------------------------------

cdef void session_on_connected(session_t* s, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(s)
    if s.state == SESSION_STOPPED:
        p.closing = 1
        return
    forget_connection(s, now)
    p.deadline_ns = now.mono_ns + s.config.logon_timeout_ns if s.config.logon_timeout_ns else NEVER
    if s.config.role == SESSION_ACCEPTOR:
        enter(s, SESSION_LOGON_AWAITED)
        return
    enter(s, SESSION_LOGON_SENT)
    if s.config.reset_on_logon:
        append_reset(s)
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
        append_reset(s)


cdef void forget_connection(session_t* s, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(s)
    p.now = now[0]
    tx_clear(&p.tx)
    p.early_count = 0
    p.early_used = 0
    p.resend_next = 0
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
    if now.mono_ns - p.last_sent_ns >= p.heartbeat_ns:
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
        due = min(due, p.last_sent_ns + p.heartbeat_ns)
        due = min(due, p.last_received_ns + (disconnect_after(s) if p.test_request_sent else test_after(s)))
        if p.gap_until:
            due = min(due, p.gap_again_ns)
    return due


cdef inline uint64_t test_after(const session_t* s) noexcept nogil:
    return s.config.test_request_after_ns if s.config.test_request_after_ns else inside(s).heartbeat_ns // 10 * 12


cdef inline uint64_t disconnect_after(const session_t* s) noexcept nogil:
    return s.config.disconnect_after_ns if s.config.disconnect_after_ns else inside(s).heartbeat_ns // 10 * 24


# --- sending --------------------------------------------------------------------------------------------------------

cdef send_status session_send_application(session_t* s, const uint8_t* msg_type, uint32_t msg_type_length,
                                          const uint8_t* body, uint32_t body_length, uint32_t clordid_offset,
                                          uint32_t clordid_length, uint32_t client, uint8_t flags, const instant_t* now,
                                          const record_header_t** record) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef uint32_t packed = 0
    cdef encode_t e
    memcpy(&packed, msg_type, min(msg_type_length, 4))
    if not session_ready_for(s, packed):
        return SEND_NOT_READY
    if encode_bound(&s.header, body_length) > s.config.max_message_bytes:
        return SEND_TOO_LARGE
    if tx_room(&p.tx) <= ROOM_FOR_SESSION:
        return SEND_TX_FULL
    p.now = now[0]
    memset(&e, 0, sizeof(e))
    e.msg_type = msg_type
    e.msg_type_length = msg_type_length
    e.body = body
    e.body_length = body_length
    record[0] = append_out(s, &e, flags | FLAG_APPLICATION, client, clordid_offset, clordid_length)
    return SEND_OK if record[0] is not NULL else SEND_NO_SPACE


cdef const record_header_t* append_out(session_t* s, encode_t* e, uint8_t flags, uint32_t client,
                                       uint32_t clordid_offset, uint32_t clordid_length) noexcept nogil:
    """Numbers a message, encodes it into the journal, logs it and queues it. NULL: the journal or the queue is full."""
    cdef private_t* p = inside(s)
    cdef record_header_t* record
    cdef int32_t length
    cdef uint32_t bound = encode_bound(&s.header, e.body_length)
    if tx_room(&p.tx) == 0:
        return NULL
    record = journal_reserve(s.journal, bound)
    if record is NULL:
        return NULL
    e.seq = s.next_out
    e.wall_ns = p.now.wall_ns
    if s.config.send_last_processed:
        e.last_processed = s.next_in - 1
    length = encode_message(&s.header, e, <uint8_t*>record_payload(record), bound)
    if length < 0:
        return NULL
    record.seq = e.seq
    record.time_ns = p.now.wall_ns
    record.epoch = s.epoch
    record.client = client
    record.aux = (e.body_offset + clordid_offset) << 16 | clordid_length if clordid_length else 0
    record.session = s.config.index
    record.kind = RECORD_OUT
    record.flags = flags
    journal_commit(s.journal, record, <uint32_t>length)
    applied(s, record)
    tx_push(&p.tx, record_payload(record), <uint32_t>length, record.lsn)
    p.last_sent_ns = p.now.mono_ns
    return record


cdef void applied(session_t* s, const record_header_t* record) noexcept nogil:
    session_apply(s, record)
    if s.hooks.on_record is not NULL:
        s.hooks.on_record(s.hooks.context, s, record)


cdef uint64_t send_plain(session_t* s, char msg_type, const body_t* body) noexcept nogil:
    """A session message; its MsgSeqNum, 0 when it could not be logged: then the counterparty is told by a time-out."""
    cdef encode_t e
    cdef const record_header_t* record
    memset(&e, 0, sizeof(e))
    e.msg_type = <const uint8_t*>&msg_type
    e.msg_type_length = 1
    if body is not NULL:
        e.body = body.bytes
        e.body_length = body.length
    record = append_out(s, &e, 0, 0, 0, 0)
    return record.seq if record is not NULL else 0


cdef void send_logon(session_t* s, bint reset) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef bint again = (s.config.role == SESSION_INITIATOR and s.pending_logon_seq != 0
                       and s.pending_logon_seq + 1 == s.next_out and not reset and not p.burn_logon)
    cdef body_t body
    body.length = 0
    body_char(&body, TAG_ENCRYPT_METHOD, c'0')
    body_uint(&body, TAG_HEART_BT_INT, p.heartbeat_ns // NS_PER_SECOND)
    if reset and s.version.reset_flag:
        body_char(&body, TAG_RESET_SEQ_NUM_FLAG, c'Y')
    if s.config.test_session:
        body_char(&body, TAG_TEST_MESSAGE_INDICATOR, c'Y')
    if s.config.send_next_expected:
        body_uint(&body, TAG_NEXT_EXPECTED_MSG_SEQ_NUM, s.next_in)
    if s.version.appl_ver_id:
        body_text(&body, TAG_DEFAULT_APPL_VER_ID, s.config.default_appl_ver_id,
                  <uint32_t>strlen(<char*>s.config.default_appl_ver_id))
    body_raw(&body, s.config.logon_fields, <uint32_t>strlen(<char*>s.config.logon_fields))
    if not fill_logon(s, &body, s.pending_logon_seq if again else s.next_out):
        set_text(s, b"the Logon could not be signed or filled")
        close_session(s, DISCONNECT_LOGON_REFUSED)
    elif again:
        repeat_logon(s, &body)
    else:
        p.burn_logon = 0
        send_plain(s, c'A', &body)


cdef bint fill_logon(session_t* s, body_t* body, uint64_t seq) noexcept nogil:
    """Fields that the owner computes from the header."""
    cdef uint8_t stamp[TIMESTAMP_BYTES]
    cdef uint32_t stamp_length
    cdef int length
    if s.hooks.fill_logon is NULL:
        return 1
    stamp_length = write_utc_timestamp(stamp, inside(s).now.wall_ns, s.config.timestamp_digits)
    length = s.hooks.fill_logon(s.hooks.context, s, seq, stamp, stamp_length, body.bytes + body.length,
                                BODY_BYTES - body.length)
    if length < 0:
        return 0
    body.length += <uint32_t>length
    return 1


cdef void repeat_logon(session_t* s, const body_t* body) noexcept nogil:
    """A Logon that had no answer goes again under its own number: waiting for the counterparty burns none."""
    cdef private_t* p = inside(s)
    cdef const record_header_t* first = journal_find(s.journal, s.config.index, DIRECTION_OUT, s.pending_logon_seq)
    cdef uint32_t bound = encode_bound(&s.header, body.length)
    cdef uint8_t* place = tx_scratch(&p.tx, bound)
    cdef encode_t e
    cdef int32_t length
    if place is NULL or first is NULL:
        return
    memset(&e, 0, sizeof(e))
    e.msg_type = b"A"
    e.msg_type_length = 1
    e.seq = s.pending_logon_seq
    e.wall_ns = p.now.wall_ns
    e.body = body.bytes
    e.body_length = body.length
    length = encode_message(&s.header, &e, place, bound)
    if length > 0:
        tx_push_scratch(&p.tx, place, <uint32_t>length, first.lsn)
        p.repeated_logon = 1
        p.last_sent_ns = p.now.mono_ns


cdef uint64_t send_test_request(session_t* s) noexcept nogil:
    cdef body_t body
    cdef uint8_t text[24]
    memcpy(text, b"GW", 2)
    body.length = 0
    body_text(&body, TAG_TEST_REQ_ID, text, 2 + write_uint(text + 2, s.next_out))
    return send_plain(s, c'1', &body)


cdef void send_liveness_test(session_t* s) noexcept nogil:
    """Any message is an answer: the id needs no number."""
    cdef body_t body
    body.length = 0
    body_text(&body, TAG_TEST_REQ_ID, b"TEST", 4)
    send_plain(s, c'1', &body)


cdef void send_reject(session_t* s, const message_t* m, uint32_t reason, const uint8_t* ref_tag,
                      uint32_t ref_tag_length) noexcept nogil:
    """Reject (35=3) in the form of the version. `ref_tag` as it came, for it may be no number; length 0: none."""
    cdef body_t body
    body.length = 0
    reverse_route(m, &body)
    body_uint(&body, TAG_REF_SEQ_NUM, m.seq)
    if s.version.last_reject_reason:
        if ref_tag_length:
            body_text(&body, TAG_REF_TAG_ID, ref_tag, min(ref_tag_length, MAX_REF_TAG_BYTES))
        body_text(&body, TAG_REF_MSG_TYPE, m.data + m.fields[2].offset, min(m.fields[2].length, MAX_REF_TAG_BYTES))
        if reason <= s.version.last_reject_reason:
            body_uint(&body, TAG_SESSION_REJECT_REASON, reason)
    reject_in_words(s, &body, reason, ref_tag, min(ref_tag_length, MAX_REF_TAG_BYTES))
    send_plain(s, c'3', &body)
    tell(s, EVENT_REJECT_SENT, reason, m.seq)


cdef void reject_in_words(const session_t* s, body_t* body, uint32_t reason, const uint8_t* ref_tag,
                          uint32_t ref_tag_length) noexcept nogil:
    """Text (58): the reason, and the tag too where there is no RefTagID (before FIX 4.2)."""
    cdef uint8_t text[128]
    cdef uint32_t length = <uint32_t>strlen(reject_text(reason))
    memcpy(text, reject_text(reason), length)
    if ref_tag_length and not s.version.last_reject_reason:
        memcpy(text + length, b" (", 2)
        memcpy(text + length + 2, ref_tag, ref_tag_length)
        text[length + 2 + ref_tag_length] = c')'
        length += 3 + ref_tag_length
    body_text(body, TAG_TEXT, text, length)


cdef void reverse_route(const message_t* m, body_t* body) noexcept nogil:
    """What came on behalf of a third party is answered to it, and the other way round (FIX 4.4 volume 1, 'Third party
    message routing')."""
    cdef uint32_t i
    cdef uint32_t tag
    for i in range(3, min(m.field_count, HEADER_FIELDS)):
        tag = reversed_route_tag(m.fields[i].tag)
        if tag and m.fields[i].length:
            body_text(body, tag, m.data + m.fields[i].offset, m.fields[i].length)


cdef inline uint32_t reversed_route_tag(uint32_t tag) noexcept nogil:
    if tag == TAG_ON_BEHALF_OF_COMP_ID or tag == TAG_ON_BEHALF_OF_SUB_ID:
        return tag + (TAG_DELIVER_TO_COMP_ID - TAG_ON_BEHALF_OF_COMP_ID)
    if tag == TAG_DELIVER_TO_COMP_ID or tag == TAG_DELIVER_TO_SUB_ID:
        return tag - (TAG_DELIVER_TO_COMP_ID - TAG_ON_BEHALF_OF_COMP_ID)
    if tag == TAG_ON_BEHALF_OF_LOCATION_ID:
        return TAG_DELIVER_TO_LOCATION_ID
    return TAG_ON_BEHALF_OF_LOCATION_ID if tag == TAG_DELIVER_TO_LOCATION_ID else 0


cdef void send_logout(session_t* s, const char* text) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef body_t body
    body.length = 0
    if text is not NULL and text[0] != 0:
        body_text(&body, TAG_TEXT, <const uint8_t*>text, <uint32_t>strlen(text))
    send_plain(s, c'5', &body)
    p.deadline_ns = p.now.mono_ns + s.config.logout_timeout_ns
    enter(s, SESSION_LOGOUT_SENT)


cdef void session_logout(session_t* s, const char* text, const instant_t* now) noexcept nogil:
    inside(s).now = now[0]
    if s.state == SESSION_RECOVERING or s.state == SESSION_READY:
        send_logout(s, text)
    elif s.state != SESSION_DISCONNECTED and s.state != SESSION_STOPPED and s.state != SESSION_LOGOUT_SENT:
        close_session(s, DISCONNECT_LOGOUT)


cdef void session_drop(session_t* s, const instant_t* now) noexcept nogil:
    forget_connection(s, now)
    if s.state != SESSION_STOPPED:
        enter(s, SESSION_DISCONNECTED)
    inside(s).closing = 1


cdef void close_session(session_t* s, disconnect_reason reason) noexcept nogil:
    cdef private_t* p = inside(s)
    if not p.closing:
        p.closing = 1
        tell(s, EVENT_DISCONNECTED, reason, 0)


cdef void stop_session(session_t* s, stop_reason reason, uint64_t expected) noexcept nogil:
    """State was lost on one side: nothing is guessed, an operator decides."""
    close_session(s, DISCONNECT_PROTOCOL)
    if s.config.role == SESSION_INITIATOR:      # an acceptor must be reachable when the counterparty is mended
        enter(s, SESSION_STOPPED)
    tell(s, EVENT_STOPPED, reason, expected)


# --- operator -------------------------------------------------------------------------------------------------------

cdef int session_reset(session_t* s, const instant_t* now) noexcept nogil:
    inside(s).now = now[0]
    if s.state != SESSION_DISCONNECTED and s.state != SESSION_STOPPED:
        return -1
    return append_reset(s)


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
    journal_commit(s.journal, record, length)
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


cdef void session_tx_consume(session_t* s, size_t size, const instant_t* now) noexcept nogil:
    cdef private_t* p = inside(s)
    tx_consume(&p.tx, size)
    p.now = now[0]
    p.last_sent_ns = now.mono_ns
    if p.resend_next:
        continue_resend(s)
        settle(s)


cdef bint session_closing(const session_t* s) noexcept nogil:
    return inside(s).closing


cdef bint session_ready_for(const session_t* s, uint32_t msg_type) noexcept nogil:
    if s.state == SESSION_READY:
        return 1
    return (s.state == SESSION_RECOVERING and s.config.cancels_before_ready
            and (msg_type == MSG_ORDER_CANCEL_REQUEST or msg_type == MSG_ORDER_MASS_CANCEL_REQUEST))


# --- receiving ------------------------------------------------------------------------------------------------------

cdef void take_message(session_t* s, const message_t* m) noexcept nogil:
    """A message with right length and checksum, in whatever order."""
    cdef bint logged_on = is_logged_on(s)
    if inside(s).resetting and m.msg_type != MSG_LOGON and m.msg_type != MSG_LOGOUT:
        return                                    # under a number of before the reset
    if not logged_on and m.msg_type != MSG_LOGON and not (s.state == SESSION_LOGON_SENT and m.msg_type == MSG_LOGOUT):
        close_session(s, DISCONNECT_PROTOCOL)     # the first message must be a Logon: no reply
        return
    if not header_is_ours(s, m, logged_on):
        drain_early(s)
        return
    if m.msg_type == MSG_SEQUENCE_RESET and not is_gap_fill(m) and find_header(m, TAG_MSG_SEQ_NUM) is not NULL:
        take_sequence_reset(s, m)                 # reset mode: whatever its MsgSeqNum
        return
    if m.seq == 0 or m.seq >= MAX_SEQ:
        if logged_on:
            send_logout(s, b"MsgSeqNum (34) is missing, not a number or too large")
        close_session(s, DISCONNECT_PROTOCOL)
        return
    if m.msg_type == MSG_LOGON and not (logged_on and is_poss_dup(m)):    # one that is resent is a message of the gap
        take_logon(s, m, logged_on)
    elif m.seq > s.next_in:
        take_early(s, m)
    elif m.seq < s.next_in:
        take_late(s, m)
    else:
        take_in_sequence(s, m)
        drain_early(s)


cdef inline bint is_logged_on(const session_t* s) noexcept nogil:
    return s.state == SESSION_RECOVERING or s.state == SESSION_READY or s.state == SESSION_LOGOUT_SENT


cdef inline bint is_gap_fill(const message_t* m) noexcept nogil:
    cdef const field_t* flag = find_field(m, TAG_GAP_FILL_FLAG, 3)
    return flag is not NULL and field_is(m, flag, c'Y')


cdef void refuse_bad_tag(session_t* s, const message_t* m) noexcept nogil:
    """A field whose tag is none. The frame is right, so it is no garbled message (test case 14.a): asked for again, it
    would come again as it is."""
    cdef const uint8_t* tag = m.data + m.bad_offset
    cdef uint32_t length = 0
    if not is_logged_on(s) or m.seq == 0 or inside(s).resetting:
        return
    inside(s).last_received_ns = inside(s).now.mono_ns
    if m.seq > s.next_in:
        ask_for_gap(s, m.seq + 1)
        return
    while length < MAX_REF_TAG_BYTES and tag[length] != c'=' and tag[length] != SOH:
        length += 1
    reject_in_sequence(s, m, REASON_INVALID_TAG, tag, length if tag[length] == c'=' else 0)
    drain_early(s)


cdef bint header_is_ours(session_t* s, const message_t* m, bint logged_on) noexcept nogil:
    """BeginString, CompIDs and SendingTime. Answers itself what is wrong; before the Logon by silence."""
    if field_equals(m, &m.fields[0], s.config.begin_string):
        return comp_ids_are_right(s, m, logged_on) and sending_time_is_right(s, m, logged_on)
    set_text(s, b"Incorrect BeginString")
    end_badly(s, logged_on, b"Incorrect BeginString")
    return 0


cdef void end_badly(session_t* s, bint logged_on, const char* text) noexcept nogil:
    """Logout, and a while for its answer (FIX 4.4 volume 2, test cases 2.i, 2.k, 2.o); once."""
    if not logged_on:
        close_session(s, DISCONNECT_LOGON_REFUSED)
    elif s.state != SESSION_LOGOUT_SENT:
        send_logout(s, text)


cdef bint comp_ids_are_right(session_t* s, const message_t* m, bint logged_on) noexcept nogil:
    cdef const field_t* sender = find_header(m, TAG_SENDER_COMP_ID)
    cdef const field_t* target = find_header(m, TAG_TARGET_COMP_ID)
    if logged_on and (sender is NULL or target is NULL):
        reject_tag(s, m, REASON_REQUIRED_TAG_MISSING, TAG_SENDER_COMP_ID if sender is NULL else TAG_TARGET_COMP_ID)
        return 0
    if (sender is not NULL and target is not NULL and field_equals(m, sender, s.config.target_comp_id)
            and field_equals(m, target, s.config.sender_comp_id)):
        return 1
    set_text(s, reject_text(REASON_COMP_ID_PROBLEM))
    if s.state != SESSION_LOGOUT_SENT and logged_on:
        send_reject(s, m, REASON_COMP_ID_PROBLEM, NULL, 0)
    if logged_on:
        consume_rejected(s, m)
    end_badly(s, logged_on, NULL)
    return 0


cdef bint sending_time_is_right(session_t* s, const message_t* m, bint logged_on) noexcept nogil:
    cdef const field_t* sent = find_header(m, TAG_SENDING_TIME)
    cdef uint64_t sent_ns = field_utc_timestamp(m, sent) if sent is not NULL else 0
    if sent_ns == 0 and logged_on:
        reject_tag(s, m, REASON_REQUIRED_TAG_MISSING if sent is NULL
                   else REASON_TAG_WITHOUT_VALUE if sent.length == 0 else REASON_BAD_FORMAT, TAG_SENDING_TIME)
        return 0
    if (sent_ns == 0 or s.config.sending_time_tolerance_ns == 0
            or distance(sent_ns, inside(s).now.wall_ns) <= s.config.sending_time_tolerance_ns):
        return 1
    set_text(s, reject_text(REASON_SENDING_TIME_PROBLEM))
    if m.msg_type == MSG_LOGOUT and s.state == SESSION_LOGOUT_SENT:
        return 1                      # the answer to our Logout: the clock has been complained of
    if logged_on:
        if s.state != SESSION_LOGOUT_SENT:
            send_reject(s, m, REASON_SENDING_TIME_PROBLEM, NULL, 0)
        consume_rejected(s, m)
    end_badly(s, logged_on, NULL)
    return 0


cdef inline uint64_t distance(uint64_t a, uint64_t b) noexcept nogil:
    return a - b if a > b else b - a


cdef const field_t* find_header(const message_t* m, uint32_t tag) noexcept nogil:
    cdef uint32_t i
    for i in range(min(m.field_count, HEADER_FIELDS)):
        if m.fields[i].tag == tag:
            return &m.fields[i]
    return NULL


cdef bint field_equals(const message_t* m, const field_t* field, const uint8_t* text) noexcept nogil:
    return strlen(<const char*>text) == field.length and memcmp(m.data + field.offset, text, field.length) == 0


cdef bint is_poss_dup(const message_t* m) noexcept nogil:
    cdef const field_t* field = find_header(m, TAG_POSS_DUP_FLAG)
    return field is not NULL and field_is(m, field, c'Y')


# --- logon ----------------------------------------------------------------------------------------------------------

cdef void take_logon(session_t* s, const message_t* m, bint logged_on) noexcept nogil:
    cdef const field_t* reset = find_field(m, TAG_RESET_SEQ_NUM_FLAG, 3)
    cdef bint wants_reset = reset is not NULL and field_is(m, reset, c'Y')
    if logged_on and wants_reset and m.seq == 1:
        take_reset_online(s, m)
    elif logged_on:
        send_logout(s, b"Logon while logged on")
        close_session(s, DISCONNECT_PROTOCOL)
    elif s.state == SESSION_LOGON_AWAITED:
        accept_logon(s, m, wants_reset)
    else:
        complete_logon(s, m, wants_reset)


cdef void take_reset_online(session_t* s, const message_t* m) noexcept nogil:
    """The counterparty starts both numbers over in mid-session (FIX 4.4 volume 2, 'ResetSeqNumFlag')."""
    forget_gaps(s)
    append_reset(s)
    append_in(s, m, m.seq + 1, 0)
    send_logon(s, 1)


cdef int session_reset_online(session_t* s, const instant_t* now) noexcept nogil:
    inside(s).now = now[0]
    if s.state != SESSION_READY or not s.version.reset_flag or append_reset(s) != 0:
        return -1
    forget_gaps(s)
    inside(s).resetting = 1
    inside(s).deadline_ns = now.mono_ns + s.config.logon_timeout_ns if s.config.logon_timeout_ns else NEVER
    enter(s, SESSION_LOGON_SENT)
    send_logon(s, 1)
    return 0


cdef const char* fault_of_logon(session_t* s, const message_t* m) noexcept nogil:
    """What is wrong in the fields of the counterparty's Logon; NULL: nothing."""
    cdef const field_t* encryption = find_field(m, TAG_ENCRYPT_METHOD, 3)
    cdef const field_t* heartbeat = find_field(m, TAG_HEART_BT_INT, 3)
    cdef const field_t* test = find_field(m, TAG_TEST_MESSAGE_INDICATOR, 3)
    cdef uint32_t tag = 0
    cdef int reason = fault_of_content(s, m, &tag)
    cdef int64_t seconds = field_uint(m, heartbeat) if heartbeat is not NULL else -1
    if reason >= 0:
        return words_of_fault(s, reason, tag)
    if encryption is not NULL and not field_is(m, encryption, c'0'):
        return b"EncryptMethod (98) must be 0"
    if (test is not NULL and field_is(m, test, c'Y')) != s.config.test_session:
        return b"TestMessageIndicator (464): a test session" if s.config.test_session \
            else b"TestMessageIndicator (464): no test session"
    if s.config.role == SESSION_INITIATOR:
        return NULL
    if seconds < 0 or seconds > MAX_HEARTBEAT_S:
        return b"HeartBtInt (108) is missing or no number of seconds"
    if (seconds < s.config.heartbeat_min_s
            or (s.config.heartbeat_max_s and seconds > s.config.heartbeat_max_s)):
        return b"HeartBtInt (108) is out of the agreed range"
    return NULL


cdef const char* words_of_fault(session_t* s, int reason, uint32_t tag) noexcept nogil:
    """In s.text: a Logon is refused, not rejected."""
    cdef uint32_t length = <uint32_t>strlen(reject_text(reason))
    memcpy(s.text, reject_text(reason), length)
    if tag:
        memcpy(s.text + length, b": tag ", 6)
        length += 6
        length += write_uint(s.text + length, tag)
    s.text[length] = 0
    return <const char*>s.text


cdef void accept_logon(session_t* s, const message_t* m, bint wants_reset) noexcept nogil:
    """Acceptor: the initiator's Logon."""
    cdef private_t* p = inside(s)
    cdef const char* fault = fault_of_logon(s, m)
    if s.version.appl_ver_id and find_field(m, TAG_DEFAULT_APPL_VER_ID, 3) is NULL:
        set_text(s, b"DefaultApplVerID (1137) is missing")
        close_session(s, DISCONNECT_LOGON_REFUSED)
        return
    if fault is NULL and wants_reset and m.seq != 1:
        fault = b"ResetSeqNumFlag (141) needs MsgSeqNum 1"
    if fault is not NULL:
        refuse_logon(s, fault)
        return
    if wants_reset or s.config.reset_on_logon:
        append_reset(s)
    if m.seq < s.next_in and not is_poss_dup(m):
        refuse_low(s, m)
        return
    p.heartbeat_ns = <uint64_t>field_uint(m, find_field(m, TAG_HEART_BT_INT, 3)) * NS_PER_SECOND
    p.deadline_ns = NEVER
    if m.seq == s.next_in:
        append_in(s, m, m.seq + 1, 0)
    enter(s, SESSION_RECOVERING)
    send_logon(s, wants_reset)
    finish_logon(s, m)


cdef void complete_logon(session_t* s, const message_t* m, bint reset) noexcept nogil:
    """Initiator: the answer to our Logon."""
    cdef private_t* p = inside(s)
    cdef const char* fault = fault_of_logon(s, m)
    if fault is not NULL:
        refuse_logon(s, fault)
        return
    if reset and not s.config.reset_on_logon and not p.resetting and not (s.next_in == 1 and s.next_out == 2):
        set_text(s, b"the counterparty reset its MsgSeqNum without being asked")
        stop_session(s, STOP_THEIR_SEQ_TOO_LOW, 0)
        return
    if m.seq < s.next_in and not is_poss_dup(m):
        refuse_low(s, m)
        stop_session(s, STOP_THEIR_SEQ_TOO_LOW, 0)
        return
    p.deadline_ns = NEVER
    p.resetting = 0
    if m.seq == s.next_in:
        append_in(s, m, m.seq + 1, 0)
    enter(s, SESSION_RECOVERING)
    finish_logon(s, m)


cdef void finish_logon(session_t* s, const message_t* m) noexcept nogil:
    """Logged on: what is missing on either side, and the barrier (FIX 4.4 volume 2, 'Logon')."""
    cdef private_t* p = inside(s)
    cdef const field_t* expected = find_field(m, TAG_NEXT_EXPECTED_MSG_SEQ_NUM, 3)
    cdef int64_t number
    tell(s, EVENT_LOGGED_ON, s.config.role == SESSION_INITIATOR, 0)
    if expected is not NULL and s.config.send_next_expected:
        number = field_uint(m, expected)
        if number > <int64_t>s.next_out:
            stop_session(s, STOP_OUR_SEQ_TOO_LOW, <uint64_t>number)
            return
        if 0 < number < <int64_t>s.next_out - 1:
            start_resend(s, <uint64_t>number, s.next_out - 2)
    if m.seq > s.next_in:
        keep_early(s, m)                 # it does not come again where 789 is answered
        if expected is not NULL and s.config.send_next_expected:
            await_gap(s, m.seq)
        else:
            ask_for_gap(s, m.seq)
    if s.config.logon_barrier:
        p.barrier_seq = send_test_request(s)


cdef void refuse_logon(session_t* s, const char* text) noexcept nogil:
    set_text(s, text)
    send_logout(s, text)
    close_session(s, DISCONNECT_LOGON_REFUSED)


cdef void refuse_low(session_t* s, const message_t* m) noexcept nogil:
    cdef uint8_t text[128]
    cdef uint32_t n = 29
    memcpy(text, b"MsgSeqNum too low, expecting ", 29)
    n += write_uint(text + n, s.next_in)
    memcpy(text + n, b" but received ", 14)
    n += 14
    n += write_uint(text + n, m.seq)
    text[n] = 0
    set_text(s, <const char*>text)
    send_logout(s, <const char*>text)
    close_session(s, DISCONNECT_PROTOCOL)


# --- numbers --------------------------------------------------------------------------------------------------------

cdef void take_early(session_t* s, const message_t* m) noexcept nogil:
    """MsgSeqNum too high: ask for what is missing, keep this one for later."""
    cdef private_t* p = inside(s)
    cdef uint64_t seen = m.seq
    if m.msg_type == MSG_RESEND_REQUEST:
        answer_resend_request(s, m)     # at once, or two sides that both miss something would wait for each other
    elif m.msg_type == MSG_HEARTBEAT:
        take_heartbeat(s, m)            # the barrier is about what it has sent before; the gap is asked for apart
        if p.gap_awaited:               # it is idle, and has not answered our NextExpectedMsgSeqNum
            p.gap_open_ended = 0
            p.gap_asked = 0
    elif m.msg_type == MSG_LOGOUT:
        take_logout(s, m)
        return
    if not keep_early(s, m):
        p.early_lost = 1
        seen += 1                       # part of the gap itself
    elif p.gap_until and p.gap_open_ended and not p.early_lost:
        p.gap_asked = max(p.gap_asked, m.seq)
    ask_for_gap(s, seen)


cdef void ask_for_gap(session_t* s, uint64_t seen) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef body_t body
    cdef uint64_t end = s.version.end_seq_infinity
    if s.state == SESSION_LOGOUT_SENT:
        return
    if p.gap_until != 0:
        p.gap_until = max(p.gap_until, seen)
        if s.next_in <= p.gap_asked:
            return                       # asked for already, on its way
    else:
        p.gap_until = seen
        p.gap_tries = 0
        tell(s, EVENT_GAP, s.next_in, seen)
    p.gap_again_ns = p.now.mono_ns + p.heartbeat_ns
    p.gap_next_in = s.next_in
    p.gap_asked = p.gap_until - 1
    p.gap_open_ended = 1
    p.gap_awaited = 0
    p.early_lost = 0
    if s.config.resend_chunk and s.next_in + s.config.resend_chunk <= p.gap_asked:
        p.gap_asked = s.next_in + s.config.resend_chunk - 1
        end = p.gap_asked
        p.gap_open_ended = 0
    body.length = 0
    body_uint(&body, TAG_BEGIN_SEQ_NO, s.next_in)
    body_uint(&body, TAG_END_SEQ_NO, end)
    send_plain(s, c'2', &body)
    if s.state == SESSION_READY:
        enter(s, SESSION_RECOVERING)


cdef void await_gap(session_t* s, uint64_t seen) noexcept nogil:
    """The NextExpectedMsgSeqNum (789) of our Logon has asked already (FIX 4.4 volume 2, 'Logon')."""
    cdef private_t* p = inside(s)
    tell(s, EVENT_GAP, s.next_in, seen)
    p.gap_until = seen
    p.gap_again_ns = p.now.mono_ns + p.heartbeat_ns
    p.gap_next_in = s.next_in
    p.gap_tries = 0
    p.gap_asked = seen - 1
    p.gap_open_ended = 1
    p.gap_awaited = 1
    p.early_lost = 0


cdef bint keep_early(session_t* s, const message_t* m) noexcept nogil:
    """In ascending order of MsgSeqNum. False: it does not fit, and must be asked for again."""
    cdef private_t* p = inside(s)
    cdef uint32_t at = p.early_count
    if p.early_count == EARLY_MESSAGES or p.early_used + m.length > EARLY_BYTES:
        return 0
    while at > 0 and p.early[at - 1].seq >= m.seq:
        if p.early[at - 1].seq == m.seq:
            return 1
        at -= 1
    memmove(&p.early[at + 1], &p.early[at], (p.early_count - at) * sizeof(early_t))
    p.early[at].seq = m.seq
    p.early[at].offset = p.early_used
    p.early[at].length = m.length
    p.early[at].answered = m.msg_type == MSG_RESEND_REQUEST
    memcpy(p.early_bytes + p.early_used, m.data, m.length)
    p.early_used += m.length
    p.early_count += 1
    return 1


cdef void drain_early(session_t* s) noexcept nogil:
    """Applies kept messages whose turn has come, then sees whether the gap is closed."""
    cdef private_t* p = inside(s)
    cdef uint32_t taken = 0
    cdef message_t m
    while taken < p.early_count and p.early[taken].seq <= s.next_in and not p.closing:
        if p.early[taken].seq == s.next_in:
            memset(&m, 0, sizeof(m))
            m.fields = p.index
            m.field_capacity = MAX_FIELDS
            parse_message(p.early_bytes + p.early[taken].offset, p.early[taken].length, p.early[taken].length, &m)
            if p.early[taken].answered:
                append_in(s, &m, m.seq + 1, 0)
            else:
                take_in_sequence(s, &m)
        taken += 1
    if taken:
        p.early_count -= taken
        memmove(p.early, p.early + taken, p.early_count * sizeof(early_t))
        if p.early_count == 0:
            p.early_used = 0
    if p.gap_until == 0 or p.closing:
        return
    if s.next_in >= p.gap_until:
        p.gap_until = 0
        p.gap_asked = 0
    elif s.next_in > p.gap_asked:
        ask_for_gap(s, p.gap_until)      # next chunk, or what did not fit


cdef void take_late(session_t* s, const message_t* m) noexcept nogil:
    """MsgSeqNum below what is expected: a duplicate if it says so, else the counterparty lost its state."""
    if is_poss_dup(m):
        original_time_is_right(s, m)
        return
    refuse_low(s, m)
    stop_session(s, STOP_THEIR_SEQ_TOO_LOW, 0)


cdef int64_t new_seq_no(session_t* s, const message_t* m) noexcept nogil:
    """NewSeqNo (36); -1 without one that is a number: that is answered."""
    cdef const field_t* field = find_field(m, TAG_NEW_SEQ_NO, 3)
    cdef int64_t number = field_uint(m, field) if field is not NULL else -1
    if number < 0:
        reject_tag(s, m, REASON_REQUIRED_TAG_MISSING if field is NULL
                   else REASON_TAG_WITHOUT_VALUE if field.length == 0 else REASON_BAD_FORMAT, TAG_NEW_SEQ_NO)
    return number


cdef void take_sequence_reset(session_t* s, const message_t* m) noexcept nogil:
    """SequenceReset-Reset: a new number, never lower than expected."""
    cdef int64_t number = new_seq_no(s, m)
    if number < 0:
        return
    if <uint64_t>number < s.next_in or <uint64_t>number > MAX_SEQ:
        send_reject(s, m, REASON_VALUE_INCORRECT, NULL, 0)
        return
    append_in(s, m, <uint64_t>number, 0)
    forget_gaps(s)                       # numbers are given anew, and what was asked for does not come any more


cdef void forget_gaps(session_t* s) noexcept nogil:
    cdef private_t* p = inside(s)
    p.early_count = 0
    p.early_used = 0
    p.gap_until = 0
    p.gap_asked = 0
    p.resend_next = 0


cdef void reject_tag(session_t* s, const message_t* m, uint32_t reason, uint32_t tag) noexcept nogil:
    cdef uint8_t digits[20]
    reject_in_sequence(s, m, reason, digits, write_uint(digits, tag) if tag else 0)


cdef void reject_in_sequence(session_t* s, const message_t* m, uint32_t reason, const uint8_t* tag,
                             uint32_t tag_length) noexcept nogil:
    """Refuses the content of a message. It has used its number up all the same. One that is too high is refused when
    its turn comes, or asked for again."""
    if m.seq > s.next_in:
        if m.seq < MAX_SEQ:
            ask_for_gap(s, m.seq + 1)
        return
    send_reject(s, m, reason, tag, tag_length)
    consume_rejected(s, m)


cdef void consume_rejected(session_t* s, const message_t* m) noexcept nogil:
    if m.seq == s.next_in:
        append_in(s, m, m.seq + 1, 0)


# --- in sequence ----------------------------------------------------------------------------------------------------

cdef void take_in_sequence(session_t* s, const message_t* m) noexcept nogil:
    cdef uint32_t kind = m.msg_type
    if is_poss_dup(m) and not original_time_is_right(s, m):
        return
    if not content_is_right(s, m):
        return
    if not is_session_message(kind):
        take_application(s, m)
    elif kind == MSG_HEARTBEAT:
        append_in(s, m, m.seq + 1, 0)
        take_heartbeat(s, m)
    elif kind == MSG_TEST_REQUEST:
        take_test_request(s, m)
    elif kind == MSG_RESEND_REQUEST:
        append_in(s, m, m.seq + 1, 0)
        answer_resend_request(s, m)
    elif kind == MSG_REJECT:
        take_reject(s, m)
    elif kind == MSG_SEQUENCE_RESET:
        take_gap_fill(s, m)
    elif kind == MSG_LOGOUT:
        take_logout(s, m)
    else:
        append_in(s, m, m.seq + 1, 0)    # a Logon that was resent


cdef bint content_is_right(session_t* s, const message_t* m) noexcept nogil:
    """Against the data dictionary, where there is one; answers itself what is wrong."""
    cdef uint32_t tag = 0
    cdef int reason = fault_of_content(s, m, &tag)
    if reason < 0:
        return 1
    reject_tag(s, m, reason, tag)
    return 0


cdef int fault_of_content(const session_t* s, const message_t* m, uint32_t* tag) noexcept nogil:
    """A session_reject_reason, or -1."""
    cdef const dictionary_t* d = s.config.dictionary
    cdef const field_t* version
    if d is NULL or s.config.checks == 0:
        return -1
    if s.config.session_dictionary is not NULL and is_session_message(m.msg_type):
        d = s.config.session_dictionary
    elif s.version.appl_ver_id and not is_session_message(m.msg_type):
        version = find_header(m, TAG_APPL_VER_ID)
        if version is not NULL and not field_equals(m, version, s.config.default_appl_ver_id):
            tag[0] = TAG_APPL_VER_ID
            d = NULL
            if version.length == 1 and c'0' <= m.data[version.offset] <= c'9':
                d = s.config.appl_dictionaries[m.data[version.offset] - c'0']
            if d is NULL:
                return REASON_APPL_VER_ID if s.config.checks & CHECK_UNKNOWN_MESSAGES else -1
    return dictionary_validate(d, m, s.config.checks, tag)


cdef bint original_time_is_right(session_t* s, const message_t* m) noexcept nogil:
    """PossDupFlag=Y needs OrigSendingTime, not later than SendingTime."""
    cdef const field_t* original = find_header(m, TAG_ORIG_SENDING_TIME)
    cdef uint64_t original_ns = field_utc_timestamp(m, original) if original is not NULL else 0
    if original is NULL:
        if m.msg_type == MSG_SEQUENCE_RESET or s.config.orig_sending_time_optional:
            return 1                      # gap fills often come without
        reject_tag(s, m, REASON_REQUIRED_TAG_MISSING, TAG_ORIG_SENDING_TIME)
        return 0
    if original_ns == 0:
        reject_tag(s, m, REASON_TAG_WITHOUT_VALUE if original.length == 0 else REASON_BAD_FORMAT,
                   TAG_ORIG_SENDING_TIME)
        return 0
    if original_ns > field_utc_timestamp(m, find_header(m, TAG_SENDING_TIME)):
        send_reject(s, m, REASON_SENDING_TIME_PROBLEM, NULL, 0)
        consume_rejected(s, m)
        end_badly(s, 1, NULL)
        return 0
    return 1


cdef void take_application(session_t* s, const message_t* m) noexcept nogil:
    cdef uint32_t client = 0
    cdef const record_header_t* record
    if s.hooks.route is not NULL:
        client = s.hooks.route(s.hooks.context, s, m)
    record = append_in_for(s, m, m.seq + 1, FLAG_APPLICATION | (FLAG_POSS_DUP if is_poss_dup(m) else 0), client)
    if record is not NULL and s.hooks.on_message is not NULL:
        s.hooks.on_message(s.hooks.context, s, m, record)


cdef void take_heartbeat(session_t* s, const message_t* m) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef const field_t* id = find_field(m, TAG_TEST_REQ_ID, 3)
    cdef uint8_t text[24]
    cdef uint32_t length
    if p.barrier_seq == 0 or id is NULL:
        return
    memcpy(text, b"GW", 2)
    length = 2 + write_uint(text + 2, p.barrier_seq)
    if id.length == length and memcmp(m.data + id.offset, text, length) == 0:
        p.barrier_seq = 0


cdef void take_test_request(session_t* s, const message_t* m) noexcept nogil:
    cdef const field_t* id = find_field(m, TAG_TEST_REQ_ID, 3)
    cdef body_t body
    if id is NULL:
        reject_tag(s, m, REASON_REQUIRED_TAG_MISSING, TAG_TEST_REQ_ID)
        return
    append_in(s, m, m.seq + 1, 0)
    body.length = 0
    body_text(&body, TAG_TEST_REQ_ID, m.data + id.offset, id.length)
    send_plain(s, c'0', &body)


cdef void take_reject(session_t* s, const message_t* m) noexcept nogil:
    cdef const field_t* reference = find_field(m, TAG_REF_SEQ_NUM, 3)
    cdef int64_t seq = field_uint(m, reference) if reference is not NULL else 0
    cdef uint32_t client = s.hooks.route(s.hooks.context, s, m) if s.hooks.route is not NULL else 0
    append_in_for(s, m, m.seq + 1, 0, client)
    take_text(s, m)
    tell(s, EVENT_REJECT_RECEIVED, <uint64_t>max(seq, 0), 0)


cdef void take_gap_fill(session_t* s, const message_t* m) noexcept nogil:
    cdef int64_t number = new_seq_no(s, m)
    if number < 0:
        return
    if <uint64_t>number <= m.seq or <uint64_t>number > MAX_SEQ:
        reject_tag(s, m, REASON_VALUE_INCORRECT, TAG_NEW_SEQ_NO)
        return
    append_in(s, m, <uint64_t>number, 0)


cdef void take_logout(session_t* s, const message_t* m) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef bint answered = s.state == SESSION_LOGOUT_SENT
    cdef bint refused = s.state == SESSION_LOGON_SENT
    if m.seq == s.next_in:
        append_in(s, m, m.seq + 1, 0)
    take_text(s, m)
    if refused:
        take_refusal(s)
        return
    tell(s, EVENT_LOGGED_OUT, not answered, 0)
    p.logged_out = 1
    if not answered:
        send_logout(s, NULL)
        if s.config.role == SESSION_ACCEPTOR:
            return                       # the initiator closes; a time-out if it does not
    close_session(s, DISCONNECT_LOGOUT)


cdef void take_refusal(session_t* s) noexcept nogil:
    """Logout instead of a Logon. Is it about our MsgSeqNum? The number expected may stand in Text (58)."""
    cdef private_t* p = inside(s)
    cdef uint64_t expected = 0
    if not speaks_of_low_number(s.text, &expected):
        close_session(s, DISCONNECT_LOGON_REFUSED)
        return
    if p.repeated_logon and (expected == 0 or expected == s.next_out):
        # It had taken our first Logon, the answer was lost: nothing is missing, the next attempt takes the next number.
        p.burn_logon = 1
        close_session(s, DISCONNECT_LOGON_REFUSED)
        return
    stop_session(s, STOP_OUR_SEQ_TOO_LOW, expected)


cdef bint speaks_of_low_number(const uint8_t* text, uint64_t* expected) noexcept nogil:
    cdef bint low = contains(text, b"too low") or contains(text, b"lower than expected")
    cdef const uint8_t* p = text
    if not low:
        return 0
    while p[0] != 0:
        if starts_with(p, b"expect"):
            while p[0] != 0 and not c'0' <= p[0] <= c'9':
                p += 1
            while c'0' <= p[0] <= c'9':
                expected[0] = expected[0] * 10 + (p[0] - c'0')
                p += 1
            return 1
        p += 1
    return 1


cdef bint contains(const uint8_t* text, const char* part) noexcept nogil:
    while text[0] != 0:
        if starts_with(text, part):
            return 1
        text += 1
    return 0


cdef bint starts_with(const uint8_t* text, const char* part) noexcept nogil:
    """Without regard to upper or lower case; `part` is lower case."""
    cdef uint8_t byte
    while part[0] != 0:
        byte = text[0]
        if c'A' <= byte <= c'Z':
            byte += 32
        if byte != <uint8_t>part[0]:
            return 0
        text += 1
        part += 1
    return 1


cdef void append_in(session_t* s, const message_t* m, uint64_t next_in, uint8_t flags) noexcept nogil:
    append_in_for(s, m, next_in, flags, 0)


cdef const record_header_t* append_in_for(session_t* s, const message_t* m, uint64_t next_in, uint8_t flags,
                                          uint32_t client) noexcept nogil:
    """Logs a message that was accepted. Without space for it the connection is given up: it will be sent again."""
    cdef record_header_t* record = journal_reserve(s.journal, m.length)
    if record is NULL:
        close_session(s, DISCONNECT_PROTOCOL)
        return NULL
    fill_record(s, record, RECORD_IN, flags, <uint32_t>next_in, m.seq)
    record.client = client
    memcpy(<uint8_t*>record_payload(record), m.data, m.length)
    journal_commit(s.journal, record, m.length)
    applied(s, record)
    return record


# --- answering a ResendRequest --------------------------------------------------------------------------------------

cdef void answer_resend_request(session_t* s, const message_t* m) noexcept nogil:
    cdef const field_t* begin = find_field(m, TAG_BEGIN_SEQ_NO, 3)
    cdef const field_t* end = find_field(m, TAG_END_SEQ_NO, 3)
    cdef int64_t first = field_uint(m, begin) if begin is not NULL else -1
    cdef int64_t last = field_uint(m, end) if end is not NULL else -1
    cdef uint8_t digits[20]
    cdef uint32_t tag
    if first <= 0 or last < 0:
        tag = TAG_BEGIN_SEQ_NO if first <= 0 else TAG_END_SEQ_NO
        send_reject(s, m, REASON_REQUIRED_TAG_MISSING if (begin if first <= 0 else end) is NULL
                    else REASON_VALUE_INCORRECT, digits, write_uint(digits, tag))
        return
    # 0 (and 999999 before FIX 4.2) is infinity. What still waits in the queue goes twice: a counterparty that has
    # asked may not ask again, and drops what it already has.
    if last == 0 or last >= <int64_t>s.next_out:
        last = <int64_t>s.next_out - 1
    tell(s, EVENT_RESEND_REQUESTED, <uint64_t>first, <uint64_t>last)
    if <uint64_t>last >= inside(s).barrier_seq:
        inside(s).barrier_seq = 0        # it has said what it misses, and our TestRequest becomes gap fill
    start_resend(s, <uint64_t>first, <uint64_t>last)


cdef void start_resend(session_t* s, uint64_t first, uint64_t last) noexcept nogil:
    cdef private_t* p = inside(s)
    if first > last:
        return
    # asked again while answering: the later request counts, without losing the earlier
    if p.resend_next:
        first = min(first, p.resend_next)
        last = max(last, p.resend_end)
    p.resend_next = first
    p.resend_end = last
    if s.state == SESSION_READY:
        enter(s, SESSION_RECOVERING)
    continue_resend(s)


cdef void continue_resend(session_t* s) noexcept nogil:
    """Queues as much of the answer as there is room for. Consecutive messages that do not go again make one gap
    fill."""
    cdef private_t* p = inside(s)
    cdef const record_header_t* record
    cdef uint64_t gap_start = 0
    cdef uint64_t gap_lsn = 0
    cdef uint64_t seq = p.resend_next
    cdef uint32_t budget = RESEND_SCAN
    if seq == 0:
        return
    while seq <= p.resend_end and budget:
        budget -= 1
        record = journal_find(s.journal, s.config.index, DIRECTION_OUT, seq)
        if goes_again(s, record):
            if gap_start and not queue_gap_fill(s, gap_start, seq, gap_lsn):
                break
            gap_start = 0
            if not queue_resend(s, record):
                break
            tell(s, EVENT_RESENT, seq, 0)
        else:
            if gap_start == 0:
                gap_start = seq
            if record is not NULL:
                gap_lsn = record.lsn
        seq += 1
    if gap_start and queue_gap_fill(s, gap_start, seq, gap_lsn):
        gap_start = 0
    p.resend_next = gap_start if gap_start else seq
    if p.resend_next > p.resend_end:
        p.resend_next = 0


cdef bint goes_again(const session_t* s, const record_header_t* record) noexcept nogil:
    cdef uint64_t now = inside(s).now.wall_ns
    if record is NULL or not record.flags & FLAG_APPLICATION:
        return 0
    return s.config.resend_max_age_ns == 0 or now <= record.time_ns + s.config.resend_max_age_ns


cdef bint queue_resend(session_t* s, const record_header_t* record) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef uint32_t bound = record_payload_length(record) + REPLY_MARGIN_BYTES
    cdef uint8_t* place
    cdef int32_t length
    if tx_room(&p.tx) <= ROOM_FOR_SESSION:
        return 0
    bound = max(bound, encode_bound(&s.header, record_payload_length(record)))
    place = tx_scratch(&p.tx, bound)
    if place is NULL:
        return 0
    # A clock that was set back must not make SendingTime earlier than OrigSendingTime: that would be rejected.
    length = encode_resend(&s.header, record_payload(record), record_payload_length(record),
                           max(p.now.wall_ns, record.time_ns), place, bound)
    if length > 0:
        tx_push_scratch(&p.tx, place, <uint32_t>length, record.lsn)
    return 1


cdef bint queue_gap_fill(session_t* s, uint64_t first, uint64_t next_seq, uint64_t lsn) noexcept nogil:
    """SequenceReset-GapFill from `first` to below `next_seq`."""
    cdef private_t* p = inside(s)
    cdef body_t body
    cdef encode_t e
    cdef uint8_t stamp[32]
    cdef uint8_t* place
    cdef int32_t length
    cdef uint32_t bound
    cdef uint64_t seq
    cdef const record_header_t* record
    body.length = 0
    body_char(&body, TAG_GAP_FILL_FLAG, c'Y')
    body_uint(&body, TAG_NEW_SEQ_NO, next_seq)
    bound = encode_bound(&s.header, body.length)
    place = tx_scratch(&p.tx, bound) if tx_room(&p.tx) > ROOM_FOR_SESSION else NULL
    if place is NULL:
        return 0
    memset(&e, 0, sizeof(e))
    e.msg_type = b"4"
    e.msg_type_length = 1
    e.seq = first
    e.wall_ns = p.now.wall_ns
    e.poss_dup = 1
    e.orig_sending_time = stamp
    e.orig_sending_time_length = write_utc_timestamp(stamp, p.now.wall_ns, s.config.timestamp_digits)
    e.body = body.bytes
    e.body_length = body.length
    length = encode_message(&s.header, &e, place, bound)
    tx_push_scratch(&p.tx, place, <uint32_t>length, lsn)
    for seq in range(first, next_seq):
        record = journal_find(s.journal, s.config.index, DIRECTION_OUT, seq)
        if record is not NULL and record.flags & FLAG_APPLICATION:
            tell(s, EVENT_GAP_FILLED, seq, 0)
    return 1


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


# --- Python face ----------------------------------------------------------------------------------------------------

STATE_NAMES = ("DISCONNECTED", "LOGON_AWAITED", "LOGON_SENT", "RECOVERING", "READY", "LOGOUT_SENT", "STOPPED")
EVENT_NAMES = ("MESSAGE", "LOGGED_ON", "READY", "GAP", "RESEND_REQUESTED", "RESENT", "GAP_FILLED", "REJECT_SENT",
               "REJECT_RECEIVED", "GARBLED", "LOGGED_OUT", "DISCONNECTED", "STOPPED", "RESET")


class SessionNotReady(ProtocolError):
    """A message cannot be numbered now: the session is not logged on and synchronised, or its queue or journal is
    full."""


class Event(NamedTuple):
    """What happened in a session: kind is "MESSAGE" for an application message, else a session_event."""

    kind: str
    a: int = 0          # MESSAGE: MsgSeqNum
    b: int = 0          # MESSAGE: 1 with PossDupFlag=Y
    data: bytes = b""   # MESSAGE: its bytes; LOGGED_OUT, REJECT_RECEIVED, STOPPED: Text (58)


cdef void face_on_message(void* context, session_t* s, const message_t* m,
                          const record_header_t* record) noexcept nogil:
    with gil:
        (<Session>context).events.append(Event("MESSAGE", record.seq, 1 if record.flags & FLAG_POSS_DUP else 0,
                                               m.data[:m.length]))


cdef void face_on_event(void* context, session_t* s, session_event event, uint64_t a, uint64_t b) noexcept nogil:
    with gil:
        text = b""
        if event == EVENT_LOGGED_OUT or event == EVENT_REJECT_RECEIVED or event == EVENT_STOPPED:
            text = bytes(s.text[:256]).split(b"\0", 1)[0]
        (<Session>context).events.append(Event(EVENT_NAMES[event], a, b, text))


cdef int face_fill_logon(void* context, session_t* s, uint64_t seq, const uint8_t* sending_time,
                         uint32_t sending_time_length, uint8_t* place, uint32_t capacity) noexcept nogil:
    with gil:
        session = <Session>context
        try:
            fields = bytes(session.logon_hook(seq, sending_time[:sending_time_length]))
        except Exception as error:
            session.logon_error = error
            return -1
        if len(fields) > capacity or (fields and not fields.endswith(b"\x01")):
            session.logon_error = ValueError(f"fields of a Logon: at most {capacity} bytes, each field with its SOH")
            return -1
        memcpy(place, <const char*>fields, len(fields))
        return <int>len(fields)


cdef class Session:
    """One session over a Journal. Times are given in ns: `mono_ns` for timers, `wall_ns` for SendingTime.

    `logon_hook(MsgSeqNum, SendingTime as bytes)` gives further fields of each Logon, b"553=..\\x01", such as a
    signature; what it raises is kept in `logon_error`, and the connection is closed.

    Raises ValueError for identifiers that are too long, MemoryError.
    """

    def __cinit__(self, Journal journal not None, *, str role, str begin_string, str sender_comp_id,
                  str target_comp_id, uint16_t index=0, bytes extra_ids=b"", bytes logon_fields=b"",
                  uint8_t timestamp_digits=3, uint32_t heartbeat_s=30, uint64_t logon_timeout_ns=10_000_000_000,
                  uint64_t logout_timeout_ns=2_000_000_000, uint64_t test_request_after_ns=0,
                  uint64_t disconnect_after_ns=0, uint64_t sending_time_tolerance_ns=0, uint64_t resend_max_age_ns=0,
                  uint32_t resend_chunk=0, uint32_t max_message_bytes=MAX_MESSAGE_BYTES, bint reset_on_logon=False,
                  bint reset_on_logout=False, bint reset_on_disconnect=False, logon_barrier=None,
                  bint send_next_expected=False, bint cancels_before_ready=False, str default_appl_ver_id="",
                  uint32_t heartbeat_min_s=0, uint32_t heartbeat_max_s=0, bint test_session=False,
                  bint send_last_processed=False, bint orig_sending_time_optional=False, uint32_t epoch=1,
                  Dictionary dictionary=None, Dictionary session_dictionary=None, dict appl_dictionaries=None,
                  uint32_t checks=CHECK_ALL, logon_hook=None):
        cdef session_config_t config
        if role not in ("initiator", "acceptor"):
            raise ValueError(f"role: initiator or acceptor, found {role!r}")
        memset(&config, 0, sizeof(config))
        config.index = index
        config.role = SESSION_INITIATOR if role == "initiator" else SESSION_ACCEPTOR
        copy_text(config.begin_string, 16, begin_string.encode("ascii"), "begin_string")
        copy_text(config.sender_comp_id, 64, sender_comp_id.encode("ascii"), "sender_comp_id")
        copy_text(config.target_comp_id, 64, target_comp_id.encode("ascii"), "target_comp_id")
        copy_text(config.extra_ids, 256, extra_ids, "extra_ids")
        copy_text(config.logon_fields, 512, logon_fields, "logon_fields")
        config.timestamp_digits = timestamp_digits
        config.heartbeat_s = heartbeat_s
        config.logon_timeout_ns = logon_timeout_ns
        config.logout_timeout_ns = logout_timeout_ns
        config.test_request_after_ns = test_request_after_ns
        config.disconnect_after_ns = disconnect_after_ns
        config.sending_time_tolerance_ns = sending_time_tolerance_ns
        config.resend_max_age_ns = resend_max_age_ns
        config.resend_chunk = resend_chunk
        config.max_message_bytes = max_message_bytes
        config.reset_on_logon = reset_on_logon
        config.reset_on_logout = reset_on_logout
        config.reset_on_disconnect = reset_on_disconnect
        config.logon_barrier = role == "initiator" if logon_barrier is None else logon_barrier
        config.send_next_expected = send_next_expected
        config.cancels_before_ready = cancels_before_ready
        copy_text(config.default_appl_ver_id, 8, default_appl_ver_id.encode("ascii"), "default_appl_ver_id")
        config.heartbeat_min_s = heartbeat_min_s
        config.heartbeat_max_s = heartbeat_max_s
        config.test_session = test_session
        config.send_last_processed = send_last_processed
        config.orig_sending_time_optional = orig_sending_time_optional
        self.dictionaries = [dictionary, session_dictionary, *(appl_dictionaries or {}).values()]
        if dictionary is not None:
            config.dictionary = &dictionary.tables
            config.checks = checks
        if session_dictionary is not None:
            config.session_dictionary = &session_dictionary.tables
        for appl_ver_id, other in (appl_dictionaries or {}).items():
            config.appl_dictionaries[int(appl_ver_id)] = &(<Dictionary?>other).tables
        if fix_version(config.begin_string) is NULL:
            raise ValueError(f"begin_string: FIX.4.0 to FIX.4.4 or FIXT.1.1, found {begin_string!r}")
        self.journal = journal
        self.events = []
        if session_init(&self.state, &config, journal.handle) != 0:
            raise MemoryError("session")
        self.state.epoch = epoch
        self.state.hooks.context = <void*>self
        self.state.hooks.on_message = face_on_message
        self.state.hooks.on_event = face_on_event
        self.logon_hook = logon_hook
        if logon_hook is not None:
            self.state.hooks.fill_logon = face_fill_logon
        for record in journal.records():
            self._apply(record.raw)

    def __dealloc__(self):
        session_free(&self.state)

    def _apply(self, bytes raw not None):
        session_apply(&self.state, <const record_header_t*><const char*>raw)

    def connected(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """The transport is up. An initiator logs on."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        session_on_connected(&self.state, &now)

    def disconnected(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """The transport is gone."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        session_on_disconnected(&self.state, &now)

    def receive(self, data, uint64_t mono_ns, uint64_t wall_ns) -> int:
        """Handles every whole message in `data` (bytes-like); bytes used up."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        cdef bytes raw = bytes(data)
        return session_on_bytes(&self.state, raw, len(raw), &now)

    def timer(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Time has passed."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        session_on_timer(&self.state, &now)

    def send(self, str msg_type, bytes body not None, uint64_t mono_ns, uint64_t wall_ns, bytes clordid=None,
             uint32_t client=0) -> int:
        """Numbers, logs and queues an application message; its MsgSeqNum. Raises SessionNotReady, ValueError (too
        large)."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        cdef const record_header_t* record = NULL
        cdef bytes kind = msg_type.encode("ascii")
        cdef uint32_t offset = 0
        cdef uint32_t length = 0
        if clordid is not None:
            field = b"\x0111=" + clordid + b"\x01"
            offset = <uint32_t>((b"\x01" + body).index(field) + 3)
            length = <uint32_t>len(clordid)
        status = session_send_application(&self.state, kind, <uint32_t>len(kind), body, <uint32_t>len(body),
                                          offset, length, client, FLAG_ORDER if length else 0, &now, &record)
        if status == SEND_TOO_LARGE:
            raise ValueError(f"a message of {len(body)} body bytes: at most "
                             f"{self.state.config.max_message_bytes} with header")
        if status != SEND_OK:
            raise SessionNotReady(f"session {self.state.config.sender_comp_id.decode()} to "
                                  f"{self.state.config.target_comp_id.decode()} is {STATE_NAMES[self.state.state]}"
                                  if status == SEND_NOT_READY else "journal or transmit queue is full")
        return record.seq

    def output(self, released_lsn=None, uint64_t mono_ns=0, uint64_t wall_ns=0) -> bytes:
        """Everything that may be written now, taken as written. `released_lsn` None: everything is released."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        cdef uint64_t limit = NEVER if released_lsn is None else released_lsn
        cdef const uint8_t* data = NULL
        cdef size_t size
        cdef list parts = []
        if mono_ns == 0:
            now = inside(&self.state).now      # as of the last input
        while True:
            size = session_tx_peek(&self.state, limit, &data)
            if size == 0:
                return b"".join(parts)
            parts.append(data[:size])
            session_tx_consume(&self.state, size, &now)

    def logout(self, str text, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Starts the logout handshake."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        session_logout(&self.state, text.encode("ascii"), &now)

    def reset(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Both MsgSeqNums start at 1 again. Raises ProtocolError while connected."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        if session_reset(&self.state, &now) != 0:
            raise ProtocolError("a session is reset only while it is disconnected: log out first")

    def reset_online(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Both MsgSeqNums start at 1 again, by a Logon with ResetSeqNumFlag=Y. Raises ProtocolError unless READY."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        if session_reset_online(&self.state, &now) != 0:
            raise ProtocolError("a session is reset in mid-session only while it is READY, from FIX.4.1 on")

    def set_seq(self, uint64_t next_out, uint64_t next_in, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Sets the numbers by hand. Raises ProtocolError while connected or for a number below 1."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        if session_set_seq(&self.state, next_out, next_in, &now) != 0:
            raise ProtocolError("MsgSeqNums are set only while the session is disconnected, and are at least 1")

    def resume(self) -> None:
        """An operator lets a STOPPED session connect again."""
        session_resume(&self.state)

    def take_events(self) -> list:
        """Events since the last call, oldest first."""
        taken = self.events
        self.events = []
        return taken

    @property
    def deadline(self):
        """mono_ns of the next timer, None: none."""
        due = session_deadline(&self.state)
        return None if due == NEVER else due

    @property
    def closing(self) -> bool:
        """Whether the transport is to be closed once the output is written."""
        return session_closing(&self.state)

    @property
    def status(self) -> str:
        """Name of the session_state."""
        return STATE_NAMES[self.state.state]

    @property
    def next_out(self) -> int:
        """MsgSeqNum of our next message."""
        return self.state.next_out

    @property
    def next_in(self) -> int:
        """MsgSeqNum that we expect."""
        return self.state.next_in

    @property
    def generation(self) -> int:
        """Number of resets."""
        return self.state.generation


cdef int copy_text(uint8_t* place, size_t capacity, bytes text, str what) except -1:
    if len(text) >= capacity or b"\0" in text:
        raise ValueError(f"{what}: at most {capacity - 1} bytes without NUL, found {len(text)}")
    memcpy(place, <const char*>text, len(text))
    place[len(text)] = 0
    return 0
