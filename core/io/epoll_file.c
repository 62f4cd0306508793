/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The epoll back end: operations on files. Readiness says nothing about a disk, so threads do the waiting.
 *
 * A durable write is one job, write and then fdatasync, so the order is that of two lines; where RWF_DSYNC can be
 * trusted it is one call. After a short write there is no fdatasync; the owner's thread counts it and submits the rest as a new job. The fdatasync of a
 * job that failed is never repeated on its own.
 */
#include "core/io/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- on a thread ---- */

/* What has no places (a pipe) takes and gives its bytes in order, as with the ring. */
static int epoll_run_read(const struct epoll_op *op)
{
    ssize_t n = pread(op->fd, op->file.ptr, op->file.len, (off_t)op->file.offset);
    if (n < 0 && errno == ESPIPE) {
        n = read(op->fd, op->file.ptr, op->file.len);
    }
    return n < 0 ? -errno : (int)n;
}

static int epoll_run_write(const struct epoll_op *op, int flags)
{
    size_t len = op->file.len > INT32_MAX ? INT32_MAX / 4096 * 4096 : op->file.len;
    struct iovec iov = {op->file.ptr, len};
    ssize_t n = flags ? pwritev2(op->fd, &iov, 1, (off_t)op->file.offset, flags)
                      : pwrite(op->fd, op->file.ptr, len, (off_t)op->file.offset);
    if (n < 0 && errno == ESPIPE) {
        n = write(op->fd, op->file.ptr, len);
    }
    return n < 0 ? -errno : (int)n;
}

/* 0: durable. > 0: that many bytes were written, and not more. */
static int epoll_run_durable(const struct epoll_op *op)
{
    bool dsync = op->file.flag;
    int n = epoll_run_write(op, dsync ? RWF_DSYNC : 0);
    if (dsync && n == -EOPNOTSUPP) { /* a file that does not know the flag: nothing was written */
        dsync = false;
        n = epoll_run_write(op, 0);
    }
    if (n == 0) {
        return -EIO;
    }
    if (n < 0 || (size_t)n < op->file.len) {
        return n;
    }
    return dsync || fdatasync(op->fd) == 0 ? 0 : -errno;
}

static int epoll_run_result(int rc)
{
    return rc < 0 ? -errno : rc;
}

void epoll_file_run(struct epoll_op *op)
{
    switch (op->what) {
    case EPOLL_OPENAT:
        op->res = epoll_run_result(openat(op->fd, op->open.path, op->open.flags, op->open.mode));
        return;
    case EPOLL_READ:
        op->res = epoll_run_read(op);
        return;
    case EPOLL_WRITE:
        op->res = epoll_run_write(op, 0);
        return;
    case EPOLL_DURABLE:
        op->res = epoll_run_durable(op);
        return;
    case EPOLL_FALLOCATE:
        op->res = epoll_run_result(
            fallocate(op->fd, 0, (off_t)op->file.offset, (off_t)op->file.len));
        return;
    case EPOLL_FSYNC:
        op->res = epoll_run_result(op->file.flag ? fdatasync(op->fd) : fsync(op->fd));
        return;
    case EPOLL_ACCEPT:
    case EPOLL_CONNECT:
    case EPOLL_RECV:
    case EPOLL_SEND:
    case EPOLL_SENDMSG:
    case EPOLL_POLL:
    case EPOLL_CLOSE:
        break;
    }
    must_never("not an operation on a file");
}

/* ---- on the owner's ---- */

bool epoll_file_durable_is_over(struct epoll *e, struct epoll_op *op)
{
    must(op->what == EPOLL_DURABLE && op->state == EPOLL_DONE);
    if (op->res <= 0) {
        return true;
    }
    must((size_t)op->res < op->file.len);
    e->io.counters.short_writes++;
    op->file.ptr = (char *)op->file.ptr + op->res;
    op->file.len -= (size_t)op->res;
    op->file.offset += (uint64_t)op->res;
    op->state = EPOLL_DISK;
    op->res = 0;
    epoll_disk_submit(&e->disk, op);
    return false;
}

static struct epoll_op *epoll_file_start(struct io *io, struct io_tag tag, enum epoll_what what,
                                         int fd)
{
    return epoll_op_new(epoll_of(io), tag, what, fd);
}

void epoll_file_openat(struct io *io, struct io_tag tag, int dir_fd, const char *path, int flags,
                       unsigned mode)
{
    struct epoll_op *op = epoll_file_start(io, tag, EPOLL_OPENAT, dir_fd);
    if (op) {
        op->open.path = path;
        op->open.flags = flags;
        op->open.mode = mode;
    }
}

void epoll_file_read(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len,
                     uint64_t offset)
{
    struct epoll_op *op = epoll_file_start(io, tag, EPOLL_READ, fd);
    if (op) {
        op->file.ptr = ptr;
        op->file.len = len;
        op->file.offset = offset;
    }
}

/* The job only reads from ptr. */
static struct epoll_op *epoll_file_start_write(struct io *io, struct io_tag tag,
                                               enum epoll_what what, int fd, const void *ptr)
{
    struct epoll_op *op = epoll_file_start(io, tag, what, fd);
    if (op) {
        op->file.ptr = (void *)(uintptr_t)ptr;
    }
    return op;
}

void epoll_file_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                      uint64_t offset)
{
    struct epoll_op *op = epoll_file_start_write(io, tag, EPOLL_WRITE, fd, ptr);
    if (op) {
        op->file.len = len;
        op->file.offset = offset;
    }
}

void epoll_file_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                              uint64_t offset)
{
    struct epoll_op *op = epoll_file_start_write(io, tag, EPOLL_DURABLE, fd, ptr);
    if (op) {
        op->file.len = len;
        op->file.offset = offset;
        op->file.flag = io->dsync;
    }
}

void epoll_file_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len)
{
    struct epoll_op *op = epoll_file_start(io, tag, EPOLL_FALLOCATE, fd);
    if (op) {
        op->file.offset = offset;
        op->file.len = len;
    }
}

void epoll_file_fsync(struct io *io, struct io_tag tag, int fd, bool data_only)
{
    struct epoll_op *op = epoll_file_start(io, tag, EPOLL_FSYNC, fd);
    if (op) {
        op->file.flag = data_only;
    }
}
