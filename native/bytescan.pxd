"""Looking at many bytes at once: where fields end, the sum of all, a number in one word. SSE2 on x86-64, plain C
elsewhere; inline."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

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
    /* Bit i: p[i] is SOH, of 32 bytes. */
    static inline uint32_t field_ends32(const uint8_t *p) {
        const __m128i soh = _mm_set1_epi8(1);
        return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p), soh))
             | (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(p + 16)), soh)) << 16;
    }
    static inline uint32_t sum_block16(const uint8_t *p) {
        __m128i sum = _mm_sad_epu8(_mm_loadu_si128((const __m128i *)p), _mm_setzero_si128());
        return (uint32_t)_mm_cvtsi128_si32(sum) + (uint32_t)_mm_extract_epi16(sum, 4);
    }
    /* Sum of the last n (0 to 15) of 16 bytes. */
    static inline uint32_t sum_last16(const uint8_t *p, size_t n) {
        static const uint8_t keep[32] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255,
                                         255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
        __m128i sum = _mm_sad_epu8(_mm_and_si128(_mm_loadu_si128((const __m128i *)p),
                                                 _mm_loadu_si128((const __m128i *)(keep + n))), _mm_setzero_si128());
        return (uint32_t)_mm_cvtsi128_si32(sum) + (uint32_t)_mm_extract_epi16(sum, 4);
    }
    #else
    static inline uint32_t scan_block(const uint8_t *p, uint64_t *mask) {
        uint64_t m = 0; uint32_t sum = 0;
        for (int i = 0; i < 64; i++) { m |= (uint64_t)(p[i] == 1) << i; sum += p[i]; }
        *mask = m;
        return sum;
    }
    static inline uint32_t field_ends32(const uint8_t *p) {
        uint32_t m = 0;
        for (int i = 0; i < 32; i++) m |= (uint32_t)(p[i] == 1) << i;
        return m;
    }
    static inline uint32_t sum_block16(const uint8_t *p) {
        uint32_t sum = 0;
        for (int i = 0; i < 16; i++) sum += p[i];
        return sum;
    }
    static inline uint32_t sum_last16(const uint8_t *p, size_t n) {
        uint32_t sum = 0;
        for (size_t i = 16 - n; i < 16; i++) sum += p[i];
        return sum;
    }
    #endif
    /* Sum of all bytes of p[0:n]. */
    static inline uint32_t byte_sum(const uint8_t *p, size_t n) {
        uint32_t sum = 0;
        size_t whole = n & ~(size_t)15;
        for (size_t i = 0; i < whole; i += 16) sum += sum_block16(p + i);
        if (n >= 16) return sum + sum_last16(p + n - 16, n - whole);
        for (size_t i = 0; i < n; i++) sum += p[i];
        return sum;
    }
    static inline uint64_t load_u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }
    static inline uint32_t load_u32le(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
    /* The number that the first n (1 to 8) bytes of a word say, -1 if one is no digit. Little-endian, as all here. */
    static inline int64_t digits_value(uint64_t word, uint32_t n) {
        uint64_t v = (word ^ 0x3030303030303030u) << (64 - 8 * n);
        if (((v + 0x7676767676767676u) | v) & 0x8080808080808080u) return -1;
        v = (v * 2561) >> 8;
        v = ((v & 0x00FF00FF00FF00FFu) * 6553601) >> 16;
        return (int64_t)(((v & 0x0000FFFF0000FFFFu) * 42949672960001u) >> 32);
    }
    /* The numbers of "HH:MM:SS" in a word, each below 100; 0: it has another form. */
    static inline int clock_digits(uint64_t word, uint32_t *hour, uint32_t *minute, uint32_t *second) {
        uint64_t v = word ^ 0x30303A30303A3030u;
        if ((((v + 0x7676767676767676u) | v) & 0x8080808080808080u) || (v & 0x0000FF0000FF0000u)) return 0;
        v = v * 10 + (v >> 8);
        *hour = v & 0xFF; *minute = v >> 24 & 0xFF; *second = v >> 48 & 0xFF;
        return 1;
    }
    static inline int lowest_bit(uint64_t v) { return __builtin_ctzll(v); }
    #endif
    """
    uint32_t scan_block(const uint8_t* p, uint64_t* mask)
    uint32_t field_ends32(const uint8_t* p)
    uint32_t byte_sum(const uint8_t* p, size_t n)
    uint64_t load_u64(const uint8_t* p)
    uint32_t load_u32le(const uint8_t* p)
    int64_t digits_value(uint64_t word, uint32_t n)
    bint clock_digits(uint64_t word, uint32_t* hour, uint32_t* minute, uint32_t* second)
    int lowest_bit(uint64_t v)
