/* The other innermost loops of a level, and the table of all of them; included by loops.h. */

/* Of one row of a padded array, whose rows are `row` elements apart. */
INLINE void NAME(depthwise_side)(const depthwise *layer, const int16_t *padded, ptrdiff_t row,
                                 int32_t places, int32_t low, int32_t high, int16_t *out, int side)
{
    int taps = side * side, pairs = (taps + 1) / 2;
    for (int32_t n = 0; n < layer->channels; n += WIDTH) {
        const int16_t *weights = layer->weights + (ptrdiff_t)n * pairs * 2;
        vector bias[2] = {NAME(load)(layer->bias + n), NAME(load)(layer->bias + n + LANES)};
        vector shift[2] = {NAME(load)(layer->shift + n), NAME(load)(layer->shift + n + LANES)};
        for (int32_t p = 0; p < places; p++) {
            const int16_t *corner = padded + (ptrdiff_t)p * layer->channels + n;
            vector first = bias[0], second = bias[1];
            UNROLL
            for (int pair = 0; pair < pairs; pair++) {
                int a = 2 * pair, b = a + 1 < taps ? a + 1 : a; /* the last weight is 0 */
                vector x = NAME(load)(corner + a / side * row + a % side * layer->channels);
                vector y = NAME(load)(corner + b / side * row + b % side * layer->channels);
                const int16_t *at = weights + pair * 2 * WIDTH;
                first = NAME(dot)(first, NAME(low_pairs)(x, y), NAME(load)(at));
                second = NAME(dot)(second, NAME(high_pairs)(x, y), NAME(load)(at + WIDTH));
            }
            first = NAME(shift)(first, shift[0]);
            second = NAME(shift)(second, shift[1]);
            vector both = NAME(clamp16)(NAME(repacked)(first, second), low, high);
            NAME(store)(out + (ptrdiff_t)p * layer->channels + n, both);
        }
    }
}

APART void NAME(depthwise_row)(const depthwise *layer, const int16_t *padded, ptrdiff_t row,
                               int32_t places, int32_t low, int32_t high, int16_t *out)
{
    if (layer->side == 3)
        NAME(depthwise_side)(layer, padded, row, places, low, high, out, 3);
    else
        NAME(depthwise_side)(layer, padded, row, places, low, high, out, 5);
}

APART void NAME(read_stream)(const reading *read, const int32_t *stream, int32_t places,
                             int32_t width, int16_t *out)
{
    for (int32_t p = 0; p < places; p++, stream += width, out += width) {
        for (int32_t n = 0; n < width; n += WIDTH) {
            vector v[2];
            for (int side = 0; side < 2; side++) {
                int32_t at = n + side * LANES;
                v[side] = NAME(load)(stream + at) + NAME(load)(read->half + at);
                v[side] = NAME(shift)(v[side], NAME(load)(read->shift + at));
            }
            vector both = NAME(packed)(v[0], v[1]);
            NAME(store)(out + n, NAME(clamp16)(both, INPUT_LOW, INPUT_HIGH));
        }
    }
}

/* Products of gains in units of 1: all of them are exact in binary64. Adding 2^23 makes what is
   rounded positive, so that leaving the fraction out rounds down. */
APART void NAME(scale)(const double *gains, int32_t places, int32_t width, int32_t *stream)
{
    for (int32_t p = 0; p < places; p++, stream += width) {
        for (int32_t n = 0; n < width; n++) {
            double v = stream[n] * gains[n] + 0.5;
            v = v < STREAM_LOW ? STREAM_LOW : v;
            v = v > STREAM_HIGH ? STREAM_HIGH : v;
            stream[n] = (int32_t)(v + (1 << 23)) - (1 << 23);
        }
    }
}

APART void NAME(split)(const int32_t *stream, size_t count, int16_t *high, int16_t *low)
{
    for (size_t i = 0; i < count; i++) {
        int32_t over = (stream[i] + SPLIT / 2) >> SPLIT_BITS;
        high[i] = (int16_t)over;
        low[i] = (int16_t)(stream[i] - over * SPLIT);
    }
}

static const operations NAME(operations) = {
    .lanes = LANES,
    .activate = NAME(activate),
    .add_to_stream = NAME(add_to_stream),
    .clip = NAME(clip),
    .clip_two = NAME(clip_two),
    .add_clipped = NAME(add_clipped),
    .raw = NAME(raw),
    .add_raw = NAME(add_raw),
    .to_stream = NAME(to_stream),
    .sums = NAME(sums),
    .bytes = NAME(bytes),
    .depthwise_row = NAME(depthwise_row),
    .read_stream = NAME(read_stream),
    .scale = NAME(scale),
    .split = NAME(split),
};

#undef vector
#undef WIDTH
#undef NAME
#undef JOIN
#undef JOIN_
#undef FOR_BLOCKS
#ifdef MM
#undef MM
#undef OF
#undef OF_
#endif
