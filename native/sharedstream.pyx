"""Two byte streams in shared memory between a node and a client on its host.

May depend on: nothing. Never blocks, never allocates, makes no system call but to map the memory.
"""

import os

from libc.errno cimport errno as c_errno
from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <fcntl.h>
    #include <stdint.h>
    #include <sys/mman.h>
    #include <sys/stat.h>
    #include <unistd.h>

    static uint64_t shared_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
    static void shared_store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
    static uint64_t shared_take(uint64_t *word) { return __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST); }
    /* Between what one side wrote and what it reads of the other: without it both could fall asleep. */
    static void shared_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

    /* The size is sealed: a client that shrank it would make the node die of SIGBUS. */
    static int shared_make(size_t size) {
        int fd = memfd_create("gateway-client", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0) return -1;
        if (ftruncate(fd, (off_t)size) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
            close(fd);
            return -1;
        }
        return fd;
    }
    static int64_t shared_size(int fd) {
        struct stat s;
        return fstat(fd, &s) == 0 ? (int64_t)s.st_size : -1;
    }
    static void *shared_map(int fd, size_t size) {
        void *place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        return place == MAP_FAILED ? NULL : place;
    }
    """
    uint64_t shared_load(const uint64_t*)
    void shared_store(uint64_t*, uint64_t)
    uint64_t shared_take(uint64_t*)
    void shared_fence()
    int shared_make(size_t)
    int64_t shared_size(int)
    void* shared_map(int, size_t)
    int munmap(void*, size_t)

cdef enum:
    RING_MASK = SHARED_RING_BYTES - 1

cdef uint64_t SHARED_MAGIC = 0x54534C4357584946      # FIXWCLST


cdef void shared_format(uint8_t* memory) noexcept nogil:
    cdef shared_header_t* header = <shared_header_t*>memory
    memset(memory, 0, SHARED_HEADER_BYTES)
    header.magic = SHARED_MAGIC
    header.version = SHARED_VERSION
    header.ring_bytes = SHARED_RING_BYTES


cdef int shared_attach(shared_stream_t* s, uint8_t* memory, bint is_node) noexcept nogil:
    cdef shared_header_t* header = <shared_header_t*>memory
    cdef uint8_t* to_node = memory + SHARED_HEADER_BYTES
    cdef uint8_t* to_client = to_node + SHARED_RING_BYTES
    if (header.magic != SHARED_MAGIC or header.version != SHARED_VERSION
            or header.ring_bytes != SHARED_RING_BYTES):
        return -1
    s.memory = memory
    s.incoming = &header.to_node if is_node else &header.to_client
    s.outgoing = &header.to_client if is_node else &header.to_node
    s.incoming_data = to_node if is_node else to_client
    s.outgoing_data = to_client if is_node else to_node
    s.read = s.written = 0
    return 0


cdef bint shared_readable(const shared_stream_t* s) noexcept nogil:
    return shared_load(&s.incoming.written) != s.read


cdef int64_t shared_read(shared_stream_t* s, uint8_t* buffer, size_t size) noexcept nogil:
    cdef uint64_t there = shared_load(&s.incoming.written) - s.read
    cdef uint64_t at = s.read & RING_MASK
    cdef uint64_t straight
    if there > SHARED_RING_BYTES:
        return -1
    if there > size:
        there = size
    if there == 0:
        return 0
    straight = min(there, SHARED_RING_BYTES - at)
    memcpy(buffer, s.incoming_data + at, straight)
    memcpy(buffer + straight, s.incoming_data, there - straight)
    s.read += there
    shared_store(&s.incoming.read, s.read)
    return <int64_t>there


cdef int64_t shared_write(shared_stream_t* s, const uint8_t* data, size_t size) noexcept nogil:
    cdef uint64_t room = outgoing_room(s)
    cdef uint64_t at = s.written & RING_MASK
    cdef uint64_t straight
    if room < size:
        shared_store(&s.outgoing.writer_waits, 1)
        shared_fence()
        room = outgoing_room(s)          # the reader may have read before it could see that
    if room > SHARED_RING_BYTES:
        return -1
    if room > size:
        room = size
    straight = min(room, SHARED_RING_BYTES - at)
    memcpy(s.outgoing_data + at, data, straight)
    memcpy(s.outgoing_data, data + straight, room - straight)
    s.written += room
    shared_store(&s.outgoing.written, s.written)
    return <int64_t>room


cdef inline uint64_t outgoing_room(shared_stream_t* s) noexcept nogil:
    return SHARED_RING_BYTES - (s.written - shared_load(&s.outgoing.read))


cdef bint shared_sleep(shared_stream_t* s) noexcept nogil:
    shared_store(&s.incoming.reader_sleeps, 1)
    shared_fence()
    return shared_readable(s)


cdef void shared_awake(shared_stream_t* s) noexcept nogil:
    shared_store(&s.incoming.reader_sleeps, 0)


cdef bint shared_must_wake_reader(shared_stream_t* s) noexcept nogil:
    shared_fence()
    return shared_load(&s.outgoing.reader_sleeps) != 0 and shared_take(&s.outgoing.reader_sleeps) != 0


cdef bint shared_must_wake_writer(shared_stream_t* s) noexcept nogil:
    shared_fence()
    return shared_load(&s.incoming.writer_waits) != 0 and shared_take(&s.incoming.writer_waits) != 0


# --- the Python face --------------------------------------------------------------------------------------------------

cdef class SharedStream:
    """One side of the memory behind a descriptor. Not for several threads at once.

    `is_node`: this side reads what the client writes. Raises OSError when it cannot be mapped, ValueError when it is
    not of this version.
    """

    def __cinit__(self, int fd, *, bint is_node=False):
        cdef uint8_t* memory
        self.is_node = is_node
        if shared_size(fd) != SHARED_BYTES:
            raise ValueError("the node's shared memory is not of this version: run the same version on both sides")
        memory = <uint8_t*>shared_map(fd, SHARED_BYTES)
        if memory is NULL:
            raise OSError(c_errno, os.strerror(c_errno))
        if shared_attach(&self.stream, memory, is_node) != 0:
            munmap(memory, SHARED_BYTES)
            raise ValueError("the node's shared memory is not of this version: run the same version on both sides")

    def __dealloc__(self):
        if self.stream.memory is not NULL:
            munmap(self.stream.memory, SHARED_BYTES)

    @staticmethod
    def make():
        """A descriptor of new memory, laid out and sealed. Raises OSError."""
        cdef uint8_t header[SHARED_HEADER_BYTES]
        cdef int fd = shared_make(SHARED_BYTES)
        if fd < 0:
            raise OSError(c_errno, os.strerror(c_errno))
        shared_format(header)
        try:
            os.pwrite(fd, header[:SHARED_HEADER_BYTES], 0)
        except OSError:
            os.close(fd)
            raise
        return fd

    def read_into(self, buffer not None):
        """Moves bytes into a writable buffer; how many. Raises ConnectionError when the other side spoilt the ring."""
        cdef uint8_t[::1] place = buffer
        cdef int64_t size
        self._check()
        size = shared_read(&self.stream, &place[0], place.shape[0]) if place.shape[0] else 0
        if size < 0:
            raise ConnectionError("the other side has spoilt the shared memory")
        return size

    def write(self, data not None):
        """How many of the bytes there was room for. Raises ConnectionError when the other side spoilt the ring."""
        cdef const uint8_t[::1] source = data
        cdef int64_t size
        self._check()
        size = shared_write(&self.stream, &source[0], source.shape[0]) if source.shape[0] else 0
        if size < 0:
            raise ConnectionError("the other side has spoilt the shared memory")
        return size

    def sleep(self):
        """Asks the other side for a wake-up; True: there is something to read already."""
        self._check()
        return shared_sleep(&self.stream)

    def must_wake_reader(self):
        """After a write: whether the other side is to be woken."""
        self._check()
        return shared_must_wake_reader(&self.stream)

    def must_wake_writer(self):
        """After a read: whether the other side is to be woken."""
        self._check()
        return shared_must_wake_writer(&self.stream)

    @property
    def address(self):
        """Of the memory, in this process."""
        self._check()
        return <uintptr_t>self.stream.memory

    def detach(self):
        """The memory is the caller's from here on, by its address; this object is empty."""
        self.stream.memory = NULL

    cdef int _check(self) except -1:
        if self.stream.memory is NULL:
            raise ValueError("the shared memory has been handed over")
        return 0
