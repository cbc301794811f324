# Messages whose turn it is: validation, and what each type of session message does. Part of session.pyx.


cdef void take_in_sequence(session_t* s, const message_t* m) noexcept nogil:
    cdef uint32_t kind = m.msg_type
    cdef bint poss_dup = is_poss_dup(m)
    if poss_dup and not original_time_is_right(s, m):
        return
    if not content_is_right(s, m):
        return
    if not is_session_message(kind):
        take_application(s, m, poss_dup)
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


cdef void take_application(session_t* s, const message_t* m, bint poss_dup) noexcept nogil:
    cdef uint32_t client = 0
    cdef const record_header_t* record
    if s.hooks.route is not NULL:
        client = s.hooks.route(s.hooks.context, s, m)
    record = append_in_for(s, m, m.seq + 1, FLAG_APPLICATION | (FLAG_POSS_DUP if poss_dup else 0), client)
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
