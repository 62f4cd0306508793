/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Messages that only wait: what they cost, that nothing of them is lost, and who finds them.
 */
#include "core/app/recovered.h"
#include "core/queue/park_bytes.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/crash.h"

#include <malloc.h>

static struct rig rig;

static void setup(void)
{
    rig_init(&rig);
    rig.schedule[0] = 60 * 60 * 1000; /* who waits, waits */
    rig.script = rig_by_name;
    rig_start(&rig, NULL);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
}

static void wait_parked(uint32_t messages)
{
    RIG_UNTIL(&rig, rig.queue.park.lot.used == messages && rig.queue.messages.used == 0);
}

/* The aim: at most 250 bytes for a message to one recipient that waits for its retry, its share of the
 * tables and what malloc rounds up to included. */
START_TEST(a_waiting_message_takes_at_most_250_bytes)
{
    enum { MESSAGES = 300 };
    setup();
    for (unsigned i = 0; i < MESSAGES; i++) {
        char from[64], to[64];
        snprintf(from, sizeof(from), "bounce-%07u@list.example.org", i);
        snprintf(to, sizeof(to), "temp%07u@host.example.com", i);
        rig_submit_one(&rig, from, to);
        rig_forget_parts(&rig);
    }
    wait_parked(MESSAGES);
    const struct lot *l = &rig.queue.park.lot;
    size_t bytes = l->capacity * sizeof(struct lot_item *) + l->index_size * sizeof(*l->index);
    ck_assert_uint_le(lot_memory(l), MESSAGES * 200);
    for (uint32_t slot = 0; slot < l->made; slot++) {
        struct lot_item *item = lot_at(l, slot);
        bytes += malloc_usable_size(item);
        ck_assert_uint_le(offsetof(struct lot_item, data) + item->data_bytes, 160);
    }
    ck_assert_uint_le(bytes, MESSAGES * 250);
    ck_assert_uint_eq(rig.queue.park.texts.texts.count, 1); /* all were told the same */
    ck_assert_uint_eq(rig.queue.memory_bytes, 0);
    teardown();
}
END_TEST

static void fill_rcpt(struct queue_rcpt *r, unsigned i)
{
    r->attempts = (uint16_t)(1 + i);
    r->due_ms = 1700000000000 + i * 1000;
    r->delay_told = i % 2 == 0;
    r->target = (uint8_t)(i % 3 * 127);
    r->last_code = (uint16_t)(i % 3 ? 421 + i : 0);
    r->last_enhanced = (struct enhanced){i % 3 ? 4 : 0, (uint16_t)(i % 3 ? 999 : 0), 0};
    r->last_text = i % 3 ? strdup(i % 3 == 1 ? "later" : "four three\ntwo") : NULL;
    if (i % 5 == 4) {
        r->result = SPOOL_RESULT_DELIVERED;
        r->state = QUEUE_RCPT_ENDED;
    }
}

static void same_rcpt(const struct queue_rcpt *a, const struct queue_rcpt *b)
{
    ck_assert(slice_eq(a->address, b->address) && slice_eq(a->orcpt, b->orcpt));
    ck_assert_uint_eq(a->due_ms, b->due_ms);
    ck_assert_uint_eq(a->attempts, b->attempts);
    ck_assert_uint_eq(a->notify, b->notify);
    ck_assert_uint_eq(a->state, b->state);
    ck_assert_uint_eq(a->result, b->result);
    ck_assert_uint_eq(a->delay_told, b->delay_told);
    ck_assert_uint_eq(a->target, b->target);
    ck_assert_uint_eq(a->last_code, b->last_code);
    ck_assert_mem_eq(&a->last_enhanced, &b->last_enhanced, sizeof(a->last_enhanced));
    ck_assert_int_eq(a->last_text == NULL, b->last_text == NULL);
    ck_assert(!a->last_text || strcmp(a->last_text, b->last_text) == 0);
}

static void same_message(const struct queue_message *a, const struct queue_message *b)
{
    ck_assert_uint_eq(a->id, b->id);
    ck_assert_uint_eq(a->arrival_us, b->arrival_us);
    ck_assert_uint_eq(a->body_bytes, b->body_bytes);
    ck_assert_uint_eq(a->inline_bytes, b->inline_bytes);
    ck_assert_uint_eq(a->header_bytes, b->header_bytes);
    ck_assert(slice_eq(a->sender, b->sender) && slice_eq(a->envid, b->envid));
    ck_assert_mem_eq(&a->ref, &b->ref, sizeof(a->ref));
    ck_assert_ptr_eq(a->label, b->label);
    ck_assert_uint_eq(a->not_before_s, b->not_before_s);
    ck_assert_uint_eq(a->expire_s, b->expire_s);
    ck_assert_uint_eq(a->notify_s, b->notify_s);
    ck_assert_uint_eq(a->flags, b->flags);
    ck_assert_uint_eq(a->ret, b->ret);
    ck_assert_uint_eq(a->priority, b->priority);
    ck_assert_uint_eq(a->by, b->by);
    ck_assert_uint_eq(a->open_count, b->open_count);
    ck_assert_uint_eq(a->rcpt_count, b->rcpt_count);
    for (uint32_t i = 0; i < a->rcpt_count; i++) {
        same_rcpt(&a->rcpts[i], &b->rcpts[i]);
    }
}

static struct queue_message *full_message(uint32_t rcpts, bool attributes)
{
    struct attributes a = {.priority = CONF_PRIORITY_BULK,
                           .by = ATTRIBUTES_BY_NOTIFY | ATTRIBUTES_BY_TRACE,
                           .not_before_s = 1,
                           .expire_s = 4000000000,
                           .notify_s = 77,
                           .tenant = SLICE("shop"),
                           .campaign = SLICE("spring")};
    struct queue_message_init init = {.id = UINT64_MAX - 1,
                                      .arrival_us = 1700000000123456,
                                      .sender = attributes ? SLICE("a@s.test") : SLICE(""),
                                      .envid = attributes ? SLICE("env+2B1") : SLICE(""),
                                      .ret = 2,
                                      .flags = QUEUE_MSG_8BIT | QUEUE_MSG_DSN,
                                      .rcpt_count = rcpts,
                                      .rcpt_bytes = rcpts * 40,
                                      .attributes = attributes ? &a : NULL};
    struct queue_message *m = queue_message_new(&rig.queue, &init);
    ck_assert_ptr_nonnull(m);
    for (uint32_t i = 0; i < rcpts; i++) {
        char to[32];
        snprintf(to, sizeof(to), "rcpt%u@one.test", i);
        queue_message_add_rcpt(m, slice_str(to), i % 2 ? SLICE("rfc822;x@y") : SLICE(""),
                               (uint8_t)(i % 8));
        fill_rcpt(&m->rcpts[i], i);
        m->open_count -= m->rcpts[i].state == QUEUE_RCPT_ENDED ? 1 : 0;
    }
    m->queued = true;
    m->body_bytes = m->inline_bytes = 98765;
    m->header_bytes = 432;
    m->ref = (struct spool_ref){9, 4242, 100000};
    return m;
}

/* Every field, with and without what is rare: to bytes, into a copy and back. */
START_TEST(nothing_of_it_is_lost)
{
    static const uint32_t counts[] = {1, 2, 130};
    struct queue_park *p = &rig.queue.park;
    setup();
    for (size_t i = 0; i < 2 * ARRAY_COUNT(counts); i++) {
        struct queue_message *m = full_message(counts[i / 2], i % 2);
        ck_assert(buf_reserve(&p->scratch, park_bound(m)));
        park_message(p, m);
        ck_assert(!p->scratch.overflow);
        ck_assert_uint_le(p->scratch.len, park_bound(m));
        struct lot_item *item = lot_item_new(p->scratch.len);
        memcpy(item->data, p->scratch.ptr, p->scratch.len);
        item->id = m->id;
        item->segment = m->ref.segment;
        item->held_bytes = m->ref.bytes;
        for (unsigned turn = 0; turn < 2; turn++) { /* a copy first, then all of it */
            struct queue_message_init init;
            struct slice from = park_init(item, &init);
            struct queue_message copy = {.queue = &rig.queue};
            ck_assert(queue_message_build(&copy, &init));
            park_take_message(p, item, from, &copy, turn == 0);
            same_message(m, &copy);
            queue_message_unbuild(&copy);
        }
        ck_assert_uint_eq(p->deferred, 0);
        ck_assert_uint_eq(p->texts.texts.count, 0);
        park_message(p, m);
        park_give_up(p, m);
        ck_assert_uint_eq(p->deferred, 0);
        ck_assert_uint_eq(p->texts.texts.count, 0);
        free(item);
        queue_message_free(&rig.queue, m);
    }
    teardown();
}
END_TEST

/* By id, in a walk, in the counters; again parked when nobody needs it. */
START_TEST(it_is_found)
{
    setup();
    const char *rcpts[] = {"temp1@one.test", "temp2@one.test"};
    uint64_t id = rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, 2, 0, 0});
    wait_parked(1);
    ck_assert_uint_eq(queue_report_deferred(&rig.queue), 2);
    struct queue_walk walk = {0};
    struct queue_message *seen = queue_walk_next(&rig.queue, &walk);
    ck_assert_ptr_nonnull(seen);
    ck_assert_uint_eq(seen->id, id);
    ck_assert_str_eq(seen->rcpts[1].last_text, "come back later");
    ck_assert_ptr_null(queue_walk_next(&rig.queue, &walk));
    ck_assert_ptr_null(queue_find(&rig.queue, id + 1));
    struct queue_message *m = queue_find(&rig.queue, id);
    ck_assert_ptr_nonnull(m);
    ck_assert_ptr_eq(queue_find(&rig.queue, id), m);
    ck_assert(timer_armed(&m->timer));
    ck_assert_uint_eq(queue_report_deferred(&rig.queue), 2);
    ck_assert_uint_eq(rig_messages(&rig), 1);
    queue_settle(&rig.queue, m);
    wait_parked(1);
    /* Its time is brought forward: it goes out as if it had never been away. */
    m = queue_find(&rig.queue, id);
    m->rcpts[0].due_ms = m->rcpts[1].due_ms = 1;
    rig.script = rig_delivered;
    queue_schedule(&rig.queue, m);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.delivered, 2);
    ck_assert_uint_eq(queue_report_deferred(&rig.queue), 0);
    teardown();
}
END_TEST

/* However many recipients wait, their content is on the disk once, and not in memory. */
START_TEST(one_body_for_all_recipients)
{
    enum { RCPTS = 100, BODY = 60000 };
    static char names[RCPTS][32];
    const char *rcpts[RCPTS];
    struct spool_stats stats;
    setup();
    for (unsigned i = 0; i < RCPTS; i++) {
        snprintf(names[i], sizeof(names[i]), "temp%u@host%u.test", i, i % 10);
        rcpts[i] = names[i];
    }
    rig_submit_big(&rig, &(struct rig_mail){"a@s.test", rcpts, RCPTS, 0, 0}, 0, BODY);
    wait_parked(1);
    spool_stats(rig.spool, &stats);
    ck_assert_uint_ge(stats.bytes_live, BODY);
    ck_assert_uint_le(stats.bytes_live, BODY + RCPTS * 64 + 512);
    ck_assert_uint_le(lot_memory(&rig.queue.park.lot), RCPTS * 64 + 1024);
    ck_assert_uint_eq(rig.queue.memory_bytes, 0);
    teardown();
}
END_TEST

/* So much mail that comes and goes that several segments are finished. */
static void pass_through(unsigned messages)
{
    const char *rcpt = "ok@one.test";
    for (unsigned i = 0; i < messages; i++) {
        rig_submit_big(&rig, &(struct rig_mail){"a@s.test", &rcpt, 1, 0, 0}, 0, 100000);
        rig_forget_parts(&rig);
    }
}

/* A parked message that keeps an old segment is found and moved, and parked at its new place. */
START_TEST(a_parked_message_moves)
{
    struct spool_stats stats;
    setup();
    const char *rcpt = "temp@one.test";
    uint64_t id = rig_submit_big(&rig, &(struct rig_mail){"a@s.test", &rcpt, 1, 0, 0}, 0, 500);
    wait_parked(1);
    uint64_t segment = lot_find(&rig.queue.park.lot, id)->segment;
    pass_through(40);
    RIG_UNTIL(&rig, lot_find(&rig.queue.park.lot, id) &&
                        lot_find(&rig.queue.park.lot, id)->segment > segment &&
                        rig_messages(&rig) == 1);
    spool_stats(rig.spool, &stats);
    ck_assert_uint_gt(stats.segments_reclaimed, 0);
    ck_assert_uint_gt(stats.bytes_live, 0);
    static struct rig after;
    rig_init(&after);
    crash_copy(&rig, &after);
    after.script = NULL;
    rig_start(&after, NULL);
    crash_compare(&rig, &after);
    ck_assert_uint_eq(after.queue.counters.queued, 1);
    rig_stop(&after);
    rig_remove(&after);
    teardown();
}
END_TEST

/* Too much for one place under way: the rest waits parked, comes in turn, none of it is lost. */
START_TEST(what_is_too_much_waits)
{
    enum { MESSAGES = 40, ACTIVE = 16 };
    setup();
    rig.script = NULL; /* nothing ends */
    rig.queue.park.active_max = ACTIVE;
    for (unsigned i = 0; i < MESSAGES; i++) {
        rig_submit_one(&rig, "a@s.test", "ok@one.test");
    }
    RIG_UNTIL(&rig, rig.queue.park.lot.used == MESSAGES - ACTIVE);
    ck_assert_uint_eq(rig.queue.messages.used, ACTIVE);
    ck_assert_uint_eq(rig.queue.counters.queued, MESSAGES);
    rig.script = rig_delivered;
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.delivered, MESSAGES);
    for (unsigned i = 0; i < QUEUE_CROWDS; i++) {
        testing_that(rig.queue.park.crowds[i] == 0);
    }
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_waiting_message_takes_at_most_250_bytes,
                            nothing_of_it_is_lost,
                            it_is_found,
                            one_body_for_all_recipients,
                            a_parked_message_moves,
                            what_is_too_much_waits};
    return testing_run("core/queue/park", tests, ARRAY_COUNT(tests));
}
