/* What all parts of the kernel share: memory, integers, layers as they are packed. */

#ifndef AEC_COMMON_H
#define AEC_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

#if defined(__wasm__)
#define memcpy __builtin_memcpy
#define memset __builtin_memset
#else
#include <string.h>
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernel reads weights and words as they stand in files, little-endian"
#endif

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define APART static __attribute__((noinline))

/* Outputs whose weights stand side by side, for each pair of inputs. */
enum { PANEL = 16 };
/* Widths of activations in memory are multiples of this, which every level can store whole. */
enum { WIDE = 32 };

enum { PASSES = 4, PASS_WEIGHTS = 3, LEVEL_COUNT = 64, QUALITIES = 401, KNOTS = 8 };
enum { ACTIVATION_LOW = -512, ACTIVATION_HIGH = 511 }; /* of the prior */
enum { INPUT_LOW = -1024, INPUT_HIGH = 1023 };         /* of convolutions of the synthesis */
enum { STREAM_LOW = -(1 << 22), STREAM_HIGH = (1 << 22) - 1 };
enum { PATCH = 8, PATCH_PIXELS = 64, COLOURS = 3 };
/* A number of the stream is 4096 * high + low, both of which fit products of 16 bits. */
enum { SPLIT_BITS = 12, SPLIT = 1 << SPLIT_BITS };

/* A 1x1 convolution. Weights: (outputs / PANEL, inputs / 2, PANEL, 2). */
typedef struct {
    int32_t inputs;  /* even */
    int32_t outputs; /* a multiple of WIDE; those beyond the model's are 0 */
    int16_t *weights;
    int32_t *bias;
    int32_t *shift;
} linear;

/* A depthwise convolution, of `side` by `side` taps. Channels stand in the order of the level's
   unpacking; weights: (channels / 2 lanes, pairs of taps, 2 lanes, 2), bias and shift alike. */
typedef struct {
    int32_t side;
    int32_t channels; /* a multiple of WIDE */
    int16_t *weights;
    int32_t *bias;
    int32_t *shift;
} depthwise;

/* How the inputs of a layer are made of larger numbers: (v + half) >> shift. */
typedef struct {
    int32_t *half;
    int32_t *shift;
} reading;

/* The activation after a layer, section 11.5, as the next layer reads it. */
typedef struct {
    int32_t limit;
    int32_t knee;
    reading read;
} hswish;

/* A linear layer of numbers that need two parts, v = high * 2^bits + low. Its sums are
   over * 2^bits + rest, with rest in [0, 2^bits - 1]. */
typedef struct {
    linear layer; /* its bias and shift are not used */
    int32_t bits;
    int32_t *high, *low; /* the bias, in the same parts */
    /* How sums become numbers of the stream: (clip(over) * factor + (rest >> small)) >> large,
       with `most` as the limit; NULL for the exit. */
    int32_t *most, *factor, *small, *large;
} wide;

/* Inputs of a linear layer: `places` vectors of it, `step` elements from one to the next. */
typedef struct {
    const int16_t *data;
    ptrdiff_t step;
} inputs;

/* The innermost loops, once for each instruction level. Steps are in elements. */
typedef struct {
    int32_t lanes;
    void (*activate)(const linear *layer, const hswish *after, inputs in, int32_t places,
                     int16_t *out, ptrdiff_t step);
    void (*add_to_stream)(const linear *layer, inputs in, int32_t places, int32_t *stream);
    void (*clip)(const linear *layer, inputs in, int32_t places, int32_t low, int16_t *out,
                 ptrdiff_t step);
    void (*clip_two)(const linear *layer, inputs in, const linear *other, inputs more,
                     int32_t places, int16_t *out, ptrdiff_t step);
    void (*add_clipped)(const linear *layer, inputs in, int32_t places, int16_t *out);
    void (*raw)(const linear *layer, inputs in, int32_t places, int32_t *out);
    void (*add_raw)(const linear *layer, inputs in, int32_t places, int32_t *out);
    void (*to_stream)(const wide *layer, inputs high, inputs low, int32_t places, int32_t *out,
                      ptrdiff_t step);
    void (*sums)(const wide *layer, inputs high, inputs low, int32_t places, int64_t *out);
    void (*bytes)(const wide *layer, int32_t shift, inputs high, inputs low, int32_t places,
                  uint8_t *out);
    void (*depthwise_row)(const depthwise *layer, const int16_t *padded, ptrdiff_t row,
                          int32_t places, int32_t low, int32_t high, int16_t *out);
    void (*read_stream)(const reading *read, const int32_t *stream, int32_t places, int32_t width,
                        int16_t *out);
    void (*scale)(const double *gains, int32_t places, int32_t width, int32_t *stream);
    void (*split)(const int32_t *stream, size_t count, int16_t *high, int16_t *low);
} operations;

INLINE int32_t clip32(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

INLINE int64_t clip64(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

INLINE int32_t up_to(int32_t n, int32_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

#endif
