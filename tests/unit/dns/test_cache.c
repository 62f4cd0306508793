/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The cache with a clock of our own.
 */
#include "core/base/must.h"
#include "dns/cache.h"
#include "dns/dns.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct dns_cache cache;
static const struct dns_cache_limits limits = {.entries_max = 3,
                                               .ttl_min_ms = 2000,
                                               .ttl_max_ms = 100000,
                                               .negative_ttl_max_ms = 30000};

static void setup(void)
{
    dns_cache_init(&cache, &limits, 42);
}

static void teardown(void)
{
    dns_cache_deinit(&cache);
}

static struct dns_answer *answer(enum dns_answer_kind kind, uint32_t ttl_s, bool has_ttl)
{
    struct dns_answer *a = calloc(1, sizeof(*a));
    a->kind = kind;
    a->ttl_s = ttl_s;
    a->has_ttl = has_ttl;
    return a;
}

static void put(const char *name, uint32_t ttl_s, uint64_t now_ms)
{
    struct dns_entry *e = dns_cache_add(&cache, slice_str(name), DNS_TYPE_A);
    dns_cache_fill(&cache, e, answer(DNS_ANSWER_DATA, ttl_s, true), now_ms);
    dns_cache_settle(&cache, e, now_ms);
}

static bool has(const char *name, uint64_t now_ms)
{
    return dns_cache_find(&cache, slice_str(name), DNS_TYPE_A, now_ms) != NULL;
}

static const struct {
    enum dns_answer_kind kind;
    uint32_t ttl_s;
    bool has_ttl;
    uint64_t want_ms;
} expiries[] = {
    {DNS_ANSWER_DATA, 50, true, 50000},
    {DNS_ANSWER_DATA, 0, true, 2000},
    {DNS_ANSWER_DATA, 1, true, 2000},
    {DNS_ANSWER_DATA, INT32_MAX, true, 100000},
    {DNS_ANSWER_ALIAS, 50, true, 50000},
    {DNS_ANSWER_NODATA, 20, true, 20000},
    {DNS_ANSWER_NODATA, 0, true, 2000},
    {DNS_ANSWER_NXDOMAIN, 86400, true, 30000},
    {DNS_ANSWER_NXDOMAIN, 0, false, DNS_TEMPORARY_TTL_MS},
    {DNS_ANSWER_FAILED, 0, false, DNS_TEMPORARY_TTL_MS},
};

START_TEST(test_expiry)
{
    struct dns_answer a = {.kind = expiries[_i].kind,
                           .ttl_s = expiries[_i].ttl_s,
                           .has_ttl = expiries[_i].has_ttl};
    ck_assert_uint_eq(dns_cache_expiry(&cache, &a, 1000), 1000 + expiries[_i].want_ms);
}
END_TEST

START_TEST(test_negative_cap_beats_floor)
{
    struct dns_cache_limits odd = limits;
    odd.negative_ttl_max_ms = 500; /* below ttl_min */
    struct dns_cache c;
    dns_cache_init(&c, &odd, 1);
    struct dns_answer a = {.kind = DNS_ANSWER_NXDOMAIN, .ttl_s = 60, .has_ttl = true};
    ck_assert_uint_eq(dns_cache_expiry(&c, &a, 0), 500);
    dns_cache_deinit(&c);
}
END_TEST

START_TEST(test_lives_until_its_ttl)
{
    put("a.test", 10, 0);
    ck_assert(has("a.test", 0));
    ck_assert(has("a.test", 9999));
    ck_assert_uint_eq(cache.ready, 1);
    ck_assert(!has("a.test", 10000));
    ck_assert_uint_eq(cache.ready, 0);
    put("a.test", 10, 20000);
    ck_assert(has("a.test", 29999));
}
END_TEST

START_TEST(test_least_recently_used_goes)
{
    put("a.test", 50, 0);
    put("b.test", 50, 0);
    put("c.test", 50, 0);
    ck_assert(has("a.test", 1)); /* used: b is the oldest now */
    put("d.test", 50, 1);
    ck_assert_uint_eq(cache.ready, 3);
    ck_assert_uint_eq(cache.evicted, 1);
    ck_assert(!has("b.test", 1));
    ck_assert(has("a.test", 1) && has("c.test", 1) && has("d.test", 1));
}
END_TEST

START_TEST(test_expired_is_not_counted_as_evicted)
{
    put("a.test", 2, 0);
    put("b.test", 50, 0);
    put("c.test", 50, 0);
    put("d.test", 50, 5000);
    ck_assert_uint_eq(cache.evicted, 0);
    ck_assert_uint_eq(cache.ready, 3);
}
END_TEST

START_TEST(test_types_and_names_are_apart)
{
    put("a.test", 50, 0);
    ck_assert_ptr_null(dns_cache_find(&cache, SLICE("a.test"), DNS_TYPE_AAAA, 0));
    ck_assert_ptr_null(dns_cache_find(&cache, SLICE("a.tes"), DNS_TYPE_A, 0));
    ck_assert_ptr_null(dns_cache_find(&cache, SLICE("a.testt"), DNS_TYPE_A, 0));
}
END_TEST

START_TEST(test_pending)
{
    struct dns_entry *e = dns_cache_add(&cache, SLICE("a.test"), DNS_TYPE_MX);
    ck_assert_int_eq(e->ask.name.ptr[e->ask.name.len], '\0');
    for (int i = 0; i < 10; i++) { /* pressure does not touch it */
        char name[24];
        snprintf(name, sizeof(name), "x%d.test", i);
        put(name, 50, 0);
    }
    dns_cache_flush(&cache);
    ck_assert_ptr_eq(dns_cache_find(&cache, SLICE("a.test"), DNS_TYPE_MX, UINT64_MAX), e);
    dns_cache_drop(&cache, e);
    ck_assert_ptr_null(dns_cache_find(&cache, SLICE("a.test"), DNS_TYPE_MX, 0));
}
END_TEST

START_TEST(test_pinned_survives_its_ttl)
{
    struct dns_cache_limits none = {.entries_max = 0};
    struct dns_cache c;
    dns_cache_init(&c, &none, 1);
    struct dns_entry *e = dns_cache_add(&c, SLICE("a.test"), DNS_TYPE_A);
    dns_cache_fill(&c, e, answer(DNS_ANSWER_DATA, 0, true), 100);
    ck_assert_ptr_eq(dns_cache_find(&c, SLICE("a.test"), DNS_TYPE_A, 100), e);
    dns_cache_settle(&c, e, 100);
    ck_assert_ptr_null(dns_cache_find(&c, SLICE("a.test"), DNS_TYPE_A, 100));
    ck_assert_uint_eq(c.ready, 0);
    dns_cache_deinit(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dns/cache");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_expiry, 0, ARRAY_COUNT(expiries));
    tcase_add_test(t, test_negative_cap_beats_floor);
    tcase_add_test(t, test_lives_until_its_ttl);
    tcase_add_test(t, test_least_recently_used_goes);
    tcase_add_test(t, test_expired_is_not_counted_as_evicted);
    tcase_add_test(t, test_types_and_names_are_apart);
    tcase_add_test(t, test_pending);
    tcase_add_test(t, test_pinned_survives_its_ttl);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
