/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An admin server on a real ring and a real Unix socket in a folder of its own; the test is the control
 * thread. Shared by test_server.c and test_client.c.
 */
#ifndef RINGPOST_TEST_ADMIN_RIG_H
#define RINGPOST_TEST_ADMIN_RIG_H

#include "core/admin/server.h"
#include "tests/unit/core/io/backend.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RIG_TOKENS = 64 };

struct rig {
    char dir[64];
    char path[400];
    struct io *io;
    struct io_route routes[IO_KIND_COUNT];
    struct timer_wheel timers;
    struct admin_server *server;
    int answer_lines; /* answered inside query; < 0: later */
    uint32_t tokens[RIG_TOKENS];
    struct admin_request requests[RIG_TOKENS];
    int queries;
    uint32_t gone[RIG_TOKENS]; /* streams that are over */
    int gone_count;
};

static inline void rig_on_io(void *ctx, const struct io_event *ev)
{
    admin_server_on_io(((struct rig *)ctx)->server, ev);
}

static inline void rig_query(void *ctx, const struct admin_request *req, uint32_t token)
{
    struct rig *r = ctx;
    ck_assert_int_lt(r->queries, RIG_TOKENS);
    ck_assert_uint_ne(token, 0);
    r->tokens[r->queries] = token;
    r->requests[r->queries++] = *req;
    if (r->answer_lines < 0) {
        return;
    }
    for (int i = 0; i < r->answer_lines; i++) {
        char line[64];
        int n = snprintf(line, sizeof(line), "{\"id\":\"%d\"}", i);
        admin_reply(r->server, token, slice_of(line, (size_t)n));
    }
    admin_reply_end(r->server, token);
}

static inline void rig_gone(void *ctx, uint32_t token)
{
    struct rig *r = ctx;
    ck_assert_int_lt(r->gone_count, RIG_TOKENS);
    r->gone[r->gone_count++] = token;
}

static inline void rig_listen(struct rig *r, uint64_t deadline_ms)
{
    struct admin_config cfg = {.path = slice_str(r->path),
                               .deadline_ms = deadline_ms,
                               .handler = {.query = rig_query, .gone = rig_gone, .ctx = r}};
    struct buf error;
    buf_init(&error, 1024);
    r->server = admin_server_open(&cfg, r->io, &r->timers, &error);
    ck_assert_msg(r->server != NULL, "%.*s", SLICE_ARG(buf_slice(&error)));
    buf_deinit(&error);
}

static inline void rig_make(struct rig *r)
{
    int error = 0;
    *r = (struct rig){.dir = "/tmp/ringpost-admin-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(r->dir));
    snprintf(r->path, sizeof(r->path), "%s/admin.sock", r->dir);
    for (int k = IO_KIND_ADMIN_ACCEPT; k <= IO_KIND_ADMIN_SEND; k++) {
        r->routes[k] = (struct io_route){"admin", rig_on_io};
    }
    r->io = io_open(testing_backend(), 64, r->routes, r, &error);
    ck_assert_msg(r->io != NULL, "io_open: %s", strerror(error));
    timer_wheel_init(&r->timers, clock_read().mono_ms);
}

static inline void rig_open(struct rig *r, uint64_t deadline_ms)
{
    rig_make(r);
    rig_listen(r, deadline_ms);
}

static inline void rig_turn(struct rig *r)
{
    uint64_t now = io_now(r->io)->mono_ms;
    uint64_t next = timer_wheel_next(&r->timers);
    io_wait(r->io, next < now + 5 ? next : now + 5);
    io_dispatch(r->io);
    timer_wheel_run(&r->timers, io_now(r->io)->mono_ms, r);
}

static inline void rig_run(struct rig *r, uint64_t ms)
{
    uint64_t end = clock_read().mono_ms + ms;
    while (clock_read().mono_ms < end) {
        rig_turn(r);
    }
}

static inline void rig_end_server(struct rig *r)
{
    admin_server_drain(r->server);
    uint64_t end = clock_read().mono_ms + 5000;
    while (!admin_server_idle(r->server)) {
        rig_turn(r);
        ck_assert_uint_lt(clock_read().mono_ms, end);
    }
    admin_server_close(r->server);
    r->server = NULL;
}

static inline void rig_close(struct rig *r)
{
    if (r->server) {
        rig_end_server(r);
    }
    ck_assert_uint_eq(io_in_flight(r->io), 0);
    ck_assert_uint_eq(r->timers.armed, 0);
    io_close(r->io);
    ck_assert_msg(access(r->path, F_OK) != 0, "the socket file is left");
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", r->dir);
    ck_assert_int_eq(system(command), 0);
}

#endif
