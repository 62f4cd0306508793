/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the spool remembers besides mail, over restarts, moves and lost commits. Random faults: the model of
 * test_commit.c and test_reclaim.c writes memos too.
 */
#include "spool/log.h"
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"

static const struct model_options quiet = {.workers = 1, .body_max = 900, .no_memos = true};

static enum spool_append put(struct model *m, struct slice key, struct slice value)
{
    uint64_t lsn;
    struct spool_memo memo = {.kind = 200, .key = key, .value = value};
    return spool_memo_put(m->spools[0], &memo, &lsn);
}

static struct slice texts[5];
static char bytes[5][32];

static void on_found(void *ctx, const struct spool_memo *memo)
{
    unsigned *count = ctx;
    ck_assert_uint_eq(memo->kind, 200); /* a kind that nobody knows */
    unsigned i = (unsigned)(memo->key.ptr[0] - 'a');
    ck_assert(i < 5 && memo->value.len < sizeof(bytes[0]));
    memcpy(bytes[i], memo->value.ptr, memo->value.len);
    texts[i] = slice_of(bytes[i], memo->value.len);
    (*count)++;
}

static void on_any(void *ctx, unsigned worker, const struct spool_recovered *r)
{
    (void)ctx;
    (void)worker;
    (void)r;
}

static unsigned look(void)
{
    struct buf error;
    buf_init(&error, 512);
    struct spool_options options = {.segment_bytes = SPOOL_SEGMENT_BYTES_MIN, .workers = 1};
    struct spool_dir *dir = spool_dir_open("spool", &options, &error);
    ck_assert(dir != NULL);
    struct spool_recovery sum;
    unsigned count = 0;
    memset(texts, 0, sizeof(texts));
    const struct spool_recovery_events events = {.message = on_any, .memo = on_found};
    ck_assert(spool_recover(dir, &events, &count, &sum, &error));
    ck_assert_uint_eq(sum.memos, count);
    spool_dir_close(&dir);
    buf_deinit(&error);
    return count;
}

static void settle(struct model *m)
{
    for (unsigned t = 0; t < 60; t++) {
        model_turn(m);
    }
}

static void begin(struct model *m)
{
    fake_init(3);
    model_init(m, 3);
    model_start(m, &quiet);
    settle(m);
}

START_TEST(the_latest_counts)
{
    struct model m;
    begin(&m);
    static const struct {
        const char *key, *value;
    } rows[] = {{"a", "1"}, {"b", "1"}, {"a", "2"}, {"c", "1"},
                {"c", ""},  {"d", ""},  {"b", ""},  {"b", "3"}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_int_eq(put(&m, slice_str(rows[i].key), slice_str(rows[i].value)), SPOOL_APPENDED);
        if (i % 2) {
            settle(&m);
        }
    }
    settle(&m);
    model_stop(&m);
    ck_assert_uint_eq(look(), 2);
    ck_assert(slice_eq(texts[0], SLICE("2")) && slice_eq(texts[1], SLICE("3")));
    model_deinit(&m);
    fake_deinit();
}
END_TEST

/* Nothing but a crash between the commit and the next look: what was not committed is not there. */
START_TEST(only_what_is_durable)
{
    struct model m;
    begin(&m);
    ck_assert_int_eq(put(&m, SLICE("a"), SLICE("old")), SPOOL_APPENDED);
    settle(&m);
    ck_assert_int_eq(put(&m, SLICE("a"), SLICE("new")), SPOOL_APPENDED);
    ck_assert_int_eq(put(&m, SLICE("b"), SLICE("new")), SPOOL_APPENDED);
    fake_crash(FAKE_FAULT_CRASH_LOSE);
    model_stop(&m);
    fake_restart();
    ck_assert_uint_eq(look(), 1);
    ck_assert(slice_eq(texts[0], SLICE("old")));
    model_deinit(&m);
    fake_deinit();
}
END_TEST

/* A commit that fails leaves what was before, on disk and in the table. */
START_TEST(a_lost_commit_changes_nothing)
{
    struct model m;
    begin(&m);
    ck_assert_int_eq(put(&m, SLICE("a"), SLICE("old")), SPOOL_APPENDED);
    settle(&m);
    ck_assert_int_eq(put(&m, SLICE("a"), SLICE("")), SPOOL_APPENDED);
    fake_fault_at(1, FAKE_FAULT_EIO, 1);
    settle(&m);
    ck_assert_uint_gt(m.incidents, 0);
    model_stop(&m);
    ck_assert_uint_eq(look(), 1);
    ck_assert(slice_eq(texts[0], SLICE("old")));
    model_deinit(&m);
    fake_deinit();
}
END_TEST

/* Mail comes and goes, segments are given back; the memos of long ago move along, over several runs. */
START_TEST(they_move_with_the_log)
{
    struct model m;
    fake_init(4);
    model_init(&m, 4);
    for (unsigned run = 0; run < 3; run++) {
        struct model_options o = {.workers = 1,
                                  .body_max = 100 * 1024,
                                  .load = 120,
                                  .no_memos = true};
        model_start(&m, &o);
        if (run == 0) {
            settle(&m);
            ck_assert_int_eq(put(&m, SLICE("a"), SLICE("1")), SPOOL_APPENDED);
            ck_assert_int_eq(put(&m, SLICE("b"), SLICE("2")), SPOOL_APPENDED);
            ck_assert_int_eq(put(&m, SLICE("c"), SLICE("3")), SPOOL_APPENDED);
            settle(&m);
            ck_assert_int_eq(put(&m, SLICE("c"), SLICE("")), SPOOL_APPENDED);
        }
        for (unsigned i = 0; i < 200; i++) {
            model_run(&m, 30);
        }
        model_settle(&m, 20000);
        struct spool_stats stats;
        spool_stats(m.spools[0], &stats);
        ck_assert_uint_gt(stats.segments_reclaimed, 2);
        model_stop(&m);
        ck_assert_uint_eq(look(), 2);
        ck_assert(slice_eq(texts[0], SLICE("1")) && slice_eq(texts[1], SLICE("2")));
    }
    ck_assert(!fake_file_exists("seg-0000000000000001.log"));
    model_deinit(&m);
    fake_deinit();
}
END_TEST

/* What is about to be replaced is not moved: it would come behind its successor. */
START_TEST(a_move_never_overtakes)
{
    struct model m;
    struct model_options o = {
        .workers = 1, .body_max = 100 * 1024, .load = 100, .no_memos = true, .no_results = true};
    fake_init(5);
    model_init(&m, 5);
    model_start(&m, &o);
    settle(&m);
    struct spool *s = m.spools[0];
    ck_assert_int_eq(put(&m, SLICE("a"), SLICE("old")), SPOOL_APPENDED);
    settle(&m);
    struct spool_segment *first = s->current;
    for (unsigned t = 0; s->current == first; t++) {
        ck_assert_uint_lt(t, 1000);
        model_run(&m, 1);
    }
    settle(&m);
    ck_assert_int_eq(put(&m, SLICE("a"), SLICE("new")), SPOOL_APPENDED);
    spool_memos_move(s, first);
    settle(&m);
    ck_assert_ptr_ne(s->current, NULL);
    spool_memos_move(s, s->current); /* now it may, and is the same */
    settle(&m);
    model_stop(&m);
    ck_assert_uint_eq(look(), 1);
    ck_assert(slice_eq(texts[0], SLICE("new")));
    model_deinit(&m);
    fake_deinit();
}
END_TEST

START_TEST(there_is_a_limit)
{
    struct model m;
    begin(&m);
    char key[16];
    enum spool_append verdict = SPOOL_APPENDED;
    unsigned n = 0;
    while (n <= SPOOL_MEMOS_MAX) {
        struct slice k = slice_of(key, (size_t)snprintf(key, sizeof(key), "%u", n));
        verdict = put(&m, k, SLICE("v"));
        if (verdict == SPOOL_WAIT) {
            model_turn(&m);
            continue;
        }
        if (n % 64 == 0) {
            settle(&m);
        }
        if (verdict != SPOOL_APPENDED) {
            break;
        }
        n++;
    }
    settle(&m);
    ck_assert_int_eq(put(&m, SLICE("one more"), SLICE("v")), SPOOL_FULL);
    ck_assert_int_eq(put(&m, SLICE("7"), SLICE("w")), SPOOL_APPENDED); /* an old one may change … */
    ck_assert_int_eq(put(&m, SLICE("8"), SLICE("")), SPOOL_APPENDED); /* … and end */
    settle(&m);
    ck_assert_int_eq(put(&m, SLICE("one more"), SLICE("v")), SPOOL_APPENDED);
    settle(&m);
    model_stop(&m);
    model_deinit(&m);
    fake_deinit();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool memo");
    TCase *t = tcase_create("memo");
    tcase_set_timeout(t, 100);
    tcase_add_test(t, the_latest_counts);
    tcase_add_test(t, only_what_is_durable);
    tcase_add_test(t, a_lost_commit_changes_nothing);
    tcase_add_test(t, they_move_with_the_log);
    tcase_add_test(t, a_move_never_overtakes);
    tcase_add_test(t, there_is_a_limit);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
