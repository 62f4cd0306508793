/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/recovered.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/rig_mail.h"

static struct rig rig;

/* ---- states ---- */

enum { W = QUEUE_RCPT_WAITING, R = QUEUE_RCPT_READY, E = QUEUE_RCPT_ENDED };

struct step {
    uint8_t from, to;
};

static void change_state(void *ctx)
{
    const struct step *step = ctx;
    struct queue_message m = {.open_count = 1};
    struct queue_rcpt r = {.state = step->from};
    queue_rcpt_set_state(&m, &r, (enum queue_rcpt_state)step->to);
    if (r.state != step->to || m.open_count != (step->to == E ? 0 : 1)) {
        _exit(1);
    }
}

/* The diagram in message.h, arrow by arrow; everything else is a programming error. */
START_TEST(a_recipients_life)
{
    static const struct step arrows[] = {{W, R}, {W, E}, {R, W}, {R, E}};
    for (uint8_t from = W; from <= E; from++) {
        for (uint8_t to = W; to <= E; to++) {
            struct step step = {from, to};
            char said[4096];
            bool allowed = false;
            for (size_t i = 0; i < ARRAY_COUNT(arrows); i++) {
                allowed = allowed || (arrows[i].from == from && arrows[i].to == to);
            }
            if (!allowed) {
                testing_must_abort(change_state, &step, "allowed[r->state]");
                continue;
            }
            int status = testing_child(change_state, &step, said, sizeof(said));
            ck_assert_msg(status == 0, "%u to %u: %s", from, to, said);
        }
    }
}
END_TEST

START_TEST(what_a_failure_said)
{
    char text[] = "no such user";
    struct queue_rcpt r = {0};
    struct outcome o = {.kind = OUTCOME_PERMANENT,
                        .code = 550,
                        .enhanced = {5, 1, 1},
                        .text = slice_str(text)};
    queue_rcpt_remember(&r, &o);
    memset(text, 'x', sizeof(text) - 1); /* it is a copy */
    ck_assert_uint_eq(r.last_code, 550);
    ck_assert(r.last_enhanced.cls == 5 && r.last_enhanced.subject == 1);
    ck_assert_str_eq(r.last_text, "no such user");
    o.text = SLICE("later");
    queue_rcpt_remember(&r, &o);
    ck_assert_str_eq(r.last_text, "later");
    o.text = SLICE("with\0zero");
    queue_rcpt_remember(&r, &o);
    ck_assert_str_eq(r.last_text, "");
    o.text = (struct slice){NULL, 0};
    queue_rcpt_remember(&r, &o);
    ck_assert_ptr_null(r.last_text);
}
END_TEST

/* ---- ids ---- */

START_TEST(ids_as_text)
{
    static const struct {
        uint64_t id;
        const char *text;
    } rows[] = {{0, "0000000000000"},          {1, "0000000000001"},
                {31, "000000000000Z"},         {32, "0000000000010"},
                {UINT64_MAX, "FZZZZZZZZZZZZ"}, {0x687fb32563400000, "6GZXK4NHM0000"}};
    char text[QUEUE_ID_TEXT_BYTES + 1];
    uint64_t id = 7;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice s = queue_id_text(rows[i].id, text);
        ck_assert_str_eq(text, rows[i].text);
        ck_assert_uint_eq(s.len, QUEUE_ID_TEXT_BYTES);
        ck_assert(queue_id_parse(s, &id));
        ck_assert_uint_eq(id, rows[i].id);
    }
    ck_assert(queue_id_parse(SLICE("fzzzzzzzzzzzz"), &id)); /* as people type it */
    ck_assert_uint_eq(id, UINT64_MAX);
}
END_TEST

START_TEST(no_ids)
{
    static const struct slice rows[] = {
        SLICE_INIT(""),
        SLICE_INIT("1"),
        SLICE_INIT("000000000000"),
        SLICE_INIT("00000000000000"),
        SLICE_INIT("G000000000000"), /* 2^64 */
        SLICE_INIT("ZZZZZZZZZZZZZ"),
        SLICE_INIT("000000000000I"),
        SLICE_INIT("000000000000L"),
        SLICE_INIT("000000000000O"),
        SLICE_INIT("000000000000U"),
        SLICE_INIT("000000000000-"),
        SLICE_INIT("00000000000\0000"),
        SLICE_INIT("000000000000\xe9"),
    };
    uint64_t id = 77;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_msg(!queue_id_parse(rows[i], &id), "row %zu", i);
        ck_assert_uint_eq(id, 77);
    }
}
END_TEST

/* ---- the block ---- */

static void setup(void)
{
    rig_init(&rig);
    rig.script = NULL;
    rig_start(&rig, NULL);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
}

START_TEST(strings_are_copied)
{
    setup();
    char sender[] = "a@sender.test", rcpt[] = "b@one.test", orcpt[] = "rfc822;b@one.test";
    struct queue_message_init init = {.id = 5,
                                      .sender = slice_str(sender),
                                      .envid = SLICE("QQ"),
                                      .rcpt_count = 3,
                                      .rcpt_bytes = 3 * (sizeof(rcpt) - 1) + sizeof(orcpt) - 1};
    struct queue_message *m = queue_message_new(&rig.queue, &init);
    struct handle h = m->self;
    for (unsigned i = 0; i < 3; i++) {
        struct slice none = {NULL, 0};
        queue_message_add_rcpt(m, slice_str(rcpt), i == 1 ? slice_str(orcpt) : none, (uint8_t)i);
    }
    memset(sender, 0, sizeof(sender));
    memset(rcpt, 0, sizeof(rcpt));
    memset(orcpt, 0, sizeof(orcpt));
    ck_assert(slice_eq(m->sender, SLICE("a@sender.test")) && slice_eq(m->envid, SLICE("QQ")));
    ck_assert_uint_eq(m->rcpt_count, 3);
    ck_assert_uint_eq(m->open_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(slice_eq(m->rcpts[i].address, SLICE("b@one.test")));
        ck_assert_uint_eq(m->rcpts[i].orcpt.len, i == 1 ? 17 : 0);
        ck_assert_uint_eq(m->rcpts[i].notify, i);
        ck_assert_uint_eq(m->rcpts[i].state, QUEUE_RCPT_WAITING);
    }
    ck_assert_ptr_eq(queue_message_resolve(&rig.queue, h), m);
    queue_message_free(&rig.queue, m);
    ck_assert_ptr_null(queue_message_resolve(&rig.queue, h)); /* stale */
    ck_assert_uint_eq(rig_messages(&rig), 0);
    teardown();
}
END_TEST

static void one_recipient_too_many(void *ctx)
{
    const struct queue_message_init init = {.id = 5, .rcpt_count = 1, .rcpt_bytes = 10};
    struct queue_message *m = queue_message_new(ctx, &init);
    queue_message_add_rcpt(m, SLICE("a@b"), (struct slice){NULL, 0}, 0);
    queue_message_add_rcpt(m, SLICE("a@b"), (struct slice){NULL, 0}, 0);
}

static void more_text_than_said(void *ctx)
{
    const struct queue_message_init init = {.id = 5, .rcpt_count = 1, .rcpt_bytes = 2};
    struct queue_message *m = queue_message_new(ctx, &init);
    queue_message_add_rcpt(m, SLICE("a@b"), (struct slice){NULL, 0}, 0);
}

START_TEST(misuse_aborts)
{
    setup();
    testing_must_abort(one_recipient_too_many, &rig.queue, "rcpts_left > 0");
    testing_must_abort(more_text_than_said, &rig.queue, "strings_left");
    teardown();
}
END_TEST

/* Bodies count in the budget, exactly. */
START_TEST(the_memory_of_bodies)
{
    setup();
    struct queue_message *m[3];
    const char *rcpt = "ok@one.test";
    for (unsigned i = 0; i < 3; i++) {
        m[i] = rig_envelope(&rig, &(struct rig_mail){"a@s.test", &rcpt, 1, 0, 0});
        rig_give(&rig, m[i], slice_of(RIG_BODY, 10 * (i + 1)));
    }
    ck_assert_uint_eq(rig.queue.memory_bytes, 60);
    queue_message_drop_body(&rig.queue, m[1]);
    queue_message_drop_body(&rig.queue, m[1]); /* again: nothing */
    ck_assert_uint_eq(rig.queue.memory_bytes, 40);
    for (unsigned i = 0; i < 3; i++) {
        queue_message_free(&rig.queue, m[i]);
    }
    ck_assert_uint_eq(rig.queue.memory_bytes, 0);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_recipients_life,  what_a_failure_said, ids_as_text,         no_ids,
                            strings_are_copied, misuse_aborts,       the_memory_of_bodies};
    return testing_run("core/queue/message", tests, ARRAY_COUNT(tests));
}
