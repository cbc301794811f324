"""The log on one node's disk: appending, looking up, flushing in the background, recovering at opening.

Three rules carry it. `length` of a record is written last and the word behind the last record is 0, so a process that
is killed between any two instructions leaves a clean end. What is in mapped memory survives the process; what is
flushed survives the host. Recovery cuts off only what nothing valid follows, keeps what it cuts, and refuses
everything else. May depend on: record, crc32c, segment. The append path makes no system call, takes no lock and
allocates nothing; the background reads the monotonic clock for its own pauses only.
"""

import contextlib
import errno
import fcntl
import os
import time
from array import array
from pathlib import Path
from typing import NamedTuple

from gateway.errors import JournalCorruptError, JournalError

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EMFILE, ENOENT, ENOSPC
from libc.stdint cimport UINT32_MAX, UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from .crc32c cimport crc32c
from .record cimport (FLAG_RESET, RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RECORD_IN, RECORD_OUT, RECORD_STATE,
                      record_header_t, record_intact, record_padded_length, record_payload, record_payload_length)
from .segment cimport (END_OF_SEGMENT, FORMAT_VERSION, HEADER_PAGE_BYTES, MIN_SEGMENT_BYTES, PAGE_BYTES, SEGMENT_GOOD,
                       SEGMENT_NAME_BYTES, SEGMENT_OTHER_VERSION, forget, map_anonymous, populate, segment_check_header,
                       segment_create, segment_create_anonymous, segment_fault, segment_fill, segment_filled,
                       segment_header_t, segment_map, segment_name, segment_rename, segment_start_writing, segment_sync,
                       segment_t, segment_unlink, segment_unmap, segment_write_header, unmap, wipe)

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <linux/futex.h>
    #include <pthread.h>
    #include <sched.h>
    #include <stdint.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>

    static uint64_t load_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void store_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static uint32_t load_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void store_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static void prefetch_to_write(const uint8_t *p) { __builtin_prefetch(p, 1); }
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
    void prefetch_to_write(const uint8_t*)
    int load_int(const int*)
    void store_int(int*, int)
    void wait_on(uint32_t*, uint64_t)
    void wake(uint32_t*)
    void short_timer_slack()
    int sched_yield()
    uint64_t mono_ns()

cdef enum:
    META_BYTES = PAGE_BYTES
    MAX_SEGMENTS = 1 << 16
    MAX_EPOCHS = 1 << 16
    ENTRIES_PER_PAGE = PAGE_BYTES // 8
    CACHE_LINE_BYTES = 64
    PREFETCH_BYTES = 1024            # an order, its execution
    PREPARE_STEP_BYTES = 1 << 20     # of a new segment, between two looks at what is to be flushed; and so much, with a
    LEISURE_STEP_BYTES = 1 << 15     # pause behind it, while there is time: who shares a core with it waits for a step
    LEISURE_NS = 2000000
    PIECE_BYTES = 1 << 14            # and even of that, for one piece
    WARM_BYTES = 1 << 18             # kept writable in front of the writer
    WARM_AFTER_FLUSH_BYTES = 1 << 14
    WARM_POSITIONS = 1 << 14         # LSNs, and
    WARM_SEQS = 1 << 10              # MsgSeqNums per session and direction, whose index pages are touched in advance
    PREPARE_AT_PART = 8              # the next segment is begun when one part in so many of the current one is used
    WARM_AGAIN_NS = 100000000        # the kernel writes pages to disk of its own accord, too
    PACE_BYTES = 1 << 16             # between two looks at what is to be prepared, which are
    PREPARE_EVERY_NS = 2000000       # at least this far apart, for who wakes up often is in the way of whoever has the
    PREPARE_IDLE_NS = 20000000       # core; and at most this
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
    uint32_t new                  # 1: made, and not yet filled by a primary or by being the first one
    uint32_t cut                  # with lost_from_lsn, 1: something stood there, flushed or not


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
    int preparing_fd              # where that is backed
    uint64_t prepared_bytes       # of `preparing`
    # flushing is on: a new segment's blocks are written once in advance, which later spares
    # each flush a commit of the file system's own journal
    bint writes_zeros
    bint flushes_at_once
    int flush_error               # errno; sticky
    bint uncut                    # a truncation failed half-way: files of records that are cut may still be there
    bint without_space            # anonymous memory: as a full disk
    uint32_t warm_segment         # the segment that was warmed last,
    uint64_t warm_end             # up to here
    uint64_t warm_again_ns
    uint64_t pause_ns             # between two looks at what is to be prepared
    uint64_t paced_bytes          # `offset` at the last one
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


# --- by topic --------------------------------------------------------------------------------------------------------

include "journal_append.pxi"
include "journal_lookup.pxi"
include "journal_background.pxi"
include "journal_recovery.pxi"
include "journal_tuples.pxi"
include "journal_face.pxi"
include "journal_opening.pxi"
include "journal_files.pxi"
include "journal_repair.pxi"
include "journal_aside.pxi"
