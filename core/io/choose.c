/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One row per operation that the engine starts. Files are in memory (memfd), sockets are a pair and a listener without a name in the
 * file system, so nothing outside of the process is touched.
 */
#include "core/io/choose.h"
#include "core/io/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

enum { IO_TRY_MS = 2000, IO_TRY_END_MS = 200, IO_TRY_BYTES = 8 };

struct io_trial {
    struct io *io;
    int pair[2]; /* one end is ours, the other the peer's */
    int file;
    int listener;
    int client;
    struct sockaddr_un address;
    socklen_t address_len;
    char bytes[IO_TRY_BYTES];
    struct iovec iov;
    struct msghdr msg;
    bool told; /* the event is here */
    struct io_event event;
};

static const struct io_tag io_trial_tag = {IO_KIND_SIGNAL, {0, 1}};
static const struct io_tag io_trial_stream = {IO_KIND_ADMIN_RECV, {0, 1}};
static const struct io_tag io_trial_accept = {IO_KIND_LISTENER_ACCEPT, {0, 1}};

static void io_trial_done(void *ctx, const struct io_event *ev)
{
    struct io_trial *t = ctx;
    bool accept = ev->kind == IO_KIND_LISTENER_ACCEPT;
    if (accept && ev->status == IO_OK) {
        close(ev->result);
    }
    if (accept && ev->status == IO_CANCELLED) {
        return; /* by us, when its connection was there */
    }
    t->event = *ev;
    t->told = true;
}

/* ---- the operations ---- */

static void try_poll(struct io_trial *t)
{
    io_poll(t->io, io_trial_tag, t->pair[0], POLLOUT);
}

static void try_cancel(struct io_trial *t)
{
    io_poll(t->io, io_trial_tag, t->pair[0], POLLIN);
    io_cancel(t->io, io_trial_tag);
}

static void try_send(struct io_trial *t)
{
    io_send(t->io, io_trial_tag, t->pair[0], t->bytes, sizeof(t->bytes));
}

static void try_sendmsg(struct io_trial *t)
{
    t->iov = (struct iovec){t->bytes, sizeof(t->bytes)};
    t->msg = (struct msghdr){.msg_iov = &t->iov, .msg_iovlen = 1};
    io_sendmsg(t->io, io_trial_tag, t->pair[0], &t->msg);
}

static void try_recv(struct io_trial *t)
{
    io_recv(t->io, io_trial_stream, t->pair[1]);
}

static void try_connect(struct io_trial *t)
{
    io_connect(t->io, io_trial_tag, t->client, (struct sockaddr *)&t->address, t->address_len);
}

/* The client of try_connect waits. */
static void try_accept(struct io_trial *t)
{
    io_accept(t->io, io_trial_accept, t->listener);
}

static void try_write(struct io_trial *t)
{
    io_write(t->io, io_trial_tag, t->file, t->bytes, sizeof(t->bytes), 0);
}

static void try_write_durable(struct io_trial *t)
{
    io_write_durable(t->io, io_trial_tag, t->file, t->bytes, sizeof(t->bytes), 0);
}

static void try_read(struct io_trial *t)
{
    io_read(t->io, io_trial_tag, t->file, t->bytes, sizeof(t->bytes), 0);
}

static void try_fallocate(struct io_trial *t)
{
    io_fallocate(t->io, io_trial_tag, t->file, 0, 4096);
}

static void try_fsync(struct io_trial *t)
{
    io_fsync(t->io, io_trial_tag, t->file, false);
}

static void try_wake(struct io_trial *t)
{
    io_wake(t->io, io_wake_fd(t->io));
}

/* Last: the pair is gone then. */
static void try_close(struct io_trial *t)
{
    io_close_fd(t->io, io_trial_tag, t->pair[0]);
    t->pair[0] = -1;
}

struct io_trial_row {
    const char *operation;
    void (*start)(struct io_trial *t);
    enum io_status want;
    bool file; /* left out where there are no files in memory (memfd_create) */
};

static const struct io_trial_row io_trial_rows[] = {
    {"poll", try_poll, IO_OK, false},       {"cancel", try_cancel, IO_CANCELLED, false},
    {"send", try_send, IO_OK, false},       {"recv", try_recv, IO_OK, false},
    {"sendmsg", try_sendmsg, IO_OK, false}, {"connect", try_connect, IO_OK, false},
    {"accept", try_accept, IO_OK, false},   {"wake", try_wake, IO_OK, false},
    {"write", try_write, IO_OK, true},      {"write and fdatasync", try_write_durable, IO_OK, true},
    {"read", try_read, IO_OK, true},        {"fallocate", try_fallocate, IO_OK, true},
    {"fsync", try_fsync, IO_OK, true},      {"close", try_close, IO_OK, false},
};

/* ---- the trial ---- */

static bool io_trial_open(struct io_trial *t)
{
    t->pair[0] = t->pair[1] = -1;
    t->file = memfd_create("ringpost", MFD_CLOEXEC);
    t->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    t->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* An address of the family alone: the kernel chooses a name that is no file (unix(7), autobind). */
    t->address.sun_family = AF_UNIX;
    t->address_len = sizeof(t->address);
    return t->listener >= 0 && t->client >= 0 &&
           socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->pair) == 0 &&
           bind(t->listener, (struct sockaddr *)&t->address, sizeof(sa_family_t)) == 0 &&
           getsockname(t->listener, (struct sockaddr *)&t->address, &t->address_len) == 0 &&
           listen(t->listener, 1) == 0;
}

static void close_if_open(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static bool io_trial_turn(struct io_trial *t, uint64_t end_ms)
{
    io_wait(t->io, end_ms);
    io_dispatch(t->io);
    return io_now(t->io)->mono_ms < end_ms;
}

static void io_trial_close(struct io_trial *t)
{
    /* The peer goes: what still waits for it ends. What never comes back has the kernel's hand on its memory:
     * left to the end of the process. */
    uint64_t end_ms = clock_read().mono_ms + IO_TRY_END_MS;
    close_if_open(t->pair[1]);
    while (t->io && io_in_flight(t->io) && io_trial_turn(t, end_ms)) {
    }
    if (t->io && io_in_flight(t->io) == 0) {
        io_close(t->io);
    }
    close_if_open(t->pair[0]);
    close_if_open(t->file);
    close_if_open(t->listener);
    close_if_open(t->client);
}

/* One operation, until its event and, of an accept, the last one are here. */
static struct io_refusal io_trial_step(struct io_trial *t, const struct io_trial_row *row)
{
    uint64_t end_ms = clock_read().mono_ms + IO_TRY_MS;
    t->told = false;
    row->start(t);
    bool in_time = true;
    while (in_time && !t->told) {
        in_time = io_trial_turn(t, end_ms);
    }
    io_cancel(t->io, io_trial_accept);
    while (in_time && io_in_flight(t->io)) {
        in_time = io_trial_turn(t, end_ms);
    }
    if (in_time && t->event.status == row->want) {
        return (struct io_refusal){NULL, 0};
    }
    return (struct io_refusal){row->operation, in_time ? t->event.error : ETIMEDOUT};
}

struct io_refusal io_try(const struct io_backend *backend, unsigned entries)
{
    static const struct io_route route = {"trial", io_trial_done};
    struct io_route routes[IO_KIND_COUNT] = {
        [IO_KIND_SIGNAL] = route,
        [IO_KIND_ADMIN_RECV] = route,
        [IO_KIND_LISTENER_ACCEPT] = route,
        [IO_KIND_MAILBOX] = route,
    };
    struct io_trial t = {.io = NULL};
    struct io_refusal refusal = {NULL, 0};
    if (!io_trial_open(&t)) {
        refusal = (struct io_refusal){"sockets", errno};
    } else {
        t.io = io_open(backend, entries, routes, &t, &refusal.error);
        refusal.operation = t.io ? NULL : "set-up";
    }
    for (size_t i = 0; t.io && !refusal.operation && i < ARRAY_COUNT(io_trial_rows); i++) {
        if (t.file >= 0 || !io_trial_rows[i].file) {
            refusal = io_trial_step(&t, &io_trial_rows[i]);
        }
    }
    io_trial_close(&t);
    return refusal;
}

struct io_choice io_choose(enum io_want want, unsigned entries)
{
    const struct io_backend *first = want == IO_WANT_EPOLL ? &io_backend_epoll : &io_backend_uring;
    struct io_choice choice = {first, io_try(first, entries)};
    if (choice.refusal.operation) {
        choice.backend = want == IO_WANT_AUTO && !io_try(&io_backend_epoll, entries).operation
                             ? &io_backend_epoll
                             : NULL;
    }
    return choice;
}

const char *io_backend_name(const struct io_backend *backend)
{
    return backend->name;
}
