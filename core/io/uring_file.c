/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The io_uring back end: operations on files.
 *
 * io_write_durable: write linked to fdatasync. A short or failed write cancels the linked fdatasync;
 * after a short write the rest is written with a new pair; the fdatasync of a failed pair is never
 * repeated on its own.
 */
#include "core/io/uring.h"
#include "core/io/status.h"

#include <errno.h>

void io_openat(struct io *io, struct io_tag tag, int dir_fd, const char *path, int flags,
               unsigned mode)
{
    struct io_uring_sqe *sqe = uring_sqe(io, 0);
    io_uring_prep_openat(sqe, dir_fd, path, flags, mode);
    uring_tag(io, sqe, tag);
}

void io_read(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len, uint64_t offset)
{
    must(len > 0 && len <= INT32_MAX);
    struct io_uring_sqe *sqe = uring_sqe(io, 0);
    io_uring_prep_read(sqe, fd, ptr, (unsigned)len, offset);
    uring_tag(io, sqe, tag);
}

void io_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
              uint64_t offset)
{
    must(len > 0 && len <= INT32_MAX);
    struct io_uring_sqe *sqe = uring_sqe(io, 0);
    io_uring_prep_write(sqe, fd, ptr, (unsigned)len, offset);
    uring_tag(io, sqe, tag);
}

void io_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len)
{
    struct io_uring_sqe *sqe = uring_sqe(io, 0);
    io_uring_prep_fallocate(sqe, fd, 0, (off_t)offset, (off_t)len);
    uring_tag(io, sqe, tag);
}

void io_fsync(struct io *io, struct io_tag tag, int fd, bool data_only)
{
    struct io_uring_sqe *sqe = uring_sqe(io, 0);
    io_uring_prep_fsync(sqe, fd, data_only ? IORING_FSYNC_DATASYNC : 0);
    uring_tag(io, sqe, tag);
}

void io_close_fd(struct io *io, struct io_tag tag, int fd)
{
    struct io_uring_sqe *sqe = uring_sqe(io, 0);
    io_uring_prep_close(sqe, fd);
    uring_tag(io, sqe, tag);
}

/* ---- the durable write ---- */

static void uring_durable_submit(struct io *io, struct uring_durable *d)
{
    struct handle h = {(uint32_t)(d - io->durable), 1};
    d->pending = 2;
    /* Both entries of a link must go into one submission. */
    while (io_uring_sq_space_left(&io->ring) < 2) {
        uring_submit(io);
    }
    unsigned len = d->left > INT32_MAX ? INT32_MAX / 4096 * 4096 : (unsigned)d->left;
    struct io_uring_sqe *sqe = uring_sqe(io, 0);
    io_uring_prep_write(sqe, d->fd, d->ptr, len, d->offset);
    sqe->flags |= IOSQE_IO_LINK;
    sqe->user_data = uring_pack(URING_DURABLE_WRITE, h);
    sqe = uring_sqe(io, 0);
    io_uring_prep_fsync(sqe, d->fd, IORING_FSYNC_DATASYNC);
    sqe->user_data = uring_pack(URING_DURABLE_SYNC, h);
}

static void uring_durable_finish(struct io *io, struct uring_durable *d)
{
    if (d->write_res > 0 && (size_t)d->write_res < d->left) {
        io->counters.short_writes++;
        d->ptr += d->write_res;
        d->left -= (size_t)d->write_res;
        d->offset += (uint64_t)d->write_res;
        uring_durable_submit(io, d);
        return;
    }
    struct io_event ev = {.kind = d->tag.kind, .owner = d->tag.owner};
    int error = d->write_res < 0    ? -d->write_res
                : d->write_res == 0 ? EIO
                : d->sync_res < 0   ? -d->sync_res
                                    : 0;
    ev.error = error;
    ev.status = error ? io_status_of_file(error) : IO_OK;
    if (ev.status == IO_RETRY || ev.status == IO_CANCELLED) {
        ev.status = IO_DISK_ERROR; /* for the owner all of these mean: not durable, segment over */
    }
    if (ev.status == IO_OK) {
        io->counters.durable_writes++;
    }
    must(io->in_flight > 0);
    io->in_flight--;
    uring_deliver(io, &ev);
}

void io_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                      uint64_t offset)
{
    must(len > 0);
    for (unsigned i = 0; i < URING_DURABLE_MAX; i++) {
        struct uring_durable *d = &io->durable[i];
        if (d->pending == 0) {
            *d = (struct uring_durable){
                .tag = tag, .fd = fd, .ptr = ptr, .left = len, .offset = offset};
            io->in_flight++;
            uring_durable_submit(io, d);
            return;
        }
    }
    must(!"more durable writes in flight than URING_DURABLE_MAX");
}

void uring_on_durable(struct io *io, unsigned kind, const struct uring_cqe *cqe)
{
    uint32_t index = (uint32_t)(cqe->user_data >> 32) & (POOL_SLOTS_MAX - 1);
    must(index < URING_DURABLE_MAX);
    struct uring_durable *d = &io->durable[index];
    must(d->pending > 0);
    if (kind == URING_DURABLE_WRITE) {
        d->write_res = cqe->res;
    } else {
        d->sync_res = cqe->res;
    }
    if (--d->pending == 0) {
        uring_durable_finish(io, d);
    }
}
