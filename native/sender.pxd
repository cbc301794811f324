"""Replication, primary's side: which datagram goes out next, and what the standby holds (DESIGN section 5).

Reads records straight from the journal, so a retransmission costs no memory. One cursor per receiver; a receiver that
is behind is fed in bounded bursts that leave room for live records. May depend on: journal, datagram. Never does I/O.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .datagram cimport MAX_NODES, Channel, channel_t, datagram_header_t
from .instant cimport instant_t
from .journal cimport Journal, journal_t


cdef enum:
    MAX_NAK_RANGES = 32


# Body of DATAGRAM_ACK: this, then nak_count x nak_range_t.
cdef struct ack_body_t:
    uint64_t received_lsn     # every record up to here of `epoch` (and all before) is in the receiver's log
    uint64_t flushed_lsn      # and on its disk
    uint32_t epoch            # the epoch this ack is about; the sender ignores any other than its own
    uint32_t nak_count


cdef struct nak_range_t:
    uint64_t first_lsn
    uint64_t last_lsn


# Body of DATAGRAM_JOIN_REPLY. `agreed`: the logs agree up to common_lsn, data follows from common_lsn + 1; the standby
# puts aside and truncates what it has beyond. Not agreed: the standby looks at its own
# journal_end_of_epoch(common_epoch), and asks again with that as its end.
cdef struct join_reply_t:
    uint64_t common_lsn
    uint32_t common_epoch
    uint32_t agreed


cdef struct sender_config_t:
    uint32_t datagram_bytes           # largest datagram, headers and MAC included (UDP payload)
    uint32_t catch_up_window_bytes    # unacknowledged bytes on the way to a receiver at a time
    uint64_t retransmit_after_ns      # first retransmission of a tail without ack; doubles up to 16 times
    uint8_t receivers                 # bit mask of the nodes we feed


cdef struct receiver_view_t:          # what the primary knows of one receiver
    bint joined                       # its log is a prefix of ours in this epoch
    uint64_t received_lsn
    uint64_t flushed_lsn
    uint64_t next_lsn                 # cursor: next record to send for the first time
    uint64_t last_heard_mono_ns
    # Kept by sender.pyx.
    uint64_t heard_incarnation        # of the receiver, and
    uint64_t heard_counter            # the latest datagram of that life: a JOIN that comes after a later one is stale
    uint64_t in_flight_bytes          # sent for the first time and not acknowledged, about
    uint32_t fragment_offset          # of record next_lsn, when it is sent in pieces
    nak_range_t naks[MAX_NAK_RANGES]  # asked for and not sent again yet
    uint32_t nak_count
    uint32_t nak_fragment_offset
    uint64_t retransmit_at_ns         # mono; 0: nothing unacknowledged
    uint64_t retransmit_after_ns      # grows while nothing is acknowledged
    join_reply_t reply
    bint reply_due


cdef struct sender_t:
    journal_t* journal
    channel_t* channel
    sender_config_t config
    uint32_t epoch                    # 0: not primary, sends no data
    receiver_view_t views[MAX_NODES]
    uint64_t datagrams_sent
    uint64_t records_sent
    uint64_t retransmitted


cdef void sender_init(sender_t* s, const sender_config_t* config, journal_t* journal, channel_t* channel) noexcept nogil
# this node is primary of `epoch`: every receiver must join anew
cdef void sender_start(sender_t* s, uint32_t epoch) noexcept nogil
cdef void sender_stop(sender_t* s) noexcept nogil
# An opened ACK or JOIN. Anything of another epoch is ignored.
cdef void sender_on_datagram(sender_t* s, const datagram_header_t* header, const instant_t* now) noexcept nogil
# Builds and seals the next datagram due into buffer (at least config.datagram_bytes); its length, 0 when none is due.
# to_node[0] is the receiver. Live records first, then retransmissions, then catch-up.
cdef size_t sender_poll(sender_t* s, const instant_t* now, uint8_t* buffer, uint8_t* to_node) noexcept nogil
cdef uint64_t sender_deadline(const sender_t* s) noexcept nogil      # mono_ns; UINT64_MAX: none


# The Python face.
cdef class Sender:
    cdef sender_t sender
    cdef readonly Journal journal
    cdef readonly Channel channel
