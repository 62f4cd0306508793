/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a message's fields, its user and its listener say together; and what is refused.
 */
#include "core/policy/attributes.h"
#include "tests/unit/core/base/testing.h"

#define NOW_S 1795287600ull /* 2026-11-21T19:00:00Z */

static const struct conf_headers names = {
    .priority = SLICE_INIT("X-Priority"),
    .tenant = SLICE_INIT("X-Tenant"),
    .campaign = SLICE_INIT("X-Campaign"),
    .send_at = SLICE_INIT("X-Send-At"),
    .expire = SLICE_INIT("X-Expire"),
    .source = SLICE_INIT("X-Source"),
};

enum {
    A = CONF_PRIORITY_AUTO,
    U = CONF_PRIORITY_URGENT,
    N = CONF_PRIORITY_NORMAL,
    B = CONF_PRIORITY_BULK
};

/* Whose word counts. */
static const struct {
    const char *fields;
    int user, listener;
    const char *user_tenant, *listener_tenant;
    int priority;
    const char *tenant, *campaign;
} said[] = {
    {"", A, A, "", "", A, "", ""},
    {"", A, B, "", "port", B, "port", ""},
    {"", U, B, "house", "port", U, "house", ""},
    {"", N, B, "", "port", N, "port", ""},
    {"X-Priority: bulk\r\n", U, N, "house", "port", B, "house", ""},
    {"x-priority:NORMAL\r\nX-TENANT: me\r\nX-Campaign : spring-26\r\n", U, B, "house", "port", N,
     "me", "spring-26"},
    {"X-Tenant:\r\n\tfolded\r\nX-Campaign: a \r\n", A, A, "", "", A, "folded", "a"},
    {"X-Other: bulk\r\n", A, A, "", "", A, "", ""},
};

static struct conf_listener listener;

static bool decide(const char *fields, struct attributes *out, struct access_refusal *why)
{
    struct attributes_source from = {.names = &names,
                                     .fields = slice_str(fields),
                                     .listener = &listener,
                                     .now_us = NOW_S * 1000000 + 250000};
    return attributes_decide(&from, out, why);
}

START_TEST(header_before_user_before_listener)
{
    struct attributes a;
    struct access_refusal why;
    struct credential user = {.priority = (enum conf_priority)said[_i].user,
                              .tenant = slice_str(said[_i].user_tenant)};
    listener = (struct conf_listener){.priority = (enum conf_priority)said[_i].listener,
                                      .tenant = slice_str(said[_i].listener_tenant)};
    struct attributes_source from = {.names = &names,
                                     .fields = slice_str(said[_i].fields),
                                     .listener = &listener,
                                     .user = &user,
                                     .now_us = NOW_S * 1000000};
    ck_assert(attributes_decide(&from, &a, &why));
    ck_assert_int_eq((int)a.priority, said[_i].priority);
    ck_assert(slice_eq(a.tenant, slice_str(said[_i].tenant)));
    ck_assert(slice_eq(a.campaign, slice_str(said[_i].campaign)));
}
END_TEST

static const struct {
    const char *fields;
    uint64_t not_before_s, expire_s;
} times[] = {
    {"", 0, 0},
    {"X-Send-At: 2026-11-21T19:00:05Z\r\n", NOW_S + 5, 0},
    {"X-Send-At: 2026-11-21T19:00:05.000001Z\r\n", NOW_S + 6, 0},
    {"X-Send-At: 2026-11-21T20:00:05+01:00\r\n", NOW_S + 5, 0},
    {"X-Send-At: +60\r\n", NOW_S + 61, 0},
    {"X-Send-At: +1h30m\r\n", NOW_S + 5401, 0},
    {"X-Send-At: 2001-01-01T00:00:00Z\r\n", 0, 0}, /* late is better than never */
    {"X-Send-At: 2026-11-21T19:00:00Z\r\n", 0, 0},
    {"X-Expire: +60\r\n", 0, NOW_S + 60},
    {"X-Expire: 2026-11-21T19:00:05.9Z\r\n", 0, NOW_S + 5},
    {"X-Send-At: +60\r\nX-Expire: +1d\r\n", NOW_S + 61, NOW_S + 86400},
    {"X-Send-At: +366d\r\n", 0, 0},
};

START_TEST(field_times)
{
    struct attributes a;
    struct access_refusal why;
    listener = (struct conf_listener){0};
    bool far = _i ==
               (int)ARRAY_COUNT(times) - 1; /* 366 days and a quarter of a second, rounded up */
    ck_assert_int_eq(decide(times[_i].fields, &a, &why), !far);
    if (!far) {
        ck_assert_uint_eq(a.not_before_s, times[_i].not_before_s);
        ck_assert_uint_eq(a.expire_s, times[_i].expire_s);
    }
}
END_TEST

/* Beside the header: of two times to send at the later counts, of two ends the earlier. */
static const struct {
    const char *fields;
    uint64_t hold_s, by_s;
    uint8_t by;
    uint64_t not_before_s, expire_s, notify_s;
} envelopes[] = {
    {"", NOW_S + 9, 0, 0, NOW_S + 9, 0, 0},
    {"", NOW_S - 9, 0, 0, 0, 0, 0},
    {"X-Send-At: +5\r\n", NOW_S + 9, 0, 0, NOW_S + 9, 0, 0},
    {"X-Send-At: +50\r\n", NOW_S + 9, 0, 0, NOW_S + 51, 0, 0},
    {"", 0, NOW_S + 9, ATTRIBUTES_BY_RETURN, 0, NOW_S + 9, 0},
    {"X-Expire: +5\r\n", 0, NOW_S + 9, ATTRIBUTES_BY_RETURN, 0, NOW_S + 5, 0},
    {"X-Expire: +50\r\n", 0, NOW_S + 9, ATTRIBUTES_BY_RETURN, 0, NOW_S + 9, 0},
    {"X-Expire: +50\r\n", 0, NOW_S + 9, ATTRIBUTES_BY_NOTIFY | ATTRIBUTES_BY_TRACE, 0, NOW_S + 50,
     NOW_S + 9},
};

START_TEST(beside_the_header)
{
    struct attributes a;
    struct access_refusal why;
    listener = (struct conf_listener){0};
    struct attributes_source from = {.names = &names,
                                     .fields = slice_str(envelopes[_i].fields),
                                     .listener = &listener,
                                     .hold_until_s = envelopes[_i].hold_s,
                                     .by_until_s = envelopes[_i].by_s,
                                     .by = envelopes[_i].by,
                                     .now_us = NOW_S * 1000000 + 1};
    ck_assert(attributes_decide(&from, &a, &why));
    ck_assert_uint_eq(a.not_before_s, envelopes[_i].not_before_s);
    ck_assert_uint_eq(a.expire_s, envelopes[_i].expire_s);
    ck_assert_uint_eq(a.notify_s, envelopes[_i].notify_s);
    ck_assert_uint_eq(a.by, envelopes[_i].by);
}
END_TEST

static const struct {
    const char *fields, *text;
} refused[] = {
    {"X-Priority: high\r\n", "X-Priority is not urgent, normal or bulk"},
    {"X-Priority:\r\n", "X-Priority is not urgent, normal or bulk"},
    {"X-Priority: bulk\r\nx-priority: bulk\r\n", "x-priority is there twice"},
    {"X-Priority: bulk,\r\n urgent\r\n", "X-Priority cannot be read"},
    {"X-Tenant: a b\r\n", "X-Tenant is not a name (64 letters, digits, - _ . @ +)"},
    {"X-Campaign: \xc3\xbc\r\n", "X-Campaign is not a name (64 letters, digits, - _ . @ +)"},
    {"X-Send-At: tomorrow\r\n", "X-Send-At is not a time like 2026-12-24T18:00:00Z or +3600"},
    {"X-Send-At: 3600\r\n", "X-Send-At is not a time like 2026-12-24T18:00:00Z or +3600"},
    {"X-Send-At: +\r\n", "X-Send-At is not a time like 2026-12-24T18:00:00Z or +3600"},
    {"X-Send-At: +-5\r\n", "X-Send-At is not a time like 2026-12-24T18:00:00Z or +3600"},
    {"X-Send-At: +99999999999999999999\r\n",
     "X-Send-At is not a time like 2026-12-24T18:00:00Z or +3600"},
    {"X-Send-At: 2026-11-21\r\n", "X-Send-At is not a time like 2026-12-24T18:00:00Z or +3600"},
    {"X-Send-At: 2028-11-21T00:00:00Z\r\n", "X-Send-At is too far ahead"},
    {"X-Expire: +400d\r\n", "X-Expire is too far ahead"},
    {"X-Expire: 2026-11-21T19:00:00Z\r\n", "X-Expire is over"},
    {"X-Expire: +0\r\n", "X-Expire is over"},
    {"X-Send-At: +60\r\nX-Expire: +60\r\n", "X-Expire is not after the time to send at"},
};

START_TEST(what_cannot_be_understood_is_refused)
{
    struct attributes a;
    struct access_refusal why;
    listener = (struct conf_listener){0};
    ck_assert_msg(!decide(refused[_i].fields, &a, &why), "%s", refused[_i].fields);
    ck_assert_uint_eq(why.verdict.code, 550);
    ck_assert(slice_eq(why.verdict.enhanced, SLICE("5.6.0")));
    ck_assert_msg(slice_eq(why.verdict.text, slice_str(refused[_i].text)), "%.*s",
                  SLICE_ARG(why.verdict.text));
}
END_TEST

START_TEST(a_name_has_64_bytes)
{
    struct attributes a;
    struct access_refusal why;
    char field[128];
    listener = (struct conf_listener){0};
    for (int n = 63; n <= 65; n++) {
        snprintf(field, sizeof(field), "X-Tenant: %0*d\r\n", n, 7);
        ck_assert_int_eq(decide(field, &a, &why), n <= 64);
    }
}
END_TEST

/* A name that is not configured is no field. */
START_TEST(only_names_that_are_there)
{
    struct conf_headers few = {.priority = SLICE("P"), .expire = SLICE("E")};
    struct slice out[ATTRIBUTES_FIELDS];
    ck_assert_uint_eq(attributes_field_names(&few, out), 2);
    ck_assert(slice_eq(out[0], SLICE("P")) && slice_eq(out[1], SLICE("E")));
    ck_assert_uint_eq(attributes_field_names(&names, out), 6);
    struct attributes a;
    struct access_refusal why;
    listener = (struct conf_listener){0};
    struct attributes_source from = {.names = &few,
                                     .fields = SLICE(": x\r\nX: y\r\n"),
                                     .listener = &listener,
                                     .now_us = 1};
    ck_assert(attributes_decide(&from, &a, &why));
}
END_TEST

/* A pool or a source; one that is not there is a mistake. Where nobody knows (a test, a tool) any name will do. */
START_TEST(a_source_must_be_there)
{
    static const struct ip_addr address = {IP_V4, {192, 0, 2, 1}};
    static const struct conf_egress_source source = {.name = SLICE_INIT("ip1"),
                                                     .addresses = {&address, 1}};
    static const struct conf_weight share = {SLICE_INIT("ip1"), 1};
    static const struct conf_egress_pool pool = {SLICE_INIT("bulk"), {&share, 1}};
    static const struct {
        const char *fields;
        const char *source; /* NULL: refused */
    } rows[] = {
        {"X-Source: ip1\r\n", "ip1"},
        {"x-source:bulk\r\n", "bulk"},
        {"", ""},
        {"X-Source: IP1\r\n", NULL},
        {"X-Source: ip2\r\n", NULL},
        {"X-Source:\r\n", NULL},
        {"X-Source: ip1 ip1\r\n", NULL},
        {"X-Source: ip1\r\nX-Source: ip1\r\n", NULL},
    };
    const struct conf conf = {.sources = {&source, 1}, .source_pools = {&pool, 1}};
    struct egress_table *egress = egress_table_new(&conf, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct attributes a;
        struct access_refusal why;
        struct attributes_source from = {.names = &names,
                                         .egress = egress,
                                         .fields = slice_str(rows[i].fields),
                                         .listener = &listener};
        bool ok = attributes_decide(&from, &a, &why);
        ck_assert_msg(ok == (rows[i].source != NULL), "row %zu", i);
        ck_assert(!ok || slice_eq(a.source, slice_str(rows[i].source)));
        ck_assert(ok || slice_starts_nocase(why.verdict.text, SLICE("X-Source ")));
    }
    egress_table_free(egress);
    struct attributes a;
    struct access_refusal why;
    ck_assert(decide("X-Source: anything\r\n", &a, &why) && slice_eq(a.source, SLICE("anything")));
}
END_TEST

START_TEST(trust)
{
    static const struct {
        const char *addr;
        bool authenticated, clients, auth;
    } clients[] = {{"127.0.0.1", false, true, false},
                   {"192.0.2.1", false, false, false},
                   {"192.0.2.1", true, true, true}};
    struct ip_net loopback;
    ck_assert(ip_net_parse(SLICE("127.0.0.0/8"), &loopback));
    struct conf conf = {.access.networks = {&loopback, 1}};
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
        struct access_client c = {.listener = &listener, .authenticated = clients[i].authenticated};
        ck_assert(ip_addr_parse(slice_str(clients[i].addr), &c.addr));
        listener.attributes = CONF_ATTRIBUTES_CLIENTS;
        ck_assert_int_eq(attributes_trusted(&conf, &c), clients[i].clients);
        listener.attributes = CONF_ATTRIBUTES_AUTH;
        ck_assert_int_eq(attributes_trusted(&conf, &c), clients[i].auth);
        listener.attributes = CONF_ATTRIBUTES_NOBODY;
        ck_assert(!attributes_trusted(&conf, &c));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/policy/attributes");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, header_before_user_before_listener, 0, (int)ARRAY_COUNT(said));
    tcase_add_loop_test(t, field_times, 0, (int)ARRAY_COUNT(times));
    tcase_add_loop_test(t, beside_the_header, 0, (int)ARRAY_COUNT(envelopes));
    tcase_add_loop_test(t, what_cannot_be_understood_is_refused, 0, (int)ARRAY_COUNT(refused));
    tcase_add_test(t, a_name_has_64_bytes);
    tcase_add_test(t, only_names_that_are_there);
    tcase_add_test(t, a_source_must_be_there);
    tcase_add_test(t, trust);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
