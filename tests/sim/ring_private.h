/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ring_private - what the two files of the simulated ring share
 *
 * Purpose:   ring.c (operations, their way through the kernel, crashes), ring_backend.c (the functions of
 *            struct io_backend). Nobody else includes this. Owner, thread: see ring.h. Errors: none.
 */
#ifndef RINGPOST_TESTS_SIM_RING_PRIVATE_H
#define RINGPOST_TESTS_SIM_RING_PRIVATE_H

#include "core/io/backend.h"
#include "tests/sim/ring.h"
#include "tests/sim/sim.h"

enum { RING_OPS = 8192, RING_WAKE_FD = 20000, RING_IOS = SIM_WORKERS_MAX };

enum ring_entry_kind { ENTRY_OP, ENTRY_CANCEL, ENTRY_WAKE };

struct ring_entry {
    enum ring_entry_kind kind;
    ring_ref op;
    struct io_tag tag;
    int fd;
};

struct ring_event {
    struct io_event ev;
    char *data;
};

struct ring {
    struct io io; /* first */
    unsigned index;
    struct ring_entry *queue; /* since the last io_wait */
    size_t queue_count, queue_cap;
    struct ring_event *events;
    size_t event_count, event_cap;
    struct ring_event *reaped; /* being delivered */
};

extern struct rings {
    struct ring_op ops[RING_OPS];
    unsigned top; /* slots ever used */
    struct ring *ios[RING_IOS];
} rings;

static inline struct ring *ring_of(struct io *io)
{
    return container_of(io, struct ring, io);
}

/* Begins an operation: it waits for ring_flush. */
struct ring_op *ring_start(struct io *io, enum ring_type type, struct io_tag tag, int fd);
void ring_queue(struct ring *r, struct ring_entry e);
/* The kernel gets what was started. */
void ring_flush(struct ring *r);
void ring_free(struct ring *r);

#endif
