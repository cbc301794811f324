"""The simulator's source of chance: splitmix64, one state per stream. Inline; the same on every machine."""

from libc.stdint cimport uint32_t, uint64_t


cdef struct random_t:
    uint64_t state


cdef inline uint64_t random_next(random_t* r) noexcept nogil:
    cdef uint64_t z
    r.state += <uint64_t>0x9E3779B97F4A7C15
    z = r.state
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t random_below(random_t* r, uint64_t bound) noexcept nogil:
    """0 to bound - 1; 0 for bound 0."""
    return random_next(r) % bound if bound else 0


cdef inline bint random_chance(random_t* r, uint32_t per_million) noexcept nogil:
    return per_million != 0 and random_next(r) % 1000000 < per_million
