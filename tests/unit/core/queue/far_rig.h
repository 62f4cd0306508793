/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * far_rig - several rigs in one group, each with a pool of connections that is a script
 *
 * Purpose:   what core/relay/pool.c does with sites, without sockets: a connection is a count, a transaction
 *            is a part that is held until the test ends it (or until the end of the turn).
 * Owner:     the test: far_start … far_stop.
 * Thread:    the test's; far_turn gives each worker one turn.
 */
#ifndef RINGPOST_TESTS_QUEUE_FAR_RIG_H
#define RINGPOST_TESTS_QUEUE_FAR_RIG_H

#include "core/queue/sched.h"
#include "tests/unit/core/queue/rig_mail.h"

enum { FAR_WORKERS = 3, FAR_HELD_MAX = 64 };

struct far_worker {
    struct rig rig;     /* first */
    unsigned places;    /* connections it may have */
    unsigned open;      /* of them */
    bool hold;          /* transactions last until far_end */
    rig_script *ends;   /* how they end */
    unsigned ended;     /* transactions */
    unsigned of_others; /* of them, those with a guest */
    struct queue_part *held[FAR_HELD_MAX];
    unsigned held_count;
};

struct far_rig {
    struct queue_group group;
    struct far_worker w[FAR_WORKERS];
};

static inline struct queue *far_queue(struct far_rig *f, unsigned w)
{
    return &f->w[w].rig.queue;
}

/* The site of the smarthost; there is no other. */
static inline struct queue_site *far_site_of(struct far_worker *w)
{
    size_t bucket = 0;
    struct map_node *node = map_next(&w->rig.queue.sites, &bucket, NULL);
    return node ? container_of(node, struct queue_site, by_key) : NULL;
}

static inline void far_end_pinned(struct far_worker *w, bool pinned)
{
    struct outcome outcomes[LIMIT_RECIPIENTS_PER_TRANSACTION];
    ck_assert_uint_gt(w->held_count, 0);
    struct queue_part *p = w->held[0];
    memmove(w->held, w->held + 1, --w->held_count * sizeof(w->held[0]));
    for (uint32_t i = 0; i < p->count; i++) {
        outcomes[i] = w->ends(&w->rig, p, p->rcpts[i]);
    }
    struct queue_part_end end = {.outcomes = outcomes,
                                 .peer_name = SLICE("mx.example.test"),
                                 .peer_addr = SLICE("192.0.2.1"),
                                 .duration_ms = 1};
    w->ended++;
    w->of_others += queue_part_is_guest(&w->rig.queue, p) ? 1 : 0;
    queue_site_served(&w->rig.queue, p->site);
    queue_part_sent(&w->rig.queue, p, &end, pinned);
}

static inline void far_end(struct far_worker *w)
{
    far_end_pinned(w, false);
}

/* A connection without a transaction ends. */
static inline void far_close(struct far_worker *w, struct queue_site *s)
{
    ck_assert_uint_gt(w->open, w->held_count);
    w->open--;
    queue_site_connection_over(&w->rig.queue, s, true);
}

static inline void far_serve(struct far_worker *w, struct queue_site *s)
{
    struct queue *q = &w->rig.queue;
    while (queue_site_work(s)) {
        bool idle = s->connections > w->held_count;
        if (!idle && (w->open >= w->places || !queue_site_grant(q, s))) {
            break;
        }
        if (!idle) {
            w->open++;
            s->connections++;
            queue_site_greeted(q, s);
        }
        struct queue_part *p = queue_site_take(q, s);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_lt(w->held_count, FAR_HELD_MAX);
        w->held[w->held_count++] = p;
        if (!w->hold) {
            far_end(w);
        }
    }
    queue_site_give_back(q, s, queue_site_work(s) && w->open >= w->places);
}

static inline void far_on_turn(struct rig *r)
{
    struct far_worker *w = (struct far_worker *)(void *)r;
    struct queue *q = &r->queue;
    struct list now;
    struct list *node;
    if (q->leaving) {
        return;
    }
    queue_sites_file(q);
    queue_sched_run(q, false);
    list_init(&now);
    list_splice_back(&now, &q->active_sites);
    while ((node = list_pop_front(&now))) {
        struct queue_site *s = LIST_ENTRY(node, struct queue_site, active);
        far_serve(w, s);
        if (queue_sched_wants_place(s->sched)) {
            queue_site_activate(q, s);
        }
    }
    queue_sched_run(q, true);
}

static inline void far_start_one(struct far_rig *f, unsigned w, const char *const *sets)
{
    struct far_worker *x = &f->w[w];
    x->places = 100;
    x->ends = x->ends ? x->ends : rig_delivered;
    x->open = x->held_count = 0;
    x->rig.script = NULL;
    x->rig.group = &f->group;
    x->rig.worker = w;
    x->rig.on_turn = far_on_turn;
    rig_start(&x->rig, sets);
    f->group.boxes[w] = &x->rig.box;
}

static inline void far_start(struct far_rig *f, const char *const *sets)
{
    memset(f, 0, sizeof(*f));
    queue_group_init(&f->group, FAR_WORKERS, 1);
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        rig_init(&f->w[w].rig);
        far_start_one(f, w, sets);
    }
}

static inline void far_turn(struct far_rig *f)
{
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        rig_turn(&f->w[w].rig);
    }
}

static inline void far_turns(struct far_rig *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        far_turn(f);
    }
}

#define FAR_UNTIL(f, cond)                                                                         \
    for (uint64_t far_end_ms = io_now((f)->w[0].rig.io)->mono_ms + 20000; !(cond); far_turn(f))    \
    ck_assert_msg(io_now((f)->w[0].rig.io)->mono_ms < far_end_ms, "still not: %s", #cond)

static inline uint64_t far_sum(struct far_rig *f, size_t counter)
{
    uint64_t sum = 0;
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        sum += *(const uint64_t *)((const char *)&f->w[w].rig.queue.counters + counter);
    }
    return sum;
}

#define FAR_SUM(f, field) far_sum(f, offsetof(struct queue_counters, field))

/* Nobody has anything of anybody. */
static inline bool far_is_quiet(struct far_rig *f)
{
    bool quiet = true;
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        const struct queue *q = far_queue(f, w);
        quiet = quiet && q->away == 0 && q->guests == 0 && q->counters.queued == 0 &&
                q->messages.used == 0 && q->readers.used == 0 && f->w[w].held_count == 0;
    }
    return quiet;
}

/* Every right is counted once at the owner, once at who has it. */
static inline void far_check_rights(struct far_rig *f)
{
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        struct queue_site *s = far_site_of(&f->w[w]);
        const struct queue_sched *d = s ? s->sched : NULL;
        for (unsigned x = 0; d && x < FAR_WORKERS; x++) {
            struct queue_site *there = far_site_of(&f->w[x]);
            ck_assert_uint_eq(d->lanes[x].granted, there ? there->granted : 0);
            ck_assert_uint_eq(d->lanes[x].assigned, 0);
        }
    }
}

/* Connections end as they do in relay_stop; true: this worker needs no more turns. */
static inline bool far_stop_one(struct far_worker *w)
{
    struct queue_site *s = far_site_of(w);
    queue_leave(&w->rig.queue);
    while (w->held_count) {
        far_end(w);
    }
    while (w->open) {
        far_close(w, s);
    }
    return queue_stop(&w->rig.queue);
}

/* Behind rig_stop of all: what nobody waits for. */
static inline void far_drop_mail(struct far_rig *f)
{
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        struct mail *mail = mailbox_take(&f->w[w].rig.box);
        while (mail) {
            struct mail *next = mail->next;
            queue_far_drop(mail);
            mail = next;
        }
    }
    queue_group_deinit(&f->group);
}

static inline void far_stop(struct far_rig *f, bool remove)
{
    bool done[FAR_WORKERS] = {false};
    uint64_t end_ms = io_now(f->w[0].rig.io)->mono_ms + 20000;
    for (unsigned left = FAR_WORKERS; left; far_turn(f)) {
        ck_assert_msg(io_now(f->w[0].rig.io)->mono_ms < end_ms, "%u workers do not end", left);
        for (unsigned w = 0; w < FAR_WORKERS; w++) {
            if (!done[w] && far_stop_one(&f->w[w])) {
                done[w] = true;
                left--;
            }
        }
    }
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        rig_stop(&f->w[w].rig);
    }
    far_drop_mail(f);
    for (unsigned w = 0; remove && w < FAR_WORKERS; w++) {
        rig_remove(&f->w[w].rig);
    }
}

#endif
