/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Content back from the spool: the right bytes, or a clear no (P6).
 */
#include "core/app/recovered.h"
#include "core/queue/queue.h"
#include "tests/unit/core/queue/rig_mail.h"

static struct rig rig;

/* What the last read brought. */
static struct {
    unsigned count;
    enum queue_read_status status;
    char *bytes;
    size_t len;
    bool in_call;
} got;

static void on_read(void *ctx, struct handle owner, enum queue_read_status status,
                    struct slice piece)
{
    ck_assert_ptr_eq(ctx, &rig);
    ck_assert_uint_eq(owner.slot, 9);
    ck_assert(!got.in_call); /* never inside queue_reader_read */
    got.count++;
    got.status = status;
    free(got.bytes);
    got.bytes = NULL;
    got.len = piece.len;
    if (piece.len) {
        got.bytes = malloc(piece.len);
        memcpy(got.bytes, piece.ptr, piece.len);
    }
}

static void setup(void)
{
    rig_init(&rig);
    rig.script = NULL;
    rig_start(&rig, NULL);
}

static void teardown(void)
{
    free(got.bytes);
    got.bytes = NULL;
    rig_stop(&rig);
    rig_remove(&rig);
}

/* A message that waits, its content on disk only. */
static struct queue_message *waiting_message(uint32_t pieces, size_t tail)
{
    const char *rcpt = "x@one.test";
    struct rig_mail mail = {"a@s.test", &rcpt, 1, 0, 0};
    uint64_t id = rig_submit_big(&rig, &mail, pieces, tail);
    for (uint32_t slot = 0;; slot++) {
        struct handle h;
        struct queue_message *m = pool_at(&rig.queue.messages, slot, &h);
        if (m && m->id == id) {
            ck_assert_ptr_null(m->body);
            return m;
        }
    }
}

static struct handle open_reader(struct queue_message *m)
{
    struct handle reader, owner = {9, 1};
    ck_assert(queue_reader_open(&rig.queue, m, on_read, &rig, owner, &reader));
    return reader;
}

static void read_piece(struct handle reader, uint32_t index)
{
    unsigned before = got.count;
    got.in_call = true;
    queue_reader_read(&rig.queue, reader, index);
    got.in_call = false;
    RIG_UNTIL(&rig, got.count > before);
}

START_TEST(every_piece)
{
    static const struct {
        uint32_t pieces;
        size_t tail;
    } rows[] = {{0, 57}, {0, 100000}, {1, 0}, {1, 1}, {5, 4096}, {12, 77777}};
    setup();
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct queue_message *m = waiting_message(rows[i].pieces, rows[i].tail);
        uint32_t count = rows[i].pieces + (rows[i].tail ? 1 : 0);
        ck_assert_uint_eq(queue_message_pieces(m), count);
        struct handle reader = open_reader(m);
        for (uint32_t k = 0; k < count; k++) {
            uint32_t index = i % 2 ? count - 1 - k : k; /* in any order */
            read_piece(reader, index);
            ck_assert_int_eq(got.status, QUEUE_READ_OK);
            ck_assert_uint_eq(got.len, index < rows[i].pieces ? RIG_PIECE_BYTES : rows[i].tail);
            ck_assert(
                rig_is_content(slice_of(got.bytes, got.len), (size_t)index * RIG_PIECE_BYTES));
        }
        queue_reader_close(&rig.queue, &reader);
        ck_assert_uint_eq(reader.gen, 0);
    }
    ck_assert_uint_eq(rig.queue.readers.used, 0);
    teardown();
}
END_TEST

static int segment_file(struct spool_ref ref)
{
    struct spool_place place;
    char path[64];
    ck_assert(spool_locate(rig.spool, ref, &place));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", place.fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* P6: any byte of the frame that is not what was written: damaged, reported, nothing given out. */
START_TEST(damage_is_found)
{
    setup();
    struct queue_message *m = waiting_message(0, 3000);
    int fd = segment_file(m->ref);
    struct handle reader = open_reader(m);
    unsigned damaged = 0;
    for (uint32_t at = 0; at < m->ref.bytes; at += 97) {
        off_t where = (off_t)(m->ref.offset + at);
        char byte, other;
        ck_assert_int_eq(pread(fd, &byte, 1, where), 1);
        other = (char)(byte ^ 0x20);
        ck_assert_int_eq(pwrite(fd, &other, 1, where), 1);
        read_piece(reader, 0);
        ck_assert_int_eq(got.status, QUEUE_READ_DAMAGED);
        ck_assert_uint_eq(got.len, 0);
        ck_assert_uint_eq(rig.queue.counters.damaged, ++damaged);
        ck_assert_int_eq(pwrite(fd, &byte, 1, where), 1);
        read_piece(reader, 0);
        ck_assert_int_eq(got.status, QUEUE_READ_OK);
    }
    ck_assert_uint_gt(damaged, 25);
    close(fd);
    queue_reader_close(&rig.queue, &reader);
    rig_stop(&rig);
    ck_assert_uint_eq(rig_log_count(&rig, "\"event\":\"spool_damage\""), damaged);
    free(got.bytes);
    rig_remove(&rig);
}
END_TEST

/* The right frame of the wrong message is damage too. */
START_TEST(another_messages_frame)
{
    setup();
    struct queue_message *m = waiting_message(0, 100), *other = waiting_message(0, 100);
    struct spool_ref ref = m->ref;
    struct handle reader = open_reader(m);
    m->ref = other->ref;
    read_piece(reader, 0);
    ck_assert_int_eq(got.status, QUEUE_READ_DAMAGED);
    m->ref = ref;
    read_piece(reader, 0);
    ck_assert_int_eq(got.status, QUEUE_READ_OK);
    queue_reader_close(&rig.queue, &reader);
    teardown();
}
END_TEST

/* A segment that is gone: an answer, and not inside the call. */
START_TEST(no_such_segment)
{
    setup();
    struct queue_message *m = waiting_message(0, 100);
    struct spool_ref ref = m->ref;
    struct handle reader = open_reader(m);
    m->ref.segment = 999999;
    read_piece(reader, 0);
    ck_assert_int_eq(got.status, QUEUE_READ_FAILED);
    m->ref = ref;
    read_piece(reader, 0); /* and the reader still works */
    ck_assert_int_eq(got.status, QUEUE_READ_OK);
    queue_reader_close(&rig.queue, &reader);
    teardown();
}
END_TEST

/* The owner goes away while the read is in the kernel: nobody is called, nothing is freed too early. */
START_TEST(closed_in_the_kernel)
{
    setup();
    struct queue_message *m = waiting_message(0, 100000);
    struct handle reader = open_reader(m), stale = reader;
    unsigned before = got.count;
    queue_reader_read(&rig.queue, reader, 0);
    queue_reader_close(&rig.queue, &reader);
    ck_assert_uint_eq(rig.queue.readers.used, 1);
    ck_assert_uint_eq(m->readers, 2); /* and the part that waits */
    RIG_UNTIL(&rig, rig.queue.readers.used == 0);
    ck_assert_uint_eq(got.count, before);
    ck_assert_uint_eq(m->readers, 1);
    /* Trap: a completion of a reader that is gone is counted and dropped, whoever has its slot now. */
    uint64_t count = io_counters(rig.io)->stale;
    reader = open_reader(m);
    ck_assert_uint_eq(reader.slot, stale.slot);
    struct io_event ev = {.kind = IO_KIND_BODY_READ, .owner = stale, .result = 5};
    queue_reader_on_io(&rig.queue, &ev);
    ck_assert_uint_eq(io_counters(rig.io)->stale, count + 1);
    ck_assert_uint_eq(got.count, before);
    read_piece(reader, 0);
    ck_assert_int_eq(got.status, QUEUE_READ_OK);
    queue_reader_close(&rig.queue, &reader);
    teardown();
}
END_TEST

/* A reader keeps its message and its place on disk. */
START_TEST(a_reader_holds_what_it_reads)
{
    struct spool_stats stats;
    setup();
    struct queue_message *m = waiting_message(0, 1000);
    struct handle reader = open_reader(m), self = m->self;
    read_piece(reader, 0);
    rig.script = rig_delivered;
    RIG_UNTIL(&rig, rig.queue.counters.delivered == 1 && list_empty(&rig.queue.batches));
    ck_assert_ptr_eq(queue_message_resolve(&rig.queue, self), m); /* ended, durable, still there */
    spool_stats(rig.spool, &stats);
    ck_assert_uint_gt(stats.bytes_live, 0);
    queue_reader_close(&rig.queue, &reader);
    ck_assert_ptr_null(queue_message_resolve(&rig.queue, self));
    rig_settle(&rig);
    teardown();
}
END_TEST

/* No reader is free: the report goes out without the original, and is not forgotten. */
START_TEST(no_reader_left)
{
    static struct handle readers[QUEUE_READERS_MAX];
    setup();
    struct queue_message *m = waiting_message(0, 100);
    struct handle one_more, owner = {9, 1};
    for (size_t i = 0; i < QUEUE_READERS_MAX; i++) {
        readers[i] = open_reader(m);
    }
    ck_assert(!queue_reader_open(&rig.queue, m, on_read, &rig, owner, &one_more));
    rig.script = rig_by_name;
    const char *rcpt = "perm@one.test";
    struct rig_mail mail = {"a@sender.test", &rcpt, 1, 0, 0};
    rig_submit_big(&rig, &mail, 0, 500);
    RIG_UNTIL(&rig, rig.queue.counters.dsn == 1 && rig.part_count == 3);
    const char *body = rig.parts[2].body ? rig.parts[2].body : rig.parts[1].body;
    ck_assert_ptr_nonnull(body);
    ck_assert_ptr_nonnull(strstr(body, "perm@one.test"));
    ck_assert_ptr_null(strstr(body, "Subject: hello"));
    for (size_t i = 0; i < QUEUE_READERS_MAX; i++) {
        queue_reader_close(&rig.queue, &readers[i]);
    }
    rig_settle(&rig);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {every_piece,     damage_is_found,      another_messages_frame,
                            no_such_segment, closed_in_the_kernel, a_reader_holds_what_it_reads,
                            no_reader_left};
    return testing_run("core/queue/reader", tests, ARRAY_COUNT(tests));
}
