"""FIX encoder: a message is written once, directly into the place where its bytes will stay.

The header comes from a template prepared per session; BodyLength (9) and CheckSum (10) are computed in the same pass;
UTCTimestamps are updated incrementally. May depend on: parser (constants), tags. Never allocates.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    TEMPLATE_BYTES = 512
    TIMESTAMP_BYTES = 27   # YYYYMMDD-HH:MM:SS.nnnnnnnnn
    MAX_MSG_TYPE_BYTES = 8


cdef enum encode_status:
    ENCODE_NO_ROOM = -1


# Fixed parts of a session's header: "8=...|9=" and "|49=..|56=..[|50=..|57=..|142=..|143=..|...]|34=", and the
# timestamp cache.
cdef struct header_template_t:
    uint8_t head[64]
    uint8_t ids[TEMPLATE_BYTES]
    uint32_t head_length
    uint32_t ids_length
    uint8_t timestamp_digits       # fraction digits of SendingTime: 0, 3, 6 or 9
    uint64_t timestamp_second      # wall second that `timestamp` shows
    uint8_t timestamp[TIMESTAMP_BYTES]


cdef struct encode_t:
    const uint8_t* msg_type
    uint32_t msg_type_length
    uint64_t seq
    uint64_t wall_ns                    # SendingTime (52)
    bint poss_dup                       # adds 43=Y
    const uint8_t* orig_sending_time    # with poss_dup: adds 122=; NULL: none
    uint32_t orig_sending_time_length
    uint64_t last_processed             # adds 369= when not 0
    const uint8_t* body                 # "tag=value<SOH>..." after the standard header
    uint32_t body_length
    uint32_t body_offset                # out: where the body starts in the encoded message


# `ids` is "49=S\x0156=T\x01..." (every fixed header field except 8, 9, 35, 34, 52, 43, 122, 369), SOH-terminated.
cdef int32_t template_init(header_template_t* t, const uint8_t* begin_string, uint32_t begin_string_length,
                           const uint8_t* ids, uint32_t ids_length, uint8_t timestamp_digits) noexcept nogil

# Upper bound of the encoded size of a message with this body.
cdef uint32_t encode_bound(const header_template_t* t, uint32_t body_length) noexcept nogil

# Writes the message at `place`; its length, or ENCODE_NO_ROOM. Order: 8 9 35 ids 34 52 [43 122] [369] body 10.
cdef int32_t encode_message(header_template_t* t, encode_t* e, uint8_t* place, uint32_t capacity) noexcept nogil

# Writes a stored message again for a resend: same MsgSeqNum and body, PossDupFlag=Y, OrigSendingTime from its
# SendingTime (kept if it already has one), new SendingTime.
cdef int32_t encode_resend(header_template_t* t, const uint8_t* stored, uint32_t stored_length, uint64_t wall_ns,
                           uint8_t* place, uint32_t capacity) noexcept nogil

cdef uint32_t write_uint(uint8_t* place, uint64_t value) noexcept nogil   # decimal digits, no padding; number of bytes
cdef uint32_t write_utc_timestamp(uint8_t* place, uint64_t wall_ns, uint8_t digits) noexcept nogil
