"""Many orders at once through a pair, and the counterparties that count them, in one thread.

The client keeps a window of orders on their way. What a counterparty gets is read in bulk and not parsed: its length,
MsgSeqNum and ClOrdID alone are looked at, so that a run measures the pair and not its load.
"""

from libc.errno cimport EAGAIN, EINTR, errno as c_errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_THREAD_CPUTIME_ID
from posix.unistd cimport close

from .bytequeue cimport NUMBER_DIGITS, byte_queue_t, use_up, write_number
from .clientwire cimport (FRAME_ACCEPTED, FRAME_HEADER_BYTES, FRAME_MESSAGE, FRAME_REJECTED, FRAME_SUBMIT,
                          frame_available, frame_header_t)
from .instant cimport instant_t
from .record cimport record_header_t
from .session cimport (SEND_OK, SEND_TX_FULL, SESSION_READY, Session, send_status, session_on_bytes, session_on_timer,
                       session_send_application, session_tx_consume, session_tx_gather)
from .spin cimport spin_clock_ns

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <string.h>
    #include <sys/epoll.h>
    #include <sys/socket.h>
    #include <time.h>
    static void sleep_until(uint64_t mono_ns) {
        struct timespec t = { (time_t)(mono_ns / 1000000000u), (long)(mono_ns % 1000000000u) };
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    }
    """
    void sleep_until(uint64_t mono_ns)
    ctypedef union epoll_data_t:
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLLIN, EPOLLOUT, EPOLL_CTL_ADD, EPOLL_CLOEXEC, EPOLLET, MSG_DONTWAIT, MSG_NOSIGNAL
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event*)
    int epoll_wait(int, epoll_event*, int, int)
    ssize_t c_send "send"(int, const void*, size_t, int)
    ssize_t c_recv "recv"(int, void*, size_t, int)
    void* memmem(const void*, size_t, const void*, size_t)

cdef enum:
    EVENTS_PER_TURN = 64
    WAIT_MS = 100
    HEADER_SCAN_BYTES = 200          # MsgSeqNum is among the first so many bytes of a message
    TRAILER_BYTES = 7                # "10=ddd" and its SOH
    ON_CLIENT = MAX_LANES            # what an epoll event is about; else the lane's number
    FAILED_TIMEOUT = -1
    FAILED_CLOSED = -2
    FAILED_REFUSED = -3
    FAILED_SEQUENCE = -4
    FAILED_ORDER = -5
    FAILED_GARBLED = -6
    FAILED_ANSWER = -7

FAILURES = {
    FAILED_TIMEOUT: "nothing has come for 10 s",
    FAILED_CLOSED: "a connection was closed",
    FAILED_REFUSED: "an order was refused",
    FAILED_SEQUENCE: "a MsgSeqNum at a counterparty does not follow the one before",
    FAILED_ORDER: "an order at a counterparty is not the one that comes next",
    FAILED_GARBLED: "what a counterparty got is not FIX",
    FAILED_ANSWER: "an answer could not be sent",
}


cdef class Load:
    """Load through connected non-blocking sockets: the client's, logged in, and with `add` each session's counterparty.

    `fields` are an order's, without ClOrdID (11), which is `prefix` and nine digits. Order i goes to session i modulo
    their number; `first` is the first one's number. `execution`: fields of the ExecutionReport that answers each order,
    with prefix and nine digits in it; none: orders are not answered. Raises ValueError.
    """

    def __cinit__(self, int client_fd, *, bytes prefix not None, bytes fields not None, bytes execution=b"",
                  uint64_t first=0):
        cdef frame_header_t header
        cdef bytes head = b"\x01D11=" + prefix
        cdef bytes body = head + b"0" * NUMBER_DIGITS + b"\x01" + fields
        self.epoll_fd = -1
        if FRAME_HEADER_BYTES + len(body) > sizeof(self.frame) or len(execution) > sizeof(self.execution):
            raise ValueError(f"fields of at most {sizeof(self.frame) - FRAME_HEADER_BYTES} bytes")
        memset(&header, 0, sizeof(header))
        header.length = <uint32_t>(FRAME_HEADER_BYTES + len(body))
        header.type = FRAME_SUBMIT
        memcpy(self.frame, &header, FRAME_HEADER_BYTES)
        memcpy(self.frame + FRAME_HEADER_BYTES, <const char*>body, len(body))
        memcpy(self.execution, <const char*>execution, len(execution))
        self.frame_length = header.length
        self.digits_offset = <uint32_t>(FRAME_HEADER_BYTES + len(head))
        self.clordid_length = <uint32_t>len(prefix) + NUMBER_DIGITS
        self.execution_length = <uint32_t>len(execution)
        self.answers = len(execution) != 0
        if self.answers:
            at = (b"\x01" + execution).find(b"\x0111=" + prefix)
            if at < 0:
                raise ValueError("execution: no ClOrdID (11) with the prefix in it")
            self.execution_offset = <uint32_t>(at + 3 + len(prefix))
        self.sessions = []
        self.numbered = self.seen = self.accepted = self.executed = first
        self.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        self.out = <uint8_t*>malloc(LOAD_BUFFER_BYTES)
        self.run = <uint8_t*>malloc(LOAD_BUFFER_BYTES)
        if self.out is NULL or self.run is NULL or self.epoll_fd < 0:
            raise MemoryError("load")
        self._watch(&self.client, client_fd, ON_CLIENT, EPOLLIN | EPOLLOUT | EPOLLET)

    def __dealloc__(self):
        cdef int i
        for i in range(self.lane_count):
            free(self.lanes[i].stream.bytes)
        free(self.client.bytes)
        free(self.out)
        free(self.run)
        if self.epoll_fd >= 0:
            close(self.epoll_fd)

    def add(self, Session session not None, int fd) -> None:
        """The counterparty of the next session, in the order of the configuration."""
        cdef lane_t* lane = &self.lanes[self.lane_count]
        if self.lane_count == MAX_LANES:
            raise ValueError(f"at most {MAX_LANES} sessions")
        self._watch(&lane.stream, fd, self.lane_count, EPOLLIN | EPOLLOUT | EPOLLET)
        self.lane_count += 1
        self.sessions.append(session)
        session.state.hooks.on_message = NULL
        session.state.hooks.on_event = NULL
        lane.session = &session.state

    def pump(self) -> bool:
        """Carries the sessions' own traffic once; whether all are ready. Not while orders are on their way."""
        cdef int i
        cdef lane_t* lane
        cdef instant_t now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
        cdef bint ready = True
        for i in range(self.lane_count):
            lane = &self.lanes[i]
            if fill(&lane.stream) < 0:
                raise RuntimeError("the gateway closed its FIX connection")
            use_up(&lane.stream, session_on_bytes(lane.session, lane.stream.bytes, lane.stream.filled, &now))
            session_on_timer(lane.session, &now)
            if self._flush_lane(lane) != 0:
                raise RuntimeError("the gateway closed its FIX connection")
            ready = ready and lane.session.state == SESSION_READY
        if self._read_client() != 0:
            raise RuntimeError("the gateway closed its client's connection")
        return ready

    def go(self, uint64_t count, uint32_t window) -> dict:
        """Hands in `count` orders, at most `window` of them not told to be accepted, and waits until all are at their
        counterparties, accepted and, where orders are answered, executed. Raises RuntimeError when that does not
        happen.

        Returns `orders`, `elapsed_ns`, and `load_cpu_ns`: what this thread itself has used.
        """
        cdef int failed
        cdef int i
        cdef uint64_t start = spin_clock_ns(CLOCK_MONOTONIC)
        cdef uint64_t cpu = spin_clock_ns(CLOCK_THREAD_CPUTIME_ID)
        for i in range(self.lane_count):
            self.lanes[i].next_number = self._first_number(i)
        with nogil:
            failed = self._run(self.numbered + count, window)
        if failed:
            raise RuntimeError(f"{FAILURES[failed]}: {self.numbered} orders handed in, {self.seen} at counterparties, "
                               f"{self.accepted} accepted, {self.executed} executed")
        return {"orders": count, "elapsed_ns": spin_clock_ns(CLOCK_MONOTONIC) - start,
                "load_cpu_ns": spin_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu}

    def latencies(self, uint64_t[::1] taken not None, uint64_t interval_ns) -> None:
        """Hands in an order every `interval_ns`, one at a time, and writes the ns until its counterparty has it, from
        the moment at which it was due. This thread sleeps while it has nothing to do, so that it leaves its core free.

        Raises RuntimeError."""
        cdef Py_ssize_t row
        cdef int failed = 0
        cdef uint64_t due
        cdef int i
        for i in range(self.lane_count):
            self.lanes[i].next_number = self._first_number(i)
        with nogil:
            due = spin_clock_ns(CLOCK_MONOTONIC)
            for row in range(taken.shape[0]):
                due += interval_ns
                sleep_until(due)
                failed = self._one()
                if failed:
                    break
                taken[row] = spin_clock_ns(CLOCK_MONOTONIC) - due
        if failed:
            raise RuntimeError(f"{FAILURES[failed]}: order {self.numbered}")

    def ask_again(self, int index, uint64_t first_seq, uint64_t last_seq) -> dict:
        """The counterparty of session `index` sends a ResendRequest for these MsgSeqNums, and reads until all have come
        again, each order with PossDupFlag=Y or as gap fill. Raises RuntimeError when that does not happen.

        Returns `resent` (messages), `elapsed_ns`, and `load_cpu_ns`.
        """
        cdef lane_t* lane = &self.lanes[index]
        cdef int failed
        cdef uint64_t start
        cdef uint64_t cpu
        cdef uint64_t resent = 0
        request = b"7=%d\x0116=%d\x01" % (first_seq, last_seq)
        self.sessions[index].send("2", request, spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
        start = spin_clock_ns(CLOCK_MONOTONIC)
        cpu = spin_clock_ns(CLOCK_THREAD_CPUTIME_ID)
        with nogil:
            failed = self._flush_lane(lane)
            if failed == 0:
                failed = self._take_again(lane, first_seq, last_seq, &resent)
        if failed:
            raise RuntimeError(f"{FAILURES[failed]}: {resent} messages came again")
        return {"resent": resent, "elapsed_ns": spin_clock_ns(CLOCK_MONOTONIC) - start,
                "load_cpu_ns": spin_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu}

    cdef uint64_t _first_number(self, int index) noexcept nogil:
        """Of the orders that are handed in from now on, the first that goes to this lane."""
        return self.numbered + (index + self.lane_count - self.numbered % self.lane_count) % self.lane_count

    cdef int _one(self) noexcept nogil:
        """Hands in one order and returns once it is at its counterparty."""
        cdef epoll_event events[EVENTS_PER_TURN]
        cdef lane_t* lane = &self.lanes[self.numbered % self.lane_count]
        cdef uint64_t seen = self.seen
        cdef uint64_t deadline = spin_clock_ns(CLOCK_MONOTONIC) + LOAD_TIMEOUT_NS
        cdef int failed = self._submit(self.numbered + 1, <uint32_t>-1)
        while failed == 0 and self.seen == seen:
            epoll_wait(self.epoll_fd, events, EVENTS_PER_TURN, WAIT_MS)
            failed = self._read_lane(lane)
            if spin_clock_ns(CLOCK_MONOTONIC) > deadline:
                return FAILED_TIMEOUT
        return self._read_client() if failed == 0 else failed

    cdef int _take_again(self, lane_t* lane, uint64_t seq, uint64_t last, uint64_t* resent) noexcept nogil:
        cdef epoll_event events[EVENTS_PER_TURN]
        cdef byte_queue_t* s = &lane.stream
        cdef uint64_t deadline = spin_clock_ns(CLOCK_MONOTONIC) + LOAD_TIMEOUT_NS
        cdef size_t used
        cdef int64_t length
        cdef int more
        while seq <= last:
            more = fill(s)
            if more < 0:
                return FAILED_CLOSED
            used = 0
            while True:
                length = whole_message(s.bytes + used, s.filled - used)
                if length <= 0:
                    break
                seq = number_behind(s.bytes + used, <uint32_t>length, seq, resent)
                if seq == 0:
                    return FAILED_SEQUENCE
                used += <size_t>length
            use_up(s, used)
            if not more:
                epoll_wait(self.epoll_fd, events, EVENTS_PER_TURN, 1)
            if spin_clock_ns(CLOCK_MONOTONIC) > deadline:
                return FAILED_TIMEOUT
        return 0

    cdef int _run(self, uint64_t last, uint32_t window) noexcept nogil:
        cdef epoll_event events[EVENTS_PER_TURN]
        cdef uint64_t deadline = 0
        cdef uint64_t progress = 0
        cdef uint64_t now
        cdef int failed
        cdef int count
        cdef int i
        while True:
            failed = self._submit(last, window)
            if failed:
                return failed
            if self.accepted == last and self.seen == last and (self.executed == last or not self.answers):
                return 0
            count = epoll_wait(self.epoll_fd, events, EVENTS_PER_TURN, WAIT_MS)
            for i in range(count):
                if events[i].data.u64 == ON_CLIENT:
                    failed = self._read_client()
                else:
                    failed = self._read_lane(&self.lanes[events[i].data.u64])
                if failed:
                    return failed
            now = spin_clock_ns(CLOCK_MONOTONIC)
            if self.seen + self.accepted + self.executed != progress or deadline == 0:
                progress = self.seen + self.accepted + self.executed
                deadline = now + LOAD_TIMEOUT_NS
            elif now > deadline:
                return FAILED_TIMEOUT

    cdef int _submit(self, uint64_t last, uint32_t window) noexcept nogil:
        """Makes what the window has room for, and gives the socket as much as it takes."""
        cdef uint64_t settled = min(self.accepted, self.executed) if self.answers else self.accepted
        cdef uint8_t* place
        cdef ssize_t sent
        while True:
            while (self.numbered < last and self.numbered - settled < window
                    and self.out_tail + self.frame_length <= LOAD_BUFFER_BYTES):
                place = self.out + self.out_tail
                memcpy(place, self.frame, self.frame_length)
                (<frame_header_t*>place).session = <uint16_t>(self.numbered % self.lane_count)
                write_number(place + self.digits_offset, self.numbered)
                self.out_tail += self.frame_length
                self.numbered += 1
            if self.out_head == self.out_tail:
                return 0
            sent = c_send(self.client.fd, self.out + self.out_head, self.out_tail - self.out_head,
                          MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent < 0:
                return 0 if c_errno == EAGAIN or c_errno == EINTR else FAILED_CLOSED
            self.out_head += <uint32_t>sent
            if self.out_head < self.out_tail:
                continue                      # until the socket says that it is full: it is watched for an edge
            self.out_head = 0
            self.out_tail = 0

    cdef int _read_client(self) noexcept nogil:
        cdef byte_queue_t* s = &self.client
        cdef const frame_header_t* header
        cdef size_t used
        cdef int64_t length
        cdef int more
        while True:
            more = fill(s)
            if more < 0:
                return FAILED_CLOSED
            used = 0
            while True:
                length = frame_available(s.bytes + used, s.filled - used)
                if length <= 0:
                    break
                header = <const frame_header_t*>(s.bytes + used)
                if header.type == FRAME_ACCEPTED:
                    self.accepted += 1
                elif header.type == FRAME_MESSAGE:
                    self.executed += 1
                elif header.type == FRAME_REJECTED:
                    return FAILED_REFUSED
                used += <size_t>length
            use_up(s, used)
            if not more:
                return 0

    cdef int _read_lane(self, lane_t* lane) noexcept nogil:
        cdef byte_queue_t* s = &lane.stream
        cdef size_t used
        cdef int64_t length
        cdef int more
        cdef int failed
        while True:
            more = fill(s)
            if more < 0:
                return FAILED_CLOSED
            used = 0
            while True:
                length = whole_message(s.bytes + used, s.filled - used)
                if length == 0:
                    break
                failed = self._take_message(lane, s.bytes + used, <uint32_t>length) if length > 0 else FAILED_GARBLED
                if failed:
                    return failed
                used += <size_t>length
            use_up(s, used)
            failed = self._flush_lane(lane) if self.answers else 0
            if failed or not more:
                return failed

    cdef int _take_message(self, lane_t* lane, const uint8_t* data, uint32_t length) noexcept nogil:
        cdef const uint8_t* at = <const uint8_t*>memmem(data, min(length, <uint32_t>HEADER_SCAN_BYTES), b"\x0134=", 4)
        cdef const uint8_t* kind = <const uint8_t*>memmem(data, min(length, <uint32_t>HEADER_SCAN_BYTES), b"\x0135=", 4)
        cdef uint8_t digits[NUMBER_DIGITS]
        cdef instant_t now
        if at is NULL or kind is NULL:
            return FAILED_GARBLED
        if number_at(at + 4, data + length) != lane.session.next_in:
            return FAILED_SEQUENCE
        if kind[4] != c'D':
            now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
            session_on_bytes(lane.session, data, length, &now)
            return self._flush_lane(lane)
        lane.session.next_in += 1
        at = <const uint8_t*>memmem(at, <size_t>(data + length - at), b"\x0111=", 4)
        write_number(digits, lane.next_number)
        if (at is NULL or at + 4 + self.clordid_length >= data + length or at[4 + self.clordid_length] != 1
                or memcmp(at + 4 + self.clordid_length - NUMBER_DIGITS, digits, NUMBER_DIGITS) != 0):
            return FAILED_ORDER
        lane.next_number += self.lane_count
        self.seen += 1
        return self._answer(lane, digits) if self.answers else 0

    cdef int _answer(self, lane_t* lane, const uint8_t* digits) noexcept nogil:
        cdef const record_header_t* record = NULL
        cdef instant_t now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
        cdef send_status status
        memcpy(self.execution + self.execution_offset, digits, NUMBER_DIGITS)
        status = session_send_application(lane.session, b"8", 1, self.execution, self.execution_length, 0, 0, 0, 0,
                                          &now, &record)
        if status == SEND_TX_FULL and self._flush_lane(lane) == 0:
            status = session_send_application(lane.session, b"8", 1, self.execution, self.execution_length, 0, 0, 0, 0,
                                              &now, &record)
        return 0 if status == SEND_OK else FAILED_ANSWER

    cdef int _flush_lane(self, lane_t* lane) noexcept nogil:
        cdef const uint8_t* data = NULL
        cdef size_t size
        cdef ssize_t sent
        cdef instant_t now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
        while True:
            size = session_tx_gather(lane.session, <uint64_t>-1, self.run, LOAD_BUFFER_BYTES, &data)
            if size == 0:
                return 0
            sent = c_send(lane.stream.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent < 0:
                return 0 if c_errno == EAGAIN or c_errno == EINTR else FAILED_CLOSED
            session_tx_consume(lane.session, <size_t>sent, &now)

    cdef _watch(self, byte_queue_t* s, int fd, uint64_t what, uint32_t events):
        cdef epoll_event event
        s.fd = fd
        s.bytes = <uint8_t*>malloc(LOAD_BUFFER_BYTES)
        memset(&event, 0, sizeof(event))
        event.events = events
        event.data.u64 = what
        if s.bytes is NULL or epoll_ctl(self.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0:
            raise MemoryError("load: a socket cannot be watched")


cdef int fill(byte_queue_t* s) noexcept nogil:
    """1: there may be more; 0: nothing more now; -1: closed."""
    cdef ssize_t size
    if s.filled == LOAD_BUFFER_BYTES:
        return 1
    size = c_recv(s.fd, s.bytes + s.filled, LOAD_BUFFER_BYTES - s.filled, MSG_DONTWAIT)
    if size < 0 and (c_errno == EAGAIN or c_errno == EINTR):
        return 0
    if size <= 0:
        return -1
    s.filled += <uint32_t>size
    return 1


cdef int64_t whole_message(const uint8_t* data, uint32_t size) noexcept nogil:
    """Bytes of the first message; 0: it is not all there; -1: no FIX."""
    cdef uint32_t at = 0
    cdef int64_t length
    while at < size and data[at] != 1:
        at += 1
    at += 1
    if at + 3 > size:
        return 0
    if data[at] != c'9':
        return -1
    at += 2
    length = <int64_t>number_at(data + at, data + size)
    while at < size and data[at] != 1:
        at += 1
    length += at + 1 + TRAILER_BYTES
    return length if at < size and length <= size else 0


cdef uint64_t number_behind(const uint8_t* data, uint32_t length, uint64_t seq, uint64_t* resent) noexcept nogil:
    """MsgSeqNum that follows a message that came again, if `seq` is its own; 0: it is not, or did not come again."""
    cdef uint32_t header = min(length, <uint32_t>HEADER_SCAN_BYTES)
    cdef const uint8_t* at = <const uint8_t*>memmem(data, header, b"\x0134=", 4)
    cdef const uint8_t* end = data + length
    if at is NULL or number_at(at + 4, end) != seq or memmem(data, header, b"\x0143=Y", 5) is NULL:
        return 0
    if memmem(data, header, b"\x0135=4", 5) is NULL:
        resent[0] += 1
        return seq + 1
    at = <const uint8_t*>memmem(data, length, b"\x0136=", 4)
    return number_at(at + 4, end) if at is not NULL else 0


cdef uint64_t number_at(const uint8_t* p, const uint8_t* end) noexcept nogil:
    cdef uint64_t value = 0
    while p < end and c'0' <= p[0] <= c'9':
        value = value * 10 + (p[0] - c'0')
        p += 1
    return value
