/* The innermost loops of one instruction level, of linear layers; included after vectors.h. */

typedef struct {
    vector of[ROWS][2];
} NAME(block);

#if defined(NEON)

/* Adds the products of `count` places with WIDTH outputs, whose weights begin at `left`. Products
   with one lane need no sums across lanes. */
INLINE void NAME(multiply)(NAME(block) * sums, inputs in, const int16_t *left, const int16_t *right,
                           int32_t width, int count)
{
    const int16_t *place = in.data;
    (void)right; /* is what follows */
    for (int32_t i = 0; i < width; i += 2, place += 2, left += 2 * PANEL) {
        int16x8x2_t of = vld2q_s16(left); /* those of the first input, then of the second */
        UNROLL
        for (int r = 0; r < count; r++) {
            int16x4_t both = vget_low_s16((int16x8_t)NAME(pair)(place + r * in.step));
            int32x4_t first = (int32x4_t)sums->of[r][0], second = (int32x4_t)sums->of[r][1];
            first = vmlal_lane_s16(first, vget_low_s16(of.val[0]), both, 0);
            second = vmlal_high_lane_s16(second, of.val[0], both, 0);
            sums->of[r][0] = (vector)vmlal_lane_s16(first, vget_low_s16(of.val[1]), both, 1);
            sums->of[r][1] = (vector)vmlal_high_lane_s16(second, of.val[1], both, 1);
        }
    }
}

#else

/* Adds the products of `count` places with WIDTH outputs, whose weights begin at two panels. */
INLINE void NAME(multiply)(NAME(block) * sums, inputs in, const int16_t *left, const int16_t *right,
                           int32_t width, int count)
{
    const int16_t *place = in.data;
    for (int32_t i = 0; i < width; i += 2, place += 2, left += 2 * PANEL, right += 2 * PANEL) {
        vector first = NAME(load)(left), second = NAME(load)(right);
        UNROLL
        for (int r = 0; r < count; r++) {
            vector both = NAME(pair)(place + r * in.step);
            sums->of[r][0] = NAME(dot)(sums->of[r][0], both, first);
            sums->of[r][1] = NAME(dot)(sums->of[r][1], both, second);
        }
    }
}

#endif

/* The weights of LANES outputs from number n on. */
INLINE const int16_t *NAME(weights)(const linear *layer, int32_t n)
{
    return layer->weights + (ptrdiff_t)(n / PANEL) * layer->inputs * PANEL + n % PANEL * 2;
}

INLINE void NAME(multiply_layer)(NAME(block) * sums, const linear *layer, inputs in, int32_t n,
                                 int count)
{
    NAME(multiply)(sums, in, NAME(weights)(layer, n), NAME(weights)(layer, n + LANES),
                   layer->inputs, count);
}

INLINE void NAME(begin)(NAME(block) * sums, const int32_t *first, int32_t n, int count)
{
    UNROLL
    for (int r = 0; r < count; r++) {
        sums->of[r][0] = NAME(load)(first + n);
        sums->of[r][1] = NAME(load)(first + n + LANES);
    }
}

INLINE void NAME(shift_block)(NAME(block) * sums, const int32_t *shift, int32_t n, int count)
{
    vector left = NAME(load)(shift + n), right = NAME(load)(shift + n + LANES);
    UNROLL
    for (int r = 0; r < count; r++) {
        sums->of[r][0] = NAME(shift)(sums->of[r][0], left);
        sums->of[r][1] = NAME(shift)(sums->of[r][1], right);
    }
}

/* What a convolution gives before it is clipped, of `count` places. */
INLINE void NAME(convolve)(NAME(block) * sums, const linear *layer, inputs in, int32_t n, int count)
{
    NAME(begin)(sums, layer->bias, n, count);
    NAME(multiply_layer)(sums, layer, in, n, count);
    NAME(shift_block)(sums, layer->shift, n, count);
}

INLINE inputs NAME(from)(inputs in, int32_t place)
{
    return (inputs){in.data + place * in.step, in.step};
}

/* Does `call` for all outputs n and places p, `count` places at a time, which is a constant. */
#define FOR_BLOCKS(outputs, places, call)                                 \
    for (int32_t n = 0; n < (outputs); n += WIDTH) {                      \
        int32_t p = 0;                                                    \
        for (; p + ROWS <= (places); p += ROWS) {                         \
            enum { count = ROWS };                                        \
            call;                                                         \
        }                                                                 \
        for (; FEW_ROWS > 1 && p + FEW_ROWS <= (places); p += FEW_ROWS) { \
            enum { count = FEW_ROWS };                                    \
            call;                                                         \
        }                                                                 \
        for (; p < (places); p++) {                                       \
            enum { count = 1 };                                           \
            call;                                                         \
        }                                                                 \
    }

INLINE void NAME(activate_block)(const linear *layer, const hswish *after, inputs in, int16_t *out,
                                 ptrdiff_t step, int32_t n, int32_t p, int count)
{
    const reading *read = &after->read;
    vector low = NAME(all)(-after->limit), high = NAME(all)(after->limit - 1);
    vector knee = NAME(all)(after->knee), below = NAME(all)(-after->knee);
    vector half = NAME(all)(0xFFFF);
    NAME(block) sums;
    NAME(convolve)(&sums, layer, NAME(from)(in, p), n, count);
    UNROLL
    for (int r = 0; r < count; r++) {
        vector read_as[2];
        for (int side = 0; side < 2; side++) {
            vector u = NAME(clamp)(sums.of[r][side], low, high);
            vector slope = NAME(clamp)(u, below, knee) + knee;
            /* both fit 16 bits, and the slope's other half is 0 */
            vector v = NAME(product)(u & half, slope);
            v += NAME(load)(read->half + n + side * LANES);
            read_as[side] = NAME(shift)(v, NAME(load)(read->shift + n + side * LANES));
        }
        vector both = NAME(packed)(read_as[0], read_as[1]);
        NAME(store)(out + (p + r) * step + n, NAME(clamp16)(both, INPUT_LOW, INPUT_HIGH));
    }
}

APART void NAME(activate)(const linear *layer, const hswish *after, inputs in, int32_t places,
                          int16_t *out, ptrdiff_t step){
    FOR_BLOCKS(layer -> outputs, places,
               NAME(activate_block)(layer, after, in, out, step, n, p, count))}

INLINE void NAME(add_to_stream_block)(const linear *layer, inputs in, int32_t *stream, int32_t n,
                                      int32_t p, int count)
{
    vector low = NAME(all)(STREAM_LOW), high = NAME(all)(STREAM_HIGH);
    NAME(block) sums;
    NAME(convolve)(&sums, layer, NAME(from)(in, p), n, count);
    UNROLL
    for (int r = 0; r < count; r++) {
        for (int side = 0; side < 2; side++) {
            int32_t *at = stream + (ptrdiff_t)(p + r) * layer->outputs + n + side * LANES;
            NAME(store)(at, NAME(clamp)(NAME(load)(at) + sums.of[r][side], low, high));
        }
    }
}

APART void NAME(add_to_stream)(const linear *layer, inputs in, int32_t places, int32_t *stream){
    FOR_BLOCKS(layer -> outputs, places, NAME(add_to_stream_block)(layer, in, stream, n, p, count))}

INLINE void NAME(clip_block)(const linear *layer, inputs in, int32_t low, int16_t *out,
                             ptrdiff_t step, int32_t n, int32_t p, int count)
{
    NAME(block) sums;
    NAME(convolve)(&sums, layer, NAME(from)(in, p), n, count);
    UNROLL
    for (int r = 0; r < count; r++) {
        vector both = NAME(packed)(sums.of[r][0], sums.of[r][1]);
        NAME(store)(out + (p + r) * step + n, NAME(clamp16)(both, low, ACTIVATION_HIGH));
    }
}

APART void NAME(clip)(const linear *layer, inputs in, int32_t places, int32_t low, int16_t *out,
                      ptrdiff_t step){
    FOR_BLOCKS(layer -> outputs, places, NAME(clip_block)(layer, in, low, out, step, n, p, count))}

INLINE void NAME(clip_two_block)(const linear *layer, inputs in, const linear *other, inputs more,
                                 int16_t *out, ptrdiff_t step, int32_t n, int32_t p, int count)
{
    NAME(block) sums;
    NAME(begin)(&sums, layer->bias, n, count);
    NAME(multiply_layer)(&sums, layer, NAME(from)(in, p), n, count);
    NAME(multiply_layer)(&sums, other, NAME(from)(more, p), n, count);
    NAME(shift_block)(&sums, layer->shift, n, count);
    UNROLL
    for (int r = 0; r < count; r++) {
        vector both = NAME(packed)(sums.of[r][0], sums.of[r][1]);
        both = NAME(clamp16)(both, ACTIVATION_LOW, ACTIVATION_HIGH);
        NAME(store)(out + (p + r) * step + n, both);
    }
}

APART void NAME(clip_two)(const linear *layer, inputs in, const linear *other, inputs more,
                          int32_t places, int16_t *out, ptrdiff_t step){
    FOR_BLOCKS(layer -> outputs, places,
               NAME(clip_two_block)(layer, in, other, more, out, step, n, p, count))}

INLINE void NAME(add_clipped_block)(const linear *layer, inputs in, int16_t *out, int32_t n,
                                    int32_t p, int count)
{
    NAME(block) sums;
    NAME(convolve)(&sums, layer, NAME(from)(in, p), n, count);
    UNROLL
    for (int r = 0; r < count; r++) {
        int16_t *at = out + (ptrdiff_t)(p + r) * layer->outputs + n;
        vector both = NAME(packed)(sums.of[r][0], sums.of[r][1]);
        both = NAME(clamp16)(both, ACTIVATION_LOW, ACTIVATION_HIGH);
        both = (vector)((NAME(shorts))both + (NAME(shorts))NAME(load)(at));
        NAME(store)(at, NAME(clamp16)(both, ACTIVATION_LOW, ACTIVATION_HIGH));
    }
}

APART void NAME(add_clipped)(const linear *layer, inputs in, int32_t places, int16_t *out){
    FOR_BLOCKS(layer -> outputs, places, NAME(add_clipped_block)(layer, in, out, n, p, count))}

INLINE void NAME(raw_or_add_block)(const linear *layer, inputs in, int32_t *out, bool add,
                                   int32_t n, int32_t p, int count)
{
    NAME(block) sums;
    NAME(convolve)(&sums, layer, NAME(from)(in, p), n, count);
    UNROLL
    for (int r = 0; r < count; r++) {
        for (int side = 0; side < 2; side++) {
            int32_t *at = out + (ptrdiff_t)(p + r) * layer->outputs + n + side * LANES;
            vector before = add ? NAME(load)(at) : NAME(all)(0);
            NAME(store)(at, before + sums.of[r][side]);
        }
    }
}

INLINE void NAME(raw_or_add)(const linear *layer, inputs in, int32_t places, int32_t *out,
                             bool add){
    FOR_BLOCKS(layer -> outputs, places, NAME(raw_or_add_block)(layer, in, out, add, n, p, count))}

APART void NAME(raw)(const linear *layer, inputs in, int32_t places, int32_t *out)
{
    NAME(raw_or_add)(layer, in, places, out, false);
}

APART void NAME(add_raw)(const linear *layer, inputs in, int32_t places, int32_t *out)
{
    NAME(raw_or_add)(layer, in, places, out, true);
}

/* Sums of a layer of two parts. */
INLINE void NAME(convolve_wide)(NAME(block) * over, NAME(block) * rest, const wide *layer,
                                inputs high, inputs low, int32_t n, int count)
{
    if (high.data == low.data) { /* then one product is both */
        NAME(begin)(rest, layer->low, n, count);
        NAME(multiply_layer)(rest, &layer->layer, low, n, count);
        UNROLL
        for (int r = 0; r < count; r++) {
            for (int side = 0; side < 2; side++) {
                int32_t at = n + side * LANES;
                over->of[r][side] =
                    rest->of[r][side] - NAME(load)(layer->low + at) + NAME(load)(layer->high + at);
            }
        }
    } else {
        NAME(begin)(over, layer->high, n, count);
        NAME(multiply_layer)(over, &layer->layer, high, n, count);
        NAME(begin)(rest, layer->low, n, count);
        NAME(multiply_layer)(rest, &layer->layer, low, n, count);
    }
    UNROLL
    for (int r = 0; r < count; r++) {
        for (int side = 0; side < 2; side++) {
            over->of[r][side] += rest->of[r][side] >> layer->bits;
            rest->of[r][side] &= (1 << layer->bits) - 1;
        }
    }
}

INLINE void NAME(to_stream_block)(const wide *layer, inputs high, inputs low, int32_t *out,
                                  ptrdiff_t step, int32_t n, int32_t p, int count)
{
    vector least = NAME(all)(STREAM_LOW), most = NAME(all)(STREAM_HIGH);
    NAME(block) over, rest;
    NAME(convolve_wide)(&over, &rest, layer, NAME(from)(high, p), NAME(from)(low, p), n, count);
    UNROLL
    for (int r = 0; r < count; r++) {
        for (int side = 0; side < 2; side++) {
            int32_t at = n + side * LANES;
            vector limit = NAME(load)(layer->most + at);
            vector v = NAME(clamp)(over.of[r][side], ~limit, limit);
            v *= NAME(load)(layer->factor + at);
            v += rest.of[r][side] >> NAME(load)(layer->small + at);
            v >>= NAME(load)(layer->large + at);
            NAME(store)(out + (p + r) * step + at, NAME(clamp)(v, least, most));
        }
    }
}

APART void NAME(to_stream)(const wide *layer, inputs high, inputs low, int32_t places, int32_t *out,
                           ptrdiff_t step){
    FOR_BLOCKS(layer -> layer.outputs, places,
               NAME(to_stream_block)(layer, high, low, out, step, n, p, count))}

INLINE void NAME(sums_block)(const wide *layer, inputs high, inputs low, int64_t *out, int32_t n,
                             int32_t p, int count)
{
    NAME(block) over, rest;
    NAME(convolve_wide)(&over, &rest, layer, NAME(from)(high, p), NAME(from)(low, p), n, count);
    UNROLL
    for (int r = 0; r < count; r++) {
        int64_t *at = out + (ptrdiff_t)(p + r) * layer->layer.outputs + n;
        for (int i = 0; i < WIDTH; i++)
            at[i] = (int64_t)over.of[r][i / LANES][i % LANES] * SPLIT +
                    rest.of[r][i / LANES][i % LANES];
    }
}

APART void NAME(sums)(const wide *layer, inputs high, inputs low, int32_t places, int64_t *out){
    FOR_BLOCKS(layer -> layer.outputs, places,
               NAME(sums_block)(layer, high, low, out, n, p, count))}

/* Samples of 8 bits, (places, outputs), of sums in units of 2^-fraction. */
INLINE void NAME(bytes_block)(const wide *layer, int32_t fraction, inputs high, inputs low,
                              uint8_t *out, int32_t n, int32_t p, int count)
{
    int32_t left = fraction - SPLIT_BITS;
    vector middle = NAME(all)(1 << (left - 1)), limit = NAME(all)(1 << 20);
    NAME(block) over, rest;
    NAME(convolve_wide)(&over, &rest, layer, NAME(from)(high, p), NAME(from)(low, p), n, count);
    UNROLL
    for (int r = 0; r < count; r++) {
        for (int side = 0; side < 2; side++) {
            vector v = (NAME(clamp)(over.of[r][side], -limit, limit) + middle) * 255;
            v = (v + (rest.of[r][side] * 255 >> SPLIT_BITS) + middle) >> left;
            over.of[r][side] = v;
        }
        vector both = NAME(packed)(over.of[r][0], over.of[r][1]);
        NAME(shorts) bytes = (NAME(shorts))NAME(clamp16)(both, 0, 255);
        uint8_t *at = out + (ptrdiff_t)(p + r) * layer->layer.outputs + n;
        for (int i = 0; i < WIDTH; i++)
            at[i] = (uint8_t)bytes[i];
    }
}

APART void NAME(bytes)(const wide *layer, int32_t fraction, inputs high, inputs low, int32_t places,
                       uint8_t *out)
{
    FOR_BLOCKS(layer->layer.outputs, places,
               NAME(bytes_block)(layer, fraction, high, low, out, n, p, count))
}

#include "row_loops.h"
