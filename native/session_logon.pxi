# Logging on, in both roles: our Logon, what is wrong with theirs, ResetSeqNumFlag (141), NextExpectedMsgSeqNum (789).
# Part of session.pyx.


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
    if not give_up_unsent(s) or append_reset(s) != 0:
        close_session(s, DISCONNECT_PROTOCOL)     # no space for the record: it will ask again
        return
    forget_old_numbers(s)
    append_in(s, m, m.seq + 1, 0)
    send_logon(s, 1)


cdef bint give_up_unsent(session_t* s) noexcept nogil:
    """What is not on the socket yet must not follow under a number of before the reset, which would be taken for one
    behind it. Its orders become UNKNOWN. False: the journal has no space now."""
    cdef private_t* p = inside(s)
    cdef const record_header_t* record
    cdef uint64_t first = 0
    cdef uint32_t at = p.tx.tail
    cdef uint32_t kept = p.tx.head + (p.tx.written != 0)
    while at != kept:
        at -= 1
        if not tx_is_resend(&p.tx, at):
            record = journal_at(s.journal, tx_lsn(&p.tx, at))
            if record is not NULL and record.kind == RECORD_OUT and record.flags & FLAG_ORDER:
                first = record.seq
    log_resent(s)
    if p.resent[1] or (first and not log_resend(s, first, s.next_out, FATE_GAP_FILLED)):
        return 0
    tx_drop_unsent(&p.tx)
    return 1


cdef void forget_old_numbers(session_t* s) noexcept nogil:
    cdef private_t* p = inside(s)
    forget_gaps(s)
    p.resend_next = 0
    p.barrier_seq = 0                             # an answer to that TestRequest would have an old number


cdef int session_reset_online(session_t* s, const instant_t* now) noexcept nogil:
    inside(s).now = now[0]
    if s.state != SESSION_READY or not s.version.reset_flag or append_reset(s) != 0:
        return -1
    forget_old_numbers(s)
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
    if (wants_reset or s.config.reset_on_logon) and append_reset(s) != 0:
        close_session(s, DISCONNECT_PROTOCOL)     # no space for the record: it will ask again
        return
    if m.seq < s.next_in and not is_poss_dup(m):
        refuse_low(s, m)
        return
    p.heartbeat_ns = <uint64_t>field_uint(m, find_field(m, TAG_HEART_BT_INT, 3)) * NS_PER_SECOND
    p.deadline_ns = NEVER
    if m.seq == s.next_in:
        append_in(s, m, m.seq + 1, 0)
    enter(s, SESSION_RECOVERING)
    send_logon(s, wants_reset)
    if not p.closing:
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


cdef void send_logon(session_t* s, bint reset) noexcept nogil:
    cdef private_t* p = inside(s)
    cdef bint again = not reset and logon_goes_again(s)
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
        if send_plain(s, c'A', &body) == 0:       # else it would wait in vain for an answer
            close_session(s, DISCONNECT_PROTOCOL)


cdef inline bint logon_goes_again(const session_t* s) noexcept nogil:
    return (s.config.role == SESSION_INITIATOR and s.pending_logon_seq != 0 and s.pending_logon_seq + 1 == s.next_out
            and not inside(s).burn_logon)


cdef uint64_t session_logon_seq(const session_t* s) noexcept nogil:
    if s.config.reset_on_logon or inside(s).reset_due:
        return 1
    return s.pending_logon_seq if logon_goes_again(s) else s.next_out


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
