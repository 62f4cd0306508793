/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A source whose proxy fails pauses, longer each time, and is back when its time is over: with a virtual clock.
 */
#include "core/base/must.h"
#include "core/policy/egress.h"

#include <check.h>
#include <stdlib.h>

static const struct conf_egress_source items[] = {
    {.name = {"far", 3},
     .ehlo = {"a", 1},
     .proxy = {CONF_EGRESS_SOCKS5, {{IP_V4, {10, 0, 0, 1}}, 1080}}},
};
static const struct conf_egress_source moved[] = {
    {.name = {"far", 3},
     .ehlo = {"a", 1},
     .proxy = {CONF_EGRESS_SOCKS5, {{IP_V4, {10, 0, 0, 2}}, 1080}}},
};

static struct conf conf_of(const struct conf_egress_source *source)
{
    struct conf c;
    memset(&c, 0, sizeof(c));
    c.sources.items = source;
    c.sources.count = 1;
    return c;
}

START_TEST(pauses_grow_and_end)
{
    struct conf c = conf_of(items);
    struct egress_table *t = egress_table_new(&c, NULL);
    ck_assert(t != NULL);
    const struct egress_source *s = egress_at(t, 0);
    uint64_t now_ms = 1000, news = egress_news(t), pause_ms = EGRESS_PROXY_PAUSE_MS;
    ck_assert_uint_eq(egress_families_now(s), EGRESS_V4 | EGRESS_V6);
    ck_assert(!egress_proxy_retry(s, now_ms));
    for (int i = 0; i < 8; i++) {
        ck_assert(egress_proxy_failed(s, now_ms));
        ck_assert(!egress_proxy_failed(s, now_ms)); /* one of those that were opened together */
        ck_assert_uint_eq(egress_families_now(s), 0);
        ck_assert(!egress_proxy_retry(s, now_ms + pause_ms - 1));
        ck_assert(egress_proxy_retry(s, now_ms + pause_ms));
        ck_assert_uint_eq(egress_families_now(s), EGRESS_V4 | EGRESS_V6);
        now_ms += pause_ms;
        pause_ms = pause_ms * 2 < EGRESS_PROXY_PAUSE_MAX_MS ? pause_ms * 2
                                                            : EGRESS_PROXY_PAUSE_MAX_MS;
    }
    ck_assert_uint_eq(egress_news(t), news + 16);
    ck_assert_uint_eq(egress_pauses(s), 8);
    egress_proxy_works(s);
    ck_assert(egress_proxy_failed(s, now_ms));
    ck_assert(egress_proxy_retry(s, now_ms + EGRESS_PROXY_PAUSE_MS)); /* short again */
    egress_table_free(t);
}
END_TEST

/* A reload keeps the pause; another proxy is another matter. */
START_TEST(a_new_configuration)
{
    struct conf c = conf_of(items), d = conf_of(moved);
    struct egress_table *t = egress_table_new(&c, NULL);
    ck_assert(egress_proxy_failed(egress_at(t, 0), 5));
    struct egress_table *same = egress_table_new(&c, t);
    ck_assert_uint_eq(egress_families_now(egress_at(same, 0)), 0);
    struct egress_table *other = egress_table_new(&d, same);
    ck_assert_uint_eq(egress_families_now(egress_at(other, 0)), EGRESS_V4 | EGRESS_V6);
    egress_table_free(t);
    egress_table_free(same);
    egress_table_free(other);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("egress_proxy");
    tcase_add_test(tc, pauses_grow_and_end);
    tcase_add_test(tc, a_new_configuration);
    Suite *s = suite_create("core/policy/egress_proxy");
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
