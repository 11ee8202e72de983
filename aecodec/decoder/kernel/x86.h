/* The levels of x86: the same loops for each, compiled for its instructions. */

#define X86

#if defined(__clang__)
#define BEGIN_TARGET(features) \
    _Pragma(AS_TEXT(clang attribute push(__attribute__((target(features))), apply_to = function)))
#define END_TARGET _Pragma("clang attribute pop")
#else
#define BEGIN_TARGET(features) _Pragma("GCC push_options") _Pragma(AS_TEXT(GCC target(features)))
#define END_TARGET _Pragma("GCC pop_options")
#endif
#define AS_TEXT(words) #words

BEGIN_TARGET("sse4.1")
#define LEVEL sse41
#define LANES 4
#define ROWS 6
#define FEW_ROWS 2
#define BITS __m128i
#define MM_PREFIX _mm_
#include "vectors.h"
#include "loops.h"
#undef LEVEL
#undef LANES
#undef ROWS
#undef FEW_ROWS
#undef BITS
#undef MM_PREFIX
END_TARGET

#define VARIABLE_SHIFT

BEGIN_TARGET("avx2")
#define LEVEL avx2
#define LANES 8
#define ROWS 6
#define FEW_ROWS 2
#define BITS __m256i
#define MM_PREFIX _mm256_
#include "vectors.h"
#include "loops.h"
#undef LEVEL
#undef LANES
#undef ROWS
#undef FEW_ROWS
#undef BITS
#undef MM_PREFIX
END_TARGET

#define VNNI

/* Compilers before these do not know the instructions. */
#if (defined(__clang__) && __clang_major__ >= 13) || (!defined(__clang__) && __GNUC__ >= 12)
#define HAS_AVX_VNNI
BEGIN_TARGET("avx2,avxvnni")
#define LEVEL avx_vnni
#define LANES 8
#define ROWS 6
#define FEW_ROWS 2
#define BITS __m256i
#define MM_PREFIX _mm256_
#define DOT dpwssd_avx_epi32
#include "vectors.h"
#include "loops.h"
#undef LEVEL
#undef LANES
#undef ROWS
#undef FEW_ROWS
#undef BITS
#undef MM_PREFIX
#undef DOT
END_TARGET
#endif

#define DOT dpwssd_epi32

BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#define LEVEL avx512
#define LANES 16
#define ROWS 12
#define FEW_ROWS 4
#define BITS __m512i
#define MM_PREFIX _mm512_
#include "vectors.h"
#include "loops.h"
#undef LEVEL
#undef LANES
#undef ROWS
#undef FEW_ROWS
#undef BITS
#undef MM_PREFIX
END_TARGET
