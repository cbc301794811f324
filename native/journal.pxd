"""The log on one node's disk: preallocated memory-mapped segments, filled by one writer thread, flushed by another.

Position: a record's address never changes while its segment is mapped, so pointers into the journal are handed to the
sender, the socket and the resend path without a copy. May depend on: record, crc32c. Never does socket I/O, never
reads a clock, never allocates or maps on the append path (`journal_prepare` does, on the background thread).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .record cimport record_header_t


cdef enum journal_status:
    JOURNAL_OK = 0
    JOURNAL_NO_SPACE = -1       # next segment not prepared yet, or disk full: hold or refuse orders, retry later
    JOURNAL_TOO_LARGE = -2      # record larger than a segment
    JOURNAL_BAD_RECORD = -3     # append_raw: wrong CRC
    JOURNAL_OUT_OF_ORDER = -4   # append_raw: LSN is not last_lsn + 1, or epoch goes back
    JOURNAL_IO_ERROR = -5       # a system call failed: see journal_t.error_number


cdef enum direction_t:
    DIRECTION_OUT = 0
    DIRECTION_IN = 1


cdef struct journal_t:
    # Read by every module; written by the journal alone.
    uint64_t last_lsn          # 0: empty
    uint64_t first_lsn         # oldest record still in the journal
    uint32_t last_epoch        # epoch of the record last_lsn
    void* private              # segments and indices: see journal.pyx
    bint unproven              # made anew (Recovery.new), until the owner has said that the log is whole (background)
    uint64_t apart[12]         # what the background writes is on other cache lines than what the append path writes
    uint64_t flushed_lsn       # on disk up to here (written by the flush thread, read by the reactor: atomic)
    int error_number           # errno of the last system call that failed; 0 once it went well


# --- append path: the reactor thread only -------------------------------------------------------------------------

# Place for a record with at most `payload_capacity` payload bytes; NULL when there is no space. The payload is written
# by the caller straight into record_payload(place). Nothing is in the log before journal_commit.
cdef record_header_t* journal_reserve(journal_t* j, uint32_t payload_capacity) noexcept nogil

# Completes the record at the reserved place: caller has set seq, time_ns, epoch, client, aux, session, kind, flags;
# this sets length, lsn, crc, publishes the record and indexes it. Returns its LSN; 0: nothing was appended, because the
# record's epoch is before last_epoch.
cdef uint64_t journal_commit(journal_t* j, record_header_t* place, uint32_t payload_length) noexcept nogil

# Appends a whole record as received from the primary (same bytes, same LSN). Checks CRC, LSN and epoch order.
cdef journal_status journal_append_raw(journal_t* j, const record_header_t* record) noexcept nogil

# Brings the memory of the next few records into this core's cache. Once after a turn, when nobody waits for it.
cdef void journal_prefetch(const journal_t* j) noexcept nogil

# --- lookup: the reactor thread only ------------------------------------------------------------------------------

cdef const record_header_t* journal_at(journal_t* j, uint64_t lsn) noexcept nogil   # O(1); NULL if not held
# O(1); NULL if that MsgSeqNum is not in the log since the session's last reset. Last record with that number wins.
cdef const record_header_t* journal_find(journal_t* j, uint16_t session, direction_t direction,
                                         uint64_t seq) noexcept nogil
# The same among the records behind after_lsn, up to until_lsn. As fast where no later record has that number.
cdef const record_header_t* journal_find_in(journal_t* j, uint16_t session, direction_t direction, uint64_t seq,
                                            uint64_t after_lsn, uint64_t until_lsn) noexcept nogil
# For a replay of the whole log, of each OUT and IN record in turn: its number is its own again, until a later one takes
# it.
cdef void journal_index_again(journal_t* j, const record_header_t* record) noexcept nogil
# Last LSN whose record has epoch <= `epoch`; 0 if none. For log comparison (epochs never decrease along the log).
cdef uint64_t journal_end_of_epoch(journal_t* j, uint32_t epoch) noexcept nogil

# A truncation has failed half-way: files of records that are cut may still be there, and the log goes on in no further
# segment before it was tried again (Journal.truncate) with success.
cdef bint journal_is_uncut(const journal_t* j) noexcept nogil

# Wakes the background if it sleeps and there is something to flush. One system call then, else none: for the reactor,
# once after a batch of records, when somebody waits for their durability.
cdef void journal_wake(journal_t* j) noexcept nogil

# --- background: any one other thread -------------------------------------------------------------------------------

# Makes a bounded step: maps, preallocates and pre-faults the next segment when it is due, and keeps the pages that are
# written next writable, so that the append path takes no page fault.
cdef journal_status journal_prepare(journal_t* j) noexcept nogil
# A journal in anonymous memory gets no further segment, as on a full disk, until it is told otherwise.
cdef void journal_set_full(journal_t* j, bint full) noexcept nogil
# Makes all that is published durable; sets flushed_lsn. A failure is final (what the kernel could not write it may have
# dropped): flushed_lsn does not move again before the journal is opened anew.
cdef journal_status journal_flush(journal_t* j) noexcept nogil
# Prepares and flushes until stop[0] is not 0, then flushes once more. interval_ns 0: flushes as long as there is
# something. Returns on the first failure; called again it goes on with what works and repeats what failed after a
# pause.
cdef journal_status journal_background(journal_t* j, bint flushing, uint64_t interval_ns,
                                       const int* stop) noexcept nogil


# The Python face. Other native modules take `.handle`.
cdef class Journal:
    cdef journal_t* handle
    cdef readonly object path            # pathlib.Path, or None: in anonymous memory
    cdef readonly object recovery        # what was found at opening: a Recovery
    cdef readonly bint read_only
    cdef object lock                     # file that holds the lock
    cdef int stop_background
    cdef record_header_t* _reserve(self, size) except NULL
