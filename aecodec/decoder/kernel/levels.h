/* Which instruction levels there are on this machine. */

#ifndef AEC_LEVELS_H
#define AEC_LEVELS_H

#include "common.h"

#if defined(HAS_AVX_VNNI)
#include <cpuid.h>

/* Compilers know the instructions, but not all of them this question. */
static bool has_avx_vnni(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

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
#if defined(__aarch64__)
    case AEC_NEON:
        return &operations_neon;
#endif
#if defined(ON_X86)
    case AEC_SSE41:
        return __builtin_cpu_supports("sse4.1") ? &operations_sse41 : NULL;
    case AEC_AVX2:
        return __builtin_cpu_supports("avx2") ? &operations_avx2 : NULL;
#if defined(HAS_AVX_VNNI)
    case AEC_AVX_VNNI:
        return __builtin_cpu_supports("avx2") && has_avx_vnni() ? &operations_avx_vnni : NULL;
#endif
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
