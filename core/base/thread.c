/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/thread.h"
#include "core/base/must.h"

#include <errno.h>
#include <semaphore.h>
#include <stddef.h>

/* On the starter's stack: valid until the post. */
struct thread_start {
    void *(*body)(void *);
    void *arg;
    sem_t begun;
};

static void *thread_main(void *arg)
{
    struct thread_start *start = arg;
    void *(*body)(void *) = start->body;
    void *body_arg = start->arg;
    must(sem_post(&start->begun) == 0);
    return body(body_arg);
}

int thread_start(pthread_t *thread, void *(*body)(void *), void *arg)
{
    struct thread_start start = {.body = body, .arg = arg};
    must(body != NULL && sem_init(&start.begun, 0, 0) == 0);
    int error = pthread_create(thread, NULL, thread_main, &start);
    while (!error && sem_wait(&start.begun) != 0) {
        must(errno == EINTR);
    }
    sem_destroy(&start.begun);
    return error;
}
