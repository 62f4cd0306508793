/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/buf.h"
#include "core/base/must.h"
#include "tls/hello.h"

#include <check.h>
#include <stdlib.h>

enum { HELLO_MAX = 40000 };

/* A ClientHello, written from its parts. Empty slices: the extension is left out. */
struct parts {
    uint16_t version;
    struct slice suites, names, groups, signatures, versions;
    struct slice extra; /* whole extensions, raw */
    bool no_extensions;
};

static void add_u16(struct buf *b, size_t v)
{
    buf_add_byte(b, (char)(v >> 8));
    buf_add_byte(b, (char)v);
}

static void add_extension(struct buf *b, unsigned type, struct slice value)
{
    if (value.len > 0) {
        add_u16(b, type);
        add_u16(b, value.len);
        buf_add(b, value);
    }
}

static struct buf message_of(const struct parts *p)
{
    struct buf body, extensions, message;
    buf_init(&body, HELLO_MAX);
    buf_init(&extensions, HELLO_MAX);
    buf_init(&message, HELLO_MAX);
    add_u16(&body, p->version);
    buf_add(&body, SLICE("0123456789abcdef0123456789abcdef"));
    buf_add_byte(&body, 0);
    add_u16(&body, p->suites.len);
    buf_add(&body, p->suites);
    buf_add(&body, SLICE("\x01\x00"));
    add_extension(&extensions, 0, p->names);
    add_extension(&extensions, 10, p->groups);
    add_extension(&extensions, 13, p->signatures);
    add_extension(&extensions, 43, p->versions);
    buf_add(&extensions, p->extra);
    if (!p->no_extensions) {
        add_u16(&body, extensions.len);
        buf_add(&body, buf_slice(&extensions));
    }
    buf_add(&message, SLICE("\x01\x00"));
    add_u16(&message, body.len);
    buf_add(&message, buf_slice(&body));
    buf_deinit(&body);
    buf_deinit(&extensions);
    return message;
}

/* In records of at most `fragment` bytes. */
static struct buf records_of(const struct parts *p, size_t fragment)
{
    struct buf message = message_of(p), out;
    struct slice rest = buf_slice(&message);
    buf_init(&out, HELLO_MAX);
    while (rest.len > 0) {
        struct slice piece = slice_first(rest, fragment);
        buf_add(&out, SLICE("\x16\x03\x01"));
        add_u16(&out, piece.len);
        buf_add(&out, piece);
        rest = slice_skip(rest, fragment);
    }
    buf_deinit(&message);
    return out;
}

#define BOTH_SUITES SLICE_INIT("\x13\x01\xc0\x2b\xc0\x2f")
#define GROUPS SLICE_INIT("\x00\x04\x00\x17\x00\x1d")
#define SIGNATURES SLICE_INIT("\x00\x06\x04\x03\x08\x04\x04\x01")
#define VERSIONS SLICE_INIT("\x04\x03\x04\x03\x03")
#define NAME SLICE_INIT("\x00\x0f\x00\x00\x0cMail.Example")

enum { RSA = 1 << TLS_KEY_RSA, P256 = 1 << TLS_KEY_P256, P384 = 1 << TLS_KEY_P384 };

static const struct {
    const char *what;
    struct parts parts;
    uint16_t max, min;
    uint8_t keys12, keys13;
    const char *name;
} good[] = {
    {"modern",
     {.version = 0x0303, BOTH_SUITES, NAME, GROUPS, SIGNATURES, VERSIONS},
     0x0304,
     0x0303,
     RSA | P256,
     RSA | P256,
     "mail.example"},
    {"TLS 1.3 only",
     {.version = 0x0303,
      SLICE_INIT("\x13\x01"),
      NAME,
      GROUPS,
      SIGNATURES,
      SLICE_INIT("\x02\x03\x04")},
     0x0304,
     0x0304,
     0,
     RSA | P256,
     "mail.example"},
    /* The version field says nothing then (RFC 8446 4.2.1), whatever stands there. */
    {"TLS 1.3 only, without a suite for it",
     {.version = 0x7f7f,
      SLICE_INIT("\xc0\x2f"),
      {0},
      GROUPS,
      SIGNATURES,
      SLICE_INIT("\x02\x03\x04")},
     0x0304,
     0x0304,
     0,
     0,
     ""},
    {"TLS 1.2, RSA",
     {.version = 0x0303, SLICE_INIT("\xc0\x2f"), {0}, GROUPS, SLICE_INIT("\x00\x02\x04\x01"), {0}},
     0x0303,
     0x0303,
     RSA,
     0,
     ""},
    {"TLS 1.2, ECDSA, no groups",
     {.version = 0x0303,
      SLICE_INIT("\xcc\xa9"),
      {0},
      {0},
      SLICE_INIT("\x00\x04\x04\x03\x05\x03"),
      {0}},
     0x0303,
     0x0303,
     P256 | P384,
     0,
     ""},
    {"TLS 1.2, ECDSA, P-384 only",
     {.version = 0x0303,
      SLICE_INIT("\xc0\x2c"),
      {0},
      SLICE_INIT("\x00\x02\x00\x18"),
      SLICE_INIT("\x00\x04\x04\x03\x05\x03"),
      {0}},
     0x0303,
     0x0303,
     P384,
     0,
     ""},
    {"SHA-1 only",
     {.version = 0x0303,
      BOTH_SUITES,
      {0},
      GROUPS,
      SLICE_INIT("\x00\x04\x02\x01\x02\x03"),
      VERSIONS},
     0x0304,
     0x0303,
     0,
     0,
     ""},
    {"no signatures",
     {.version = 0x0303, BOTH_SUITES, {0}, GROUPS, {0}, {0}},
     0x0303,
     0x0303,
     0,
     0,
     ""},
    {"PKCS #1 only is nothing for TLS 1.3",
     {.version = 0x0303, BOTH_SUITES, {0}, GROUPS, SLICE_INIT("\x00\x02\x04\x01"), VERSIONS},
     0x0304,
     0x0303,
     RSA,
     0,
     ""},
    {"versions without a suite for it",
     {.version = 0x0303, SLICE_INIT("\xc0\x2f"), {0}, GROUPS, SIGNATURES, VERSIONS},
     0x0303,
     0x0303,
     RSA,
     0,
     ""},
    {"TLS 1.1", {.version = 0x0302, BOTH_SUITES, {0}, {0}, {0}, {0}}, 0x0302, 0x0303, 0, 0, ""},
    {"TLS 1.1 by the extension",
     {.version = 0x0303, BOTH_SUITES, {0}, {0}, SIGNATURES, SLICE_INIT("\x02\x03\x02")},
     0x0302,
     0x0303,
     0,
     0,
     ""},
    {"nothing at all",
     {.version = 0x0303, .suites = BOTH_SUITES, .no_extensions = true},
     0x0303,
     0x0303,
     0,
     0,
     ""},
    {"an unknown extension",
     {.version = 0x0303,
      BOTH_SUITES,
      NAME,
      GROUPS,
      SIGNATURES,
      VERSIONS,
      SLICE_INIT("\xfa\xfa\x00\x01x")},
     0x0304,
     0x0303,
     RSA | P256,
     RSA | P256,
     "mail.example"},
    {"a name that is none",
     {.version = 0x0303,
      BOTH_SUITES,
      SLICE_INIT("\x00\x06\x00\x00\x03"
                 "a b"),
      GROUPS,
      SIGNATURES,
      VERSIONS},
     0x0304,
     0x0303,
     RSA | P256,
     RSA | P256,
     ""},
    {"a name of another type, then one",
     {.version = 0x0303,
      BOTH_SUITES,
      SLICE_INIT("\x00\x0c\x07\x00\x01x\x00\x00\x05"
                 "a.b.c"),
      GROUPS,
      SIGNATURES,
      VERSIONS},
     0x0304,
     0x0303,
     RSA | P256,
     RSA | P256,
     "a.b.c"},
};

static void check_good(size_t i, struct slice input)
{
    struct tls_hello h;
    ck_assert_msg(tls_hello_parse(input, &h) == TLS_HELLO_OK, "%s", good[i].what);
    ck_assert_msg(h.version_max == good[i].max, "%s: %x", good[i].what, h.version_max);
    ck_assert_msg(h.version_min == good[i].min, "%s: %x", good[i].what, h.version_min);
    ck_assert_msg(h.keys_tls12 == good[i].keys12, "%s: %x", good[i].what, h.keys_tls12);
    ck_assert_msg(h.keys_tls13 == good[i].keys13, "%s: %x", good[i].what, h.keys_tls13);
    ck_assert_msg(slice_eq(slice_of(h.server_name, h.server_name_len), slice_str(good[i].name)),
                  "%s", good[i].what);
}

START_TEST(good_ones)
{
    static const size_t fragments[] = {16384, 50, 7};
    for (size_t f = 0; f < ARRAY_COUNT(fragments); f++) {
        struct buf b = records_of(&good[_i].parts, fragments[f]);
        struct tls_hello h;
        check_good((size_t)_i, buf_slice(&b));
        /* Every beginning of it is too little; what follows does not matter. */
        for (size_t n = 0; n < b.len; n++) {
            ck_assert_int_eq(tls_hello_parse(slice_first(buf_slice(&b), n), &h), TLS_HELLO_MORE);
        }
        buf_add(&b, SLICE("\x17junk"));
        check_good((size_t)_i, buf_slice(&b));
        buf_deinit(&b);
    }
}
END_TEST

static const struct {
    const char *what;
    struct parts parts;
} bad[] = {
    {"no suites", {.version = 0x0303}},
    {"half a suite", {.version = 0x0303, .suites = SLICE_INIT("\x13")}},
    {"half a group",
     {.version = 0x0303, BOTH_SUITES, {0}, SLICE_INIT("\x00\x03\x00\x17\x00"), {0}, {0}}},
    {"no groups in the list",
     {.version = 0x0303, BOTH_SUITES, {0}, SLICE_INIT("\x00\x00"), {0}, {0}}},
    {"groups longer than they are",
     {.version = 0x0303, BOTH_SUITES, {0}, SLICE_INIT("\x00\x04\x00\x17"), {0}, {0}}},
    {"groups shorter than they are",
     {.version = 0x0303, BOTH_SUITES, {0}, SLICE_INIT("\x00\x02\x00\x17\x00\x18"), {0}, {0}}},
    {"signatures", {.version = 0x0303, BOTH_SUITES, {0}, {0}, SLICE_INIT("\x00\x01\x04"), {0}}},
    {"versions", {.version = 0x0303, BOTH_SUITES, {0}, {0}, {0}, SLICE_INIT("\x03\x03\x04\x03")}},
    {"no name in the list",
     {.version = 0x0303, BOTH_SUITES, SLICE_INIT("\x00\x00"), {0}, {0}, {0}}},
    {"a name longer than the list",
     {.version = 0x0303,
      BOTH_SUITES,
      SLICE_INIT("\x00\x04\x00\x00\x09"
                 "a"),
      {0},
      {0},
      {0}}},
    {"an extension that does not end",
     {.version = 0x0303, .suites = BOTH_SUITES, .extra = SLICE_INIT("\x00\x23\x00\x09x")}},
    {"half an extension",
     {.version = 0x0303, .suites = BOTH_SUITES, .extra = SLICE_INIT("\x00\x23\x00")}},
};

START_TEST(bad_ones)
{
    struct buf b = records_of(&bad[_i].parts, 16384);
    struct tls_hello h;
    ck_assert_msg(tls_hello_parse(buf_slice(&b), &h) == TLS_HELLO_MALFORMED, "%s", bad[_i].what);
    buf_deinit(&b);
}
END_TEST

static const struct {
    struct slice input;
    enum tls_hello_result result;
} starts[] = {
    {SLICE_INIT(""), TLS_HELLO_MORE},
    {SLICE_INIT("\x16"), TLS_HELLO_MORE},
    {SLICE_INIT("\x16\x03\x01\x00\x05\x01\x00"), TLS_HELLO_MORE},
    {SLICE_INIT("E"), TLS_HELLO_NOT_TLS},
    {SLICE_INIT("\x16\x02"), TLS_HELLO_NOT_TLS},
    {SLICE_INIT("\x16\x03\x01\x00\x00"), TLS_HELLO_MALFORMED},
    {SLICE_INIT("\x16\x03\x01\x40\x01"), TLS_HELLO_MALFORMED},
    {SLICE_INIT("\x16\x03\x01\x00\x01\x02"), TLS_HELLO_MALFORMED},
    {SLICE_INIT("\x16\x03\x01\x00\x04\x01\x00\x40\x00"), TLS_HELLO_TOO_LARGE},
    {SLICE_INIT("\x16\x03\x01\x00\x01\x01\x15\x03\x01"), TLS_HELLO_NOT_TLS},
};

START_TEST(beginnings)
{
    struct tls_hello h;
    ck_assert_int_eq(tls_hello_parse(starts[_i].input, &h), starts[_i].result);
}
END_TEST

START_TEST(too_many_records)
{
    struct parts p = good[0].parts;
    struct buf b = records_of(&p, 1);
    struct tls_hello h;
    ck_assert_int_eq(tls_hello_parse(buf_slice(&b), &h), TLS_HELLO_MALFORMED);
    buf_deinit(&b);
}
END_TEST

/* Post-quantum key shares make hellos of several KB; 16 KB is the end. */
START_TEST(large_ones)
{
    struct buf padding;
    struct tls_hello h;
    buf_init(&padding, 60000);
    static const size_t sizes[] = {2000, 15000, 17000};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        buf_clear(&padding);
        add_u16(&padding, 21);
        add_u16(&padding, sizes[i]);
        while (padding.len < sizes[i] + 4) {
            buf_add_byte(&padding, 0);
        }
        struct parts p = good[0].parts;
        p.extra = buf_slice(&padding);
        struct buf b = records_of(&p, 4000);
        ck_assert_int_eq(tls_hello_parse(buf_slice(&b), &h),
                         sizes[i] < TLS_HELLO_BYTES_MAX ? TLS_HELLO_OK : TLS_HELLO_TOO_LARGE);
        buf_deinit(&b);
    }
    buf_deinit(&padding);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls/hello");
    TCase *t = tcase_create("hello");
    tcase_add_loop_test(t, good_ones, 0, (int)ARRAY_COUNT(good));
    tcase_add_loop_test(t, bad_ones, 0, (int)ARRAY_COUNT(bad));
    tcase_add_loop_test(t, beginnings, 0, (int)ARRAY_COUNT(starts));
    tcase_add_test(t, too_many_records);
    tcase_add_test(t, large_ones);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
