/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The limits of the configuration: when mail is refused, when it is taken again, and that nothing else is
 * refused meanwhile.
 */
#include "spool/room.h"
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"

#define MIB ((uint64_t)1024 * 1024)

static const struct {
    enum spool_room before, after;
    struct spool_room_limits limits;
    uint64_t size, free;
    unsigned workers;
} decisions[] = {
    /* no limits */
    {SPOOL_ROOM_OK, SPOOL_ROOM_OK, {0, 0}, 900 * MIB, 0, 1},
    {SPOOL_ROOM_MAX_SIZE, SPOOL_ROOM_OK, {0, 0}, 900 * MIB, 0, 1},
    {SPOOL_ROOM_MIN_FREE, SPOOL_ROOM_OK, {0, 0}, 900 * MIB, 0, 1},
    /* too large: one byte above; back when a segment smaller */
    {SPOOL_ROOM_OK, SPOOL_ROOM_OK, {100 * MIB, 0}, 100 * MIB, 0, 1},
    {SPOOL_ROOM_OK, SPOOL_ROOM_MAX_SIZE, {100 * MIB, 0}, 100 * MIB + 1, 0, 1},
    {SPOOL_ROOM_MAX_SIZE, SPOOL_ROOM_MAX_SIZE, {100 * MIB, 0}, 96 * MIB + 1, 0, 1},
    {SPOOL_ROOM_MAX_SIZE, SPOOL_ROOM_OK, {100 * MIB, 0}, 96 * MIB, 0, 1},
    {SPOOL_ROOM_MIN_FREE, SPOOL_ROOM_OK, {100 * MIB, 0}, 100 * MIB, 0, 1},
    /* never less than two segments (of 4 MiB) for each worker and one */
    {SPOOL_ROOM_OK, SPOOL_ROOM_OK, {16 * MIB, 0}, 36 * MIB, 0, 4},
    {SPOOL_ROOM_OK, SPOOL_ROOM_MAX_SIZE, {16 * MIB, 0}, 36 * MIB + 1, 0, 4},
    {SPOOL_ROOM_MAX_SIZE, SPOOL_ROOM_OK, {16 * MIB, 0}, 32 * MIB, 0, 4},
    {SPOOL_ROOM_MAX_SIZE, SPOOL_ROOM_OK, {1, 0}, 8 * MIB, 0, 1},
    /* too little left */
    {SPOOL_ROOM_OK, SPOOL_ROOM_OK, {0, 50 * MIB}, 0, 50 * MIB, 1},
    {SPOOL_ROOM_OK, SPOOL_ROOM_MIN_FREE, {0, 50 * MIB}, 0, 50 * MIB - 1, 1},
    {SPOOL_ROOM_MIN_FREE, SPOOL_ROOM_MIN_FREE, {0, 50 * MIB}, 0, 54 * MIB - 1, 1},
    {SPOOL_ROOM_MIN_FREE, SPOOL_ROOM_OK, {0, 50 * MIB}, 0, 54 * MIB, 1},
    {SPOOL_ROOM_OK, SPOOL_ROOM_OK, {0, 50 * MIB}, 0, UINT64_MAX, 1}, /* not known */
    /* both: the disk comes first */
    {SPOOL_ROOM_OK, SPOOL_ROOM_MIN_FREE, {1, 50 * MIB}, 900 * MIB, 1, 1},
    {SPOOL_ROOM_MIN_FREE, SPOOL_ROOM_MAX_SIZE, {100 * MIB, 50 * MIB}, 101 * MIB, 54 * MIB, 1},
};

START_TEST(decides)
{
    for (size_t i = 0; i < ARRAY_COUNT(decisions); i++) {
        const struct spool_room_sizes sizes = {
            .size_bytes = decisions[i].size,
            .free_bytes = decisions[i].free,
            .segment_bytes = 4 * MIB,
            .workers = decisions[i].workers,
        };
        enum spool_room now = spool_room_decide(decisions[i].before, &decisions[i].limits, &sizes);
        ck_assert_msg(now == decisions[i].after, "row %zu: %d", i, (int)now);
    }
}
END_TEST

/* The engine's whole way: a look, what mail, results and the statistics say, another look. */
START_TEST(refuses_mail_only)
{
    struct model m;
    fake_init(3);
    fake_space_set(64 * MIB);
    model_init(&m, 3);
    struct model_options o = {.workers = 1, .body_max = 1000, .load = 5};
    model_start(&m, &o);
    model_run(&m, 100);
    struct spool *spool = m.spools[0];
    struct spool_stats stats;
    struct spool_room_look look;
    struct spool_room_limits limits = {0, 0};
    spool_dir_look(m.dir, &limits, &look);
    ck_assert(look.room == SPOOL_ROOM_OK && !look.changed);
    ck_assert_uint_ge(look.size_bytes, SPOOL_SEGMENT_BYTES_MIN);
    ck_assert(spool_ready(spool) && spool_takes_mail(spool) == SPOOL_APPENDED);
    ck_assert_uint_lt(look.free_bytes, 64 * MIB);
    limits.free_min = look.free_bytes + 1;
    for (unsigned i = 0; i < 3; i++) {
        spool_dir_look(m.dir, &limits, &look);
        ck_assert(look.room == SPOOL_ROOM_MIN_FREE && look.changed == (i == 0));
    }
    spool_stats(spool, &stats);
    ck_assert(!stats.ready && stats.health == SPOOL_HEALTH_MIN_FREE && !stats.full);
    ck_assert_str_eq(spool_health_name(stats.health), "min_free");
    ck_assert(spool_takes_mail(spool) == SPOOL_FULL);
    ck_assert(spool_frame_begin(spool, SPOOL_CLASS_RESULT, 100) == SPOOL_APPENDED);
    spool_frame_cancel(spool);
    /* Who was in a transaction already may end it. */
    ck_assert(spool_frame_begin(spool, SPOOL_CLASS_MAIL, 100) == SPOOL_APPENDED);
    spool_frame_cancel(spool);
    limits.free_min = 0;
    spool_dir_look(m.dir, &limits, &look);
    ck_assert(look.room == SPOOL_ROOM_OK && look.changed);
    ck_assert(spool_ready(spool));
    model_settle(&m, 20000);
    model_stop(&m);
    model_deinit(&m);
    fake_deinit();
}
END_TEST

/* Between two looks the log may grow: the door is closed when the segment is made, the next look tells. */
START_TEST(growth_closes_at_once)
{
    struct model m;
    struct spool_room_look look;
    const struct spool_room_limits limits = {.size_max = 1}; /* raised to three segments */
    fake_init(4);
    model_init(&m, 4);
    struct model_options o = {.workers = 1, .body_max = 100 * 1024, .load = 60, .no_results = true};
    model_start(&m, &o);
    model_run(&m, 20);
    spool_dir_look(m.dir, &limits, &look);
    ck_assert(look.room == SPOOL_ROOM_OK);
    for (unsigned i = 0; i < 5000 && spool_takes_mail(m.spools[0]) != SPOOL_FULL; i++) {
        model_run(&m, 1);
    }
    ck_assert(spool_takes_mail(m.spools[0]) == SPOOL_FULL);
    spool_dir_look(m.dir, &limits, &look);
    ck_assert(look.room == SPOOL_ROOM_MAX_SIZE && look.changed);
    ck_assert_uint_eq(look.size_bytes, 4 * SPOOL_SEGMENT_BYTES_MIN);
    spool_dir_look(m.dir, &limits, &look);
    ck_assert(look.room == SPOOL_ROOM_MAX_SIZE && !look.changed);
    model_settle(&m, 20000);
    model_stop(&m);
    model_deinit(&m);
    fake_deinit();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool room");
    TCase *t = tcase_create("room");
    tcase_add_test(t, decides);
    tcase_add_test(t, refuses_mail_only);
    tcase_add_test(t, growth_closes_at_once);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
