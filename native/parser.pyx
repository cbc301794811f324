"""FIX tag=value parser: one pass over the received bytes, no copy.

BodyLength tells how long a message is before a field is looked at; then 64 bytes at a time give a mask of field ends
and the checksum, and each tag is read from one word. May depend on: tags, bytescan. Never allocates.
"""

import time
from typing import NamedTuple

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from .bytescan cimport lowest_bit, scan_block
from .tags cimport SOH, TAG_CHECK_SUM, TAG_MSG_SEQ_NUM, TAG_MSG_TYPE, data_tag_after

cdef enum:
    TRAILER_BYTES = 7            # 10=nnn<SOH>
    MAX_BEGIN_STRING_BYTES = 16
    MAX_LENGTH_DIGITS = 7
    BLOCK_BYTES = 64
    MAX_DIGITS = 18              # of a number that fits in 63 bits

cdef uint64_t EVERY_ZERO = <uint64_t>0x3030303030303030     # "00000000"
cdef uint64_t EVERY_EQUALS = <uint64_t>0x3D3D3D3D3D3D3D3D   # "========"
cdef uint64_t LOW_BITS = <uint64_t>0x0101010101010101
cdef uint64_t HIGH_BITS = <uint64_t>0x8080808080808080
cdef uint64_t HIGH_NIBBLES = <uint64_t>0xF0F0F0F0F0F0F0F0


# Frame of a message: what its first two fields say.
cdef struct frame_t:
    uint32_t body_start      # offset of 35=
    uint32_t length          # of the whole message


cdef parse_status parse_message(const uint8_t* data, size_t size, uint32_t max_message_bytes,
                                message_t* message) noexcept nogil:
    cdef frame_t frame
    cdef parse_status status
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
        message.reason = check_trailer(data, frame.length)
        if message.reason == GARBLED_NONE:
            status = index_fields(data, 0, frame.length - TRAILER_BYTES, message)
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
    if decimals < 0:
        decimals = 0
    while decimals < 8:
        if value > <int64_t>900000000000000000:
            return 0
        value *= 10
        decimals += 1
    ok[0] = 1
    return -value if negative else value


cdef uint64_t field_utc_timestamp(const message_t* message, const field_t* field) noexcept nogil:
    cdef const uint8_t* p = message.data + field.offset
    cdef uint32_t year, month, day, hour, minute, second, i
    cdef uint64_t fraction = 0
    cdef uint64_t unit = 1000000000
    if field.length < 17 or p[8] != c'-' or p[11] != c':' or p[14] != c':':
        return 0
    if not (all_digits(p, 8) and all_digits(p + 9, 2) and all_digits(p + 12, 2) and all_digits(p + 15, 2)):
        return 0
    year = (p[0] - 48) * 1000 + (p[1] - 48) * 100 + (p[2] - 48) * 10 + (p[3] - 48)
    month = (p[4] - 48) * 10 + (p[5] - 48)
    day = (p[6] - 48) * 10 + (p[7] - 48)
    hour = (p[9] - 48) * 10 + (p[10] - 48)
    minute = (p[12] - 48) * 10 + (p[13] - 48)
    second = (p[15] - 48) * 10 + (p[16] - 48)
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= days_in_month(year, month)
            and hour < 24 and minute < 60 and second <= 60):
        return 0
    if field.length > 17:
        if p[17] != c'.' or field.length == 18 or field.length > 27:
            return 0
        for i in range(18, field.length):
            if p[i] < c'0' or p[i] > c'9':
                return 0
            unit //= 10
            fraction += (p[i] - 48) * unit
    return (days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) * 1000000000 + fraction


# --- framing --------------------------------------------------------------------------------------------------------

cdef parse_status read_frame(const uint8_t* data, size_t size, uint32_t max_message_bytes, frame_t* frame,
                             uint8_t* reason) noexcept nogil:
    """8=...<SOH>9=nnn<SOH>: where the body starts and how long the message is."""
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
    if frame.body_start + body + TRAILER_BYTES > max_message_bytes:
        reason[0] = GARBLED_TOO_LONG
        return PARSE_GARBLED
    frame.length = <uint32_t>(frame.body_start + body + TRAILER_BYTES)
    return PARSE_OK if frame.length <= size else PARSE_INCOMPLETE


cdef uint8_t check_trailer(const uint8_t* data, uint32_t length) noexcept nogil:
    cdef const uint8_t* p = data + length - TRAILER_BYTES
    if (p - 1)[0] != SOH or p[0] != c'1' or p[1] != c'0' or p[2] != c'=' or p[6] != SOH or not all_digits(p + 3, 3):
        return GARBLED_BODY_LENGTH
    return GARBLED_NONE


cdef parse_status index_fields(const uint8_t* data, uint32_t start, uint32_t end, message_t* message) noexcept nogil:
    """Indexes data[0:end] and the trailer behind it. PARSE_INCOMPLETE stands for a wrong checksum."""
    cdef uint32_t total = 0
    cdef parse_status status = index_run(data, start, end, message, &total)
    cdef const uint8_t* trailer = data + end
    cdef uint32_t told = (trailer[3] - 48) * 100 + (trailer[4] - 48) * 10 + (trailer[5] - 48)
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


cdef parse_status index_run(const uint8_t* data, uint32_t start, uint32_t end, message_t* message,
                            uint32_t* total) noexcept nogil:
    """One pass: field ends and byte sum of data[start:end], which ends with SOH. The index takes as many as fit."""
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
    word = word << (64 - 8 * digits) | EVERY_ZERO >> (8 * digits)
    if (word & HIGH_NIBBLES) != EVERY_ZERO or ((word + <uint64_t>0x0606060606060606) & HIGH_NIBBLES) != EVERY_ZERO:
        return 0
    word = ((word & <uint64_t>0x0F0F0F0F0F0F0F0F) * 2561) >> 8
    word = ((word & <uint64_t>0x00FF00FF00FF00FF) * 6553601) >> 16
    return <uint32_t>(((word & <uint64_t>0x0000FFFF0000FFFF) * <uint64_t>42949672960001) >> 32)


cdef parse_status finish(message_t* message, uint32_t body_start, parse_status status) noexcept nogil:
    cdef const field_t* field
    cdef uint32_t i
    if message.field_count < 3 or message.fields[2].tag != TAG_MSG_TYPE or message.fields[2].length == 0:
        message.reason = GARBLED_MSG_TYPE
        message.field_count = 0
        return PARSE_GARBLED
    field = &message.fields[2]
    memcpy(&message.msg_type, message.data + field.offset, field.length if field.length < 4 else 4)
    for i in range(3, message.field_count):
        if message.fields[i].tag == TAG_MSG_SEQ_NUM:
            message.seq_index = i
            message.seq = 0
            if field_uint(message, &message.fields[i]) > 0:
                message.seq = <uint64_t>field_uint(message, &message.fields[i])
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


cdef inline bint all_digits(const uint8_t* p, uint32_t count) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        if p[i] < c'0' or p[i] > c'9':
            return 0
    return 1


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


def measure_parse(bytes data not None, uint32_t rounds) -> float:
    """Nanoseconds for one parse of the message in `data`, over `rounds` in native code."""
    cdef field_t index[1024]
    cdef message_t message
    cdef uint32_t _i
    cdef uint64_t fields = 0
    cdef const uint8_t* raw = data
    cdef size_t size = len(data)
    memset(&message, 0, sizeof(message))
    message.fields = index
    message.field_capacity = 1024
    started = time.perf_counter_ns()
    with nogil:
        for _i in range(rounds):
            parse_message(raw, size, MAX_MESSAGE_BYTES, &message)
            fields += message.field_count
    elapsed = time.perf_counter_ns() - started
    if fields == 0:
        raise ValueError("the message cannot be parsed")
    return elapsed / rounds
