# Notes for the control thread, and what sessions tell. Part of node.pyx.


cdef void note(node_t* n, uint16_t code, uint16_t session, uint32_t a, uint64_t b, uint64_t c) noexcept nogil:
    note_with_text(n, code, session, a, b, c, NULL)


cdef void note_register(node_t* n, register_outcome outcome, uint64_t version, uint64_t value) noexcept nogil:
    if n.register_told[0] == outcome and n.register_told[1] == version and n.register_told[2] == value:
        return                        # a node that waits asks several times a second
    n.register_told[0] = outcome
    n.register_told[1] = version
    n.register_told[2] = value
    note(n, NOTE_REGISTER, 0, outcome, version, value)


cdef void note_drop(node_t* n, open_status status) noexcept nogil:
    """Another key or pair id on the other side would else show in a counter only. A flood is one note now and then."""
    if (status == OPEN_STALE or status == OPEN_DUPLICATE) and not is_replay(n):
        return
    if n.drops_told_mono_ns and n.now.mono_ns - n.drops_told_mono_ns < DROPS_TOLD_EVERY_NS:
        return
    n.drops_told_mono_ns = n.now.mono_ns
    note(n, NOTE_DATAGRAMS_DROPPED, 0, status, n.channel.dropped[<int>status],
         (<uint64_t>n.channel.other_version << 8) | <uint64_t>DATAGRAM_VERSION if status == OPEN_WRONG_VERSION else 0)


cdef bint is_replay(node_t* n) noexcept nogil:
    """Each datagram comes on every path, and a network may repeat some: so many more are somebody's recordings."""
    cdef uint64_t repeats = n.channel.dropped[<int>OPEN_STALE] + n.channel.dropped[<int>OPEN_DUPLICATE]
    if n.now.mono_ns - n.repeats_since_mono_ns >= DROPS_TOLD_EVERY_NS:
        n.repeats_since_mono_ns = n.now.mono_ns
        n.repeats_before = repeats
        n.opened_before = n.channel.opened
    return repeats - n.repeats_before > REPEATS_TAKEN + REPEATS_FOR_EACH * (n.channel.opened - n.opened_before)


cdef void note_at(node_t* n, uint16_t code, uint64_t mono_ns) noexcept nogil:
    """A note about a moment that has passed: its wall time follows from how long ago it was."""
    cdef instant_t now = n.now
    if mono_ns == 0 or mono_ns > now.mono_ns:
        return
    n.now.mono_ns = mono_ns
    n.now.wall_ns = now.wall_ns - (now.mono_ns - mono_ns)
    note(n, code, 0, 0, mono_ns, 0)
    n.now = now


cdef void note_with_text(node_t* n, uint16_t code, uint16_t session, uint32_t a, uint64_t b, uint64_t c,
                         const uint8_t* text) noexcept nogil:
    cdef note_t entry
    memset(&entry, 0, sizeof(entry))
    entry.code = code
    entry.session = session
    entry.a = a
    entry.b = b
    entry.c = c
    entry.mono_ns = n.now.mono_ns
    entry.wall_ns = n.now.wall_ns
    if text is not NULL:
        memcpy(entry.text, text, min(strlen(<const char*>text), NOTE_TEXT_BYTES - 1))
    if not ring_write(n.notes, &entry, sizeof(entry)):
        n.notes_lost += 1


# --- hooks of the sessions --------------------------------------------------------------------------------------------

cdef uint32_t session_route(void* context, session_t* session, const message_t* message) noexcept nogil:
    cdef node_t* n = <node_t*>context
    cdef uint32_t client = replica_route(&n.replica, session.config.index, message)
    stages_answered(&n.stages, n.replica.routed_lsn, n.journal.last_lsn + 1, client)
    return client


cdef void order_encoded(void* context) noexcept nogil:
    stages_encode(&(<node_t*>context).stages)


cdef void session_told(void* context, session_t* session, session_event event, uint64_t a, uint64_t b) noexcept nogil:
    cdef node_t* n = <node_t*>context
    cdef uint16_t i = session.config.index
    if event == EVENT_RESENT or event == EVENT_GAP_FILLED:
        if event == EVENT_RESENT:
            n.links[i].resent += 1
        else:
            n.links[i].gap_filled += 1
            n.links[i].asked_lsn = 0        # a question may have been among them: what is in doubt still is asked again
        return
    if event == EVENT_READY:
        a = n.links[i].resent
        b = n.links[i].gap_filled
        n.links[i].was_ready = 1
        n.links[i].backoff_ns = n.links[i].min_backoff_ns
    note_with_text(n, NOTE_SESSION, i, event, a, b, session.text if event == EVENT_LOGGED_OUT
                   or event == EVENT_STOPPED or event == EVENT_REJECT_RECEIVED
                   or (event == EVENT_DISCONNECTED and a == DISCONNECT_LOGON_REFUSED) else NULL)
