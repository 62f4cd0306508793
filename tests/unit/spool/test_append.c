/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What an append answers: waiting, full, failed; lazy and urgent commits; the reserve that lets a full
 * disk drain; who wakes the loop when.
 */
#include "tests/unit/spool/fake_io.c"
#include "tests/unit/spool/model.c"

struct rig {
    struct spool_dir *dir;
    struct spool *spool;
    struct timer_wheel timers;
    uint64_t committed;
    uint64_t lost;
    unsigned spaces;
    unsigned incidents[8];
};

static void rig_committed(void *ctx, uint64_t upto, enum spool_commit_result result)
{
    struct rig *r = ctx;
    *(result == SPOOL_COMMITTED ? &r->committed : &r->lost) = upto;
}

static void rig_space(void *ctx)
{
    ((struct rig *)ctx)->spaces++;
}

static void rig_incident(void *ctx, enum spool_incident what, uint64_t segment, int error)
{
    (void)segment;
    (void)error;
    ((struct rig *)ctx)->incidents[what]++;
}

static void rig_message(void *ctx, unsigned worker, const struct spool_recovered *m)
{
    (void)ctx;
    (void)worker;
    (void)m;
}

static void rig_io(void *ctx, unsigned index, const struct io_event *ev)
{
    (void)index;
    spool_on_io(((struct rig *)ctx)->spool, ev);
}

static void rig_turns(struct rig *r, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        timer_wheel_run(&r->timers, fake_time(), NULL);
        spool_commit(r->spool);
        (void)fake_step(rig_io, r);
        fake_time_set(fake_time() + 1);
    }
}

static void rig_open(struct rig *r)
{
    struct buf error;
    buf_init(&error, 512);
    memset(r, 0, sizeof(*r));
    const struct spool_options o = {.segment_bytes = SPOOL_SEGMENT_BYTES_MIN, .buffers = 2};
    const struct spool_recovery_events re = {.message = rig_message, .damage = NULL};
    const struct spool_events ev = {rig_committed, rig_space, rig_incident};
    struct spool_recovery sum;
    r->dir = spool_dir_open("spool", &o, &error);
    ck_assert(r->dir && spool_recover(r->dir, &re, r, &sum, &error));
    timer_wheel_init(&r->timers, fake_time());
    r->spool = spool_open(r->dir, 0, fake_io(0), &r->timers, &ev, r);
    ck_assert(r->spool);
    spool_adopted(r->spool);
    buf_deinit(&error);
}

static void rig_close(struct rig *r)
{
    for (unsigned i = 0; !spool_stop(r->spool) && i < 1000; i++) {
        rig_turns(r, 1);
    }
    spool_close(&r->spool);
    spool_dir_close(&r->dir);
}

static enum spool_append rig_append(struct rig *r, enum spool_class cls, size_t bytes,
                                    enum spool_urgency urgency, struct spool_ref *ref)
{
    static const char body[LIMIT_BODY_FRAGMENT_BYTES];
    enum spool_append a = spool_frame_begin(r->spool, cls, spool_fragment_bytes(bytes));
    if (a == SPOOL_APPENDED) {
        uint64_t lsn;
        spool_add_fragment(r->spool, 1, 0, slice_of(body, bytes));
        spool_frame_end(r->spool, urgency, &lsn, ref);
    }
    return a;
}

START_TEST(waits_for_the_first_segment)
{
    struct rig r;
    struct spool_ref ref;
    fake_init(1);
    rig_open(&r);
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 10, SPOOL_URGENT, &ref) == SPOOL_WAIT);
    ck_assert(!spool_ready(r.spool));
    ck_assert(spool_takes_mail(r.spool) == SPOOL_WAIT); /* it may come in */
    ck_assert(!spool_records(r.spool));                 /* nothing may go out */
    ck_assert_uint_eq(spool_commit_due_ms(r.spool), TIMER_NEVER);
    rig_turns(&r, 30);
    ck_assert_uint_eq(r.spaces, 1);
    ck_assert(spool_ready(r.spool) && spool_records(r.spool));
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 10, SPOOL_URGENT, &ref) == SPOOL_APPENDED);
    ck_assert_uint_eq(ref.offset % 8, 0);
    rig_close(&r);
    fake_deinit();
}
END_TEST

START_TEST(urgent_goes_at_once_lazy_waits)
{
    struct rig r;
    struct spool_ref ref;
    fake_init(1);
    rig_open(&r);
    rig_turns(&r, 30);
    uint64_t now = fake_time();
    ck_assert(rig_append(&r, SPOOL_CLASS_RESULT, 10, SPOOL_LAZY, &ref) == SPOOL_APPENDED);
    ck_assert_uint_eq(spool_commit_due_ms(r.spool), now + 5);
    uint64_t before = fake_durable_writes();
    spool_commit(r.spool);
    ck_assert(!fake_step(rig_io, &r));
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 10, SPOOL_URGENT, &ref) == SPOOL_APPENDED);
    ck_assert_uint_eq(spool_commit_due_ms(r.spool), 0);
    spool_commit(r.spool);
    ck_assert_uint_eq(spool_commit_due_ms(r.spool), TIMER_NEVER); /* in the kernel */
    ck_assert_uint_eq(r.committed, 0);
    ck_assert(fake_step(rig_io, &r));
    ck_assert_uint_eq(fake_durable_writes(), before + 1); /* one flush for both */
    ck_assert_uint_eq(r.committed, spool_decided_lsn(r.spool));
    ck_assert(rig_append(&r, SPOOL_CLASS_RESULT, 10, SPOOL_LAZY, &ref) == SPOOL_APPENDED);
    fake_time_set(fake_time() + 5);
    spool_commit(r.spool);
    ck_assert(fake_step(rig_io, &r));
    ck_assert_uint_eq(fake_durable_writes(), before + 2);
    rig_close(&r);
    fake_deinit();
}
END_TEST

START_TEST(cancelled_frames_leave_nothing)
{
    struct rig r;
    struct spool_ref ref;
    fake_init(1);
    rig_open(&r);
    rig_turns(&r, 30);
    uint64_t before = fake_durable_writes();
    ck_assert(spool_frame_begin(r.spool, SPOOL_CLASS_MAIL, 1000) == SPOOL_APPENDED);
    spool_frame_cancel(r.spool);
    rig_turns(&r, 30);
    ck_assert_uint_eq(fake_durable_writes(), before);
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 10, SPOOL_URGENT, &ref) == SPOOL_APPENDED);
    rig_turns(&r, 5);
    ck_assert_uint_gt(r.committed, 0);
    rig_close(&r);
    fake_deinit();
}
END_TEST

START_TEST(buffers_run_out)
{
    struct rig r;
    struct spool_ref ref;
    fake_init(1);
    rig_open(&r);
    rig_turns(&r, 60);
    enum spool_append a = SPOOL_APPENDED;
    unsigned n = 0;
    while (a == SPOOL_APPENDED) {
        a = rig_append(&r, SPOOL_CLASS_MAIL, LIMIT_BODY_FRAGMENT_BYTES, SPOOL_URGENT, &ref);
        n += a == SPOOL_APPENDED ? 1 : 0;
        ck_assert_uint_lt(n, 30);
    }
    ck_assert(a == SPOOL_WAIT);
    ck_assert_uint_ge(n, 6);
    unsigned spaces = r.spaces;
    rig_turns(&r, 60);
    ck_assert_uint_gt(r.spaces, spaces);
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 1000, SPOOL_URGENT, &ref) == SPOOL_APPENDED);
    rig_close(&r);
    fake_deinit();
}
END_TEST

/* Room for two segments: mail stops with FULL, results go on, and when the old segment's mail has been
 * delivered its file is used again: mail flows without a byte more of disk. */
START_TEST(full_disk_drains)
{
    struct rig r;
    struct spool_ref ref;
    struct spool_hold holds[64] = {0};
    unsigned n = 0;
    fake_init(1);
    fake_space_set(2 * SPOOL_SEGMENT_BYTES_MIN + 64 * 1024);
    rig_open(&r);
    rig_turns(&r, 60);
    enum spool_append a;
    for (;;) {
        a = rig_append(&r, SPOOL_CLASS_MAIL, 100 * 1024, SPOOL_URGENT, &ref);
        if (a == SPOOL_FULL) {
            break;
        }
        if (a == SPOOL_APPENDED) {
            ck_assert(spool_hold(r.spool, &holds[n++], ref));
        }
        rig_turns(&r, 20);
        ck_assert_uint_lt(n, 60);
    }
    ck_assert_uint_gt(n, 12);
    ck_assert(!spool_ready(r.spool));
    ck_assert(spool_takes_mail(r.spool) == SPOOL_FULL);
    struct spool_stats st;
    spool_stats(r.spool, &st);
    ck_assert(st.full && st.state == SPOOL_STATE_READY);
    ck_assert(!st.ready && st.health == SPOOL_HEALTH_FULL);
    ck_assert_uint_eq(r.lost, 0);                                 /* ENOSPC never met a commit */
    ck_assert_uint_eq(r.incidents[SPOOL_INCIDENT_NO_SEGMENT], 1); /* said once, tried on and on */
    /* What ends nothing is refused like mail: the last bytes are for what brings room back. */
    ck_assert(rig_append(&r, SPOOL_CLASS_DEFERRAL, 100 * 1024, SPOOL_LAZY, &ref) == SPOOL_FULL);
    ck_assert(rig_append(&r, SPOOL_CLASS_COMPACT, 60 * 1024, SPOOL_LAZY, &ref) == SPOOL_APPENDED);
    ck_assert_uint_gt(spool_commit_due_ms(r.spool),
                      fake_time() + 5); /* and few blocks are padded */
    for (unsigned i = 0; i < 10; i++) {
        ck_assert(rig_append(&r, SPOOL_CLASS_RESULT, 500, SPOOL_LAZY, &ref) == SPOOL_APPENDED);
        rig_turns(&r, 10);
    }
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 100 * 1024, SPOOL_URGENT, &ref) == SPOOL_FULL);
    uint64_t first = holds[0].segment;
    for (unsigned i = 0; i < n; i++) {
        if (holds[i].segment == first) {
            spool_release(r.spool, &holds[i]);
        }
    }
    unsigned spaces = r.spaces;
    rig_turns(&r, 60);
    ck_assert_uint_gt(r.spaces, spaces);
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 100 * 1024, SPOOL_URGENT, &ref) == SPOOL_APPENDED);
    ck_assert(spool_ready(r.spool));
    for (unsigned i = 0; i < n; i++) {
        spool_release(r.spool, &holds[i]);
    }
    rig_close(&r);
    fake_deinit();
}
END_TEST

/* One old message pins many dead segments: it is named, and once it has moved all of them go. */
START_TEST(compaction_unpins)
{
    struct rig r;
    struct spool_ref ref;
    struct spool_hold old = {0};
    fake_init(1);
    rig_open(&r);
    rig_turns(&r, 60);
    ck_assert(spool_compact_next(r.spool) == NULL);
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 2000, SPOOL_URGENT, &ref) == SPOOL_APPENDED);
    ck_assert(spool_hold(r.spool, &old, ref));
    for (unsigned i = 0; i < 60; i++) {
        ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 120 * 1024, SPOOL_URGENT, &ref) ==
                  SPOOL_APPENDED);
        rig_turns(&r, 20);
    }
    unsigned pinned = fake_file_count("seg-");
    ck_assert_uint_gt(pinned, 6);
    ck_assert(spool_compact_next(r.spool) == &old);
    ck_assert(rig_append(&r, SPOOL_CLASS_COMPACT, 2000, SPOOL_LAZY, &ref) == SPOOL_APPENDED);
    struct spool_hold moved = {0};
    ck_assert(spool_hold(r.spool, &moved, ref));
    rig_turns(&r, 20);
    spool_release(r.spool, &old);
    rig_turns(&r, 60);
    ck_assert_uint_le(fake_file_count("seg-"), 2);
    ck_assert(spool_compact_next(r.spool) == NULL);
    struct spool_place place;
    ck_assert(spool_locate(r.spool, ref, &place));
    spool_release(r.spool, &moved);
    ck_assert(!spool_hold(r.spool, &moved, (struct spool_ref){12345678, 4096, 100}));
    rig_close(&r);
    fake_deinit();
}
END_TEST

/* Another engine has written its token: at the next segment this one stops for good. */
START_TEST(fenced_engine_stops)
{
    struct rig r;
    struct spool_ref ref;
    fake_init(1);
    rig_open(&r);
    rig_turns(&r, 60);
    static const char text[] = "ringpost spool 1.0\npid 1\ntoken 42\n";
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        fake_file_poke("lock", i, (uint8_t)text[i]);
    }
    enum spool_append a = SPOOL_APPENDED;
    for (unsigned i = 0; i < 100 && a != SPOOL_FAILED; i++) {
        a = rig_append(&r, SPOOL_CLASS_MAIL, 100 * 1024, SPOOL_URGENT, &ref);
        rig_turns(&r, 10);
    }
    ck_assert(a == SPOOL_FAILED);
    ck_assert_uint_eq(r.incidents[SPOOL_INCIDENT_FENCED], 1);
    struct spool_stats st;
    spool_stats(r.spool, &st);
    ck_assert(st.state == SPOOL_STATE_FENCED);
    rig_close(&r);
    fake_deinit();
}
END_TEST

/* It is noticed by the look of each second, too: nothing more is taken, though the segment has room. */
START_TEST(fence_is_seen_by_a_look)
{
    struct rig r;
    struct spool_ref ref;
    struct spool_room_look look;
    fake_init(1);
    rig_open(&r);
    rig_turns(&r, 60);
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 100, SPOOL_URGENT, &ref) == SPOOL_APPENDED);
    rig_turns(&r, 60);
    spool_dir_look(r.dir, &(struct spool_room_limits){0}, &look); /* still ours */
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 100, SPOOL_URGENT, &ref) == SPOOL_APPENDED);
    rig_turns(&r, 60);
    ck_assert_uint_eq(r.incidents[SPOOL_INCIDENT_FENCED], 0);
    static const char text[] = "ringpost spool 1.0\npid 1\ntoken 42\n";
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        fake_file_poke("lock", i, (uint8_t)text[i]);
    }
    spool_dir_look(r.dir, &(struct spool_room_limits){0}, &look);
    uint64_t committed = r.committed;
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 100, SPOOL_URGENT, &ref) == SPOOL_APPENDED);
    rig_turns(&r, 60);
    ck_assert_uint_eq(r.incidents[SPOOL_INCIDENT_FENCED], 1);
    ck_assert_uint_eq(r.committed, committed); /* no 250 for what the other engine has not read */
    ck_assert_uint_gt(r.lost, committed);
    ck_assert(rig_append(&r, SPOOL_CLASS_MAIL, 100, SPOOL_URGENT, &ref) == SPOOL_FAILED);
    rig_close(&r);
    fake_deinit();
}
END_TEST

START_TEST(stale_events_are_counted)
{
    struct rig r;
    fake_init(1);
    rig_open(&r);
    rig_turns(&r, 60);
    const struct io_event ev = {.kind = IO_KIND_SPOOL, .status = IO_OK, .owner = {0, 77}};
    spool_on_io(r.spool, &ev);
    const struct io_event far = {.kind = IO_KIND_SPOOL, .status = IO_OK, .owner = {99, 1}};
    spool_on_io(r.spool, &far);
    ck_assert_uint_eq(r.committed, 0);
    rig_close(&r);
    fake_deinit();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spool append");
    TCase *t = tcase_create("append");
    tcase_add_test(t, waits_for_the_first_segment);
    tcase_add_test(t, urgent_goes_at_once_lazy_waits);
    tcase_add_test(t, cancelled_frames_leave_nothing);
    tcase_add_test(t, buffers_run_out);
    tcase_add_test(t, full_disk_drains);
    tcase_add_test(t, compaction_unpins);
    tcase_add_test(t, fenced_engine_stops);
    tcase_add_test(t, fence_is_seen_by_a_look);
    tcase_add_test(t, stale_events_are_counted);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
