/* The prior as it is packed, SPECIFICATION.md, section 10. */

#ifndef AEC_PRIOR_H
#define AEC_PRIOR_H

#include "coder.h"
#include "packing.h"
#include "threads.h"

enum { CELL = 2, GROUP = 4, MEAN_FRACTION = 16, NORM_SHIFT = 12, RECIPROCAL_SHIFT = 20 };
enum { HYPER_SIDE = 3, CONTEXT_SIDE = 5, NORM_LIMIT = 1 << 17 };

/* At which position of each cell a pass codes a quarter of the channels. */
static const uint8_t POSITION[PASSES][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 3, 0, 1}, {1, 0, 3, 2}};

typedef struct {
    linear mix_in, mix_out;
    depthwise middle;
} context_block;

typedef struct {
    linear known[4]; /* of the entry, by position: reads what earlier passes coded there */
    linear features;
    context_block first, second;
    linear head[4]; /* by quarter */
} pass_network;

typedef struct {
    int32_t context;   /* H */
    int32_t width;     /* H, padded */
    int32_t latents;   /* M */
    int32_t quarter;   /* M / 4 */
    int32_t known;     /* places of a quarter among the known ones: even */
    int32_t half_head; /* places of the levels, and of the means, in a head's outputs */
    int32_t hypers;    /* Z */
    linear entry[4], up[4], head[4]; /* by position, and by quarter */
    context_block first, second;
    pass_network passes[PASS_WEIGHTS];
    int32_t *base, *rates, *norms, *reciprocals;
    symbol_table scales[MOST_TABLES], hyper_tables[MOST_TABLES];
} prior;

static void pack_context_block(packer *p, context_block *block, const char *group, const char *name)
{
    char whole[NAME_ROOM] = "", part[NAME_ROOM];
    append(whole, NAME_ROOM, group);
    append(whole, NAME_ROOM, name);
    static const char *const layers[] = {".mix_in", ".depthwise", ".mix_out"};
    for (int i = 0; i < 3; i++) {
        part[0] = 0;
        append(part, NAME_ROOM, whole);
        append(part, NAME_ROOM, layers[i]);
        check_layer(p, part, PRIOR_INPUT);
        if (i == 1)
            pack_depthwise(p, &block->middle, part);
        else
            pack_linear(p, i ? &block->mix_out : &block->mix_in, part);
    }
}

/* Packs a layer before a shuffle as one for each position of a cell. */
static void pack_shuffled(packer *p, linear layers[4], const prior *net, const char *group)
{
    const tensor *weight = tensor_of(&p->list, group, "weight");
    int32_t outputs = (int32_t)weight->shape[0] / 4, inputs = (int32_t)weight->shape[1];
    int32_t *o = take_numbers(p, net->width), *i = take_numbers(p, up_to(inputs, 2));
    check_layer(p, group, PRIOR_INPUT);
    if (!o || !i)
        return;
    count_up(i, 0, inputs, up_to(inputs, 2));
    for (int32_t position = 0; position < 4; position++) {
        for (int32_t n = 0; n < net->width; n++)
            o[n] = n < outputs ? 4 * n + position : -1;
        pack_chosen(p, &layers[position], group, (selection){o, i, net->width, up_to(inputs, 2)});
    }
}

/* Packs a head as one for each quarter of the channels: levels, then means. */
static void pack_head(packer *p, linear heads[4], const prior *net, const char *group)
{
    int32_t inputs = (int32_t)tensor_of(&p->list, group, "weight")->shape[1];
    int32_t outputs = up_to(2 * net->half_head, WIDE);
    int32_t *o = take_numbers(p, outputs), *i = take_numbers(p, up_to(inputs, 2));
    check_layer(p, group, PRIOR_INPUT);
    if (!o || !i)
        return;
    count_up(i, 0, inputs, up_to(inputs, 2));
    for (int32_t g = 0; g < 4; g++) {
        count_up(o, g * net->quarter, net->quarter, net->half_head);
        count_up(o + net->half_head, net->latents + g * net->quarter, net->quarter,
                 outputs - net->half_head);
        pack_chosen(p, &heads[g], group, (selection){o, i, outputs, up_to(inputs, 2)});
    }
}

/* The quarter that a pass codes at a position. */
static int32_t quarter_at(int32_t pass, int32_t position)
{
    int32_t g = 0;
    while (POSITION[pass][g] != position)
        g++;
    return g;
}

/* Packs the entry of pass `number`, which reads the known latents of each position apart. */
static void pack_entry(packer *p, pass_network *net, const prior *all, int32_t number,
                       const char *group)
{
    int32_t h = (int32_t)tensor_of(&p->list, group, "weight")->shape[0];
    int32_t inputs = number * all->known, features = up_to(h, 2);
    int32_t *o = take_numbers(p, all->width), *i = take_numbers(p, inputs + features);
    check_layer(p, group, PRIOR_INPUT);
    if (!o || !i)
        return;
    count_up(o, 0, h, all->width);
    for (int32_t position = 0; position < 4; position++) {
        for (int32_t pass = 0; pass < number; pass++)
            count_up(i + pass * all->known, quarter_at(pass, position) * all->quarter, all->quarter,
                     all->known);
        pack_chosen(p, &net->known[position], group, (selection){o, i, all->width, inputs});
    }
    count_up(i, all->latents, h, features);
    pack_chosen(p, &net->features, group, (selection){o, i, all->width, features});
}

static void pack_pass(packer *p, pass_network *net, const prior *all, int32_t number)
{
    char group[NAME_ROOM] = "prior.passes.", part[NAME_ROOM] = "";
    append_number(group, NAME_ROOM, number - 1);
    append(part, NAME_ROOM, group);
    append(part, NAME_ROOM, ".entry");
    pack_entry(p, net, all, number, part);
    pack_context_block(p, &net->first, group, ".first");
    pack_context_block(p, &net->second, group, ".second");
    append(group, NAME_ROOM, ".head");
    pack_head(p, net->head, all, group);
}

/* Packs `count` counts of a tensor from number `at` on. */
static void pack_table(packer *p, symbol_table *table, const tensor *counts, uint32_t at,
                       uint32_t count, int32_t minimum)
{
    table->minimum = minimum;
    table->escape = (int32_t)count - 1;
    table->starts = take(p->owner, (uint64_t)count + 1, sizeof *table->starts);
    table->firsts = take(p->owner, FIRSTS, sizeof *table->firsts);
    if (!table->starts || !table->firsts)
        return;
    int64_t sum = 0, part = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t c = element(counts, at + i);
        if (c < 1 || sum + c > 1 << PRECISION)
            break;
        table->starts[i] = (uint32_t)sum;
        sum += c;
        for (; part < FIRSTS && part << FIRST_SHIFT < sum; part++)
            table->firsts[part] = (uint16_t)i;
    }
    table->starts[count] = 1 << PRECISION;
    if (sum != 1 << PRECISION || part != FIRSTS) {
        complain(&p->list, counts->name, " do not sum to 2^24");
        fail(p, AEC_WEIGHTS);
    }
}

static void pack_tables(packer *p, prior *net)
{
    const tensor *sizes = tensor_of(&p->list, "prior.tables", "scale_sizes");
    const tensor *counts = tensor_of(&p->list, "prior.tables", "scale_counts");
    const tensor *hyper = tensor_of(&p->list, "prior.tables", "hyper_counts");
    uint32_t at = 0;
    for (int32_t l = 0; l < LEVEL_COUNT; l++) {
        int64_t size = element(sizes, (size_t)l);
        if (size < 2 || size > length_of(counts) - at) {
            complain(&p->list, sizes->name, " do not fit the counts");
            fail(p, AEC_WEIGHTS);
            return;
        }
        if (size > MOST_COUNTS) {
            complain(&p->list, sizes->name, ": a table is too long here");
            fail(p, AEC_UNSUPPORTED);
            return;
        }
        pack_table(p, &net->scales[l], counts, at, (uint32_t)size, -(int32_t)((size - 2) / 2));
        at += (uint32_t)size;
    }
    if (at != length_of(counts)) {
        complain(&p->list, sizes->name, " do not fit the counts");
        fail(p, AEC_WEIGHTS);
    }
    for (int32_t c = 0; c < net->hypers; c++)
        pack_table(p, &net->hyper_tables[c], hyper, (uint32_t)c * HYPER_COUNTS, HYPER_COUNTS,
                   -HYPER_RADIUS);
}

static int32_t *pack_all_numbers(packer *p, const char *name)
{
    const tensor *t = tensor_of(&p->list, "prior.tables", name);
    uint32_t length = length_of(t);
    int32_t *numbers = take(p->owner, length, sizeof *numbers);
    for (uint32_t i = 0; numbers && i < length; i++)
        numbers[i] = (int32_t)element(t, i);
    return numbers;
}

/* Proves that means, of which the networks' part is below 2^25, fit 32 bits. */
static void check_norms(packer *p, const prior *net)
{
    const tensor *base = tensor_of(&p->list, "prior.tables", "base");
    if (!lies_within(&p->list, base, NORM_OFFSET, NORM_OFFSET + NORMS - 1)) {
        fail(p, AEC_WEIGHTS);
        return;
    }
    for (uint32_t i = 0; net->norms && i < length_of(base); i++) {
        if (magnitude(net->norms[element(base, i) - NORM_OFFSET]) > NORM_LIMIT) {
            complain(&p->list, "prior.tables.norms", " exceed what means have room for");
            fail(p, AEC_UNSUPPORTED);
            return;
        }
    }
}

static void pack_prior(packer *p, prior *net, const sizes *s)
{
    *net = (prior){.context = s->context,
                   .width = up_to(s->context, WIDE),
                   .latents = s->latents,
                   .quarter = s->latents / 4,
                   .hypers = s->hypers};
    net->known = up_to(net->quarter, 2);
    net->half_head = up_to(net->quarter, PANEL);
    pack_shuffled(p, net->entry, net, "prior.hyper_synthesis.entry");
    pack_context_block(p, &net->first, "prior.hyper_synthesis", ".first");
    pack_shuffled(p, net->up, net, "prior.hyper_synthesis.up");
    pack_context_block(p, &net->second, "prior.hyper_synthesis", ".second");
    pack_head(p, net->head, net, "prior.hyper_synthesis.head");
    for (int32_t number = 1; number < PASSES; number++)
        pack_pass(p, &net->passes[number - 1], net, number);
    pack_tables(p, net);
    net->base = pack_all_numbers(p, "base");
    net->rates = pack_all_numbers(p, "rate_features");
    net->norms = pack_all_numbers(p, "norms");
    net->reciprocals = pack_all_numbers(p, "reciprocals");
    check_norms(p, net);
}

#endif
