/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Sources, pools and rules as they are written: what they mean, and what is said about those that mean nothing.
 */
#include "core/base/must.h"
#include "tests/unit/core/conf/conf_testing.h"

#define IP1 "sources: [{name: ip1, addresses: 192.0.2.1}]\n"
#define TWO                                                                                        \
    "sources:\n"                                                                                   \
    "  - {name: ip1, addresses: 192.0.2.1}\n"                                                      \
    "  - {name: ip2, addresses: 192.0.2.2}\n"

static const struct {
    const char *text;
    const char *messages; /* without "t.yaml:" */
} bad[] = {
    {"sources: [{addresses: 192.0.2.1}]\n", "1:11: sources[0].name: is missing\n"},
    {"sources: [{name: 'a b', addresses: 192.0.2.1}]\n",
     "1:18: sources[0].name: \"a b\" is not a name (letters, digits, - _ . @ +)\n"},
    {"sources: [{name: a:b, addresses: 192.0.2.1}]\n",
     "1:18: sources[0].name: \"a:b\" is not a name (letters, digits, - _ . @ +)\n"},
    {"sources: [{name: a, addresses: 192.0.2.1}, {name: A, addresses: 192.0.2.2}]\n",
     "1:51: sources[1].name: \"A\" is sources[0] already; sources and pools need different names\n"},
    {"sources: [{name: a}]\n",
     "1:11: sources[0].addresses: must be given: one IPv4 or IPv6 address, or both\n"},
    {"sources: [{name: a, address: 192.0.2.1}]\n",
     "1:21: sources[0].address: unknown key; did you mean addresses?\n"
     "1:11: sources[0].addresses: must be given: one IPv4 or IPv6 address, or both\n"},
    {"sources: [{name: a, addresses: 0.0.0.0}]\n",
     "1:32: sources[0].addresses: 0.0.0.0 is every address and none: name the one that mail is to leave by\n"},
    {"sources: [{name: a, addresses: '::'}]\n",
     "1:32: sources[0].addresses: :: is every address and none: name the one that mail is to leave by\n"},
    {"sources: [{name: a, addresses: 224.0.0.1}]\n",
     "1:32: sources[0].addresses: 224.0.0.1 is a multicast address: nothing can be sent from it\n"},
    {"sources: [{name: a, addresses: 'fe80::1'}]\n",
     "1:32: sources[0].addresses: fe80::1 is a link-local address: nothing behind a router can be reached from it\n"},
    {"sources: [{name: a, addresses: mta1.example.com}]\n",
     "1:32: sources[0].addresses: \"mta1.example.com\" is not an IP address, like 192.0.2.1 or 2001:db8::1\n"},
    {"sources: [{name: a, addresses: [192.0.2.1, 192.0.2.2]}]\n",
     "1:32: sources[0].addresses: 192.0.2.2: a source has one address of a family; make two sources and a pool of them\n"},
    {"sources: [{name: a, addresses: [192.0.2.1, 192.0.2.2, '2001:db8::1']}]\n",
     "1:32: sources[0].addresses: has 3 items, allowed are 0–2\n"},
    {"sources: [{name: a, addresses: '2001:db8::1'}]\ndelivery: {ipv6: false}\n",
     "1:32: sources[0].addresses: nothing can be reached from there: delivery.ipv6 is false\n"},
    {"sources: [{name: a, addresses: 192.0.2.1, ehlo: 'not a name'}]\n",
     "1:49: sources[0].ehlo: \"not a name\" is not a host name, like mail.example.org (letters, digits, hyphens; names outside ASCII in their xn-- form)\n"},
    {"sources: [{name: a, addresses: 192.0.2.1, proxy: 'http://192.0.2.9:80'}]\n",
     "1:50: sources[0].proxy: \"http://192.0.2.9:80\" is not a proxy, like socks5://192.0.2.1:1080 or haproxy://192.0.2.1:2525\n"},
    {"sources: [{name: a, addresses: 192.0.2.1, proxy: 'socks5://192.0.2.9'}]\n",
     "1:50: sources[0].proxy: \"socks5://192.0.2.9\" is not a proxy, like socks5://192.0.2.1:1080 or haproxy://192.0.2.1:2525\n"},
    {"sources: [{name: a, addresses: 192.0.2.1, proxy: 'socks5://proxy.example.org:1080'}]\n",
     "1:50: sources[0].proxy: \"socks5://proxy.example.org:1080\" is not a proxy, like socks5://192.0.2.1:1080 or haproxy://192.0.2.1:2525\n"},
    {"sources: [{name: a, proxy: 'socks5://u:secret@192.0.2.9:1080'}]\n",
     "1:28: sources[0].proxy: holds an '@': a login goes to proxy_user and proxy_password\n"},
    {"sources: [{name: a, proxy: 'haproxy://192.0.2.9:2525'}]\n",
     "1:11: sources[0].addresses: must be given: one IPv4 or IPv6 address, or both\n"},
    {"sources: [{name: a, proxy: 'socks5://192.0.2.9:1080', proxy_user: u}]\n",
     "1:67: sources[0].proxy_user: needs proxy_password too\n"},
    {"sources: [{name: a, addresses: 192.0.2.1, proxy_user: u, proxy_password: p}]\n",
     "1:55: sources[0].proxy_user: needs a proxy: socks5://…\n"},
    {IP1 "source_pools: [{name: ip1, sources: {ip1: 1}}]\n",
     "2:23: source_pools[0].name: \"ip1\" is sources[0] already; sources and pools need different names\n"},
    {IP1 "source_pools: [{name: p}]\n",
     "2:16: source_pools[0].sources: must be given: at least one source\n"},
    {IP1 "source_pools: [{sources: {ip1: 1}}]\n", "2:16: source_pools[0].name: is missing\n"},
    {IP1 "source_pools: [{name: p, sources: {ip2: 1}}]\n",
     "2:35: source_pools[0].sources: \"ip2\" is not the name of a source; did you mean ip1?\n"},
    {IP1 "source_pools: [{name: p, sources: {elsewhere: 1}}]\n",
     "2:35: source_pools[0].sources: \"elsewhere\" is not the name of a source; add it to sources\n"},
    {IP1 "source_pools: [{name: p, sources: {IP1: 1}}]\n",
     "2:35: source_pools[0].sources: \"IP1\" is not the name of a source; did you mean ip1?\n"},
    {IP1 "source_pools: [{name: p, sources: {ip1: 0}}]\n",
     "2:41: source_pools[0].sources[0]: ip1: the share 0 is out of range (1–1000000); leave the name out instead of a share of 0\n"},
    {IP1 "source_pools: [{name: p, sources: {ip1: 1000001}}]\n",
     "2:41: source_pools[0].sources[0]: ip1: the share 1000001 is out of range (1–1000000); leave the name out instead of a share of 0\n"},
    {IP1 "source_pools: [{name: p, sources: {ip1: much}}]\n",
     "2:41: source_pools[0].sources[0]: \"ip1:much\" has no whole number behind the colon, like ip1:3\n"},
    {IP1 "source_pools: [{name: p, sources: {ip1: {weight: 1}}}]\n",
     "2:41: source_pools[0].sources[0]: is a group, must be a name with its share, like ip1:3\n"},
    {IP1 "source_pools: [{name: p, sources: ['ip1:1', 'ip1:2']}]\n",
     "2:35: source_pools[0].sources: ip1 is there twice; give it one share\n"},
    {IP1 "source_pools: [{name: p, sources: {ip1: 1}}, {name: q, sources: {p: 1}}]\n",
     "2:65: source_pools[1].sources: \"p\" is not the name of a source; add it to sources\n"},
    {IP1 "source_rules: [{tenant: a}]\n",
     "2:16: source_rules[0].pool: must be given: a pool or a source\n"},
    {IP1 "source_rules: [{tenant: a, pool: ip}]\n",
     "2:34: source_rules[0].pool: \"ip\" is not the name of a pool or source; did you mean ip1?\n"},
    {IP1 "source_rules: [{tenant: a, pool: nowhere_at_all}]\n",
     "2:34: source_rules[0].pool: \"nowhere_at_all\" is not the name of a pool or source; add it to source_pools or sources\n"},
    {TWO "source_rules:\n"
         "  - {tenant: a, pool: ip1}\n"
         "  - {tenant: a, campaign: c, pool: ip2}\n",
     "6:36: source_rules[1].pool: can never apply: source_rules[0] matches all of its mail before; put the narrower rule first\n"},
    {TWO "source_rules:\n"
         "  - {pool: ip1}\n"
         "  - {sender_domain: example.org, pool: ip2}\n",
     "6:40: source_rules[1].pool: can never apply: source_rules[0] matches all of its mail before; put the narrower rule first\n"},
    {TWO "source_rules:\n"
         "  - {sender_domain: example.org, pool: ip1}\n"
         "  - {sender_domain: Example.ORG, pool: ip2}\n",
     "6:40: source_rules[1].pool: can never apply: source_rules[0] matches all of its mail before; put the narrower rule first\n"},
    {"headers: {source: X-Ringpost-Tenant}\n",
     "1:19: headers.source: the same as headers.tenant\n"},
};

START_TEST(what_is_wrong_is_said_with_its_place)
{
    struct buf want;
    struct loaded l = load_text(bad[_i].text);
    buf_init(&want, 1 << 16);
    for (struct slice rest = slice_str(bad[_i].messages); rest.len;) {
        struct slice line = slice_cut(&rest, '\n');
        buf_addf(&want, "t.yaml:%.*s\n", SLICE_ARG(line));
    }
    buf_add_byte(&want, '\0');
    ck_assert_ptr_null(l.conf);
    buf_expect(&l.errors, want.ptr);
    unload(&l);
    buf_deinit(&want);
}
END_TEST

static const char full[] =
    "delivery: {helo_name: mail.example.org}\n"
    "sources:\n"
    "  - {name: ip1, addresses: [192.0.2.1, '2001:db8::1'], ehlo: mta1.example.com}\n"
    "  - name: ip2\n"
    "    addresses: 192.0.2.2\n"
    "    proxy: haproxy://[2001:db8::9]:2525\n"
    "  - {name: far, proxy: 'socks5://192.0.2.9:1080', proxy_user: u, "
    "proxy_password: p}\n"
    "source_pools:\n"
    "  - {name: bulk, sources: {ip1: 3, ip2: 1}}\n"
    "  - {name: list, sources: ['ip2:5', far]}\n"
    "source_rules:\n"
    "  - {tenant: news, campaign: spring, pool: ip1}\n"
    "  - {sender_domain: example.org, pool: list}\n"
    "  - {pool: bulk}\n";

static void expect_full(const struct conf *c)
{
    const struct conf_egress_source *s = c->sources.items;
    ck_assert_uint_eq(c->sources.count, 3);
    ck_assert_uint_eq(s[0].addresses.count, 2);
    ck_assert_int_eq(s[0].addresses.items[1].family, IP_V6);
    slice_expect(s[0].ehlo, "mta1.example.com");
    ck_assert_int_eq(s[0].proxy.kind, CONF_EGRESS_DIRECT);
    ck_assert_uint_eq(s[1].addresses.count, 1);
    slice_expect(s[1].ehlo, "mail.example.org");
    ck_assert_int_eq(s[1].proxy.kind, CONF_EGRESS_PROXY_V2);
    ck_assert_int_eq(s[1].proxy.at.addr.family, IP_V6);
    ck_assert_uint_eq(s[1].proxy.at.port, 2525);
    ck_assert_int_eq(s[2].proxy.kind, CONF_EGRESS_SOCKS5);
    slice_expect(s[2].proxy_user, "u");
    const struct conf_egress_pool *p = c->source_pools.items;
    ck_assert_uint_eq(c->source_pools.count, 2);
    ck_assert_uint_eq(p[0].sources.count, 2);
    slice_expect(p[0].sources.items[0].name, "ip1");
    ck_assert_uint_eq(p[0].sources.items[0].weight, 3);
    slice_expect(p[0].sources.items[1].name, "ip2");
    ck_assert_uint_eq(p[0].sources.items[1].weight, 1);
    ck_assert_uint_eq(p[1].sources.items[0].weight, 5);
    slice_expect(p[1].sources.items[1].name, "far");
    ck_assert_uint_eq(p[1].sources.items[1].weight, 1);
    ck_assert_uint_eq(c->source_rules.count, 3);
    slice_expect(c->source_rules.items[0].campaign, "spring");
    slice_expect(c->source_rules.items[1].sender_domain, "example.org");
    slice_expect(c->source_rules.items[2].pool, "bulk");
    ck_assert_uint_eq(c->source_rules.items[2].tenant.len, 0);
}

START_TEST(all_of_it_is_read)
{
    struct loaded l = load_text(full);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    expect_full(l.conf);
    unload(&l);
}
END_TEST

/* As it is printed it is read again; a password is not printed. */
START_TEST(what_is_printed_means_the_same)
{
    struct loaded l = load_text(full);
    struct buf text;
    buf_init(&text, 1 << 20);
    conf_print_yaml(l.conf, &text);
    ck_assert_ptr_nonnull(memmem(text.ptr, text.len, "proxy_password: \"(redacted)\"", 28));
    unload(&l);
    buf_add_byte(&text, '\0');
    l = load_text(text.ptr);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    expect_full(l.conf);
    unload(&l);
    buf_deinit(&text);
}
END_TEST

START_TEST(variables_name_sources_too)
{
    char *environment[] = {(char *)"RINGPOST_SOURCES_0_NAME=ip1",
                           (char *)"RINGPOST_SOURCES_0_ADDRESSES=192.0.2.1,2001:db8::1",
                           (char *)"RINGPOST_SOURCE_POOLS_0_NAME=bulk",
                           (char *)"RINGPOST_SOURCE_POOLS_0_SOURCES=ip1:7",
                           (char *)"RINGPOST_SOURCE_RULES_0_POOL=bulk",
                           NULL};
    struct conf_source src = {.environment = environment};
    struct loaded l = load(&src);
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    ck_assert_uint_eq(l.conf->sources.items[0].addresses.count, 2);
    ck_assert_uint_eq(l.conf->source_pools.items[0].sources.items[0].weight, 7);
    slice_expect(l.conf->source_rules.items[0].pool, "bulk");
    unload(&l);
}
END_TEST

START_TEST(shaping_for_a_source_that_is_not_there_is_warned_of)
{
    struct loaded l = load_text(IP1 "source_pools: [{name: p, sources: {ip1: 1}}]\n"
                                    "shaping:\n"
                                    "  builtin: false\n"
                                    "  sources:\n"
                                    "    ip1: {connections: 1}\n"
                                    "    ip9: {connections: 1}\n"
                                    "  domains:\n"
                                    "    example.org:\n"
                                    "      sources: {p: {connections: 1}}\n");
    ck_assert_msg(l.conf != NULL, "%.*s", SLICE_ARG(buf_slice(&l.errors)));
    buf_expect(&l.warnings,
               "t.yaml:7:5: shaping: the rule for source ip9 can never apply: no source has this "
               "name\n"
               "t.yaml:10:17: shaping: the rule for source p can never apply: no source has this "
               "name (it is a pool)\n");
    unload(&l);
}
END_TEST

/* A running engine takes all of it. */
START_TEST(a_reload_takes_other_sources)
{
    struct loaded a = load_text(full);
    struct loaded b = load_text(TWO);
    struct buf refused;
    buf_init(&refused, 4096);
    ck_assert_uint_eq(conf_reload_diff(a.conf, b.conf, &refused), 0);
    buf_deinit(&refused);
    unload(&a);
    unload(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conf_egress");
    TCase *t = tcase_create("sources");
    tcase_add_checked_fixture(t, folder_enter, folder_leave);
    tcase_add_loop_test(t, what_is_wrong_is_said_with_its_place, 0, (int)ARRAY_COUNT(bad));
    tcase_add_test(t, all_of_it_is_read);
    tcase_add_test(t, what_is_printed_means_the_same);
    tcase_add_test(t, variables_name_sources_too);
    tcase_add_test(t, shaping_for_a_source_that_is_not_there_is_warned_of);
    tcase_add_test(t, a_reload_takes_other_sources);
    suite_add_tcase(s, t);
    return suite_run(s);
}
