"""A client and a broker in one thread, for measuring what lies between them.

The client's order goes in on one socket, the NewOrderSingle (35=D) comes out on another, the broker answers with an
ExecutionReport (35=8), and what the client gets of it ends the exchange. Orders are due at fixed times, whatever became
of those before (open loop), or one at a time.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME

from .bytequeue cimport NUMBER_DIGITS, byte_queue_t, use_up, write_number
from .clientwire cimport (FRAME_HEADER_BYTES, FRAME_MESSAGE, FRAME_REJECTED, FRAME_SUBMIT, frame_available,
                          frame_header_t)
from .instant cimport instant_t
from .parser cimport message_t
from .record cimport record_header_t
from .session cimport (SEND_OK, SESSION_READY, Session, session_on_bytes, session_on_timer, session_send_application,
                       session_t, session_tx_consume, session_tx_peek)
from .sharedstream cimport SharedStream, shared_must_wake_reader, shared_read, shared_sleep, shared_write
from .spin cimport spin_clock_ns, spin_read

from .floors import WAITS

cdef extern from "hops.h" nogil:
    enum:
        HOPS_ANSWERED
        HOPS_COLUMNS
        HOPS_DUE
        HOPS_IN
        HOPS_OUT
        HOPS_SENT
    uint64_t HOPS_TIMEOUT_NS
    void hops_punctual()
    void hops_idle(int wait, int one_fd, int other_fd, uint64_t limit_ns)

cdef extern from "<errno.h>" nogil:
    int errno
    int EAGAIN
    int EINTR

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send" (int fd, const void* data, size_t size, int flags)
    int MSG_DONTWAIT, MSG_NOSIGNAL

cdef enum:
    FAILED_TIMEOUT = -1
    FAILED_CLOSED = -2
    FAILED_REFUSED = -3

FAILURES = {
    FAILED_TIMEOUT: "no answer within 30 s",
    FAILED_CLOSED: "a connection was closed",
    FAILED_REFUSED: "an order was refused",
}


cdef void count_message(void* context, session_t* session, const message_t* message,
                        const record_header_t* record) noexcept nogil:
    (<uint64_t*>context)[0] += 1


cdef class Probe:
    """Measures through two connected non-blocking sockets: `broker_fd` of a logged-on `session`, and `client_fd`.

    `client_fd` is logged in and speaks frames of the client protocol, or, with `client_session`, FIX; with `shared` it
    wakes, and the frames are there. `fields` are an order's, without ClOrdID (11); `execution` are those of the answer
    to each, whose ClOrdID, if it has one, becomes the order's. Raises ValueError.
    """

    def __cinit__(self, Session session not None, int client_fd, int broker_fd, *, uint16_t index,
                  bytes prefix not None, bytes fields not None, bytes execution not None,
                  Session client_session=None, SharedStream shared=None):
        cdef frame_header_t header
        cdef bytes head = b"\x01D11=" + prefix
        cdef bytes body = head + b"0" * NUMBER_DIGITS + b"\x01" + fields
        if FRAME_HEADER_BYTES + len(body) > sizeof(self.frame) or len(execution) > sizeof(self.execution):
            raise ValueError(f"fields of at most {sizeof(self.frame) - FRAME_HEADER_BYTES} bytes")
        memset(&header, 0, sizeof(header))
        header.length = <uint32_t>(FRAME_HEADER_BYTES + len(body))
        header.type = FRAME_SUBMIT
        header.session = index
        memcpy(self.frame, &header, FRAME_HEADER_BYTES)
        memcpy(self.frame + FRAME_HEADER_BYTES, <const char*>body, len(body))
        memcpy(self.execution, <const char*>execution, len(execution))
        self.frame_length = self.frame_sent = header.length
        self.body_offset = FRAME_HEADER_BYTES + 2        # behind the MsgType and its length
        self.digits_offset = <uint32_t>(FRAME_HEADER_BYTES + len(head))
        self.clordid_length = <uint32_t>(len(prefix) + NUMBER_DIGITS)
        self.execution_length = <uint32_t>len(execution)
        at = execution.find(b"\x0111=" + prefix)
        self.execution_digits = <uint32_t>(at + 4 + len(prefix)) if at >= 0 else 0
        if self.execution_digits + NUMBER_DIGITS > self.execution_length:
            raise ValueError("execution: its ClOrdID (11) is shorter than an order's")
        self.session = session
        self.client_session = client_session
        self.shared = shared
        listen_to(session, &self.orders_seen)
        if client_session is not None:
            listen_to(client_session, &self.executions_read)
        self.client.fd = client_fd
        self.broker.fd = broker_fd
        self.client.bytes = <uint8_t*>malloc(PROBE_BUFFER_BYTES)
        self.broker.bytes = <uint8_t*>malloc(PROBE_BUFFER_BYTES)
        if self.client.bytes is NULL or self.broker.bytes is NULL:
            raise MemoryError("probe")

    def __dealloc__(self):
        free(self.client.bytes)
        free(self.broker.bytes)

    def measure(self, uint64_t[:, ::1] times not None, *, uint64_t interval_ns=0, uint64_t pause_ns=0,
                str wait="spin") -> None:
        """One order per row of `times`: ns at which it was due, handed in, out, answered, and the answer was in.

        `interval_ns`: orders are due at such a distance, whatever became of those before; 0: one at a time, `pause_ns`
        after the one before. `wait`: what is done while there is nothing, "spin", "yield" or "block". Raises
        RuntimeError when the other side fails.
        """
        cdef probe_run_t run
        cdef int how = WAITS[wait]
        cdef int failed
        if times.shape[0] == 0 or times.shape[1] != HOPS_COLUMNS:
            raise ValueError(f"times: at least one row of {HOPS_COLUMNS} columns")
        memset(&run, 0, sizeof(run))
        run.rows = times.shape[0]
        run.times = &times[0, 0]
        run.interval_ns = interval_ns
        run.pause_ns = pause_ns
        self.asleep = how == WAITS["block"]
        if self.shared is not None and self.asleep:
            shared_sleep(&self.shared.stream)
        with nogil:
            failed = self._run(&run, how)
        if failed:
            raise RuntimeError(f"order {run.sent}: {FAILURES[failed]}")

    def pump(self) -> bool:
        """Carries the sessions' own traffic once; whether they are ready."""
        cdef uint64_t at_ns = 0
        cdef bint ready
        if self._read_session(&self.broker, &self.session.state, &at_ns) != 0:
            raise RuntimeError("the gateway closed its FIX connection")
        tick(&self.session.state, self.broker.fd)
        ready = self.session.state.state == SESSION_READY
        if self.client_session is not None:
            if self._read_session(&self.client, &self.client_session.state, &at_ns) != 0:
                raise RuntimeError("the gateway closed the client's connection")
            tick(&self.client_session.state, self.client.fd)
            ready = ready and self.client_session.state.state == SESSION_READY
        return ready

    cdef int _run(self, probe_run_t* run, int wait) noexcept nogil:
        cdef uint64_t now = spin_clock_ns(CLOCK_MONOTONIC)
        cdef uint64_t progress_ns = now
        cdef uint64_t before, limit_ns
        cdef int failed
        self.orders_seen = self.executions_read = 0
        self.base = self.number
        hops_punctual()
        run.due_ns = now
        while run.taken < run.rows:
            before = run.out + run.taken
            failed = self._hand_in(run)
            if not failed and run.out < run.sent:
                failed = self._answer(run)
            if not failed and run.taken < run.out:
                failed = self._take(run)
            if failed:
                return failed
            now = spin_clock_ns(CLOCK_MONOTONIC)
            if run.out + run.taken != before or run.taken == run.sent:
                progress_ns = now
            elif now - progress_ns > HOPS_TIMEOUT_NS:
                return FAILED_TIMEOUT
            if run.out + run.taken == before:
                limit_ns = HOPS_TIMEOUT_NS
                if run.sent < run.rows and (run.interval_ns or run.taken == run.sent):
                    limit_ns = run.due_ns - now if run.due_ns > now else 0
                # Only where something is due: what nobody reads yet would end each sleep at once.
                hops_idle(wait, self.broker.fd if run.out < run.sent else -1,
                          self.client.fd if run.taken < run.out else -1, limit_ns)
        return 0

    cdef int _hand_in(self, probe_run_t* run) noexcept nogil:
        """The next order, when its time has come and the one before is in the socket."""
        cdef uint64_t* row
        cdef uint64_t now
        cdef int failed = self._push_frame()
        if failed or self.frame_sent < self.frame_length or run.sent == run.rows:
            return failed
        if run.interval_ns == 0 and run.taken < run.sent:
            return 0
        now = spin_clock_ns(CLOCK_MONOTONIC)
        if now < run.due_ns:
            return 0
        row = run.times + run.sent * HOPS_COLUMNS
        row[HOPS_DUE] = run.due_ns if run.interval_ns else now
        row[HOPS_SENT] = now
        run.sent += 1
        run.due_ns += run.interval_ns
        return self._submit()

    cdef int _answer(self, probe_run_t* run) noexcept nogil:
        """The broker: takes what has come and answers each order of it."""
        cdef const record_header_t* record = NULL
        cdef uint64_t at_ns = 0
        cdef uint64_t* row
        cdef instant_t now
        cdef int failed = self._read_session(&self.broker, &self.session.state, &at_ns)
        if failed:
            return failed
        while run.out < self.orders_seen:
            row = run.times + run.out * HOPS_COLUMNS
            row[HOPS_OUT] = at_ns
            if self.execution_digits:
                write_number(self.execution + self.execution_digits, self.base + run.out + 1)
            now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
            if session_send_application(&self.session.state, b"8", 1, self.execution, self.execution_length, 0, 0, 0,
                                        0, &now, &record) != SEND_OK:
                return FAILED_REFUSED
            row[HOPS_ANSWERED] = spin_clock_ns(CLOCK_MONOTONIC)
            run.out += 1
        flush(&self.session.state, self.broker.fd)
        return 0

    cdef int _take(self, probe_run_t* run) noexcept nogil:
        """The client: takes what has come."""
        cdef uint64_t at_ns = 0
        cdef int failed
        if self.client_session is None:
            failed = self._read_frames(&at_ns)
        else:
            failed = self._read_session(&self.client, &self.client_session.state, &at_ns)
        if failed:
            return failed
        if self.executions_read > run.out:
            return FAILED_REFUSED                        # an answer to what the broker has not seen
        while run.taken < self.executions_read:
            run.times[run.taken * HOPS_COLUMNS + HOPS_IN] = at_ns
            run.taken += 1
            if run.interval_ns == 0:
                run.due_ns = at_ns + run.pause_ns
        return 0

    cdef int _submit(self) noexcept nogil:
        cdef const record_header_t* record = NULL
        cdef instant_t now
        self.number += 1
        write_number(self.frame + self.digits_offset, self.number)
        if self.client_session is None:
            self.frame_sent = 0
            return self._push_frame()
        now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
        if session_send_application(&self.client_session.state, b"D", 1, self.frame + self.body_offset,
                                    self.frame_length - self.body_offset, 3, self.clordid_length, 0, 0, &now,
                                    &record) != SEND_OK:
            return FAILED_REFUSED
        flush(&self.client_session.state, self.client.fd)
        return 0

    cdef int _push_frame(self) noexcept nogil:
        cdef uint8_t wakeup = 0
        cdef ssize_t size
        if self.client_session is not None:
            flush(&self.client_session.state, self.client.fd)
            return 0
        if self.frame_sent == self.frame_length:
            return 0
        if self.shared is not None:
            size = shared_write(&self.shared.stream, self.frame + self.frame_sent, self.frame_length - self.frame_sent)
            if shared_must_wake_reader(&self.shared.stream):
                c_send(self.client.fd, &wakeup, 1, MSG_NOSIGNAL | MSG_DONTWAIT)
        else:
            size = c_send(self.client.fd, self.frame + self.frame_sent, self.frame_length - self.frame_sent,
                          MSG_NOSIGNAL | MSG_DONTWAIT)
        if size < 0:
            return 0 if errno == EAGAIN or errno == EINTR else FAILED_CLOSED
        self.frame_sent += <uint32_t>size
        return 0

    cdef int _read_session(self, byte_queue_t* s, session_t* session, uint64_t* at_ns) noexcept nogil:
        """Takes what has come; at_ns: when, if something has."""
        cdef ssize_t size = spin_read(s.fd, s.bytes + s.filled, PROBE_BUFFER_BYTES - s.filled)
        cdef instant_t now
        if size < 0:
            return FAILED_CLOSED
        if size:
            at_ns[0] = spin_clock_ns(CLOCK_MONOTONIC)
            now = instant_t(at_ns[0], spin_clock_ns(CLOCK_REALTIME))
            s.filled += <uint32_t>size
            use_up(s, session_on_bytes(session, s.bytes, s.filled, &now))
        flush(session, s.fd)
        return 0

    cdef ssize_t _read_client(self, uint8_t* place, size_t room) noexcept nogil:
        cdef uint8_t wakeups[64]
        cdef ssize_t size
        if self.shared is None:
            return spin_read(self.client.fd, place, room)
        size = shared_read(&self.shared.stream, place, room)
        if size == 0 and self.asleep:
            size = spin_read(self.client.fd, wakeups, sizeof(wakeups))
            if size >= 0:
                shared_sleep(&self.shared.stream)
                size = shared_read(&self.shared.stream, place, room)
        return size

    cdef int _read_frames(self, uint64_t* at_ns) noexcept nogil:
        cdef byte_queue_t* s = &self.client
        cdef ssize_t size = self._read_client(s.bytes + s.filled, PROBE_BUFFER_BYTES - s.filled)
        cdef const frame_header_t* header
        cdef size_t used = 0
        cdef ssize_t length
        if size <= 0:
            return FAILED_CLOSED if size < 0 else 0
        at_ns[0] = spin_clock_ns(CLOCK_MONOTONIC)
        s.filled += <uint32_t>size
        while True:
            length = <ssize_t>frame_available(s.bytes + used, s.filled - used)
            if length <= 0:
                break
            header = <const frame_header_t*>(s.bytes + used)
            if header.type == FRAME_MESSAGE:
                self.executions_read += 1
            elif header.type == FRAME_REJECTED:
                return FAILED_REFUSED
            used += length
        use_up(s, used)
        return 0


cdef void listen_to(Session session, uint64_t* counter) noexcept:
    session.state.hooks.context = counter
    session.state.hooks.on_message = count_message
    session.state.hooks.on_event = NULL


cdef void tick(session_t* session, int fd) noexcept nogil:
    cdef instant_t now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
    session_on_timer(session, &now)
    flush(session, fd)


cdef void flush(session_t* session, int fd) noexcept nogil:
    """What the socket takes; the rest goes with the next call."""
    cdef const uint8_t* data = NULL
    cdef instant_t now
    cdef size_t size = session_tx_peek(session, <uint64_t>-1, &data)
    cdef ssize_t sent
    while size:
        sent = c_send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT)
        if sent <= 0:
            return
        now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
        session_tx_consume(session, <size_t>sent, &now)
        size = session_tx_peek(session, <uint64_t>-1, &data)
