# MsgSeqNums that are too high, too low, or set anew; messages that are kept behind a gap. Part of session.pyx.


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
    if m.msg_type == MSG_LOGOUT:
        take_logout(s, m)             # the end is the same, and the next Logon will show what was lost
        return
    if m.msg_type == MSG_RESEND_REQUEST:
        answer_resend_request(s, m)   # asked twice under one number, as some engines do: an answer changes nothing
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
    if m.seq == s.next_in and m.seq < MAX_SEQ:
        append_in(s, m, m.seq + 1, 0)
