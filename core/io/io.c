/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the back ends share: the checks that hold for every caller, and the way of an event to its handler.
 *
 * Why a table of functions and not one back end per link: whether io_uring may be used is known only at the
 * start, in a container often not. The price is one indirect jump per operation. Rejected: a branch in each
 * operation (two back ends in one file), and a shared object per back end.
 */
#include "core/io/backend.h"
#include "core/base/trace.h"
#include "core/io/status.h"

#include <errno.h>

struct io *io_open(const struct io_backend *backend, unsigned entries,
                   const struct io_route *routes, void *ctx, int *error)
{
    must(entries >= 2); /* a link needs two */
    must(backend != NULL && routes != NULL);
    struct io *io = backend->open(entries, error);
    if (io) {
        io->backend = backend;
        io->routes = routes;
        io->ctx = ctx;
        io->now = clock_read();
    }
    return io;
}

void io_close(struct io *io)
{
    must(io->in_flight == 0);
    io->backend->close(io);
}

uint64_t io_in_flight(const struct io *io)
{
    return io->in_flight;
}

const struct io_counters *io_counters(const struct io *io)
{
    return &io->counters;
}

void io_count_stale(struct io *io)
{
    io->counters.stale++;
}

const struct clock_now *io_now(const struct io *io)
{
    return &io->now;
}

void io_wait(struct io *io, uint64_t deadline_ms)
{
    io->backend->wait(io, deadline_ms);
}

unsigned io_dispatch(struct io *io)
{
    return io->backend->dispatch(io);
}

/* ---- events ---- */

enum io_decode io_decode_of(enum io_kind kind)
{
    static const enum io_decode decode_of[IO_KIND_COUNT] = {
#define X(kind, name, decode) [kind] = decode,
        IO_KINDS(X)
#undef X
    };
    must(kind < IO_KIND_COUNT);
    return decode_of[kind];
}

void io_decode_result(struct io_event *ev, int res)
{
    enum io_decode decode = io_decode_of(ev->kind);
    if (res >= 0) {
        ev->status = res == 0 && decode == IO_DECODE_STREAM ? IO_EOF : IO_OK;
        ev->result = res;
        return;
    }
    ev->error = -res;
    ev->status = decode == IO_DECODE_FILE ? io_status_of_file(-res) : io_status_of_socket(-res);
    if (decode == IO_DECODE_STREAM && res == -ENOBUFS) {
        ev->status = IO_RETRY;
    }
}

void io_decode_durable(struct io *io, struct io_event *ev, int error)
{
    must(io->durable_in_flight > 0);
    io->durable_in_flight--;
    ev->error = error;
    ev->status = error ? io_status_of_file(error) : IO_OK;
    if (ev->status == IO_RETRY || ev->status == IO_CANCELLED) {
        ev->status = IO_DISK_ERROR; /* for the owner all of these mean: not durable, segment over */
    }
    io->counters.durable_writes += ev->status == IO_OK;
}

void io_deliver(struct io *io, const struct io_event *ev)
{
    const struct io_route *route = &io->routes[ev->kind];
    must(route->done != NULL);
    if (!ev->more) {
        must(io->in_flight > 0);
        io->in_flight--;
    }
    io->counters.events++;
    trace_add(route->name, ev->owner.slot, (uint64_t)(uint32_t)ev->result);
    route->done(io->ctx, ev);
}

/* ---- operations ---- */

static void io_start(struct io *io, struct io_tag tag)
{
    must(tag.kind > IO_KIND_NONE && tag.kind < IO_KIND_COUNT);
    must(tag.owner.slot < POOL_SLOTS_MAX);
    io->in_flight++;
}

void io_accept(struct io *io, struct io_tag tag, int listen_fd)
{
    io_start(io, tag);
    io->backend->accept(io, tag, listen_fd);
}

void io_connect(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                socklen_t len)
{
    io_start(io, tag);
    io->backend->connect(io, tag, fd, addr, len);
}

void io_recv(struct io *io, struct io_tag tag, int fd)
{
    must(io_decode_of(tag.kind) == IO_DECODE_STREAM);
    io_start(io, tag);
    io->backend->recv(io, tag, fd);
}

void io_send(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len)
{
    must(len > 0);
    io_start(io, tag);
    io->backend->send(io, tag, fd, ptr, len);
}

void io_sendmsg(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg)
{
    must(msg->msg_iovlen > 0);
    io_start(io, tag);
    io->backend->sendmsg(io, tag, fd, msg);
}

void io_poll(struct io *io, struct io_tag tag, int fd, unsigned poll_events)
{
    io_start(io, tag);
    io->backend->poll(io, tag, fd, poll_events);
}

void io_openat(struct io *io, struct io_tag tag, int dir_fd, const char *path, int flags,
               unsigned mode)
{
    io_start(io, tag);
    io->backend->openat(io, tag, dir_fd, path, flags, mode);
}

void io_read(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len, uint64_t offset)
{
    must(len > 0 && len <= INT32_MAX);
    io_start(io, tag);
    io->backend->read(io, tag, fd, ptr, len, offset);
}

void io_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
              uint64_t offset)
{
    must(len > 0 && len <= INT32_MAX);
    io_start(io, tag);
    io->backend->write(io, tag, fd, ptr, len, offset);
}

void io_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                      uint64_t offset)
{
    must(len > 0);
    must(io->durable_in_flight < IO_DURABLE_WRITES_MAX);
    io_start(io, tag);
    io->durable_in_flight++;
    io->backend->write_durable(io, tag, fd, ptr, len, offset);
}

void io_trust_dsync(struct io *io)
{
    io->dsync = true;
}

void io_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len)
{
    io_start(io, tag);
    io->backend->fallocate(io, tag, fd, offset, len);
}

void io_fsync(struct io *io, struct io_tag tag, int fd, bool data_only)
{
    io_start(io, tag);
    io->backend->fsync(io, tag, fd, data_only);
}

void io_close_fd(struct io *io, struct io_tag tag, int fd)
{
    io_start(io, tag);
    io->backend->close_fd(io, tag, fd);
}

void io_cancel(struct io *io, struct io_tag tag)
{
    io->backend->cancel(io, tag);
}

/* ---- between threads ---- */

int io_wake_fd(const struct io *io)
{
    return io->backend->wake_fd(io);
}

void io_wake(struct io *io, int target_wake_fd)
{
    io->backend->wake(io, target_wake_fd);
}
