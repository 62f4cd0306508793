/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * In:  one queue with a mutex for all threads; a job costs tens of microseconds at least, the lock does
 *      not show.
 * Out: a list per port, pushed without a lock; the thread that finds it empty writes the eventfd.
 *
 * Signals stay with the control thread: the mask of the thread that calls offload_open is inherited.
 */
#include "core/io/offload.h"
#include "core/base/must.h"
#include "core/base/thread.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct offload {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct offload_job *first;
    struct offload_job *last;
    unsigned waiting;
    unsigned waiting_max;
    bool closing;
    struct offload_thread_hooks hooks;
    unsigned thread_count;
    pthread_t threads[];
};

/* ---- the threads ---- */

static struct offload_job *offload_take(struct offload *o)
{
    pthread_mutex_lock(&o->mutex);
    while (!o->first && !o->closing) {
        pthread_cond_wait(&o->changed, &o->mutex);
    }
    struct offload_job *job = o->first;
    if (job) {
        o->first = job->next;
        o->last = o->first ? o->last : NULL;
        o->waiting--;
    }
    pthread_mutex_unlock(&o->mutex);
    return job;
}

static void offload_give_back(struct offload_job *job)
{
    struct offload_port *p = job->port;
    struct offload_job *head = atomic_load_explicit(&p->finished, memory_order_relaxed);
    do {
        job->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&p->finished, &head, job, memory_order_release,
                                                    memory_order_relaxed));
    if (head == NULL) {
        uint64_t one = 1;
        must(write(p->event_fd, &one, sizeof(one)) == sizeof(one));
    }
}

static void *offload_main(void *arg)
{
    struct offload *o = arg;
    struct offload_job *job;
    void *thread = o->hooks.open ? o->hooks.open() : NULL;
    while ((job = offload_take(o))) {
        job->run(job, thread);
        offload_give_back(job);
    }
    if (o->hooks.close) {
        o->hooks.close(thread);
    }
    return NULL;
}

struct offload *offload_open(unsigned threads, unsigned jobs_max,
                             const struct offload_thread_hooks *hooks)
{
    must(threads > 0 && jobs_max > 0);
    struct offload *o = calloc(1, sizeof(*o) + threads * sizeof(o->threads[0]));
    if (!o) {
        return NULL;
    }
    pthread_mutex_init(&o->mutex, NULL);
    pthread_cond_init(&o->changed, NULL);
    o->waiting_max = jobs_max;
    o->hooks = hooks ? *hooks : (struct offload_thread_hooks){NULL, NULL};
    while (o->thread_count < threads &&
           thread_start(&o->threads[o->thread_count], offload_main, o) == 0) {
        o->thread_count++;
    }
    if (o->thread_count == 0) {
        offload_close(&o);
    }
    return o;
}

void offload_close(struct offload **op)
{
    struct offload *o = *op;
    *op = NULL;
    if (!o) {
        return;
    }
    pthread_mutex_lock(&o->mutex);
    must(o->first == NULL);
    o->closing = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->mutex);
    for (unsigned i = 0; i < o->thread_count; i++) {
        pthread_join(o->threads[i], NULL);
    }
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->mutex);
    free(o);
}

bool offload_submit(struct offload *o, struct offload_port *p, struct offload_job *job)
{
    pthread_mutex_lock(&o->mutex);
    bool room = o->waiting < o->waiting_max;
    if (room) {
        job->next = NULL;
        job->port = p;
        *(o->last ? &o->last->next : &o->first) = job;
        o->last = job;
        o->waiting++;
        pthread_cond_signal(&o->changed);
    }
    pthread_mutex_unlock(&o->mutex);
    p->out += room;
    return room;
}

/* ---- the port ---- */

static void offload_port_poll(struct offload_port *p)
{
    must(!p->polling);
    p->polling = true;
    io_poll(p->io, p->tag, p->event_fd, POLLIN);
}

bool offload_port_open(struct offload_port *p, struct io *io, struct io_tag tag)
{
    *p = (struct offload_port){.io = io, .tag = tag};
    atomic_init(&p->finished, NULL);
    p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->event_fd < 0) {
        return false;
    }
    offload_port_poll(p);
    return true;
}

void offload_port_on_io(struct offload_port *p, const struct io_event *ev, void *ctx)
{
    (void)ev; /* ready, interrupted or cancelled: look either way */
    p->polling = false;
    /* Emptied before the list is taken: a job that is pushed in between writes it again. */
    uint64_t count;
    ssize_t n = read(p->event_fd, &count, sizeof(count));
    must(n == (ssize_t)sizeof(count) || n < 0);
    struct offload_job *newest = atomic_exchange_explicit(&p->finished, NULL, memory_order_acquire);
    struct offload_job *oldest = NULL;
    while (newest) {
        struct offload_job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct offload_job *job = oldest;
        oldest = job->next;
        must(p->out > 0);
        p->out--;
        job->done(job, ctx);
    }
    if (ev->status != IO_CANCELLED) {
        offload_port_poll(p);
    }
}

bool offload_port_stop(struct offload_port *p)
{
    if (p->out) {
        return false;
    }
    if (p->polling) {
        io_cancel(p->io, p->tag);
    }
    return !p->polling;
}

void offload_port_close(struct offload_port *p)
{
    if (p->io && p->event_fd >= 0) { /* a worker that did not get so far has no port */
        must(p->out == 0 && !p->polling);
        close(p->event_fd);
        p->event_fd = -1;
    }
}
