/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Our streams against another implementation, over loopback: openssl s_client and s_server. Without an
 * openssl program nothing is tested here, and that is said.
 */
#include "tests/unit/tls/tls_rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 40, WAIT_MS = 20000, PERIOD_S = 3600 };

static struct rig rig;
static struct tls_tickets *a_tickets, *b_tickets;
static struct tls_context *a, *b, *no_tickets, *mutual, *client;
static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[4][512];
    static unsigned turn;
    char *p = path[turn++ % 4];
    (void)snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    return p;
}

static void write_pem(const char *name, const char *label, struct slice der)
{
    struct buf pem;
    buf_init(&pem, 32768);
    tls_pem_add(&pem, slice_str(label), der);
    FILE *f = fopen(in_folder(name), "w");
    must(f && fwrite(pem.ptr, 1, pem.len, f) == pem.len && fclose(f) == 0);
    buf_deinit(&pem);
}

static void write_key(const char *name, struct forge_key *key)
{
    struct buf der;
    buf_init(&der, 8192);
    must(forge_key_der(key, &der));
    write_pem(name, "PRIVATE KEY", buf_slice(&der));
    buf_deinit(&der);
}

static void set_up(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    rig_init(&rig);
    (void)snprintf(folder, sizeof(folder), "/tmp/ringpost-tls-XXXXXX");
    must(mkdtemp(folder) != NULL);
    write_pem("ca.pem", "CERTIFICATE", buf_slice(&rig.ca.der));
    write_pem("server.pem", "CERTIFICATE", buf_slice(&rig.ecdsa.der));
    write_key("server.key", rig.ecdsa.key);
    write_pem("client.pem", "CERTIFICATE", buf_slice(&rig.client.der));
    write_key("client.key", rig.client.key);
    const struct tls_certificate *pairs[] = {rig.ecdsa_pair, rig.rsa_pair};
    struct tls_server_config config = {.certificates = pairs, .count = 2};
    no_tickets = rig_server(&config);
    config.tickets = a_tickets = tls_tickets_open((uint64_t)rig_now_s(), PERIOD_S);
    a = rig_server(&config);
    config.tickets = b_tickets = tls_tickets_open((uint64_t)rig_now_s(), PERIOD_S);
    b = rig_server(&config);
    config.client_cert = TLS_CLIENT_CERT_REQUIRE;
    config.client_trust = rig.trust;
    mutual = rig_server(&config);
    client = rig_client(&(struct tls_client_config){.policy = TLS_POLICY_VERIFY,
                                                    .trust = rig.trust,
                                                    .certificate = rig.client_pair});
}

static void tear_down(void)
{
    struct tls_context **contexts[] = {&a, &b, &no_tickets, &mutual, &client};
    DIR *d = opendir(folder);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] != '.') {
            (void)unlink(in_folder(e->d_name));
        }
    }
    (void)closedir(d);
    (void)rmdir(folder);
    for (size_t i = 0; i < ARRAY_COUNT(contexts); i++) {
        tls_context_put(contexts[i]);
    }
    tls_tickets_put(&a_tickets);
    tls_tickets_put(&b_tickets);
    rig_deinit(&rig);
}

/* ---- the other program -------------------------------------------------------------------------------- */

/* words: separated by single spaces. What it prints goes to the file "log". input: the read end of a
 * pipe, or -1. */
static pid_t start_openssl(const char *words, int input)
{
    char text[1024];
    char *argv[ARGS_MAX] = {"openssl"};
    size_t n = 1;
    (void)snprintf(text, sizeof(text), "%s", words);
    for (char *at = text, *space; at && n < ARGS_MAX - 1; at = space) {
        space = strchr(at, ' ');
        if (space) {
            *space++ = '\0';
        }
        argv[n++] = at;
    }
    const char *log = in_folder("log");
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int in = input >= 0 ? input : open("/dev/null", O_RDONLY);
        (void)alarm(30);
        if (chdir(folder) == 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2) {
            (void)execvp(argv[0], argv);
        }
        _exit(127);
    }
    return pid;
}

static int end_openssl(pid_t pid, bool kill_it)
{
    int status = 0;
    if (kill_it) {
        (void)kill(pid, SIGKILL);
    }
    must(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool have_openssl(void)
{
    static int known = -1;
    if (known < 0) {
        known = end_openssl(start_openssl("version", -1), false) == 0;
        if (!known) {
            printf("no openssl program here: not tested against it\n");
        }
    }
    return known == 1;
}

static bool log_has(const char *word)
{
    char text[65536];
    FILE *f = fopen(in_folder("log"), "r");
    size_t n = f ? fread(text, 1, sizeof(text), f) : 0;
    if (f) {
        (void)fclose(f);
    }
    return n > 0 && memmem(text, n, word, strlen(word)) != NULL;
}

/* ---- sockets ---------------------------------------------------------------------------------------------- */

static int listener(uint16_t *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, 8) == 0 &&
         getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

static void flush(int fd, struct buf *out)
{
    while (out->len > 0) {
        ssize_t n = send(fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (n <= 0) {
            buf_clear(out);
            return;
        }
        buf_consume(out, (size_t)n);
    }
}

static bool is_over(const struct rig_end *e, size_t until)
{
    return e->step == TLS_STEP_FAILED || e->read == TLS_READ_CLOSED || e->read == TLS_READ_FAILED ||
           (e->step == TLS_STEP_DONE && e->plain.len >= until);
}

/* Drives one end over a socket until the handshake is done and `until` bytes came, or it is over. */
static void talk(int fd, struct rig_end *e, size_t until)
{
    char in[16384];
    rig_drive(e);
    flush(fd, &e->out);
    while (!is_over(e, until)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n = poll(&p, 1, WAIT_MS) == 1 ? recv(fd, in, sizeof(in), 0) : 0;
        if (n <= 0) {
            tls_stream_eof(e->stream);
            break;
        }
        struct slice rest = slice_of(in, (size_t)n);
        while (rest.len > 0) {
            rest = slice_skip(rest, tls_stream_feed(e->stream, rest));
            rig_drive(e);
        }
        flush(fd, &e->out);
    }
}

/* ---- our server, their client -------------------------------------------------------------------------------- */

struct outcome {
    struct tls_facts facts;
    struct tls_failure failure;
    int status; /* of openssl */
};

static struct outcome serve(struct tls_context *context, const char *options, const char *input)
{
    char words[512];
    uint16_t port;
    int pipes[2], fd = listener(&port);
    struct outcome o;
    struct rig_end e;
    must(pipe2(pipes, O_CLOEXEC) == 0);
    (void)snprintf(words, sizeof(words), "s_client -connect 127.0.0.1:%u %s", port, options);
    pid_t pid = start_openssl(words, pipes[0]);
    int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    must(c >= 0);
    struct tls_stream_config config = {.context = context, .wall_us = rig_wall_us()};
    rig_end_init(&e, &config, 65536);
    talk(c, &e, 0);
    if (e.step == TLS_STEP_DONE) {
        must(tls_stream_write(e.stream, SLICE("220 hello\r\n"), &e.out) == 11);
        flush(c, &e.out);
        must(write(pipes[1], input, strlen(input)) == (ssize_t)strlen(input));
        if (input[0]) {
            talk(c, &e, 1);
        }
        (void)tls_stream_shutdown(e.stream, &e.out);
        flush(c, &e.out);
    }
    close(c);
    close(fd);
    close(pipes[1]);
    close(pipes[0]);
    o.status = end_openssl(pid, false);
    o.facts = *tls_stream_facts(e.stream);
    o.failure = *tls_stream_error(e.stream);
    rig_end_deinit(&e);
    return o;
}

#define OLD "@SECLEVEL=0"

static const struct {
    const char *options;
    enum tls_error kind; /* NONE: it works */
    const char *version, *cipher;
} offers[] = {
    {"-tls1_2", TLS_ERROR_NONE, "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {"-tls1_3", TLS_ERROR_NONE, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
    {"-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", TLS_ERROR_NONE, "TLSv1.3",
     "TLS_CHACHA20_POLY1305_SHA256"},
    {"-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384", TLS_ERROR_NONE, "TLSv1.2",
     "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    {"-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", TLS_ERROR_NONE, "TLSv1.2",
     "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    {"-tls1_3 -sigalgs rsa_pss_rsae_sha256", TLS_ERROR_NONE, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
    {"-tls1_2 -sigalgs RSA+SHA256", TLS_ERROR_NONE, "TLSv1.2",
     "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    {"-groups X25519", TLS_ERROR_NONE, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
    {"-groups P-384", TLS_ERROR_NONE, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
    {"-groups P-521:P-256", TLS_ERROR_NONE, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
    {"-servername mail.example -CAfile ca.pem -verify_return_error -verify_hostname mail.example",
     TLS_ERROR_NONE, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
    {"-groups X448", TLS_ERROR_NEGOTIATION, 0, 0},
    {"-tls1 -cipher ALL:" OLD, TLS_ERROR_VERSION, 0, 0},
    {"-tls1_1 -cipher ALL:" OLD, TLS_ERROR_VERSION, 0, 0},
    {"-tls1_2 -cipher AES128-SHA:AES128-GCM-SHA256", TLS_ERROR_NEGOTIATION, 0, 0},
    {"-tls1_2 -cipher ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256", TLS_ERROR_NEGOTIATION, 0, 0},
    {"-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256", TLS_ERROR_NEGOTIATION, 0, 0},
    {"-tls1_2 -cipher aNULL:" OLD, TLS_ERROR_NEGOTIATION, 0, 0},
    {"-tls1_2 -cipher eNULL:" OLD, TLS_ERROR_NEGOTIATION, 0, 0},
    {"-tls1_2 -sigalgs RSA+SHA1:ECDSA+SHA1 -cipher DEFAULT:" OLD, TLS_ERROR_NEGOTIATION, 0, 0},
};

START_TEST(what_clients_offer)
{
    if (!have_openssl()) {
        return;
    }
    struct outcome o = serve(a, offers[_i].options, "");
    ck_assert_msg(o.failure.kind == offers[_i].kind, "%s: %s", offers[_i].options, o.failure.text);
    ck_assert_int_eq(o.facts.done, offers[_i].kind == TLS_ERROR_NONE);
    ck_assert_int_eq(o.status == 0, offers[_i].kind == TLS_ERROR_NONE);
    if (offers[_i].version) {
        ck_assert_str_eq(o.facts.version, offers[_i].version);
        ck_assert_str_eq(o.facts.cipher, offers[_i].cipher);
        ck_assert(log_has("220 hello"));
    }
}
END_TEST

static const char *const ways[] = {"-tls1_2", "-tls1_3", "-tls1_2 -no_ticket"};

static bool resumed(struct tls_context *context, const char *way, const char *more)
{
    char options[128];
    (void)snprintf(options, sizeof(options), "%s %s", way, more);
    struct outcome o = serve(context, options, "");
    ck_assert_msg(o.facts.done && o.status == 0, "%s: %s", options, o.failure.text);
    /* Both say the same. */
    ck_assert(log_has("Reused, ") == o.facts.resumed);
    ck_assert(log_has("New, ") == !o.facts.resumed);
    return o.facts.resumed;
}

/* Reliability C7, with a client that takes a refusal well. */
START_TEST(sessions_stay_with_their_listener)
{
    if (!have_openssl()) {
        return;
    }
    bool by_id = _i == 2;
    ck_assert(!resumed(a, ways[_i], "-sess_out of_a"));
    ck_assert(resumed(a, ways[_i], "-sess_in of_a") == !by_id);
    ck_assert(!resumed(b, ways[_i], "-sess_in of_a"));
    ck_assert(!resumed(no_tickets, ways[_i], "-sess_in of_a"));
    ck_assert(!resumed(a, ways[_i], "-sess_in of_a -servername other.example"));
    ck_assert(resumed(a, ways[_i], "-sess_in of_a") == !by_id);
}
END_TEST

START_TEST(their_client_certificate)
{
    if (!have_openssl()) {
        return;
    }
    char options[128];
    (void)snprintf(options, sizeof(options), "%s -cert client.pem -key client.key", ways[_i]);
    struct outcome o = serve(mutual, options, "");
    ck_assert_msg(o.facts.done, "%s", o.failure.text);
    ck_assert_int_eq(o.facts.verdict.kind, TLS_VERDICT_TRUSTED);
    ck_assert_str_eq(o.facts.peer_subject, "/CN=client 7");
    o = serve(mutual, ways[_i], "");
    ck_assert(!o.facts.done);
    ck_assert_int_eq(o.failure.kind, TLS_ERROR_CERTIFICATE);
}
END_TEST

START_TEST(their_renegotiation)
{
    if (!have_openssl()) {
        return;
    }
    struct outcome o = serve(a, "-tls1_2", "R\n");
    ck_assert(o.facts.done);
    ck_assert_msg(o.failure.kind == TLS_ERROR_RENEGOTIATION ||
                      (o.failure.kind == TLS_ERROR_TRUNCATED && log_has("renegotiation")),
                  "%s", o.failure.text);
}
END_TEST

/* ---- their server, our client ----------------------------------------------------------------------------------- */

static int reach(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (unsigned i = 0; i < WAIT_MS / 20; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
            return fd;
        }
        close(fd);
        (void)poll(NULL, 0, 20);
    }
    must(false);
    return -1;
}

static struct tls_facts visit(uint16_t port, const char *name, struct tls_session **session)
{
    struct tls_stream_config config = {.context = client,
                                       .wall_us = rig_wall_us(),
                                       .server_name = slice_str(name),
                                       .session = *session};
    struct rig_end e;
    int fd = reach(port);
    rig_end_init(&e, &config, 65536);
    talk(fd, &e, 0);
    if (e.step == TLS_STEP_DONE) {
        /* s_server -rev sends each line back reversed. */
        must(tls_stream_write(e.stream, SLICE("olleh\n"), &e.out) == 6);
        flush(fd, &e.out);
        talk(fd, &e, 6);
        ck_assert(slice_eq(buf_slice(&e.plain), SLICE("hello\n")));
    }
    struct tls_facts facts = *tls_stream_facts(e.stream);
    ck_assert(facts.done || tls_stream_error(e.stream)->kind != TLS_ERROR_NONE);
    tls_session_free(session);
    *session = tls_stream_session(e.stream);
    (void)tls_stream_shutdown(e.stream, &e.out);
    flush(fd, &e.out);
    close(fd);
    rig_end_deinit(&e);
    return facts;
}

static const struct {
    const char *options;
    bool open, resumes;
    const char *version;
} servers[] = {
    {"-tls1_3", true, true, "TLSv1.3"},
    {"-tls1_2", true, true, "TLSv1.2"}, /* tickets are not asked for: by session id */
    {"-tls1_2 -no_ticket", true, true, "TLSv1.2"},
    {"-tls1_3 -num_tickets 0", true, false, "TLSv1.3"},
    {"-tls1_3 -no_cache -no_ticket", true, false, "TLSv1.3"},
    {"-tls1_3 -curves X25519", true, true, "TLSv1.3"},
    {"-tls1_3 -curves P-384", true, true, "TLSv1.3"},
    {"-Verify 2 -verify_return_error -CAfile ca.pem", true, true, "TLSv1.3"},
    {"-tls1_2 -Verify 2 -verify_return_error -CAfile ca.pem -no_cache", true, false, "TLSv1.2"},
    {"-tls1_1 -cipher ALL:" OLD, false, false, ""},
    {"-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", false, false, ""},
};

START_TEST(what_servers_do)
{
    char words[256];
    uint16_t port;
    struct tls_session *session = NULL;
    if (!have_openssl()) {
        return;
    }
    close(listener(&port));
    (void)snprintf(words, sizeof(words),
                   "s_server -accept 127.0.0.1:%u -cert server.pem -key server.key -rev %s", port,
                   servers[_i].options);
    pid_t pid = start_openssl(words, -1);
    struct tls_facts first = visit(port, "mail.example", &session);
    ck_assert_msg(first.done == servers[_i].open, "%s", servers[_i].options);
    if (first.done) {
        ck_assert_str_eq(first.version, servers[_i].version);
        ck_assert_int_eq(first.verdict.kind, TLS_VERDICT_TRUSTED);
        ck_assert(!first.resumed);
        for (unsigned i = 0; i < 2; i++) {
            struct tls_facts again = visit(port, "mail.example", &session);
            ck_assert(again.done);
            ck_assert_msg(again.resumed == servers[_i].resumes, "%s", servers[_i].options);
            ck_assert_int_eq(again.verdict.kind, TLS_VERDICT_TRUSTED);
        }
        ck_assert(!visit(port, "wrong.example", &session).done);
    }
    tls_session_free(&session);
    (void)end_openssl(pid, true);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/openssl");
    TCase *t = tcase_create("openssl");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, what_clients_offer, 0, (int)ARRAY_COUNT(offers));
    tcase_add_loop_test(t, sessions_stay_with_their_listener, 0, (int)ARRAY_COUNT(ways));
    tcase_add_loop_test(t, their_client_certificate, 0, 2);
    tcase_add_test(t, their_renegotiation);
    tcase_add_loop_test(t, what_servers_do, 0, (int)ARRAY_COUNT(servers));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
