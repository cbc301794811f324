"""Building the short bodies of session messages in place: "tag=value<SOH>" one after the other. Inline; bounded."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from .encoder cimport write_uint
from .tags cimport SOH


cdef enum:
    BODY_BYTES = 1024


cdef struct body_t:
    uint8_t bytes[BODY_BYTES]
    uint32_t length


cdef inline void body_text(body_t* b, uint32_t tag, const uint8_t* value, uint32_t length) noexcept nogil:
    """Appends a field; what does not fit is left out (bodies of session messages are short)."""
    if b.length + 12 + length > BODY_BYTES:
        return
    b.length += write_uint(b.bytes + b.length, tag)
    b.bytes[b.length] = c'='
    memcpy(b.bytes + b.length + 1, value, length)
    b.bytes[b.length + 1 + length] = SOH
    b.length += length + 2


cdef inline void body_uint(body_t* b, uint32_t tag, uint64_t value) noexcept nogil:
    cdef uint8_t digits[20]
    body_text(b, tag, digits, write_uint(digits, value))


cdef inline void body_char(body_t* b, uint32_t tag, char value) noexcept nogil:
    body_text(b, tag, <const uint8_t*>&value, 1)


cdef inline void body_raw(body_t* b, const uint8_t* fields, uint32_t length) noexcept nogil:
    """Appends whole fields."""
    if b.length + length <= BODY_BYTES:
        memcpy(b.bytes + b.length, fields, length)
        b.length += length
