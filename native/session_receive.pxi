# Receiving: the standard header of every message, and where a message goes by its number. Part of session.pyx.


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
    if logged_on and (sender.length == 0 or target.length == 0):
        reject_tag(s, m, REASON_TAG_WITHOUT_VALUE, TAG_SENDER_COMP_ID if sender.length == 0 else TAG_TARGET_COMP_ID)
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
