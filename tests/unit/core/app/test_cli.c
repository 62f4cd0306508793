/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whole command lines through cli_main: exit status, and what went to which stream. `queue` talks to a
 * real admin server in a thread of its own.
 */
#include "core/admin/server.h"
#include "core/app/cli.h"
#include "core/base/must.h"
#include "tests/unit/core/io/backend.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARGS_MAX = 24 };

struct result {
    int status;
    char *out;
    char *err;
};

static char *const no_environment[] = {NULL};
static size_t served_sets;

static int fake_serve(const struct conf_source *src, struct relay_settings *settings)
{
    served_sets = src->set_count;
    relay_settings_put(&settings);
    return 42;
}

/* One string, cut at spaces. */
static struct result run(const char *line)
{
    char copy[512], *argv[ARGS_MAX] = {"ringpost"};
    int argc = 1;
    size_t out_size, err_size;
    struct result r;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *rest = copy, *word; (word = strsep(&rest, " "));) {
        ck_assert_int_lt(argc, ARGS_MAX);
        if (word[0]) {
            argv[argc++] = word;
        }
    }
    struct cli cli = {.out = open_memstream(&r.out, &out_size),
                      .err = open_memstream(&r.err, &err_size),
                      .environment = no_environment,
                      .serve = fake_serve};
    r.status = cli_main(&cli, argc, argv);
    fclose(cli.out);
    fclose(cli.err);
    return r;
}

static void result_free(struct result *r)
{
    free(r->out);
    free(r->err);
}

/* out, err: a part; "" means the stream must be empty; NULL: does not matter. */
static const struct {
    const char *line;
    int status;
    const char *out, *err;
} lines[] = {
    {"", 64, "", "usage: ringpost COMMAND"},
    {"help", 0, "queue ls", ""},
    {"--help", 0, "Exit status", ""},
    {"-h", 0, "serve", ""},
    {"help queue", 0, "queue show ID", ""},
    {"help queue ls", 0, "usage: ringpost queue ls", ""},
    {"help check", 0, "usage: ringpost check", ""},
    {"help check more", 64, NULL, "unknown command 'check more'"},
    {"help nothing", 64, "", "unknown command 'nothing'"},
    {"nothing", 64, "", "unknown command 'nothing'"},
    {"Serve", 64, "", "unknown command 'Serve'"},
    {"queue", 64, "", "usage: ringpost queue COMMAND"},
    {"queue --help", 0, "queue stats", ""},
    {"dkim --help", 0, "sign [DOMAIN SELECTOR KEYFILE [SELECTOR KEYFILE]]\n", ""},
    {"dkim --help", 0, "\n                       sign the message on standard input\n", ""},
    {"queue --help", 0, "\n  queue show ID        one message with its recipients\n", ""},
    {"queue lsx", 64, "", "unknown command 'queue lsx'"},
    {"queue ls --help", 0, "--domain NAME", ""},
    {"serve -h", 0, "SIGHUP", ""},
    {"version --help", 0, "--json", ""},
    {"version", 0, "wolfSSL", ""},
    {"--version", 0, "ringpost", ""},
    {"version --json", 0, "{\"ringpost\":\"", ""},
    {"version -c x", 64, "", "option '-c' does not belong to this command"},
    {"version extra", 64, "", "unexpected argument 'extra'"},
    {"check --nonsense", 64, "", "unknown option '--nonsense'"},
    {"check -x", 64, "", "unknown option '-x'"},
    {"check -c", 64, "", "--config needs FILE"},
    {"check --config=", 64, "", "--config needs FILE"},
    {"check -c a -c b", 64, "", "--config is given twice"},
    {"check --json", 64, "", "does not belong"},
    {"check file.yaml", 64, "", "unexpected argument 'file.yaml'"},
    {"check a b c d", 64, "", "unexpected argument"},
    {"check -- -c", 64, "", "unexpected argument '-c'"},
    {"check", 0, "configuration is valid\n", ""},
    {"check -c /nonexistent/x.yaml", 78, "", "/nonexistent/x.yaml"},
    {"check --set limits.recipients=x", 78, "", "limits.recipients"},
    {"check --set=limits.recipients=7", 0, "valid", ""},
    {"config --defaults", 0, "identity:", ""},
    {"config --schema", 0, "\"$schema\"", ""},
    {"config --markdown", 0, "spool.dir", ""},
    {"config --schema --markdown", 64, "", "exclude each other"},
    {"config --schema=1", 64, "", "--schema takes no value"},
    {"config --set limits.recipients=7", 0, "recipients: 7", ""},
    {"config --set bad=1", 78, "", "bad"},
    {"serve --set bad=1", 78, "", "bad"},
    {"serve --set limits.recipients=7 --set limits.hops=9", 42, "", ""},
    {"queue show", 64, "", "ID is missing"},
    {"queue show a b", 64, "", "unexpected argument 'b'"},
    {"queue show a/b", 64, "", "id must be"},
    {"queue stats --limit 3", 64, "", "does not belong"},
    {"queue ls --limit 0", 64, "", "--limit needs a number from 1 to 100000, not '0'"},
    {"queue ls --limit many", 64, "", "--limit needs a number"},
    {"queue ls --limit", 64, "", "--limit needs N"},
    {"queue ls --domain a@b", 64, "", "domain must be"},
    {"queue ls --socket /nonexistent/s", 69, "", "/nonexistent/s: no such socket"},
    {"queue ls --set bad=1", 78, "", "bad"},
    {"queue stats --set admin.socket=/nonexistent/t", 69, "", "/nonexistent/t"},
    {"spool", 64, "", "spool verify DIR"},
    {"spool ls", 64, "", "DIR is missing"},
    {"spool cat x", 64, "", "DIR ID is missing"},
    {"spool cat x notanid", 64, "", "'notanid' is not a message id"},
    {"spool verify x --json", 64, "", "does not belong"},
    {"doctor --set bad=1", 78, "", "bad"},
    {"doctor -- x", 64, "", "unexpected argument 'x'"},
};

static void expect(const char *line, const char *name, const char *got, const char *want)
{
    if (want && want[0]) {
        ck_assert_msg(strstr(got, want) != NULL, "%s: %s: %s", line, name, got);
    } else if (want) {
        ck_assert_msg(got[0] == '\0', "%s: %s is not empty: %s", line, name, got);
    }
}

START_TEST(command_line)
{
    struct result r = run(lines[_i].line);
    ck_assert_msg(r.status == lines[_i].status, "%s: status %d, %s", lines[_i].line, r.status,
                  r.err);
    expect(lines[_i].line, "out", r.out, lines[_i].out);
    expect(lines[_i].line, "err", r.err, lines[_i].err);
    result_free(&r);
}
END_TEST

START_TEST(serve_hands_the_source_on)
{
    struct result r = run("serve --set limits.recipients=7 --set limits.hops=9");
    ck_assert_int_eq(r.status, 42);
    ck_assert_uint_eq(served_sets, 2);
    result_free(&r);
}
END_TEST

START_TEST(too_many_sets)
{
    char *argv[2 + 65 * 2] = {"ringpost", "check"};
    char *err = NULL;
    size_t size;
    for (int i = 0; i < 65; i++) {
        argv[2 + 2 * i] = "--set";
        argv[3 + 2 * i] = "limits.recipients=7";
    }
    struct cli cli = {.out = stdout,
                      .err = open_memstream(&err, &size),
                      .environment = no_environment};
    ck_assert_int_eq(cli_main(&cli, (int)ARRAY_COUNT(argv), argv), 64);
    fclose(cli.err);
    ck_assert_ptr_nonnull(strstr(err, "--set may be given 64 times at most"));
    free(err);
}
END_TEST

START_TEST(full_output_is_a_failure)
{
    char *argv[] = {"ringpost", "config", "--defaults"};
    char *err = NULL;
    size_t size;
    struct cli cli = {.out = fopen("/dev/full", "w"),
                      .err = open_memstream(&err, &size),
                      .environment = no_environment};
    ck_assert_int_eq(cli_main(&cli, 3, argv), 1);
    fclose(cli.out);
    fclose(cli.err);
    ck_assert_ptr_nonnull(strstr(err, "could not be written"));
    free(err);
}
END_TEST

/* ---- against an engine ---- */

struct engine {
    char dir[64];
    struct io *io;
    struct timer_wheel timers;
    struct admin_server *server;
    _Atomic bool ready;
    _Atomic bool stop;
    pthread_t thread;
};

static void engine_on_io(void *ctx, const struct io_event *ev)
{
    admin_server_on_io(((struct engine *)ctx)->server, ev);
}

/* Says what it was asked. */
static void engine_order(struct engine *e, const struct admin_request *req, uint32_t token)
{
    struct buf line;
    buf_init(&line, 8192);
    admin_request_add(&line, req);
    struct slice asked = slice_first(buf_slice(&line), line.len - 1);
    struct buf json;
    buf_init(&json, 8192);
    buf_addf(&json,
             "{\"verb\":\"%.*s\",\"dry_run\":%s,\"messages\":2,\"recipients\":1,\"sending\":%d}",
             SLICE_ARG(asked), req->dry_run ? "true" : "false", req->quiet ? 1 : 0);
    admin_reply(e->server, token, buf_slice(&json));
    buf_deinit(&json);
    buf_deinit(&line);
}

static void engine_query(void *ctx, const struct admin_request *req, uint32_t token)
{
    struct engine *e = ctx;
    switch (req->verb) {
    case ADMIN_QUEUE_STATS:
        admin_reply(e->server, token,
                    SLICE("{\"accepted\":3,\"delivered\":1,\"bounced\":0,"
                          "\"expired\":0,\"cancelled\":0,\"queued\":2}"));
        break;
    case ADMIN_QUEUE_LS:
        for (int i = 0; i < 3 && req->select.domain[0] != 'n'; i++) {
            admin_reply(e->server, token,
                        SLICE("{\"id\":\"A1\",\"from\":\"a@x\",\"size\":1,\"age_seconds\":2,"
                              "\"recipients\":[]}"));
        }
        break;
    case ADMIN_QUEUE_SHOW:
        if (strcmp(req->id, "odd") == 0) {
            admin_reply(e->server, token, SLICE("not json"));
        }
        break;
    case ADMIN_QUEUE_RETRY:
    case ADMIN_QUEUE_HOLD:
    case ADMIN_QUEUE_RELEASE:
    case ADMIN_QUEUE_BOUNCE:
    case ADMIN_QUEUE_DELETE:
    case ADMIN_QUEUE_ROUTE:
    case ADMIN_SUSPEND:
    case ADMIN_RESUME:
        engine_order(e, req, token);
        break;
    case ADMIN_SUSPEND_LS:
        admin_reply(
            e->server, token,
            SLICE("{\"suspended\":\"domain:a.test\",\"since\":\"2026-01-01T00:00:00.000000Z\","
                  "\"until\":null,\"reason\":\"x\\u001by\"}"));
        break;
    case ADMIN_PEERS_LS:
        admin_reply(e->server, token,
                    SLICE("{\"peer\":\"mx.a.test:25\",\"address\":\"192.0.2.1\","
                          "\"topic\":\"level\",\"learned\":\"pipelined\",\"reason\":\"why\","
                          "\"since\":\"2026-01-01T00:00:00.000000Z\","
                          "\"until\":\"2026-01-01T00:00:00.000000Z\",\"reply\":\"500 x\\u001b\"}"));
        break;
    case ADMIN_PEERS_FORGET:
        admin_reply(e->server, token,
                    req->host[0] ? SLICE("{\"verb\":\"peers forget\",\"peers\":1}")
                                 : SLICE("not json"));
        break;
    case ADMIN_WARMUP_LS:
        admin_reply(e->server, token,
                    SLICE("{\"source\":\"ip9\",\"provider\":\"goo\\u001bgle\",\"day\":3,"
                          "\"days\":7,\"sent\":412,\"allowance\":500,\"answered\":400,"
                          "\"deferred\":10,\"deferred_percent\":2.5,\"state\":\"held\"}"));
        admin_reply(e->server, token,
                    SLICE("{\"source\":\"ip8\",\"provider\":\"\",\"day\":8,\"days\":7,"
                          "\"sent\":0,\"allowance\":null,\"state\":\"warm\"}"));
        break;
    case ADMIN_EXPLAIN:
    case ADMIN_WARMUP_SET:
    case ADMIN_OVERRIDES_LS:
    case ADMIN_OVERRIDES_CANCEL:
    case ADMIN_OVERRIDES_ADD:
    case ADMIN_TOP:
    case ADMIN_TRACE:
    case ADMIN_VERB_COUNT:
        break;
    }
    admin_reply_end(e->server, token);
}

static void *engine_thread(void *ctx)
{
    struct engine *e = ctx;
    struct io_route routes[IO_KIND_COUNT] = {{0}};
    char path[128];
    int error = 0;
    struct buf why;
    buf_init(&why, 1024);
    snprintf(path, sizeof(path), "%s/s", e->dir);
    for (int k = IO_KIND_ADMIN_ACCEPT; k <= IO_KIND_ADMIN_SEND; k++) {
        routes[k] = (struct io_route){"admin", engine_on_io};
    }
    e->io = io_open(testing_backend(), 64, routes, e, &error);
    must(e->io != NULL);
    timer_wheel_init(&e->timers, io_now(e->io)->mono_ms);
    struct admin_config cfg = {.path = slice_str(path),
                               .handler = {.query = engine_query, .ctx = e}};
    e->server = admin_server_open(&cfg, e->io, &e->timers, &why);
    must(e->server != NULL);
    buf_deinit(&why);
    e->ready = true;
    bool draining = false;
    while (!draining || !admin_server_idle(e->server)) {
        io_wait(e->io, io_now(e->io)->mono_ms + 5);
        io_dispatch(e->io);
        timer_wheel_run(&e->timers, io_now(e->io)->mono_ms, e);
        if (e->stop && !draining) {
            draining = true;
            admin_server_drain(e->server);
        }
    }
    admin_server_close(e->server);
    io_close(e->io);
    return NULL;
}

static void engine_start(struct engine *e)
{
    *e = (struct engine){.dir = "/tmp/ringpost-cli-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(e->dir));
    ck_assert_int_eq(pthread_create(&e->thread, NULL, engine_thread, e), 0);
    while (!e->ready) {
        usleep(1000);
    }
}

static void engine_end(struct engine *e)
{
    e->stop = true;
    pthread_join(e->thread, NULL);
    ck_assert_int_eq(rmdir(e->dir), 0); /* the socket is gone */
}

static const struct {
    const char *line; /* without the socket */
    int status;
    const char *out, *err;
} asked[] = {
    {"queue stats", 0, "queued                  2\n\naccepted = ", ""},
    {"queue stats --json", 0,
     "{\"accepted\":3,\"delivered\":1,\"bounced\":0,\"expired\":0,\"cancelled\":0,\"queued\":2}\n",
     ""},
    {"queue ls", 0, "ID                 AGE      SIZE       FROM, RECIPIENTS\nA1  ", ""},
    {"queue ls --limit 3 --json", 0, "{\"id\":\"A1\"", ""},
    {"queue ls --limit 2", 0, "A1", "there are more messages than --limit lists"},
    {"queue ls --domain none.test", 0, "no messages\n", ""},
    {"queue ls --domain none.test --json", 0, "", ""},
    {"queue show A1", 1, "", "no such message in the queue (not_found)"},
    {"queue show odd", 1, "", "cannot read"},
    {"queue show odd --json", 0, "not json\n", ""},
    {"queue retry --domain a.test --last-reply=a%b", 0,
     "queue retry domain=a.test last_reply=a%25b: 1 recipient of 2 messages\n", ""},
    {"queue hold --id 0000000000001 --sender <> --dry-run", 0,
     "queue hold id=0000000000001 sender=<> dry_run=1 would concern: 1 recipient", ""},
    {"queue bounce --all --no-report", 0, "1 of them in transactions now", ""},
    {"queue delete --tenant t --campaign c --site mx.a.test --recipient b@c --older-than 2h", 0,
     "recipient=b@c site=mx.a.test tenant=t campaign=c older=7200", ""},
    {"suspend A.test --for 90m --reason soon", 0,
     "suspend scope=domain:a.test for=5400 reason=soon", ""},
    {"resume tenant:News", 0, "resume scope=tenant:news", ""},
    {"suspend ls", 0, "domain:a.test", ""},
    {"suspend ls", 0, "x?y", ""},
    {"peers ls", 0, "mx.a.test:25                     192.0.2.1        pipelined  ", ""},
    {"peers ls", 0, " 0s       why: 500 x?\n", ""},
    {"peers ls --json", 0, "\"peer\":\"mx.a.test:25\"", ""},
    {"peers forget mx.a.test", 0, "forgotten: 1 server\n", ""},
    {"peers forget --all", 1, "", "cannot read"},
    {"peers forget", 64, "", "needs a HOST, or --all"},
    {"peers forget a b", 64, "", "unexpected argument 'b'"},
    {"peers forget a@b", 64, "", "host must be"},
    {"warmup ls", 0, "SOURCE               PROVIDER         DAY       SENT", ""},
    {"warmup ls", 0,
     "ip9                  goo?gle          3 of 7    412 of 500          2.5       held\n", ""},
    {"warmup ls", 0,
     "ip8                  other            -         no limit            -         warm\n", ""},
    {"warmup ls --json", 0, "\"allowance\":null", ""},
    {"warmup set ip9 google 3", 0, "", ""},
    {"warmup set ip9 google", 64, "", "is missing"},
    {"warmup set ip9 google 0", 64, "", "day must be a number from 1 to 1000"},
    {"warmup set ip9 google 1001", 64, "", "day must be a number from 1 to 1000"},
    {"queue delete", 64, "", "which messages; all=1 means all (--all)"},
    {"queue delete --older-than soon --all", 64, "", "--older-than needs a duration as 30m"},
    {"queue retry --no-report --all", 64, "", "does not belong"},
    {"suspend nobody:x", 64, "", "scope must be all, a domain"},
    {"suspend", 64, "", "is missing"},
};

START_TEST(asks_the_engine)
{
    struct engine e;
    char line[256];
    engine_start(&e);
    snprintf(line, sizeof(line), "%s --socket %s/s", asked[_i].line, e.dir);
    struct result r = run(line);
    ck_assert_msg(r.status == asked[_i].status, "%s: status %d, %s", line, r.status, r.err);
    expect(line, "out", r.out, asked[_i].out);
    expect(line, "err", r.err, asked[_i].err);
    result_free(&r);
    engine_end(&e);
}
END_TEST

START_TEST(socket_of_the_configuration)
{
    struct engine e;
    char line[256];
    engine_start(&e);
    snprintf(line, sizeof(line), "queue stats --set admin.socket=%s/s", e.dir);
    struct result r = run(line);
    ck_assert_int_eq(r.status, 0);
    result_free(&r);
    engine_end(&e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/app/cli");
    TCase *t = tcase_create("cli");
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, command_line, 0, (int)ARRAY_COUNT(lines));
    tcase_add_test(t, serve_hands_the_source_on);
    tcase_add_test(t, too_many_sets);
    tcase_add_test(t, full_output_is_a_failure);
    tcase_add_loop_test(t, asks_the_engine, 0, (int)ARRAY_COUNT(asked));
    tcase_add_test(t, socket_of_the_configuration);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
