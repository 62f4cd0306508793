/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LOOP_BATCH = 256 };

uint64_t bench_now_us(void)
{
    return clock_read().mono_us;
}

static void loop_woken(struct bench_watch *w, uint32_t events)
{
    (void)events;
    uint64_t count;
    while (read(w->fd, &count, sizeof(count)) > 0) {
    }
}

bool bench_loop_init(struct bench_loop *l, void *ctx)
{
    *l = (struct bench_loop){.epoll_fd = -1, .wake = {-1, loop_woken}, .ctx = ctx};
    timer_wheel_init(&l->wheel, clock_read().mono_ms);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->epoll_fd < 0 || l->wake.fd < 0 || !bench_loop_add(l, &l->wake, EPOLLIN)) {
        bench_loop_deinit(l);
        return false;
    }
    return true;
}

void bench_loop_deinit(struct bench_loop *l)
{
    must(l->wheel.armed == 0);
    if (l->wake.fd >= 0) {
        close(l->wake.fd);
    }
    if (l->epoll_fd >= 0) {
        close(l->epoll_fd);
    }
    l->wake.fd = l->epoll_fd = -1;
}

bool bench_loop_add(struct bench_loop *l, struct bench_watch *w, uint32_t events)
{
    must(w->fd >= 0 && w->ready != NULL);
    struct epoll_event e = {.events = events, .data.ptr = w};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &e) == 0;
}

void bench_loop_timer(struct bench_loop *l, struct timer *t, uint64_t after_ms)
{
    timer_start(&l->wheel, t, clock_read().mono_ms + after_ms);
}

static int loop_timeout_ms(const struct bench_loop *l)
{
    uint64_t next = timer_wheel_next(&l->wheel);
    if (next == TIMER_NEVER) {
        return -1;
    }
    uint64_t now = clock_read().mono_ms;
    if (next <= now) {
        return 0;
    }
    return next - now > 60000 ? 60000 : (int)(next - now);
}

void bench_loop_run(struct bench_loop *l)
{
    struct epoll_event events[LOOP_BATCH];
    while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
        int n = epoll_wait(l->epoll_fd, events, LOOP_BATCH, loop_timeout_ms(l));
        must(n >= 0 || errno == EINTR);
        for (int i = 0; i < n; i++) {
            struct bench_watch *w = events[i].data.ptr;
            w->ready(w, events[i].events);
        }
        if (l->wheel.armed) {
            timer_wheel_run(&l->wheel, clock_read().mono_ms, l->ctx);
        }
        if (l->after_batch) {
            l->after_batch(l->ctx);
        }
    }
}

void bench_loop_wake(struct bench_loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake.fd, &one, sizeof(one));
    (void)n; /* EAGAIN: a wake-up is pending already */
}

void bench_loop_stop(struct bench_loop *l)
{
    atomic_store(&l->stop, true);
    bench_loop_wake(l);
}
