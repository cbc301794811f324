# Turns and timers of counterparties and clients. Part of sim.pyx.


cdef instant_t broker_now(World w) noexcept nogil:
    return instant_t(w.net.now, WALL_START_NS + (w.net.now - START_NS))


cdef void broker_turn(World w, uint16_t k) noexcept nogil:
    cdef broker_t* b = &w.brokers[k]
    cdef instant_t now = broker_now(w)
    cdef const uint8_t* data = NULL
    cdef uint32_t size
    cdef uint64_t at
    broker_drain(b, &now)
    while b.connection >= 0:
        size = <uint32_t>session_tx_peek(b.session, NEVER, &data)
        if size == 0:
            break
        net_send(&w.net, b.connection, 1, data, size)
        session_tx_consume(b.session, size, &now)
    if b.connection >= 0 and session_closing(b.session):
        broker_gone(w, k)
    at = session_deadline(b.session)
    if at != NEVER and (w.broker_timer_at[k] <= w.net.now or at < w.broker_timer_at[k]):
        w.broker_timer_at[k] = max(at, w.net.now + 1000)
        queue_push(&w.net.queue, w.broker_timer_at[k], EVENT_BROKER_TIMER, k, 0, 0, NULL, 0)


cdef void broker_timer(World w, uint16_t k) noexcept nogil:
    cdef instant_t now = broker_now(w)
    if w.net.now < w.muted_until[k]:
        queue_push(&w.net.queue, w.muted_until[k], EVENT_BROKER_TIMER, k, 0, 0, NULL, 0)
        return
    if w.brokers[k].connection >= 0:
        session_on_timer(w.brokers[k].session, &now)
    broker_turn(w, k)


cdef void broker_gone(World w, uint16_t k) noexcept nogil:
    """The counterparty closes its connection."""
    cdef instant_t now = broker_now(w)
    net_close(&w.net, w.brokers[k].connection, 1, 0)
    broker_on_disconnected(&w.brokers[k], &now)


cdef void client_turn(World w, uint16_t k) noexcept nogil:
    cdef simclient_t* c = &w.clients[k]
    cdef int link
    for link in range(2):
        if c.down or c.links[link].phase == SIM_CONNECTING:
            continue
        if c.links[link].phase == SIM_DOWN:
            c.links[link].connection = net_connect(&w.net, CONNECTION_CLIENT, link, <uint8_t>k)
            c.links[link].phase = SIM_CONNECTING
            c.links[link].heard_at = w.net.now
        elif w.net.now - c.links[link].heard_at > CLIENT_PATIENCE_NS:
            net_close(&w.net, c.links[link].connection, 0, 0)
            simclient_on_disconnected(c, link)
        elif c.links[link].phase == SIM_STANDBY:
            simclient_tell_positions(c, link)
            simclient_ping(c, link)
        else:
            simclient_ping(c, link)
    client_flush(w, k)
    queue_push(&w.net.queue, w.net.now + CLIENT_TURN_NS, EVENT_CLIENT_TURN, k, 0, 0, NULL, 0)


cdef void client_flush(World w, uint16_t k) noexcept nogil:
    cdef simclient_t* c = &w.clients[k]
    cdef int link
    for link in range(2):
        if c.links[link].connection < 0:
            continue
        if c.links[link].out_size:
            net_send(&w.net, c.links[link].connection, 0, c.links[link].out, c.links[link].out_size)
            c.links[link].out_size = 0
        if c.links[link].phase == SIM_CLOSING:
            net_close(&w.net, c.links[link].connection, 0, 0)
            simclient_on_disconnected(c, link)


cdef void next_order(World w, uint16_t k) noexcept nogil:
    if w.net.now >= w.config.faults_end:
        return
    if not w.clients[k].down:
        simclient_new_order(&w.clients[k], <uint8_t>random_below(&w.chance, w.config.sessions))
        client_flush(w, k)
    queue_push(&w.net.queue, w.net.now + 1 + random_below(&w.chance, 2 * w.config.order_every_ns),
               EVENT_ORDER, k, 0, 0, NULL, 0)
