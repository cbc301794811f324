# What the network brings, to nodes and to those around them. Part of sim.pyx.


cdef void on_datagram(World w, event_t* e) noexcept nogil:
    cdef simnode_t* s = &w.nodes[e.a]
    cdef instant_t now
    if s.up:
        now = now_of(w, e.a)
        node_on_datagram(s.n, e.data, e.size, &now)
        watch_log(w, e.a)
        turn(w, e.a)
    free(e.data)


cdef void accept(World w, int32_t at, connection_t* c) noexcept nogil:
    cdef instant_t now
    cdef broker_t* b
    cdef simnode_t* s
    if c.kind == CONNECTION_SESSION:
        b = &w.brokers[c.other]
        if w.net.now < w.refusing_until[c.other] or (b.connection >= 0 and b.refuses_second):
            net_refuse(&w.net, at)
            return
        if b.connection >= 0:
            broker_gone(w, c.other)
        now = broker_now(w)
        b.connection = at
        net_accept(&w.net, at)
        broker_on_connected(b, &now)
        broker_turn(w, c.other)
        return
    s = &w.nodes[0 if c.kind == CONNECTION_TRIPWIRE else c.node]
    if not s.up:
        if s.host_up:
            net_refuse(&w.net, at)
        return
    if c.kind == CONNECTION_TRIPWIRE:
        if s.greeting >= 0:
            net_close(&w.net, s.greeting, 1, 0)
        s.greeting = at
        s.greeting_filled[1] = 0
        net_accept(&w.net, at)
        return
    now = now_of(w, c.node)
    c.slot = node_on_client_connected(s.n, 0, &now)
    if c.slot < 0:
        net_refuse(&w.net, at)
        return
    s.slots[c.slot].connection = at
    s.slots[c.slot].filled = 0
    net_accept(&w.net, at)


cdef void on_connected(World w, int32_t at, connection_t* c) noexcept nogil:
    cdef instant_t now
    cdef simnode_t* s = &w.nodes[c.node]
    cdef uint8_t greeting[GREETING_BYTES]
    cdef uint32_t size
    if c.kind == CONNECTION_CLIENT:
        if w.clients[c.other].links[c.node].connection == at:     # else it has been given up meanwhile
            simclient_on_connected(&w.clients[c.other], c.node)
            client_flush(w, c.other)
        return
    if not s.up or not c.open[0]:
        return
    now = now_of(w, c.node)
    if c.kind == CONNECTION_SESSION:
        s.sessions[c.other].up = 1
        node_on_session_connected(s.n, c.other, &now)
        turn(w, c.node)
    else:
        size = <uint32_t>node_seal_greeting(s.n, greeting, &now)
        net_send(&w.net, at, 0, greeting, size)


cdef void on_refused(World w, int32_t at, connection_t* c) noexcept nogil:
    if not c.open[0]:
        return
    on_closed(w, at, c, 0)
    c.open[0] = 0
    if c.open[1]:
        c.open[0] = 1
        net_close(&w.net, at, 0, 0)
    else:
        c.used = 0


cdef void on_closed(World w, int32_t at, connection_t* c, int side) noexcept nogil:
    """`side` learns that the connection is gone."""
    cdef instant_t now
    cdef uint16_t i = c.node
    if c.kind == CONNECTION_TRIPWIRE:
        i = 1 - side
        if w.nodes[i].up:
            tripwire_gone(w, i, at)
        return
    if c.kind == CONNECTION_SESSION and side == 1:
        if w.brokers[c.other].connection == at:
            now = broker_now(w)
            broker_on_disconnected(&w.brokers[c.other], &now)
        return
    if c.kind == CONNECTION_CLIENT and side == 0:
        if w.clients[c.other].links[c.node].connection == at:
            simclient_on_disconnected(&w.clients[c.other], c.node)
        return
    if not w.nodes[i].up:
        return
    now = now_of(w, i)
    if c.kind == CONNECTION_SESSION and w.nodes[i].sessions[c.other].connection == at:
        w.nodes[i].sessions[c.other].connection = -1
        w.nodes[i].sessions[c.other].up = 0
        node_on_session_disconnected(w.nodes[i].n, c.other, &now)
    elif c.kind == CONNECTION_CLIENT and w.nodes[i].slots[c.slot].connection == at:
        w.nodes[i].slots[c.slot].connection = -1
        node_on_client_disconnected(w.nodes[i].n, c.slot, &now)
    turn(w, i)


cdef void on_data(World w, int32_t at, connection_t* c, int side, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef instant_t now
    cdef uint16_t i = c.node
    cdef uint32_t length = 0
    cdef const uint8_t* kind
    if c.kind == CONNECTION_TRIPWIRE:
        i = 1 - side
        if w.nodes[i].up:
            on_tripwire_data(w, i, at, data, size)
    elif c.kind == CONNECTION_SESSION and side == 1:
        if w.deaf_to[c.other]:
            kind = scan_tag(data, size, "35", &length)
            if kind is not NULL and kind[0] == c'2':
                w.deaf_to[c.other] -= 1
                return
        now = broker_now(w)
        broker_on_bytes(&w.brokers[c.other], data, size, &now)
        broker_turn(w, c.other)
    elif c.kind == CONNECTION_CLIENT and side == 0:
        w.clients[c.other].links[c.node].heard_at = w.net.now
        simclient_on_bytes(&w.clients[c.other], c.node, data, size)
        client_flush(w, c.other)
    elif w.nodes[i].up:
        if c.kind == CONNECTION_SESSION:
            take(w, i, c.other, &w.nodes[i].sessions[c.other], data, size, 1)
        else:
            take(w, i, <uint16_t>c.slot, &w.nodes[i].slots[c.slot], data, size, 0)
        watch_log(w, i)
        turn(w, i)


cdef void take(World w, uint16_t i, uint16_t k, stream_t* stream, const uint8_t* data, uint32_t size,
               bint session) noexcept nogil:
    cdef instant_t now = now_of(w, i)
    cdef uint32_t used
    size = min(size, SIM_NODE_RX_BYTES - stream.filled)
    memcpy(stream.bytes + stream.filled, data, size)
    stream.filled += size
    if session:
        used = <uint32_t>node_on_session_bytes(w.nodes[i].n, k, stream.bytes, stream.filled, &now)
    else:
        used = <uint32_t>node_on_client_bytes(w.nodes[i].n, k, stream.bytes, stream.filled, &now)
    memmove(stream.bytes, stream.bytes + used, stream.filled - used)
    stream.filled -= used
