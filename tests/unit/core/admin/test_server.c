/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The server as raw sockets of the same thread see it.
 */
#include "core/admin/socket.h"
#include "tests/unit/core/admin/server_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

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
    ck_assert_str_eq(r.requests[0].select.domain, "x.test");
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
    for (int i = 0; i < ADMIN_REQUEST_BYTES_MAX; i++) {
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

/* ---- streams ---- */

static int stream_open(struct rig *r)
{
    int fd = raw_connect(r);
    r->answer_lines = -1;
    raw_write(fd, "trace target=a.test\n", 20);
    while (r->queries == 0) {
        rig_turn(r);
    }
    return fd;
}

START_TEST(a_stream_has_no_deadline)
{
    struct rig r;
    rig_open(&r, 20);
    int fd = stream_open(&r);
    rig_run(&r, 80);
    ck_assert(admin_reply_stream(r.server, r.tokens[0], SLICE("{\"n\":1}")));
    rig_run(&r, 20);
    ck_assert(admin_reply_stream(r.server, r.tokens[0], SLICE("{\"n\":2}")));
    ck_assert_int_eq(r.gone_count, 0);
    admin_reply_end(r.server, r.tokens[0]);
    ck_assert(r.gone_count == 1 && r.gone[0] == r.tokens[0]);
    expect_text(raw_read_all(&r, fd), "{\"n\":1}\n{\"n\":2}\n"
                                      "{\"done\":true,\"lines\":2,\"truncated\":false}\n");
    ck_assert_int_eq(r.gone_count, 1);
    rig_close(&r);
}
END_TEST

START_TEST(a_stream_ends_with_its_client)
{
    struct rig r;
    rig_open(&r, 0);
    int fd = stream_open(&r);
    raw_write(fd, "more\n", 5); /* nothing to us */
    rig_run(&r, 20);
    ck_assert_int_eq(r.gone_count, 0);
    close(fd);
    while (r.gone_count == 0) {
        rig_turn(&r);
    }
    ck_assert_uint_eq(r.gone[0], r.tokens[0]);
    ck_assert(!admin_reply_stream(r.server, r.tokens[0], SLICE("{}")));
    ck_assert_uint_eq(admin_server_counters(r.server)->clients, 0);
    rig_close(&r);
}
END_TEST

/* Whoever does not read loses lines and is told how many; nothing grows, nobody waits. */
START_TEST(a_slow_reader_of_a_stream)
{
    enum { LINES = 4000 };
    struct rig r;
    char line[512];
    rig_open(&r, 0);
    int fd = stream_open(&r);
    memset(line, 'x', sizeof(line));
    memcpy(line, "{\"a\":\"", 6);
    memcpy(line + sizeof(line) - 2, "\"}", 2);
    for (int i = 0; i < LINES; i++) {
        ck_assert(admin_reply_stream(r.server, r.tokens[0], slice_of(line, sizeof(line))));
        if (i % 16 == 0) {
            rig_turn(&r);
        }
    }
    uint64_t lost = admin_server_counters(r.server)->lost;
    ck_assert(lost > 0 && lost < LINES);
    rig_run(&r, 20);
    admin_reply_end(r.server, r.tokens[0]);
    char *got = raw_read_all(&r, fd);
    ck_assert_ptr_nonnull(strstr(got, "{\"done\":true"));
    free(got);
    rig_close(&r);
}
END_TEST

START_TEST(drain_ends_a_stream)
{
    struct rig r;
    rig_open(&r, 0);
    int fd = stream_open(&r);
    admin_server_drain(r.server);
    ck_assert_int_eq(r.gone_count, 1);
    expect_part(raw_read_all(&r, fd), "{\"error\":\"stopping\"");
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

/* No descriptor left: the connection waits in the backlog and is served when there is one again. The
 * limit is lowered first because the kernel notes it when the accept is armed. */
START_TEST(accept_survives_emfile)
{
    enum { DESCRIPTORS = 100 };
    struct rlimit low = {DESCRIPTORS, DESCRIPTORS};
    struct rig r;
    int used[DESCRIPTORS], count = 0, fd;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    rig_open(&r, 0);
    r.answer_lines = 0;
    int client = raw_connect(&r);
    while ((fd = dup(client)) >= 0) {
        used[count++] = fd;
    }
    raw_write(client, "queue stats\n", 12);
    rig_run(&r, 50);
    ck_assert_uint_eq(admin_server_counters(r.server)->accepted, 0);
    while (count) {
        close(used[--count]);
    }
    expect_part(raw_read_all(&r, client), "{\"done\":true");
    ck_assert_uint_eq(admin_server_counters(r.server)->accepted, 1);
    rig_close(&r);
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
    tcase_add_test(t, a_stream_has_no_deadline);
    tcase_add_test(t, a_stream_ends_with_its_client);
    tcase_add_test(t, a_slow_reader_of_a_stream);
    tcase_add_test(t, drain_ends_a_stream);
    tcase_add_test(t, accept_survives_emfile);
    tcase_add_test(t, drain_answers_who_waits);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
