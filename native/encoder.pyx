"""FIX encoder: a message is written once, directly into the place where its bytes will stay.

May depend on: parser (to read a stored message for a resend), tags, bytescan. Never allocates, never reads a clock.
"""

import time
from array import array

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from .bytescan cimport byte_sum
from .parser cimport field_t, message_t, parse_message
from .tags cimport SOH, TAG_LAST_MSG_SEQ_NUM_PROCESSED, TAG_ORIG_SENDING_TIME, TAG_POSS_DUP_FLAG, TAG_SENDING_TIME

cdef enum:
    TRAILER_BYTES = 7
    MAX_OVERHEAD_BYTES = 160       # 9, 35, 34, 52, 43, 122, 369 and the trailer, each at its longest
    SECONDS_PART_BYTES = 17        # YYYYMMDD-HH:MM:SS
    RESEND_FIELDS = 1024
    MEASURED_BYTES = 1 << 20

cdef uint64_t NS_PER_SECOND = 1000000000

cdef extern from * nogil:
    """
    static const char two_digits[201] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657"
        "58596061626364656667686970717273747576777879808182838485868788899091929394959697" "9899";
    static const uint64_t powers_of_ten[20] = {
        1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u, 1000000000u, 10000000000u,
        100000000000u, 1000000000000u, 10000000000000u, 100000000000000u, 1000000000000000u, 10000000000000000u,
        100000000000000000u, 1000000000000000000u, 10000000000000000000u};
    """
    const char* two_digits
    const uint64_t* powers_of_ten
    int leading_zeros "__builtin_clzll" (uint64_t)


cdef int32_t template_init(header_template_t* t, const uint8_t* begin_string, uint32_t begin_string_length,
                           const uint8_t* ids, uint32_t ids_length, uint8_t timestamp_digits) noexcept nogil:
    memset(t, 0, sizeof(header_template_t))
    if begin_string_length + 6 > sizeof(t.head) or ids_length + 4 > TEMPLATE_BYTES:
        return ENCODE_NO_ROOM
    memcpy(t.head, b"8=", 2)
    memcpy(t.head + 2, begin_string, begin_string_length)
    memcpy(t.head + 2 + begin_string_length, b"\x019=", 3)
    t.head_length = 5 + begin_string_length
    memcpy(t.ids, ids, ids_length)
    memcpy(t.ids + ids_length, b"34=", 3)
    t.ids_length = ids_length + 3
    t.timestamp_digits = timestamp_digits
    return 0


cdef uint32_t encode_bound(const header_template_t* t, uint32_t body_length) noexcept nogil:
    return t.head_length + t.ids_length + body_length + MAX_OVERHEAD_BYTES


cdef int32_t encode_message(header_template_t* t, encode_t* e, uint8_t* place, uint32_t capacity) noexcept nogil:
    cdef uint32_t seq_length = uint_digits(e.seq)
    cdef uint32_t stamp_length = SECONDS_PART_BYTES + (t.timestamp_digits + 1 if t.timestamp_digits else 0)
    cdef uint32_t body_length
    cdef uint8_t* p = place
    cdef uint8_t* counted
    if capacity < encode_bound(t, e.body_length) or e.msg_type_length > MAX_MSG_TYPE_BYTES:
        return ENCODE_NO_ROOM
    # "35=" type SOH, ids with "34=", number SOH, "52=" stamp SOH
    body_length = 4 + e.msg_type_length + t.ids_length + seq_length + 1 + 4 + stamp_length + e.body_length
    if e.poss_dup:
        body_length += 5 + (5 + e.orig_sending_time_length if e.orig_sending_time is not NULL else 0)
    if e.last_processed:
        body_length += 5 + uint_digits(e.last_processed)
    copy_fixed(p, t.head, t.head_length)
    p += t.head_length
    p += write_uint(p, body_length)
    p[0] = SOH
    counted = p + 1
    memcpy(counted, b"35=", 3)
    if e.msg_type_length == 1:
        counted[3] = e.msg_type[0]
    else:
        memcpy(counted + 3, e.msg_type, e.msg_type_length)
    p = counted + 3 + e.msg_type_length
    p[0] = SOH
    copy_fixed(p + 1, t.ids, t.ids_length)
    p += 1 + t.ids_length
    write_digits(p, e.seq, seq_length)
    p += seq_length
    memcpy(p, b"\x0152=", 4)
    p += 4
    write_sending_time(t, p, e.wall_ns)
    p += stamp_length
    p[0] = SOH
    p += 1
    p = write_optional_header(e, p)
    e.body_offset = <uint32_t>(p - place)
    memcpy(p, e.body, e.body_length)
    p += e.body_length
    return <int32_t>(write_trailer(place, p) - place)


cdef int32_t encode_resend(header_template_t* t, const uint8_t* stored, uint32_t stored_length, uint64_t wall_ns,
                           uint8_t* place, uint32_t capacity) noexcept nogil:
    cdef field_t index[RESEND_FIELDS]
    cdef message_t m
    cdef encode_t e
    cdef const field_t* field
    cdef uint32_t i
    cdef uint32_t body_start
    memset(&m, 0, sizeof(m))
    memset(&e, 0, sizeof(e))
    m.fields = index
    m.field_capacity = RESEND_FIELDS
    # A stored message was encoded here: it parses. One with more fields than fit has its header in front all the same.
    parse_message(stored, stored_length, stored_length, &m)
    if m.field_count < 6:
        return ENCODE_NO_ROOM
    e.msg_type = stored + m.fields[2].offset
    e.msg_type_length = m.fields[2].length
    e.seq = m.seq
    e.wall_ns = wall_ns
    e.poss_dup = 1
    body_start = 0
    for i in range(3, m.field_count):
        field = &m.fields[i]
        if field.tag == TAG_SENDING_TIME:
            if e.orig_sending_time is NULL:
                e.orig_sending_time = stored + field.offset
                e.orig_sending_time_length = field.length
            body_start = field.offset + field.length + 1
        elif field.tag == TAG_ORIG_SENDING_TIME:
            e.orig_sending_time = stored + field.offset
            e.orig_sending_time_length = field.length
            body_start = field.offset + field.length + 1
        elif field.tag == TAG_POSS_DUP_FLAG or field.tag == TAG_LAST_MSG_SEQ_NUM_PROCESSED:
            body_start = field.offset + field.length + 1
        elif body_start:
            break
    if body_start == 0:
        return ENCODE_NO_ROOM
    e.body = stored + body_start
    e.body_length = stored_length - TRAILER_BYTES - body_start
    return encode_message(t, &e, place, capacity)


cdef uint32_t write_uint(uint8_t* place, uint64_t value) noexcept nogil:
    cdef uint32_t digits = uint_digits(value)
    write_digits(place, value, digits)
    return digits


cdef uint32_t write_utc_timestamp(uint8_t* place, uint64_t wall_ns, uint8_t digits) noexcept nogil:
    write_seconds(place, wall_ns // NS_PER_SECOND)
    return SECONDS_PART_BYTES + write_fraction(place + SECONDS_PART_BYTES, wall_ns % NS_PER_SECOND, digits)


# --- helpers --------------------------------------------------------------------------------------------------------

cdef inline uint32_t uint_digits(uint64_t value) noexcept nogil:
    """From the number of bits: log10(2) is 1233 / 4096, at most one too low."""
    cdef uint32_t least = <uint32_t>((64 - leading_zeros(value | 1)) * 1233) >> 12
    return least + (value >= powers_of_ten[least]) if least else 1


cdef inline void write_digits(uint8_t* place, uint64_t value, uint32_t digits) noexcept nogil:
    cdef uint8_t* p = place + digits
    while value >= 100:
        p -= 2
        memcpy(p, two_digits + (value % 100) * 2, 2)
        value //= 100
    if value >= 10:
        memcpy(p - 2, two_digits + value * 2, 2)
    else:
        (p - 1)[0] = <uint8_t>(c'0' + value)


cdef inline void copy_fixed(uint8_t* place, const uint8_t* part, uint32_t length) noexcept nogil:
    """A part of the template, which has room behind it to be read, to where more follows: 16 bytes at a time."""
    cdef uint32_t i = 0
    while i < length:
        memcpy(place + i, part + i, 16)
        i += 16


cdef inline uint8_t* write_optional_header(const encode_t* e, uint8_t* p) noexcept nogil:
    """PossDupFlag, OrigSendingTime, LastMsgSeqNumProcessed."""
    if e.poss_dup:
        memcpy(p, b"43=Y\x01", 5)
        p += 5
        if e.orig_sending_time is not NULL:
            memcpy(p, b"122=", 4)
            memcpy(p + 4, e.orig_sending_time, e.orig_sending_time_length)
            p += 4 + e.orig_sending_time_length
            p[0] = SOH
            p += 1
    if e.last_processed:
        memcpy(p, b"369=", 4)
        p += 4 + write_uint(p + 4, e.last_processed)
        p[0] = SOH
        p += 1
    return p


cdef inline uint8_t* write_trailer(const uint8_t* message, uint8_t* p) noexcept nogil:
    cdef uint32_t check = byte_sum(message, <size_t>(p - message)) & 0xFF
    memcpy(p, b"10=", 3)
    p[3] = <uint8_t>(c'0' + check // 100)
    memcpy(p + 4, two_digits + (check % 100) * 2, 2)
    p[6] = SOH
    return p + TRAILER_BYTES


cdef inline void write_sending_time(header_template_t* t, uint8_t* place, uint64_t wall_ns) noexcept nogil:
    """The date and the seconds change once a second; until then only the fraction is written."""
    cdef uint64_t second = wall_ns // NS_PER_SECOND
    if second != t.timestamp_second:
        write_seconds(t.timestamp, second)
        t.timestamp_second = second
    memcpy(place, t.timestamp, SECONDS_PART_BYTES)
    write_fraction(place + SECONDS_PART_BYTES, wall_ns - second * NS_PER_SECOND, t.timestamp_digits)


cdef inline uint32_t write_fraction(uint8_t* place, uint64_t ns, uint8_t digits) noexcept nogil:
    cdef uint64_t value
    cdef uint32_t i
    if digits == 0:
        return 0
    place[0] = c'.'
    value = ns // 1000000 if digits == 3 else ns // 1000 if digits == 6 else ns
    i = digits
    while i >= 2:
        memcpy(place + i - 1, two_digits + (value % 100) * 2, 2)
        value //= 100
        i -= 2
    if i == 1:
        place[1] = <uint8_t>(c'0' + value % 10)
    return digits + 1


cdef void write_seconds(uint8_t* place, uint64_t seconds) noexcept nogil:
    """YYYYMMDD-HH:MM:SS (Howard Hinnant, 'chrono-compatible date algorithms': civil_from_days)."""
    cdef uint64_t days = seconds // 86400
    cdef uint32_t rest = <uint32_t>(seconds % 86400)
    cdef uint64_t shifted = days + 719468
    cdef uint64_t era = shifted // 146097
    cdef uint32_t day_of_era = <uint32_t>(shifted - era * 146097)
    cdef uint32_t year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    cdef uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    cdef uint32_t shifted_month = (5 * day_of_year + 2) // 153
    cdef uint32_t day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    cdef uint32_t month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    cdef uint32_t year = <uint32_t>(year_of_era + era * 400) + (1 if month <= 2 else 0)
    memcpy(place, two_digits + (year // 100) * 2, 2)
    memcpy(place + 2, two_digits + (year % 100) * 2, 2)
    memcpy(place + 4, two_digits + month * 2, 2)
    memcpy(place + 6, two_digits + day * 2, 2)
    place[8] = c'-'
    memcpy(place + 9, two_digits + (rest // 3600) * 2, 2)
    place[11] = c':'
    memcpy(place + 12, two_digits + (rest // 60 % 60) * 2, 2)
    place[14] = c':'
    memcpy(place + 15, two_digits + (rest % 60) * 2, 2)


# --- Python face ----------------------------------------------------------------------------------------------------

cdef class Template:
    """A prepared header: `ids` is "49=..<SOH>56=..<SOH>..." as it stands between 35 and 34. Raises ValueError: too
    long."""

    cdef header_template_t template

    def __cinit__(self, bytes begin_string not None, bytes ids not None, uint8_t timestamp_digits=3):
        if timestamp_digits not in (0, 3, 6, 9):
            raise ValueError(f"timestamp digits: 0, 3, 6 or 9, found {timestamp_digits}")
        if template_init(&self.template, begin_string, <uint32_t>len(begin_string), ids, <uint32_t>len(ids),
                         timestamp_digits) != 0:
            raise ValueError(f"header of {len(ids)} bytes: at most {TEMPLATE_BYTES - 4}")

    def encode(self, bytes msg_type not None, uint64_t seq, uint64_t wall_ns, bytes body=b"", *, bint poss_dup=False,
               bytes orig_sending_time=None, uint64_t last_processed=0) -> bytes:
        """One whole message."""
        cdef encode_t e
        cdef bytearray place = bytearray(encode_bound(&self.template, <uint32_t>len(body)))
        memset(&e, 0, sizeof(e))
        e.msg_type = msg_type
        e.msg_type_length = <uint32_t>len(msg_type)
        e.seq = seq
        e.wall_ns = wall_ns
        e.poss_dup = poss_dup
        if orig_sending_time is not None:
            e.orig_sending_time = orig_sending_time
            e.orig_sending_time_length = <uint32_t>len(orig_sending_time)
        e.last_processed = last_processed
        e.body = body
        e.body_length = <uint32_t>len(body)
        length = encode_message(&self.template, &e, place, <uint32_t>len(place))
        if length < 0:
            raise ValueError("the message does not fit")
        return bytes(place[:length])

    def resend(self, bytes stored not None, uint64_t wall_ns) -> bytes:
        """The stored message with PossDupFlag=Y, OrigSendingTime and a new SendingTime. ValueError if it is no
        message."""
        cdef bytearray place = bytearray(len(stored) + TEMPLATE_BYTES + MAX_OVERHEAD_BYTES)
        length = encode_resend(&self.template, stored, <uint32_t>len(stored), wall_ns, place, <uint32_t>len(place))
        if length < 0:
            raise ValueError("not a message that was encoded here")
        return bytes(place[:length])

    def measure_encode(self, bytes msg_type not None, list bodies not None, uint32_t rounds) -> float:
        """Nanoseconds for one encode with a new number and time each, over `rounds` through `bodies` in native code.

        Messages are written one behind the other over MEASURED_BYTES, as into a journal.
        """
        cdef bytes joined = b"".join(bodies)
        cdef const uint8_t* body = joined
        cdef bytearray room = bytearray(MEASURED_BYTES)
        cdef uint8_t* place = room
        cdef uint32_t[:] lengths = array("I", [len(one) for one in bodies])
        cdef uint32_t _i
        cdef bint fits = 1
        cdef encode_t e
        memset(&e, 0, sizeof(e))
        e.msg_type = msg_type
        e.msg_type_length = <uint32_t>len(msg_type)
        e.wall_ns = 1700000000123456789
        e.seq = 100000
        started = time.perf_counter_ns()
        with nogil:
            for _i in range(rounds):
                fits &= encode_each(&self.template, &e, body, lengths, place)
        elapsed = time.perf_counter_ns() - started
        if not fits:
            raise ValueError("a message does not fit")
        return elapsed / (rounds * len(bodies))


cdef bint encode_each(header_template_t* t, encode_t* e, const uint8_t* body, uint32_t[:] lengths,
                      uint8_t* place) noexcept nogil:
    cdef Py_ssize_t i
    cdef int32_t length
    cdef uint32_t offset = 0
    e.body = body
    for i in range(lengths.shape[0]):
        e.seq += 1
        e.wall_ns += 1789
        e.body_length = lengths[i]
        if MEASURED_BYTES - offset < encode_bound(t, e.body_length):
            offset = 0
        length = encode_message(t, e, place + offset, MEASURED_BYTES - offset)
        if length < 0:
            return 0
        offset += <uint32_t>length
        e.body += e.body_length
    return 1


def utc_timestamp(uint64_t wall_ns, uint8_t digits=3) -> bytes:
    """UTCTimestamp of ns since the Unix epoch with 0, 3, 6 or 9 digits of fraction."""
    cdef uint8_t place[TIMESTAMP_BYTES]
    return place[:write_utc_timestamp(place, wall_ns, digits)]
