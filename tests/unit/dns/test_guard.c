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
    tcase_add_loop_test(t, test_stream, 0, ARRAY_COUNT(headers));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
