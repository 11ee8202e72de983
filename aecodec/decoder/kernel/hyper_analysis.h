/* Latents to hyper-latents, SPECIFICATION.md, section 19.4. */

#ifndef AEC_HYPER_ANALYSIS_H
#define AEC_HYPER_ANALYSIS_H

#include "analysis.h"

/* Numbers in their real unit to those of a stream, to the nearest, halves up, with zeros in the
   padding. */
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
                    a->block ? &a->small_padded[0] : &a->large_padded[0], stream, row, columns,
                    analyzer_scratch(a, thread));
}

static void hyper_down_row(void *context, int32_t row, int32_t thread)
{
    const analyzer *a = context;
    int32_t width = a->net->context_width, columns = a->columns / UP;
    int16_t *scratch = analyzer_scratch(a, thread);
    int32_t *stream = a->small + (ptrdiff_t)row * columns * width;
    halve_rows(a, &a->net->hyper_down, a->large, width, row, columns, scratch, stream);
    enter_block_row(a->run, &a->net->hyper_second, stream, &a->small_padded[0], row, columns,
                    scratch);
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

/* What latents are divided by before they are read, as gains of each quality of the map. */
static double *take_norms(analyzer *a)
{
    const analysis *net = a->net;
    double *all =
        take_zeros(&a->own, (uint64_t)a->map.count * (uint32_t)net->latent_width, sizeof *all);
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
    take_streams(a, a->rows, a->columns, net->context_width, net->context_width, 1);
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
