/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * offload - work that would hold up a loop, on threads of its own
 *
 * Purpose:   password hashes, signatures and other pure computation of more than some ten
 *            microseconds. A worker submits a job; a thread runs it; the worker is woken and gets it
 *            back in its own loop. Jobs that end while the worker is busy come back together: one
 *            wake-up for all of them.
 * Owner:     struct offload: the engine, shared by all workers; struct offload_port: one worker.
 *            A job belongs to the offload from submit until its done() is called.
 * Thread:    offload_submit: the port's worker. run(): a thread of the pool: it may touch nothing but
 *            the job. done(): the worker again.
 * Limits:    at most jobs_max jobs wait or run; more are refused, which is the back-pressure.
 * Errors:    offload_open: NULL without threads or memory. offload_submit: false when full.
 */
#ifndef RINGPOST_IO_OFFLOAD_H
#define RINGPOST_IO_OFFLOAD_H

#include "core/io/io.h"

struct offload;

struct offload_job {
    void (*run)(struct offload_job *job, void *thread);
    void (*done)(struct offload_job *job, void *ctx);
    struct offload_job *next;  /* the offload's */
    struct offload_port *port; /* the offload's */
};

/* Where a worker's jobs come back. */
struct offload_port {
    struct io *io;
    struct io_tag tag;
    struct offload_job *_Atomic finished; /* newest first */
    int event_fd;
    unsigned out; /* jobs submitted and not back yet */
    bool polling;
};

/* What each thread has for itself (random numbers, scratch memory): open once at its start, NULL is
 * fine; close at its end. Handed to every run(). */
struct offload_thread_hooks {
    void *(*open)(void);
    void (*close)(void *thread);
};

/* hooks: NULL: none. */
struct offload *offload_open(unsigned threads, unsigned jobs_max,
                             const struct offload_thread_hooks *hooks);
/* No job may be out. */
void offload_close(struct offload **o);

/* tag: the kind whose handler calls offload_port_on_io. False: no descriptor. */
bool offload_port_open(struct offload_port *p, struct io *io, struct io_tag tag);
/* Stops listening; true when nothing is out and nothing is in the kernel. Call until true. */
bool offload_port_stop(struct offload_port *p);
/* After offload_close: a thread may still be about to wake the port for a job that is back already. */
void offload_port_close(struct offload_port *p);

bool offload_submit(struct offload *o, struct offload_port *p, struct offload_job *job);
/* The handler of the port's kind: calls done(job, ctx) for every job that has ended, oldest first. */
void offload_port_on_io(struct offload_port *p, const struct io_event *ev, void *ctx);

#endif
