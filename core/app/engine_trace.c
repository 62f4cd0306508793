/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * trace: an answer that goes on.
 *
 *   request ─► QUERY with the dialogue to all workers ─(all listen)─► {"tracing":…}
 *     each turn of a worker with something to tell: DIALOGUE ─► lines, as far as the client takes them
 *   client gone ─► UNTRACE to all workers
 *
 * What is lost on the way, by rate or by a slow client, is told by the tick: nobody waits for a reader.
 */
#include "core/app/engine_private.h"

#include <stdatomic.h>

enum { ENGINE_TRACE_TICK_MS = 1000 };

static struct engine_trace *engine_trace_of(struct engine *e, uint32_t token)
{
    for (size_t i = 0; token && i < ARRAY_COUNT(e->traces); i++) {
        if (e->traces[i].token == token) {
            return &e->traces[i];
        }
    }
    return NULL;
}

bool engine_trace_open(struct engine *e, const struct admin_request *request, uint32_t token)
{
    for (size_t i = 0; i < ARRAY_COUNT(e->traces); i++) {
        struct engine_trace *t = &e->traces[i];
        if (t->token) {
            continue;
        }
        *t = (struct engine_trace){.dialogue = dialogue_new(slice_str(request->target), token)};
        t->token = t->dialogue ? token : 0;
        return t->dialogue != NULL;
    }
    return false;
}

struct dialogue *engine_trace_dialogue(struct engine *e, uint32_t token)
{
    struct engine_trace *t = engine_trace_of(e, token);
    return t ? dialogue_ref(t->dialogue) : NULL;
}

void engine_trace_begun(struct engine *e, uint32_t token)
{
    struct engine_trace *t = engine_trace_of(e, token);
    struct buf out;
    if (!t) {
        return; /* the client has gone meanwhile */
    }
    buf_init(&out, 4096);
    buf_add(&out, SLICE("{\"tracing\":"));
    obs_json_string(&out, slice_str(t->dialogue->target));
    buf_addf(&out, ",\"sessions_max\":%d,\"lines_per_s\":%d}", DIALOGUE_SESSIONS_MAX,
             DIALOGUE_LINES_PER_S);
    admin_reply_stream(e->admin, token, buf_slice(&out));
    buf_deinit(&out);
    if (!timer_armed(&e->trace_tick)) {
        timer_start(&e->timers, &e->trace_tick, io_now(e->io)->mono_ms + ENGINE_TRACE_TICK_MS);
    }
}

void engine_on_trace_gone(void *ctx, uint32_t token)
{
    struct engine *e = ctx;
    struct engine_trace *t = engine_trace_of(e, token);
    if (!t) {
        return;
    }
    dialogue_put(&t->dialogue);
    *t = (struct engine_trace){0};
    for (unsigned w = 0; w < e->worker_count; w++) {
        struct worker_mail *m = worker_mail_new(WORKER_MAIL_UNTRACE);
        m->token = token;
        engine_tell(e, w, m);
    }
}

void engine_on_dialogue(struct engine *e, struct worker_mail *m)
{
    struct slice lines = buf_slice(&m->answer);
    dialogue_taken(m->dialogue, lines.len);
    while (lines.len && admin_reply_stream(e->admin, m->token, slice_cut(&lines, '\n'))) {
    }
}

static void engine_trace_tell_lost(struct engine *e, struct engine_trace *t)
{
    uint64_t lost = atomic_load_explicit(&t->dialogue->lost, memory_order_relaxed);
    uint64_t missed = atomic_load_explicit(&t->dialogue->missed, memory_order_relaxed);
    struct buf out;
    if (lost == t->lost_told && missed == t->missed_told) {
        return;
    }
    buf_init(&out, 256);
    buf_addf(&out, "{\"lost\":%llu,\"sessions_missed\":%llu}",
             (unsigned long long)(lost - t->lost_told),
             (unsigned long long)(missed - t->missed_told));
    t->lost_told = lost;
    t->missed_told = missed;
    admin_reply_stream(e->admin, t->token, buf_slice(&out));
    buf_deinit(&out);
}

void engine_on_trace_tick(struct timer *t, void *ctx)
{
    struct engine *e = container_of(t, struct engine, trace_tick);
    bool any = false;
    (void)ctx;
    for (size_t i = 0; i < ARRAY_COUNT(e->traces); i++) {
        if (e->traces[i].token) {
            any = true;
            engine_trace_tell_lost(e, &e->traces[i]);
        }
    }
    if (any) {
        timer_start(&e->timers, t, io_now(e->io)->mono_ms + ENGINE_TRACE_TICK_MS);
    }
}
