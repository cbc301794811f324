# A node's turn, as the reactor makes it. Part of sim.pyx.


cdef bint step(World w, uint16_t i) noexcept nogil:
    """Between two steps of the node's program: it may die here. True: it did."""
    cdef simnode_t* s = &w.nodes[i]
    if s.crash_in < 0:
        return 0
    if s.crash_in > 0:
        s.crash_in -= 1
        return 0
    s.crash_in = -1
    kill_node(w, i)
    return 1


cdef void turn(World w, uint16_t i) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef instant_t now = now_of(w, i)
    cdef uint64_t before
    cdef uint16_t k
    cdef int _round
    cdef bint more = 0
    if step(w, i):
        return
    for _round in range(FLUSH_ROUNDS):
        node_advance(s.n, &now)
        watch_log(w, i)
        k = node_next_session(s.n.sending, 0)
        while k < MAX_SESSIONS:
            if session_write(w, i, k, &now):
                return
            k = node_next_session(s.n.sending, k + 1)
        if send_datagrams(w, i, &now):
            return
        before = s.journal.last_lsn
        node_settle(s.n, &now)
        watch_log(w, i)
        if step(w, i):
            return
        if s.journal.last_lsn == before:
            break
    else:
        more = 1
    for k in range(MAX_CLIENT_CONNECTIONS):
        if s.slots[k].connection >= 0:
            client_write(w, i, k, &now)
            if step(w, i):
                return
    if s.n.truncation_due:
        with gil:
            if w.tracing:
                tell(w, f"node {'ab'[i]} sets LSN {s.n.receiver.truncate_lsn + 1} to {s.journal.last_lsn} aside")
            w.journals[i].truncate(s.n.receiver.truncate_lsn)
        s.logged_lsn = min(s.logged_lsn, s.journal.last_lsn)
        node_truncated(s.n, &now)
        more = 1
    connect_and_ask(w, i, &now)
    read_notes(w, i)
    arm(w, i, 1 if more or s.n.feeds_behind else 0)


cdef void connect_and_ask(World w, uint16_t i, const instant_t* now) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef register_request_t request
    cdef uint16_t k
    k = node_next_session(s.n.touched, 0)
    while k < MAX_SESSIONS:
        if node_take_connect(s.n, k, now):
            s.sessions[k].connection = net_connect(&w.net, CONNECTION_SESSION, <uint8_t>i, <uint8_t>k)
            s.sessions[k].up = 0
            s.sessions[k].filled = 0
            if s.sessions[k].connection < 0:
                node_on_session_disconnected(s.n, k, now)
        k = node_next_session(s.n.touched, k + 1)
    if i == 1:
        dial_tripwire(w, s)
    while node_take_register_request(s.n, &request):
        net_message(&w.net, <uint8_t>(LINK_REGISTER + i), 0, EVENT_REGISTER, i, s.boot,
                    <uint32_t>s.n.channel.peer_incarnation[1 - i],
                    <const uint8_t*>&request, sizeof(request))


cdef void arm(World w, uint16_t i, bint at_once) noexcept nogil:
    """One timer event is always under way; one that comes too early is set again."""
    cdef simnode_t* s = &w.nodes[i]
    cdef uint64_t at = w.net.now + 1000
    if not at_once:
        at = min(true_time(w, i, node_deadline(s.n)), w.net.now + LONGEST_SLEEP_NS)
        node_end_turn(s.n)
        at = max(at, w.net.now + 1000)
    if at < s.timer_at:
        s.timer_at = at
        queue_push(&w.net.queue, at, EVENT_NODE_TIMER, i, s.boot, 0, NULL, 0)


cdef void node_timer(World w, uint16_t i, event_t* e) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef instant_t now
    if not s.up or s.boot != e.b or e.at != s.timer_at:
        return
    if w.net.now < s.paused_until:
        s.timer_at = s.paused_until
        queue_push(&w.net.queue, s.timer_at, EVENT_NODE_TIMER, i, s.boot, 0, NULL, 0)
        return
    s.timer_at = NEVER
    now = now_of(w, i)
    if now.mono_ns >= node_deadline(s.n):
        node_on_timer(s.n, &now)
    turn(w, i)


cdef bint session_write(World w, uint16_t i, uint16_t k, const instant_t* now) noexcept nogil:
    """True: the node died meanwhile."""
    cdef simnode_t* s = &w.nodes[i]
    cdef stream_t* stream = &s.sessions[k]
    cdef const uint8_t* data = NULL
    cdef uint8_t run[RUN_BYTES]
    cdef uint32_t size
    cdef uint32_t told
    cdef uint32_t length
    cdef journal_t* other = NULL
    if stream.connection < 0 or not stream.up:
        node_session_rests(s.n, k)
        return 0
    if s.n.links[k].reset:
        session_gone(w, i, k, 1, now)
        return 0
    if s.n.links[k].sync and w.cell.in_sync & (1 << (1 - i)):
        other = w.nodes[1 - i].journal
    while True:
        size = <uint32_t>node_session_tx_gather(s.n, k, run, RUN_BYTES, &data)
        if size == 0:
            break
        told = 0
        while told < size:
            length = scan_message(data + told, size - told)
            truth_released(&w.truth, <uint8_t>i, s.n.role.epoch, <uint8_t>k, s.n.replica.sessions[k].generation,
                           data + told, length, s.journal, other,
                           s.n.links[k].sync and w.config.durability == 2)
            told += length
        net_send(&w.net, stream.connection, 0, data, size)
        if step(w, i):
            return 1
        node_session_tx_consume(s.n, k, size, now)
    if node_session_closing(s.n, k):
        session_gone(w, i, k, 0, now)
    return 0


cdef void session_gone(World w, uint16_t i, uint16_t k, bint reset, const instant_t* now) noexcept nogil:
    cdef stream_t* stream = &w.nodes[i].sessions[k]
    if stream.connection >= 0:
        net_close(&w.net, stream.connection, 0, reset)
    stream.connection = -1
    stream.up = 0
    stream.filled = 0
    node_on_session_disconnected(w.nodes[i].n, k, now)


cdef bint send_datagrams(World w, uint16_t i, const instant_t* now) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef uint8_t to_node = 0
    cdef uint32_t size
    cdef int _k
    for _k in range(DATAGRAMS_PER_TURN):
        size = <uint32_t>node_poll_datagram(s.n, now, w.datagram, &to_node)
        if size == 0:
            return 0
        net_datagram(&w.net, LINK_PATH_A, <uint8_t>i, w.datagram, size)
        if step(w, i):
            return 1
        net_datagram(&w.net, LINK_PATH_B, <uint8_t>i, w.datagram, size)
    return 0


cdef void client_write(World w, uint16_t i, uint16_t slot, const instant_t* now) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef const uint8_t* data = NULL
    cdef uint32_t size = client_tx_peek(&s.n.clients[slot], &data)
    while size:
        size = min(size, MAX_WRITE_BYTES)
        if w.cell.in_sync & (1 << (1 - i)):
            check_promises(w, i, data, size)
        net_send(&w.net, s.slots[slot].connection, 1, data, size)
        client_tx_consume(&s.n.clients[slot], size)
        size = client_tx_peek(&s.n.clients[slot], &data)
    if s.n.clients[slot].closing:
        net_close(&w.net, s.slots[slot].connection, 1, 0)
        s.slots[slot].connection = -1
        node_on_client_disconnected(s.n, slot, now)


cdef void check_promises(World w, uint16_t i, const uint8_t* data, uint32_t size) noexcept nogil:
    """A client is told ACCEPTED, or the state of a numbered order. A frame that is cut in two is not seen."""
    cdef simnode_t* s = &w.nodes[i]
    cdef frame_header_t header
    cdef uint32_t at = 0
    while at + FRAME_HEADER_BYTES <= size:
        memcpy(&header, data + at, FRAME_HEADER_BYTES)
        if header.length < FRAME_HEADER_BYTES:
            return
        if (header.seq and (header.type == FRAME_ACCEPTED or header.type == FRAME_ORDER_STATE)
                and header.generation == s.n.replica.sessions[header.session].generation):
            truth_promised(&w.truth, <uint8_t>header.session, header.seq, s.journal, w.nodes[1 - i].journal)
        at += header.length


cdef void watch_log(World w, uint16_t i) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef uint32_t generations[TRUE_SESSIONS]
    cdef uint32_t k
    if s.n.sender.epoch != s.epoch_seen:
        s.epoch_seen = s.n.sender.epoch
        if s.epoch_seen:
            w.promotions += 1
            for k in range(w.config.sessions):
                generations[k] = s.n.replica.sessions[k].generation
            truth_promoted(&w.truth, <uint8_t>i, s.epoch_seen, s.journal, generations)
    while s.logged_lsn < s.journal.last_lsn:
        s.logged_lsn += 1
        truth_logged(&w.truth, <uint8_t>i, journal_at(s.journal, s.logged_lsn))


cdef void read_notes(World w, uint16_t i) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef const uint8_t* message = NULL
    cdef note_t note
    while ring_peek(s.n.notes, &message) == sizeof(note_t):
        memcpy(&note, message, sizeof(note))
        ring_release(s.n.notes)
        if note.code == NOTE_TAIL_SETTLED:
            s.settled_lsn = note.b + 1
        if note.code == NOTE_FLUSH_WANTED or note.code == NOTE_TAIL_SETTLED:
            queue_push(&w.net.queue, w.net.now + 500000, EVENT_FLUSH, i, s.boot, 0, NULL, 0)
        if w.tracing:
            with gil:
                tell_note(w, i, note)
