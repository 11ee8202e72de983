/* Qualities of the positions of a tile or a window, SPECIFICATION.md, section 9.6. */

#ifndef AEC_QUALITY_MAP_H
#define AEC_QUALITY_MAP_H

#include "common.h"
#include "memory.h"

/* The different qualities, for each of which tables and gains are read once, and which of them each
   place has. */
typedef struct {
    int32_t count;
    int16_t all[QUALITIES];
    int32_t columns;
    uint16_t *slots; /* (rows, columns); NULL where all places have the first quality */
} quality_map;

/* Whether a caller's map, or its absence, keeps the rules of kernel.h. */
static bool is_map_valid(const int16_t *qualities, int32_t rows, int32_t columns)
{
    size_t count = qualities ? (size_t)rows * (size_t)columns : 0;
    for (size_t i = 0; i < count; i++)
        if (qualities[i] < 0 || qualities[i] >= QUALITIES)
            return false;
    return true;
}

/* The number of a quality among the different ones, which it joins if it is new. */
static uint16_t slot_of(quality_map *map, int16_t quality, int16_t numbers[QUALITIES])
{
    if (numbers[quality] < 0) {
        numbers[quality] = (int16_t)map->count;
        map->all[map->count++] = quality;
    }
    return (uint16_t)numbers[quality];
}

/* Takes one quality, or a map (rows, columns) if it is not NULL, which its last row and column
   continue up to sides of whole multiples. */
static void take_map(quality_map *map, memory *own, int32_t quality, const int16_t *qualities,
                     int32_t rows, int32_t columns, int32_t multiple)
{
    int32_t all_rows = up_to(rows, multiple), all_columns = up_to(columns, multiple);
    int16_t numbers[QUALITIES];
    *map = (quality_map){.count = 1, .all = {(int16_t)quality}, .columns = all_columns};
    if (!qualities)
        return;
    uint16_t *slots = take(own, (uint64_t)all_rows * (uint32_t)all_columns, sizeof *slots);
    if (!slots)
        return;
    memset(numbers, 0xFF, sizeof numbers);
    map->count = 0;
    for (int32_t r = 0; r < all_rows; r++) {
        const int16_t *row = qualities + (size_t)(r < rows ? r : rows - 1) * (size_t)columns;
        uint16_t *to = slots + (size_t)r * (size_t)all_columns;
        for (int32_t c = 0; c < all_columns; c++)
            to[c] = slot_of(map, row[c < columns ? c : columns - 1], numbers);
    }
    map->slots = map->count > 1 ? slots : NULL;
}

/* The number of a place's quality among the different ones. */
INLINE ptrdiff_t slot_at(const quality_map *map, ptrdiff_t place)
{
    return map->slots ? map->slots[place] : 0;
}

/* The column behind the places from `column` on that have the same quality. */
static int32_t run_end(const quality_map *map, int32_t row, int32_t column)
{
    if (!map->slots)
        return map->columns;
    const uint16_t *slots = map->slots + (ptrdiff_t)row * map->columns;
    int32_t end = column + 1;
    while (end < map->columns && slots[end] == slots[column])
        end++;
    return end;
}

#endif
