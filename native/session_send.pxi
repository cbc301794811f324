# Sending: numbering, encoding and logging a message, and every session message of ours but Logon. Part of session.pyx.


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
    if encode_bound(&s.header, body_length) > s.config.max_message_bytes or msg_type_length > MAX_MSG_TYPE_BYTES:
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
    if s.hooks.on_encoded is not NULL:
        s.hooks.on_encoded(s.hooks.context)
    record.seq = e.seq
    record.time_ns = p.now.wall_ns
    record.epoch = s.epoch
    record.client = client
    if s.passes_on_lsn and flags & FLAG_APPLICATION:
        flags |= FLAG_PASSED_ON
        record.aux = <uint32_t>(s.journal.last_lsn + 1 - s.passes_on_lsn)
    else:
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
    reverse_route(s, m, &body)
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


cdef void reverse_route(const session_t* s, const message_t* m, body_t* body) noexcept nogil:
    """What came on behalf of a third party is answered to it, and the other way round (FIX 4.4 volume 1, 'Third party
    message routing')."""
    cdef uint32_t i
    cdef uint32_t tag
    for i in range(3, min(m.field_count, HEADER_FIELDS)):
        tag = reversed_route_tag(m.fields[i].tag)
        if tag and m.fields[i].length and (s.version.locations or not is_location(tag)):
            body_text(body, tag, m.data + m.fields[i].offset, m.fields[i].length)


cdef inline bint is_location(uint32_t tag) noexcept nogil:
    return tag == TAG_ON_BEHALF_OF_LOCATION_ID or tag == TAG_DELIVER_TO_LOCATION_ID


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
