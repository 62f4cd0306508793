/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/base/must.h"
#include "tests/unit/core/conf/conf_testing.h"

struct reload_case {
    const char *old;
    const char *new;
    size_t count;
    const char *refused;
};

static const struct reload_case cases[] = {
    {"", "", 0, ""},
    {"workers: 2\n", "workers: 2\n", 0, ""},
    {"workers: 2\n", "workers: 3\n", 1,
     "workers: needs a restart (2 is in effect, 3 is asked for)\n"},
    {"log: {level: info}\n", "log: {level: debug}\n", 0, ""},
    {"queue: {max_age: 1d}\n", "queue: {max_age: 2d, schedule: [1s]}\n", 0, ""},
    {"relay: {host: a.example}\n", "relay: {host: [b.example, c.example]}\n", 0, ""},
    {"access: {networks: [10.0.0.0/8]}\n", "", 0, ""},
    {"dns: {timeout: 60s}\n", "dns: {timeout: 1m}\n", 0, ""},
    {"spool: {segment_size: 64MiB}\n", "spool: {segment_size: 67108864}\n", 0, ""},
    {"listeners: [{port: 25}]\n", "listeners: [{port: 26}]\n", 1,
     "listeners[].port: needs a restart (25 is in effect, 26 is asked for)\n"},
    {"listeners: [{port: 25}]\n", "listeners: [{port: 25}, {port: 26}]\n", 6,
     "listeners[].address: needs a restart (\"127.0.0.1\" is in effect, \"127.0.0.1\", "
     "\"127.0.0.1\" is asked for)\n"
     "listeners[].port: needs a restart (25 is in effect, 25, 26 is asked for)\n"
     "listeners[].mode: needs a restart (relay is in effect, relay, relay is asked for)\n"
     "listeners[].normalize_bare_lf: needs a restart (false is in effect, false, false is asked "
     "for)\n"
     "listeners[].tls: needs a restart (none is in effect, none, none is asked for)\n"
     "listeners[].proxy_protocol: needs a restart (off is in effect, off, off is asked for)\n"},
    {"spool: {dir: /a}\n", "spool: {dir: /b}\n", 2,
     "spool.dir: needs a restart (\"/a\" is in effect, \"/b\" is asked for)\n"
     "admin.socket: needs a restart (\"/a/admin.sock\" is in effect, \"/b/admin.sock\" is asked "
     "for)\n"},
    {"dns: {servers: [192.0.2.1]}\nlimits: {errors: 5}\n", "limits: {errors: 6}\n", 1,
     "dns.servers: needs a restart ([\"192.0.2.1:53\"] is in effect, [] is asked for)\n"},
};

START_TEST(what_needs_a_restart)
{
    const struct reload_case *c = &cases[_i];
    struct loaded old = load_text(c->old);
    struct loaded new = load_text(c->new);
    struct buf refused;
    buf_init(&refused, 1 << 16);
    ck_assert(old.conf && new.conf);
    ck_assert_uint_eq(conf_reload_diff(old.conf, new.conf, &refused), c->count);
    buf_expect(&refused, c->refused);
    buf_deinit(&refused);
    unload(&old);
    unload(&new);
}
END_TEST

START_TEST(a_bad_new_file_leaves_the_old_one_alone)
{
    struct loaded old = load_text("workers: 2\nsmtp: {banner: before}\n");
    struct loaded new = load_text("workers: 2\nsmtp: {banner: after}\nnope: 1\n");
    ck_assert_ptr_null(new.conf);
    slice_expect(old.conf->smtp.banner, "before");
    unload(&new);
    slice_expect(old.conf->smtp.banner, "before");
    unload(&old);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/reload");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, folder_enter, folder_leave);
    tcase_add_loop_test(t, what_needs_a_restart, 0, (int)ARRAY_COUNT(cases));
    tcase_add_test(t, a_bad_new_file_leaves_the_old_one_alone);
    suite_add_tcase(s, t);
    return suite_run(s);
}
