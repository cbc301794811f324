# From clients: connections, logins, submissions, checkpoints. Part of node.pyx.


cdef int32_t node_on_client_connected(node_t* n, bint local, const instant_t* now) noexcept nogil:
    cdef int32_t slot
    cdef int32_t taken = -1
    cdef client_t* c
    for slot in range(MAX_CLIENT_CONNECTIONS):
        c = &n.clients[slot]
        if c.phase == CLIENT_FREE:
            taken = slot
            break
        # Connections that say nothing, or do not even read why they are closed, must not keep clients out.
        if (c.phase == CLIENT_CONNECTED or c.closing) and (
                taken < 0 or c.connected_mono_ns < n.clients[taken].connected_mono_ns):
            taken = slot
    if taken >= 0:
        if n.clients[taken].phase != CLIENT_FREE:
            node_on_client_disconnected(n, taken, now)
        client_open(&n.clients[taken], local, now.mono_ns)
        n.connected |= <uint64_t>1 << taken
    return taken


cdef void node_on_client_disconnected(node_t* n, int32_t slot, const instant_t* now) noexcept nogil:
    n.now = now[0]
    if n.clients[slot].phase == CLIENT_FED or n.clients[slot].phase == CLIENT_WAITING:
        note(n, NOTE_CLIENT, 0, 0, n.clients[slot].client, 0)
    n.clients[slot].phase = CLIENT_FREE
    n.connected &= ~(<uint64_t>1 << slot)


cdef size_t node_on_client_bytes(node_t* n, int32_t slot, const uint8_t* data, size_t size,
                                 const instant_t* now) noexcept nogil:
    cdef client_t* c = &n.clients[slot]
    cdef size_t used = 0
    cdef int64_t length
    n.now = now[0]
    while used < size:
        if c.closing:
            return size
        if client_room(c) < ANSWER_ROOM_BYTES:
            return used
        length = frame_available(data + used, size - used)
        if length == 0:
            return used
        if length < 0:
            fail_client(n, c, ERROR_PROTOCOL, "frame length out of bounds")
            return size
        if not take_frame(n, c, data + used, now):
            return used
        used += length
    return used


cdef bint take_frame(node_t* n, client_t* c, const uint8_t* data, const instant_t* now) noexcept nogil:
    """One whole frame. False: it cannot be handled before the client has read more."""
    cdef frame_header_t header
    cdef const uint8_t* body = data + FRAME_HEADER_BYTES
    cdef uint32_t length
    memcpy(&header, data, FRAME_HEADER_BYTES)
    length = header.length - FRAME_HEADER_BYTES
    if header.type == FRAME_LOGIN and c.phase == CLIENT_CONNECTED:
        log_client_in(n, c, body, length)
    elif header.type == FRAME_PING:
        header.type = FRAME_PONG
        client_write(c, &header, NULL, 0, NULL, 0)
    elif c.phase == CLIENT_CONNECTED:
        fail_client(n, c, ERROR_PROTOCOL, "the first frame must be LOGIN")
    elif c.phase == CLIENT_WAITING and header.type == FRAME_POSITIONS:
        if not take_positions(n, c, body, length):
            fail_client(n, c, ERROR_PROTOCOL, "malformed POSITIONS")
    elif c.phase == CLIENT_WAITING or header.type == FRAME_POSITIONS:
        pass       # not primary: the client was told, and will hand everything in again when it is told otherwise
    elif header.type == FRAME_SUBMIT:
        take_submission(n, c, &header, body, length, now)
    elif header.type == FRAME_CHECKPOINT:
        take_checkpoint(n, c, body, length, now)
    elif header.type == FRAME_FETCH:
        return tell_checkpoint(n, c, body, length)
    else:
        fail_client(n, c, ERROR_PROTOCOL, "unexpected frame type")
    return 1


cdef void log_client_in(node_t* n, client_t* c, const uint8_t* body, uint32_t length) noexcept nogil:
    cdef login_body_t login
    cdef int32_t found
    memset(&login, 0, sizeof(login))
    if length >= sizeof(login):
        memcpy(&login, body, sizeof(login))
    if length < sizeof(login) or length != (sizeof(login) + login.name_length + login.token_length
                                            + login.position_count * sizeof(position_t)):
        fail_client(n, c, ERROR_PROTOCOL, "malformed LOGIN")
        return
    if login.version != CLIENT_PROTOCOL_VERSION:
        fail_client(n, c, ERROR_VERSION, "this node speaks client protocol version 1")
        return
    found = find_name(n, body + sizeof(login), login.name_length, login.token_length)
    if found < 0 or n.stopping:
        note(n, NOTE_CLIENT, 0, 2, 0, 0)
        fail_client(n, c, ERROR_LOGIN if found < 0 else ERROR_FENCED,
                    "unknown client or wrong token" if found < 0 else "this node is stopping")
        return
    c.client = <uint32_t>found + 1
    c.unrouted = n.names[found].unrouted
    take_positions(n, c, body + sizeof(login) + login.name_length + login.token_length,
                   login.position_count * sizeof(position_t))
    c.phase = CLIENT_WAITING
    note(n, NOTE_CLIENT, 0, 1, c.client, 0)
    greet(n, c)


cdef bint take_positions(node_t* n, client_t* c, const uint8_t* body, uint32_t length) noexcept nogil:
    cdef position_t position
    cdef uint32_t i
    if length % sizeof(position_t):
        return 0
    for i in range(<uint32_t>(length // sizeof(position_t))):
        memcpy(&position, body + i * sizeof(position), sizeof(position))
        if position.session < n.replica.session_count:
            c.position_known[position.session] = 1
            c.position_seq[position.session] = position.seq
            c.position_generation[position.session] = position.generation
    return 1


cdef int32_t find_name(node_t* n, const uint8_t* credentials, uint32_t name_length,
                       uint32_t token_length) noexcept nogil:
    """Index of the client with this name and token, -1 if none. Takes the same time whatever part of a token is
    right."""
    cdef uint8_t name[CREDENTIAL_BYTES]
    cdef uint8_t token[CREDENTIAL_BYTES]
    cdef uint32_t i
    cdef uint32_t k
    cdef uint32_t name_differs
    cdef uint32_t token_differs
    cdef int32_t found = -1
    if name_length == 0 or name_length >= CREDENTIAL_BYTES or token_length >= CREDENTIAL_BYTES:
        return -1
    memset(name, 0, sizeof(name))
    memset(token, 0, sizeof(token))
    memcpy(name, credentials, name_length)
    memcpy(token, credentials + name_length, token_length)
    for i in range(n.name_count):
        name_differs = 0
        token_differs = 0
        for k in range(CREDENTIAL_BYTES):
            name_differs |= name[k] ^ n.names[i].name[k]
            token_differs |= token[k] ^ n.names[i].token[k]
        if name_differs == 0 and token_differs == 0 and not n.names[i].over_fix:
            found = <int32_t>i
    return found


cdef void greet(node_t* n, client_t* c) noexcept nogil:
    """WELCOME and the feed from the primary, STANDBY from any other node."""
    cdef frame_header_t header
    cdef uint8_t body[WELCOME_BYTES]
    cdef session_body_t described
    cdef uint32_t length = 1
    cdef uint16_t i
    memset(&header, 0, sizeof(header))
    body[0] = n.config.role.node
    if n.sender.epoch == 0 or n.promotion_due:
        header.type = FRAME_STANDBY
        if not client_write(c, &header, body, 1, NULL, 0):
            c.closing = 1       # it reads too slowly to be told: it must not go on as if this node were primary
        return
    for i in range(n.replica.session_count):
        if not n.names[c.client - 1].sessions[i]:
            continue
        memset(&described, 0, sizeof(described))
        described.next_out = n.replica.sessions[i].next_out
        described.next_in = n.replica.sessions[i].next_in
        described.generation = n.replica.sessions[i].generation
        described.session = i
        described.state = <uint8_t>n.replica.sessions[i].state
        described.name_length = <uint8_t>strlen(<const char*>n.session_names[i])
        memcpy(body + length, &described, sizeof(described))
        memcpy(body + length + sizeof(described), n.session_names[i], described.name_length)
        length += sizeof(described) + described.name_length
        header.session += 1
    header.type = FRAME_WELCOME
    header.seq = n.role.epoch
    if not client_write(c, &header, body, length, NULL, 0):
        c.closing = 1
    feed_start(c, &n.replica, n.released_lsn)


cdef void take_submission(node_t* n, client_t* c, frame_header_t* header, const uint8_t* body, uint32_t length,
                          const instant_t* now) noexcept nogil:
    cdef submission_t s
    cdef intake_verdict verdict
    memset(&s, 0, sizeof(s))
    s.client = c.client
    s.session = header.session
    s.again = header.flags & SUBMIT_AGAIN or header.generation != n.role.epoch
    s.reason = REJECT_MALFORMED
    s.fault = FAULT_FRAME
    if length >= 1 and 1 + <uint32_t>body[0] <= length:
        s.fault = FAULT_NONE
        s.msg_type = body + 1
        s.msg_type_length = body[0]
        s.body = body + 1 + body[0]
        s.body_length = length - 1 - body[0]
        s.forbidden = s.session >= MAX_SESSIONS or not n.names[c.client - 1].sessions[s.session]
        verdict = intake_submit(&n.intake, &s, now)
        if verdict == INTAKE_NUMBERED:
            stages_journalled(&n.stages, n.journal.last_lsn, s.session,
                              time_queued(header.seq, now) if c.local else NEVER)
    else:
        verdict = INTAKE_REFUSED_UNLOGGED
    answer_submission(n, c, &s, verdict)


cdef uint64_t time_queued(uint64_t handed_in_ns, const instant_t* now) noexcept nogil:
    """Since CLOCK_MONOTONIC was `handed_in_ns`; NEVER: unknown, or by the clock of another host that a proxy hides."""
    if handed_in_ns == 0 or handed_in_ns > now.mono_ns + CLOCK_READ_LATE_NS:
        return NEVER
    if handed_in_ns >= now.mono_ns:
        return 0                     # while the node, which had read the clock already, read what there was
    return now.mono_ns - handed_in_ns if now.mono_ns - handed_in_ns < QUEUED_AT_MOST_NS else NEVER


cdef void answer_submission(node_t* n, client_t* c, submission_t* s, intake_verdict verdict) noexcept nogil:
    """What the feed does not tell by itself. client_room was checked before the frame was taken."""
    cdef frame_header_t header
    cdef uint8_t length = <uint8_t>min(s.clordid_length, 255)
    cdef uint8_t named[1 + 255]
    cdef uint8_t text[MAX_REJECT_TEXT]
    memset(&header, 0, sizeof(header))
    header.session = s.session
    if verdict == INTAKE_COME_AGAIN:
        fail_client(n, c, ERROR_TOO_SLOW, "an order in doubt cannot be taken now: connect again later")
    elif verdict == INTAKE_REFUSED_UNLOGGED or (verdict == INTAKE_REPEATED and s.order_state == ORDER_REFUSED
                                                and s.order_lsn <= n.released_lsn):
        header.type = FRAME_REJECTED
        header.flags = s.reason
        named[0] = length
        if length:
            memcpy(named + 1, s.clordid, length)
        client_write(c, &header, named, 1 + length, text, text_of_refusal(n, s, verdict, text))
    elif verdict == INTAKE_HELD:
        header.type = FRAME_HELD
        client_write(c, &header, s.clordid, length, NULL, 0)
    elif verdict == INTAKE_REPEATED and s.order_lsn <= n.released_lsn:     # else the feed will tell ACCEPTED
        header.type = FRAME_ORDER_STATE
        header.flags = s.order_state
        header.seq = s.order_seq
        header.generation = s.order_generation
        header.aux = s.reason
        client_write(c, &header, s.clordid, length, NULL, 0)


cdef uint32_t text_of_refusal(const node_t* n, const submission_t* s, intake_verdict verdict,
                              uint8_t* text) noexcept nogil:
    """Of one that is not in the log, or of the earlier one that is."""
    cdef const record_header_t* record
    cdef const uint8_t* said
    cdef uint32_t length = 0
    if verdict != INTAKE_REPEATED:
        return intake_fault_text(s, text) if s.reason == REJECT_MALFORMED else 0
    record = journal_at(n.journal, s.order_lsn)
    said = refusal_in(record, &length) if record is not NULL else NULL
    if length:
        memcpy(text, said, length)
    return length


cdef const uint8_t* refusal_in(const record_header_t* record, uint32_t* length) noexcept nogil:
    """The text in a REJECTED record."""
    cdef const uint8_t* payload = record_payload(record)
    cdef uint32_t start = 2 + (<const uint16_t*>payload)[0]
    length[0] = min(record_payload_length(record) - start, <uint32_t>MAX_REJECT_TEXT)
    return payload + start


cdef void take_checkpoint(node_t* n, client_t* c, const uint8_t* body, uint32_t length,
                          const instant_t* now) noexcept nogil:
    cdef uint32_t key_length = (<uint32_t>body[0] | <uint32_t>body[1] << 8) if length >= 2 else 0
    replica_catch_up(&n.replica)      # or many new keys at once would not be counted
    if key_length == 0 or key_length + 2 > length:
        fail_client(n, c, ERROR_PROTOCOL, "malformed CHECKPOINT")
    elif (replica_checkpoint(&n.replica, c.client, body + 2, key_length) is NULL
            and replica_checkpoints_full(&n.replica)):
        fail_client(n, c, ERROR_PROTOCOL, "too many checkpoint keys in this pair: use fewer")
    elif not append_plain(n, RECORD_CHECKPOINT, 0, c.client, 0, body, length, now):
        fail_client(n, c, ERROR_TOO_SLOW, "the journal has no space now: connect again later")


cdef bint tell_checkpoint(node_t* n, client_t* c, const uint8_t* key, uint32_t length) noexcept nogil:
    cdef frame_header_t header
    cdef const record_header_t* record
    cdef uint16_t key_length = <uint16_t>length
    memset(&header, 0, sizeof(header))
    header.type = FRAME_CHECKPOINT_VALUE
    replica_catch_up(&n.replica)
    record = replica_checkpoint(&n.replica, c.client, key, length) if length else NULL
    if record is not NULL:
        return client_write(c, &header, record_payload(record), record_payload_length(record), NULL, 0)
    header.flags = 1
    return client_write(c, &header, &key_length, 2, key, length)


cdef void fail_client(node_t* n, client_t* c, uint8_t code, const char* text) noexcept nogil:
    cdef frame_header_t header
    memset(&header, 0, sizeof(header))
    header.type = FRAME_ERROR
    header.flags = code
    client_write(c, &header, text, <uint32_t>strlen(text), NULL, 0)
    c.closing = 1
