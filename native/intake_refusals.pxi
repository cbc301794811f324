# What is not taken: its place in the log, and what is said about it. Part of intake.pyx.


cdef int intake_refuse(intake_t* t, submission_t* s, uint8_t reason, const instant_t* now) noexcept nogil:
    t.refused += 1
    return log_refusal(t, s, reason, now)


cdef uint32_t intake_fault_text(const submission_t* s, uint8_t* text) noexcept nogil:
    if s.fault == FAULT_FRAME:
        return say(text, 0, b"the frame holds no MsgType (35)")
    if s.fault == FAULT_MSG_TYPE:
        return say(text, 0, b"MsgType (35) is not 1 to 4 printable characters")
    if s.fault == FAULT_NO_FIELDS:
        return say(text, 0, b"there are no fields that can be passed on")
    if s.fault == FAULT_TOO_MANY_FIELDS:
        return say(text, 0, b"more fields than can be passed on")
    if s.fault == FAULT_CLORDID:
        return say(text, 0, b"ClOrdID (11) has a character that is not printable ASCII")
    if s.fault == FAULT_BYTE:
        return say_number(text, b"the fields are not tag=value<SOH> from byte ", s.fault_at, b" on")
    if s.fault == FAULT_EMPTY:
        return say_tag(text, s.fault_at, b" is empty")
    if s.fault == FAULT_TWICE:
        return say_tag(text, s.fault_at, b" is there twice")
    if s.fault == FAULT_NO_NUMBER:
        return say_tag(text, s.fault_at, b" is no number, or one that is too large")
    if s.fault == FAULT_BELOW_UNIT:
        return say_tag(text, s.fault_at, b" is not at least 0.00000001")
    return 0


# --- helpers --------------------------------------------------------------------------------------------------------

cdef uint8_t malformed(submission_t* s, uint8_t fault, uint32_t fault_at) noexcept nogil:
    s.fault = fault
    s.fault_at = fault_at
    return REJECT_MALFORMED


cdef intake_verdict refuse(intake_t* t, submission_t* s, uint8_t reason, const instant_t* now) noexcept nogil:
    t.refused += 1
    s.reason = reason
    # What could not be read, or names no session, has no place in the order table; nor has what may succeed when it is
    # tried again.
    if (s.clordid is NULL or s.clordid_length == 0 or s.clordid_length > MAX_CLORDID_BYTES
            or not t.open or not carries_new_clordid(s)
            or (s.origin_lsn == 0 and (reason == REJECT_UNKNOWN_SESSION or reason == REJECT_NOT_READY
                                       or reason == REJECT_HOLD_FULL or reason == REJECT_BACK_PRESSURE))):
        return INTAKE_REFUSED_UNLOGGED
    if find_repeated(t, s):       # known already: nothing that is wrong with this copy changes the order
        return INTAKE_REPEATED
    return INTAKE_REFUSED if log_refusal(t, s, reason, now) == 0 else INTAKE_REFUSED_UNLOGGED


cdef int log_refusal(intake_t* t, submission_t* s, uint8_t reason, const instant_t* now) noexcept nogil:
    # Of what names nothing new, a ClOrdID here would be taken, or told of the order that has it.
    cdef uint16_t length = <uint16_t>s.clordid_length if carries_new_clordid(s) else 0
    cdef uint8_t* payload
    cdef record_header_t* record = journal_reserve(t.replica.journal, 2 + length + MAX_REJECT_TEXT)
    if record is NULL:
        return -1
    record.seq = s.origin_lsn
    record.time_ns = now.wall_ns
    record.epoch = t.epoch
    record.client = s.client
    record.aux = reason
    record.session = s.session
    record.kind = RECORD_REJECTED
    record.flags = 0
    payload = <uint8_t*>record_payload(record)
    memcpy(payload, &length, 2)
    memcpy(payload + 2, s.clordid, length)
    length += 2
    if reason == REJECT_MALFORMED:
        length += <uint16_t>intake_fault_text(s, payload + length)
    journal_commit(t.replica.journal, record, length)
    return 0


cdef uint32_t say_tag(uint8_t* text, uint32_t tag, const char* what) noexcept nogil:
    if tag == TAG_CLORDID:
        return say(text, say(text, 0, b"ClOrdID (11)"), what)
    if tag == TAG_ORDER_QTY:
        return say(text, say(text, 0, b"OrderQty (38)"), what)
    if tag == TAG_PRICE:
        return say(text, say(text, 0, b"Price (44)"), what)
    return say_number(text, b"field ", tag, what)


cdef uint32_t say_number(uint8_t* text, const char* before, uint32_t value, const char* behind) noexcept nogil:
    cdef uint32_t length = say(text, 0, before)
    length += write_uint(text + length, value)
    return say(text, length, behind)


cdef uint32_t say(uint8_t* text, uint32_t at, const char* words) noexcept nogil:
    """Puts `words` at `at`; the length with them. All that is said here is far shorter than MAX_REJECT_TEXT."""
    cdef uint32_t length = <uint32_t>strlen(words)
    memcpy(text + at, words, length)
    return at + length
