/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The blocking client, in a thread of its own: against a real server, without one, against a broken one.
 */
#include "core/admin/client.h"
#include "core/admin/socket.h"
#include "tests/unit/core/admin/server_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

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
    struct call c = {.req = {.verb = ADMIN_QUEUE_LS, .limit = 2, .select.domain = "d.test"}};
    call_run(&r, &c);
    ck_assert_int_eq(c.result, ADMIN_CLIENT_OK);
    ck_assert_str_eq(c.lines, "{\"id\":\"0\"}|{\"id\":\"1\"}|");
    ck_assert(c.sink.truncated);
    ck_assert_str_eq(r.requests[0].select.domain, "d.test");
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
    {"{\"id\":1}\n\n{\"done\":true,\"lines\":1,\"truncated\":false}\n", ADMIN_CLIENT_OK,
     "{\"id\":1}|"},
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
    Suite *s = suite_create("core/admin/client");
    TCase *t = tcase_create("client");
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
