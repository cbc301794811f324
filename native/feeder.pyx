"""Feeds receivers that nobody waits for: disaster recovery, drop copies (DESIGN section 5). A thread of its own.

It reads the journal beside the reactor, and what it sends is never more than what is released: so what a receiver holds
has been acknowledged by the standby, or is the truth of a primary alone. Each receiver has its own key, socket, window
and cursor; one that is slow, far or gone takes nothing from the pair but what this thread takes. May depend on: node,
sender, datagram, journal. It makes system calls on its own sockets only, and changes nothing in the node.
"""

import os

from libc.errno cimport ECONNREFUSED, errno as c_errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close, write

from .datagram cimport (DATAGRAM_ACK, DATAGRAM_HEADER_BYTES, DATAGRAM_HEARTBEAT, DATAGRAM_HELLO, DATAGRAM_JOIN,
                        MAX_DATAGRAM_BYTES, MAX_NODES, OPEN_OK, channel_init, channel_open, channel_seal,
                        channel_seal_hello, channel_t, datagram_header_t)
from .instant cimport instant_t
from .journal cimport journal_at, journal_t
from .node cimport Node, node_t
from .record cimport record_header_t
from .sender cimport (receiver_view_t, sender_config_t, sender_init, sender_on_datagram, sender_poll, sender_start,
                      sender_stop, sender_t)

cdef extern from * nogil:
    """
    #include <poll.h>
    #include <pthread.h>
    #include <sys/eventfd.h>
    #include <sys/socket.h>
    static unsigned long long watch_u64(const void *p) {
        return __atomic_load_n((const unsigned long long *)p, __ATOMIC_ACQUIRE);
    }
    static unsigned int watch_u32(const void *p) { return __atomic_load_n((const unsigned int *)p, __ATOMIC_ACQUIRE); }
    """
    ctypedef struct pthread_mutex_t:
        pass
    cdef struct pollfd:
        int fd
        short events
        short revents
    short POLLIN
    int EFD_NONBLOCK, EFD_CLOEXEC, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_TRUNC
    int pthread_mutex_init(pthread_mutex_t*, const void*)
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)
    int poll(pollfd*, unsigned long, int)
    int eventfd(unsigned int, int)
    ssize_t c_recv "recv"(int, void*, size_t, int)
    ssize_t c_send "send"(int, const void*, size_t, int)
    uint64_t watch_u64(const void*)
    uint32_t watch_u32(const void*)

cdef enum:
    FIRST_RECEIVER = 2                    # node indices 0 and 1 are the pair's
    MAX_RECEIVERS = MAX_NODES - FIRST_RECEIVER
    DATAGRAMS_PER_TURN = 32               # to and from each receiver
    TURN_MS = 5                           # records wait so long for others, to share a datagram
    BACKLOG_RECORDS = 32                  # so many do not wait
    HEARTBEAT_NS = 100000000
    HELLO_NS = 50000000                   # least distance of two answers to a HELLO
    ALIVE_NS = 10000000000                # heartbeats go to whom we have heard within


cdef struct feed_t:
    int fd                                # UDP, connected to the receiver
    channel_t channel
    sender_t sender
    uint64_t hello_to                     # what the receiver claimed to be
    bint hello_due
    uint64_t hello_at_ns                  # when we said HELLO last
    uint64_t heard_ns                     # mono; 0: not yet
    uint64_t beat_at_ns
    uint64_t tick_at_ns
    uint64_t send_errors


cdef class Feeder:
    """Feeds the receivers of one Node. Add them, then call `run` on a thread of its own; `stop` ends it.

    Raises ValueError for an index or key that is none, OSError when the kernel refuses an eventfd.
    """

    cdef Node owner
    cdef node_t* node
    cdef feed_t feeds[MAX_RECEIVERS]
    cdef uint32_t count
    cdef uint32_t pair_id
    cdef uint64_t incarnation
    cdef journal_t released               # the node's journal as far as it is released
    cdef pthread_mutex_t busy             # held in a turn, and while the journal is cut
    cdef int stop_fd
    cdef uint8_t buffer[MAX_DATAGRAM_BYTES]
    cdef readonly uint64_t turns

    def __cinit__(self, Node owner not None, *, uint32_t pair_id, uint64_t incarnation):
        self.owner = owner
        self.node = owner.handle
        self.pair_id = pair_id
        self.incarnation = incarnation
        pthread_mutex_init(&self.busy, NULL)
        self.stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if self.stop_fd < 0:
            raise OSError(c_errno, os.strerror(c_errno))
        owner.feeder = self

    def __dealloc__(self):
        if self.stop_fd >= 0:
            close(self.stop_fd)

    def add_receiver(self, int fd, bytes key not None, *, uint32_t datagram_bytes, uint32_t window_bytes,
                     uint64_t retransmit_after_ns) -> int:
        """A UDP socket connected to the next receiver of the configuration; its node index. Before `run`."""
        cdef feed_t* f
        cdef sender_config_t config
        cdef uint8_t index = <uint8_t>(FIRST_RECEIVER + self.count)
        if self.count == MAX_RECEIVERS:
            raise ValueError(f"at most {MAX_RECEIVERS} receivers")
        if len(key) != 16:
            raise ValueError(f"key: 16 bytes, found {len(key)}")
        f = &self.feeds[self.count]
        memset(f, 0, sizeof(feed_t))
        f.fd = fd
        channel_init(&f.channel, key, self.pair_id, self.node.config.role.node, self.incarnation)
        config.datagram_bytes = datagram_bytes
        config.catch_up_window_bytes = window_bytes
        config.retransmit_after_ns = retransmit_after_ns
        config.receivers = 1 << index
        sender_init(&f.sender, &config, &self.released, &f.channel)
        self.count += 1
        return index

    def run(self) -> None:
        """Feeds until `stop`. The GIL is released."""
        with nogil:
            self._run()

    def stop(self) -> None:
        """Ends `run` within a turn. May be called before it."""
        cdef uint64_t one = 1
        write(self.stop_fd, &one, sizeof(one))

    def pause(self) -> None:
        """From now on, until `go_on`, nothing of the journal is read: for its truncation."""
        with nogil:
            pthread_mutex_lock(&self.busy)

    def go_on(self) -> None:
        """After `pause`."""
        pthread_mutex_unlock(&self.busy)

    def status(self) -> list:
        """What is known of each receiver, in the configuration's order. Values of one moment, not of one instant."""
        cdef uint32_t i
        cdef feed_t* f
        cdef receiver_view_t* view
        cdef instant_t now
        cdef list found = []
        read_clock(&now)
        for i in range(self.count):
            f = &self.feeds[i]
            view = &f.sender.views[FIRST_RECEIVER + i]
            found.append({
                "joined": bool(view.joined), "received_lsn": view.received_lsn, "flushed_lsn": view.flushed_lsn,
                "heard_ago_ns": now.mono_ns - f.heard_ns if f.heard_ns else None,
                "datagrams_sent": f.sender.datagrams_sent, "records_sent": f.sender.records_sent,
                "retransmitted": f.sender.retransmitted, "send_errors": f.send_errors,
                "dropped": sum(f.channel.dropped[k] for k in range(1, 10)),
            })
        return found

    # --- the feeder's thread ------------------------------------------------------------------------------------------

    cdef void _run(self) noexcept nogil:
        cdef pollfd watched[MAX_RECEIVERS + 1]
        cdef instant_t now
        cdef uint32_t i
        cdef bint more = 0
        for i in range(self.count):
            watched[i].fd = self.feeds[i].fd
            watched[i].events = POLLIN
        watched[self.count].fd = self.stop_fd
        watched[self.count].events = POLLIN
        while True:
            poll(watched, self.count + 1, 0 if more else TURN_MS)
            if watched[self.count].revents:
                return
            read_clock(&now)
            self.turns += 1
            more = 0
            pthread_mutex_lock(&self.busy)
            self._look()
            for i in range(self.count):
                self._receive(&self.feeds[i], &now)
                more |= self._send(&self.feeds[i], i, &now)
            pthread_mutex_unlock(&self.busy)

    cdef void _look(self) noexcept nogil:
        """What the node is, and what its log is as far as it is released."""
        cdef uint32_t epoch = watch_u32(&self.node.sender.epoch)
        cdef uint64_t released = min(watch_u64(&self.node.released_lsn), watch_u64(&self.node.journal.last_lsn))
        cdef const record_header_t* last
        cdef uint32_t i
        if epoch == 0:
            released = 0          # a standby's log may be cut: nothing of it is looked at
        self.released.private = self.node.journal.private
        self.released.first_lsn = self.node.journal.first_lsn
        self.released.last_lsn = released
        last = journal_at(&self.released, released)
        self.released.last_epoch = last.epoch if last is not NULL else 0
        if self.released.last_epoch != epoch:
            epoch = 0             # until its first record is released, a primary may know less than the one before
        for i in range(self.count):
            self.feeds[i].channel.role = <uint8_t>self.node.role.state
            if self.feeds[i].sender.epoch == epoch:
                continue
            if epoch:
                sender_start(&self.feeds[i].sender, epoch)
            else:
                sender_stop(&self.feeds[i].sender)
            self.feeds[i].beat_at_ns = 0              # so that receivers learn it at once

    cdef void _receive(self, feed_t* f, const instant_t* now) noexcept nogil:
        cdef const datagram_header_t* header = NULL
        cdef ssize_t size
        cdef int _i
        for _i in range(DATAGRAMS_PER_TURN):
            size = c_recv(f.fd, self.buffer, MAX_DATAGRAM_BYTES, MSG_DONTWAIT | MSG_TRUNC)
            if size < 0 and c_errno == ECONNREFUSED:
                continue                              # of a datagram of ours, to a receiver that is not there
            if size < 0:
                return
            if channel_open(&f.channel, self.buffer, size, &header) != OPEN_OK:
                continue
            if header.kind == DATAGRAM_HELLO:
                if header.to_incarnation != f.channel.incarnation:
                    # Says nothing that is known to be fresh: at most it is answered.
                    if now.mono_ns >= f.hello_at_ns + HELLO_NS or header.from_incarnation != f.hello_to:
                        f.hello_to = header.from_incarnation
                        f.hello_due = 1
                    continue
            f.heard_ns = now.mono_ns
            if header.kind == DATAGRAM_ACK or header.kind == DATAGRAM_JOIN:
                sender_on_datagram(&f.sender, header, now)

    cdef bint _send(self, feed_t* f, uint32_t i, const instant_t* now) noexcept nogil:
        """Whether there is more to send at once."""
        cdef uint8_t index = <uint8_t>(FIRST_RECEIVER + i)
        cdef uint8_t to_node = 0
        cdef size_t size
        cdef int _i
        if f.hello_due:
            f.hello_due = 0
            f.hello_at_ns = now.mono_ns
            self._put(f, channel_seal_hello(&f.channel, self._header(f, DATAGRAM_HELLO), index, f.hello_to,
                                            now.wall_ns))
        if f.channel.peer_incarnation[index] == 0 or now.mono_ns - f.heard_ns > ALIVE_NS:
            return 0
        if now.mono_ns >= f.beat_at_ns:
            f.beat_at_ns = now.mono_ns + HEARTBEAT_NS
            self._put(f, channel_seal(&f.channel, self._header(f, DATAGRAM_HEARTBEAT), index, 0, now.wall_ns))
        if (now.mono_ns < f.tick_at_ns
                and f.sender.views[index].next_lsn + BACKLOG_RECORDS > self.released.last_lsn):
            return 0
        f.tick_at_ns = now.mono_ns + <uint64_t>TURN_MS * 1000000
        for _i in range(DATAGRAMS_PER_TURN):
            size = sender_poll(&f.sender, now, self.buffer, &to_node)
            if size == 0:
                return 0
            self._put(f, size)
        return 1

    cdef uint8_t* _header(self, feed_t* f, uint8_t kind) noexcept nogil:
        cdef datagram_header_t* header = <datagram_header_t*>self.buffer
        memset(self.buffer, 0, DATAGRAM_HEADER_BYTES)
        header.kind = kind
        header.epoch = f.sender.epoch
        header.last_lsn = self.released.last_lsn
        header.last_epoch = self.released.last_epoch
        header.released_lsn = self.released.last_lsn
        header.log_end_lsn = watch_u64(&self.node.journal.last_lsn)
        return self.buffer

    cdef void _put(self, feed_t* f, size_t size) noexcept nogil:
        if c_send(f.fd, self.buffer, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0:
            f.send_errors += 1                        # lost, as on any network: the protocol sends it again


cdef void read_clock(instant_t* now) noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    now.mono_ns = <uint64_t>t.tv_sec * 1000000000 + <uint64_t>t.tv_nsec
    clock_gettime(CLOCK_REALTIME, &t)
    now.wall_ns = <uint64_t>t.tv_sec * 1000000000 + <uint64_t>t.tv_nsec
