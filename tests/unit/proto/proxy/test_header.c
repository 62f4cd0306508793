/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The grid of headers: every row whole, in single bytes, in threes and in random pieces; behind every
 * good header stands "EHLO", of which no byte may be taken. Checksums were made by another program.
 */
#include "proto/proxy/header.h"
#include "core/base/must.h"
#include "core/base/rng.h"

#include <check.h>
#include <stdlib.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\0\x02\x01\xc6\x33\x64\x02\x9c\x40\0\x19" /* 192.0.2.1:40000 > 198.51.100.2:25 */
#define V4_TEXT "192.0.2.1:40000 198.51.100.2:25"
#define DB8 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"
#define V6 DB8 "\1" DB8 "\2\x9c\x40\0\x19"
#define V6_TEXT "[2001:db8::1]:40000 [2001:db8::2]:25"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff"
#define Z9 "\0\0\0\0\0\0\0\0\0"
#define Z108 Z9 Z9 Z9 Z9 Z9 Z9 Z9 Z9 Z9 Z9 Z9 Z9
#define A20 "aaaaaaaaaaaaaaaaaaaa"
#define CRC_ALONE "\x12\x67\x09\xf2"
#define CRC_AMONG "\x4a\x31\xfa\x97"
#define CRC_TWICE "\xe4\x09\x52\xc5"
#define LONGEST "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static const struct row {
    const char *name;
    struct slice in;
    enum proxy_result result;
    const char *addresses;
} rows[] = {
#define ROW(n, i, r, a)                                                                            \
    {                                                                                              \
        n, SLICE_INIT(i), PROXY_##r, a                                                             \
    }
    /* version 1 */
    ROW("v1 tcp4", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n", PROXIED, V4_TEXT),
    ROW("v1 tcp6", "PROXY TCP6 2001:db8::1 2001:db8::2 40000 25\r\n", PROXIED, V6_TEXT),
    ROW("v1 mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 40000 25\r\n", PROXIED,
        V4_TEXT),
    ROW("v1 mapped in hex", "PROXY TCP6 ::ffff:c000:201 ::1 0 65535\r\n", PROXIED,
        "192.0.2.1:0 [::1]:65535"),
    ROW("v1 104 bytes", "PROXY TCP6 " LONGEST " " LONGEST " 65535 65535\r\n", PROXIED,
        "[" LONGEST "]:65535 [" LONGEST "]:65535"),
    ROW("v1 unknown", "PROXY UNKNOWN\r\n", UNKNOWN, ""),
    ROW("v1 unknown with addresses", "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", UNKNOWN, ""),
    ROW("v1 unknown with garbage", "PROXY UNKNOWN  \x01 \xff \"\r\n", UNKNOWN, ""),
    ROW("v1 107 bytes", "PROXY UNKNOWN " A20 A20 A20 A20 "aaaaaaaaaaa\r\n", UNKNOWN, ""),
    ROW("v1 108 bytes", "PROXY UNKNOWN " A20 A20 A20 A20 "aaaaaaaaaaaa\r\n", BAD, ""),
    ROW("v1 endless", "PROXY UNKNOWN " A20 A20 A20 A20 A20, BAD, ""),
    ROW("v1 lower case", "proxy TCP4 192.0.2.1 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 lower case protocol", "PROXY tcp4 192.0.2.1 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 other protocol", "PROXY UDP4 192.0.2.1 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 unknown as prefix", "PROXY UNKNOWNX\r\n", BAD, ""),
    ROW("v1 nothing", "PROXY \r\n", BAD, ""),
    ROW("v1 no space", "PROXYTCP4", BAD, ""),
    ROW("v1 two spaces", "PROXY  TCP4 192.0.2.1 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 two spaces inside", "PROXY TCP4 192.0.2.1  198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 tab", "PROXY TCP4\t192.0.2.1 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 space at the end", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 25 \r\n", BAD, ""),
    ROW("v1 one more word", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 25 1\r\n", BAD, ""),
    ROW("v1 a port missing", "PROXY TCP4 192.0.2.1 198.51.100.2 40000\r\n", BAD, ""),
    ROW("v1 addresses missing", "PROXY TCP4\r\n", BAD, ""),
    ROW("v1 port 65536", "PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n", BAD, ""),
    ROW("v1 port 2^64", "PROXY TCP4 192.0.2.1 198.51.100.2 18446744073709551617 25\r\n", BAD, ""),
    ROW("v1 port -1", "PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n", BAD, ""),
    ROW("v1 port +1", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 +25\r\n", BAD, ""),
    ROW("v1 port 025", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 025\r\n", BAD, ""),
    ROW("v1 tcp4 with v6", "PROXY TCP4 2001:db8::1 2001:db8::2 40000 25\r\n", BAD, ""),
    ROW("v1 tcp4 with mapped", "PROXY TCP4 ::ffff:192.0.2.1 198.51.100.2 1 25\r\n", BAD, ""),
    ROW("v1 tcp6 with v4", "PROXY TCP6 192.0.2.1 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 short v4", "PROXY TCP4 127.1 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 octal v4", "PROXY TCP4 192.0.02.1 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 v4 above 255", "PROXY TCP4 192.0.2.256 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 scope", "PROXY TCP6 fe80::1%eth0 2001:db8::2 40000 25\r\n", BAD, ""),
    ROW("v1 bare lf", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\n", BAD, ""),
    ROW("v1 bare cr", "PROXY TCP4 192.0.2.1 198.51.100.2 40000\r25\r\n", BAD, ""),
    ROW("v1 cr cr lf", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\r\n", BAD, ""),
    ROW("v1 nul", "PROXY TCP4 192.0.2.1\0 198.51.100.2 40000 25\r\n", BAD, ""),
    ROW("v1 nul in unknown", "PROXY UNKNOWN \0\r\n", BAD, ""),
    ROW("no header: ehlo", "EHLO client\r\n", BAD, ""),
    ROW("no header: tls", "\x16\x03\x01\x02", BAD, ""),
    ROW("no header: http", "PUT / HTTP/1.1\r\n", BAD, ""),
    ROW("space first", " PROXY UNKNOWN\r\n", BAD, ""),
    ROW("empty line", "\r\nPROXY UNKNOWN\r\n", BAD, ""),
    /* version 2 */
    ROW("v2 inet", SIG "\x21\x11\0\x0c" V4, PROXIED, V4_TEXT),
    ROW("v2 inet6", SIG "\x21\x21\0\x24" V6, PROXIED, V6_TEXT),
    ROW("v2 mapped", SIG "\x21\x21\0\x24" MAPPED "\xc0\0\2\1" MAPPED "\xc6\x33\x64\2\x9c\x40\0\x19",
        PROXIED, V4_TEXT),
    ROW("v2 local", SIG "\x20\0\0\0", LOCAL, ""),
    ROW("v2 local with addresses", SIG "\x20\x11\0\x0c" V4, LOCAL, ""),
    ROW("v2 local with anything", SIG "\x20\xff\0\5\1\xff\xff\3\3", LOCAL, ""),
    ROW("v2 unspecified", SIG "\x21\0\0\0", UNKNOWN, ""),
    ROW("v2 unspecified with tlv", SIG "\x21\0\0\5\x05\0\2id", UNKNOWN, ""),
    ROW("v2 unix", SIG "\x21\x31\0\xd8" Z108 Z108, UNKNOWN, ""),
    ROW("v2 unix too short", SIG "\x21\x31\0\xd7", BAD, ""),
    ROW("v2 udp4", SIG "\x21\x12\0\x0c" V4, BAD, ""),
    ROW("v2 udp6", SIG "\x21\x22\0\x24" V6, BAD, ""),
    ROW("v2 unix datagrams", SIG "\x21\x32\0\xd8", BAD, ""),
    ROW("v2 inet, transport unspecified", SIG "\x21\x10\0\x0c" V4, BAD, ""),
    ROW("v2 family 4", SIG "\x21\x41\0\x0c" V4, BAD, ""),
    ROW("v2 command 2", SIG "\x22\x11\0\x0c" V4, BAD, ""),
    ROW("v2 version 1", SIG "\x11\x11\0\x0c" V4, BAD, ""),
    ROW("v2 version 3", SIG "\x31\x11\0\x0c" V4, BAD, ""),
    ROW("v2 inet, 11 bytes", SIG "\x21\x11\0\x0b" V4, BAD, ""),
    ROW("v2 inet, no bytes", SIG "\x21\x11\0\0", BAD, ""),
    ROW("v2 inet6 with the length of inet", SIG "\x21\x21\0\x0c" V4, BAD, ""),
    ROW("v2 signature broken at its end", "\r\n\r\n\0\r\nQUIT\r", BAD, ""),
    ROW("v2 signature without nul", "\r\n\r\n\r\nQUIT\n", BAD, ""),
    ROW("v2 tlvs",
        SIG "\x21\x11\0\x18" V4 "\1\0\2h2"
            "\4\0\0"
            "\xe0\0\1x",
        PROXIED, V4_TEXT),
    ROW("v2 unknown tlv type", SIG "\x21\x11\0\x0f" V4 "\xff\0\0", PROXIED, V4_TEXT),
    ROW("v2 half a tlv", SIG "\x21\x11\0\x0e" V4 "\1\0", BAD, ""),
    ROW("v2 tlv longer than the header", SIG "\x21\x11\0\x10" V4 "\4\0\2a", BAD, ""),
    ROW("v2 tlv of 65535 bytes", SIG "\x21\x11\0\x0f" V4 "\4\xff\xff", BAD, ""),
    ROW("v2 one byte too many", SIG "\x21\x11\0\x0d" V4 "\0", BAD, ""),
    ROW("v2 crc32c", SIG "\x21\x11\0\x13" V4 "\3\0\4" CRC_ALONE, PROXIED, V4_TEXT),
    ROW("v2 crc32c among others", SIG "\x21\x11\0\x1d" V4 "\4\0\2ab\3\0\4" CRC_AMONG "\1\0\2h2",
        PROXIED, V4_TEXT),
    ROW("v2 crc32c wrong", SIG "\x21\x11\0\x13" V4 "\3\0\4\1\2\3\4", BAD, ""),
    ROW("v2 crc32c twice", SIG "\x21\x11\0\x1a" V4 "\3\0\4" CRC_TWICE "\3\0\4" CRC_TWICE, BAD, ""),
    ROW("v2 crc32c of 3 bytes", SIG "\x21\x11\0\x12" V4 "\3\0\3\1\2\3", BAD, ""),
    ROW("v2 crc32c wrong in local", SIG "\x20\x11\0\x13" V4 "\3\0\4\1\2\3\4", LOCAL, ""),
};

must_static(ARRAY_COUNT(rows) >= 60, "the grid");

static void check_row(const struct row *row, size_t piece_max, uint64_t seed)
{
    static const struct slice after = SLICE_INIT("EHLO client\r\n");
    struct proxy_parser p;
    struct proxy_header h = {0};
    struct rng rng;
    struct buf text;
    enum proxy_result result = PROXY_MORE;
    size_t fed = 0;
    bool good = row->result != PROXY_BAD;
    rng_init_seed(&rng, seed);
    buf_init(&text, 4096);
    buf_add(&text, row->in);
    buf_add(&text, good ? after : SLICE(""));
    proxy_parser_init(&p);
    while (result == PROXY_MORE && fed < text.len) {
        size_t n = piece_max ? 1 + (size_t)rng_below(&rng, piece_max) : text.len;
        n = n < text.len - fed ? n : text.len - fed;
        char *copy = malloc(n);
        memcpy(copy, text.ptr + fed, n);
        struct slice in = slice_of(copy, n);
        result = proxy_parser_feed(&p, &in, &h);
        ck_assert(result != PROXY_MORE || in.len == 0);
        ck_assert_int_eq(proxy_parser_feed(&p, &in, &h), result); /* decided for good */
        fed += n - in.len;
        free(copy);
    }
    ck_assert_msg(result == row->result, "%s (%zu): %d", row->name, piece_max, (int)result);
    if (good) {
        ck_assert_msg(fed == row->in.len, "%s (%zu): took %zu", row->name, piece_max, fed);
        ck_assert_int_eq(h.version, row->name[1] - '0');
    }
    buf_clear(&text);
    if (result == PROXY_PROXIED) {
        ip_endpoint_add(&text, &h.source);
        buf_add(&text, SLICE(" "));
        ip_endpoint_add(&text, &h.destination);
    } else {
        ck_assert_uint_eq(h.source.addr.family, IP_NONE);
    }
    ck_assert_msg(slice_eq(buf_slice(&text), slice_str(row->addresses)), "%s: %.*s", row->name,
                  SLICE_ARG(buf_slice(&text)));
    buf_deinit(&text);
}

START_TEST(grid)
{
    check_row(&rows[_i], 0, 0);
    check_row(&rows[_i], 1, 0);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        check_row(&rows[_i], 2 + seed % 30, seed);
    }
}
END_TEST

/* Every proper beginning of a good header is not decided; every header cut anywhere is not good. */
START_TEST(beginnings)
{
    const struct row *row = &rows[_i];
    for (size_t n = 0; row->result != PROXY_BAD && n < row->in.len; n++) {
        struct proxy_parser p;
        struct proxy_header h;
        struct slice in = slice_first(row->in, n);
        proxy_parser_init(&p);
        ck_assert_msg(proxy_parser_feed(&p, &in, &h) == PROXY_MORE, "%s at %zu", row->name, n);
    }
}
END_TEST

/* 65535 bytes of TLVs in constant memory. */
START_TEST(longest)
{
    struct proxy_parser p;
    struct proxy_header h;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add(&b, SLICE(SIG "\x21\x11\xff\xff" V4));
    size_t end = 16 + 65535;
    while (b.len + 3 + 1000 <= end) {
        buf_add(&b, SLICE("\xee\x03\xe8"));
        for (size_t i = 0; i < 1000; i++) {
            buf_add_byte(&b, 'x');
        }
    }
    unsigned rest = (unsigned)(end - b.len - 3);
    buf_add_byte(&b, 4);
    buf_add_byte(&b, (char)(rest >> 8));
    buf_add_byte(&b, (char)(rest & 0xff));
    while (b.len < end) {
        buf_add_byte(&b, 'y');
    }
    buf_add(&b, SLICE("EHLO"));
    for (size_t piece = 1; piece < 100000; piece = piece * 7 + 1) {
        struct slice all = buf_slice(&b);
        enum proxy_result result = PROXY_MORE;
        proxy_parser_init(&p);
        while (result == PROXY_MORE) {
            struct slice in = slice_first(all, piece);
            size_t n = in.len;
            result = proxy_parser_feed(&p, &in, &h);
            all = slice_skip(all, n - in.len);
        }
        ck_assert_int_eq(result, PROXY_PROXIED);
        ck_assert(slice_eq(all, SLICE("EHLO")));
    }
    ck_assert_uint_le(sizeof(p), 256);
    buf_deinit(&b);
}
END_TEST

START_TEST(written_headers_read_back)
{
    static const struct {
        const char *source, *destination, *read;
        struct slice v1;
        uint8_t v2_bytes;
    } cases[] = {
        {"192.0.2.1:40000", "198.51.100.2:25", V4_TEXT,
         SLICE_INIT("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n"), 28},
        {"[2001:db8::1]:40000", "[2001:db8::2]:25", V6_TEXT,
         SLICE_INIT("PROXY TCP6 2001:db8::1 2001:db8::2 40000 25\r\n"), 52},
        {"192.0.2.1:40000", "[2001:db8::2]:25", "192.0.2.1:40000 [2001:db8::2]:25",
         SLICE_INIT("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 40000 25\r\n"), 52},
        {NULL, NULL, "", SLICE_INIT("PROXY UNKNOWN\r\n"), 16},
    };
    for (size_t i = 0; i < 2 * ARRAY_COUNT(cases); i++) {
        bool v2 = i % 2;
        size_t at = i / 2;
        struct ip_endpoint source = {0}, destination = {0};
        struct proxy_parser p;
        struct proxy_header h = {0};
        struct buf b;
        buf_init(&b, 1000);
        if (cases[at].source) {
            ck_assert(ip_endpoint_parse(slice_str(cases[at].source), 0, &source));
            ck_assert(ip_endpoint_parse(slice_str(cases[at].destination), 0, &destination));
        }
        (v2 ? proxy_add_v2 : proxy_add_v1)(&b, &source, &destination);
        struct slice in = buf_slice(&b);
        ck_assert(v2 ? in.len == cases[at].v2_bytes : slice_eq(in, cases[at].v1));
        proxy_parser_init(&p);
        enum proxy_result result = proxy_parser_feed(&p, &in, &h);
        ck_assert_int_eq(result, cases[at].source ? PROXY_PROXIED
                                 : v2             ? PROXY_LOCAL
                                                  : PROXY_UNKNOWN);
        ck_assert_uint_eq(in.len, 0);
        ck_assert_uint_eq(h.version, v2 ? 2 : 1);
        ck_assert(ip_endpoint_eq(&h.source, &source));
        ck_assert(ip_endpoint_eq(&h.destination, &destination));
        buf_deinit(&b);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/proxy/header");
    TCase *tc = tcase_create("header");
    tcase_add_loop_test(tc, grid, 0, (int)ARRAY_COUNT(rows));
    tcase_add_loop_test(tc, beginnings, 0, (int)ARRAY_COUNT(rows));
    tcase_add_test(tc, longest);
    tcase_add_test(tc, written_headers_read_back);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
