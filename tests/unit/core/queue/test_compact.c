/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One message that waits keeps a segment; when the rest of it is dead, the message moves. Segments are
 * 1 MiB here, bodies some 100 KiB.
 */
#include "core/app/recovered.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/crash.h"

static struct rig rig;

static void setup(void)
{
    rig_init(&rig);
    rig.schedule[0] = 60 * 60 * 1000; /* who waits, waits */
    rig.keeps_messages = true;
    rig.script = rig_by_name;
    rig_start(&rig, NULL);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
}

static struct queue_message *waiting(uint32_t pieces, size_t tail)
{
    const char *rcpts[] = {"temp@one.test", "ok@one.test"};
    uint64_t id = rig_submit_big(&rig, &(struct rig_mail){"a@s.test", rcpts, 2, 0, 0}, pieces,
                                 tail);
    struct queue_message *m = crash_find(&rig.queue, id);
    RIG_UNTIL(&rig, m->rcpts[0].attempts == 1 && m->pending_count == 0);
    return m;
}

/* So much mail that comes and goes that several segments are finished. */
static void pass_through(unsigned messages)
{
    const char *rcpt = "ok@one.test";
    for (unsigned i = 0; i < messages; i++) {
        rig_submit_big(&rig, &(struct rig_mail){"a@s.test", &rcpt, 1, 0, 0}, 0, 100000);
        rig_forget_parts(&rig);
    }
}

static void assert_content(struct queue_message *m)
{
    struct spool_place place;
    for (uint32_t i = 0; i < queue_message_pieces(m); i++) {
        struct spool_ref ref = i < m->fragment_count ? m->fragments[i].ref : m->ref;
        ck_assert(spool_locate(rig.spool, ref, &place));
        char *raw = malloc(place.bytes);
        struct slice piece;
        ck_assert_int_eq(pread(place.fd, raw, place.bytes, (off_t)place.offset),
                         (ssize_t)place.bytes);
        ck_assert(spool_frame_body(&place, ref, slice_of(raw, place.bytes), m->id, &piece));
        ck_assert(rig_is_content(piece, (size_t)i * RIG_PIECE_BYTES));
        free(raw);
    }
}

/* It moves, nothing of it changes, the old segments go, and a kill finds it as it was. */
START_TEST(a_message_moves)
{
    static const struct {
        uint32_t pieces;
        size_t tail;
    } rows[] = {{0, 500}, {2, 777}, {1, 0}};
    struct spool_stats stats;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        static struct rig after;
        setup();
        struct queue_message *m = waiting(rows[i].pieces, rows[i].tail);
        uint64_t segment = m->ref.segment, due_ms = m->rcpts[0].due_ms;
        pass_through(40);
        RIG_UNTIL(&rig, m->ref.segment > segment && !rig.queue.compaction);
        for (uint32_t k = 0; k < m->fragment_count; k++) {
            ck_assert_uint_gt(m->fragments[k].ref.segment, segment);
        }
        assert_content(m);
        ck_assert_uint_eq(m->rcpts[0].due_ms, due_ms);
        ck_assert_uint_eq(rig.queue.counters.queued, 1);
        RIG_UNTIL(&rig, rig_messages(&rig) == 1);
        spool_stats(rig.spool, &stats);
        ck_assert_uint_gt(stats.segments_reclaimed, 0);
        rig_init(&after);
        crash_copy(&rig, &after);
        after.script = NULL;
        rig_start(&after, NULL);
        crash_compare(&rig, &after);
        ck_assert_uint_eq(after.queue.counters.queued, 1);
        rig_stop(&after);
        rig_remove(&after);
        teardown();
    }
}
END_TEST

/* A reader between two pieces goes on at the new place. */
static struct {
    unsigned count;
    enum queue_read_status status;
    bool right;
} got;

static void on_read(void *ctx, struct handle owner, enum queue_read_status status,
                    struct slice piece)
{
    (void)owner;
    got.count++;
    got.status = status;
    got.right = rig_is_content(piece, *(const size_t *)ctx);
}

START_TEST(a_reader_follows)
{
    setup();
    struct queue_message *m = waiting(1, 300);
    struct handle reader;
    size_t at = 0;
    ck_assert(queue_reader_open(&rig.queue, m, on_read, &at, HANDLE_NONE, &reader));
    queue_reader_read(&rig.queue, reader, 0);
    RIG_UNTIL(&rig, got.count == 1);
    uint64_t segment = m->ref.segment;
    pass_through(40);
    RIG_UNTIL(&rig, m->ref.segment > segment && !rig.queue.compaction);
    at = RIG_PIECE_BYTES;
    queue_reader_read(&rig.queue, reader, 1);
    RIG_UNTIL(&rig, got.count == 2);
    ck_assert_int_eq(got.status, QUEUE_READ_OK);
    ck_assert(got.right);
    queue_reader_close(&rig.queue, &reader);
    teardown();
}
END_TEST

/* The hold of a reader is no message's: compaction passes it over. */
START_TEST(a_readers_hold_does_not_move)
{
    setup();
    struct queue_message *m = waiting(0, 300);
    struct handle reader;
    size_t at = 0;
    ck_assert(queue_reader_open(&rig.queue, m, on_read, &at, HANDLE_NONE, &reader));
    queue_reader_read(&rig.queue, reader, 0);
    RIG_UNTIL(&rig, got.count == 1);
    struct spool_ref before = m->ref;
    uint64_t segment = before.segment;
    pass_through(40);
    RIG_UNTIL(&rig, m->ref.segment > segment && !rig.queue.compaction);
    rig_run_ms(&rig, 50); /* only the reader's is left in the old segment */
    ck_assert_ptr_null(rig.queue.compaction);
    struct spool_hold *next = spool_compact_next(rig.spool);
    ck_assert(!next || !next->pinned);
    struct spool_place place;
    ck_assert(spool_locate(rig.spool, before, &place)); /* what it reads stays readable */
    queue_reader_close(&rig.queue, &reader);
    RIG_UNTIL(&rig, !spool_locate(rig.spool, before, &place));
    teardown();
}
END_TEST

/* Its recipients end while it moves: it goes away in order, from both places. */
START_TEST(it_ends_while_it_moves)
{
    setup();
    struct queue_message *m = waiting(2, 1000);
    struct handle self = m->self;
    uint64_t segment = m->ref.segment;
    pass_through(36);
    RIG_UNTIL(&rig, rig.queue.compaction || m->ref.segment > segment);
    m->rcpts[0].due_ms = 1; /* now */
    rig.script = rig_delivered;
    queue_schedule(&rig.queue, m);
    rig_settle(&rig);
    ck_assert_ptr_null(queue_message_resolve(&rig.queue, self));
    ck_assert_ptr_null(rig.queue.compaction);
    teardown();
}
END_TEST

/* The end of the engine while a message moves: nothing is lost. */
START_TEST(stop_while_it_moves)
{
    setup();
    struct queue_message *m = waiting(2, 1000);
    uint64_t id = m->id, segment = m->ref.segment;
    pass_through(36);
    RIG_UNTIL(&rig, rig.queue.compaction || m->ref.segment > segment);
    rig_stop(&rig);
    rig_start(&rig, NULL);
    ck_assert_uint_eq(rig.recovery.messages_live, 1);
    m = crash_find(&rig.queue, id);
    ck_assert_ptr_nonnull(m);
    assert_content(m);
    m->rcpts[0].due_ms = 1;
    rig.script = rig_delivered;
    queue_schedule(&rig.queue, m);
    rig_settle(&rig);
    teardown();
}
END_TEST

/* A message that cannot be read stays where it is, and is not tried again at once. */
START_TEST(a_damaged_message_stays)
{
    setup();
    struct queue_message *m = waiting(0, 500);
    struct spool_place place;
    char path[64];
    uint64_t segment = m->ref.segment;
    ck_assert(spool_locate(rig.spool, m->ref, &place));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", place.fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "XXXX", 4, (off_t)(m->ref.offset + m->ref.bytes / 2)), 4);
    close(fd);
    pass_through(40);
    RIG_UNTIL(&rig, rig.queue.counters.damaged > 0);
    rig_run_ms(&rig, 50);
    ck_assert_uint_eq(rig.queue.counters.damaged, 1);
    ck_assert_uint_eq(m->ref.segment, segment);
    ck_assert_ptr_null(rig.queue.compaction);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_message_moves,        a_reader_follows,    a_readers_hold_does_not_move,
        it_ends_while_it_moves, stop_while_it_moves, a_damaged_message_stays};
    return testing_run("core/queue/compact", tests, ARRAY_COUNT(tests));
}
