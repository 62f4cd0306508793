/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/admin/request.h"

#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>

struct good {
    const char *line;
    struct admin_request want;
    const char *canonical; /* NULL: the line itself */
};

static const struct good goods[] = {
    {"queue stats", {.verb = ADMIN_QUEUE_STATS}, NULL},
    {"queue ls", {.verb = ADMIN_QUEUE_LS, .limit = ADMIN_LIMIT_DEFAULT}, "queue ls limit=100"},
    {"queue ls limit=1", {.verb = ADMIN_QUEUE_LS, .limit = 1}, NULL},
    {"queue ls limit=100000", {.verb = ADMIN_QUEUE_LS, .limit = 100000}, NULL},
    {"queue ls domain=a.example limit=7",
     {.verb = ADMIN_QUEUE_LS, .limit = 7, .select.domain = "a.example"},
     "queue ls limit=7 domain=a.example"},
    {"queue ls domain=[192.0.2.1]",
     {.verb = ADMIN_QUEUE_LS, .limit = 100, .select.domain = "[192.0.2.1]"},
     "queue ls limit=100 domain=[192.0.2.1]"},
    {"queue ls domain=b\xc3\xbc.example",
     {.verb = ADMIN_QUEUE_LS, .limit = 100, .select.domain = "b\xc3\xbc.example"},
     "queue ls limit=100 domain=b\xc3\xbc.example"},
    {"queue ls domain=a=b",
     {.verb = ADMIN_QUEUE_LS, .limit = 100, .select.domain = "a=b"},
     "queue ls limit=100 domain=a=b"},
    {"queue show id=01HF-x_9.A", {.verb = ADMIN_QUEUE_SHOW, .id = "01HF-x_9.A"}, NULL},
    {"queue ls limit=2 id=0000000000012 after=0000000000001",
     {.verb = ADMIN_QUEUE_LS,
      .limit = 2,
      .id = "0000000000012",
      .after = "0000000000001",
      .select.id = 34},
     NULL},
    {"queue hold recipient=a%20b@c.d sender=<>",
     {.verb = ADMIN_QUEUE_HOLD, .select = {.recipient = "a b@c.d", .null_sender = true}},
     NULL},
    {"queue release sender=a%25b@c.d site=mx.test tenant=t campaign=c",
     {.verb = ADMIN_QUEUE_RELEASE,
      .select = {.sender = "a%b@c.d", .site = "mx.test", .tenant = "t", .campaign = "c"}},
     NULL},
    {"queue retry last_reply=4.7.1%20grey older=60 dry_run=1",
     {.verb = ADMIN_QUEUE_RETRY,
      .dry_run = true,
      .select = {.last_reply = "4.7.1 grey", .older_than_ms = 60000}},
     NULL},
    {"queue bounce all=1 quiet=1",
     {.verb = ADMIN_QUEUE_BOUNCE, .quiet = true, .select.all = true},
     NULL},
    {"queue delete domain=a.example",
     {.verb = ADMIN_QUEUE_DELETE, .select.domain = "a.example"},
     NULL},
    {"queue stats domain=a.example",
     {.verb = ADMIN_QUEUE_STATS, .select.domain = "a.example"},
     NULL},
    {"queue route domain=a.test to=Relay.Test",
     {.verb = ADMIN_QUEUE_ROUTE, .select.domain = "a.test", .to = "relay.test:25"},
     "queue route domain=a.test to=relay.test:25"},
    {"queue route all=1 dry_run=1 to=mx:b.test",
     {.verb = ADMIN_QUEUE_ROUTE, .dry_run = true, .select.all = true, .to = "mx:b.test"},
     NULL},
    {"queue route id=0000000000012 to=default",
     {.verb = ADMIN_QUEUE_ROUTE, .id = "0000000000012", .select.id = 34, .to = "default"},
     NULL},
    {"top", {.verb = ADMIN_TOP, .limit = ADMIN_TOP_DEFAULT}, "top limit=40"},
    {"top limit=100", {.verb = ADMIN_TOP, .limit = 100}, NULL},
    {"trace target=192.0.2.0/24", {.verb = ADMIN_TRACE, .target = "192.0.2.0/24"}, NULL},
    {"warmup ls", {.verb = ADMIN_WARMUP_LS}, NULL},
    {"warmup set day=3 who=ip9 where=google",
     {.verb = ADMIN_WARMUP_SET, .day = 3, .who = "ip9", .where = "google"},
     NULL},
    {"suspend ls", {.verb = ADMIN_SUSPEND_LS}, NULL},
    {"explain domain=a.test", {.verb = ADMIN_EXPLAIN, .select.domain = "a.test"}, NULL},
    {"explain site_id=7", {.verb = ADMIN_EXPLAIN, .site_id = 7}, NULL},
    {"peers ls", {.verb = ADMIN_PEERS_LS}, NULL},
    {"peers forget host=mx.a.test:25", {.verb = ADMIN_PEERS_FORGET, .host = "mx.a.test:25"}, NULL},
    {"peers forget all=1", {.verb = ADMIN_PEERS_FORGET, .select.all = true}, NULL},
    {"suspend scope=A.example for=60 reason=a%20b",
     {.verb = ADMIN_SUSPEND, .scope = "domain:a.example", .for_ms = 60000, .reason = "a b"},
     "suspend scope=domain:a.example for=60 reason=a%20b"},
    {"resume scope=all", {.verb = ADMIN_RESUME, .scope = "all"}, NULL},
};

START_TEST(parses_and_prints)
{
    const struct good *g = &goods[_i];
    struct admin_request got;
    struct buf why, text;
    buf_init(&why, 1024);
    buf_init(&text, 1024);
    memset(&got, 0xa5, sizeof(got));
    ck_assert_msg(admin_request_parse(slice_str(g->line), &got, &why), "%s", g->line);
    ck_assert_uint_eq(why.len, 0);
    ck_assert_int_eq(got.verb, g->want.verb);
    ck_assert_uint_eq(got.limit, g->want.limit);
    ck_assert_str_eq(got.id, g->want.id);
    ck_assert_str_eq(got.after, g->want.after);
    ck_assert_uint_eq(got.day, g->want.day);
    ck_assert_str_eq(got.scope, g->want.scope);
    ck_assert_str_eq(got.host, g->want.host);
    ck_assert_str_eq(got.reason, g->want.reason);
    ck_assert_str_eq(got.to, g->want.to);
    ck_assert_str_eq(got.target, g->want.target);
    ck_assert(admin_verb_is_stream(got.verb) == (got.verb == ADMIN_TRACE));
    ck_assert(got.dry_run == g->want.dry_run && got.quiet == g->want.quiet);
    ck_assert_uint_eq(got.for_ms, g->want.for_ms);
    ck_assert_mem_eq(&got.select, &g->want.select, sizeof(got.select));
    ck_assert_str_eq(got.select.domain, g->want.select.domain);
    admin_request_add(&text, &got);
    const char *want = g->canonical ? g->canonical : g->line;
    ck_assert_uint_eq(text.len, strlen(want) + 1);
    ck_assert_mem_eq(text.ptr, want, text.len - 1);
    ck_assert_int_eq(text.ptr[text.len - 1], '\n');
    buf_deinit(&why);
    buf_deinit(&text);
}
END_TEST

static const struct {
    const char *line;
    const char *why; /* part of the reason */
} bads[] = {
    {"", "unknown request"},
    {"queue", "unknown request 'queue'"},
    {"queue  stats", "unknown request"},
    {" queue stats", "unknown request"},
    {"QUEUE STATS", "unknown request"},
    {"queue statsx", "unknown request"},
    {"queue stats\r", "unknown request"},
    {"queue stats ", "queue stats does not take ''"},
    {"queue stats limit=1", "queue stats does not take 'limit=1'"},
    {"queue ls id=1", "id must be a message id, not '1'"},
    {"queue ls after=1", "after must be a message id, not '1'"},
    {"queue ls dry_run=1", "queue ls does not take"},
    {"queue hold", "queue hold needs to be told which messages"},
    {"queue hold dry_run=1", "queue hold needs to be told which messages"},
    {"queue delete all=0", "all must be 1"},
    {"queue delete quiet=1 all=1", "does not take 'quiet=1'"},
    {"queue delete recipient=", "recipient must be"},
    {"queue delete recipient=a%2", "recipient must be"},
    {"queue delete recipient=a%zz", "recipient must be"},
    {"queue delete recipient=a%00", "recipient must be"},
    {"queue delete recipient=a%0a", "recipient must be"},
    {"queue delete recipient=a%ff", "recipient must be"},
    {"queue delete older=0", "older must be"},
    {"queue delete older=99999999999999999999", "older must be"},
    {"queue route all=1", "queue route needs to="},
    {"queue route to=a.test", "queue route needs to be told which messages"},
    {"queue route all=1 to=a.test:0", "to must be a host"},
    {"queue hold all=1 to=a.test", "queue hold does not take"},
    {"top limit=101", "1 to 100"},
    {"top domain=a.test", "top does not take"},
    {"warmup ls day=3", "warmup ls does not take"},
    {"warmup set who=ip9 where=google", "warmup set needs who="},
    {"warmup set who=ip9 day=3", "warmup set needs who="},
    {"warmup set who=ip9 where=google day=0", "day must be a number from 1 to 1000"},
    {"trace", "trace needs target="},
    {"trace target=a@b", "target must be"},
    {"explain", "explain needs domain= or site_id="},
    {"explain domain=a.test site_id=1", "explain needs domain= or site_id="},
    {"explain site_id=0", "site_id must be"},
    {"peers forget", "peers forget needs host= or all=1"},
    {"peers forget host=a all=1", "peers forget needs host= or all=1"},
    {"peers forget host=a@b", "host must be"},
    {"peers ls host=a", "peers ls does not take 'host=a'"},
    {"suspend", "suspend needs scope="},
    {"suspend scope=", "scope must be"},
    {"suspend scope=who:x", "scope must be"},
    {"resume scope=all for=1", "resume does not take"},
    {"suspend ls scope=all", "suspend ls does not take"},
    {"suspendx", "unknown request"},
    {"queue ls  limit=1", "does not take ''"},
    {"queue ls limit", "does not take 'limit'"},
    {"queue ls limit=", "limit must be a number from 1 to 100000, not ''"},
    {"queue ls limit=0", "limit must be"},
    {"queue ls limit=-1", "limit must be"},
    {"queue ls limit=100001", "limit must be"},
    {"queue ls limit=18446744073709551617", "limit must be"},
    {"queue ls limit=1 limit=2", "limit is given twice"},
    {"queue ls domain=", "domain must be"},
    {"queue ls domain=a@b", "domain must be"},
    {"queue ls domain=a\"b", "domain must be"},
    {"queue ls domain=a\tb", "domain must be a domain, not 'a?b'"},
    {"queue ls domain=a\xff", "domain must be"},
    {"queue ls domain=\x1b[31m", "not '?[31m'"},
    {"queue show", "queue show needs id="},
    {"queue show id=", "id must be"},
    {"queue show id=a/b", "id must be"},
    {"queue show id=a id=a", "id is given twice"},
    {"queue show id=0123456789012345678901234567890123456789012345678901234567890123x",
     "id must be a message id"},
    {"GET / HTTP/1.1", "unknown request 'GET?/?HTTP/1.1'"},
};

START_TEST(refuses)
{
    struct admin_request got, before;
    struct buf why;
    buf_init(&why, 1024);
    memset(&got, 0x5a, sizeof(got));
    memcpy(&before, &got, sizeof(got));
    ck_assert_msg(!admin_request_parse(slice_str(bads[_i].line), &got, &why), "%s", bads[_i].line);
    ck_assert_mem_eq(&got, &before, sizeof(got));
    buf_add_byte(&why, '\0');
    ck_assert_msg(strstr(why.ptr, bads[_i].why) != NULL, "%s: %s", bads[_i].line, why.ptr);
    ck_assert(strchr(why.ptr, '\n') == NULL);
    buf_deinit(&why);
}
END_TEST

START_TEST(refuses_nul)
{
    struct admin_request got;
    struct buf why;
    buf_init(&why, 1024);
    ck_assert(!admin_request_parse(SLICE("queue ls domain=a\0b"), &got, &why));
    ck_assert(!admin_request_parse(SLICE("queue stats\0"), &got, &why));
    ck_assert(!admin_request_parse(SLICE("queue show id=a\0"), &got, &why));
    buf_deinit(&why);
}
END_TEST

START_TEST(longest_domain)
{
    char line[400] = "queue ls domain=";
    size_t at = strlen(line);
    struct admin_request got;
    struct buf why;
    buf_init(&why, 1024);
    memset(line + at, 'a', LIMIT_DOMAIN_BYTES + 1);
    ck_assert(admin_request_parse(slice_of(line, at + LIMIT_DOMAIN_BYTES), &got, &why));
    ck_assert_uint_eq(strlen(got.select.domain), LIMIT_DOMAIN_BYTES);
    ck_assert(!admin_request_parse(slice_of(line, at + LIMIT_DOMAIN_BYTES + 1), &got, &why));
    buf_deinit(&why);
}
END_TEST

START_TEST(errors_are_json)
{
    struct buf out;
    buf_init(&out, 4096);
    for (int e = ADMIN_BAD_REQUEST; e <= ADMIN_NOT_STORED; e++) {
        buf_clear(&out);
        admin_error_add(&out, (enum admin_error)e, SLICE("a \"quote\" \\ \n \x01 \xff end"));
        ck_assert(slice_starts_nocase(buf_slice(&out), ADMIN_LAST_ERROR));
        ck_assert_int_eq(slice_find_byte(buf_slice(&out), '\n'), (int)out.len - 1);
        buf_add_byte(&out, '\0');
        struct json_object *o = json_tokener_parse(out.ptr);
        ck_assert_ptr_nonnull(o);
        ck_assert_str_eq(json_object_get_string(json_object_object_get(o, "error")),
                         admin_error_name((enum admin_error)e));
        ck_assert_str_eq(json_object_get_string(json_object_object_get(o, "text")),
                         "a \"quote\" \\ \n \x01 \xc3\xbf end");
        json_object_put(o);
    }
    buf_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/admin/request");
    TCase *t = tcase_create("request");
    tcase_add_loop_test(t, parses_and_prints, 0, (int)ARRAY_COUNT(goods));
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_COUNT(bads));
    tcase_add_test(t, refuses_nul);
    tcase_add_test(t, longest_domain);
    tcase_add_test(t, errors_are_json);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
