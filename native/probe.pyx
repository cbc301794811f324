"""A client and a broker in one thread, for measuring what lies between them.

One order at a time: the client's SUBMIT frame goes in on one socket, the NewOrderSingle (35=D) comes out on another,
the broker answers with an ExecutionReport (35=8), and the client's MESSAGE frame ends the exchange. Both sockets are
polled without sleeping, so the thread needs a core of its own.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME

from .clientwire cimport (FRAME_HEADER_BYTES, FRAME_MESSAGE, FRAME_REJECTED, FRAME_SUBMIT, frame_available,
                          frame_header_t)
from .instant cimport instant_t
from .parser cimport message_t
from .record cimport record_header_t
from .session cimport (SEND_OK, SESSION_READY, Session, session_on_bytes, session_on_timer, session_send_application,
                       session_t, session_tx_consume, session_tx_peek)
from .spin cimport spin_clock_ns, spin_read

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send" (int fd, const void* data, size_t size, int flags)
    int MSG_NOSIGNAL

cdef enum:
    DIGITS = 9
    FAILED_TIMEOUT = -1
    FAILED_CLOSED = -2
    FAILED_REFUSED = -3

FAILURES = {
    FAILED_TIMEOUT: "no answer within 5 s",
    FAILED_CLOSED: "a connection was closed",
    FAILED_REFUSED: "an order was refused",
}


cdef void on_order(void* context, session_t* session, const message_t* message,
                   const record_header_t* record) noexcept nogil:
    (<uint32_t*>context)[0] += 1


cdef class Probe:
    """Measures through two connected non-blocking sockets: `client_fd` logged in, `broker_fd` of a logged-on `session`.

    `fields` are an order's, without ClOrdID (11); `execution` are those of the answer to each. Raises ValueError.
    """

    def __cinit__(self, Session session not None, int client_fd, int broker_fd, *, uint16_t index,
                  bytes prefix not None, bytes fields not None, bytes execution not None):
        cdef frame_header_t header
        cdef bytes head = b"\x01D11=" + prefix
        cdef bytes body = head + b"0" * DIGITS + b"\x01" + fields
        if FRAME_HEADER_BYTES + len(body) > sizeof(self.frame) or len(execution) > sizeof(self.execution):
            raise ValueError(f"fields of at most {sizeof(self.frame) - FRAME_HEADER_BYTES} bytes")
        memset(&header, 0, sizeof(header))
        header.length = <uint32_t>(FRAME_HEADER_BYTES + len(body))
        header.type = FRAME_SUBMIT
        header.session = index
        memcpy(self.frame, &header, FRAME_HEADER_BYTES)
        memcpy(self.frame + FRAME_HEADER_BYTES, <const char*>body, len(body))
        memcpy(self.execution, <const char*>execution, len(execution))
        self.frame_length = header.length
        self.digits_offset = <uint32_t>(FRAME_HEADER_BYTES + len(head))
        self.execution_length = <uint32_t>len(execution)
        self.session = session
        session.state.hooks.context = &self.orders_seen
        session.state.hooks.on_message = on_order
        session.state.hooks.on_event = NULL
        self.client.fd = client_fd
        self.broker.fd = broker_fd
        self.client.bytes = <uint8_t*>malloc(PROBE_BUFFER_BYTES)
        self.broker.bytes = <uint8_t*>malloc(PROBE_BUFFER_BYTES)
        if self.client.bytes is NULL or self.broker.bytes is NULL:
            raise MemoryError("probe")

    def __dealloc__(self):
        free(self.client.bytes)
        free(self.broker.bytes)

    def measure(self, uint64_t[:, ::1] times not None, uint64_t pause_ns=0) -> None:
        """One order per row of `times`: ns at which it was handed in, was out, was answered, and the answer was in.

        `pause_ns` is spent polling between two orders. Raises RuntimeError when the other side fails.
        """
        cdef Py_ssize_t row
        cdef int failed = 0
        cdef uint64_t until
        if times.shape[1] != 4:
            raise ValueError("times: four columns")
        with nogil:
            for row in range(times.shape[0]):
                failed = self._exchange(&times[row, 0])
                if failed:
                    break
                until = times[row, 3] + pause_ns
                while spin_clock_ns(CLOCK_MONOTONIC) < until:
                    pass
        if failed:
            raise RuntimeError(f"order {self.number}: {FAILURES[failed]}")

    def pump(self) -> bool:
        """Carries the broker's session traffic once; whether the session is ready."""
        cdef uint64_t at_ns = 0
        cdef instant_t now
        if self._read_broker(&at_ns) != 0:
            raise RuntimeError("the gateway closed its FIX connection")
        now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
        session_on_timer(&self.session.state, &now)
        self._flush_broker()
        return self.session.state.state == SESSION_READY

    cdef int _exchange(self, uint64_t* times) noexcept nogil:
        cdef const record_header_t* record = NULL
        cdef instant_t now
        cdef uint64_t deadline
        cdef uint64_t executions = self.executions_read
        cdef uint32_t orders = self.orders_seen
        cdef int failed
        self.number += 1
        write_digits(self.frame + self.digits_offset, self.number)
        times[0] = spin_clock_ns(CLOCK_MONOTONIC)
        deadline = times[0] + PROBE_TIMEOUT_NS
        if c_send(self.client.fd, self.frame, self.frame_length, MSG_NOSIGNAL) != <ssize_t>self.frame_length:
            return FAILED_CLOSED
        while self.orders_seen == orders:
            failed = self._read_broker(&times[1])
            if failed:
                return failed
            if spin_clock_ns(CLOCK_MONOTONIC) > deadline:
                return FAILED_TIMEOUT
        now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
        if session_send_application(&self.session.state, b"8", 1, self.execution, self.execution_length, 0, 0, 0, 0,
                                    &now, &record) != SEND_OK:
            return FAILED_REFUSED
        times[2] = spin_clock_ns(CLOCK_MONOTONIC)
        self._flush_broker()
        while self.executions_read == executions:
            failed = self._read_client()
            if failed:
                return failed
            if spin_clock_ns(CLOCK_MONOTONIC) > deadline:
                return FAILED_TIMEOUT
        times[3] = spin_clock_ns(CLOCK_MONOTONIC)
        return 0

    cdef int _read_broker(self, uint64_t* at_ns) noexcept nogil:
        """Takes what has come; at_ns: when, if something has."""
        cdef probe_stream_t* s = &self.broker
        cdef ssize_t size = spin_read(s.fd, s.bytes + s.filled, PROBE_BUFFER_BYTES - s.filled)
        cdef instant_t now
        if size <= 0:
            return FAILED_CLOSED if size < 0 else 0
        at_ns[0] = spin_clock_ns(CLOCK_MONOTONIC)
        now = instant_t(at_ns[0], spin_clock_ns(CLOCK_REALTIME))
        s.filled += <uint32_t>size
        use_up(s, session_on_bytes(&self.session.state, s.bytes, s.filled, &now))
        self._flush_broker()
        return 0

    cdef int _read_client(self) noexcept nogil:
        cdef probe_stream_t* s = &self.client
        cdef ssize_t size = spin_read(s.fd, s.bytes + s.filled, PROBE_BUFFER_BYTES - s.filled)
        cdef const frame_header_t* header
        cdef size_t used = 0
        cdef ssize_t length
        if size <= 0:
            return FAILED_CLOSED if size < 0 else 0
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

    cdef void _flush_broker(self) noexcept nogil:
        cdef const uint8_t* data = NULL
        cdef size_t size
        cdef instant_t now
        while True:
            size = session_tx_peek(&self.session.state, <uint64_t>-1, &data)
            if size == 0 or c_send(self.broker.fd, data, size, MSG_NOSIGNAL) != <ssize_t>size:
                return
            now = instant_t(spin_clock_ns(CLOCK_MONOTONIC), spin_clock_ns(CLOCK_REALTIME))
            session_tx_consume(&self.session.state, size, &now)


cdef void write_digits(uint8_t* place, uint64_t value) noexcept nogil:
    cdef int i
    for i in range(DIGITS):
        place[DIGITS - 1 - i] = <uint8_t>(c'0' + value % 10)
        value //= 10


cdef void use_up(probe_stream_t* s, size_t size) noexcept nogil:
    s.filled -= <uint32_t>size
    if size and s.filled:
        memmove(s.bytes, s.bytes + size, s.filled)
