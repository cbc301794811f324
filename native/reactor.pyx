"""The only file that makes system calls on sockets, and the only one that reads the clock.

One thread without the GIL drives a node. May depend on: node. Decides nothing: what to send, when to connect and whom
to refuse is the node's to say.
"""

import ipaddress
import os
import socket
import struct
from enum import IntEnum

from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, errno as c_errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset
from posix.unistd cimport close, read, write

from .datagram cimport MAX_DATAGRAM_BYTES
from .feed cimport client_tx_consume, client_tx_peek
from .lifeline cimport lifeline_hold, lifeline_start
from .node cimport (GREETING_BYTES, NOTE_COMMAND_DONE, NOTE_REGISTER_REQUEST, NOTE_STOPPED, NOTE_TRUNCATION,
                    node_advance, node_client_written, node_datagrams_per_turn, node_datagrams_sent, node_deadline,
                    node_end_turn, node_fill_logon, node_greeting_is_fresh, node_next_session, node_on_client_bytes,
                    node_on_client_connected, node_on_client_disconnected, node_on_command, node_on_datagram,
                    node_on_register, node_on_session_bytes, node_on_session_command, node_on_session_connected,
                    node_on_session_disconnected, node_on_timer, node_on_tripwire, node_poll_datagram,
                    node_seal_greeting, node_session_closing, node_session_rests, node_session_sent,
                    node_session_tx_consume, node_session_tx_gather, node_set_kill, node_settle, node_start,
                    node_stop, node_stopped, node_take_accept, node_take_connect, node_take_register_request,
                    node_truncated, note_t, session_command)
from .ring cimport RING_HEADER_BYTES, ring_init, ring_peek, ring_release, ring_t, ring_write
from .role cimport register_outcome, register_request_t, register_value_t, role_command
from .sharedstream cimport (SHARED_BYTES, SHARED_RING_BYTES, shared_attach, shared_awake, shared_must_wake_reader,
                            shared_must_wake_writer, shared_read, shared_readable, shared_sleep, shared_write)
from .ticks cimport ticks_counter, ticks_kernel, ticks_read, ticks_start

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <sched.h>
    #include <string.h>
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/mman.h>
    #include <sys/socket.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>

    /* Not by the C library's functions, where there are others: those make themselves points where threads can be
       cancelled, by two locked instructions each. */
    static inline ssize_t receive_now(int fd, void *data, size_t size, int flags) {
    #ifdef SYS_recvfrom
        return syscall(SYS_recvfrom, fd, data, size, MSG_DONTWAIT | flags, NULL, NULL);
    #else
        return recv(fd, data, size, MSG_DONTWAIT | flags);
    #endif
    }
    static inline ssize_t send_now(int fd, const void *data, size_t size) {
    #ifdef SYS_sendto
        return syscall(SYS_sendto, fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
    #else
        return send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    #endif
    }
    /* Waits with ns resolution where the kernel can (5.11), else rounded up to a millisecond. */
    static int wait_events(int epoll_fd, struct epoll_event *events, int capacity, long long timeout_ns) {
    #ifdef SYS_epoll_pwait2
        static int missing = 0;
        if (timeout_ns > 0 && !missing) {
            struct timespec t = { timeout_ns / 1000000000LL, timeout_ns % 1000000000LL };
            int n = (int)syscall(SYS_epoll_pwait2, epoll_fd, events, capacity, &t, NULL, 0);
            if (n >= 0 || errno != ENOSYS) return n;
            missing = 1;
        }
    #endif
    #ifdef SYS_epoll_wait
        if (timeout_ns == 0) return (int)syscall(SYS_epoll_wait, epoll_fd, events, capacity, 0);
    #endif
        return epoll_wait(epoll_fd, events, capacity, timeout_ns < 0 ? -1 : (int)((timeout_ns + 999999) / 1000000));
    }
    static void set_int_option(int fd, int level, int name, int value) {
        setsockopt(fd, level, name, &value, sizeof value);
    }
    static int set_option(int fd, int level, int name, const void *value, unsigned size) {
        return setsockopt(fd, level, name, value, size);
    }
    static void set_reset_on_close(int fd) {
        struct linger l = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    /* A client whose host is gone holds its slot for three times `seconds` at most. */
    static void set_keepalive(int fd, int seconds) {
        int on = 1, probes = 2;
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    }
    static int is_own_host(int fd) {
        struct sockaddr_storage peer;
        socklen_t n = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &n) != 0) return 0;
        if (peer.ss_family == AF_INET) return ((unsigned char *)&((struct sockaddr_in *)&peer)->sin_addr)[0] == 127;
        return peer.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&peer)->sin6_addr);
    }
    static int connect_error(int fd) {
        int e = 0;
        socklen_t n = sizeof e;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
        return e;
    }
    """
    ctypedef union epoll_data_t:
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, EPOLL_CLOEXEC
    int EFD_NONBLOCK, EFD_CLOEXEC, SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC, SHUT_WR
    int MSG_TRUNC, IPPROTO_TCP, TCP_NODELAY, TCP_QUICKACK, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT
    cdef struct sockaddr:
        pass
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event*)
    int eventfd(unsigned int, int)
    int c_socket "socket"(int, int, int)
    int c_connect "connect"(int, const sockaddr*, uint32_t)
    int c_bind "bind"(int, const sockaddr*, uint32_t)
    int accept4(int, sockaddr*, uint32_t*, int)
    ssize_t receive_now(int, void*, size_t, int)
    ssize_t send_now(int, const void*, size_t)
    int c_shutdown "shutdown"(int, int)
    int sched_yield()
    int munmap(void*, size_t)
    int count_trailing_zeros "__builtin_ctzll"(unsigned long long)
    int wait_events(int, epoll_event*, int, long long)
    void set_int_option(int, int, int, int)
    int set_option(int, int, int, const void*, unsigned int)
    void set_reset_on_close(int)
    void set_keepalive(int, int)
    int connect_error(int)
    int is_own_host(int)

cdef enum:
    EVENTS_PER_TURN = 64
    RUN_BYTES = 1 << 16              # messages to one counterparty that leave by one call
    FLUSH_ROUNDS = 4                 # held orders that leave while feeds are filled are sent in the same turn
    LINGER_NS = 1000000000           # how long a closed connection's unread input is drained
    STOP_TIMEOUT_NS = 3000000000     # log-out of all sessions at a stop
    SHARED_LOOKS = 32                # at clients' memory, between two questions to the kernel: as long as one of these
    KEEPALIVE_S = 10
    CONNECT_TIMEOUT_NS = 1000000000  # unless configured
    DIAL_MARGIN_NS = 1000000000      # the control thread keeps the time-out itself
    COMMAND_DATA_BYTES = 16384       # that may come with a command
    SHARED_LAST_READS = 1 + SHARED_RING_BYTES // CLIENT_RX_BYTES
    TRIPWIRE_RETRY_NS = 20000000
    GREETING_TIMEOUT_NS = 1000000000
    # What an epoll event is about: kind << 32 | index.
    ON_COMMANDS = 1
    ON_PATH = 2
    ON_CLIENT_LISTEN = 3
    ON_CLIENT = 4
    ON_SESSION = 5
    ON_TRIPWIRE_LISTEN = 6
    ON_TRIPWIRE = 7
    ON_GREETING = 8
    ON_LINGERING = 9

CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

cdef uint64_t NEVER = <uint64_t>0xFFFFFFFFFFFFFFFF


cdef inline uint64_t tag_of(uint32_t kind, uint32_t index) noexcept nogil:
    return <uint64_t>kind << 32 | index


def kernel_trusts_the_counter():
    """Whether the processor's time stamp counter is the kernel's own clock source."""
    try:
        with open(CLOCK_SOURCE, encoding="ascii") as file:
            return file.read().strip() == "tsc"
    except OSError:
        return False


class Command(IntEnum):
    """`command_kind`: what the control thread may ask of the reactor."""

    STOP = REACTOR_STOP
    ROLE = REACTOR_ROLE
    REGISTER = REACTOR_REGISTER
    SESSION = REACTOR_SESSION
    KILL = REACTOR_KILL
    ADOPT = REACTOR_ADOPT
    FILL_LOGON = REACTOR_FILL_LOGON
    ADOPT_CLIENT = REACTOR_ADOPT_CLIENT


cdef class Reactor:
    """Drives one Node. Build it, give it its sockets, then call `run` on a thread of its own.

    All sockets handed in are non-blocking, bound (and listening, connected to the peer) already, and stay the caller's
    to close after `run` has returned. Raises OSError when the kernel refuses an epoll or eventfd, MemoryError.
    """

    def __cinit__(self, Node owner not None, *, bint busy_poll=False, bint yield_when_idle=True):
        cdef int i
        self.owner = owner
        self.node = owner.handle
        self.busy_poll = busy_poll
        self.counter = kernel_trusts_the_counter()
        self.yield_when_idle = yield_when_idle
        self.client_listen_fd = self.tripwire_listen_fd = -1
        self.lifeline_fd = lifeline_start()
        self.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        self.command_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        self.notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if min(self.epoll_fd, self.command_fd, self.notify_fd) < 0:
            raise OSError(c_errno, os.strerror(c_errno))
        self.command_buffer = bytearray(RING_HEADER_BYTES + COMMAND_RING_BYTES)
        self.commands = <ring_t*>malloc(RING_HEADER_BYTES + COMMAND_RING_BYTES)
        self.datagram = <uint8_t*>malloc(MAX_DATAGRAM_BYTES)
        self.gathered = <uint8_t*>malloc(RUN_BYTES)
        if self.commands is NULL or self.datagram is NULL or self.gathered is NULL:
            raise MemoryError
        ring_init(self.commands, RING_HEADER_BYTES + COMMAND_RING_BYTES)
        for i in range(MAX_SESSIONS):
            stream_init(&self.sessions[i])
            self.connect_timeouts_ns[i] = CONNECT_TIMEOUT_NS
        for i in range(MAX_CLIENT_CONNECTIONS):
            stream_init(&self.clients[i])
        for i in range(MAX_LINGERING):
            self.lingering[i] = -1
        stream_init(&self.tripwire)
        stream_init(&self.greeting)
        for i in range(owner.handle.replica.session_count):
            stream_allocate(&self.sessions[i], SESSION_RX_BYTES)
        for i in range(MAX_CLIENT_CONNECTIONS):
            stream_allocate(&self.clients[i], CLIENT_RX_BYTES)
        stream_allocate(&self.tripwire, GREETING_BYTES)
        stream_allocate(&self.greeting, GREETING_BYTES)
        self._watch(self.command_fd, tag_of(ON_COMMANDS, 0), EPOLLIN, EPOLL_CTL_ADD)

    def __dealloc__(self):
        cdef int i
        for fd in (self.epoll_fd, self.command_fd, self.notify_fd, self.lifeline_fd):
            if fd >= 0:
                close(fd)
        for i in range(MAX_SESSIONS):
            free(self.sessions[i].rx)
        for i in range(MAX_CLIENT_CONNECTIONS):
            free(self.clients[i].rx)
        free(self.tripwire.rx)
        free(self.greeting.rx)
        free(self.commands)
        free(self.datagram)
        free(self.gathered)

    # --- set-up: before run -------------------------------------------------------------------------------------------

    def add_path(self, int fd) -> None:
        """A UDP socket connected to the peer's address on this path. At most two."""
        if self.path_count == MAX_PATHS:
            raise ValueError(f"at most {MAX_PATHS} replication paths")
        self.path_fds[self.path_count] = fd
        self._watch(fd, tag_of(ON_PATH, self.path_count), EPOLLIN, EPOLL_CTL_ADD)
        self.path_count += 1

    def listen_for_clients(self, int fd) -> None:
        """A listening TCP socket for clients."""
        self.client_listen_fd = fd
        self._watch(fd, tag_of(ON_CLIENT_LISTEN, 0), EPOLLIN, EPOLL_CTL_ADD)

    def listen_for_tripwire(self, int fd) -> None:
        """A listening TCP socket for the peer's tripwire."""
        self.tripwire_listen_fd = fd
        self._watch(fd, tag_of(ON_TRIPWIRE_LISTEN, 0), EPOLLIN, EPOLL_CTL_ADD)

    def connect_tripwire(self, str host, int port) -> None:
        """Address of the peer's tripwire: this node connects, and again whenever it is lost."""
        address_set(&self.tripwire_peer, host, port)

    def add_endpoint(self, uint32_t session, uint32_t index, str host, int port, str source=None, options=(),
                     bint by_control=False) -> None:
        """Endpoint `index` of `session`, numeric IPv4 or IPv6; the address to connect from, and (level, name, bytes) of
        setsockopt(). `by_control`: the control thread connects, and answers each note `connecting` by ADOPT. Raises
        ValueError."""
        cdef socket_options_t* entries
        cdef socket_option_t* entry
        if session >= self.node.replica.session_count or index >= MAX_ENDPOINTS:
            raise ValueError(f"session {session}, endpoint {index}: at most {MAX_ENDPOINTS} endpoints of a "
                             "known session")
        address_set(&self.endpoints[session][index], host, port)
        if source is not None:
            address_set(&self.sources[session][index], source, 0)
        entries = &self.options[session][index]
        for level, name, value in options:
            if entries.count == MAX_SOCKET_OPTIONS or len(value) > SOCKET_OPTION_BYTES:
                raise ValueError(f"session {session}, endpoint {index}: too many socket options, or too long")
            entry = &entries.entries[entries.count]
            entry.level = level
            entry.name = name
            entry.size = len(value)
            memcpy(entry.value, <const char*>value, len(value))
            entries.count += 1
        if by_control:
            self.dialled[session] |= <uint64_t>1 << index

    def set_connect_timeout(self, uint32_t session, uint64_t timeout_ns) -> None:
        """How long one attempt to connect may take."""
        if session >= self.node.replica.session_count:
            raise ValueError(f"no session {session}")
        self.connect_timeouts_ns[session] = timeout_ns

    @property
    def notify_fileno(self) -> int:
        """Becomes readable (eventfd) when there are notes to take."""
        return self.notify_fd

    # --- the control thread -------------------------------------------------------------------------------------------

    def command(self, uint32_t kind, *, uint64_t id=0, uint32_t a=0, uint32_t b=0, uint32_t session=0,
                uint64_t value_a=0, uint64_t value_b=0, bytes data=b"") -> None:
        """Queues a command_t, with `data` behind it, for the reactor thread. Raises BufferError when 1,000 and more are
        waiting, ValueError when there is too much data."""
        cdef uint8_t place[64 + COMMAND_DATA_BYTES]
        cdef command_t message
        cdef uint64_t one = 1
        if len(data) > COMMAND_DATA_BYTES:
            raise ValueError(f"{len(data)} bytes with a command: at most {COMMAND_DATA_BYTES}")
        memset(&message, 0, sizeof(message))
        message.kind = kind
        message.id = id
        message.a = a
        message.b = b
        message.session = session
        message.value_a = value_a
        message.value_b = value_b
        memcpy(place, &message, sizeof(message))
        memcpy(place + sizeof(message), <const char*>data, len(data))
        if not ring_write(self.commands, place, <uint32_t>(sizeof(message) + len(data))):
            raise BufferError("the reactor does not take commands: is its thread running?")
        write(self.command_fd, &one, sizeof(one))

    def run(self) -> None:
        """Runs until a REACTOR_STOP command was carried out. The GIL is released."""
        with nogil:
            self._run()

    # --- the reactor thread -------------------------------------------------------------------------------------------

    cdef void _run(self) noexcept nogil:
        cdef epoll_event events[EVENTS_PER_TURN]
        cdef uint64_t deadline = 0
        cdef long long wait_ns
        cdef int count
        cdef int i
        ticks_start(&self.clock, self.counter)
        self.node.stages.clock = ticks_counter if self.counter else ticks_kernel
        self.node.stages.ns_per_tick = self.clock.ns_per_tick
        self._read_clock()
        node_start(self.node, &self.now)
        self._flush()
        while True:
            self.turns += 1
            wait_ns = 0
            if not self.busy_poll and not self.more and not self._shared_sleep():
                self._read_clock()
                wait_ns = <long long>(deadline - self.now.mono_ns) if deadline > self.now.mono_ns else 0
            count = 0
            if not self._shared_look():
                count = wait_events(self.epoll_fd, events, EVENTS_PER_TURN, wait_ns)
            self._shared_awake()
            self._read_clock()
            if count <= 0 and self.now.mono_ns < deadline and not self.more and not self._shared_ready():
                if self.yield_when_idle:
                    sched_yield()
                continue
            self.more = 0
            for i in range(count):
                self._dispatch(events[i].data.u64, events[i].events)
            self._shared_read()
            if self.now.mono_ns >= deadline:
                node_on_timer(self.node, &self.now)
                self._timers()
            self._flush()
            deadline = min(node_deadline(self.node), self.now.mono_ns + 20000000)
            node_end_turn(self.node)
            if self.stopping and (node_stopped(self.node) or self.now.mono_ns >= self.stop_mono_ns):
                break
        self._close_all()
        note_from_reactor(self.node, NOTE_STOPPED, 0, 0, NULL, 0)
        self._notify()

    cdef void _dispatch(self, uint64_t tag, uint32_t events) noexcept nogil:
        cdef uint32_t kind = <uint32_t>(tag >> 32)
        cdef uint32_t index = <uint32_t>tag
        if kind == ON_CLIENT:
            self._client_event(index, events)
        elif kind == ON_PATH:
            self._read_path(index)
        elif kind == ON_SESSION:
            self._session_event(index, events)
        elif kind == ON_COMMANDS:
            self._read_commands()
        elif kind == ON_CLIENT_LISTEN:
            self._client_accept()
        elif kind == ON_TRIPWIRE_LISTEN:
            self._tripwire_accept()
        elif kind == ON_TRIPWIRE:
            self._tripwire_event(&self.tripwire, tag, events)
        elif kind == ON_GREETING:
            self._tripwire_event(&self.greeting, tag, events)
        else:
            self._drain_lingering(index)

    cdef void _flush(self) noexcept nogil:
        """Writes what the node puts out: first what an order waits for, then what may follow."""
        cdef int _rounds
        cdef uint16_t i
        cdef int32_t slot
        cdef uint64_t before
        cdef register_request_t request
        for _rounds in range(FLUSH_ROUNDS):
            node_advance(self.node, &self.now)
            i = node_next_session(self.node.sending, 0)
            while i < MAX_SESSIONS:
                self._session_write(i)
                i = node_next_session(self.node.sending, i + 1)
            self._let_others_run()
            self._send_datagrams()
            before = self.node.journal.last_lsn
            node_settle(self.node, &self.now)
            if self.node.journal.last_lsn == before:
                break
        else:
            self.more = 1
        for slot in range(MAX_CLIENT_CONNECTIONS):
            if self.clients[slot].fd >= 0:
                self._client_write(slot)
        if self.node.feeds_behind:
            self.more = 1
        if self.node.truncation_due:
            self._truncate()
            self.more = 1
        i = node_next_session(self.node.touched, 0)
        while i < MAX_SESSIONS:
            if node_take_connect(self.node, i, &self.now):
                self._session_connect(i)
            i = node_next_session(self.node.touched, i + 1)
        self._dial_new_peer()
        while node_take_register_request(self.node, &request):
            note_from_reactor(self.node, NOTE_REGISTER_REQUEST, 0, request.id, &request, sizeof(request))
        self._notify()

    cdef void _let_others_run(self) noexcept nogil:
        """Who reads on this host what was just sent, a TLS proxy say, may wait for this very core: before the rest of
        the turn then. A node that polls has its core for itself."""
        if self.give_way and not self.busy_poll:
            sched_yield()
        self.give_way = 0

    cdef void _timers(self) noexcept nogil:
        cdef uint16_t i
        self.node.stages.ns_per_tick = self.clock.ns_per_tick      # what the start could tell of it is rough
        for i in range(self.node.replica.session_count):
            if self.sessions[i].connecting and self.now.mono_ns >= self.sessions[i].deadline_mono_ns:
                self._session_gone(i, 0)
        if self.greeting.fd >= 0 and self.now.mono_ns >= self.greeting.deadline_mono_ns:
            stream_close(&self.greeting)
        if self.tripwire.fd >= 0 and not self.tripwire_verified and self.now.mono_ns >= self.tripwire.deadline_mono_ns:
            self._tripwire_gone()
        if self.tripwire_incarnation != 0 and self.tripwire.fd < 0 and self.now.mono_ns >= self.tripwire_retry_mono_ns:
            self._tripwire_connect()
        for i in range(MAX_LINGERING):
            if self.lingering[i] >= 0 and self.now.mono_ns >= self.lingering_until[i]:
                close(self.lingering[i])
                self.lingering[i] = -1

    # --- replication --------------------------------------------------------------------------------------------------

    cdef void _read_path(self, int path) noexcept nogil:
        cdef ssize_t size
        cdef int i
        for i in range(DATAGRAMS_PER_TURN):
            # MSG_TRUNC: its true length, so that one that is too long is told from one that is cut off.
            size = receive_now(self.path_fds[path], self.datagram, MAX_DATAGRAM_BYTES, MSG_TRUNC)
            if size < 0:
                # A refused datagram of ours (ICMP) shows as an error once; the next call reads on.
                if c_errno == EAGAIN or i > 0:
                    return
                continue
            self.datagrams_received += 1
            node_on_datagram(self.node, self.datagram, size, &self.now)
            if self.node.truncation_due:
                return

    cdef void _send_datagrams(self) noexcept nogil:
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

    # --- counterparties -----------------------------------------------------------------------------------------------

    cdef void _session_connect(self, uint16_t i) noexcept nogil:
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
        if s.fd < 0 or not self._watch(s.fd, tag_of(ON_SESSION, i), EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD):
            self._session_gone(i, 0)

    cdef void _adopt(self, const command_t* c, const uint8_t* data, uint32_t size) noexcept nogil:
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
                self._session_gone(i, 0)
            return
        s.fd = fd
        s.connecting = 0
        s.wants_write = 0
        s.local = is_own_host(fd)
        s.filled = size
        memcpy(s.rx, data, size)
        if not self._watch(fd, tag_of(ON_SESSION, i), EPOLLIN, EPOLL_CTL_ADD):
            self._session_gone(i, 0)
            return
        node_on_session_connected(self.node, i, &self.now)
        if size:
            stream_consume(s, node_on_session_bytes(self.node, i, s.rx, s.filled, &self.now))

    cdef void _session_event(self, uint16_t i, uint32_t events) noexcept nogil:
        cdef stream_t* s = &self.sessions[i]
        if s.fd < 0:
            return
        if s.connecting:
            if connect_error(s.fd) != 0 or events & EPOLLHUP:
                self._session_gone(i, 0)
                return
            s.connecting = 0
            s.local = is_own_host(s.fd)
            node_on_session_connected(self.node, i, &self.now)
            self._session_write(i)
            return
        if events & EPOLLOUT:
            self._session_write(i)
        if s.fd >= 0 and events & (EPOLLIN | EPOLLHUP | EPOLLERR):
            self._session_read(i)

    cdef void _session_read(self, uint16_t i) noexcept nogil:
        cdef stream_t* s = &self.sessions[i]
        cdef ssize_t size = receive_now(s.fd, s.rx + s.filled, s.rx_bytes - s.filled, 0)
        if size < 0 and (c_errno == EAGAIN or c_errno == EINTR):
            return
        if size <= 0:
            self._session_gone(i, 0)
            return
        s.filled += <uint32_t>size
        stream_consume(s, node_on_session_bytes(self.node, i, s.rx, s.filled, &self.now))

    cdef void _session_write(self, uint16_t i) noexcept nogil:
        cdef stream_t* s = &self.sessions[i]
        cdef const uint8_t* data = NULL
        cdef size_t size
        cdef ssize_t sent
        if s.fd < 0 or s.connecting:
            node_session_rests(self.node, i)
            return
        if self.node.links[i].reset:
            self._session_gone(i, 1)
            return
        while True:
            size = node_session_tx_gather(self.node, i, self.gathered, RUN_BYTES, &data)
            if size == 0:
                break
            sent = send_now(s.fd, data, size)
            if sent < 0:
                if c_errno == EAGAIN or c_errno == EINTR:
                    self._want_write(s, tag_of(ON_SESSION, i), 1)
                    node_session_rests(self.node, i)
                else:
                    self._session_gone(i, 0)
                return
            node_session_tx_consume(self.node, i, sent, &self.now)
            self.give_way |= s.local
        node_session_sent(self.node, i)
        if s.wants_write:
            self._want_write(s, tag_of(ON_SESSION, i), 0)
        if node_session_closing(self.node, i):
            self._session_gone(i, 0)

    cdef void _session_gone(self, uint16_t i, bint reset) noexcept nogil:
        cdef stream_t* s = &self.sessions[i]
        if s.fd >= 0:
            if reset:
                set_reset_on_close(s.fd)
                close(s.fd)
            elif s.connecting:
                close(s.fd)
            else:
                self._linger(s.fd)
        s.fd = -1
        s.connecting = 0
        s.filled = 0
        node_on_session_disconnected(self.node, i, &self.now)

    # --- clients ------------------------------------------------------------------------------------------------------

    cdef void _client_accept(self) noexcept nogil:
        cdef int fd = accept4(self.client_listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd >= 0 and self._client_enter(fd, is_own_host(fd)) >= 0:
            set_int_option(fd, IPPROTO_TCP, TCP_NODELAY, 1)
            set_keepalive(fd, KEEPALIVE_S)

    cdef void _adopt_client(self, int fd, uint8_t* memory) noexcept nogil:
        """One whose bytes are in shared memory; the control thread has made it, and accepted the client's socket."""
        cdef int32_t slot = self._client_enter(fd, 1)
        if slot < 0 or shared_attach(&self.clients[slot].shared, memory, 1) != 0:
            munmap(memory, SHARED_BYTES)
            if slot >= 0:
                self._client_gone(slot)
            return
        self.shared_clients |= <uint64_t>1 << slot

    cdef int32_t _client_enter(self, int fd, bint local) noexcept nogil:
        """The slot of a new connection, or -1: there is none, and it is closed."""
        cdef int32_t slot = node_on_client_connected(self.node, local, &self.now)
        if slot >= 0 and self.clients[slot].fd >= 0:
            self.refused_connections += 1
            self._client_release(slot, 0)
        if slot < 0 or self.stopping or not self._watch(fd, tag_of(ON_CLIENT, slot), EPOLLIN, EPOLL_CTL_ADD):
            self.refused_connections += 1
            if slot >= 0:
                node_on_client_disconnected(self.node, slot, &self.now)
            close(fd)
            return -1
        self.clients[slot].fd = fd
        self.clients[slot].filled = 0
        self.clients[slot].wants_write = 0
        self.clients[slot].stuck = 0
        return slot

    cdef void _client_event(self, int32_t slot, uint32_t events) noexcept nogil:
        cdef stream_t* s = &self.clients[slot]
        cdef uint8_t wakeups[256]
        cdef ssize_t size
        cdef int _i
        if s.fd < 0:
            return
        if events & EPOLLOUT:
            self._client_write(slot)
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
                self._shared_take(slot)
            if s.fd >= 0:
                self._client_gone(slot)
        elif s.shared.memory is NULL:
            # What the client is told carries the acknowledgement; one of its own would go out before the order does.
            set_int_option(s.fd, IPPROTO_TCP, TCP_QUICKACK, 0)
            s.filled += <uint32_t>size
            self._client_take(slot)

    cdef void _shared_read(self) noexcept nogil:
        cdef uint64_t slots = self.shared_clients
        while slots:
            self._shared_take(count_trailing_zeros(slots))
            slots &= slots - 1

    cdef void _shared_take(self, int32_t slot) noexcept nogil:
        cdef stream_t* s = &self.clients[slot]
        cdef int64_t size = 0
        if s.shared.memory is not NULL:
            size = shared_read(&s.shared, s.rx + s.filled, s.rx_bytes - s.filled)
        if size < 0:
            self._client_gone(slot)
        elif size > 0:
            s.filled += <uint32_t>size
            if shared_must_wake_writer(&s.shared):
                self._wake_client(s)
            self._client_take(slot)

    cdef bint _shared_ready(self) noexcept nogil:
        cdef uint64_t slots = self.shared_clients
        cdef stream_t* s
        while slots:
            s = &self.clients[count_trailing_zeros(slots)]
            slots &= slots - 1
            if s.filled < s.rx_bytes and shared_readable(&s.shared):
                return 1
        return 0

    cdef bint _shared_look(self) noexcept nogil:
        """Busy-poll: 1 if a client has written something. Where orders wait for the standby, the kernel comes first."""
        cdef int _i
        cdef bint awaits_peer = self.node.released_lsn < self.node.journal.last_lsn
        if self.looked or awaits_peer or not self.busy_poll or not self.shared_clients:
            self.looked = 0          # a client that never stops must not keep the kernel's events waiting
            return 0
        for _i in range(SHARED_LOOKS):
            if self._shared_ready():
                self.looked = 1
                return 1
        return 0

    cdef bint _shared_sleep(self) noexcept nogil:
        """Clients wake us from now on. 1: one has written already."""
        cdef uint64_t slots = self.shared_clients
        while slots:
            shared_sleep(&self.clients[count_trailing_zeros(slots)].shared)
            slots &= slots - 1
        return self._shared_ready()

    cdef void _shared_awake(self) noexcept nogil:
        cdef uint64_t slots = 0 if self.busy_poll else self.shared_clients
        while slots:
            shared_awake(&self.clients[count_trailing_zeros(slots)].shared)
            slots &= slots - 1

    cdef void _wake_client(self, const stream_t* s) noexcept nogil:
        cdef uint8_t wakeup = 0
        send_now(s.fd, &wakeup, 1)       # where there is no room, wake-ups are on their way

    cdef void _client_take(self, int32_t slot) noexcept nogil:
        """Hands input to the node. While the node takes none, because the client does not read, none is read either."""
        cdef stream_t* s = &self.clients[slot]
        cdef bint stuck
        stream_consume(s, node_on_client_bytes(self.node, slot, s.rx, s.filled, &self.now))
        stuck = s.filled == s.rx_bytes
        if stuck != s.stuck and s.shared.memory is NULL:
            s.stuck = stuck
            self._want_write(s, tag_of(ON_CLIENT, slot), s.wants_write)

    cdef void _client_write(self, int32_t slot) noexcept nogil:
        cdef stream_t* s = &self.clients[slot]
        cdef const uint8_t* data = NULL
        cdef uint32_t size = client_tx_peek(&self.node.clients[slot], &data)
        cdef ssize_t sent = 0
        if size and s.shared.memory is not NULL:
            sent = shared_write(&s.shared, data, size)
            if sent < 0:
                self._client_gone(slot)
                return
            if shared_must_wake_reader(&s.shared):
                self._wake_client(s)
        elif size:
            sent = send_now(s.fd, data, size)
            if sent < 0 and c_errno != EAGAIN and c_errno != EINTR:
                self._client_gone(slot)
                return
        if sent > 0:
            client_tx_consume(&self.node.clients[slot], <uint32_t>sent)
            size -= <uint32_t>sent
            if size == 0:
                node_client_written(self.node, slot)
        if (size > 0) != s.wants_write and s.shared.memory is NULL:
            self._want_write(s, tag_of(ON_CLIENT, slot), size > 0)
        if s.filled and size == 0 and sent > 0:
            self._client_take(slot)      # it has read: what had to wait may go on
            self.more = 1
        if size == 0 and self.node.clients[slot].closing:
            self._client_release(slot, 1)
            node_on_client_disconnected(self.node, slot, &self.now)

    cdef void _client_gone(self, int32_t slot) noexcept nogil:
        self._client_release(slot, 0)
        node_on_client_disconnected(self.node, slot, &self.now)

    cdef void _client_release(self, int32_t slot, bint linger) noexcept nogil:
        """Closes the connection; what a client in shared memory was told stays there for it to read."""
        cdef stream_t* s = &self.clients[slot]
        if s.shared.memory is not NULL:
            munmap(s.shared.memory, SHARED_BYTES)
            s.shared.memory = NULL
            self.shared_clients &= ~(<uint64_t>1 << slot)
        if linger:
            self._linger(s.fd)
        else:
            close(s.fd)
        s.fd = -1

    # --- tripwire -----------------------------------------------------------------------------------------------------

    cdef void _tripwire_accept(self) noexcept nogil:
        cdef int fd = accept4(self.tripwire_listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd < 0:
            return
        if self.greeting.fd >= 0:        # only one may be unverified: the latest
            stream_close(&self.greeting)
        self.greeting.fd = fd
        self.greeting.filled = 0
        self.greeting.deadline_mono_ns = self.now.mono_ns + GREETING_TIMEOUT_NS
        self._watch(fd, tag_of(ON_GREETING, 0), EPOLLIN, EPOLL_CTL_ADD)

    cdef void _dial_new_peer(self) noexcept nogil:
        """A peer that has just come up is dialled at once: an attempt on its former life says nothing."""
        cdef uint64_t met = self.node.channel.peer_incarnation[self.node.config.role.peer]
        if met == self.tripwire_incarnation or self.tripwire_peer.length == 0:
            return
        self.tripwire_incarnation = met
        if not self.tripwire_verified:
            stream_close(&self.tripwire)
            self._tripwire_connect()

    cdef void _tripwire_connect(self) noexcept nogil:
        cdef address_t anywhere
        memset(&anywhere, 0, sizeof(anywhere))
        self.tripwire_retry_mono_ns = self.now.mono_ns + TRIPWIRE_RETRY_NS
        self.tripwire.fd = open_stream(&self.tripwire_peer, &anywhere, NULL)
        self.tripwire.filled = 0
        self.tripwire.connecting = 1
        self.tripwire_verified = 0
        self.tripwire.deadline_mono_ns = self.now.mono_ns + GREETING_TIMEOUT_NS
        if self.tripwire.fd >= 0:
            self._watch(self.tripwire.fd, tag_of(ON_TRIPWIRE, 0), EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD)

    cdef void _tripwire_event(self, stream_t* s, uint64_t tag, uint32_t events) noexcept nogil:
        cdef uint8_t greeting[GREETING_BYTES]
        cdef uint8_t excess[64]
        cdef ssize_t size
        cdef bint accepted = s == &self.greeting
        if s.fd < 0:
            return
        if s.connecting:
            if connect_error(s.fd) != 0 or events & EPOLLHUP:
                self._tripwire_gone()
                return
            s.connecting = 0
            self._watch(s.fd, tag, EPOLLIN, EPOLL_CTL_MOD)
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
                self._tripwire_gone()
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
                self._tripwire_gone()
            return
        if accepted:
            # the peer has connected anew: its old connection means nothing any more
            if self.tripwire.fd >= 0:
                stream_close(&self.tripwire)
            self.tripwire.fd = s.fd
            s.fd = -1
            size = node_seal_greeting(self.node, greeting, &self.now)
            send_now(self.tripwire.fd, greeting, size)
        self._hold_tripwire()
        self.tripwire_verified = 1
        node_on_tripwire(self.node, 1, &self.now)

    cdef void _hold_tripwire(self) noexcept nogil:
        """From here on only its end is of interest, and that must come at once when this process dies."""
        epoll_ctl(self.epoll_fd, EPOLL_CTL_DEL, self.tripwire.fd, NULL)
        self.tripwire.fd = lifeline_hold(self.lifeline_fd, self.tripwire.fd)
        self._watch(self.tripwire.fd, tag_of(ON_TRIPWIRE, 0), EPOLLIN, EPOLL_CTL_ADD)

    cdef void _tripwire_gone(self) noexcept nogil:
        stream_close(&self.tripwire)
        self.tripwire.connecting = 0
        self.tripwire_retry_mono_ns = self.now.mono_ns + TRIPWIRE_RETRY_NS
        if self.tripwire_verified:
            self.tripwire_verified = 0
            node_on_tripwire(self.node, 0, &self.now)

    # --- commands and notes -------------------------------------------------------------------------------------------

    cdef void _read_commands(self) noexcept nogil:
        cdef uint64_t count
        cdef const uint8_t* message = NULL
        cdef uint32_t size
        read(self.command_fd, &count, sizeof(count))
        size = ring_peek(self.commands, &message)
        while size:
            self._obey(message, size)
            ring_release(self.commands)
            size = ring_peek(self.commands, &message)

    cdef void _obey(self, const uint8_t* message, uint32_t size) noexcept nogil:
        cdef command_t c
        cdef const uint8_t* data = message + sizeof(command_t)
        cdef register_value_t value
        cdef int status = 0
        memcpy(&c, message, sizeof(c))
        if c.kind == REACTOR_REGISTER:
            value.version = c.value_a
            value.epoch = <uint32_t>(c.value_b >> 32)
            value.primary = <uint8_t>(c.value_b >> 8)
            value.in_sync = <uint8_t>c.value_b
            node_on_register(self.node, c.id, <register_outcome>c.a, &value, &self.now)
            return
        if c.kind == REACTOR_ADOPT:
            self._adopt(&c, data, size - <uint32_t>sizeof(command_t))
            return
        if c.kind == REACTOR_ADOPT_CLIENT:
            self._adopt_client(<int>c.b, <uint8_t*><uintptr_t>c.value_a)
            return
        if c.kind == REACTOR_FILL_LOGON:
            node_fill_logon(self.node, <uint16_t>c.session, c.a, NULL if c.b else data,
                            size - <uint32_t>sizeof(command_t), &self.now)
            return
        if c.kind == REACTOR_STOP:
            self.stopping = 1
            self.stop_mono_ns = self.now.mono_ns + STOP_TIMEOUT_NS
            node_stop(self.node, &self.now)
        elif c.kind == REACTOR_ROLE:
            status = node_on_command(self.node, <role_command>c.a, &self.now)
        elif c.kind == REACTOR_SESSION:
            status = node_on_session_command(self.node, <uint16_t>c.session, <session_command>c.a, c.value_a, c.value_b,
                                             &self.now)
        elif c.kind == REACTOR_KILL:
            status = node_set_kill(self.node, c.a, c.b != 0, &self.now)
        note_from_reactor(self.node, NOTE_COMMAND_DONE, <uint32_t>status, c.id, NULL, 0)

    cdef void _notify(self) noexcept nogil:
        cdef uint64_t one = 1
        if self.node.notes.written != self.notes_seen:
            self.notes_seen = self.node.notes.written
            write(self.notify_fd, &one, sizeof(one))

    cdef void _truncate(self) noexcept nogil:
        """Rare and never on a primary: sets the tail that the new epoch does not have aside, with the GIL."""
        cdef uint64_t lsn = self.node.receiver.truncate_lsn
        note_from_reactor(self.node, NOTE_TRUNCATION, 0, lsn, NULL, 0)
        with gil:
            self.owner.truncate(lsn)
        self._read_clock()
        node_truncated(self.node, &self.now)

    # --- sockets ------------------------------------------------------------------------------------------------------

    cdef void _close_all(self) noexcept nogil:
        cdef int i
        for i in range(MAX_SESSIONS):
            if self.sessions[i].fd >= 0:
                self._session_gone(<uint16_t>i, 0)
        for i in range(MAX_CLIENT_CONNECTIONS):
            if self.clients[i].fd >= 0:
                self._client_write(i)
            if self.clients[i].fd >= 0:
                self._client_release(i, 1)
        for i in range(MAX_LINGERING):
            if self.lingering[i] >= 0:
                self._drain_lingering(i)
            if self.lingering[i] >= 0:
                close(self.lingering[i])
        stream_close(&self.tripwire)
        stream_close(&self.greeting)

    cdef void _linger(self, int fd) noexcept nogil:
        """Closes without destroying what was sent: unread input would turn the close into a reset."""
        cdef int i
        c_shutdown(fd, SHUT_WR)
        for i in range(MAX_LINGERING):
            if self.lingering[i] < 0:
                self.lingering[i] = fd
                self.lingering_until[i] = self.now.mono_ns + LINGER_NS
                self._watch(fd, tag_of(ON_LINGERING, i), EPOLLIN, EPOLL_CTL_MOD)
                self._drain_lingering(i)
                return
        close(fd)

    cdef void _drain_lingering(self, int i) noexcept nogil:
        cdef uint8_t waste[4096]
        cdef ssize_t size = 1
        while self.lingering[i] >= 0 and size > 0:
            size = receive_now(self.lingering[i], waste, sizeof(waste), 0)
        if size == 0 or (size < 0 and c_errno != EAGAIN and c_errno != EINTR):
            close(self.lingering[i])
            self.lingering[i] = -1

    cdef void _want_write(self, stream_t* s, uint64_t tag, bint wanted) noexcept nogil:
        s.wants_write = wanted
        self._watch(s.fd, tag, (0 if s.stuck else EPOLLIN) | (EPOLLOUT if wanted else 0), EPOLL_CTL_MOD)

    cdef bint _watch(self, int fd, uint64_t tag, uint32_t events, int operation) noexcept nogil:
        cdef epoll_event event
        memset(&event, 0, sizeof(event))
        event.events = events
        event.data.u64 = tag
        return epoll_ctl(self.epoll_fd, operation, fd, &event) == 0

    cdef void _read_clock(self) noexcept nogil:
        self.node.stages.arrived = ticks_read(&self.clock, &self.now.mono_ns, &self.now.wall_ns)


# --- helpers ----------------------------------------------------------------------------------------------------------

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


cdef void note_from_reactor(node_t* n, uint16_t code, uint32_t a, uint64_t b, const void* payload,
                            size_t size) noexcept nogil:
    cdef note_t entry
    memset(&entry, 0, sizeof(entry))
    entry.code = code
    entry.a = a
    entry.b = b
    entry.mono_ns = n.now.mono_ns
    entry.wall_ns = n.now.wall_ns
    if size:
        memcpy(entry.text, payload, size)
    if not ring_write(n.notes, &entry, sizeof(entry)):
        n.notes_lost += 1
