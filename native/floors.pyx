"""Python's face of hops.h: the floor that `gateway bench` measures everything against. Each function is one party.

May depend on: hops.h. Makes system calls on the sockets that it is given. Not part of a node.
"""

from libc.stdint cimport uint8_t, uint64_t

cdef extern from "hops.h" nogil:
    enum:
        HOPS_BLOCK
        HOPS_CLOSED
        HOPS_COLUMNS
        HOPS_SHARED_BYTES
        HOPS_SLOT_BYTES
        HOPS_LINE_BYTES
        HOPS_SPIN
        HOPS_TIMEOUT
        HOPS_YIELD
    ctypedef struct hops_ring_t:
        uint64_t written
    ctypedef struct hops_way_t:
        int client_fd
        int broker_fd
        int standby_fd
        int wait
        int late_acks
        hops_ring_t* from_client
        hops_ring_t* to_client
    ctypedef struct hops_end_t:
        int client_fd
        int broker_fd
        const uint8_t* order
        const uint8_t* execution
        size_t order_length
        size_t execution_length
        uint64_t interval_ns
        uint64_t pause_ns
        int wait
        int late_acks
        hops_ring_t* from_gateway
        hops_ring_t* to_gateway
    void hops_forward(const hops_way_t* way)
    void hops_echo(int fd, int wait, int late_acks)
    void hops_echo_shared(uint8_t* memory, size_t length, int wait)
    int hops_measure(const hops_end_t* end, uint64_t* times, uint64_t rows)
    int hops_round_trips(int fd, int wait, int late_acks, const uint8_t* message, size_t length, uint64_t* times,
                         uint64_t count)
    int hops_round_trips_shared(uint8_t* memory, int wait, const uint8_t* message, size_t length, uint64_t* times,
                                uint64_t count)

COLUMNS = HOPS_COLUMNS
SHARED_BYTES = HOPS_SHARED_BYTES
RINGS_BYTES = 2 * sizeof(hops_ring_t)
WAITS = {"spin": HOPS_SPIN, "yield": HOPS_YIELD, "block": HOPS_BLOCK}
FAILURES = {HOPS_TIMEOUT: "no answer within 30 s", HOPS_CLOSED: "a connection was closed"}


def forward(int client_fd, int broker_fd, int standby_fd=-1, *, str wait="spin", bint late_acks=False,
            uint8_t[::1] rings=None) -> None:
    """Carries bytes both ways between two connected sockets until one is closed.

    With `standby_fd`, a connected UDP socket, what comes from the client goes there first, and waits for its echo. With
    `rings`, RINGS_BYTES of zeroed memory that is shared, the client is there instead of on its socket.
    """
    cdef hops_way_t way
    way.client_fd, way.broker_fd, way.standby_fd = client_fd, broker_fd, standby_fd
    way.wait, way.late_acks = WAITS[wait], late_acks
    way.from_client, way.to_client = ring_of(rings, 0), ring_of(rings, 1)
    with nogil:
        hops_forward(&way)


def echo(int fd, *, str wait="block", bint late_acks=False) -> None:
    """Sends back what comes on a connected TCP or UDP socket; ends with the connection, or an empty datagram."""
    cdef int how = WAITS[wait]
    with nogil:
        hops_echo(fd, how, late_acks)


def echo_shared(uint8_t[::1] memory not None, size_t length, *, str wait="spin") -> None:
    """Answers messages of `length` bytes in memory that is shared, until `end_shared`."""
    cdef int how = WAITS[wait]
    check_shared(memory, length)
    with nogil:
        hops_echo_shared(&memory[0], length, how)


def measure(int client_fd, int broker_fd, bytes order not None, bytes execution not None,
            uint64_t[:, ::1] times not None, *, uint64_t interval_ns=0, uint64_t pause_ns=0, str wait="spin",
            bint late_acks=False, uint8_t[::1] rings=None) -> None:
    """One order per row of `times`: ns at which it was due, handed in, out, answered, and the answer was in.

    Both ends in this thread. `interval_ns`: orders are due at such a distance, whatever became of those before; 0: one
    at a time, `pause_ns` after the one before. `rings`: as of `forward`. Raises RuntimeError on silence or the end of a
    connection.
    """
    cdef hops_end_t end
    cdef uint64_t rows = times.shape[0]
    cdef int failed
    check_times(times)
    if not order or not execution:
        raise ValueError("order and execution: at least one byte each")
    end.client_fd, end.broker_fd = client_fd, broker_fd
    end.order, end.order_length = order, len(order)
    end.execution, end.execution_length = execution, len(execution)
    end.interval_ns, end.pause_ns = interval_ns, pause_ns
    end.wait, end.late_acks = WAITS[wait], late_acks
    end.to_gateway, end.from_gateway = ring_of(rings, 0), ring_of(rings, 1)
    with nogil:
        failed = hops_measure(&end, &times[0, 0], rows)
    raise_failure(failed)


def round_trips(int fd, bytes message not None, uint64_t[::1] times not None, *, str wait="spin",
                bint late_acks=False) -> None:
    """ns of each round trip over a connected TCP or UDP socket to an echo. Raises RuntimeError as `measure`."""
    cdef const uint8_t* data = message
    cdef size_t length = len(message)
    cdef uint64_t count = times.shape[0]
    cdef int how = WAITS[wait]
    cdef int failed
    if not message or not count:
        raise ValueError("a message and at least one round trip")
    with nogil:
        failed = hops_round_trips(fd, how, late_acks, data, length, &times[0], count)
    raise_failure(failed)


def round_trips_shared(uint8_t[::1] memory not None, bytes message not None, uint64_t[::1] times not None, *,
                       str wait="spin") -> None:
    """ns of each round trip through shared memory to an echo. Raises RuntimeError as `measure`."""
    cdef const uint8_t* data = message
    cdef size_t length = len(message)
    cdef uint64_t count = times.shape[0]
    cdef int how = WAITS[wait]
    cdef int failed
    check_shared(memory, length)
    with nogil:
        failed = hops_round_trips_shared(&memory[0], how, data, length, &times[0], count)
    raise_failure(failed)


def begin_shared(uint8_t[::1] memory not None) -> None:
    """Before either side begins."""
    check_shared(memory, 0)
    (<uint64_t*>&memory[0])[0] = 1


def end_shared(uint8_t[::1] memory not None) -> None:
    """The echo returns."""
    check_shared(memory, 0)
    (<uint64_t*>&memory[0])[0] = 0


cdef int check_shared(uint8_t[::1] memory, size_t length) except -1:
    if memory.shape[0] < HOPS_SHARED_BYTES or length > HOPS_SLOT_BYTES - HOPS_LINE_BYTES:
        raise ValueError(f"memory of {HOPS_SHARED_BYTES} bytes, messages of {HOPS_SLOT_BYTES - HOPS_LINE_BYTES}")
    return 0


cdef hops_ring_t* ring_of(uint8_t[::1] rings, int index) except? NULL:
    if rings is None:
        return NULL
    if <size_t>rings.shape[0] < 2 * sizeof(hops_ring_t):
        raise ValueError(f"rings: {2 * sizeof(hops_ring_t)} bytes")
    return <hops_ring_t*>&rings[0] + index


cdef int check_times(uint64_t[:, ::1] times) except -1:
    if times.shape[0] == 0 or times.shape[1] != HOPS_COLUMNS:
        raise ValueError(f"times: at least one row of {HOPS_COLUMNS} columns")
    return 0


cdef int raise_failure(int failed) except -1:
    if failed:
        raise RuntimeError(FAILURES[failed])
    return 0
