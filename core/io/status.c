/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The one place where an errno becomes a status. Both tables are searched linearly: they are read only
 * on failures.
 */
#include "core/io/status.h"
#include "core/base/must.h"

#include <errno.h>

struct io_errno_row {
    int error;
    enum io_status status;
};

static const struct io_errno_row io_socket_errors[] = {
    {EINTR, IO_RETRY},
    {EAGAIN, IO_RETRY},
    {ECANCELED, IO_CANCELLED},
    {ECONNREFUSED, IO_REFUSED},
    {ENETUNREACH, IO_UNREACHABLE},
    {EHOSTUNREACH, IO_UNREACHABLE},
    {ENETDOWN, IO_UNREACHABLE},
    {EHOSTDOWN, IO_UNREACHABLE},
    {EADDRNOTAVAIL, IO_UNREACHABLE},
    {EACCES, IO_UNREACHABLE},
    {EPERM, IO_UNREACHABLE},
    {ETIMEDOUT, IO_TIMED_OUT},
    {ECONNRESET, IO_CLOSED},
    {EPIPE, IO_CLOSED},
    {ENOTCONN, IO_CLOSED},
    {ECONNABORTED, IO_CLOSED},
    {EPROTO, IO_CLOSED},
    {EMFILE, IO_EXHAUSTED},
    {ENFILE, IO_EXHAUSTED},
    {ENOMEM, IO_EXHAUSTED},
    {ENOBUFS, IO_EXHAUSTED},
    {EINVAL, IO_UNSUPPORTED},
    {EOPNOTSUPP, IO_UNSUPPORTED},
    {EAFNOSUPPORT, IO_UNREACHABLE},
};

static const struct io_errno_row io_file_errors[] = {
    {EINTR, IO_RETRY},        {EAGAIN, IO_RETRY},       {ECANCELED, IO_CANCELLED},
    {ENOSPC, IO_NO_SPACE},    {EDQUOT, IO_NO_SPACE},    {EFBIG, IO_NO_SPACE},
    {EROFS, IO_READ_ONLY},    {EPERM, IO_READ_ONLY},    {EACCES, IO_READ_ONLY},
    {ENOENT, IO_NOT_FOUND},   {EMFILE, IO_EXHAUSTED},   {ENFILE, IO_EXHAUSTED},
    {ENOMEM, IO_EXHAUSTED},   {EINVAL, IO_UNSUPPORTED}, {EOPNOTSUPP, IO_UNSUPPORTED},
    {ENOSYS, IO_UNSUPPORTED},
};

static enum io_status io_status_find(const struct io_errno_row *rows, size_t count, int error,
                                     enum io_status otherwise)
{
    must(error > 0);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].error == error) {
            return rows[i].status;
        }
    }
    return otherwise;
}

enum io_status io_status_of_socket(int error)
{
    return io_status_find(io_socket_errors, ARRAY_COUNT(io_socket_errors), error, IO_CLOSED);
}

enum io_status io_status_of_file(int error)
{
    return io_status_find(io_file_errors, ARRAY_COUNT(io_file_errors), error, IO_DISK_ERROR);
}

const char *io_status_name(enum io_status status)
{
    static const char *const names[] = {
        [IO_OK] = "ok",
        [IO_EOF] = "end of stream",
        [IO_RETRY] = "try again",
        [IO_CANCELLED] = "cancelled",
        [IO_REFUSED] = "connection refused",
        [IO_UNREACHABLE] = "unreachable",
        [IO_TIMED_OUT] = "timed out",
        [IO_CLOSED] = "connection closed",
        [IO_EXHAUSTED] = "out of resources",
        [IO_NO_SPACE] = "no space",
        [IO_READ_ONLY] = "read-only or not permitted",
        [IO_DISK_ERROR] = "disk error",
        [IO_NOT_FOUND] = "not found",
        [IO_UNSUPPORTED] = "not supported",
    };
    must((size_t)status < ARRAY_COUNT(names));
    return names[status];
}
