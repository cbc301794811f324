# From the pair: datagrams, tripwire, register, commands about the role. Part of node.pyx.


cdef void node_on_datagram(node_t* n, const uint8_t* data, size_t size, const instant_t* now) noexcept nogil:
    cdef const datagram_header_t* header = NULL
    cdef uint8_t peer = n.config.role.peer
    cdef uint64_t known = n.channel.peer_incarnation[peer]
    cdef open_status status
    if n.unfit:
        return
    n.now = now[0]
    status = channel_open(&n.channel, data, size, &header)
    if status != OPEN_OK:
        note_drop(n, status)
        return
    if header.kind == DATAGRAM_HELLO:
        if header.from_node == peer:
            answer_hello(n, header, now)
        if header.to_incarnation != n.channel.incarnation:
            return                     # says nothing that is known to be fresh
    if header.from_node == peer:
        if n.channel.peer_incarnation[peer] != known:
            meet_new_life(n, now)
        role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
        role_on_peer(&n.role, header.role, header.epoch, header.last_epoch, header.last_lsn,
                     header.flags & DATAGRAM_LOG_IN_DOUBT, now)
        if header.kind == DATAGRAM_HANDOVER:
            role_on_handover(&n.role, header.epoch, now)
        follow_role(n, now)
    if header.kind == DATAGRAM_ACK or header.kind == DATAGRAM_JOIN:
        if n.sender.epoch != 0:
            sender_on_datagram(&n.sender, header, now)
    elif n.receiver.state != RECEIVER_IDLE:
        take_from_primary(n, header, now)
        if role_log_in_doubt(&n.role) and holds_what_is_released(n, header):
            role_on_whole_log(&n.role, now)
            n.receiver.ack_due = 1         # the primary waits for the word to declare this node in sync
            follow_role(n, now)


cdef bint holds_what_is_released(const node_t* n, const datagram_header_t* header) noexcept nogil:
    """Heartbeats say what the primary has released; data, where its log ends, and it has released no more than that."""
    if (header.role != ROLE_PRIMARY or header.from_node != n.receiver.primary or n.receiver.state != RECEIVER_FOLLOWING
            or n.receiver.epoch != header.epoch or n.journal.last_epoch != header.epoch):
        return 0
    if header.kind == DATAGRAM_HEARTBEAT:
        return header.released_lsn <= n.journal.last_lsn
    return header.kind == DATAGRAM_DATA and header.last_lsn <= n.journal.last_lsn


cdef void meet_new_life(node_t* n, const instant_t* now) noexcept nogil:
    """Another life of the peer: what the former one acknowledged says nothing of this one."""
    cdef uint8_t peer = n.config.role.peer
    n.sender.views[peer].joined = 0
    role_on_standby(&n.role, 0, 0, now)
    note(n, NOTE_PEER, 0, 1, n.channel.peer_incarnation[peer], 0)


cdef void take_from_primary(node_t* n, const datagram_header_t* header, const instant_t* now) noexcept nogil:
    cdef int before = n.receiver.state
    receiver_on_datagram(&n.receiver, header, now, record_arrived, n)
    if stand_still_if_unfit(n):
        return
    if n.receiver.state == RECEIVER_DIVERGED:
        n.truncation_due = 1
    elif n.receiver.state == RECEIVER_FOLLOWING and before != RECEIVER_FOLLOWING:
        note(n, NOTE_FOLLOWING, 0, 0, n.journal.last_lsn, n.receiver.epoch)


cdef void record_arrived(void* context, const record_header_t* record) noexcept nogil:
    replica_receive(&(<node_t*>context).replica, record)


cdef bint stand_still_if_unfit(node_t* n) noexcept nogil:
    """A log of other sessions or clients: whatever this node did with it would be done to the wrong one."""
    if n.replica.roster.fit == ROSTER_FITS:
        return 0
    if not n.unfit:
        n.unfit = 1
        receiver_stop(&n.receiver)
        n.truncation_due = 0
        note(n, NOTE_UNFIT, 0, n.replica.roster.fit, n.replica.roster.index, 0)
    return 1


cdef void node_truncated(node_t* n, const instant_t* now) noexcept nogil:
    n.now = now[0]
    n.truncation_due = 0
    replica_rebuild(&n.replica)
    receiver_truncated(&n.receiver, now)
    note(n, NOTE_FOLLOWING, 0, 0, n.journal.last_lsn, n.receiver.epoch)


cdef void node_on_tripwire(node_t* n, bint connected, const instant_t* now) noexcept nogil:
    n.now = now[0]
    if n.unfit:
        return
    note(n, NOTE_TRIPWIRE, 0, connected, 0, 0)
    role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
    role_on_tripwire(&n.role, connected, now)
    follow_role(n, now)


cdef void node_on_register(node_t* n, uint64_t request_id, register_outcome outcome, const register_value_t* value,
                           const instant_t* now) noexcept nogil:
    n.now = now[0]
    if n.unfit:
        return
    note_register(n, outcome, value.version,
                  (<uint64_t>value.epoch << 32) | (<uint64_t>value.primary << 8) | value.in_sync)
    role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
    role_on_register(&n.role, request_id, outcome, value, now)
    follow_role(n, now)


cdef command_status node_on_command(node_t* n, role_command command, const instant_t* now) noexcept nogil:
    cdef command_status status
    n.now = now[0]
    if n.unfit:
        return COMMAND_NOT_STANDBY
    role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
    status = role_on_command(&n.role, command, now)
    follow_role(n, now)
    return status


cdef size_t node_seal_greeting(node_t* n, uint8_t* buffer, const instant_t* now) noexcept nogil:
    return channel_seal_hello(&n.channel, fill_header(n, buffer, DATAGRAM_HELLO), n.config.role.peer,
                              n.channel.peer_incarnation[n.config.role.peer], now.wall_ns)


cdef bint node_greeting_is_fresh(node_t* n, const uint8_t* data, size_t size, const instant_t* now) noexcept nogil:
    cdef const datagram_header_t* header = NULL
    cdef uint8_t peer = n.config.role.peer
    cdef uint64_t known = n.channel.peer_incarnation[peer]
    if (channel_open(&n.channel, data, size, &header) != OPEN_OK or header.kind != DATAGRAM_HELLO
            or header.from_node != peer or header.to_incarnation != n.channel.incarnation):
        return 0
    n.now = now[0]
    if n.channel.peer_incarnation[peer] != known:      # the greeting may be the first that is heard of it
        meet_new_life(n, now)
        follow_role(n, now)
    return 1
