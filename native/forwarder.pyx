"""The least that a pair of processes can do with an order: bytes in, bytes out, no FIX, no log. A yardstick for bench/.

What the gateway needs beyond these times is its own; the rest is the operating system's.
"""

from libc.stdint cimport uint8_t, uint64_t
from posix.time cimport CLOCK_MONOTONIC

from .spin cimport spin_clock_ns, spin_read

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send" (int fd, const void* data, size_t size, int flags)
    ssize_t c_recv "recv" (int fd, void* data, size_t size, int flags)
    int MSG_NOSIGNAL

cdef enum:
    BUFFER_BYTES = 4096
    CLOSED = -1
    TIMEOUT_NS = 5000000000


def forward(int client_fd, int broker_fd, int standby_fd=-1) -> None:
    """Carries bytes both ways between two connected sockets, polling, until one is closed.

    With `standby_fd`, a connected UDP socket, what comes from the client goes there first, and waits for its echo.
    """
    cdef uint8_t buffer[BUFFER_BYTES]
    cdef uint8_t echoed[BUFFER_BYTES]
    cdef ssize_t size
    with nogil:
        while True:
            size = spin_read(client_fd, buffer, BUFFER_BYTES)
            if size > 0 and standby_fd >= 0:
                c_send(standby_fd, buffer, size, 0)
                while spin_read(standby_fd, echoed, BUFFER_BYTES) == 0:
                    pass
            if size == CLOSED or (size > 0 and c_send(broker_fd, buffer, size, MSG_NOSIGNAL) < 0):
                break
            size = spin_read(broker_fd, buffer, BUFFER_BYTES)
            if size == CLOSED or (size > 0 and c_send(client_fd, buffer, size, MSG_NOSIGNAL) < 0):
                break


def echo(int fd) -> None:
    """Sends back each datagram of a connected UDP socket; sleeps in between; ends with an empty one."""
    cdef uint8_t buffer[BUFFER_BYTES]
    cdef ssize_t size
    with nogil:
        while True:
            size = c_recv(fd, buffer, BUFFER_BYTES, 0)
            if size <= 0:
                break
            c_send(fd, buffer, size, 0)


def measure_forward(int client_fd, int broker_fd, bytes order not None, bytes execution not None,
                    uint64_t[:, ::1] times not None, uint64_t pause_ns=0) -> None:
    """One order per row of `times`: ns at which it went in, was out, was answered, and the answer was in.

    Both ends in this thread, polling. `pause_ns` is spent polling between two. Raises RuntimeError on silence.
    """
    cdef uint8_t buffer[BUFFER_BYTES]
    cdef const uint8_t* order_bytes = order
    cdef const uint8_t* execution_bytes = execution
    cdef ssize_t order_length = len(order)
    cdef ssize_t execution_length = len(execution)
    cdef Py_ssize_t row
    cdef bint failed = 0
    with nogil:
        for row in range(times.shape[0]):
            times[row, 0] = spin_clock_ns(CLOCK_MONOTONIC)
            c_send(client_fd, order_bytes, order_length, MSG_NOSIGNAL)
            failed = not read_all(broker_fd, buffer, order_length, &times[row, 1])
            times[row, 2] = spin_clock_ns(CLOCK_MONOTONIC)
            c_send(broker_fd, execution_bytes, execution_length, MSG_NOSIGNAL)
            failed = failed or not read_all(client_fd, buffer, execution_length, &times[row, 3])
            if failed:
                break
            while spin_clock_ns(CLOCK_MONOTONIC) < times[row, 3] + pause_ns:
                pass
    if failed:
        raise RuntimeError(f"order {row + 1}: no answer")


cdef bint read_all(int fd, uint8_t* buffer, ssize_t length, uint64_t* at_ns) noexcept nogil:
    cdef uint64_t deadline = spin_clock_ns(CLOCK_MONOTONIC) + TIMEOUT_NS
    cdef ssize_t size
    while length > 0:
        size = spin_read(fd, buffer, BUFFER_BYTES)
        at_ns[0] = spin_clock_ns(CLOCK_MONOTONIC)
        if size == CLOSED or at_ns[0] > deadline:
            return 0
        length -= size
    return 1
