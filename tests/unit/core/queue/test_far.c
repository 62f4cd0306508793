/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Parts between three queues: who sends them, what comes back, and that nothing is left anywhere at the end.
 */
#include "core/queue/far.h"
#include "core/app/recovered.h"
#include "tests/unit/core/queue/far_rig.h"

#include <stdatomic.h>

static struct far_rig far;
static const char *const six[] = {"delivery.connections_per_site=6", NULL};
static const char *const one[] = {"delivery.connections_per_site=1", NULL};

static void hold(bool on)
{
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        far.w[w].hold = on;
    }
}

static void submit(unsigned worker, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        rig_submit_one(&far.w[worker].rig, "a@s.test", "ok@one.test");
    }
}

/* Worker 0 owns the site from now on. */
static void make_owner(void)
{
    submit(0, 1);
    FAR_UNTIL(&far, far_is_quiet(&far));
    ck_assert_ptr_nonnull(far_site_of(&far.w[0])->sched);
}

static void end_all_held(void)
{
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        while (far.w[w].held_count) {
            far_end(&far.w[w]);
        }
    }
}

static unsigned held(void)
{
    return far.w[0].held_count + far.w[1].held_count + far.w[2].held_count;
}

/* ---- the way of a part ---- */

START_TEST(mail_of_one_worker_is_sent_by_all)
{
    far_start(&far, six);
    hold(true);
    submit(0, 30);
    FAR_UNTIL(&far, held() == 6);
    far_turns(&far, 5);
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        ck_assert_uint_eq(far.w[w].held_count, 2);
        ck_assert_uint_eq(far_queue(&far, w)->sending, 2);
    }
    ck_assert_uint_eq(far_queue(&far, 0)->away,
                      far_queue(&far, 1)->guests + far_queue(&far, 2)->guests);
    hold(false);
    end_all_held();
    FAR_UNTIL(&far, far_is_quiet(&far));
    ck_assert_uint_eq(FAR_SUM(&far, delivered), 30);
    ck_assert_uint_eq(far_queue(&far, 0)->counters.delivered, 30); /* its home counts it */
    ck_assert_uint_gt(far.w[1].of_others, 2);
    ck_assert_uint_gt(far.w[2].of_others, 2);
    far_turns(&far, 5);
    far_check_rights(&far);
    far_stop(&far, true);
}
END_TEST

/* Each worker's mail is offered to the owner and comes back for its own connection. */
START_TEST(mail_of_all_workers_goes_through_the_owner)
{
    far_start(&far, six);
    make_owner();
    for (unsigned round = 0; round < 10; round++) {
        submit(round % 3, 3);
    }
    FAR_UNTIL(&far, far_is_quiet(&far));
    ck_assert_uint_eq(FAR_SUM(&far, delivered), 31);
    ck_assert_uint_gt(far.w[1].ended - far.w[1].of_others, 3); /* its own, by its own connection */
    ck_assert_ptr_null(far_site_of(&far.w[1])->sched);
    far_stop(&far, true);
}
END_TEST

static struct outcome every_kind(struct rig *r, const struct queue_part *p, uint32_t rcpt)
{
    struct slice to = p->message->rcpts[rcpt].address;
    return slice_starts_nocase(to, SLICE("none")) && p->count > 3
               ? (struct outcome){.kind = OUTCOME_NONE}
               : rig_by_name(r, p, rcpt);
}

/* Texts are copied; what was not tried is tried at once; a bounce is the home's business. */
START_TEST(results_of_another_worker)
{
    const char *rcpts[] = {"ok@x.test", "temp@x.test", "perm@x.test", "none1@x.test",
                           "none2@x.test"};
    far_start(&far, one);
    far.w[0].places = 0; /* owner and home, but it cannot send */
    far.w[2].places = 0;
    far.w[1].ends = every_kind;
    rig_submit(&far.w[0].rig, &(struct rig_mail){"", rcpts, 5, 0, 0});
    FAR_UNTIL(&far, far_queue(&far, 0)->counters.delivered == 3);
    ck_assert_uint_eq(far_queue(&far, 0)->counters.bounced, 1);
    ck_assert_uint_ge(far_queue(&far, 0)->counters.deferrals, 1);
    far.w[1].ends = rig_delivered;
    FAR_UNTIL(&far, far_is_quiet(&far));
    ck_assert_uint_eq(far_queue(&far, 0)->counters.delivered, 4);
    ck_assert_uint_eq(far.w[1].ended, far.w[1].of_others);
    far_stop(&far, false);
    ck_assert_uint_eq(rig_log_lines(&far.w[0].rig, "\"to\":\"perm@x.test\"", "no such user here"),
                      1);
    ck_assert_uint_ge(rig_log_lines(&far.w[0].rig, "\"to\":\"temp@x.test\"", "192.0.2.1"), 2);
    ck_assert_uint_eq(rig_log_count(&far.w[1].rig, "x.test"), 0);
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        rig_remove(&far.w[w].rig);
    }
}
END_TEST

/* The kernel still reads the body when the answer comes: the home keeps it. */
START_TEST(content_that_the_kernel_has)
{
    far_start(&far, one);
    hold(true);
    far.w[0].places = far.w[2].places = 0;
    submit(0, 1);
    FAR_UNTIL(&far, far.w[1].held_count == 1);
    struct queue_message *m = far.w[1].held[0]->message;
    ck_assert_ptr_nonnull(m->body);
    far_end_pinned(&far.w[1], true);
    FAR_UNTIL(&far, far_queue(&far, 0)->counters.delivered == 1);
    far_turns(&far, 5);
    ck_assert_uint_eq(far_queue(&far, 0)->messages.used, 1);
    ck_assert_ptr_nonnull(m->body);
    ck_assert_uint_eq(m->readers, 1);
    ck_assert_uint_eq(far_queue(&far, 0)->away, 1);
    ck_assert(!queue_stop(far_queue(&far, 0)));
    queue_far_unpin(far_queue(&far, 1), m);
    FAR_UNTIL(&far, far_is_quiet(&far));
    far_stop(&far, true);
}
END_TEST

/* ---- content on the home's disk ---- */

static struct {
    unsigned pieces;
    size_t bytes;
    enum queue_read_status status;
    struct slice piece;
} got;

static void on_piece(void *ctx, struct handle owner, enum queue_read_status status,
                     struct slice piece)
{
    (void)ctx, (void)owner;
    ck_assert(status != QUEUE_READ_OK || rig_is_content(piece, got.bytes));
    got.pieces++;
    got.bytes += piece.len;
    got.status = status;
}

START_TEST(content_is_read_by_its_home)
{
    const char *rcpt = "ok@x.test";
    far_start(&far, one);
    hold(true);
    far.w[0].places = far.w[2].places = 0;
    rig_submit_big(&far.w[0].rig, &(struct rig_mail){"", &rcpt, 1, 0, 0}, 3, 5000);
    FAR_UNTIL(&far, far.w[1].held_count == 1);
    struct queue *q = far_queue(&far, 1);
    struct queue_message *m = far.w[1].held[0]->message;
    struct handle reader;
    memset(&got, 0, sizeof(got));
    ck_assert(queue_reader_open(q, m, on_piece, NULL, HANDLE_NONE, &reader));
    for (uint32_t i = 0; i < queue_message_pieces(m); i++) {
        queue_reader_read(q, reader, i);
        FAR_UNTIL(&far, got.pieces == i + 1);
        ck_assert_int_eq(got.status, QUEUE_READ_OK);
    }
    ck_assert_uint_eq(got.bytes, m->body_bytes);
    ck_assert_uint_eq(far_queue(&far, 0)->readers.used, 1);
    queue_reader_close(q, &reader);
    FAR_UNTIL(&far, far_queue(&far, 0)->readers.used == 0);
    /* Closed before its first read, and while a piece is under way. */
    ck_assert(queue_reader_open(q, m, on_piece, NULL, HANDLE_NONE, &reader));
    queue_reader_close(q, &reader);
    ck_assert_uint_eq(q->readers.used, 0);
    ck_assert(queue_reader_open(q, m, on_piece, NULL, HANDLE_NONE, &reader));
    queue_reader_read(q, reader, 1);
    queue_reader_close(q, &reader);
    far_end(&far.w[1]); /* the part goes home before the reader does */
    FAR_UNTIL(&far, far_is_quiet(&far));
    ck_assert_uint_eq(got.pieces, 4); /* nobody was called any more */
    far_stop(&far, true);
}
END_TEST

/* ---- parts without a connection ---- */

/* They were sent off before the owner knew that the last connection there had ended. They were kept for ever. */
START_TEST(parts_that_come_too_late_go_back)
{
    far_start(&far, one);
    far.w[0].places = far.w[2].places = 0;
    submit(0, 1);
    FAR_UNTIL(&far, far_is_quiet(&far));
    far_turns(&far, 3);
    struct queue_site *s = far_site_of(&far.w[1]);
    ck_assert_uint_eq(s->connections, 1);
    submit(0, 1);
    RIG_UNTIL(&far.w[0].rig, far_queue(&far, 0)->away == 1);
    far_close(&far.w[1], s);
    uint64_t began_ms = io_now(far.w[0].rig.io)->mono_ms;
    FAR_UNTIL(&far, far_is_quiet(&far));
    ck_assert_uint_eq(far_queue(&far, 0)->counters.delivered, 2);
    ck_assert_uint_eq(s->lane_count, 0);
    ck_assert_uint_lt(io_now(far.w[0].rig.io)->mono_ms - began_ms, QUEUE_LANE_PATIENCE_MS / 2);
    far_stop(&far, true);
}
END_TEST

/* Behind a connection whose peer takes its time: others send them. */
START_TEST(a_lane_that_does_not_move_goes_back)
{
    far_start(&far, six);
    hold(true);
    far.w[0].places = 0;
    far.w[1].places = 1;
    far.w[2].places = 0;
    submit(0, 5);
    struct queue_site *s;
    FAR_UNTIL(&far, far.w[1].held_count == 1 && (s = far_site_of(&far.w[1]))->lane_count >= 3);
    ck_assert(timer_armed(&s->patience));
    far.w[2].places = 2;
    far.w[2].hold = false;
    timer_start(&far.w[1].rig.timers, &s->patience, io_now(far.w[1].rig.io)->mono_ms + 1);
    FAR_UNTIL(&far, far_queue(&far, 0)->counters.delivered == 4);
    ck_assert_uint_eq(far.w[1].held_count, 1);
    ck_assert_uint_eq(far.w[2].of_others, 4);
    far_end(&far.w[1]);
    FAR_UNTIL(&far, far_is_quiet(&far));
    far_stop(&far, true);
}
END_TEST

/* One place in the whole engine, and it is not the owner's: asked again when it was full. */
START_TEST(a_place_that_gets_free_elsewhere)
{
    far_start(&far, six);
    far.w[0].places = far.w[1].places = far.w[2].places = 0;
    submit(0, 3);
    far_turns(&far, 20);
    ck_assert_uint_eq(FAR_SUM(&far, delivered), 0);
    far.w[2].places = 1; /* nothing of this reaches the owner */
    FAR_UNTIL(&far, far_is_quiet(&far));
    ck_assert_uint_eq(far.w[2].of_others, 3);
    far_stop(&far, true);
}
END_TEST

/* Without memory for the directory a worker is an owner of its own: what the other gives it goes back, and not
 * to and fro. */
START_TEST(two_owners)
{
    struct queue_group other;
    far_start(&far, six);
    make_owner();
    far_turns(&far, 3);
    struct queue_site *mine = far_site_of(&far.w[0]);
    queue_group_init(&other, FAR_WORKERS, 1);
    ck_assert_ptr_null(far_site_of(&far.w[1]));
    far_queue(&far, 1)->group = &other;
    struct queue_site *s = queue_site_get(far_queue(&far, 1), mine->key);
    far_queue(&far, 1)->group = &far.group;
    ck_assert_ptr_nonnull(s->sched);
    queue_group_leave(&other, s->key);
    s->joined = false;
    queue_group_deinit(&other);
    hold(true);
    submit(0, 8);
    submit(1, 2);
    far_turns(&far, 20);
    ck_assert_uint_eq(far.w[1].of_others, 0);
    ck_assert_uint_ge(mine->sched->lanes[1].full_until_ms, io_now(far.w[0].rig.io)->mono_ms);
    hold(false);
    end_all_held();
    FAR_UNTIL(&far, far_is_quiet(&far));
    ck_assert_uint_eq(FAR_SUM(&far, delivered), 11);
    far_stop(&far, true);
}
END_TEST

/* ---- reload ---- */

static void reload(unsigned worker, const char *host)
{
    struct rig *r = &far.w[worker].rig;
    struct conf *before = r->conf;
    r->smarthost = host;
    rig_load_conf(r, six);
    rig_set_conf(r);
    conf_free(before);
}

/* In every lane, on the way, in transactions: what was not begun goes to the new place. Workers hear of it one
 * after the other. */
START_TEST(a_reload_releases_what_was_not_begun)
{
    for (unsigned first = 0; first < FAR_WORKERS; first++) {
        far_start(&far, six);
        hold(true);
        submit(0, 10);
        submit(1, 10);
        FAR_UNTIL(&far, held() == 6);
        for (unsigned i = 0; i < FAR_WORKERS; i++) {
            reload((first + i) % FAR_WORKERS, "relay.host=[127.0.0.2]:2525");
            far_turns(&far, 2);
        }
        unsigned old = 0;
        for (unsigned w = 0; w < FAR_WORKERS; w++) {
            struct far_worker *x = &far.w[w];
            for (unsigned i = 0; i < x->held_count; i++) {
                old += slice_eq(x->held[i]->site->key, SLICE("0:127.0.0.1:2525")) ? 1 : 0;
            }
            /* The old connections end with their transactions. */
            while (x->held_count) {
                struct queue_site *s = x->held[0]->site;
                far_end(x);
                far_close(x, s);
            }
        }
        ck_assert_uint_eq(old, 6);
        hold(false);
        FAR_UNTIL(&far, far_is_quiet(&far));
        ck_assert_uint_eq(FAR_SUM(&far, delivered), 20);
        /* far_stop closes what is open at one site. */
        for (unsigned w = 0; w < FAR_WORKERS; w++) {
            size_t bucket = 0;
            struct map *sites = &far_queue(&far, w)->sites;
            for (struct map_node *n = map_next(sites, &bucket, NULL); n;
                 n = map_next(sites, &bucket, n)) {
                struct queue_site *s = container_of(n, struct queue_site, by_key);
                while (s->connections) {
                    far_close(&far.w[w], s);
                }
            }
        }
        far_stop(&far, true);
    }
}
END_TEST

/* A route of the new configuration replaces one of the old, also when it expires no later. */
START_TEST(a_stale_site_takes_the_new_plan)
{
    far_start(&far, six);
    hold(true);
    submit(0, 9);
    FAR_UNTIL(&far, far.w[1].held_count == 2);
    struct queue_site *s = far_site_of(&far.w[1]);
    struct route_plan *old = route_plan_ref(s->plan);
    old->expires_ms = UINT64_MAX;
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        reload(w, "relay.host=[127.0.0.1]:2525");
    }
    ck_assert(s->stale);
    hold(false);
    end_all_held();
    FAR_UNTIL(&far, far_is_quiet(&far));
    hold(true);
    submit(0, 9);
    FAR_UNTIL(&far, far.w[1].held_count == 2);
    ck_assert(!s->stale && s->plan != old);
    hold(false);
    end_all_held();
    FAR_UNTIL(&far, far_is_quiet(&far));
    route_plan_put(&old);
    far_stop(&far, true);
}
END_TEST

/* ---- the end ---- */

/* In every order, with parts in every state; after the next start each comes once. */
START_TEST(leaving_in_every_order)
{
    static const unsigned orders[][FAR_WORKERS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                                   {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
        for (unsigned turns = 0; turns < 3; turns++) {
            far_start(&far, six);
            hold(true);
            submit(0, 10);
            submit(1, 10);
            submit(2, 10);
            FAR_UNTIL(&far, held() == 6);
            submit(1, 1); /* offered, perhaps not read yet */
            for (unsigned w = 0; w < FAR_WORKERS; w++) {
                queue_leave(far_queue(&far, orders[i][w]));
                for (unsigned k = 0; k < turns; k++) {
                    far_turn(&far);
                }
            }
            far_stop(&far, false);
            uint64_t before = FAR_SUM(&far, delivered);
            ck_assert_uint_ge(before, 6);
            queue_group_init(&far.group, FAR_WORKERS, 1);
            hold(false);
            for (unsigned w = 0; w < FAR_WORKERS; w++) {
                far_start_one(&far, w, six);
            }
            FAR_UNTIL(&far, far_is_quiet(&far));
            ck_assert_uint_eq(before + FAR_SUM(&far, delivered), 31);
            far_stop(&far, true);
        }
    }
}
END_TEST

/* All have left, and something is in the box that was posted before: its home waits for it. */
START_TEST(the_box_is_read_after_the_last_has_left)
{
    far_start(&far, six);
    make_owner();
    far_turns(&far, 3);
    struct rig *home = &far.w[1].rig;
    submit(1, 1);
    RIG_UNTIL(home, home->queue.away == 1); /* an OFFER in worker 0's box */
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        queue_leave(far_queue(&far, w));
    }
    ck_assert(!queue_stop(far_queue(&far, 0)));
    rig_turn(&far.w[0].rig);
    RIG_UNTIL(home, home->queue.away == 0); /* it came back */
    far_stop(&far, true);
}
END_TEST

/* A connection loses its part while the worker leaves: the part goes home, not into a lane. */
START_TEST(nothing_returns_to_a_lane_of_one_who_leaves)
{
    far_start(&far, six);
    hold(true);
    submit(0, 9);
    FAR_UNTIL(&far, far.w[1].held_count == 2);
    queue_leave(far_queue(&far, 1));
    struct far_worker *w = &far.w[1];
    struct queue_part *p = w->held[--w->held_count];
    struct queue_site *s = p->site;
    queue_site_return_last(far_queue(&far, 1), p);
    ck_assert_uint_eq(s->lane_count, 0);
    hold(false);
    far_stop(&far, true);
}
END_TEST

/* ---- threads ---- */

enum { THREAD_MESSAGES = 150 };

static struct outcome sometimes(struct rig *r, const struct queue_part *p, uint32_t rcpt)
{
    return rng_below(&r->rng, 3) ? rig_delivered(r, p, rcpt) : rig_temporary(r, p, rcpt);
}

static atomic_uint delivered;
static pthread_barrier_t all; /* a ring belongs to the thread that made it */

static void *work(void *arg)
{
    struct far_worker *w = arg;
    far_start_one(&far, (unsigned)(w - far.w), six);
    w->ends = sometimes;
    pthread_barrier_wait(&all);
    for (unsigned i = 0; i < THREAD_MESSAGES; i++) {
        uint64_t before = w->rig.queue.counters.delivered;
        rig_submit_one(&w->rig, "a@s.test", i % 7 ? "ok@one.test" : "temp@one.test");
        atomic_fetch_add(&delivered, (unsigned)(w->rig.queue.counters.delivered - before));
    }
    while (atomic_load(&delivered) < FAR_WORKERS * THREAD_MESSAGES) {
        uint64_t before = w->rig.queue.counters.delivered;
        rig_turn(&w->rig);
        atomic_fetch_add(&delivered, (unsigned)(w->rig.queue.counters.delivered - before));
    }
    while (!far_stop_one(w)) {
        rig_turn(&w->rig);
    }
    uint64_t mine = w->rig.queue.counters.delivered;
    rig_stop(&w->rig);
    atomic_fetch_sub(&delivered, (unsigned)mine);
    return NULL;
}

START_TEST(with_threads)
{
    pthread_t threads[FAR_WORKERS];
    memset(&far, 0, sizeof(far));
    queue_group_init(&far.group, FAR_WORKERS, 1);
    pthread_barrier_init(&all, NULL, FAR_WORKERS);
    atomic_store(&delivered, 0);
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        rig_init(&far.w[w].rig);
        ck_assert_int_eq(pthread_create(&threads[w], NULL, work, &far.w[w]), 0);
    }
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        pthread_join(threads[w], NULL);
    }
    ck_assert_uint_eq(atomic_load(&delivered), 0); /* each was counted once */
    far_drop_mail(&far);
    for (unsigned w = 0; w < FAR_WORKERS; w++) {
        rig_remove(&far.w[w].rig);
    }
    pthread_barrier_destroy(&all);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {mail_of_one_worker_is_sent_by_all,
                            mail_of_all_workers_goes_through_the_owner,
                            results_of_another_worker,
                            content_that_the_kernel_has,
                            content_is_read_by_its_home,
                            parts_that_come_too_late_go_back,
                            a_lane_that_does_not_move_goes_back,
                            a_place_that_gets_free_elsewhere,
                            two_owners,
                            a_reload_releases_what_was_not_begun,
                            a_stale_site_takes_the_new_plan,
                            leaving_in_every_order,
                            the_box_is_read_after_the_last_has_left,
                            nothing_returns_to_a_lane_of_one_who_leaves,
                            with_threads};
    return testing_run("core/queue/far", tests, ARRAY_COUNT(tests));
}
