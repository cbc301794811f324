"""Two byte streams in shared memory between a node and a client on its host: the shortest way in (DESIGN section 8).

Each direction is a ring with one writer and one reader; the bytes are those of the client protocol, as over TCP. A
socket beside it carries only wake-ups, one byte each, to a side that has said that it sleeps, and the end of the
connection. Neither side believes the other: each keeps its own positions to itself, and checks what it is told against
the ring's size. May depend on: nothing. Never blocks, never allocates, makes no system call.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef enum:
    SHARED_VERSION = 1
    SHARED_HEADER_BYTES = 4096
    SHARED_RING_BYTES = 1 << 18          # each direction; a power of two
    SHARED_BYTES = SHARED_HEADER_BYTES + 2 * SHARED_RING_BYTES


cdef struct shared_ring_t:               # in shared memory
    uint64_t written                     # by the writer
    uint64_t writer_waits                # set by the writer that found no room, taken by the reader
    uint64_t writer_padding[6]
    uint64_t read                        # by the reader
    uint64_t reader_sleeps               # set by the reader that found nothing, taken by the writer
    uint64_t reader_padding[6]


cdef struct shared_header_t:             # in shared memory, at its beginning
    uint64_t magic
    uint32_t version
    uint32_t ring_bytes
    uint64_t padding[6]
    shared_ring_t to_node
    shared_ring_t to_client


cdef struct shared_stream_t:             # one side of it, in memory of its own
    uint8_t* memory                      # SHARED_BYTES; NULL: none
    shared_ring_t* incoming
    shared_ring_t* outgoing
    const uint8_t* incoming_data
    uint8_t* outgoing_data
    uint64_t read
    uint64_t written


# Lays it out: once, before the other side sees it.
cdef void shared_format(uint8_t* memory) noexcept nogil
# 0, or -1: it is not of this version.
cdef int shared_attach(shared_stream_t* s, uint8_t* memory, bint is_node) noexcept nogil
cdef bint shared_readable(const shared_stream_t* s) noexcept nogil
# Bytes moved; 0: there is nothing; -1: the other side has spoilt the ring.
cdef int64_t shared_read(shared_stream_t* s, uint8_t* buffer, size_t size) noexcept nogil
# Bytes taken, fewer than `size` when there is no room; the reader then gives a wake-up when there is.
cdef int64_t shared_write(shared_stream_t* s, const uint8_t* data, size_t size) noexcept nogil
# Says that this side sleeps from now on. 1: there is something to read; do not.
cdef bint shared_sleep(shared_stream_t* s) noexcept nogil
cdef void shared_awake(shared_stream_t* s) noexcept nogil
# Once after each write, and after each read: does the other side sleep for what was done?
cdef bint shared_must_wake_reader(shared_stream_t* s) noexcept nogil
cdef bint shared_must_wake_writer(shared_stream_t* s) noexcept nogil


# The Python face: the client's side, and the making of the memory.
cdef class SharedStream:
    cdef shared_stream_t stream
    cdef readonly bint is_node
    cdef int _check(self) except -1
