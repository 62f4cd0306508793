/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "dns/plan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct dns_plan_host *hosts(unsigned n, unsigned addresses)
{
    struct dns_plan_host *h = calloc(n ? n : 1, sizeof(*h));
    for (unsigned i = 0; i < n; i++) {
        h[i].name.len = (uint8_t)snprintf(h[i].name.text, sizeof(h[i].name.text), "mx%u.test", i);
        h[i].preference = (uint16_t)(i * 10);
        h[i].count = (uint16_t)addresses;
        for (unsigned k = 0; k < addresses; k++) {
            h[i].addresses[k] = ip_addr_v4(0x0a000000u + i * 256 + k);
        }
    }
    return h;
}

static const struct {
    unsigned hosts, addresses;
    unsigned first, last, total; /* addresses of the first and last host, of all */
    bool truncated;
} shares[] = {
    {1, 1, 1, 1, 1, false},     {1, 20, 20, 20, 20, false}, {5, 20, 20, 20, 100, false},
    {6, 20, 17, 16, 100, true}, {100, 20, 1, 1, 100, true}, {100, 1, 1, 1, 100, false},
    {60, 2, 2, 1, 100, true},
};

START_TEST(test_share)
{
    struct dns_plan_host *h = hosts(shares[_i].hosts, shares[_i].addresses);
    struct dns_plan_draft d = {.status = DNS_OK,
                               .hosts = h,
                               .host_count = (uint16_t)shares[_i].hosts};
    const struct dns_plan *p = dns_plan_make(&d);
    free(h);
    unsigned total = 0;
    for (unsigned i = 0; i < p->host_count; i++) {
        char name[24];
        snprintf(name, sizeof(name), "mx%u.test", i);
        ck_assert_str_eq(p->hosts[i].name.ptr, name);
        ck_assert_uint_eq(p->hosts[i].preference, i * 10);
        total += p->hosts[i].address_count;
        for (unsigned k = 0; k < p->hosts[i].address_count; k++) {
            struct ip_addr want = ip_addr_v4(0x0a000000u + i * 256 + k);
            ck_assert(ip_addr_eq(&p->hosts[i].addresses[k], &want));
        }
    }
    ck_assert_uint_eq(p->hosts[0].address_count, shares[_i].first);
    ck_assert_uint_eq(p->hosts[p->host_count - 1].address_count, shares[_i].last);
    ck_assert_uint_eq(total, shares[_i].total);
    ck_assert(p->truncated == shares[_i].truncated);
    ck_assert_uint_eq(p->usable_count, shares[_i].hosts);
    dns_plan_put(&p);
    ck_assert_ptr_null(p);
}
END_TEST

START_TEST(test_references)
{
    struct dns_plan_draft d = {.status = DNS_NULL_MX,
                               .domain = SLICE("a.test"),
                               .text = SLICE("why"),
                               .expires_ms = 9};
    const struct dns_plan *p = dns_plan_make(&d);
    const struct dns_plan *second = dns_plan_ref(p);
    dns_plan_put(&p);
    ck_assert_str_eq(second->domain.ptr, "a.test"); /* ASan would tell */
    ck_assert_str_eq(second->text.ptr, "why");
    ck_assert_uint_eq(second->expires_ms, 9);
    ck_assert(second->hosts == NULL && second->host_count == 0);
    dns_plan_put(&second);
    dns_plan_put(&second); /* NULL is allowed */
}
END_TEST

START_TEST(test_last_resort)
{
    const struct dns_plan *a = dns_plan_last_resort(false), *b = dns_plan_last_resort(true);
    ck_assert_int_eq(a->status, DNS_TEMPORARY);
    ck_assert_str_ne(a->text.ptr, b->text.ptr);
    for (int i = 0; i < 3; i++) { /* never freed */
        const struct dns_plan *x = dns_plan_ref(a);
        dns_plan_put(&x);
    }
    const struct dns_plan *y = b;
    dns_plan_put(&y);
    ck_assert_str_eq(b->text.ptr, "shutting down");
}
END_TEST

START_TEST(test_status_words)
{
    for (int i = 0; i < DNS_STATUS_COUNT; i++) {
        ck_assert_uint_gt(strlen(dns_status_name((enum dns_status)i)), 1);
        ck_assert_uint_gt(strlen(dns_status_text((enum dns_status)i)), 4);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dns/plan");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, test_share, 0, ARRAY_COUNT(shares));
    tcase_add_test(t, test_references);
    tcase_add_test(t, test_last_resort);
    tcase_add_test(t, test_status_words);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
