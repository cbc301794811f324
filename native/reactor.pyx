"""The only module that makes system calls on sockets, and the only one that reads the clock.

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
from libc.string cimport memcpy, memmove, memset, strlen
from posix.unistd cimport close, read, write

from .clientwire cimport ERROR_FULL, FRAME_ERROR, FRAME_HEADER_BYTES, frame_header_t
from .datagram cimport MAX_DATAGRAM_BYTES
from .feed cimport client_tx_consume, client_tx_peek
from .journal cimport journal_is_uncut
from .lifeline cimport lifeline_hold, lifeline_start
from .node cimport (GREETING_BYTES, NOTE_COMMAND_DONE, NOTE_REGISTER_REQUEST, NOTE_STOPPED, NOTE_TEXT_BYTES,
                    NOTE_TRUNCATION, node_advance, node_client_written, node_datagrams_per_turn, node_datagrams_sent,
                    node_deadline, node_end_turn, node_fill_logon, node_greeting_is_fresh, node_next_session,
                    node_on_client_bytes, node_on_client_connected, node_on_client_disconnected, node_on_command,
                    node_on_datagram, node_on_register, node_on_session_bytes, node_on_session_command,
                    node_on_session_connected, node_on_session_disconnected, node_on_timer, node_on_tripwire,
                    node_poll_datagram, node_seal_greeting, node_session_closing, node_session_rests, node_session_sent,
                    node_session_tx_consume, node_session_tx_gather, node_set_kill, node_settle, node_start, node_stop,
                    node_stopped, node_take_accept, node_take_connect, node_take_register_request, node_truncated,
                    note_t, session_command)
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
    DRAINED_AT_ONCE = 64             # reads of 4 KiB
    LAST_DRAINS = 64                 # of as many each, when the reactor ends
    STOP_TIMEOUT_NS = 3000000000     # log-out of all sessions at a stop
    # Looks where the next thing is expected, between two questions to the kernel for everything.
    PATH_LOOKS = 4                   # each asks the kernel itself. Where others want the core too, it is one,
    UNASKED_TURNS = 3                # and so many turns on end end with it
    SHARED_LOOKS = 64                # all together take as long as one question
    NOBODY_RAN_NS = 1000             # a sched_yield() that gave the core to nobody is back before that
    ALONE_TURNS = 15                 # until the next one, then
    KEEPALIVE_S = 10
    CONNECT_TIMEOUT_NS = 1000000000  # unless configured
    DIAL_MARGIN_NS = 1000000000      # the control thread keeps the time-out itself
    COMMAND_DATA_BYTES = 16384       # that may come with a command
    SHARED_LAST_READS = 1 + SHARED_RING_BYTES // CLIENT_RX_BYTES
    TRIPWIRE_RETRY_NS = 20000000
    TRUNCATE_AGAIN_NS = 500000000
    LONG_WAY_NS = 50000              # others had the core for so long: it is a busy one
    HOG_NS = 1000000                 # and so long: by somebody who takes all that there is
    KEEP_WAY_NS = 100000000          # and is not given to them again for so long
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
        watch(self, self.command_fd, tag_of(ON_COMMANDS, 0), EPOLLIN, EPOLL_CTL_ADD)

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
        watch(self, fd, tag_of(ON_PATH, self.path_count), EPOLLIN, EPOLL_CTL_ADD)
        self.path_count += 1

    def listen_for_clients(self, int fd) -> None:
        """A listening TCP socket for clients."""
        self.client_listen_fd = fd
        watch(self, fd, tag_of(ON_CLIENT_LISTEN, 0), EPOLLIN, EPOLL_CTL_ADD)

    def listen_for_tripwire(self, int fd) -> None:
        """A listening TCP socket for the peer's tripwire."""
        self.tripwire_listen_fd = fd
        watch(self, fd, tag_of(ON_TRIPWIRE_LISTEN, 0), EPOLLIN, EPOLL_CTL_ADD)

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
            run_until_stopped(self)


# --- the reactor thread -----------------------------------------------------------------------------------------------

cdef void run_until_stopped(Reactor self) noexcept nogil:
    cdef epoll_event events[EVENTS_PER_TURN]
    cdef uint64_t deadline = 0
    cdef long long wait_ns
    cdef int count
    cdef int i
    ticks_start(&self.clock, self.counter)
    self.node.stages.clock = ticks_counter if self.counter else ticks_kernel
    self.node.stages.ns_per_tick = self.clock.ns_per_tick
    read_clock(self)
    node_start(self.node, &self.now)
    flush(self)
    while True:
        self.turns += 1
        wait_ns = 0
        if not self.busy_poll and not self.more and not clients_sleep(self):
            read_clock(self)
            wait_ns = <long long>(deadline - self.now.mono_ns) if deadline > self.now.mono_ns else 0
        count = 0
        if not look(self) and not has_looked_enough(self):
            count = wait_events(self.epoll_fd, events, EVENTS_PER_TURN, wait_ns)
        clients_awake(self)
        read_clock(self)
        if (count <= 0 and self.now.mono_ns < deadline and not self.more and not self.looked
                and not clients_ready(self)):
            if self.yield_when_idle:
                let_others_run_when_idle(self)
            continue
        self.more = 0
        for i in range(count):
            dispatch(self, events[i].data.u64, events[i].events)
        clients_read(self)
        if self.now.mono_ns >= deadline:
            node_on_timer(self.node, &self.now)
            timers(self)
        flush(self)
        deadline = min(node_deadline(self.node), self.now.mono_ns + 20000000)
        node_end_turn(self.node)
        if self.stopping and (node_stopped(self.node) or self.now.mono_ns >= self.stop_mono_ns):
            break
        let_others_run_after_turn(self)
    close_all(self)
    note_from_reactor(self.node, NOTE_STOPPED, 0, 0, NULL, 0)
    notify(self)


cdef void let_others_run_when_idle(Reactor self) noexcept nogil:
    """At every idle turn while somebody wants the core; when nobody does, it is enough to ask now and then."""
    if self.alone_turns:
        self.alone_turns -= 1
    elif others_ran_ns(self) < NOBODY_RAN_NS:
        self.alone_turns = ALONE_TURNS


cdef void let_others_run_after_turn(Reactor self) noexcept nogil:
    """Who waits for what a standby has just done may wait for its core too. Not to who keeps it for long: a turn of a
    standby that has much to catch up with would cost as much each time."""
    if not self.busy_poll or not self.yield_when_idle or self.node.sender.epoch != 0:
        return
    read_clock(self)
    if self.now.mono_ns < self.keep_way_until_mono_ns:
        return
    let_others_run_when_idle(self)
    if self.others_had_ns > HOG_NS:
        self.keep_way_until_mono_ns = self.now.mono_ns + KEEP_WAY_NS


cdef uint64_t others_ran_ns(Reactor self) noexcept nogil:
    """Gives the core away once; for how long."""
    cdef uint64_t before = self.now.mono_ns
    sched_yield()
    read_clock(self)
    self.others_had_ns = self.now.mono_ns - before
    return self.others_had_ns


cdef inline bint awaits_peer(Reactor self) noexcept nogil:
    return self.node.sender.epoch == 0 or self.node.released_lsn < self.node.journal.last_lsn


cdef inline bint is_crowded(Reactor self) noexcept nogil:
    """When the core was given away last, others had it, and gave it back soon: they poll here too."""
    return NOBODY_RAN_NS <= self.others_had_ns < LONG_WAY_NS


cdef bint look(Reactor self) noexcept nogil:
    """Busy-poll: looks where the next thing is expected, before the kernel is asked for everything. 1: it is there."""
    if self.looked or self.more or not self.busy_poll:
        self.looked = 0              # what never stops must not keep all the rest waiting
        self.unasked_turns = 0
    elif awaits_peer(self):
        self.looked = look_at_paths(self, 1 if is_crowded(self) else PATH_LOOKS)
    elif self.shared_clients:
        self.looked = look_at_clients(self)
    return self.looked


cdef bint has_looked_enough(Reactor self) noexcept nogil:
    """What is expected has not come, and who is to send it may wait for this core: the rest can wait a few turns."""
    if self.unasked_turns == 0 or self.more or not (self.busy_poll and is_crowded(self) and awaits_peer(self)):
        self.unasked_turns = UNASKED_TURNS
        return 0
    self.unasked_turns -= 1
    return 1


cdef void dispatch(Reactor self, uint64_t tag, uint32_t events) noexcept nogil:
    cdef uint32_t kind = <uint32_t>(tag >> 32)
    cdef uint32_t index = <uint32_t>tag
    if kind == ON_CLIENT:
        client_event(self, index, events)
    elif kind == ON_PATH:
        read_path(self, index)
    elif kind == ON_SESSION:
        session_event(self, index, events)
    elif kind == ON_COMMANDS:
        read_commands(self)
    elif kind == ON_CLIENT_LISTEN:
        client_accept(self)
    elif kind == ON_TRIPWIRE_LISTEN:
        tripwire_accept(self)
    elif kind == ON_TRIPWIRE:
        tripwire_event(self, &self.tripwire, tag, events)
    elif kind == ON_GREETING:
        tripwire_event(self, &self.greeting, tag, events)
    else:
        drain_lingering(self, index)


cdef void flush(Reactor self) noexcept nogil:
    """Writes what the node puts out: first what an order waits for, then what may follow."""
    cdef int _rounds
    cdef uint16_t i
    cdef uint64_t slots
    cdef uint64_t before
    cdef register_request_t request
    for _rounds in range(FLUSH_ROUNDS):
        node_advance(self.node, &self.now)
        i = node_next_session(self.node.sending, 0)
        while i < MAX_SESSIONS:
            session_write(self, i)
            i = node_next_session(self.node.sending, i + 1)
        let_others_run(self)
        send_datagrams(self)
        before = self.node.journal.last_lsn
        node_settle(self.node, &self.now)
        if self.node.journal.last_lsn == before:
            break
    else:
        self.more = 1
    slots = self.node.connected
    while slots:
        client_write(self, count_trailing_zeros(slots))
        slots &= slots - 1
    if self.node.feeds_behind:
        self.more = 1
    if self.node.truncation_due or journal_is_uncut(self.node.journal):
        truncate(self)
    else:
        self.truncate_again_mono_ns = 0      # a later one is another one, even if this one was never done
    i = node_next_session(self.node.touched, 0)
    while i < MAX_SESSIONS:
        if node_take_connect(self.node, i, &self.now):
            session_connect(self, i)
        i = node_next_session(self.node.touched, i + 1)
    dial_new_peer(self)
    while node_take_register_request(self.node, &request):
        note_from_reactor(self.node, NOTE_REGISTER_REQUEST, 0, request.id, &request, sizeof(request))
    notify(self)


cdef void let_others_run(Reactor self) noexcept nogil:
    """Who reads on this host what was just sent, a TLS proxy say, may wait for this very core: before the rest of
    the turn then. A node that polls has its core for itself; and on a busy host what the standby does not have yet, nor
    the client, must not wait for everybody."""
    if self.give_way and not self.busy_poll and self.now.mono_ns >= self.keep_way_until_mono_ns:
        read_clock(self)
        if others_ran_ns(self) > LONG_WAY_NS:
            self.keep_way_until_mono_ns = self.now.mono_ns + KEEP_WAY_NS
    self.give_way = 0


cdef void timers(Reactor self) noexcept nogil:
    cdef uint16_t i
    self.node.stages.ns_per_tick = self.clock.ns_per_tick      # what the start could tell of it is rough
    for i in range(self.node.replica.session_count):
        if self.sessions[i].connecting and self.now.mono_ns >= self.sessions[i].deadline_mono_ns:
            session_gone(self, i, 0)
    if self.greeting.fd >= 0 and self.now.mono_ns >= self.greeting.deadline_mono_ns:
        stream_close(&self.greeting)
    if self.tripwire.fd >= 0 and not self.tripwire_verified and self.now.mono_ns >= self.tripwire.deadline_mono_ns:
        tripwire_gone(self)
    if self.tripwire_incarnation != 0 and self.tripwire.fd < 0 and self.now.mono_ns >= self.tripwire_retry_mono_ns:
        tripwire_connect(self)
    for i in range(MAX_LINGERING):
        if self.lingering[i] >= 0 and self.now.mono_ns >= self.lingering_until[i]:
            close(self.lingering[i])
            self.lingering[i] = -1


# --- by topic ---------------------------------------------------------------------------------------------------------

include "reactor_pair.pxi"
include "reactor_sessions.pxi"
include "reactor_clients.pxi"
include "reactor_commands.pxi"
include "reactor_sockets.pxi"
