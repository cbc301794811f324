# Clients' connections, and those in shared memory. Part of reactor.pyx.


cdef void client_accept(Reactor self) noexcept nogil:
    cdef int fd = accept4(self.client_listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
    if fd >= 0 and client_enter(self, fd, is_own_host(fd), NULL) >= 0:
        set_int_option(fd, IPPROTO_TCP, TCP_NODELAY, 1)
        set_keepalive(fd, KEEPALIVE_S)


cdef void adopt_client(Reactor self, int fd, uint8_t* memory) noexcept nogil:
    """One whose bytes are in shared memory; the control thread has made it, and accepted the client's socket."""
    cdef int32_t slot = client_enter(self, fd, 1, memory)
    if slot < 0 or shared_attach(&self.clients[slot].shared, memory, 1) != 0:
        munmap(memory, SHARED_BYTES)
        if slot >= 0:
            client_gone(self, slot)
        return
    self.shared_clients |= <uint64_t>1 << slot


cdef int32_t client_enter(Reactor self, int fd, bint local, uint8_t* memory) noexcept nogil:
    """The slot of a new connection, or -1: there is none, and it is closed. `memory`: a client's in shared memory."""
    cdef int32_t slot = node_on_client_connected(self.node, local, &self.now)
    if slot >= 0 and self.clients[slot].fd >= 0:
        self.refused_connections += 1
        client_release(self, slot, 0)
    if slot < 0 or self.stopping or not watch(self, fd, tag_of(ON_CLIENT, slot), EPOLLIN, EPOLL_CTL_ADD):
        self.refused_connections += 1
        if slot >= 0:
            node_on_client_disconnected(self.node, slot, &self.now)
        else:
            tell_full(fd, memory)
        close(fd)
        return -1
    self.clients[slot].fd = fd
    self.clients[slot].filled = 0
    self.clients[slot].wants_write = 0
    self.clients[slot].stuck = 0
    return slot


cdef void tell_full(int fd, uint8_t* memory) noexcept nogil:
    cdef const char* text = "every place for a client is taken: close some, or use fewer connections"
    cdef uint8_t frame[FRAME_HEADER_BYTES + 128]
    cdef frame_header_t header
    cdef shared_stream_t shared
    memset(&header, 0, sizeof(header))
    header.length = FRAME_HEADER_BYTES + <uint32_t>strlen(text)
    header.type = FRAME_ERROR
    header.flags = ERROR_FULL
    memcpy(frame, &header, FRAME_HEADER_BYTES)
    memcpy(frame + FRAME_HEADER_BYTES, text, strlen(text))
    if memory is NULL:
        send_now(fd, frame, header.length)
    elif shared_attach(&shared, memory, 1) == 0:
        shared_write(&shared, frame, header.length)      # the end of its socket wakes it


cdef void client_event(Reactor self, int32_t slot, uint32_t events) noexcept nogil:
    cdef stream_t* s = &self.clients[slot]
    cdef uint8_t wakeups[256]
    cdef ssize_t size
    cdef int _i
    if s.fd < 0:
        return
    if events & EPOLLOUT:
        client_write(self, slot)
    if s.fd < 0 or not events & (EPOLLIN | EPOLLHUP | EPOLLERR):
        return
    if s.shared.memory is not NULL:
        size = receive_now(s.fd, wakeups, sizeof(wakeups), 0)
    else:
        size = receive_now(s.fd, s.rx + s.filled, s.rx_bytes - s.filled, 0)
    if size < 0 and (c_errno == EAGAIN or c_errno == EINTR):
        return
    if size <= 0:
        for _i in range(SHARED_LAST_READS):      # what it wrote before it left counts, as over TCP
            client_take_shared(self, slot)
        if s.fd >= 0:
            client_gone(self, slot)
    elif s.shared.memory is NULL:
        # What the client is told carries the acknowledgement; one of its own would go out before the order does.
        set_int_option(s.fd, IPPROTO_TCP, TCP_QUICKACK, 0)
        s.filled += <uint32_t>size
        client_take(self, slot)


cdef void clients_read(Reactor self) noexcept nogil:
    cdef uint64_t slots = self.shared_clients
    while slots:
        client_take_shared(self, count_trailing_zeros(slots))
        slots &= slots - 1


cdef void client_take_shared(Reactor self, int32_t slot) noexcept nogil:
    cdef stream_t* s = &self.clients[slot]
    cdef int64_t size = 0
    if s.shared.memory is not NULL:
        size = shared_read(&s.shared, s.rx + s.filled, s.rx_bytes - s.filled)
    if size < 0:
        client_gone(self, slot)
    elif size > 0:
        s.filled += <uint32_t>size
        if shared_must_wake_writer(&s.shared):
            wake_client(self, s)
        client_take(self, slot)


cdef bint clients_ready(Reactor self) noexcept nogil:
    cdef uint64_t slots = self.shared_clients
    cdef stream_t* s
    while slots:
        s = &self.clients[count_trailing_zeros(slots)]
        slots &= slots - 1
        if s.filled < s.rx_bytes and shared_readable(&s.shared):
            return 1
    return 0


cdef bint look_at_clients(Reactor self) noexcept nogil:
    """1 if one of those in shared memory has written something."""
    cdef int _i
    for _i in range(SHARED_LOOKS):
        if clients_ready(self):
            return 1
    return 0


cdef bint clients_sleep(Reactor self) noexcept nogil:
    """Clients wake us from now on. 1: one has written already."""
    cdef uint64_t slots = self.shared_clients
    while slots:
        shared_sleep(&self.clients[count_trailing_zeros(slots)].shared)
        slots &= slots - 1
    return clients_ready(self)


cdef void clients_awake(Reactor self) noexcept nogil:
    cdef uint64_t slots = 0 if self.busy_poll else self.shared_clients
    while slots:
        shared_awake(&self.clients[count_trailing_zeros(slots)].shared)
        slots &= slots - 1


cdef void wake_client(Reactor self, const stream_t* s) noexcept nogil:
    cdef uint8_t wakeup = 0
    send_now(s.fd, &wakeup, 1)       # where there is no room, wake-ups are on their way


cdef void client_take(Reactor self, int32_t slot) noexcept nogil:
    """Hands input to the node. While the node takes none, because the client does not read, none is read either."""
    cdef stream_t* s = &self.clients[slot]
    cdef bint stuck
    stream_consume(s, node_on_client_bytes(self.node, slot, s.rx, s.filled, &self.now))
    stuck = s.filled == s.rx_bytes
    if stuck != s.stuck and s.shared.memory is NULL:
        s.stuck = stuck
        want_write(self, s, tag_of(ON_CLIENT, slot), s.wants_write)


cdef void client_write(Reactor self, int32_t slot) noexcept nogil:
    cdef stream_t* s = &self.clients[slot]
    cdef const uint8_t* data = NULL
    cdef uint32_t size = client_tx_peek(&self.node.clients[slot], &data)
    cdef ssize_t sent = 0
    if size and s.shared.memory is not NULL:
        sent = shared_write(&s.shared, data, size)
        if sent < 0:
            client_gone(self, slot)
            return
        if shared_must_wake_reader(&s.shared):
            wake_client(self, s)
    elif size:
        sent = send_now(s.fd, data, size)
        if sent < 0 and c_errno != EAGAIN and c_errno != EINTR:
            client_gone(self, slot)
            return
    if sent > 0:
        client_tx_consume(&self.node.clients[slot], <uint32_t>sent)
        size -= <uint32_t>sent
        if size == 0:
            node_client_written(self.node, slot)
    if (size > 0) != s.wants_write and s.shared.memory is NULL:
        want_write(self, s, tag_of(ON_CLIENT, slot), size > 0)
    if size == 0 and sent > 0 and self.node.clients[slot].waits:
        self.more = 1                # there is room again for what the feed has not told yet
    if s.filled and size == 0 and sent > 0:
        client_take(self, slot)      # it has read: what had to wait may go on, and be answered
        self.more = 1
        size = client_tx_peek(&self.node.clients[slot], &data)
    if size == 0 and self.node.clients[slot].closing:
        client_release(self, slot, 1)
        node_on_client_disconnected(self.node, slot, &self.now)


cdef void client_gone(Reactor self, int32_t slot) noexcept nogil:
    client_release(self, slot, 0)
    node_on_client_disconnected(self.node, slot, &self.now)


cdef void client_release(Reactor self, int32_t slot, bint linger) noexcept nogil:
    """Closes the connection; what a client in shared memory was told stays there for it to read."""
    cdef stream_t* s = &self.clients[slot]
    if s.shared.memory is not NULL:
        munmap(s.shared.memory, SHARED_BYTES)
        s.shared.memory = NULL
        self.shared_clients &= ~(<uint64_t>1 << slot)
    if linger:
        let_linger(self, s.fd)
    else:
        close(s.fd)
    s.fd = -1
