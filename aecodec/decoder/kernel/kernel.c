/* The kernel as one translation unit, and the functions of kernel.h.

   vectors.h, loops.h and row_loops.h are compiled once for each instruction level; x86.h says for
   which. memory.h, threads.h, coder.h and quality_map.h stand for themselves. tensors.h and
   packing.h take a weights file; prior.h, passes.h and latents.h decode latents; stream.h,
   synthesis.h, analysis.h and hyper_analysis.h turn them into pixels and back. */

#include "kernel.h"

#include "common.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define ON_X86 1
#endif

/* WebAssembly is loaded with SIMD128 or not at all: a level beside it would only take room. */
#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#define WASM
#define LEVEL simd128
#define ROWS 4
#else
#define LEVEL plain
#define ROWS 4
#endif
#define LANES 4
#define FEW_ROWS 1
#include "vectors.h"
#include "loops.h"
#undef LEVEL
#undef LANES
#undef ROWS
#undef FEW_ROWS

#if defined(__aarch64__)
#include <arm_neon.h>
#define NEON
#define LEVEL neon
#define LANES 4
#define ROWS 8
#define FEW_ROWS 2
#include "vectors.h"
#include "loops.h"
#endif

#if defined(ON_X86)
#include "x86.h"
#endif

#include "memory.h"
#include "threads.h"
#include "coder.h"
#include "quality_map.h"
#include "tensors.h"
#include "packing.h"
#include "prior.h"
#include "latents.h"
#include "synthesis.h"
#include "analysis.h"
#include "hyper_analysis.h"
#include "levels.h"

struct aec_model {
    int32_t level;
    sizes sizes;
    bool is_ready, is_closed;
    memory own;
    packer packer;
    bool analyzes; /* or decodes */
    prior prior;
    synthesis synthesis;
    analysis analysis;
};

struct aec_tile {
    passes passes;
    int32_t threads;
    word_writer writer;
};

#ifndef AEC_SOURCE
#define AEC_SOURCE ""
#endif

int32_t aec_abi(void)
{
    return AEC_ABI;
}

const char *aec_source(void)
{
    return AEC_SOURCE;
}

int32_t aec_has_level(int32_t level)
{
    return operations_of(level) != NULL;
}

static bool are_sizes_valid(const sizes *s)
{
    enum { MOST = 4096, MOST_BLOCKS = 256 };
    return s->channels >= 1 && s->channels <= MOST && s->latents >= 4 && s->latents <= MOST &&
           s->latents % 4 == 0 && s->hypers >= 1 && s->hypers <= MOST_TABLES && s->context >= 1 &&
           s->context <= MOST && s->blocks >= 1 && s->blocks <= MOST_BLOCKS && s->coarse >= 1 &&
           s->coarse <= MOST_BLOCKS;
}

static aec_model *create(int32_t level, sizes s, bool analyzes)
{
    if (level < 0)
        level = fastest_level();
    const operations *run = operations_of(level);
    aec_model *model = are_sizes_valid(&s) && run ? allocate(sizeof *model) : NULL;
    if (!model)
        return NULL;
    memset(model, 0, sizeof *model);
    model->level = level;
    model->sizes = s;
    model->analyzes = analyzes;
    model->packer.run = run;
    tensor_list *list = &model->packer.list;
    list->all = allocate((size_t)most_tensors(&s) * sizeof *list->all);
    if (!list->all) {
        system_release(model);
        return NULL;
    }
    if (analyzes) {
        expect_analysis(list, &s);
    } else {
        expect_prior(list, &s);
        expect_synthesis(list, &s);
    }
    return model;
}

aec_model *aec_create(int32_t level, int32_t channels, int32_t latent_channels,
                      int32_t hyper_channels, int32_t context_channels, int32_t synthesis_blocks,
                      int32_t synthesis_coarse_blocks)
{
    sizes s = {channels,         latent_channels,  hyper_channels,
               context_channels, synthesis_blocks, synthesis_coarse_blocks};
    return create(level, s, false);
}

aec_model *aec_create_analysis(int32_t level, int32_t channels, int32_t latent_channels,
                               int32_t hyper_channels, int32_t context_channels,
                               int32_t analysis_blocks, int32_t analysis_coarse_blocks)
{
    sizes s = {channels,         latent_channels, hyper_channels,
               context_channels, analysis_blocks, analysis_coarse_blocks};
    return create(level, s, true);
}

int32_t aec_tensor(aec_model *model, const char *name, const void *data, int32_t bits,
                   int32_t dimensions, const uint32_t *shape)
{
    if (model->is_closed)
        return AEC_ARGUMENT;
    tensor_list *list = &model->packer.list;
    tensor *t = find_tensor(list, name);
    const char *fault = NULL;
    if (!t)
        fault = " is superfluous";
    else if (t->data)
        fault = " is there twice";
    else if (t->bits != bits || !has_shape(t, dimensions, shape))
        fault = " is of another type or shape";
    if (fault) {
        complain(list, name, fault);
        return AEC_WEIGHTS;
    }
    t->data = data;
    for (int32_t i = 0; i < dimensions; i++)
        t->shape[i] = shape[i];
    return AEC_OK;
}

static bool are_tensors_there(tensor_list *list)
{
    for (int32_t i = 0; i < list->count; i++) {
        if (!list->all[i].data) {
            complain(list, list->all[i].name, " is missing");
            return false;
        }
    }
    return true;
}

int32_t aec_ready(aec_model *model)
{
    if (model->is_closed)
        return AEC_ARGUMENT;
    model->is_closed = true;
    packer *p = &model->packer;
    p->owner = &model->own;
    if (!are_tensors_there(&p->list))
        return AEC_WEIGHTS;
    if (model->analyzes) {
        pack_analysis(p, &model->analysis, &model->sizes);
    } else {
        pack_prior(p, &model->prior, &model->sizes);
        pack_synthesis(p, &model->synthesis, &model->sizes);
    }
    system_release(p->list.all);
    p->list.all = NULL;
    if (model->own.failed) {
        complain(&p->list, "weights", ": no memory is left");
        return AEC_MEMORY;
    }
    model->is_ready = p->fault == AEC_OK;
    return p->fault;
}

const char *aec_message(const aec_model *model)
{
    return model->packer.list.message;
}

int32_t aec_level(const aec_model *model)
{
    return model->level;
}

void aec_free(aec_model *model)
{
    if (!model)
        return;
    system_release(model->packer.list.all);
    release_all(&model->own);
    system_release(model);
}

static bool is_request_valid(const aec_model *model, bool analyzes, int32_t rows, int32_t columns,
                             int32_t quality, int32_t threads)
{
    return model->is_ready && model->analyzes == analyzes && rows >= 1 && rows <= MOST_SIDE &&
           columns >= 1 && columns <= MOST_SIDE && quality >= 0 && quality < QUALITIES &&
           threads >= 1;
}

int32_t aec_decode_latents(const aec_model *model, const void *words, size_t word_count,
                           int32_t rows, int32_t columns, int32_t quality, const int16_t *qualities,
                           int32_t threads, int16_t *y_hat)
{
    if (!is_request_valid(model, false, rows, columns, quality, threads) ||
        !is_map_valid(qualities, rows, columns))
        return AEC_ARGUMENT;
    team helpers;
    passes t;
    begin_team(&helpers, threads);
    int32_t status = AEC_MEMORY;
    if (begin_passes(&t, &model->prior, model->packer.run, &helpers, rows, columns, quality,
                     qualities))
        status = decode_passes(&t, words, word_count, y_hat);
    end_team(&helpers);
    release_all(&t.own);
    return status;
}

int32_t aec_synthesize(const aec_model *model, const int16_t *y_hat, int32_t rows, int32_t columns,
                       int32_t quality, const int16_t *qualities, int32_t scale,
                       int32_t inside_rows, int32_t inside_columns, int32_t sixteen_bit,
                       int32_t gray, int32_t threads, void *samples)
{
    bool is_scale = scale == 1 || scale == 2 || scale == 4 || scale == 8;
    if (!is_request_valid(model, false, rows, columns, quality, threads) || !is_scale ||
        inside_rows < 1 || inside_columns < 1 || !is_map_valid(qualities, rows, columns))
        return AEC_ARGUMENT;
    team helpers;
    window w = {.net = &model->synthesis,
                .run = model->packer.run,
                .team = &helpers,
                .rows = rows,
                .columns = columns,
                .y_hat = y_hat,
                .view = {scale, inside_rows, inside_columns, sixteen_bit != 0, gray != 0, samples}};
    begin_team(&helpers, threads);
    bool is_there = take_window(&w, scale == 1 && !sixteen_bit && !gray, quality, qualities);
    if (is_there)
        synthesize_window(&w);
    end_team(&helpers);
    release_all(&w.own);
    return is_there ? AEC_OK : AEC_MEMORY;
}

aec_tile *aec_begin(const aec_model *model, const int32_t *hyper, int32_t rows, int32_t columns,
                    int32_t quality, const int16_t *qualities, int32_t threads)
{
    if (!is_request_valid(model, false, rows, columns, quality, threads) ||
        !is_map_valid(qualities, rows, columns))
        return NULL;
    aec_tile *tile = allocate(sizeof *tile);
    if (!tile)
        return NULL;
    memset(tile, 0, sizeof *tile);
    team helpers;
    begin_team(&helpers, threads);
    passes *t = &tile->passes;
    bool is_there = begin_passes(t, &model->prior, model->packer.run, &helpers, rows, columns,
                                 quality, qualities);
    if (is_there) {
        size_t count = (size_t)(t->all_rows / GROUP) * (size_t)(t->all_columns / GROUP) *
                       (size_t)model->sizes.hypers;
        is_there = are_hypers_valid(hyper, count);
        if (is_there) {
            memcpy(t->hyper, hyper, count * sizeof *hyper);
            is_there = make_features(t);
        }
    }
    tile->threads = helpers.threads;
    t->team = NULL;
    end_team(&helpers);
    if (!is_there) {
        aec_end(tile);
        return NULL;
    }
    return tile;
}

int32_t aec_predict(aec_tile *tile, uint8_t *levels, int32_t *means)
{
    passes *t = &tile->passes;
    if (t->predicted || t->pass >= PASSES)
        return AEC_ARGUMENT;
    team helpers;
    begin_team(&helpers, tile->threads);
    t->team = &helpers;
    predict_pass(t);
    t->team = NULL;
    end_team(&helpers);
    memcpy(levels, t->levels[t->pass], t->coded);
    memcpy(means, t->means, t->coded * sizeof *means);
    return AEC_OK;
}

int32_t aec_put(aec_tile *tile, const int32_t *symbols)
{
    passes *t = &tile->passes;
    if (!t->predicted)
        return AEC_ARGUMENT;
    for (size_t i = 0; i < t->coded; i++)
        if (symbols[i] < INT16_MIN || symbols[i] > INT16_MAX)
            return AEC_ARGUMENT;
    memcpy(t->symbols[t->pass], symbols, t->coded * sizeof *symbols);
    clear_padding(t);
    team alone;
    begin_team(&alone, 1);
    t->team = &alone;
    update_pass(t);
    t->team = NULL;
    return AEC_OK;
}

int32_t aec_round(aec_tile *tile, const float *y, const float *edges)
{
    passes *t = &tile->passes;
    if (t->predicted || t->pass >= PASSES)
        return AEC_ARGUMENT;
    team helpers;
    begin_team(&helpers, tile->threads);
    t->team = &helpers;
    t->y = y;
    t->edges = edges;
    predict_pass(t);
    share_rows(&helpers, round_row, t, t->cell_rows);
    clear_padding(t);
    update_pass(t);
    t->team = NULL;
    end_team(&helpers);
    return AEC_OK;
}

int32_t aec_latents(aec_tile *tile, int16_t *y_hat)
{
    if (tile->passes.pass < PASSES)
        return AEC_ARGUMENT;
    copy_latents(&tile->passes, y_hat);
    return AEC_OK;
}

const uint32_t *aec_words(aec_tile *tile, size_t *word_count)
{
    static const uint32_t none;
    *word_count = 0;
    if (tile->passes.pass < PASSES)
        return NULL;
    system_release(tile->writer.words);
    if (!code_passes(&tile->passes, &tile->writer))
        return NULL;
    *word_count = tile->writer.count;
    return tile->writer.count ? tile->writer.words : &none;
}

void aec_end(aec_tile *tile)
{
    if (!tile)
        return;
    system_release(tile->writer.words);
    release_all(&tile->passes.own);
    system_release(tile);
}

int32_t aec_analyze_begin(const aec_model *model, const void *pixels, int32_t rows, int32_t columns,
                          int32_t sixteen_bit, int32_t gray, int32_t threads, int32_t *begun)
{
    if (!is_request_valid(model, true, rows, columns, 0, threads))
        return AEC_ARGUMENT;
    team helpers;
    begin_team(&helpers, threads);
    analyzer a = {.net = &model->analysis,
                  .run = model->packer.run,
                  .team = &helpers,
                  .rows = rows,
                  .columns = columns,
                  .pixels = pixels,
                  .sixteen_bit = sixteen_bit != 0,
                  .gray = gray != 0,
                  .begun_to = begun};
    bool is_done = begin_analysis(&a);
    end_team(&helpers);
    release_all(&a.own);
    return is_done ? AEC_OK : AEC_MEMORY;
}

int32_t aec_analyze_finish(const aec_model *model, const int32_t *begun, int32_t rows,
                           int32_t columns, int32_t quality, const int16_t *qualities,
                           int32_t threads, float *y)
{
    if (!is_request_valid(model, true, rows, columns, quality, threads) ||
        !is_map_valid(qualities, rows, columns))
        return AEC_ARGUMENT;
    team helpers;
    begin_team(&helpers, threads);
    analyzer a = {.net = &model->analysis,
                  .run = model->packer.run,
                  .team = &helpers,
                  .rows = rows,
                  .columns = columns,
                  .begun_from = begun,
                  .to = y};
    bool is_done = finish_analysis(&a, quality, qualities);
    end_team(&helpers);
    release_all(&a.own);
    return is_done ? AEC_OK : AEC_MEMORY;
}

int32_t aec_analyze_hyper(const aec_model *model, const float *y, int32_t rows, int32_t columns,
                          int32_t quality, const int16_t *qualities, int32_t threads, float *z)
{
    if (!is_request_valid(model, true, rows, columns, quality, threads) ||
        !is_map_valid(qualities, rows, columns))
        return AEC_ARGUMENT;
    team helpers;
    begin_team(&helpers, threads);
    analyzer a = {.net = &model->analysis,
                  .run = model->packer.run,
                  .team = &helpers,
                  .rows = up_to(rows, GROUP),
                  .columns = up_to(columns, GROUP),
                  .from = y,
                  .from_rows = rows,
                  .from_columns = columns,
                  .to = z};
    bool is_done = hyper_analysis(&a, quality, qualities);
    end_team(&helpers);
    release_all(&a.own);
    return is_done ? AEC_OK : AEC_MEMORY;
}

/* Four bytes at a time would need larger tables, and what this reads is small. */
uint32_t aec_crc32(uint32_t crc, const void *bytes, size_t size)
{
    enum { POLYNOMIAL = (int32_t)0xEDB88320 };
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int bit = 0; bit < 8; bit++)
            v = v >> 1 ^ (v & 1 ? (uint32_t)POLYNOMIAL : 0);
        table[i] = v;
    }
    const unsigned char *at = bytes;
    crc = ~crc;
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ table[(crc ^ at[i]) & 0xFF];
    return ~crc;
}

void *aec_allocate(size_t size)
{
    return allocate(size);
}

void aec_release(void *place)
{
    system_release(place);
}
