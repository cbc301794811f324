"""The index of a run of plain fields, eight at a time (AVX2, where the processor has it).

One pass makes, for 64 bytes at once, a mask of field ends and one of the '=' behind each tag, turns both into positions
without a branch that depends on the data, and sums the bytes up; the next reads eight tags per step. A run that is not
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
    #define FIELDSCAN_RUN_BYTES 2048
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

    /* Positions of the bits set in mask, plus base; at least 8 places are written. */
    FIELDSCAN_INLINE uint32_t fieldscan_positions(uint32_t *at, uint32_t base, uint64_t mask) {
        uint32_t i, n = (uint32_t)_mm_popcnt_u64(mask);
        for (i = 0; i < 8; i++) { at[i] = base + (uint32_t)_tzcnt_u64(mask); mask = _blsr_u64(mask); }
        if (__builtin_expect(n > 8, 0))
            for (; i < n; i++) { at[i] = base + (uint32_t)_tzcnt_u64(mask); mask = _blsr_u64(mask); }
        return n;
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

    /* Ends of fields and the first '=' of each, as positions in p[from:end], the sum of which is added to *total.
       Number of ends; 0: the two do not pair up. */
    FIELDSCAN_INLINE uint32_t fieldscan_mark(const uint8_t *p, uint32_t from, uint32_t end, uint32_t *ends,
                                             uint32_t *equals, uint32_t *total) {
        uint8_t copy[64];
        uint32_t block, n = 0, m = 0;
        uint64_t starts = 1;                       /* bit 0: the first byte of the next block starts a field */
        unsigned char carry = 0;                   /* a tag goes on in the next block */
        __m256i sum = _mm256_setzero_si256();
        for (block = from; block < end; block += 64) {
            const uint8_t *at = p + block;
            uint32_t left = end - block, back = 0;
            if (left < 64 && end - from >= 64) {
                back = 64 - left;                  /* the last 64 bytes, without those that were seen */
            } else if (left < 64) {
                memset(copy, 0, 64);
                memcpy(copy, at, left);
                at = copy;
            }
            const __m256i *seen = (const __m256i *)(fieldscan_slide + 64 - back);
            __m256i low = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(at - back)),
                                           _mm256_loadu_si256(seen));
            __m256i high = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(at - back + 32)),
                                            _mm256_loadu_si256(seen + 1));
            uint64_t soh = fieldscan_equal(low, high, 1) >> back;
            uint64_t eq = fieldscan_equal(low, high, '=') >> back;
            unsigned long long reached;
            /* The bit where a field starts, added to a run of bytes other than '=', carries into the '=' behind it. */
            carry = _addcarry_u64(carry, ~eq, soh << 1 | starts, &reached);
            starts = soh >> 63;
            n += fieldscan_positions(ends + n, block, soh);
            m += fieldscan_positions(equals + m, block, eq & reached);
            sum = _mm256_add_epi64(sum, _mm256_add_epi64(_mm256_sad_epu8(low, _mm256_setzero_si256()),
                                                         _mm256_sad_epu8(high, _mm256_setzero_si256())));
        }
        __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        *total += (uint32_t)_mm_cvtsi128_si32(half) + (uint32_t)_mm_extract_epi32(half, 2);
        return n == m ? n : 0;
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

    /* Fields of p[from:end], which ends with SOH and is at most FIELDSCAN_RUN_BYTES long, as (tag, offset of the value,
       its length) at out; their number. p[:limit] can be read. -1: not all are plain, or more than `capacity` may be
       written. `suspects` has a bit for tags modulo 256; *suspect is set if a tag hits one. */
    __attribute__((target("avx2,bmi,bmi2,popcnt")))
    static int32_t fieldscan_run(const uint8_t *p, uint32_t from, uint32_t end, uint32_t limit, uint32_t *out,
                                 uint32_t capacity, const uint32_t *suspects, uint32_t *suspect, uint32_t *total) {
        uint32_t ends_room[FIELDSCAN_RUN_BYTES + 24], equals[FIELDSCAN_RUN_BYTES + 16], *ends = ends_room + 8;
        ends[-1] = from - 1;
        uint32_t k, count = fieldscan_mark(p, from, end, ends, equals, total);
        const __m256i one = _mm256_set1_epi32(1), lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i table = _mm256_loadu_si256((const __m256i *)suspects);
        __m256i bad = _mm256_setzero_si256(), hit = bad, digits = bad;
        if (count == 0 || ((count + 7) & ~7u) > capacity || ends[(int32_t)count - 2] + 5 > limit) return -1;
        const __m256i last = _mm256_set1_epi32((int32_t)limit - 4);
        for (k = 0; k < count; k += 8) {
            __m256i live = _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)(count - k)), lanes);
            __m256i start = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(ends + k - 1)), one);
            __m256i stop = _mm256_loadu_si256((const __m256i *)(ends + k));
            __m256i eq = _mm256_loadu_si256((const __m256i *)(equals + k));
            __m256i size = _mm256_sub_epi32(eq, start);
            __m256i text = _mm256_i32gather_epi32((const int *)p, _mm256_min_epu32(start, last), 1);
            text = _mm256_xor_si256(text, _mm256_set1_epi8('0'));
            text = _mm256_sllv_epi32(text, _mm256_sub_epi32(_mm256_set1_epi32(32), _mm256_slli_epi32(size, 3)));
            text = _mm256_and_si256(text, live);
            __m256i tag = _mm256_madd_epi16(_mm256_maddubs_epi16(text, _mm256_set1_epi32(0x010A010A)),
                                            _mm256_set1_epi32(0x00010064));
            __m256i offset = _mm256_add_epi32(eq, one), length = _mm256_sub_epi32(stop, offset);
            /* 1 to 4 digits, not 0, '=' in front of the end. */
            __m256i wrong = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_sub_epi32(size, one), _mm256_set1_epi32(3)),
                                            _mm256_or_si256(_mm256_cmpgt_epi32(one, tag), length));
            bad = _mm256_or_si256(bad, _mm256_and_si256(wrong, live));
            digits = _mm256_max_epu8(digits, text);
            hit = _mm256_or_si256(hit, _mm256_and_si256(live, _mm256_srlv_epi32(
                _mm256_permutevar8x32_epi32(table, _mm256_srli_epi32(tag, 5)),
                _mm256_and_si256(tag, _mm256_set1_epi32(31)))));
            fieldscan_store(out + 3 * k, tag, offset, length);
        }
        const __m256i nine = _mm256_set1_epi8(9);
        if (_mm256_movemask_ps(_mm256_castsi256_ps(bad))
            || _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(digits, nine), nine)) != -1) return -1;
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

    FIELDSCAN_INLINE_WIDER uint64_t fieldscan_sum_wider(__m512i bytes) {
        return (uint64_t)_mm512_reduce_add_epi64(_mm512_sad_epu8(bytes, _mm512_setzero_si512()));
    }

    /* One field that is longer than a block. Its end, 0: it is not plain. */
    __attribute__((noinline, target(FIELDSCAN_WIDER)))
    static uint32_t fieldscan_long(const uint8_t *p, uint32_t from, uint32_t end, uint32_t *out, uint32_t *total) {
        const uint8_t *stop = (const uint8_t *)memchr(p + from, 1, end - from);
        uint32_t i = from, tag = 0, left;
        if (!stop) return 0;
        for (; p[i] >= '0' && p[i] <= '9' && i - from < 4; i++) tag = tag * 10 + p[i] - '0';
        if (p[i] != '=' || tag == 0) return 0;
        end = (uint32_t)(stop - p) + 1;
        out[0] = tag; out[1] = i + 1; out[2] = end - i - 2;
        for (i = from; i < end; i += 64) {
            left = end - i;
            *total += (uint32_t)fieldscan_sum_wider(
                _mm512_maskz_loadu_epi8(_bzhi_u64(~(uint64_t)0, left < 64 ? left : 64), p + i));
        }
        return end;
    }

    /* The same with AVX-512: the fields that end within 64 bytes, then those within the 64 behind them, and so on.
       A run of any length. */
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
        __m512i sum = _mm512_setzero_si512(), most = sum, hit = sum, longest = sum, shortest = one, lowest = one;
        uint32_t count = 0, odd = 0;
        while (from < end) {
            uint32_t left = end - from;
            __m512i bytes = _mm512_maskz_loadu_epi8(_bzhi_u64(~(uint64_t)0, left < 64 ? left : 64), p + from);
            uint64_t soh = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(1));
            uint64_t eq = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('='));
            uint32_t ended = (uint32_t)_mm_popcnt_u64(soh), used = 64 - (uint32_t)__builtin_clzll(soh | 1);
            if (ended > 16 || count + 16 > capacity) return -1;
            if (soh == 0) {
                from = fieldscan_long(p, from, end, out + 3 * count++, total);
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
            sum = _mm512_add_epi64(sum, _mm512_sad_epu8(
                _mm512_maskz_mov_epi8(_bzhi_u64(~(uint64_t)0, used), bytes), _mm512_setzero_si512()));
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
        *total += (uint32_t)_mm512_reduce_add_epi64(sum);
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
    int FIELDSCAN_RUN_BYTES
    uint32_t fieldscan_supported()
    int32_t fieldscan_run(const uint8_t* p, uint32_t start, uint32_t end, uint32_t limit, uint32_t* out,
                          uint32_t capacity, const uint32_t* suspects, uint32_t* suspect, uint32_t* total)
    int32_t fieldscan_run_wider(const uint8_t* p, uint32_t start, uint32_t end, uint32_t* out, uint32_t capacity,
                                const uint32_t* suspects, uint32_t* suspect, uint32_t* total)
