/* Threads that share the rows of one call. They live as long as the call, so that nothing is left
   for a fork to lose and no two calls meet. */

#ifndef AEC_THREADS_H
#define AEC_THREADS_H

#include "common.h"

enum { MOST_THREADS = 64 };

/* Works on one row. thread: 0 to threads - 1, for scratch memory of its own. */
typedef void (*row_function)(void *context, int32_t row, int32_t thread);

#if defined(__wasm__)

typedef struct {
    int32_t threads;
} team;

static void begin_team(team *t, int32_t threads)
{
    (void)threads;
    t->threads = 1;
}

static void share_rows(team *t, row_function work, void *context, int32_t rows)
{
    (void)t;
    for (int32_t row = 0; row < rows; row++)
        work(context, row, 0);
}

static void end_team(team *t)
{
    (void)t;
}

#else

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

typedef struct {
    struct team *team;
    int32_t number;
} helper;

typedef struct team {
    int32_t threads; /* that work, the caller's included */
    row_function work;
    void *context;
    int32_t rows;
    atomic_int next;
    uint32_t round; /* rises with each call of share_rows */
    bool is_open;   /* whether helpers may still join the round */
    int32_t busy;   /* helpers that have joined and not finished */
    bool ended;
    pthread_mutex_t lock;
    pthread_cond_t begun, finished;
    pthread_t ids[MOST_THREADS];
    helper helpers[MOST_THREADS];
} team;

static void work_on_rows(team *t, int32_t thread)
{
    int32_t row;
    while ((row = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed)) < t->rows)
        t->work(t->context, row, thread);
}

static void *help(void *argument)
{
    helper *self = argument;
    team *t = self->team;
    uint32_t seen = 0;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->ended && (!t->is_open || t->round == seen))
            pthread_cond_wait(&t->begun, &t->lock);
        if (t->ended)
            break;
        seen = t->round;
        t->busy++;
        pthread_mutex_unlock(&t->lock);
        work_on_rows(t, self->number);
        pthread_mutex_lock(&t->lock);
        if (--t->busy == 0)
            pthread_cond_signal(&t->finished);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* Begins as many threads as there can be, up to `threads`. Signals are for the caller's thread. */
static void begin_team(team *t, int32_t threads)
{
    t->threads = 1;
    if (threads < 2)
        return;
    t->round = 0;
    t->is_open = false;
    t->busy = 0;
    t->ended = false;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->begun, NULL);
    pthread_cond_init(&t->finished, NULL);
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    for (int32_t n = 1; n < threads && n < MOST_THREADS; n++) {
        t->helpers[n] = (helper){t, n};
        if (pthread_create(&t->ids[n], NULL, help, &t->helpers[n]))
            break;
        t->threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (t->threads == 1) {
        pthread_mutex_destroy(&t->lock);
        pthread_cond_destroy(&t->begun);
        pthread_cond_destroy(&t->finished);
    }
}

/* Calls `work` for each row, in no certain order, and returns when all are done. On a busy machine
   it does not wait for helpers that have not even begun. */
static void share_rows(team *t, row_function work, void *context, int32_t rows)
{
    if (t->threads == 1 || rows == 1) {
        for (int32_t row = 0; row < rows; row++)
            work(context, row, 0);
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->work = work;
    t->context = context;
    t->rows = rows;
    atomic_store_explicit(&t->next, 0, memory_order_relaxed);
    t->round++;
    t->is_open = true;
    pthread_cond_broadcast(&t->begun);
    pthread_mutex_unlock(&t->lock);
    work_on_rows(t, 0);
    pthread_mutex_lock(&t->lock);
    t->is_open = false;
    while (t->busy)
        pthread_cond_wait(&t->finished, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

static void end_team(team *t)
{
    if (t->threads == 1)
        return;
    pthread_mutex_lock(&t->lock);
    t->ended = true;
    pthread_cond_broadcast(&t->begun);
    pthread_mutex_unlock(&t->lock);
    for (int32_t n = 1; n < t->threads; n++)
        pthread_join(t->ids[n], NULL);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->begun);
    pthread_cond_destroy(&t->finished);
}

#endif

#endif
