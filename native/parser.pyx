"""FIX tag=value parser: one pass over the received bytes, no copy.

BodyLength tells how long a message is before a field is looked at. Fields are then indexed by fieldscan where the
processor has what it takes and all of them are plain; else 64 bytes at a time give a mask of field ends and the
checksum, and each tag is read from one word. May depend on: tags, bytescan, fieldscan. Never allocates.
"""

import time
from typing import NamedTuple

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from .bytescan cimport clock_digits, digits_value, field_ends32, load_u32le, load_u64, lowest_bit, scan_block
from .fieldscan cimport fieldscan_run, fieldscan_run_wider, fieldscan_supported
from .tags cimport SOH, TAG_CHECK_SUM, TAG_MSG_SEQ_NUM, TAG_MSG_TYPE, data_tag_after

cdef enum:
    TRAILER_BYTES = 7            # 10=nnn<SOH>
    MAX_BEGIN_STRING_BYTES = 16
    MAX_LENGTH_DIGITS = 7
    BLOCK_BYTES = 64
    HEAD_BYTES = 40              # 8= and 9= are over by byte 32; a word is read from there
    MAX_DIGITS = 18              # of a number that fits in 63 bits
    SECONDS_BYTES = 17           # YYYYMMDD-HH:MM:SS
    PLAIN_TAGS = 10000           # fieldscan reads tags of up to 4 digits

cdef extern from * nogil:
    """
    #define EVERY_EQUALS 0x3D3D3D3D3D3D3D3Du
    #define LOW_BITS 0x0101010101010101u
    #define HIGH_BITS 0x8080808080808080u
    /* SOH "10=" in front of the sum of a message, SOH behind it: the first of 8 bytes lowest. */
    #define TRAILER_FRAME 0x010000003D303101u
    #define TRAILER_MASK 0xFF000000FFFFFFFFu
    /* From so many decimals to eight. */
    static const long long DECIMAL_SCALES[9] = {100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
    """
    const int64_t DECIMAL_SCALES[9]
    uint64_t EVERY_EQUALS
    uint64_t LOW_BITS
    uint64_t HIGH_BITS
    uint64_t TRAILER_FRAME
    uint64_t TRAILER_MASK

# Fields that fieldscan takes at once, 0 when it is not used; its set of tags that may be lengths of a data field, one
# bit each, modulo 256.
cdef uint32_t wide = fieldscan_supported()
cdef uint32_t[8] suspects


cdef void note_length_tags() noexcept nogil:
    cdef uint32_t tag
    for tag in range(1, PLAIN_TAGS):
        if data_tag_after(tag):
            suspects[tag >> 5 & 7] |= <uint32_t>1 << (tag & 31)


note_length_tags()


# Frame of a message: what its first two fields say.
cdef struct frame_t:
    uint32_t body_start      # offset of 35=
    uint32_t length          # of the whole message


cdef parse_status parse_message(const uint8_t* data, size_t size, uint32_t max_message_bytes,
                                message_t* message) noexcept nogil:
    cdef frame_t frame
    cdef parse_status status
    cdef int64_t told
    message.data = data
    message.consumed = 0
    message.field_count = 0
    message.reason = GARBLED_NONE
    message.msg_type = 0
    message.seq = 0
    message.seq_index = 0
    message.bad_offset = 0
    status = read_frame(data, size, max_message_bytes, &frame, &message.reason)
    if status == PARSE_INCOMPLETE:
        return status
    if status == PARSE_OK:
        message.length = frame.length
        message.consumed = frame.length
        told = read_trailer(data, frame.length)
        if told >= 0:
            status = index_fields(data, frame.length - TRAILER_BYTES, <uint32_t>told, message)
            if status == PARSE_OK or status == PARSE_TOO_MANY_FIELDS:
                return finish(message, frame.body_start, status)
            message.reason = GARBLED_CHECKSUM if status == PARSE_INCOMPLETE else GARBLED_FIELD
            if message.reason == GARBLED_FIELD:
                if finish(message, frame.body_start, PARSE_OK) == PARSE_OK:
                    message.reason = GARBLED_FIELD
                return PARSE_GARBLED
            message.field_count = 0
            return PARSE_GARBLED
        message.consumed = 0
        message.reason = GARBLED_BODY_LENGTH
        return drop_misframed(data, size, max_message_bytes, message)
    message.field_count = 0
    message.consumed = resynchronise(data, size)
    return PARSE_GARBLED


cdef parse_status drop_misframed(const uint8_t* data, size_t size, uint32_t max_message_bytes,
                                 message_t* message) noexcept nogil:
    """BodyLength leads to no CheckSum: the whole message is garbled, up to the next CheckSum (FIX 4.4 volume 2)."""
    cdef size_t end = find_trailer_end(data, size, message.length - TRAILER_BYTES)
    if end == 0 and size < max_message_bytes:
        return PARSE_INCOMPLETE
    message.consumed = <uint32_t>end if end else resynchronise(data, size)
    return PARSE_GARBLED


cdef size_t find_trailer_end(const uint8_t* data, size_t size, size_t start) noexcept nogil:
    """Behind the first field 10= whose SOH in front is at `start` - 1 or later; 0: none is here yet."""
    cdef const uint8_t* p = data + start - 1
    cdef const uint8_t* end = data + size
    while p < end:
        p = <const uint8_t*>memchr(p, SOH, <size_t>(end - p))
        if p is NULL or end - p < 5:
            return 0
        if memcmp(p + 1, b"10=", 3) == 0:
            p = <const uint8_t*>memchr(p + 1, SOH, <size_t>(end - p - 1))
            return <size_t>(p + 1 - data) if p is not NULL else 0
        p += 1
    return 0


cdef parse_status parse_fields(const uint8_t* data, size_t size, message_t* message) noexcept nogil:
    cdef parse_status status
    message.data = data
    message.length = <uint32_t>size
    message.consumed = 0
    message.field_count = 0
    message.reason = GARBLED_NONE
    if size == 0:
        return PARSE_OK
    if data[size - 1] != SOH:
        message.reason = GARBLED_FIELD
        message.consumed = <uint32_t>size
        return PARSE_GARBLED
    status = index_run(data, 0, <uint32_t>size, message, NULL)
    if status == PARSE_GARBLED:
        message.reason = GARBLED_FIELD
    return status


cdef const field_t* find_field(const message_t* message, uint32_t tag, uint32_t start) noexcept nogil:
    cdef uint32_t i
    for i in range(start, message.field_count):
        if message.fields[i].tag == tag:
            return &message.fields[i]
    return NULL


cdef int64_t field_uint(const message_t* message, const field_t* field) noexcept nogil:
    cdef const uint8_t* p = message.data + field.offset
    cdef int64_t value = 0
    cdef uint32_t i
    if field.length == 0 or field.length > MAX_DIGITS:
        return -1
    for i in range(field.length):
        if p[i] < c'0' or p[i] > c'9':
            return -1
        value = value * 10 + (p[i] - c'0')
    return value


cdef bint field_is(const message_t* message, const field_t* field, char value) noexcept nogil:
    return field.length == 1 and message.data[field.offset] == <uint8_t>value


cdef int64_t field_decimal_e8(const message_t* message, const field_t* field, bint* ok) noexcept nogil:
    cdef const uint8_t* p = message.data + field.offset
    cdef uint32_t i = 0
    cdef uint32_t digits = 0
    cdef int64_t value = 0
    cdef int64_t scale
    cdef int decimals = -1
    cdef bint negative = field.length > 0 and p[0] == c'-'
    ok[0] = 0
    if negative:
        i = 1
    while i < field.length:
        if p[i] == c'.' and decimals < 0:
            decimals = 0
        elif c'0' <= p[i] <= c'9':
            digits += 1
            if decimals < 8:
                if value > <int64_t>900000000000000000:     # one more digit would not fit
                    return 0
                value = value * 10 + (p[i] - c'0')
                if decimals >= 0:
                    decimals += 1
        else:
            return 0
        i += 1
    if digits == 0:
        return 0
    scale = DECIMAL_SCALES[decimals if decimals > 0 else 0]
    if value > <int64_t>9000000000000000000 // scale:
        return 0
    value *= scale
    ok[0] = 1
    return -value if negative else value


cdef uint64_t field_utc_timestamp(const message_t* message, const field_t* field) noexcept nogil:
    cdef const uint8_t* p = message.data + field.offset
    cdef uint32_t year, month, day
    cdef uint32_t hour = 0
    cdef uint32_t minute = 0
    cdef uint32_t second = 0
    cdef int64_t date
    cdef int64_t fraction = 0
    if field.length < SECONDS_BYTES or p[8] != c'-' or not clock_digits(load_u64(p + 9), &hour, &minute, &second):
        return 0
    date = digits_value(load_u64(p), 8)
    year = <uint32_t>(date // 10000)
    month = <uint32_t>(date // 100 % 100)
    day = <uint32_t>(date % 100)
    if not (date >= 0 and year >= 1970 and 1 <= month <= 12 and 1 <= day <= days_in_month(year, month)
            and hour < 24 and minute < 60 and second <= 60):
        return 0
    if field.length > SECONDS_BYTES:
        fraction = fraction_ns(p, field.length) if p[SECONDS_BYTES] == c'.' else -1
        if fraction < 0:
            return 0
    return (days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) * 1000000000 + fraction


cdef inline int64_t fraction_ns(const uint8_t* p, uint32_t length) noexcept nogil:
    """1 to 9 digits at the end of a UTCTimestamp of `length` bytes, as ns; -1: something else."""
    cdef uint32_t digits = length - SECONDS_BYTES - 1
    cdef int64_t value
    cdef uint32_t _i
    if digits == 3:                    # the word ends where the value does: what is behind it may not be ours to read
        value = digits_value(load_u64(p + length - 8) >> 40, 3)
        return value * 1000000 if value >= 0 else -1
    if digits == 0 or digits > 9:
        return -1
    value = digits_value(load_u64(p + length - 8) >> (64 - 8 * min(digits, 8)), min(digits, 8))
    if digits == 9:
        if value < 0 or not c'0' <= p[SECONDS_BYTES + 1] <= c'9':
            return -1
        return (p[SECONDS_BYTES + 1] - c'0') * <int64_t>100000000 + value
    if value < 0:
        return -1
    for _i in range(digits, 9):
        value *= 10
    return value


# --- framing --------------------------------------------------------------------------------------------------------

cdef parse_status read_frame(const uint8_t* data, size_t size, uint32_t max_message_bytes, frame_t* frame,
                             uint8_t* reason) noexcept nogil:
    """8=...<SOH>9=nnn<SOH>: where the body starts and how long the message is."""
    cdef uint64_t body = 0
    cdef parse_status status = PARSE_OK
    if size < HEAD_BYTES or not read_head(data, frame, &body):
        status = read_head_bytewise(data, size, frame, &body, reason)
    if status != PARSE_OK:
        return status
    if frame.body_start + body + TRAILER_BYTES > max_message_bytes:
        reason[0] = GARBLED_TOO_LONG
        return PARSE_GARBLED
    frame.length = <uint32_t>(frame.body_start + body + TRAILER_BYTES)
    return PARSE_OK if frame.length <= size else PARSE_INCOMPLETE


cdef inline bint read_head(const uint8_t* data, frame_t* frame, uint64_t* body) noexcept nogil:
    """The two fields when they are as they should be and there are HEAD_BYTES; else False."""
    cdef uint32_t ends = field_ends32(data)
    cdef uint32_t first = <uint32_t>lowest_bit(<uint64_t>ends | <uint64_t>1 << 32)
    cdef uint32_t second = <uint32_t>lowest_bit(<uint64_t>(ends & (ends - 1)) | <uint64_t>1 << 32)
    cdef uint32_t digits = second - first - 3
    cdef int64_t value
    if first > MAX_BEGIN_STRING_BYTES or second == 32 or not 1 <= digits <= MAX_LENGTH_DIGITS:
        return False
    if data[0] != c'8' or data[1] != c'=' or data[first + 1] != c'9' or data[first + 2] != c'=':
        return False
    value = digits_value(load_u64(data + first + 3), digits)
    if value < 0:
        return False
    body[0] = <uint64_t>value
    frame.body_start = second + 1
    return True


cdef parse_status read_head_bytewise(const uint8_t* data, size_t size, frame_t* frame, uint64_t* length,
                                     uint8_t* reason) noexcept nogil:
    """The same byte by byte: what is wrong with them, or whether more must come first."""
    cdef size_t i = 2
    cdef uint64_t body = 0
    cdef size_t digits_from
    if size < 1:
        return PARSE_INCOMPLETE
    if data[0] != c'8' or (size > 1 and data[1] != c'='):
        reason[0] = GARBLED_BEGIN_STRING
        return PARSE_GARBLED
    while i < size and data[i] != SOH:
        i += 1
        if i > MAX_BEGIN_STRING_BYTES:
            reason[0] = GARBLED_BEGIN_STRING
            return PARSE_GARBLED
    i += 1
    if i < size and data[i] != c'9' or i + 1 < size and data[i + 1] != c'=':
        reason[0] = GARBLED_BODY_LENGTH
        return PARSE_GARBLED
    i += 2
    digits_from = i
    while i < size and c'0' <= data[i] <= c'9' and i - digits_from <= MAX_LENGTH_DIGITS:
        body = body * 10 + (data[i] - c'0')
        i += 1
    if i >= size:
        return PARSE_INCOMPLETE
    if data[i] != SOH or i == digits_from:
        reason[0] = GARBLED_BODY_LENGTH
        return PARSE_GARBLED
    frame.body_start = <uint32_t>(i + 1)
    length[0] = body
    return PARSE_OK


cdef inline int64_t read_trailer(const uint8_t* data, uint32_t length) noexcept nogil:
    """The sum that <SOH>10=nnn<SOH> at the end of the message tells; -1: it does not end so."""
    cdef uint64_t word = load_u64(data + length - TRAILER_BYTES - 1)
    return digits_value(word >> 32, 3) if word & TRAILER_MASK == TRAILER_FRAME else -1


cdef inline parse_status index_fields(const uint8_t* data, uint32_t end, uint32_t told,
                                      message_t* message) noexcept nogil:
    """Indexes data[0:end] and the trailer behind it. PARSE_INCOMPLETE stands for another sum than the one `told`."""
    cdef uint32_t total = 0
    cdef parse_status status = index_run(data, 0, end, message, &total)
    if (total & 0xFF) != told:
        return PARSE_INCOMPLETE
    if status == PARSE_OK:
        if message.field_count == message.field_capacity:
            return PARSE_TOO_MANY_FIELDS
        message.fields[message.field_count].tag = TAG_CHECK_SUM
        message.fields[message.field_count].offset = end + 3
        message.fields[message.field_count].length = 3
        message.field_count += 1
    return status


cdef inline parse_status index_run(const uint8_t* data, uint32_t start, uint32_t end, message_t* message,
                                   uint32_t* total) noexcept nogil:
    """Field ends and byte sum of data[start:end], which ends with SOH. The index takes as many as fit."""
    cdef uint32_t plain_sum = 0
    if wide and index_plain(data, start, end, message, end if total is NULL else end + TRAILER_BYTES, &plain_sum):
        if total is not NULL:
            total[0] = plain_sum
        return PARSE_OK
    return index_any(data, start, end, message, total)


cdef inline bint index_plain(const uint8_t* data, uint32_t start, uint32_t end, message_t* message, uint32_t limit,
                             uint32_t* total) noexcept nogil:
    """The same for plain fields that all fit, of which data[:limit] may be read; False when it cannot be done."""
    cdef uint32_t* out = <uint32_t*>message.fields
    cdef uint32_t suspect = 0
    cdef int32_t count
    cdef int32_t i
    if wide == 16:
        count = fieldscan_run_wider(data, start, end, out, message.field_capacity, suspects, &suspect, total)
    else:
        count = fieldscan_run(data, start, end, limit, out, message.field_capacity, suspects, &suspect, total)
    if count < 0:
        return False
    if suspect:
        for i in range(count):
            if data_tag_after(message.fields[i].tag):
                return False
    message.field_count = <uint32_t>count
    return True


cdef parse_status index_any(const uint8_t* data, uint32_t start, uint32_t end, message_t* message,
                            uint32_t* total) noexcept nogil:
    """One pass over data[start:end], field by field."""
    cdef uint8_t tail[BLOCK_BYTES]
    cdef uint64_t mask = 0
    cdef uint32_t block = start
    cdef uint32_t field_start = start
    cdef uint32_t field_end
    cdef uint32_t count = 0
    cdef uint32_t total_sum = 0
    cdef uint32_t data_tag
    cdef uint32_t tag_length
    cdef uint32_t tag
    cdef field_t* field = message.fields
    cdef parse_status status = PARSE_OK
    while block < end:
        if end - block >= BLOCK_BYTES:
            total_sum += scan_block(data + block, &mask)
        else:
            memset(tail, 0, BLOCK_BYTES)
            memcpy(tail, data + block, end - block)
            total_sum += scan_block(tail, &mask)
        while mask != 0:
            field_end = block + lowest_bit(mask)
            mask &= mask - 1
            if field_end < field_start or status != PARSE_OK:
                continue                       # inside a data field; or only the sum is still of interest
            tag = read_tag(data, field_start, end, &tag_length)
            if tag == 0 or field_start + tag_length >= field_end:
                message.consumed = message.consumed if total is not NULL else field_start
                message.bad_offset = field_start
                status = PARSE_GARBLED
                continue
            if count == message.field_capacity:
                status = PARSE_TOO_MANY_FIELDS
                continue
            field[count].tag = tag
            field[count].offset = field_start + tag_length + 1
            field[count].length = field_end - field_start - tag_length - 1
            count += 1
            field_start = field_end + 1
            data_tag = data_tag_after(tag)
            if data_tag != 0:
                message.field_count = count
                field_start = index_data(data, field_start, end, data_tag, message)
                if field_start == 0:
                    message.consumed = message.consumed if total is not NULL else field_end + 1
                    message.bad_offset = field_end + 1
                    status = PARSE_GARBLED
                    continue
                count = message.field_count
        block += BLOCK_BYTES
    message.field_count = count
    if total is not NULL:
        total[0] = total_sum
    return status


cdef uint32_t index_data(const uint8_t* data, uint32_t start, uint32_t end, uint32_t data_tag,
                         message_t* message) noexcept nogil:
    """The data field that must follow its length field. Where the next field starts; 0: it is not well formed.

    A length that another field than the data field follows is no framing matter: it is left to the dictionary.
    """
    cdef uint32_t tag_length
    cdef int64_t length = field_uint(message, &message.fields[message.field_count - 1])
    cdef field_t* field = &message.fields[message.field_count]
    if start >= end or read_tag(data, start, end, &tag_length) != data_tag:
        return start
    if length < 0 or <uint64_t>start + tag_length + 1 + <uint64_t>length >= end:
        return 0
    if data[start + tag_length + 1 + length] != SOH:
        return 0
    if message.field_count == message.field_capacity:
        return start
    field.tag = data_tag
    field.offset = start + tag_length + 1
    field.length = <uint32_t>length
    message.field_count += 1
    return field.offset + field.length + 1


cdef inline uint32_t read_tag(const uint8_t* data, uint32_t start, uint32_t end, uint32_t* tag_length) noexcept nogil:
    """Tag number before '=', from one 8-byte word without a branch per digit. 0: not 1 to 7 digits and '='."""
    cdef uint64_t word = 0
    cdef uint64_t equals
    cdef uint32_t digits
    cdef int64_t value
    if start + 8 <= end:
        memcpy(&word, data + start, 8)
    else:
        memcpy(&word, data + start, end - start)
    equals = word ^ EVERY_EQUALS
    equals = (equals - LOW_BITS) & ~equals & HIGH_BITS
    if equals == 0:
        return 0
    digits = <uint32_t>lowest_bit(equals) >> 3
    if digits == 0:
        return 0
    tag_length[0] = digits
    value = digits_value(word, digits)
    return <uint32_t>value if value > 0 else 0


cdef parse_status finish(message_t* message, uint32_t body_start, parse_status status) noexcept nogil:
    cdef const field_t* field
    cdef uint32_t i
    cdef int64_t seq
    if message.field_count < 3 or message.fields[2].tag != TAG_MSG_TYPE or message.fields[2].length == 0:
        message.reason = GARBLED_MSG_TYPE
        message.field_count = 0
        return PARSE_GARBLED
    field = &message.fields[2]
    message.msg_type = load_u32le(message.data + field.offset) & (
        <uint32_t>0xFFFFFFFF >> (32 - 8 * min(field.length, 4)))     # the trailer is behind it
    for i in range(3, message.field_count):
        if message.fields[i].tag == TAG_MSG_SEQ_NUM:
            message.seq_index = i
            field = &message.fields[i]
            seq = (digits_value(load_u64(message.data + field.offset), field.length)
                   if 1 <= field.length <= 8 else field_uint(message, field))
            message.seq = <uint64_t>seq if seq > 0 else 0
            break
    return status


cdef uint32_t resynchronise(const uint8_t* data, size_t size) noexcept nogil:
    """Bytes to drop up to the next "8=FIX", or what may become one (FIX 4.4 volume 2, 'Garbled messages').

    Whatever is in front of it: what was cut off may have ended anywhere. What is no frame is dropped in turn.
    """
    cdef size_t i = 1
    cdef const uint8_t* found
    while i < size:
        found = <const uint8_t*>memchr(data + i, c'8', size - i)
        if found is NULL:
            return <uint32_t>size
        i = <size_t>(found - data)
        if memcmp(found, b"8=FIX", min(<size_t>5, size - i)) == 0:
            return <uint32_t>i
        i += 1
    return <uint32_t>size


cdef inline uint32_t days_in_month(uint32_t year, uint32_t month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef uint64_t days_from_civil(uint32_t year, uint32_t month, uint32_t day) noexcept nogil:
    """Days since 1970-01-01 of the proleptic Gregorian calendar (Howard Hinnant, 'chrono-compatible date
    algorithms')."""
    cdef uint32_t y = year - (month <= 2)
    cdef uint32_t era = y // 400
    cdef uint32_t year_of_era = y - era * 400
    cdef uint32_t day_of_year = (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1
    cdef uint32_t day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return <uint64_t>era * 146097 + day_of_era - 719468


# --- Python face ----------------------------------------------------------------------------------------------------

STATUS_NAMES = ("OK", "INCOMPLETE", "GARBLED", "TOO_MANY_FIELDS")
GARBLED_NAMES = ("NONE", "BEGIN_STRING", "BODY_LENGTH", "CHECKSUM", "MSG_TYPE", "TOO_LONG", "FIELD")


MAX_WIDE = fieldscan_supported()     # fields that this processor indexes at once: 0, 8 or 16


class Parsed(NamedTuple):
    """Outcome of parsing: `fields` are (tag, value) in order of arrival, empty unless status is OK."""

    status: str
    consumed: int
    reason: str
    fields: list
    msg_type: str
    seq: int


cdef object parsed_of(parse_status status, message_t* message):
    cdef uint32_t i
    fields = [(message.fields[i].tag,
               (message.data + message.fields[i].offset)[:message.fields[i].length])
              for i in range(message.field_count)] if status == PARSE_OK else []
    msg_type = (<const uint8_t*>&message.msg_type)[:4].rstrip(b"\0").decode("latin-1")
    return Parsed(STATUS_NAMES[status], message.consumed, GARBLED_NAMES[message.reason], fields, msg_type, message.seq)


def parse(bytes data not None, *, uint32_t max_message_bytes=MAX_MESSAGE_BYTES) -> Parsed:
    """Parses the first message in `data`."""
    cdef field_t index[1024]
    cdef message_t message
    memset(&message, 0, sizeof(message))
    message.fields = index
    message.field_capacity = 1024
    cdef parse_status status = parse_message(data, len(data), max_message_bytes, &message)
    return parsed_of(status, &message)


def parse_body(bytes data not None) -> Parsed:
    """Indexes fields that are not framed, as a client hands them in."""
    cdef field_t index[1024]
    cdef message_t message
    memset(&message, 0, sizeof(message))
    message.fields = index
    message.field_capacity = 1024
    cdef parse_status status = parse_fields(data, len(data), &message)
    return parsed_of(status, &message)


def decimal_e8(bytes value not None):
    """`value` times 10**8 as int, or None when it is no FIX float in range."""
    cdef message_t message
    cdef field_t field
    cdef bint ok = 0
    memset(&message, 0, sizeof(message))
    message.data = value
    field.tag = 0
    field.offset = 0
    field.length = <uint32_t>len(value)
    cdef int64_t result = field_decimal_e8(&message, &field, &ok)
    return result if ok else None


def utc_timestamp_ns(bytes value not None) -> int:
    """A UTCTimestamp as ns since the Unix epoch; 0 when it is none."""
    cdef message_t message
    cdef field_t field
    memset(&message, 0, sizeof(message))
    message.data = value
    field.tag = 0
    field.offset = 0
    field.length = <uint32_t>len(value)
    return field_utc_timestamp(&message, &field)


def set_wide(uint32_t fields) -> int:
    """Indexes 16, 8 or 0 fields at once from now on, at most as many as the processor can (tests). What it was before.

    Raises ValueError when it cannot.
    """
    global wide
    before = wide
    if fields > fieldscan_supported() or fields not in (0, 8, 16):
        raise ValueError(f"{fields} fields at once: this processor can do up to {fieldscan_supported()}")
    wide = fields
    return before


def measure_parse(bytes stream not None, uint32_t rounds) -> float:
    """Nanoseconds for one message of `stream`, whole messages back to back, over `rounds` in native code."""
    cdef field_t index[1024]
    cdef message_t message
    cdef uint32_t _i
    cdef uint64_t messages = 0
    memset(&message, 0, sizeof(message))
    message.fields = index
    message.field_capacity = 1024
    cdef const uint8_t* raw = stream
    cdef size_t size = len(stream)
    started = time.perf_counter_ns()
    with nogil:
        for _i in range(rounds):
            messages += parse_stream(raw, size, &message)
    elapsed = time.perf_counter_ns() - started
    if message.consumed == 0 or messages == 0:
        raise ValueError("the stream holds something else than whole messages that can be parsed")
    return elapsed / messages


cdef uint64_t parse_stream(const uint8_t* data, size_t size, message_t* message) noexcept nogil:
    """Messages in it; message.consumed is 0 when it holds anything else."""
    cdef size_t used = 0
    cdef uint64_t messages = 0
    while used < size:
        if parse_message(data + used, size - used, MAX_MESSAGE_BYTES, message) != PARSE_OK:
            message.consumed = 0
            break
        used += message.consumed
        messages += 1
    return messages
