/* Memory of a model or of one call: taken piece by piece, given back at once. */

#ifndef AEC_MEMORY_H
#define AEC_MEMORY_H

#include "common.h"

enum { ALIGNMENT = 64 };

#if defined(__wasm__)

/* Pieces stand in one list in the order of their addresses, free or not. */
typedef struct piece {
    size_t size; /* of what follows */
    bool used;
    struct piece *next;
} piece;

enum { WASM_PAGE = 65536 };

extern unsigned char __heap_base;
static piece *first_piece;

static void *place_of(piece *p)
{
    return (unsigned char *)p + ALIGNMENT;
}

/* Adds `size` bytes at the end of the list; NULL if the memory cannot grow. */
static piece *grown(piece *last, size_t size)
{
    uintptr_t end = last ? (uintptr_t)place_of(last) + last->size
                         : ((uintptr_t)&__heap_base + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    uint64_t need = (uint64_t)end + ALIGNMENT + size;
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) * WASM_PAGE;
    if (need > have) {
        uint64_t pages = (need - have + WASM_PAGE - 1) / WASM_PAGE;
        if (pages > 65536 || __builtin_wasm_memory_grow(0, (size_t)pages) == SIZE_MAX)
            return NULL;
    }
    piece *p = (piece *)end;
    *p = (piece){.size = size};
    if (last)
        last->next = p;
    else
        first_piece = p;
    return p;
}

static void split_piece(piece *p, size_t size)
{
    if (p->size < size + 2 * ALIGNMENT)
        return;
    piece *rest = (piece *)((unsigned char *)place_of(p) + size);
    *rest = (piece){.size = p->size - size - ALIGNMENT, .next = p->next};
    p->size = size;
    p->next = rest;
}

static void *system_allocate(size_t size)
{
    piece *p = first_piece, *last = NULL;
    while (p && (p->used || p->size < size)) {
        last = p;
        p = p->next;
    }
    if (!p)
        p = grown(last, size);
    if (!p)
        return NULL;
    split_piece(p, size);
    p->used = true;
    return place_of(p);
}

static void system_release(void *place)
{
    if (!place)
        return;
    ((piece *)((unsigned char *)place - ALIGNMENT))->used = false;
    for (piece *p = first_piece; p; p = p->next)
        while (!p->used && p->next && !p->next->used) {
            p->size += ALIGNMENT + p->next->size;
            p->next = p->next->next;
        }
}

#else

#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
enum { LARGE_PAGE = 1 << 21 };

/* Large pages, where the system has them, come with a hundredth of the interruptions. */
static void *system_allocate(size_t size)
{
    void *place;
    size_t alignment = size >= LARGE_PAGE ? LARGE_PAGE : ALIGNMENT;
    if (posix_memalign(&place, alignment, size))
        return NULL;
    if (alignment == LARGE_PAGE)
        madvise(place, size, MADV_HUGEPAGE);
    return place;
}
#else
static void *system_allocate(size_t size)
{
    void *place;
    return posix_memalign(&place, ALIGNMENT, size) ? NULL : place;
}
#endif

static void system_release(void *place)
{
    free(place);
}

#endif

/* Memory of whole multiples of the alignment, so that the next piece is aligned, too. */
static void *allocate(size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    return system_allocate((size + ALIGNMENT) / ALIGNMENT * ALIGNMENT);
}

/* Pieces that are given back together. */
typedef struct block_of_memory {
    struct block_of_memory *next;
} block_of_memory;

typedef struct {
    block_of_memory *blocks;
    bool failed; /* whether any `take` found no memory */
} memory;

/* `count` elements of `size` bytes, not initialized. A count of 0 gives a place, too. */
static void *take(memory *from, uint64_t count, size_t size)
{
    if (count > SIZE_MAX / 4 / size) {
        from->failed = true;
        return NULL;
    }
    block_of_memory *block = allocate((size_t)count * size + ALIGNMENT);
    if (!block) {
        from->failed = true;
        return NULL;
    }
    block->next = from->blocks;
    from->blocks = block;
    return (unsigned char *)block + ALIGNMENT;
}

static void *take_zeros(memory *from, uint64_t count, size_t size)
{
    void *place = take(from, count, size);
    if (place)
        memset(place, 0, (size_t)count * size);
    return place;
}

static void release_all(memory *from)
{
    while (from->blocks) {
        block_of_memory *next = from->blocks->next;
        system_release(from->blocks);
        from->blocks = next;
    }
}

#endif
