/* Layers of a weights file to layers of the kernel, with the proof that no sum overflows. */

#ifndef AEC_PACKING_H
#define AEC_PACKING_H

#include "common.h"
#include "memory.h"
#include "tensors.h"

enum { SHIFT_MOST = 24, SUM_LIMIT = 1 << 24, PRIOR_INPUT = 512, SYNTHESIS_INPUT = 1024 };

/* What packs: the tensors, memory of the model, and the first fault. */
typedef struct {
    tensor_list list;
    memory *owner;
    const operations *run;
    int32_t fault; /* AEC_OK until there is one */
} packer;

static void fail(packer *p, int32_t fault)
{
    if (p->fault == AEC_OK)
        p->fault = fault;
}

/* Which rows and columns of a tensor become outputs and inputs; -1 is none, and gives zeros. */
typedef struct {
    const int32_t *outputs, *inputs;
    int32_t output_count, input_count;
} selection;

/* The numbers from `first` on, `count` of them, then -1 up to `room`. */
static void count_up(int32_t *numbers, int32_t first, int32_t count, int32_t room)
{
    for (int32_t i = 0; i < room; i++)
        numbers[i] = i < count ? first + i : -1;
}

/* Packs weights: element (o, i) of the tensor is number o * output_step + i * input_step. */
static void pack_weights(packer *p, linear *layer, const tensor *weight, selection s,
                         size_t output_step, size_t input_step)
{
    layer->inputs = s.input_count;
    layer->outputs = s.output_count;
    layer->weights = take(p->owner, (uint64_t)s.input_count * (uint32_t)s.output_count, 2);
    if (!layer->weights)
        return;
    for (int32_t n = 0; n < s.output_count; n++) {
        int16_t *to =
            layer->weights + (size_t)(n / PANEL) * PANEL * (size_t)s.input_count + n % PANEL * 2;
        for (int32_t k = 0; k < s.input_count; k++) {
            int32_t o = s.outputs[n], i = s.inputs[k];
            size_t at =
                (size_t)(o < 0 ? 0 : o) * output_step + (size_t)(i < 0 ? 0 : i) * input_step;
            to[(size_t)(k / 2) * 2 * PANEL + k % 2] =
                o < 0 || i < 0 ? 0 : (int16_t)element(weight, at);
        }
    }
}

/* The chosen elements as numbers of 32 bits. */
static int32_t *pack_numbers(packer *p, const tensor *t, const int32_t *chosen, int32_t count)
{
    int32_t *numbers = take(p->owner, (uint32_t)count, sizeof *numbers);
    for (int32_t i = 0; numbers && i < count; i++)
        numbers[i] = chosen[i] < 0 ? 0 : (int32_t)element(t, (size_t)chosen[i]);
    return numbers;
}

/* Proves that no partial sum of a convolution reaches 2^24 if no input exceeds `input`. */
static void check_layer(packer *p, const char *group, int64_t input)
{
    const tensor *weight = tensor_of(&p->list, group, "weight");
    const tensor *bias = tensor_of(&p->list, group, "bias");
    uint32_t outputs = weight->shape[0], inputs = length_of(weight) / outputs;
    if (!lies_within(&p->list, tensor_of(&p->list, group, "shift"), 0, SHIFT_MOST))
        fail(p, AEC_WEIGHTS);
    for (uint32_t o = 0; o < outputs; o++) {
        int64_t sum = 0;
        for (uint32_t i = 0; i < inputs; i++)
            sum += magnitude(element(weight, (size_t)o * inputs + i));
        if (input * sum + magnitude(element(bias, o)) >= SUM_LIMIT) {
            complain(&p->list, group, " may exceed 24 bits");
            fail(p, AEC_WEIGHTS);
            return;
        }
    }
}

/* Packs chosen outputs and inputs of a 1x1 convolution. */
static void pack_chosen(packer *p, linear *layer, const char *group, selection s)
{
    const tensor *weight = tensor_of(&p->list, group, "weight");
    pack_weights(p, layer, weight, s, weight->shape[1], 1);
    layer->bias = pack_numbers(p, tensor_of(&p->list, group, "bias"), s.outputs, s.output_count);
    layer->shift = pack_numbers(p, tensor_of(&p->list, group, "shift"), s.outputs, s.output_count);
}

/* Room for the numbers of a selection; they are given back with the model. */
static int32_t *take_numbers(packer *p, int32_t room)
{
    return take(p->owner, (uint32_t)room, sizeof(int32_t));
}

/* Packs a whole 1x1 convolution. */
static void pack_linear(packer *p, linear *layer, const char *group)
{
    const tensor *weight = tensor_of(&p->list, group, "weight");
    int32_t outputs = (int32_t)weight->shape[0], inputs = (int32_t)weight->shape[1];
    int32_t all_outputs = up_to(outputs, WIDE), all_inputs = up_to(inputs, 2);
    int32_t *o = take_numbers(p, all_outputs), *i = take_numbers(p, all_inputs);
    if (!o || !i)
        return;
    count_up(o, 0, outputs, all_outputs);
    count_up(i, 0, inputs, all_inputs);
    pack_chosen(p, layer, group, (selection){o, i, all_outputs, all_inputs});
}

/* The channel whose numbers stand at place n of a depthwise layer: unpacking pairs of 16 bits
   leaves groups of 4 channels, first the low ones of every 8, then the high ones. */
static int32_t unpacked_channel(int32_t n, int32_t lanes)
{
    int32_t start = n / (2 * lanes) * (2 * lanes), lane = n % lanes;
    int32_t high = n % (2 * lanes) >= lanes;
    return start + lane / 4 * 8 + high * 4 + lane % 4;
}

static void pack_depthwise(packer *p, depthwise *layer, const char *group)
{
    const tensor *weight = tensor_of(&p->list, group, "weight");
    int32_t channels = (int32_t)weight->shape[0], lanes = p->run->lanes;
    int32_t taps = (int32_t)(weight->shape[2] * weight->shape[3]), pairs = (taps + 1) / 2;
    layer->side = (int32_t)weight->shape[2];
    layer->channels = up_to(channels, WIDE);
    int32_t *order = take_numbers(p, layer->channels);
    layer->weights = take_zeros(p->owner, (uint64_t)layer->channels * (uint32_t)pairs * 2, 2);
    if (!order || !layer->weights)
        return;
    for (int32_t n = 0; n < layer->channels; n++) {
        int32_t c = unpacked_channel(n, lanes), group_start = n / (2 * lanes) * (2 * lanes);
        order[n] = c < channels ? c : -1;
        for (int32_t t = 0; t < taps && c < channels; t++)
            layer->weights[((size_t)group_start * (size_t)pairs +
                            (size_t)(t / 2) * 2 * (size_t)lanes + (size_t)(n - group_start)) *
                               2 +
                           (size_t)t % 2] = (int16_t)element(weight, (size_t)(c * taps + t));
    }
    layer->bias = pack_numbers(p, tensor_of(&p->list, group, "bias"), order, layer->channels);
    layer->shift = pack_numbers(p, tensor_of(&p->list, group, "shift"), order, layer->channels);
}

/* How a layer reads its inputs, padded to the width in memory. */
static void pack_reading(packer *p, reading *read, const char *group)
{
    const tensor *shift = tensor_of(&p->list, group, "input_shift");
    int32_t count = (int32_t)shift->shape[0], width = up_to(count, WIDE);
    int32_t *chosen = take_numbers(p, width);
    read->half = take_numbers(p, width);
    if (!lies_within(&p->list, shift, 0, SHIFT_MOST))
        fail(p, AEC_WEIGHTS);
    if (!chosen || !read->half)
        return;
    count_up(chosen, 0, count, width);
    read->shift = pack_numbers(p, shift, chosen, width);
    for (int32_t i = 0; read->shift && p->fault == AEC_OK && i < width; i++)
        read->half[i] = read->shift[i] ? 1 << (read->shift[i] - 1) : 0;
}

#endif
