"""SipHash-2-4 with a 128-bit result (Aumasson and Bernstein, 'SipHash: a fast short-input PRF', 2012).

May depend on: nothing. Never allocates.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    KEY_BYTES = 16
    MAC_BYTES = 16


cdef inline uint64_t rotate(uint64_t x, int bits) noexcept nogil:
    return x << bits | x >> (64 - bits)


cdef struct state_t:
    uint64_t v0
    uint64_t v1
    uint64_t v2
    uint64_t v3


cdef inline void sip_round(state_t* s) noexcept nogil:
    s.v0 += s.v1
    s.v1 = rotate(s.v1, 13) ^ s.v0
    s.v0 = rotate(s.v0, 32)
    s.v2 += s.v3
    s.v3 = rotate(s.v3, 16) ^ s.v2
    s.v0 += s.v3
    s.v3 = rotate(s.v3, 21) ^ s.v0
    s.v2 += s.v1
    s.v1 = rotate(s.v1, 17) ^ s.v2
    s.v2 = rotate(s.v2, 32)


cdef inline void absorb(state_t* s, uint64_t word) noexcept nogil:
    s.v3 ^= word
    sip_round(s)
    sip_round(s)
    s.v0 ^= word


cdef inline uint64_t squeeze(state_t* s) noexcept nogil:
    sip_round(s)
    sip_round(s)
    sip_round(s)
    sip_round(s)
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3


cdef void siphash128(const uint8_t* key, const uint8_t* data, size_t size, uint8_t* mac) noexcept nogil:
    cdef state_t s
    cdef uint64_t k0
    cdef uint64_t k1
    cdef uint64_t word
    cdef size_t left = size
    memcpy(&k0, key, 8)
    memcpy(&k1, key + 8, 8)
    s.v0 = <uint64_t>0x736F6D6570736575 ^ k0
    s.v1 = <uint64_t>0x646F72616E646F6D ^ k1 ^ 0xEE
    s.v2 = <uint64_t>0x6C7967656E657261 ^ k0
    s.v3 = <uint64_t>0x7465646279746573 ^ k1
    while left >= 8:
        memcpy(&word, data, 8)
        absorb(&s, word)
        data += 8
        left -= 8
    word = <uint64_t>size << 56
    memcpy(&word, data, left)         # little-endian: the length byte stays on top
    absorb(&s, word)
    s.v2 ^= 0xEE
    word = squeeze(&s)
    memcpy(mac, &word, 8)
    s.v1 ^= 0xDD
    word = squeeze(&s)
    memcpy(mac + 8, &word, 8)


# --- Python face ----------------------------------------------------------------------------------------------------

def mac(bytes key not None, bytes data not None) -> bytes:
    """The 16-byte MAC of `data`. Raises ValueError unless the key has 16 bytes."""
    cdef uint8_t result[MAC_BYTES]
    if len(key) != KEY_BYTES:
        raise ValueError(f"key: {KEY_BYTES} bytes, found {len(key)}")
    siphash128(key, data, len(data), result)
    return result[:MAC_BYTES]
