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

#define WITNESS                                                                                    \
    {                                                                                              \
        SLICE_INIT("192.0.2.1"), SLICE_INIT("503 what?")                                           \
    }

static struct peers peers;
static const struct peers_witness witness = WITNESS, nobody;

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
    const struct peers_fault f = {used, reason, proven, WITNESS};
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
    peers_learn_messages(&peers, key, 20, &witness, NOW);
    ck_assert(!peers_learn_idle(&peers, key, 9000, &nobody, NOW)); /* for another reason */
    ck_assert(!peers_learn_idle(&peers, key, 4100, &nobody, NOW));
    ck_assert_uint_eq(peers_look(&peers, key, NOW).idle_max_ms, UINT32_MAX);
    ck_assert(peers_learn_idle(&peers, key, 4000, &nobody, NOW));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct peers_facts f = peers_look(&peers, key, NOW + rows[i].after_ms);
        ck_assert_msg(f.messages_max == rows[i].messages && f.idle_max_ms == rows[i].idle_ms,
                      "%zu: %u %u", i, f.messages_max, f.idle_max_ms);
        ck_assert_int_eq(f.level, PEERS_OVERLAPPED);
    }
    ck_assert_uint_eq(peers_look(&peers, key, NOW - 5 * SURE).messages_max,
                      20);                                               /* clock set back */
    ck_assert(!peers_learn_idle(&peers, key, UINT64_MAX, &nobody, NOW)); /* no news */
    ck_assert_uint_eq(peers_look(&peers, key, NOW).idle_max_ms, 3000);
    ck_assert(!peers_learn_idle(&peers, key, 0, &nobody, NOW));
    ck_assert(peers_learn_idle(&peers, key, 0, &nobody, NOW));
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
        peers_learn_messages(&few, slice_str(key), 1 + i, &nobody, NOW + i);
        peers_learn_messages(&few, SLICE("kept.test:25"), 5, &nobody,
                             NOW + i); /* used again and again */
    }
    ck_assert_uint_eq(few.by_key.count, 8);
    ck_assert_uint_eq(peers_look(&few, SLICE("kept.test:25"), NOW).messages_max, 5);
    ck_assert_uint_eq(peers_look(&few, SLICE("mx49.test:25"), NOW).messages_max, 50);
    ck_assert_uint_eq(peers_look(&few, SLICE("mx42.test:25"), NOW).messages_max, 0);
    peers_forget(&few, peers_next(&few, NULL, SLICE("mx49.test")));
    ck_assert_ptr_null(peers_next(&few, NULL, SLICE("mx49.test")));
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

static void add_fact(void *ctx, const struct peers_fact *f)
{
    buf_addf(ctx, "%.*s %d %.*s %.*s %u %llu %lld %.*s %.*s\n", SLICE_ARG(f->key), f->topic,
             SLICE_ARG(peers_level_name(f->level)), SLICE_ARG(peers_reason_name(f->reason)),
             f->value, (unsigned long long)(f->since_ms - NOW),
             (long long)(f->until_ms - f->since_ms), SLICE_ARG(f->witness.address),
             SLICE_ARG(f->witness.reply));
}

static void text_is(const struct buf *out, const char *text)
{
    ck_assert_msg(slice_eq(buf_slice(out), slice_str(text)), "%.*s", SLICE_ARG(buf_slice(out)));
}

START_TEST(listing)
{
    struct buf out;
    buf_init(&out, 4096);
    peers_praise(&peers, SLICE("good.test:25")); /* nothing to tell */
    ck_assert(blame(PEERS_OVERLAPPED, PEERS_BDAT, false, NOW + 1));
    peers_learn_messages(&peers, SLICE("mx.one.test:25"), 3, &nobody, NOW + 2);
    peers_learn_messages(&peers, SLICE("few.test:25"), 4, &witness, NOW);
    peers_each(&peers, NOW + 2, add_fact, &out);
    text_is(
        &out,
        "mx.one.test:25 0 pipelined BDAT offered and not known 0 1 259200000 192.0.2.1 503 what?\n"
        "mx.one.test:25 1 overlapped nothing 3 2 259200000  \n"
        "few.test:25 1 overlapped nothing 4 0 259200000 192.0.2.1 503 what?\n");
    buf_clear(&out);
    peers_each(&peers, NOW + 2 + SURE, add_fact, &out);
    ck_assert_uint_eq(out.len, 0);
    buf_deinit(&out);
}
END_TEST

START_TEST(whose_key)
{
    static const struct {
        const char *key, *host;
        bool is;
    } rows[] = {
        {"mx.one.test:25", "mx.one.test", true},     {"mx.one.test:25", "MX.one.test:25", true},
        {"mx.one.test:25", "mx.one.test:2", false},  {"mx.one.test:25", "one.test", false},
        {"mx.one.test:25", "mx.one.tes", false},     {"mx.one.test:25", "mx.one.test:256", false},
        {"[2001:db8::1]:25", "[2001:db8::1]", true}, {"[2001:db8::1]:25", "[2001", false},
        {"2001:db8::1:25", "2001:db8::1", true},     {"2001:db8::1:25", "2001:db8:", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_msg(peers_key_is(slice_str(rows[i].key), slice_str(rows[i].host)) == rows[i].is,
                      "%zu", i);
    }
}
END_TEST

static unsigned changes(void)
{
    unsigned n = 0;
    while (peers_changed(&peers)) {
        n++;
    }
    return n;
}

/* What is seen with every connection is not a row with every connection. */
START_TEST(rows_are_few)
{
    struct slice key = SLICE("mx.one.test:25");
    peers_learn_messages(&peers, key, 100, &witness, NOW);
    ck_assert_uint_eq(changes(), 1);
    for (uint32_t i = 0; i < 50; i++) {
        peers_learn_messages(&peers, key, 95 + i % 5, &witness, NOW + i);
    }
    ck_assert_uint_eq(changes(), 0);
    ck_assert_uint_eq(peers_look(&peers, key, NOW + 50).messages_max, 99); /* yet it is known */
    peers_learn_messages(&peers, key, 50, &witness, NOW + 60);
    ck_assert_uint_eq(changes(), 1);
    peers_learn_messages(&peers, key, 50, &witness, NOW + 60 + PEERS_DECAY_MS / 2);
    ck_assert_uint_eq(changes(), 1); /* it goes on being so */
    ck_assert(!peers_learn_idle(&peers, key, 4000, &witness, NOW));
    for (unsigned i = 0; i < 50; i++) {
        ck_assert(peers_learn_idle(&peers, key, 4000 + i, &witness, NOW + i));
    }
    ck_assert_uint_eq(changes(), 1);
    ck_assert(blame(PEERS_OVERLAPPED, PEERS_BDAT, false, NOW));
    ck_assert(!blame(PEERS_OVERLAPPED, PEERS_BDAT, false, NOW));
    ck_assert_uint_eq(changes(), 1);
}
END_TEST

static void count_gone(void *ctx, const struct peers_entry *e)
{
    (void)e;
    (*(unsigned *)ctx)++;
}

/* Who keeps rows hears of those that are of no use any more: once each. */
START_TEST(rows_that_go)
{
    unsigned gone = 0;
    struct peers few;
    struct peers_entry *e;
    peers_init(&few, 1, 2);
    few.gone = count_gone;
    few.ctx = &gone;
    peers_learn_messages(&few, SLICE("one.test:25"), 5, &nobody, NOW);
    peers_learn_messages(&few, SLICE("two.test:25"), 5, &nobody, NOW);
    while ((e = peers_changed(&few))) {
        e->kept = true;
    }
    ck_assert(peers_tidy(&few, NOW + SURE - 1) && gone == 0);
    peers_learn_messages(&few, SLICE("three.test:25"), 5, &nobody, NOW); /* pushes one out */
    ck_assert_uint_eq(gone, 1);
    ck_assert(!peers_tidy(&few, NOW + SURE));
    ck_assert_uint_eq(gone, 2);
    ck_assert(!peers_tidy(&few, NOW + SURE));
    ck_assert_uint_eq(gone, 2);
    ck_assert_ptr_nonnull((e = peers_next(&few, NULL, SLICE(""))));
    e->kept = true;
    peers_forget(&few, e);
    ck_assert_uint_eq(gone, 2);
    peers_deinit(&few);
}
END_TEST

/* ---- rows ---- */

static void encode(struct peers *from, struct slice key, struct buf *row)
{
    buf_clear(row);
    peers_encode(peers_next(from, NULL, key), row);
    ck_assert(row->len && !row->overflow);
}

/* Two workers have learned of one peer: whoever is told of the other first, the end is the same. */
START_TEST(rows_are_put_together)
{
    static const struct {
        enum peers_level used[2];
        uint64_t at_ms[2];
        enum peers_level end;
    } rows[] = {
        {{PEERS_OVERLAPPED, PEERS_PIPELINED}, {NOW, NOW + 5}, PEERS_STEPWISE},
        {{PEERS_OVERLAPPED, PEERS_PIPELINED}, {NOW + 5, NOW}, PEERS_STEPWISE},
        {{PEERS_OVERLAPPED, PEERS_OVERLAPPED}, {NOW + 5, NOW}, PEERS_PIPELINED},
    };
    struct slice key = SLICE("mx.one.test:25");
    struct buf row[2];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (unsigned order = 0; order < 2; order++) {
            struct peers known[2];
            struct peers_entry *e;
            for (unsigned w = 0; w < 2; w++) {
                const struct peers_fault f = {rows[i].used[w], PEERS_REPLIES, false, WITNESS};
                peers_init(&known[w], w, 4);
                ck_assert(peers_blame(&known[w], key, &f, rows[i].at_ms[w]));
                buf_init(&row[w], PEERS_ROW_BYTES);
            }
            peers_learn_messages(&known[0], key, 7, &witness, NOW + 1);
            peers_learn_messages(&known[1], key, 8, &nobody, NOW + 2);
            encode(&known[0], key, &row[0]);
            encode(&known[1], key, &row[1]);
            struct peers *to = &known[order];
            ck_assert_int_ne(peers_restore(to, buf_slice(&row[!order]), NOW + 9, &e),
                             PEERS_REFUSED);
            struct peers_facts f = peers_look(to, key, NOW + 9);
            ck_assert_int_eq(f.level, rows[i].end);
            ck_assert_uint_eq(f.messages_max, 8);
            /* Told once more there is nothing new. */
            ck_assert_int_eq(peers_restore(to, buf_slice(&row[!order]), NOW + 9, &e), PEERS_KNOWN);
            for (unsigned w = 0; w < 2; w++) {
                peers_deinit(&known[w]);
                buf_deinit(&row[w]);
            }
        }
    }
}
END_TEST

START_TEST(rows_come_back)
{
    struct peers other;
    struct peers_entry *e;
    struct buf row, facts;
    struct slice key = SLICE("mx.one.test:25");
    buf_init(&row, PEERS_ROW_BYTES);
    buf_init(&facts, 4096);
    ck_assert(blame(PEERS_PIPELINED, PEERS_SILENT, false, NOW));
    peers_learn_messages(&peers, key, 20, &witness, NOW + 1);
    peers_learn_idle(&peers, key, 4000, &nobody, NOW + 2);
    peers_learn_idle(&peers, key, 4000, &nobody, NOW + 2);
    ck_assert_uint_eq(changes(), 1); /* one row for all of it */
    encode(&peers, key, &row);
    peers_init(&other, 99, 4);
    ck_assert_int_eq(peers_restore(&other, buf_slice(&row), NOW + 1000, &e), PEERS_NEWS);
    struct peers_facts was = peers_look(&peers, key, NOW + 1000);
    struct peers_facts is = peers_look(&other, key, NOW + 1000);
    ck_assert(is.level == PEERS_STEPWISE && is.level == was.level);
    ck_assert(is.messages_max == 20 && is.idle_max_ms == 3000);
    peers_each(&other, NOW + 1000, add_fact, &facts);
    text_is(&facts, "mx.one.test:25 0 one command at a time a reply did not come 0 0 3600000 "
                    "192.0.2.1 503 what?\n"
                    "mx.one.test:25 1 overlapped nothing 20 1 259200000 192.0.2.1 503 what?\n"
                    "mx.one.test:25 2 overlapped nothing 3000 2 259200000  \n");
    ck_assert_ptr_null(peers_changed(&other)); /* it is kept already */
    /* The doubt goes on growing where it was. */
    const struct peers_fault lost = {PEERS_PIPELINED, PEERS_LOST, false, WITNESS};
    ck_assert(peers_blame(&other, key, &lost, NOW + HOUR));
    ck_assert_int_eq(peers_look(&other, key, NOW + 3 * HOUR - 1).level, PEERS_STEPWISE);
    peers_deinit(&other);
    buf_deinit(&facts);
    buf_deinit(&row);
}
END_TEST

START_TEST(rows_that_are_refused)
{
    struct peers other;
    struct peers_entry *e;
    struct buf row;
    struct slice key = SLICE("mx.one.test:25");
    buf_init(&row, PEERS_ROW_BYTES);
    ck_assert(blame(PEERS_PIPELINED, PEERS_SILENT, false, NOW));
    peers_learn_messages(&peers, key, 20, &witness, NOW + 1);
    encode(&peers, key, &row);
    peers_init(&other, 99, 4);
    ck_assert_int_eq(peers_restore(&other, buf_slice(&row), NOW + 2 * SURE, &e), PEERS_REFUSED);
    ck_assert_int_eq(peers_restore(&other, buf_slice(&row), NOW - 2 * SURE, &e), PEERS_REFUSED);
    for (size_t n = 0; n < row.len; n++) { /* cut short: never read beyond, mostly refused */
        char *copy = malloc(n ? n : 1);
        memcpy(copy, row.ptr, n);
        bool whole = n > row.len - key.len;
        ck_assert_msg((peers_restore(&other, slice_of(copy, n), NOW, &e) != PEERS_REFUSED) == whole,
                      "%zu", n);
        free(copy);
    }
    for (size_t i = 0; i < 3; i++) { /* version, level, reason */
        char was = row.ptr[i];
        row.ptr[i] = 77;
        ck_assert_int_eq(peers_restore(&other, buf_slice(&row), NOW, &e), PEERS_REFUSED);
        row.ptr[i] = was;
    }
    row.ptr[row.len - 1] = '\n';
    ck_assert_int_eq(peers_restore(&other, buf_slice(&row), NOW, &e), PEERS_REFUSED);
    peers_deinit(&other);
    buf_deinit(&row);
}
END_TEST

/* The longest there can be fits. */
START_TEST(the_longest_row)
{
    char text[PEERS_KEY_BYTES + 100];
    struct buf row;
    struct peers_entry *e;
    struct peers other;
    memset(text, 'x', sizeof(text));
    struct slice key = slice_of(text, PEERS_KEY_BYTES);
    struct peers_witness w = {slice_of(text, sizeof(text)), slice_of(text, sizeof(text))};
    struct peers_fault f = {PEERS_OVERLAPPED, PEERS_REPLIES, false, w};
    ck_assert(peers_blame(&peers, key, &f, NOW));
    peers_learn_messages(&peers, key, 20, &w, NOW);
    peers_learn_idle(&peers, key, 4000, &w, NOW);
    ck_assert(peers_learn_idle(&peers, key, 4000, &w, NOW));
    buf_init(&row, PEERS_ROW_BYTES);
    encode(&peers, key, &row);
    ck_assert_uint_eq(row.len, PEERS_ROW_BYTES);
    peers_init(&other, 99, 4);
    ck_assert_int_eq(peers_restore(&other, buf_slice(&row), NOW, &e), PEERS_NEWS);
    ck_assert_uint_eq(peers_witness_of(e, PEERS_IDLE).reply.len, PEERS_REPLY_BYTES);
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
    tcase_add_test(tc, whose_key);
    tcase_add_test(tc, rows_are_few);
    tcase_add_test(tc, rows_that_go);
    tcase_add_test(tc, rows_are_put_together);
    tcase_add_test(tc, rows_come_back);
    tcase_add_test(tc, rows_that_are_refused);
    tcase_add_test(tc, the_longest_row);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
