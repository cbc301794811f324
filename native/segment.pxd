"""One file of the journal: a header page, then records back to back, each at 8-byte alignment.

Preallocated and memory-mapped. The word after the last record is 0; a segment that was left for the next one ends in
END_OF_SEGMENT. May depend on: crc32c. Never looks into records.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef enum:
    FORMAT_VERSION = 1       # of headers, journal.meta and records; a change of records changes DATAGRAM_VERSION too
    PAGE_BYTES = 4096
    HEADER_PAGE_BYTES = PAGE_BYTES       # records start behind it
    MIN_SEGMENT_BYTES = 1 << 16
    SEGMENT_NAME_BYTES = 32              # "NNNNNNNNNNNNNNNNNNNN.log" and its NUL


cdef extern from *:
    """
    #define END_OF_SEGMENT 0xFFFFFFFFu
    """
    const uint32_t END_OF_SEGMENT


cdef enum segment_fault:
    SEGMENT_GOOD = 0
    SEGMENT_UNUSED = 1           # prepared, holds no record yet
    SEGMENT_NOT_ONE = 2          # no magic
    SEGMENT_OTHER_VERSION = 3
    SEGMENT_DAMAGED = 4          # header CRC


cdef struct segment_header_t:    # 40 bytes, little-endian
    uint64_t magic
    uint32_t version
    uint32_t pair_id
    uint64_t segment_bytes
    uint64_t first_lsn           # 0: prepared, not in use yet
    uint32_t node
    uint32_t crc                 # CRC-32C of all before


cdef struct segment_t:
    uint8_t* base
    bint backed                  # by a file; else anonymous memory
    uint64_t first_lsn


cdef void segment_write_header(uint8_t* base, uint64_t segment_bytes, uint32_t pair_id, uint32_t node,
                               uint64_t first_lsn) noexcept nogil
cdef segment_fault segment_check_header(const segment_header_t* header) noexcept nogil

# Each returns 0, or the errno of what failed (and then has left nothing behind).
# A file whose blocks are reserved, mapped, and its open descriptor, which the caller closes or hands to segment_filled.
cdef int segment_create(segment_t* s, int* descriptor, int directory, const char* name,
                        uint64_t segment_bytes) noexcept nogil
# Zeros into the file's pages; and on their way to disk, which is a wish: what became of it segment_filled says. Blocks
# that were written once spare each later flush a commit of the file system's own journal.
cdef int segment_fill(int descriptor, uint64_t start, uint64_t end) noexcept nogil
cdef void segment_start_writing(int descriptor, uint64_t start, uint64_t end) noexcept nogil
cdef int segment_filled(int descriptor, bint to_disk) noexcept nogil      # durable on return; closes it
cdef int segment_create_anonymous(segment_t* s, uint64_t segment_bytes) noexcept nogil
cdef int segment_map(segment_t* s, int fd, uint64_t segment_bytes, bint writable) noexcept nogil   # takes fd over
# page-aligned; durable on return
cdef int segment_sync(const segment_t* s, uint64_t start, uint64_t end) noexcept nogil
cdef int segment_rename(int directory, const char* old, const char* new) noexcept nogil  # durable on return
cdef int segment_unlink(int directory, const char* name) noexcept nogil
cdef void segment_unmap(segment_t* s, uint64_t segment_bytes) noexcept nogil

cdef void segment_name(char* name, uint64_t first_lsn) noexcept nogil                     # SEGMENT_NAME_BYTES
# Takes the write faults of these pages here, so that nobody takes them later. 0 or errno.
cdef int populate(uint8_t* start, uint64_t size) noexcept nogil
cdef uint8_t* map_anonymous(uint64_t size) noexcept nogil    # zeros that take no memory before they are touched; NULL
cdef void unmap(void* start, uint64_t size) noexcept nogil
cdef void forget(void* start, uint64_t size) noexcept nogil   # anonymous memory is zeros again
# Zeros; pages that are zero already stay clean.
cdef void wipe(uint8_t* start, uint64_t size) noexcept nogil
