"""One file of the journal: creating, mapping, naming, syncing. See segment.pxd.

All system calls of the journal on files and memory are here. May depend on: crc32c. Never looks into records.
"""

from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from .crc32c cimport crc32c

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <inttypes.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <sys/mman.h>
    #include <unistd.h>
    #ifndef MADV_POPULATE_WRITE
    #define MADV_POPULATE_WRITE 23          /* Linux 5.14 */
    #endif

    static void *map_pages(int fd, uint64_t size, int writable) {
        int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
        void *p = fd >= 0 ? mmap(NULL, size, prot, MAP_SHARED, fd, 0)
                          : mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return p == MAP_FAILED ? NULL : p;
    }
    static int fault_in(uint8_t *p, uint64_t size) {
        if (madvise(p, size, MADV_POPULATE_WRITE) == 0) return 0;
        if (errno != EINVAL) return errno;           /* where a touch would be a SIGBUS: no space, or a bad disk */
        /* Atomic, because the writer may be writing to the same byte. */
        for (uint64_t i = 0; i < size; i += 4096) __atomic_fetch_or(p + i, 0, __ATOMIC_RELAXED);
        return 0;
    }
    static int create_file(int directory, const char *name, uint64_t size) {
        int fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        if (fd < 0) return -1;
        int e = posix_fallocate(fd, 0, (off_t)size);
        if (e == 0 && fsync(directory) != 0) e = errno;
        if (e == 0) return fd;
        close(fd);
        unlinkat(directory, name, 0);
        errno = e;
        return -1;
    }
    /* By write(2), not by a fault for each page of a mapping: the kernel keeps what one call writes together, and finds
       its blocks once. In pieces, for of what it keeps together it writes all to disk when a byte of it has changed. */
    static int write_zeros(int fd, uint64_t start, uint64_t end) {
        static const uint8_t zeros[1 << 14];
        while (start < end) {
            uint64_t size = end - start < sizeof zeros ? end - start : sizeof zeros;
            ssize_t written = pwrite(fd, zeros, size, (off_t)start);
            if (written < 0 && errno != EINTR) return errno;
            if (written > 0) start += (uint64_t)written;
        }
        return 0;
    }
    static void start_writing(int fd, uint64_t start, uint64_t end) {
        (void)sync_file_range(fd, (off_t)start, (off_t)(end - start), SYNC_FILE_RANGE_WRITE);
    }
    static void name_of_lsn(char *name, size_t size, uint64_t lsn) { snprintf(name, size, "%020" PRIu64 ".log", lsn); }
    """
    void* map_pages(int, uint64_t, bint)
    int fault_in(uint8_t*, uint64_t)
    int create_file(int, const char*, uint64_t)
    int write_zeros(int, uint64_t, uint64_t)
    void start_writing(int, uint64_t, uint64_t)
    void name_of_lsn(char*, size_t, uint64_t)
    int munmap(void*, size_t)
    int msync(void*, size_t, int)
    int renameat(int, const char*, int, const char*)
    int unlinkat(int, const char*, int)
    int fsync(int)
    int fdatasync(int)
    int close_fd "close"(int)
    int madvise(void*, size_t, int)
    int MS_SYNC
    int MADV_DONTNEED

cdef uint64_t SEGMENT_MAGIC = 0x474F4C4E47584946     # "FIXGNLOG", little-endian


cdef uint32_t header_crc(const segment_header_t* header) noexcept nogil:
    return crc32c(0, <const uint8_t*>header, <size_t>(<const uint8_t*>&header.crc - <const uint8_t*>header))


cdef void segment_write_header(uint8_t* base, uint64_t segment_bytes, uint32_t pair_id, uint32_t node,
                               uint64_t first_lsn) noexcept nogil:
    cdef segment_header_t header
    memset(&header, 0, sizeof(header))
    header.magic = SEGMENT_MAGIC
    header.version = FORMAT_VERSION
    header.pair_id = pair_id
    header.segment_bytes = segment_bytes
    header.first_lsn = first_lsn
    header.node = node
    header.crc = header_crc(&header)
    memcpy(base, &header, sizeof(header))


cdef segment_fault segment_check_header(const segment_header_t* header) noexcept nogil:
    if header.magic != SEGMENT_MAGIC:
        return SEGMENT_NOT_ONE
    if header.version != FORMAT_VERSION:      # before the CRC: another version may keep it elsewhere
        return SEGMENT_OTHER_VERSION
    if header.crc != header_crc(header):
        return SEGMENT_DAMAGED
    return SEGMENT_GOOD if header.first_lsn else SEGMENT_UNUSED


cdef int segment_create(segment_t* s, int* descriptor, int directory, const char* name,
                        uint64_t segment_bytes) noexcept nogil:
    cdef int error = 0
    cdef int fd
    s.base = NULL
    unlinkat(directory, name, 0)      # what an earlier attempt left
    fd = create_file(directory, name, segment_bytes)
    if fd < 0:
        return errno
    s.first_lsn = 0
    s.backed = True
    s.base = <uint8_t*>map_pages(fd, segment_bytes, True)
    if s.base is NULL:
        error = errno
        close_fd(fd)
        unlinkat(directory, name, 0)
    descriptor[0] = fd
    return error


cdef int segment_fill(int descriptor, uint64_t start, uint64_t end) noexcept nogil:
    return write_zeros(descriptor, start, end)


cdef void segment_start_writing(int descriptor, uint64_t start, uint64_t end) noexcept nogil:
    start_writing(descriptor, start, end)


cdef int segment_filled(int descriptor, bint to_disk) noexcept nogil:
    cdef int error = errno if to_disk and fdatasync(descriptor) != 0 else 0
    close_fd(descriptor)
    return error


cdef int segment_create_anonymous(segment_t* s, uint64_t segment_bytes) noexcept nogil:
    return segment_map(s, -1, segment_bytes, True)


cdef int segment_map(segment_t* s, int fd, uint64_t segment_bytes, bint writable) noexcept nogil:
    cdef int error = 0
    s.first_lsn = 0
    s.backed = fd >= 0
    s.base = <uint8_t*>map_pages(fd, segment_bytes, writable)
    if s.base is NULL:
        error = errno
    if fd >= 0:
        close_fd(fd)                  # the mapping holds the file; thousands of segments need no descriptors
    return error


cdef int segment_sync(const segment_t* s, uint64_t start, uint64_t end) noexcept nogil:
    if not s.backed:
        return 0
    # Out of this mapping first, all at once: of each page that is still in it the kernel tells every other core by
    # an interrupt when it writes it, the reactor's among them.
    madvise(s.base + start, end - start, MADV_DONTNEED)
    return 0 if msync(s.base + start, end - start, MS_SYNC) == 0 else errno


cdef int segment_rename(int directory, const char* old, const char* new) noexcept nogil:
    return 0 if renameat(directory, old, directory, new) == 0 and fsync(directory) == 0 else errno


cdef int segment_unlink(int directory, const char* name) noexcept nogil:
    return 0 if unlinkat(directory, name, 0) == 0 and fsync(directory) == 0 else errno


cdef void segment_unmap(segment_t* s, uint64_t segment_bytes) noexcept nogil:
    if s.base is not NULL:
        munmap(s.base, segment_bytes)
    s.base = NULL


cdef void segment_name(char* name, uint64_t first_lsn) noexcept nogil:
    name_of_lsn(name, SEGMENT_NAME_BYTES, first_lsn)


cdef int populate(uint8_t* start, uint64_t size) noexcept nogil:
    return fault_in(start, size)


cdef uint8_t* map_anonymous(uint64_t size) noexcept nogil:
    return <uint8_t*>map_pages(-1, size, True)


cdef void unmap(void* start, uint64_t size) noexcept nogil:
    if start is not NULL:
        munmap(start, size)


cdef void forget(void* start, uint64_t size) noexcept nogil:
    madvise(start, size, MADV_DONTNEED)


cdef void wipe(uint8_t* start, uint64_t size) noexcept nogil:
    cdef uint64_t i = 0
    while i + 8 <= size:              # records and segments are multiples of 8 bytes
        if (<uint64_t*>(start + i))[0]:
            (<uint64_t*>(start + i))[0] = 0
        i += 8
