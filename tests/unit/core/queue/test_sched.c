/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What an owner decides: the test is three other workers, whose boxes it reads and for whom it answers.
 */
#include "core/queue/sched.h"
#include "core/app/recovered.h"
#include "core/queue/far.h"
#include "tests/unit/core/queue/rig_mail.h"

#include <stdatomic.h>

/* DEPTH: parts for one connection that works, by chunking_window's default. */
enum { WORKERS = 4, HELD_MAX = 64, DEPTH = 8 };

static struct rig rig;
static struct queue_group group;
static struct mailbox boxes[WORKERS];
static struct queue others[WORKERS]; /* homes of guests: only `worker` is looked at */

/* Parts that a worker was given and has not ended. */
static struct held {
    struct queue_part *parts[HELD_MAX];
    unsigned count, grants;
} held[WORKERS];

static const struct outcome refused = {.kind = OUTCOME_TEMPORARY,
                                       .scope = OUTCOME_CONNECTION,
                                       .stage = OUTCOME_STAGE_CONNECT,
                                       .enhanced = {4, 4, 1},
                                       .text = SLICE_INIT("connection refused")};

static void setup(const char *connections)
{
    const char *sets[] = {connections, NULL};
    memset(held, 0, sizeof(held));
    queue_group_init(&group, WORKERS, 1);
    rig_init(&rig);
    rig.group = &group;
    rig.script = NULL;
    rig_start(&rig, sets);
    for (unsigned w = 0; w < WORKERS; w++) {
        mailbox_init(&boxes[w], io_wake_fd(rig.io));
        group.boxes[w] = w ? &boxes[w] : &rig.box;
        others[w].worker = w;
    }
}

static struct queue_sched *sched(void)
{
    size_t bucket = 0;
    struct map_node *node = map_next(&rig.queue.sites, &bucket, NULL);
    ck_assert_ptr_nonnull(node);
    return container_of(node, struct queue_site, by_key)->sched;
}

/* Messages of this worker, in the order of its site. */
static void submit(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        rig_submit_one(&rig, "a@s.test", "ok@one.test");
    }
    rig_turn(&rig);
    rig_turn(&rig);
}

static void read_boxes(void)
{
    for (unsigned w = 1; w < WORKERS; w++) {
        struct mail *mail = mailbox_take(&boxes[w]);
        while (mail) {
            struct mail *next = mail->next;
            ck_assert_uint_eq(mail->type, QUEUE_MAIL_ASSIGN);
            struct queue_part *p = container_of(mail, struct queue_part, mail);
            ck_assert_uint_eq(p->owner, 0);
            ck_assert_uint_eq(p->executor, w);
            route_plan_put(&p->plan);
            held[w].parts[held[w].count++] = p;
            held[w].grants += p->grant;
            mail = next;
        }
    }
}

/* One round of decisions; then what the others have is in `held`. */
static void run(bool local)
{
    queue_sched_run(&rig.queue, local);
    read_boxes();
}

static unsigned given(void)
{
    return held[1].count + held[2].count + held[3].count;
}

static void credit(unsigned worker, struct queue_credit c)
{
    queue_sched_credit(sched(), worker, &c);
}

/* The worker's connections are up. */
static void greeted(unsigned worker)
{
    credit(worker, (struct queue_credit){.working = (int32_t)held[worker].grants});
}

/* The oldest part of that worker comes home: delivered, or as it is for another try. */
static void end_one(unsigned worker, bool back)
{
    struct held *h = &held[worker];
    ck_assert_uint_gt(h->count, 0);
    struct queue_part *p = h->parts[0];
    memmove(h->parts, h->parts + 1, --h->count * sizeof(h->parts[0]));
    if (back) {
        p->there = sched()->site;
        p->front = true;
        p->mail.type = QUEUE_MAIL_RETURN;
        ck_assert(queue_far_on_mail(&rig.queue, &p->mail));
        return;
    }
    rig.queue.away--; /* as reading its RESULT does */
    credit(worker, (struct queue_credit){.done = 1, .served = true});
    struct outcome o = rig_delivered(&rig, p, p->rcpts[0]);
    struct queue_part_end end = {.outcomes = &o, .duration_ms = 1};
    queue_part_done(&rig.queue, p, &end);
}

static void end_all(unsigned worker)
{
    while (held[worker].count) {
        end_one(worker, false);
    }
    int32_t working = (int32_t)sched()->lanes[worker].working;
    credit(worker,
           (struct queue_credit){.granted = sched()->lanes[worker].granted, .working = -working});
    held[worker].grants = 0;
}

/* The rest goes over connections of this worker. */
static void teardown(void)
{
    for (unsigned w = 1; w < WORKERS; w++) {
        end_all(w);
    }
    rig.script = rig_delivered;
    rig_settle(&rig);
    atomic_store(&group.leaving, WORKERS - 1);
    rig_stop(&rig);
    rig_remove(&rig);
    read_boxes();
    queue_group_deinit(&group);
}

static void assert_counts(void)
{
    const struct queue_sched *d = sched();
    uint32_t granted = 0, working = 0, assigned = 0;
    for (unsigned w = 0; w < WORKERS; w++) {
        granted += d->lanes[w].granted;
        working += d->lanes[w].working;
        assigned += d->lanes[w].assigned;
        ck_assert_uint_eq(w ? held[w].count : 0, d->lanes[w].assigned);
    }
    ck_assert_uint_eq(granted, d->granted);
    ck_assert_uint_eq(working, d->working);
    ck_assert_uint_eq(assigned, d->assigned);
}

/* ---- connections ---- */

/* The limit holds over all; nobody has them all. */
START_TEST(rights_are_shared)
{
    static const struct {
        const char *limit;
        unsigned total, most;
    } rows[] = {{"delivery.connections_per_site=1", 1, 1},
                {"delivery.connections_per_site=4", 4, 1},
                {"delivery.connections_per_site=5", 5, 2},
                {"delivery.connections_per_site=20", 20, 5}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        setup(rows[i].limit);
        submit(1);
        unsigned total = 0;
        for (unsigned w = 0; w < WORKERS; w++) {
            unsigned mine = 0;
            while (queue_sched_grant(sched(), w)) {
                mine++;
            }
            ck_assert_uint_le(mine, rows[i].most);
            total += mine;
        }
        ck_assert_uint_eq(total, rows[i].total);
        credit(0, (struct queue_credit){.granted = sched()->lanes[0].granted});
        teardown();
    }
}
END_TEST

/* Nothing is given to stand behind connections that do not move; to a free one it is. */
START_TEST(a_stuck_worker_gets_nothing_ahead)
{
    setup("delivery.connections_per_site=4");
    submit(40);
    run(true);
    uint32_t had = held[1].count;
    ck_assert_uint_gt(had, 0);
    credit(1, (struct queue_credit){.working = 1});
    credit(1, (struct queue_credit){.stuck = true});
    while (held[1].count > 1) {
        end_one(1, false);
    }
    run(true);
    ck_assert_uint_eq(held[1].count, 1);
    credit(1, (struct queue_credit){.sent = 1});
    run(true);
    ck_assert_uint_gt(held[1].count, 1);
    assert_counts();
    teardown();
}
END_TEST

/* What a worker without places does not take is for the others, and it is asked again. */
START_TEST(a_full_worker_is_left_out_for_a_while)
{
    setup("delivery.connections_per_site=8");
    submit(16);
    struct queue_sched *d = sched();
    run(true);
    ck_assert_uint_eq(held[1].count, 2);
    end_one(1, true);
    end_one(1, true);
    credit(1, (struct queue_credit){.granted = 2, .full = true});
    held[1].grants = 0;
    ck_assert(timer_armed(&d->retry));
    ck_assert(!queue_sched_grant(d, 1));
    run(true);
    ck_assert_uint_eq(held[1].count, 0);
    ck_assert_uint_eq(held[2].count + held[3].count, 6); /* a third each: eight by three */
    ck_assert(list_empty(&rig.queue.scheds));            /* nothing else would look again */
    RIG_UNTIL(&rig, !timer_armed(&d->retry));
    run(true);
    ck_assert_uint_eq(held[1].count, 2);
    assert_counts();
    teardown();
}
END_TEST

/* ---- who gets what ---- */

/* With one client, that is at this worker: its own connections come first, then all others have some. */
START_TEST(others_get_what_the_owner_cannot_send)
{
    setup("delivery.connections_per_site=4");
    submit(20);
    run(false);
    ck_assert_uint_eq(given(), 0); /* the pool is asked first */
    run(true);
    for (unsigned w = 1; w < WORKERS; w++) {
        ck_assert_uint_eq(held[w].count, 1); /* one for a connection that is being opened */
        ck_assert_uint_eq(held[w].grants, 1);
    }
    ck_assert_uint_eq(sched()->granted, 3);
    greeted(2);
    run(true);
    ck_assert_uint_eq(held[2].count, DEPTH);
    ck_assert_uint_eq(held[1].count + held[3].count, 2);
    end_one(2, false);
    run(true);
    ck_assert_uint_eq(held[2].count, DEPTH);
    assert_counts();
    teardown();
}
END_TEST

/* Nobody waits behind another as long as a connection is free or may be opened. */
START_TEST(free_connections_come_before_places_behind_others)
{
    setup("delivery.connections_per_site=8");
    submit(1);
    run(true);
    ck_assert_uint_eq(held[1].count, 1);
    greeted(1);
    submit(1);
    run(true);
    ck_assert_uint_eq(held[1].count, 2); /* a second connection … */
    ck_assert_uint_eq(held[1].grants, 2);
    end_one(1, false);
    submit(1);
    run(true);
    ck_assert_uint_eq(held[1].grants, 2); /* … which is used before a third is opened */
    ck_assert_uint_eq(held[1].count, 2);
    assert_counts();
    teardown();
}
END_TEST

/* A part whose home is another worker goes there first, before this worker's pool is asked. */
START_TEST(parts_go_home_first)
{
    setup("delivery.connections_per_site=4");
    submit(2);
    struct queue_part *p = queue_sched_take(sched());
    struct queue *real = p->message->queue;
    p->message->queue = &others[3];
    queue_sched_push(sched(), p, true);
    rig.queue.guests = 1;
    run(false);
    ck_assert_uint_eq(rig.queue.guests, 0);
    ck_assert_uint_eq(held[3].count, 1);
    ck_assert_ptr_eq(held[3].parts[0], p);
    ck_assert_uint_eq(given(), 1); /* this worker's own waits for the pool */
    p->message->queue = real;
    rig.queue.away++;
    teardown();
}
END_TEST

/* What comes back goes before the others, in its old order. */
START_TEST(what_comes_back_is_next)
{
    setup("delivery.connections_per_site=1");
    submit(6);
    sched()->lanes[2].full_until_ms = sched()->lanes[3].full_until_ms = UINT64_MAX;
    run(true);
    ck_assert_uint_eq(held[1].count, 1);
    greeted(1);
    run(true);
    ck_assert_uint_eq(held[1].count, 6);
    struct queue_part *first[6];
    memcpy(first, held[1].parts, sizeof(first));
    for (unsigned i = 6; i > 0; i--) { /* newest first: site_lane.c */
        held[1].parts[0] = first[i - 1];
        held[1].count = 1;
        end_one(1, true);
    }
    credit(1, (struct queue_credit){.granted = 1, .working = -1});
    for (unsigned i = 0; i < 6; i++) {
        struct queue_part *p = queue_sched_take(sched());
        ck_assert_ptr_eq(p, first[i]);
        queue_part_release(&rig.queue, p);
    }
    held[1].grants = 0;
    teardown();
}
END_TEST

/* ---- failures ---- */

/* Once: one more try after a pause, over one connection. Twice: everything is put off. */
START_TEST(a_site_that_cannot_be_reached)
{
    setup("delivery.connections_per_site=8");
    submit(5);
    struct queue_sched *d = sched();
    run(true);
    ck_assert_uint_ge(given(), 3);
    unsigned open = d->granted;
    for (unsigned w = 1; w < WORKERS; w++) {
        while (held[w].count) {
            end_one(w, true);
        }
        credit(w, (struct queue_credit){.granted = d->lanes[w].granted});
        held[w].grants = 0;
        queue_sched_failed(d, &refused, false); /* they were opened together: one failure */
    }
    ck_assert_uint_gt(open, 1);
    ck_assert_uint_eq(d->failures, 1);
    ck_assert(timer_armed(&d->pause));
    run(true);
    ck_assert_uint_eq(given(), 0);
    RIG_UNTIL(&rig, !timer_armed(&d->pause));
    run(true);
    ck_assert_uint_eq(d->granted, 1);
    ck_assert_uint_eq(given(), 1);
    ck_assert_uint_eq(rig.queue.counters.deferrals, 0);
    unsigned who = held[1].count ? 1 : held[2].count ? 2 : 3;
    end_one(who, true);
    credit(who, (struct queue_credit){.granted = 1});
    held[who].grants = 0;
    queue_sched_failed(d, &refused, false);
    ck_assert_uint_eq(rig.queue.counters.deferrals, 5);
    ck_assert_uint_eq(d->waiting.count, 0);
    RIG_UNTIL(&rig, d->down_until_ms < io_now(rig.io)->mono_ms); /* it recovers by itself */
    teardown();
}
END_TEST

/* Others work: the peer has enough. A connection that was dropped says so only in the peer's own words. */
START_TEST(a_peer_that_has_enough)
{
    static const struct {
        bool dropped, remote;
        uint32_t limit;
    } rows[] = {{false, false, 2}, {true, true, 2}, {true, false, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        setup("delivery.connections_per_site=8");
        submit(6);
        struct queue_sched *d = sched();
        run(true);
        credit(1, (struct queue_credit){.working = 1});
        credit(2, (struct queue_credit){.working = 1});
        struct outcome o = refused;
        o.remote = rows[i].remote;
        queue_sched_failed(d, &o, rows[i].dropped);
        ck_assert_uint_eq(d->limit, rows[i].limit);
        ck_assert_uint_eq(d->failures, 0);
        ck_assert(!timer_armed(&d->pause));
        ck_assert(!rows[i].limit || !queue_sched_grant(d, 0)); /* there are more already */
        if (rows[i].limit) {
            d->limit_until_ms = io_now(rig.io)->mono_ms; /* believed for a while only */
            ck_assert(queue_sched_grant(d, 0));
            credit(0, (struct queue_credit){.granted = 1});
        }
        teardown();
    }
}
END_TEST

/* A site that rests does not keep what comes, and what is under way elsewhere decides first. */
START_TEST(a_site_that_rests)
{
    setup("delivery.connections_per_site=8");
    submit(1);
    struct queue_sched *d = sched();
    d->down_until_ms = io_now(rig.io)->mono_ms + 60000;
    d->down = refused;
    run(false);
    ck_assert_uint_eq(rig.queue.counters.deferrals, 1);
    d->down_until_ms = 0;
    rig_run_ms(&rig, 100);
    run(true);
    ck_assert_uint_eq(given(), 1);
    unsigned who = held[1].count ? 1 : held[2].count ? 2 : 3;
    d->down_until_ms = io_now(rig.io)->mono_ms + 60000;
    submit(1);
    run(true);
    ck_assert_uint_eq(rig.queue.counters.deferrals, 1);
    end_one(who, false); /* served: the rest is over */
    ck_assert_uint_eq(d->down_until_ms, 0);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {rights_are_shared,
                            a_full_worker_is_left_out_for_a_while,
                            a_stuck_worker_gets_nothing_ahead,
                            others_get_what_the_owner_cannot_send,
                            free_connections_come_before_places_behind_others,
                            parts_go_home_first,
                            what_comes_back_is_next,
                            a_site_that_cannot_be_reached,
                            a_peer_that_has_enough,
                            a_site_that_rests};
    return testing_run("core/queue/sched", tests, ARRAY_COUNT(tests));
}
