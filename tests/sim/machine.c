/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is left of the machine: clocks, random bytes, threads (there are none), and the reader of the log.
 * clock_gettime, getrandom and pthread_create are wrapped by the linker.
 */
#include "core/obs/sink.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int __wrap_clock_gettime(clockid_t id, struct timespec *out);
ssize_t __wrap_getrandom(void *ptr, size_t len, unsigned flags);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    uint64_t us = sim.now_us;
    if (id == CLOCK_REALTIME) {
        us = (uint64_t)((int64_t)(us + SIM_EPOCH_US) + sim.wall_shift_us);
    }
    out->tv_sec = (time_t)(us / SIM_SECOND);
    out->tv_nsec = (long)(us % SIM_SECOND) * 1000;
    return 0;
}

ssize_t __wrap_getrandom(void *ptr, size_t len, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)ptr)[i] = (uint8_t)rng_u64(&sim.rng);
    }
    return (ssize_t)len;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg)
{
    (void)thread;
    (void)attr;
    (void)start;
    (void)arg;
    return EAGAIN;
}

/* ---- core/obs/sink.h ---- */

struct obs_sink {
    uint64_t dropped;
};

struct obs_sink *obs_sink_open(int fd)
{
    (void)fd;
    return calloc(1, sizeof(struct obs_sink));
}

void obs_sink_close(struct obs_sink *s, unsigned deadline_ms)
{
    (void)deadline_ms;
    free(s);
}

uint64_t obs_sink_dropped(struct obs_sink *s)
{
    return s->dropped;
}

bool obs_sink_push(struct obs_sink *s, char *ptr, size_t len)
{
    (void)s;
    if (sim.trace) {
        fwrite(ptr, 1, len, stderr);
    }
    free(ptr);
    return true;
}

void obs_sink_count_dropped(struct obs_sink *s, uint64_t lines)
{
    s->dropped += lines;
}
