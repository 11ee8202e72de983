/* Vectors of one instruction level; included once for each, with LEVEL, LANES, ROWS, FEW_ROWS and
   the family X86, WASM, NEON or none of them defined.

   A `vector` is LANES numbers of 32 bits, or twice as many of 16 bits where its use says so. */

#define JOIN_(name, level) name##_##level
#define JOIN(name, level) JOIN_(name, level)
#define NAME(name) JOIN(name, LEVEL)

typedef int32_t NAME(vector) __attribute__((vector_size(4 * LANES), aligned(2), may_alias));
typedef uint32_t NAME(unsigned_vector) __attribute__((vector_size(4 * LANES), aligned(2)));
typedef int16_t NAME(shorts) __attribute__((vector_size(4 * LANES), aligned(2), may_alias));
#define vector NAME(vector)
#define WIDTH (2 * LANES)

INLINE vector NAME(load)(const void *place)
{
    return *(const vector *)place;
}

INLINE void NAME(store)(void *place, vector v)
{
    *(vector *)place = v;
}

INLINE vector NAME(all)(int32_t value)
{
    return value - (vector){0};
}

/* Two numbers of 16 bits in every lane. */
INLINE vector NAME(pair)(const int16_t *place)
{
#if defined(WASM)
    return (vector)wasm_v128_load32_splat(place);
#else
    int32_t both;
    memcpy(&both, place, sizeof both);
    return NAME(all)(both);
#endif
}

#if defined(X86)

#define OF_(prefix, name) prefix##name
#define OF(prefix, name) OF_(prefix, name)
#define MM(name) OF(MM_PREFIX, name)

/* a[0] * b[0] + a[1] * b[1] of the pairs in each lane. */
INLINE vector NAME(product)(vector a, vector b)
{
    return (vector)MM(madd_epi16)((BITS)a, (BITS)b);
}

INLINE vector NAME(dot)(vector sum, vector a, vector b)
{
#if defined(VNNI)
    return (vector)MM(DOT)((BITS)sum, (BITS)a, (BITS)b);
#else
    return sum + NAME(product)(a, b);
#endif
}

INLINE vector NAME(clamp)(vector v, vector low, vector high)
{
    return (vector)MM(min_epi32)(MM(max_epi32)((BITS)v, (BITS)low), (BITS)high);
}

/* v >> by in each lane, for |v| <= 2^24: what section 15.5 grants. */
INLINE vector NAME(shift)(vector v, vector by)
{
#ifdef VARIABLE_SHIFT
    return (vector)MM(srav_epi32)((BITS)v, (BITS)by);
#else
    __m128 power =
        (__m128)((NAME(all)(127) - by) << 23); /* 2^-by, and products with it are exact */
    return (vector)_mm_cvttps_epi32(_mm_floor_ps(_mm_mul_ps(_mm_cvtepi32_ps((BITS)v), power)));
#endif
}

/* Numbers of 16 bits of a and b in turns; low and high groups of four, in every 128 bits. */
INLINE vector NAME(low_pairs)(vector a, vector b)
{
    return (vector)MM(unpacklo_epi16)((BITS)a, (BITS)b);
}

INLINE vector NAME(high_pairs)(vector a, vector b)
{
    return (vector)MM(unpackhi_epi16)((BITS)a, (BITS)b);
}

/* Both to saturated 16 bits, where `low_pairs` and `high_pairs` had their order from. */
INLINE vector NAME(repacked)(vector low, vector high)
{
    return (vector)MM(packs_epi32)((BITS)low, (BITS)high);
}

/* Both to saturated 16 bits, one after the other. */
INLINE vector NAME(packed)(vector first, vector second)
{
#if LANES == 16
    BITS order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    return (vector)_mm512_permutexvar_epi64(order, (BITS)NAME(repacked)(first, second));
#elif LANES == 8
    return (vector)_mm256_permute4x64_epi64((BITS)NAME(repacked)(first, second), 0xD8);
#else
    return NAME(repacked)(first, second);
#endif
}

INLINE vector NAME(clamp16)(vector v, int32_t low, int32_t high)
{
    BITS least = MM(set1_epi16)((int16_t)low), most = MM(set1_epi16)((int16_t)high);
    return (vector)MM(min_epi16)(MM(max_epi16)((BITS)v, least), most);
}

#elif defined(WASM)

INLINE vector NAME(product)(vector a, vector b)
{
    return (vector)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
}

INLINE vector NAME(dot)(vector sum, vector a, vector b)
{
    return sum + NAME(product)(a, b);
}

INLINE vector NAME(clamp)(vector v, vector low, vector high)
{
    return (vector)wasm_i32x4_min(wasm_i32x4_max((v128_t)v, (v128_t)low), (v128_t)high);
}

INLINE vector NAME(shift)(vector v, vector by)
{
    v128_t power = (v128_t)((NAME(all)(127) - by) << 23);
    v128_t quotient = wasm_f32x4_mul(wasm_f32x4_convert_i32x4((v128_t)v), power);
    return (vector)wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_floor(quotient));
}

INLINE vector NAME(low_pairs)(vector a, vector b)
{
    return (vector)wasm_i16x8_shuffle((v128_t)a, (v128_t)b, 0, 8, 1, 9, 2, 10, 3, 11);
}

INLINE vector NAME(high_pairs)(vector a, vector b)
{
    return (vector)wasm_i16x8_shuffle((v128_t)a, (v128_t)b, 4, 12, 5, 13, 6, 14, 7, 15);
}

INLINE vector NAME(repacked)(vector low, vector high)
{
    return (vector)wasm_i16x8_narrow_i32x4((v128_t)low, (v128_t)high);
}

INLINE vector NAME(packed)(vector first, vector second)
{
    return NAME(repacked)(first, second);
}

INLINE vector NAME(clamp16)(vector v, int32_t low, int32_t high)
{
    v128_t least = wasm_i16x8_splat((int16_t)low), most = wasm_i16x8_splat((int16_t)high);
    return (vector)wasm_i16x8_min(wasm_i16x8_max((v128_t)v, least), most);
}

#elif defined(NEON)

INLINE vector NAME(product)(vector a, vector b)
{
    int32x4_t low = vmull_s16(vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b));
    return (vector)vpaddq_s32(low, vmull_high_s16((int16x8_t)a, (int16x8_t)b));
}

INLINE vector NAME(dot)(vector sum, vector a, vector b)
{
    return sum + NAME(product)(a, b);
}

INLINE vector NAME(clamp)(vector v, vector low, vector high)
{
    return (vector)vminq_s32(vmaxq_s32((int32x4_t)v, (int32x4_t)low), (int32x4_t)high);
}

INLINE vector NAME(shift)(vector v, vector by)
{
    return (vector)vshlq_s32((int32x4_t)v, (int32x4_t)-by);
}

INLINE vector NAME(low_pairs)(vector a, vector b)
{
    return (vector)vzip1q_s16((int16x8_t)a, (int16x8_t)b);
}

INLINE vector NAME(high_pairs)(vector a, vector b)
{
    return (vector)vzip2q_s16((int16x8_t)a, (int16x8_t)b);
}

INLINE vector NAME(repacked)(vector low, vector high)
{
    return (vector)vcombine_s16(vqmovn_s32((int32x4_t)low), vqmovn_s32((int32x4_t)high));
}

INLINE vector NAME(packed)(vector first, vector second)
{
    return NAME(repacked)(first, second);
}

INLINE vector NAME(clamp16)(vector v, int32_t low, int32_t high)
{
    int16x8_t least = vdupq_n_s16((int16_t)low), most = vdupq_n_s16((int16_t)high);
    return (vector)vminq_s16(vmaxq_s16((int16x8_t)v, least), most);
}

#else /* whatever the compiler makes of it */

INLINE vector NAME(product)(vector a, vector b)
{
    vector low_a = (vector)((NAME(unsigned_vector))a << 16) >> 16;
    vector low_b = (vector)((NAME(unsigned_vector))b << 16) >> 16;
    return low_a * low_b + (a >> 16) * (b >> 16);
}

INLINE vector NAME(dot)(vector sum, vector a, vector b)
{
    return sum + NAME(product)(a, b);
}

INLINE vector NAME(clamp)(vector v, vector low, vector high)
{
    vector below = v < low;
    v = (low & below) | (v & ~below);
    vector above = v > high;
    return (high & above) | (v & ~above);
}

INLINE vector NAME(shift)(vector v, vector by)
{
    return v >> by;
}

INLINE vector NAME(low_pairs)(vector a, vector b)
{
    NAME(shorts) x = (NAME(shorts))a, y = (NAME(shorts))b;
    return (vector)(NAME(shorts)){x[0], y[0], x[1], y[1], x[2], y[2], x[3], y[3]};
}

INLINE vector NAME(high_pairs)(vector a, vector b)
{
    NAME(shorts) x = (NAME(shorts))a, y = (NAME(shorts))b;
    return (vector)(NAME(shorts)){x[4], y[4], x[5], y[5], x[6], y[6], x[7], y[7]};
}

INLINE vector NAME(repacked)(vector low, vector high)
{
    vector least = NAME(all)(INT16_MIN), most = NAME(all)(INT16_MAX);
    vector a = NAME(clamp)(low, least, most), b = NAME(clamp)(high, least, most);
    return (vector)(NAME(shorts)){(int16_t)a[0], (int16_t)a[1], (int16_t)a[2], (int16_t)a[3],
                                  (int16_t)b[0], (int16_t)b[1], (int16_t)b[2], (int16_t)b[3]};
}

INLINE vector NAME(packed)(vector first, vector second)
{
    return NAME(repacked)(first, second);
}

INLINE vector NAME(clamp16)(vector v, int32_t low, int32_t high)
{
    NAME(shorts) x = (NAME(shorts))v, least = (int16_t)low - (NAME(shorts)){0};
    NAME(shorts) most = (int16_t)high - (NAME(shorts)){0};
    NAME(shorts) below = x < least;
    x = (least & below) | (x & ~below);
    NAME(shorts) above = x > most;
    return (vector)((most & above) | (x & ~above));
}

#endif
