"""The log on one node's disk: appending, looking up, flushing in the background, recovering at opening.

Three rules carry it. `length` of a record is written last and the word behind the last record is 0, so a process that
is killed between any two instructions leaves a clean end. What is in mapped memory survives the process; what is
flushed survives the host. Recovery cuts off only what nothing valid follows, keeps what it cuts, and refuses
everything else. May depend on: record, crc32c, segment. The append path makes no system call, takes no lock and
allocates nothing; the background reads the monotonic clock for its own pauses only.
"""

import errno
import fcntl
import os
import time
from array import array
from pathlib import Path
from typing import NamedTuple

from gateway.errors import JournalCorruptError, JournalError

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EMFILE, ENOSPC
from libc.stdint cimport UINT32_MAX, UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from .crc32c cimport crc32c
from .record cimport (FLAG_RESET, RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RECORD_IN, RECORD_OUT, RECORD_STATE,
                      record_header_t, record_intact, record_padded_length, record_payload, record_payload_length)
from .segment cimport (END_OF_SEGMENT, FORMAT_VERSION, HEADER_PAGE_BYTES, MIN_SEGMENT_BYTES, PAGE_BYTES, SEGMENT_GOOD,
                       SEGMENT_NAME_BYTES, SEGMENT_OTHER_VERSION, forget, map_anonymous, populate, segment_check_header,
                       segment_create, segment_create_anonymous, segment_fault, segment_header_t, segment_map,
                       segment_name, segment_rename, segment_sync, segment_t, segment_unlink, segment_unmap,
                       segment_write_header, unmap, wipe)

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <linux/futex.h>
    #include <pthread.h>
    #include <stdint.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>

    static uint64_t load_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void store_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static uint32_t load_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void store_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static int load_int(const int *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void store_int(int *p, int v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static struct timespec span(uint64_t ns) {
        struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        return t;
    }
    static void wait_on(uint32_t *word, uint64_t ns) {     /* while it is 1, at most so long */
        struct timespec t = span(ns);
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 1, &t, NULL, 0);
    }
    static void wake(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }
    static void short_timer_slack(void) { prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0); }
    static uint64_t mono_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    """
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t*, void*)
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)
    uint64_t load_u64(const uint64_t*)
    void store_u64(uint64_t*, uint64_t)
    uint32_t load_u32(const uint32_t*)
    void store_u32(uint32_t*, uint32_t)
    int load_int(const int*)
    void store_int(int*, int)
    void wait_on(uint32_t*, uint64_t)
    void wake(uint32_t*)
    void short_timer_slack()
    uint64_t mono_ns()

cdef enum:
    META_BYTES = PAGE_BYTES
    MAX_SEGMENTS = 1 << 16
    MAX_EPOCHS = 1 << 16
    ENTRIES_PER_PAGE = PAGE_BYTES // 8
    PREPARE_STEP_BYTES = 1 << 20     # of a new segment, between two looks at what is to be flushed
    WARM_BYTES = 1 << 18             # kept writable in front of the writer
    WARM_AFTER_FLUSH_BYTES = 1 << 14
    WARM_POSITIONS = 1 << 14         # LSNs, and
    WARM_SEQS = 1 << 10              # MsgSeqNums per session and direction, whose index pages are touched in advance
    PREPARE_EVERY_NS = 2000000
    POLL_BUSY_NS = 10000             # how often to look for records to flush, while they come, and
    POLL_IDLE_NS = 200000            # when none came for QUIET_NS. journal_wake cuts it short
    QUIET_NS = 2000000
    META_EVERY_NS = 1000000000       # how old the flush watermark on disk may become
    RETRY_NS = 500000000             # between two attempts at what failed
    READ_ATTEMPTS = 10               # to list and open the segments of a live node
    MAX_PART_BYTES = 1 << 30         # of a file that keeps truncated records

cdef const char* PREPARED_NAME = "prepared.log"       # next segment; keeps the name until the background renames it
cdef uint64_t META_MAGIC = 0x4154454D4E475846          # "FXGNMETA", little-endian


# journal.meta: all fields within one disk sector, so that they are written together or not at all.
cdef struct meta_t:
    uint64_t magic                # written last
    uint32_t version
    uint32_t pair_id
    uint32_t node
    uint32_t clean                # 1: closed in order
    uint64_t flushed_lsn          # at least this much is on disk
    uint64_t incarnation
    uint64_t lost_from_lsn        # records from here on may be lost, and the owner has not dealt with it yet; else 0
    uint64_t truncate_lsn         # with `truncating`: a truncation to this LSN has begun
    uint32_t truncating
    uint8_t boot_id[40]


cdef struct epoch_end_t:
    uint64_t last_lsn
    uint32_t epoch


cdef struct private_t:
    # Append path.
    uint8_t* tail                 # base of the segment that is written to
    uint64_t offset               # end of the last record in it
    uint64_t segment_bytes
    uint64_t max_records
    uint64_t max_seq
    uint32_t max_sessions
    uint32_t current              # index of that segment; UINT32_MAX: none yet
    uint64_t* positions           # by LSN: segment index << 32 | offset. NULL: closed
    uint64_t* lsns                # by (session * 2 + direction) * max_seq + MsgSeqNum
    uint64_t* newest_seq          # by session * 2 + direction: for the background to run ahead of
    epoch_end_t* epochs
    uint32_t epoch_count
    uint32_t wanted               # the append path found no prepared segment
    uint32_t prepared_full        # 1: `prepared` can be taken over
    uint32_t unnamed              # 1: the current segment still has PREPARED_NAME
    # Background; `busy` makes flush, prepare, truncate and close exclude each other. Never taken to append or look up.
    pthread_mutex_t busy
    int directory                 # fd; -1: in anonymous memory
    uint32_t pair_id
    uint32_t node
    meta_t* meta
    segment_t prepared
    segment_t preparing           # base NULL: none
    uint64_t prepared_bytes       # of `preparing`
    # flushing is on: a new segment's blocks are written once in advance, which later spares
    # each flush a commit of the file system's own journal
    bint writes_zeros
    int flush_error               # errno; sticky
    bint without_space            # anonymous memory: as a full disk
    uint64_t warm_positions
    uint64_t* warm_seqs
    uint64_t prepare_due_ns
    uint64_t flush_due_ns
    uint64_t busy_until_ns
    uint64_t meta_due_ns
    uint32_t asleep               # futex
    # Large and rarely touched.
    uint32_t segment_count        # mapped
    segment_t segments[MAX_SEGMENTS]
    uint64_t reset_lsn[1 << 16]   # by session: last record with FLAG_RESET


cdef inline private_t* inside(const journal_t* j) noexcept nogil:
    return <private_t*>j.private


# --- append path ----------------------------------------------------------------------------------------------------

cdef record_header_t* journal_reserve(journal_t* j, uint32_t payload_capacity) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t need = (<uint64_t>payload_capacity + RECORD_HEADER_BYTES + RECORD_ALIGNMENT - 1) & ~<uint64_t>(
        RECORD_ALIGNMENT - 1)
    if p.offset + need > p.segment_bytes and not next_segment(j, need):
        return NULL
    if j.last_lsn + 1 >= p.max_records:
        return NULL
    return <record_header_t*>(p.tail + p.offset)


cdef uint64_t journal_commit(journal_t* j, record_header_t* place, uint32_t payload_length) noexcept nogil:
    cdef uint32_t length = RECORD_HEADER_BYTES + payload_length
    if place.epoch < j.last_epoch:
        return 0
    place.lsn = j.last_lsn + 1
    place.crc = crc32c(crc32c(0, <const uint8_t*>&length, 4), <const uint8_t*>place + 8, length - 8)
    finish(j, place, length)
    return place.lsn


cdef journal_status journal_append_raw(journal_t* j, const record_header_t* record) noexcept nogil:
    cdef record_header_t* place
    if not record_intact(record):
        return JOURNAL_BAD_RECORD
    if record.lsn != j.last_lsn + 1 or record.epoch < j.last_epoch:
        return JOURNAL_OUT_OF_ORDER
    if HEADER_PAGE_BYTES + <uint64_t>record.length > inside(j).segment_bytes:
        return JOURNAL_TOO_LARGE
    place = journal_reserve(j, record_payload_length(record))
    if place is NULL:
        return JOURNAL_NO_SPACE
    memcpy(<uint8_t*>place + 4, <const uint8_t*>record + 4, record.length - 4)
    finish(j, place, record.length)
    return JOURNAL_OK


cdef inline void finish(journal_t* j, record_header_t* place, uint32_t length) noexcept nogil:
    """Publishes a record that is complete but for its length."""
    cdef private_t* p = inside(j)
    cdef uint32_t padded = record_padded_length(length)
    cdef uint8_t* raw = <uint8_t*>place
    cdef uint64_t offset = p.offset
    memset(raw + length, 0, padded - length)
    if offset + padded + 8 <= p.segment_bytes:
        (<uint64_t*>(raw + padded))[0] = 0        # an abandoned reservation may have left something here
    store_u32(&place.length, length)
    store_u64(&p.offset, offset + padded)
    publish(j, place, offset)


cdef inline void publish(journal_t* j, const record_header_t* record, uint64_t offset) noexcept nogil:
    cdef private_t* p = inside(j)
    index_record(p, record, <uint64_t>p.current << 32 | offset)
    j.last_epoch = record.epoch
    if j.first_lsn == 0:
        j.first_lsn = record.lsn
    store_u64(&j.last_lsn, record.lsn)


cdef inline void index_record(private_t* p, const record_header_t* record, uint64_t position) noexcept nogil:
    cdef uint64_t row
    p.positions[record.lsn] = position
    if record.kind == RECORD_OUT or record.kind == RECORD_IN:
        if record.session < p.max_sessions and record.seq < p.max_seq:
            row = <uint64_t>record.session * 2 + (record.kind == RECORD_IN)
            p.lsns[row * p.max_seq + record.seq] = record.lsn
            store_u64(&p.newest_seq[row], record.seq)
    elif record.kind == RECORD_STATE and record.flags & FLAG_RESET:
        p.reset_lsn[record.session] = record.lsn
    if p.epoch_count and p.epochs[p.epoch_count - 1].epoch == record.epoch:
        p.epochs[p.epoch_count - 1].last_lsn = record.lsn
    else:
        index_epoch(p, record)


cdef void index_epoch(private_t* p, const record_header_t* record) noexcept nogil:
    # forget the oldest: they matter only to a peer that was away for as many takeovers
    if p.epoch_count == MAX_EPOCHS:
        memcpy(p.epochs, p.epochs + MAX_EPOCHS // 2, sizeof(epoch_end_t) * (MAX_EPOCHS // 2))
        p.epoch_count = MAX_EPOCHS // 2
    p.epochs[p.epoch_count].epoch = record.epoch
    p.epochs[p.epoch_count].last_lsn = record.lsn
    p.epoch_count += 1


cdef bint next_segment(journal_t* j, uint64_t need) noexcept nogil:
    """Goes on in the prepared segment. False when there is none, or no segment can hold so much."""
    cdef private_t* p = inside(j)
    cdef segment_t* segment
    if HEADER_PAGE_BYTES + need > p.segment_bytes:
        return False
    if not load_u32(&p.prepared_full):
        store_u32(&p.wanted, 1)
        if p.directory >= 0 or journal_prepare(j) != JOURNAL_OK:
            return False
    # A kill after the mark and before the header is valid leaves a prepared segment that counts as unused.
    if p.current != UINT32_MAX and p.offset + 8 <= p.segment_bytes:
        store_u32(<uint32_t*>(p.tail + p.offset), END_OF_SEGMENT)
    segment = &p.segments[p.segment_count]
    segment[0] = p.prepared
    segment.first_lsn = j.last_lsn + 1
    segment_write_header(segment.base, p.segment_bytes, p.pair_id, p.node, segment.first_lsn)
    p.tail = segment.base
    store_u64(&p.offset, HEADER_PAGE_BYTES)
    p.segment_count += 1
    store_u32(&p.unnamed, p.directory >= 0)
    store_u32(&p.current, p.segment_count - 1)
    store_u32(&p.wanted, 0)
    store_u32(&p.prepared_full, 0)
    return True


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
    if seq == 0 or j.last_lsn == 0:
        return NULL
    if session >= p.max_sessions or seq >= p.max_seq:
        return find_slowly(j, session, direction, seq)
    lsn = p.lsns[(<uint64_t>session * 2 + direction) * p.max_seq + seq]
    return journal_at(j, lsn) if lsn > p.reset_lsn[session] else NULL


cdef const record_header_t* find_slowly(journal_t* j, uint16_t session, direction_t direction,
                                        uint64_t seq) noexcept nogil:
    """Beyond the index (max_sessions, or max_seq messages since the last reset): from the end backwards."""
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


cdef void journal_wake(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    if load_u32(&p.asleep):
        store_u32(&p.asleep, 0)
        wake(&p.asleep)


# --- background -----------------------------------------------------------------------------------------------------

cdef journal_status journal_prepare(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef int error = 0
    pthread_mutex_lock(&p.busy)
    if p.positions is not NULL:
        warm(j)
        error = name_current(p)
        if error == 0:
            error = prepare_step(p)
        if p.flush_error == 0:
            j.error_number = error
    pthread_mutex_unlock(&p.busy)
    return JOURNAL_OK if error == 0 else JOURNAL_IO_ERROR


cdef void journal_set_full(journal_t* j, bint full) noexcept nogil:
    inside(j).without_space = full


cdef journal_status journal_flush(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef journal_status status = JOURNAL_OK
    pthread_mutex_lock(&p.busy)
    if p.positions is not NULL:
        status = flush(j)
    pthread_mutex_unlock(&p.busy)
    return status


cdef journal_status journal_background(journal_t* j, bint flushing, uint64_t interval_ns,
                                       const int* stop) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef journal_status status
    cdef uint64_t now
    short_timer_slack()
    p.writes_zeros = flushing
    while not load_int(stop):
        now = mono_ns()
        if now >= p.prepare_due_ns:
            status = journal_prepare(j)
            p.prepare_due_ns = now + (0 if p.preparing.base is not NULL else PREPARE_EVERY_NS)
            if status != JOURNAL_OK:
                p.prepare_due_ns = now + RETRY_NS
                return status
        if flushing and now >= p.flush_due_ns and load_u64(&j.last_lsn) > j.flushed_lsn:
            status = journal_flush(j)
            p.flush_due_ns = now + interval_ns
            if status != JOURNAL_OK:
                p.flush_due_ns = now + RETRY_NS
                return status
            p.busy_until_ns = now + QUIET_NS
        elif p.preparing.base is NULL or p.prepare_due_ns > now:
            rest(j, flushing, interval_ns, now)
        if now >= p.meta_due_ns:
            sync_meta(p)
            p.meta_due_ns = now + META_EVERY_NS
    return journal_flush(j)


cdef void rest(journal_t* j, bint flushing, uint64_t interval_ns, uint64_t now) noexcept nogil:
    """Sleeps until there may be something to do."""
    cdef private_t* p = inside(j)
    cdef uint64_t pause_ns = PREPARE_EVERY_NS
    if flushing and interval_ns < PREPARE_EVERY_NS:
        pause_ns = POLL_BUSY_NS if now < p.busy_until_ns else POLL_IDLE_NS
        pause_ns = max(pause_ns, interval_ns)
    store_u32(&p.asleep, 1)
    if not flushing or interval_ns or now < p.flush_due_ns or load_u64(&j.last_lsn) <= j.flushed_lsn:
        wait_on(&p.asleep, pause_ns)
    store_u32(&p.asleep, 0)


cdef int name_current(private_t* p) noexcept nogil:
    """Gives the current segment its name by first LSN. 0 or errno."""
    cdef char name[SEGMENT_NAME_BYTES]
    cdef int error
    if not load_u32(&p.unnamed):
        return 0
    segment_name(name, p.segments[load_u32(&p.current)].first_lsn)
    error = segment_rename(p.directory, PREPARED_NAME, name)
    if error == 0:
        store_u32(&p.unnamed, 0)
    return error


cdef int prepare_step(private_t* p) noexcept nogil:
    """Brings the next segment nearer, if it is due. 0 or errno."""
    cdef int error
    if p.preparing.base is NULL:
        if load_u32(&p.prepared_full) or not prepare_due(p):
            return 0
        if p.segment_count >= MAX_SEGMENTS:
            return EMFILE
        error = create_next(p)
        if error:
            return error
    error = fault_in_next(p)
    if error or p.prepared_bytes < p.segment_bytes:
        return error
    p.prepared = p.preparing
    p.preparing.base = NULL
    store_u32(&p.prepared_full, 1)
    return 0


cdef bint prepare_due(private_t* p) noexcept nogil:
    return (load_u32(&p.current) == UINT32_MAX or load_u32(&p.wanted) != 0
            or load_u64(&p.offset) >= p.segment_bytes // 2)


cdef int create_next(private_t* p) noexcept nogil:
    p.prepared_bytes = 0
    if p.directory < 0:
        if p.without_space:
            return ENOSPC
        p.prepared_bytes = p.segment_bytes       # a page fault in anonymous memory is cheap
        return segment_create_anonymous(&p.preparing, p.segment_bytes)
    return segment_create(&p.preparing, p.directory, PREPARED_NAME, p.segment_bytes)


cdef int fault_in_next(private_t* p) noexcept nogil:
    """Touches the next PREPARE_STEP_BYTES of the segment in preparation. 0 or errno."""
    cdef uint64_t start = p.prepared_bytes
    cdef uint64_t end = min(start + PREPARE_STEP_BYTES, p.segment_bytes)
    cdef int error
    if start == end:
        return 0
    error = populate(p.preparing.base + start, end - start)
    if error == 0 and p.writes_zeros:
        error = segment_sync(&p.preparing, start, end)
    if error == 0:
        p.prepared_bytes = end
    return error


cdef void warm(journal_t* j) noexcept nogil:
    """Pages of segments and indices that the writer comes to next take their faults here.

    Also those that it wrote to already: after the kernel has written a page to disk, the next write to it is a fault.
    """
    cdef private_t* p = inside(j)
    cdef uint64_t wanted
    cdef uint64_t row
    if p.directory < 0:
        return
    if load_u32(&p.current) != UINT32_MAX:
        warm_segment(p, &p.segments[load_u32(&p.current)], load_u64(&p.offset), WARM_BYTES)
    if load_u32(&p.prepared_full):
        warm_segment(p, &p.prepared, 0, WARM_BYTES)
    wanted = min(load_u64(&j.last_lsn) + WARM_POSITIONS, p.max_records)
    if p.warm_positions < wanted:
        p.warm_positions = warm_index(p.positions, p.warm_positions, wanted)
    for row in range(<uint64_t>p.max_sessions * 2):
        wanted = min(load_u64(&p.newest_seq[row]) + WARM_SEQS, p.max_seq)
        if p.warm_seqs[row] < wanted:
            p.warm_seqs[row] = warm_index(
                p.lsns + row * p.max_seq, max(p.warm_seqs[row], wanted - min(wanted, 2 * WARM_SEQS)), wanted)


cdef void warm_segment(private_t* p, const segment_t* segment, uint64_t offset, uint64_t size) noexcept nogil:
    cdef uint64_t start = offset & ~<uint64_t>(PAGE_BYTES - 1)
    cdef uint64_t end = min(start + size, p.segment_bytes)
    if segment.base is not NULL and start < end:
        populate(segment.base + start, end - start)


cdef uint64_t warm_index(uint64_t* entries, uint64_t start, uint64_t end) noexcept nogil:
    """Touches the pages of entries[start:end]; the entry up to which all is touched."""
    start &= ~<uint64_t>(ENTRIES_PER_PAGE - 1)
    end = (end + ENTRIES_PER_PAGE - 1) & ~<uint64_t>(ENTRIES_PER_PAGE - 1)
    populate(<uint8_t*>(entries + start), (end - start) * 8)
    return end


cdef journal_status flush(journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    cdef uint64_t last = load_u64(&j.last_lsn)
    if p.flush_error:
        j.error_number = p.flush_error
        return JOURNAL_IO_ERROR
    if last <= j.flushed_lsn:
        return JOURNAL_OK
    if p.meta is not NULL:
        p.flush_error = sync_records(p, j.flushed_lsn + 1, last)
        if p.flush_error:
            j.error_number = p.flush_error
            return JOURNAL_IO_ERROR
        store_u64(&p.meta.flushed_lsn, last)
        # The pages just written are write-protected now.
        warm_segment(p, &p.segments[load_u32(&p.current)], load_u64(&p.offset), WARM_AFTER_FLUSH_BYTES)
    store_u64(&j.flushed_lsn, last)
    return JOURNAL_OK


cdef int sync_records(private_t* p, uint64_t first, uint64_t last) noexcept nogil:
    """Makes the records first to last durable. 0 or errno."""
    cdef uint64_t from_segment = p.positions[first] >> 32
    cdef uint64_t to_segment = p.positions[last] >> 32
    cdef uint64_t segment = from_segment
    cdef uint64_t start = <uint32_t>p.positions[first] & ~<uint64_t>(PAGE_BYTES - 1)
    cdef uint64_t end
    cdef int error
    while segment <= to_segment:
        # The header page goes along with the first record, the mark at the end with the next segment's first.
        if start == HEADER_PAGE_BYTES:
            start = 0
        end = end_of_record(p, p.positions[last]) if segment == to_segment else p.segment_bytes
        error = segment_sync(&p.segments[segment], start, end)
        if error:
            return error
        segment += 1
        start = 0
    return 0


cdef uint64_t end_of_record(private_t* p, uint64_t position) noexcept nogil:
    """End of the last page that the record, and the 0 behind it, touch."""
    cdef uint64_t offset = <uint32_t>position
    cdef const record_header_t* record = <const record_header_t*>(p.segments[position >> 32].base + offset)
    return min(p.segment_bytes, (offset + record_padded_length(record.length) + 8 + PAGE_BYTES - 1)
               & ~<uint64_t>(PAGE_BYTES - 1))


cdef void sync_meta(private_t* p) noexcept nogil:
    cdef segment_t page
    pthread_mutex_lock(&p.busy)
    if p.meta is not NULL:
        page.base = <uint8_t*>p.meta
        page.backed = True
        segment_sync(&page, 0, META_BYTES)
    pthread_mutex_unlock(&p.busy)


# --- truncation and recovery ----------------------------------------------------------------------------------------

cdef enum walk_end:
    WALK_SEGMENT_ENDED = 0
    WALK_NO_RECORD = 1        # what stands at p.offset does not go on with the log
    WALK_INDEX_FULL = 2


cdef walk_end walk(journal_t* j, uint64_t limit) noexcept nogil:
    """Checks and indexes the records of the current segment from p.offset on, up to LSN `limit`."""
    cdef private_t* p = inside(j)
    cdef const record_header_t* record
    cdef uint32_t length
    while p.offset + 8 <= p.segment_bytes:
        if expected_lsn(j) > limit:
            return WALK_NO_RECORD
        record = <const record_header_t*>(p.tail + p.offset)
        length = load_u32(&record.length)
        if length == END_OF_SEGMENT:
            return WALK_SEGMENT_ENDED
        if length > p.segment_bytes - p.offset or record.lsn != expected_lsn(j) or record.epoch < j.last_epoch \
                or not record_intact(record):
            return WALK_NO_RECORD
        if record.lsn >= p.max_records:
            return WALK_INDEX_FULL
        publish(j, record, p.offset)
        p.offset += record_padded_length(length)
    return WALK_SEGMENT_ENDED


cdef uint64_t expected_lsn(const journal_t* j) noexcept nogil:
    cdef private_t* p = inside(j)
    return j.last_lsn + 1 if j.last_lsn else p.segments[0].first_lsn


cdef void enter_segment(private_t* p, uint32_t i) noexcept nogil:
    p.current = i
    p.tail = p.segments[i].base
    p.offset = HEADER_PAGE_BYTES


cdef uint64_t record_behind(journal_t* j) noexcept nogil:
    """LSN of a whole record behind the end of the good prefix; 0 if there is none."""
    cdef private_t* p = inside(j)
    cdef const record_header_t* record
    cdef uint64_t expected = expected_lsn(j)
    cdef uint64_t offset = p.offset + 8
    while offset + RECORD_HEADER_BYTES <= p.segment_bytes:
        record = <const record_header_t*>(p.tail + offset)
        if (expected <= record.lsn < expected + p.max_records and record.length <= p.segment_bytes - offset
                and record_intact(record)):
            return record.lsn
        offset += 8
    return p.segments[p.current + 1].first_lsn if p.current + 1 < p.segment_count else 0


cdef int cut(journal_t* j) noexcept nogil:
    """Removes what is behind p.offset in the current segment, and all later segments, the last one first. 0 or
    errno."""
    cdef private_t* p = inside(j)
    cdef char name[SEGMENT_NAME_BYTES]
    cdef int error = name_current(p)
    while error == 0 and p.segment_count > p.current + 1:
        p.segment_count -= 1
        if p.directory >= 0:
            segment_name(name, p.segments[p.segment_count].first_lsn)
            error = segment_unlink(p.directory, name)
        segment_unmap(&p.segments[p.segment_count], p.segment_bytes)
    if error == 0:
        wipe(p.tail + p.offset, p.segment_bytes - p.offset)
        error = segment_sync(&p.segments[p.current], p.offset & ~<uint64_t>(PAGE_BYTES - 1), p.segment_bytes)
    return error


cdef int truncate(journal_t* j, uint64_t lsn) noexcept nogil:
    """Cuts the records after `lsn`. A crash in the middle is finished at the next opening. 0 or errno."""
    cdef private_t* p = inside(j)
    cdef uint64_t position = p.positions[lsn + 1]
    cdef int error = name_current(p)
    if error == 0 and p.meta is not NULL:
        p.meta.flushed_lsn = min(p.meta.flushed_lsn, lsn)
        p.meta.truncate_lsn = lsn
        p.meta.truncating = 1
        error = sync_page(p.meta)
    if error:
        return error
    p.current = <uint32_t>(position >> 32)
    p.tail = p.segments[p.current].base
    p.offset = <uint32_t>position
    store_u64(&j.flushed_lsn, min(j.flushed_lsn, lsn))
    reindex(j, lsn)
    error = cut(j)
    if error == 0 and p.meta is not NULL:
        p.meta.truncating = 0
        error = sync_page(p.meta)
    return error


cdef int sync_page(meta_t* meta) noexcept nogil:
    cdef segment_t page
    page.base = <uint8_t*>meta
    page.backed = True
    return segment_sync(&page, 0, META_BYTES)


cdef void reindex(journal_t* j, uint64_t last) noexcept nogil:
    """Derives the indices anew for the records up to `last`."""
    cdef private_t* p = inside(j)
    cdef uint64_t lsn = j.first_lsn
    cdef const record_header_t* record
    forget(p.lsns, index_bytes(p))
    memset(p.reset_lsn, 0, sizeof(p.reset_lsn))
    memset(p.newest_seq, 0, <size_t>p.max_sessions * 2 * 8)
    memset(p.warm_seqs, 0, <size_t>p.max_sessions * 2 * 8)
    p.epoch_count = 0
    while lsn <= last:
        record = journal_at(j, lsn)
        index_record(p, record, p.positions[lsn])
        lsn += 1
    j.last_epoch = p.epochs[p.epoch_count - 1].epoch if p.epoch_count else 0
    if last < j.first_lsn:
        j.first_lsn = 0
        last = 0
    store_u64(&j.last_lsn, last)


cdef uint64_t index_bytes(const private_t* p) noexcept nogil:
    return <uint64_t>p.max_sessions * 2 * p.max_seq * 8


cdef void release(journal_t* j) noexcept nogil:
    """Unmaps everything. Nothing is written: what is in mapped memory is the kernel's already."""
    cdef private_t* p = inside(j)
    cdef uint32_t i
    pthread_mutex_lock(&p.busy)
    for i in range(p.segment_count):
        segment_unmap(&p.segments[i], p.segment_bytes)
    if p.prepared_full:
        segment_unmap(&p.prepared, p.segment_bytes)
    segment_unmap(&p.preparing, p.segment_bytes)
    unmap(p.positions, p.max_records * 8)
    unmap(p.lsns, index_bytes(p))
    unmap(p.epochs, MAX_EPOCHS * sizeof(epoch_end_t))
    unmap(p.meta, META_BYTES)
    free(p.newest_seq)
    free(p.warm_seqs)
    p.positions = NULL
    p.lsns = NULL
    p.epochs = NULL
    p.meta = NULL
    p.newest_seq = NULL
    p.warm_seqs = NULL
    p.segment_count = 0
    p.prepared_full = 0
    j.last_lsn = 0
    j.first_lsn = 0
    pthread_mutex_unlock(&p.busy)


# --- Python face ----------------------------------------------------------------------------------------------------

class Recovery(NamedTuple):
    """What was found when a journal was opened."""

    records: int
    last_lsn: int
    last_epoch: int
    torn: bool                # there was something behind the last good record that is no record: it was cut off
    truncated_bytes: int      # so much of it
    torn_file: object         # Path where it was kept, or None
    power_lost: bool          # the host started anew and the journal was not closed in order
    lost_from_lsn: int        # records from here on may have been written, released and lost; 0: surely none
    tail_may_be_lost: bool    # lost_from_lsn is not 0
    damage: object            # read-only: what opening for writing would say, str; else None


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
    raw: bytes                # header and payload, without the padding

    def __repr__(self) -> str:
        # Without the payload: it may hold a password.
        return (f"Record(lsn={self.lsn}, epoch={self.epoch}, kind={self.kind}, flags={self.flags}, "
                f"session={self.session}, client={self.client}, seq={self.seq}, aux={self.aux}, "
                f"payload of {len(self.payload)} bytes)")


cdef object record_of(const record_header_t* record):
    raw = PyBytes_FromStringAndSize(<const char*>record, record.length)
    return Record(record.lsn, record.epoch, record.kind, record.flags, record.session, record.client, record.seq,
                  record.aux, record.time_ns, record.crc, raw[RECORD_HEADER_BYTES:], raw)


cdef class Journal:
    """The log. `Journal.open(path)` for files, `Journal.memory()` for tests and tools.

    For one thread, but for `flush`, `prepare`, `run_background` and `stop_running`, which another one may call.
    `close` and `truncate` wait for them; stop `run_background` before `close`.
    """

    def __cinit__(self):
        self.handle = <journal_t*>calloc(1, sizeof(journal_t))
        if self.handle is NULL:
            raise MemoryError
        self.handle.private = calloc(1, sizeof(private_t))
        if self.handle.private is NULL:
            raise MemoryError
        inside(self.handle).directory = -1
        pthread_mutex_init(&inside(self.handle).busy, NULL)

    def __dealloc__(self):
        if self.handle is not NULL:
            if self.handle.private is not NULL:
                release(self.handle)
                if inside(self.handle).directory >= 0:
                    os.close(inside(self.handle).directory)
                free(self.handle.private)
            free(self.handle)

    @staticmethod
    def memory(*, uint64_t segment_bytes=1 << 24, uint64_t max_records=1 << 24, uint32_t max_sessions=8,
               uint64_t max_seq=1 << 20):
        """An empty journal in anonymous memory. Raises MemoryError, ValueError."""
        cdef Journal self = Journal.__new__(Journal)
        self._lay_out(segment_bytes, max_records, max_sessions, max_seq)
        self.recovery = Recovery(0, 0, 0, False, 0, None, False, 0, False, None)
        return self

    @staticmethod
    def open(path, *, uint32_t node=0, uint32_t pair_id=0, uint64_t segment_bytes=1 << 26,
             uint64_t max_records=1 << 28, uint32_t max_sessions=64, uint64_t max_seq=1 << 24, bint read_only=False):
        """Opens the journal in directory `path`, recovers it, or makes an empty one there.

        `segment_bytes` counts for a new journal; one that exists keeps its own. `max_records`, and per session and
        direction `max_seq`, bound the index: address space, not memory. `read_only`: without the lock, beside a live
        node; changes nothing and shows the prefix that was complete at that moment; `path` may also be one segment or
        `diverged-` file.

        Raises JournalError (in use by another process, other format, other pair or node, no space), JournalCorruptError
        (something in the middle is not what was written there), ValueError (arguments), MemoryError (index).
        """
        cdef Journal self = Journal.__new__(Journal)
        self.path = Path(path)
        self.read_only = read_only
        inside(self.handle).node = node
        inside(self.handle).pair_id = pair_id
        self._lay_out(segment_bytes, max_records, max_sessions, max_seq)
        try:
            if read_only:
                self._open_for_reading()
            else:
                self._open_for_writing()
        except OSError as error:
            self._abandon()
            raise JournalError(f"{error.filename or self.path}: {error.strerror}") from error
        except BaseException:
            self._abandon()
            raise
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

    @property
    def segment_bytes(self) -> int:
        """Size of each segment."""
        return inside(self.handle).segment_bytes

    @property
    def pair_id(self) -> int:
        """Of the pair that the journal belongs to."""
        return inside(self.handle).pair_id

    @property
    def node(self) -> int:
        """Index of the node that the journal belongs to: 0 is a, 1 is b."""
        return inside(self.handle).node

    def __len__(self):
        return self.handle.last_lsn - self.handle.first_lsn + 1 if self.handle.last_lsn else 0

    def at(self, uint64_t lsn) -> Record:
        """The record with this LSN. Raises KeyError."""
        cdef const record_header_t* record = journal_at(self.handle, lsn)
        if record is NULL:
            raise KeyError(f"LSN {lsn}: the journal holds {self.first_lsn} to {self.last_lsn}")
        return record_of(record)

    def find(self, uint16_t session, int direction, uint64_t seq):
        """The record with this MsgSeqNum (34) since the session's last reset, or None. direction: 0 OUT, 1 IN."""
        if direction not in (DIRECTION_OUT, DIRECTION_IN):
            raise ValueError(f"direction {direction}: 0 is OUT, 1 is IN")
        cdef const record_header_t* record = journal_find(self.handle, session, <direction_t>direction, seq)
        return None if record is NULL else record_of(record)

    def end_of_epoch(self, uint32_t epoch) -> int:
        """Last LSN whose record has this epoch or an earlier one; 0: none."""
        return 0 if inside(self.handle).positions is NULL else journal_end_of_epoch(self.handle, epoch)

    def place_of(self, uint64_t lsn):
        """(first LSN of the segment, byte offset in it) of a record. Raises KeyError."""
        cdef private_t* p = inside(self.handle)
        if journal_at(self.handle, lsn) is NULL:
            raise KeyError(f"LSN {lsn}: the journal holds {self.first_lsn} to {self.last_lsn}")
        return p.segments[p.positions[lsn] >> 32].first_lsn, <uint32_t>p.positions[lsn]

    def records(self, uint64_t from_lsn=1):
        """Iterates over the records from `from_lsn` to what is the last one now."""
        cdef uint64_t lsn = max(from_lsn, self.handle.first_lsn)
        cdef uint64_t last = self.last_lsn
        cdef const record_header_t* record
        while 0 < lsn <= last:
            record = journal_at(self.handle, lsn)
            if record is NULL:               # closed or truncated meanwhile
                return
            yield record_of(record)
            lsn += 1

    def append(self, uint8_t kind, uint16_t session, bytes payload not None, *, uint64_t seq=0, uint32_t epoch=1,
               uint32_t client=0, uint32_t aux=0, uint8_t flags=0, uint64_t time_ns=0) -> int:
        """Appends a record; its LSN. Raises JournalError when it does not fit, ValueError when the epoch goes back."""
        self._require_writable()
        if epoch < self.handle.last_epoch:
            raise ValueError(f"epoch {epoch} after epoch {self.handle.last_epoch}: epochs never decrease along the log")
        cdef record_header_t* place = self._reserve(len(payload))
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
        self._require_writable()
        if len(raw) < RECORD_HEADER_BYTES or record.length != <uint64_t>len(raw):
            raise JournalError(f"a record of {len(raw)} bytes that says it has another length")
        status = journal_append_raw(self.handle, record)
        if status == JOURNAL_NO_SPACE:
            self.prepare()
            status = journal_append_raw(self.handle, record)
        if status == JOURNAL_OK:
            return self.last_lsn
        if status == JOURNAL_BAD_RECORD:
            raise JournalError(f"LSN {record.lsn}: wrong CRC")
        if status == JOURNAL_OUT_OF_ORDER:
            raise JournalError(f"LSN {record.lsn} of epoch {record.epoch} does not follow LSN {self.last_lsn} of epoch "
                               f"{self.last_epoch}")
        raise self._no_room(len(raw) - RECORD_HEADER_BYTES)

    def reserve_and_abandon(self, bytes payload not None) -> None:
        """Reserves a place, fills it, and does not commit it: for tests."""
        self._require_writable()
        cdef record_header_t* place = self._reserve(len(payload))
        memset(<uint8_t*>place + 4, 0xA5, RECORD_HEADER_BYTES - 4)
        memcpy(<uint8_t*>record_payload(place), <const char*>payload, len(payload))

    def truncate(self, uint64_t lsn, aside=None) -> object:
        """Cuts every record after `lsn`; keeps them in a file that `open(..., read_only=True)` can read.

        `aside`: that file; default `diverged-<epoch>-<first LSN>-<records>.log` in the journal's directory (in
        anonymous memory: none). Returns its Path, None when nothing was cut or kept. Raises JournalError.
        """
        cdef int error
        self._require_writable()
        if lsn >= self.handle.last_lsn:
            return None
        if lsn + 1 < self.handle.first_lsn:
            raise JournalError(f"{self.path}: LSN {lsn} is before the oldest record, {self.first_lsn}")
        kept = self._keep_aside(lsn + 1, aside)
        with nogil:
            pthread_mutex_lock(&inside(self.handle).busy)
            error = truncate(self.handle, lsn)
            pthread_mutex_unlock(&inside(self.handle).busy)
        if error:
            raise JournalError(f"{self.path}: truncation to LSN {lsn} did not finish: {os.strerror(error)}; it is "
                               "finished when the journal is opened again")
        return kept

    # --- background ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Makes the next segment ready when it is due. Raises JournalError (disk full)."""
        cdef private_t* p = inside(self.handle)
        cdef journal_status status
        self._require_writable()
        with nogil:
            status = journal_prepare(self.handle)
            while status == JOURNAL_OK and p.preparing.base is not NULL:
                status = journal_prepare(self.handle)
        self._check(status)

    def flush(self) -> None:
        """Makes everything durable. Raises JournalError."""
        cdef journal_status status
        self._require_writable()
        with nogil:
            status = journal_flush(self.handle)
        self._check(status)

    def run_background(self, bint flushing, uint64_t interval_ns) -> None:
        """Prepares segments and flushes until `stop_running`, then flushes once more. Raises JournalError on each
        failure.

        After an error call it again: it goes on with what works and repeats what failed after a pause.
        """
        cdef journal_status status
        self._require_writable()
        with nogil:
            status = journal_background(self.handle, flushing, interval_ns, &self.stop_background)
        self._check(status)

    def start_running(self) -> None:
        """Takes a `stop_running` back. Call it before the thread starts."""
        store_int(&self.stop_background, 0)

    def stop_running(self) -> None:
        """Ends `run_background` on its thread, now or as soon as it starts."""
        store_int(&self.stop_background, 1)
        journal_wake(self.handle)

    def tail_settled(self) -> None:
        """The owner has dealt with `recovery.lost_from_lsn`: the next opening does not report it again. Raises
        JournalError."""
        cdef meta_t* meta = inside(self.handle).meta
        self._require_writable()
        if meta is NULL or meta.lost_from_lsn == 0:
            return
        meta.lost_from_lsn = 0
        error = sync_page(meta)
        if error:
            raise JournalError(f"{self.path / 'journal.meta'}: {os.strerror(error)}")

    def next_incarnation(self, uint64_t at_least=0) -> int:
        """A number larger than any that this journal gave before, and at least `at_least`; on disk when it returns.

        `at_least` is the wall clock in ms, so that the numbers grow even after the journal was lost. Raises
        JournalError.
        """
        cdef meta_t* meta = inside(self.handle).meta
        cdef int error
        self._require_writable()
        if meta is NULL:
            return max(1, at_least)
        meta.incarnation = max(meta.incarnation + 1, at_least)
        error = sync_page(meta)
        if error:
            raise JournalError(f"{self.path / 'journal.meta'}: {os.strerror(error)}")
        return meta.incarnation

    def close(self) -> None:
        """Flushes and marks the journal as closed in order. Safe to call twice. Raises JournalError when it cannot
        flush."""
        cdef private_t* p = inside(self.handle)
        cdef int error = 0
        try:
            if p.meta is not NULL:
                self.flush()
                error = name_current(p)
                if error == 0:
                    p.meta.clean = 1
                    error = sync_page(p.meta)
                if error:
                    raise JournalError(f"{self.path}: {os.strerror(error)}")
        finally:
            self._abandon()

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # --- measuring ----------------------------------------------------------------------------------------------------

    def measure_append(self, uint32_t count, uint32_t payload_bytes, uint32_t batch=1) -> array:
        """Appends `count` batches of OUT records; the ns of each append, averaged over its batch (an array of
        float)."""
        cdef bytes payload = b"8=FIX.4.4\x019=999\x01" .ljust(payload_bytes, b"x")[:payload_bytes]
        cdef const char* source = payload
        cdef double[:] taken
        cdef record_header_t* place
        cdef uint64_t start
        cdef uint32_t i
        cdef uint32_t _k
        cdef uint64_t seq = self.handle.last_lsn
        self._require_writable()
        result = array("d", bytes(8 * count))
        taken = result
        with nogil:
            for i in range(count):
                start = mono_ns()
                for _k in range(batch):
                    place = journal_reserve(self.handle, payload_bytes)
                    while place is NULL:
                        start = mono_ns()
                        place = journal_reserve(self.handle, payload_bytes)
                    seq += 1
                    place.seq = seq
                    place.time_ns = start
                    place.epoch = 1
                    place.client = 1
                    place.aux = 0
                    place.session = 0
                    place.kind = RECORD_OUT
                    place.flags = 0
                    memcpy(<uint8_t*>record_payload(place), source, payload_bytes)
                    journal_commit(self.handle, place, payload_bytes)
                taken[i] = <double>(mono_ns() - start) / batch
        return result

    # --- opening ------------------------------------------------------------------------------------------------------

    def _lay_out(self, uint64_t segment_bytes, uint64_t max_records, uint32_t max_sessions, uint64_t max_seq):
        cdef private_t* p = inside(self.handle)
        if segment_bytes < MIN_SEGMENT_BYTES or segment_bytes % PAGE_BYTES or segment_bytes >= 1 << 32:
            raise ValueError(f"segment_bytes {segment_bytes}: a multiple of {PAGE_BYTES}, from {MIN_SEGMENT_BYTES} and "
                             "below 4 GiB")
        if not 0 < max_sessions <= 1 << 16:
            raise ValueError(f"max_sessions {max_sessions}: 1 to 65536")
        if not 0 < max_records <= 1 << 40 or not 0 < max_seq <= 1 << 32:
            raise ValueError(f"max_records {max_records}, max_seq {max_seq}: at most 2**40 and 2**32")
        p.segment_bytes = segment_bytes
        p.max_records = round_up(max_records + 1)      # LSN 0 has a place
        p.max_sessions = max_sessions
        p.max_seq = round_up(max_seq + 1)
        p.current = UINT32_MAX
        p.offset = segment_bytes                       # "full": the first reservation opens the first segment
        p.newest_seq = <uint64_t*>calloc(<size_t>max_sessions * 2, 8)
        p.warm_seqs = <uint64_t*>calloc(<size_t>max_sessions * 2, 8)
        p.epochs = <epoch_end_t*>map_anonymous(MAX_EPOCHS * sizeof(epoch_end_t))
        p.lsns = <uint64_t*>map_anonymous(index_bytes(p))
        p.positions = <uint64_t*>map_anonymous(p.max_records * 8)
        if p.positions is NULL or p.lsns is NULL or p.epochs is NULL or p.newest_seq is NULL or p.warm_seqs is NULL:
            raise MemoryError(f"journal index: {(p.max_records * 8 + index_bytes(p)) >> 30} GiB of address space; "
                              "lower max_records, max_sessions or max_seq, or allow overcommit (vm.overcommit_memory)")

    def _open_for_writing(self):
        cdef private_t* p = inside(self.handle)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock()
        p.directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        names = self._segment_files()
        power_lost = self._open_meta(bool(names))
        for i, name in enumerate(names, 1):
            self._map_segment(name, i == len(names))
        if p.segment_count and p.segments[0].first_lsn != 1:
            raise JournalCorruptError(f"{self.path}: the oldest segment starts with LSN {p.segments[0].first_lsn}: "
                                      f"those before it are missing. Put them back, or {self._remedy()}")
        torn, size, kept = self._walk(power_lost)
        self._settle(torn, size, kept, power_lost)

    def _settle(self, bint torn, size, kept, bint power_lost):
        """Recovered: keeps what was found for `recovery`, and makes durable all that is relied on from now."""
        cdef private_t* p = inside(self.handle)
        cdef uint64_t last = self.handle.last_lsn
        if not p.meta.lost_from_lsn and (torn or power_lost or last < p.meta.flushed_lsn):
            p.meta.lost_from_lsn = last + 1
        self.handle.flushed_lsn = min(p.meta.flushed_lsn, last)
        p.meta.flushed_lsn = self.handle.flushed_lsn
        self.recovery = Recovery(len(self), last, self.handle.last_epoch, torn, size, kept, power_lost,
                                 p.meta.lost_from_lsn, p.meta.lost_from_lsn != 0, None)
        self.flush()
        if journal_prepare(self.handle) != JOURNAL_OK and p.segment_count == 0:
            self._check(JOURNAL_IO_ERROR)       # a journal that holds something can be served from without space
        while p.segment_count == 0 and not p.prepared_full:
            self._check(journal_prepare(self.handle))
        # Only now: a crash above must find power_lost again.
        boot = boot_id()
        memset(p.meta.boot_id, 0, sizeof(p.meta.boot_id))
        memcpy(p.meta.boot_id, <const char*><bytes>boot, len(boot))
        p.meta.clean = 0
        self._check_page(sync_page(p.meta))

    def _open_for_reading(self):
        if not self.path.exists():
            raise JournalError(f"{self.path}: there is no journal here")
        whole = self.path.is_dir()
        self._map_all(whole)
        if whole and not inside(self.handle).segment_count and not (self.path / "journal.meta").exists():
            raise JournalError(f"{self.path}: there is no journal here")
        torn, size, damage = False, 0, None
        try:
            torn, size, _ = self._walk(False)
        except JournalCorruptError as error:
            damage = str(error)
        if whole:
            self._read_meta()
        self.recovery = Recovery(len(self), self.handle.last_lsn, self.handle.last_epoch, torn, size, None, False,
                                 0, False, damage)

    def _map_all(self, bint whole):
        """Maps for reading. A live node may rename the newest segment meanwhile: then once more."""
        cdef private_t* p = inside(self.handle)
        for attempt in range(READ_ATTEMPTS):
            try:
                names = self._segment_files() if whole else [self.path]
                for i, name in enumerate(names, 1):
                    self._map_segment(name, i == len(names))
            except FileNotFoundError:
                if attempt == READ_ATTEMPTS - 1:
                    raise
                while p.segment_count:
                    p.segment_count -= 1
                    segment_unmap(&p.segments[p.segment_count], p.segment_bytes)
            else:
                return

    def _read_meta(self):
        cdef private_t* p = inside(self.handle)
        cdef const meta_t* meta
        cdef bytes raw
        name = self.path / "journal.meta"
        raw = name.read_bytes() if name.exists() else b""
        if len(raw) >= <Py_ssize_t>sizeof(meta_t):
            meta = <const meta_t*><const char*>raw
            self.handle.flushed_lsn = min(meta.flushed_lsn, self.handle.last_lsn)
            p.pair_id = meta.pair_id
            p.node = meta.node

    def _lock(self):
        self.lock = (self.path / "journal.lock").open("a+b", buffering=0)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            holder = os.pread(self.lock.fileno(), 32, 0).decode("ascii", "replace").strip() or "(not known)"
            raise JournalError(f"{self.path}: this journal is in use by process {holder}; stop it first") from None
        self.lock.truncate(0)
        self.lock.write(f"{os.getpid()}\n".encode())

    def _segment_files(self):
        """The directory's segments by first LSN; last the prepared one, if it is in use or cannot be told."""
        names = sorted(self.path.glob("[0-9]" * 20 + ".log"))
        prepared = self.path / PREPARED_NAME.decode()
        if prepared.exists():
            if self._prepared_in_use(prepared):
                names.append(prepared)
            elif not self.read_only:
                prepared.unlink()
        return names

    def _prepared_in_use(self, prepared):
        cdef segment_header_t header
        cdef bytes raw
        try:
            with prepared.open("rb") as file:
                raw = file.read(HEADER_PAGE_BYTES + RECORD_HEADER_BYTES)
        except FileNotFoundError:          # renamed this moment, by the live node
            return False
        raw = raw.ljust(HEADER_PAGE_BYTES + RECORD_HEADER_BYTES, b"\0")
        memcpy(&header, <const char*>raw, sizeof(header))
        # The header is written before the first record: without one, or half written, the segment is unused.
        return (segment_check_header(&header) == SEGMENT_GOOD
                or (<const record_header_t*>(<const char*>raw + HEADER_PAGE_BYTES)).length != 0)

    def _open_meta(self, bint exists):
        """Maps journal.meta; whether power was lost since it was last closed."""
        cdef private_t* p = inside(self.handle)
        cdef segment_t page
        cdef int fd
        name = self.path / "journal.meta"
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(fd, 0, META_BYTES)
        except OSError as error:
            os.close(fd)
            raise JournalError(f"{name}: {error.strerror}") from error
        self._check_page(segment_map(&page, fd, META_BYTES, True))
        p.meta = <meta_t*>page.base
        fresh = p.meta.magic == 0
        if fresh and exists:
            raise JournalCorruptError(f"{name}: missing or empty, but there are segments. "
                                      f"Put it back, or {self._remedy()}")
        if fresh:
            p.meta.version = FORMAT_VERSION
            p.meta.pair_id = p.pair_id
            p.meta.node = p.node
            p.meta.clean = 1
            store_u64(&p.meta.magic, META_MAGIC)
            self._check_page(sync_page(p.meta))
            os.fsync(p.directory)
        self._check_meta(name)
        same_boot = bytes(p.meta.boot_id[:40]).rstrip(b"\0") == boot_id()
        return not p.meta.clean and not same_boot

    def _check_meta(self, name):
        cdef private_t* p = inside(self.handle)
        if p.meta.magic != META_MAGIC:
            raise JournalCorruptError(f"{name}: not a journal's meta file. Put the right one back, or {self._remedy()}")
        if p.meta.version != FORMAT_VERSION:
            raise JournalError(f"{name}: format version {p.meta.version}, this program reads {FORMAT_VERSION}")
        if p.meta.pair_id != p.pair_id or p.meta.node != p.node:
            raise JournalError(f"{self.path}: the journal of node {'ab'[p.meta.node & 1]} of pair {p.meta.pair_id}, "
                               f"not of node {'ab'[p.node & 1]} of pair {p.pair_id}: wrong directory?")

    def _map_segment(self, name, bint last):
        cdef private_t* p = inside(self.handle)
        cdef segment_header_t header
        cdef segment_t* segment = &p.segments[p.segment_count]
        cdef bytes raw
        if p.segment_count == MAX_SEGMENTS - 1:
            raise JournalError(f"{self.path}: more than {MAX_SEGMENTS - 1} segments")
        with name.open("rb" if self.read_only else "r+b") as file:
            raw = file.read(sizeof(segment_header_t)).ljust(sizeof(segment_header_t), b"\0")
            memcpy(&header, <const char*>raw, sizeof(header))
            self._check_segment(name, &header)
            if p.segment_count == 0:
                p.segment_bytes = header.segment_bytes
            size = os.fstat(file.fileno()).st_size
            if header.segment_bytes != p.segment_bytes or (size < p.segment_bytes and not last):
                raise JournalCorruptError(f"{name}: {size} bytes, and {header.segment_bytes} by its header; expected "
                                          f"{p.segment_bytes}: {self._remedy()}")
            if size >= p.segment_bytes:
                self._check_page(segment_map(segment, os.dup(file.fileno()), p.segment_bytes, not self.read_only))
            elif self.read_only:
                self._copy_segment(segment, file, size)
            else:
                # cut short: what is missing shows in the walk
                os.posix_fallocate(file.fileno(), 0, p.segment_bytes)
                self._check_page(segment_map(segment, os.dup(file.fileno()), p.segment_bytes, True))
        segment.first_lsn = header.first_lsn
        p.segment_count += 1
        p.unnamed = not self.read_only and name.name == PREPARED_NAME.decode()

    cdef _copy_segment(self, segment_t* segment, file, size):
        """A segment file that is shorter than it should be, for reading: beyond its end, a mapping of it would be a
        SIGBUS."""
        cdef bytes raw
        self._check_page(segment_create_anonymous(segment, inside(self.handle).segment_bytes))
        file.seek(0)
        raw = file.read(size)
        memcpy(segment.base, <const char*>raw, len(raw))

    cdef _check_segment(self, name, const segment_header_t* header):
        cdef private_t* p = inside(self.handle)
        cdef segment_fault fault = segment_check_header(header)
        if fault == SEGMENT_OTHER_VERSION:
            raise JournalError(f"{name}: format version {header.version}, this program reads {FORMAT_VERSION}")
        named = name.stem.isdigit() and len(name.stem) == 20
        if (fault != SEGMENT_GOOD or header.segment_bytes % PAGE_BYTES
                or not 2 * PAGE_BYTES <= header.segment_bytes < 1 << 32
                or (named and int(name.stem) != header.first_lsn)):
            raise JournalCorruptError(f"{name}: offset 0: the segment header is damaged: {self._remedy()}")
        if not self.read_only and (header.pair_id != p.pair_id or header.node != p.node):
            raise JournalError(f"{name}: a segment of node {'ab'[header.node & 1]} of pair {header.pair_id}, which "
                               "does not belong here: move it away")

    # --- recovery -----------------------------------------------------------------------------------------------------

    def _walk(self, bint power_lost):
        """Checks and indexes every record: (whether there was a torn tail, its bytes, the file that keeps it or
        None)."""
        cdef private_t* p = inside(self.handle)
        cdef uint64_t limit = UINT64_MAX
        cdef walk_end end
        cdef uint32_t i
        if p.meta is not NULL and p.meta.truncating:
            limit = p.meta.truncate_lsn
        for i in range(p.segment_count):
            if i and p.segments[i].first_lsn != expected_lsn(self.handle):
                raise JournalCorruptError(f"{self._name(i)}: starts with LSN {p.segments[i].first_lsn}, expected "
                                          f"{expected_lsn(self.handle)}: something before it is missing: "
                                          f"{self._remedy()}")
            enter_segment(p, i)
            end = walk(self.handle, limit)
            while end == WALK_NO_RECORD:
                found = self._end_of_log(limit, power_lost)
                if found is not None:
                    return found
                end = walk(self.handle, limit)
            if end == WALK_INDEX_FULL:
                raise JournalError(f"{self.path}: more records than max_records ({p.max_records - 1}): raise it")
        if limit != UINT64_MAX:
            self._end_truncation()
        return False, 0, None

    def _end_of_log(self, uint64_t limit, bint power_lost):
        """The log ends before the last segment does: why? As _walk, or None: it goes on by now."""
        cdef private_t* p = inside(self.handle)
        cdef uint64_t expected = expected_lsn(self.handle)
        cdef uint64_t stopped_at = p.offset
        cdef uint64_t behind
        if expected > limit:
            self._end_truncation()
            return False, 0, None
        with nogil:
            behind = record_behind(self.handle)
        if self.read_only and (walk(self.handle, limit) != WALK_NO_RECORD or p.offset != stopped_at):
            return None                          # a live node has appended meanwhile
        blank = load_u32(<uint32_t*>(p.tail + p.offset)) == 0
        if behind and not (power_lost and expected > p.meta.flushed_lsn):
            raise JournalCorruptError(
                f"{self._name(p.current)}: offset {p.offset}: the record with LSN {expected} is damaged, and "
                f"record {behind} behind it is there. Nothing was changed: {self._remedy()}")
        if not behind and blank:
            if not self.read_only:
                wipe(p.tail + p.offset, p.segment_bytes - p.offset)     # what a killed process had begun to write
            return False, 0, None
        pieces = self._tail_pieces()
        size = sum(map(len, pieces))
        return True, size, None if self.read_only else self._cut_tail(expected, pieces)

    def _cut_tail(self, uint64_t expected, pieces):
        kept = self.path / f"torn-{expected}-{time.time_ns()}.bin"
        with kept.open("xb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.fsync(inside(self.handle).directory)
        self._check_page(cut(self.handle))
        return kept

    def _tail_pieces(self):
        """What stands behind the good prefix, of each segment, without the zeros at its end."""
        cdef private_t* p = inside(self.handle)
        cdef uint32_t i
        cdef uint64_t start
        pieces = []
        for i in range(p.current, p.segment_count):
            start = p.offset if i == p.current else 0
            whole = PyBytes_FromStringAndSize(<const char*>p.segments[i].base + start, p.segment_bytes - start)
            pieces.append(whole.rstrip(b"\0"))
        return pieces

    def _end_truncation(self):
        """Finishes a truncation that a crash interrupted."""
        cdef private_t* p = inside(self.handle)
        self._check_page(cut(self.handle))
        p.meta.truncating = 0
        self._check_page(sync_page(p.meta))

    def _keep_aside(self, uint64_t first, aside):
        """Copies the records from `first` into files of their own; the Path of the first file, or None."""
        cdef uint64_t last = self.handle.last_lsn
        cdef uint64_t end
        if aside is None and self.path is None:
            return None
        paths = []
        while first <= last:
            end = self._end_of_part(first)
            name = f"diverged-{self.handle.last_epoch}-{first}-{end - first}.log"
            target = self.path / name if aside is None else Path(aside)
            if aside is not None and paths:
                target = target.with_name(f"{target.name}.{len(paths)}")
            paths.append(self._write_part(unused(target), first, end))
            first = end
        return paths[0]

    def _end_of_part(self, uint64_t first):
        """LSN behind the last record that fits in one file with `first`."""
        cdef uint64_t size = 0
        cdef uint64_t lsn = first
        while lsn <= self.handle.last_lsn and (lsn == first or size < MAX_PART_BYTES):
            size += record_padded_length(journal_at(self.handle, lsn).length)
            lsn += 1
        return lsn

    def _write_part(self, target, uint64_t first, uint64_t end):
        cdef private_t* p = inside(self.handle)
        cdef segment_header_t header
        cdef const record_header_t* record
        cdef uint64_t size = HEADER_PAGE_BYTES
        cdef uint64_t lsn
        try:
            with target.open("xb") as file:
                file.seek(HEADER_PAGE_BYTES)
                for lsn in range(first, end):
                    record = journal_at(self.handle, lsn)
                    size += record_padded_length(record.length)
                    file.write(PyBytes_FromStringAndSize(<const char*>record, record_padded_length(record.length)))
                size = (size + 8 + PAGE_BYTES - 1) & ~<uint64_t>(PAGE_BYTES - 1)
                segment_write_header(<uint8_t*>&header, size, p.pair_id, p.node, first)
                file.truncate(size)
                file.seek(0)
                file.write(PyBytes_FromStringAndSize(<const char*>&header, sizeof(header)))
                file.flush()
                os.fsync(file.fileno())
            sync_directory(target.parent)
        except OSError as error:
            raise JournalError(f"{target}: {error.strerror}; nothing was truncated") from error
        return target

    # --- small change -------------------------------------------------------------------------------------------------

    def _abandon(self):
        """Gives everything back, and writes nothing."""
        cdef private_t* p = inside(self.handle)
        release(self.handle)
        if p.directory >= 0:
            os.close(p.directory)
            p.directory = -1
        if self.lock is not None:
            self.lock.close()
            self.lock = None

    def _name(self, uint32_t i):
        if not self.path.is_dir():
            return self.path
        if inside(self.handle).unnamed and i + 1 == inside(self.handle).segment_count:
            return self.path / PREPARED_NAME.decode()
        return self.path / f"{inside(self.handle).segments[i].first_lsn:020d}.log"

    def _remedy(self):
        return (f"move {self.path} away and start the node, which catches up from its peer; `gateway journal verify` "
                "shows what can be read")

    def _require_writable(self):
        if inside(self.handle).positions is NULL:
            raise JournalError("the journal is closed")
        if self.read_only:
            raise JournalError(f"{self.path}: opened for reading only")

    cdef record_header_t* _reserve(self, size) except NULL:
        cdef record_header_t* place = NULL
        if size < inside(self.handle).segment_bytes:
            place = journal_reserve(self.handle, <uint32_t>size)
            if place is NULL:
                self.prepare()
                place = journal_reserve(self.handle, <uint32_t>size)
        if place is NULL:
            raise self._no_room(size)
        return place

    def _no_room(self, size):
        cdef private_t* p = inside(self.handle)
        return JournalError(f"a record of {size} payload bytes does not fit: segments have {p.segment_bytes} bytes, "
                            f"and {len(self)} of at most {p.max_records - 1} records are taken")

    def _check(self, journal_status status):
        if status != JOURNAL_OK:
            sticky = "; start the node anew" if inside(self.handle).flush_error else ""
            raise JournalError(f"{self.path}: {os.strerror(self.handle.error_number)}: "
                               f"free space or mend the disk{sticky}")

    def _check_page(self, int error):
        if error:
            raise OSError(error, os.strerror(error), str(self.path))


cdef uint64_t round_up(uint64_t entries) noexcept:
    """To whole pages of the index."""
    return (entries + ENTRIES_PER_PAGE - 1) & ~<uint64_t>(ENTRIES_PER_PAGE - 1)


cdef bytes boot_id():
    """Identifies this start of the host's kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:39]


cdef sync_directory(path):
    """Makes the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


cdef unused(path):
    """`path`, or with a number behind its stem if there is such a file."""
    number = 1
    found = path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return found
