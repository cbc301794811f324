# From counterparties: connections, bytes, commands about a session, its schedule. Part of node.pyx.


cdef void node_on_session_connected(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    n.now = now[0]
    touch(n, session)
    link.phase = LINK_UP
    link.was_ready = 0
    link.resent = 0
    link.gap_filled = 0
    link.asked_lsn = 0
    note(n, NOTE_CONNECTED, session, link.endpoint, 0, 0)
    if not may_log_on(n, session):
        link.reset = 1
        return
    if link.fills_logon:
        link.phase = LINK_FILLING
        link.fill_wall_ns = now.wall_ns
        link.fill_until_mono_ns = now.mono_ns + FILL_TIMEOUT_NS
        note(n, NOTE_FILL_LOGON, session, link.attempts, session_logon_seq(&n.replica.sessions[session]), now.wall_ns)
        return
    session_on_connected(&n.replica.sessions[session], now)


cdef inline bint may_log_on(const node_t* n, uint16_t session) noexcept nogil:
    """False: while it was connecting, or its Logon was filled, it was fenced, logged out, its window ended, or a day
    change came: no Logon under the old numbers."""
    cdef const link_t* link = &n.links[session]
    return (n.sender.epoch != 0 and link.enabled and not link.closed and not link.reset_wanted
            and not outdated(n, session))


cdef void node_fill_logon(node_t* n, uint16_t session, uint32_t attempt, const uint8_t* fields, uint32_t length,
                          const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    cdef instant_t then = now[0]
    if link.phase != LINK_FILLING or link.attempts != attempt or link.reset:
        return
    n.now = now[0]
    touch(n, session)
    if fields is NULL or length > MAX_FILL_BYTES or not may_log_on(n, session):
        link.reset = 1
        return
    link.phase = LINK_UP
    memcpy(link.fill, fields, length)
    link.fill_length = length
    then.wall_ns = link.fill_wall_ns     # it is signed too
    session_on_connected(&n.replica.sessions[session], &then)
    memset(link.fill, 0, MAX_FILL_BYTES)
    link.fill_length = 0


cdef int fields_from_control(void* context, session_t* session, uint64_t seq, const uint8_t* sending_time,
                             uint32_t sending_time_length, uint8_t* place, uint32_t capacity) noexcept nogil:
    """Of a Logon in mid-session there are none: that connection has been signed for."""
    cdef const link_t* link = &(<node_t*>context).links[session.config.index]
    if link.fill_length > capacity:
        return -1
    memcpy(place, link.fill, link.fill_length)
    return <int>link.fill_length


cdef bint node_take_accept(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    cdef bint welcome = link.accepting and may_connect(n, session, now)
    n.now = now[0]
    touch(n, session)
    if welcome:
        reset_when_wanted(n, session, now)
        welcome = not link.reset_wanted      # the journal has no space for it now
    if not welcome:
        note(n, NOTE_TURNED_AWAY, session, 0, 0, 0)
        return 0
    link.attempts += 1
    return 1


cdef bint may_connect(const node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef const link_t* link = &n.links[session]
    return (n.sender.epoch != 0 and link.phase == LINK_IDLE and link.enabled and n.flush_first_lsn == 0
            and link.skip_to == 0 and n.replica.sessions[session].state != SESSION_STOPPED and not link.closed
            and not outdated(n, session)
            and now.wall_ns >= link.starts_over_ns)      # or what is used now would be of the earlier window


cdef void node_on_session_disconnected(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    cdef session_t* s = &n.replica.sessions[session]
    n.now = now[0]
    touch(n, session)
    if link.phase == LINK_UP:
        note(n, NOTE_DISCONNECTED, session, link.endpoint, 0, 0)
        if n.sender.epoch != 0:          # else it was dropped, or never used: a reset is the new primary's to make
            session_on_disconnected(s, now)
    elif link.accepting:
        note(n, NOTE_TURNED_AWAY, session, 0, 0, 0)      # welcome, but it could not be taken
    link.phase = LINK_IDLE
    link.reset = 0
    if link.was_ready:
        link.backoff_ns = link.min_backoff_ns
    if link.was_ready and not link.round_robin:
        link.endpoint = 0
    elif link.endpoints:
        link.endpoint = (link.endpoint + 1) % link.endpoints
    link.was_ready = 0
    link.next_connect_mono_ns = now.mono_ns + link.backoff_ns - jitter(n, session)
    link.backoff_ns = min(link.backoff_ns * 2, link.max_backoff_ns)
    reset_when_wanted(n, session, now)
    start_over_when_due(n, session, now)


cdef uint64_t jitter(const node_t* n, uint16_t session) noexcept nogil:
    """Many sessions that were lost together come back one by one. No random number: a run of the simulator must be the
    same each time."""
    cdef const link_t* link = &n.links[session]
    cdef uint64_t key[3]
    key[0] = n.config.incarnation
    key[1] = session
    key[2] = link.attempts
    return link.backoff_ns // 1000 * (crc32c(0, <const uint8_t*>key, sizeof(key)) % (link.jitter_permille + 1))


cdef size_t node_on_session_bytes(node_t* n, uint16_t session, const uint8_t* data, size_t size,
                                  const instant_t* now) noexcept nogil:
    cdef size_t used
    n.now = now[0]
    touch(n, session)
    if n.links[session].phase != LINK_UP:
        return 0                     # it has spoken before our Logon went out
    replica_catch_up(&n.replica)     # an answer finds its order
    used = session_on_bytes(&n.replica.sessions[session], data, size, now)
    if n.replica.bridges[session].client != 0:
        pass_orders_on(n, session, now)
    return used


cdef bint order_withheld(void* context, const record_header_t* record) noexcept nogil:
    """It has never reached the counterparty, and its client was stopped since. A cancel (35=F, q) may always
    go."""
    return (risk_stops(&(<node_t*>context).replica.risk, record.client)
            and not session_is_of_type(record, c'F') and not session_is_of_type(record, c'q'))


cdef int node_on_session_command(node_t* n, uint16_t session, session_command command, uint64_t next_out,
                                 uint64_t next_in, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    cdef session_t* s
    cdef uint8_t not_there
    n.now = now[0]
    if session >= n.replica.session_count:
        return -1
    touch(n, session)
    if command >= SESSION_COMMAND_OPEN:
        take_schedule(n, session, command, next_out, now)
        return 0
    if n.sender.epoch == 0:
        return -1
    s = &n.replica.sessions[session]
    if command == SESSION_COMMAND_LOGOUT:
        link.enabled = 0
        session_logout(s, "logout by operator", now)
    elif command == SESSION_COMMAND_RESUME:
        link.enabled = 1
        link.closed = 0
        link.next_connect_mono_ns = now.mono_ns
        session_resume(s)
    elif command == SESSION_COMMAND_RESET:
        link.reset_wanted = 1
        if link.phase == LINK_UP:
            session_logout(s, "end of day", now)
        reset_when_wanted(n, session, now)
    elif command == SESSION_COMMAND_SEND_DOUBTED or command == SESSION_COMMAND_GIVE_UP_DOUBTED:
        not_there = command == SESSION_COMMAND_SEND_DOUBTED
        return 0 if append_plain(n, RECORD_STATE, session, 0, STATE_DOUBTS, &not_there, 1, now) else -6
    elif link.phase != LINK_IDLE or session_set_seq(s, next_out, next_in, now) != 0:
        return -2
    return 0


cdef void take_schedule(node_t* n, uint16_t session, session_command command, uint64_t starts_over_ns,
                        const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    cdef session_t* s = &n.replica.sessions[session]
    if command == SESSION_COMMAND_START_OVER:
        link.starts_over_ns = starts_over_ns
        start_over_when_due(n, session, now)
    elif command == SESSION_COMMAND_CLOSE:
        link.closed = 1
        if n.sender.epoch != 0 and link.phase == LINK_UP:
            session_logout(s, "end of session", now)
    else:
        link.closed = 0
        link.enabled = not n.stopping
        link.next_connect_mono_ns = now.mono_ns
        link.backoff_ns = link.min_backoff_ns
        if n.sender.epoch != 0:
            session_resume(s)


cdef inline bint outdated(const node_t* n, uint16_t session) noexcept nogil:
    """Its numbers are of an earlier window: nothing goes out under them. The log alone decides, so that a start-over is
    made up for by a node that was down, and made by one node only."""
    cdef uint64_t since = n.replica.sessions[session].used_since_ns
    return since != 0 and since < n.links[session].starts_over_ns


cdef void start_over_when_due(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    if n.sender.epoch == 0 or not outdated(n, session) or now.wall_ns < link.starts_over_ns:
        return
    if link.phase == LINK_UP:
        session_logout(&n.replica.sessions[session], "session starts over", now)
    elif link.phase == LINK_IDLE and session_reset(&n.replica.sessions[session], now) == 0:
        link.next_connect_mono_ns = now.mono_ns
        link.backoff_ns = link.min_backoff_ns
        if link.skip_span and link.starts_over_ns <= n.promoted_wall_ns:
            # An earlier primary may have started over already, and used numbers behind it, without our log knowing.
            n.skips_due += link.skip_to == 0
            link.skip_to = 1 + link.skip_span
            link.skip_generation = n.replica.sessions[session].generation
        link.skip_span = 0


cdef void reset_when_wanted(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    if not link.reset_wanted or link.phase != LINK_IDLE or n.sender.epoch == 0:
        return
    if session_reset(&n.replica.sessions[session], now) == 0:
        link.reset_wanted = 0
        link.next_connect_mono_ns = now.mono_ns
        link.backoff_ns = link.min_backoff_ns


cdef int node_set_kill(node_t* n, uint32_t client, bint killed, const instant_t* now) noexcept nogil:
    cdef uint8_t set_to = killed
    n.now = now[0]
    if n.sender.epoch == 0:
        return -1
    return 0 if append_plain(n, RECORD_STATE, 0, client, STATE_KILL, &set_to, 1, now) else -1
