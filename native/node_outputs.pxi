# What the owner takes out: bytes, connections, datagrams, deadlines. Part of node.pyx.


cdef size_t node_session_tx_gather(node_t* n, uint16_t session, uint8_t* place, size_t capacity,
                                   const uint8_t** data) noexcept nogil:
    cdef uint64_t limit = NEVER
    if n.sender.epoch == 0 or session_tx_empty(&n.replica.sessions[session]):
        node_session_rests(n, session)
        return 0
    if (n.links[session].sync or role_may_have_handed_over(&n.role)
            or n.replica.sessions[session].gap_fill_lsn > n.released_lsn):
        limit = n.released_lsn
    return session_tx_gather(&n.replica.sessions[session], limit, place, capacity, data)


cdef void node_session_tx_consume(node_t* n, uint16_t session, size_t size, const instant_t* now) noexcept nogil:
    n.now = now[0]
    touch(n, session)
    session_tx_consume(&n.replica.sessions[session], size, now)


cdef void node_session_sent(node_t* n, uint16_t session) noexcept nogil:
    stages_sent(&n.stages, session, session_sent_lsn(&n.replica.sessions[session]))


cdef void node_datagrams_sent(node_t* n) noexcept nogil:
    cdef const receiver_view_t* view = &n.sender.views[n.config.role.peer]
    if n.sender.epoch != 0 and view.joined:
        stages_replicated(&n.stages, view.next_lsn - 1)


cdef void node_client_written(node_t* n, int32_t slot) noexcept nogil:
    stages_delivered(&n.stages, n.clients[slot].client, n.clients[slot].in_lsn)


cdef bint node_session_closing(node_t* n, uint16_t session) noexcept nogil:
    # Until its Logon is filled, what the session says is of an earlier connection.
    return n.links[session].phase == LINK_UP and session_closing(&n.replica.sessions[session])


cdef bint node_take_connect(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    if (link.accepting or link.endpoints == 0 or now.mono_ns < link.next_connect_mono_ns
            or not may_connect(n, session, now)):
        return 0
    n.now = now[0]
    touch(n, session)
    reset_when_wanted(n, session, now)
    if link.reset_wanted:
        return 0                # the journal has no space for it now
    link.phase = LINK_CONNECTING
    link.attempts += 1
    note(n, NOTE_CONNECTING, session, link.endpoint, link.attempts, 0)
    return 1


cdef uint32_t node_datagrams_per_turn(const node_t* n) noexcept nogil:
    """While nobody waits for the standby, what it has missed is sent in pieces that hold up no order."""
    cdef const receiver_view_t* view = &n.sender.views[n.config.role.peer]
    if view.joined and not n.intake.gated and n.journal.last_lsn > view.received_lsn + CATCH_UP_RECORDS:
        return CATCH_UP_DATAGRAMS
    return DATAGRAMS_PER_TURN


cdef size_t node_poll_datagram(node_t* n, const instant_t* now, uint8_t* buffer, uint8_t* to_node) noexcept nogil:
    cdef size_t size
    cdef uint8_t peer = n.config.role.peer
    if n.unfit:
        return 0                  # silent, so that the primary goes on alone
    n.channel.role = <uint8_t>n.role.state
    n.channel.flags = DATAGRAM_LOG_IN_DOUBT if role_log_in_doubt(&n.role) else 0
    if n.sender.epoch != 0:
        size = sender_poll(&n.sender, now, buffer, to_node)
        if size:
            return size
    to_node[0] = peer
    if n.receiver.state != RECEIVER_IDLE:
        size = receiver_poll(&n.receiver, now, buffer)
        if size:
            to_node[0] = n.receiver.primary
            return size
    if n.hello_due:
        n.hello_due = 0
        n.next_hello_mono_ns = now.mono_ns + HELLO_INTERVAL_NS
        return channel_seal_hello(&n.channel, fill_header(n, buffer, DATAGRAM_HELLO), peer, n.hello_to, now.wall_ns)
    if n.channel.peer_incarnation[peer] == 0:
        return 0
    if n.handover_due:
        n.handover_due = 0
        return channel_seal(&n.channel, fill_header(n, buffer, DATAGRAM_HANDOVER), peer, 0, now.wall_ns)
    if n.heartbeat_due:
        n.heartbeat_due = 0
        return channel_seal(&n.channel, fill_header(n, buffer, DATAGRAM_HEARTBEAT), peer, 0, now.wall_ns)
    return 0


cdef bint node_take_register_request(node_t* n, register_request_t* request) noexcept nogil:
    return not n.unfit and role_take_request(&n.role, request)


cdef uint64_t node_deadline(node_t* n) noexcept nogil:
    cdef uint64_t due = min(n.next_heartbeat_mono_ns, role_deadline(&n.role))
    cdef uint16_t i = 0
    if n.sender.epoch != 0:
        due = min(due, sender_deadline(&n.sender))
        # A timer of the others can only have moved back since they were looked at; when it fires all are looked at.
        i = node_next_session(n.touched, 0)
        while i < n.replica.session_count:
            n.sessions_due_mono_ns = min(n.sessions_due_mono_ns, due_of_session(n, i))
            i = node_next_session(n.touched, i + 1)
        due = min(due, n.sessions_due_mono_ns)
    if n.receiver.state != RECEIVER_IDLE:
        due = min(due, receiver_deadline(&n.receiver))
    if n.flush_first_lsn != 0 or (n.config.flush_before_release and n.journal.flushed_lsn < n.journal.last_lsn):
        due = min(due, n.now.mono_ns + FLUSH_POLL_NS)
    return due


cdef uint64_t due_of_session(const node_t* n, uint16_t i) noexcept nogil:
    cdef const link_t* link = &n.links[i]
    cdef uint64_t due = session_deadline(&n.replica.sessions[i])
    if link.phase == LINK_FILLING:
        due = min(due, link.fill_until_mono_ns)
    if (link.phase == LINK_IDLE and not link.accepting and link.enabled and not link.closed
            and n.replica.sessions[i].state != SESSION_STOPPED and not outdated(n, i)):
        due = min(due, max(link.next_connect_mono_ns, starts_over_mono_ns(n, i)))
    return due


cdef uint64_t starts_over_mono_ns(const node_t* n, uint16_t session) noexcept nogil:
    cdef uint64_t at = n.links[session].starts_over_ns
    return n.now.mono_ns + (at - n.now.wall_ns) if n.now.wall_ns < at else 0
