/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The server on a real ring and a real Unix socket. The test is the control thread; raw clients are
 * plain sockets of the same thread, the blocking client runs in a thread of its own.
 */
#include "core/admin/client.h"
#include "core/admin/server.h"
#include "core/admin/socket.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
};

static void rig_on_io(void *ctx, const struct io_event *ev)
{
    admin_server_on_io(((struct rig *)ctx)->server, ev);
}

static void rig_query(void *ctx, const struct admin_request *req, uint32_t token)
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

static void rig_listen(struct rig *r, uint64_t deadline_ms)
{
    struct admin_config cfg = {.path = slice_str(r->path),
                               .deadline_ms = deadline_ms,
                               .handler = {rig_query, r}};
    struct buf error;
    buf_init(&error, 1024);
    r->server = admin_server_open(&cfg, r->io, &r->timers, &error);
    ck_assert_msg(r->server != NULL, "%.*s", SLICE_ARG(buf_slice(&error)));
    buf_deinit(&error);
}

static void rig_make(struct rig *r)
{
    int error = 0;
    *r = (struct rig){.dir = "/tmp/ringpost-admin-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(r->dir));
    snprintf(r->path, sizeof(r->path), "%s/admin.sock", r->dir);
    for (int k = IO_KIND_ADMIN_ACCEPT; k <= IO_KIND_ADMIN_SEND; k++) {
        r->routes[k] = (struct io_route){"admin", rig_on_io};
    }
    r->io = io_open(64, r->routes, r, &error);
    ck_assert_msg(r->io != NULL, "io_open: %s", strerror(error));
    timer_wheel_init(&r->timers, clock_read().mono_ms);
}

static void rig_open(struct rig *r, uint64_t deadline_ms)
{
    rig_make(r);
    rig_listen(r, deadline_ms);
}

static void rig_turn(struct rig *r)
{
    uint64_t now = io_now(r->io)->mono_ms;
    uint64_t next = timer_wheel_next(&r->timers);
    io_wait(r->io, next < now + 5 ? next : now + 5);
    io_dispatch(r->io);
    timer_wheel_run(&r->timers, io_now(r->io)->mono_ms, r);
}

static void rig_run(struct rig *r, uint64_t ms)
{
    uint64_t end = clock_read().mono_ms + ms;
    while (clock_read().mono_ms < end) {
        rig_turn(r);
    }
}

static void rig_end_server(struct rig *r)
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

static void rig_close(struct rig *r)
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

/* ---- a raw client ---- */

static int raw_connect(struct rig *r)
{
    int fd = admin_socket_connect(slice_str(r->path));
    ck_assert_msg(fd >= 0, "%s", strerror(errno));
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void raw_write(int fd, const char *text, size_t len)
{
    ck_assert_int_eq((int)send(fd, text, len, MSG_NOSIGNAL), (int)len);
}

/* Reads until the server closes; NUL-terminated. */
static char *raw_read_all(struct rig *r, int fd)
{
    size_t cap = 8 * 1024 * 1024, len = 0;
    char *text = malloc(cap + 1);
    uint64_t end = clock_read().mono_ms + 8000;
    for (;;) {
        ssize_t n = recv(fd, text + len, cap - len, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            break;
        }
        if (n > 0) {
            len += (size_t)n;
            continue;
        }
        ck_assert_int_eq(errno, EAGAIN);
        ck_assert_uint_lt(clock_read().mono_ms, end);
        rig_turn(r);
    }
    text[len] = '\0';
    close(fd);
    return text;
}

static void expect_text(char *got, const char *want)
{
    ck_assert_str_eq(got, want);
    free(got);
}

static void expect_part(char *got, const char *part)
{
    ck_assert_msg(strstr(got, part) != NULL, "got: %s", got);
    free(got);
}

START_TEST(answers_inside_query)
{
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = 2;
    int fd = raw_connect(&r);
    raw_write(fd, "queue ls domain=x.test\n", 23);
    expect_text(raw_read_all(&r, fd), "{\"id\":\"0\"}\n{\"id\":\"1\"}\n"
                                      "{\"done\":true,\"lines\":2,\"truncated\":false}\n");
    ck_assert_int_eq(r.queries, 1);
    ck_assert_str_eq(r.requests[0].domain, "x.test");
    rig_run(&r, 5);
    ck_assert_uint_eq(admin_server_counters(r.server)->clients, 0);
    rig_close(&r);
}
END_TEST

START_TEST(request_in_single_bytes)
{
    static const char line[] = "queue show id=abc\n";
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = 1;
    int fd = raw_connect(&r);
    for (size_t i = 0; i + 1 < sizeof(line); i++) {
        raw_write(fd, line + i, 1);
        rig_turn(&r);
        rig_turn(&r);
    }
    expect_text(raw_read_all(&r, fd),
                "{\"id\":\"0\"}\n{\"done\":true,\"lines\":1,\"truncated\":false}\n");
    ck_assert_str_eq(r.requests[0].id, "abc");
    rig_close(&r);
}
END_TEST

START_TEST(answers_later_and_to_the_right_one)
{
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = -1;
    int a = raw_connect(&r), b = raw_connect(&r);
    raw_write(a, "queue stats\n", 12);
    rig_run(&r, 10);
    raw_write(b, "queue ls\n", 9);
    rig_run(&r, 10);
    ck_assert_int_eq(r.queries, 2);
    ck_assert_int_eq(r.requests[0].verb, ADMIN_QUEUE_STATS);
    ck_assert(admin_reply(r.server, r.tokens[1], SLICE("{\"b\":1}")));
    ck_assert(admin_reply(r.server, r.tokens[0], SLICE("{\"a\":1}")));
    rig_turn(&r);
    ck_assert(admin_reply(r.server, r.tokens[1], SLICE("{\"b\":2}")));
    admin_reply_end(r.server, r.tokens[1]);
    ck_assert(!admin_reply(r.server, r.tokens[1], SLICE("{\"b\":3}")));
    admin_reply_end(r.server, r.tokens[1]);
    admin_reply_end(r.server, r.tokens[0]);
    ck_assert(!admin_reply(r.server, 0, SLICE("{}")));
    ck_assert(!admin_reply(r.server, 4711, SLICE("{}")));
    expect_text(raw_read_all(&r, a),
                "{\"a\":1}\n{\"done\":true,\"lines\":1,\"truncated\":false}\n");
    expect_text(raw_read_all(&r, b),
                "{\"b\":1}\n{\"b\":2}\n{\"done\":true,\"lines\":2,\"truncated\":false}\n");
    rig_close(&r);
}
END_TEST

START_TEST(limit_is_the_servers)
{
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = 4;
    int fd = raw_connect(&r);
    raw_write(fd, "queue ls limit=3\n", 17);
    expect_text(raw_read_all(&r, fd), "{\"id\":\"0\"}\n{\"id\":\"1\"}\n{\"id\":\"2\"}\n"
                                      "{\"done\":true,\"lines\":3,\"truncated\":true}\n");
    fd = raw_connect(&r);
    raw_write(fd, "queue ls limit=4\n", 17);
    expect_part(raw_read_all(&r, fd), "\"lines\":4,\"truncated\":false}\n");
    rig_close(&r);
}
END_TEST

START_TEST(show_without_a_line_is_not_found)
{
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = 0;
    int fd = raw_connect(&r);
    raw_write(fd, "queue show id=1\n", 16);
    expect_part(raw_read_all(&r, fd), "{\"error\":\"not_found\",");
    rig_close(&r);
}
END_TEST

static const struct {
    const char *text;
    bool shut;
    const char *reply; /* "": closed without a word */
} garbage[] = {
    {"hello\n", false, "{\"error\":\"bad_request\",\"text\":\"unknown request 'hello'\"}\n"},
    {"\n", false, "{\"error\":\"bad_request\","},
    {"\x01\x02\xff\n", false, "unknown request '\?\?\?'"},
    {"queue stats\r\n", false, "{\"error\":\"bad_request\","},
    {"queue stats", true, "{\"error\":\"bad_request\",\"text\":\"the request has no line end\"}\n"},
    {"", true, ""},
};

START_TEST(garbage_is_answered)
{
    struct rig r;
    rig_open(&r, 0);
    int fd = raw_connect(&r);
    raw_write(fd, garbage[_i].text, strlen(garbage[_i].text));
    if (garbage[_i].shut) {
        shutdown(fd, SHUT_WR);
    }
    char *got = raw_read_all(&r, fd);
    ck_assert_uint_eq(strlen(got) == 0, strlen(garbage[_i].reply) == 0);
    expect_part(got, garbage[_i].reply);
    ck_assert_int_eq(r.queries, 0);
    rig_close(&r);
}
END_TEST

/* A line of exactly the limit is read (and here refused for what it says), one byte more is not. */
START_TEST(oversized)
{
    struct rig r;
    char *line = malloc(100000);
    memset(line, 'x', 100000);
    rig_open(&r, 0);
    int fd = raw_connect(&r);
    line[ADMIN_REQUEST_BYTES_MAX - 1] = '\n';
    raw_write(fd, line, ADMIN_REQUEST_BYTES_MAX);
    expect_part(raw_read_all(&r, fd), "{\"error\":\"bad_request\"");

    fd = raw_connect(&r);
    line[ADMIN_REQUEST_BYTES_MAX - 1] = 'x';
    line[ADMIN_REQUEST_BYTES_MAX] = '\n';
    raw_write(fd, line, ADMIN_REQUEST_BYTES_MAX + 1);
    expect_part(raw_read_all(&r, fd), "{\"error\":\"too_long\"");

    fd = raw_connect(&r);
    for (int i = 0; i < 5000; i++) {
        raw_write(fd, "y", 1);
        if (i % 100 == 0) {
            rig_turn(&r);
        }
    }
    expect_part(raw_read_all(&r, fd), "{\"error\":\"too_long\"");
    ck_assert_uint_eq(admin_server_counters(r.server)->refused, 3);
    free(line);
    rig_close(&r);
}
END_TEST

START_TEST(what_follows_the_line_is_ignored)
{
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = 1;
    int fd = raw_connect(&r);
    raw_write(fd, "queue stats\nqueue ls\nqueue ls\n", 30);
    expect_text(raw_read_all(&r, fd),
                "{\"id\":\"0\"}\n{\"done\":true,\"lines\":1,\"truncated\":false}\n");
    ck_assert_int_eq(r.queries, 1);
    rig_close(&r);
}
END_TEST

START_TEST(deadline_while_reading)
{
    struct rig r;
    rig_open(&r, 100);
    uint64_t start = clock_read().mono_ms;
    int fd = raw_connect(&r);
    raw_write(fd, "queue st", 8);
    expect_part(raw_read_all(&r, fd), "{\"error\":\"timeout\",\"text\":\"no request");
    ck_assert_uint_ge(clock_read().mono_ms - start, 95);
    rig_close(&r);
}
END_TEST

START_TEST(deadline_while_waiting)
{
    struct rig r;
    rig_open(&r, 100);
    r.answer_lines = -1;
    int fd = raw_connect(&r);
    raw_write(fd, "queue stats\n", 12);
    rig_run(&r, 20);
    ck_assert(admin_reply(r.server, r.tokens[0], SLICE("{\"x\":1}")));
    expect_part(raw_read_all(&r, fd), "{\"x\":1}\n{\"error\":\"timeout\",");
    ck_assert(!admin_reply(r.server, r.tokens[0], SLICE("{\"late\":1}")));
    admin_reply_end(r.server, r.tokens[0]);
    ck_assert_uint_eq(admin_server_counters(r.server)->deadlines, 1);
    rig_close(&r);
}
END_TEST

/* The client reads nothing: a send is stuck in the kernel, the deadline ends it all the same. */
START_TEST(deadline_while_sending)
{
    struct rig r;
    char *line = malloc(1000001);
    memset(line, 'z', 1000000);
    rig_open(&r, 100);
    r.answer_lines = -1;
    int fd = raw_connect(&r);
    raw_write(fd, "queue ls\n", 9);
    rig_run(&r, 20);
    ck_assert(admin_reply(r.server, r.tokens[0], slice_of(line, 1000000)));
    admin_reply_end(r.server, r.tokens[0]);
    rig_run(&r, 300);
    ck_assert_uint_eq(admin_server_counters(r.server)->clients, 0);
    ck_assert_uint_eq(admin_server_counters(r.server)->deadlines, 1);
    close(fd);
    free(line);
    rig_close(&r);
}
END_TEST

START_TEST(big_reply_arrives_whole)
{
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = -1;
    int fd = raw_connect(&r);
    raw_write(fd, "queue ls limit=20000\n", 21);
    rig_run(&r, 10);
    struct buf want;
    buf_init(&want, 4 * 1024 * 1024);
    for (int i = 0; i < 20000; i++) {
        char line[160];
        int n = snprintf(line, sizeof(line), "{\"id\":\"%0100d\"}", i);
        ck_assert(admin_reply(r.server, r.tokens[0], slice_of(line, (size_t)n)));
        buf_addf(&want, "%s\n", line);
    }
    admin_reply_end(r.server, r.tokens[0]);
    buf_addf(&want, "{\"done\":true,\"lines\":20000,\"truncated\":false}\n%c", 0);
    char *got = raw_read_all(&r, fd);
    ck_assert(strcmp(got, want.ptr) == 0);
    free(got);
    buf_deinit(&want);
    rig_close(&r);
}
END_TEST

START_TEST(too_big_a_reply_says_so)
{
    struct rig r;
    char *line = malloc(ADMIN_REPLY_BYTES_MAX);
    memset(line, 'z', ADMIN_REPLY_BYTES_MAX);
    rig_open(&r, 0);
    r.answer_lines = -1;
    int fd = raw_connect(&r), fd2 = raw_connect(&r);
    raw_write(fd, "queue ls\n", 9);
    raw_write(fd2, "queue ls\n", 9);
    rig_run(&r, 10);
    ck_assert(!admin_reply(r.server, r.tokens[0], slice_of(line, ADMIN_REPLY_BYTES_MAX)));
    int taken = 0;
    while (taken < 100 && admin_reply(r.server, r.tokens[1], slice_of(line, 500000))) {
        taken++;
    }
    ck_assert_int_ge(taken, 7);
    ck_assert_int_le(taken, 9);
    expect_part(raw_read_all(&r, fd), "{\"error\":\"overflow\"");
    expect_part(raw_read_all(&r, fd2), "{\"error\":\"overflow\"");
    free(line);
    rig_close(&r);
}
END_TEST

START_TEST(one_too_many_is_told)
{
    struct rig r;
    int fds[ADMIN_CLIENTS_MAX];
    rig_open(&r, 0);
    r.answer_lines = 0;
    for (int i = 0; i < ADMIN_CLIENTS_MAX; i++) {
        fds[i] = raw_connect(&r);
        rig_turn(&r);
    }
    rig_run(&r, 10);
    expect_part(raw_read_all(&r, raw_connect(&r)), "{\"error\":\"busy\"");
    ck_assert_uint_eq(admin_server_counters(r.server)->busy, 1);
    close(fds[0]);
    rig_run(&r, 10);
    int fd = raw_connect(&r);
    raw_write(fd, "queue stats\n", 12);
    expect_part(raw_read_all(&r, fd), "{\"done\":true");
    for (int i = 1; i < ADMIN_CLIENTS_MAX; i++) {
        close(fds[i]);
    }
    rig_close(&r);
}
END_TEST

START_TEST(client_goes_away)
{
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = -1;
    int fd = raw_connect(&r);
    raw_write(fd, "queue ls\n", 9);
    rig_run(&r, 10);
    close(fd);
    admin_reply(r.server, r.tokens[0], SLICE("{\"a\":1}"));
    rig_run(&r, 10);
    ck_assert_uint_eq(admin_server_counters(r.server)->clients, 0);
    ck_assert(!admin_reply(r.server, r.tokens[0], SLICE("{\"a\":2}")));
    rig_close(&r);
}
END_TEST

START_TEST(drain_answers_who_waits)
{
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = -1;
    int reading = raw_connect(&r), waiting = raw_connect(&r);
    raw_write(waiting, "queue ls\n", 9);
    rig_run(&r, 10);
    admin_server_drain(r.server);
    admin_server_drain(r.server);
    ck_assert_int_ne(access(r.path, F_OK), 0);
    expect_part(raw_read_all(&r, reading), "{\"error\":\"stopping\"");
    expect_part(raw_read_all(&r, waiting), "{\"error\":\"stopping\"");
    rig_close(&r);
}
END_TEST

/* ---- the blocking client ---- */

struct call {
    const char *path;
    struct admin_request req;
    enum admin_client_result result;
    struct admin_client_sink sink;
    struct buf error;
    char lines[512];
    _Atomic bool over;
};

static void call_line(void *ctx, struct slice json)
{
    struct call *c = ctx;
    size_t at = strlen(c->lines);
    snprintf(c->lines + at, sizeof(c->lines) - at, "%.*s|", SLICE_ARG(json));
}

static void *call_thread(void *ctx)
{
    struct call *c = ctx;
    c->sink = (struct admin_client_sink){.line = call_line, .ctx = c};
    c->result = admin_client_call(slice_str(c->path), &c->req, 3000, &c->sink, &c->error);
    c->over = true;
    return NULL;
}

static void call_run(struct rig *r, struct call *c)
{
    pthread_t thread;
    buf_init(&c->error, 1024);
    c->path = r->path;
    ck_assert_int_eq(pthread_create(&thread, NULL, call_thread, c), 0);
    while (!c->over) {
        rig_turn(r);
    }
    pthread_join(thread, NULL);
    buf_add_byte(&c->error, '\0');
}

START_TEST(client_and_server)
{
    struct rig r;
    rig_open(&r, 0);
    r.answer_lines = 3;
    struct call c = {.req = {.verb = ADMIN_QUEUE_LS, .limit = 2, .domain = "d.test"}};
    call_run(&r, &c);
    ck_assert_int_eq(c.result, ADMIN_CLIENT_OK);
    ck_assert_str_eq(c.lines, "{\"id\":\"0\"}|{\"id\":\"1\"}|");
    ck_assert(c.sink.truncated);
    ck_assert_str_eq(r.requests[0].domain, "d.test");
    buf_deinit(&c.error);

    r.answer_lines = 0;
    struct call none = {.req = {.verb = ADMIN_QUEUE_SHOW, .id = "7"}};
    call_run(&r, &none);
    ck_assert_int_eq(none.result, ADMIN_CLIENT_REFUSED);
    ck_assert_str_eq(none.error.ptr, "no such message in the queue (not_found)");
    ck_assert_str_eq(none.lines, "");
    buf_deinit(&none.error);
    rig_close(&r);
}
END_TEST

START_TEST(client_without_engine)
{
    struct call c = {.path = "/tmp/ringpost-no-such-folder/x.sock",
                     .req = {.verb = ADMIN_QUEUE_STATS}};
    buf_init(&c.error, 1024);
    call_thread(&c);
    ck_assert_int_eq(c.result, ADMIN_CLIENT_UNREACHABLE);
    ck_assert_uint_gt(c.error.len, 0);
    buf_deinit(&c.error);
}
END_TEST

/* What a broken engine may say: (text, result). The peer writes it and closes. */
static const struct {
    const char *text;
    enum admin_client_result result;
    const char *lines;
} broken[] = {
    {"", ADMIN_CLIENT_BROKEN, ""},
    {"{\"id\":1}\n", ADMIN_CLIENT_BROKEN, "{\"id\":1}|"},
    {"{\"id\":1}\n{\"done\":true", ADMIN_CLIENT_BROKEN, "{\"id\":1}|"},
    {"{\"id\":1}\n\n{\"done\":true,\"lines\":1,\"truncated\":false}\n", ADMIN_CLIENT_OK, "{\"id\":1}|"},
    {"{\"error\":", ADMIN_CLIENT_BROKEN, ""},
    {"{\"error\":\n", ADMIN_CLIENT_REFUSED, ""},
    {"{\"error\":\"busy\",\"text\":\"later\"}\n", ADMIN_CLIENT_REFUSED, ""},
};

struct peer {
    int listen_fd;
    const char *text;
};

static void *peer_thread(void *ctx)
{
    struct peer *p = ctx;
    char request[256];
    int fd = accept(p->listen_fd, NULL, NULL);
    (void)!read(fd, request, sizeof(request));
    (void)!write(fd, p->text, strlen(p->text));
    close(fd);
    return NULL;
}

START_TEST(client_with_broken_engine)
{
    char dir[] = "/tmp/ringpost-admin-XXXXXX", path[64];
    struct admin_socket_file file;
    pthread_t thread;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/s", dir);
    struct peer peer = {admin_socket_listen(slice_str(path), &file), broken[_i].text};
    ck_assert_int_ge(peer.listen_fd, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, peer_thread, &peer), 0);
    struct call c = {.path = path, .req = {.verb = ADMIN_QUEUE_STATS}};
    buf_init(&c.error, 1024);
    call_thread(&c);
    pthread_join(thread, NULL);
    ck_assert_int_eq(c.result, broken[_i].result);
    ck_assert_str_eq(c.lines, broken[_i].lines);
    ck_assert_uint_eq(c.error.len == 0, c.result == ADMIN_CLIENT_OK);
    buf_deinit(&c.error);
    close(peer.listen_fd);
    admin_socket_remove(slice_str(path), &file);
    rmdir(dir);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/admin/server");
    TCase *t = tcase_create("server");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, answers_inside_query);
    tcase_add_test(t, request_in_single_bytes);
    tcase_add_test(t, answers_later_and_to_the_right_one);
    tcase_add_test(t, limit_is_the_servers);
    tcase_add_test(t, show_without_a_line_is_not_found);
    tcase_add_loop_test(t, garbage_is_answered, 0, (int)ARRAY_COUNT(garbage));
    tcase_add_test(t, oversized);
    tcase_add_test(t, what_follows_the_line_is_ignored);
    tcase_add_test(t, deadline_while_reading);
    tcase_add_test(t, deadline_while_waiting);
    tcase_add_test(t, deadline_while_sending);
    tcase_add_test(t, big_reply_arrives_whole);
    tcase_add_test(t, too_big_a_reply_says_so);
    tcase_add_test(t, one_too_many_is_told);
    tcase_add_test(t, client_goes_away);
    tcase_add_test(t, drain_answers_who_waits);
    suite_add_tcase(s, t);
    t = tcase_create("client");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, client_and_server);
    tcase_add_test(t, client_without_engine);
    tcase_add_loop_test(t, client_with_broken_engine, 0, (int)ARRAY_COUNT(broken));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
