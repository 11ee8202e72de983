/* The tensors of a weights file as they are handed over, SPECIFICATION.md, section 15. */

#ifndef AEC_TENSORS_H
#define AEC_TENSORS_H

#include "common.h"
#include "memory.h"

enum { NAME_ROOM = 72, MESSAGE_ROOM = 160, MOST_DIMENSIONS = 4 };
enum { NORMS = 2560, NORM_OFFSET = -1024, HYPER_COUNTS = 82, HYPER_RADIUS = 40 };
enum { ANY_LENGTH = 0 };

typedef struct {
    char name[NAME_ROOM];
    int32_t bits;
    int32_t dimensions;
    uint32_t shape[MOST_DIMENSIONS];
    const unsigned char *data; /* NULL until it is handed over */
} tensor;

typedef struct {
    int32_t channels, latents, hypers, context; /* C, M, Z and H */
    int32_t blocks, coarse;                     /* of the transform at strides 8 and 16 */
} sizes;

typedef struct {
    tensor *all;
    int32_t count;
    int32_t next; /* the one after that which was found last */
    char message[MESSAGE_ROOM];
} tensor_list;

static void append(char *text, size_t room, const char *more)
{
    size_t length = 0;
    while (text[length])
        length++;
    while (*more && length + 1 < room)
        text[length++] = *more++;
    text[length] = 0;
}

static void append_number(char *text, size_t room, int32_t number)
{
    char digits[12];
    int at = 11;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    append(text, room, digits + at);
}

static bool same_text(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* Says what is wrong with a tensor. */
static void complain(tensor_list *list, const char *name, const char *what)
{
    list->message[0] = 0;
    append(list->message, MESSAGE_ROOM, name);
    append(list->message, MESSAGE_ROOM, what);
}

/* Expects a tensor `group`.`name`; trailing sides of 0 are none. */
static void expect(tensor_list *list, const char *group, const char *name, int32_t bits, uint32_t a,
                   uint32_t b, uint32_t c, uint32_t d)
{
    tensor *t = &list->all[list->count++];
    *t = (tensor){.bits = bits, .shape = {a, b, c, d}};
    while (t->dimensions < MOST_DIMENSIONS && t->shape[t->dimensions])
        t->dimensions++;
    append(t->name, NAME_ROOM, group);
    append(t->name, NAME_ROOM, ".");
    append(t->name, NAME_ROOM, name);
}

static void expect_prior_layer(tensor_list *list, const char *group, const char *layer,
                               int32_t outputs, int32_t inputs, int32_t side)
{
    char name[NAME_ROOM] = "";
    append(name, NAME_ROOM, group);
    append(name, NAME_ROOM, layer);
    uint32_t o = (uint32_t)outputs, i = (uint32_t)inputs, k = (uint32_t)side;
    expect(list, name, "weight", 8, o, i, k, k);
    expect(list, name, "bias", 32, o, 0, 0, 0);
    expect(list, name, "shift", 8, o, 0, 0, 0);
}

static void expect_prior_block(tensor_list *list, const char *group, const char *block,
                               int32_t width, int32_t side)
{
    char name[NAME_ROOM] = "";
    append(name, NAME_ROOM, group);
    append(name, NAME_ROOM, block);
    expect_prior_layer(list, name, ".mix_in", width, width, 1);
    expect_prior_layer(list, name, ".depthwise", width, 1, side);
    expect_prior_layer(list, name, ".mix_out", width, width, 1);
}

static void expect_prior(tensor_list *list, const sizes *s)
{
    int32_t m = s->latents, h = s->context;
    expect_prior_layer(list, "prior.hyper_synthesis", ".entry", 4 * h, s->hypers, 1);
    expect_prior_block(list, "prior.hyper_synthesis", ".first", h, 3);
    expect_prior_layer(list, "prior.hyper_synthesis", ".up", 4 * h, h, 1);
    expect_prior_block(list, "prior.hyper_synthesis", ".second", h, 3);
    expect_prior_layer(list, "prior.hyper_synthesis", ".head", 2 * m, h, 1);
    for (int32_t n = 0; n < PASS_WEIGHTS; n++) {
        char pass[NAME_ROOM] = "prior.passes.";
        append_number(pass, NAME_ROOM, n);
        expect_prior_layer(list, pass, ".entry", h, m + h, 1);
        expect_prior_block(list, pass, ".first", h, 5);
        expect_prior_block(list, pass, ".second", h, 5);
        expect_prior_layer(list, pass, ".head", 2 * m, h, 1);
    }
    expect(list, "prior.tables", "base", 16, QUALITIES, (uint32_t)m, 0, 0);
    expect(list, "prior.tables", "rate_features", 16, QUALITIES, (uint32_t)h, 0, 0);
    expect(list, "prior.tables", "norms", 32, NORMS, 0, 0, 0);
    expect(list, "prior.tables", "reciprocals", 32, NORMS, 0, 0, 0);
    expect(list, "prior.tables", "scale_sizes", 32, LEVEL_COUNT, 0, 0, 0);
    expect(list, "prior.tables", "scale_counts", 32, ANY_LENGTH, 0, 0, 0);
    list->all[list->count - 1].dimensions = 1;
    expect(list, "prior.tables", "hyper_counts", 32, (uint32_t)s->hypers, HYPER_COUNTS, 0, 0);
}

static void expect_block_layer(tensor_list *list, const char *block, const char *layer,
                               int32_t outputs, int32_t inputs, int32_t side)
{
    char name[NAME_ROOM] = "";
    append(name, NAME_ROOM, block);
    append(name, NAME_ROOM, layer);
    uint32_t o = (uint32_t)outputs, i = (uint32_t)inputs, k = (uint32_t)side;
    expect(list, name, "weight", 16, o, i, k, k);
    expect(list, name, "bias", 32, o, 0, 0, 0);
    expect(list, name, "shift", 8, o, 0, 0, 0);
}

static void expect_block(tensor_list *list, const char *block, int32_t width)
{
    char name[NAME_ROOM] = "";
    uint32_t d = (uint32_t)width;
    append(name, NAME_ROOM, block);
    expect_block_layer(list, name, ".mix_in", width, width, 1);
    expect(list, name, "mix_in.input_shift", 8, d, 0, 0, 0);
    expect(list, name, "mix_in.fraction", 8, 0, 0, 0, 0);
    expect_block_layer(list, name, ".depthwise", width, 1, 3);
    expect(list, name, "depthwise.input_shift", 8, d, 0, 0, 0);
    expect_block_layer(list, name, ".mix_out", width, width, 1);
    expect_block_layer(list, name, ".expand", 2 * width, width, 1);
    expect(list, name, "expand.input_shift", 8, d, 0, 0, 0);
    expect(list, name, "expand.fraction", 8, 0, 0, 0, 0);
    expect_block_layer(list, name, ".contract", width, 2 * width, 1);
    expect(list, name, "contract.input_shift", 8, 2 * d, 0, 0, 0);
}

/* The name of block n of the synthesis: those from -coarse to -1 are at stride 16, with `first` in
   front; blocks - 1 is `last`. */
static void block_name(char name[NAME_ROOM], const sizes *s, int32_t n)
{
    name[0] = 0;
    append(name, NAME_ROOM, "synthesis.");
    if (n == -s->coarse) {
        append(name, NAME_ROOM, "first");
    } else if (n == s->blocks - 1) {
        append(name, NAME_ROOM, "last");
    } else {
        append(name, NAME_ROOM, n < 0 ? "coarse." : "blocks.");
        append_number(name, NAME_ROOM, n < 0 ? n + s->coarse - 1 : n);
    }
}

static void expect_synthesis(tensor_list *list, const sizes *s)
{
    uint32_t c = (uint32_t)s->channels, m = (uint32_t)s->latents;
    expect(list, "synthesis", "outer_gain", 32, KNOTS, m, 0, 0);
    expect(list, "synthesis", "inner_gain", 32, KNOTS, c, 0, 0);
    expect(list, "synthesis.up", "weight", 16, m, 4 * c, 0, 0);
    expect(list, "synthesis.up", "bias", 64, 4 * c, 0, 0, 0);
    expect(list, "synthesis.up", "shift", 8, 4 * c, 0, 0, 0);
    expect(list, "synthesis.exit", "weight", 16, c, COLOURS * PATCH_PIXELS, 0, 0);
    expect(list, "synthesis.exit", "bias", 64, COLOURS * PATCH_PIXELS, 0, 0, 0);
    expect(list, "synthesis.exit", "shift", 8, 0, 0, 0, 0);
    for (int32_t n = -s->coarse; n < s->blocks; n++) {
        char name[NAME_ROOM];
        block_name(name, s, n);
        expect_block(list, name, n < 0 ? s->latents : s->channels);
    }
}

static void expect_wide(tensor_list *list, const char *layer, int32_t inputs, int32_t outputs)
{
    expect(list, layer, "weight", 16, (uint32_t)inputs, (uint32_t)outputs, 0, 0);
    expect(list, layer, "bias", 64, (uint32_t)outputs, 0, 0, 0);
    expect(list, layer, "shift", 8, (uint32_t)outputs, 0, 0, 0);
}

/* The name of block n of the analysis after its first one: those from blocks - 1 on are at stride
   16, with `last` at the end. */
static void analysis_block_name(char name[NAME_ROOM], const sizes *s, int32_t n)
{
    int32_t fine = s->blocks - 1;
    name[0] = 0;
    append(name, NAME_ROOM, "analysis.");
    if (n == fine + s->coarse - 1) {
        append(name, NAME_ROOM, "last");
    } else {
        append(name, NAME_ROOM, n < fine ? "blocks." : "coarse.");
        append_number(name, NAME_ROOM, n < fine ? n : n - fine);
    }
}

/* Those of the analysis and the hyper-analysis, and of the prior what they read. */
static void expect_analysis(tensor_list *list, const sizes *s)
{
    uint32_t c = (uint32_t)s->channels, m = (uint32_t)s->latents;
    int32_t h = s->context;
    expect(list, "prior.tables", "base", 16, QUALITIES, m, 0, 0);
    expect(list, "prior.tables", "reciprocals", 32, NORMS, 0, 0, 0);
    expect(list, "analysis", "inner_gain", 32, KNOTS, c, 0, 0);
    expect(list, "analysis", "outer_gain", 32, KNOTS, m, 0, 0);
    expect_wide(list, "analysis.entry", COLOURS * PATCH_PIXELS, s->channels);
    expect_wide(list, "analysis.down", 4 * s->channels, s->latents);
    expect_block(list, "analysis.first", s->channels);
    for (int32_t n = 0; n < s->blocks - 1 + s->coarse; n++) {
        char name[NAME_ROOM];
        analysis_block_name(name, s, n);
        expect_block(list, name, n < s->blocks - 1 ? s->channels : s->latents);
    }
    expect_wide(list, "hyper_analysis.entry", s->latents, h);
    expect_block(list, "hyper_analysis.first", h);
    expect_wide(list, "hyper_analysis.down", 4 * h, h);
    expect_block(list, "hyper_analysis.second", h);
    expect_wide(list, "hyper_analysis.exit", 4 * h, s->hypers);
}

/* At least as many as `expect_prior` and `expect_synthesis` add, or `expect_analysis`. */
static int32_t most_tensors(const sizes *s)
{
    return 114 + 21 * (s->blocks + s->coarse);
}

static tensor *find_tensor(tensor_list *list, const char *name)
{
    for (int32_t i = 0; i < list->count; i++) {
        int32_t at = (list->next + i) % list->count; /* files and readers keep an order */
        if (same_text(list->all[at].name, name)) {
            list->next = at + 1;
            return &list->all[at];
        }
    }
    return NULL;
}

static bool has_shape(const tensor *t, int32_t dimensions, const uint32_t *shape)
{
    if (t->dimensions != dimensions)
        return false;
    for (int32_t i = 0; i < dimensions; i++)
        if (t->shape[i] != ANY_LENGTH && t->shape[i] != shape[i])
            return false;
    return true;
}

/* A tensor of a group; all are there when layers are packed. */
static const tensor *tensor_of(tensor_list *list, const char *group, const char *name)
{
    char whole[NAME_ROOM] = "";
    append(whole, NAME_ROOM, group);
    append(whole, NAME_ROOM, ".");
    append(whole, NAME_ROOM, name);
    return find_tensor(list, whole);
}

static uint32_t length_of(const tensor *t)
{
    uint32_t length = 1;
    for (int32_t i = 0; i < t->dimensions; i++)
        length *= t->shape[i];
    return length;
}

/* Element i in C order. */
INLINE int64_t element(const tensor *t, size_t i)
{
    int16_t v16;
    int32_t v32;
    int64_t v64;
    switch (t->bits) {
    case 8:
        return (int8_t)t->data[i];
    case 16:
        memcpy(&v16, t->data + 2 * i, sizeof v16);
        return v16;
    case 32:
        memcpy(&v32, t->data + 4 * i, sizeof v32);
        return v32;
    default:
        memcpy(&v64, t->data + 8 * i, sizeof v64);
        return v64;
    }
}

INLINE int64_t magnitude(int64_t v)
{
    return v < 0 ? -v : v;
}

/* Whether all elements lie in [low, high]; says so if not. */
static bool lies_within(tensor_list *list, const tensor *t, int64_t low, int64_t high)
{
    uint32_t length = length_of(t);
    for (uint32_t i = 0; i < length; i++) {
        int64_t v = element(t, i);
        if (v < low || v > high) {
            complain(list, t->name, " is out of range");
            return false;
        }
    }
    return true;
}

#endif
