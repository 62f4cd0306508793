/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The contract of the loop: when events come, how often, and to whom.
 */
#include "tests/unit/core/io/ring.h"

#include <time.h>

static struct ring ring;

/* DESIGN 4: never inside the start call, not even when the submission queue overflows and the kernel is
 * entered in between: everything here is ready when it is started. */
START_TEST(nothing_completes_inside_the_call)
{
    enum { OPS = 300 };
    int ready[2];
    ring_pair(ready);
    ck_assert_int_eq(write(ready[1], "x", 1), 1);
    ring_open(&ring, 8);
    for (uint32_t i = 0; i < OPS; i++) {
        io_poll(ring.io, ring_tag(IO_KIND_DNS, i), ready[0], POLLIN); /* ring_note watches */
        ck_assert_uint_eq(ring.count, 0);
    }
    ck_assert_uint_eq(io_in_flight(ring.io), OPS);
    io_wait(ring.io, UINT64_MAX);
    ck_assert_uint_eq(ring.count, 0);
    ring_until(&ring, OPS);
    ring_close(&ring);
}
END_TEST

/* The completion queue has 4 times the entries: what does not fit waits in the kernel, nothing is lost
 * and nothing comes twice. */
START_TEST(completion_queue_overflow_loses_nothing)
{
    enum { OPS = 4000 };
    static unsigned char seen[OPS];
    int ready[2];
    ring_pair(ready);
    ck_assert_int_eq(write(ready[1], "x", 1), 1);
    ring_open(&ring, 8);
    for (uint32_t i = 0; i < OPS; i++) {
        io_poll(ring.io, ring_tag(IO_KIND_DNS, i), ready[0], POLLIN);
    }
    ring_until(&ring, OPS);
    for (unsigned i = 0; i < OPS; i++) {
        const struct io_event *ev = &ring.notes[i].ev;
        testing_that(ev->status == IO_OK && ev->kind == IO_KIND_DNS && ev->owner.slot < OPS);
        testing_that(ev->owner.gen == 1 && !ev->more && (ev->result & POLLIN));
        testing_that(seen[ev->owner.slot]++ == 0);
    }
    ck_assert_uint_eq(io_counters(ring.io)->events, OPS);
    ck_assert_uint_eq(io_counters(ring.io)->ops, OPS);
    ck_assert_uint_eq(io_in_flight(ring.io), 0);
    ring_close(&ring);
}
END_TEST

/* A handler may start operations: they belong to the next turn. */
static void start_again(void *ctx, const struct io_event *ev)
{
    struct ring *r = ctx;
    testing_that(r->dispatching);
    r->count++;
    if (r->count < 3000) {
        io_poll(r->io, (struct io_tag){ev->kind, ev->owner}, -1, POLLIN);
    }
}

START_TEST(a_handler_that_starts_again_does_not_hold_the_loop)
{
    static const struct io_route routes[IO_KIND_COUNT] = {[IO_KIND_DNS] = {"dns", start_again}};
    int error = 0;
    ring.io = io_open(ring_backend, 8, routes, &ring, &error);
    ck_assert_ptr_nonnull(ring.io);
    ring.count = 0;
    io_poll(ring.io, ring_tag(IO_KIND_DNS, 0), -1, POLLIN); /* EBADF, at once, again and again */
    unsigned dispatches = 0;
    while (ring.count < 3000) {
        unsigned before = ring.count;
        io_wait(ring.io, UINT64_MAX);
        ring_dispatch(&ring);
        testing_that(ring.count <= before + 1);
        dispatches++;
    }
    ck_assert_uint_ge(dispatches, 3000);
    ring_close(&ring);
}
END_TEST

/* STYLE 17: the object is gone and its slot has a new owner when the completion comes. */
START_TEST(stale_completion_finds_nobody)
{
    struct pool pool;
    struct handle old, new;
    int fds[2];
    ring_pair(fds);
    ring_open(&ring, 8);
    pool_init(&pool, 64, 4);
    ck_assert_ptr_nonnull(pool_get(&pool, &old));
    io_poll(ring.io, (struct io_tag){IO_KIND_DNS, old}, fds[0], POLLIN);
    ring_peek(&ring);
    ck_assert_uint_eq(ring.count, 0);
    pool_put(&pool, old);
    ck_assert_ptr_nonnull(pool_get(&pool, &new));
    ck_assert_uint_eq(new.slot, old.slot);
    ck_assert_uint_ne(new.gen, old.gen);
    io_poll(ring.io, (struct io_tag){IO_KIND_DNS, new}, fds[0], POLLIN);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ring_until(&ring, 2);
    unsigned found = 0;
    for (unsigned i = 0; i < 2; i++) {
        const struct io_event *ev = &ring.notes[i].ev;
        ck_assert_uint_eq(ev->owner.slot, old.slot);
        if (pool_resolve(&pool, ev->owner)) {
            ck_assert_uint_eq(ev->owner.gen, new.gen);
            found++;
        } else {
            ck_assert_uint_eq(ev->owner.gen, old.gen);
            io_count_stale(ring.io);
        }
    }
    ck_assert_uint_eq(found, 1);
    ck_assert_uint_eq(io_counters(ring.io)->stale, 1);
    pool_put(&pool, new);
    pool_deinit(&pool);
    ring_close(&ring);
}
END_TEST

/* The whole width of a handle comes back. */
START_TEST(tags_survive)
{
    static const struct handle handles[] = {{0, 1},
                                            {1, UINT32_MAX},
                                            {POOL_SLOTS_MAX - 1, 0x80000001},
                                            {0x00abcdef, 7}};
    int fds[2];
    ring_pair(fds);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ring_open(&ring, 8);
    for (unsigned kind = IO_KIND_NONE + 1; kind < IO_KIND_COUNT; kind++) {
        if (kind == IO_KIND_MAILBOX) {
            continue; /* made by other rings only */
        }
        for (size_t i = 0; i < ARRAY_COUNT(handles); i++) {
            io_poll(ring.io, (struct io_tag){(enum io_kind)kind, handles[i]}, fds[0], POLLIN);
            struct io_event ev = ring_next(&ring);
            ck_assert_int_eq(ev.kind, kind);
            ck_assert_uint_eq(ev.owner.slot, handles[i].slot);
            ck_assert_uint_eq(ev.owner.gen, handles[i].gen);
        }
    }
    ring_close(&ring);
}
END_TEST

START_TEST(cancel_ends_one_operation)
{
    int fds[2];
    ring_pair(fds);
    ring_open(&ring, 8);
    io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1), fds[0]);
    io_poll(ring.io, ring_tag(IO_KIND_DNS, 1), fds[0], POLLIN);
    io_poll(ring.io, ring_tag(IO_KIND_DNS, 2), fds[0], POLLIN);
    ring_peek(&ring);
    ck_assert_uint_eq(ring.count, 0);
    io_cancel(ring.io, ring_tag(IO_KIND_DNS, 1));
    io_cancel(ring.io, ring_tag(IO_KIND_DNS, 3));             /* there is none: no event */
    io_cancel(ring.io, ring_tag(IO_KIND_ADMIN_RECV, 1));      /* same handle, other kind */
    io_cancel(ring.io, (struct io_tag){IO_KIND_DNS, {2, 2}}); /* same slot, next generation */
    struct io_event ev = ring_next(&ring);
    ring_assert(ev, IO_CANCELLED, ECANCELED);
    ck_assert(ev.kind == IO_KIND_DNS && ev.owner.slot == 1);
    ring_peek(&ring);
    ck_assert_uint_eq(ring.count, 0);
    ck_assert_uint_eq(io_in_flight(ring.io), 2);
    io_cancel(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1));
    ring_assert(ring_next(&ring), IO_CANCELLED, ECANCELED);
    io_cancel(ring.io, ring_tag(IO_KIND_DNS, 2));
    ring_assert(ring_next(&ring), IO_CANCELLED, ECANCELED);
    ring_close(&ring);
}
END_TEST

/* Started and cancelled in one submission, and cancelled when it has completed already. */
START_TEST(cancel_races)
{
    int fds[2];
    ring_pair(fds);
    ring_open(&ring, 8);
    io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1), fds[0]);
    io_cancel(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1));
    ring_assert(ring_next(&ring), IO_CANCELLED, ECANCELED);
    ck_assert_int_eq(write(fds[1], "late", 4), 4);
    io_recv(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1), fds[0]);
    io_wait(ring.io, UINT64_MAX); /* it is done, and nobody has looked */
    io_cancel(ring.io, ring_tag(IO_KIND_INBOUND_RECV, 1));
    struct io_event ev = ring_next(&ring);
    ring_assert(ev, IO_OK, 0);
    ck_assert_int_eq(ev.result, 4); /* exactly one event, with the bytes */
    ring_peek(&ring);
    ck_assert_uint_eq(ring.count, 0);
    ring_close(&ring);
}
END_TEST

static uint64_t really_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

START_TEST(waiting_ends_at_the_deadline)
{
    int fds[2];
    ring_pair(fds);
    ring_open(&ring, 8);
    io_poll(ring.io, ring_tag(IO_KIND_DNS, 1), fds[0], POLLIN);
    uint64_t before = really_ms();
    io_wait(ring.io, 0);
    io_wait(ring.io, before); /* past: at once */
    ck_assert_uint_lt(really_ms() - before, 2000);
    for (uint64_t wait_ms = 1; wait_ms <= 60; wait_ms += 59) {
        before = really_ms();
        io_wait(ring.io, before + wait_ms);
        uint64_t after = really_ms();
        ck_assert_uint_ge(after - before + 1, wait_ms);
        ck_assert_uint_ge(io_now(ring.io)->mono_ms, before + wait_ms - 1); /* the clock was read */
        ck_assert_uint_le(io_now(ring.io)->mono_ms, after);
        ring_dispatch(&ring);
        ck_assert_uint_eq(ring.count, 0);
    }
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    io_wait(ring.io, UINT64_MAX); /* an event ends it too, with or without a deadline */
    ring_dispatch(&ring);
    ck_assert_uint_eq(ring.count, 1);
    io_poll(ring.io, ring_tag(IO_KIND_DNS, 1), fds[0], POLLIN);
    before = really_ms();
    io_wait(ring.io, before + RING_WAIT_MS);
    ck_assert_uint_lt(really_ms() - before, RING_WAIT_MS / 2);
    ring_dispatch(&ring);
    ck_assert_uint_eq(ring.count, 2);
    ring_close(&ring);
}
END_TEST

static void close_busy(void *ctx)
{
    int *fds = ctx;
    ring_open(&ring, 8);
    io_poll(ring.io, ring_tag(IO_KIND_DNS, 1), fds[0], POLLIN);
    io_close(ring.io);
}

static void start_nothing(void *ctx)
{
    (void)ctx;
    ring_open(&ring, 8);
    io_poll(ring.io, (struct io_tag){IO_KIND_NONE, {0, 1}}, 0, POLLIN);
}

static void send_nothing(void *ctx)
{
    (void)ctx;
    ring_open(&ring, 8);
    io_send(ring.io, ring_tag(IO_KIND_INBOUND_SEND, 1), 0, "", 0); /* 0 would look like an end */
}

static void receive_with_a_kind_that_has_no_end(void *ctx)
{
    (void)ctx;
    ring_open(&ring, 8);
    io_recv(ring.io, ring_tag(IO_KIND_INBOUND_SEND, 1), 0);
}

START_TEST(misuse_aborts)
{
    int fds[2];
    ring_pair(fds);
    testing_must_abort(close_busy, fds, "in_flight == 0");
    testing_must_abort(start_nothing, NULL, "IO_KIND_NONE");
    testing_must_abort(send_nothing, NULL, "len > 0");
    testing_must_abort(receive_with_a_kind_that_has_no_end, NULL, "IO_DECODE_STREAM");
}
END_TEST

START_TEST(a_ring_that_cannot_be_had_is_an_error)
{
    static const struct io_route routes[IO_KIND_COUNT] = {{0}};
    struct rlimit before, none;
    int error = 0;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct io *io = io_open(ring_backend, 8, routes, NULL, &error);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_ptr_null(io);
    ck_assert_int_eq(error, EMFILE);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {nothing_completes_inside_the_call,
                            completion_queue_overflow_loses_nothing,
                            a_handler_that_starts_again_does_not_hold_the_loop,
                            stale_completion_finds_nobody,
                            tags_survive,
                            cancel_ends_one_operation,
                            cancel_races,
                            waiting_ends_at_the_deadline,
                            misuse_aborts,
                            a_ring_that_cannot_be_had_is_an_error};
    return ring_run("core/io/io", tests, ARRAY_COUNT(tests));
}
