/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * io - the ring: every asynchronous operation of a worker
 *
 * Purpose:   a proactor. An owner starts an operation with a tag {kind, handle}; its completion is
 *            delivered later, in io_dispatch, as one event to the handler of that kind. Nothing ever
 *            completes inside the call that starts it. core/io/uring*.c do this with io_uring,
 *            core/io/epoll*.c with readiness and threads for the disk; which one is asked at run time
 *            (choose.h). A simulator links its twin of io.c.
 *
 * Owner:     a worker owns its io (io_open, io_close) and is the only one to call it. Memory that is
 *            handed to an operation (send data, read targets, sockaddrs, iovecs) belongs to the kernel
 *            until the operation's event, also after io_cancel.
 * Thread:    the one that called io_open.
 * Tags:      an owner has at most one operation of a kind in flight per handle, so {kind, handle}
 *            names it. io does not know pools: the handler resolves the handle and drops the event
 *            when it is stale (io_count_stale), it never dereferences it.
 * Events:    errno is decoded here, once, into enum io_status. `data` of a recv event lies in a shared
 *            buffer that goes back to the kernel when the handler returns: copy what must stay.
 * Limits:    the submission queue flushes itself when full. IO_DURABLE_WRITES_MAX at once. Receive buffers: IO_RECV_BUFFERS of
 *            IO_RECV_BUFFER_BYTES for the whole worker; when they run out, a recv ends IO_RETRY.
 * Errors:    io_open returns NULL and an errno; starting an operation never fails (a failure is an
 *            event like any other).
 * Durability: io_write_durable is the only call that promises it: IO_OK means that all bytes were
 *            written and an fdatasync that began after the write succeeded, or the writes themselves were
 *            synchronous (io_trust_dsync). Any other status means
 *            *not durable*, including a cancelled fdatasync after a failed or short write, and the
 *            fdatasync must never be repeated for these bytes (a second one may lie).
 */
#ifndef RINGPOST_IO_IO_H
#define RINGPOST_IO_IO_H

#include "core/base/clock.h"
#include "core/base/pool.h"
#include "core/base/slice.h"
#include "core/io/kinds.h"

#include <sys/socket.h>
#include <sys/uio.h>

enum {
    IO_RECV_BUFFERS = 128,
    IO_RECV_BUFFER_BYTES = 16 * 1024,
    IO_DURABLE_WRITES_MAX = 16, /* a spool has one group in flight; tests use some more */
};

enum io_status {
    IO_OK,
    IO_EOF,         /* recv: the peer has sent everything */
    IO_RETRY,       /* nothing happened (no receive buffer, interrupted): start it again */
    IO_CANCELLED,   /* io_cancel reached it in time */
    IO_REFUSED,     /* ECONNREFUSED */
    IO_UNREACHABLE, /* no route, network or host down, address not available */
    IO_TIMED_OUT,   /* ETIMEDOUT from the kernel */
    IO_CLOSED,      /* reset, broken pipe, not connected, aborted */
    IO_EXHAUSTED,   /* EMFILE, ENFILE, ENOMEM, ENOBUFS on accept/open: resources, try later */
    IO_NO_SPACE,    /* ENOSPC, EDQUOT, EFBIG */
    IO_READ_ONLY,   /* EROFS, EPERM, EACCES */
    IO_DISK_ERROR,  /* EIO and anything else a file operation may say */
    IO_NOT_FOUND,   /* ENOENT */
    IO_UNSUPPORTED, /* EINVAL, EOPNOTSUPP, ENOSYS: this kernel or file system cannot */
};

struct io_tag {
    enum io_kind kind;
    struct handle owner;
};

struct io_event {
    enum io_kind kind;
    enum io_status status;
    struct handle owner;
    int error;  /* the errno behind status, for messages only; 0 when none */
    int result; /* accept: descriptor; recv/send/read/write: bytes; poll: revents */
    bool more;  /* a multishot operation goes on; false: it has ended and must be started again */
    struct slice data; /* recv only */
};

/* One row per kind: the handler, and what it may expect. */
struct io_route {
    const char *name;
    void (*done)(void *ctx, const struct io_event *ev);
};

struct io_counters {
    uint64_t submits;        /* calls into the kernel */
    uint64_t ops;            /* operations started */
    uint64_t events;         /* completions delivered */
    uint64_t stale;          /* completions whose owner was gone */
    uint64_t recv_no_buffer; /* recv that ended IO_RETRY */
    uint64_t durable_writes; /* io_write_durable that ended IO_OK: one flush each */
    uint64_t short_writes;   /* continued after a short write */
};

struct io;
struct io_backend;

/* backend: of choose.h. routes: IO_KIND_COUNT rows, const for io's life. entries: submission queue size, power
 * of two. */
struct io *io_open(const struct io_backend *backend, unsigned entries,
                   const struct io_route *routes, void *ctx, int *error);
/* Everything must have completed (io_in_flight == 0). */
void io_close(struct io *io);

uint64_t io_in_flight(const struct io *io);
const struct io_counters *io_counters(const struct io *io);
void io_count_stale(struct io *io);
const char *io_status_name(enum io_status status);

/* Time as read once at the last io_wait. */
const struct clock_now *io_now(const struct io *io);

/* ---- the loop's phases ---- */

/* Submits what was started and waits until a completion is there, or until deadline (mono_ms;
 * UINT64_MAX: for ever). With deadline <= now it only submits and peeks. Reads the clock. */
void io_wait(struct io *io, uint64_t deadline_ms);
/* Copies all completions out of the kernel's queue, then calls their handlers. Returns how many. */
unsigned io_dispatch(struct io *io);

/* ---- operations ---- */

/* Multishot: one event with a descriptor (close-on-exec) per connection, until an event with !more. */
void io_accept(struct io *io, struct io_tag tag, int listen_fd);
void io_connect(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                socklen_t len);
/* One event: bytes, IO_EOF, IO_RETRY or a failure. */
void io_recv(struct io *io, struct io_tag tag, int fd);
/* The event's result may be less than len (a short send): the owner sends the rest. No SIGPIPE. */
void io_send(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len);
void io_sendmsg(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg);
/* One readiness event; poll_events as in poll(2). */
void io_poll(struct io *io, struct io_tag tag, int fd, unsigned poll_events);

void io_openat(struct io *io, struct io_tag tag, int dir_fd, const char *path, int flags,
               unsigned mode);
void io_read(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len, uint64_t offset);
void io_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
              uint64_t offset);
void io_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                      uint64_t offset);
/* From now on io_write_durable may be one write with RWF_DSYNC: for files where disk_knows_dsync says so. Saves
 * the kernel a thread per group. */
void io_trust_dsync(struct io *io);
void io_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len);
void io_fsync(struct io *io, struct io_tag tag, int fd, bool data_only);
void io_close_fd(struct io *io, struct io_tag tag, int fd);

/* Asks the kernel to end the operation {kind, owner}. Its own event still comes (IO_CANCELLED or
 * whatever it became meanwhile); the request itself has no event. */
void io_cancel(struct io *io, struct io_tag tag);

/* ---- between threads ---- */

/* The descriptor by which others reach this io with io_wake. Nobody may use it any more when io_close is called:
 * its number is soon that of another file. */
int io_wake_fd(const struct io *io);
/* Makes the io behind target_wake_fd, of the same back end, deliver an IO_KIND_MAILBOX event. */
void io_wake(struct io *io, int target_wake_fd);

#endif
