# Time, release, and what follows a batch of inputs: settling, reconciliation, the stop. Part of node.pyx.


cdef void node_on_timer(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint64_t slots = n.connected
    cdef client_t* c
    n.now = now[0]
    if n.unfit:
        n.next_heartbeat_mono_ns = now.mono_ns + n.config.heartbeat_interval_ns
        return
    role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
    role_on_timer(&n.role, now)
    follow_role(n, now)
    if now.mono_ns >= n.next_heartbeat_mono_ns:
        n.heartbeat_due = 1
        n.next_heartbeat_mono_ns = now.mono_ns + n.config.heartbeat_interval_ns
        n.handover_due = n.sender.epoch == 0 and n.role.state == ROLE_STANDBY and n.role.cause == CAUSE_SWITCHOVER
    if n.channel.peer_incarnation[n.config.role.peer] == 0 or not n.role.peer.alive:
        if now.mono_ns >= n.next_hello_mono_ns:
            n.hello_due = 1
    if now.mono_ns >= min(n.sessions_due_mono_ns, n.next_look_mono_ns):
        see_to_sessions(n, now)
    while slots:
        c = &n.clients[lowest_bit(slots)]
        slots &= slots - 1
        if (c.phase == CLIENT_CONNECTED and not c.closing
                and now.mono_ns - c.connected_mono_ns >= n.config.login_timeout_ns):
            fail_client(n, c, ERROR_PROTOCOL, "no LOGIN in time")


cdef void see_to_sessions(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint16_t i
    n.next_look_mono_ns = now.mono_ns + LOOK_EVERY_NS
    if n.sender.epoch != 0:
        for i in range(n.replica.session_count):
            session_on_timer(&n.replica.sessions[i], now)
            start_over_when_due(n, i, now)
            if n.links[i].phase == LINK_FILLING and now.mono_ns >= n.links[i].fill_until_mono_ns:
                n.links[i].reset = 1
    touch_all(n)


cdef void node_stop(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint16_t i
    n.now = now[0]
    n.stopping = 1
    n.intake.open = 0
    for i in range(n.replica.session_count):
        n.links[i].enabled = 0
        if n.sender.epoch != 0 and n.links[i].phase == LINK_UP:
            session_logout(&n.replica.sessions[i], "gateway stops", now)
    touch_all(n)


cdef bint node_stopped(const node_t* n) noexcept nogil:
    cdef uint16_t i
    for i in range(n.replica.session_count):
        if n.links[i].phase != LINK_IDLE:
            return 0
    return 1


# --- progress ---------------------------------------------------------------------------------------------------------

cdef void node_advance(node_t* n, const instant_t* now) noexcept nogil:
    cdef receiver_view_t* view = &n.sender.views[n.config.role.peer]
    n.now = now[0]
    if n.unfit:
        return
    if n.role.state == ROLE_PRIMARY and n.sender.epoch != 0:
        role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
        role_on_standby(&n.role, view.joined,
                        view.flushed_lsn if n.config.flush_before_release else view.received_lsn, now)
    if n.role.transitions != n.seen_transitions or n.promotion_due:
        follow_role(n, now)
    skip_when_due(n, now)
    await_flush(n)
    move_release(n, view)


cdef void await_flush(node_t* n) noexcept nogil:
    # Where the register was never written to and the log is empty, power that was lost has taken nothing.
    cdef bint first_start = n.role.unproven and role_is_first_start(&n.role)
    if n.flush_first_lsn != 0 and n.journal.flushed_lsn >= n.flush_first_lsn:
        n.flush_first_lsn = 0
        touch_all(n)                    # sessions may be connected now
    if first_start and not n.journal.unproven:
        role_on_whole_log(&n.role, &n.now)
        return
    if ((n.config.role.lost_tail or n.config.role.new_log)
            and (first_start or not role_log_in_doubt(&n.role))
            and not n.tail_told and n.flush_first_lsn == 0):
        n.tail_told = 1
        note(n, NOTE_TAIL_SETTLED, 0, 0, n.journal.last_lsn, 0)


cdef void move_release(node_t* n, const receiver_view_t* view) noexcept nogil:
    cdef uint64_t limit
    if n.sender.epoch == 0 or n.promotion_due:
        return
    if n.role.release == RELEASE_ALL:
        limit = n.journal.last_lsn
    elif n.role.release == RELEASE_ACKED and view.joined:
        limit = view.flushed_lsn if n.config.flush_before_release else view.received_lsn
    else:
        limit = n.released_lsn
    if n.config.flush_before_release and limit > n.journal.flushed_lsn:
        limit = n.journal.flushed_lsn
    if limit > n.released_lsn:
        n.released_lsn = limit
        stages_released(&n.stages, limit)
    n.intake.acked_lsn = view.received_lsn if view.joined else n.released_lsn
    n.intake.gated = n.role.release == RELEASE_ACKED


cdef void node_settle(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint64_t slots = n.connected
    cdef uint16_t i
    cdef int slot
    n.now = now[0]
    replica_catch_up(&n.replica)
    if n.sender.epoch == 0 or n.promotion_due:
        return
    i = node_next_session(n.intake.holding, 0) if n.intake.open else MAX_SESSIONS
    while i < MAX_SESSIONS:
        intake_drain(&n.intake, i, now)
        i = node_next_session(n.intake.holding, i + 1)
    reconcile(n, now)
    replica_catch_up(&n.replica)
    if not n.first_order_noted and n.intake.accepted > n.accepted_at_promotion:
        n.first_order_noted = 1
        note(n, NOTE_FIRST_ORDER, 0, 0, n.journal.last_lsn, 0)
    n.feeds_behind = 0
    count_state_changes(n)
    for i in range(n.bridged_count):
        pass_orders_on(n, n.bridged[i], now)
        n.feeds_behind |= pass_answers_on(n, n.bridged[i], now)
    while slots:
        slot = lowest_bit(slots)
        slots &= slots - 1
        if n.clients[slot].phase == CLIENT_FED:
            n.feeds_behind |= feed_pump(&n.clients[slot], &n.replica, n.released_lsn)
    tell_stall(n)


cdef void reconcile(node_t* n, const instant_t* now) noexcept nogil:
    """Asks about the orders in doubt, numbers those that the counterparty does not have, tells of the others."""
    cdef order_t* order
    cdef uint32_t at = 0
    cdef uint16_t i
    if n.replica.doubts.count == 0:
        return
    for i in range(n.replica.session_count):
        if n.replica.sessions[i].state == SESSION_READY:
            ask(n, i, now)
            if n.replica.doubts.not_there and n.intake.open:
                intake_settle(&n.intake, i, now)
    if n.replica.doubts.refused != n.doubts_refused:
        n.doubts_refused = n.replica.doubts.refused
        note(n, NOTE_QUESTION_REFUSED, 0, 0, n.doubts_refused, 0)
    if n.replica.doubts.settled == n.doubts_settled:
        return
    n.doubts_settled = n.replica.doubts.settled
    while True:
        order = replica_next_settled(&n.replica, &at)
        if order is NULL:
            break
        tell_settled(n, order)
    if n.replica.doubts.count == 0:
        note(n, NOTE_RECONCILED, 0, 0, n.doubts_settled, 0)


cdef void ask(node_t* n, uint16_t i, const instant_t* now) noexcept nogil:
    cdef uint8_t question[MAX_QUESTION_BYTES]
    cdef const record_header_t* record
    cdef const record_header_t* written = NULL
    cdef order_t* order
    cdef uint32_t asked = 0
    cdef uint32_t length
    cdef uint32_t at
    if n.replica.doubts.lsns[n.replica.doubts.count - 1] <= n.links[i].asked_lsn:
        return
    for at in range(n.replica.doubts.count):
        record = journal_at(n.journal, n.replica.doubts.lsns[at])
        if record is NULL or record.lsn <= n.links[i].asked_lsn or record.session != i:
            continue
        order = orders_by_client(&n.replica.orders, record.client, record_payload(record) + 2,
                                 (<const uint16_t*>record_payload(record))[0])
        if order is not NULL and order.state == ORDER_IN_DOUBT:
            length = doubt_question(record, &n.intake.fields, question)
            if session_send_application(&n.replica.sessions[i], b"H", 1, question, length, 0, 0, 0, FLAG_APPLICATION,
                                        now, &written) != SEND_OK:
                break                          # goes on at the next turn
            asked += 1
        n.links[i].asked_lsn = record.lsn
    if asked:
        note(n, NOTE_IN_DOUBT, i, asked, n.links[i].asked_lsn, 0)


cdef void tell_settled(node_t* n, const order_t* order) noexcept nogil:
    """To its client if that is connected; one that comes later hands it in again and is told then."""
    cdef frame_header_t header
    cdef int slot
    memset(&header, 0, sizeof(header))
    header.type = FRAME_ORDER_STATE
    header.flags = order.state
    header.session = order.session
    header.generation = order.generation
    for slot in range(MAX_CLIENT_CONNECTIONS):
        if n.clients[slot].phase == CLIENT_FED and n.clients[slot].client == order.client:
            if not client_write(&n.clients[slot], &header, orders_clordid(&n.replica.orders, order),
                                order.clordid_length, NULL, 0):
                fail_client(n, &n.clients[slot], ERROR_TOO_SLOW, "answers are not read: connect again later")


cdef void tell_stall(node_t* n) noexcept nogil:
    cdef bint stalled = (n.intake.gated
                         and n.journal.last_lsn - n.intake.acked_lsn > n.config.window_records)
    if stalled and not n.stalled:
        note(n, NOTE_REPLICATION_STALLED, 0, 0, n.journal.last_lsn, n.intake.acked_lsn)
    n.stalled = stalled
