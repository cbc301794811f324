# What every kind of connection needs. Part of reactor.pyx.


cdef void close_all(Reactor self) noexcept nogil:
    cdef int i
    cdef int _i
    for i in range(MAX_SESSIONS):
        if self.sessions[i].fd >= 0:
            session_gone(self, <uint16_t>i, 0)
    for i in range(MAX_CLIENT_CONNECTIONS):
        if self.clients[i].fd >= 0:
            client_write(self, i)
        if self.clients[i].fd >= 0:
            client_release(self, i, 1)
    for i in range(MAX_LINGERING):
        for _i in range(LAST_DRAINS):
            if not drain_lingering(self, i):
                break
        if self.lingering[i] >= 0:
            close(self.lingering[i])
    stream_close(&self.tripwire)
    stream_close(&self.greeting)


cdef void let_linger(Reactor self, int fd) noexcept nogil:
    """Closes without destroying what was sent: unread input would turn the close into a reset."""
    cdef int i
    c_shutdown(fd, SHUT_WR)
    for i in range(MAX_LINGERING):
        if self.lingering[i] < 0:
            self.lingering[i] = fd
            self.lingering_until[i] = self.now.mono_ns + LINGER_NS
            watch(self, fd, tag_of(ON_LINGERING, i), EPOLLIN, EPOLL_CTL_MOD)
            drain_lingering(self, i)
            return
    close(fd)


cdef bint drain_lingering(Reactor self, int i) noexcept nogil:
    """1 if there may be more. That is for later turns: who sends on and on must not keep all others waiting."""
    cdef uint8_t waste[4096]
    cdef ssize_t size = 1
    cdef int _i
    if self.lingering[i] < 0:
        return 0
    for _i in range(DRAINED_AT_ONCE):
        size = receive_now(self.lingering[i], waste, sizeof(waste), 0)
        if size <= 0:
            break
    if size == 0 or (size < 0 and c_errno != EAGAIN and c_errno != EINTR):
        close(self.lingering[i])
        self.lingering[i] = -1
    return size > 0


cdef void want_write(Reactor self, stream_t* s, uint64_t tag, bint wanted) noexcept nogil:
    s.wants_write = wanted
    watch(self, s.fd, tag, (0 if s.stuck else EPOLLIN) | (EPOLLOUT if wanted else 0), EPOLL_CTL_MOD)


cdef bint watch(Reactor self, int fd, uint64_t tag, uint32_t events, int operation) noexcept nogil:
    cdef epoll_event event
    memset(&event, 0, sizeof(event))
    event.events = events
    event.data.u64 = tag
    return epoll_ctl(self.epoll_fd, operation, fd, &event) == 0


cdef void read_clock(Reactor self) noexcept nogil:
    self.node.stages.arrived = ticks_read(&self.clock, &self.now.mono_ns, &self.now.wall_ns)


cdef void stream_init(stream_t* s) noexcept nogil:
    memset(s, 0, sizeof(stream_t))
    s.fd = -1


cdef void stream_allocate(stream_t* s, uint32_t size):
    s.rx = <uint8_t*>malloc(size)
    if s.rx is NULL:
        raise MemoryError
    memset(s.rx, 0, size)
    s.rx_bytes = size


cdef void stream_consume(stream_t* s, size_t used) noexcept nogil:
    if used >= s.filled:
        s.filled = 0
    elif used:
        memmove(s.rx, s.rx + used, s.filled - used)
        s.filled -= <uint32_t>used


cdef void stream_close(stream_t* s) noexcept nogil:
    if s.fd >= 0:
        close(s.fd)
    s.fd = -1
    s.filled = 0


cdef int open_stream(const address_t* target, const address_t* source, const socket_options_t* options) noexcept nogil:
    """A non-blocking TCP socket that is connecting to target; -1 when that failed at once, or an option is refused."""
    cdef uint32_t i
    cdef int fd
    if target.length == 0:
        return -1
    fd = c_socket(target.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if fd < 0:
        return -1
    set_int_option(fd, IPPROTO_TCP, TCP_NODELAY, 1)
    for i in range(options.count if options is not NULL else 0):
        if set_option(fd, options.entries[i].level, options.entries[i].name, options.entries[i].value,
                      options.entries[i].size) != 0:
            close(fd)
            return -1
    # The port is chosen with the connection, so that many connections to one place can have the same source.
    if source.length:
        set_int_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    if source.length and c_bind(fd, <const sockaddr*>source.bytes, source.length) != 0:
        close(fd)
        return -1
    if c_connect(fd, <const sockaddr*>target.bytes, target.length) != 0 and c_errno != EINPROGRESS:
        close(fd)
        return -1
    return fd


cdef int address_set(address_t* a, str host, int port) except -1:
    """Numeric address as a struct sockaddr_in or sockaddr_in6 (man 7 ip, man 7 ipv6)."""
    cdef bytes raw
    parsed = ipaddress.ip_address(host)
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port}: 0 to 65535")
    if parsed.version == 4:
        a.family = socket.AF_INET
        raw = struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + parsed.packed + bytes(8)
    else:
        a.family = socket.AF_INET6
        raw = struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, 0) + parsed.packed + bytes(4)
    a.length = <uint32_t>len(raw)
    memcpy(a.bytes, <const char*>raw, len(raw))
    return 0
