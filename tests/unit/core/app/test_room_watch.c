/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One line per change, none for a look that finds the same; the timer looks again.
 */
#include "core/app/room_watch.h"
#include "core/base/clock.h"
#include "tests/unit/core/base/testing.h"

#include <ftw.h>
#include <string.h>

enum { TEXT_MAX = 16 * 1024 };

struct rig {
    char path[64];
    int out;
    struct obs_sink *sink;
    struct obs_log log;
    struct spool_dir *dir;
    struct conf conf;
    struct room_watch watch;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void rig_open(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    char folder[] = "/tmp/ringpost-room-XXXXXX";
    ck_assert(mkdtemp(folder));
    memcpy(r->path, folder, sizeof(folder));
    char file[] = "/tmp/ringpost-room-log-XXXXXX";
    r->out = mkstemp(file);
    ck_assert_int_ge(r->out, 0);
    unlink(file);
    r->sink = obs_sink_open(r->out);
    ck_assert(r->sink);
    obs_log_init(&r->log, r->sink, OBS_WARN);
    struct buf error;
    buf_init(&error, 512);
    const struct spool_options o = {.segment_bytes = SPOOL_SEGMENT_BYTES_MIN};
    r->dir = spool_dir_open(r->path, &o, &error);
    ck_assert_msg(r->dir != NULL, "%.*s", (int)error.len, error.ptr);
    buf_deinit(&error);
    room_watch_open(&r->watch, r->dir, &r->log, &r->conf);
}

/* Closes everything; the log's text, to be freed. */
static char *rig_close(struct rig *r)
{
    room_watch_stop(&r->watch);
    obs_log_deinit(&r->log);
    obs_sink_close(r->sink, 3000);
    spool_dir_close(&r->dir);
    ck_assert_int_eq(nftw(r->path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    char *text = calloc(1, TEXT_MAX);
    ck_assert(text && pread(r->out, text, TEXT_MAX - 1, 0) >= 0);
    close(r->out);
    return text;
}

static unsigned lines(const char *text, const char *with)
{
    unsigned n = 0;
    while ((text = strstr(text, with))) {
        n++;
        text += strlen(with);
    }
    return n;
}

START_TEST(says_each_change_once)
{
    struct rig r;
    rig_open(&r);
    ck_assert(r.watch.last.room == SPOOL_ROOM_OK);
    ck_assert_uint_lt(r.watch.last.free_bytes, UINT64_MAX);
    r.conf.spool.min_free_bytes = (uint64_t)1 << 60;
    for (unsigned i = 0; i < 3; i++) {
        room_watch_set_conf(&r.watch, &r.conf);
        ck_assert(r.watch.last.room == SPOOL_ROOM_MIN_FREE);
    }
    r.conf.spool.min_free_bytes = 0;
    for (unsigned i = 0; i < 3; i++) {
        room_watch_set_conf(&r.watch, &r.conf);
        ck_assert(r.watch.last.room == SPOOL_ROOM_OK);
    }
    char *text = rig_close(&r);
    ck_assert_uint_eq(lines(text, "\"event\":\"spool_state\""), 2);
    ck_assert_uint_eq(lines(text, "less than spool.min_free (1152921504606846976 bytes)"), 1);
    ck_assert_uint_eq(lines(text, "there is room again"), 1);
    ck_assert_uint_eq(lines(text, "\"free\":"), 2);
    free(text);
}
END_TEST

START_TEST(looks_every_second)
{
    struct rig r;
    struct timer_wheel wheel;
    uint64_t now_ms = clock_read().mono_ms;
    timer_wheel_init(&wheel, now_ms);
    rig_open(&r);
    room_watch_start(&r.watch, &wheel);
    r.watch.limits.free_min = (uint64_t)1 << 60;
    timer_wheel_run(&wheel, now_ms + ROOM_WATCH_MS / 2, NULL);
    ck_assert(r.watch.last.room == SPOOL_ROOM_OK);
    timer_wheel_run(&wheel, now_ms + 3 * ROOM_WATCH_MS, NULL);
    ck_assert(r.watch.last.room == SPOOL_ROOM_MIN_FREE);
    ck_assert(timer_armed(&r.watch.timer)); /* and again */
    room_watch_stop(&r.watch);
    ck_assert(!timer_armed(&r.watch.timer));
    free(rig_close(&r));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("room watch");
    TCase *t = tcase_create("room watch");
    tcase_add_test(t, says_each_change_once);
    tcase_add_test(t, looks_every_second);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
