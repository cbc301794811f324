"""Looking at 64 bytes at once: where a byte occurs, and the sum of all. SSE2 on x86-64, plain C elsewhere; inline."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #ifndef GATEWAY_BYTESCAN
    #define GATEWAY_BYTESCAN
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__) && !defined(GATEWAY_PORTABLE)
    #include <emmintrin.h>
    /* Bit i of *mask: p[i] is SOH. Returns the sum of the 64 bytes. */
    static inline uint32_t scan_block(const uint8_t *p, uint64_t *mask) {
        const __m128i soh = _mm_set1_epi8(1), zero = _mm_setzero_si128();
        __m128i a = _mm_loadu_si128((const __m128i *)p), b = _mm_loadu_si128((const __m128i *)(p + 16));
        __m128i c = _mm_loadu_si128((const __m128i *)(p + 32)), d = _mm_loadu_si128((const __m128i *)(p + 48));
        *mask = (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, soh))
              | (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, soh)) << 16
              | (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(c, soh)) << 32
              | (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(d, soh)) << 48;
        __m128i sum = _mm_add_epi64(_mm_add_epi64(_mm_sad_epu8(a, zero), _mm_sad_epu8(b, zero)),
                                    _mm_add_epi64(_mm_sad_epu8(c, zero), _mm_sad_epu8(d, zero)));
        return (uint32_t)_mm_cvtsi128_si32(sum) + (uint32_t)_mm_extract_epi16(sum, 4);
    }
    static inline uint32_t sum_block16(const uint8_t *p) {
        __m128i sum = _mm_sad_epu8(_mm_loadu_si128((const __m128i *)p), _mm_setzero_si128());
        return (uint32_t)_mm_cvtsi128_si32(sum) + (uint32_t)_mm_extract_epi16(sum, 4);
    }
    #else
    static inline uint32_t scan_block(const uint8_t *p, uint64_t *mask) {
        uint64_t m = 0; uint32_t sum = 0;
        for (int i = 0; i < 64; i++) { m |= (uint64_t)(p[i] == 1) << i; sum += p[i]; }
        *mask = m;
        return sum;
    }
    static inline uint32_t sum_block16(const uint8_t *p) {
        uint32_t sum = 0;
        for (int i = 0; i < 16; i++) sum += p[i];
        return sum;
    }
    #endif
    /* Sum of all bytes of p[0:n]. */
    static inline uint32_t byte_sum(const uint8_t *p, size_t n) {
        uint32_t sum = 0;
        while (n >= 16) { sum += sum_block16(p); p += 16; n -= 16; }
        while (n--) sum += *p++;
        return sum;
    }
    static inline int lowest_bit(uint64_t v) { return __builtin_ctzll(v); }
    #endif
    """
    uint32_t scan_block(const uint8_t* p, uint64_t* mask)
    uint32_t byte_sum(const uint8_t* p, size_t n)
    int lowest_bit(uint64_t v)
