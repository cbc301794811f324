"""CRC-32C (Castagnoli, RFC 3720 appendix B.4): SSE4.2 or ARMv8 instructions where the processor has them, else a table.

May depend on: nothing. Never allocates.
"""

from libc.stdint cimport uint8_t, uint32_t

cdef extern from * nogil:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>

    static uint32_t crc32c_table[8][256];

    static void crc32c_fill_table(void) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t crc = i;
            for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
            crc32c_table[0][i] = crc;
        }
        for (uint32_t i = 0; i < 256; i++)
            for (int k = 1; k < 8; k++)
                crc32c_table[k][i] = (crc32c_table[k - 1][i] >> 8) ^ crc32c_table[0][crc32c_table[k - 1][i] & 0xFF];
    }

    /* Slicing by eight (Kounavis and Berry, 2005). */
    static uint32_t crc32c_portable(uint32_t crc, const uint8_t *p, size_t n) {
        crc = ~crc;
        while (n >= 8) {
            uint64_t w;
            memcpy(&w, p, 8);
            w ^= crc;
            crc = crc32c_table[7][w & 0xFF] ^ crc32c_table[6][(w >> 8) & 0xFF] ^ crc32c_table[5][(w >> 16) & 0xFF]
                ^ crc32c_table[4][(w >> 24) & 0xFF] ^ crc32c_table[3][(w >> 32) & 0xFF]
                ^ crc32c_table[2][(w >> 40) & 0xFF] ^ crc32c_table[1][(w >> 48) & 0xFF] ^ crc32c_table[0][w >> 56];
            p += 8; n -= 8;
        }
        while (n--) crc = (crc >> 8) ^ crc32c_table[0][(crc ^ *p++) & 0xFF];
        return ~crc;
    }

    #if defined(__x86_64__)
    #include <nmmintrin.h>
    __attribute__((target("sse4.2")))
    static uint32_t crc32c_hardware(uint32_t crc, const uint8_t *p, size_t n) {
        uint64_t c = ~crc;
        while (n >= 8) { uint64_t w; memcpy(&w, p, 8); c = _mm_crc32_u64(c, w); p += 8; n -= 8; }
        uint32_t c4 = (uint32_t)c;
        while (n--) c4 = _mm_crc32_u8(c4, *p++);
        return ~c4;
    }
    static int crc32c_has_hardware(void) { __builtin_cpu_init(); return __builtin_cpu_supports("sse4.2"); }
    #elif defined(__aarch64__)
    #include <arm_acle.h>
    #include <sys/auxv.h>
    #ifndef HWCAP_CRC32
    #define HWCAP_CRC32 (1 << 7)
    #endif
    __attribute__((target("+crc")))
    static uint32_t crc32c_hardware(uint32_t crc, const uint8_t *p, size_t n) {
        crc = ~crc;
        while (n >= 8) { uint64_t w; memcpy(&w, p, 8); crc = __crc32cd(crc, w); p += 8; n -= 8; }
        while (n--) crc = __crc32cb(crc, *p++);
        return ~crc;
    }
    static int crc32c_has_hardware(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
    #else
    #define crc32c_hardware crc32c_portable
    static int crc32c_has_hardware(void) { return 0; }
    #endif

    static uint32_t (*crc32c_chosen)(uint32_t, const uint8_t *, size_t) = crc32c_portable;
    static void crc32c_choose(void) {
        crc32c_fill_table();
        if (crc32c_has_hardware()) crc32c_chosen = crc32c_hardware;
    }
    """
    void crc32c_choose()
    uint32_t crc32c_portable(uint32_t, const uint8_t*, size_t)
    uint32_t crc32c_chosen(uint32_t, const uint8_t*, size_t)
    int crc32c_has_hardware()

crc32c_choose()


cdef uint32_t crc32c(uint32_t seed, const uint8_t* data, size_t size) noexcept nogil:
    return crc32c_chosen(seed, data, size)


# --- Python face ----------------------------------------------------------------------------------------------------

def checksum(bytes data not None, uint32_t seed=0) -> int:
    """CRC-32C of `data`, going on from `seed`."""
    return crc32c(seed, data, len(data))


def checksum_portable(bytes data not None, uint32_t seed=0) -> int:
    """The same by table, whatever the processor has."""
    return crc32c_portable(seed, data, len(data))


def has_hardware() -> bool:
    """Whether this processor computes it in hardware."""
    return crc32c_has_hardware() != 0
