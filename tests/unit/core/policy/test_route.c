/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * RFC 5321 5.1 as decisions: which addresses of which hosts, in which order, and what it means when none
 * is left.
 */
#include "core/policy/route.h"
#include "tests/unit/core/base/testing.h"

enum { HOSTS_MAX = 100, ADDRESSES_MAX = 200 };

/* "10 mx1 8.8.8.8 2001:4860::8; 20 mx2 9.9.9.9; 30 mx3 ?": preference, name, addresses; "?": not looked
 * up for now; "=" before the preference: a smarthost. */
struct scene {
    struct ip_addr addresses[ADDRESSES_MAX];
    size_t address_count;
    struct route_host hosts[HOSTS_MAX];
    size_t host_count;
};

static void scene_host(struct scene *s, struct slice text)
{
    struct route_host *h = &s->hosts[s->host_count++];
    uint64_t preference;
    *h = (struct route_host){.port = 25, .addresses = &s->addresses[s->address_count]};
    h->explicit = text.ptr[0] == '=';
    text = slice_skip(text, h->explicit ? 1 : 0);
    ck_assert(slice_to_u64(slice_cut(&text, ' '), &preference));
    h->preference = (uint16_t)preference;
    h->name = slice_cut(&text, ' ');
    h->named = h->explicit ? SLICE("as.written") : SLICE("");
    while (text.len) {
        struct slice word = slice_cut(&text, ' ');
        if (slice_eq(word, SLICE("?"))) {
            h->unresolved = true;
            continue;
        }
        ck_assert(s->address_count < ADDRESSES_MAX);
        ck_assert_msg(ip_addr_parse(word, &s->addresses[s->address_count++]), "%.*s",
                      SLICE_ARG(word));
        h->address_count++;
    }
}

static void scene_set(struct scene *s, const char *text)
{
    struct slice rest = slice_str(text);
    *s = (struct scene){.host_count = 0};
    while (rest.len) {
        scene_host(s, slice_trim(slice_cut(&rest, ';')));
    }
}

static const struct conf_listener listeners[] = {
    {.address = {IP_V4, {8, 8, 4, 4}}, .port = 25},
    {.address = {IP_V4, {8, 8, 4, 5}}, .port = 2525},
};

static struct conf defaults(void)
{
    return (struct conf){
        .identity = {.hostname = SLICE("relay.example.test")},
        .listeners = {listeners, ARRAY_COUNT(listeners)},
        .delivery = {.private_targets = CONF_PRIVATE_DENY, .ipv4 = true, .ipv6 = true},
    };
}

static struct rng rng;

/* The plan as "mx1 8.8.8.8:25, mx2 [::1]:25", or "permanent 5.4.4 the text". */
static void plan_text(const struct conf *conf, const char *hosts, struct buf *out)
{
    static struct scene scene;
    struct outcome refusal = {0};
    scene_set(&scene, hosts);
    struct route_plan *p = route_plan_new(conf, scene.hosts, scene.host_count, &rng, &refusal);
    buf_clear(out);
    for (size_t i = 0; p && i < p->count; i++) {
        char text[IP_ENDPOINT_TEXT_MAX];
        buf_addf(out, "%s%.*s %s", i ? ", " : "", SLICE_ARG(p->candidates[i].host),
                 ip_endpoint_text(&p->candidates[i].endpoint, text));
    }
    if (!p) {
        ck_assert_int_eq(refusal.scope, OUTCOME_SITE);
        ck_assert_int_eq(refusal.stage, OUTCOME_STAGE_ROUTE);
        ck_assert(!refusal.remote && refusal.text.len > 0);
        buf_add(out, outcome_kind_name(refusal.kind));
        buf_add_byte(out, ' ');
        enhanced_add(out, refusal.enhanced);
    }
    route_plan_put(&p);
    ck_assert_ptr_null(p);
}

struct row {
    const char *hosts, *want;
};

static void assert_rows(const struct conf *conf, const struct row *rows, size_t count)
{
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < count; i++) {
        plan_text(conf, rows[i].hosts, &out);
        ck_assert_msg(slice_eq(buf_slice(&out), slice_str(rows[i].want)), "%s: %.*s, not %s",
                      rows[i].hosts, SLICE_ARG(buf_slice(&out)), rows[i].want);
    }
    buf_deinit(&out);
}

START_TEST(hosts_in_order)
{
    static const struct row rows[] = {
        {"10 mx1 8.8.8.8", "mx1 8.8.8.8:25"},
        {"10 mx1 8.8.8.8 8.8.8.9; 20 mx2 9.9.9.9",
         "mx1 8.8.8.8:25, mx1 8.8.8.9:25, mx2 9.9.9.9:25"},
        {"0 a 2001:4860::8 8.8.8.8; 65535 b 9.9.9.9",
         "a [2001:4860::8]:25, a 8.8.8.8:25, b 9.9.9.9:25"},
        {"10 mx1 ?; 20 mx2 9.9.9.9", "mx2 9.9.9.9:25"}, /* what is known is used */
        {"10 mx1; 20 mx2 9.9.9.9", "mx2 9.9.9.9:25"},
    };
    struct conf conf = defaults();
    assert_rows(&conf, rows, ARRAY_COUNT(rows));
}
END_TEST

/* RFC 5321 5.1: we are among them, so only better ones may be tried; none: the mail would loop. */
START_TEST(ourselves_among_the_hosts)
{
    static const struct row rows[] = {
        {"10 mx1 8.8.8.8; 20 relay.example.test 9.9.9.9; 30 mx3 9.9.9.10", "mx1 8.8.8.8:25"},
        {"10 mx1 8.8.8.8; 20 RELAY.Example.Test 9.9.9.9", "mx1 8.8.8.8:25"},
        {"10 mx1 8.8.8.8; 20 relay.example.test", "mx1 8.8.8.8:25"}, /* without an address too */
        {"10 mx1 8.8.8.8; 10 relay.example.test 9.9.9.9",
         "permanent 5.4.6"}, /* equal is not better */
        {"10 relay.example.test 9.9.9.9; 20 mx2 8.8.8.8", "permanent 5.4.6"},
        {"10 mx1 8.8.8.8; 20 alias 8.8.4.4; 30 mx3 9.9.9.9", "mx1 8.8.8.8:25"}, /* our address */
        {"10 alias 8.8.4.4", "permanent 5.4.6"},
        {"10 other 8.8.4.5", "other 8.8.4.5:25"}, /* our address, but we listen on another port */
        {"10 mx1 ?; 20 relay.example.test 9.9.9.9", "temporary 4.4.3"},
        {"10 relay.example.test 9.9.9.9; 20 mx2 ?", "permanent 5.4.6"}, /* never to be tried */
        {"=10 relay.example.test 8.8.4.4",
         "relay.example.test 8.8.4.4:25"}, /* the operator's word */
    };
    struct conf conf = defaults();
    assert_rows(&conf, rows, ARRAY_COUNT(rows));
}
END_TEST

/* A listener on all addresses is at each address of the machine, of its own family only. */
START_TEST(ourselves_behind_a_listener_on_all_addresses)
{
    static const struct conf_listener any[] = {{.address = {IP_V4, {0}}, .port = 25},
                                               {.address = {IP_V6, {0}}, .port = 2525}};
    static const struct ip_addr own[] = {{IP_V4, {127, 0, 0, 1}},
                                         {IP_V4, {8, 8, 4, 4}},
                                         {IP_V6, {0x20, 0x01, 0x48, 0x60, [15] = 8}}};
    static const struct row rows[] = {
        {"10 mx1 8.8.8.8; 20 alias 8.8.4.4; 30 mx3 9.9.9.9", "mx1 8.8.8.8:25"},
        {"10 mx1 8.8.8.8; 20 a 9.9.9.9 8.8.4.4; 20 b 9.9.9.10", "mx1 8.8.8.8:25"},
        {"10 alias 8.8.4.4; 20 mx2 8.8.8.8", "permanent 5.4.6"},
        {"10 alias 8.8.4.5", "alias 8.8.4.5:25"},
        {"10 six 2001:4860::8", "six [2001:4860::8]:25"}, /* there we are on another port */
        {"10 loop 127.0.0.9", "permanent 5.4.6"},
        {"10 none 0.0.0.0", "permanent 5.4.6"},
        {"10 loop ::1", "loop [::1]:25"},
        {"=10 next 8.8.4.4", "next 8.8.4.4:25"},
    };
    struct conf conf = defaults();
    conf.listeners = (struct conf_listeners){any, ARRAY_COUNT(any)};
    conf.own = (struct conf_addresses){own, ARRAY_COUNT(own)};
    conf.delivery.private_targets = CONF_PRIVATE_ALLOW;
    assert_rows(&conf, rows, ARRAY_COUNT(rows));
}
END_TEST

/* A public MX must not steer us into the operator's network, unless that is allowed. */
START_TEST(private_targets)
{
    static const struct row deny[] = {
        {"10 mx1 10.0.0.1", "permanent 5.4.4"},
        {"10 mx1 127.0.0.1 ::1 169.254.1.1 192.168.0.1 fe80::1 fd00::1 0.0.0.0 ::",
         "permanent 5.4.4"},
        {"10 mx1 10.0.0.1 8.8.8.8; 20 mx2 172.16.0.1", "mx1 8.8.8.8:25"},
        {"10 mx1 64:ff9b::a00:1", "permanent 5.4.4"}, /* 10.0.0.1 through NAT64 */
        {"10 mx1 2002:a00:1::1", "permanent 5.4.4"},  /* and through 6to4 */
        {"10 mx1 10.0.0.1; 20 mx2 ?", "temporary 4.4.3"},
        {"=0 smart 10.0.0.1 ::1", "smart 10.0.0.1:25, smart [::1]:25"},
    };
    static const struct row allow[] = {
        {"10 mx1 10.0.0.1 8.8.8.8", "mx1 10.0.0.1:25, mx1 8.8.8.8:25"},
        {"10 mx1 127.0.0.1", "mx1 127.0.0.1:25"},
    };
    struct conf conf = defaults();
    assert_rows(&conf, deny, ARRAY_COUNT(deny));
    conf.delivery.private_targets = CONF_PRIVATE_ALLOW;
    assert_rows(&conf, allow, ARRAY_COUNT(allow));
}
END_TEST

START_TEST(address_families)
{
    static const struct row v4_only[] = {
        {"10 mx1 2001:4860::8 8.8.8.8", "mx1 8.8.8.8:25"},
        {"10 mx1 2001:4860::8; 20 mx2 9.9.9.9", "mx2 9.9.9.9:25"},
        {"10 mx1 2001:4860::8", "permanent 5.4.4"},
        {"=10 smart 2001:4860::8", "permanent 5.4.4"},
    };
    static const struct row v6_only[] = {{"10 mx1 2001:4860::8 8.8.8.8", "mx1 [2001:4860::8]:25"}};
    static const struct row none[] = {{"10 mx1 2001:4860::8 8.8.8.8", "permanent 5.4.4"}};
    struct conf conf = defaults();
    conf.delivery.ipv6 = false;
    assert_rows(&conf, v4_only, ARRAY_COUNT(v4_only));
    conf.delivery.ipv6 = true;
    conf.delivery.ipv4 = false;
    assert_rows(&conf, v6_only, ARRAY_COUNT(v6_only));
    conf.delivery.ipv6 = false;
    assert_rows(&conf, none, ARRAY_COUNT(none));
}
END_TEST

START_TEST(nothing_to_try)
{
    static const struct row rows[] = {
        {"", "permanent 5.4.4"},
        {"10 mx1", "permanent 5.4.4"},
        {"10 mx1 ?", "temporary 4.4.3"}, /* SERVFAIL defers, it never bounces */
        {"10 mx1; 20 mx2 ?", "temporary 4.4.3"},
    };
    struct conf conf = defaults();
    assert_rows(&conf, rows, ARRAY_COUNT(rows));
}
END_TEST

/* Hosts of equal preference come in random order, each about as often first; a host's addresses stay
 * together; better ones stay before worse ones; smarthosts stay as they were written. */
START_TEST(equal_hosts_share_the_load)
{
    enum { DRAWS = 3000 };
    struct conf conf = defaults();
    struct buf out;
    unsigned first[3] = {0};
    buf_init(&out, 65536);
    for (unsigned n = 0; n < DRAWS; n++) {
        plan_text(&conf,
                  "5 z 8.8.8.1; 10 a 8.8.8.8 8.8.8.9; 10 b 9.9.9.9; 10 c 7.7.7.7; 20 y 6.6.6.6",
                  &out);
        struct slice rest = buf_slice(&out);
        testing_that(slice_starts_nocase(rest, SLICE("z 8.8.8.1:25, ")));
        testing_that(slice_ends_nocase(rest, SLICE(", y 6.6.6.6:25")));
        testing_that(memmem(rest.ptr, rest.len, "a 8.8.8.8:25, a 8.8.8.9:25", 26) != NULL);
        char c = rest.ptr[sizeof("z 8.8.8.1:25, ") - 1];
        testing_that(c >= 'a' && c <= 'c');
        first[c - 'a']++;
    }
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_gt(first[i], DRAWS / 3 * 85 / 100);
        ck_assert_uint_lt(first[i], DRAWS / 3 * 115 / 100);
    }
    for (unsigned n = 0; n < 50; n++) {
        plan_text(&conf, "=0 a 8.8.8.8; =0 b 9.9.9.9; =0 c 7.7.7.7", &out);
        ck_assert(slice_eq(buf_slice(&out), SLICE("a 8.8.8.8:25, b 9.9.9.9:25, c 7.7.7.7:25")));
    }
    buf_deinit(&out);
}
END_TEST

/* 100 hosts with two addresses each: no more than the site may have, none of them wrong. */
START_TEST(no_more_addresses_than_a_site_may_have)
{
    static char text[HOSTS_MAX * 64];
    static struct scene scene;
    struct conf conf = defaults();
    struct outcome refusal;
    size_t at = 0;
    for (unsigned i = 0; i < LIMIT_MX_HOSTS; i++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u mx%u 8.8.%u.1 8.8.%u.2",
                               i ? "; " : "", 10 * (i / 50), i, i, i);
    }
    scene_set(&scene, text);
    for (unsigned n = 0; n < 20; n++) {
        struct route_plan *p = route_plan_new(&conf, scene.hosts, scene.host_count, &rng, &refusal);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq(p->count, LIMIT_ADDRESSES_PER_SITE);
        for (size_t i = 0; i < p->count; i++) {
            ck_assert_uint_eq(p->candidates[i].preference, 0); /* the best ones */
        }
        route_plan_put(&p);
    }
}
END_TEST

static void key_of(const struct conf *conf, const char *hosts, struct buf *out)
{
    static struct scene scene;
    struct outcome refusal;
    scene_set(&scene, hosts);
    struct route_plan *p = route_plan_new(conf, scene.hosts, scene.host_count, &rng, &refusal);
    ck_assert_ptr_nonnull(p);
    buf_clear(out);
    buf_add(out, p->key);
    route_plan_put(&p);
}

/* Domains with the same hosts are one site, whatever order and addresses came out this time. */
START_TEST(the_key_of_a_site)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"10 mx1 8.8.8.8", "10 mx1 8.8.8.8", true},
        {"10 mx1 8.8.8.8", "10 mx1 8.8.8.9 8.8.8.10", true},
        {"10 mx1 8.8.8.8; 10 mx2 9.9.9.9", "10 mx1 8.8.8.8; 10 mx2 9.9.9.9", true},
        {"10 mx1 8.8.8.8; 10 mx2 9.9.9.9; 20 c 7.7.7.7", /* a name server rotates its answers */
         "10 mx2 9.9.9.9; 10 mx1 8.8.8.8; 20 c 7.7.7.7", true},
        {"10 mx 8.8.8.8; 10 mx2 9.9.9.9; 10 a 7.7.7.7",
         "10 a 7.7.7.7; 10 MX2 9.9.9.9; 10 mx 8.8.8.8", true},
        {"10 mx1 8.8.8.8; 20 mx2 9.9.9.9", "10 mx2 9.9.9.9; 20 mx1 8.8.8.8", false},
        {"10 mx1 8.8.8.8; 20 mx2 9.9.9.9", "10 mx1 8.8.8.8", false},
        {"10 mx1 8.8.8.8", "20 mx1 8.8.8.8", false},
        {"10 mx1 8.8.8.8", "10 mx11 8.8.8.8", false},
    };
    struct conf conf = defaults();
    struct buf a, b;
    buf_init(&a, 4096);
    buf_init(&b, 4096);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (unsigned n = 0; n < 10; n++) {
            key_of(&conf, rows[i].a, &a);
            key_of(&conf, rows[i].b, &b);
            ck_assert_msg(slice_eq_nocase(buf_slice(&a), buf_slice(&b)) == rows[i].same, "row %zu",
                          i);
        }
    }
    buf_deinit(&a);
    buf_deinit(&b);
}
END_TEST

/* Who logs in looks at this: an MX host must never have it. */
START_TEST(only_smarthosts_are_named)
{
    static struct scene scene;
    struct conf conf = defaults();
    struct outcome refusal;
    scene_set(&scene, "=0 smart 8.8.8.8 8.8.8.9; 10 mx1 9.9.9.9");
    struct route_plan *p = route_plan_new(&conf, scene.hosts, 2, &rng, &refusal);
    ck_assert_uint_eq(p->count, 3);
    for (size_t i = 0; i < p->count; i++) {
        bool smart = slice_eq(p->candidates[i].host, SLICE("smart"));
        ck_assert(slice_eq(p->candidates[i].named, smart ? SLICE("as.written") : SLICE("")));
    }
    ck_assert_ptr_ne(p->candidates[0].named.ptr, scene.hosts[0].named.ptr); /* a copy */
    route_plan_put(&p);
}
END_TEST

static char *key_text(const struct route_plan *p)
{
    static char text[512];
    ck_assert(slice_to_cstr(p->key, text, sizeof(text)));
    return text;
}

/* Mail by another source is another site with the same hosts. */
START_TEST(a_plan_for_a_source)
{
    static struct scene scene;
    struct conf conf = defaults();
    struct outcome refusal;
    struct site_limits limits = {.group = 7};
    scene_set(&scene, "10 mx1 8.8.8.8; 20 mx2 9.9.9.9 2001:4860::1");
    struct route_plan *p = route_plan_new(&conf, scene.hosts, 2, &rng, &refusal);
    struct route_plan *q = route_plan_by(p, SLICE("ip1"));
    ck_assert_uint_eq(p->families, EGRESS_V4 | EGRESS_V6);
    route_plan_limit(p, &limits); /* what happens to the one does not change the other */
    limits.group = 0;
    route_plan_limit(q, &limits);
    ck_assert_str_eq(key_text(p), "10:mx1:25,20:mx2:25#7");
    ck_assert_str_eq(key_text(q), "10:mx1:25,20:mx2:25@ip1");
    ck_assert(slice_eq(q->source, SLICE("ip1")) && p->source.len == 0);
    struct route_plan *r = route_plan_by(p, SLICE("second"));
    limits.group = UINT64_MAX;
    route_plan_limit(r, &limits);
    ck_assert_str_eq(key_text(r), "10:mx1:25,20:mx2:25#18446744073709551615@second");
    ck_assert_uint_eq(r->families, p->families);
    route_plan_put(&p);
    ck_assert_uint_eq(q->count, 3);
    ck_assert(slice_eq(q->candidates[0].host, SLICE("mx1"))); /* copies of their own */
    ck_assert(slice_eq(r->candidates[2].host, SLICE("mx2")));
    route_plan_put(&q);
    route_plan_put(&r);
}
END_TEST

/* A site of relay hosts has their login and policy: other mail to the same host (`queue route`) has one of its own. */
START_TEST(what_is_no_relay_host_is_apart)
{
    static struct scene scene;
    struct conf conf = defaults();
    struct conf_relay_host relay = {.name = SLICE("smart"), .port = 25};
    struct outcome refusal;
    conf.relay.host.items = &relay;
    conf.relay.host.count = 1;
    scene_set(&scene, "=0 smart 8.8.8.8");
    struct route_plan *p = route_plan_new(&conf, scene.hosts, 1, &rng, &refusal);
    ck_assert_str_eq(key_text(p), "0:smart:25");
    route_plan_put(&p);
    scene.hosts[0].named = SLICE("");
    p = route_plan_new(&conf, scene.hosts, 1, &rng, &refusal);
    ck_assert_str_eq(key_text(p), "0:smart:25,direct");
    struct site_limits limits = {.group = UINT64_MAX};
    route_plan_limit(p, &limits);
    ck_assert_str_eq(key_text(p), "0:smart:25,direct#18446744073709551615");
    route_plan_put(&p);
}
END_TEST

START_TEST(references)
{
    static struct scene scene;
    struct conf conf = defaults();
    struct outcome refusal;
    scene_set(&scene, "10 mx1 8.8.8.8");
    struct route_plan *p = route_plan_new(&conf, scene.hosts, 1, &rng, &refusal);
    struct route_plan *q = route_plan_ref(p), *none = NULL;
    route_plan_put(&p);
    ck_assert_ptr_null(p);
    ck_assert(slice_eq(q->candidates[0].host, SLICE("mx1"))); /* lives, with a copy of the name */
    ck_assert_ptr_ne(q->candidates[0].host.ptr, scene.hosts[0].name.ptr);
    route_plan_put(&q);
    route_plan_put(&none);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {hosts_in_order,
                            ourselves_among_the_hosts,
                            ourselves_behind_a_listener_on_all_addresses,
                            private_targets,
                            address_families,
                            nothing_to_try,
                            what_is_no_relay_host_is_apart,
                            equal_hosts_share_the_load,
                            no_more_addresses_than_a_site_may_have,
                            the_key_of_a_site,
                            only_smarthosts_are_named,
                            a_plan_for_a_source,
                            references};
    rng_init_seed(&rng, 1);
    return testing_run("core/policy/route", tests, ARRAY_COUNT(tests));
}
