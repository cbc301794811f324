"""Single-producer single-consumer ring of messages over flat memory: between two threads, or processes that map it.

One writer, one reader, no lock, no system call. Positions only grow; each side publishes its own with release order.
May depend on: nothing. Never blocks, never allocates.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef enum:
    RING_HEADER_BYTES = 192      # three cache lines: constants, writer's position, reader's position


cdef struct ring_t:
    uint64_t capacity            # bytes of data, a power of two
    uint64_t reserved[7]
    uint64_t written             # by the writer
    uint64_t write_padding[7]
    uint64_t read                # by the reader
    uint64_t read_padding[7]


# Lays a ring out in memory[0:size]; 0, or -1 when size is too small. The data follows the header.
cdef int ring_init(void* memory, uint64_t size) noexcept nogil
cdef bint ring_write(ring_t* r, const void* message, uint32_t length) noexcept nogil      # 0: no room
# Length of the oldest message and where it is (contiguous); 0: empty. It stays until ring_release.
cdef uint32_t ring_peek(ring_t* r, const uint8_t** message) noexcept nogil
cdef void ring_release(ring_t* r) noexcept nogil


# The Python face; other native modules take `.handle`.
cdef class Ring:
    cdef ring_t* handle
    cdef Py_buffer view
    cdef bint held
