# Clients that come over a FIX session of their own: their orders in, what belongs to them out. Part of node.pyx.


cdef bint pass_orders_on(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    """Submits what came since; what cannot get an outcome in the log now stays where it is. True: all was."""
    cdef bridge_t* b = &n.replica.bridges[session]
    cdef submission_t s
    cdef message_t message
    cdef const record_header_t* record
    cdef intake_verdict verdict
    replica_catch_up(&n.replica)
    if b.next < b.end:
        bridge_sweep(b, &n.replica.orders, n.journal)
    while b.next < b.end and n.intake.open:
        record = journal_at(n.journal, b.pending[b.next % MAX_PENDING])
        if not submission_of(n, session, record, &s):
            b.next += 1
            continue
        s.again = s.again or b.next < b.inherited
        verdict = intake_submit(&n.intake, &s, now)
        if verdict == INTAKE_NUMBERED:
            stages_journalled(&n.stages, n.journal.last_lsn, s.session, NEVER)
        if verdict == INTAKE_COME_AGAIN:
            return 0
        # What the intake cannot read has a ClOrdID all the same, and must not stand in the way of others.
        if verdict == INTAKE_REFUSED_UNLOGGED and (index_passed(n, record, &message) == PARSE_GARBLED
                                                   or not refuse_at_once(n, &s, &message, s.reason)):
            return 0
        b.next += 1
        replica_catch_up(&n.replica)
    return 1


cdef void pass_message_on(void* context, session_t* session, const message_t* message,
                          const record_header_t* record) noexcept nogil:
    """A message without a ClOrdID of its own, a status request for example: at once or not at all."""
    cdef node_t* n = <node_t*>context
    cdef uint16_t i = session.config.index
    cdef submission_t s
    cdef const field_t* id = find_field(message, TAG_CL_ORD_ID, 3)
    cdef intake_verdict verdict
    cdef bint blocked
    if new_clordid(message) is not NULL:
        make_room(n, i, message, record)      # pending: pass_orders_on
        return
    blocked = not pass_orders_on(n, i, &n.now)       # it may be about one of them
    if not submission_of(n, i, record, &s):
        return
    if names_new_order(message.msg_type):
        s.fault = FAULT_CLORDID if whole_clordid(message) is NULL else FAULT_TOO_MANY_FIELDS
        refuse_at_once(n, &s, message, REJECT_NO_CLORDID if id is NULL or not 0 < id.length <= MAX_CLORDID_BYTES
                       else REJECT_MALFORMED)
        return
    if blocked:
        refuse_at_once(n, &s, message, REJECT_NOT_READY)
        return
    verdict = intake_submit(&n.intake, &s, &n.now)
    if verdict == INTAKE_REFUSED_UNLOGGED or verdict == INTAKE_COME_AGAIN:
        refuse_at_once(n, &s, message, s.reason if s.reason else REJECT_NOT_READY)


cdef bint refuse_at_once(node_t* n, submission_t* s, const message_t* message, uint8_t reason) noexcept nogil:
    """In the log, so that it is told whatever becomes of the connection and of this node. False: no space."""
    cdef const field_t* id = whole_clordid(message)
    s.clordid = message.data + id.offset if id is not NULL else NULL
    s.clordid_length = id.length if id is not NULL else 0
    if (id is NULL or not names_new_order(message.msg_type)
            or orders_by_client(&n.replica.orders, s.client, s.clordid, s.clordid_length) is NULL):
        return intake_refuse(&n.intake, s, reason, &n.now) == 0
    return 1


cdef void make_room(node_t* n, uint16_t session, const message_t* message,
                    const record_header_t* record) noexcept nogil:
    """The order in `record` is refused at once when none after it could be remembered until it has an outcome."""
    cdef submission_t s
    replica_catch_up(&n.replica)
    if bridge_has_room(&n.replica.bridges[session], &n.replica.orders, n.journal):
        return
    if submission_of(n, session, record, &s) and not (s.again and n.intake.sessions[s.session].lossy):
        refuse_at_once(n, &s, message, REJECT_BACK_PRESSURE)


cdef bint submission_of(node_t* n, uint16_t session, const record_header_t* record, submission_t* s) noexcept nogil:
    """The order in an IN record. It goes where DeliverToCompID (128) says, or where its original went, or the session's
    `route`."""
    cdef bridge_route_t* route = &n.routes[session]
    cdef message_t message
    cdef const field_t* field
    cdef const order_t* original
    cdef parse_status status
    memset(s, 0, sizeof(submission_t))
    if record is NULL:
        return 0
    status = index_passed(n, record, &message)
    if status != PARSE_OK and status != PARSE_TOO_MANY_FIELDS:
        return 0
    s.client = n.replica.bridges[session].client
    s.origin_lsn = record.lsn
    s.age_ns = n.now.wall_ns - record.time_ns if n.now.wall_ns > record.time_ns else 0
    s.cut_off = status == PARSE_TOO_MANY_FIELDS
    s.again = record.flags & FLAG_POSS_DUP != 0
    field = find_field(&message, TAG_POSS_RESEND, 3)
    if field is not NULL and field_is(&message, field, c'Y'):
        s.again = 1
    s.session = route.session
    field = find_field(&message, TAG_DELIVER_TO_COMP_ID, 3)
    original = orders_original(&n.replica.orders, s.client, &message)
    if field is not NULL:
        s.session = session_to(n, &message, field)
    elif original is not NULL:
        s.session = original.session
    if s.session == MAX_SESSIONS:
        s.session = route.session           # there its refusal is logged
        s.forbidden = 1
    else:
        s.forbidden = not n.names[s.client - 1].sessions[s.session]
    field = &message.fields[2]
    s.msg_type = message.data + field.offset
    s.msg_type_length = field.length
    s.body = n.passed
    s.body_length = bridge_fields(&message, n.passed, MAX_FRAME_BYTES)
    return 1


cdef uint16_t session_to(const node_t* n, const message_t* message, const field_t* name) noexcept nogil:
    """The session whose counterparty has this CompID; MAX_SESSIONS: none."""
    cdef uint16_t i
    cdef const uint8_t* target
    for i in range(n.replica.session_count):
        target = n.replica.sessions[i].config.target_comp_id
        if (not n.links[i].accepting and strlen(<const char*>target) == name.length
                and memcmp(target, message.data + name.offset, name.length) == 0):
            return i
    return MAX_SESSIONS


cdef parse_status index_passed(node_t* n, const record_header_t* record, message_t* message) noexcept nogil:
    memset(message, 0, sizeof(message_t))
    message.fields = n.passed_fields
    message.field_capacity = MAX_PASSED_FIELDS
    return parse_message(record_payload(record), record_payload_length(record), record_payload_length(record),
                         message)


# --- back to the client -----------------------------------------------------------------------------------------------

cdef bint pass_answers_on(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    """Numbers what belongs to the client and was not passed on yet, in the order of the log. True: more would follow
    at once."""
    cdef bridge_t* b = &n.replica.bridges[session]
    cdef const record_header_t* record
    cdef uint32_t budget = FEED_BURST_RECORDS
    while b.cursor <= n.journal.last_lsn and budget:
        record = journal_at(n.journal, b.cursor)
        if record is not NULL and is_answer(n, session, record):
            if not session_ready_for(&n.replica.sessions[session], MSG_EXECUTION_REPORT):
                return 0
            if not pass_answer_on(n, session, record):
                return 0
            replica_catch_up(&n.replica)
        b.cursor += 1
        budget -= 1
    return budget == 0


cdef bint is_answer(const node_t* n, uint16_t session, const record_header_t* record) noexcept nogil:
    cdef uint32_t client = n.replica.bridges[session].client
    if record.kind == RECORD_REJECTED:
        return record.client == client
    if record.kind != RECORD_IN:
        return 0
    if record.session == session:
        return record.flags & FLAG_APPLICATION != 0        # perhaps a ClOrdID that was used before
    if record.session >= n.replica.session_count or n.links[record.session].accepting:
        return 0
    return record.client == client or (record.client == 0 and n.names[client - 1].unrouted
                                       and record.flags & FLAG_APPLICATION != 0)


cdef bint pass_answer_on(node_t* n, uint16_t session, const record_header_t* record) noexcept nogil:
    """False: it cannot be numbered now."""
    cdef message_t message
    cdef parse_status status
    cdef const record_header_t* about = NULL
    cdef const field_t* field
    cdef const field_t* text
    if record.kind == RECORD_REJECTED:
        about = journal_at(n.journal, record.seq)
        if about is NULL or about.session != session or about.kind != RECORD_IN:
            return 1                                        # of a time when the client came another way
        index_passed(n, about, &message)
        return refuse_as_logged(n, session, &message, record)
    status = index_passed(n, record, &message)
    if record.session == session:
        return not repeats_clordid(n, session, record, &message) or refuse_to(n, session, &message,
                                                                              REJECT_CLORDID_TAKEN, record.lsn,
                                                                              record.lsn)
    if status != PARSE_OK:
        note(n, NOTE_NOT_PASSED_ON, session, 0, record.lsn, record_payload_length(record))
        return 1
    if message.msg_type == MSG_REJECT or message.msg_type == MSG_BUSINESS_REJECT:
        field = find_field(&message, TAG_REF_SEQ_NUM, 3)
        text = find_field(&message, TAG_TEXT, 3)
        if field is not NULL:
            about = sent_under(n, record, field_uint(&message, field))
        if about is not NULL and about.client == record.client and about.flags & FLAG_ORDER:
            return refuse_in_words(n, session, record, about, message.data + text.offset if text is not NULL else NULL,
                                   text.length if text is not NULL else 0)
        if message.msg_type == MSG_REJECT:
            return 1
    return send_passed(n, session, record, &message)


cdef bint repeats_clordid(node_t* n, uint16_t session, const record_header_t* record,
                          const message_t* message) noexcept nogil:
    """A new order under a ClOrdID that had its outcome before. With PossResend (97) or PossDupFlag (43) it asks for
    nothing."""
    cdef const field_t* id = find_field(message, TAG_CL_ORD_ID, 3)
    cdef const field_t* again = find_field(message, TAG_POSS_RESEND, 3)
    cdef const order_t* order
    if (not names_new_order(message.msg_type) or id is NULL or record.flags & FLAG_POSS_DUP
            or (again is not NULL and field_is(message, again, c'Y'))):
        return 0
    order = orders_by_client(&n.replica.orders, n.replica.bridges[session].client, message.data + id.offset, id.length)
    return order is not NULL and order.lsn < record.lsn


cdef bint send_passed(node_t* n, uint16_t session, const record_header_t* record,
                      const message_t* message) noexcept nogil:
    """The counterparty's message as it is, under a header of the client's session."""
    cdef const field_t* msg_type = &message.fields[2]
    cdef const uint8_t* from_whom = n.replica.sessions[record.session].config.target_comp_id
    cdef uint32_t size = 0
    cdef uint32_t length
    if record.session != n.routes[session].session:
        length = <uint32_t>strlen(<const char*>from_whom)
        memcpy(n.passed, b"115=", 4)                        # OnBehalfOfCompID
        memcpy(n.passed + 4, from_whom, length)
        n.passed[4 + length] = SOH
        size = 5 + length
    length = bridge_fields(message, n.passed + size, MAX_FRAME_BYTES)
    if length == 0:
        note(n, NOTE_NOT_PASSED_ON, session, 0, record.lsn, record_payload_length(record))
        return 1
    return number_passed(n, session, message.data + msg_type.offset, msg_type.length, size + length, record.lsn)


cdef const record_header_t* sent_under(node_t* n, const record_header_t* record, int64_t seq) noexcept nogil:
    """What we had sent as number `seq` when `record` came in. A number that was never given is not looked for: that
    might read the whole log."""
    cdef const session_t* s = &n.replica.sessions[record.session]
    cdef uint32_t generation = replica_generation_at(&n.replica, record.session, record.lsn)
    if seq <= 0 or (generation == s.generation and <uint64_t>seq >= s.next_out):
        return NULL
    return journal_find_in(n.journal, record.session, DIRECTION_OUT, <uint64_t>seq,
                           replica_generation_start(&n.replica, record.session, generation) - 1, record.lsn)


cdef bint refuse_to(node_t* n, uint16_t session, const message_t* message, uint8_t reason, uint64_t id,
                    uint64_t passed_lsn) noexcept nogil:
    cdef const char* text = refusal_text(reason)
    return say_no(n, session, message, reason, <const uint8_t*>text, <uint32_t>strlen(text), id, passed_lsn)


cdef bint refuse_as_logged(node_t* n, uint16_t session, const message_t* message,
                           const record_header_t* record) noexcept nogil:
    """Where the record says what is wrong, in its words."""
    cdef uint32_t length = 0
    cdef const uint8_t* said = refusal_in(record, &length)
    cdef uint8_t text[GATEWAY_SAYS_BYTES + MAX_REJECT_TEXT]
    if length == 0:
        return refuse_to(n, session, message, <uint8_t>record.aux, record.lsn, record.lsn)
    memcpy(text, b"gateway: ", GATEWAY_SAYS_BYTES)
    memcpy(text + GATEWAY_SAYS_BYTES, said, length)
    return say_no(n, session, message, <uint8_t>record.aux, text, GATEWAY_SAYS_BYTES + length, record.lsn, record.lsn)


cdef bint refuse_in_words(node_t* n, uint16_t session, const record_header_t* record, const record_header_t* about,
                          const uint8_t* text, uint32_t length) noexcept nogil:
    """The counterparty's session has rejected (35=3) a message of ours: its client knows that message by its own
    number, so it is told about the order."""
    cdef message_t message
    cdef uint8_t copy[256]
    length = min(length, <uint32_t>sizeof(copy))
    if length:
        memcpy(copy, text, length)
    index_passed(n, about, &message)
    return say_no(n, session, &message, 0, copy, length, record.lsn, record.lsn)


cdef bint say_no(node_t* n, uint16_t session, const message_t* message, uint8_t reason, const uint8_t* text,
                 uint32_t text_length, uint64_t id, uint64_t passed_lsn) noexcept nogil:
    cdef session_t* s = &n.replica.sessions[session]
    cdef uint8_t stamp[TIMESTAMP_BYTES]
    cdef uint32_t stamp_length = write_utc_timestamp(stamp, n.now.wall_ns, s.config.timestamp_digits)
    cdef body_t body
    cdef uint8_t msg_type = bridge_refusal(message, s.config.begin_string, reason, text, text_length, id, stamp,
                                           stamp_length, &body)
    memcpy(n.passed, body.bytes, body.length)
    return number_passed(n, session, &msg_type, 1, body.length, passed_lsn)


cdef bint number_passed(node_t* n, uint16_t session, const uint8_t* msg_type, uint32_t msg_type_length,
                        uint32_t length, uint64_t passed_lsn) noexcept nogil:
    """`passed_lsn` 0: it answers something that no record stands for."""
    cdef session_t* s = &n.replica.sessions[session]
    cdef const record_header_t* out = NULL
    cdef send_status status
    s.passes_on_lsn = passed_lsn
    status = session_send_application(s, msg_type, msg_type_length, n.passed, length, 0, 0,
                                      n.replica.bridges[session].client, 0, &n.now, &out)
    s.passes_on_lsn = 0
    if status == SEND_TOO_LARGE:
        note(n, NOTE_NOT_PASSED_ON, session, 0, passed_lsn, length)
        return 1
    return status == SEND_OK
