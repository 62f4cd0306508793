/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the admin socket says of the queue, read by another JSON reader.
 */
#include "core/app/recovered.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/rig_mail.h"

#include <json-c/json.h>

static struct rig rig;

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

static struct json_object *parse(struct slice line)
{
    struct json_tokener *tok = json_tokener_new();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *o = json_tokener_parse_ex(tok, line.ptr, (int)line.len);
    ck_assert_msg(o != NULL, "no JSON: %.*s", SLICE_ARG(line));
    ck_assert_uint_eq(json_tokener_get_parse_end(tok), line.len);
    json_tokener_free(tok);
    return o;
}

static struct json_object *field(struct json_object *o, const char *name)
{
    struct json_object *value = NULL;
    ck_assert_msg(json_object_object_get_ex(o, name, &value), "no %s", name);
    return value;
}

static const char *text(struct json_object *o, const char *name)
{
    return json_object_get_string(field(o, name));
}

static struct json_object *rcpt_of(struct json_object *message, size_t i)
{
    return json_object_array_get_idx(field(message, "recipients"), i);
}

START_TEST(one_message)
{
    const char *rcpts[] = {"ok@one.test", "temp@one.test", "perm@one.test", "\"a\\\"b\"@one.test"};
    struct buf out;
    char id_text[QUEUE_ID_TEXT_BYTES + 1];
    setup(rig_by_name);
    uint64_t id = rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, 4, 0, 5000});
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 1 && rig.queue.counters.messages == 1);
    buf_init(&out, 65536);
    ck_assert(queue_report_one(&rig.queue, id, 100, &out));
    ck_assert(out.ptr[out.len - 1] == '\n');
    struct json_object *m = parse(slice_first(buf_slice(&out), out.len - 1));
    queue_id_text(id, id_text);
    ck_assert_str_eq(text(m, "id"), id_text);
    ck_assert_str_eq(text(m, "from"), "a@s.test");
    ck_assert_int_eq(json_object_get_int(field(m, "size")), (int)SLICE(RIG_BODY).len);
    ck_assert_int_ge(json_object_get_int(field(m, "age_seconds")), 5);
    ck_assert_int_eq(json_object_get_int(field(m, "recipient_count")), 4);
    static const struct {
        const char *state, *last;
        bool next;
    } want[] = {{"delivered", NULL, false},
                {"deferred", "451 4.7.1 come back later", true},
                {"bounced", "550 5.1.1 no such user here", false},
                {"delivered", NULL, false}};
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        struct json_object *r = rcpt_of(m, i);
        ck_assert_str_eq(text(r, "to"), rcpts[i]);
        ck_assert_str_eq(text(r, "state"), want[i].state);
        ck_assert_int_eq(json_object_get_int(field(r, "attempts")), 1);
        ck_assert_int_eq(field(r, "next_attempt") != NULL, want[i].next);
        if (want[i].last) {
            ck_assert_str_eq(text(r, "last"), want[i].last);
        } else {
            ck_assert_ptr_null(field(r, "last"));
        }
    }
    json_object_put(m);
    buf_clear(&out);
    ck_assert(!queue_report_one(&rig.queue, id - 1, 100, &out));
    ck_assert_uint_eq(out.len, 0);
    buf_deinit(&out);
    teardown();
}
END_TEST

START_TEST(many_recipients_are_cut)
{
    static char names[30][32];
    const char *rcpts[30];
    struct buf out;
    for (unsigned i = 0; i < 30; i++) {
        snprintf(names[i], sizeof(names[i]), "temp%u@one.test", i);
        rcpts[i] = names[i];
    }
    setup(rig_temporary);
    uint64_t id = rig_submit(&rig, &(struct rig_mail){"", rcpts, 30, 0, 0});
    buf_init(&out, 65536);
    ck_assert(queue_report_one(&rig.queue, id, 7, &out));
    struct json_object *m = parse(slice_first(buf_slice(&out), out.len - 1));
    ck_assert_uint_eq(json_object_array_length(field(m, "recipients")), 7);
    ck_assert_int_eq(json_object_get_int(field(m, "recipient_count")), 30);
    ck_assert_str_eq(text(m, "from"), "");
    json_object_put(m);
    buf_deinit(&out);
    teardown();
}
END_TEST

/* Every state has its word, and the sums of `queue stats`. */
START_TEST(states)
{
    const char *rcpts[] = {"temp1@one.test", "temp2@one.test"};
    struct buf out;
    setup(NULL);
    uint64_t id = rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, 2, 0, 0});
    RIG_UNTIL(&rig, !list_empty(&rig.queue.active_sites));
    static const char *const words[] = {"ready", "sending", "deferred"};
    static const unsigned want[][2] = {{0, 0}, {0, 2}, {2, 0}};
    struct queue_part *p = NULL;
    buf_init(&out, 65536);
    for (unsigned i = 0; i < ARRAY_COUNT(words); i++) {
        if (i == 1) {
            p = rig_take(&rig);
        } else if (i == 2) {
            rig.script = rig_temporary;
            rig_end_part(&rig, p);
        }
        ck_assert_uint_eq(queue_report_deferred(&rig.queue), want[i][0]);
        ck_assert_uint_eq(rig.queue.sending, want[i][1]);
        buf_clear(&out);
        ck_assert(queue_report_one(&rig.queue, id, 1, &out));
        struct json_object *m = parse(slice_first(buf_slice(&out), out.len - 1));
        ck_assert_str_eq(text(rcpt_of(m, 0), "state"), words[i]);
        json_object_put(m);
    }
    buf_deinit(&out);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {one_message, many_recipients_are_cut, states};
    return testing_run("core/queue/report", tests, ARRAY_COUNT(tests));
}
