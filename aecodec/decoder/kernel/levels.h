/* Which instruction levels there are on this machine. */

#ifndef AEC_LEVELS_H
#define AEC_LEVELS_H

#include "common.h"

/* The loops of a level; NULL if it was not compiled, or if the processor or the system lacks it. */
static const operations *operations_of(int32_t level)
{
    switch (level) {
#if defined(__wasm_simd128__)
    case AEC_SIMD128:
        return &operations_simd128;
#else
    case AEC_PLAIN:
        return &operations_plain;
#endif
#if defined(ON_X86)
    case AEC_SSE41:
        return __builtin_cpu_supports("sse4.1") ? &operations_sse41 : NULL;
    case AEC_AVX2:
        return __builtin_cpu_supports("avx2") ? &operations_avx2 : NULL;
    case AEC_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512vnni")
                   ? &operations_avx512
                   : NULL;
#endif
    default:
        return NULL;
    }
}

static int32_t fastest_level(void)
{
    int32_t level = AEC_LEVELS - 1;
    while (!operations_of(level))
        level--;
    return level;
}

#endif
