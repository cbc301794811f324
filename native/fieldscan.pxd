"""The index of a run of plain fields, 16 or 8 at a time (AVX-512 or AVX2, where the processor has it).

64 bytes at a time give a mask of field ends and one of the '=' behind each tag; both become positions, and the tags are
read, without a branch that depends on the data. The next 64 start behind the last field that ended. A run that is not
plain throughout (a tag that is no number of 1 to 4 digits, a field without '=') is refused as a whole: parser.pyx then
takes it field by field and says what is wrong with it. Inline; never allocates.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t

cdef extern from * nogil:
    """
    #ifndef GATEWAY_FIELDSCAN
    #define GATEWAY_FIELDSCAN
    #include <stdint.h>
    #include <string.h>
    #if defined(__x86_64__) && !defined(GATEWAY_PORTABLE)
    #include <immintrin.h>
    #define FIELDSCAN_INLINE static inline __attribute__((always_inline, target("avx2,bmi,bmi2,popcnt")))

    #define FIELDSCAN_WIDER "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi,bmi2,popcnt"
    #define FIELDSCAN_INLINE_WIDER static inline __attribute__((always_inline, target(FIELDSCAN_WIDER)))

    /* Fields at once: 16 with AVX-512, 8 with AVX2, 0: not here. */
    static uint32_t fieldscan_supported(void) {
        __builtin_cpu_init();
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")
              && __builtin_cpu_supports("popcnt"))) return 0;
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi")
            && __builtin_cpu_supports("avx512vbmi2") ? 16 : 8;
    }

    FIELDSCAN_INLINE uint64_t fieldscan_equal(__m256i low, __m256i high, char c) {
        __m256i v = _mm256_set1_epi8(c);
        return (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, v))
             | (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, v)) << 32;
    }

    static const uint8_t fieldscan_slide[128] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

    /* Sum of the bytes of p[from:end]. */
    FIELDSCAN_INLINE uint32_t fieldscan_sum(const uint8_t *p, uint32_t from, uint32_t end) {
        const __m256i zero = _mm256_setzero_si256();
        __m256i sum = zero;
        uint32_t total = 0;
        for (; end - from >= 32; from += 32)
            sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_loadu_si256((const __m256i *)(p + from)), zero));
        if (end < 32) {
            while (from < end) total += p[from++];
        } else {                                   /* the last 32 bytes, without those that were seen */
            __m256i rest = _mm256_and_si256(
                _mm256_loadu_si256((const __m256i *)(p + end - 32)),
                _mm256_loadu_si256((const __m256i *)(fieldscan_slide + 32 + (end - from))));
            sum = _mm256_add_epi64(sum, _mm256_sad_epu8(rest, zero));
        }
        __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        return total + (uint32_t)_mm_cvtsi128_si32(half) + (uint32_t)_mm_extract_epi32(half, 2);
    }

    /* The places of up to 8 bits set in mask, a byte each; 64 behind them. */
    FIELDSCAN_INLINE uint64_t fieldscan_places(uint64_t mask) {
        uint64_t places = 0;
        for (int i = 0; i < 64; i += 8) { places |= _tzcnt_u64(mask) << i; mask = _blsr_u64(mask); }
        return places;
    }

    FIELDSCAN_INLINE __m256i fieldscan_lanes(uint64_t bytes) {
        return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
    }

    /* One field that is longer than a block. Its end, 0: it is not plain. */
    __attribute__((noinline))
    static uint32_t fieldscan_long(const uint8_t *p, uint32_t from, uint32_t end, uint32_t *out) {
        const uint8_t *stop = (const uint8_t *)memchr(p + from, 1, end - from);
        uint32_t i = from, tag = 0;
        if (!stop) return 0;
        for (; p[i] >= '0' && p[i] <= '9' && i - from < 4; i++) tag = tag * 10 + p[i] - '0';
        if (p[i] != '=' || tag == 0) return 0;
        end = (uint32_t)(stop - p) + 1;
        out[0] = tag; out[1] = i + 1; out[2] = end - i - 2;
        return end;
    }

    /* Eight (tag, offset, length) one behind the other. */
    FIELDSCAN_INLINE void fieldscan_store(uint32_t *out, __m256i tag, __m256i offset, __m256i length) {
        __m256i t = _mm256_permutevar8x32_epi32(tag, _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5));
        __m256i o = _mm256_permutevar8x32_epi32(offset, _mm256_setr_epi32(5, 0, 3, 6, 1, 4, 7, 2));
        __m256i l = _mm256_permutevar8x32_epi32(length, _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7));
        /* Every third place of each, beginning one further on in each of the three. */
        _mm256_storeu_si256((__m256i *)out, _mm256_blend_epi32(_mm256_blend_epi32(t, o, 0x92), l, 0x24));
        _mm256_storeu_si256((__m256i *)(out + 8), _mm256_blend_epi32(_mm256_blend_epi32(t, o, 0x24), l, 0x49));
        _mm256_storeu_si256((__m256i *)(out + 16), _mm256_blend_epi32(_mm256_blend_epi32(t, o, 0x49), l, 0x92));
    }

    /* Which bytes of the block at p[from] are SOH and '=', none at p[end] or behind. */
    FIELDSCAN_INLINE void fieldscan_masks(const uint8_t *p, uint32_t from, uint32_t end, uint64_t *soh, uint64_t *eq) {
        uint8_t copy[64];
        uint32_t left = end - from, back = left < 64 ? 64 - left : 0;
        const uint8_t *at = p + from - back;
        if (__builtin_expect(back > from, 0)) {
            memset(copy, 0, 64);
            memcpy(copy, p + from, left);
            at = copy;
            back = 0;
        }
        __m256i low = _mm256_loadu_si256((const __m256i *)at), high = _mm256_loadu_si256((const __m256i *)(at + 32));
        *soh = fieldscan_equal(low, high, 1) >> back;
        *eq = fieldscan_equal(low, high, '=') >> back;
    }

    /* Fields of p[from:end], which ends with SOH, as (tag, offset of the value, its length) at out, and the sum of the
       bytes; number of fields. p[:limit] can be read. -1: not all are plain, or more than `capacity` may be written.
       `suspects` has a bit for tags modulo 256; *suspect is set if a tag may be one of them.
       The fields that end within 64 bytes, up to 8 of them, then those within the 64 behind them, and so on. */
    __attribute__((target("avx2,bmi,bmi2,popcnt")))
    static int32_t fieldscan_run(const uint8_t *p, uint32_t from, uint32_t end, uint32_t limit, uint32_t *out,
                                 uint32_t capacity, const uint32_t *suspects, uint32_t *suspect, uint32_t *total) {
        const __m256i one = _mm256_set1_epi32(1), lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i nine = _mm256_set1_epi8(9), last = _mm256_set1_epi32((int32_t)limit - 4);
        const __m256i table = _mm256_loadu_si256((const __m256i *)suspects);
        __m256i bad = _mm256_setzero_si256(), hit = bad, most = bad;
        uint32_t count = 0, odd = 0, begin = from;
        /* Four bytes are read where a tag starts. */
        if (limit < end + 4 && (end - from < 4 || p[end - 4] == 1)) return -1;
        while (from < end) {
            uint64_t soh, eq, first, ends;
            fieldscan_masks(p, from, end, &soh, &eq);
            if (count + 8 > capacity) return -1;
            if (__builtin_expect(soh == 0, 0)) {
                from = fieldscan_long(p, from, end, out + 3 * count++);
                if (from == 0) return -1;
                *suspect = 1;                      /* its tag was compared with nothing */
                continue;
            }
            soh = _pdep_u64(0xFF, soh);            /* the first 8 */
            uint32_t ended = (uint32_t)_mm_popcnt_u64(soh), used = 64 - (uint32_t)__builtin_clzll(soh);
            /* The bit where a field starts, added to a run of bytes other than '=', carries into the '=' behind it. */
            eq = _bzhi_u64(eq, used);
            first = eq & (~eq + _bzhi_u64(soh << 1 | 1, used));
            odd |= ended ^ (uint32_t)_mm_popcnt_u64(first);
            ends = fieldscan_places(soh);
            __m256i live = _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)ended), lanes);
            __m256i base = _mm256_set1_epi32((int32_t)from);
            __m256i stop = fieldscan_lanes(ends), start = fieldscan_lanes((ends << 8) + 0x0101010101010100u);
            __m256i equal = fieldscan_lanes(fieldscan_places(first)), size = _mm256_sub_epi32(equal, start);
            __m256i text = _mm256_i32gather_epi32(
                (const int *)p, _mm256_min_epu32(_mm256_add_epi32(start, base), last), 1);
            text = _mm256_xor_si256(text, _mm256_set1_epi8('0'));
            text = _mm256_sllv_epi32(text, _mm256_sub_epi32(_mm256_set1_epi32(32), _mm256_slli_epi32(size, 3)));
            text = _mm256_and_si256(text, live);
            __m256i tag = _mm256_madd_epi16(_mm256_maddubs_epi16(text, _mm256_set1_epi32(0x010A010A)),
                                            _mm256_set1_epi32(0x00010064));
            __m256i offset = _mm256_add_epi32(equal, one), length = _mm256_sub_epi32(stop, offset);
            /* 1 to 4 digits, not 0, '=' in front of the end. */
            __m256i wrong = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_sub_epi32(size, one), _mm256_set1_epi32(3)),
                                            _mm256_or_si256(_mm256_cmpgt_epi32(one, tag), length));
            bad = _mm256_or_si256(bad, _mm256_and_si256(wrong, live));
            most = _mm256_max_epu8(most, text);
            hit = _mm256_or_si256(hit, _mm256_and_si256(live, _mm256_srlv_epi32(
                _mm256_permutevar8x32_epi32(table, _mm256_srli_epi32(tag, 5)),
                _mm256_and_si256(tag, _mm256_set1_epi32(31)))));
            fieldscan_store(out + 3 * count, tag, _mm256_add_epi32(offset, base), length);
            count += ended;
            from += used;
        }
        if (odd || _mm256_movemask_ps(_mm256_castsi256_ps(bad))
            || _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(most, nine), nine)) != -1) return -1;
        *total = fieldscan_sum(p, begin, end);
        *suspect |= !_mm256_testz_si256(hit, one);
        return (int32_t)count;
    }

    FIELDSCAN_INLINE_WIDER void fieldscan_store_wider(uint32_t *out, __m512i tag, __m512i offset, __m512i length) {
        /* Place by place: lane of tag, 16 + lane of offset; a third of the places is for length. */
        const __m512i a = _mm512_setr_epi32(0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
        const __m512i b = _mm512_setr_epi32(21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
        const __m512i c = _mm512_setr_epi32(0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
        const __m512i la = _mm512_setr_epi32(0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 4, 0);
        const __m512i lb = _mm512_setr_epi32(0, 5, 0, 0, 6, 0, 0, 7, 0, 0, 8, 0, 0, 9, 0, 0);
        const __m512i lc = _mm512_setr_epi32(10, 0, 0, 11, 0, 0, 12, 0, 0, 13, 0, 0, 14, 0, 0, 15);
        _mm512_storeu_si512(out, _mm512_mask_permutexvar_epi32(
            _mm512_permutex2var_epi32(tag, a, offset), 0x4924, la, length));
        _mm512_storeu_si512(out + 16, _mm512_mask_permutexvar_epi32(
            _mm512_permutex2var_epi32(tag, b, offset), 0x2492, lb, length));
        _mm512_storeu_si512(out + 32, _mm512_mask_permutexvar_epi32(
            _mm512_permutex2var_epi32(tag, c, offset), 0x9249, lc, length));
    }

    /* The same with AVX-512, up to 16 of them. */
    __attribute__((target(FIELDSCAN_WIDER)))
    static int32_t fieldscan_run_wider(const uint8_t *p, uint32_t from, uint32_t end, uint32_t *out, uint32_t capacity,
                                       const uint32_t *suspects, uint32_t *suspect, uint32_t *total) {
        static const uint8_t order[64] = {
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
            29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55,
            56, 57, 58, 59, 60, 61, 62, 63};
        const __m512i places = _mm512_loadu_si512(order), one = _mm512_set1_epi32(1), all = _mm512_set1_epi32(-1);
        const __m512i by_four = _mm512_and_si512(_mm512_srli_epi16(places, 2), _mm512_set1_epi8(15));
        const __m512i table = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)suspects));
        __m512i most = _mm512_setzero_si512(), hit = most, longest = most, shortest = one, lowest = one;
        uint32_t count = 0, odd = 0, begin = from;
        while (from < end) {
            uint32_t left = end - from;
            __m512i bytes = _mm512_maskz_loadu_epi8(_bzhi_u64(~(uint64_t)0, left < 64 ? left : 64), p + from);
            uint64_t soh = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(1));
            uint64_t eq = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('='));
            uint32_t ended = (uint32_t)_mm_popcnt_u64(soh), used = 64 - (uint32_t)__builtin_clzll(soh | 1);
            if (ended > 16 || count + 16 > capacity) return -1;
            if (soh == 0) {
                from = fieldscan_long(p, from, end, out + 3 * count++);
                if (from == 0) return -1;
                *suspect = 1;                      /* its tag was compared with nothing */
                continue;
            }
            /* The bit where a field starts, added to a run of bytes other than '=', carries into the '=' behind it. */
            uint64_t starts = _bzhi_u64(soh << 1 | 1, used), first;
            eq = _bzhi_u64(eq, used);
            first = eq & (~eq + starts);
            odd |= ended ^ (uint32_t)_mm_popcnt_u64(first);
            __mmask16 live = (__mmask16)_bzhi_u32(0xFFFF, ended);
            __m512i equals = _mm512_maskz_compress_epi8(first, places);
            __m512i start = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(_mm512_maskz_compress_epi8(starts, places)));
            __m512i stop = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(_mm512_maskz_compress_epi8(soh, places)));
            __m512i equal = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(equals));
            /* The four bytes in front of each '=', those in front of the field taken out. */
            __m512i text = _mm512_permutexvar_epi8(
                _mm512_sub_epi8(_mm512_permutexvar_epi8(by_four, equals), _mm512_set1_epi32(0x01020304)),
                _mm512_xor_si512(bytes, _mm512_set1_epi8('0')));
            __m512i size = _mm512_sub_epi32(equal, start);
            text = _mm512_and_si512(text, _mm512_maskz_sllv_epi32(live, all, _mm512_sub_epi32(
                _mm512_set1_epi32(32), _mm512_slli_epi32(size, 3))));
            most = _mm512_max_epu8(most, text);
            longest = _mm512_mask_max_epu32(longest, live, longest, size);
            __m512i tag = _mm512_madd_epi16(_mm512_maddubs_epi16(text, _mm512_set1_epi32(0x010A010A)),
                                            _mm512_set1_epi32(0x00010064));
            __m512i offset = _mm512_add_epi32(equal, one), length = _mm512_sub_epi32(stop, offset);
            shortest = _mm512_mask_min_epi32(shortest, live, shortest, length);
            lowest = _mm512_mask_min_epu32(lowest, live, lowest, tag);
            hit = _mm512_mask_or_epi32(hit, live, hit, _mm512_srlv_epi32(
                _mm512_permutexvar_epi32(_mm512_and_si512(_mm512_srli_epi32(tag, 5), _mm512_set1_epi32(7)), table),
                _mm512_and_si512(tag, _mm512_set1_epi32(31))));
            fieldscan_store_wider(out + 3 * count, tag, _mm512_add_epi32(offset, _mm512_set1_epi32((int32_t)from)),
                                  length);
            count += ended;
            from += used;
        }
        if (odd || _mm512_cmpgt_epu8_mask(most, _mm512_set1_epi8(9))
            || _mm512_cmplt_epi32_mask(shortest, _mm512_setzero_si512())
            || _mm512_cmpgt_epu32_mask(longest, _mm512_set1_epi32(4))
            || _mm512_cmpneq_epi32_mask(lowest, one)) return -1;
        *total = fieldscan_sum(p, begin, end);
        *suspect |= _mm512_test_epi32_mask(hit, one) != 0;
        return (int32_t)count;
    }
    #else
    static uint32_t fieldscan_supported(void) { return 0; }
    static int32_t fieldscan_run(const uint8_t *p, uint32_t from, uint32_t end, uint32_t limit, uint32_t *out,
                                 uint32_t capacity, const uint32_t *suspects, uint32_t *suspect, uint32_t *total) {
        return -1;
    }
    static int32_t fieldscan_run_wider(const uint8_t *p, uint32_t from, uint32_t end, uint32_t *out, uint32_t capacity,
                                       const uint32_t *suspects, uint32_t *suspect, uint32_t *total) {
        return -1;
    }
    #endif
    #endif
    """
    uint32_t fieldscan_supported()
    int32_t fieldscan_run(const uint8_t* p, uint32_t start, uint32_t end, uint32_t limit, uint32_t* out,
                          uint32_t capacity, const uint32_t* suspects, uint32_t* suspect, uint32_t* total)
    int32_t fieldscan_run_wider(const uint8_t* p, uint32_t start, uint32_t end, uint32_t* out, uint32_t capacity,
                                const uint32_t* suspects, uint32_t* suspect, uint32_t* total)
