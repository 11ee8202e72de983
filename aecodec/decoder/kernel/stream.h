/* The stream, which synthesis and analysis share: its blocks, its wide layers and its gains. */

#ifndef AEC_STREAM_H
#define AEC_STREAM_H

#include "latents.h"

enum { GAIN_SHIFT = 16, GAIN_LIMIT = 786432, STREAM_FRACTION = 14, UP = 2 };
/* Weights of wide layers: with them the sums of low parts fit 32 bits. */
enum { WIDE_SUM_LIMIT = (1 << 20) - 2 };
#define BIAS_LIMIT ((int64_t)1 << 44)

typedef struct {
    int32_t width; /* D, padded */
    reading read;  /* of mix_in */
    linear mix_in, mix_out, expand, contract;
    hswish inner, outer;
    depthwise middle;
    reading expand_read;
} stream_block;

static void pack_hswish(packer *p, hswish *after, const char *block, const char *layer,
                        const char *reader)
{
    char name[NAME_ROOM] = "";
    append(name, NAME_ROOM, block);
    append(name, NAME_ROOM, layer);
    const tensor *fraction = tensor_of(&p->list, name, "fraction");
    if (!lies_within(&p->list, fraction, 7, 12)) {
        fail(p, AEC_WEIGHTS);
        return;
    }
    int32_t f = (int32_t)element(fraction, 0);
    after->limit = 1 << (20 - f);
    after->knee = 4 << f;
    name[0] = 0;
    append(name, NAME_ROOM, block);
    append(name, NAME_ROOM, reader);
    pack_reading(p, &after->read, name);
}

static void pack_block_layer(packer *p, linear *layer, const char *block, const char *name)
{
    char whole[NAME_ROOM] = "";
    append(whole, NAME_ROOM, block);
    append(whole, NAME_ROOM, name);
    check_layer(p, whole, SYNTHESIS_INPUT);
    pack_linear(p, layer, whole);
}

static void pack_block(packer *p, stream_block *block, const char *name, int32_t width)
{
    char part[NAME_ROOM] = "";
    block->width = up_to(width, WIDE);
    pack_block_layer(p, &block->mix_in, name, ".mix_in");
    pack_block_layer(p, &block->mix_out, name, ".mix_out");
    pack_block_layer(p, &block->expand, name, ".expand");
    pack_block_layer(p, &block->contract, name, ".contract");
    pack_hswish(p, &block->inner, name, ".mix_in", ".depthwise");
    pack_hswish(p, &block->outer, name, ".expand", ".contract");
    append(part, NAME_ROOM, name);
    append(part, NAME_ROOM, ".depthwise");
    check_layer(p, part, SYNTHESIS_INPUT);
    pack_depthwise(p, &block->middle, part);
    part[0] = 0;
    append(part, NAME_ROOM, name);
    append(part, NAME_ROOM, ".mix_in");
    pack_reading(p, &block->read, part);
    part[0] = 0;
    append(part, NAME_ROOM, name);
    append(part, NAME_ROOM, ".expand");
    pack_reading(p, &block->expand_read, part);
}

/* Proves that the sums of a layer of the stream's full width fit 32 bits in both parts. */
static void check_wide(packer *p, const char *group)
{
    const tensor *weight = tensor_of(&p->list, group, "weight");
    const tensor *bias = tensor_of(&p->list, group, "bias");
    uint32_t inputs = weight->shape[0], outputs = weight->shape[1];
    if (!lies_within(&p->list, bias, -BIAS_LIMIT, BIAS_LIMIT))
        fail(p, AEC_WEIGHTS);
    for (uint32_t o = 0; o < outputs; o++) {
        int64_t sum = 0;
        for (uint32_t i = 0; i < inputs; i++)
            sum += magnitude(element(weight, (size_t)i * outputs + o));
        int64_t high = SYNTHESIS_INPUT * sum + (magnitude(element(bias, o)) >> SPLIT_BITS);
        if (sum > WIDE_SUM_LIMIT || high > INT32_MAX - (1 << 21)) {
            complain(&p->list, group, " may exceed 44 bits");
            fail(p, AEC_UNSUPPORTED);
            return;
        }
    }
}

/* How the sums of output n are rounded by a shift of s. */
static void pack_rounding(wide *layer, int32_t n, int32_t s)
{
    bool large = s >= layer->bits;
    layer->most[n] = large ? INT32_MAX : 1 << (22 - layer->bits + s); /* beyond it all is clipped */
    layer->factor[n] = large ? 1 : 1 << (layer->bits - s);
    layer->small[n] = large ? layer->bits : s;
    layer->large[n] = large ? s - layer->bits : 0;
}

/* Packs chosen outputs of such a layer, of inputs in parts of `bits`. */
static void pack_wide(packer *p, wide *layer, const char *group, selection s, int32_t bits,
                      bool rounded)
{
    const tensor *weight = tensor_of(&p->list, group, "weight");
    const tensor *bias = tensor_of(&p->list, group, "bias");
    const tensor *shift = tensor_of(&p->list, group, "shift");
    int32_t **numbers[] = {&layer->high,   &layer->low,   &layer->most,
                           &layer->factor, &layer->small, &layer->large};
    for (int i = 0; i < 6; i++)
        *numbers[i] = take_numbers(p, s.output_count);
    layer->bits = bits;
    pack_weights(p, &layer->layer, weight, s, 1, weight->shape[1]);
    if (p->owner->failed || p->fault != AEC_OK)
        return;
    for (int32_t n = 0; n < s.output_count; n++) {
        int32_t o = s.outputs[n];
        int64_t b = o < 0 ? 0 : element(bias, (size_t)o);
        int32_t by = !rounded || o < 0 ? bits : (int32_t)element(shift, (size_t)o);
        if (rounded)
            b += (int64_t)1 << (by - 1);
        layer->high[n] = (int32_t)(b >> bits);
        layer->low[n] = (int32_t)(b & ((1 << bits) - 1));
        pack_rounding(layer, n, by);
    }
}

static int32_t *pack_knots(packer *p, const char *part, const char *name)
{
    const tensor *t = tensor_of(&p->list, part, name);
    uint32_t length = length_of(t);
    int32_t *knots = take(p->owner, length, sizeof *knots);
    if (!lies_within(&p->list, t, -GAIN_LIMIT, GAIN_LIMIT))
        fail(p, AEC_WEIGHTS);
    for (uint32_t i = 0; knots && i < length; i++)
        knots[i] = (int32_t)element(t, i);
    return knots;
}

/* -- Gains, section 11.4 -- */

static uint64_t square_root(uint64_t n)
{
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 31; bit; bit >>= 1)
        if ((root + bit) * (root + bit) <= n)
            root += bit;
    return root;
}

/* The logarithm at a quality between two knots that are `count` numbers apart. */
static int32_t logarithm_at(const int32_t *knots, int32_t count, int32_t quality)
{
    int32_t knot = (KNOTS - 1) * quality / (QUALITIES - 1);
    int32_t part = (KNOTS - 1) * quality % (QUALITIES - 1);
    if (knot == KNOTS - 1) {
        knot--;
        part = QUALITIES - 1;
    }
    int64_t v = (int64_t)knots[knot * count] * (QUALITIES - 1 - part) +
                (int64_t)knots[(knot + 1) * count] * part;
    int64_t twice = 2 * v + QUALITIES - 1, whole = 2 * (QUALITIES - 1);
    return (int32_t)(twice / whole - (twice % whole < 0));
}

static int64_t power_of_two(int32_t logarithm, const uint64_t roots[16])
{
    uint64_t power = 1 << 30;
    for (int n = 15; n >= 0; n--)
        if (logarithm >> n & 1)
            power = (power * roots[n] + (1 << 29)) >> 30;
    int32_t shift = 14 - (logarithm >> 16);
    return (int64_t)((power + ((uint64_t)1 << (shift - 1))) >> shift);
}

/* Gains in units of 1, exact, of all channels at a quality; 0 in the padding. */
static void read_gains(const int32_t *knots, int32_t count, int32_t width, int32_t quality,
                       double *gains)
{
    uint64_t roots[16];
    roots[15] = square_root((uint64_t)1 << 61);
    for (int n = 14; n >= 0; n--)
        roots[n] = square_root(roots[n + 1] << 30);
    for (int32_t c = 0; c < width; c++)
        gains[c] = c < count
                       ? (double)power_of_two(logarithm_at(knots + c, count, quality), roots) /
                             (1 << GAIN_SHIFT)
                       : 0;
}

/* Those of each quality of a map, (count, width); NULL without memory. */
static double *take_gains(memory *own, const quality_map *map, const int32_t *knots, int32_t count,
                          int32_t width)
{
    double *gains = take(own, (uint64_t)(uint32_t)map->count * (uint32_t)width, sizeof *gains);
    for (int32_t slot = 0; gains && slot < map->count; slot++)
        read_gains(knots, count, width, map->all[slot], gains + (ptrdiff_t)slot * width);
    return gains;
}

/* Multiplies a row of the stream with the gains of its positions, of which each has `places` places
   in it. */
static void scale_row(const operations *run, const quality_map *map, const double *gains,
                      int32_t row, int32_t places, int32_t width, int32_t *stream)
{
    for (int32_t column = 0, end; column < map->columns; column = end) {
        end = run_end(map, row, column);
        ptrdiff_t slot = slot_at(map, (ptrdiff_t)row * map->columns + column);
        run->scale(gains + slot * width, places * (end - column), width,
                   stream + (ptrdiff_t)places * column * width);
    }
}

/* -- Blocks -- */

/* What a block makes of a row of the stream before its neighbours matter. */
static void enter_block_row(const operations *run, const stream_block *block, const int32_t *stream,
                            const padded *to, int32_t row, int32_t columns, int16_t *scratch)
{
    run->read_stream(&block->read, stream, columns, block->width, scratch);
    run->activate(&block->mix_in, &block->inner, (inputs){scratch, block->width}, columns,
                  inside_row(to, row, block->width), block->width);
}

/* The rest of a block, of one row of the stream. */
static void leave_block_row(const operations *run, const stream_block *block, const padded *from,
                            int32_t *stream, int32_t row, int32_t columns, int16_t *scratch)
{
    ptrdiff_t width = block->width;
    int16_t *wide = scratch + columns * width;
    run->depthwise_row(&block->middle, from->data + row * from->row, from->row, columns, INPUT_LOW,
                       INPUT_HIGH, scratch);
    run->add_to_stream(&block->mix_out, (inputs){scratch, width}, columns, stream);
    run->read_stream(&block->expand_read, stream, columns, block->width, scratch);
    run->activate(&block->expand, &block->outer, (inputs){scratch, width}, columns, wide,
                  block->expand.outputs);
    run->add_to_stream(&block->contract, (inputs){wide, block->expand.outputs}, columns, stream);
}

#endif
