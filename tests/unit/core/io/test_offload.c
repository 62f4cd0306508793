/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/io/offload.h"
#include "tests/unit/core/io/ring.h"

#include <pthread.h>

enum { JOBS = 500 };

struct sum_job {
    struct offload_job job; /* first */
    unsigned value;
    unsigned square;
    pthread_t ran_on;
};

static struct offload_port port;
static unsigned done_count;
static unsigned long long done_sum;

static void sum_run(struct offload_job *job, void *thread)
{
    struct sum_job *s = (struct sum_job *)job;
    ck_assert_ptr_eq(thread, &port);
    s->square = s->value * s->value;
    s->ran_on = pthread_self();
}

static void sum_done(struct offload_job *job, void *ctx)
{
    struct sum_job *s = (struct sum_job *)job;
    ck_assert_ptr_eq(ctx, &port);
    ck_assert(!pthread_equal(s->ran_on, pthread_self()));
    done_count++;
    done_sum += s->square;
    free(s);
}

static _Atomic unsigned threads_open;

static void *thread_open(void)
{
    threads_open++;
    return &port;
}

static void thread_close(void *thread)
{
    ck_assert_ptr_eq(thread, &port);
    threads_open--;
}

static const struct offload_thread_hooks hooks = {thread_open, thread_close};

static void on_offload(void *ctx, const struct io_event *ev)
{
    (void)ctx;
    offload_port_on_io(&port, ev, &port);
}

static const struct io_route routes[IO_KIND_COUNT] = {[IO_KIND_OFFLOAD] = {"offload", on_offload}};

static struct sum_job *job_new(unsigned value)
{
    struct sum_job *s = calloc(1, sizeof(*s));
    ck_assert_ptr_nonnull(s);
    s->job.run = sum_run;
    s->job.done = sum_done;
    s->value = value;
    return s;
}

static struct io *start(struct offload **o, unsigned jobs_max)
{
    int error = 0;
    struct io *io = io_open(ring_backend, 64, routes, NULL, &error);
    ck_assert_ptr_nonnull(io);
    *o = offload_open(2, jobs_max, &hooks);
    ck_assert_ptr_nonnull(*o);
    ck_assert(offload_port_open(&port, io, (struct io_tag){IO_KIND_OFFLOAD, {1, 1}}));
    done_count = 0;
    done_sum = 0;
    return io;
}

static void turn(struct io *io)
{
    io_wait(io, io_now(io)->mono_ms + 1000);
    io_dispatch(io);
}

static void stop(struct io *io, struct offload **o)
{
    while (!offload_port_stop(&port)) {
        turn(io);
    }
    offload_close(o);
    ck_assert_ptr_null(*o);
    ck_assert_uint_eq(threads_open, 0);
    offload_port_close(&port);
    ck_assert_uint_eq(io_in_flight(io), 0);
    io_close(io);
}

START_TEST(every_job_runs_elsewhere_and_comes_back_once)
{
    struct offload *o;
    struct io *io = start(&o, JOBS);
    unsigned long long want = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        ck_assert(offload_submit(o, &port, &job_new(i)->job));
        want += (unsigned long long)i * i;
    }
    ck_assert_uint_eq(done_count, 0); /* never inside the call */
    while (done_count < JOBS) {
        turn(io);
    }
    ck_assert_uint_eq(done_count, JOBS);
    ck_assert(done_sum == want);
    stop(io, &o);
    ck_assert_uint_eq(done_count, JOBS);
}
END_TEST

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void gated_run(struct offload_job *job, void *thread)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    sum_run(job, thread);
}

START_TEST(a_full_queue_refuses)
{
    struct offload *o;
    struct io *io = start(&o, 3);
    unsigned taken = 0, refused = 0;
    pthread_mutex_lock(&gate);
    for (unsigned i = 0; i < 10; i++) {
        struct sum_job *s = job_new(1);
        s->job.run = gated_run;
        if (offload_submit(o, &port, &s->job)) {
            taken++;
        } else {
            refused++;
            free(s);
        }
    }
    ck_assert_uint_ge(refused, 10 - 3 - 2); /* three wait, two threads hold one each at most */
    ck_assert_uint_ge(taken, 3);
    ck_assert(!offload_port_stop(&port)); /* jobs are out */
    pthread_mutex_unlock(&gate);
    while (done_count < taken) {
        turn(io);
    }
    struct sum_job *again = job_new(2);
    ck_assert(offload_submit(o, &port, &again->job)); /* room again */
    while (done_count < taken + 1) {
        turn(io);
    }
    stop(io, &o);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_job_runs_elsewhere_and_comes_back_once,
        a_full_queue_refuses,
    };
    return ring_run("core/io/offload", tests, ARRAY_COUNT(tests));
}
