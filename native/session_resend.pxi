# Answering a ResendRequest (35=2) from the log, in steps as the transmit queue has room. Part of session.pyx.


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
        log_resent(s)
        return
    while seq <= p.resend_end and budget:
        budget -= 1
        record = journal_find(s.journal, s.config.index, DIRECTION_OUT, seq)
        if goes_again(s, record):
            if gap_start and not queue_gap_fill(s, gap_start, seq, gap_lsn):
                break
            gap_start = 0
            if not resent_continues(s, record) or not queue_resend(s, record):
                break
            note_resent(s, record)
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
    log_resent(s)


cdef bint goes_again(const session_t* s, const record_header_t* record) noexcept nogil:
    cdef uint64_t now = inside(s).now.wall_ns
    if record is NULL or not record.flags & FLAG_APPLICATION:
        return 0
    if record.flags & FLAG_ORDER and s.hooks.withholds is not NULL and s.hooks.withholds(s.hooks.context, record):
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
    cdef bint orders = passes_over_orders(s, first, next_seq)
    body.length = 0
    body_char(&body, TAG_GAP_FILL_FLAG, c'Y')
    body_uint(&body, TAG_NEW_SEQ_NO, next_seq)
    bound = encode_bound(&s.header, body.length)
    place = tx_scratch(&p.tx, bound) if tx_room(&p.tx) > ROOM_FOR_SESSION else NULL
    # In the log first: what the counterparty does not ask for again must be known to every later primary.
    if place is NULL or (orders and not log_resend(s, first, next_seq, FATE_GAP_FILLED)):
        return 0
    if orders:
        s.gap_fill_lsn = s.journal.last_lsn
        lsn = s.gap_fill_lsn
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


cdef bint passes_over_orders(const session_t* s, uint64_t first, uint64_t next_seq) noexcept nogil:
    cdef const record_header_t* record
    cdef uint64_t seq
    for seq in range(first, next_seq):
        record = journal_find(s.journal, s.config.index, DIRECTION_OUT, seq)
        if record is not NULL and record.flags & FLAG_ORDER:
            return 1
    return 0


cdef bint resent_continues(session_t* s, const record_header_t* record) noexcept nogil:
    """The record of what went again before, if this is not the next of them. False: no space for it now."""
    cdef private_t* p = inside(s)
    if p.resent[1] and p.resent[1] != record.seq:
        log_resent(s)
    return p.resent[1] == 0 or p.resent[1] == record.seq


cdef void note_resent(session_t* s, const record_header_t* record) noexcept nogil:
    """Consecutive orders become one record. It comes after them: one that gets lost is asked for again, or answered."""
    cdef private_t* p = inside(s)
    if record.flags & FLAG_ORDER:
        if p.resent[1] == 0:
            p.resent[0] = record.seq
        p.resent[1] = record.seq + 1


cdef void log_resent(session_t* s) noexcept nogil:
    cdef private_t* p = inside(s)
    if p.resent[1] and log_resend(s, p.resent[0], p.resent[1], FATE_RESENT):
        p.resent[1] = 0


cdef bint log_resend(session_t* s, uint64_t first, uint64_t next_seq, uint64_t kind) noexcept nogil:
    """False: the journal has no space now."""
    cdef uint64_t span[3]
    span[0] = first
    span[1] = next_seq
    span[2] = kind
    return append_state(s, STATE_RESEND, 0, <const uint8_t*>span, sizeof(span)) == 0
