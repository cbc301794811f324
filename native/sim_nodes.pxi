# A node's life: its host's clocks, start, death, and what of its log is lost. Part of sim.pyx.


cdef instant_t now_of(World w, uint16_t i) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef int64_t passed = <int64_t>(w.net.now - s.true_base)
    cdef instant_t now
    now.mono_ns = s.mono_base + passed + passed * s.drift_ppm // PPM
    now.wall_ns = WALL_START_NS + (w.net.now - START_NS) + s.wall_offset
    return now


cdef uint64_t true_time(World w, uint16_t i, uint64_t mono_ns) noexcept nogil:
    """When the node's clock will show mono_ns."""
    cdef simnode_t* s = &w.nodes[i]
    cdef int64_t left
    if mono_ns <= s.mono_base:
        return w.net.now
    left = <int64_t>(mono_ns - s.mono_base)
    return max(w.net.now, s.true_base + left * PPM // (PPM + s.drift_ppm) + 1)


cdef void boot_node(World w, uint16_t i) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef instant_t now
    cdef int k
    s.boot += 1
    with gil:
        if s.damaged:
            open_damaged(w, i)
        journal_flush(s.journal)       # as when a journal is opened
        build_node(w, i)
    s.up = 1
    s.crash_in = -1
    s.paused_until = 0
    s.timer_at = NEVER
    s.settled_lsn = 0
    s.epoch_seen = 0
    s.tripwire = -1
    s.greeting = -1
    s.tripwire_verified = 0
    s.tripwire_met = 0
    for k in range(TRUE_SESSIONS):
        s.sessions[k].connection = -1
        s.sessions[k].up = 0
    for k in range(MAX_CLIENT_CONNECTIONS):
        s.slots[k].connection = -1
    queue_push(&w.net.queue, w.net.now + w.config.flush_every_ns, EVENT_FLUSH, i, s.boot, 0, NULL, 0)
    now = now_of(w, i)
    for k in range(<int>w.config.sessions):      # the control thread does not wait for anything
        if w.day_began[k]:
            start_over(w, i, k)
        if w.day_ends[k] or w.net.now < w.closed_until[k]:
            node_on_session_command(s.n, k, SESSION_COMMAND_CLOSE, 0, 0, &now)
    node_start(s.n, &now)
    turn(w, i)


cdef open_damaged(World w, uint16_t i):
    """Recovery finds it, and cuts it off or refuses the journal. Then the operator does what the refusal says."""
    cdef simnode_t* s = &w.nodes[i]
    s.damaged = 0
    before = s.journal.last_lsn
    try:
        w.journals[i].read_again(True)
        s.lost_tail = s.lost_tail or s.journal.last_lsn < before
        told = f"cuts LSN {s.journal.last_lsn + 1} to {before} off"
    except JournalCorruptError:
        told = "refuses its journal: it is moved away"
        count_loss(w, i, 1)
        w._new_journal(i)
        s.moved_away = 1
        if not w.cell.in_sync & (1 << (1 - i)) or w.nodes[1 - i].moved_away:
            only_copy_is_gone(w)
    if w.tracing:
        tell(w, f"node {'ab'[i]} finds a damaged record and {told}")
    s.logged_lsn = s.journal.last_lsn


cdef void only_copy_is_gone(World w) noexcept nogil:
    """It was the only whole one, by the register: the operator does not go on without it."""
    w.truth.gone = 1
    w.healed = 1
    w.ended = 1


cdef void count_loss(World w, uint16_t i, uint64_t first) noexcept nogil:
    """Records from `first` on are going. What the other node lacks of them is gone for good."""
    cdef simnode_t* s = &w.nodes[i]
    cdef journal_t* other = w.nodes[1 - i].journal
    cdef uint64_t lsn
    w.truth.lossy = 1
    for lsn in range(first, s.journal.last_lsn + 1):
        if journal_at(other, lsn) is NULL or journal_at(other, lsn).crc != journal_at(s.journal, lsn).crc:
            w.truth.gone = 1


cdef build_node(World w, uint16_t i):
    cdef simnode_t* s = &w.nodes[i]
    cdef uint32_t k
    w.node_faces[i] = None
    node = Node(w.journals[i], node=i, incarnation=s.boot, preferred=i == 0, lost_tail=s.lost_tail,
                new_log=s.new_log, **w.node_options)
    for k in range(w.config.sessions):
        node.add_session(f"s{k}", sender_comp_id="GW", target_comp_id=f"SIM{k}", **w.session_options)
    for k in range(w.config.clients):
        node.add_client(f"c{k}")
    w.node_faces[i] = node
    s.n = (<Node>node).handle
    if w.tracing:
        tell(w, f"node {'ab'[i]} starts, its log ends at LSN {s.journal.last_lsn}"
             + (", the tail is suspect" if s.lost_tail else ""))


cdef void kill_node(World w, uint16_t i) noexcept nogil:
    """The process dies: the kernel closes what it had, after sending what it took; sometimes it resets instead."""
    cdef int32_t k
    cdef int side
    w.nodes[i].up = 0
    restart_at(w, i, max(w.net.now, w.nodes[i].restart_at))
    for k in range(MAX_CONNECTIONS):
        side = side_of(w, &w.net.connections[k], i)
        if side >= 0 and w.net.connections[k].open[side]:
            net_close(&w.net, k, side, random_chance(&w.chance, 300000))
    if w.tracing:
        with gil:
            tell(w, f"node {'ab'[i]} is dead, its log ends at LSN {w.nodes[i].journal.last_lsn}")


cdef void power_off(World w, uint16_t i) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef int32_t k
    cdef int side
    s.up = 0
    s.host_up = 0
    for k in range(MAX_CONNECTIONS):
        side = side_of(w, &w.net.connections[k], i)
        if side >= 0 and w.net.connections[k].open[side]:
            net_power_lost(&w.net, k, side)
    lose_tail(w, i)


cdef void lose_tail(World w, uint16_t i) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef uint64_t last = s.journal.last_lsn
    cdef uint64_t kept = s.journal.flushed_lsn + random_below(&w.chance, last - s.journal.flushed_lsn + 1)
    cdef int k
    if w.config.durability != 2:
        s.lost_tail = 1
    elif not s.moved_away:
        for k in range(2):
            if w.nodes[k].n.sender.epoch == w.cell.epoch and w.cell.in_sync & (1 << i):
                truth_kept(&w.truth, w.nodes[k].n.released_lsn, kept)
    if kept < last:
        count_loss(w, i, kept + 1)
    with gil:
        w.journals[i].truncate(kept)
        w.journals[i].flush()               # what is there after the loss is on the disk
        if w.tracing:
            tell(w, f"node {'ab'[i]} lost power and LSN {kept + 1} to {last}" if kept < last else
                 f"node {'ab'[i]} lost power, no record is lost")
    s.logged_lsn = kept


cdef int side_of(World w, const connection_t* c, uint16_t i) noexcept nogil:
    if not c.used:
        return -1
    if c.kind == CONNECTION_TRIPWIRE:
        return 1 - i
    if c.node != i:
        return -1
    return 0 if c.kind == CONNECTION_SESSION else 1


cdef void flush_disk(World w, uint16_t i, uint32_t boot) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    if not s.up or s.boot != boot:
        return
    if w.net.now >= s.paused_until and w.net.now >= s.stalled_until:
        journal_flush(s.journal)
        if s.settled_lsn and s.journal.flushed_lsn + 1 >= s.settled_lsn:
            s.lost_tail = 0
            s.new_log = 0
            s.journal.unproven = 0
            s.moved_away = 0
            s.settled_lsn = 0
    queue_push(&w.net.queue, w.net.now + w.config.flush_every_ns, EVENT_FLUSH, i, boot, 0, NULL, 0)
