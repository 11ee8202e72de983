/* The decoder's kernel: learned tiles in exact integers, SPECIFICATION.md, sections 8 to 11
   and 14.2.

   A model is made in three steps: aec_create states its sizes, aec_tensor hands over each tensor of
   the weights file whose name begins with "prior." or "synthesis.", and aec_ready checks them all,
   proves that no sum overflows and packs them. Tensors must stay where they are until aec_ready has
   returned, and not longer; they need no alignment. A ready model never changes: any number of
   threads may use it at once.

   All arrays are contiguous, the last axis first in memory, and aligned to their type unless it is
   said otherwise. M, Z, H and C are the sizes of the model as the specification names them. `rows`
   and `columns` count latents, at least 1 each; "padded" means rounded up to multiples of 4.
   `threads` is the number of threads that work at once, the caller's included; they end before the
   call returns. No function throws, prints, or ends the process. */

#ifndef AEC_KERNEL_H
#define AEC_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* Rises when a driver of another kernel would misunderstand this one. */
#define AEC_ABI 3

#pragma GCC visibility push(default)

typedef struct aec_model aec_model;
typedef struct aec_tile aec_tile;

/* What functions return that can fail. */
enum {
    AEC_OK = 0,
    AEC_WEIGHTS = 1,     /* a tensor is missing, foreign or breaks a rule of section 15 */
    AEC_UNSUPPORTED = 2, /* the weights are right, but their sums might overflow here */
    AEC_PAYLOAD = 3,     /* the words do not fit the tile: PayloadError */
    AEC_MEMORY = 4,      /* no memory is left */
    AEC_ARGUMENT = 5     /* the caller broke a rule of this header */
};

/* Instruction levels; of those of one kind of processor the later ones are the faster ones. */
enum {
    AEC_PLAIN = 0,
    AEC_SIMD128 = 1,
    AEC_SSE41 = 2,
    AEC_AVX2 = 3,
    AEC_AVX_VNNI = 4,
    AEC_AVX512 = 5,
    AEC_NEON = 6,
    AEC_LEVELS = 7
};

/* AEC_ABI as it was when the kernel was built. */
int32_t aec_abi(void);

/* SHA-256 of the sources in hexadecimal, as the build stated it; "" without. */
const char *aec_source(void);

/* Whether a level was compiled and runs on this machine. */
int32_t aec_has_level(int32_t level);

/* Begins a model of these sizes.

   level: one that aec_has_level knows, or -1 for the fastest of them.

   Gives NULL for sizes that no weights file has, a level that is not there, and without memory. */
aec_model *aec_create(int32_t level, int32_t channels, int32_t latent_channels,
                      int32_t hyper_channels, int32_t context_channels, int32_t synthesis_blocks,
                      int32_t synthesis_coarse_blocks);

/* Hands over one tensor.

   name: as in the weights file, ending with 0.
   data: its bytes as in the file, little-endian, at any address.
   bits: 8, 16, 32 or 64, of its signed integers.
   dimensions, shape: of the tensor; 0 and anything for one number.

   Gives AEC_OK, AEC_WEIGHTS (no decoder has a tensor of this name, type and shape; or twice), or
   AEC_ARGUMENT (the model is ready already). */
int32_t aec_tensor(aec_model *model, const char *name, const void *data, int32_t bits,
                   int32_t dimensions, const uint32_t *shape);

/* Checks and packs what was handed over: AEC_OK, AEC_WEIGHTS, AEC_UNSUPPORTED or AEC_MEMORY. After
   anything but AEC_OK the model can only be freed. */
int32_t aec_ready(aec_model *model);

/* Says in English what aec_tensor or aec_ready did not like; "" if nothing. Lives with the model.
 */
const char *aec_message(const aec_model *model);

/* The level that the model runs on. */
int32_t aec_level(const aec_model *model);

/* Frees a model; NULL is nothing. */
void aec_free(aec_model *model);

/* Decodes the latents of a tile; the caller compares their checksum (section 9.5).

   words: little-endian, at any address, without a quality map (section 18.4).
   quality: index, 0 to 400.
   qualities: (rows, columns), the index of each position, which hold instead of `quality`; NULL
       where it holds for all.
   y_hat: (rows, columns, M), is written.

   Gives AEC_OK, AEC_PAYLOAD, AEC_MEMORY or AEC_ARGUMENT. */
int32_t aec_decode_latents(const aec_model *model, const void *words, size_t word_count,
                           int32_t rows, int32_t columns, int32_t quality, const int16_t *qualities,
                           int32_t threads, int16_t *y_hat);

/* Turns a window of latents into samples (sections 11 and 14.2).

   y_hat: (rows, columns, M).
   quality, qualities: see aec_decode_latents.
   scale: 1, 2, 4 or 8 pixels a side that become one.
   inside_rows, inside_columns: pixels from the corner of the window to the end of the picture, at
       least 1; they may exceed the window. Samples of squares beyond the end are undefined.
   sixteen_bit: samples are uint16_t up to 65535 rather than uint8_t.
   gray: one channel rather than three.
   samples: (16 * rows / scale, 16 * columns / scale, 3 or 1), is written.

   Gives AEC_OK, AEC_MEMORY or AEC_ARGUMENT. */
int32_t aec_synthesize(const aec_model *model, const int16_t *y_hat, int32_t rows, int32_t columns,
                       int32_t quality, const int16_t *qualities, int32_t scale,
                       int32_t inside_rows, int32_t inside_columns, int32_t sixteen_bit,
                       int32_t gray, int32_t threads, void *samples);

/* Begins the passes of one tile for someone who chooses or reads the symbols.

   hyper: (padded rows / 4, padded columns / 4, Z), in [-512, 511].
   quality, qualities: see aec_decode_latents.

   Gives NULL without memory or for arguments out of range. */
aec_tile *aec_begin(const aec_model *model, const int32_t *hyper, int32_t rows, int32_t columns,
                    int32_t quality, const int16_t *qualities, int32_t threads);

/* What the next pass codes. Both arrays are (4, padded rows / 2, padded columns / 2, M / 4), in the
   order of section 9.3, and hold the padding too: levels in [0, 63], means in 1/16 step. */
int32_t aec_predict(aec_tile *tile, uint8_t *levels, int32_t *means);

/* The symbols of the pass that aec_predict was called for, of the same shape, in [-32768, 32767];
   those in the padding are ignored and count as 0. */
int32_t aec_put(aec_tile *tile, const int32_t *symbols);

/* Predicts the next pass and puts the symbols that latents round to.

   y: (rows, columns, M), in quantization steps, finite.
   edges: (64, 16), for the table of each level and each magnitude, beyond which fraction of the
   step a magnitude is rounded up; those from 16 on share the last edge. NULL rounds to the nearest.

   Gives AEC_OK, or AEC_ARGUMENT where aec_predict does. */
int32_t aec_round(aec_tile *tile, const float *y, const float *edges);

/* The latents (rows, columns, M) after the fourth pass. */
int32_t aec_latents(aec_tile *tile, int16_t *y_hat);

/* Codes the hyper-latents and the symbols of all passes. word_count gets the number of words, and
   the result is their place, which lives with the tile; NULL before the fourth pass and without
   memory. */
const uint32_t *aec_words(aec_tile *tile, size_t *word_count);

/* Frees a tile; NULL is nothing. */
void aec_end(aec_tile *tile);

/* Begins a model that analyzes pictures for an encoder, section 19, as aec_create does: it takes
   the tensors whose names begin with "analysis." or "hyper_analysis.", and prior.tables.base and
   prior.tables.reciprocals. Models that analyze do not decode, and the other way round. */
aec_model *aec_create_analysis(int32_t level, int32_t channels, int32_t latent_channels,
                               int32_t hyper_channels, int32_t context_channels,
                               int32_t analysis_blocks, int32_t analysis_coarse_blocks);

/* The part of the analysis that does not depend on the quality.

   pixels: (16 * rows, 16 * columns, 3), or without the last axis if gray, of uint8_t, or uint16_t
       if sixteen_bit.
   begun: (2 * rows, 2 * columns, C), is written.

   Gives AEC_OK, AEC_MEMORY or AEC_ARGUMENT. */
int32_t aec_analyze_begin(const aec_model *model, const void *pixels, int32_t rows, int32_t columns,
                          int32_t sixteen_bit, int32_t gray, int32_t threads, int32_t *begun);

/* The rest of it.

   quality, qualities: see aec_decode_latents.
   y: (rows, columns, M), is written, multiples of 1/1024 step in steps. */
int32_t aec_analyze_finish(const aec_model *model, const int32_t *begun, int32_t rows,
                           int32_t columns, int32_t quality, const int16_t *qualities,
                           int32_t threads, float *y);

/* The hyper-analysis of the latents of one tile.

   y: (rows, columns, M), in steps, finite; others than multiples of 1/1024 are rounded.
   quality, qualities: see aec_decode_latents.
   z: (padded rows / 4, padded columns / 4, Z), is written, multiples of 2^-14. */
int32_t aec_analyze_hyper(const aec_model *model, const float *y, int32_t rows, int32_t columns,
                          int32_t quality, const int16_t *qualities, int32_t threads, float *z);

/* CRC-32 of section 1.4, of bytes that follow those of which `crc` is the CRC; 0 for none. */
uint32_t aec_crc32(uint32_t crc, const void *bytes, size_t size);

/* Memory for a caller that has none of its own, as one in WebAssembly: aligned to 64 bytes. NULL if
   there is none left. aec_release frees what aec_allocate gave; NULL is nothing. */
void *aec_allocate(size_t size);
void aec_release(void *place);

#pragma GCC visibility pop

#endif
