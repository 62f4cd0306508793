/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which rule holds: the order of scopes, unset, which hosts make a provider, shared budgets, groups. The
 * rules come from YAML as they do in life.
 */
#include "core/policy/shaping.h"
#include "core/conf/shaping_option.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct rig {
    struct conf *conf;
    struct shaping_table *table;
};

static struct rig rig_open(const char *yaml)
{
    struct rig r;
    struct buf errors;
    char path[64];
    struct slice text = slice_str(yaml);
    int fd = memfd_create("shaping", MFD_CLOEXEC);
    ck_assert(fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    buf_init(&errors, 1 << 20);
    struct conf_source src = {.file = path};
    r.conf = conf_load(&src, &errors, NULL);
    ck_assert_msg(r.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&errors)));
    r.table = shaping_table_new(r.conf);
    ck_assert_ptr_nonnull(r.table);
    buf_deinit(&errors);
    close(fd);
    return r;
}

static void rig_close(struct rig *r)
{
    shaping_table_free(r->table);
    conf_free(r->conf);
}

/* "10 mx1.example, 20 mx2.example" */
static size_t hosts_read(const char *text, struct shaping_host hosts[8])
{
    struct slice rest = slice_str(text);
    size_t n = 0;
    while (rest.len) {
        struct slice host = slice_trim(slice_cut(&rest, ','));
        uint64_t preference;
        ck_assert(n < 8 && slice_to_u64(slice_cut(&host, ' '), &preference));
        hosts[n++] = (struct shaping_host){host, (uint16_t)preference};
    }
    return n;
}

static struct shaping_settings resolve(const struct rig *r, const char *domain, const char *hosts,
                                       const char *source)
{
    struct shaping_host list[8];
    struct shaping_settings out;
    struct shaping_query q = {.domain = slice_str(domain),
                              .source = slice_str(source),
                              .hosts = list,
                              .host_count = hosts_read(hosts, list)};
    shaping_resolve(r->table, &q, &out);
    return out;
}

static const char *provider_name(const struct shaping_settings *s)
{
    return s->provider ? s->provider->name.ptr : "none";
}

/* ---- the order ----------------------------------------------------------------------------- */

static const char order_yaml[] =
    "delivery: {connections_per_site: 11}\n"
    "shaping:\n"
    "  builtin: false\n"
    "  default:\n"
    "    messages_per_connection: 22\n"
    "    message_rate: 22/s\n"
    "    sources: {ip1: {messages_per_connection: 23}}\n"
    "  providers:\n"
    "    p:\n"
    "      match: {mx_suffix: p.example}\n"
    "      messages_per_connection: 33\n"
    "      sources: {ip1: {messages_per_connection: 34}}\n"
    "    q: {match: {mx_suffix: q.example}}\n"
    "  domains:\n"
    "    d.example:\n"
    "      messages_per_connection: 44\n"
    "      sources: {ip1: {messages_per_connection: 45}}\n"
    "    e.example: {messages_per_connection: unset, message_rate: ~}\n"
    "    f.example: {sources: {ip1: {messages_per_connection: unset}}}\n";

struct order_case {
    const char *domain;
    const char *hosts;
    const char *source;
    uint64_t messages;
    uint32_t line; /* 0: no rule */
};

static const struct order_case order_cases[] = {
    {"x.example", "10 mx.x.example", "", 22, 5},
    {"x.example", "10 mx.x.example", "ip2", 22, 5},
    {"x.example", "10 mx.x.example", "ip1", 23, 7},
    {"x.example", "10 mx.p.example", "", 33, 11},
    {"x.example", "10 mx.p.example", "ip1", 34, 12},
    {"d.example", "10 mx.p.example", "", 44, 16},
    {"D.Example.", "10 mx.p.example", "ip1", 45, 17},
    {"d.example", "", "ip2", 44, 16},
    {"e.example", "10 mx.p.example", "", 1000, 18},
    {"e.example", "10 mx.p.example", "ip1", 1000, 18},
    {"f.example", "10 mx.p.example", "", 33, 11},
    {"f.example", "10 mx.p.example", "ip1", 1000, 19},
    /* A provider that says nothing about it. */
    {"x.example", "10 mx.q.example", "ip1", 23, 7},
    /* A rule is for the domain, not for what is below it. */
    {"sub.d.example", "10 mx.x.example", "", 22, 5},
    {"", "10 mx.p.example", "", 33, 11},
};

START_TEST(the_most_specific_rule_holds)
{
    const struct order_case *c = &order_cases[_i];
    struct rig r = rig_open(order_yaml);
    struct shaping_settings s = resolve(&r, c->domain, c->hosts, c->source);
    const struct shaping_value *v = &s.own[CONF_SHAPING_MESSAGES_PER_CONNECTION];
    ck_assert_uint_eq(v->v.number, c->messages);
    ck_assert_uint_eq(v->at->line, c->line);
    ck_assert_ptr_nonnull(v->rule);
    /* What no rule says comes from the key, or is fixed. */
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_CONNECTIONS), 11);
    ck_assert_ptr_null(s.own[CONF_SHAPING_CONNECTIONS].at);
    ck_assert_str_eq(s.own[CONF_SHAPING_CONNECTIONS].key, "delivery.connections_per_site");
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_CHUNKING_WINDOW), 4);
    ck_assert_str_eq(s.own[CONF_SHAPING_CHUNKING_WINDOW].key, "delivery.chunking_window");
    ck_assert_ptr_null(s.own[CONF_SHAPING_RAMP_UP_STEP].key);
    rig_close(&r);
}
END_TEST

START_TEST(unset_names_key_and_line)
{
    struct rig r = rig_open(order_yaml);
    struct shaping_settings s = resolve(&r, "e.example", "10 mx.p.example", "");
    const struct shaping_value *v = &s.own[CONF_SHAPING_MESSAGES_PER_CONNECTION];
    ck_assert_int_eq(v->v.state, CONF_SHAPING_UNSET);
    ck_assert_str_eq(v->key, "delivery.messages_per_connection");
    ck_assert_uint_eq(v->at->line, 18);
    ck_assert_uint_eq(shaping_rate(&s, CONF_SHAPING_MESSAGE_RATE)->count, 0);
    s = resolve(&r, "x.example", "10 mx.p.example", "");
    ck_assert_uint_eq(shaping_rate(&s, CONF_SHAPING_MESSAGE_RATE)->count, 22);
    rig_close(&r);
}
END_TEST

START_TEST(relay_hosts_have_their_own_tls)
{
    struct rig r = rig_open("relay: {tls: encrypt}\ndelivery: {tls: none}\n");
    struct shaping_host host = {SLICE("relay.example"), 0};
    struct shaping_query q = {.hosts = &host, .host_count = 1, .relay = true};
    struct shaping_settings s;
    shaping_resolve(r.table, &q, &s);
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_TLS), CONF_TLS_ENCRYPT);
    ck_assert_str_eq(s.own[CONF_SHAPING_TLS].key, "relay.tls");
    q.relay = false;
    shaping_resolve(r.table, &q, &s);
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_TLS), CONF_TLS_NONE);
    rig_close(&r);
}
END_TEST

/* ---- providers ----------------------------------------------------------------------------- */

static const char provider_yaml[] =
    "shaping:\n"
    "  builtin: false\n"
    "  providers:\n"
    "    big: {match: {mx_suffix: big.example}}\n"
    "    inner: {match: {mx_suffix: inner.big.example}}\n"
    "    host: {match: {mx_host: mx9.inner.big.example}}\n"
    "    other: {match: {mx_suffix: other.example}}\n"
    "    named: {match: {domain: [n.example], domain_suffix: [corp.example, example.net]}}\n"
    "    below: {match: {domain_suffix: sub.corp.example}}\n"
    "    exact: {match: {domain: x.sub.corp.example}}\n"
    "    top: {match: {domain_suffix: museum}}\n";

struct provider_case {
    const char *domain;
    const char *hosts;
    const char *provider;
};

static const struct provider_case provider_cases[] = {
    {"a.example", "", "none"},
    {"a.example", "10 mx.a.example", "none"},
    {"a.example", "10 mx.big.example", "big"},
    {"a.example", "10 MX.Big.Example.", "big"},
    {"a.example", "10 big.example", "big"},
    {"a.example", "10 notbig.example", "none"},
    {"a.example", "10 big.example.evil.example", "none"},
    {"a.example", "10 mx.inner.big.example", "inner"},
    {"a.example", "10 mx9.inner.big.example", "host"},
    {"a.example", "10 x.mx9.inner.big.example", "inner"},
    /* The best-preferred hosts decide, whatever the order. */
    {"a.example", "20 mx.other.example, 10 mx.big.example", "big"},
    {"a.example", "10 mx.big.example, 20 mx.a.example, 20 mx.b.example", "big"},
    {"a.example", "10 mx.a.example, 20 mx.big.example", "none"},
    /* Own hosts beside a provider's do not count. */
    {"a.example", "10 mx.a.example, 10 mx2.a.example, 10 mx.big.example", "big"},
    /* Most hosts; of two with as many the first. */
    {"a.example", "10 mx.big.example, 10 a.other.example, 10 b.other.example", "other"},
    {"a.example", "10 mx.big.example, 10 a.other.example", "big"},
    {"a.example", "10 a.other.example, 10 mx.big.example", "other"},
    /* Domains first. */
    {"n.example", "10 mx.big.example", "named"},
    {"N.EXAMPLE.", "", "named"},
    {"sub.n.example", "10 mx.big.example", "big"},
    {"corp.example", "10 mx.big.example", "named"},
    {"y.corp.example", "", "named"},
    {"y.sub.corp.example", "", "below"},
    {"x.sub.corp.example", "", "exact"},
    {"z.x.sub.corp.example", "", "below"},
    {"notcorp.example", "", "none"},
    {"louvre.museum", "", "top"},
    {"", "10 mx.big.example", "big"},
    {".", "10 .", "none"},
};

START_TEST(one_provider)
{
    const struct provider_case *c = &provider_cases[_i];
    struct rig r = rig_open(provider_yaml);
    struct shaping_settings s = resolve(&r, c->domain, c->hosts, "");
    ck_assert_msg(slice_eq(slice_str(provider_name(&s)), slice_str(c->provider)),
                  "%s by %s is %s, should be %s", c->domain, c->hosts, provider_name(&s),
                  c->provider);
    rig_close(&r);
}
END_TEST

/* The real names of the hosts of those that ship. */
START_TEST(built_in_rules_match_their_providers)
{
    static const struct provider_case cases[] = {
        {"gmail.com", "5 gmail-smtp-in.l.google.com, 10 alt1.gmail-smtp-in.l.google.com", "google"},
        {"a.example", "1 aspmx.l.google.com, 10 aspmx2.googlemail.com", "google"},
        {"a.example", "1 smtp.google.com", "google"},
        {"hotmail.com", "2 hotmail-com.olc.protection.outlook.com", "outlook"},
        {"a.example", "0 a-example.mail.protection.outlook.com", "office365"},
        {"a.example", "0 a-example.x-v1.mx.microsoft", "office365-mx"},
        {"yahoo.com", "1 mta5.am0.yahoodns.net, 1 mta6.am0.yahoodns.net", "yahoo"},
        {"icloud.com", "10 mx01.mail.icloud.com, 10 mx02.mail.icloud.com", "apple"},
        {"comcast.net", "5 mx1a1.comcast.net", "comcast"},
        {"gmx.de", "10 mx00.emig.gmx.net", "gmx"},
        {"web.de", "100 mx-ha02.web.de", "gmx"},
        {"orange.fr", "10 smtp-in.orange.fr", "orange"},
        {"a.example", "10 us-smtp-inbound-1.mimecast.com", "mimecast"},
        {"mail.com", "10 mx00.mail.com", "mail.com"},
        {"a.example", "10 d1.ess.barracudanetworks.com", "barracuda"},
        {"netvigator.com", "5 mx.netvigator.com", "netvigator"},
        {"kpnmail.nl", "10 mx.kpnmail.nl", "kpn"},
        {"qq.com", "10 mx3.qq.com", "qq"},
        {"163.com", "10 163mx01.mxmail.netease.com", "netease"},
        {"yahoo.co.jp", "10 mx1.mail.yahoo.co.jp", "yahoo.co.jp"},
        {"example.org", "10 mx.example.org", "none"},
    };
    struct rig r = rig_open("");
    bool seen[64] = {false};
    const struct conf_shaping_rules *all = &r.conf->shaping.rules->by[CONF_SHAPING_PROVIDER];
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct shaping_settings s = resolve(&r, cases[i].domain, cases[i].hosts, "");
        ck_assert_str_eq(provider_name(&s), cases[i].provider);
        if (s.provider) {
            seen[s.provider - all->items] = true;
        }
    }
    for (size_t i = 0; i < all->count; i++) {
        ck_assert_msg(seen[i], "no host of %.*s is tried here", SLICE_ARG(all->items[i].name));
    }
    rig_close(&r);
}
END_TEST

/* ---- shared budgets ------------------------------------------------------------------------ */

START_TEST(a_provider_shares)
{
    struct rig r = rig_open(
        "shaping:\n"
        "  builtin: false\n"
        "  default: {message_rate: 100/s}\n"
        "  providers:\n"
        "    p:\n"
        "      match: {mx_suffix: p.example}\n"
        "      connections: {limit: 5, shared: true}\n"
        "      message_rate: {limit: 10/s, burst: 2, shared: true}\n"
        "      byte_rate: 1MB/s\n"
        "      sources: {ip1: {connections: 3, message_rate: unset}, ip2: {connections: {limit: 2, "
        "shared: true}}}\n"
        "  domains: {d.example: {connections: 50, message_rate: unset}}\n");
    struct shaping_settings s = resolve(&r, "a.example", "1 mx.p.example", "");
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_CONNECTIONS), 5);
    ck_assert_uint_eq(s.shared[CONF_SHAPING_CONNECTIONS].v.number, 5);
    ck_assert_ptr_eq(s.shared[CONF_SHAPING_CONNECTIONS].rule, s.provider);
    ck_assert_uint_eq(s.shared[CONF_SHAPING_MESSAGE_RATE].v.rate.burst, 2);
    ck_assert_ptr_null(s.shared[CONF_SHAPING_BYTE_RATE].rule);
    ck_assert_ptr_null(s.shared[CONF_SHAPING_CONNECTION_RATE].rule);
    /* A domain changes what is its own and stays in what is shared. */
    s = resolve(&r, "d.example", "1 mx.p.example", "");
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_CONNECTIONS), 50);
    ck_assert_uint_eq(s.shared[CONF_SHAPING_CONNECTIONS].v.number, 5);
    ck_assert_uint_eq(shaping_rate(&s, CONF_SHAPING_MESSAGE_RATE)->count, 0);
    ck_assert_uint_eq(s.shared[CONF_SHAPING_MESSAGE_RATE].v.rate.count, 10);
    /* The provider's own rule for a source changes both. */
    s = resolve(&r, "a.example", "1 mx.p.example", "ip1");
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_CONNECTIONS), 3);
    ck_assert_uint_eq(s.shared[CONF_SHAPING_CONNECTIONS].v.number, 5);
    ck_assert_ptr_null(s.shared[CONF_SHAPING_MESSAGE_RATE].rule);
    s = resolve(&r, "a.example", "1 mx.p.example", "ip2");
    ck_assert_uint_eq(s.shared[CONF_SHAPING_CONNECTIONS].v.number, 2);
    /* Not the provider's: nothing is shared. */
    s = resolve(&r, "d.example", "1 mx.example", "");
    ck_assert_ptr_null(s.shared[CONF_SHAPING_CONNECTIONS].rule);
    rig_close(&r);
}
END_TEST

START_TEST(sites_are_split_by_rules_of_domains)
{
    struct rig r = rig_open("shaping:\n"
                            "  builtin: false\n"
                            "  providers:\n"
                            "    hosts: {match: {mx_suffix: p.example}}\n"
                            "    named: {match: {domain_suffix: corp.example}}\n"
                            "    named2: {match: {domain: two.example}}\n"
                            "  domains: {d.example: {tls: none}, e.example: {tls: none}, "
                            "f.corp.example: {tls: none}}\n");
    static const struct {
        const char *domain;
        const char *hosts;
        int group; /* equal: the same */
    } cases[] = {
        {"a.example", "1 mx.p.example", 0},
        {"b.example", "1 mx.p.example", 0},
        {"c.example", "1 mx.example", 0},
        {"d.example", "1 mx.p.example", 1},
        {"D.example", "1 mx.example", 1},
        {"e.example", "1 mx.p.example", 2},
        {"corp.example", "", 3},
        {"x.corp.example", "1 mx.p.example", 3},
        {"f.corp.example", "", 4},
        {"two.example", "", 5},
    };
    uint64_t groups[6];
    bool known[6] = {false};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct shaping_settings s = resolve(&r, cases[i].domain, cases[i].hosts, "");
        int g = cases[i].group;
        ck_assert((s.group == 0) == (g == 0));
        ck_assert(!known[g] || groups[g] == s.group);
        for (int other = 0; other < 6; other++) {
            ck_assert(other == g || !known[other] || groups[other] != s.group);
        }
        groups[g] = s.group;
        known[g] = true;
    }
    rig_close(&r);
}
END_TEST

START_TEST(totals)
{
    struct rig r = rig_open(
        "delivery: {connections_per_site: 7}\n"
        "shaping:\n"
        "  default: {message_rate: 1/s}\n"
        "  sources: {ip1: {connections: 40}, ip2: {connections: unset}}\n"
        "  tenants: {News: {message_rate: {limit: 1000/s}, weight: 3}, plain: {byte_rate: 1MB/s}}\n"
        "  campaigns: {News: {weight: 9}}\n");
    struct shaping_settings s;
    ck_assert(shaping_resolve_total(r.table, CONF_SHAPING_TENANT, SLICE("News"), &s));
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_WEIGHT), 3);
    ck_assert_uint_eq(shaping_rate(&s, CONF_SHAPING_MESSAGE_RATE)->count, 1000);
    ck_assert(shaping_resolve_total(r.table, CONF_SHAPING_TENANT, SLICE("plain"), &s));
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_WEIGHT), 1);
    ck_assert_uint_eq(shaping_rate(&s, CONF_SHAPING_MESSAGE_RATE)->count, 0);
    ck_assert(shaping_resolve_total(r.table, CONF_SHAPING_CAMPAIGN, SLICE("News"), &s));
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_WEIGHT), 9);
    /* Names of tenants are exact. */
    ck_assert(!shaping_resolve_total(r.table, CONF_SHAPING_TENANT, SLICE("news"), &s));
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_WEIGHT), 1);
    ck_assert(shaping_resolve_total(r.table, CONF_SHAPING_SOURCE, SLICE("ip1"), &s));
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_CONNECTIONS), 40);
    /* The key is for one site: of a source as a whole it says nothing. */
    ck_assert(shaping_resolve_total(r.table, CONF_SHAPING_SOURCE, SLICE("ip2"), &s));
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_CONNECTIONS), 0);
    ck_assert(!shaping_resolve_total(r.table, CONF_SHAPING_SOURCE, SLICE(""), &s));
    ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_CONNECTIONS), 0);
    rig_close(&r);
}
END_TEST

START_TEST(a_rate_that_was_read_counts)
{
    struct rig r = rig_open("shaping: {domains: {a.example: {message_rate: 30/min}}}\n");
    struct shaping_settings s = resolve(&r, "a.example", "", "");
    struct rate_rule rule = shaping_rate_rule(shaping_rate(&s, CONF_SHAPING_MESSAGE_RATE), 1);
    struct rate rate;
    rate_init(&rate, &rule, 5);
    ck_assert(rate_take(&rate, &rule, 1, 5));
    ck_assert_uint_eq(rate_next_us(&rate, &rule, 1, 5), 2000005);
    rig_close(&r);
}
END_TEST

START_TEST(many_domains_are_found)
{
    struct buf yaml;
    buf_init(&yaml, 1 << 20);
    buf_add(&yaml, SLICE("shaping:\n  domains:\n"));
    for (unsigned i = 0; i < 900; i++) {
        buf_addf(&yaml, "    d%u.example: {messages_per_connection: %u}\n", i, i + 1);
    }
    buf_add_byte(&yaml, '\0');
    struct rig r = rig_open(yaml.ptr);
    for (unsigned i = 0; i < 900; i++) {
        char name[32];
        snprintf(name, sizeof(name), "D%u.example", i);
        struct shaping_settings s = resolve(&r, name, "", "");
        ck_assert_uint_eq(shaping_number(&s, CONF_SHAPING_MESSAGES_PER_CONNECTION), i + 1);
    }
    rig_close(&r);
    buf_deinit(&yaml);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy/shaping");
    TCase *t = tcase_create("resolve");
    tcase_add_loop_test(t, the_most_specific_rule_holds, 0, ARRAY_COUNT(order_cases));
    tcase_add_loop_test(t, one_provider, 0, ARRAY_COUNT(provider_cases));
    tcase_add_test(t, unset_names_key_and_line);
    tcase_add_test(t, relay_hosts_have_their_own_tls);
    tcase_add_test(t, built_in_rules_match_their_providers);
    tcase_add_test(t, a_provider_shares);
    tcase_add_test(t, sites_are_split_by_rules_of_domains);
    tcase_add_test(t, totals);
    tcase_add_test(t, a_rate_that_was_read_counts);
    tcase_add_test(t, many_domains_are_found);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
