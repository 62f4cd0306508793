/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The grid of dialogues: every row with the answers whole, in single bytes and in random pieces; behind
 * every one that opens stands the banner of a mail server, of which no byte may be taken.
 */
#include "proto/socks/client.h"
#include "core/base/must.h"
#include "core/base/rng.h"

#include <check.h>
#include <stdlib.h>

#define CONNECT4 "\5\1\0\1\xc6\x33\x64\2\0\x19"
#define TAIL4 "\0\1\xc0\0\2\x09\x9c\x40"
#define BANNER "220 mx"

static const struct row {
    const char *name;
    const char *user; /* NULL: none */
    struct slice said;
    struct slice in;
    enum socks_result result;
    enum socks_fault fault;
    const char *told; /* the reason, or the address it connects from */
} rows[] = {
#define ROW(n, u, s, i, r, f, t)                                                                   \
    {                                                                                              \
        n, u, SLICE_INIT(s), SLICE_INIT(i), SOCKS_##r, SOCKS_FAULT_##f, t                          \
    }
#define NONE "\5\1\0" CONNECT4
#define LOGIN "\5\2\0\2\1\3joe\6secret"
    ROW("no login", NULL, NONE, "\5\0\5\0" TAIL4, OPEN, PROXY, "192.0.2.9:40000"),
    ROW("login", "joe", LOGIN CONNECT4, "\5\2\1\0\5\0" TAIL4, OPEN, PROXY, "192.0.2.9:40000"),
    ROW("login not wanted", "joe", "\5\2\0\2" CONNECT4, "\5\0\5\0" TAIL4, OPEN, PROXY,
        "192.0.2.9:40000"),
    ROW("bound to IPv6", NULL, NONE, "\5\0\5\0\0\4\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\1",
        OPEN, PROXY, "[2001:db8::1]:1"),
    ROW("bound to a name", NULL, NONE, "\5\0\5\0\0\3\2ab\0\1", OPEN, PROXY, ""),
    ROW("bound to an empty name", NULL, NONE, "\5\0\5\0\0\3\0\0\1", OPEN, PROXY, ""),
    ROW("login refused", "joe", LOGIN, "\5\2\1\1", FAILED, PROXY,
        "it refused user name or password"),
    ROW("wants a login", NULL, "\5\1\0", "\5\xff", FAILED, PROXY, "it wants a login"),
    ROW("takes neither", "joe", "\5\2\0\2", "\5\xff", FAILED, PROXY,
        "it takes neither our login nor none"),
    ROW("chose GSSAPI", "joe", "\5\2\0\2", "\5\1", FAILED, PROXY,
        "it chose a method of login that was not offered"),
    ROW("chose a login that was not offered", NULL, "\5\1\0", "\5\2", FAILED, PROXY,
        "it chose a method of login that was not offered"),
    ROW("SOCKS4", NULL, "\5\1\0", "\4", FAILED, PROXY, "it does not speak SOCKS5"),
    ROW("a mail server", NULL, "\5\1\0", "2", FAILED, PROXY, "it does not speak SOCKS5"),
    ROW("nul", NULL, "\5\1\0", "\0", FAILED, PROXY, "it does not speak SOCKS5"),
    ROW("version of the login", "joe", LOGIN, "\5\2\5", FAILED, PROXY, "it does not speak SOCKS5"),
    ROW("version of the reply", NULL, NONE, "\5\0\0", FAILED, PROXY, "it does not speak SOCKS5"),
    ROW("reply 1", NULL, NONE, "\5\0\5\1", FAILED, PROXY, "general failure (reply 1)"),
    ROW("reply 2", NULL, NONE, "\5\0\5\2", FAILED, REQUEST, "not allowed by its rules (reply 2)"),
    ROW("reply 3", NULL, NONE, "\5\0\5\3", FAILED, TARGET, "network unreachable (reply 3)"),
    ROW("reply 4", NULL, NONE, "\5\0\5\4", FAILED, TARGET, "host unreachable (reply 4)"),
    ROW("reply 5", NULL, NONE, "\5\0\5\5", FAILED, TARGET, "connection refused (reply 5)"),
    ROW("reply 6", NULL, NONE, "\5\0\5\6", FAILED, TARGET, "connection timed out (reply 6)"),
    ROW("reply 7", NULL, NONE, "\5\0\5\7", FAILED, PROXY, "it does not know CONNECT (reply 7)"),
    ROW("reply 8", NULL, NONE, "\5\0\5\x08", FAILED, REQUEST,
        "it does not know this address family (reply 8)"),
    ROW("reply 9", NULL, NONE, "\5\0\5\x09", FAILED, PROXY, "unassigned reply code (reply 9)"),
    ROW("reply 255", NULL, NONE, "\5\0\5\xff", FAILED, PROXY, "unassigned reply code (reply 255)"),
    ROW("unknown type of address", NULL, NONE, "\5\0\5\0\0\2\0", FAILED, PROXY,
        "it answered with an unknown type of address"),
    ROW("silent", NULL, "\5\1\0", "", MORE, PROXY, "greeting"),
    ROW("half a method", NULL, "\5\1\0", "\5", MORE, PROXY, "greeting"),
    ROW("half a login", "joe", LOGIN, "\5\2\1", MORE, PROXY, "login"),
    ROW("half a reply", NULL, NONE, "\5\0\5\0\0\1\xc0\0\2\x09\x9c", MORE, PROXY, "connection"),
    ROW("half a name", NULL, NONE,
        "\5\0\5\0\0\3\xff"
        "ab",
        MORE, PROXY, "connection"),
};

static struct socks_config config_of(const char *user)
{
    struct socks_config config = {.to = {.port = 25}};
    bool ok = ip_endpoint_parse(SLICE("198.51.100.2:25"), 25, &config.to);
    must(ok);
    if (user) {
        config.user = slice_str(user);
        config.password = SLICE("secret");
    }
    return config;
}

/* piece 0: all at once. Returns what was left over. */
static size_t talk(struct socks_client *c, struct slice in, size_t piece, struct rng *rng,
                   struct buf *out)
{
    struct slice none = {NULL, 0};
    enum socks_result r = socks_client_step(c, &none, out);
    while (r == SOCKS_MORE && in.len) {
        size_t n = piece == 0 ? in.len : 1 + (size_t)rng_below(rng, piece);
        struct slice part = slice_first(in, n);
        size_t given = part.len;
        r = socks_client_step(c, &part, out);
        ck_assert(r != SOCKS_MORE || part.len == 0);
        in = slice_skip(in, given - part.len);
    }
    return in.len;
}

static void check_row(const struct row *row, size_t piece, struct rng *rng)
{
    struct socks_config config = config_of(row->user);
    struct socks_client c;
    struct buf in, out, told;
    buf_init(&in, 1024);
    buf_init(&out, 2 * SOCKS_OUT_BYTES_MAX);
    buf_init(&told, 1024);
    buf_add(&in, row->in);
    if (row->result != SOCKS_MORE) {
        buf_add(&in, SLICE(BANNER));
    }
    socks_client_init(&c, &config);
    size_t left = talk(&c, buf_slice(&in), piece, rng, &out);
    struct slice none = {NULL, 0};
    enum socks_result r = socks_client_step(&c, &none, &out); /* once decided it stays */
    ck_assert_msg(r == row->result, "%s: result %d", row->name, (int)r);
    ck_assert_msg(slice_eq(buf_slice(&out), row->said), "%s: said %zu bytes", row->name, out.len);
    if (r == SOCKS_FAILED) {
        ck_assert_msg(socks_client_fault(&c) == row->fault, "%s: fault", row->name);
        socks_client_reason(&c, &told);
    } else if (r == SOCKS_MORE) {
        buf_add(&told, socks_client_awaits(&c));
    } else if (c.bound.addr.family != IP_NONE) {
        ip_endpoint_add(&told, &c.bound);
    }
    ck_assert_msg(slice_eq(buf_slice(&told), slice_str(row->told)), "%s: told \"%.*s\"", row->name,
                  (int)told.len, told.ptr);
    ck_assert_msg(r == SOCKS_MORE ? left == 0 : left == sizeof(BANNER) - 1, "%s: %zu bytes left",
                  row->name, left);
    buf_deinit(&in);
    buf_deinit(&out);
    buf_deinit(&told);
}

START_TEST(dialogue)
{
    struct rng rng;
    rng_init_seed(&rng, (uint64_t)_i);
    check_row(&rows[_i], 0, &rng);
    check_row(&rows[_i], 1, &rng);
    for (int i = 0; i < 20; i++) {
        check_row(&rows[_i], 5, &rng);
    }
}
END_TEST

START_TEST(connects_to_ipv6)
{
    struct socks_config config = {0};
    struct socks_client c;
    struct buf out;
    buf_init(&out, 100);
    bool ok = ip_endpoint_parse(SLICE("[2001:db8::2]:2525"), 25, &config.to);
    ck_assert(ok);
    socks_client_init(&c, &config);
    ck_assert_uint_eq(talk(&c, SLICE("\5\0"), 0, NULL, &out), 0);
    ck_assert(slice_eq(buf_slice(&out), SLICE("\5\1\0\5\1\0\4\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"
                                              "\2\x09\xdd")));
    buf_deinit(&out);
}
END_TEST

/* The largest login fits into what the header promises, and only it is secret. */
START_TEST(longest_login)
{
    char name[SOCKS_USER_BYTES_MAX];
    struct socks_config config = config_of("x");
    struct socks_client c;
    struct buf out;
    buf_init(&out, SOCKS_OUT_BYTES_MAX);
    memset(name, 'u', sizeof(name));
    config.user = slice_of(name, sizeof(name));
    config.password = config.user;
    socks_client_init(&c, &config);
    struct slice none = {NULL, 0}, answer = SLICE("\5\2");
    ck_assert(socks_client_step(&c, &none, &out) == SOCKS_MORE);
    ck_assert(!socks_client_had_secret(&c));
    buf_clear(&out);
    ck_assert(socks_client_step(&c, &answer, &out) == SOCKS_MORE);
    ck_assert(!out.overflow && out.len == SOCKS_OUT_BYTES_MAX);
    ck_assert(socks_client_had_secret(&c));
    answer = SLICE("\1\0");
    ck_assert(socks_client_step(&c, &answer, &out) == SOCKS_MORE);
    ck_assert(!socks_client_had_secret(&c));
    buf_deinit(&out);
}
END_TEST

START_TEST(every_reply_has_a_text)
{
    for (unsigned code = 0; code <= UINT8_MAX; code++) {
        ck_assert_uint_gt(socks_reply_text((uint8_t)code).len, 0);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("client");
    tcase_add_loop_test(tc, dialogue, 0, ARRAY_COUNT(rows));
    tcase_add_test(tc, connects_to_ipv6);
    tcase_add_test(tc, longest_login);
    tcase_add_test(tc, every_reply_has_a_text);
    Suite *s = suite_create("proto/socks/client");
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
