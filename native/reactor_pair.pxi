# The peer: datagrams of the replication, and the tripwire. Part of reactor.pyx.


cdef void read_path(Reactor self, int path) noexcept nogil:
    cdef ssize_t size
    cdef int i
    for i in range(DATAGRAMS_PER_TURN):
        size = receive_datagram(self, path)
        if size < 0:
            # A refused datagram of ours (ICMP) shows as an error once; the next call reads on.
            if c_errno == EAGAIN or i > 0:
                break
            continue
        node_on_datagram(self.node, self.datagram, size, &self.now)
        # One that comes alone is acted on before the kernel is asked for a second one.
        if self.node.truncation_due or self.path_turns[path] + 1 != self.turns:
            break
    self.path_turns[path] = self.turns
    self.unasked_turns = 0


cdef bint look_at_paths(Reactor self, int looks) noexcept nogil:
    """1 if a datagram has come. Where one came in the last turn, there may be many: read_path takes them all."""
    cdef ssize_t size
    cdef int _i
    cdef int path
    for path in range(self.path_count):
        if self.path_turns[path] + 1 == self.turns:
            return 0
    for _i in range(looks):
        for path in range(self.path_count):
            size = receive_datagram(self, path)
            if size >= 0:
                read_clock(self)
                node_on_datagram(self.node, self.datagram, size, &self.now)
                self.path_turns[path] = self.turns
                self.unasked_turns = 0
                return 1
    return 0


cdef inline ssize_t receive_datagram(Reactor self, int path) noexcept nogil:
    # MSG_TRUNC: its true length, so that one that is too long is told from one that is cut off.
    cdef ssize_t size = receive_now(self.path_fds[path], self.datagram, MAX_DATAGRAM_BYTES, MSG_TRUNC)
    self.datagrams_received += size >= 0
    return size


cdef void send_datagrams(Reactor self) noexcept nogil:
    cdef uint8_t to_node = 0
    cdef size_t size
    cdef uint32_t _i
    cdef int path
    for _i in range(node_datagrams_per_turn(self.node)):
        size = node_poll_datagram(self.node, &self.now, self.datagram, &to_node)
        if size == 0:
            break
        for path in range(self.path_count):
            if send_now(self.path_fds[path], self.datagram, size) < 0:
                self.send_errors += 1      # lost, as on any network: the protocol retransmits
        self.datagrams_sent += 1
    else:
        self.more = 1
    node_datagrams_sent(self.node)


cdef void tripwire_accept(Reactor self) noexcept nogil:
    cdef int fd = accept4(self.tripwire_listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
    if fd < 0:
        return
    if self.greeting.fd >= 0:        # only one may be unverified: the latest
        stream_close(&self.greeting)
    self.greeting.fd = fd
    self.greeting.filled = 0
    self.greeting.deadline_mono_ns = self.now.mono_ns + GREETING_TIMEOUT_NS
    watch(self, fd, tag_of(ON_GREETING, 0), EPOLLIN, EPOLL_CTL_ADD)


cdef void dial_new_peer(Reactor self) noexcept nogil:
    """A peer that has just come up is dialled at once: an attempt on its former life says nothing."""
    cdef uint64_t met = self.node.channel.peer_incarnation[self.node.config.role.peer]
    if met == self.tripwire_incarnation or self.tripwire_peer.length == 0:
        return
    self.tripwire_incarnation = met
    if not self.tripwire_verified:
        stream_close(&self.tripwire)
        tripwire_connect(self)


cdef void tripwire_connect(Reactor self) noexcept nogil:
    cdef address_t anywhere
    memset(&anywhere, 0, sizeof(anywhere))
    self.tripwire_retry_mono_ns = self.now.mono_ns + TRIPWIRE_RETRY_NS
    self.tripwire.fd = open_stream(&self.tripwire_peer, &anywhere, NULL)
    self.tripwire.filled = 0
    self.tripwire.connecting = 1
    self.tripwire_verified = 0
    self.tripwire.deadline_mono_ns = self.now.mono_ns + GREETING_TIMEOUT_NS
    if self.tripwire.fd >= 0:
        watch(self, self.tripwire.fd, tag_of(ON_TRIPWIRE, 0), EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD)


cdef void tripwire_event(Reactor self, stream_t* s, uint64_t tag, uint32_t events) noexcept nogil:
    cdef uint8_t greeting[GREETING_BYTES]
    cdef uint8_t excess[64]
    cdef ssize_t size
    cdef bint accepted = s == &self.greeting
    if s.fd < 0:
        return
    if s.connecting:
        if connect_error(s.fd) != 0 or events & EPOLLHUP:
            tripwire_gone(self)
            return
        s.connecting = 0
        watch(self, s.fd, tag, EPOLLIN, EPOLL_CTL_MOD)
        size = node_seal_greeting(self.node, greeting, &self.now)
        send_now(s.fd, greeting, size)
        return
    if not accepted and self.tripwire_verified:
        size = receive_now(s.fd, excess, sizeof(excess), 0)      # nothing but its end is ever of interest
    else:
        size = receive_now(s.fd, s.rx + s.filled, s.rx_bytes - s.filled, 0)
    if size < 0 and (c_errno == EAGAIN or c_errno == EINTR):
        return
    if size <= 0:
        if accepted:
            stream_close(s)
        else:
            tripwire_gone(self)
        return
    if not accepted and self.tripwire_verified:
        return
    s.filled += <uint32_t>size
    if s.filled < GREETING_BYTES:
        return
    if not node_greeting_is_fresh(self.node, s.rx, GREETING_BYTES, &self.now):
        if accepted:
            stream_close(s)
        else:
            tripwire_gone(self)
        return
    if accepted:
        # the peer has connected anew: its old connection means nothing any more
        if self.tripwire.fd >= 0:
            stream_close(&self.tripwire)
        self.tripwire.fd = s.fd
        s.fd = -1
        size = node_seal_greeting(self.node, greeting, &self.now)
        send_now(self.tripwire.fd, greeting, size)
    hold_tripwire(self)
    self.tripwire_verified = 1
    node_on_tripwire(self.node, 1, &self.now)


cdef void hold_tripwire(Reactor self) noexcept nogil:
    """From here on only its end is of interest, and that must come at once when this process dies."""
    epoll_ctl(self.epoll_fd, EPOLL_CTL_DEL, self.tripwire.fd, NULL)
    self.tripwire.fd = lifeline_hold(self.lifeline_fd, self.tripwire.fd)
    watch(self, self.tripwire.fd, tag_of(ON_TRIPWIRE, 0), EPOLLIN, EPOLL_CTL_ADD)


cdef void tripwire_gone(Reactor self) noexcept nogil:
    stream_close(&self.tripwire)
    self.tripwire.connecting = 0
    self.tripwire_retry_mono_ns = self.now.mono_ns + TRIPWIRE_RETRY_NS
    if self.tripwire_verified:
        self.tripwire_verified = 0
        node_on_tripwire(self.node, 0, &self.now)
