/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The twin of core/io/offload.c: a job runs when its time has come, in the only thread there is; its port is
 * told by an event of the ring's worker, which is a mail without a mail here.
 */
#include "core/io/offload.h"
#include "tests/sim/engine.h"
#include "tests/sim/sim.h"

#include <stdlib.h>

enum { OFFLOAD_JOB_US = 2000 };

struct offload {
    unsigned jobs, jobs_max;
    struct offload_thread_hooks hooks;
    void *thread;
};

struct offload *offload_open(unsigned threads, unsigned jobs_max,
                             const struct offload_thread_hooks *hooks)
{
    must(threads > 0 && jobs_max > 0);
    struct offload *o = calloc(1, sizeof(*o));
    if (o) {
        o->jobs_max = jobs_max;
        o->hooks = hooks ? *hooks : (struct offload_thread_hooks){NULL, NULL};
    }
    return o;
}

void offload_close(struct offload **o)
{
    if (*o) {
        must((*o)->jobs == 0);
        free(*o);
        *o = NULL;
    }
}

bool offload_port_open(struct offload_port *p, struct io *io, struct io_tag tag)
{
    *p = (struct offload_port){.io = io, .tag = tag, .event_fd = -1};
    return true;
}

bool offload_port_stop(struct offload_port *p)
{
    return p->out == 0;
}

void offload_port_close(struct offload_port *p)
{
    must(p->out == 0);
}

/* Nothing the scenarios of today need: no logins, no signatures, no mailboxes. */
bool offload_submit(struct offload *o, struct offload_port *p, struct offload_job *job)
{
    (void)o;
    (void)p;
    (void)job;
    return false; /* full: the back-pressure that callers know */
}

void offload_port_on_io(struct offload_port *p, const struct io_event *ev, void *ctx)
{
    (void)p;
    (void)ev;
    (void)ctx;
    must_never("no job was ever submitted");
}
