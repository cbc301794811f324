# Schedules of sessions: closed, opened, and the end of a day. Part of sim.pyx.


cdef void schedule(World w, uint16_t k, session_command command) noexcept nogil:
    """Each node is told by its own clock; a start-over always before the window opens."""
    cdef uint64_t least = SCHEDULE_NS if command == SESSION_COMMAND_OPEN else 0
    cdef uint16_t i
    for i in range(2):
        queue_push(&w.net.queue, w.net.now + least + random_below(&w.chance, SCHEDULE_NS), EVENT_SCHEDULE,
                   i, w.nodes[i].boot, <uint32_t>k << 8 | <uint32_t>command, NULL, 0)


cdef void tell_schedule(World w, uint16_t i, event_t* e) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef uint16_t k = <uint16_t>(e.c >> 8)
    cdef instant_t now
    if not s.up or s.boot != e.b:
        return                     # it is told when it starts
    if w.net.now < s.paused_until:
        queue_push(&w.net.queue, s.paused_until, EVENT_SCHEDULE, i, e.b, e.c, NULL, 0)
        return
    if <session_command>(e.c & 255) == SESSION_COMMAND_START_OVER:
        start_over(w, i, k)
    else:
        now = now_of(w, i)
        node_on_session_command(s.n, k, <session_command>(e.c & 255), 0, 0, &now)
    turn(w, i)


cdef void start_over(World w, uint16_t i, uint16_t k) noexcept nogil:
    cdef instant_t now = now_of(w, i)
    cdef uint64_t began = WALL_START_NS + (w.day_began[k] - START_NS) + w.nodes[i].wall_offset
    node_on_session_command(w.nodes[i].n, k, SESSION_COMMAND_START_OVER, began, 0, &now)


cdef void end_day(World w, uint16_t k) noexcept nogil:
    """Opens the session when it is time. At a day's end both sides start over, if nothing is open between them."""
    cdef instant_t now
    if w.day_ends[k] and w.net.now < w.config.faults_end and not is_quiet(w, k):
        queue_push(&w.net.queue, w.net.now + DAY_POLL_NS, EVENT_DAY, k, 0, 0, NULL, 0)
        return
    if w.day_ends[k] and is_quiet(w, k):
        now = broker_now(w)
        session_reset(w.brokers[k].session, &now)
        w.day_began[k] = w.net.now
        schedule(w, k, SESSION_COMMAND_START_OVER)
        w.days += 1
        if w.tracing:
            with gil:
                tell(w, f"session {k} starts over")
    w.day_ends[k] = 0
    if w.net.now >= w.closed_until[k]:
        schedule(w, k, SESSION_COMMAND_OPEN)


cdef bint is_quiet(World w, uint16_t k) noexcept nogil:
    """The session is closed, both logs are the same, and nothing of it is unknown to anybody."""
    cdef simnode_t* primary = &w.nodes[w.cell.primary & 1]
    cdef journal_t* other = w.nodes[1 - (w.cell.primary & 1)].journal
    cdef uint8_t clordid[TRUE_CLORDID_BYTES]
    cdef uint32_t j
    for j in range(2):
        if not w.nodes[j].up or w.net.now < w.nodes[j].paused_until:
            return 0
    if (w.cell.in_sync != 3 or primary.n.sender.epoch != w.cell.epoch or w.truth.lossy
            or primary.n.links[k].phase != LINK_IDLE or not primary.n.links[k].closed
            or primary.n.replica.sessions[k].state != SESSION_DISCONNECTED
            or w.brokers[k].connection >= 0 or w.brokers[k].head != w.brokers[k].tail
            or primary.journal.last_lsn != other.last_lsn
            or journal_at(other, other.last_lsn).crc != journal_at(primary.journal, other.last_lsn).crc):
        return 0
    for j in range(w.config.clients):
        if w.truth.delivered[j][k] != w.truth.executed[j][k]:
            return 0
    for j in range(w.truth.order_count):
        if w.truth.orders[j].session != k or w.truth.orders[j].processed or w.truth.orders[j].told_unknown:
            continue
        truth_clordid(j, clordid)
        if orders_by_session(&primary.n.replica.orders, k, clordid, TRUE_CLORDID_BYTES) is not NULL:
            return 0
    return 1
