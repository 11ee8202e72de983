/* Latents to samples, SPECIFICATION.md, sections 11 and 14.2. */

#ifndef AEC_SYNTHESIS_H
#define AEC_SYNTHESIS_H

#include "stream.h"

enum { EXIT_SHIFT_MOST = 16, EXIT_OUTPUTS = COLOURS * PATCH_PIXELS };

typedef struct {
    int32_t channels, latents;     /* C and M */
    int32_t blocks, coarse_blocks; /* at stride 8 and at stride 16 */
    int32_t width, latent_width;   /* C and M, padded */
    stream_block *coarse, *rest;   /* at stride 16, and at stride 8 with `last` at the end */
    wide up[4], exit;              /* `up` by position */
    int32_t fraction;              /* of what the exit gives */
    int32_t *outer_knots, *inner_knots;
} synthesis;

/* -- Packing -- */

static void pack_up(packer *p, synthesis *net)
{
    const tensor *shift = tensor_of(&p->list, "synthesis.up", "shift");
    int32_t inputs = up_to(net->latents, 2);
    int32_t *outputs = take_numbers(p, net->width), *columns = take_numbers(p, inputs);
    check_wide(p, "synthesis.up");
    if (!lies_within(&p->list, shift, 1, SHIFT_MOST))
        fail(p, AEC_WEIGHTS);
    if (!outputs || !columns)
        return;
    count_up(columns, 0, net->latents, inputs);
    for (int32_t position = 0; position < 4; position++) {
        count_up(outputs, position * net->channels, net->channels, net->width);
        pack_wide(p, &net->up[position], "synthesis.up",
                  (selection){outputs, columns, net->width, inputs}, SPLIT_BITS, true);
    }
}

/* Packs the exit with its outputs in the order row, column, colour of a patch. */
static void pack_exit(packer *p, synthesis *net)
{
    const tensor *shift = tensor_of(&p->list, "synthesis.exit", "shift");
    int32_t inputs = up_to(net->channels, 2);
    int32_t *outputs = take_numbers(p, EXIT_OUTPUTS), *columns = take_numbers(p, inputs);
    check_wide(p, "synthesis.exit");
    if (!lies_within(&p->list, shift, 0, EXIT_SHIFT_MOST))
        fail(p, AEC_WEIGHTS);
    if (!outputs || !columns)
        return;
    for (int32_t n = 0; n < EXIT_OUTPUTS; n++)
        outputs[n] = n % COLOURS * PATCH_PIXELS + n / COLOURS;
    count_up(columns, 0, net->channels, inputs);
    pack_wide(p, &net->exit, "synthesis.exit", (selection){outputs, columns, EXIT_OUTPUTS, inputs},
              SPLIT_BITS, false);
    net->fraction = STREAM_FRACTION + (int32_t)element(shift, 0);
}

static void pack_synthesis(packer *p, synthesis *net, const sizes *s)
{
    *net = (synthesis){.channels = s->channels,
                       .latents = s->latents,
                       .blocks = s->blocks,
                       .coarse_blocks = s->coarse,
                       .width = up_to(s->channels, WIDE),
                       .latent_width = up_to(s->latents, WIDE)};
    char name[NAME_ROOM];
    net->rest = take_zeros(p->owner, (uint32_t)s->blocks, sizeof *net->rest);
    net->coarse = take_zeros(p->owner, (uint32_t)s->coarse, sizeof *net->coarse);
    for (int32_t n = 0; net->coarse && n < s->coarse; n++) {
        block_name(name, s, n - s->coarse);
        pack_block(p, &net->coarse[n], name, s->latents);
    }
    for (int32_t n = 0; net->rest && n < s->blocks; n++) {
        block_name(name, s, n);
        pack_block(p, &net->rest[n], name, s->channels);
    }
    pack_up(p, net);
    pack_exit(p, net);
    net->outer_knots = pack_knots(p, "synthesis", "outer_gain");
    net->inner_knots = pack_knots(p, "synthesis", "inner_gain");
}

/* -- One window -- */

/* The samples that are wanted. */
typedef struct {
    int32_t scale;
    int32_t inside_rows, inside_columns;
    bool sixteen_bit, gray;
    void *to;
} view;

typedef struct {
    const synthesis *net;
    const operations *run;
    team *team;
    memory own;
    int32_t rows, columns; /* of the window, in latents */
    const int16_t *y_hat;
    view view;
    quality_map map;
    double *outer, *inner;  /* gains of each quality of the map */
    int32_t *latent_stream; /* (rows, columns, latent_width) */
    int32_t *stream;        /* (2 rows, 2 columns, width) */
    padded latent_padded[2], padded[2];
    int32_t block; /* of the coarse ones or of the rest, that is computed */
    int16_t *scratch;
    size_t scratch_step;
    int64_t *sums; /* (2 columns, EXIT_OUTPUTS) for each thread; bytes use the same memory */
    size_t sums_step;
} window;

static int16_t *window_scratch(const window *w, int32_t thread)
{
    return w->scratch + (size_t)thread * w->scratch_step;
}

static void first_row(void *context, int32_t row, int32_t thread)
{
    const window *w = context;
    const synthesis *net = w->net;
    int32_t *stream = w->latent_stream + (ptrdiff_t)row * w->columns * net->latent_width;
    const int16_t *y_hat = w->y_hat + (ptrdiff_t)row * w->columns * net->latents;
    for (int32_t p = 0; p < w->columns; p++) {
        int32_t *place = stream + (ptrdiff_t)p * net->latent_width;
        for (int32_t c = 0; c < net->latent_width; c++)
            place[c] = c < net->latents ? y_hat[(ptrdiff_t)p * net->latents + c] : 0;
    }
    scale_row(w->run, &w->map, w->outer, row, 1, net->latent_width, stream);
    enter_block_row(w->run, &net->coarse[0], stream, &w->latent_padded[0], row, w->columns,
                    window_scratch(w, thread));
}

/* Leaves a block at stride 16 with a row of the stream, and enters the next one if there is one. */
static void coarse_row(void *context, int32_t row, int32_t thread)
{
    const window *w = context;
    const synthesis *net = w->net;
    int32_t block = w->block, next = block + 1;
    int16_t *scratch = window_scratch(w, thread);
    int32_t *stream = w->latent_stream + (ptrdiff_t)row * w->columns * net->latent_width;
    leave_block_row(w->run, &net->coarse[block], &w->latent_padded[block % 2], stream, row,
                    w->columns, scratch);
    if (next < net->coarse_blocks)
        enter_block_row(w->run, &net->coarse[next], stream, &w->latent_padded[next % 2], row,
                        w->columns, scratch);
}

/* Enters block number `block` of the rest with a row of the stream. */
static void enter_rest_row(const window *w, int32_t block, int32_t row, int16_t *scratch)
{
    int32_t columns = UP * w->columns;
    int32_t *stream = w->stream + (ptrdiff_t)row * columns * w->net->width;
    if (block == w->net->blocks - 1)
        scale_row(w->run, &w->map, w->inner, row / UP, UP, w->net->width, stream);
    enter_block_row(w->run, &w->net->rest[block], stream, &w->padded[block % 2], row, columns,
                    scratch);
}

static void up_row(void *context, int32_t row, int32_t thread)
{
    const window *w = context;
    const synthesis *net = w->net;
    int16_t *high = window_scratch(w, thread);
    int16_t *low = high + (ptrdiff_t)w->columns * net->latent_width;
    int32_t *stream = w->latent_stream + (ptrdiff_t)row * w->columns * net->latent_width;
    coarse_row(context, row, thread);
    w->run->split(stream, (size_t)w->columns * (size_t)net->latent_width, high, low);
    for (int32_t position = 0; position < 4; position++) {
        ptrdiff_t place = (ptrdiff_t)(UP * row + position / UP) * UP * w->columns + position % UP;
        w->run->to_stream(&net->up[position], (inputs){high, net->latent_width},
                          (inputs){low, net->latent_width}, w->columns,
                          w->stream + place * net->width, (ptrdiff_t)UP * net->width);
    }
    for (int32_t r = UP * row; r < UP * row + UP; r++)
        enter_rest_row(w, 0, r, high);
}

/* Squares of `scale` pixels a side of a row of patches to samples. */
static void mean_samples(const window *w, int32_t row, const int64_t *sums)
{
    const view *v = &w->view;
    int32_t scale = v->scale, side = PATCH / scale, columns = UP * w->columns * side;
    int32_t colours = v->gray ? 1 : COLOURS, parts = v->gray ? COLOURS : 1;
    int64_t most = (v->sixteen_bit ? 65535 : 255) / parts, one = (int64_t)1 << w->net->fraction;
    for (int32_t i = 0; i < side; i++) {
        size_t at = (size_t)(row * side + i) * (size_t)columns * (size_t)colours;
        int32_t left_rows = v->inside_rows - (row * side + i) * scale;
        int32_t high = left_rows < 1 || left_rows > scale ? scale : left_rows;
        for (int32_t j = 0; j < columns; j++) {
            int32_t left_columns = v->inside_columns - j * scale;
            int32_t broad = left_columns < 1 || left_columns > scale ? scale : left_columns;
            const int64_t *corner = sums + (ptrdiff_t)(j / side) * EXIT_OUTPUTS +
                                    (i * PATCH + j % side) * scale * COLOURS;
            int64_t n = (int64_t)high * broad, half = n * parts * (one / 2);
            for (int32_t t = 0; t < colours; t++) {
                int64_t sum = 0;
                for (int32_t y = 0; y < high; y++)
                    for (int32_t x = 0; x < broad; x++)
                        for (int32_t k = 0; k < parts; k++)
                            sum += corner[(y * PATCH + x) * COLOURS + t + k];
                int64_t above = 2 * (clip64(sum, -half, half) + half) * most + n * one;
                int64_t sample =
                    scale == 1 ? above >> (w->net->fraction + 1) : above / (2 * n * one);
                if (v->sixteen_bit)
                    ((uint16_t *)v->to)[at++] = (uint16_t)sample;
                else
                    ((uint8_t *)v->to)[at++] = (uint8_t)sample;
            }
        }
    }
}

/* Samples of whole patches to the rows of the picture. */
static void place_patches(const window *w, int32_t row, const uint8_t *patches)
{
    enum { LINE = PATCH * COLOURS };
    ptrdiff_t columns = (ptrdiff_t)UP * w->columns;
    uint8_t *to = (uint8_t *)w->view.to + row * PATCH * columns * LINE;
    for (ptrdiff_t p = 0; p < columns; p++)
        for (int32_t i = 0; i < PATCH; i++)
            memcpy(to + (i * columns + p) * LINE, patches + p * EXIT_OUTPUTS + i * LINE, LINE);
}

static void exit_row(const window *w, int32_t row, const int32_t *stream, int32_t thread)
{
    int32_t columns = UP * w->columns, width = w->net->width;
    int16_t *high = window_scratch(w, thread), *low = high + (ptrdiff_t)columns * width;
    int64_t *sums = w->sums + (size_t)thread * w->sums_step;
    inputs high_in = {high, width}, low_in = {low, width};
    w->run->split(stream, (size_t)columns * (size_t)width, high, low);
    if (w->view.scale == 1 && !w->view.gray && !w->view.sixteen_bit) {
        w->run->bytes(&w->net->exit, w->net->fraction, high_in, low_in, columns, (uint8_t *)sums);
        place_patches(w, row, (const uint8_t *)sums);
    } else {
        w->run->sums(&w->net->exit, high_in, low_in, columns, sums);
        mean_samples(w, row, sums);
    }
}

static void rest_row(void *context, int32_t row, int32_t thread)
{
    const window *w = context;
    int32_t columns = UP * w->columns, block = w->block;
    int16_t *scratch = window_scratch(w, thread);
    int32_t *stream = w->stream + (ptrdiff_t)row * columns * w->net->width;
    leave_block_row(w->run, &w->net->rest[block], &w->padded[block % 2], stream, row, columns,
                    scratch);
    if (block + 1 < w->net->blocks)
        enter_rest_row(w, block + 1, row, scratch);
    else
        exit_row(w, row, stream, thread);
}

/* quality, qualities: see aec_synthesize. */
static bool take_window(window *w, bool whole_bytes, int32_t quality, const int16_t *qualities)
{
    const synthesis *net = w->net;
    uint64_t places = (uint64_t)w->rows * (uint32_t)w->columns;
    uint32_t columns = (uint32_t)w->columns, threads = (uint32_t)w->team->threads;
    size_t latent_row = 4 * (size_t)net->latent_width, row = 8 * (size_t)net->width;
    take_map(&w->map, &w->own, quality, qualities, w->rows, w->columns, 1);
    w->outer = take_gains(&w->own, &w->map, net->outer_knots, net->latents, net->latent_width);
    w->inner = take_gains(&w->own, &w->map, net->inner_knots, net->channels, net->width);
    w->latent_stream = take(&w->own, places * (uint32_t)net->latent_width, sizeof(int32_t));
    w->stream = take(&w->own, 4 * places * (uint32_t)net->width, sizeof(int32_t));
    for (int i = 0; i < 2 && i < net->coarse_blocks; i++)
        w->latent_padded[i] = take_padded(&w->own, w->rows, w->columns, net->latent_width, 1);
    for (int i = 0; i < 2; i++)
        w->padded[i] = take_padded(&w->own, UP * w->rows, UP * w->columns, net->width, 1);
    w->scratch_step = columns * (latent_row > row ? latent_row : row);
    w->scratch = take(&w->own, (uint64_t)threads * w->scratch_step, sizeof *w->scratch);
    w->sums_step = (size_t)UP * columns * EXIT_OUTPUTS / (whole_bytes ? sizeof *w->sums : 1);
    w->sums = take(&w->own, (uint64_t)threads * w->sums_step, sizeof *w->sums);
    return !w->own.failed;
}

static void synthesize_window(window *w)
{
    share_rows(w->team, first_row, w, w->rows);
    for (w->block = 0; w->block < w->net->coarse_blocks - 1; w->block++)
        share_rows(w->team, coarse_row, w, w->rows);
    share_rows(w->team, up_row, w, w->rows);
    for (w->block = 0; w->block < w->net->blocks; w->block++)
        share_rows(w->team, rest_row, w, UP * w->rows);
}

#endif
