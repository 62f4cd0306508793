/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The io_uring back end: operations on files.
 *
 * io_write_durable: write linked to fdatasync. A short or failed write cancels the linked fdatasync;
 * after a short write the rest is written with a new pair; the fdatasync of a failed pair is never
 * repeated on its own. Where RWF_DSYNC can be trusted: one write, which needs no thread of the kernel's pool
 * for the flush.
 */
#include "core/io/uring.h"

#include <errno.h>

void uring_openat(struct io *io, struct io_tag tag, int dir_fd, const char *path, int flags,
                  unsigned mode)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_openat(sqe, dir_fd, path, flags, mode);
    uring_tag(sqe, tag);
}

void uring_read(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len, uint64_t offset)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_read(sqe, fd, ptr, (unsigned)len, offset);
    uring_tag(sqe, tag);
}

void uring_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                 uint64_t offset)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_write(sqe, fd, ptr, (unsigned)len, offset);
    uring_tag(sqe, tag);
}

void uring_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_fallocate(sqe, fd, 0, (off_t)offset, (off_t)len);
    uring_tag(sqe, tag);
}

void uring_fsync(struct io *io, struct io_tag tag, int fd, bool data_only)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_fsync(sqe, fd, data_only ? IORING_FSYNC_DATASYNC : 0);
    uring_tag(sqe, tag);
}

void uring_close_fd(struct io *io, struct io_tag tag, int fd)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(io));
    io_uring_prep_close(sqe, fd);
    uring_tag(sqe, tag);
}

/* ---- the durable write ---- */

static void uring_durable_submit(struct uring *u, struct uring_durable *d)
{
    struct handle h = {(uint32_t)(d - u->durable), 1};
    unsigned len = d->left > INT32_MAX ? INT32_MAX / 4096 * 4096 : (unsigned)d->left;
    d->pending = u->io.dsync ? 1 : 2;
    d->sync_res = 0;
    /* Both entries of a link must go into one submission. */
    while (io_uring_sq_space_left(&u->ring) < d->pending) {
        uring_submit(u);
    }
    struct io_uring_sqe *sqe = uring_sqe(u);
    io_uring_prep_write(sqe, d->fd, d->ptr, len, d->offset);
    sqe->user_data = uring_pack(URING_DURABLE_WRITE, h);
    if (u->io.dsync) {
        sqe->rw_flags = RWF_DSYNC;
        return;
    }
    sqe->flags |= IOSQE_IO_LINK;
    sqe = uring_sqe(u);
    io_uring_prep_fsync(sqe, d->fd, IORING_FSYNC_DATASYNC);
    sqe->user_data = uring_pack(URING_DURABLE_SYNC, h);
}

static void uring_durable_finish(struct uring *u, struct uring_durable *d)
{
    if (d->write_res > 0 && (size_t)d->write_res < d->left) {
        u->io.counters.short_writes++;
        d->ptr += d->write_res;
        d->left -= (size_t)d->write_res;
        d->offset += (uint64_t)d->write_res;
        uring_durable_submit(u, d);
        return;
    }
    struct io_event ev = {.kind = d->tag.kind, .owner = d->tag.owner};
    int error = d->write_res < 0    ? -d->write_res
                : d->write_res == 0 ? EIO
                : d->sync_res < 0   ? -d->sync_res
                                    : 0;
    io_decode_durable(&u->io, &ev, error);
    io_deliver(&u->io, &ev);
}

void uring_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                         uint64_t offset)
{
    struct uring *u = uring_of(io);
    for (unsigned i = 0; i < IO_DURABLE_WRITES_MAX; i++) {
        struct uring_durable *d = &u->durable[i];
        if (d->pending == 0) {
            *d = (struct uring_durable){
                .tag = tag, .fd = fd, .ptr = ptr, .left = len, .offset = offset};
            uring_durable_submit(u, d);
            return;
        }
    }
    must_never("durable_in_flight is wrong");
}

void uring_on_durable(struct uring *u, unsigned kind, const struct uring_cqe *cqe)
{
    uint32_t index = (uint32_t)(cqe->user_data >> 32) & (POOL_SLOTS_MAX - 1);
    must(index < IO_DURABLE_WRITES_MAX);
    struct uring_durable *d = &u->durable[index];
    must(d->pending > 0);
    if (kind == URING_DURABLE_WRITE) {
        d->write_res = cqe->res;
    } else {
        d->sync_res = cqe->res;
    }
    if (--d->pending == 0) {
        uring_durable_finish(u, d);
    }
}
