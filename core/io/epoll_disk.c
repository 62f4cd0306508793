/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The epoll back end: the threads that may block on a disk.
 *
 * Clients wait for durable writes, so these are taken first by any thread, and the first thread does nothing
 * else: reading bodies and zero-filling segments cannot hold up a commit. Each io has threads of its own, made when
 * it is opened: later a sandbox forbids new ones. Signals stay with the control thread: they are blocked where
 * these threads are made.
 *
 * Not core/io/offload.c: its queue is for computing, first come, first served, shared by all workers, and its port
 * needs an io to be told by.
 */
#include "core/base/thread.h"
#include "core/io/epoll.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Called with the mutex, waits without it. NULL: the end. */
static struct epoll_op *epoll_disk_next(struct epoll_disk *d, bool durable_only)
{
    for (;;) {
        struct list *link = list_pop_front(&d->durable);
        if (!link && !durable_only) {
            link = list_pop_front(&d->plain);
        }
        if (link) {
            d->durable_idle = durable_only ? false : d->durable_idle;
            return LIST_ENTRY(link, struct epoll_op, link);
        }
        if (d->closing) {
            return NULL;
        }
        if (durable_only) {
            d->durable_idle = true;
            pthread_cond_wait(&d->durable_changed, &d->mutex);
        } else {
            pthread_cond_wait(&d->plain_changed, &d->mutex);
        }
    }
}

static void epoll_disk_give_back(struct epoll_disk *d, struct epoll_op *op)
{
    struct epoll_op *head = atomic_load_explicit(&d->finished, memory_order_relaxed);
    do {
        op->next_finished = head;
    } while (!atomic_compare_exchange_weak_explicit(&d->finished, &head, op, memory_order_release,
                                                    memory_order_relaxed));
    if (head == NULL) {
        uint64_t one = 1;
        must(write(d->event_fd, &one, sizeof(one)) == sizeof(one));
    }
}

static void epoll_disk_work(struct epoll_disk *d, bool durable_only)
{
    struct epoll_op *op;
    pthread_mutex_lock(&d->mutex);
    while ((op = epoll_disk_next(d, durable_only))) {
        pthread_mutex_unlock(&d->mutex);
        epoll_file_run(op);
        epoll_disk_give_back(d, op);
        pthread_mutex_lock(&d->mutex);
    }
    pthread_mutex_unlock(&d->mutex);
}

static void *epoll_disk_durable_main(void *arg)
{
    epoll_disk_work(arg, true);
    return NULL;
}

static void *epoll_disk_plain_main(void *arg)
{
    epoll_disk_work(arg, false);
    return NULL;
}

/* The first one made can do everything; the second is the one for durable writes. 0 or an errno. */
static int epoll_disk_start(struct epoll_disk *d)
{
    int error = 0;
    for (unsigned i = 0; i < EPOLL_DISK_THREADS && !error; i++) {
        void *(*entry)(void *) = i == 1 ? epoll_disk_durable_main : epoll_disk_plain_main;
        error = thread_start(&d->threads[i], entry, d);
        d->thread_count += !error;
    }
    return error;
}

int epoll_disk_open(struct epoll_disk *d)
{
    pthread_mutex_init(&d->mutex, NULL);
    pthread_cond_init(&d->plain_changed, NULL);
    pthread_cond_init(&d->durable_changed, NULL);
    list_init(&d->plain);
    list_init(&d->durable);
    atomic_init(&d->finished, NULL);
    d->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return d->event_fd < 0 ? errno : epoll_disk_start(d);
}

void epoll_disk_close(struct epoll_disk *d)
{
    pthread_mutex_lock(&d->mutex);
    must(list_empty(&d->plain) && list_empty(&d->durable));
    d->closing = true;
    pthread_cond_broadcast(&d->plain_changed);
    pthread_cond_broadcast(&d->durable_changed);
    pthread_mutex_unlock(&d->mutex);
    for (unsigned i = 0; i < d->thread_count; i++) {
        pthread_join(d->threads[i], NULL);
    }
    if (d->event_fd >= 0) {
        close(d->event_fd);
    }
    pthread_cond_destroy(&d->plain_changed);
    pthread_cond_destroy(&d->durable_changed);
    pthread_mutex_destroy(&d->mutex);
}

void epoll_disk_submit(struct epoll_disk *d, struct epoll_op *op)
{
    bool durable = op->what == EPOLL_DURABLE;
    pthread_mutex_lock(&d->mutex);
    list_push_back(durable ? &d->durable : &d->plain, &op->link);
    bool first = durable && d->durable_idle;
    d->durable_idle = d->durable_idle && !first; /* it has this one; another is for the others */
    pthread_cond_signal(first ? &d->durable_changed : &d->plain_changed);
    pthread_mutex_unlock(&d->mutex);
}

struct epoll_op *epoll_disk_take(struct epoll_disk *d)
{
    struct epoll_op *newest = atomic_exchange_explicit(&d->finished, NULL, memory_order_acquire);
    struct epoll_op *oldest = NULL;
    while (newest) {
        struct epoll_op *next = newest->next_finished;
        newest->next_finished = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}
