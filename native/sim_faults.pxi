# What goes wrong, and what an operator does. Part of sim.pyx.


cdef void make_fault(World w, fault_t* f) noexcept nogil:
    cdef uint64_t end = min(w.net.now + f.duration, w.config.faults_end)
    cdef uint16_t node = f.target & 1
    cdef uint16_t session = f.target % w.config.sessions
    cover(w, f, node, session)
    if w.tracing:
        with gil:
            tell(w, f"FAULT {FAULT_NAMES[f.kind]} target {f.target} for {(end - w.net.now) / 1e6:.3f} ms, "
                 f"param {f.param}")
    if f.kind == FAULT_REGISTER_DOWN:
        w.register_down_until = max(w.register_down_until, end)
    elif f.kind == FAULT_CLIENT_CRASH:
        client_crash(w, f.target % w.config.clients, end)
    elif (not make_node_fault(w, f, node, end) and not make_link_fault(w, f, node, end)
          and not make_session_fault(w, f, session, end)):
        make_broker_fault(w, f, session, end)


cdef bint make_node_fault(World w, const fault_t* f, uint16_t node, uint64_t end) noexcept nogil:
    """Of its process, host, clocks or disk, and an operator's commands to it. False: it is none of these."""
    if f.kind == FAULT_KILL:
        if w.nodes[node].up:
            w.nodes[node].crash_in = f.param
            w.nodes[node].restart_at = end
            if f.param == 0:
                step(w, node)
    elif f.kind == FAULT_POWER:
        if w.nodes[node].host_up:
            power_off(w, node)
        restart_at(w, node, end)
    elif f.kind == FAULT_BIT_FLIP:
        if w.nodes[node].host_up:
            power_off(w, node)
            damage(w, node)
        restart_at(w, node, end)
    elif f.kind == FAULT_PAUSE:
        w.nodes[node].paused_until = max(w.nodes[node].paused_until, end)
    elif f.kind == FAULT_WALL_JUMP:
        w.nodes[node].wall_offset += (<int64_t>f.param - 1000000) * 1000000000
    elif f.kind == FAULT_DRIFT:
        drift(w, node, <int64_t>f.param - 1000000)
    elif f.kind == FAULT_DISK_FULL:
        w.nodes[node].full_until = max(w.nodes[node].full_until, end)
        journal_set_full(w.nodes[node].journal, 1)
        queue_push(&w.net.queue, end, EVENT_DISK_SPACE, node, 0, 0, NULL, 0)
    elif f.kind == FAULT_DISK_STALL:
        w.nodes[node].stalled_until = max(w.nodes[node].stalled_until, end)
    elif f.kind == FAULT_ACT_ALONE:
        act_alone(w, node)
    elif FAULT_TAKEOVER <= f.kind <= FAULT_SOLO:
        give_command(w, node, f.kind)
        if f.kind == FAULT_SOLO:       # holds until the standby has left: the operator restarts it
            queue_push(&w.net.queue, end, EVENT_CYCLE, 1 - node, 0, 0, NULL, 0)
            queue_push(&w.net.queue, w.config.faults_end + w.config.heal_ns // 2, EVENT_CYCLE, 1 - node, 1,
                       0, NULL, 0)    # it left before the register answered: once more
    else:
        return 0
    return 1


cdef bint make_link_fault(World w, const fault_t* f, uint16_t node, uint64_t end) noexcept nogil:
    """Links that are cut, broken or made bad. False: it is none of these."""
    cdef int k
    if f.kind == FAULT_CUT_PATH:
        for k in range(2):
            if f.target >= 2 or f.target == k:
                cut(w, <uint8_t>(LINK_PATH_A + k), f.param, end)
        if f.target == 2:
            cut(w, LINK_TRIPWIRE, f.param, end)
    elif f.kind == FAULT_ISOLATE:
        cut(w, LINK_PATH_A, 3, end)
        cut(w, LINK_PATH_B, 3, end)
        cut(w, LINK_TRIPWIRE, 3, end)
        cut(w, <uint8_t>(LINK_REGISTER + node), 3, end)
        cut(w, <uint8_t>(LINK_BROKER + node), 3, end)
        cut(w, <uint8_t>(LINK_CLIENT + node), 3, end)
    elif f.kind == FAULT_CUT_REGISTER:
        cut(w, <uint8_t>(LINK_REGISTER + node), f.param, end)
    elif f.kind == FAULT_CUT_BROKER:
        cut(w, <uint8_t>(LINK_BROKER + node), f.param, end)
    elif f.kind == FAULT_CUT_CLIENTS:
        cut(w, <uint8_t>(LINK_CLIENT + node), f.param, end)
    elif f.kind == FAULT_TRIPWIRE:
        break_tripwire(w)
    elif f.kind == FAULT_BAD_PATHS:
        for k in range(2):
            if f.target < 2 or f.target == 2 + k:
                worsen(w, <uint8_t>(LINK_PATH_A + k), end, 200000, 100000, 50000, 5000000)
    elif f.kind == FAULT_SLOW_PATHS:
        for k in range(2):
            if f.target < 2 or f.target == 2 + k:
                worsen(w, <uint8_t>(LINK_PATH_A + k), end, 0, 0, 0, 200000000)
    elif f.kind == FAULT_SLOW_BROKER:
        worsen(w, <uint8_t>(LINK_BROKER + node), end, 0, 0, 0, 300000000)
    elif f.kind == FAULT_SLOW_CLIENTS:
        worsen(w, <uint8_t>(LINK_CLIENT + node), end, 0, 0, 0, 300000000)
    elif f.kind == FAULT_SLOW_REGISTER:
        worsen(w, LINK_REGISTER, end, 300000, 100000, 0, 400000000)
        worsen(w, LINK_REGISTER + 1, end, 300000, 100000, 0, 400000000)
    else:
        return 0
    return 1


cdef bint make_session_fault(World w, const fault_t* f, uint16_t session, uint64_t end) noexcept nogil:
    """Of its window, and a ResendRequest that is lost. False: it is none of these."""
    if f.kind == FAULT_CLOSE:
        w.closed_until[session] = max(w.closed_until[session], end)
        schedule(w, session, SESSION_COMMAND_CLOSE)
        queue_push(&w.net.queue, w.closed_until[session], EVENT_DAY, session, 0, 0, NULL, 0)
    elif f.kind == FAULT_DAY_CHANGE:
        w.day_ends[session] = 1
        schedule(w, session, SESSION_COMMAND_CLOSE)
        queue_push(&w.net.queue, w.net.now + DAY_POLL_NS, EVENT_DAY, session, 0, 0, NULL, 0)
    elif f.kind == FAULT_BROKER_DEAF:
        w.deaf_to[session] += 1
    else:
        return 0
    return 1


cdef void make_broker_fault(World w, const fault_t* f, uint16_t k, uint64_t end) noexcept nogil:
    cdef uint8_t kind = f.kind
    cdef broker_t* b = &w.brokers[k]
    cdef instant_t now = broker_now(w)
    cdef uint8_t garbage[64]
    cdef int i
    if kind == FAULT_BROKER_MUTE:
        w.muted_until[k] = max(w.muted_until[k], end)
    elif kind == FAULT_BROKER_REFUSE:
        w.refusing_until[k] = max(w.refusing_until[k], end)
        if b.connection >= 0:
            broker_gone(w, k)
    elif b.connection < 0:
        return
    elif kind == FAULT_BROKER_DROP:
        broker_gone(w, k)
    elif kind == FAULT_BROKER_ASKS_ALL:
        broker_ask_for_all(b, &now)
        broker_turn(w, k)
    elif kind == FAULT_BROKER_RESET:
        if has_read_all(w, k):
            broker_reset(b, f.param, &now)
            broker_turn(w, k)
    else:
        for i in range(64):
            garbage[i] = <uint8_t>random_below(&w.chance, 256)
        net_send(&w.net, b.connection, 1, garbage, 64)


cdef bint has_read_all(World w, uint16_t k) noexcept nogil:
    """The primary has every message of the counterparty: what a reset passes over was never one."""
    cdef simnode_t* primary = &w.nodes[w.cell.primary & 1]
    cdef const session_t* session
    if not primary.up or primary.n.sender.epoch != w.cell.epoch:
        return 0
    session = &primary.n.replica.sessions[k]
    return session.state == SESSION_READY and session.next_in == w.brokers[k].session.next_out


cdef void damage(World w, uint16_t i) noexcept nogil:
    """One bit of one record on the disk of a host that is down."""
    cdef simnode_t* s = &w.nodes[i]
    cdef uint64_t lsn
    if s.journal.last_lsn == 0:
        return
    lsn = s.journal.first_lsn + random_below(&w.chance, s.journal.last_lsn - s.journal.first_lsn + 1)
    count_loss(w, i, lsn)        # whatever becomes of the log, its own copy from here on counts no more
    s.damaged = 1
    with gil:
        w.journals[i].flip_bit(lsn, random_below(&w.chance, journal_at(s.journal, lsn).length * 8))


cdef void restart_at(World w, uint16_t node, uint64_t end) noexcept nogil:
    queue_push(&w.net.queue, end, EVENT_RESTART, node, 0, 0, NULL, 0)


cdef void cut(World w, uint8_t link, uint32_t directions, uint64_t end) noexcept nogil:
    cdef int k
    for k in range(2):
        if directions & (1 << k):
            w.net.links[link].cut_until[k] = max(w.net.links[link].cut_until[k], end)


cdef void worsen(World w, uint8_t link, uint64_t end, uint32_t loss, uint32_t repeat, uint32_t corrupt,
                 uint64_t jitter_ns) noexcept nogil:
    w.net.links[link].bad_until = max(w.net.links[link].bad_until, end)
    w.net.links[link].loss = loss
    w.net.links[link].repeat = repeat
    w.net.links[link].corrupt = corrupt
    w.net.links[link].bad_jitter_ns = jitter_ns


cdef void break_tripwire(World w) noexcept nogil:
    cdef int32_t k
    cdef int side
    for k in range(MAX_CONNECTIONS):
        if not w.net.connections[k].used or w.net.connections[k].kind != CONNECTION_TRIPWIRE:
            continue
        for side in range(2):
            if w.net.connections[k].open[side]:
                on_closed(w, k, &w.net.connections[k], side)
                w.net.connections[k].open[side] = 0
        w.net.connections[k].used = 0


cdef void drift(World w, uint16_t i, int64_t ppm) noexcept nogil:
    cdef instant_t now = now_of(w, i)
    w.nodes[i].mono_base = now.mono_ns
    w.nodes[i].true_base = w.net.now
    w.nodes[i].drift_ppm = ppm


cdef void client_crash(World w, uint16_t k, uint64_t end) noexcept nogil:
    cdef simclient_t* c = &w.clients[k]
    cdef int link
    c.down = 1
    for link in range(2):
        if c.links[link].connection >= 0:
            net_close(&w.net, c.links[link].connection, 0, random_chance(&w.chance, 500000))
            simclient_on_disconnected(c, link)
    queue_push(&w.net.queue, end, EVENT_CLIENT_BACK, k, 0, 0, NULL, 0)


cdef void act_alone(World w, uint16_t i) noexcept nogil:
    """He sees that the other node is down, and accepts that what only it had is lost."""
    cdef instant_t now
    if not w.nodes[i].up or w.nodes[1 - i].up or w.net.now < w.nodes[i].paused_until:
        return
    now = now_of(w, i)
    if node_on_command(w.nodes[i].n, COMMAND_ACT_ALONE, &now) == COMMAND_ACCEPTED:
        w.truth.lossy = 1
        w.truth.gone = 1
    turn(w, i)


cdef void give_command(World w, uint16_t i, uint8_t kind) noexcept nogil:
    cdef instant_t now
    cdef role_command command = COMMAND_SOLO
    if kind == FAULT_TAKEOVER:
        command = COMMAND_TAKEOVER
    elif kind == FAULT_SWITCHOVER:
        command = COMMAND_SWITCHOVER
    if not w.nodes[i].up or w.net.now < w.nodes[i].paused_until:
        return
    now = now_of(w, i)
    node_on_command(w.nodes[i].n, command, &now)
    turn(w, i)
