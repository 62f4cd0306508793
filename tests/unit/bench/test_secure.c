/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/handshake.h"
#include "bench/secure.h"

#include "core/base/must.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENT, SERVER, TALK_BYTES = 1 << 20 };

struct pair {
    struct tls_certificate *certificate;
    struct tls_context *context[2];
    struct bench_secure *link[2];
    struct buf got[2];
    int fd[2];
};

/* secured: with TLS on it; send_bytes: of the sockets' buffers, 0: as they are. */
static void pair_open(struct pair *p, bool secured, int send_bytes)
{
    *p = (struct pair){.certificate = bench_secure_certificate(0)};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
    ck_assert_ptr_nonnull(p->certificate);
    p->context[CLIENT] = bench_secure_client();
    p->context[SERVER] = bench_secure_server(p->certificate);
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_nonnull(p->context[i]);
        p->link[i] = secured ? bench_secure_open(p->context[i]) : NULL;
        ck_assert(!secured || p->link[i] != NULL);
        buf_init(&p->got[i], 2 * TALK_BYTES);
        if (send_bytes > 0) {
            ck_assert_int_eq(setsockopt(p->fd[i], SOL_SOCKET, SO_SNDBUF, &send_bytes,
                                        sizeof(send_bytes)),
                             0);
        }
    }
}

static void pair_close(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        bench_secure_close(&p->link[i], p->fd[i]);
        ck_assert_ptr_null(p->link[i]);
        close(p->fd[i]);
        tls_context_put(&p->context[i]);
        buf_deinit(&p->got[i]);
    }
    tls_certificate_free(&p->certificate);
}

/* Everything one end can read now; the last result. */
static ssize_t receive(struct pair *p, int i)
{
    ssize_t n;
    do {
        ck_assert(buf_reserve(&p->got[i], 1000));
        n = bench_secure_recv(p->link[i], p->fd[i], &p->got[i]);
    } while (n > 0);
    return n;
}

/* Sends text from one end while both read, until the other has all of it. */
static void talk(struct pair *p, int from, struct slice text)
{
    int to = 1 - from;
    size_t sent = 0, before = p->got[to].len;
    while (p->got[to].len - before < text.len) {
        ssize_t n = sent < text.len
                        ? bench_secure_send(p->link[from], p->fd[from], slice_skip(text, sent))
                        : 0;
        ck_assert(n >= 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        ck_assert(bench_secure_flush(p->link[from], p->fd[from]) || errno == EAGAIN);
        for (int i = 0; i < 2; i++) {
            ck_assert(receive(p, i) == -1 && errno == EAGAIN);
        }
    }
    ck_assert(slice_eq(slice_skip(buf_slice(&p->got[to]), before), text));
}

static const struct {
    bool secured;
    int send_bytes;
} ways[] = {{false, 0}, {false, 4096}, {true, 0}, {true, 4096}};

/* Whatever the socket takes at once, the bytes arrive whole and in order, in both directions. */
START_TEST(bytes_arrive_whole)
{
    struct pair p;
    struct buf text;
    buf_init(&text, TALK_BYTES);
    for (unsigned i = 0; text.len < TALK_BYTES - 16; i++) {
        buf_addf(&text, "%u\r\n", i);
    }
    pair_open(&p, ways[_i].secured, ways[_i].send_bytes);
    talk(&p, CLIENT, SLICE("EHLO\r\n"));
    talk(&p, SERVER, SLICE("250 ok\r\n"));
    talk(&p, CLIENT, buf_slice(&text));
    talk(&p, SERVER, buf_slice(&text));
    const struct tls_facts *facts = bench_secure_facts(p.link[CLIENT]);
    ck_assert_int_eq(facts != NULL, ways[_i].secured);
    if (facts != NULL) {
        ck_assert_str_eq(facts->version, "TLSv1.3");
        ck_assert(facts->peer_certificate);
    }
    pair_close(&p);
    buf_deinit(&text);
}
END_TEST

START_TEST(nothing_is_sent_before_the_handshake)
{
    struct pair p;
    char seen[2];
    pair_open(&p, true, 0);
    ck_assert_int_eq(bench_secure_send(p.link[CLIENT], p.fd[CLIENT], SLICE("secret")), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_ptr_null(bench_secure_facts(p.link[CLIENT]));
    ck_assert_int_eq(recv(p.fd[SERVER], seen, sizeof(seen), 0), -1);
    ck_assert(receive(&p, CLIENT) == -1 && errno == EAGAIN);
    ck_assert_int_eq(recv(p.fd[SERVER], seen, sizeof(seen), MSG_PEEK), 2);
    ck_assert_mem_eq(seen, "\x16\x03", 2); /* a handshake record */
    pair_close(&p);
}
END_TEST

START_TEST(the_end_is_seen_with_and_without_a_goodbye)
{
    for (int polite = 0; polite < 2; polite++) {
        struct pair p;
        pair_open(&p, true, 0);
        talk(&p, CLIENT, SLICE("QUIT\r\n"));
        talk(&p, SERVER, SLICE("221 bye\r\n"));
        if (polite) {
            bench_secure_close(&p.link[SERVER], p.fd[SERVER]);
        }
        ck_assert_int_eq(shutdown(p.fd[SERVER], SHUT_WR), 0);
        ck_assert_int_eq(receive(&p, CLIENT), 0);
        ck_assert(slice_eq(buf_slice(&p.got[CLIENT]), SLICE("221 bye\r\n")));
        pair_close(&p);
    }
}
END_TEST

START_TEST(what_is_no_tls_fails)
{
    struct pair p;
    pair_open(&p, true, 0);
    ck_assert(receive(&p, CLIENT) == -1 && errno == EAGAIN);
    ck_assert_int_eq(send(p.fd[SERVER], "220 sink ESMTP\r\n", 16, 0), 16);
    for (int again = 0; again < 2; again++) {
        ck_assert(receive(&p, CLIENT) == -1 && errno == EPROTO);
    }
    ck_assert_uint_eq(p.got[CLIENT].len, 0);
    pair_close(&p);
}
END_TEST

START_TEST(handshakes_are_measured)
{
    static const uint64_t keys[] = {0, 2048};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct handshake_rates r;
        ck_assert(bench_handshake_measure(keys[i], 3, &r));
        ck_assert_double_gt(r.library, 1);
        ck_assert_double_gt(r.streams, 1);
        ck_assert_double_lt(r.streams, 1e6); /* they were made, not skipped */
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bench/secure");
    TCase *t = tcase_create("secure");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, bytes_arrive_whole, 0, ARRAY_COUNT(ways));
    tcase_add_test(t, nothing_is_sent_before_the_handshake);
    tcase_add_test(t, the_end_is_seen_with_and_without_a_goodbye);
    tcase_add_test(t, what_is_no_tls_fails);
    tcase_add_test(t, handshakes_are_measured);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
