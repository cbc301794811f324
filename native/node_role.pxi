# What a change of role does to sessions and clients. Part of node.pyx.


cdef void follow_role(node_t* n, const instant_t* now) noexcept nogil:
    """Makes the node what the role machine says it is."""
    if n.role.transitions == n.seen_transitions and not n.promotion_due:
        return
    if n.role.transitions != n.seen_transitions:
        note(n, NOTE_ROLE, 0, n.role.state, n.role.epoch, (<uint64_t>n.role.release << 8) | n.role.cause)
    if n.role.handovers_given_up != n.seen_handovers_given_up:
        n.seen_handovers_given_up = n.role.handovers_given_up
        note(n, NOTE_SWITCHOVER_GIVEN_UP, 0, role_may_have_handed_over(&n.role), n.role.epoch, 0)
    n.seen_transitions = n.role.transitions
    if n.role.state == ROLE_PRIMARY:
        if n.sender.epoch != n.role.epoch:
            promote(n, now)
    elif n.sender.epoch != 0 or n.promotion_due:
        demote(n, now)
    if n.role.state == ROLE_STANDBY:
        if (n.receiver.state == RECEIVER_IDLE or n.receiver.epoch != n.role.epoch
                or n.receiver.primary != n.role.primary):
            receiver_follow(&n.receiver, n.role.primary, n.role.epoch, now)
            n.truncation_due = 0
    elif n.receiver.state != RECEIVER_IDLE:
        receiver_stop(&n.receiver)
        n.truncation_due = 0
    touch_all(n)
    n.intake.open = n.role.state == ROLE_PRIMARY and n.role.intake and not n.stopping and not n.promotion_due


cdef void promote(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint16_t i
    cdef int slot
    cdef uint64_t inherited = n.journal.last_lsn
    cdef bint early[ROSTER_SESSIONS]
    cdef uint32_t unknown_epochs = n.role.epoch - n.journal.last_epoch
    receiver_stop(&n.receiver)
    n.truncation_due = 0
    if not n.promotion_due:
        note_at(n, NOTE_SUSPECTED, n.role.detected_mono_ns)
        note_at(n, NOTE_REGISTER_WON, n.role.won_mono_ns)
    n.promotion_due = 1
    replica_catch_up(&n.replica)
    n.intake.epoch = n.role.epoch
    memcpy(early, n.replica.roster.early, sizeof(early))
    if not append_epoch(n, now):
        note(n, NOTE_JOURNAL_FULL, 0, 0, n.journal.last_lsn, 0)
        return                                # tried again at each advance
    n.promotion_due = 0
    n.promoted_wall_ns = now.wall_ns
    # Everything inherited is this node's truth now; what must still wait for an acknowledgement is new.
    n.released_lsn = min(inherited, n.journal.flushed_lsn) if n.config.flush_before_release else inherited
    sender_start(&n.sender, n.role.epoch)
    n.flush_first_lsn = 0
    n.skips_due = 0
    for i in range(n.replica.session_count):
        start_session(n, i, not n.links[i].sync or early[i], unknown_epochs, now)
    skip_when_due(n, now)
    note(n, NOTE_PROMOTED, 0, 0, inherited + 1, n.role.epoch)
    n.first_order_noted = 0
    n.accepted_at_promotion = n.intake.accepted
    stages_restart(&n.stages, n.journal.last_lsn)
    move_release(n, &n.sender.views[n.config.role.peer])
    for slot in range(MAX_CLIENT_CONNECTIONS):
        if n.clients[slot].phase == CLIENT_WAITING:
            greet(n, &n.clients[slot])


cdef void start_session(node_t* n, uint16_t i, bint early, uint32_t unknown_epochs,
                        const instant_t* now) noexcept nogil:
    """`early`: an earlier primary may have released what it had not replicated, whatever the configuration says now."""
    cdef link_t* link = &n.links[i]
    cdef session_t* s = &n.replica.sessions[i]
    cdef uint64_t first
    s.epoch = n.role.epoch
    # The counterparty has seen the connection end: what it has not got it will not ask for under the old numbers, and
    # what it has got it would take for something new.
    if session_starts_over(s):
        link.reset_wanted = session_reset(s, now) != 0
    first = s.next_out
    link.skip_to = 0
    link.skip_span = 0
    bridge_promote(&n.replica.bridges[i])
    n.intake.sessions[i].lossy = n.replica.skipped[i] or (early and n.role.epoch > 1)
    # What an async primary released may be missing here: no number of that window may be used for something else.
    # Of a suspect log even number 1: it may have lost all.
    if (link.skip_ahead and n.role.cause != CAUSE_SWITCHOVER
            and (n.role.skip_ahead or (early and (first > 1 or n.role.epoch > 1)))):
        # A primary of an epoch between, of which nothing is here, has skipped ahead too.
        link.skip_span = <uint64_t>link.skip_ahead * unknown_epochs
        link.skip_to = first + link.skip_span
        link.skip_generation = s.generation
        n.intake.sessions[i].lossy = 1
        n.skips_due += 1
    link.next_connect_mono_ns = now.mono_ns
    link.backoff_ns = link.min_backoff_ns
    if not link.round_robin:
        link.endpoint = 0
    link.enabled = not n.stopping


cdef void skip_when_due(node_t* n, const instant_t* now) noexcept nogil:
    """No connection is made under the old numbers: what has no space in the journal now waits until there is some."""
    cdef uint16_t i
    cdef link_t* link
    cdef session_t* s
    cdef uint64_t first
    cdef uint64_t before = n.flush_first_lsn
    if n.skips_due == 0 or n.sender.epoch == 0:
        return
    for i in range(n.replica.session_count):
        link = &n.links[i]
        s = &n.replica.sessions[i]
        if link.skip_to == 0:
            continue
        first = s.next_out
        if s.generation == link.skip_generation and link.skip_to > first:
            if session_set_seq(s, link.skip_to, s.next_in, now) != 0:
                continue
            note(n, NOTE_SKIPPED_AHEAD, i, 0, first, s.next_out)
            n.flush_first_lsn = n.journal.last_lsn
        link.skip_to = 0
        n.skips_due -= 1
    touch_all(n)
    if n.flush_first_lsn != before:
        note(n, NOTE_FLUSH_WANTED, 0, 0, n.flush_first_lsn, 0)


cdef void demote(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint16_t i
    cdef int slot
    sender_stop(&n.sender)
    n.promotion_due = 0
    for i in range(n.replica.session_count):
        session_drop(&n.replica.sessions[i], now)
        # It may have been stopped for numbers that the new primary used: what is wrong still shows at the next Logon.
        session_resume(&n.replica.sessions[i])
        n.links[i].reset = n.links[i].phase != LINK_IDLE
        n.links[i].reset_wanted = 0      # if it is primary again one day, that day has changed long since
    intake_forget_held(&n.intake)
    n.feeds_behind = 0                   # nobody is fed any more: the owner may wait again
    replica_catch_up(&n.replica)
    for slot in range(MAX_CLIENT_CONNECTIONS):
        if n.clients[slot].phase == CLIENT_FED:
            n.clients[slot].phase = CLIENT_WAITING
            greet(n, &n.clients[slot])
