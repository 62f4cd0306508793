/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Files on the ring, and the one promise: IO_OK of io_write_durable means that every byte was written
 * and an fdatasync after it succeeded. Each way in which that can fail must say so (DESIGN 4: short
 * write, ECANCELED after a failed linked write).
 */
#include "tests/unit/core/io/ring.h"

#include <sys/stat.h>

enum { BLOCK = 4096 };

static struct ring ring;
static const struct io_tag spool_tag = {IO_KIND_SPOOL, {5, 1}};

static bool dsync; /* under test: io_trust_dsync */

static void files_open(unsigned entries)
{
    ring_open(&ring, entries);
    if (dsync) {
        io_trust_dsync(ring.io);
    }
}

static char *pattern(size_t len)
{
    char *bytes = malloc(len);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)(i * 13 >> 2);
    }
    return bytes;
}

static void assert_content(int fd, const char *want, size_t len, uint64_t offset)
{
    char *got = malloc(len + 1);
    ck_assert_int_eq(pread(fd, got, len + 1, (off_t)offset), (ssize_t)len); /* not a byte more */
    ck_assert_int_eq(memcmp(got, want, len), 0);
    free(got);
}

/* Files of this process end here (the engine ignores the signal too: signals.c). */
static void limit_files_to(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static struct io_event write_durable(int fd, const void *ptr, size_t len, uint64_t offset)
{
    io_write_durable(ring.io, spool_tag, fd, ptr, len, offset);
    ck_assert_uint_eq(io_in_flight(ring.io), 1);
    struct io_event ev = ring_next(&ring); /* one event, though it is two operations or more */
    ck_assert(ev.kind == spool_tag.kind && ev.owner.slot == spool_tag.owner.slot && !ev.more);
    ck_assert_uint_eq(io_in_flight(ring.io), 0);
    return ev;
}

START_TEST(durable_write)
{
    int fd = ring_file();
    char *bytes = pattern(5 * BLOCK);
    files_open(8);
    for (unsigned i = 1; i <= 5; i++) {
        ring_assert(write_durable(fd, bytes, i * BLOCK, BLOCK), IO_OK, 0);
        ck_assert_uint_eq(io_counters(ring.io)->durable_writes, i);
        assert_content(fd, bytes, i * BLOCK, BLOCK);
    }
    ck_assert_uint_eq(io_counters(ring.io)->short_writes, 0);
    free(bytes);
    ring_close(&ring);
}
END_TEST

/* Trap: ways to fail. Whatever the reason, it is an error, and never counted as durable. */
START_TEST(failed_writes_are_not_durable)
{
    static const struct {
        const char *path;
        int flags;
        enum io_status status;
        int error;
    } rows[] = {
        {NULL, 0, IO_DISK_ERROR, EBADF},                 /* closed: its fdatasync is cancelled */
        {"/dev/full", O_WRONLY, IO_NO_SPACE, ENOSPC},    /* the same */
        {"/etc/passwd", O_RDONLY, IO_DISK_ERROR, EBADF}, /* not for writing */
        {"/tmp", O_RDONLY | O_DIRECTORY, IO_DISK_ERROR, EBADF},
        {"/dev/null", O_WRONLY, IO_UNSUPPORTED, EINVAL}, /* written, but fdatasync refuses */
        {"/dev/zero", O_RDWR, IO_UNSUPPORTED, EINVAL},
    };
    /* Devices do not hear RWF_DSYNC: nobody trusts them with it (disk_knows_dsync). */
    size_t count = dsync ? 4 : ARRAY_COUNT(rows);
    char *bytes = pattern(BLOCK);
    files_open(8);
    for (size_t i = 0; i < count; i++) {
        int fd = rows[i].path ? open(rows[i].path, rows[i].flags) : -1;
        ring_assert(write_durable(fd, bytes, BLOCK, 0), rows[i].status, rows[i].error);
        close(fd);
    }
    ck_assert_uint_eq(io_counters(ring.io)->durable_writes, 0);
    ck_assert_uint_eq(io_counters(ring.io)->events, count);
    free(bytes);
    ring_close(&ring);
}
END_TEST

/* Trap: a short write cancels the linked fdatasync. The rest does not fit either: not durable, although
 * the second half failed and the first half stands in the file. */
START_TEST(short_write_that_cannot_go_on)
{
    int fd = ring_file();
    char *bytes = pattern(4 * BLOCK);
    files_open(8);
    limit_files_to(3 * BLOCK);
    ring_assert(write_durable(fd, bytes, 4 * BLOCK, 0), IO_NO_SPACE, EFBIG);
    ck_assert_uint_eq(io_counters(ring.io)->short_writes, 1);
    ck_assert_uint_eq(io_counters(ring.io)->durable_writes, 0);
    assert_content(fd, bytes, 3 * BLOCK, 0);
    ring_assert(write_durable(fd, bytes, BLOCK, 3 * BLOCK), IO_NO_SPACE, EFBIG); /* not a byte */
    ck_assert_uint_eq(io_counters(ring.io)->short_writes, 1);
    ring_assert(write_durable(fd, bytes, BLOCK, 0), IO_OK, 0); /* where there is room */
    free(bytes);
    ring_close(&ring);
}
END_TEST

/* The same, with room again before the rest is written: the whole is there, and durable once. */
START_TEST(short_write_is_continued)
{
    static const size_t cuts[] = {1, BLOCK, 3 * BLOCK - 1};
    char *bytes = pattern(4 * BLOCK);
    files_open(8);
    for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
        int fd = ring_file();
        ring.count = 0;
        limit_files_to(BLOCK + cuts[i]);
        io_write_durable(ring.io, spool_tag, fd, bytes, 4 * BLOCK, BLOCK);
        io_wait(ring.io, UINT64_MAX); /* the kernel has done what it could */
        limit_files_to(RLIM_INFINITY);
        ring_until(&ring, 1);
        ring_assert(ring.notes[0].ev, IO_OK, 0);
        ck_assert_uint_eq(io_counters(ring.io)->short_writes, i + 1);
        ck_assert_uint_eq(io_counters(ring.io)->durable_writes, i + 1);
        assert_content(fd, bytes, 4 * BLOCK, BLOCK);
        close(fd);
    }
    free(bytes);
    ring_close(&ring);
}
END_TEST

/* A pipe that is full: a write to it waits until drain_and_replace. */
static int full_pipe(int *reader)
{
    static char junk[BLOCK];
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    while (write(fds[1], junk, sizeof(junk)) > 0) {
    }
    ck_assert_int_eq(fcntl(fds[1], F_SETFL, 0), 0);
    *reader = fds[0];
    return fds[1];
}

/* The kernel looks a descriptor up when an operation begins. So an fdatasync that begins after the write
 * meets a regular file and succeeds; one that began earlier has met the pipe: EINVAL. */
static void drain_and_replace(int writer, int reader)
{
    static char junk[16 * BLOCK];
    int file = ring_file();
    ck_assert_int_eq(dup2(file, writer), writer);
    ck_assert_int_gt(read(reader, junk, sizeof(junk)), BLOCK);
    close(file);
}

/* The link: no fdatasync before the write is over. And a pair must not be torn apart by a submission
 * queue that is full in between: that would be no link any more. */
START_TEST(the_sync_begins_after_the_write)
{
    int fds[2], reader;
    char *bytes = pattern(BLOCK);
    ring_pair(fds);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    files_open(4);
    for (uint32_t fill = 0; fill < 9; fill++) {
        int writer = full_pipe(&reader);
        ring.count = 0;
        for (uint32_t i = 0; i < fill; i++) {
            io_poll(ring.io, ring_tag(IO_KIND_DNS, i), fds[0], POLLIN);
        }
        io_write_durable(ring.io, spool_tag, writer, bytes, BLOCK, 0);
        ring_until(&ring, fill);
        ring_peek(&ring);
        ck_assert_uint_eq(ring.count, fill);
        drain_and_replace(writer, reader);
        ring_until(&ring, fill + 1);
        ring_assert(ring.notes[fill].ev, IO_OK, 0);
        ck_assert_uint_eq(io_counters(ring.io)->durable_writes, fill + 1);
        close(writer);
        close(reader);
    }
    free(bytes);
    ring_close(&ring);
}
END_TEST

START_TEST(many_durable_writes_at_once)
{
    enum { WRITES = 16 };
    int fd = ring_file();
    char *bytes = pattern(BLOCK);
    files_open(8);
    for (unsigned round = 1; round <= 3; round++) { /* places are used again */
        ring.count = 0;
        for (uint32_t i = 0; i < WRITES; i++) {
            int where = i % 4 == 3 ? -1 : fd;
            io_write_durable(ring.io, ring_tag(IO_KIND_SPOOL, i), where, bytes, BLOCK, i * BLOCK);
        }
        ck_assert_uint_eq(io_in_flight(ring.io), WRITES);
        ring_until(&ring, WRITES);
        for (unsigned i = 0; i < WRITES; i++) { /* each its own result */
            const struct io_event *ev = &ring.notes[i].ev;
            ck_assert_int_eq(ev->status, ev->owner.slot % 4 == 3 ? IO_DISK_ERROR : IO_OK);
        }
        ck_assert_uint_eq(io_counters(ring.io)->durable_writes, round * 12);
    }
    free(bytes);
    ring_close(&ring);
}
END_TEST

static void one_write_too_many(void *ctx)
{
    (void)ctx;
    files_open(64);
    for (uint32_t i = 0; i < 17; i++) {
        io_write_durable(ring.io, ring_tag(IO_KIND_SPOOL, i), -1, "x", 1, 0);
    }
}

START_TEST(too_many_durable_writes)
{
    testing_must_abort(one_write_too_many, NULL, "IO_DURABLE_WRITES_MAX");
}
END_TEST

/* Plain writes report short ones as they are. */
START_TEST(plain_write_and_read)
{
    int fd = ring_file();
    char *bytes = pattern(4 * BLOCK);
    char *got = malloc(4 * BLOCK);
    files_open(8);
    limit_files_to(3 * BLOCK);
    io_write(ring.io, spool_tag, fd, bytes, 4 * BLOCK, 0);
    struct io_event ev = ring_next(&ring);
    ring_assert(ev, IO_OK, 0);
    ck_assert_int_eq(ev.result, 3 * BLOCK);
    io_write(ring.io, spool_tag, fd, bytes, BLOCK, 3 * BLOCK);
    ring_assert(ring_next(&ring), IO_NO_SPACE, EFBIG);
    io_read(ring.io, spool_tag, fd, got, 4 * BLOCK, BLOCK);
    ev = ring_next(&ring);
    ring_assert(ev, IO_OK, 0);
    ck_assert_int_eq(ev.result, 2 * BLOCK); /* to the end of the file */
    ck_assert_int_eq(memcmp(got, bytes + BLOCK, 2 * BLOCK), 0);
    io_read(ring.io, spool_tag, fd, got, 10, 100 * BLOCK);
    ev = ring_next(&ring);
    ring_assert(ev, IO_OK, 0); /* a file has no IO_EOF */
    ck_assert_int_eq(ev.result, 0);
    io_read(ring.io, spool_tag, -1, got, 1, 0);
    ring_assert(ring_next(&ring), IO_DISK_ERROR, EBADF);
    free(bytes);
    free(got);
    ring_close(&ring);
}
END_TEST

START_TEST(open_allocate_sync_close)
{
    char folder[] = "/var/tmp/ringpost-io-XXXXXX";
    struct stat st;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    files_open(8);
    io_openat(ring.io, spool_tag, dir, "none", O_RDWR, 0);
    ring_assert(ring_next(&ring), IO_NOT_FOUND, ENOENT);
    io_openat(ring.io, spool_tag, dir, "a", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct io_event ev = ring_next(&ring);
    ring_assert(ev, IO_OK, 0);
    int fd = ev.result;
    io_fallocate(ring.io, spool_tag, fd, 0, 10 * BLOCK);
    ring_assert(ring_next(&ring), IO_OK, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_eq(st.st_size, 10 * BLOCK);
    io_fallocate(ring.io, spool_tag, fd, 0, (uint64_t)1 << 62);
    ev = ring_next(&ring);
    ck_assert_msg(ev.status == IO_NO_SPACE, "errno %d", ev.error);
    for (int data_only = 0; data_only < 2; data_only++) {
        io_fsync(ring.io, spool_tag, fd, data_only);
        ring_assert(ring_next(&ring), IO_OK, 0);
        io_fsync(ring.io, spool_tag, dir, data_only);
        ring_assert(ring_next(&ring), IO_OK, 0);
    }
    io_fsync(ring.io, spool_tag, -1, false);
    ring_assert(ring_next(&ring), IO_DISK_ERROR, EBADF);
    io_close_fd(ring.io, ring_tag(IO_KIND_INBOUND_CLOSE, 1), fd);
    ring_assert(ring_next(&ring), IO_OK, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    unlinkat(dir, "a", 0);
    rmdir(folder);
    ring_close(&ring);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {durable_write,
                            failed_writes_are_not_durable,
                            short_write_that_cannot_go_on,
                            short_write_is_continued,
                            the_sync_begins_after_the_write,
                            many_durable_writes_at_once,
                            too_many_durable_writes,
                            plain_write_and_read,
                            open_allocate_sync_close};
    int status = ring_run("core/io/io files", tests, ARRAY_COUNT(tests));
    dsync = true;
    int again = ring_run("core/io/io files, RWF_DSYNC", tests, ARRAY_COUNT(tests));
    return status == EXIT_SUCCESS ? again : status;
}
