/* The entropy coder, SPECIFICATION.md, section 8. */

#ifndef AEC_CODER_H
#define AEC_CODER_H

#include "common.h"
#include "memory.h"

enum { PRECISION = 24, WORD_BITS = 32, SYMBOL_LOW = -32768 };
/* Positions are looked up by this many of the state's bits, then searched. */
enum { FIRST_BITS = 10, FIRST_SHIFT = PRECISION - FIRST_BITS, FIRSTS = 1 << FIRST_BITS };
enum { MOST_TABLES = 256, MOST_COUNTS = 65536 };

typedef struct {
    int32_t minimum;
    int32_t escape;   /* position of the escape, the last one */
    uint32_t *starts; /* (escape + 2), sums of the counts before each position, then of all */
    uint16_t *firsts; /* (FIRSTS), the position in which each part of the range begins */
} symbol_table;

typedef struct {
    uint64_t state;
    const unsigned char *next;
    size_t left;
} word_reader;

static void refill(word_reader *reader)
{
    uint32_t word;
    memcpy(&word, reader->next, sizeof word);
    reader->state = reader->state << WORD_BITS | word;
    reader->next += sizeof word;
    reader->left--;
}

/* Gives false for words that no encoder writes. */
static bool begin_words(word_reader *reader, const void *words, size_t count)
{
    *reader = (word_reader){0, words, count};
    if (count) {
        refill(reader);
        if (!reader->state)
            return false;
        if (count > 1)
            refill(reader);
    }
    return true;
}

INLINE void take_count(word_reader *reader, uint32_t count, uint32_t rest)
{
    reader->state = (reader->state >> PRECISION) * count + rest;
    if (reader->state < (uint64_t)1 << WORD_BITS && reader->left)
        refill(reader);
}

INLINE int32_t take_position(word_reader *reader, const symbol_table *table)
{
    uint32_t r = (uint32_t)reader->state & ((1u << PRECISION) - 1);
    int32_t p = table->firsts[r >> FIRST_SHIFT];
    while (table->starts[p + 1] <= r)
        p++;
    take_count(reader, table->starts[p + 1] - table->starts[p], r - table->starts[p]);
    return p;
}

static int32_t take_uniform(word_reader *reader)
{
    uint32_t r = (uint32_t)reader->state & ((1u << PRECISION) - 1);
    take_count(reader, 1 << 8, r & 0xFF);
    return (int32_t)(r >> 8) + SYMBOL_LOW;
}

/* The places of a group by rising table number: those of table t are `order[bounds[t]]` to
   `order[bounds[t + 1] - 1]`. */
static void order_by_table(const uint8_t *numbers, uint32_t count, uint32_t *order,
                           uint32_t bounds[MOST_TABLES + 1])
{
    uint32_t next[MOST_TABLES];
    memset(bounds, 0, (MOST_TABLES + 1) * sizeof *bounds);
    for (uint32_t i = 0; i < count; i++)
        bounds[numbers[i] + 1]++;
    for (int t = 0; t < MOST_TABLES; t++) {
        next[t] = bounds[t];
        bounds[t + 1] += bounds[t];
    }
    for (uint32_t i = 0; i < count; i++)
        order[next[numbers[i]]++] = i;
}

/* Decodes one group. order: (count), scratch. symbols: (count), is written. */
static void take_group(word_reader *from, const uint8_t *numbers, uint32_t count,
                       const symbol_table *tables, uint32_t *order, int32_t *symbols)
{
    uint32_t bounds[MOST_TABLES + 1], escapes = 0;
    word_reader reader = *from;
    order_by_table(numbers, count, order, bounds);
    for (int t = 0; t < MOST_TABLES; t++) {
        if (bounds[t] == bounds[t + 1])
            continue;
        symbol_table table = tables[t];
        for (uint32_t i = bounds[t]; i < bounds[t + 1]; i++) {
            int32_t p = take_position(&reader, &table);
            escapes += p == table.escape;
            symbols[order[i]] = p == table.escape ? INT32_MIN : table.minimum + p;
        }
    }
    for (uint32_t i = 0; escapes; i++) {
        if (symbols[i] == INT32_MIN) {
            symbols[i] = take_uniform(&reader);
            escapes--;
        }
    }
    *from = reader;
}

/* Whether all words were taken. */
static bool are_words_done(const word_reader *reader)
{
    return !reader->left && !reader->state;
}

/* Words in the order in which an encoder makes them, the last one first. */
typedef struct {
    uint64_t state;
    uint32_t *words;
    size_t count, room;
    bool failed;
} word_writer;

static void put_word(word_writer *writer, uint32_t word)
{
    if (writer->count == writer->room) {
        size_t room = 2 * writer->room + 1024;
        uint32_t *words = room < SIZE_MAX / 8 ? allocate(room * sizeof *words) : NULL;
        if (!words) {
            writer->failed = true;
            return;
        }
        if (writer->count)
            memcpy(words, writer->words, writer->count * sizeof *words);
        system_release(writer->words);
        writer->words = words;
        writer->room = room;
    }
    writer->words[writer->count++] = word;
}

static void put_count(word_writer *writer, uint32_t start, uint32_t count)
{
    if (writer->state >> (64 - PRECISION) >= count) {
        put_word(writer, (uint32_t)writer->state);
        writer->state >>= WORD_BITS;
    }
    uint64_t whole = writer->state / count;
    writer->state = whole << PRECISION | (start + (writer->state - whole * count));
}

/* Codes one group; groups are put in the reverse order of decoding. order: (count), scratch. */
static void put_group(word_writer *writer, const uint8_t *numbers, uint32_t count,
                      const symbol_table *tables, uint32_t *order, const int32_t *symbols)
{
    uint32_t bounds[MOST_TABLES + 1];
    for (uint32_t i = count; i-- > 0;) {
        const symbol_table *table = &tables[numbers[i]];
        if (symbols[i] < table->minimum || symbols[i] - table->minimum >= table->escape)
            put_count(writer, (uint32_t)(symbols[i] - SYMBOL_LOW) << 8, 1 << 8);
    }
    order_by_table(numbers, count, order, bounds);
    for (int t = MOST_TABLES; t-- > 0;) {
        for (uint32_t i = bounds[t + 1]; i-- > bounds[t];) {
            const symbol_table *table = &tables[t];
            int32_t symbol = symbols[order[i]], p = table->escape;
            if (symbol >= table->minimum && symbol - table->minimum < p)
                p = symbol - table->minimum;
            put_count(writer, table->starts[p], table->starts[p + 1] - table->starts[p]);
        }
    }
}

/* Ends with the state, and puts the words in the order of decoding. */
static void finish_words(word_writer *writer)
{
    if (writer->state) {
        put_word(writer, (uint32_t)writer->state);
        if (writer->state >> WORD_BITS)
            put_word(writer, (uint32_t)(writer->state >> WORD_BITS));
    }
    for (size_t i = 0; i < writer->count / 2; i++) {
        uint32_t word = writer->words[i];
        writer->words[i] = writer->words[writer->count - 1 - i];
        writer->words[writer->count - 1 - i] = word;
    }
}

#endif
