"""Bytes that came on a socket and are not used up yet, and numbers in ClOrdIDs: what probe and load share. Inline."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memmove


cdef struct byte_queue_t:
    int fd
    uint32_t filled
    uint8_t* bytes


cdef inline void use_up(byte_queue_t* q, size_t size) noexcept nogil:
    q.filled -= <uint32_t>size
    if size and q.filled:
        memmove(q.bytes, q.bytes + size, q.filled)


cdef enum:
    NUMBER_DIGITS = 9                # of an order's number, at the end of its ClOrdID


cdef inline void write_number(uint8_t* place, uint64_t value) noexcept nogil:
    cdef int i
    for i in range(NUMBER_DIGITS):
        place[NUMBER_DIGITS - 1 - i] = <uint8_t>(c'0' + value % 10)
        value //= 10
