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
     {.verb = ADMIN_QUEUE_LS, .limit = 7, .domain = "a.example"},
     "queue ls limit=7 domain=a.example"},
    {"queue ls domain=[192.0.2.1]",
     {.verb = ADMIN_QUEUE_LS, .limit = 100, .domain = "[192.0.2.1]"},
     "queue ls limit=100 domain=[192.0.2.1]"},
    {"queue ls domain=b\xc3\xbc.example",
     {.verb = ADMIN_QUEUE_LS, .limit = 100, .domain = "b\xc3\xbc.example"},
     "queue ls limit=100 domain=b\xc3\xbc.example"},
    {"queue ls domain=a=b",
     {.verb = ADMIN_QUEUE_LS, .limit = 100, .domain = "a=b"},
     "queue ls limit=100 domain=a=b"},
    {"queue show id=01HF-x_9.A", {.verb = ADMIN_QUEUE_SHOW, .id = "01HF-x_9.A"}, NULL},
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
    ck_assert_str_eq(got.domain, g->want.domain);
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
    {"queue ls id=1", "queue ls does not take 'id=1'"},
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
    ck_assert_uint_eq(strlen(got.domain), LIMIT_DOMAIN_BYTES);
    ck_assert(!admin_request_parse(slice_of(line, at + LIMIT_DOMAIN_BYTES + 1), &got, &why));
    buf_deinit(&why);
}
END_TEST

START_TEST(errors_are_json)
{
    struct buf out;
    buf_init(&out, 4096);
    for (int e = ADMIN_BAD_REQUEST; e <= ADMIN_STOPPING; e++) {
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
