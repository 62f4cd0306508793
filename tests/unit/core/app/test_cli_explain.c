/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `ringpost explain` with the hosts named, so that no DNS is asked.
 */
#include "core/app/cli.h"
#include "core/base/must.h"

#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static void file_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

static void folder_enter(void)
{
    snprintf(folder, sizeof(folder), "/tmp/ringpost-explain-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(mkdir("shaping.d", 0700), 0);
    file_write("ringpost.yaml", "delivery: {connections_per_site: 3}\n"
                                "shaping:\n"
                                "  default:\n"
                                "    message_rate: 100/s\n");
    file_write("shaping.d/mine.yaml", "domains:\n"
                                      "  own.example:\n"
                                      "    tls: none\n"
                                      "    message_rate: unset\n"
                                      "    sources: {ip1: {idle_timeout: 3s}}\n");
    file_write("relay.yaml", "relay: {host: 'smtp.relay.example:587', tls: verify}\n"
                             "shaping: {domains: {own.example: {tls: none}}}\n");
    file_write("bad.yaml", "shaping: {providers: {gogle: {}}}\n");
}

static void folder_leave(void)
{
    unlink("ringpost.yaml");
    unlink("relay.yaml");
    unlink("bad.yaml");
    unlink("shaping.d/mine.yaml");
    rmdir("shaping.d");
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}

struct result {
    int status;
    char *out;
    char *err;
};

static struct result run(int argc, const char *const *argv)
{
    static char *const no_environment[] = {NULL};
    struct result r;
    size_t out_size, err_size;
    char *copy[16] = {NULL};
    for (int i = 0; i < argc; i++) {
        copy[i] = strdup(argv[i]);
        ck_assert_ptr_nonnull(copy[i]);
    }
    struct cli cli = {.out = open_memstream(&r.out, &out_size),
                      .err = open_memstream(&r.err, &err_size),
                      .environment = no_environment};
    r.status = cli_main(&cli, argc, copy);
    fclose(cli.out);
    fclose(cli.err);
    for (int i = 0; i < argc; i++) {
        free(copy[i]);
    }
    return r;
}

static void result_free(struct result *r)
{
    free(r->out);
    free(r->err);
}

static void expect(const struct result *r, const char *line)
{
    ck_assert_msg(strstr(r->out, line) != NULL, "no \"%s\" in:\n%s%s", line, r->out, r->err);
}

#define RUN(...)                                                                                   \
    run((int)ARRAY_COUNT(((const char *const[]){"ringpost", "explain", __VA_ARGS__})),             \
        (const char *const[]){"ringpost", "explain", __VA_ARGS__})

START_TEST(each_value_with_its_line)
{
    struct result r = RUN("-c", "ringpost.yaml", "a.example", "aspmx.l.google.com");
    ck_assert_int_eq(r.status, 0);
    expect(&r, "a.example goes to aspmx.l.google.com\nprovider: google (built-in:");
    expect(&r, "\nconnections                 5                      built-in:");
    expect(&r, "\n  all of the provider       5                      built-in:");
    expect(&r, "\nmessage_rate                100/s, burst 10        ringpost.yaml:4\n");
    expect(&r, "\nbyte_rate                   no limit               default\n");
    expect(&r, "\nidle_timeout                10s                    delivery.idle_timeout\n");
    result_free(&r);
}
END_TEST

START_TEST(a_rule_of_the_domain)
{
    struct result r = RUN("-c", "ringpost.yaml", "Own.example", "mx.own.example", "--source",
                          "ip1");
    ck_assert_int_eq(r.status, 0);
    expect(&r, "provider: none\nrule of the domain: shaping.d/mine.yaml:2;");
    expect(&r,
           "\nconnections                 3                      delivery.connections_per_site\n");
    expect(&r,
           "\nmessage_rate                no limit               shaping.d/mine.yaml:4 (unset)\n");
    expect(&r, "\ntls                         none                   shaping.d/mine.yaml:3\n");
    expect(&r, "\nidle_timeout                3s                     shaping.d/mine.yaml:5\n");
    result_free(&r);
}
END_TEST

START_TEST(relay_hosts)
{
    struct result r = RUN("-c", "relay.yaml", "own.example");
    ck_assert_int_eq(r.status, 0);
    expect(&r, "own.example goes to relay.host: smtp.relay.example\n");
    expect(&r, "\ntls                         verify                 relay.tls\n");
    result_free(&r);
}
END_TEST

START_TEST(json)
{
    struct result r = RUN("-c", "ringpost.yaml", "--json", "a.example", "aspmx.l.google.com",
                          "mx.a.example");
    struct json_object *o = json_tokener_parse(r.out), *options, *option, *field;
    ck_assert_ptr_nonnull(o);
    ck_assert(json_object_object_get_ex(o, "provider", &field));
    ck_assert_str_eq(json_object_get_string(field), "google");
    ck_assert(json_object_object_get_ex(o, "options", &options));
    ck_assert(json_object_object_get_ex(options, "message_rate", &option));
    ck_assert(json_object_object_get_ex(option, "burst", &field));
    ck_assert_int_eq(json_object_get_int(field), 10);
    ck_assert(json_object_object_get_ex(option, "set_by", &field));
    ck_assert_str_eq(json_object_get_string(field), "ringpost.yaml:4");
    ck_assert(json_object_object_get_ex(options, "connections", &option));
    ck_assert(json_object_object_get_ex(option, "provider", &field));
    json_object_put(o);
    result_free(&r);
}
END_TEST

START_TEST(mistakes)
{
    struct result r = RUN("-c", "bad.yaml", "a.example", "mx.a.example");
    ck_assert_int_eq(r.status, CLI_CONFIG);
    ck_assert_str_eq(r.out, "");
    ck_assert_ptr_nonnull(strstr(r.err, "bad.yaml:1:23: shaping.providers.gogle: can never apply"));
    result_free(&r);
    const char *const check[] = {"ringpost", "check", "-c", "bad.yaml"};
    r = run(4, check);
    ck_assert_int_eq(r.status, CLI_CONFIG);
    result_free(&r);
    const char *const bare[] = {"ringpost", "explain"};
    r = run(2, bare);
    ck_assert_int_eq(r.status, CLI_USAGE);
    result_free(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/app/cli_explain");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, folder_enter, folder_leave);
    tcase_add_test(t, each_value_with_its_line);
    tcase_add_test(t, a_rule_of_the_domain);
    tcase_add_test(t, relay_hosts);
    tcase_add_test(t, json);
    tcase_add_test(t, mistakes);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
