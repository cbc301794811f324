"""Replication, standby's side: from datagrams to a log that is a prefix of the primary's (DESIGN section 5).

Gaps are seen at once, from LSNs and from heartbeats, asked for again with back-off; early records are kept, duplicates
dropped; each record is appended exactly once, in order. May depend on: journal, datagram, sender (bodies). No I/O.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .datagram cimport Channel, channel_t, datagram_header_t
from .instant cimport instant_t
from .journal cimport Journal, journal_t
from .record cimport record_header_t


cdef enum receiver_state:
    RECEIVER_IDLE = 0        # follows nobody
    RECEIVER_JOINING = 1     # asks `primary` where the logs agree
    RECEIVER_DIVERGED = 2    # the owner must set aside and truncate to truncate_lsn, then call receiver_truncated
    RECEIVER_FOLLOWING = 3


cdef struct receiver_config_t:
    uint32_t datagram_bytes
    uint64_t nak_after_ns        # a gap is asked for again after this, doubling up to 16 times; the first time at once
    uint64_t join_retry_ns
    uint32_t reorder_slots       # early records kept, a power of two
    bint flush_acks              # the primary waits for the flushed watermark: tell it as soon as it moves


cdef struct receiver_t:
    journal_t* journal
    channel_t* channel
    receiver_config_t config
    receiver_state state
    uint32_t epoch               # of the primary we follow
    uint8_t primary              # its node index
    uint64_t truncate_lsn        # RECEIVER_DIVERGED
    uint64_t primary_last_lsn    # newest we heard of
    bint ack_due
    uint64_t gaps
    uint64_t naks_sent
    uint64_t duplicates
    uint64_t bad_records
    void* private                # reorder slots, fragment buffer, timers: see receiver.pyx


# Called for each record right after it was appended.
ctypedef void (*on_appended_t)(void* context, const record_header_t* record) noexcept nogil


cdef int receiver_init(receiver_t* r, const receiver_config_t* config, journal_t* journal,
                       channel_t* channel) noexcept nogil
cdef void receiver_free(receiver_t* r) noexcept nogil
# JOINING
cdef void receiver_follow(receiver_t* r, uint8_t primary, uint32_t epoch, const instant_t* now) noexcept nogil
# Acknowledges nothing any more, drops early records. A node that takes over calls this first.
cdef void receiver_stop(receiver_t* r) noexcept nogil
# An opened DATA, HEARTBEAT or JOIN_REPLY of the primary that we follow; anything of another epoch is ignored.
cdef void receiver_on_datagram(receiver_t* r, const datagram_header_t* header, const instant_t* now,
                               on_appended_t on_appended, void* context) noexcept nogil
# the journal now ends at truncate_lsn
cdef void receiver_truncated(receiver_t* r, const instant_t* now) noexcept nogil
# Builds and seals the next ACK or JOIN due; 0 when none. Call it after each batch of datagrams, and at the deadline.
cdef size_t receiver_poll(receiver_t* r, const instant_t* now, uint8_t* buffer) noexcept nogil
cdef uint64_t receiver_deadline(const receiver_t* r) noexcept nogil


# The Python face.
cdef class Receiver:
    cdef receiver_t receiver
    cdef readonly Journal journal
    cdef readonly Channel channel
