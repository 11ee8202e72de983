/* Latents of one tile: the passes as steps, and words to latents and back, section 9. */

#ifndef AEC_LATENTS_H
#define AEC_LATENTS_H

#include "passes.h"

enum { MOST_SIDE = 1 << 16 };

/* Numbers of the model at each quality of the map: all that depends on it. */
static void read_qualities(passes *t)
{
    const prior *net = t->net;
    for (int32_t slot = 0; slot < t->map.count; slot++) {
        int32_t quality = t->map.all[slot];
        ptrdiff_t to = (ptrdiff_t)slot * net->latents;
        for (ptrdiff_t c = 0; c < net->latents; c++) {
            int32_t base = net->base[quality * net->latents + c];
            t->base[to + c] = base;
            t->norms[to + c] = net->norms[base - NORM_OFFSET];
            t->reciprocals[to + c] = net->reciprocals[base - NORM_OFFSET];
        }
        for (ptrdiff_t c = 0; c < t->width; c++)
            t->rates[(ptrdiff_t)slot * t->width + c] =
                c < net->context ? net->rates[quality * net->context + c] : 0;
    }
}

static void take_tables(passes *t)
{
    uint64_t count = (uint32_t)t->map.count, channels = count * (uint32_t)t->net->latents;
    t->base = take(&t->own, channels, sizeof *t->base);
    t->norms = take(&t->own, channels, sizeof *t->norms);
    t->reciprocals = take(&t->own, channels, sizeof *t->reciprocals);
    t->rates = take(&t->own, count * (uint32_t)t->width, sizeof *t->rates);
}

static void take_activations(passes *t)
{
    memory *own = &t->own;
    int32_t rows = t->all_rows, columns = t->all_columns, width = t->width;
    uint64_t places = (uint64_t)rows * (uint32_t)columns;
    int32_t hypers = up_to(t->net->hypers, 2), m = t->net->latents;
    t->z = take_zeros(own, places / 16 * (uint32_t)hypers, sizeof *t->z);
    t->hyper = take(own, places / 16 * (uint32_t)t->net->hypers, sizeof *t->hyper);
    t->half = take(own, places / 4 * (uint32_t)width, sizeof *t->half);
    t->features = take(own, places * (uint32_t)width, sizeof *t->features);
    t->x = take(own, places * (uint32_t)width, sizeof *t->x);
    t->small = take_padded(own, t->cell_rows, t->cell_columns, width, HYPER_SIDE / 2);
    t->known = take_zeros(own, places * (PASSES - 1) * (uint32_t)t->net->known, sizeof *t->known);
    t->means = take(own, t->coded, sizeof *t->means);
    t->y_hat = take(own, places * (uint32_t)m, sizeof *t->y_hat);
    for (int k = 0; k < PASSES; k++) {
        t->levels[k] = take(own, t->coded, 1);
        t->symbols[k] = take(own, t->coded, sizeof *t->symbols[k]);
    }
}

static void take_scratch(passes *t)
{
    uint32_t threads = (uint32_t)t->team->threads;
    t->scratch_step = (size_t)t->all_columns * (size_t)t->width;
    t->head_step = (size_t)t->cell_columns * (size_t)t->net->head[0].outputs;
    t->scratch = take(&t->own, (uint64_t)threads * t->scratch_step, sizeof *t->scratch);
    t->head_scratch = take(&t->own, (uint64_t)threads * t->head_step, sizeof *t->head_scratch);
}

/* Prepares a tile; gives false without memory. Its team may change between calls, but never has
   more threads than this one. qualities: (rows, columns), or NULL. */
static bool begin_passes(passes *t, const prior *net, const operations *run, team *threads,
                         int32_t rows, int32_t columns, int32_t quality, const int16_t *qualities)
{
    *t = (passes){.net = net,
                  .run = run,
                  .width = net->width,
                  .rows = rows,
                  .columns = columns,
                  .all_rows = up_to(rows, GROUP),
                  .all_columns = up_to(columns, GROUP),
                  .team = threads};
    t->cell_rows = t->all_rows / CELL;
    t->cell_columns = t->all_columns / CELL;
    t->coded = (size_t)t->cell_rows * (size_t)t->cell_columns * (size_t)net->latents;
    take_map(&t->map, &t->own, quality, qualities, rows, columns, GROUP);
    take_tables(t);
    take_activations(t);
    take_scratch(t);
    if (t->own.failed || t->coded > UINT32_MAX / 4)
        return false;
    read_qualities(t);
    return true;
}

static void take_large(passes *t, int32_t border)
{
    for (int i = 0; i < 2; i++)
        t->large[i] = take_padded(&t->own, t->all_rows, t->all_columns, t->width, border);
}

/* The hyper-synthesis of `t->hyper`; gives false without memory. */
static bool make_features(passes *t)
{
    int32_t hypers = t->net->hypers, step = up_to(hypers, 2);
    int32_t rows = t->all_rows / GROUP, columns = t->all_columns / GROUP;
    for (size_t p = 0; p < (size_t)rows * (size_t)columns; p++)
        for (int32_t c = 0; c < hypers; c++)
            t->z[p * (size_t)step + (size_t)c] = (int16_t)t->hyper[p * (size_t)hypers + (size_t)c];
    t->large[0] = take_padded(&t->own, t->all_rows, t->all_columns, t->width, HYPER_SIDE / 2);
    if (t->own.failed)
        return false;
    share_rows(t->team, enter_row, t, rows);
    share_rows(t->team, shuffle_up_row, t, t->cell_rows);
    share_rows(t->team, features_row, t, t->all_rows);
    take_large(t, CONTEXT_SIDE / 2);
    return !t->own.failed;
}

/* Levels and means of pass `t->pass`. */
static void predict_pass(passes *t)
{
    if (t->pass) {
        share_rows(t->team, pass_entry_row, t, t->cell_rows);
        share_rows(t->team, pass_middle_row, t, t->all_rows);
    }
    share_rows(t->team, predict_row, t, t->cell_rows);
    t->predicted = true;
}

/* Ends pass `t->pass`, whose symbols are there. */
static void update_pass(passes *t)
{
    share_rows(t->team, update_row, t, t->cell_rows);
    t->predicted = false;
    t->pass++;
}

/* How many places of a row of cells are coded at a position. */
static int32_t coded_columns(const passes *t, int32_t row, int32_t position)
{
    if (CELL * row + position / CELL >= t->rows)
        return 0;
    return (t->columns - position % CELL + CELL - 1) / CELL;
}

/* Calls `move(inside, place, count)` for the runs of coded symbols of a pass: of `count` symbols
   from number `inside` on without the padding, and `place` with it. Gives the number of all. */
typedef void (*run_mover)(void *context, size_t inside, size_t place, size_t count);

static size_t each_run(const passes *t, int32_t pass, run_mover move, void *context)
{
    size_t inside = 0, quarter = (size_t)t->net->quarter;
    for (int32_t g = 0; g < 4; g++) {
        for (int32_t row = 0; row < t->cell_rows; row++) {
            size_t count = (size_t)coded_columns(t, row, POSITION[pass][g]) * quarter;
            size_t place = ((size_t)g * (size_t)t->cell_rows + (size_t)row) *
                           (size_t)t->cell_columns * quarter;
            move(context, inside, place, count);
            inside += count;
        }
    }
    return inside;
}

/* The symbols of a pass without the padding, in scratch memory. */
typedef struct {
    uint8_t *numbers, *all_numbers;
    int32_t *symbols, *all_symbols;
} coded_group;

static void gather_run(void *context, size_t inside, size_t place, size_t count)
{
    coded_group *group = context;
    memcpy(group->numbers + inside, group->all_numbers + place, count);
    memcpy(group->symbols + inside, group->all_symbols + place, count * sizeof *group->symbols);
}

static void scatter_run(void *context, size_t inside, size_t place, size_t count)
{
    coded_group *group = context;
    memcpy(group->all_symbols + place, group->symbols + inside, count * sizeof *group->symbols);
}

static void gather_numbers(void *context, size_t inside, size_t place, size_t count)
{
    coded_group *group = context;
    memcpy(group->numbers + inside, group->all_numbers + place, count);
}

static bool is_padded(const passes *t)
{
    return t->rows != t->all_rows || t->columns != t->all_columns;
}

/* Scratch memory for groups of a tile. */
static bool take_group_scratch(memory *from, const passes *t, uint32_t **order, uint8_t **numbers,
                               int32_t **symbols)
{
    uint64_t hyper =
        (uint64_t)t->all_rows * (uint32_t)t->all_columns / 16 * (uint32_t)t->net->hypers;
    uint64_t most = hyper > t->coded ? hyper : t->coded;
    *order = take(from, most, sizeof **order);
    *numbers = take(from, most, 1);
    *symbols = take(from, most, sizeof **symbols);
    return !from->failed && most <= UINT32_MAX;
}

static uint32_t number_hypers(const passes *t, uint8_t *numbers)
{
    int32_t hypers = t->net->hypers;
    size_t places = (size_t)(t->all_rows / GROUP) * (size_t)(t->all_columns / GROUP);
    for (size_t p = 0; p < places; p++)
        for (int32_t c = 0; c < hypers; c++)
            numbers[p * (size_t)hypers + (size_t)c] = (uint8_t)c;
    return (uint32_t)(places * (size_t)hypers);
}

static bool are_hypers_valid(const int32_t *hyper, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (hyper[i] < ACTIVATION_LOW || hyper[i] > ACTIVATION_HIGH)
            return false;
    return true;
}

/* Takes the symbols of the pass that is predicted. */
static void take_pass(passes *t, word_reader *reader, uint32_t *order, uint8_t *numbers,
                      int32_t *symbols)
{
    coded_group group = {numbers, t->levels[t->pass], symbols, t->symbols[t->pass]};
    if (!is_padded(t)) {
        take_group(reader, group.all_numbers, (uint32_t)t->coded, t->net->scales, order,
                   group.all_symbols);
        return;
    }
    size_t count = each_run(t, t->pass, gather_numbers, &group);
    take_group(reader, numbers, (uint32_t)count, t->net->scales, order, symbols);
    memset(group.all_symbols, 0, t->coded * sizeof *symbols);
    each_run(t, t->pass, scatter_run, &group);
}

/* Symbols in the padding count as 0. */
static void clear_padding(passes *t)
{
    size_t quarter = (size_t)t->net->quarter;
    for (int32_t g = 0; is_padded(t) && g < 4; g++) {
        for (int32_t row = 0; row < t->cell_rows; row++) {
            size_t coded = (size_t)coded_columns(t, row, POSITION[t->pass][g]);
            size_t place =
                ((size_t)g * (size_t)t->cell_rows + (size_t)row) * (size_t)t->cell_columns;
            memset(t->symbols[t->pass] + (place + coded) * quarter, 0,
                   ((size_t)t->cell_columns - coded) * quarter * sizeof(int32_t));
        }
    }
}

/* The nearest symbol, halves up. */
static int32_t nearest_symbol(float v)
{
    v = v + 0.5f;
    if (v < INT16_MIN || v > INT16_MAX)
        return v < 0 ? INT16_MIN : INT16_MAX;
    int32_t whole = (int32_t)v;
    return whole - (v < (float)whole);
}

/* The symbol towards zero, or the next one where the rest exceeds the edge. */
static int32_t cheap_symbol(float v, const float *edges)
{
    enum { MAGNITUDES = 16 };
    float size = v < 0 ? -v : v;
    if (size >= -(float)INT16_MIN)
        return v < 0 ? INT16_MIN : INT16_MAX;
    int32_t whole = (int32_t)size;
    whole += size - (float)whole > edges[whole < MAGNITUDES ? whole : MAGNITUDES - 1];
    return v < 0 ? -whole : clip32(whole, 0, INT16_MAX);
}

/* Symbols of the places of a row of cells that lie in the tile. */
static void round_row(void *context, int32_t row, int32_t thread)
{
    enum { MAGNITUDES = 16 };
    const passes *t = context;
    int32_t quarter = t->net->quarter, m = t->net->latents;
    (void)thread;
    for (int32_t g = 0; g < 4; g++) {
        int32_t position = POSITION[t->pass][g], count = coded_columns(t, row, position);
        size_t at = ((size_t)g * (size_t)t->cell_rows + (size_t)row) * (size_t)t->cell_columns *
                    (size_t)quarter;
        const uint8_t *levels = t->levels[t->pass] + at;
        const int32_t *means = t->means + at;
        int32_t *symbols = t->symbols[t->pass] + at;
        const float *y =
            t->y + ((ptrdiff_t)(CELL * row + position / CELL) * t->columns + position % CELL) * m +
            g * quarter;
        for (int32_t p = 0; p < count; p++, y += (ptrdiff_t)CELL * m) {
            for (int32_t c = 0; c < quarter; c++) {
                float rest = y[c] - (float)*means++ * (1.0f / MEAN_FRACTION);
                int32_t level = *levels++;
                *symbols++ = t->edges ? cheap_symbol(rest, t->edges + level * MAGNITUDES)
                                      : nearest_symbol(rest);
            }
        }
    }
}

static void copy_latents(const passes *t, int16_t *y_hat)
{
    size_t row = (size_t)t->columns * (size_t)t->net->latents;
    size_t all = (size_t)t->all_columns * (size_t)t->net->latents;
    for (int32_t r = 0; r < t->rows; r++)
        memcpy(y_hat + (size_t)r * row, t->y_hat + (size_t)r * all, row * sizeof *y_hat);
}

/* Decodes a tile that has begun. */
static int32_t decode_passes(passes *t, const void *words, size_t word_count, int16_t *y_hat)
{
    word_reader reader;
    uint32_t *order;
    uint8_t *numbers;
    int32_t *symbols;
    if (!take_group_scratch(&t->own, t, &order, &numbers, &symbols))
        return AEC_MEMORY;
    if (!begin_words(&reader, words, word_count))
        return AEC_PAYLOAD;
    uint32_t hypers = number_hypers(t, numbers);
    take_group(&reader, numbers, hypers, t->net->hyper_tables, order, t->hyper);
    if (!are_hypers_valid(t->hyper, hypers))
        return AEC_PAYLOAD;
    if (!make_features(t))
        return AEC_MEMORY;
    while (t->pass < PASSES) {
        predict_pass(t);
        take_pass(t, &reader, order, numbers, symbols);
        update_pass(t);
    }
    if (!are_words_done(&reader))
        return AEC_PAYLOAD;
    copy_latents(t, y_hat);
    return AEC_OK;
}

/* Codes a tile whose passes are complete; the words live with the tile. */
static bool code_passes(passes *t, word_writer *writer)
{
    memory own = {0};
    uint32_t *order;
    uint8_t *numbers;
    int32_t *symbols;
    *writer = (word_writer){0};
    if (take_group_scratch(&own, t, &order, &numbers, &symbols)) {
        for (int32_t k = PASSES; k-- > 0;) {
            coded_group group = {numbers, t->levels[k], symbols, t->symbols[k]};
            size_t count = each_run(t, k, gather_run, &group);
            put_group(writer, numbers, (uint32_t)count, t->net->scales, order, symbols);
        }
        uint32_t hypers = number_hypers(t, numbers);
        put_group(writer, numbers, hypers, t->net->hyper_tables, order, t->hyper);
        finish_words(writer);
    }
    writer->failed |= own.failed;
    release_all(&own);
    return !writer->failed;
}

#endif
