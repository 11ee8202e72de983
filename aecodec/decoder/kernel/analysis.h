/* Pixels to latents and hyper-latents, SPECIFICATION.md, section 19. */

#ifndef AEC_ANALYSIS_H
#define AEC_ANALYSIS_H

#include "stream.h"

enum { SAMPLE_BITS = 8, NORMED_SHIFT = 17, LATENT_UNITS = 1024 };
enum { LINEAR_SHIFT_LEAST = 12, LINEAR_SUM_MOST = (1 << 20) - 4 };
enum { PATCH_INPUTS = COLOURS * PATCH_PIXELS };
#define LINEAR_BIAS_MOST ((int64_t)1 << 38)

typedef struct {
    int32_t channels, latents, context, hypers, blocks;      /* C, M, H, Z and A */
    int32_t width, latent_width, context_width, hyper_width; /* the first four, padded */
    wide entry, down, hyper_entry, hyper_down, hyper_exit;
    stream_block first, *rest, last; /* of stride 8, and of stride 16 */
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
                      .blocks = s->blocks};
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
    for (int32_t n = 0; net->rest && n < s->blocks - 1; n++) {
        char name[NAME_ROOM];
        analysis_block_name(name, n);
        pack_block(p, &net->rest[n], name, s->channels);
    }
    pack_block(p, &net->last, "analysis.last", s->latents);
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
    int32_t block;         /* of the rest, that is computed */
    const void *pixels;
    bool sixteen_bit, gray;
    const int32_t *begun_from; /* streams and latents outside of this are not padded */
    int32_t *begun_to;
    const float *from;
    int32_t from_rows, from_columns;
    float *to;
    quality_map map;
    double *gains, *outer; /* of each quality of the map */
    int32_t *large, *small; /* the stream before and after `down` */
    int32_t *row_scratch;   /* a row of numbers for each thread */
    size_t row_step;
    padded large_padded[2], small_padded;
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

/* The other way round, to the nearest, halves up, with zeros in the padding. */
static void from_floats(int32_t *to, int32_t to_step, const float *from, int32_t channels,
                        int32_t places, double units)
{
    for (int32_t p = 0; p < places; p++, to += to_step, from += channels) {
        for (int32_t c = 0; c < to_step; c++) {
            double v = c < channels ? (double)from[c] * units + 0.5 : 0;
            v = v < STREAM_LOW ? STREAM_LOW : v > STREAM_HIGH ? STREAM_HIGH : v;
            to[c] = (int32_t)(v + (1 << 23)) - (1 << 23);
        }
    }
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
    enter_block_row(a->run, &a->net->last, stream, &a->small_padded, row, a->columns, scratch);
}

static void latents_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t width = a->net->latent_width, latents = a->net->latents;
    int32_t *stream = a->small + (ptrdiff_t)row * a->columns * width;
    leave_block_row(a->run, &a->net->last, &a->small_padded, stream, row, a->columns,
                    analyzer_scratch(a, thread));
    scale_row(a->run, &a->map, a->outer, row, 1, width, stream);
    to_floats(a->to + (ptrdiff_t)row * a->columns * latents, stream, width, latents, a->columns,
              1.0f / LATENT_UNITS);
}

/* Latents over what their scales lead to expect, and the entry of the hyper-analysis. */
static void hyper_entry_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    const analysis *net = a->net;
    int32_t width = net->latent_width, context_width = net->context_width;
    ptrdiff_t count = (ptrdiff_t)a->columns * width;
    int16_t *high = analyzer_scratch(a, thread), *low = high + count;
    int32_t *normed = a->row_scratch + (size_t)thread * a->row_step;
    int32_t *stream = a->large + (ptrdiff_t)row * a->columns * context_width;
    memset(normed, 0, (size_t)count * sizeof *normed);
    if (row < a->from_rows)
        from_floats(normed, width, a->from + (ptrdiff_t)row * a->from_columns * net->latents,
                    net->latents, a->from_columns, LATENT_UNITS);
    scale_row(a->run, &a->map, a->gains, row, 1, width, normed);
    a->run->split(normed, (size_t)count, high, low);
    a->run->to_stream(&net->hyper_entry, (inputs){high, width}, (inputs){low, width}, a->columns,
                      stream, context_width);
    enter_block_row(a->run, &net->hyper_first, stream, &a->large_padded[0], row, a->columns, high);
}

/* The rest of a block of the hyper-analysis, of one row. */
static void hyper_block_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t width = a->net->context_width, columns = a->block ? a->columns / UP : a->columns;
    int32_t *stream = (a->block ? a->small : a->large) + (ptrdiff_t)row * columns * width;
    leave_block_row(a->run, a->block ? &a->net->hyper_second : &a->net->hyper_first,
                    a->block ? &a->small_padded : &a->large_padded[0], stream, row, columns,
                    analyzer_scratch(a, thread));
}

static void hyper_down_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t width = a->net->context_width, columns = a->columns / UP;
    int16_t *scratch = analyzer_scratch(a, thread);
    int32_t *stream = a->small + (ptrdiff_t)row * columns * width;
    halve_rows(a, &a->net->hyper_down, a->large, width, row, columns, scratch, stream);
    enter_block_row(a->run, &a->net->hyper_second, stream, &a->small_padded, row, columns, scratch);
}

static void hyper_exit_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t columns = a->columns / GROUP, hypers = a->net->hypers, width = a->net->hyper_width;
    int32_t *out = a->row_scratch + (size_t)thread * a->row_step;
    halve_rows(a, &a->net->hyper_exit, a->small, a->net->context_width, row, columns,
               analyzer_scratch(a, thread), out);
    to_floats(a->to + (ptrdiff_t)row * columns * hypers, out, width, hypers, columns,
              1.0f / (1 << STREAM_FRACTION));
}

/* Memory for streams of given widths before and after they are halved. */
static void take_streams(analyzer *a, int32_t rows, int32_t columns, int32_t width,
                         int32_t small_width)
{
    uint64_t places = (uint64_t)rows * (uint32_t)columns;
    a->large = take(&a->own, places * (uint32_t)width, sizeof *a->large);
    for (int i = 0; i < 2; i++)
        a->large_padded[i] = take_padded(&a->own, rows, columns, width, 1);
    a->small = take(&a->own, places / 4 * (uint32_t)small_width, sizeof *a->small);
    a->small_padded = take_padded(&a->own, rows / UP, columns / UP, small_width, 1);
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
    take_streams(a, UP * a->rows, UP * a->columns, a->net->width, 0);
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
    take_streams(a, UP * a->rows, UP * a->columns, net->width, net->latent_width);
    take_map(&a->map, &a->own, quality, qualities, a->rows, a->columns, 1);
    a->gains = take_gains(&a->own, &a->map, net->inner_knots, net->channels, net->width);
    a->outer = take_gains(&a->own, &a->map, net->outer_knots, net->latents, net->latent_width);
    if (!take_analyzer_scratch(a, columns * larger(8 * width, 4 * (size_t)net->latent_width)))
        return false;
    share_rows(a->team, scaled_row, a, UP * a->rows);
    for (a->block = 0; a->block < net->blocks - 1; a->block++)
        share_rows(a->team, analysis_rest_row, a, UP * a->rows);
    share_rows(a->team, down_row, a, a->rows);
    share_rows(a->team, latents_row, a, a->rows);
    return true;
}

/* What latents are divided by before they are read, as gains of each quality of the map. */
static double *take_norms(analyzer *a)
{
    const analysis *net = a->net;
    double *all = take_zeros(&a->own, (uint64_t)a->map.count * (uint32_t)net->latent_width,
                             sizeof *all);
    for (int32_t n = 0; all && n < a->map.count; n++) {
        const int32_t *base = net->base + (ptrdiff_t)a->map.all[n] * net->latents;
        for (int32_t c = 0; c < net->latents; c++)
            all[(ptrdiff_t)n * net->latent_width + c] =
                (double)net->reciprocals[base[c] - NORM_OFFSET] / (1 << NORMED_SHIFT);
    }
    return all;
}

static bool hyper_analysis(analyzer *a, int32_t quality, const int16_t *qualities)
{
    const analysis *net = a->net;
    size_t columns = (size_t)a->columns, context = (size_t)net->context_width;
    take_streams(a, a->rows, a->columns, net->context_width, net->context_width);
    take_map(&a->map, &a->own, quality, qualities, a->from_rows, a->from_columns, GROUP);
    a->gains = take_norms(a);
    a->row_step = columns * larger((size_t)net->latent_width, (size_t)net->hyper_width);
    a->row_scratch =
        take(&a->own, (uint64_t)a->team->threads * a->row_step, sizeof *a->row_scratch);
    if (!take_analyzer_scratch(a, columns * larger(8 * context, 2 * (size_t)net->latent_width)))
        return false;
    share_rows(a->team, hyper_entry_row, a, a->rows);
    a->block = 0;
    share_rows(a->team, hyper_block_row, a, a->rows);
    share_rows(a->team, hyper_down_row, a, a->rows / UP);
    a->block = 1;
    share_rows(a->team, hyper_block_row, a, a->rows / UP);
    share_rows(a->team, hyper_exit_row, a, a->rows / GROUP);
    return true;
}

#endif
