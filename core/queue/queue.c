/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Submission and commit, activation, timers, shutdown. The way of a message:
 *
 *   queue_submit ─► committing ─(spool: committed)─► queue_activate ─► due ─(queue_run)─► routing.c
 *   queue_part_done ─► result.c ─► batches ─(spool: committed)─► queue_settle ─► freed
 */
#include "core/queue/queue.h"
#include "core/queue/override.h"
#include "core/queue/recall.h"
#include "core/queue/far.h"
#include "core/queue/sched.h"
#include "core/queue/warmup.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    QUEUE_SWEEP_MS = 15 * 1000,
    /* A record's share for fragments: a message of 1 GiB, the most limits.message_size allows. */
    QUEUE_FRAGMENTS_BYTES = (1024 * 1024 / 128 + LIMIT_BODY_EARLY_FRAGMENTS) * 20,
};
/* A recipient takes 16 bytes and its text there, 12 and its text in the envelope. */
must_static(LIMIT_ENVELOPE_BYTES / 3 * 4 + LIMIT_BODY_INLINE_BYTES + QUEUE_FRAGMENTS_BYTES + 4096 <=
                SPOOL_FRAME_BYTES_MAX,
            "the record of any envelope that was accepted fits a frame");

static void queue_on_committed(void *ctx, uint64_t lsn_upto, enum spool_commit_result result);
static void queue_on_space(void *ctx);
static void queue_on_incident(void *ctx, enum spool_incident what, uint64_t segment, int error);

const struct spool_events queue_spool_events = {queue_on_committed, queue_on_space,
                                                queue_on_incident};

static void queue_on_sweep(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue *q = container_of(t, struct queue, sweep);
    queue_sites_sweep(q, false);
    if (q->domains.count || q->sites.count) {
        timer_start(q->timers, &q->sweep, io_now(q->io)->mono_ms + QUEUE_SWEEP_MS);
    }
}

void queue_sweep_start(struct queue *q)
{
    if (!timer_armed(&q->sweep)) {
        timer_start(q->timers, &q->sweep, io_now(q->io)->mono_ms + QUEUE_SWEEP_MS);
    }
}

bool queue_open(struct queue *q, const struct queue_parts *parts, const struct queue_events *events,
                void *ctx)
{
    *q = (struct queue){
        .conf = parts->conf,
        .io = parts->io,
        .timers = parts->timers,
        .rng = parts->rng,
        .log = parts->log,
        .dns = parts->dns,
        .events = events,
        .ctx = ctx,
        .group = parts->group,
        .budgets = parts->budgets,
        .warmup = parts->warmup,
        .shaping = parts->shaping,
        .egress = parts->egress,
        .sources.news = egress_news(parts->egress),
        .worker = parts->worker,
        .workers = parts->workers,
        .id_last = parts->id_floor,
    };
    pool_init(&q->messages, sizeof(struct queue_message), POOL_SLOTS_MAX);
    pool_init(&q->readers, queue_reader_size, QUEUE_READERS_MAX);
    map_init(&q->by_id, rng_u64(q->rng));
    map_init(&q->labels, rng_u64(q->rng));
    queue_tolls_open(q);
    q->names_seed = rng_u64(q->rng);
    map_init(&q->domains, rng_u64(q->rng));
    map_init(&q->sites, rng_u64(q->rng));
    list_init(&q->due);
    list_init(&q->committing);
    list_init(&q->batches);
    list_init(&q->unsaved);
    list_init(&q->active_sites);
    list_init(&q->filling);
    list_init(&q->scheds);
    list_init(&q->credits);
    q->sweep.fire = queue_on_sweep;
    queue_park_open(q);
    queue_suspend_open(q);
    queue_memo_open(q);
    queue_peers_open(q);
    queue_lessons_open(q, parts->automation);
    queue_brakes_open(q);
    queue_orders_open(q);
    return true;
}

void queue_set_spool(struct queue *q, struct spool *spool)
{
    q->spool = spool;
}

void queue_set_conf(struct queue *q, const struct conf *conf, const struct shaping_table *shaping,
                    const struct egress_table *egress)
{
    q->conf = conf;
    q->shaping = shaping;
    q->egress = egress;
    queue_sources_wake(q);
    queue_tolls_forget(q);
    queue_brakes_forget(q);
    q->serial++; /* each worker is told of each configuration once */
    queue_routes_expire(q);
}

/* wall milliseconds (42 bits) | worker (8) | counter (14); never at or below an earlier one. */
uint64_t queue_next_id(struct queue *q, uint64_t wall_us)
{
    uint64_t id = (wall_us / 1000) << 22 | (uint64_t)q->worker << 14;
    if (id <= q->id_last) {
        id = q->id_last + 1;
        if ((id >> 14 & 0xff) !=
            q->worker) { /* the counter ran over: next millisecond, our number */
            id = ((q->id_last >> 22) + 1) << 22 | (uint64_t)q->worker << 14;
        }
    }
    q->id_last = id;
    return id;
}

bool queue_is_full(const struct queue *q, uint32_t more_rcpts)
{
    return q->counters.queued + more_rcpts > q->conf->queue.recipients_max / q->workers + 1 ||
           q->messages.used + 1 >= q->messages.capacity;
}

bool queue_memory_short(const struct queue *q, uint64_t more_bytes)
{
    return q->memory_bytes + more_bytes > q->conf->limits.memory_bytes / q->workers;
}

enum spool_append queue_submit(struct queue *q, struct queue_message *m, struct slice rest)
{
    struct spool_rcpt few[8];
    struct queue_record parts = {.rcpts = few};
    if (m->rcpt_count > ARRAY_COUNT(few) &&
        !(parts.rcpts = calloc(m->rcpt_count, sizeof(*parts.rcpts)))) {
        return SPOOL_FAILED;
    }
    struct spool_message record;
    queue_message_record(m, &parts, &record);
    struct slice content = m->body ? slice_of(m->body, m->body_bytes) : rest;
    struct iovec iov = {(void *)(uintptr_t)content.ptr, content.len};
    record.body = &iov;
    record.body_count = content.len ? 1 : 0;
    size_t bytes = spool_message_bytes(&record);
    enum spool_append result = bytes > SPOOL_FRAME_BYTES_MAX
                                   ? SPOOL_FAILED
                                   : spool_frame_begin(q->spool, SPOOL_CLASS_MAIL, bytes);
    if (result == SPOOL_APPENDED) {
        spool_add_message(q->spool, &record);
        spool_frame_end(q->spool, SPOOL_URGENT, &m->lsn, &m->ref);
        spool_hold(q->spool, &m->hold.hold, m->ref);
        m->inline_bytes = (uint32_t)content.len;
        list_push_back(&q->committing, &m->link);
    }
    if (parts.rcpts != few) {
        free(parts.rcpts);
    }
    return result;
}

static void queue_on_committed(void *ctx, uint64_t lsn_upto, enum spool_commit_result result)
{
    struct queue *q = ctx;
    q->lost_commits += result == SPOOL_LOST ? 1 : 0;
    struct list *node;
    while ((node = list_first(&q->committing))) {
        struct queue_message *m = LIST_ENTRY(node, struct queue_message, link);
        if (m->lsn > lsn_upto) {
            break;
        }
        list_remove(&m->link);
        struct handle submitter = m->submitter;
        if (result == SPOOL_COMMITTED) {
            queue_activate(q, m);
            q->events->accepted(q->ctx, submitter, m);
        } else {
            queue_message_free(q, m);
            q->events->accepted(q->ctx, submitter, NULL);
        }
    }
    queue_results_decided(q, lsn_upto, result);
    queue_memo_decided(q, lsn_upto, result);
    queue_compact_decided(q, lsn_upto, result);
}

static void queue_on_space(void *ctx)
{
    struct queue *q = ctx;
    queue_results_retry(q);
    queue_memo_run(q);
    q->events->space(q->ctx);
}

static void queue_on_incident(void *ctx, enum spool_incident what, uint64_t segment, int error)
{
    static const struct slice names[] = {
        [SPOOL_INCIDENT_WRITE_FAILED] = SLICE_INIT("a commit failed; the segment has ended"),
        [SPOOL_INCIDENT_NO_SEGMENT] = SLICE_INIT("a new segment could not be made; trying again"),
        [SPOOL_INCIDENT_READ_ONLY] = SLICE_INIT("nothing can be written; new mail is refused"),
        [SPOOL_INCIDENT_RECOVERED] = SLICE_INIT("writing works again"),
        [SPOOL_INCIDENT_RECLAIM_STOPPED] = SLICE_INIT("segments can no longer be deleted durably"),
        [SPOOL_INCIDENT_FENCED] = SLICE_INIT("another engine has taken this spool"),
    };
    struct queue *q = ctx;
    must((size_t)what < ARRAY_COUNT(names));
    if (obs_begin(q->log, OBS_SPOOL_STATE, io_now(q->io)->wall_us)) {
        char text[128] = "";
        obs_u64(q->log, OBS_F_WORKER, q->worker);
        obs_str(q->log, OBS_F_REASON, names[what]);
        obs_u64(q->log, OBS_F_ID, segment);
        if (error) {
            obs_str(q->log, OBS_F_REPLY, slice_str(strerror_r(error, text, sizeof(text))));
        }
        obs_end(q->log, io_now(q->io)->mono_ms);
    }
}

void queue_activate(struct queue *q, struct queue_message *m)
{
    must(!m->queued);
    m->queued = true;
    q->counters.accepted += m->rcpt_count;
    q->counters.queued += m->rcpt_count;
    q->counters.messages++;
    q->counters.messages_accepted++;
    if (m->body && queue_memory_short(q, 0)) {
        queue_message_drop_body(q, m);
    }
    list_push_back(&q->due, &m->link);
    queue_sweep_start(q);
}

/* When it is to be looked at. The message's own time goes on while it is suspended. */
static uint64_t queue_rcpt_next_ms(const struct queue_message *m, const struct queue_rcpt *r)
{
    bool ends = r->due_ms == QUEUE_DUE_SUSPENDED && m->expire_s;
    return ends ? (uint64_t)m->expire_s * 1000 : r->due_ms;
}

void queue_schedule(struct queue *q, struct queue_message *m)
{
    uint64_t due_ms = UINT64_MAX;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        uint64_t next_ms = queue_rcpt_next_ms(m, &m->rcpts[i]);
        if (m->rcpts[i].state == QUEUE_RCPT_WAITING && next_ms < due_ms) {
            due_ms = next_ms;
        }
    }
    if (due_ms == UINT64_MAX || q->stopping) {
        timer_stop(q->timers, &m->timer);
        return;
    }
    uint64_t wall_ms = io_now(q->io)->wall_us / 1000;
    uint64_t wait_ms = due_ms > wall_ms ? due_ms - wall_ms : 0;
    timer_start(q->timers, &m->timer, io_now(q->io)->mono_ms + wait_ms);
}

void queue_message_due(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue_message *m = container_of(t, struct queue_message, timer);
    struct queue *q = m->queue;
    if (!list_linked(&m->link)) {
        list_push_back(&q->due, &m->link);
    }
}

void queue_settle(struct queue *q, struct queue_message *m)
{
    if (m->pending_count || m->readers || !m->queued || !list_empty(&m->parts)) {
        return;
    }
    if (m->open_count) {
        queue_park(q, m);
        return;
    }
    if (list_linked(&m->link)) {
        list_remove(&m->link);
    }
    queue_compact_forget(q, m);
    must(q->counters.messages > 0);
    q->counters.messages--;
    queue_message_free(q, m);
}

/* Content that the next attempt will read from the spool need not stay in memory. Whoever still needs it, or
 * soon will, is a reader. */
void queue_body_unused(struct queue *q, struct queue_message *m)
{
    if (m->body && m->readers == 0 && m->queued) {
        queue_message_drop_body(q, m);
    }
}

/* Recipients that nothing was tried with stand behind the others: the peer takes fewer at a time. */
static void queue_part_drop_untried(struct queue *q, struct queue_part *p,
                                    const struct outcome *outcomes)
{
    struct queue_message *m = p->message;
    uint32_t tried = 0;
    while (tried < p->count && outcomes[tried].kind != OUTCOME_NONE) {
        tried++;
    }
    for (uint32_t i = tried; i < p->count; i++) {
        queue_rcpt_set_state(m, &m->rcpts[p->rcpts[i]], QUEUE_RCPT_WAITING);
    }
    if (tried < p->count && !list_linked(&m->link) && !q->stopping) {
        list_push_back(&q->due, &m->link);
    }
    p->count = tried;
}

void queue_part_done(struct queue *q, struct queue_part *p, const struct queue_part_end *end)
{
    struct queue_message *m = p->message;
    if (queue_part_is_guest(q, p)) {
        queue_far_result(q, p, end, false);
        return;
    }
    must(!list_linked(&p->in_list) && !list_linked(&p->ready.link) && m->readers > 0);
    queue_part_drop_untried(q, p, end->outcomes);
    list_remove(&p->of_message);
    if (p->count) {
        queue_results(q, m, p->rcpts, p->count, end);
    }
    queue_part_put(p);
    m->readers--; /* not before: its results may be forgotten at once, and it would be settled then */
    queue_body_unused(q, m);
    queue_settle(q, m);
}

void queue_part_sent(struct queue *q, struct queue_part *p, const struct queue_part_end *end,
                     bool pinned)
{
    must(q->sending >= p->count);
    q->sending -= p->count;
    must(p->site->under_way > 0);
    p->site->under_way--;
    queue_site_sent(q, p->site, &end->outcomes[0]);
    if (queue_part_is_guest(q, p)) {
        queue_far_result(q, p, end, pinned);
    } else {
        queue_part_done(q, p, end);
    }
}

void queue_run(struct queue *q)
{
    struct list now;
    list_init(&now);
    if (!q->stopping) {
        queue_sources_run(q);
    }
    if (spool_records(q->spool)) {
        queue_unpark_due(q);
        list_splice_back(&now, &q->due);
    }
    struct list *node;
    while ((node = list_pop_front(&now))) {
        struct queue_message *m = LIST_ENTRY(node, struct queue_message, link);
        if (!q->stopping && !queue_park_crowded(q, m)) {
            queue_route_message(q, m);
        }
    }
    if (!list_empty(&q->unsaved) && !q->cut) {
        queue_results_retry(q);
    }
    queue_overrides_run(q);
    if (!q->stopping) {
        queue_compact_run(q);
        queue_orders_run(q);
    }
}

void queue_leave(struct queue *q)
{
    if (!q->leaving) {
        q->leaving = true;
        if (q->group) {
            atomic_fetch_add_explicit(&q->group->leaving, 1, memory_order_acq_rel);
        }
    }
    queue_sites_release_parts(q);
}

/* Nothing of ours is elsewhere, nothing of others is here, and nobody begins anything any more; what others had
 * begun before has been read, for they left a turn ago. */
static bool queue_is_alone(struct queue *q)
{
    bool before = q->all_leave;
    q->all_leave = !q->group || atomic_load_explicit(&q->group->leaving, memory_order_acquire) ==
                                    q->group->workers;
    return q->away == 0 && q->guests == 0 && q->all_leave && (before || !q->group);
}

bool queue_stop(struct queue *q)
{
    if (!q->stopping) {
        q->stopping = true;
        timer_stop(q->timers, &q->sweep);
        queue_park_stop(q);
        timer_stop(q->timers, &q->suspensions.timer);
        timer_stop(q->timers, &q->brakes.walk);
        queue_peers_stop(q);
        queue_warmup_stop(q);
        queue_orders_stop(q);
        queue_recall_flush(q);
        queue_leave(q);
        queue_compact_forget(q, NULL);
        for (uint32_t slot = 0; slot < q->messages.made; slot++) {
            struct handle h;
            struct queue_message *m = pool_at(&q->messages, slot, &h);
            if (m) {
                timer_stop(q->timers, &m->timer);
            }
        }
    }
    return list_empty(&q->committing) && list_empty(&q->batches) &&
           (q->cut || list_empty(&q->unsaved)) && queue_memo_idle(q, q->cut) &&
           q->readers.used == 0 && queue_is_alone(q);
}

void queue_cut(struct queue *q)
{
    q->cut = true;
}

static void queue_forget_batches(struct queue *q, struct list *batches)
{
    struct list *node;
    while ((node = list_pop_front(batches))) {
        struct queue_batch *b = LIST_ENTRY(node, struct queue_batch, link);
        b->message->pending_count--;
        if (b->dsn) {
            queue_message_free(q, b->dsn);
        }
        free(b);
    }
}

void queue_close(struct queue *q)
{
    must(q->stopping && q->readers.used == 0);
    queue_forget_batches(q, &q->batches);
    queue_forget_batches(q, &q->unsaved);
    queue_sites_sweep(q, true);
    for (uint32_t slot = 0; slot < q->messages.made; slot++) {
        struct handle h;
        struct queue_message *m = pool_at(&q->messages, slot, &h);
        if (!m) {
            continue;
        }
        must(m->readers == 0);
        if (list_linked(&m->link)) {
            list_remove(&m->link);
        }
        queue_message_free(q, m);
    }
    queue_park_close(q);
    queue_suspend_close(q);
    queue_targets_close(q);
    queue_peers_close(q);
    queue_brakes_close(q);
    queue_lessons_close(q);
    queue_memo_close(q);
    pool_deinit(&q->messages);
    pool_deinit(&q->readers);
    map_deinit(&q->by_id);
    must(q->labels.count == 0);
    map_deinit(&q->labels);
    queue_tolls_close(q);
    map_deinit(&q->domains);
    map_deinit(&q->sites);
}

bool queue_pending(const struct queue *q)
{
    return ((!list_empty(&q->due) || queue_park_pending(q)) && spool_records(q->spool)) ||
           queue_orders_pending(q) || (!q->stopping && queue_sources_pending(q));
}
