"""What goes between the nodes: sealed UDP datagrams (DESIGN section 5). Header, MAC, replay protection; no meaning.

Every datagram carries a keyed MAC (SipHash-2-4, 128 bit) over everything before it, the sender's and the receiver's
incarnation, and a counter. `channel_open` accepts a datagram only if the MAC is right, it is for this pair and node and
this life of it (to_incarnation), and its counter was not seen: so recorded datagrams of any earlier life or of this one
have no effect, and the same datagram over two paths is taken once. May depend on: siphash. Never does I/O.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    DATAGRAM_VERSION = 1     # of header and bodies; the format of records inside too
    DATAGRAM_HEADER_BYTES = 96
    DATAGRAM_MAC_BYTES = 16
    MAX_DATAGRAM_BYTES = 9000   # bound on the configured MTU payload
    MAX_NODES = 8               # node indices 0 and 1 are the pair; 2.. further receivers
    REPLAY_WINDOW_BITS = 4096
    REPLAY_WINDOW_WORDS = 64


cdef enum datagram_kind:
    DATAGRAM_HELLO = 1       # to_incarnation may be 0 or stale: only asks the peer to learn our incarnation and answer
    DATAGRAM_HEARTBEAT = 2   # either way, every heartbeat_interval; header fields only
    # whole records, back to back at 8-byte alignment, first_lsn .. first_lsn+count-1; or one fragment
    DATAGRAM_DATA = 3
    DATAGRAM_ACK = 4         # receiver -> primary: body is ack_body_t and NAK ranges
    DATAGRAM_JOIN = 5        # standby -> primary: "my log ends at (last_epoch, last_lsn), let me follow epoch"
    DATAGRAM_JOIN_REPLY = 6  # primary -> standby: common point (see sender.pxd)
    DATAGRAM_HANDOVER = 7    # primary -> standby after a switchover was won: epoch is the new one


cdef enum:
    # In every datagram of a node whose log was made anew, or may lack its tail, until it has held all that its primary
    # had released.
    DATAGRAM_LOG_IN_DOUBT = 1


# 96 bytes, little-endian, no implicit padding; the MAC follows the body.
cdef struct datagram_header_t:
    uint16_t magic
    uint8_t version
    uint8_t kind
    uint8_t from_node
    uint8_t to_node
    uint8_t role             # role_state of the sender
    uint8_t flags            # DATAGRAM_LOG_IN_DOUBT
    uint32_t pair_id
    uint32_t epoch           # the sender's epoch (register view)
    uint64_t from_incarnation
    uint64_t to_incarnation
    uint64_t counter         # grows by one for each datagram from_node -> to_node; the same on both paths
    uint64_t first_lsn       # DATA: first record
    uint64_t last_lsn        # last LSN in the sender's log
    uint64_t send_time_ns    # wall clock: for operators' eyes only
    uint32_t last_epoch      # epoch of the record last_lsn
    uint16_t count           # DATA: records
    uint16_t body_bytes
    uint32_t fragment_offset  # DATA with count 0: a piece of record first_lsn, at this offset of it
    uint32_t fragment_total  # its whole length
    uint64_t released_lsn    # primary: released up to here (diagnosis)
    uint64_t log_end_lsn     # to a further receiver, which gets only what is released: the last LSN of the log itself


cdef enum open_status:
    OPEN_OK = 0
    OPEN_TRUNCATED = 1
    OPEN_WRONG_MAGIC = 2
    OPEN_WRONG_VERSION = 3
    OPEN_WRONG_PAIR = 4
    OPEN_WRONG_NODE = 5
    OPEN_BAD_MAC = 6
    OPEN_STALE = 7        # another life of sender or receiver
    OPEN_DUPLICATE = 8    # counter already seen (second path, or a replay)
    OPEN_OVERSIZED = 9
    OPEN_STATUS_COUNT = 10


cdef struct channel_t:
    uint8_t key[16]
    uint32_t pair_id
    uint8_t node
    # Of this node, kept up by the owner; go into every datagram.
    uint8_t role
    uint8_t flags
    uint64_t incarnation                       # of this process; larger than every earlier one
    uint64_t peer_incarnation[MAX_NODES]       # 0: not met yet
    uint64_t next_counter[MAX_NODES]
    uint64_t highest_counter[MAX_NODES]
    uint64_t seen[MAX_NODES][REPLAY_WINDOW_WORDS]
    uint64_t dropped[OPEN_STATUS_COUNT]        # by open_status
    uint64_t opened
    uint8_t other_version                      # of the latest datagram of a version that is not ours


cdef void channel_init(channel_t* c, const uint8_t* key, uint32_t pair_id, uint8_t node,
                       uint64_t incarnation) noexcept nogil

# Completes header and MAC of a datagram whose body of `body_bytes` is already in place at buffer +
# DATAGRAM_HEADER_BYTES. Caller has set kind, epoch, first_lsn, last_lsn, last_epoch, count, fragment_*; returns
# the total length.
cdef size_t channel_seal(channel_t* c, uint8_t* buffer, uint8_t to_node, size_t body_bytes,
                         uint64_t wall_ns) noexcept nogil

# The same for a HELLO, which names the incarnation that the peer claims to have (0: none heard of yet).
cdef size_t channel_seal_hello(channel_t* c, uint8_t* buffer, uint8_t to_node, uint64_t to_incarnation,
                               uint64_t wall_ns) noexcept nogil

# Nothing in the datagram is looked at before its MAC is right. On OPEN_OK header[0] points into data.
cdef open_status channel_open(channel_t* c, const uint8_t* data, size_t size,
                              const datagram_header_t** header) noexcept nogil

cdef inline const uint8_t* datagram_body(const datagram_header_t* header) noexcept nogil:
    return <const uint8_t*>header + DATAGRAM_HEADER_BYTES


# The Python face; other native modules take `.channel`.
cdef class Channel:
    cdef channel_t channel
