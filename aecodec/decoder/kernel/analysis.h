/* Pixels to latents, SPECIFICATION.md, section 19.3, and the weights for all of section 19. */

#ifndef AEC_ANALYSIS_H
#define AEC_ANALYSIS_H

#include "stream.h"

enum { SAMPLE_BITS = 8, NORMED_SHIFT = 17, LATENT_UNITS = 1024 };
enum { LINEAR_SHIFT_LEAST = 12, LINEAR_SUM_MOST = (1 << 20) - 4 };
enum { PATCH_INPUTS = COLOURS * PATCH_PIXELS };
#define LINEAR_BIAS_MOST ((int64_t)1 << 38)

typedef struct {
    int32_t channels, latents, context, hypers;              /* C, M, H and Z */
    int32_t blocks, coarse_blocks;                           /* at stride 8 and at stride 16 */
    int32_t width, latent_width, context_width, hyper_width; /* the first four, padded */
    wide entry, down, hyper_entry, hyper_down, hyper_exit;
    stream_block first, *rest, *coarse; /* at stride 8, and at stride 16 with `last` at the end */
    stream_block hyper_first, hyper_second;
    int32_t *inner_knots, *outer_knots;
    int32_t *base, *reciprocals;
} analysis;

/* -- Packing -- */

static void check_linear(packer *p, const char *group)
{
    const tensor *weight = tensor_of(&p->list, group, "weight");
    uint32_t inputs = weight->shape[0], outputs = weight->shape[1];
    if (!lies_within(&p->list, tensor_of(&p->list, group, "shift"), LINEAR_SHIFT_LEAST,
                     SHIFT_MOST) ||
        !lies_within(&p->list, tensor_of(&p->list, group, "bias"), -LINEAR_BIAS_MOST,
                     LINEAR_BIAS_MOST))
        fail(p, AEC_WEIGHTS);
    for (uint32_t o = 0; o < outputs; o++) {
        int64_t sum = 0;
        for (uint32_t i = 0; i < inputs; i++)
            sum += magnitude(element(weight, (size_t)i * outputs + o));
        if (sum > LINEAR_SUM_MOST) {
            complain(&p->list, group, " may exceed its range");
            fail(p, AEC_WEIGHTS);
            return;
        }
    }
}

/* Packs a linear layer whose inputs stand in `parts` runs, each padded to `width`. */
static void pack_stream_layer(packer *p, wide *layer, const char *group, int32_t parts,
                              int32_t width, int32_t bits)
{
    const tensor *weight = tensor_of(&p->list, group, "weight");
    int32_t run = (int32_t)weight->shape[0] / parts, outputs = (int32_t)weight->shape[1];
    int32_t all = up_to(outputs, WIDE);
    int32_t *o = take_numbers(p, all), *i = take_numbers(p, parts * width);
    check_linear(p, group);
    if (!o || !i)
        return;
    count_up(o, 0, outputs, all);
    for (int32_t part = 0; part < parts; part++)
        count_up(i + part * width, part * run, run, width);
    pack_wide(p, layer, group, (selection){o, i, all, parts * width}, bits, true);
}

static void pack_analysis(packer *p, analysis *net, const sizes *s)
{
    enum { PLACES = UP * UP };
    *net = (analysis){.channels = s->channels,
                      .latents = s->latents,
                      .context = s->context,
                      .hypers = s->hypers,
                      .blocks = s->blocks,
                      .coarse_blocks = s->coarse};
    net->width = up_to(s->channels, WIDE);
    net->latent_width = up_to(s->latents, WIDE);
    net->context_width = up_to(s->context, WIDE);
    net->hyper_width = up_to(s->hypers, WIDE);
    pack_stream_layer(p, &net->entry, "analysis.entry", 1, PATCH_INPUTS, SAMPLE_BITS);
    pack_stream_layer(p, &net->down, "analysis.down", PLACES, net->width, SPLIT_BITS);
    pack_stream_layer(p, &net->hyper_entry, "hyper_analysis.entry", 1, net->latent_width,
                      SPLIT_BITS);
    pack_stream_layer(p, &net->hyper_down, "hyper_analysis.down", PLACES, net->context_width,
                      SPLIT_BITS);
    pack_stream_layer(p, &net->hyper_exit, "hyper_analysis.exit", PLACES, net->context_width,
                      SPLIT_BITS);
    pack_block(p, &net->first, "analysis.first", s->channels);
    net->rest = take_zeros(p->owner, (uint32_t)s->blocks, sizeof *net->rest);
    net->coarse = take_zeros(p->owner, (uint32_t)s->coarse, sizeof *net->coarse);
    for (int32_t n = 0; net->rest && net->coarse && n < s->blocks - 1 + s->coarse; n++) {
        char name[NAME_ROOM];
        analysis_block_name(name, s, n);
        if (n < s->blocks - 1)
            pack_block(p, &net->rest[n], name, s->channels);
        else
            pack_block(p, &net->coarse[n - s->blocks + 1], name, s->latents);
    }
    pack_block(p, &net->hyper_first, "hyper_analysis.first", s->context);
    pack_block(p, &net->hyper_second, "hyper_analysis.second", s->context);
    net->inner_knots = pack_knots(p, "analysis", "inner_gain");
    net->outer_knots = pack_knots(p, "analysis", "outer_gain");
    net->base = pack_all_numbers(p, "base");
    net->reciprocals = pack_all_numbers(p, "reciprocals");
    if (!lies_within(&p->list, tensor_of(&p->list, "prior.tables", "base"), NORM_OFFSET,
                     NORM_OFFSET + NORMS - 1))
        fail(p, AEC_WEIGHTS);
}

/* -- One window -- */

typedef struct {
    const analysis *net;
    const operations *run;
    team *team;
    memory own;
    int32_t rows, columns; /* in latents; of the hyper-analysis padded */
    int32_t block;         /* of the rest or of the coarse ones, that is computed */
    const void *pixels;
    bool sixteen_bit, gray;
    const int32_t *begun_from; /* streams and latents outside of this are not padded */
    int32_t *begun_to;
    const float *from;
    int32_t from_rows, from_columns;
    float *to;
    quality_map map;
    double *gains, *outer;  /* of each quality of the map */
    int32_t *large, *small; /* the stream before and after `down` */
    int32_t *row_scratch;   /* a row of numbers for each thread */
    size_t row_step;
    padded large_padded[2], small_padded[2];
    int16_t *scratch;
    size_t scratch_step;
} analyzer;

static int16_t *analyzer_scratch(const analyzer *a, int32_t thread)
{
    return a->scratch + (size_t)thread * a->scratch_step;
}

/* Copies channels between a stream of padded width and one without padding. */
static void copy_channels(int32_t *to, int32_t to_step, const int32_t *from, int32_t from_step,
                          int32_t channels, int32_t places)
{
    for (int32_t p = 0; p < places; p++, to += to_step, from += from_step) {
        memcpy(to, from, (size_t)channels * sizeof *to);
        if (to_step > channels)
            memset(to + channels, 0, (size_t)(to_step - channels) * sizeof *to);
    }
}

/* Numbers of a stream in their real unit, without padding. */
static void to_floats(float *to, const int32_t *from, int32_t from_step, int32_t channels,
                      int32_t places, float unit)
{
    for (int32_t p = 0; p < places; p++, to += channels, from += from_step)
        for (int32_t c = 0; c < channels; c++)
            to[c] = (float)from[c] * unit;
}

/* One linear layer of each 2x2 places: rows 2 * row and 2 * row + 1 of a stream of `width`. */
static void halve_rows(const analyzer *a, const wide *layer, const int32_t *stream, int32_t width,
                       int32_t row, int32_t columns, int16_t *high, int32_t *out)
{
    int32_t inputs_of_place = UP * UP * width;
    int16_t *low = high + (ptrdiff_t)columns * inputs_of_place;
    for (int32_t i = 0; i < UP; i++) {
        const int32_t *from = stream + (ptrdiff_t)(UP * row + i) * UP * columns * width;
        for (int32_t p = 0; p < columns; p++) {
            ptrdiff_t at = (ptrdiff_t)p * inputs_of_place + i * UP * width;
            a->run->split(from + (ptrdiff_t)p * UP * width, (size_t)UP * (size_t)width, high + at,
                          low + at);
        }
    }
    a->run->to_stream(layer, (inputs){high, inputs_of_place}, (inputs){low, inputs_of_place},
                      columns, out, layer->layer.outputs);
}

/* Samples of a row of patches as inputs of `entry`, in two parts. Both are the sample itself where
   it has 8 bits. */
static void read_patches(const analyzer *a, int32_t row, int16_t *high, int16_t *low)
{
    int32_t places = UP * a->columns, colours = a->gray ? 1 : COLOURS;
    ptrdiff_t line = (ptrdiff_t)places * PATCH * colours;
    for (int32_t y = 0; y < PATCH; y++) {
        ptrdiff_t start = (ptrdiff_t)(row * PATCH + y) * line;
        for (int32_t x = 0; x < places * PATCH; x++) {
            for (int32_t t = 0; t < COLOURS; t++) {
                ptrdiff_t from = start + (ptrdiff_t)x * colours + (a->gray ? 0 : t);
                ptrdiff_t to = (ptrdiff_t)(x / PATCH) * PATCH_INPUTS + t * PATCH_PIXELS +
                               y * PATCH + x % PATCH;
                if (a->sixteen_bit) {
                    uint16_t v = ((const uint16_t *)a->pixels)[from];
                    high[to] = (int16_t)(v >> SAMPLE_BITS);
                    low[to] = (int16_t)(v & 0xFF);
                } else {
                    high[to] = ((const uint8_t *)a->pixels)[from];
                }
            }
        }
    }
}

static void patches_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t places = UP * a->columns, width = a->net->width;
    int16_t *high = analyzer_scratch(a, thread);
    int16_t *low = a->sixteen_bit ? high + (ptrdiff_t)places * PATCH_INPUTS : high;
    int32_t *stream = a->large + (ptrdiff_t)row * places * width;
    read_patches(a, row, high, low);
    a->run->to_stream(&a->net->entry, (inputs){high, PATCH_INPUTS}, (inputs){low, PATCH_INPUTS},
                      places, stream, width);
    enter_block_row(a->run, &a->net->first, stream, &a->large_padded[0], row, places, high);
}

static void begun_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t places = UP * a->columns, width = a->net->width, channels = a->net->channels;
    int32_t *stream = a->large + (ptrdiff_t)row * places * width;
    leave_block_row(a->run, &a->net->first, &a->large_padded[0], stream, row, places,
                    analyzer_scratch(a, thread));
    copy_channels(a->begun_to + (ptrdiff_t)row * places * channels, channels, stream, width,
                  channels, places);
}

/* What was begun, scaled; and the entry of the first block of the rest. */
static void scaled_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t places = UP * a->columns, width = a->net->width, channels = a->net->channels;
    int32_t *stream = a->large + (ptrdiff_t)row * places * width;
    copy_channels(stream, width, a->begun_from + (ptrdiff_t)row * places * channels, channels,
                  channels, places);
    scale_row(a->run, &a->map, a->gains, row / UP, UP, width, stream);
    if (a->net->blocks > 1)
        enter_block_row(a->run, &a->net->rest[0], stream, &a->large_padded[0], row, places,
                        analyzer_scratch(a, thread));
}

static void analysis_rest_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t places = UP * a->columns, next = a->block + 1;
    int32_t *stream = a->large + (ptrdiff_t)row * places * a->net->width;
    int16_t *scratch = analyzer_scratch(a, thread);
    leave_block_row(a->run, &a->net->rest[a->block], &a->large_padded[a->block % 2], stream, row,
                    places, scratch);
    if (next < a->net->blocks - 1)
        enter_block_row(a->run, &a->net->rest[next], stream, &a->large_padded[next % 2], row,
                        places, scratch);
}

static void down_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int16_t *scratch = analyzer_scratch(a, thread);
    int32_t *stream = a->small + (ptrdiff_t)row * a->columns * a->net->latent_width;
    halve_rows(a, &a->net->down, a->large, a->net->width, row, a->columns, scratch, stream);
    enter_block_row(a->run, &a->net->coarse[0], stream, &a->small_padded[0], row, a->columns,
                    scratch);
}

/* Leaves a block at stride 16 with a row of the stream, and enters the next one if there is one. */
static void analysis_coarse_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t block = a->block, next = block + 1;
    int32_t *stream = a->small + (ptrdiff_t)row * a->columns * a->net->latent_width;
    int16_t *scratch = analyzer_scratch(a, thread);
    leave_block_row(a->run, &a->net->coarse[block], &a->small_padded[block % 2], stream, row,
                    a->columns, scratch);
    if (next < a->net->coarse_blocks)
        enter_block_row(a->run, &a->net->coarse[next], stream, &a->small_padded[next % 2], row,
                        a->columns, scratch);
}

static void latents_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t width = a->net->latent_width, latents = a->net->latents;
    int32_t *stream = a->small + (ptrdiff_t)row * a->columns * width;
    analysis_coarse_row(context, row, thread);
    scale_row(a->run, &a->map, a->outer, row, 1, width, stream);
    to_floats(a->to + (ptrdiff_t)row * a->columns * latents, stream, width, latents, a->columns,
              1.0f / LATENT_UNITS);
}

/* Memory for streams of given widths before and after they are halved, with `small_count` padded
   arrays for the blocks after that. */
static void take_streams(analyzer *a, int32_t rows, int32_t columns, int32_t width,
                         int32_t small_width, int32_t small_count)
{
    uint64_t places = (uint64_t)rows * (uint32_t)columns;
    a->large = take(&a->own, places * (uint32_t)width, sizeof *a->large);
    for (int i = 0; i < 2; i++)
        a->large_padded[i] = take_padded(&a->own, rows, columns, width, 1);
    a->small = take(&a->own, places / 4 * (uint32_t)small_width, sizeof *a->small);
    for (int i = 0; i < small_count; i++)
        a->small_padded[i] = take_padded(&a->own, rows / UP, columns / UP, small_width, 1);
}

/* Scratch memory for `elements` of 16 bits in each thread. */
static bool take_analyzer_scratch(analyzer *a, size_t elements)
{
    a->scratch_step = elements;
    a->scratch = take(&a->own, (uint64_t)a->team->threads * elements, sizeof *a->scratch);
    return !a->own.failed;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static bool begin_analysis(analyzer *a)
{
    size_t places = UP * (size_t)a->columns;
    take_streams(a, UP * a->rows, UP * a->columns, a->net->width, 0, 0);
    if (!take_analyzer_scratch(a, places * larger(2 * PATCH_INPUTS, 4 * (size_t)a->net->width)))
        return false;
    share_rows(a->team, patches_row, a, UP * a->rows);
    share_rows(a->team, begun_row, a, UP * a->rows);
    return true;
}

static bool finish_analysis(analyzer *a, int32_t quality, const int16_t *qualities)
{
    const analysis *net = a->net;
    size_t columns = (size_t)a->columns, width = (size_t)net->width;
    take_streams(a, UP * a->rows, UP * a->columns, net->width, net->latent_width,
                 net->coarse_blocks > 1 ? 2 : 1);
    take_map(&a->map, &a->own, quality, qualities, a->rows, a->columns, 1);
    a->gains = take_gains(&a->own, &a->map, net->inner_knots, net->channels, net->width);
    a->outer = take_gains(&a->own, &a->map, net->outer_knots, net->latents, net->latent_width);
    if (!take_analyzer_scratch(a, columns * larger(8 * width, 4 * (size_t)net->latent_width)))
        return false;
    share_rows(a->team, scaled_row, a, UP * a->rows);
    for (a->block = 0; a->block < net->blocks - 1; a->block++)
        share_rows(a->team, analysis_rest_row, a, UP * a->rows);
    share_rows(a->team, down_row, a, a->rows);
    for (a->block = 0; a->block < net->coarse_blocks - 1; a->block++)
        share_rows(a->team, analysis_coarse_row, a, a->rows);
    share_rows(a->team, latents_row, a, a->rows);
    return true;
}

#endif
