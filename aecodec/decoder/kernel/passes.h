/* The passes of one tile, row by row, SPECIFICATION.md, sections 9 and 10. */

#ifndef AEC_PASSES_H
#define AEC_PASSES_H

#include "prior.h"
#include "quality_map.h"

/* Activations with zeros around them, (rows + 2 border, columns + 2 border, width). */
typedef struct {
    int16_t *data;
    int32_t border;
    ptrdiff_t row; /* elements of a row */
} padded;

typedef struct {
    const prior *net;
    const operations *run;
    int32_t width;                 /* H, padded: of the inputs of the layers, too */
    int32_t rows, columns;         /* of the tile */
    int32_t all_rows, all_columns; /* of the padded grid */
    int32_t cell_rows, cell_columns;
    size_t coded; /* symbols of a pass, with the padding */
    int32_t pass; /* the next to be predicted, or the one that is */
    bool predicted;
    team *team;
    memory own;
    quality_map map;                     /* of the padded grid */
    int32_t *base, *norms, *reciprocals; /* of each quality of the map, (count, M) */
    int32_t *rates;                      /* likewise, (count, width) */
    int32_t *hyper;                      /* symbols, (all_rows / 4, all_columns / 4, Z) */
    int16_t *z;                          /* the same with an even number of channels */
    int16_t *half;                       /* (all_rows / 2, all_columns / 2, width) */
    int16_t *features, *x;               /* (all_rows, all_columns, width) */
    padded small, large[2];
    int16_t *known; /* (4 positions, cells, 3, quarter): passes in their order */
    uint8_t *levels[PASSES];
    int32_t *symbols[PASSES];
    int32_t *means;
    int16_t *y_hat; /* (all_rows, all_columns, M) */
    int16_t *scratch;
    size_t scratch_step;
    int32_t *head_scratch;
    size_t head_step;
    const float *y, *edges; /* what is rounded, and how; see aec_round */
} passes;

static padded take_padded(memory *own, int32_t rows, int32_t columns, int32_t width, int32_t border)
{
    ptrdiff_t row = (ptrdiff_t)(columns + 2 * border) * width;
    int16_t *data = take_zeros(own, (uint64_t)row * (uint32_t)(rows + 2 * border), 2);
    return (padded){data, border, row};
}

/* Where the activations of a row begin. */
INLINE int16_t *inside_row(const padded *p, int32_t row, int32_t width)
{
    return p->data + (row + p->border) * p->row + (ptrdiff_t)p->border * width;
}

static int16_t *scratch_of(const passes *t, int32_t thread)
{
    return t->scratch + (size_t)thread * t->scratch_step;
}

static void mix_in_row(const passes *t, const context_block *block, const int16_t *x,
                       const padded *to, int32_t row, int32_t columns)
{
    t->run->clip(&block->mix_in, (inputs){x, t->width}, columns, 0, inside_row(to, row, t->width),
                 t->width);
}

/* The rest of a block, of one row. x: what the block was given and gives. */
static void finish_block_row(const passes *t, const context_block *block, const padded *from,
                             int16_t *x, int32_t row, int32_t columns, int16_t *scratch)
{
    t->run->depthwise_row(&block->middle, from->data + row * from->row, from->row, columns, 0,
                          ACTIVATION_HIGH, scratch);
    t->run->add_clipped(&block->mix_out, (inputs){scratch, t->width}, columns, x);
}

static int16_t *row_of(const passes *t, int16_t *array, int32_t row, int32_t columns)
{
    return array + (ptrdiff_t)row * columns * t->width;
}

/* One row of a layer before a shuffle, to two rows of its result. */
static void shuffle_row(const passes *t, const linear layers[4], inputs in, int32_t columns,
                        int16_t *out)
{
    for (int32_t position = 0; position < 4; position++) {
        ptrdiff_t place = (ptrdiff_t)(position / CELL) * CELL * columns + position % CELL;
        t->run->clip(&layers[position], in, columns, ACTIVATION_LOW, out + place * t->width,
                     (ptrdiff_t)CELL * t->width);
    }
}

static void enter_row(void *context, int32_t row, int32_t thread)
{
    const passes *t = context;
    int32_t columns = t->all_columns / GROUP, step = up_to(t->net->hypers, 2);
    int16_t *out = row_of(t, t->half, CELL * row, CELL * columns);
    (void)thread;
    shuffle_row(t, t->net->entry, (inputs){t->z + (ptrdiff_t)row * columns * step, step}, columns,
                out);
    for (int32_t i = 0; i < CELL; i++)
        mix_in_row(t, &t->net->first, out + (ptrdiff_t)i * CELL * columns * t->width, &t->small,
                   CELL * row + i, CELL * columns);
}

static void shuffle_up_row(void *context, int32_t row, int32_t thread)
{
    const passes *t = context;
    int32_t columns = t->cell_columns;
    int16_t *x = row_of(t, t->half, row, columns);
    int16_t *out = row_of(t, t->x, CELL * row, t->all_columns);
    finish_block_row(t, &t->net->first, &t->small, x, row, columns, scratch_of(t, thread));
    shuffle_row(t, t->net->up, (inputs){x, t->width}, columns, out);
    for (int32_t i = 0; i < CELL; i++)
        mix_in_row(t, &t->net->second, out + (ptrdiff_t)i * t->all_columns * t->width, &t->large[0],
                   CELL * row + i, t->all_columns);
}

static void features_row(void *context, int32_t row, int32_t thread)
{
    const passes *t = context;
    int16_t *x = row_of(t, t->x, row, t->all_columns);
    int16_t *features = row_of(t, t->features, row, t->all_columns);
    finish_block_row(t, &t->net->second, &t->large[0], x, row, t->all_columns,
                     scratch_of(t, thread));
    for (int32_t p = 0; p < t->all_columns; p++) {
        ptrdiff_t place = (ptrdiff_t)row * t->all_columns + p;
        const int32_t *rates = t->rates + slot_at(&t->map, place) * t->width;
        for (int32_t c = 0; c < t->width; c++)
            features[(ptrdiff_t)p * t->width + c] = (int16_t)clip32(
                x[(ptrdiff_t)p * t->width + c] + rates[c], ACTIVATION_LOW, ACTIVATION_HIGH);
    }
}

/* The first place of a position in a row of cells. */
static ptrdiff_t place_of_cell(const passes *t, int32_t cell_row, int32_t position)
{
    return (ptrdiff_t)(CELL * cell_row + position / CELL) * t->all_columns + position % CELL;
}

static inputs at_position(const passes *t, const int16_t *array, int32_t cell_row, int32_t position)
{
    return (inputs){array + place_of_cell(t, cell_row, position) * t->width,
                    (ptrdiff_t)CELL * t->width};
}

static int16_t *known_at(const passes *t, int32_t cell_row, int32_t position)
{
    ptrdiff_t row = (ptrdiff_t)position * t->cell_rows + cell_row;
    return t->known + row * t->cell_columns * (PASSES - 1) * t->net->known;
}

static void pass_entry_row(void *context, int32_t row, int32_t thread)
{
    const passes *t = context;
    const pass_network *net = &t->net->passes[t->pass - 1];
    (void)thread;
    for (int32_t position = 0; position < 4; position++) {
        inputs known = {known_at(t, row, position), (ptrdiff_t)(PASSES - 1) * t->net->known};
        int16_t *out = t->x + place_of_cell(t, row, position) * t->width;
        t->run->clip_two(&net->known[position], known, &net->features,
                         at_position(t, t->features, row, position), t->cell_columns, out,
                         (ptrdiff_t)CELL * t->width);
    }
    for (int32_t r = CELL * row; r < CELL * row + CELL; r++)
        mix_in_row(t, &net->first, row_of(t, t->x, r, t->all_columns), &t->large[0], r,
                   t->all_columns);
}

static void pass_middle_row(void *context, int32_t row, int32_t thread)
{
    const passes *t = context;
    const pass_network *net = &t->net->passes[t->pass - 1];
    int16_t *x = row_of(t, t->x, row, t->all_columns);
    finish_block_row(t, &net->first, &t->large[0], x, row, t->all_columns, scratch_of(t, thread));
    mix_in_row(t, &net->second, x, &t->large[1], row, t->all_columns);
}

/* Levels and means of a row of cells, of one quarter, from the prediction of its places. */
static void split_prediction(const passes *t, int32_t row, int32_t g, const int32_t *prediction,
                             int32_t step)
{
    int32_t quarter = t->net->quarter, half = t->net->half_head;
    ptrdiff_t place = place_of_cell(t, row, POSITION[t->pass][g]);
    size_t at = ((size_t)g * (size_t)t->cell_rows + (size_t)row) * (size_t)t->cell_columns;
    uint8_t *levels = t->levels[t->pass] + at * (size_t)quarter;
    int32_t *means = t->means + at * (size_t)quarter;
    for (int32_t p = 0; p < t->cell_columns; p++, place += CELL) {
        ptrdiff_t from = slot_at(&t->map, place) * t->net->latents + g * quarter;
        const int32_t *base = t->base + from, *norms = t->norms + from;
        for (int32_t c = 0; c < quarter; c++)
            levels[c] = (uint8_t)clip32((base[c] + prediction[c] + 8) >> 4, 0, LEVEL_COUNT - 1);
        for (int32_t c = 0; c < quarter; c++)
            means[c] =
                (int32_t)(((int64_t)prediction[half + c] * norms[c] + (1 << (NORM_SHIFT - 1))) >>
                          NORM_SHIFT);
        levels += quarter;
        means += quarter;
        prediction += step;
    }
}

static void predict_row(void *context, int32_t row, int32_t thread)
{
    const passes *t = context;
    int32_t *prediction = t->head_scratch + (size_t)thread * t->head_step;
    if (t->pass)
        for (int32_t r = CELL * row; r < CELL * row + CELL; r++)
            finish_block_row(t, &t->net->passes[t->pass - 1].second, &t->large[1],
                             row_of(t, t->x, r, t->all_columns), r, t->all_columns,
                             scratch_of(t, thread));
    for (int32_t g = 0; g < 4; g++) {
        int32_t position = POSITION[t->pass][g];
        t->run->raw(&t->net->head[g], at_position(t, t->features, row, position), t->cell_columns,
                    prediction);
        if (t->pass)
            t->run->add_raw(&t->net->passes[t->pass - 1].head[g],
                            at_position(t, t->x, row, position), t->cell_columns, prediction);
        split_prediction(t, row, g, prediction, t->net->head[g].outputs);
    }
}

/* The latents of one row of cells that a pass has coded. */
static void update_row(void *context, int32_t row, int32_t thread)
{
    const passes *t = context;
    int32_t quarter = t->net->quarter, m = t->net->latents, known_step = 3 * t->net->known;
    (void)thread;
    for (int32_t g = 0; g < 4; g++) {
        int32_t position = POSITION[t->pass][g];
        ptrdiff_t place = place_of_cell(t, row, position);
        size_t at = ((size_t)g * (size_t)t->cell_rows + (size_t)row) * (size_t)t->cell_columns;
        const int32_t *symbols = t->symbols[t->pass] + at * (size_t)quarter;
        const int32_t *means = t->means + at * (size_t)quarter;
        int16_t *y_hat = t->y_hat + place * m + g * quarter;
        int16_t *known = known_at(t, row, position) + t->pass * t->net->known;
        for (int32_t p = 0; p < t->cell_columns; p++, place += CELL) {
            const int32_t *reciprocals = t->reciprocals + slot_at(&t->map, place) * m + g * quarter;
            for (int32_t c = 0; c < quarter; c++)
                y_hat[c] = (int16_t)clip64((int64_t)MEAN_FRACTION * symbols[c] + means[c],
                                           INT16_MIN, INT16_MAX);
            for (int32_t c = 0; t->pass < PASSES - 1 && c < quarter; c++)
                known[c] = (int16_t)clip64(
                    ((int64_t)y_hat[c] * reciprocals[c] + (1 << (RECIPROCAL_SHIFT - 1))) >>
                        RECIPROCAL_SHIFT,
                    ACTIVATION_LOW, ACTIVATION_HIGH);
            symbols += quarter;
            means += quarter;
            y_hat += (ptrdiff_t)CELL * m;
            known += known_step;
        }
    }
}

#endif
