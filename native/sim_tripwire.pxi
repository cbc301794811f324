# The tripwire between the nodes: dialled, greeted, gone. Part of sim.pyx.


cdef void dial_tripwire(World w, simnode_t* s) noexcept nogil:
    cdef uint64_t met = s.n.channel.peer_incarnation[0]
    if s.tripwire >= 0 and met != s.tripwire_met and not s.tripwire_verified:
        net_close(&w.net, s.tripwire, 0, 0)
        s.tripwire = -1
        s.tripwire_retry_at = 0
    if met == 0 or s.tripwire >= 0 or w.net.now < s.tripwire_retry_at:
        return
    s.tripwire_met = met
    s.tripwire_verified = 0
    s.greeting_filled[0] = 0
    s.tripwire_retry_at = w.net.now + TRIPWIRE_RETRY_NS
    s.tripwire = net_connect(&w.net, CONNECTION_TRIPWIRE, 1, 0)


cdef void on_tripwire_data(World w, uint16_t i, int32_t at, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef instant_t now = now_of(w, i)
    cdef int which = 1 if at == s.greeting else 0
    cdef uint8_t greeting[GREETING_BYTES]
    if (at != s.tripwire and at != s.greeting) or (which == 0 and s.tripwire_verified):
        return
    size = min(size, GREETING_BYTES - s.greeting_filled[which])
    memcpy(s.greeting_rx[which] + s.greeting_filled[which], data, size)
    s.greeting_filled[which] += size
    if s.greeting_filled[which] < GREETING_BYTES:
        return
    if not node_greeting_is_fresh(s.n, s.greeting_rx[which], GREETING_BYTES, &now):
        net_close(&w.net, at, 1 - i, 0)
        tripwire_gone(w, i, at)
        return
    if which:
        if s.tripwire >= 0:
            net_close(&w.net, s.tripwire, 1 - i, 0)
        s.tripwire = at
        s.greeting = -1
        size = <uint32_t>node_seal_greeting(s.n, greeting, &now)
        net_send(&w.net, at, 1 - i, greeting, size)
    s.tripwire_verified = 1
    node_on_tripwire(s.n, 1, &now)
    turn(w, i)


cdef void tripwire_gone(World w, uint16_t i, int32_t at) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    cdef instant_t now = now_of(w, i)
    if at == s.greeting:
        s.greeting = -1
    elif at == s.tripwire:
        s.tripwire = -1
        s.tripwire_retry_at = w.net.now + TRIPWIRE_RETRY_NS
        if s.tripwire_verified:
            s.tripwire_verified = 0
            node_on_tripwire(s.n, 0, &now)
            turn(w, i)
