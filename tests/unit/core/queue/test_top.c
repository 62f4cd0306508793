/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Three sites, made of one smarthost by routes; nothing is sent.
 */
#include "core/queue/top.h"
#include "core/app/recovered.h"
#include "tests/unit/core/queue/rig_mail.h"

#include <json-c/json.h>

static struct rig rig;

static void on_done(void *ctx, const struct queue_order_counts *counts, struct buf *lines)
{
    (void)counts, (void)lines;
    *(bool *)ctx = true;
}

static void route(const char *domain, unsigned target, const char *to)
{
    bool done = false;
    struct queue_order_init init = {.action = QUEUE_ACT_ROUTE,
                                    .target = (uint16_t)target,
                                    .done = on_done,
                                    .ctx = &done};
    ck_assert(slice_to_cstr(slice_str(domain), init.select.domain, sizeof(init.select.domain)));
    ck_assert(queue_target_put(&rig.queue, target, slice_str(to)));
    ck_assert(queue_order_start(&rig.queue, &init));
    RIG_UNTIL(&rig, done);
}

static void setup(void)
{
    rig_init(&rig);
    rig.keeps_messages = true;
    rig.script = NULL;
    rig_start(&rig, NULL);
    for (unsigned i = 0; i < 6; i++) {
        rig_submit_one(&rig, "a@s.test",
                       i < 3   ? "x@five.test"
                       : i < 5 ? "x@six.test"
                               : "x@one.test");
    }
    route("five.test", 5, "127.0.0.5:25");
    route("six.test", 6, "127.0.0.6:25");
    rig_run_ms(&rig, 20);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
}

static unsigned lines(uint32_t limit, size_t room, uint64_t *waiting)
{
    struct buf out;
    unsigned n = 0;
    buf_init(&out, room);
    queue_top_report(&rig.queue, limit, &out);
    ck_assert(!out.overflow);
    for (struct slice rest = buf_slice(&out); rest.len; n++) {
        struct slice line = slice_cut(&rest, '\n');
        struct json_tokener *tok = json_tokener_new();
        struct json_object *o = json_tokener_parse_ex(tok, line.ptr, (int)line.len);
        ck_assert_msg(o != NULL, "%.*s", SLICE_ARG(line));
        waiting[n] = json_object_get_uint64(json_object_object_get(o, "waiting"));
        static const char *const keys[] = {
            "site",     "site_id",         "worker",         "in_flight", "connections",
            "in_per_s", "delivered_per_s", "deferred_per_s", "binding"};
        for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
            ck_assert_msg(json_object_object_get(o, keys[i]) != NULL, "%s", keys[i]);
        }
        json_object_put(o);
        json_tokener_free(tok);
    }
    buf_deinit(&out);
    return n;
}

START_TEST(the_most_first)
{
    uint64_t w[8] = {0};
    setup();
    ck_assert_uint_eq(lines(8, 65536, w), 3);
    ck_assert(w[0] == 3 && w[1] == 2 && w[2] == 1);
    ck_assert_uint_eq(lines(2, 65536, w), 2);
    ck_assert(w[0] == 3 && w[1] == 2);
    ck_assert_uint_eq(lines(1, 65536, w), 1);
    ck_assert_uint_eq(w[0], 3);
    teardown();
}
END_TEST

START_TEST(whole_lines_only)
{
    uint64_t w[8];
    unsigned most = 0;
    setup();
    for (size_t room = 1; room < 2000; room += 37) {
        unsigned n = lines(8, room, w);
        ck_assert(n >= most);
        most = n;
    }
    ck_assert_uint_eq(most, 3);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {the_most_first, whole_lines_only};
    return testing_run("core/queue/top", tests, ARRAY_COUNT(tests));
}
