# Which sessions there is something to see to. Part of node.pyx.
#
# Whatever may give a session bytes to send, another timer, another state or a reason to connect touches it.

cdef extern from *:
    int lowest_bit "__builtin_ctzll" (unsigned long long mask) nogil


cdef inline void touch(node_t* n, uint16_t session) noexcept nogil:
    n.sending[session // 64] |= <uint64_t>1 << session % 64
    n.touched[session // 64] |= <uint64_t>1 << session % 64


cdef void touch_all(node_t* n) noexcept nogil:
    cdef uint16_t i
    n.sessions_due_mono_ns = NEVER
    for i in range(n.replica.session_count):
        touch(n, i)


cdef void session_wrote(void* context, session_t* session, const record_header_t* record) noexcept nogil:
    touch(<node_t*>context, session.config.index)


cdef void count_state_changes(node_t* n) noexcept nogil:
    """For the feeds: what was not touched has the state that it had."""
    cdef uint16_t i = node_next_session(n.touched, 0)
    while i < n.replica.session_count:
        if n.states[i] != <uint8_t>n.replica.sessions[i].state:
            n.states[i] = <uint8_t>n.replica.sessions[i].state
            n.replica.state_changes += 1
        i = node_next_session(n.touched, i + 1)


cdef uint16_t node_next_session(const uint64_t* mask, uint16_t at) noexcept nogil:
    cdef uint64_t left
    while at < MAX_SESSIONS:
        left = mask[at // 64] >> at % 64
        if left:
            return at + <uint16_t>lowest_bit(left)
        at = (at // 64 + 1) * 64
    return MAX_SESSIONS


cdef void node_session_rests(node_t* n, uint16_t session) noexcept nogil:
    n.sending[session // 64] &= ~(<uint64_t>1 << session % 64)


cdef void node_end_turn(node_t* n) noexcept nogil:
    count_state_changes(n)
    memset(n.touched, 0, sizeof(n.touched))
    journal_prefetch(n.journal)
