/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "dns/guard.h"

#include <check.h>
#include <string.h>

static const struct {
    unsigned qd, an, ns, ar;
    size_t len;
    bool plausible;
} headers[] = {
    {0, 0, 0, 0, 12, true},
    {0, 0, 0, 0, 11, false},
    {0, 0, 0, 0, 0, false},
    {1, 0, 0, 0, 17, true},
    {1, 0, 0, 0, 16, false},
    {1, 1, 0, 0, 28, true},
    {1, 1, 0, 0, 27, false},
    {1, 0, 1, 0, 27, false},
    {1, 0, 0, 1, 27, false},
    {1, 1, 1, 1, 50, true},
    {1, 65535, 65535, 65535, 17, false},
    {1, 5956, 0, 0, 65535, true},
    {1, 5957, 0, 0, 65535, false},
    {65535, 0, 0, 0, 65535, false},
};

static void make(uint8_t *m, unsigned i)
{
    const unsigned counts[4] = {headers[i].qd, headers[i].an, headers[i].ns, headers[i].ar};
    memset(m, 0, 65535);
    m[2] = 0x81;
    for (int k = 0; k < 4; k++) {
        m[4 + 2 * k] = (uint8_t)(counts[k] >> 8);
        m[5 + 2 * k] = (uint8_t)counts[k];
    }
}

static uint8_t message[65535];
static uint8_t stream[3 * 65537];

START_TEST(test_plausible)
{
    make(message, (unsigned)_i);
    ck_assert(dns_guard_plausible(message, headers[_i].len) == headers[_i].plausible);
}
END_TEST

/* F9: our own question sent back is no answer, nor is what answers something else than a query. */
START_TEST(test_responses_only)
{
    static const struct {
        uint8_t byte;
        bool plausible;
    } kinds[] = {{0x80, true},  {0x81, true},  {0x87, true},  {0x00, false},
                 {0x01, false}, {0x88, false}, {0xa8, false}, {0xff, false}};
    make(message, 3);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        message[2] = kinds[i].byte;
        ck_assert_msg(dns_guard_plausible(message, 17) == kinds[i].plausible, "%02x",
                      kinds[i].byte);
    }
}
END_TEST

/* A good message, then the row's one, then a good one, in pieces of every small size. */
START_TEST(test_stream)
{
    make(message, (unsigned)_i);
    size_t n = 0, len = headers[_i].len;
    for (int part = 0; part < 3; part++) {
        size_t l = part == 1 ? len : 17;
        stream[n] = (uint8_t)(l >> 8);
        stream[n + 1] = (uint8_t)l;
        n += 2;
        memcpy(stream + n, message, l);
        if (part != 1) {
            memset(stream + n, 0, l);
            stream[n + 2] = 0x80;
            stream[n + 5] = 1;
        }
        n += l;
    }
    for (size_t piece = 1; piece < 64; piece += piece < 20 ? 1 : 13) {
        struct dns_guard_stream s = {.fd = 3};
        bool ok = true;
        size_t at = 0;
        for (; at < n && ok; at += piece) {
            ok = dns_guard_stream_feed(&s, stream + at, n - at < piece ? n - at : piece);
        }
        ck_assert_msg(ok == headers[_i].plausible, "row %d in pieces of %zu", _i, piece);
        ck_assert(!ok || s.at == 0);
        /* Refused before c-ares could have the whole message (its length prefix and len bytes). */
        ck_assert(ok || len < DNS_GUARD_HEADER_BYTES || at < 19 + 2 + len + piece);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dns/guard");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, test_plausible, 0, ARRAY_COUNT(headers));
    tcase_add_test(t, test_responses_only);
    tcase_add_loop_test(t, test_stream, 0, ARRAY_COUNT(headers));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
