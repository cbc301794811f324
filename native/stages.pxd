"""How long each stage of an order takes, in production: stamps by LSN, and a histogram a stage.

The owner gives the clock, if stamps are wanted; without one (simulator, tools) nothing is measured and nothing is read.
Whoever looks at the histograms from another thread sees each counter whole, and perhaps some a moment earlier than
others. May depend on: nothing. Never does I/O, never allocates after stages_init, decides nothing.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum stage:
    STAGE_QUEUED = 0         # handed in by a client on this host, until it is read
    STAGE_CHECKED = 1        # until fields, limits and ClOrdID are checked
    STAGE_ENCODED = 2        # until the message is encoded, in the journal's memory
    STAGE_JOURNALLED = 3     # until its record is complete
    STAGE_REPLICATED = 4     # journalled, until it was handed to the network for the standby
    STAGE_ACKNOWLEDGED = 5   # until the standby's acknowledgement released it
    STAGE_SENT = 6           # released (async: journalled), until it was handed to the network for the counterparty
    STAGE_ORDER = 7          # read, until sent: all of the above but the first
    STAGE_ANSWERED = 8       # sent, until the counterparty's first answer was read
    STAGE_DELIVERED = 9      # until that answer was handed to the client
    STAGES = 10


cdef enum:
    STAGE_SLOTS = 1 << 13        # orders whose stamps are kept: a power of two
    STAGE_SESSIONS = 256         # as many as there may ever be in a pair
    STAGE_ANSWERS = 64           # answers on their way to clients: a power of two
    STAGE_SUB_BUCKETS = 32       # of each power of two: 3 % wide
    STAGE_BUCKETS = 37 * STAGE_SUB_BUCKETS     # up to 2**41 ns


cdef struct stage_slot_t:        # stamps in ticks; 0: not yet
    uint64_t lsn
    uint64_t arrived
    uint64_t journalled
    uint64_t replicated
    uint64_t released
    uint64_t sent
    uint32_t session
    uint64_t next_lsn            # the order after it on its session; 0: none yet


cdef struct stage_answer_t:
    uint64_t lsn                 # of the IN record; 0: none
    uint64_t arrived
    uint32_t client


cdef struct stages_t:
    uint64_t (*clock)() noexcept nogil           # ticks; NULL: nothing is measured
    uint64_t ns_per_tick                         # 32.32 fixed point, set by the owner
    uint64_t arrived                             # when the input in hand was turned to, set by the owner
    uint64_t checked
    uint64_t encoded
    uint64_t last_order_lsn
    uint64_t replicated_lsn                      # stamped up to here
    uint64_t released_lsn
    uint64_t sent_lsn[STAGE_SESSIONS]            # by session
    uint64_t unsent_lsn[STAGE_SESSIONS]          # its first order that was not sent; 0: none
    uint64_t latest_lsn[STAGE_SESSIONS]          # its last order
    uint64_t answers_head
    uint64_t answers_tail
    stage_answer_t answers[STAGE_ANSWERS]
    stage_slot_t* slots
    uint64_t* counts                             # [STAGES][STAGE_BUCKETS]
    uint64_t sums[STAGES]                        # ns


cdef int stages_init(stages_t* s) noexcept nogil            # 0, or -1: out of memory
cdef void stages_free(stages_t* s) noexcept nogil
# From here on records after `last_lsn` are stamped: a node became primary.
cdef void stages_restart(stages_t* s, uint64_t last_lsn) noexcept nogil
cdef void stages_count(stages_t* s, stage which, uint64_t ns) noexcept nogil
# The order in hand has become record `lsn`. `queued_ns`: since its client handed it in; UINT64_MAX: not known.
cdef void stages_journalled(stages_t* s, uint64_t lsn, uint16_t session, uint64_t queued_ns) noexcept nogil
cdef void stages_replicated(stages_t* s, uint64_t upto_lsn) noexcept nogil
cdef void stages_released(stages_t* s, uint64_t upto_lsn) noexcept nogil
cdef void stages_sent(stages_t* s, uint16_t session, uint64_t upto_lsn) noexcept nogil
# A message about the order of record `order_lsn` was read; it becomes record `lsn`, of `client`.
cdef void stages_answered(stages_t* s, uint64_t order_lsn, uint64_t lsn, uint32_t client) noexcept nogil
# All that is told of the IN records before `before_lsn` was handed to `client`.
cdef void stages_delivered(stages_t* s, uint32_t client, uint64_t before_lsn) noexcept nogil

cdef dict stages_histograms(const stages_t* s)


cdef inline void stages_check(stages_t* s) noexcept nogil:
    if s is not NULL and s.clock is not NULL:
        s.checked = s.clock()


cdef inline void stages_encode(stages_t* s) noexcept nogil:
    if s is not NULL and s.clock is not NULL:
        s.encoded = s.clock()


# The Python face, for tests.
cdef class Stages:
    cdef stages_t stages
