/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `overrides add` and `overrides cancel` as lines.
 */
#include "core/admin/request.h"
#include "tests/unit/core/base/testing.h"

static bool parse(const char *line, struct admin_request *req, char why[512])
{
    struct buf text;
    buf_init(&text, 511);
    bool ok = admin_request_parse(slice_str(line), req, &text);
    ck_assert(slice_to_cstr(buf_slice(&text), why, 512));
    buf_deinit(&text);
    return ok;
}

START_TEST(what_is_asked_for)
{
    static const struct {
        const char *line;
        struct automation_scope scope;
        enum automation_action action;
        uint32_t factor;
        uint64_t limit;
        uint64_t duration_ms;
        const char *who[4]; /* source, tenant, campaign, dkim */
        const char *where[2];
    } rows[] = {
        {"overrides add of=site action=suspend where=10:mx:25 for=60 reason=a%20b",
         {AUTOMATION_EVERYBODY, AUTOMATION_SITE},
         AUTOMATION_SUSPEND,
         AUTOMATION_ONE / 10,
         0,
         60000,
         {"", "", "", ""},
         {"10:mx:25", ""}},
        {"overrides add of=tenant@provider action=rate value=10/min who=news where=google",
         {AUTOMATION_TENANT, AUTOMATION_PROVIDER},
         AUTOMATION_RATE,
         0,
         14400,
         AUTOMATION_FOREVER,
         {"", "news", "", ""},
         {"", "google"}},
        {"overrides add of=campaign action=rate value=50%25 who=news/spring",
         {AUTOMATION_CAMPAIGN, AUTOMATION_ANYWHERE},
         AUTOMATION_RATE,
         AUTOMATION_ONE / 2,
         0,
         AUTOMATION_FOREVER,
         {"", "news", "spring", ""},
         {"", ""}},
        {"overrides add of=campaign action=bounce who=spring",
         {AUTOMATION_CAMPAIGN, AUTOMATION_ANYWHERE},
         AUTOMATION_BOUNCE,
         0,
         0,
         AUTOMATION_FOREVER,
         {"", "", "spring", ""},
         {"", ""}},
        {"overrides add of=dkim@site action=bounce who=a.test where=s",
         {AUTOMATION_DKIM, AUTOMATION_SITE},
         AUTOMATION_BOUNCE,
         0,
         0,
         AUTOMATION_FOREVER,
         {"", "", "", "a.test"},
         {"s", ""}},
        {"overrides add of=source@site action=connections value=2 where=s",
         {AUTOMATION_SOURCE, AUTOMATION_SITE},
         AUTOMATION_CONNECTIONS,
         0,
         2,
         AUTOMATION_FOREVER,
         {"", "", "", ""},
         {"s", ""}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct admin_request req;
        struct automation_order order;
        struct automation_keys keys;
        struct buf why;
        char text[512];
        ck_assert_msg(parse(rows[i].line, &req, text), "%s: %s", rows[i].line, text);
        buf_init(&why, 512);
        ck_assert(admin_request_override(&req, &order, &keys, &why) && why.len == 0);
        buf_deinit(&why);
        ck_assert(order.scope.who == rows[i].scope.who && order.scope.where == rows[i].scope.where);
        ck_assert_int_eq(order.action, rows[i].action);
        ck_assert_uint_eq(order.limit, rows[i].limit);
        ck_assert_uint_eq(order.duration_ms, rows[i].duration_ms);
        ck_assert(rows[i].factor == 0 || order.factor == rows[i].factor);
        const struct slice who[] = {keys.source, keys.tenant, keys.campaign, keys.dkim};
        for (size_t k = 0; k < ARRAY_COUNT(who); k++) {
            ck_assert_msg(slice_eq(who[k], slice_str(rows[i].who[k])), "%s", rows[i].line);
        }
        ck_assert(slice_eq(keys.site, slice_str(rows[i].where[0])));
        ck_assert(slice_eq(keys.provider, slice_str(rows[i].where[1])));
        struct buf line;
        struct admin_request again;
        buf_init(&line, ADMIN_REQUEST_BYTES_MAX);
        admin_request_add(&line, &req);
        ck_assert(line.len > 0 && line.ptr[line.len - 1] == '\n');
        line.ptr[line.len - 1] = '\0';
        ck_assert_msg(parse(line.ptr, &again, text), "%s: %s", line.ptr, text);
        ck_assert(strcmp(req.who, again.who) == 0 && strcmp(req.value, again.value) == 0);
        buf_deinit(&line);
    }
}
END_TEST

START_TEST(what_makes_no_sense)
{
    static const struct {
        const char *line;
        const char *why;
    } rows[] = {
        {"overrides add", "action"},
        {"overrides add of=planet action=suspend", "scope"},
        {"overrides add of=campaign@queu\xd1 action=suspend",
         "tenant@provider ..., not 'campaign@queu?'"},
        {"overrides add of=site action=stop where=s", "action"},
        {"overrides add of=site action=fail where=s", "scope"},
        {"overrides add of=site action=rate where=s", "value"},
        {"overrides add of=site action=suspend value=50%25 where=s", "suspend has none"},
        {"overrides add of=site action=suspend", "needs where="},
        {"overrides add of=site action=suspend where=s who=x", "takes no who="},
        {"overrides add of=tenant action=suspend who=t where=s", "takes no where="},
        {"overrides add of=tenant@site action=suspend where=s", "needs who="},
        {"overrides add of=tenant@site action=connections value=2 where=s who=t", "shared by all"},
        {"overrides cancel", "needs an override's number or all"},
        {"overrides cancel override=0", "override must be"},
        {"overrides cancel override=x", "override must be"},
        {"overrides cancel override=1 all=1", "needs an override's number or all"},
        {"overrides ls override=1", "does not take"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct admin_request req;
        char why[512];
        ck_assert_msg(!parse(rows[i].line, &req, why), "%s", rows[i].line);
        ck_assert_msg(strstr(why, rows[i].why) != NULL, "%s: %s", rows[i].line, why);
    }
}
END_TEST

START_TEST(cancelling)
{
    struct admin_request req;
    char why[512];
    ck_assert(parse("overrides cancel override=18446744073709551615", &req, why));
    ck_assert_uint_eq(req.override_id, UINT64_MAX);
    ck_assert(parse("overrides cancel all=1", &req, why) && req.select.all && !req.override_id);
    ck_assert(parse("overrides ls", &req, why) && req.verb == ADMIN_OVERRIDES_LS);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {what_is_asked_for, what_makes_no_sense, cancelling};
    return testing_run("core/admin/request_override", tests, ARRAY_COUNT(tests));
}
