"""FIX tag=value parser: one pass over the received bytes, no copy (FIX 4.4 volume 2, 'Message format' and 'Garbled').

Framing, BodyLength (9) and CheckSum (10) are verified here; meaning is not. May depend on: tags. Never allocates.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    MAX_MESSAGE_BYTES = 65536   # default bound on one message; longer is garbled


cdef enum parse_status:
    PARSE_OK = 0
    PARSE_INCOMPLETE = 1        # need more bytes; consumed is 0
    PARSE_GARBLED = 2           # drop `consumed` bytes, they are not a valid message; `reason` says why
    # framing is right (length, checksum), but the index is full; consumed covers the message
    PARSE_TOO_MANY_FIELDS = 3


cdef enum garbled_reason:
    GARBLED_NONE = 0
    GARBLED_BEGIN_STRING = 1    # first field is not 8=
    GARBLED_BODY_LENGTH = 2     # 9 is not second, not a number, or does not lead to a 10=nnn<SOH>
    GARBLED_CHECKSUM = 3
    GARBLED_MSG_TYPE = 4        # 35 is not third
    GARBLED_TOO_LONG = 5
    # A field without '=', with an empty or non-numeric tag or 0, or a data length that overruns. The frame is right:
    # the fields before it are indexed, and bad_offset is where it starts.
    GARBLED_FIELD = 6


cdef struct field_t:
    uint32_t tag
    uint32_t offset    # of the value, from message_t.data
    uint32_t length    # of the value; 0: empty


cdef struct message_t:
    const uint8_t* data     # first byte of the message ('8'), in the receive buffer
    uint32_t length         # bytes of the whole message, 8= to the SOH of 10=
    uint32_t field_count    # index holds 8, 9, 35, ..., 10 in order of arrival
    field_t* fields         # the caller's array
    uint32_t field_capacity
    uint32_t consumed       # bytes of input to drop, whatever the status
    uint32_t msg_type       # value of 35 as up to 4 bytes, first byte lowest: 'D' == 0x44, 'AE' == 0x4541
    uint32_t seq_index      # index of 34 in fields, 0 if absent
    uint64_t seq            # MsgSeqNum; 0 if absent or not a number
    uint8_t reason          # garbled_reason
    uint32_t bad_offset     # with GARBLED_FIELD: of the field


# Parses the first message in data[0:size]. message.fields and field_capacity are set by the caller.
cdef parse_status parse_message(const uint8_t* data, size_t size, uint32_t max_message_bytes,
                                message_t* message) noexcept nogil

# Indexes a run of fields that is not framed (the body a client hands in, or the part of a message after its header).
# PARSE_OK, or PARSE_GARBLED with reason and `consumed` = offset of the first bad byte, or PARSE_TOO_MANY_FIELDS.
cdef parse_status parse_fields(const uint8_t* data, size_t size, message_t* message) noexcept nogil

# First field with `tag`, from index `start`; NULL if none.
cdef const field_t* find_field(const message_t* message, uint32_t tag, uint32_t start) noexcept nogil

# Value as an unsigned number: -1 unless all digits (1 to 18 of them).
cdef int64_t field_uint(const message_t* message, const field_t* field) noexcept nogil
# exactly that one character
cdef bint field_is(const message_t* message, const field_t* field, char value) noexcept nogil
# Value as a fixed-point number times 10**8 (Qty, Price; FIX 'float' without exponent). Sets ok[0] to 0 when it is none.
cdef int64_t field_decimal_e8(const message_t* message, const field_t* field, bint* ok) noexcept nogil
# UTCTimestamp (YYYYMMDD-HH:MM:SS[.sss[sss[sss]]]) as ns since the Unix epoch; 0 when it is none.
cdef uint64_t field_utc_timestamp(const message_t* message, const field_t* field) noexcept nogil
