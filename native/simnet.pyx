"""The simulated network. May depend on: simqueue, simrandom."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from .simqueue cimport event_t, queue_again, queue_free, queue_init, queue_push, queue_push_numbered
from .simrandom cimport random_below, random_chance

cdef enum:
    MAX_PIECE_BYTES = 9000


cdef int net_init(net_t* net, uint64_t seed) noexcept nogil:
    cdef int i
    memset(net, 0, sizeof(net_t))
    net.chance.state = seed
    for i in range(LINKS):
        net.links[i].delay_ns = 20000 if i < LINK_REGISTER or i >= LINK_CLIENT else 200000
        net.links[i].jitter_ns = 60000 if i < LINK_REGISTER or i >= LINK_CLIENT else 600000
    return queue_init(&net.queue)


cdef void net_free(net_t* net) noexcept nogil:
    queue_free(&net.queue)


cdef bint net_is_cut(const net_t* net, uint8_t link, uint8_t direction) noexcept nogil:
    return net.now < net.links[link].cut_until[direction]


cdef inline bint is_bad(const net_t* net, uint8_t link) noexcept nogil:
    return net.now < net.links[link].bad_until


cdef uint64_t delay_of(net_t* net, uint8_t link) noexcept nogil:
    cdef link_quality_t* q = &net.links[link]
    return q.delay_ns + random_below(&net.chance, q.bad_jitter_ns if is_bad(net, link) else q.jitter_ns)


# --- datagrams --------------------------------------------------------------------------------------------------------

cdef void net_datagram(net_t* net, uint8_t path, uint8_t from_node, const uint8_t* data, uint32_t size) noexcept nogil:
    net_message(net, path, from_node, EVENT_DATAGRAM, 1 - from_node, path, 0, data, size)


cdef void net_message(net_t* net, uint8_t link, uint8_t direction, uint16_t kind, uint16_t a, uint32_t b, uint32_t c,
                      const uint8_t* data, uint32_t size) noexcept nogil:
    cdef link_quality_t* q = &net.links[link]
    cdef bint bad = is_bad(net, link)
    if net_is_cut(net, link, direction) or (bad and random_chance(&net.chance, q.loss)):
        net.lost += 1
        return
    push_maybe_corrupt(net, link, kind, a, b, c, data, size)
    if bad and random_chance(&net.chance, q.repeat):
        push_maybe_corrupt(net, link, kind, a, b, c, data, size)


cdef void push_maybe_corrupt(net_t* net, uint8_t link, uint16_t kind, uint16_t a, uint32_t b, uint32_t c,
                             const uint8_t* data, uint32_t size) noexcept nogil:
    cdef uint8_t copy[MAX_PIECE_BYTES]
    cdef link_quality_t* q = &net.links[link]
    cdef uint64_t at = net.now + delay_of(net, link)
    if kind == EVENT_DATAGRAM and is_bad(net, link) and random_chance(&net.chance, q.corrupt) and size:
        memcpy(copy, data, size)
        copy[random_below(&net.chance, size)] ^= <uint8_t>(1 << random_below(&net.chance, 8))
        queue_push(&net.queue, at, kind, a, b, c, copy, size)
        return
    queue_push(&net.queue, at, kind, a, b, c, data, size)


# --- connections ------------------------------------------------------------------------------------------------------

cdef inline uint8_t direction_from(const connection_t* c, int side) noexcept nogil:
    return <uint8_t>(side if c.kind == CONNECTION_SESSION else 1 - side)


cdef void push_ordered(net_t* net, int32_t connection, int side, uint16_t kind, const uint8_t* data,
                       uint32_t size) noexcept nogil:
    """From `side`, behind everything that it sent before."""
    cdef connection_t* c = &net.connections[connection]
    cdef uint64_t at = max(net.now + delay_of(net, c.link), c.last_at[side])
    c.last_at[side] = at
    c.sent[side] += 1
    queue_push_numbered(&net.queue, at, kind, <uint16_t>(1 - side), connection, c.serial, data, size, c.sent[side])


cdef int32_t net_connect(net_t* net, connection_kind kind, uint8_t node, uint8_t other) noexcept nogil:
    cdef int32_t i
    cdef uint32_t serial
    cdef connection_t* c
    for i in range(MAX_CONNECTIONS):
        c = &net.connections[i]
        if c.used:
            continue
        serial = c.serial + 1
        memset(c, 0, sizeof(connection_t))
        c.serial = serial
        c.used = 1
        c.kind = kind
        c.node = node
        c.other = other
        c.slot = -1
        c.open[0] = 1
        c.link = <uint8_t>(LINK_BROKER + node if kind == CONNECTION_SESSION else
                           (LINK_CLIENT + node if kind == CONNECTION_CLIENT else LINK_TRIPWIRE))
        push_ordered(net, i, 0, EVENT_CONNECT, NULL, 0)
        queue_push(&net.queue, net.now + CONNECT_TIMEOUT_NS, EVENT_REFUSED, 0, i, serial, NULL, 0)
        return i
    return -1


cdef void net_accept(net_t* net, int32_t connection) noexcept nogil:
    net.connections[connection].open[1] = 1
    push_ordered(net, connection, 1, EVENT_CONNECTED, NULL, 0)


cdef void net_refuse(net_t* net, int32_t connection) noexcept nogil:
    push_ordered(net, connection, 1, EVENT_REFUSED, NULL, 0)


cdef void net_send(net_t* net, int32_t connection, int side, const uint8_t* data, uint32_t size) noexcept nogil:
    """One or two pieces: a stream has no message boundaries."""
    cdef uint32_t first = size
    if size > 1 and random_chance(&net.chance, 100000):
        first = <uint32_t>(1 + random_below(&net.chance, size - 1))
    push_ordered(net, connection, side, EVENT_DATA, data, first)
    if first < size:
        push_ordered(net, connection, side, EVENT_DATA, data + first, size - first)


cdef void net_close(net_t* net, int32_t connection, int side, bint reset) noexcept nogil:
    cdef connection_t* c = &net.connections[connection]
    if not c.open[side]:
        return
    c.open[side] = 0
    c.reset[side] = reset
    if c.open[1 - side]:
        push_ordered(net, connection, side, EVENT_CLOSE, NULL, 0)
    else:
        c.used = 0


cdef void net_power_lost(net_t* net, int32_t connection, int side) noexcept nogil:
    cdef connection_t* c = &net.connections[connection]
    c.open[side] = 0
    c.dead[side] = 1
    if not c.open[1 - side]:
        c.used = 0


cdef bint net_holds(net_t* net, event_t* event) noexcept nogil:
    cdef connection_t* c = &net.connections[event.b]
    cdef int side = 1 - event.a
    if not c.used or c.serial != event.c or (event.number == 0 and c.connected):
        free(event.data)
        return 1
    if event.number == 0:
        return 0                   # the time-out of a connection attempt
    if net_is_cut(net, c.link, direction_from(c, side)):
        net_hold_until(net, event, net.links[c.link].cut_until[direction_from(c, side)])
        return 1
    if event.number != c.taken[side] + 1:
        net_hold_until(net, event, max(net.now, c.hold_until[side]) + 1000)
        return 1
    return 0


cdef void net_hold_until(net_t* net, event_t* event, uint64_t until) noexcept nogil:
    cdef connection_t* c = &net.connections[event.b]
    cdef int side = 1 - event.a
    if event.number == c.taken[side] + 1:
        c.hold_until[side] = until
    c.last_at[side] = max(c.last_at[side], until)
    queue_again(&net.queue, event, until)


cdef bint net_take(net_t* net, event_t* event) noexcept nogil:
    cdef connection_t* c = &net.connections[event.b]
    cdef int side = 1 - event.a
    net.delivered += 1
    if event.number == 0:
        return 1
    c.taken[side] += 1
    if event.kind == EVENT_DATA and c.reset[side]:
        free(event.data)
        return 0
    return 1
