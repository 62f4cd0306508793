/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ring - an io whose every event is noted
 *
 * Purpose:   tests of io.h's contract, on both back ends (ring_run), start operations by hand and look at what came back, in order. A note is
 *            only ever made inside io_dispatch: anything else ends the test (DESIGN 4: a completion is
 *            never delivered inside the call that starts it).
 * Owner:     the test: ring_open … ring_close (nothing may be in flight then).
 * Thread:    the test's; one ring per thread.
 */
#ifndef RINGPOST_TESTS_IO_RING_H
#define RINGPOST_TESTS_IO_RING_H

#include "tests/unit/core/base/testing.h"
#include "tests/unit/core/io/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

enum { RING_NOTES_MAX = 8192, RING_DATA_MAX = 64, RING_WAIT_MS = 20 * 1000 };

struct ring_note {
    struct io_event ev;
    size_t data_len;
    char data[RING_DATA_MAX]; /* the beginning of what a recv brought */
};

struct ring {
    struct io *io;
    bool dispatching;
    unsigned count;
    struct ring_note notes[RING_NOTES_MAX];
};

static const struct io_backend *ring_backend; /* under test */

/* The tests on io_uring and on epoll; where epoll is wanted or all there is (./dev test --io), on that. */
static inline int ring_run(const char *name, const TTest *const *tests, size_t count)
{
    const struct io_backend *const backends[] = {&io_backend_epoll, &io_backend_uring};
    size_t wanted = testing_backend() == &io_backend_epoll ? 1 : ARRAY_COUNT(backends);
    int status = EXIT_SUCCESS;
    for (size_t i = 0; i < wanted; i++) {
        char title[64];
        ring_backend = backends[i];
        snprintf(title, sizeof(title), "%s on %s", name, io_backend_name(ring_backend));
        status = testing_run(title, tests, count) == EXIT_SUCCESS ? status : EXIT_FAILURE;
    }
    return status;
}

static inline void ring_note(void *ctx, const struct io_event *ev)
{
    struct ring *r = ctx;
    testing_that(r->dispatching);
    testing_that(r->count < RING_NOTES_MAX);
    struct ring_note *n = &r->notes[r->count++];
    n->ev = *ev;
    n->data_len = ev->data.len;
    size_t keep = ev->data.len < RING_DATA_MAX ? ev->data.len : RING_DATA_MAX;
    if (keep) {
        memcpy(n->data, ev->data.ptr, keep);
    }
    n->ev.data = (struct slice){NULL, 0}; /* the bytes go back to the kernel */
}

static inline void ring_open(struct ring *r, unsigned entries)
{
    static const struct io_route routes[IO_KIND_COUNT] = {
#define X(kind, name, decode) [kind] = {name, ring_note},
        IO_KINDS(X)
#undef X
    };
    int error = 0;
    r->dispatching = false;
    r->count = 0;
    r->io = io_open(ring_backend, entries, routes, r, &error);
    ck_assert_msg(r->io != NULL, "%s: %s", io_backend_name(ring_backend), strerror(error));
}

static inline void ring_close(struct ring *r)
{
    ck_assert_uint_eq(io_in_flight(r->io), 0);
    io_close(r->io);
    r->io = NULL;
}

static inline void ring_dispatch(struct ring *r)
{
    r->dispatching = true;
    (void)io_dispatch(r->io);
    r->dispatching = false;
}

/* Turns until there are `count` notes. */
static inline void ring_until(struct ring *r, unsigned count)
{
    uint64_t end_ms = io_now(r->io)->mono_ms + RING_WAIT_MS;
    while (r->count < count) {
        io_wait(r->io, end_ms);
        ring_dispatch(r);
        ck_assert_msg(io_now(r->io)->mono_ms < end_ms, "%u of %u events", r->count, count);
    }
    ck_assert_uint_eq(r->count, count);
}

/* Submits and takes what is there already. */
static inline void ring_peek(struct ring *r)
{
    io_wait(r->io, 0);
    ring_dispatch(r);
}

/* Waits for the next event and forgets it. */
static inline struct io_event ring_next(struct ring *r)
{
    r->count = 0;
    ring_until(r, 1);
    r->count = 0;
    return r->notes[0].ev;
}

static inline struct io_tag ring_tag(enum io_kind kind, uint32_t slot)
{
    return (struct io_tag){kind, {slot, 1}};
}

static inline void ring_pair(int fds[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* An open file without a name, on a real file system. */
static inline int ring_file(void)
{
    char path[] = "/var/tmp/ringpost-io-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    return fd;
}

/* One status and errno, with the whole event shown when it is another. */
#define ring_assert(event, want_status, want_error)                                                \
    do {                                                                                           \
        const struct io_event ring_ev = (event);                                                   \
        ck_assert_msg(ring_ev.status == (want_status) && ring_ev.error == (want_error),            \
                      "%s (errno %d, result %d)", io_status_name(ring_ev.status), ring_ev.error,   \
                      ring_ev.result);                                                             \
    } while (0)

#endif
