/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * loop - the load tools' own event loop
 *
 * Purpose:   epoll, a timer wheel and a wake-up; on purpose not the engine's core/io, so that the
 *            engine is measured by independent code.
 * Owner:     one per thread; watches and timers are embedded in their owners.
 * Thread:    the loop's, except bench_loop_stop and bench_loop_wake (any thread).
 * Lifetime:  a watch may be freed only from its own ready(), from a timer, or outside of run:
 *            another watch's event may lie in the batch being handled.
 * Errors:    init and add return false with errno set.
 */
#ifndef RINGPOST_BENCH_LOOP_H
#define RINGPOST_BENCH_LOOP_H

#include "core/base/clock.h"
#include "core/base/timer.h"

#include <stdatomic.h>
#include <sys/epoll.h>

struct bench_watch {
    int fd;
    void (*ready)(struct bench_watch *w, uint32_t events);
};

/* Edge-triggered, registered once per connection: no epoll_ctl per message. */
#define BENCH_LOOP_STREAM ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP) | (uint32_t)EPOLLET)
#define BENCH_LOOP_LISTEN ((uint32_t)EPOLLIN)

struct bench_loop {
    int epoll_fd;
    struct bench_watch wake;
    struct timer_wheel wheel;
    void *ctx;                      /* given to timers and to after_batch */
    void (*after_batch)(void *ctx); /* may be NULL */
    atomic_bool stop;
};

bool bench_loop_init(struct bench_loop *l, void *ctx);
void bench_loop_deinit(struct bench_loop *l);

bool bench_loop_add(struct bench_loop *l, struct bench_watch *w, uint32_t events);
void bench_loop_timer(struct bench_loop *l, struct timer *t, uint64_t after_ms);

/* Until bench_loop_stop. */
void bench_loop_run(struct bench_loop *l);
void bench_loop_stop(struct bench_loop *l);
void bench_loop_wake(struct bench_loop *l);

uint64_t bench_now_us(void);

#endif
