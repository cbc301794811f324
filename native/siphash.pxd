"""SipHash-2-4 with a 128-bit result (Aumasson and Bernstein, 2012): the MAC of the replication channel."""

from libc.stdint cimport uint8_t


# key, mac: 16 bytes
cdef void siphash128(const uint8_t* key, const uint8_t* data, size_t size, uint8_t* mac) noexcept nogil
