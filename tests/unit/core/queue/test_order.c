/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What operators order, on one queue: who is meant, what is done, what of it is on the disk when it is answered.
 * rig_turn checks the sum of P2 after every turn.
 */
#include "core/app/recovered.h"
#include "core/queue/order.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/crash.h"

static struct rig rig;

struct told {
    bool done;
    struct queue_order_counts counts;
};

static void on_done(void *ctx, const struct queue_order_counts *counts, struct buf *lines)
{
    struct told *t = ctx;
    (void)lines;
    ck_assert(!t->done);
    *t = (struct told){true, *counts};
}

static void setup(rig_script *script)
{
    rig_init(&rig);
    rig.schedule[0] = 60 * 60 * 1000;
    rig.script = script;
    rig_start(&rig, NULL);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
}

static struct queue_order_counts order(enum queue_action action, const struct queue_select *select,
                                       bool dry_run)
{
    struct told told = {0};
    struct queue_order_init init = {
        .action = action, .dry_run = dry_run, .select = *select, .done = on_done, .ctx = &told};
    ck_assert(queue_order_start(&rig.queue, &init));
    RIG_UNTIL(&rig, told.done);
    return told.counts;
}

/* Five recipients of three messages, deferred for an hour. */
static uint64_t ids[3];

static void three(void)
{
    static const char *const rcpts[3][2] = {{"temp1@one.test", "temp1@two.test"},
                                            {"temp2@one.test", NULL},
                                            {"temp3@two.test", "temp3@three.test"}};
    static const char *const senders[] = {"ann@s.test", "bob@s.test", ""};
    for (size_t i = 0; i < 3; i++) {
        ids[i] = rig_submit(&rig, &(struct rig_mail){senders[i], rcpts[i], rcpts[i][1] ? 2 : 1, 0,
                                                     i == 2 ? 7000 : 0});
    }
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 5);
}

static const struct {
    struct queue_select select;
    unsigned id; /* of `ids`, + 1 */
    unsigned messages, rcpts;
} selections[] = {
    {{.all = true}, 0, 3, 5},
    {{.id = 1}, 0, 0, 0},
    {{0}, 1, 1, 2},
    {{.recipient = "TEMP1@one.TEST"}, 0, 1, 1},
    {{.recipient = "temp1@one"}, 0, 0, 0},
    {{.domain = "two.test"}, 0, 2, 2},
    {{.domain = "wo.test"}, 0, 0, 0},
    {{.domain = "test"}, 0, 0, 0},
    {{.sender = "Ann@s.test"}, 0, 1, 2},
    {{.null_sender = true}, 0, 1, 2},
    {{.older_than_ms = 5000}, 0, 1, 2},
    {{.older_than_ms = 3600 * 1000}, 0, 0, 0},
    {{.last_reply = "come BACK"}, 0, 3, 5},
    {{.last_reply = "451 4.7.1"}, 0, 3, 5},
    {{.last_reply = "550"}, 0, 0, 0},
    {{.site = "127.0.0.1"}, 0, 3, 5},
    {{.site = "127.0.0.2"}, 0, 0, 0},
    {{.tenant = "nobody"}, 0, 0, 0},
    {{.campaign = "nothing"}, 0, 0, 0},
    {{.domain = "two.test", .sender = "ann@s.test"}, 0, 1, 1},
    {{.domain = "two.test", .last_reply = "nothing"}, 0, 0, 0},
};

START_TEST(selects)
{
    setup(rig_by_name);
    three();
    for (size_t i = 0; i < ARRAY_COUNT(selections); i++) {
        struct queue_select s = selections[i].select;
        s.id = selections[i].id ? ids[selections[i].id - 1] : s.id;
        ck_assert(!queue_select_empty(&s));
        struct queue_order_counts c = order(QUEUE_ACT_DELETE, &s, true);
        ck_assert_msg(c.messages == selections[i].messages && c.recipients == selections[i].rcpts,
                      "row %zu: %lu messages, %lu recipients", i, (unsigned long)c.messages,
                      (unsigned long)c.recipients);
        c = order(QUEUE_ACT_COUNT, &s, false);
        ck_assert(c.recipients == selections[i].rcpts && c.deferred == c.recipients);
    }
    ck_assert(queue_select_empty(&(struct queue_select){0}));
    ck_assert_uint_eq(rig.queue.counters.cancelled, 0);
    teardown();
}
END_TEST

static uint64_t due_of(uint64_t id, uint32_t rcpt)
{
    struct queue_message *m = queue_find(&rig.queue, id);
    ck_assert_ptr_nonnull(m);
    uint64_t due_ms = m->rcpts[rcpt].due_ms;
    queue_settle(&rig.queue, m);
    return due_ms;
}

START_TEST(hold_and_release)
{
    const struct queue_select two = {.domain = "two.test"};
    setup(rig_by_name);
    three();
    uint64_t due_ms = due_of(ids[0], 0);
    ck_assert_uint_eq(order(QUEUE_ACT_HOLD, &two, false).recipients, 2);
    ck_assert_uint_eq(order(QUEUE_ACT_HOLD, &two, false).recipients, 0); /* they are */
    ck_assert_uint_eq(order(QUEUE_ACT_RETRY, &two, false).recipients, 0);
    for (unsigned run = 0; run < 2; run++) {
        ck_assert_uint_eq(due_of(ids[0], 1), QUEUE_DUE_HELD);
        ck_assert_uint_eq(due_of(ids[2], 0), QUEUE_DUE_HELD);
        ck_assert_uint_eq(due_of(ids[0], 0), due_ms); /* the others as before */
        ck_assert_uint_eq(order(QUEUE_ACT_COUNT, &two, false).held, 2);
        rig_stop(&rig);
        rig_start(&rig, NULL);
    }
    rig_run_ms(&rig, 30);
    rig_forget_parts(&rig);
    rig.script = rig_delivered;
    ck_assert_uint_eq(order(QUEUE_ACT_RELEASE, &two, false).recipients, 2);
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 2);
    ck_assert_uint_eq(
        order(QUEUE_ACT_RELEASE, &(struct queue_select){.all = true}, false).recipients, 0);
    ck_assert_uint_eq(rig.queue.counters.queued, 3);
    teardown();
}
END_TEST

/* A held message is carried along when its segment is given back, and stays held. */
START_TEST(the_record_says_held)
{
    setup(rig_by_name);
    three();
    order(QUEUE_ACT_HOLD, &(struct queue_select){.all = true}, false);
    struct queue_message *m = queue_find(&rig.queue, ids[0]);
    struct spool_rcpt rcpts[2];
    struct queue_record parts = {.rcpts = rcpts};
    struct spool_message record;
    queue_message_record(m, &parts, &record);
    ck_assert_uint_eq(rcpts[0].next_due_ms, QUEUE_DUE_HELD);
    m->rcpts[0].due_ms = QUEUE_DUE_SUSPENDED; /* which is nothing that is stored */
    queue_message_record(m, &parts, &record);
    ck_assert_uint_eq(rcpts[0].next_due_ms, 0);
    m->rcpts[0].due_ms = QUEUE_DUE_HELD;
    queue_settle(&rig.queue, m);
    teardown();
}
END_TEST

START_TEST(retry)
{
    setup(rig_by_name);
    three();
    rig_forget_parts(&rig);
    ck_assert_uint_eq(
        order(QUEUE_ACT_RETRY, &(struct queue_select){.domain = "one.test"}, true).recipients, 2);
    ck_assert_uint_eq(rig.part_count, 0);
    ck_assert_uint_eq(
        order(QUEUE_ACT_RETRY, &(struct queue_select){.domain = "one.test"}, false).recipients, 2);
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 7);
    ck_assert_uint_eq(rig.part_count, 2);
    teardown();
}
END_TEST

/* Durable when it is told: what a crash leaves right then is what was ordered. */
START_TEST(told_is_durable)
{
    static const struct {
        enum queue_action action;
        uint64_t bounced, cancelled, dsn;
    } rows[] = {{QUEUE_ACT_BOUNCE, 2, 0, 1},
                {QUEUE_ACT_BOUNCE_QUIETLY, 2, 0, 0},
                {QUEUE_ACT_DELETE, 0, 2, 0},
                {QUEUE_ACT_HOLD, 0, 0, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        setup(rig_temporary);
        three();
        /* bob's message stays, the null sender's gets no report */
        ck_assert_uint_eq(
            order(rows[i].action, &(struct queue_select){.domain = "two.test"}, false).recipients,
            2);
        const struct queue_counters *c = &rig.queue.counters;
        ck_assert_uint_eq(c->bounced, rows[i].bounced);
        ck_assert_uint_eq(c->cancelled, rows[i].cancelled);
        ck_assert_uint_eq(c->dsn, rows[i].dsn);
        static struct rig after;
        rig_init(&after);
        after.script = NULL;
        crash_copy(&rig, &after);
        rig_start(&after, NULL);
        ck_assert_uint_eq(after.recovery.rcpts_queued, c->queued);
        struct queue_message *m = queue_find(&after.queue, ids[0]);
        ck_assert_ptr_nonnull(m);
        ck_assert(rows[i].action == QUEUE_ACT_HOLD ? m->rcpts[1].due_ms == QUEUE_DUE_HELD
                                                   : m->rcpts[1].state == QUEUE_RCPT_ENDED);
        ck_assert_uint_eq(m->rcpts[0].state, QUEUE_RCPT_WAITING);
        rig_stop(&after);
        rig_remove(&after);
        teardown();
    }
}
END_TEST

/* Parts that wait for a connection are taken back; what a connection has goes on, and is marked. */
START_TEST(what_is_under_way)
{
    setup(NULL);
    for (unsigned i = 0; i < 5; i++) {
        rig_submit_one(&rig, "a@s.test", "x@one.test");
    }
    RIG_UNTIL(&rig, !list_empty(&rig.queue.active_sites));
    struct queue_part *p = rig_take(&rig);
    struct queue_order_counts c = order(QUEUE_ACT_HOLD, &(struct queue_select){.all = true}, false);
    ck_assert_uint_eq(c.recipients, 5);
    ck_assert_uint_eq(c.sending, 1);
    rig_run_ms(&rig, 10);
    ck_assert_uint_eq(order(QUEUE_ACT_COUNT, &(struct queue_select){.all = true}, false).held, 4);
    rig.script = rig_temporary; /* it failed: now it is held */
    rig_end_part(&rig, p);
    rig_run_ms(&rig, 30);
    c = order(QUEUE_ACT_COUNT, &(struct queue_select){.all = true}, false);
    ck_assert_uint_eq(c.held, 5);
    ck_assert_uint_eq(rig.part_count, 1);
    rig.script = rig_delivered;
    order(QUEUE_ACT_RELEASE, &(struct queue_select){.all = true}, false);
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 5);
    teardown();
}
END_TEST

/* One turn does a part of it, however many there are. */
START_TEST(in_slices)
{
    enum { MANY = 3000 };
    struct told told = {0};
    struct queue_order_init init = {.action = QUEUE_ACT_DELETE,
                                    .select = {.all = true},
                                    .done = on_done,
                                    .ctx = &told};
    const char *rcpt = "temp@one.test";
    rig_init(&rig);
    rig.schedule[0] = 60 * 60 * 1000;
    rig.script = NULL;
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < MANY; i++) {
        struct queue_message *m = queue_message_new(&rig.queue,
                                                    &(struct queue_message_init){.id = i + 1,
                                                                                 .rcpt_count = 1,
                                                                                 .rcpt_bytes = 16});
        struct queue_rcpt *r = queue_message_add_rcpt(m, slice_str(rcpt), (struct slice){0}, 0);
        m->queued = true;
        r->due_ms = io_now(rig.io)->wall_us / 1000 + 3600 * 1000;
        rig.queue.counters.accepted++;
        rig.queue.counters.queued++;
        rig.queue.counters.messages++;
    }
    rig.queue.id_last = MANY;
    ck_assert(queue_order_start(&rig.queue, &init));
    ck_assert(queue_orders_pending(&rig.queue));
    queue_orders_run(&rig.queue);
    ck_assert_uint_gt(rig.queue.counters.cancelled, 0);
    ck_assert_uint_lt(rig.queue.counters.cancelled, MANY);
    ck_assert(!told.done);
    RIG_UNTIL(&rig, told.done);
    ck_assert_uint_eq(told.counts.recipients, MANY);
    ck_assert_uint_eq(rig.queue.counters.cancelled, MANY);
    struct spool_stats stats;
    spool_stats(rig.spool, &stats);
    ck_assert_uint_lt(stats.commits, MANY / 20); /* together, not each by itself */
    teardown();
}
END_TEST

/* The queue ends while an order is under way: it is told what has been done. */
START_TEST(an_end_in_the_middle)
{
    struct told told = {0};
    struct queue_order_init init = {.action = QUEUE_ACT_DELETE,
                                    .select = {.all = true},
                                    .done = on_done,
                                    .ctx = &told};
    setup(rig_by_name);
    three();
    ck_assert(queue_order_start(&rig.queue, &init));
    rig_stop(&rig);
    ck_assert(told.done);
    rig_remove(&rig);
}
END_TEST

/* ---- lists ---- */

static unsigned list(const char *domain, uint32_t limit, uint64_t after, size_t room,
                     uint64_t *last)
{
    struct told told = {0};
    struct buf out;
    buf_init(&out, room);
    struct queue_order_init init = {.action = QUEUE_ACT_LIST,
                                    .limit = limit,
                                    .after = after,
                                    .rcpts_max = 10,
                                    .lines = &out,
                                    .done = on_done,
                                    .ctx = &told};
    ck_assert(slice_to_cstr(slice_str(domain), init.select.domain, sizeof(init.select.domain)));
    ck_assert(queue_order_start(&rig.queue, &init));
    RIG_UNTIL(&rig, told.done);
    unsigned n = 0;
    uint64_t before = after;
    for (struct slice rest = buf_slice(&out); rest.len; n++) {
        struct slice line = slice_cut(&rest, '\n');
        ck_assert(line.len > 30 && line.ptr[line.len - 1] == '}');
        uint64_t id;
        ck_assert(queue_id_parse(slice_of(line.ptr + 7, QUEUE_ID_TEXT_BYTES), &id) && id > before);
        before = id;
    }
    *last = before;
    buf_deinit(&out);
    return n;
}

/* ---- routes ---- */

static struct queue_order_counts route_to(const struct queue_select *select, unsigned target,
                                          bool dry)
{
    struct told told = {0};
    struct queue_order_init init = {.action = QUEUE_ACT_ROUTE,
                                    .dry_run = dry,
                                    .target = (uint16_t)target,
                                    .select = *select,
                                    .done = on_done,
                                    .ctx = &told};
    ck_assert(queue_order_start(&rig.queue, &init));
    RIG_UNTIL(&rig, told.done);
    return told.counts;
}

static unsigned target_of(uint64_t id, uint32_t rcpt)
{
    struct queue_message *m = queue_find(&rig.queue, id);
    ck_assert_ptr_nonnull(m);
    unsigned target = m->rcpts[rcpt].target;
    queue_settle(&rig.queue, m);
    return target;
}

/* It is attempted at once, over there; it is on the disk with the recipient, and stays while it is parked. */
START_TEST(routes)
{
    const struct queue_select two = {.domain = "two.test"};
    setup(rig_by_name);
    three();
    rig_forget_parts(&rig);
    ck_assert(queue_target_put(&rig.queue, 3, SLICE("127.0.0.5:2626")));
    ck_assert_uint_eq(route_to(&two, QUEUE_TARGET_NEW, true).recipients, 2);
    ck_assert_uint_eq(rig.part_count, 0);
    ck_assert_uint_eq(route_to(&two, 3, false).recipients, 2);
    ck_assert_uint_eq(route_to(&two, 3, false).recipients, 0); /* they have it */
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 7);
    for (unsigned i = 0; i < rig.part_count; i++) {
        ck_assert_msg(strstr(rig.parts[i].site, "127.0.0.5:2626"), "%s", rig.parts[i].site);
        ck_assert_msg(strstr(rig.parts[i].first, "two.test"), "%s", rig.parts[i].first);
    }
    for (unsigned run = 0; run < 2; run++) {
        ck_assert_uint_eq(target_of(ids[0], 1), 3);
        ck_assert_uint_eq(target_of(ids[2], 0), 3);
        ck_assert_uint_eq(target_of(ids[0], 0), QUEUE_TARGET_NONE);
        rig_stop(&rig);
        rig_start(&rig, NULL);
        ck_assert(queue_target_put(&rig.queue, 3, SLICE("127.0.0.5:2626")));
    }
    rig_run_ms(&rig, 30);
    rig_forget_parts(&rig);
    rig.script = rig_delivered;
    ck_assert_uint_eq(route_to(&two, QUEUE_TARGET_NONE, false).recipients, 2);
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 2);
    for (unsigned i = 0; i < rig.part_count; i++) {
        ck_assert_msg(!strstr(rig.parts[i].site, "127.0.0.5"), "%s", rig.parts[i].site);
    }
    teardown();
}
END_TEST

/* A hold stays a hold, with the route written beside it. */
START_TEST(a_held_one_is_routed_and_stays_held)
{
    const struct queue_select all = {.all = true};
    setup(rig_by_name);
    three();
    order(QUEUE_ACT_HOLD, &all, false);
    ck_assert_uint_eq(route_to(&all, 200, false).recipients, 5);
    for (unsigned run = 0; run < 2; run++) {
        ck_assert_uint_eq(due_of(ids[0], 0), QUEUE_DUE_HELD);
        ck_assert_uint_eq(target_of(ids[0], 0), 200);
        rig_stop(&rig);
        rig_start(&rig, NULL);
    }
    /* 200 stands for nothing here: nothing is sent anywhere, nothing bounces. */
    rig_forget_parts(&rig);
    rig.script = rig_delivered;
    ck_assert_uint_eq(order(QUEUE_ACT_RELEASE, &all, false).recipients, 5);
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 5);
    ck_assert_uint_eq(rig.part_count, 0);
    ck_assert_uint_eq(rig.queue.counters.bounced, 0);
    teardown();
}
END_TEST

/* The walk has not come to it, but it is due: the order counts all the same. */
START_TEST(what_is_due_meets_the_order)
{
    struct told told = {0};
    setup(rig_by_name);
    three();
    rig_forget_parts(&rig);
    struct queue_order_init init = {.action = QUEUE_ACT_HOLD,
                                    .select = {.all = true},
                                    .done = on_done,
                                    .ctx = &told};
    ck_assert(queue_order_start(&rig.queue, &init));
    struct queue_message *m = queue_find(&rig.queue, ids[0]);
    m->rcpts[0].due_ms = m->rcpts[1].due_ms = 1;
    queue_route_message(&rig.queue, m);
    ck_assert_uint_eq(due_of(ids[0], 0), QUEUE_DUE_HELD);
    RIG_UNTIL(&rig, told.done);
    ck_assert_uint_eq(told.counts.recipients, 5); /* each once */
    ck_assert_uint_eq(told.counts.messages, 3);
    ck_assert_uint_eq(rig.part_count, 0);
    ck_assert_uint_eq(rig.queue.orders.walking, 0);
    teardown();
}
END_TEST

/* Parts that stand in line when an order begins are not sent any more, though it has looked at nothing yet. */
START_TEST(what_stands_in_line_is_held_back)
{
    enum { MESSAGES = 20 };
    struct told told = {0};
    setup(NULL);
    for (unsigned i = 0; i < MESSAGES; i++) {
        rig_submit_one(&rig, "a@s.test", i ? "x@one.test" : "x@two.test");
    }
    rig_run_ms(&rig, 20);
    struct queue_site *s = LIST_ENTRY(list_first(&rig.queue.active_sites), struct queue_site,
                                      active);
    ck_assert_uint_eq(queue_site_work(s), MESSAGES);
    struct queue_order_init init = {.action = QUEUE_ACT_HOLD,
                                    .select = {.domain = "one.test"},
                                    .done = on_done,
                                    .ctx = &told};
    ck_assert(queue_order_start(&rig.queue, &init));
    struct queue_part *p = queue_site_take(&rig.queue, s);
    ck_assert_ptr_nonnull(p); /* that of two.test stands first */
    queue_site_return_last(&rig.queue, p);
    ck_assert_ptr_null(queue_site_take(&rig.queue, s));
    ck_assert_uint_eq(queue_site_work(s), MESSAGES - QUEUE_ORDER_LET_GO);
    ck_assert(list_linked(&s->blocked));
    rig.script = rig_delivered;
    RIG_UNTIL(&rig, told.done && rig.queue.counters.delivered == 1);
    ck_assert_uint_eq(told.counts.recipients, MESSAGES - 1);
    rig_run_ms(&rig, 20);
    ck_assert_uint_eq(rig.queue.counters.delivered, 1);
    ck_assert_uint_eq(order(QUEUE_ACT_COUNT, &(struct queue_select){.all = true}, false).held,
                      MESSAGES - 1);
    ck_assert(!list_linked(&s->blocked));
    teardown();
}
END_TEST

START_TEST(lists)
{
    static const struct {
        const char *domain;
        uint32_t limit, want;
    } rows[] = {
        {"", 100, 6},         {"", 4, 4},           {"", 1, 1},         {"one.test", 100, 4},
        {"ONE.Test", 100, 4}, {"two.test", 100, 3}, {"test", 100, 0},   {"ne.test", 100, 0},
        {"none.test", 9, 0},  {"x@one.test", 9, 0}, {"one.test", 2, 2},
    };
    static const char *const rcpts[][2] = {
        {"a@one.test", NULL},         {"b@one.test", "c@two.test"}, {"d@two.test", NULL},
        {"e@one.test", "f@one.test"}, {"g@two.test", "h@one.test"}, {"i@three.test", NULL}};
    uint64_t last;
    setup(rig_temporary);
    for (size_t i = 0; i < ARRAY_COUNT(rcpts); i++) {
        rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts[i], rcpts[i][1] ? 2 : 1, 0, 0});
    }
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        unsigned n = list(rows[i].domain, rows[i].limit, 0, 65536, &last);
        ck_assert_msg(n == rows[i].want, "row %zu: %u", i, n);
    }
    unsigned pages = 0, all = 0, n;
    for (uint64_t after = 0; (n = list("", 4, after, 65536, &after)); pages++) {
        all += n;
    }
    ck_assert_uint_eq(pages, 2);
    ck_assert_uint_eq(all, 6);
    teardown();
}
END_TEST

/* A ceiling cuts between messages, never within one. */
START_TEST(no_half_message)
{
    setup(rig_temporary);
    for (unsigned i = 0; i < 10; i++) {
        rig_submit_one(&rig, "a@s.test", "temp@one.test");
    }
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 10);
    for (size_t room = 1; room < 4000; room += 61) {
        uint64_t last;
        unsigned n = list("", 100, 0, room, &last);
        ck_assert(room < 3900 || n == 10);
        ck_assert(room > 150 || n == 0);
    }
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {selects,
                            hold_and_release,
                            the_record_says_held,
                            retry,
                            told_is_durable,
                            what_is_under_way,
                            in_slices,
                            routes,
                            a_held_one_is_routed_and_stays_held,
                            what_is_due_meets_the_order,
                            what_stands_in_line_is_held_back,
                            lists,
                            no_half_message,
                            an_end_in_the_middle};
    return testing_run("core/queue/order", tests, ARRAY_COUNT(tests));
}
