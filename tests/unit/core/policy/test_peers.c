/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is learned of peers, for how long it holds, and that it survives a restart.
 */
#include "core/policy/peers.h"

#include "core/base/must.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW UINT64_C(1800000000000)
#define HOUR ((uint64_t)PEERS_DOUBT_MS)
#define SURE ((uint64_t)PEERS_SURE_MS)

static struct peers peers;

static void setup(void)
{
    peers_init(&peers, 7, PEERS_MAX);
}

static void teardown(void)
{
    peers_deinit(&peers);
}

static enum peers_level level_at(uint64_t ms)
{
    return peers_look(&peers, SLICE("mx.one.test:25"), ms).level;
}

static bool blame(enum peers_level used, enum peers_reason reason, bool proven, uint64_t ms)
{
    const struct peers_fault f = {used, reason, proven};
    return peers_blame(&peers, SLICE("mx.one.test:25"), &f, ms);
}

START_TEST(keys)
{
    char dst[PEERS_KEY_BYTES], host[300];
    memset(host, 'H', sizeof(host));
    ck_assert(slice_eq(peers_key(dst, SLICE("MX.One.test"), 25), SLICE("mx.one.test:25")));
    ck_assert(slice_eq(peers_key(dst, SLICE("[192.0.2.1]"), 65535), SLICE("[192.0.2.1]:65535")));
    struct slice cut = peers_key(dst, slice_of(host, sizeof(host)), 65535);
    ck_assert_uint_le(cut.len, PEERS_KEY_BYTES);
    ck_assert(slice_eq(slice_skip(cut, cut.len - 6), SLICE(":65535")));
}
END_TEST

START_TEST(nothing_is_known)
{
    struct peers_facts f = peers_look(&peers, SLICE("mx.one.test:25"), NOW);
    ck_assert(f.level == PEERS_OVERLAPPED && f.messages_max == 0 && f.idle_max_ms == UINT32_MAX);
    ck_assert(!f.bears_overlap);
}
END_TEST

static const struct {
    const char *name;
    enum peers_level used;
    enum peers_reason reason;
    enum peers_level then;
    uint64_t holds_ms;
} faults[] = {
    {"BDAT", PEERS_OVERLAPPED, PEERS_BDAT, PEERS_PIPELINED, PEERS_SURE_MS},
    {"replies", PEERS_OVERLAPPED, PEERS_REPLIES, PEERS_PIPELINED, PEERS_SURE_MS},
    {"replies again", PEERS_PIPELINED, PEERS_REPLIES, PEERS_STEPWISE, PEERS_SURE_MS},
    {"a complaint", PEERS_PIPELINED, PEERS_PIPELINE, PEERS_STEPWISE, PEERS_SURE_MS},
    {"lost", PEERS_OVERLAPPED, PEERS_LOST, PEERS_PIPELINED, PEERS_DOUBT_MS},
    {"silent", PEERS_PIPELINED, PEERS_SILENT, PEERS_STEPWISE, PEERS_DOUBT_MS},
};

START_TEST(a_fault_is_one_step_for_a_time)
{
    ck_assert(blame(faults[_i].used, faults[_i].reason, false, NOW));
    ck_assert_int_eq(level_at(NOW), faults[_i].then);
    ck_assert_int_eq(level_at(NOW + faults[_i].holds_ms - 1), faults[_i].then);
    ck_assert_int_eq(level_at(NOW + faults[_i].holds_ms), PEERS_OVERLAPPED);
    /* Others are not concerned. */
    ck_assert_int_eq(peers_look(&peers, SLICE("mx.one.test:26"), NOW).level, PEERS_OVERLAPPED);
    ck_assert_int_eq(peers_look(&peers, SLICE("MX.ONE.test:25"), NOW).level, faults[_i].then);
}
END_TEST

START_TEST(the_whole_ladder)
{
    ck_assert(blame(PEERS_OVERLAPPED, PEERS_LOST, false, NOW));
    /* Connections that were opened before and end the same way are the same fault. */
    ck_assert(!blame(PEERS_OVERLAPPED, PEERS_LOST, false, NOW + 1));
    ck_assert_int_eq(level_at(NOW + 1), PEERS_PIPELINED);
    ck_assert(blame(PEERS_PIPELINED, PEERS_REPLIES, false, NOW + 2));
    ck_assert_int_eq(level_at(NOW + 2), PEERS_STEPWISE);
    ck_assert(!blame(PEERS_OVERLAPPED, PEERS_BDAT, false, NOW + 3)); /* never up again by a fault */
    ck_assert_int_eq(level_at(NOW + SURE), PEERS_STEPWISE);
    ck_assert_int_eq(level_at(NOW + SURE + 2), PEERS_OVERLAPPED);
}
END_TEST

/* Doubts that come back last longer: 1, 2, 4 … hours, at most three days. */
START_TEST(doubt_grows)
{
    uint64_t now_ms = NOW, lasts_ms = HOUR;
    for (int i = 0; i < 9; i++) {
        ck_assert(blame(PEERS_OVERLAPPED, PEERS_LOST, false, now_ms));
        ck_assert_int_eq(level_at(now_ms + lasts_ms - 1), PEERS_PIPELINED);
        ck_assert_int_eq(level_at(now_ms + lasts_ms), PEERS_OVERLAPPED);
        now_ms += lasts_ms;
        lasts_ms = lasts_ms * 2 < SURE ? lasts_ms * 2 : SURE;
    }
    now_ms += 2 * SURE; /* long enough ago */
    ck_assert(blame(PEERS_OVERLAPPED, PEERS_LOST, false, now_ms));
    ck_assert_int_eq(level_at(now_ms + HOUR), PEERS_OVERLAPPED);
}
END_TEST

/* Networks lose connections: one that has worked so is blamed for it when it happens again. */
START_TEST(proven_connections_may_be_lost_once)
{
    ck_assert(!blame(PEERS_OVERLAPPED, PEERS_LOST, true, NOW));
    ck_assert(!blame(PEERS_OVERLAPPED, PEERS_LOST, true, NOW + 2 * HOUR));
    ck_assert_int_eq(level_at(NOW + 2 * HOUR), PEERS_OVERLAPPED);
    ck_assert(blame(PEERS_OVERLAPPED, PEERS_SILENT, true, NOW + 3 * HOUR));
    ck_assert_int_eq(level_at(NOW + 3 * HOUR), PEERS_PIPELINED);
    /* A definite fault is one, however often it went well. */
    ck_assert(blame(PEERS_PIPELINED, PEERS_PIPELINE, true, NOW + 3 * HOUR));
}
END_TEST

START_TEST(praise)
{
    peers_praise(&peers, SLICE("mx.one.test:25"));
    ck_assert(peers_look(&peers, SLICE("mx.one.test:25"), NOW).bears_overlap);
    ck_assert_ptr_null(peers_changed(&peers)); /* nothing to keep */
    ck_assert(!blame(PEERS_PIPELINED, PEERS_LOST, true, NOW));
    ck_assert(peers_look(&peers, SLICE("mx.one.test:25"), NOW).bears_overlap);
    ck_assert(!blame(PEERS_OVERLAPPED, PEERS_LOST, true, NOW + 2 * HOUR));
    ck_assert(!peers_look(&peers, SLICE("mx.one.test:25"), NOW).bears_overlap);
}
END_TEST

START_TEST(counts_decay)
{
    static const struct {
        uint64_t after_ms;
        uint32_t messages;
        uint32_t idle_ms;
    } rows[] = {{0, 20, 3000},
                {PEERS_DECAY_MS - 1, 20, 3000},
                {PEERS_DECAY_MS, 40, 6000},
                {3 * (uint64_t)PEERS_DECAY_MS, 160, 24000},
                {11 * (uint64_t)PEERS_DECAY_MS, 40960, UINT32_MAX}, /* 6144 s is no idle time */
                {PEERS_SURE_MS, 0, UINT32_MAX}};
    struct slice key = SLICE("mx.one.test:25");
    peers_learn_messages(&peers, key, 20, NOW);
    ck_assert(!peers_learn_idle(&peers, key, 9000, NOW)); /* for another reason */
    ck_assert(!peers_learn_idle(&peers, key, 4100, NOW));
    ck_assert_uint_eq(peers_look(&peers, key, NOW).idle_max_ms, UINT32_MAX);
    ck_assert(peers_learn_idle(&peers, key, 4000, NOW));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct peers_facts f = peers_look(&peers, key, NOW + rows[i].after_ms);
        ck_assert_msg(f.messages_max == rows[i].messages && f.idle_max_ms == rows[i].idle_ms,
                      "%zu: %u %u", i, f.messages_max, f.idle_max_ms);
        ck_assert_int_eq(f.level, PEERS_OVERLAPPED);
    }
    ck_assert_uint_eq(peers_look(&peers, key, NOW - 5 * SURE).messages_max,
                      20);                                      /* clock set back */
    ck_assert(!peers_learn_idle(&peers, key, UINT64_MAX, NOW)); /* no news */
    ck_assert_uint_eq(peers_look(&peers, key, NOW).idle_max_ms, 3000);
    ck_assert(!peers_learn_idle(&peers, key, 0, NOW));
    ck_assert(peers_learn_idle(&peers, key, 0, NOW));
    ck_assert_uint_eq(peers_look(&peers, key, NOW).idle_max_ms, 0);
}
END_TEST

START_TEST(bounded)
{
    char key[32];
    struct peers few;
    peers_init(&few, 1, 8);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "mx%u.test:25", i);
        peers_learn_messages(&few, slice_str(key), 1 + i, NOW + i);
        peers_learn_messages(&few, SLICE("kept.test:25"), 5, NOW + i); /* used again and again */
    }
    ck_assert_uint_eq(few.by_key.count, 8);
    ck_assert_uint_eq(peers_look(&few, SLICE("kept.test:25"), NOW).messages_max, 5);
    ck_assert_uint_eq(peers_look(&few, SLICE("mx49.test:25"), NOW).messages_max, 50);
    ck_assert_uint_eq(peers_look(&few, SLICE("mx42.test:25"), NOW).messages_max, 0);
    ck_assert(peers_forget(&few, SLICE("mx49.test:25")));
    ck_assert(!peers_forget(&few, SLICE("mx49.test:25")));
    unsigned changed = 0;
    while (peers_changed(&few)) {
        changed++;
    }
    ck_assert_uint_eq(changed, 7);
    peers_praise(&few, SLICE("good.test:25")); /* no reason to forget another */
    ck_assert(!peers_look(&few, SLICE("good.test:25"), NOW).bears_overlap);
    peers_praise(&few, SLICE("kept.test:25"));
    ck_assert(peers_look(&few, SLICE("kept.test:25"), NOW).bears_overlap);
    peers_deinit(&few);
}
END_TEST

static void count_one(void *ctx, const struct peers_entry *e, const struct peers_facts *f)
{
    struct buf *out = ctx;
    buf_addf(out, "%.*s %.*s, %.*s\n", (int)e->key_len, e->key,
             SLICE_ARG(peers_level_name(f->level)), SLICE_ARG(peers_reason_name(e->reason)));
}

START_TEST(listing)
{
    struct buf out;
    buf_init(&out, 4096);
    peers_praise(&peers, SLICE("good.test:25")); /* nothing to tell */
    ck_assert(blame(PEERS_OVERLAPPED, PEERS_BDAT, false, NOW));
    peers_learn_messages(&peers, SLICE("few.test:25"), 3, NOW);
    peers_each(&peers, NOW, count_one, &out);
    ck_assert(
        slice_eq(buf_slice(&out), SLICE("mx.one.test:25 pipelined, BDAT offered and not known\n"
                                        "few.test:25 overlapped, nothing\n")));
    buf_clear(&out);
    peers_each(&peers, NOW + SURE, count_one, &out);
    ck_assert_uint_eq(out.len, 0);
    buf_deinit(&out);
}
END_TEST

START_TEST(rows_come_back)
{
    struct peers other;
    struct buf row;
    struct slice key = SLICE("mx.one.test:25");
    buf_init(&row, PEERS_ROW_BYTES);
    ck_assert(blame(PEERS_PIPELINED, PEERS_SILENT, false, NOW));
    peers_learn_messages(&peers, key, 20, NOW + 1);
    peers_learn_idle(&peers, key, 4000, NOW + 2);
    peers_learn_idle(&peers, key, 4000, NOW + 2);
    const struct peers_entry *e = peers_changed(&peers);
    ck_assert_ptr_nonnull(e);
    peers_encode(e, &row);
    ck_assert_ptr_null(peers_changed(&peers)); /* one row for all of it */
    ck_assert(!row.overflow);
    peers_init(&other, 99, 4);
    ck_assert(peers_restore(&other, buf_slice(&row), NOW + 1000));
    struct peers_facts was = peers_look(&peers, key, NOW + 1000);
    struct peers_facts is = peers_look(&other, key, NOW + 1000);
    ck_assert(is.level == PEERS_STEPWISE && is.level == was.level);
    ck_assert(is.messages_max == 20 && is.idle_max_ms == 3000);
    ck_assert_ptr_null(peers_changed(&other)); /* it is kept already */
    /* The doubt goes on growing where it was. */
    const struct peers_fault lost = {PEERS_PIPELINED, PEERS_LOST, false};
    ck_assert(peers_blame(&other, key, &lost, NOW + HOUR));
    ck_assert_int_eq(peers_look(&other, key, NOW + 3 * HOUR - 1).level, PEERS_STEPWISE);
    peers_deinit(&other);
    peers_init(&other, 99, 4);
    ck_assert(!peers_restore(&other, buf_slice(&row), NOW + 2 * SURE)); /* expired */
    ck_assert(!peers_restore(&other, buf_slice(&row), NOW - 2 * SURE)); /* of another time */
    for (size_t n = 0; n <= row.len; n++) { /* cut short: never read beyond, mostly refused */
        char *copy = malloc(n ? n : 1);
        memcpy(copy, row.ptr, n);
        bool whole = n > row.len - key.len;
        ck_assert_msg(peers_restore(&other, slice_of(copy, n), NOW) == whole, "%zu", n);
        free(copy);
    }
    for (size_t i = 0; i < 3; i++) { /* version, level, reason */
        char was_byte = row.ptr[i];
        row.ptr[i] = 77;
        ck_assert(!peers_restore(&other, buf_slice(&row), NOW));
        row.ptr[i] = was_byte;
    }
    row.ptr[row.len - 1] = '\n';
    ck_assert(!peers_restore(&other, buf_slice(&row), NOW));
    peers_deinit(&other);
    buf_deinit(&row);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/policy/peers");
    TCase *tc = tcase_create("peers");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, keys);
    tcase_add_test(tc, nothing_is_known);
    tcase_add_loop_test(tc, a_fault_is_one_step_for_a_time, 0, ARRAY_COUNT(faults));
    tcase_add_test(tc, the_whole_ladder);
    tcase_add_test(tc, doubt_grows);
    tcase_add_test(tc, proven_connections_may_be_lost_once);
    tcase_add_test(tc, praise);
    tcase_add_test(tc, counts_decay);
    tcase_add_test(tc, bounded);
    tcase_add_test(tc, listing);
    tcase_add_test(tc, rows_come_back);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
