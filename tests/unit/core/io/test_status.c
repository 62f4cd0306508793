/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/io/status.h"
#include "tests/unit/core/base/testing.h"

#include <errno.h>

/* What each errno means to the code above: retried, told to the client, or the end of a connection. */
START_TEST(every_errno_has_a_meaning)
{
    static const struct {
        int error;
        enum io_status socket, file;
    } rows[] = {
        {EINTR, IO_RETRY, IO_RETRY},
        {EAGAIN, IO_RETRY, IO_RETRY},
        {ECANCELED, IO_CANCELLED, IO_CANCELLED},
        {ECONNREFUSED, IO_REFUSED, IO_DISK_ERROR},
        {ENETUNREACH, IO_UNREACHABLE, IO_DISK_ERROR},
        {EHOSTUNREACH, IO_UNREACHABLE, IO_DISK_ERROR},
        {EADDRNOTAVAIL, IO_UNREACHABLE, IO_DISK_ERROR},
        {EAFNOSUPPORT, IO_UNREACHABLE, IO_DISK_ERROR},
        {EACCES, IO_UNREACHABLE, IO_READ_ONLY}, /* a firewall; a directory */
        {EPERM, IO_UNREACHABLE, IO_READ_ONLY},
        {EROFS, IO_CLOSED, IO_READ_ONLY},
        {ETIMEDOUT, IO_TIMED_OUT, IO_DISK_ERROR},
        {ECONNRESET, IO_CLOSED, IO_DISK_ERROR},
        {EPIPE, IO_CLOSED, IO_DISK_ERROR},
        {ENOTCONN, IO_CLOSED, IO_DISK_ERROR},
        {ECONNABORTED, IO_CLOSED, IO_DISK_ERROR},
        {EBADF, IO_CLOSED, IO_DISK_ERROR},
        {EMFILE, IO_EXHAUSTED, IO_EXHAUSTED},
        {ENFILE, IO_EXHAUSTED, IO_EXHAUSTED},
        {ENOMEM, IO_EXHAUSTED, IO_EXHAUSTED},
        {ENOBUFS, IO_EXHAUSTED, IO_DISK_ERROR},
        {ENOSPC, IO_CLOSED, IO_NO_SPACE},
        {EDQUOT, IO_CLOSED, IO_NO_SPACE},
        {EFBIG, IO_CLOSED, IO_NO_SPACE},
        {ENOENT, IO_CLOSED, IO_NOT_FOUND},
        {EIO, IO_CLOSED, IO_DISK_ERROR},
        {EINVAL, IO_UNSUPPORTED, IO_UNSUPPORTED},
        {EOPNOTSUPP, IO_UNSUPPORTED, IO_UNSUPPORTED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        ck_assert_msg(io_status_of_socket(rows[i].error) == rows[i].socket, "socket errno %d: %s",
                      rows[i].error, io_status_name(io_status_of_socket(rows[i].error)));
        ck_assert_msg(io_status_of_file(rows[i].error) == rows[i].file, "file errno %d: %s",
                      rows[i].error, io_status_name(io_status_of_file(rows[i].error)));
    }
}
END_TEST

/* No errno is success or an orderly end, whatever kernels to come may say. */
START_TEST(no_errno_is_success)
{
    for (int error = 1; error < 4096; error++) {
        enum io_status socket = io_status_of_socket(error), file = io_status_of_file(error);
        testing_that(socket != IO_OK && socket != IO_EOF);
        testing_that(file != IO_OK && file != IO_EOF);
    }
}
END_TEST

START_TEST(every_status_has_a_name)
{
    for (int status = IO_OK; status <= IO_UNSUPPORTED; status++) {
        const char *name = io_status_name((enum io_status)status);
        ck_assert_ptr_nonnull(name);
        for (int other = IO_OK; other < status; other++) {
            ck_assert_str_ne(name, io_status_name((enum io_status)other));
        }
    }
}
END_TEST

static void name_of_none(void *ctx)
{
    (void)ctx;
    puts(io_status_name((enum io_status)(IO_UNSUPPORTED + 1)));
}

static void status_of_success(void *ctx)
{
    (void)ctx;
    (void)io_status_of_file(0);
}

START_TEST(misuse_aborts)
{
    testing_must_abort(name_of_none, NULL, "ARRAY_COUNT(names)");
    testing_must_abort(status_of_success, NULL, "error > 0");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {every_errno_has_a_meaning, no_errno_is_success, every_status_has_a_name,
                            misuse_aborts};
    return testing_run("core/io/status", tests, ARRAY_COUNT(tests));
}
