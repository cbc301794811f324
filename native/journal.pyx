"""The log on one node's disk: preallocated memory-mapped segments, filled by one writer thread, flushed by another.

A segment file is a header page and records back to back, each at 8-byte alignment. Its first word after the last record
is 0; a segment that was left for the next one ends in END_OF_SEGMENT. `length` of a record is written last, so a process
that is killed between any two instructions leaves a clean end. May depend on: record, crc32c.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import NamedTuple

from gateway.errors import JournalCorruptError, JournalError

from libc.errno cimport errno as c_errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from .crc32c cimport crc32c
from .record cimport (FLAG_RESET, RECORD_HEADER_BYTES, RECORD_IN, RECORD_OUT, RECORD_STATE, record_header_t,
                      record_intact, record_padded_length, record_payload, record_payload_length)

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <sys/mman.h>
    #include <sys/stat.h>
    #include <time.h>
    #include <unistd.h>
    #ifndef MADV_POPULATE_WRITE
    #define MADV_POPULATE_WRITE 23
    #endif

    static uint8_t *map_anonymous(uint64_t bytes) {
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return p == MAP_FAILED ? NULL : (uint8_t *)p;
    }
    static uint8_t *map_file(int fd, uint64_t bytes, int writable) {
        void *p = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
        return p == MAP_FAILED ? NULL : (uint8_t *)p;
    }
    /* Write faults are taken here, not on the way of an order. */
    static void prefault(uint8_t *p, uint64_t bytes) {
        if (madvise(p, bytes, MADV_POPULATE_WRITE) == 0) return;
        for (uint64_t i = 0; i < bytes; i += 4096) __atomic_fetch_or(p + i, 0, __ATOMIC_RELAXED);
    }
    static int segment_name(char *out, size_t size, const char *directory, uint32_t number) {
        return snprintf(out, size, "%s/%08u.log", directory, number);
    }
    static int create_file(const char *name, uint64_t bytes) {
        int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        if (fd < 0) return -1;
        int e = posix_fallocate(fd, 0, bytes);
        if (e != 0) { close(fd); unlink(name); errno = e; return -1; }
        return fd;
    }
    static uint64_t load_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void store_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static uint32_t load_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void store_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static int load_int(const int *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void sleep_ns(uint64_t ns) { struct timespec t = { ns / 1000000000u, ns % 1000000000u }; nanosleep(&t, NULL); }
    static uint64_t coarse_ns(void) {
        struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
    }
    """
    uint8_t* map_anonymous(uint64_t)
    uint8_t* map_file(int, uint64_t, int)
    void prefault(uint8_t*, uint64_t)
    int segment_name(char*, size_t, const char*, uint32_t)
    int create_file(const char*, uint64_t)
    uint64_t load_u64(const uint64_t*)
    void store_u64(uint64_t*, uint64_t)
    uint32_t load_u32(const uint32_t*)
    void store_u32(uint32_t*, uint32_t)
    int load_int(const int*)
    void sleep_ns(uint64_t)
    uint64_t coarse_ns()
    int munmap(void*, size_t)
    int msync(void*, size_t, int)
    int c_close "close"(int)
    int c_unlink "unlink"(const char*)
    int MS_SYNC

cdef enum:
    FORMAT_VERSION = 1
    HEADER_PAGE_BYTES = 4096         # segment header; records start behind it
    PAGE_BYTES = 4096
    META_BYTES = 4096
    MAX_SEGMENTS = 1 << 16
    MAX_EPOCHS = 1 << 16
    MAX_PATH_BYTES = 3072
    MIN_SEGMENT_BYTES = 1 << 16
    IDLE_NS = 2000000                # how often the background looks whether a segment must be prepared
    EAGER_NS = 20000                 # how often it looks for records to flush with durability `every`

cdef uint32_t END_OF_SEGMENT = 0xFFFFFFFF
cdef uint64_t SEGMENT_MAGIC = 0x474F4C4E47584946     # "FIXGNLOG", little-endian
cdef uint64_t META_MAGIC = 0x4154454D4E475846        # "FXGNMETA"


cdef struct segment_header_t:
    uint64_t magic
    uint32_t version
    uint32_t number
    uint64_t segment_bytes
    uint64_t first_lsn        # 0: prepared, not in use yet
    uint32_t pair_id
    uint32_t node
    uint32_t crc              # CRC-32C of all before


cdef struct meta_t:
    uint64_t magic
    uint32_t version
    uint32_t pair_id
    uint32_t node
    uint32_t clean            # 1: closed in order
    uint64_t flushed_lsn
    uint64_t incarnation
    uint8_t boot_id[40]


cdef struct segment_t:
    uint8_t* base
    int fd
    uint32_t number


cdef struct epoch_end_t:
    uint64_t last_lsn
    uint32_t epoch


cdef struct private_t:
    char path[MAX_PATH_BYTES]     # empty: anonymous memory
    uint32_t pair_id
    uint32_t node
    uint64_t segment_bytes
    segment_t segments[MAX_SEGMENTS]
    uint32_t segment_count        # in use
    uint32_t next_number
    uint64_t offset               # end of the last record in the last segment
    segment_t prepared            # by the background, taken over by the writer
    uint32_t prepared_full        # 1: there is one
    uint64_t max_records
    uint64_t max_seq
    uint32_t max_sessions
    uint64_t* positions           # by LSN: segment index << 32 | offset
    uint64_t* lsns                # by (session * 2 + direction) * max_seq + MsgSeqNum
    uint64_t reset_lsn[1 << 16]   # by session: last record with FLAG_RESET
    epoch_end_t* epochs
    uint32_t epoch_count
    meta_t* meta


cdef inline private_t* inside(const journal_t* j) noexcept nogil:
    return <private_t*>j.private


# --- append path ----------------------------------------------------------------------------------------------------

cdef record_header_t* journal_reserve(journal_t* j, uint32_t payload_capacity) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t need = record_padded_length(RECORD_HEADER_BYTES + payload_capacity)
    if p.offset + need > p.segment_bytes:
        if HEADER_PAGE_BYTES + need > p.segment_bytes or not next_segment(j):
            return NULL
    if j.last_lsn + 1 >= p.max_records:
        return NULL
    return <record_header_t*>(p.segments[p.segment_count - 1].base + p.offset)


cdef uint64_t journal_commit(journal_t* j, record_header_t* place, uint32_t payload_length) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint32_t length = RECORD_HEADER_BYTES + payload_length
    cdef uint32_t padded = record_padded_length(length)
    cdef uint8_t* raw = <uint8_t*>place
    place.lsn = j.last_lsn + 1
    memset(raw + length, 0, padded - length)
    place.crc = crc32c(crc32c(0, <const uint8_t*>&length, 4), raw + 8, length - 8)
    if p.offset + padded + 8 <= p.segment_bytes:
        (<uint64_t*>(raw + padded))[0] = 0        # an abandoned reservation may have left something here
    store_u32(&place.length, length)
    publish(j, place, p.offset)
    p.offset += padded
    return place.lsn


cdef journal_status journal_append_raw(journal_t* j, const record_header_t* record) noexcept nogil:
    cdef record_header_t* place
    if not record_intact(record):
        return JOURNAL_BAD_RECORD
    if record.lsn != j.last_lsn + 1 or record.epoch < j.last_epoch:
        return JOURNAL_OUT_OF_ORDER
    if HEADER_PAGE_BYTES + <uint64_t>record_padded_length(record.length) > inside(j).segment_bytes:
        return JOURNAL_TOO_LARGE
    place = journal_reserve(j, record_payload_length(record))
    if place is NULL:
        return JOURNAL_NO_SPACE
    memcpy(<uint8_t*>place + 8, <const uint8_t*>record + 8, record.length - 8)
    journal_commit(j, place, record_payload_length(record))
    return JOURNAL_OK


cdef void publish(journal_t* j, const record_header_t* record, uint64_t offset) noexcept nogil:
    cdef private_t* p = inside(j)
    index_record(p, record, <uint64_t>(p.segment_count - 1) << 32 | offset)
    j.last_epoch = record.epoch
    if j.first_lsn == 0:
        j.first_lsn = record.lsn
    store_u64(&j.last_lsn, record.lsn)


cdef void index_record(private_t* p, const record_header_t* record, uint64_t position) noexcept nogil:
    p.positions[record.lsn] = position
    if record.kind == RECORD_OUT or record.kind == RECORD_IN:
        if record.session < p.max_sessions and record.seq < p.max_seq:
            p.lsns[(<uint64_t>record.session * 2 + (record.kind == RECORD_IN)) * p.max_seq + record.seq] = record.lsn
    elif record.kind == RECORD_STATE and record.flags & FLAG_RESET:
        p.reset_lsn[record.session] = record.lsn
    if p.epoch_count and p.epochs[p.epoch_count - 1].epoch == record.epoch:
        p.epochs[p.epoch_count - 1].last_lsn = record.lsn
    else:
        if p.epoch_count == MAX_EPOCHS:       # forget the oldest: they matter only to a peer that was away as long
            memcpy(p.epochs, p.epochs + MAX_EPOCHS // 2, sizeof(epoch_end_t) * (MAX_EPOCHS // 2))
            p.epoch_count = MAX_EPOCHS // 2
        p.epochs[p.epoch_count].epoch = record.epoch
        p.epochs[p.epoch_count].last_lsn = record.lsn
        p.epoch_count += 1


cdef bint next_segment(journal_t* j) noexcept nogil:
    """Goes on in the prepared segment. False when there is none."""
    cdef private_t* p = inside(j)
    if not load_u32(&p.prepared_full):
        if p.path[0] != 0 or journal_prepare(j) != JOURNAL_OK:
            return 0
    if p.segment_count == MAX_SEGMENTS:
        return 0
    if p.segment_count and p.offset + 8 <= p.segment_bytes:
        store_u32(<uint32_t*>(p.segments[p.segment_count - 1].base + p.offset), END_OF_SEGMENT)
    p.segments[p.segment_count] = p.prepared
    write_segment_header(p, &p.prepared, j.last_lsn + 1)
    p.segment_count += 1
    p.offset = HEADER_PAGE_BYTES
    store_u32(&p.prepared_full, 0)
    return 1


cdef void write_segment_header(private_t* p, const segment_t* segment, uint64_t first_lsn) noexcept nogil:
    cdef segment_header_t header
    memset(&header, 0, sizeof(header))
    header.magic = SEGMENT_MAGIC
    header.version = FORMAT_VERSION
    header.number = segment.number
    header.segment_bytes = p.segment_bytes
    header.first_lsn = first_lsn
    header.pair_id = p.pair_id
    header.node = p.node
    header.crc = segment_header_crc(&header)
    memcpy(segment.base, &header, sizeof(header))


cdef uint32_t segment_header_crc(const segment_header_t* header) noexcept nogil:
    return crc32c(0, <const uint8_t*>header, <size_t>(<const uint8_t*>&header.crc - <const uint8_t*>header))


# --- lookup ---------------------------------------------------------------------------------------------------------

cdef const record_header_t* journal_at(journal_t* j, uint64_t lsn) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t position
    if lsn == 0 or lsn < j.first_lsn or lsn > j.last_lsn:
        return NULL
    position = p.positions[lsn]
    return <const record_header_t*>(p.segments[position >> 32].base + <uint32_t>position)


cdef const record_header_t* journal_find(journal_t* j, uint16_t session, direction_t direction,
                                         uint64_t seq) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t lsn
    if session >= p.max_sessions or seq == 0:
        return NULL
    if seq >= p.max_seq:
        return find_slowly(j, session, direction, seq)
    lsn = p.lsns[(<uint64_t>session * 2 + direction) * p.max_seq + seq]
    return journal_at(j, lsn) if lsn > p.reset_lsn[session] else NULL


cdef const record_header_t* find_slowly(journal_t* j, uint16_t session, direction_t direction,
                                        uint64_t seq) noexcept nogil:
    """Beyond the index (max_seq messages since the last reset): from the end backwards."""
    cdef uint64_t lsn = j.last_lsn
    cdef const record_header_t* record
    cdef uint8_t kind = RECORD_OUT if direction == DIRECTION_OUT else RECORD_IN
    while lsn > inside(j).reset_lsn[session] and lsn >= j.first_lsn:
        record = journal_at(j, lsn)
        if record.kind == kind and record.session == session and record.seq == seq:
            return record
        lsn -= 1
    return NULL


cdef uint64_t journal_end_of_epoch(journal_t* j, uint32_t epoch) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint32_t i = p.epoch_count
    while i > 0:
        i -= 1
        if p.epochs[i].epoch <= epoch:
            return p.epochs[i].last_lsn
    return 0


# --- background -----------------------------------------------------------------------------------------------------

cdef journal_status journal_prepare(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef segment_t segment
    cdef char name[MAX_PATH_BYTES + 32]
    if load_u32(&p.prepared_full) or (p.segment_count and p.offset < p.segment_bytes // 2):
        return JOURNAL_OK
    segment.number = p.next_number
    segment.fd = -1
    if p.path[0] == 0:
        segment.base = map_anonymous(p.segment_bytes)
    else:
        segment_name(name, sizeof(name), p.path, segment.number)
        segment.fd = create_file(name, p.segment_bytes)
        if segment.fd < 0:
            j.error_number = c_errno
            return JOURNAL_IO_ERROR
        segment.base = map_file(segment.fd, p.segment_bytes, 1)
    if segment.base is NULL:
        j.error_number = c_errno
        if segment.fd >= 0:
            c_close(segment.fd)
            c_unlink(name)
        return JOURNAL_IO_ERROR
    if p.path[0] != 0:
        prefault(segment.base, p.segment_bytes)
    write_segment_header(p, &segment, 0)
    p.next_number += 1
    p.prepared = segment
    j.error_number = 0
    store_u32(&p.prepared_full, 1)
    return JOURNAL_OK


cdef journal_status journal_flush(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t last = load_u64(&j.last_lsn)
    cdef uint64_t first = j.flushed_lsn + 1
    cdef uint64_t start
    cdef uint64_t end
    cdef uint64_t from_segment
    cdef uint64_t to_segment
    cdef uint64_t segment
    if last < first or p.path[0] == 0:
        store_u64(&j.flushed_lsn, last)
        return JOURNAL_OK
    from_segment = p.positions[first] >> 32
    to_segment = p.positions[last] >> 32
    for segment in range(from_segment, to_segment + 1):
        # The header page goes along when a segment is new; the end marker and the padding are behind the last record.
        start = <uint64_t>(<uint32_t>p.positions[first]) & ~<uint64_t>(PAGE_BYTES - 1) if segment == from_segment else 0
        if start == HEADER_PAGE_BYTES:
            start = 0
        end = p.segment_bytes
        if segment == to_segment:
            end = <uint64_t>(<uint32_t>p.positions[last]) + journal_at(j, last).length + 16
            end = min(p.segment_bytes, (end + PAGE_BYTES - 1) & ~<uint64_t>(PAGE_BYTES - 1))
        if msync(p.segments[segment].base + start, end - start, MS_SYNC) != 0:
            j.error_number = c_errno
            return JOURNAL_IO_ERROR
    p.meta.flushed_lsn = last
    store_u64(&j.flushed_lsn, last)
    return JOURNAL_OK


cdef journal_status journal_background(journal_t* j, bint flushing, uint64_t interval_ns,
                                       const int* stop) noexcept nogil:
    cdef journal_status status = JOURNAL_OK
    cdef uint64_t flushed_at = 0
    cdef uint64_t now
    while not load_int(stop):
        status = journal_prepare(j)
        now = coarse_ns()
        if status == JOURNAL_OK and flushing and now - flushed_at >= interval_ns:
            status = journal_flush(j)
            flushed_at = now
        if status != JOURNAL_OK:
            return status
        if flushing and interval_ns < IDLE_NS:
            sleep_ns(interval_ns if interval_ns > EAGER_NS else EAGER_NS)
        else:
            sleep_ns(IDLE_NS)
    return journal_flush(j)


# --- Python face ----------------------------------------------------------------------------------------------------

class Recovery(NamedTuple):
    """What was found when a journal was opened."""

    records: int
    last_lsn: int
    last_epoch: int
    torn: bool              # an incomplete tail was cut off
    torn_bytes: int
    torn_file: object       # Path where it was kept, or None
    power_lost: bool        # the host started anew and the journal was not closed in order
    tail_may_be_lost: bool  # power_lost, and not everything that was released is known to have reached the disk


class Record(NamedTuple):
    """One log record (record.pxd)."""

    lsn: int
    epoch: int
    kind: int
    flags: int
    session: int
    client: int
    seq: int
    aux: int
    time_ns: int
    crc: int
    payload: bytes
    raw: bytes


cdef object record_of(const record_header_t* record):
    return Record(record.lsn, record.epoch, record.kind, record.flags, record.session, record.client, record.seq,
                  record.aux, record.time_ns, record.crc, record_payload(record)[:record_payload_length(record)],
                  (<const uint8_t*>record)[:record.length])


cdef class Journal:
    """The log. `Journal.open(path)` for files, `Journal.memory()` for tests and tools.

    Not for use from two threads, but for `flush`, `prepare` and `run_background`, which one other thread may call.
    """

    def __cinit__(self):
        self.lock_fd = -1
        self.handle = <journal_t*>calloc(1, sizeof(journal_t))
        if self.handle is NULL:
            raise MemoryError
        self.handle.private = calloc(1, sizeof(private_t))
        if self.handle.private is NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.handle is not NULL:
            release(self.handle)
            free(self.handle.private)
            free(self.handle)
        if self.lock_fd >= 0:
            os.close(self.lock_fd)

    @staticmethod
    def memory(*, uint64_t segment_bytes=1 << 24, uint64_t max_records=1 << 24, uint32_t max_sessions=8,
               uint64_t max_seq=1 << 20):
        """An empty journal in anonymous memory. Raises MemoryError, ValueError."""
        cdef Journal self = Journal.__new__(Journal)
        self._lay_out(segment_bytes, max_records, max_sessions, max_seq)
        self.recovery = Recovery(0, 0, 0, False, 0, None, False, False)
        return self

    @staticmethod
    def open(path, *, uint32_t node=0, uint32_t pair_id=0, uint64_t segment_bytes=1 << 26,
             uint64_t max_records=1 << 28, uint32_t max_sessions=64, uint64_t max_seq=1 << 22,
             bint read_only=False):
        """Opens the journal in directory `path`, recovers it, or makes an empty one there.

        Raises JournalError (in use by another process, other format, other pair or node, disk full) and
        JournalCorruptError (something in the middle is not what was written). `read_only`: without the lock, beside a
        live node; changes nothing and shows what is complete.
        """
        cdef Journal self = Journal.__new__(Journal)
        cdef private_t* p = inside(self.handle)
        self.path = Path(path)
        self.read_only = read_only
        if read_only and not self.path.is_dir():
            raise JournalError(f"{self.path}: there is no journal here")
        if not read_only:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock()
        encoded = os.fsencode(self.path)
        if len(encoded) >= MAX_PATH_BYTES:
            raise JournalError(f"{self.path}: the path is longer than {MAX_PATH_BYTES - 1} bytes")
        memcpy(p.path, <const char*>encoded, len(encoded))
        p.node = node
        p.pair_id = pair_id
        self._lay_out(segment_bytes, max_records, max_sessions, max_seq)
        self._recover()
        return self

    # --- content ------------------------------------------------------------------------------------------------------

    @property
    def last_lsn(self) -> int:
        """LSN of the last record; 0: empty."""
        return load_u64(&self.handle.last_lsn)

    @property
    def last_epoch(self) -> int:
        """Epoch of the last record."""
        return self.handle.last_epoch

    @property
    def first_lsn(self) -> int:
        """LSN of the oldest record; 0: empty."""
        return self.handle.first_lsn

    @property
    def flushed_lsn(self) -> int:
        """On disk up to here."""
        return load_u64(&self.handle.flushed_lsn)

    def __len__(self):
        return self.handle.last_lsn - self.handle.first_lsn + 1 if self.handle.last_lsn else 0

    def at(self, uint64_t lsn) -> Record:
        """The record with this LSN. Raises KeyError."""
        cdef const record_header_t* record = journal_at(self.handle, lsn)
        if record is NULL:
            raise KeyError(f"LSN {lsn}: the journal holds {self.first_lsn} to {self.last_lsn}")
        return record_of(record)

    def find(self, uint16_t session, int direction, uint64_t seq):
        """The record with this MsgSeqNum since the session's last reset, or None. direction: 0 OUT, 1 IN."""
        cdef const record_header_t* record = journal_find(self.handle, session, <direction_t>direction, seq)
        return None if record is NULL else record_of(record)

    def end_of_epoch(self, uint32_t epoch) -> int:
        """Last LSN whose record has this epoch or an earlier one; 0: none."""
        return journal_end_of_epoch(self.handle, epoch)

    def records(self, uint64_t from_lsn=1):
        """Iterates over the records from `from_lsn` to what is the last one now."""
        cdef uint64_t lsn = max(from_lsn, self.handle.first_lsn)
        cdef uint64_t last = self.last_lsn
        while 0 < lsn <= last:
            yield record_of(journal_at(self.handle, lsn))
            lsn += 1

    def append(self, uint8_t kind, uint16_t session, bytes payload not None, *, uint64_t seq=0, uint32_t epoch=1,
               uint32_t client=0, uint32_t aux=0, uint8_t flags=0, uint64_t time_ns=0) -> int:
        """Appends a record; its LSN. Raises JournalError when it does not fit."""
        cdef record_header_t* place
        self._writable()
        place = journal_reserve(self.handle, <uint32_t>len(payload))
        if place is NULL:
            self.prepare()
            place = journal_reserve(self.handle, <uint32_t>len(payload))
        if place is NULL:
            raise JournalError(f"a record of {len(payload)} payload bytes does not fit: segments have "
                               f"{inside(self.handle).segment_bytes} bytes, at most {inside(self.handle).max_records} records")
        place.seq = seq
        place.time_ns = time_ns
        place.epoch = epoch
        place.client = client
        place.aux = aux
        place.session = session
        place.kind = kind
        place.flags = flags
        memcpy(<uint8_t*>record_payload(place), <const char*>payload, len(payload))
        return journal_commit(self.handle, place, <uint32_t>len(payload))

    def append_raw(self, bytes raw not None) -> int:
        """Appends a whole record as another journal holds it; its LSN. Raises JournalError (CRC, LSN, epoch, space)."""
        cdef const record_header_t* record = <const record_header_t*><const char*>raw
        cdef journal_status status
        self._writable()
        if len(raw) < RECORD_HEADER_BYTES or record.length != <uint32_t>len(raw):
            raise JournalError(f"a record of {len(raw)} bytes that says it has another length")
        status = journal_append_raw(self.handle, record)
        if status == JOURNAL_NO_SPACE:
            self.prepare()
            status = journal_append_raw(self.handle, record)
        if status != JOURNAL_OK:
            raise JournalError({JOURNAL_BAD_RECORD: "wrong CRC", JOURNAL_NO_SPACE: "no space",
                                JOURNAL_TOO_LARGE: "larger than a segment"}.get(
                status, f"out of order: LSN {record.lsn} of epoch {record.epoch} after LSN {self.last_lsn} of epoch "
                        f"{self.last_epoch}"))
        return self.last_lsn

    def truncate(self, uint64_t lsn) -> object:
        """Cuts every record after `lsn`. What is cut is kept in a `diverged-` file beside (its Path; None in memory)."""
        cdef private_t* p = inside(self.handle)
        cdef uint64_t last = self.handle.last_lsn
        cdef uint64_t position
        cdef uint32_t segment
        self._writable()
        if lsn >= last:
            return None
        kept = None
        if self.path is not None:
            kept = self._set_aside(f"diverged-{self.handle.last_epoch:06d}-{lsn + 1}-{last}",
                                   b"".join(padded(record.raw) for record in self.records(lsn + 1)))
        position = p.positions[lsn + 1]
        segment = <uint32_t>(position >> 32)
        memset(p.segments[segment].base + <uint32_t>position, 0, p.segment_bytes - <uint32_t>position)
        while p.segment_count > segment + 1:
            self._drop_segment()
        p.offset = <uint32_t>position
        self.handle.flushed_lsn = min(self.handle.flushed_lsn, lsn)
        if p.meta is not NULL:
            p.meta.flushed_lsn = self.handle.flushed_lsn
        self._reindex(lsn)
        return kept

    # --- background ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Maps the next segment when it is due. Raises JournalError (disk full)."""
        cdef journal_status status
        with nogil:
            status = journal_prepare(self.handle)
        self._check(status)

    def flush(self) -> None:
        """Makes everything durable. Raises JournalError."""
        cdef journal_status status
        with nogil:
            status = journal_flush(self.handle)
        self._check(status)

    def run_background(self, bint flushing, uint64_t interval_ns) -> None:
        """Prepares segments and flushes until `stop_running`. Raises JournalError on the first failure."""
        cdef journal_status status
        with nogil:
            status = journal_background(self.handle, flushing, interval_ns, &self.stop_background)
        self._check(status)

    def stop_running(self) -> None:
        """Ends `run_background` on its thread."""
        self.stop_background = 1

    def next_incarnation(self, uint64_t at_least=0) -> int:
        """A number larger than any that this journal gave before, and at least `at_least`; on disk when it returns."""
        cdef meta_t* meta = inside(self.handle).meta
        if meta is NULL:
            return max(1, at_least)
        meta.incarnation = max(meta.incarnation + 1, at_least)
        if msync(meta, META_BYTES, MS_SYNC) != 0:
            raise JournalError(f"{self.path}/journal.meta: {os.strerror(c_errno)}")
        return meta.incarnation

    def close(self) -> None:
        """Flushes and marks the journal as closed in order. Safe to call twice."""
        cdef private_t* p = inside(self.handle)
        if p.meta is not NULL and not self.read_only:
            self.flush()
            p.meta.clean = 1
            msync(p.meta, META_BYTES, MS_SYNC)
        release(self.handle)
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # --- opening ------------------------------------------------------------------------------------------------------

    def _lay_out(self, uint64_t segment_bytes, uint64_t max_records, uint32_t max_sessions, uint64_t max_seq):
        cdef private_t* p = inside(self.handle)
        if segment_bytes < MIN_SEGMENT_BYTES or segment_bytes % PAGE_BYTES or segment_bytes >= 1 << 32:
            raise ValueError(f"segment_bytes {segment_bytes}: a multiple of {PAGE_BYTES} from {MIN_SEGMENT_BYTES} to 4 GiB")
        if not 0 < max_sessions <= 1 << 16:
            raise ValueError(f"max_sessions {max_sessions}: 1 to 65536")
        p.segment_bytes = segment_bytes
        p.max_records = max_records
        p.max_sessions = max_sessions
        p.max_seq = max_seq
        p.next_number = 1
        p.offset = segment_bytes          # "full": the first reservation opens the first segment
        p.positions = <uint64_t*>map_anonymous(max_records * 8)
        p.lsns = <uint64_t*>map_anonymous(<uint64_t>max_sessions * 2 * max_seq * 8)
        p.epochs = <epoch_end_t*>map_anonymous(MAX_EPOCHS * sizeof(epoch_end_t))
        if p.positions is NULL or p.lsns is NULL or p.epochs is NULL:
            raise MemoryError("journal index")

    def _lock(self):
        self.lock_fd = os.open(self.path / "journal.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self.lock_fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise JournalError(f"{self.path}: this journal is in use by process {holder}; stop it first") from None
        os.ftruncate(self.lock_fd, 0)
        os.pwrite(self.lock_fd, f"{os.getpid()}\n".encode(), 0)

    def _recover(self):
        cdef private_t* p = inside(self.handle)
        numbers = sorted(int(name.stem) for name in self.path.glob("[0-9]*.log"))
        power_lost = self._open_meta(bool(numbers))
        flushed = p.meta.flushed_lsn if p.meta is not NULL else 0
        for number in numbers:
            self._map_segment(number)
        torn_bytes, torn_file = self._walk(power_lost, flushed)
        last = self.handle.last_lsn
        self.handle.flushed_lsn = 0 if self.read_only else min(flushed, last)
        if not self.read_only:
            self.prepare()
            # What this process reads from the page cache now it will rely on: it must be on the disk as well.
            self.flush()
        self.recovery = Recovery(len(self), last, self.handle.last_epoch, torn_bytes > 0, torn_bytes, torn_file,
                                 power_lost, power_lost)

    def _open_meta(self, bint exists):
        """Maps journal.meta; whether power was lost since it was last closed."""
        cdef private_t* p = inside(self.handle)
        cdef int fd
        name = self.path / "journal.meta"
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:39]
        fresh = not name.exists() or name.stat().st_size < META_BYTES
        if self.read_only:
            return False
        if fresh and exists:
            raise JournalCorruptError(f"{name}: missing or short, but there are segments. Restore it, or move {self.path} away "
                                      "and start the node: it catches up from its peer")
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.ftruncate(fd, META_BYTES)
            p.meta = <meta_t*>map_file(fd, META_BYTES, 1)
        finally:
            os.close(fd)
        if p.meta is NULL:
            raise JournalError(f"{name}: {os.strerror(c_errno)}")
        if fresh:
            p.meta.magic = META_MAGIC
            p.meta.version = FORMAT_VERSION
            p.meta.pair_id = p.pair_id
            p.meta.node = p.node
            p.meta.clean = 1
        elif p.meta.magic != META_MAGIC or p.meta.version != FORMAT_VERSION:
            raise JournalError(f"{name}: format version {p.meta.version}, this program reads {FORMAT_VERSION}")
        elif p.meta.pair_id != p.pair_id or p.meta.node != p.node:
            raise JournalError(f"{self.path}: the journal of node {'ab'[p.meta.node & 1]} of pair {p.meta.pair_id}, not of node "
                               f"{'ab'[p.node & 1]} of pair {p.pair_id}: wrong data_dir?")
        same_boot = bytes(p.meta.boot_id[:40]).rstrip(b"\0") == boot
        power_lost = not fresh and not p.meta.clean and not same_boot
        memset(p.meta.boot_id, 0, 40)
        memcpy(p.meta.boot_id, <const char*><bytes>boot, len(boot))
        p.meta.clean = 0
        msync(p.meta, META_BYTES, MS_SYNC)
        return power_lost

    def _map_segment(self, number):
        cdef private_t* p = inside(self.handle)
        cdef segment_header_t header
        cdef segment_t segment
        name = self.path / f"{number:08d}.log"
        size = name.stat().st_size
        raw = b""
        with name.open("rb") as file:
            raw = file.read(sizeof(segment_header_t))
        memset(&header, 0, sizeof(header))
        memcpy(&header, <const char*><bytes>raw, len(raw))
        p.next_number = max(p.next_number, <uint32_t>number + 1)
        if size < HEADER_PAGE_BYTES or header.magic == 0 or (header.crc == segment_header_crc(&header)
                                                             and header.first_lsn == 0):
            if not self.read_only:
                name.unlink()           # prepared and never used
            return
        if header.magic != SEGMENT_MAGIC or header.crc != segment_header_crc(&header):
            raise JournalCorruptError(f"{name}: offset 0: the segment header is damaged. Move {self.path} away and start the "
                                      "node: it catches up from its peer")
        if header.version != FORMAT_VERSION:
            raise JournalError(f"{name}: format version {header.version}, this program reads {FORMAT_VERSION}")
        if p.segment_count == 0:
            p.segment_bytes = header.segment_bytes
        if header.segment_bytes != p.segment_bytes or size < header.segment_bytes:
            raise JournalCorruptError(f"{name}: {size} bytes, expected {p.segment_bytes}")
        segment.number = number
        segment.fd = os.open(name, (os.O_RDONLY if self.read_only else os.O_RDWR) | os.O_CLOEXEC)
        segment.base = map_file(segment.fd, p.segment_bytes, not self.read_only)
        if segment.base is NULL:
            raise JournalError(f"{name}: {os.strerror(c_errno)}")
        p.segments[p.segment_count] = segment
        p.segment_count += 1

    def _walk(self, bint power_lost, uint64_t flushed):
        """Checks and indexes every record. (bytes cut off at the end, file that keeps them)."""
        cdef private_t* p = inside(self.handle)
        cdef uint32_t i
        cdef uint64_t offset
        cdef uint64_t expected = 0
        cdef const segment_header_t* header
        cdef uint32_t total = p.segment_count
        for i in range(total):
            header = <const segment_header_t*>p.segments[i].base
            if expected and header.first_lsn != expected:
                raise JournalCorruptError(f"{self._name(i)}: starts with LSN {header.first_lsn}, expected {expected}: a segment "
                                          f"is missing. Move {self.path} away and start the node: it catches up from its peer")
            p.segment_count = i + 1
            offset, ended = self._walk_segment(i, header.first_lsn)
            expected = self.handle.last_lsn + 1 if self.handle.last_lsn else header.first_lsn
            p.offset = offset
            if ended:
                continue
            if self._rest_is_empty(i, offset) and i == total - 1:
                return 0, None
            p.segment_count = total
            return self._cut_tail(i, offset, expected, power_lost and expected > flushed)
        if total == 0:
            p.offset = p.segment_bytes
        return 0, None

    def _walk_segment(self, uint32_t i, uint64_t first_lsn):
        """Indexes the records of one segment. (offset behind the last good one, whether the segment was ended in order)."""
        cdef private_t* p = inside(self.handle)
        cdef uint64_t offset = HEADER_PAGE_BYTES
        cdef const record_header_t* record
        cdef uint32_t length
        while offset + 8 <= p.segment_bytes:
            record = <const record_header_t*>(p.segments[i].base + offset)
            length = load_u32(&record.length)
            if length == END_OF_SEGMENT:
                return offset, True
            if not self._good(record, p.segment_bytes - offset, self.handle.last_lsn + 1 if self.handle.last_lsn else first_lsn):
                return offset, False
            publish(self.handle, record, offset)
            offset += record_padded_length(length)
        return offset, True

    cdef bint _good(self, const record_header_t* record, uint64_t room, uint64_t expected):
        cdef uint32_t length = record.length
        return (RECORD_HEADER_BYTES <= length <= room and record.lsn == expected
                and record.epoch >= self.handle.last_epoch and record_intact(record))

    cdef bint _rest_is_empty(self, uint32_t i, uint64_t offset):
        cdef private_t* p = inside(self.handle)
        cdef const uint64_t* word = <const uint64_t*>(p.segments[i].base + offset)
        cdef const uint64_t* end = <const uint64_t*>(p.segments[i].base + p.segment_bytes)
        if word < end and (<const uint32_t*>word)[0] != 0:
            return False
        if self.read_only:
            return True
        while word < end:
            if word[0]:
                # A killed process had begun to write a record here: nobody was told of it.
                (<uint64_t*>word)[0] = 0
            word += 1
        return True

    def _cut_tail(self, uint32_t i, uint64_t offset, uint64_t expected, bint unflushed):
        """What stands at `offset` is no record. A torn tail is set aside; a hole in the middle is an error."""
        cdef private_t* p = inside(self.handle)
        if self.read_only:
            p.segment_count = i + 1
            return p.segment_bytes - offset, None
        behind = self._record_behind(i, offset, expected)
        if behind and not unflushed:
            raise JournalCorruptError(
                f"{self._name(i)}: offset {offset}: the record with LSN {expected} is damaged, and record {behind} behind it is "
                f"not. Nothing was changed. Move {self.path} away and start the node: it catches up from its peer")
        tail = (p.segments[i].base + offset)[:p.segment_bytes - offset].rstrip(b"\0")
        kept = self._set_aside(f"torn-{expected}-{time.time_ns()}", tail)
        memset(p.segments[i].base + offset, 0, p.segment_bytes - offset)
        while p.segment_count > i + 1:
            self._drop_segment()
        return len(tail), kept

    def _record_behind(self, uint32_t i, uint64_t offset, uint64_t expected):
        """LSN of a whole record behind the damaged one, 0 if there is none."""
        cdef private_t* p = inside(self.handle)
        cdef const record_header_t* record
        offset += 8
        while offset + RECORD_HEADER_BYTES <= p.segment_bytes:
            record = <const record_header_t*>(p.segments[i].base + offset)
            if (RECORD_HEADER_BYTES <= record.length <= p.segment_bytes - offset
                    and expected < record.lsn < expected + p.max_records and record_intact(record)):
                return record.lsn
            offset += 8
        if i + 1 < p.segment_count:
            return (<const segment_header_t*>p.segments[i + 1].base).first_lsn
        return 0

    def _name(self, uint32_t i):
        return self.path / f"{inside(self.handle).segments[i].number:08d}.log"

    def _set_aside(self, name, content):
        target = self.path / f"{name}.bin"
        with target.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return target

    def _drop_segment(self):
        cdef private_t* p = inside(self.handle)
        name = self._name(p.segment_count - 1) if self.path is not None else None
        p.segment_count -= 1
        unmap(&p.segments[p.segment_count], p.segment_bytes)
        if name is not None:
            name.unlink()

    def _reindex(self, uint64_t last):
        """Derives every index anew for the records up to `last`."""
        cdef private_t* p = inside(self.handle)
        cdef uint64_t lsn
        cdef uint64_t position
        cdef const record_header_t* record
        cdef uint64_t first = self.handle.first_lsn
        memset(p.reset_lsn, 0, sizeof(p.reset_lsn))
        p.epoch_count = 0
        self.handle.last_lsn = last
        self.handle.last_epoch = 0
        if last < first:
            self.handle.first_lsn = 0
        munmap(p.lsns, <uint64_t>p.max_sessions * 2 * p.max_seq * 8)
        p.lsns = <uint64_t*>map_anonymous(<uint64_t>p.max_sessions * 2 * p.max_seq * 8)
        if p.lsns is NULL:
            raise MemoryError("journal index")
        for lsn in range(first, last + 1):
            position = p.positions[lsn]
            record = <const record_header_t*>(p.segments[position >> 32].base + <uint32_t>position)
            index_record(p, record, position)
            self.handle.last_epoch = record.epoch

    def _writable(self):
        if self.read_only:
            raise JournalError(f"{self.path}: opened for reading only")
        if inside(self.handle).positions is NULL:
            raise JournalError("the journal is closed")

    def _check(self, journal_status status):
        if status != JOURNAL_OK:
            raise JournalError(f"{self.path}: {os.strerror(self.handle.error_number)}: free space or mend the disk; the node "
                               "holds orders meanwhile")


cdef bytes padded(bytes raw):
    return raw + bytes((8 - len(raw) % 8) % 8)


cdef void unmap(segment_t* segment, uint64_t segment_bytes) noexcept nogil:
    if segment.base is not NULL:
        munmap(segment.base, segment_bytes)
    if segment.fd >= 0:
        c_close(segment.fd)
    segment.base = NULL
    segment.fd = -1


cdef void release(journal_t* j) noexcept nogil:
    """Unmaps everything. Nothing is written: what is in mapped memory is the kernel's already."""
    cdef private_t* p = inside(j)
    cdef uint32_t i
    if p is NULL or p.positions is NULL:
        return
    for i in range(p.segment_count):
        unmap(&p.segments[i], p.segment_bytes)
    if p.prepared_full:
        unmap(&p.prepared, p.segment_bytes)
    munmap(p.positions, p.max_records * 8)
    munmap(p.lsns, <uint64_t>p.max_sessions * 2 * p.max_seq * 8)
    munmap(p.epochs, MAX_EPOCHS * sizeof(epoch_end_t))
    if p.meta is not NULL:
        munmap(p.meta, META_BYTES)
    p.positions = NULL
    p.meta = NULL
    p.segment_count = 0
    p.prepared_full = 0
    j.last_lsn = 0
    j.first_lsn = 0
