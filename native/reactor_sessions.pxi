# Connections to and from counterparties. Part of reactor.pyx.


cdef void session_connect(Reactor self, uint16_t i) noexcept nogil:
    cdef stream_t* s = &self.sessions[i]
    cdef uint8_t endpoint = self.node.links[i].endpoint
    s.filled = 0
    s.connecting = 1
    s.wants_write = 1
    s.deadline_mono_ns = self.now.mono_ns + self.connect_timeouts_ns[i]
    if self.dialled[i] >> endpoint & 1:
        s.deadline_mono_ns += DIAL_MARGIN_NS
        return
    s.fd = open_stream(&self.endpoints[i][endpoint], &self.sources[i][endpoint], &self.options[i][endpoint])
    if s.fd < 0 or not watch(self, s.fd, tag_of(ON_SESSION, i), EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD):
        session_gone(self, i, 0)


cdef void adopt(Reactor self, const command_t* c, const uint8_t* data, uint32_t size) noexcept nogil:
    """A connection that the control thread has made or accepted."""
    cdef uint16_t i = <uint16_t>c.session
    cdef stream_t* s = &self.sessions[i]
    cdef int fd = <int>c.b
    cdef bint wanted
    if not self.node.links[i].accepting:
        wanted = s.connecting and s.fd < 0 and self.node.links[i].attempts == c.a
    else:
        wanted = node_take_accept(self.node, i, &self.now)
        self.refused_sessions += not wanted
    if not wanted or fd < 0 or size > s.rx_bytes:
        if fd >= 0:
            close(fd)
        if wanted:
            session_gone(self, i, 0)
        return
    s.fd = fd
    s.connecting = 0
    s.wants_write = 0
    s.local = is_own_host(fd)
    s.filled = size
    memcpy(s.rx, data, size)
    if not watch(self, fd, tag_of(ON_SESSION, i), EPOLLIN, EPOLL_CTL_ADD):
        session_gone(self, i, 0)
        return
    node_on_session_connected(self.node, i, &self.now)
    if size:
        stream_consume(s, node_on_session_bytes(self.node, i, s.rx, s.filled, &self.now))


cdef void session_event(Reactor self, uint16_t i, uint32_t events) noexcept nogil:
    cdef stream_t* s = &self.sessions[i]
    if s.fd < 0:
        return
    if s.connecting:
        if connect_error(s.fd) != 0 or events & EPOLLHUP:
            session_gone(self, i, 0)
            return
        s.connecting = 0
        s.local = is_own_host(s.fd)
        node_on_session_connected(self.node, i, &self.now)
        session_write(self, i)
        return
    if events & EPOLLOUT:
        session_write(self, i)
    if s.fd >= 0 and events & (EPOLLIN | EPOLLHUP | EPOLLERR):
        session_read(self, i)


cdef void session_read(Reactor self, uint16_t i) noexcept nogil:
    cdef stream_t* s = &self.sessions[i]
    cdef ssize_t size = receive_now(s.fd, s.rx + s.filled, s.rx_bytes - s.filled, 0)
    if size < 0 and (c_errno == EAGAIN or c_errno == EINTR):
        return
    if size <= 0:
        session_gone(self, i, 0)
        return
    s.filled += <uint32_t>size
    stream_consume(s, node_on_session_bytes(self.node, i, s.rx, s.filled, &self.now))


cdef void session_write(Reactor self, uint16_t i) noexcept nogil:
    cdef stream_t* s = &self.sessions[i]
    cdef const uint8_t* data = NULL
    cdef size_t size
    cdef ssize_t sent
    if s.fd < 0 or s.connecting:
        node_session_rests(self.node, i)
        return
    if self.node.links[i].reset:
        session_gone(self, i, 1)
        return
    while True:
        size = node_session_tx_gather(self.node, i, self.gathered, RUN_BYTES, &data)
        if size == 0:
            break
        sent = send_now(s.fd, data, size)
        if sent < 0:
            if c_errno == EAGAIN or c_errno == EINTR:
                want_write(self, s, tag_of(ON_SESSION, i), 1)
                node_session_rests(self.node, i)
            else:
                session_gone(self, i, 0)
            return
        node_session_tx_consume(self.node, i, sent, &self.now)
        self.give_way |= s.local
    node_session_sent(self.node, i)
    if s.wants_write:
        want_write(self, s, tag_of(ON_SESSION, i), 0)
    if node_session_closing(self.node, i):
        session_gone(self, i, 0)


cdef void session_gone(Reactor self, uint16_t i, bint reset) noexcept nogil:
    cdef stream_t* s = &self.sessions[i]
    if s.fd >= 0:
        if reset:
            set_reset_on_close(s.fd)
            close(s.fd)
        elif s.connecting:
            close(s.fd)
        else:
            let_linger(self, s.fd)
    s.fd = -1
    s.connecting = 0
    s.filled = 0
    node_on_session_disconnected(self.node, i, &self.now)
