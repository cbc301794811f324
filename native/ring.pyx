"""Single-producer single-consumer ring of messages over flat memory.

A message is an 8-byte length word and its bytes, padded to 8. One that does not fit before the end of the buffer is
preceded by a wrap word, so every message is contiguous. May depend on: nothing. Never blocks, never allocates.
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    static inline unsigned long long ring_load(const unsigned long long *p) {
        return __atomic_load_n(p, __ATOMIC_ACQUIRE);
    }
    static inline void ring_store(unsigned long long *p, unsigned long long v) {
        __atomic_store_n(p, v, __ATOMIC_RELEASE);
    }
    """
    uint64_t ring_load(const unsigned long long* p) noexcept nogil
    void ring_store(unsigned long long* p, uint64_t v) noexcept nogil

cdef enum:
    WORD_BYTES = 8

cdef uint64_t WRAP = <uint64_t>0xFFFFFFFFFFFFFFFF


cdef int ring_init(void* memory, uint64_t size) noexcept nogil:
    cdef ring_t* r = <ring_t*>memory
    cdef uint64_t capacity = 64
    if size < RING_HEADER_BYTES + capacity:
        return -1
    while capacity * 2 <= size - RING_HEADER_BYTES:
        capacity *= 2
    memset(memory, 0, RING_HEADER_BYTES)
    r.capacity = capacity
    return 0


cdef bint ring_write(ring_t* r, const void* message, uint32_t length) noexcept nogil:
    cdef uint64_t need = WORD_BYTES + ((<uint64_t>length + 7) & ~<uint64_t>7)
    cdef uint64_t written = r.written
    cdef uint64_t free_bytes = r.capacity - (written - ring_load(<unsigned long long*>&r.read))
    cdef uint64_t at = written & (r.capacity - 1)
    cdef uint64_t to_end = r.capacity - at
    cdef uint8_t* data = <uint8_t*>r + RING_HEADER_BYTES
    if to_end < need:
        if free_bytes < to_end + need:
            return 0
        (<uint64_t*>(data + at))[0] = WRAP
        written += to_end
        at = 0
    elif free_bytes < need:
        return 0
    (<uint64_t*>(data + at))[0] = length
    memcpy(data + at + WORD_BYTES, message, length)
    ring_store(<unsigned long long*>&r.written, written + need)
    return 1


cdef uint32_t ring_peek(ring_t* r, const uint8_t** message) noexcept nogil:
    cdef uint64_t position = r.read
    cdef uint8_t* data = <uint8_t*>r + RING_HEADER_BYTES
    cdef uint64_t at = position & (r.capacity - 1)
    if ring_load(<unsigned long long*>&r.written) == position:
        return 0
    if (<uint64_t*>(data + at))[0] == WRAP:
        position += r.capacity - at
        ring_store(<unsigned long long*>&r.read, position)
        at = 0
        if ring_load(<unsigned long long*>&r.written) == position:
            return 0
    message[0] = data + at + WORD_BYTES
    return <uint32_t>(<uint64_t*>(data + at))[0]


cdef void ring_release(ring_t* r) noexcept nogil:
    cdef const uint8_t* message = NULL
    cdef uint32_t length = ring_peek(r, &message)
    if length:
        ring_store(<unsigned long long*>&r.read, r.read + WORD_BYTES + ((<uint64_t>length + 7) & ~<uint64_t>7))


# --- Python face ----------------------------------------------------------------------------------------------------

cdef class Ring:
    """A ring over a writable buffer (bytearray, mmap, shared memory) of at least 256 bytes, 8-byte aligned.

    `attach=True` joins a ring that another process has laid out there. Raises ValueError when the buffer is too small.
    """

    def __cinit__(self, buffer not None, *, bint attach=False):
        PyObject_GetBuffer(buffer, &self.view, PyBUF_WRITABLE)
        self.held = True
        self.handle = <ring_t*>self.view.buf
        if self.view.len < RING_HEADER_BYTES + 64:
            raise ValueError(f"a ring needs at least {RING_HEADER_BYTES + 64} bytes, found {self.view.len}")
        if attach:
            if self.handle.capacity == 0 or self.handle.capacity + RING_HEADER_BYTES > <uint64_t>self.view.len:
                raise ValueError("no ring was laid out in this buffer")
        else:
            ring_init(self.view.buf, self.view.len)

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    @property
    def capacity(self) -> int:
        """Bytes of data the ring holds."""
        return self.handle.capacity

    def write(self, bytes message not None) -> bool:
        """Appends a non-empty message; False when there is no room now. ValueError if it can never fit."""
        if not 0 < len(message) <= self.handle.capacity // 2 - WORD_BYTES:
            raise ValueError(f"message of {len(message)} bytes: 1 to {self.handle.capacity // 2 - WORD_BYTES} fit")
        return ring_write(self.handle, <const char*>message, <uint32_t>len(message))

    def read(self):
        """The oldest message, removed; None when the ring is empty."""
        cdef const uint8_t* message = NULL
        cdef uint32_t length = ring_peek(self.handle, &message)
        if length == 0:
            return None
        cdef bytes taken = message[:length]
        ring_release(self.handle)
        return taken
