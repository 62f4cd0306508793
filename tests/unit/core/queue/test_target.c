/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/target.h"
#include "core/queue/memo.h"
#include "core/queue/queue.h"
#include "core/queue/suspend.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *word;
    const char *text; /* NULL: refused */
    const char *name; /* NULL: nothing to read */
    unsigned port;
    bool mx, address;
} words[] = {
    {"default", "default", NULL, 0, false, false},
    {"DEFAULT", "default", NULL, 0, false, false},
    {"mx:Example.ORG", "mx:example.org", "example.org", 0, true, false},
    {"relay.example.net", "relay.example.net:25", "relay.example.net", 25, false, false},
    {"Relay.Example.net:587", "relay.example.net:587", "relay.example.net", 587, false, false},
    {"[relay.example.net]:587", "relay.example.net:587", "relay.example.net", 587, false, false},
    {"192.0.2.1", "192.0.2.1:25", "192.0.2.1", 25, false, true},
    {"192.0.2.1:2525", "192.0.2.1:2525", "192.0.2.1", 2525, false, true},
    {"[192.0.2.1]:25", "192.0.2.1:25", "192.0.2.1", 25, false, true},
    {"[2001:db8::1]:25", "[2001:db8::1]:25", "2001:db8::1", 25, false, true},
    {"2001:db8::1", "[2001:db8::1]:25", "2001:db8::1", 25, false, true},
    /* A host of that name: "mx:25" would be the MX hosts of "25". */
    {"MX", "[mx]:25", "mx", 25, false, false},
    {"[mx]:2525", "[mx]:2525", "mx", 2525, false, false},
    {"", NULL, NULL, 0, false, false},
    {"mx:", NULL, NULL, 0, false, false},
    {"mx:a b", NULL, NULL, 0, false, false},
    {"a b", NULL, NULL, 0, false, false},
    {"host:0", NULL, NULL, 0, false, false},
    {"host:65536", NULL, NULL, 0, false, false},
    {"host:25:25", NULL, NULL, 0, false, false},
    {"[::1", NULL, NULL, 0, false, false},
    {"user@host", NULL, NULL, 0, false, false},
};

START_TEST(parses)
{
    char text[QUEUE_TARGET_BYTES + 1] = "untouched", again[QUEUE_TARGET_BYTES + 1];
    struct queue_target t;
    bool ok = queue_target_parse(slice_str(words[_i].word), text);
    ck_assert_msg(ok == (words[_i].text != NULL), "%s", words[_i].word);
    if (!ok) {
        ck_assert_str_eq(text, "untouched");
        return;
    }
    ck_assert_str_eq(text, words[_i].text);
    ck_assert(queue_target_parse(slice_str(text), again));
    ck_assert_str_eq(again, text); /* as it is stored, sent and shown */
    ck_assert(queue_target_read(slice_str(text), &t) == (words[_i].name != NULL));
    if (words[_i].name) {
        ck_assert(slice_eq(t.name, slice_str(words[_i].name)));
        ck_assert_uint_eq(t.port, words[_i].port);
        ck_assert(t.mx == words[_i].mx && (t.addr.family != IP_NONE) == words[_i].address);
    }
}
END_TEST

START_TEST(what_was_not_written_by_us_is_not_read)
{
    static const char *const texts[] = {"", ":25", "mx:", "host", "host:", "host:x", "host:70000"};
    struct queue_target t = {.port = 7};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        ck_assert_msg(!queue_target_read(slice_str(texts[i]), &t), "%s", texts[i]);
    }
    ck_assert_uint_eq(t.port, 7);
}
END_TEST

/* Every due time keeps its number and its hold. */
START_TEST(stored_due_times)
{
    static const uint64_t dues[] = {0, 1, UINT64_C(1795293900000), (UINT64_C(1) << 48) - 1,
                                    QUEUE_DUE_HELD};
    for (size_t i = 0; i < ARRAY_COUNT(dues); i++) {
        for (unsigned n = 0; n <= QUEUE_TARGETS_MAX; n++) {
            uint64_t stored = queue_target_pack(dues[i], n);
            ck_assert_uint_eq(queue_target_due(stored), dues[i]);
            ck_assert_uint_eq(queue_target_of_due(stored), n);
        }
        ck_assert_uint_eq(queue_target_pack(dues[i], QUEUE_TARGET_NONE), dues[i]);
    }
}
END_TEST

START_TEST(the_table)
{
    struct queue *q = calloc(1, sizeof(*q));
    struct spool_memo memo = {QUEUE_MEMO_TARGET, SLICE("7"), SLICE("relay.test:587")};
    ck_assert(queue_target_apply(q, &memo) && queue_target_apply(q, &memo));
    ck_assert_uint_eq(queue_target_number(q, SLICE("relay.test:587")), 7);
    ck_assert_uint_eq(queue_target_number(q, SLICE("other.test:587")), QUEUE_TARGET_NONE);
    ck_assert(slice_eq(queue_target_text(q, 7), SLICE("relay.test:587")));
    ck_assert_uint_eq(queue_target_text(q, 8).len, 0);
    static const char *const keys[] = {"0", "256", "x", "-1"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        memo.key = slice_str(keys[i]);
        ck_assert(!queue_target_apply(q, &memo));
    }
    memo = (struct spool_memo){QUEUE_MEMO_TARGET, SLICE("8"), SLICE("default")};
    ck_assert(!queue_target_apply(q, &memo));
    memo.value = SLICE("mx:example.org");
    ck_assert(queue_target_apply(q, &memo));

    struct queue_rcpt r = {.target = 7};
    struct queue_key key = queue_target_key(q, &r);
    ck_assert(key.kind == QUEUE_DOMAIN_TARGET && slice_eq(key.name, SLICE("relay.test:587")));
    r.target = 8; /* as that domain's own mail */
    key = queue_target_key(q, &r);
    ck_assert(key.kind == QUEUE_DOMAIN_MX && slice_eq(key.name, SLICE("example.org")));
    r.target = 9; /* not known: refused, never sent as if there were no route */
    key = queue_target_key(q, &r);
    ck_assert(key.kind == QUEUE_DOMAIN_TARGET && key.name.len == 0);

    unsigned taken = 0;
    for (unsigned n; (n = queue_target_take(q)) != QUEUE_TARGET_NONE; taken++) {
        ck_assert(n != 7 && n != 8);
    }
    ck_assert_uint_eq(taken, QUEUE_TARGETS_MAX - 2);
    queue_target_settle(q, 100);
    ck_assert_uint_eq(queue_target_take(q), 100);
    queue_targets_close(q);
    free(q);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("target");
    TCase *t = tcase_create("target");
    tcase_add_loop_test(t, parses, 0, (int)ARRAY_COUNT(words));
    tcase_add_test(t, what_was_not_written_by_us_is_not_read);
    tcase_add_test(t, stored_due_times);
    tcase_add_test(t, the_table);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
