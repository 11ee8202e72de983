/* Calls the kernel's functions with random models, words, sizes and orders of calls; sanitizers say
   what is wrong. Usage: fuzz_kernel SEED ROUNDS. All levels must give what the plain one gives. */

#include <stdio.h>

#include "kernel.c"

static uint64_t random_state;

static uint64_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x9E3779B97F4A7C15u >> 20;
}

/* In [low, high]. */
static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)(draw() % (uint64_t)(high - low + 1));
}

static void check(bool holds, const char *what)
{
    if (!holds) {
        printf("%s\n", what);
        abort();
    }
}

static bool ends_with(const char *name, const char *end)
{
    size_t a = strlen(name), b = strlen(end);
    return a >= b && !strcmp(name + a - b, end);
}

static void put_element(const tensor *t, unsigned char *data, size_t i, int64_t v)
{
    memcpy(data + i * (size_t)t->bits / 8, &v, (size_t)t->bits / 8);
}

static int64_t any_element(const tensor *t)
{
    const char *name = t->name;
    if (ends_with(name, ".weight")) {
        if (t->bits == 8)
            return between(-1, 1) * between(0, 30000 / (t->shape[1] * t->shape[2] * t->shape[3]));
        if (t->dimensions == 4)
            return between(-1, 1) * between(0, 15000 / (t->shape[1] * t->shape[2] * t->shape[3]));
        int64_t most = ((1 << 20) - 4) / t->shape[0];
        return between(-1, 1) * (most < 32767 ? most : 32767);
    }
    if (ends_with(name, ".bias"))
        return between(-1, 1) * between(0, t->bits == 64 ? (int64_t)1 << 38 : 1 << 14);
    if (ends_with(name, "exit.shift") && !t->dimensions)
        return between(0, 16);
    if (ends_with(name, "up.shift") || ends_with(name, "analysis.entry.shift") ||
        ends_with(name, "down.shift") || ends_with(name, "exit.shift"))
        return between(12, 24);
    if (ends_with(name, "shift"))
        return between(0, 24);
    if (ends_with(name, "fraction"))
        return between(7, 12);
    if (ends_with(name, "gain"))
        return between(-GAIN_LIMIT, GAIN_LIMIT);
    if (ends_with(name, "base"))
        return between(NORM_OFFSET, NORM_OFFSET + NORMS - 1);
    if (ends_with(name, "norms"))
        return between(-NORM_LIMIT, NORM_LIMIT);
    if (ends_with(name, "reciprocals"))
        return between(0, INT32_MAX);
    return between(INT16_MIN, INT16_MAX);
}

/* `count` counts that sum to 2^24, from element `at` on. */
static void put_counts(const tensor *t, unsigned char *data, size_t at, int64_t count)
{
    int64_t left = (1 << PRECISION) - count;
    for (int64_t i = 0; i < count; i++) {
        int64_t part = i == count - 1 ? left : between(0, left) / (between(0, 3) ? 8 : 1);
        put_element(t, data, at + (size_t)i, part + 1);
        left -= part;
    }
}

static void put_tables(const tensor *t, unsigned char *data, const int64_t sizes[LEVEL_COUNT])
{
    size_t at = 0;
    for (int l = 0; ends_with(t->name, "scale_sizes") && l < LEVEL_COUNT; l++)
        put_element(t, data, (size_t)l, sizes[l]);
    for (int l = 0; ends_with(t->name, "scale_counts") && l < LEVEL_COUNT; l++) {
        put_counts(t, data, at, sizes[l]);
        at += (size_t)sizes[l];
    }
    for (uint32_t c = 0; ends_with(t->name, "hyper_counts") && c < t->shape[0]; c++)
        put_counts(t, data, c * HYPER_COUNTS, HYPER_COUNTS);
}

/* Hands over random tensors: the same for the same seed. wrong: how many elements break rules. */
static int32_t fill(aec_model *model, uint64_t seed, int wrong)
{
    tensor_list *list = &model->packer.list;
    int64_t sizes[LEVEL_COUNT], all = 0;
    unsigned char **kept = calloc((size_t)list->count, sizeof *kept);
    random_state = seed;
    for (int l = 0; l < LEVEL_COUNT; l++)
        all += sizes[l] = between(2, l ? 40 : 900);
    for (int32_t i = 0; i < list->count; i++) {
        tensor t = list->all[i];
        if (ends_with(t.name, "scale_counts"))
            t.shape[0] = (uint32_t)all;
        uint32_t length = length_of(&t);
        kept[i] = malloc(length * (size_t)t.bits / 8);
        for (uint32_t n = 0; n < length; n++)
            put_element(&t, kept[i], n, any_element(&t));
        put_tables(&t, kept[i], sizes);
        if (wrong && !between(0, list->count / wrong))
            put_element(&t, kept[i], draw() % length, (int64_t)(draw() << 24 | draw()));
        check(aec_tensor(model, t.name, kept[i], t.bits, t.dimensions, t.shape) == AEC_OK,
              "a tensor is not taken");
    }
    check(aec_tensor(model, "prior.tables.base", kept[0], 16, 0, NULL) == AEC_WEIGHTS, "twice");
    check(aec_tensor(model, "prior", kept[0], 16, 0, NULL) == AEC_WEIGHTS, "superfluous");
    int32_t count = list->count, status = aec_ready(model);
    for (int32_t i = 0; i < count; i++)
        free(kept[i]);
    free(kept);
    return status;
}

static void *random_bytes(size_t size)
{
    unsigned char *bytes = malloc(size ? size : 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(between(0, 3) ? (int64_t)draw() : between(-1, 0));
    return bytes;
}

/* A map of qualities, by cells or by positions, or none. */
static int16_t *any_map(int32_t rows, int32_t columns)
{
    int32_t side = between(0, 1) ? GROUP : 1, most = between(0, 1) ? 400 : 1;
    int16_t *map = malloc((size_t)(rows * columns) * sizeof *map);
    if (!between(0, 2)) {
        free(map);
        return NULL;
    }
    for (int32_t i = 0; i < rows * columns; i++) {
        int32_t r = i / columns, c = i % columns,
                corner = r / side * side * columns + c / side * side;
        map[i] = corner == i ? (int16_t)between(0, most) : map[corner];
    }
    return map;
}

/* What a model computes of random inputs, as one checksum. */
static uint32_t run_synthesis(const aec_model *model, int32_t rows, int32_t columns)
{
    size_t latents = (size_t)(rows * columns * model->sizes.latents);
    int32_t scale = 1 << between(0, 3), deep = (int32_t)between(0, 1),
            gray = (int32_t)between(0, 1);
    size_t size = (size_t)(256 * rows * columns / scale / scale) * (gray ? 1 : 3) * (deep ? 2 : 1);
    int16_t *y = random_bytes(2 * latents);
    void *samples = malloc(size);
    int16_t *map = any_map(rows, columns);
    check(aec_synthesize(model, y, rows, columns, (int32_t)between(0, 400), map, scale,
                         (int32_t)between(1, 20 * rows), (int32_t)between(1, 20 * columns), deep,
                         gray, (int32_t)between(1, 3), samples) == AEC_OK,
          "synthesis");
    uint32_t crc = aec_crc32(0, samples, size);
    free(map);
    free(samples);
    free(y);
    return crc;
}

static uint32_t run_words(const aec_model *model, int32_t rows, int32_t columns)
{
    size_t count = (size_t)between(0, 60),
           size = 2 * (size_t)(rows * columns * model->sizes.latents);
    unsigned char *words = random_bytes(4 * count + 1);
    int16_t *y = calloc(1, size), *map = any_map(rows, columns);
    int32_t status = aec_decode_latents(model, words + 1, count, rows, columns,
                                        (int32_t)between(0, 400), map, (int32_t)between(1, 3), y);
    check(status == AEC_OK || status == AEC_PAYLOAD, "words");
    if (map) {
        map[between(0, rows * columns - 1)] = between(0, 1) ? -1 : 401;
        check(aec_decode_latents(model, words + 1, count, rows, columns, 0, map, 1, y) ==
                  AEC_ARGUMENT,
              "a map out of range");
    }
    free(map);
    free(words);
    free(y);
    return (uint32_t)status;
}

static uint32_t run_passes(const aec_model *model, int32_t rows, int32_t columns)
{
    int32_t high = up_to(rows, GROUP), broad = up_to(columns, GROUP);
    int32_t quality = (int32_t)between(0, 400), latents = model->sizes.latents;
    size_t hypers = (size_t)(high / 4 * broad / 4 * model->sizes.hypers);
    size_t coded = (size_t)(high * broad * latents / 4), size = (size_t)(rows * columns * latents);
    int32_t *hyper = calloc(hypers, 4), *means = malloc(4 * coded), *symbols = malloc(4 * coded);
    uint8_t *levels = malloc(coded);
    int16_t *y = malloc(2 * size), *again = malloc(2 * size), *map = any_map(rows, columns);
    for (size_t i = 0; i < hypers; i++)
        hyper[i] = (int32_t)between(ACTIVATION_LOW, ACTIVATION_HIGH);
    aec_tile *tile = aec_begin(model, hyper, rows, columns, quality, map, (int32_t)between(1, 3));
    size_t count = 0;
    uint32_t crc = 0;
    check(tile && !aec_words(tile, &count) && aec_put(tile, symbols) == AEC_ARGUMENT, "begin");
    for (int k = 0; k < PASSES; k++) {
        check(aec_predict(tile, levels, means) == AEC_OK, "predict");
        check(aec_predict(tile, levels, means) == AEC_ARGUMENT, "predict twice");
        crc = aec_crc32(aec_crc32(crc, levels, coded), means, 4 * coded);
        for (size_t i = 0; i < coded; i++)
            symbols[i] = (int32_t)(between(0, 3) ? between(-3, 3) : between(INT16_MIN, INT16_MAX));
        check(aec_put(tile, symbols) == AEC_OK, "put");
    }
    check(aec_latents(tile, y) == AEC_OK, "latents");
    const uint32_t *words = aec_words(tile, &count);
    check(words &&
              aec_decode_latents(model, words, count, rows, columns, quality, map, 1, again) ==
                  AEC_OK &&
              !memcmp(y, again, 2 * size),
          "decoded words");
    crc = aec_crc32(aec_crc32(crc, y, 2 * size), words, 4 * count);
    aec_end(tile);
    free(map);
    free(hyper);
    free(means);
    free(symbols);
    free(levels);
    free(y);
    free(again);
    return crc;
}

/* Latents of any size, rounded and coded, and decoded again. */
static uint32_t run_rounding(const aec_model *model, int32_t rows, int32_t columns)
{
    size_t hypers = (size_t)(up_to(rows, 4) / 4 * up_to(columns, 4) / 4 * model->sizes.hypers);
    size_t size = (size_t)(rows * columns * model->sizes.latents), count = 0;
    int32_t *hyper = calloc(hypers, 4), quality = (int32_t)between(0, 400);
    float *y = malloc(4 * size), edges[LEVEL_COUNT * 16];
    int16_t *y_hat = malloc(2 * size), *again = malloc(2 * size), *map = any_map(rows, columns);
    for (size_t i = 0; i < size; i++)
        y[i] = (float)between(-9999999, 9999999) * (between(0, 2) ? 1e-5f : 1e20f);
    for (int i = 0; i < LEVEL_COUNT * 16; i++)
        edges[i] = (float)between(0, 1000) * 1e-3f;
    aec_tile *tile = aec_begin(model, hyper, rows, columns, quality, map, (int32_t)between(1, 3));
    for (int k = 0; k < PASSES; k++)
        check(aec_round(tile, y, k % 2 ? edges : NULL) == AEC_OK, "round");
    check(aec_round(tile, y, NULL) == AEC_ARGUMENT && aec_latents(tile, y_hat) == AEC_OK, "end");
    const uint32_t *words = aec_words(tile, &count);
    int32_t status = aec_decode_latents(model, words, count, rows, columns, quality, map, 2, again);
    check(status == AEC_OK && !memcmp(y_hat, again, 2 * size), "decoded rounded latents");
    uint32_t crc = aec_crc32(0, words, 4 * count);
    aec_end(tile);
    free(map);
    free(hyper);
    free(y);
    free(y_hat);
    free(again);
    return crc;
}

static uint32_t run_analysis(const aec_model *model, int32_t rows, int32_t columns)
{
    int32_t deep = (int32_t)between(0, 1), gray = (int32_t)between(0, 1);
    int32_t threads = (int32_t)between(1, 3), quality = (int32_t)between(0, 400);
    size_t places = (size_t)(rows * columns),
           begun_size = 4 * places * (size_t)model->sizes.channels;
    size_t y_size = places * (size_t)model->sizes.latents;
    size_t z_size = (size_t)(up_to(rows, 4) / 4 * up_to(columns, 4) / 4 * model->sizes.hypers);
    void *pixels = random_bytes(256 * places * (gray ? 1 : 3) * (deep ? 2 : 1));
    int32_t *begun = malloc(4 * begun_size);
    float *y = malloc(4 * y_size), *z = malloc(4 * z_size);
    int16_t *map = between(0, 1) ? malloc(2 * places) : NULL;
    for (size_t i = 0; map && i < places; i++)
        map[i] = (int16_t)between(0, 400);
    check(aec_analyze_begin(model, pixels, rows, columns, deep, gray, threads, begun) == AEC_OK &&
              aec_analyze_finish(model, begun, rows, columns, quality, map, threads, y) == AEC_OK &&
              aec_analyze_hyper(model, y, rows, columns, quality, map, threads, z) == AEC_OK,
          "analysis");
    if (map) {
        map[places - 1] = between(0, 1) ? -1 : 401;
        check(aec_analyze_hyper(model, y, rows, columns, quality, map, threads, z) == AEC_ARGUMENT,
              "map out of range");
        free(map);
    }
    uint32_t crc = aec_crc32(aec_crc32(0, y, 4 * y_size), z, 4 * z_size);
    free(pixels);
    free(begun);
    free(y);
    free(z);
    return crc;
}

static aec_model *any_model(int32_t level, uint64_t seed, bool analyzes, int wrong, int32_t *status)
{
    random_state = seed;
    int32_t c = (int32_t)between(1, 40), m = 4 * (int32_t)between(1, 20),
            z = (int32_t)between(1, 9);
    int32_t h = (int32_t)between(1, 40), blocks = (int32_t)between(1, 3),
            coarse = (int32_t)between(1, 3);
    aec_model *model = analyzes ? aec_create_analysis(level, c, m, z, h, blocks, coarse)
                                : aec_create(level, c, m, z, h, blocks, coarse);
    check(model, "no model");
    *status = fill(model, seed, wrong);
    return model;
}

/* One model on all levels; gives whether it was taken. */
static bool one_round(uint64_t seed, bool analyzes, int wrong)
{
    uint32_t expected = 0;
    bool is_first = true, is_taken = false;
    for (int32_t level = 0; level < AEC_LEVELS; level++) {
        if (!aec_has_level(level))
            continue;
        int32_t status;
        aec_model *model = any_model(level, seed, analyzes, wrong, &status);
        check(wrong || status == AEC_OK, aec_message(model));
        uint32_t crc = (uint32_t)status;
        if (status == AEC_OK) {
            is_taken = true;
            random_state = ~seed;
            int32_t rows = (int32_t)between(1, 6), columns = (int32_t)between(1, 14);
            crc = analyzes
                      ? run_analysis(model, rows, columns)
                      : run_synthesis(model, rows, columns) ^ run_words(model, rows, columns) ^
                            run_passes(model, rows, columns) ^ run_rounding(model, rows, columns);
        }
        check(is_first || crc == expected, "levels differ");
        expected = crc;
        is_first = false;
        aec_free(model);
    }
    return is_taken;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    int rounds = argc > 2 ? atoi(argv[2]) : 10, taken = 0;
    check(!aec_create(AEC_PLAIN, 0, 4, 1, 1, 1, 1) && !aec_create(AEC_PLAIN, 1, 6, 1, 1, 1, 1) &&
              !aec_create(99, 1, 4, 1, 1, 1, 1) && !aec_create(AEC_PLAIN, 1, 4, 257, 1, 1, 1) &&
              !aec_create(AEC_PLAIN, 1, 4, 1, 1, 1, 0),
          "sizes");
    for (int i = 0; i < rounds; i++)
        taken += one_round((seed * 1000003 + (uint64_t)i) * 2654435761u + 1, i % 2, i % 3 == 2);
    printf("%d rounds, %d models taken\n", rounds, taken);
    return 0;
}
