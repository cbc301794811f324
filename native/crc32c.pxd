"""CRC-32C (Castagnoli, RFC 3720 appendix B.4) in hardware where the processor has it, by table elsewhere."""

from libc.stdint cimport uint8_t, uint32_t


# CRC of data[0:size] going on from `seed` (0 to start): crc32c(crc32c(0, a), b) == crc32c(0, a + b).
cdef uint32_t crc32c(uint32_t seed, const uint8_t* data, size_t size) noexcept nogil
