/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The directory on the real disk, and the whole log once over the real ring.
 */
#include "core/io/disk.h"
#include "spool/dir.h"
#include "spool/spool.h"
#include "tests/unit/core/io/backend.h"

#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[64];
static char path[96];
static struct buf error;

static const struct spool_options small = {.segment_bytes = SPOOL_SEGMENT_BYTES_MIN};

static void setup(void)
{
    snprintf(base, sizeof(base), "/var/tmp/test_spool_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    snprintf(path, sizeof(path), "%s/spool", base);
    buf_init(&error, 1024);
}

static bool remove_one(void *ctx, const char *name)
{
    (void)disk_unlink(*(int *)ctx, name);
    return true;
}

static void teardown(void)
{
    int fd = disk_open_dir(path, false);
    if (fd >= 0) {
        disk_list(fd, remove_one, &fd);
        disk_close(fd);
        rmdir(path);
    }
    rmdir(base);
    buf_deinit(&error);
}

static bool error_has(const char *word)
{
    return error.len && memmem(error.ptr, error.len, word, strlen(word)) != NULL;
}

static void put(const char *name, const char *text)
{
    int dir = disk_open_dir(path, true);
    int fd = disk_open(dir, name, DISK_OPEN_CREATE, false);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(disk_pwrite(fd, text, strlen(text), 0), 0);
    disk_close(fd);
    disk_close(dir);
}

START_TEST(names)
{
    static const struct {
        const char *name;
        bool ok;
        enum spool_name kind;
        uint64_t number;
    } rows[] = {
        {"seg-0000000000000001.log", true, SPOOL_NAME_SEGMENT, 1},
        {"make-00000000000000ff.tmp", true, SPOOL_NAME_MAKE, 255},
        {"spare-0123456789abcdef.log", true, SPOOL_NAME_SPARE, 0x0123456789abcdef},
        {"bad-0000000000000010.log", true, SPOOL_NAME_BAD, 16},
        {"seg-0000000000000000.log", false, 0, 0},
        {"seg-000000000000001.log", false, 0, 0},
        {"seg-000000000000000A.log", false, 0, 0},
        {"seg-0000000000000001.tmp", false, 0, 0},
        {"seg-ffffffffffffffff.log", false, 0, 0},
        {"lock", false, 0, 0},
        {"", false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        enum spool_name kind;
        uint64_t number;
        ck_assert_msg(spool_name_parse(rows[i].name, &kind, &number) == rows[i].ok, "%s",
                      rows[i].name);
        if (rows[i].ok) {
            char again[DISK_NAME_MAX];
            ck_assert(kind == rows[i].kind && number == rows[i].number);
            spool_name_make(again, kind, number);
            ck_assert_str_eq(again, rows[i].name);
        }
    }
}
END_TEST

START_TEST(second_start_is_refused)
{
    struct spool_dir *first = spool_dir_open(path, &small, &error);
    ck_assert_msg(first != NULL, "%.*s", (int)error.len, error.ptr);
    struct stat st;
    ck_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700);
    struct spool_dir *second = spool_dir_open(path, &small, &error);
    ck_assert(second == NULL);
    char want[64];
    snprintf(want, sizeof(want), "is in use by another ringpost (pid %ld)", (long)getpid());
    ck_assert_msg(error_has(want), "%.*s", (int)error.len, error.ptr);
    ck_assert(spool_dir_fence(first) == SPOOL_FENCE_OURS);
    spool_dir_close(&first);
    first = spool_dir_open(path, &small, &error);
    ck_assert(first != NULL);
    spool_dir_close(&first);
}
END_TEST

START_TEST(newer_version_is_refused)
{
    put("lock", "ringpost spool 2.0\nsomething else\n");
    ck_assert(spool_dir_open(path, &small, &error) == NULL);
    ck_assert(error_has("newer"));
}
END_TEST

START_TEST(garbage_in_the_lock_file_is_replaced)
{
    put("lock", "\xff\xff\xff garbage");
    struct spool_dir *d = spool_dir_open(path, &small, &error);
    ck_assert(d != NULL);
    ck_assert(spool_dir_fence(d) == SPOOL_FENCE_OURS);
    put("lock", "ringpost spool 1.0\npid 1\ntoken 7\n");
    ck_assert(spool_dir_fence(d) == SPOOL_FENCE_TAKEN);
    spool_dir_close(&d);
}
END_TEST

static void no_message(void *ctx, unsigned worker, const struct spool_recovered *m)
{
    (void)ctx;
    (void)worker;
    (void)m;
    ck_abort_msg("a message from nowhere");
}

/* Each start says what is in the way, by name. */
START_TEST(what_is_in_the_way_is_said)
{
    put("x", "");
    struct spool_dir *d = spool_dir_open(path, &small, &error);
    ck_assert_ptr_nonnull(d);
    ck_assert_str_eq(spool_dir_path(d), path);
    (void)spool_dir_direct(d); /* the file system's, not ours */
    spool_dir_close(&d);
    char file[128];
    snprintf(file, sizeof(file), "%s/lock", path);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(mkdir(file, 0700), 0);
    ck_assert_ptr_null(spool_dir_open(path, &small, &error));
    ck_assert(error_has("/lock: "));
    ck_assert_int_eq(rmdir(file), 0);
    snprintf(file, sizeof(file), "%s/x", path);
    error.len = 0;
    ck_assert_ptr_null(spool_dir_open(file, &small, &error));
    ck_assert(error_has("is not a directory of its own"));
}
END_TEST

/* Somebody removed the lock file, or wrote into it: it is not ours for sure. */
START_TEST(a_lock_that_cannot_be_read_is_no_fence)
{
    static const char *const texts[] = {"", "ringpost spool x.1\n", "ringpost spool 1.0\npid x\n",
                                        "ringpost spool 1.0\npid 1\ntoken x\n", "something"};
    struct spool_dir *d = spool_dir_open(path, &small, &error);
    ck_assert_ptr_nonnull(d);
    ck_assert_int_eq(spool_dir_fence(d), SPOOL_FENCE_OURS);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        int dir = disk_open_dir(path, false);
        ck_assert_int_eq(disk_unlink(dir, "lock"), 0);
        disk_close(dir);
        ck_assert_int_eq(spool_dir_fence(d), SPOOL_FENCE_UNREADABLE);
        put("lock", texts[i]);
        ck_assert_int_eq(spool_dir_fence(d), SPOOL_FENCE_UNREADABLE);
    }
    spool_dir_close(&d);
}
END_TEST

START_TEST(links_are_not_followed)
{
    put("real", "x");
    char link[160];
    snprintf(link, sizeof(link), "%s/seg-0000000000000001.log", path);
    ck_assert_int_eq(symlink("real", link), 0);
    struct spool_dir *d = spool_dir_open(path, &small, &error);
    ck_assert(d != NULL);
    const struct spool_recovery_events ev = {.message = no_message, .damage = NULL};
    struct spool_recovery sum;
    ck_assert(spool_recover(d, &ev, NULL, &sum, &error));
    ck_assert_uint_eq(sum.damaged, 1);
    spool_dir_close(&d);
    snprintf(link, sizeof(link), "%s/elsewhere", base);
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert(spool_dir_open(link, &small, &error) == NULL);
    unlink(link);
}
END_TEST

/* ---- over the real ring ---- */

struct rig {
    struct spool *spool;
    struct io *io;
    struct timer_wheel timers;
    uint64_t committed;
    unsigned messages;
    struct spool_ref refs[64];
    struct spool_hold holds[64];
};

static void rig_done(void *ctx, const struct io_event *ev)
{
    spool_on_io(((struct rig *)ctx)->spool, ev);
}

static void rig_committed(void *ctx, uint64_t upto, enum spool_commit_result result)
{
    ck_assert(result == SPOOL_COMMITTED);
    ((struct rig *)ctx)->committed = upto;
}

static void rig_space(void *ctx)
{
    (void)ctx;
}

static void rig_message(void *ctx, unsigned worker, const struct spool_recovered *m)
{
    struct rig *r = ctx;
    ck_assert_uint_eq(worker, 0);
    ck_assert_uint_eq(m->message.id, r->messages + 1);
    r->refs[r->messages++] = m->ref;
}

static void rig_open(struct rig *r, struct spool_dir *dir)
{
    static struct io_route routes[IO_KIND_COUNT];
    for (unsigned i = 0; i < IO_KIND_COUNT; i++) {
        routes[i] = (struct io_route){"test", rig_done};
    }
    int e = 0;
    const struct spool_events ev = {rig_committed, rig_space, NULL};
    r->io = io_open(testing_backend(), 64, routes, r, &e);
    ck_assert_msg(r->io != NULL, "io_open: %s", strerror(e));
    io_wait(r->io, 0);
    timer_wheel_init(&r->timers, io_now(r->io)->mono_ms);
    r->spool = spool_open(dir, 0, r->io, &r->timers, &ev, r);
    ck_assert(r->spool);
}

static void rig_turn(struct rig *r)
{
    spool_commit(r->spool);
    io_wait(r->io, io_now(r->io)->mono_ms + 5);
    io_dispatch(r->io);
    timer_wheel_run(&r->timers, io_now(r->io)->mono_ms, r);
}

static void rig_close(struct rig *r)
{
    for (unsigned i = 0; !spool_stop(r->spool); i++) {
        ck_assert_uint_lt(i, 2000);
        rig_turn(r);
    }
    spool_close(&r->spool);
    while (io_in_flight(r->io) > 0) {
        io_wait(r->io, io_now(r->io)->mono_ms + 5);
        io_dispatch(r->io);
    }
    io_close(r->io);
}

static void rig_append(struct rig *r, unsigned i)
{
    char body[2000];
    memset(body, 'a' + (int)(i % 26), sizeof(body));
    struct iovec iov = {body, sizeof(body)};
    struct spool_rcpt rcpt = {.address = SLICE("a@example.test")};
    struct spool_message m = {.id = i + 1,
                              .body_bytes = sizeof(body),
                              .rcpts = &rcpt,
                              .rcpt_count = 1,
                              .body = &iov,
                              .body_count = 1};
    for (unsigned t = 0;; t++) {
        enum spool_append a = spool_frame_begin(r->spool, SPOOL_CLASS_MAIL,
                                                spool_message_bytes(&m));
        if (a == SPOOL_APPENDED) {
            break;
        }
        ck_assert(a == SPOOL_WAIT && t < 2000);
        rig_turn(r);
    }
    spool_add_message(r->spool, &m);
    uint64_t lsn;
    spool_frame_end(r->spool, SPOOL_URGENT, &lsn, &r->refs[i]);
    ck_assert(spool_hold(r->spool, &r->holds[i], r->refs[i]));
    while (r->committed < lsn) {
        rig_turn(r);
    }
}

START_TEST(over_the_ring)
{
    struct rig r = {0};
    const struct spool_recovery_events ev = {.message = rig_message, .damage = NULL};
    struct spool_recovery sum;
    struct spool_dir *dir = spool_dir_open(path, &small, &error);
    ck_assert(dir && spool_recover(dir, &ev, &r, &sum, &error));
    rig_open(&r, dir);
    spool_adopted(r.spool);
    for (unsigned i = 0; i < 40; i++) {
        rig_append(&r, i);
    }
    ck_assert_uint_eq(io_counters(r.io)->durable_writes, 40);
    rig_close(&r);
    spool_dir_close(&dir);

    memset(&r, 0, sizeof(r));
    dir = spool_dir_open(path, &small, &error);
    ck_assert(dir && spool_recover(dir, &ev, &r, &sum, &error));
    ck_assert_uint_eq(sum.messages_live, 40);
    ck_assert_uint_eq(sum.damaged + sum.torn, 0);
    rig_open(&r, dir);
    for (unsigned i = 0; i < 40; i++) {
        ck_assert(spool_hold(r.spool, &r.holds[i], r.refs[i]));
        struct spool_place place;
        ck_assert(spool_locate(r.spool, r.refs[i], &place));
        char raw[4096];
        ck_assert_uint_le(place.bytes, sizeof(raw));
        ck_assert_int_eq(disk_pread(place.fd, raw, place.bytes, place.offset),
                         (int64_t)place.bytes);
        struct slice body;
        struct slice bytes = slice_of(raw, place.bytes);
        ck_assert(spool_frame_body(&place, r.refs[i], bytes, i + 1, &body));
        ck_assert(body.len == 2000 && body.ptr[1999] == 'a' + (char)(i % 26));
        ck_assert(!spool_frame_body(&place, r.refs[i], bytes, i + 2, &body));
        raw[place.bytes - 100] ^= 1;
        ck_assert(!spool_frame_body(&place, r.refs[i], bytes, i + 1, &body));
    }
    spool_adopted(r.spool);
    for (unsigned i = 0; i < 40; i++) {
        spool_release(r.spool, &r.holds[i]);
    }
    struct spool_stats st;
    for (unsigned i = 0; i < 200; i++) {
        rig_turn(&r);
    }
    spool_stats(r.spool, &st);
    ck_assert_uint_eq(st.segments_reclaimed, 1);
    ck_assert(st.state == SPOOL_STATE_READY);
    rig_close(&r);
    spool_dir_close(&dir);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool dir");
    TCase *t = tcase_create("dir");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, names);
    tcase_add_test(t, second_start_is_refused);
    tcase_add_test(t, newer_version_is_refused);
    tcase_add_test(t, garbage_in_the_lock_file_is_replaced);
    tcase_add_test(t, what_is_in_the_way_is_said);
    tcase_add_test(t, a_lock_that_cannot_be_read_is_no_fence);
    tcase_add_test(t, links_are_not_followed);
    tcase_add_test(t, over_the_ring);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
