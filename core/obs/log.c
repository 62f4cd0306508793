/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Lines of one worker stay in order; lines of different workers are ordered by their time field only.
 * The mutex is taken once per buffer (64 KiB or 20 ms), not per line.
 */
#include "core/obs/log.h"
#include "core/base/clock.h"
#include "core/base/must.h"

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
    if (pthread_create(&s->thread, NULL, obs_sink_main, s) != 0) {
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

/* Takes the bytes over; false: too many on the way, the caller keeps them. */
static bool obs_sink_push(struct obs_sink *s, char *ptr, size_t len)
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

static void obs_sink_count_dropped(struct obs_sink *s, uint64_t lines)
{
    pthread_mutex_lock(&s->mutex);
    s->dropped += lines;
    pthread_mutex_unlock(&s->mutex);
}

/* Counted at once: while the reader stands still, the counter is the only sign of it. */
static void obs_drop_line(struct obs_log *l)
{
    l->dropped++;
    obs_sink_count_dropped(l->sink, 1);
}

void obs_log_init(struct obs_log *l, struct obs_sink *sink, enum obs_level level)
{
    *l = (struct obs_log){.sink = sink, .level = level};
    buf_init(&l->chunk, OBS_CHUNK_BYTES + 2 * OBS_LINE_BYTES);
}

static void obs_hand_over(struct obs_log *l)
{
    if (l->chunk.len == 0) {
        return;
    }
    size_t cap_max = l->chunk.cap_max;
    if (obs_sink_push(l->sink, l->chunk.ptr, l->chunk.len)) {
        l->chunk.ptr = NULL;
        buf_init(&l->chunk, cap_max);
        l->chunk_since_ms = 0;
    }
}

void obs_log_deinit(struct obs_log *l)
{
    uint64_t left = 0;
    obs_hand_over(l);
    for (size_t i = 0; i < l->chunk.len; i++) {
        left += l->chunk.ptr[i] == '\n' ? 1 : 0;
    }
    obs_sink_count_dropped(l->sink, left);
    buf_deinit(&l->chunk);
}

static void obs_line_start(struct obs_log *l, enum obs_event event, uint64_t wall_us)
{
    static const struct {
        struct slice name;
        enum obs_level level;
    } rows[] = {
#define X(id, name, level) [id] = {SLICE_INIT(name), level},
        OBS_EVENTS(X)
#undef X
    };
    static const struct slice levels[] = {SLICE_INIT("debug"), SLICE_INIT("info"),
                                          SLICE_INIT("warn"), SLICE_INIT("error")};
    l->line_start = l->chunk.len;
    l->line_open = true;
    buf_add(&l->chunk, SLICE("{\"time\":\""));
    clock_add_rfc3339(&l->chunk, wall_us);
    buf_add(&l->chunk, SLICE("\",\"level\":\""));
    buf_add(&l->chunk, levels[rows[event].level]);
    buf_add(&l->chunk, SLICE("\",\"event\":\""));
    buf_add(&l->chunk, rows[event].name);
    buf_add_byte(&l->chunk, '"');
}

static enum obs_level obs_event_level(enum obs_event event)
{
    static const unsigned char levels[] = {
#define X(id, name, level) [id] = level,
        OBS_EVENTS(X)
#undef X
    };
    must((size_t)event < ARRAY_COUNT(levels));
    return (enum obs_level)levels[event];
}

bool obs_begin(struct obs_log *l, enum obs_event event, uint64_t wall_us)
{
    must(!l->line_open);
    if (obs_event_level(event) < l->level) {
        return false;
    }
    if (l->chunk.len >= OBS_CHUNK_BYTES) {
        obs_hand_over(l);
        if (l->chunk.len) {
            obs_drop_line(l);
            return false;
        }
    }
    if (l->dropped && event != OBS_LOG_DROPPED) {
        uint64_t dropped = l->dropped;
        l->dropped = 0;
        obs_line_start(l, OBS_LOG_DROPPED, wall_us);
        obs_u64(l, OBS_F_COUNT, dropped);
        buf_add(&l->chunk, SLICE("}\n"));
        l->line_open = false;
    }
    obs_line_start(l, event, wall_us);
    return true;
}

static void obs_key(struct obs_log *l, enum obs_field field)
{
    static const struct slice names[] = {
#define X(id, name) [id] = SLICE_INIT(",\"" name "\":"),
        OBS_FIELDS(X)
#undef X
    };
    must(l->line_open && (size_t)field < ARRAY_COUNT(names));
    buf_add(&l->chunk, names[field]);
}

void obs_str(struct obs_log *l, enum obs_field field, struct slice value)
{
    /* Worst case: every byte becomes six. */
    enum { SHORT_BYTES = 32, KEY_BYTES = 64 };
    size_t len = l->chunk.len - l->line_start;
    if (len + 6 * OBS_VALUE_BYTES + KEY_BYTES > OBS_LINE_BYTES) {
        value = slice_first(value, SHORT_BYTES);
    }
    if (len + 6 * SHORT_BYTES + KEY_BYTES > 2 * OBS_LINE_BYTES - OBS_VALUE_BYTES) {
        return; /* the rest is for numbers */
    }
    obs_key(l, field);
    obs_json_string(&l->chunk, slice_first(value, OBS_VALUE_BYTES));
}

void obs_u64(struct obs_log *l, enum obs_field field, uint64_t value)
{
    obs_key(l, field);
    buf_add_u64(&l->chunk, value);
}

void obs_bool(struct obs_log *l, enum obs_field field, bool value)
{
    obs_key(l, field);
    buf_add(&l->chunk, value ? SLICE("true") : SLICE("false"));
}

void obs_end(struct obs_log *l, uint64_t now_ms)
{
    must(l->line_open);
    l->line_open = false;
    buf_add(&l->chunk, SLICE("}\n"));
    if (l->chunk.overflow) {
        l->chunk.len = l->line_start;
        l->chunk.overflow = false;
        obs_drop_line(l);
    }
    if (!l->chunk_since_ms) {
        l->chunk_since_ms = now_ms ? now_ms : 1;
    }
}

uint64_t obs_due_ms(const struct obs_log *l)
{
    return l->chunk.len ? l->chunk_since_ms + OBS_FLUSH_AFTER_MS : UINT64_MAX;
}

void obs_flush(struct obs_log *l, uint64_t now_ms)
{
    if (now_ms >= obs_due_ms(l)) {
        obs_hand_over(l);
        if (l->chunk.len) {
            l->chunk_since_ms = now_ms; /* the sink is full: not a busy loop */
        }
    }
}
