/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Values as they arrive in struct conf, and which source wins.
 */
#include "core/base/must.h"
#include "tests/unit/core/conf/conf_testing.h"

static const char example[] =
    "identity: {hostname: relay.example.test}\n"
    "workers: 2\n"
    "spool: {dir: ./var/spool, segment_size: 64MiB}\n"
    "listeners:\n"
    "  - {address: 127.0.0.1, port: 2525, mode: relay}\n"
    "access: {networks: [127.0.0.0/8, \"::1/128\"]}\n"
    "limits: {message_size: 25MiB, recipients: 1000, connections_per_ip: 1000}\n"
    "relay: {host: \"[127.0.0.1]:2600\"}        # leave out: deliver by MX\n"
    "delivery: {mx_port: 25, private_targets: deny}\n"
    "dns: {servers: [\"127.0.0.1:5300\"]}\n"
    "queue: {schedule: [1m, 5m, 15m, 1h, 4h], max_age: 5d}\n"
    "log: {format: json, level: info}\n";

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    ck_assert(ip_addr_parse(slice_str(text), &a));
    return a;
}

static void schedule_expect(const struct conf *c)
{
    static const uint64_t minutes[] = {1, 5, 15, 60, 240};
    ck_assert_uint_eq(c->queue.schedule.count, ARRAY_COUNT(minutes));
    for (size_t i = 0; i < ARRAY_COUNT(minutes); i++) {
        ck_assert_uint_eq(c->queue.schedule.items[i], minutes[i] * 60000);
    }
    ck_assert_uint_eq(c->queue.max_age_ms, 5 * 86400000ull);
}

static void loopback_expect(const struct conf *c)
{
    const struct ip_addr v4 = addr("127.0.0.1"), v6 = addr("::1"), far = addr("10.0.0.1");
    ck_assert_uint_eq(c->listeners.count, 1);
    ck_assert(ip_addr_eq(&c->listeners.items[0].address, &v4));
    ck_assert_uint_eq(c->listeners.items[0].port, 2525);
    ck_assert_int_eq((int)c->listeners.items[0].mode, CONF_MODE_RELAY);
    ck_assert(!c->listeners.items[0].normalize_bare_lf);
    ck_assert_uint_eq(c->access.networks.count, 2);
    ck_assert(ip_nets_contain(c->access.networks.items, 2, &v4));
    ck_assert(ip_nets_contain(c->access.networks.items, 2, &v6));
    ck_assert(!ip_nets_contain(c->access.networks.items, 2, &far));
}

START_TEST(the_example_of_the_contract)
{
    struct loaded l = load_text(example);
    const struct conf *c = l.conf;
    const struct ip_addr lo = addr("127.0.0.1");
    ck_assert_msg(c != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    buf_expect(&l.warnings, "");
    slice_expect(c->identity.hostname, "relay.example.test");
    ck_assert_uint_eq(c->workers, 2);
    slice_expect(c->spool.dir, "./var/spool");
    ck_assert_uint_eq(c->spool.segment_bytes, 64ull << 20);
    loopback_expect(c);
    ck_assert_uint_eq(c->limits.message_bytes, 25ull << 20);
    ck_assert_uint_eq(c->limits.recipients, 1000);
    ck_assert_uint_eq(c->limits.connections_per_ip, 1000);
    ck_assert_uint_eq(c->relay.host.count, 1);
    ck_assert_uint_eq(c->relay.host.items[0].port, 2600);
    ck_assert(c->relay.host.items[0].bracketed && !c->relay.host.items[0].use_mx);
    ck_assert(ip_addr_eq(&c->relay.host.items[0].addr, &lo));
    slice_expect(c->relay.host.items[0].name, "127.0.0.1");
    ck_assert_uint_eq(c->delivery.mx_port, 25);
    ck_assert_int_eq((int)c->delivery.private_targets, CONF_PRIVATE_DENY);
    ck_assert_uint_eq(c->dns.servers.count, 1);
    ck_assert_uint_eq(c->dns.servers.items[0].port, 5300);
    ck_assert(ip_addr_eq(&c->dns.servers.items[0].addr, &lo));
    schedule_expect(c);
    ck_assert_int_eq((int)c->log.format, CONF_LOG_JSON);
    ck_assert_int_eq((int)c->log.level, CONF_LOG_INFO);
    slice_expect(c->admin.socket, "./var/spool/admin.sock");
    slice_expect(c->dsn.from, "MAILER-DAEMON@relay.example.test");
    slice_expect(c->delivery.helo_name, "relay.example.test");
    unload(&l);
}
END_TEST

START_TEST(no_configuration_is_loopback_only)
{
    struct conf_source src = {0};
    struct loaded l = load(&src);
    const struct conf *c = l.conf;
    ck_assert_ptr_nonnull(c);
    loopback_expect(c);
    schedule_expect(c);
    ck_assert_uint_gt(c->identity.hostname.len, 0);
    ck_assert_uint_eq(c->workers, 0);
    ck_assert_uint_eq(c->relay.host.count, 0);
    ck_assert_ptr_null(c->relay.host.items);
    ck_assert_uint_eq(c->dns.servers.count, 0);
    ck_assert_uint_eq(c->headers.strip.count, 0);
    ck_assert_uint_eq(c->limits.message_bytes, 25ull << 20);
    ck_assert_uint_eq(c->limits.line_bytes, 998);
    ck_assert_uint_eq(c->limits.hops, 100);
    ck_assert_uint_eq(c->delivery.data_done_timeout_ms, 600000);
    ck_assert_uint_eq(c->delivery.source_address4.family, IP_NONE);
    ck_assert(c->smtp.chunking && c->smtp.dsn && c->smtp.pipelining && c->smtp.smtputf8);
    ck_assert_uint_eq(c->queue.jitter_percent, 20);
    ck_assert_uint_eq(c->shutdown.deadline_ms, 30000);
    unload(&l);
}
END_TEST

struct relay_case {
    const char *yaml;
    const char *name;
    uint16_t port;
    bool literal;
    bool use_mx;
    bool bracketed;
};

static const struct relay_case relay_cases[] = {
    {"host: smtp.example.org", "smtp.example.org", 25, false, false, false},
    {"host: smtp.example.org, lookup: mx", "smtp.example.org", 25, false, true, false},
    {"host: \"smtp.example.org:587\", lookup: mx", "smtp.example.org", 587, false, true, false},
    {"host: \"[smtp.example.org]\", lookup: mx", "smtp.example.org", 25, false, false, true},
    {"host: \"[smtp.example.org]:587\"", "smtp.example.org", 587, false, false, true},
    {"host: smtp.example.org, port: 465", "smtp.example.org", 465, false, false, false},
    {"host: \"smtp.example.org:26\", port: 465", "smtp.example.org", 26, false, false, false},
    {"host: 192.0.2.1, lookup: mx", "192.0.2.1", 25, true, false, false},
    {"host: \"192.0.2.1:2600\"", "192.0.2.1", 2600, true, false, false},
    {"host: \"2001:db8::1\"", "2001:db8::1", 25, true, false, false},
    {"host: \"[2001:db8::1]:2600\"", "2001:db8::1", 2600, true, false, true},
    {"host: [\"a.example\"]", "a.example", 25, false, false, false},
};

START_TEST(relay_hosts)
{
    const struct relay_case *r = &relay_cases[_i];
    char text[256];
    snprintf(text, sizeof(text), "relay: {%s}\n", r->yaml);
    struct loaded l = load_text(text);
    ck_assert_msg(l.conf != NULL, "%s", r->yaml);
    ck_assert_uint_eq(l.conf->relay.host.count, 1);
    const struct conf_relay_host *h = &l.conf->relay.host.items[0];
    slice_expect(h->name, r->name);
    ck_assert_uint_eq(h->port, r->port);
    ck_assert(h->use_mx == r->use_mx && h->bracketed == r->bracketed);
    ck_assert((h->addr.family != IP_NONE) == r->literal);
    unload(&l);
}
END_TEST

START_TEST(several_relay_hosts_keep_their_order)
{
    struct loaded l = load_text(
        "relay: {port: 26, host: [b.example, \"a.example:1\", \"[::1]\"]}\n");
    ck_assert_ptr_nonnull(l.conf);
    const struct conf_relay_hosts *hosts = &l.conf->relay.host;
    ck_assert_uint_eq(hosts->count, 3);
    slice_expect(hosts->items[0].name, "b.example");
    slice_expect(hosts->items[1].name, "a.example");
    slice_expect(hosts->items[2].name, "::1");
    ck_assert_uint_eq(hosts->items[0].port, 26);
    ck_assert_uint_eq(hosts->items[1].port, 1);
    ck_assert_uint_eq(hosts->items[2].port, 26);
    unload(&l);
}
END_TEST

START_TEST(listeners_take_defaults_per_item)
{
    struct loaded l = load_text("listeners:\n"
                                "  - {address: \"::\", port: 25, normalize_bare_lf: true}\n"
                                "  - {mode: submission}\n"
                                "headers: {strip: [Received, X-Mailer]}\n");
    const struct ip_addr any = addr("::"), lo = addr("127.0.0.1");
    ck_assert_ptr_nonnull(l.conf);
    const struct conf_listeners *ls = &l.conf->listeners;
    ck_assert_uint_eq(ls->count, 2);
    ck_assert(ip_addr_eq(&ls->items[0].address, &any) && ls->items[0].port == 25);
    ck_assert(ls->items[0].normalize_bare_lf && ls->items[0].mode == CONF_MODE_RELAY);
    ck_assert(ip_addr_eq(&ls->items[1].address, &lo) && ls->items[1].port == 2525);
    ck_assert(!ls->items[1].normalize_bare_lf && ls->items[1].mode == CONF_MODE_SUBMISSION);
    slice_expect(l.conf->headers.strip.items[0], "Received");
    slice_expect(l.conf->headers.strip.items[1], "X-Mailer");
    unload(&l);
}
END_TEST

START_TEST(texts_do_not_depend_on_the_source_after_loading)
{
    char variable[] = "RINGPOST_SMTP_BANNER=hello";
    char *environment[] = {variable, NULL};
    char set[] = "spool.dir=/x/y/";
    const char *sets[] = {set};
    struct conf_source src = {.environment = environment, .set = sets, .set_count = 1};
    struct loaded l = load(&src);
    memset(variable, 'z', sizeof(variable) - 1);
    memset(set, 'z', sizeof(set) - 1);
    slice_expect(l.conf->smtp.banner, "hello");
    slice_expect(l.conf->spool.dir, "/x/y/");
    slice_expect(l.conf->admin.socket, "/x/y/admin.sock");
    unload(&l);
}
END_TEST

/* ---- precedence ---------------------------------------------------------------------------- */

static void folder_file(const char *name, const char *text)
{
    ck_assert(mkdir("conf.d", 0700) == 0 || access("conf.d", X_OK) == 0);
    file_write(name, text, slice_str(text).len);
}

START_TEST(conf_d_comes_after_the_file_in_the_order_of_names)
{
    folder_file("conf.d/10.yaml", "workers: 10\nlimits: {hops: 10}\n");
    folder_file("conf.d/9.yaml", "workers: 9\nqueue: {schedule: [9m]}\n");
    folder_file("conf.d/.h.yaml", "broken: [\n");
    folder_file("conf.d/x.yml", "broken: [\n");
    struct loaded l = load_text("workers: 1\nlimits: {hops: 1, errors: 1}\n"
                                "queue: {schedule: [1m, 2m]}\n");
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    ck_assert_uint_eq(l.conf->workers, 9); /* "10" sorts before "9" */
    ck_assert_uint_eq(l.conf->limits.hops, 10);
    ck_assert_uint_eq(l.conf->limits.errors, 1);
    ck_assert_uint_eq(l.conf->queue.schedule.count, 1);
    ck_assert_uint_eq(l.conf->queue.schedule.items[0], 9 * 60000);
    unload(&l);
}
END_TEST

START_TEST(errors_of_all_sources_are_found_also_in_what_is_replaced)
{
    char *environment[] = {(char *)"RINGPOST_WORKERS=2", (char *)"RINGPOST_LOG_LEVEL=loud", NULL};
    const char *sets[] = {"limits.hops=0", "nope=1"};
    folder_file("conf.d/b.yaml", "workers: b\n");
    file_write("t.yaml", "workers: a\n", 11);
    struct conf_source src = {"t.yaml", environment, sets, 2, NULL, NULL};
    struct loaded l = load(&src);
    buf_expect(
        &l.errors,
        "t.yaml:1:10: workers: \"a\" is not a whole number (0–256)\n"
        "conf.d/b.yaml:1:10: workers: \"b\" is not a whole number (0–256)\n"
        "RINGPOST_LOG_LEVEL: \"loud\" is not one of: debug, info, warn, error\n"
        "--set limits.hops: 0 is out of range (1–100)\n"
        "--set nope: unknown key; known here: workers, identity, io, spool, listeners, "
        "access, local, tls, proxy, auth, users, sender, domains, dkim, limits, "
        "smtp, headers, relay, delivery, sources, source_pools, source_rules, warmup_plans, dns, queue, dsn, log, admin, "
        "sandbox, shutdown, shaping, automation\n");
    unload(&l);
}
END_TEST

START_TEST(a_folder_named_like_a_file_in_conf_d)
{
    folder_file("conf.d/b.yaml", "");
    ck_assert_int_eq(mkdir("conf.d/d.yaml", 0700), 0);
    struct loaded l = load_text("workers: 1\n");
    buf_expect(&l.errors, "conf.d/d.yaml: is a folder, must be a file\n");
    unload(&l);
}
END_TEST

START_TEST(environment_beats_files_and_set_beats_all)
{
    char *environment[] = {(char *)"PATH=/bin", (char *)"RINGPOST_WORKERS=3",
                           (char *)"RINGPOST_LIMITS_HOPS=3", NULL};
    const char *sets[] = {"workers=5", "workers=4"};
    folder_file("conf.d/b.yaml", "workers: 2\nlimits: {hops: 2, junk: 2}\n");
    file_write("t.yaml", "workers: 1\nlimits: {hops: 1, junk: 1, errors: 1}\n", 49);
    struct conf_source src = {"t.yaml", environment, sets, 2, NULL, NULL};
    struct loaded l = load(&src);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    ck_assert_uint_eq(l.conf->workers, 4);
    ck_assert_uint_eq(l.conf->limits.hops, 3);
    ck_assert_uint_eq(l.conf->limits.junk, 2);
    ck_assert_uint_eq(l.conf->limits.errors, 1);
    unload(&l);
}
END_TEST

START_TEST(relations_name_the_source_that_broke_them)
{
    char *environment[] = {(char *)"RINGPOST_DNS_TTL_MAX=1s", NULL};
    const char *sets[] = {"queue.max_age=10s"};
    struct conf_source src = {NULL, environment, sets, 1, NULL, NULL};
    struct loaded l = load(&src);
    buf_expect(&l.errors,
               "RINGPOST_DNS_TTL_MAX: dns.ttl_min: 5s is more than dns.ttl_max (1s)\n"
               "--set queue.max_age: 10s is less than the first wait of queue.schedule (1m)\n");
    unload(&l);
}
END_TEST

START_TEST(relations_are_not_judged_on_values_that_were_refused)
{
    struct loaded l = load_text("dns: {ttl_min: 1h, ttl_max: 1x}\n"
                                "queue: {schedule: [1], max_age: 30s}\n");
    ck_assert_ptr_null(memmem(l.errors.ptr, l.errors.len, "more than", 9));
    ck_assert_ptr_null(memmem(l.errors.ptr, l.errors.len, "less than", 9));
    unload(&l);
}
END_TEST

START_TEST(warnings_do_not_stop_the_start)
{
    struct loaded l = load_text("access: {networks: [0.0.0.0/0]}\ndsn: {delay_after: 6d}\n");
    ck_assert_ptr_nonnull(l.conf);
    buf_expect(&l.warnings,
               "t.yaml:1:20: access.networks: a /0 lets the whole Internet send through this "
               "server\n"
               "t.yaml:2:20: dsn.delay_after: is not less than queue.max_age: no delay report will "
               "be sent\n");
    unload(&l);
}
END_TEST

/* RFC 8314 7.3: which TLS a relay host is asked for is said, never guessed. */
static const struct {
    const char *text, *error, *warning;
} implicit_cases[] = {
    {"relay: {host: a.example:465, implicit_tls: true}\n", "", ""},
    {"relay: {host: a.example:587}\n", "", ""},
    {"relay: {port: 465}\n", "", ""},
    {"relay: {host: a.example:465}\n", "",
     "t.yaml:1:15: relay.host: port 465 usually needs relay.implicit_tls: true\n"},
    {"relay: {port: 465, host: [a.example:25, b.example]}\n", "",
     "t.yaml:1:26: relay.host: port 465 usually needs relay.implicit_tls: true\n"},
    {"relay: {host: a.example:465, implicit_tls: true, tls: none}\n",
     "t.yaml:1:44: relay.implicit_tls: true, and relay.tls is none\n", ""},
};

START_TEST(implicit_tls)
{
    struct loaded l = load_text(implicit_cases[_i].text);
    ck_assert((l.conf == NULL) == (implicit_cases[_i].error[0] != '\0'));
    buf_expect(&l.errors, implicit_cases[_i].error);
    buf_expect(&l.warnings, implicit_cases[_i].warning);
    unload(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/conf/load");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, folder_enter, folder_leave);
    tcase_add_test(t, the_example_of_the_contract);
    tcase_add_test(t, no_configuration_is_loopback_only);
    tcase_add_loop_test(t, relay_hosts, 0, (int)ARRAY_COUNT(relay_cases));
    tcase_add_test(t, several_relay_hosts_keep_their_order);
    tcase_add_loop_test(t, implicit_tls, 0, (int)ARRAY_COUNT(implicit_cases));
    tcase_add_test(t, listeners_take_defaults_per_item);
    tcase_add_test(t, texts_do_not_depend_on_the_source_after_loading);
    tcase_add_test(t, conf_d_comes_after_the_file_in_the_order_of_names);
    tcase_add_test(t, errors_of_all_sources_are_found_also_in_what_is_replaced);
    tcase_add_test(t, a_folder_named_like_a_file_in_conf_d);
    tcase_add_test(t, environment_beats_files_and_set_beats_all);
    tcase_add_test(t, relations_name_the_source_that_broke_them);
    tcase_add_test(t, relations_are_not_judged_on_values_that_were_refused);
    tcase_add_test(t, warnings_do_not_stop_the_start);
    suite_add_tcase(s, t);
    return suite_run(s);
}
