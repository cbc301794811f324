"""Everything that is derived from the log, kept by one function for both nodes (DESIGN section 2).

Both sides apply a record to its session as soon as it is appended. Orders, risk and the rest follow by
`replica_catch_up`, before anything is decided by them; on the standby, behind the acknowledgement. Recovery replays the
journal. Whatever a takeover must not reset lives here: sessions' numbers, orders, risk, checkpoints, generations.
May depend on: journal, session, orders, risk, parser. Never does I/O, never reads a clock.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from .bridge cimport bridge_t
from .doubt cimport doubts_t
from .fates cimport fates_t
from .journal cimport journal_t
from .orders cimport order_t, order_table_t
from .parser cimport field_t, message_t
from .record cimport record_header_t
from .risk cimport risk_t
from .roster cimport roster_t
from .session cimport session_t


cdef enum:
    MAX_SESSIONS = 128
    SESSION_WORDS = 2           # of a bit mask of sessions
    MAX_RESETS = 16384          # resets remembered over all sessions, for clients that resume from an older generation
    MAX_CHECKPOINTS = 4096      # keys over all clients, a power of two
    MAX_INDEXED_FIELDS = 512    # fields of one message that routing and checks look at; not below MAX_SCANNED_FIELDS
    MAX_UNROUTED = 4096         # latest application messages that belonged to no client; a power of two


cdef struct reset_t:
    uint64_t lsn                # the STATE_RESET record
    uint32_t generation         # that starts after it
    uint16_t session


cdef struct checkpoint_t:
    uint64_t lsn                # of the latest record with this (client, key); 0: free slot
    uint32_t client
    uint32_t hash


cdef struct numbering_t:        # of a session's messages, as far as the log is applied
    uint64_t reset_lsn          # of the last reset; 0: none
    uint64_t next_out           # behind the last MsgSeqNum since then
    uint32_t generation


cdef struct unrouted_t:
    uint64_t lsn
    uint32_t ids[2]             # hashes of ClOrdID (11), and of OrigClOrdID (41) or BusinessRejectRefID (379); 0: none


cdef struct replica_t:
    journal_t* journal
    session_t sessions[MAX_SESSIONS]
    uint16_t session_count
    uint64_t state_changes              # set by the owner: grows when a session's state has become another one
    order_table_t orders
    risk_t risk
    checkpoint_t checkpoints[MAX_CHECKPOINTS]
    uint32_t checkpoint_count
    reset_t* resets
    uint32_t reset_count
    doubts_t doubts
    fates_t fates
    roster_t roster
    unrouted_t unrouted[MAX_UNROUTED]   # a ring
    uint64_t unrouted_count
    bridge_t bridges[MAX_SESSIONS]      # of the sessions that are a client's own
    uint64_t routed_lsn         # of the order that replica_route has found; 0: none
    bint skipped[MAX_SESSIONS]  # its numbers were set by hand or skipped ahead: orders may be out that the log lacks
    uint64_t applied_lsn
    numbering_t numbering[MAX_SESSIONS]
    uint64_t orphan_records     # name a session or client that the configuration does not have
    field_t index[MAX_INDEXED_FIELDS]


# 0, or -1: out of memory
cdef int replica_init(replica_t* r, journal_t* journal, uint64_t order_capacity) noexcept nogil
cdef void replica_free(replica_t* r) noexcept nogil
# Standby: each record that was received and appended, in LSN order.
cdef void replica_receive(replica_t* r, const record_header_t* record) noexcept nogil
cdef void replica_rebuild(replica_t* r) noexcept nogil       # forgets and replays the whole journal
# Which client an inbound application message belongs to; 0: nobody's.
cdef uint32_t replica_route(replica_t* r, uint16_t session, const message_t* message) noexcept nogil
# Takes out of the doubts those that are settled by more than a number, one at a time: the order, or NULL. `at` goes on
# from 0. Primary: tell its client.
cdef order_t* replica_next_settled(replica_t* r, uint32_t* at) noexcept nogil
# of a record at lsn
cdef uint32_t replica_generation_at(const replica_t* r, uint16_t session, uint64_t lsn) noexcept nogil
# first LSN that may belong to it
cdef uint64_t replica_generation_start(const replica_t* r, uint16_t session, uint32_t generation) noexcept nogil
cdef const record_header_t* replica_checkpoint(replica_t* r, uint32_t client, const uint8_t* key,
                                               uint32_t length) noexcept nogil
cdef bint replica_checkpoints_full(const replica_t* r) noexcept nogil
# OrderQty (38) of a new order or replace, else 0
cdef int64_t order_quantity_e8(uint32_t msg_type, const message_t* fields) noexcept nogil
# Applies what was appended since, but for what the sessions have of it already.
cdef void replica_catch_up(replica_t* r) noexcept nogil
