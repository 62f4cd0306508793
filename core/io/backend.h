/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * backend - what a back end of io.h is, for those who make one
 *
 * Purpose:   io.h's operations are one table of functions per back end; core/io/io.c checks what every
 *            owner must keep to and makes the one indirect call. Nobody above core/io includes this.
 * Owner:     struct io is the first part of each back end's own struct (struct uring, struct epoll).
 * Thread:    that of the io.
 * Errors:    open says why not in *error; no other function can fail.
 */
#ifndef RINGPOST_IO_BACKEND_H
#define RINGPOST_IO_BACKEND_H

#include "core/base/must.h"
#include "core/io/io.h"

struct io_backend {
    const char *name; /* in the log, in `queue stats`, and the word of the key io.backend */
    struct io *(*open)(unsigned entries, int *error);
    void (*close)(struct io *io);
    void (*wait)(struct io *io, uint64_t deadline_ms);
    unsigned (*dispatch)(struct io *io);

    void (*accept)(struct io *io, struct io_tag tag, int listen_fd);
    void (*connect)(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                    socklen_t len);
    void (*recv)(struct io *io, struct io_tag tag, int fd);
    void (*send)(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len);
    void (*sendmsg)(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg);
    void (*poll)(struct io *io, struct io_tag tag, int fd, unsigned poll_events);

    void (*openat)(struct io *io, struct io_tag tag, int dir_fd, const char *path, int flags,
                   unsigned mode);
    void (*read)(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len, uint64_t offset);
    void (*write)(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                  uint64_t offset);
    void (*write_durable)(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                          uint64_t offset);
    void (*fallocate)(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len);
    void (*fsync)(struct io *io, struct io_tag tag, int fd, bool data_only);
    void (*close_fd)(struct io *io, struct io_tag tag, int fd);
    void (*cancel)(struct io *io, struct io_tag tag);

    int (*wake_fd)(const struct io *io);
    void (*wake)(struct io *io, int target_wake_fd);
};

/* What every io has. in_flight counts operations from their start to their last event. */
struct io {
    const struct io_backend *backend;
    const struct io_route *routes;
    void *ctx;
    struct clock_now now;
    uint64_t in_flight;
    unsigned durable_in_flight; /* IO_DURABLE_WRITES_MAX at most */
    bool dsync;                 /* io_trust_dsync */
    struct io_counters counters;
};

/* How results of this kind are read (kinds.h). */
enum io_decode io_decode_of(enum io_kind kind);
/* Status, errno and result of an event whose kind is set, from what the kernel said (-errno or >= 0). */
void io_decode_result(struct io_event *ev, int res);
/* The same for the end of a durable write: 0 or an errno. Takes it off durable_in_flight. */
void io_decode_durable(struct io *io, struct io_event *ev, int error);
/* Hands the event to its kind's handler; without `more` the operation is over. */
void io_deliver(struct io *io, const struct io_event *ev);

#endif
