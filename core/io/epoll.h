/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * epoll - what the files of the epoll back end share
 *
 * Purpose:   epoll.c is the loop and the life of an operation, epoll_ready.c who waits for which
 *            descriptor, epoll_socket.c what is done when it is ready, epoll_file.c what threads do on the
 *            disk, epoll_disk.c these threads. Nobody else includes this.
 * Owner:     the worker that called io_open. An operation (struct epoll_op) is in one place at a time:
 *
 *               io_recv …        io_wait: tried                       io_dispatch
 *            ─────────► STARTED ───────────────► DONE ───────────────────────────► its place is free
 *                          │                       ▲
 *                          │ would block           │ ready, tried again; io_cancel
 *                          ├───────────► WAITING ──┤
 *                          │ files                 │ a thread has done it
 *                          └───────────► DISK ─────┘
 *
 * Thread:    the same; struct epoll_disk says what its threads may touch.
 * Limits:    operations: memory only; what cannot be had ends IO_EXHAUSTED. EPOLL_* below.
 */
#ifndef RINGPOST_IO_EPOLL_H
#define RINGPOST_IO_EPOLL_H

#include "core/base/list.h"
#include "core/base/map.h"
#include "core/base/pool.h"
#include "core/io/backend.h"

#include <pthread.h>
#include <sys/epoll.h>

enum {
    EPOLL_READY_MAX = 512,  /* descriptors per turn; the others keep their readiness */
    EPOLL_ACCEPT_MAX = 64,  /* connections of one listener per turn */
    EPOLL_FAILED_MAX = 64,  /* operations of one turn that no memory was found for */
    EPOLL_DISK_THREADS = 4, /* per io; one of them for durable writes only */
    EPOLL_CHUNK_FDS = 256,
};

enum epoll_what {
    EPOLL_ACCEPT,
    EPOLL_CONNECT,
    EPOLL_RECV,
    EPOLL_SEND,
    EPOLL_SENDMSG,
    EPOLL_POLL,
    EPOLL_CLOSE,
    EPOLL_OPENAT, /* this and all below: by a thread */
    EPOLL_READ,
    EPOLL_WRITE,
    EPOLL_DURABLE,
    EPOLL_FALLOCATE,
    EPOLL_FSYNC,
};

enum epoll_state { EPOLL_STARTED, EPOLL_WAITING, EPOLL_DISK, EPOLL_DONE };

struct epoll_op {
    struct list link;     /* started, a descriptor's, a disk queue, or done */
    struct map_node node; /* by tag, until it is delivered */
    struct handle self;
    struct io_tag tag;
    enum epoll_what what;
    enum epoll_state state;
    int fd;
    int res;        /* when DONE: what a system call would say, -errno or more */
    bool cancelled; /* while STARTED: ends when it would have to wait */
    bool more;      /* one connection of a multishot accept: not an operation of its own */
    char *buffer;   /* recv: the event's data */
    union {
        struct {
            const struct sockaddr *addr;
            socklen_t len;
            bool called; /* now its result is awaited */
        } connect;
        struct {
            const char *ptr;
            size_t len;
            size_t sent;
        } send;
        struct {
            const struct msghdr *msg;
            size_t sent;
        } sendmsg;
        struct {
            uint32_t events; /* wanted */
            uint32_t ready;
        } poll;
        struct {
            const char *path;
            int flags;
            unsigned mode;
        } open;
        struct {
            void *ptr;
            size_t len; /* durable: left */
            uint64_t offset;
            bool flag; /* fsync: data only; durable: RWF_DSYNC does it */
        } file;
    };
    struct epoll_op *next_finished; /* the thread's, until epoll_disk_take */
};

/* A descriptor that somebody waits for, or did. */
struct epoll_fd {
    struct list waiting;
    uint32_t armed; /* what the kernel will tell; only right while somebody waits */
    bool known;     /* it was registered once: try that first */
};

/* Threads that may block. Queues and flags under the mutex; a job's file fields belong to its thread. */
struct epoll_disk {
    pthread_mutex_t mutex;
    pthread_cond_t plain_changed;
    pthread_cond_t durable_changed;
    struct list plain;
    struct list durable; /* taken first, by any thread */
    bool durable_idle;   /* the first thread waits */
    bool closing;
    unsigned thread_count;
    pthread_t threads[EPOLL_DISK_THREADS];
    struct epoll_op *_Atomic finished; /* newest first */
    int event_fd;                      /* written when that was empty */
};

struct epoll {
    struct io io; /* first */
    int epoll_fd;
    int wake_fd;
    uint64_t wakes; /* heard, not delivered yet */
    struct pool ops;
    struct map by_tag;
    struct list started;
    struct list done;
    struct epoll_fd **fd_chunks;
    size_t fd_chunk_count;
    char *buffers;
    char *free_buffers[IO_RECV_BUFFERS];
    unsigned free_buffer_count;
    struct epoll_disk disk;
    struct epoll_failed {
        struct io_tag tag;
        enum epoll_what what;
        int res;
    } failed[EPOLL_FAILED_MAX];
    unsigned failed_count;
    struct epoll_event ready[EPOLL_READY_MAX];
};

static inline struct epoll *epoll_of(struct io *io)
{
    return container_of(io, struct epoll, io);
}

/* ---- epoll.c ---- */

/* A new operation, STARTED. NULL: no memory, its event will say so. */
struct epoll_op *epoll_op_new(struct epoll *e, struct io_tag tag, enum epoll_what what, int fd);
/* It is over; it must be in no list. */
void epoll_op_done(struct epoll *e, struct epoll_op *op, int res);
/* A connection of a multishot accept; false: no memory. */
bool epoll_op_more(struct epoll *e, const struct epoll_op *accept, int res);

/* ---- epoll_ready.c ---- */

/* What poll(2) calls the readiness this operation waits for. */
uint32_t epoll_op_events(const struct epoll_op *op);
/* A STARTED operation on a socket: done now, or waiting. */
void epoll_ready_start(struct epoll *e, struct epoll_op *op);
/* The kernel says that something can be done. */
void epoll_ready_told(struct epoll *e, int fd, uint32_t events);
/* A WAITING operation ends now. */
void epoll_ready_cancel(struct epoll *e, struct epoll_op *op);
/* The descriptor is about to be closed. */
void epoll_ready_forget(struct epoll *e, int fd);
void epoll_ready_close(struct epoll *e);

/* ---- epoll_socket.c ---- */

/* Does it as far as it goes without waiting; false: it must wait. True: op->res. */
bool epoll_socket_try(struct epoll *e, struct epoll_op *op);
/* What a send that is cut has done: bytes, or -ECANCELED. */
int epoll_socket_cut(const struct epoll_op *op);

/* The operations of struct io_backend. */
void epoll_socket_accept(struct io *io, struct io_tag tag, int listen_fd);
void epoll_socket_connect(struct io *io, struct io_tag tag, int fd, const struct sockaddr *addr,
                          socklen_t len);
void epoll_socket_recv(struct io *io, struct io_tag tag, int fd);
void epoll_socket_send(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len);
void epoll_socket_sendmsg(struct io *io, struct io_tag tag, int fd, const struct msghdr *msg);
void epoll_socket_poll(struct io *io, struct io_tag tag, int fd, unsigned poll_events);
void epoll_socket_close(struct io *io, struct io_tag tag, int fd);

/* ---- epoll_file.c ---- */

/* Does the work of a thread. */
void epoll_file_run(struct epoll_op *op);
/* A durable write is back: true when its event is due, false when its rest is being written. */
bool epoll_file_durable_is_over(struct epoll *e, struct epoll_op *op);

/* The operations of struct io_backend. */
void epoll_file_openat(struct io *io, struct io_tag tag, int dir_fd, const char *path, int flags,
                       unsigned mode);
void epoll_file_read(struct io *io, struct io_tag tag, int fd, void *ptr, size_t len,
                     uint64_t offset);
void epoll_file_write(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                      uint64_t offset);
void epoll_file_write_durable(struct io *io, struct io_tag tag, int fd, const void *ptr, size_t len,
                              uint64_t offset);
void epoll_file_fallocate(struct io *io, struct io_tag tag, int fd, uint64_t offset, uint64_t len);
void epoll_file_fsync(struct io *io, struct io_tag tag, int fd, bool data_only);

/* ---- epoll_disk.c ---- */

/* 0 or an errno; to be closed either way. */
int epoll_disk_open(struct epoll_disk *d);
void epoll_disk_close(struct epoll_disk *d);
/* A job in no list. */
void epoll_disk_submit(struct epoll_disk *d, struct epoll_op *op);
/* All that are finished, oldest first, linked by next_finished. */
struct epoll_op *epoll_disk_take(struct epoll_disk *d);

#endif
