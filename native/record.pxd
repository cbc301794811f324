"""The log record: one format on disk, on the wire and in the archive (DESIGN section 2).

A record is a 48-byte little-endian header and its payload, placed at 8-byte alignment. ``length`` counts header and
payload, not the padding up to the next multiple of 8. ``crc`` is CRC-32C over ``length`` and then everything after the
``crc`` field, so a record can be checked wherever it lies.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    RECORD_HEADER_BYTES = 48
    RECORD_ALIGNMENT = 8


cdef enum record_kind:
    RECORD_OUT = 1         # a FIX message we numbered; payload: its bytes as the counterparty gets them
    RECORD_IN = 2          # a FIX message accepted in sequence; payload: its bytes as received
    RECORD_REJECTED = 3    # an order refused before it got a number; payload: ClOrdID length u16, ClOrdID, text
    RECORD_STATE = 4       # `aux` is a state_kind; payload depends on it
    # first record of a new primary; `aux` is the node's index (0 for a, 1 for b); payload: its incarnation u64, its
    # roster (roster.pxd)
    RECORD_EPOCH = 5
    RECORD_CHECKPOINT = 6  # opaque client state; payload: key length u16, key, value
    # an order that an earlier primary may have sent without our log knowing it; payload: ClOrdID length u16, ClOrdID,
    # MsgType length u8, MsgType, fields
    RECORD_DOUBT = 7


cdef enum record_flag:
    FLAG_APPLICATION = 1   # OUT, IN: an application message (not session-layer)
    FLAG_ORDER = 2         # OUT: carries a ClOrdID of our client (new order, cancel, replace)
    FLAG_POSS_DUP = 4      # IN: arrived with PossDupFlag=Y (a resend filled our gap)
    FLAG_RESET = 8         # STATE: sequence numbers of the session start over after this record
    FLAG_PASSED_ON = 16    # OUT: passes on, or answers, the record `aux` LSNs before it (bridge.pxd)


cdef enum state_kind:
    STATE_RESET = 1        # both MsgSeqNums of the session start at 1 again; the session's generation grows by one
    STATE_SET_SEQ = 2      # payload: next_out u64, next_in u64, as set by an operator or a SequenceReset-Reset
    STATE_KILL = 3         # kill switch: `client` (0: all clients), payload: u8 1 set, 0 cleared
    STATE_LIMITS = 4       # payload: risk limits of `client`
    # an operator's word on the session's orders in doubt; payload: u8 1 the counterparty has none, 0 nobody knows
    STATE_DOUBTS = 5
    # what the answer to a ResendRequest did with our MsgSeqNums; payload: first u64, next u64 (that behind the last),
    # fate_kind u64
    STATE_RESEND = 6


# 48 bytes, no implicit padding.
cdef struct record_header_t:
    uint32_t length    # header + payload, bytes
    uint32_t crc       # CRC-32C
    uint64_t lsn       # from 1, contiguous
    # FIX MsgSeqNum (34); 0 where the kind has none. REJECTED, DOUBT: LSN of the IN record of the client's own session
    # that brought it; 0: it came another way
    uint64_t seq
    uint64_t time_ns   # wall clock of the writer, ns since the Unix epoch
    uint32_t epoch
    uint32_t client    # client id; 0: none
    # IN: next inbound MsgSeqNum expected after this record. OUT: offset<<16|length of ClOrdID (11) in
    # the payload, 0 if none; with FLAG_PASSED_ON a distance. STATE: state_kind. EPOCH: node index.
    # REJECTED: reject_reason
    uint32_t aux
    uint16_t session   # index of the session in the pair's configuration
    uint8_t kind       # record_kind
    uint8_t flags      # record_flag


cdef inline uint32_t record_padded_length(uint32_t length) noexcept nogil:
    """Bytes that a record of `length` takes up in the journal."""
    return (length + RECORD_ALIGNMENT - 1) & ~<uint32_t>(RECORD_ALIGNMENT - 1)


cdef inline const uint8_t* record_payload(const record_header_t* record) noexcept nogil:
    return <const uint8_t*>record + RECORD_HEADER_BYTES


cdef inline uint32_t record_payload_length(const record_header_t* record) noexcept nogil:
    return record.length - RECORD_HEADER_BYTES


cdef void record_seal(record_header_t* record) noexcept nogil       # writes crc over the finished record
cdef bint record_intact(const record_header_t* record) noexcept nogil  # length sane and crc right
