/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The writer's thread. The mutex is taken once per buffer (64 KiB or 20 ms), not per line.
 */
#include "core/obs/sink.h"
#include "core/base/clock.h"
#include "core/base/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct obs_chunk {
    struct obs_chunk *next;
    char *ptr;
    size_t len;
};

struct obs_sink {
    int fd;
    pthread_t thread;
    /* shared, under mutex */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_cond_t done;
    struct obs_chunk *first;
    struct obs_chunk **last;
    unsigned count; /* queued and being written */
    uint64_t dropped;
    bool stop;
    bool finished;
};

/* False: give up (descriptor closed, or told to stop while it blocks). */
static bool obs_sink_write(struct obs_sink *s, const char *ptr, size_t len)
{
    while (len) {
        struct pollfd p = {.fd = s->fd, .events = POLLOUT};
        int ready = poll(&p, 1, 200);
        if (ready == 0) {
            pthread_mutex_lock(&s->mutex);
            bool stop = s->finished;
            pthread_mutex_unlock(&s->mutex);
            if (stop) {
                return false;
            }
            continue;
        }
        ssize_t n = write(s->fd, ptr, len > 4096 ? 4096 : len);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return false;
        }
        if (n > 0) {
            ptr += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static void *obs_sink_main(void *arg)
{
    struct obs_sink *s = arg;
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        while (!s->first && !s->stop) {
            pthread_cond_wait(&s->wake, &s->mutex);
        }
        struct obs_chunk *c = s->first;
        if (!c || s->finished) {
            break;
        }
        s->first = c->next;
        if (!s->first) {
            s->last = &s->first;
        }
        pthread_mutex_unlock(&s->mutex);
        obs_sink_write(s, c->ptr, c->len);
        free(c->ptr);
        free(c);
        pthread_mutex_lock(&s->mutex);
        s->count--;
    }
    s->finished = true;
    pthread_cond_signal(&s->done);
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

struct obs_sink *obs_sink_open(int fd)
{
    struct obs_sink *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->fd = fd;
    s->last = &s->first;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->done, &attr);
    pthread_condattr_destroy(&attr);
    if (thread_start(&s->thread, obs_sink_main, s) != 0) {
        free(s);
        return NULL;
    }
    return s;
}

void obs_sink_close(struct obs_sink *s, unsigned deadline_ms)
{
    uint64_t until_us = clock_read().mono_us + (uint64_t)deadline_ms * 1000u;
    struct timespec ts = {.tv_sec = (time_t)(until_us / 1000000u),
                          .tv_nsec = (long)(until_us % 1000000u) * 1000};
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    int rc = 0;
    while (!s->finished && rc == 0) {
        rc = pthread_cond_timedwait(&s->done, &s->mutex, &ts);
    }
    s->finished = true; /* a writer that still blocks sees it within 200 ms */
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    while (s->first) {
        struct obs_chunk *c = s->first;
        s->first = c->next;
        free(c->ptr);
        free(c);
    }
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->done);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

uint64_t obs_sink_dropped(struct obs_sink *s)
{
    pthread_mutex_lock(&s->mutex);
    uint64_t n = s->dropped;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

bool obs_sink_push(struct obs_sink *s, char *ptr, size_t len)
{
    struct obs_chunk *c = malloc(sizeof(*c));
    if (!c) {
        return false;
    }
    *c = (struct obs_chunk){.ptr = ptr, .len = len};
    pthread_mutex_lock(&s->mutex);
    bool ok = s->count < OBS_CHUNKS_MAX;
    if (ok) {
        s->count++;
        *s->last = c;
        s->last = &c->next;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->mutex);
    if (!ok) {
        free(c);
    }
    return ok;
}

void obs_sink_count_dropped(struct obs_sink *s, uint64_t lines)
{
    pthread_mutex_lock(&s->mutex);
    s->dropped += lines;
    pthread_mutex_unlock(&s->mutex);
}
