/* Gains by place: those of one quality for all, or by a map with a quality for each latent. */

#ifndef AEC_PLACE_GAINS_H
#define AEC_PLACE_GAINS_H

#include "stream.h"

/* Qualities of latents. */
typedef struct {
    int32_t flat;         /* of all, where there is no map */
    const int16_t *map;   /* (rows, columns), or NULL */
    int32_t rows, columns;
} qualities;

/* Rows of gains for the qualities that occur. */
typedef struct {
    const qualities *of;
    int32_t width;
    double *numbers;          /* (qualities that occur, width) */
    int16_t row[QUALITIES];   /* of the numbers, -1 for a quality that does not occur */
} place_gains;

static bool are_qualities_valid(const qualities *q)
{
    bool valid = q->flat >= 0 && q->flat < QUALITIES;
    ptrdiff_t count = q->map ? (ptrdiff_t)q->rows * q->columns : 0;
    for (ptrdiff_t i = 0; i < count; i++)
        valid = valid && q->map[i] >= 0 && q->map[i] < QUALITIES;
    return valid;
}

/* Memory for the gains of the qualities that occur, all 0. */
static void take_place_gains(memory *own, place_gains *gains, const qualities *of, int32_t width)
{
    gains->of = of;
    gains->width = width;
    int16_t found = 0;
    for (int32_t n = 0; n < QUALITIES; n++)
        gains->row[n] = -1;
    if (!of->map)
        gains->row[of->flat] = found++;
    ptrdiff_t count = of->map ? (ptrdiff_t)of->rows * of->columns : 0;
    for (ptrdiff_t i = 0; i < count; i++)
        if (gains->row[of->map[i]] < 0)
            gains->row[of->map[i]] = found++;
    gains->numbers = take_zeros(own, (uint64_t)found * (uint32_t)width, sizeof *gains->numbers);
}

/* The gains of a quality; NULL where it does not occur. */
static double *gains_of(const place_gains *gains, int32_t quality)
{
    int32_t row = gains->row[quality];
    return row < 0 ? NULL : gains->numbers + (ptrdiff_t)row * gains->width;
}

static void read_place_gains(place_gains *gains, const int32_t *knots, int32_t count)
{
    for (int32_t n = 0; n < QUALITIES; n++)
        if (gains_of(gains, n))
            read_gains(knots, count, gains->width, n, gains_of(gains, n));
}

/* Multiplies a row of a stream of which `side` by `side` places share a latent. */
static void scale_row(const operations *run, const place_gains *gains, int32_t row, int32_t side,
                      int32_t places, int32_t *stream)
{
    const qualities *of = gains->of;
    if (!of->map) {
        run->scale(gains_of(gains, of->flat), places, gains->width, stream);
        return;
    }
    const int16_t *map = of->map + (ptrdiff_t)(row / side) * of->columns;
    for (int32_t start = 0, end = 0; start < of->columns; start = end) {
        while (end < of->columns && map[end] == map[start])
            end++;
        run->scale(gains_of(gains, map[start]), (end - start) * side, gains->width,
                   stream + (ptrdiff_t)start * side * gains->width);
    }
}

#endif
