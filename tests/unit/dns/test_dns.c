/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The resolver as a whole, over the real ring, against a scripted server: RFC 5321 5.1, RFC 7505, and
 * the faults of the DNS: what is permanent, what is temporary, and that nothing completes early.
 */
#include "core/base/must.h"
#include "core/io/io.h"
#include "dns/dns.h"
#include "tests/unit/dns/script_server.h"
#include "tests/unit/core/io/backend.h"

#include <check.h>

static const struct script_row rows[] = {
    {"two.test", "MX", "MX/20/mx2.two.test MX/10/mx1.two.test", 300, 0, 0, 0},
    {"mx1.two.test", "A", "A/192.0.2.1", 300, 0, 0, 0},
    {"mx1.two.test", "AAAA", "AAAA/2001:db8::1", 200, 0, 0, 0},
    {"mx2.two.test", "A", "A/192.0.2.2 A/192.0.2.3", 300, 0, 0, 0},
    {"equal.test", "MX", "MX/10/mx2.two.test MX/5/mx1.two.test MX/10/mx3.two.test", 300, 0, 0, 0},
    {"mx3.two.test", "A", "A/192.0.2.4", 300, 0, 0, 0},
    {"implicit.test", "A", "A/192.0.2.5", 300, 0, 0, 0},
    {"implicit6.test", "AAAA", "AAAA/2001:db8::5", 300, 0, 0, 0},
    {"nothing.test", "TXT", NULL, 300, 0, 0, 0},
    {"null.test", "MX", "MX/0/.", 300, 0, 0, 0},
    {"null.test", "A", "A/192.0.2.6", 300, 0, 0, 0},
    {"nullplus.test", "MX", "MX/0/. MX/10/mx1.two.test", 300, 0, 0, 0},
    {"deadmx.test", "MX", "MX/10/gone.test", 300, 0, 0, 0},
    {"deadmx.test", "A", "A/192.0.2.7", 300, 0, 0, 0},
    {"halfdead.test", "MX", "MX/10/gone.test MX/20/mx2.two.test", 300, 0, 0, 0},
    {"badmx.test", "MX", "MX/10/192.0.2.1", 300, 0, 0, 0},
    {"badmx.test", "A", "A/192.0.2.7", 300, 0, 0, 0},
    {"alias.test", "MX", "CNAME/two.test MX/10/mx1.two.test", 300, 0, 0, 0},
    {"farmx.test", "MX", "CNAME/two.test", 300, 0, 0, 0},
    {"mxalias.test", "MX", "MX/10/alias-a.test", 300, 0, 0, 0},
    {"alias-a.test", NULL, "CNAME/mx2.two.test", 100, 0, 0, 0},
    {"loop-a.test", NULL, "CNAME/loop-b.test", 0, 0, 0, 0},
    {"loop-b.test", NULL, "CNAME/loop-a.test", 0, 0, 0, 0},
    {"self.test", NULL, "CNAME/self.test", 300, 0, 0, 0},
    {"sf.test", "MX", NULL, 0, 0, 2, 0},
    {"sf.test", "A", "A/192.0.2.8", 300, 0, 0, 0},
    {"refused.test", "MX", NULL, 0, 0, 5, 0},
    {"notimp.test", "MX", NULL, 0, 0, 4, 0},
    {"formerr.test", "MX", NULL, 0, 0, 1, 0},
    {"sfhost.test", "MX", "MX/10/sf-a.test", 300, 0, 0, 0},
    {"sf-a.test", "A", NULL, 0, 0, 2, 0},
    {"sfonefam.test", "A", "A/192.0.2.9", 300, 0, 0, 0},
    {"sfonefam.test", "AAAA", NULL, 0, 0, 2, 0},
    {"partial.test", "MX", "MX/10/sf-a.test MX/20/mx3.two.test", 300, 0, 0, 0},
    {"drop.test", "MX", NULL, 0, S_DROP, 0, 0},
    {"udpless.test", "A", "A/192.0.2.10", 300, S_DROP_UDP, 0, 0},
    {"tc.test", "A", "A/192.0.2.11", 300, S_TC, 0, 0},
    {"tcclose.test", "A", "A/192.0.2.11", 300, S_TC | S_TCP_CLOSE, 0, 0},
    {"forged.test", "A", "A/192.0.2.12", 300, S_WRONG_ID, 0, 0},
    {"onlyforged.test", "A", "A/192.0.2.13", 300, S_ONLY_WRONG_ID, 0, 0},
    {"lower.test", "A", "A/192.0.2.14", 300, S_LOWER, 0, 0},
    {"garbage.test", "MX", NULL, 0, S_GARBAGE, 0, 0},
    {"short.test", "MX", "MX/10/mx1.two.test", 300, S_SHORT, 0, 0},
    {"counts.test", "MX", "MX/10/mx1.two.test", 300, S_COUNTS, 0, 0},
    {"counts-tcp.test", "MX", "MX/10/mx1.two.test", 300, S_COUNTS | S_DROP_UDP, 0, 0},
    {"counts-tc.test", "A", "A/192.0.2.1", 300, S_COUNTS_TCP | S_TC, 0, 0},
    {"loopptr.test", "MX", NULL, 0, S_LOOP, 0, 0},
    {"lame.test", "MX", NULL, 0, S_LAME, 0, 0},
    {"once.test", "A", "A/192.0.2.15", 300, S_ONCE, 2, 0},
    {"noedns.test", "A", "A/192.0.2.16", 300, S_NO_EDNS, 0, 0},
    {"ad.test", "A", "A/192.0.2.17", 300, S_AD, 0, 0},
    {"ad.test", "AAAA", "AAAA/2001:db8::17", 300, S_AD, 0, 0},
    {"many.test", "MX", "MANY_MX/60", 300, 0, 0, 0},
    {"huge.test", "MX", "MANY_MX/1500", 300, 0, 0, 0},
    {"manya.test", "A", "MANY_A/2000", 300, 0, 0, 0},
    {"poison.test", "A", "OWNER/other.test A/192.0.2.66 OWNER/poison.test A/192.0.2.18", 300, 0, 0,
     0},
    {"short-ttl.test", "A", "A/192.0.2.19", 1, 0, 0, 0},
    {"long-ttl.test", "A", "A/192.0.2.20", 900000, 0, 0, 0},
    {"nosoa.test", "A", NULL, 0, S_NO_SOA, 0, 0},
    {"slow.test", "A", "A/192.0.2.21", 300, 0, 0, 150},
    {"xn--bcher-kva.test", "A", "A/192.0.2.22", 300, 0, 0, 0},
    {"mapped.test", "AAAA", "AAAA/::ffff:127.0.0.1", 300, 0, 0, 0},
};

struct world {
    struct script *server;
    struct io *io;
    struct timer_wheel timers;
    struct rng rng;
    struct dns *dns;
    struct dns_config cfg;
    struct ip_endpoint endpoint;
};

static struct world w;

static void on_dns(void *ctx, const struct io_event *ev)
{
    (void)ctx;
    dns_on_io(w.dns, ev);
}

static const struct io_route routes[IO_KIND_COUNT] = {[IO_KIND_DNS] = {"dns", on_dns}};

static void dns_open_world(void)
{
    struct buf error;
    buf_init(&error, 1024);
    w.dns = dns_open(&w.cfg, w.io, &w.timers, &w.rng, &error);
    ck_assert_msg(w.dns != NULL, "%.*s", SLICE_ARG(buf_slice(&error)));
    buf_deinit(&error);
}

static void tick(void)
{
    uint64_t now = io_now(w.io)->mono_ms;
    uint64_t next = timer_wheel_next(&w.timers);
    uint64_t deadline = dns_pending(w.dns) ? 0 : next < now + 50 ? next : now + 50;
    io_wait(w.io, deadline);
    io_dispatch(w.io);
    dns_run(w.dns);
    timer_wheel_run(&w.timers, io_now(w.io)->mono_ms, NULL);
}

static void dns_close_world(void)
{
    dns_drain(w.dns);
    for (int i = 0; i < 1000 && !dns_idle(w.dns); i++) {
        tick();
    }
    ck_assert(dns_idle(w.dns));
    dns_close(w.dns);
    w.dns = NULL;
    ck_assert_uint_eq(w.timers.armed, 0);
}

static void setup(void)
{
    w = (struct world){0};
    w.server = script_start(rows, ARRAY_COUNT(rows));
    int error = 0;
    w.io = io_open(testing_backend(), 256, routes, NULL, &error);
    ck_assert_msg(w.io != NULL, "io_open: %s", strerror(error));
    timer_wheel_init(&w.timers, io_now(w.io)->mono_ms);
    rng_init_seed(&w.rng, 7);
    w.endpoint = (struct ip_endpoint){ip_addr_v4(INADDR_LOOPBACK), w.server->port};
    w.cfg = (struct dns_config){
        .servers = &w.endpoint,
        .server_count = 1,
        .timeout_ms = 250,
        .tries = 2,
        .cache_entries = 1000,
        .ttl_min_ms = 2000,
        .ttl_max_ms = 86400000,
        .negative_ttl_max_ms = 30000,
        .ipv4 = true,
        .ipv6 = true,
    };
    dns_open_world();
}

static void teardown(void)
{
    dns_close_world();
    io_wait(w.io, 0);
    io_dispatch(w.io);
    ck_assert_uint_eq(io_in_flight(w.io), 0);
    io_close(w.io);
    script_stop(w.server);
}

struct result {
    struct dns_query q;
    const struct dns_plan *plan;
    int calls;
};

static void on_done(struct dns_query *q, const struct dns_plan *plan)
{
    struct result *r = q->ctx;
    ck_assert(!dns_query_active(q));
    dns_plan_put(&r->plan);
    r->plan = plan;
    r->calls++;
}

static void start(struct result *r, const char *name, bool mx)
{
    *r = (struct result){.q = {.done = on_done, .ctx = r}};
    if (mx) {
        dns_mx_start(w.dns, &r->q, slice_str(name));
    } else {
        dns_host_start(w.dns, &r->q, slice_str(name));
    }
    ck_assert_int_eq(r->calls, 0); /* never inside the start */
    ck_assert(dns_query_active(&r->q));
}

static void wait_for(struct result *r)
{
    uint64_t end = io_now(w.io)->mono_ms + 20000;
    while (r->calls == 0) {
        ck_assert_msg(io_now(w.io)->mono_ms < end, "no answer in 20 s");
        tick();
    }
}

static const struct dns_plan *ask(const char *name, bool mx, struct result *r)
{
    start(r, name, mx);
    wait_for(r);
    ck_assert_int_eq(r->calls, 1);
    return r->plan;
}

static void describe(const struct dns_plan *p, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s", dns_status_name(p->status));
    for (unsigned i = 0; i < p->host_count && n < size; i++) {
        const struct dns_host *h = &p->hosts[i];
        n += (size_t)snprintf(out + n, size - n, " %u/%.*s", h->preference, SLICE_ARG(h->name));
        ck_assert_int_eq(h->name.ptr[h->name.len], '\0');
        ck_assert((h->address_count > 0) == (h->status == DNS_OK));
        for (unsigned k = 0; k < h->address_count && n < size; k++) {
            char text[IP_TEXT_MAX];
            n += (size_t)snprintf(out + n, size - n, "=%s", ip_addr_text(&h->addresses[k], text));
        }
    }
}

/* ---- RFC 5321 5.1, RFC 7505, faults: one row each ---- */

static const struct {
    const char *name;
    bool mx;
    const char *want; /* status, then pref/host=address… */
    const char *text; /* must be in plan->text */
} plans[] = {
    {"two.test", true,
     "ok 10/mx1.two.test=192.0.2.1=2001:db8::1 20/mx2.two.test=192.0.2.2=192.0.2.3", ""},
    {"TWO.test.", true,
     "ok 10/mx1.two.test=192.0.2.1=2001:db8::1 20/mx2.two.test=192.0.2.2=192.0.2.3", ""},
    {"equal.test", true,
     "ok 5/mx1.two.test=192.0.2.1=2001:db8::1 10/mx2.two.test=192.0.2.2=192.0.2.3 10/mx3.two.test=192.0.2.4",
     ""},
    {"implicit.test", true, "ok 0/implicit.test=192.0.2.5", ""},
    {"implicit6.test", true, "ok 0/implicit6.test=2001:db8::5", ""},
    {"nothing.test", true, "no_host 0/nothing.test", "no mail host"},
    {"gone.test", true, "no_domain", "gone.test: the domain does not exist"},
    {"null.test", true, "null_mx", "null MX"},
    {"nullplus.test", true, "ok 10/mx1.two.test=192.0.2.1=2001:db8::1", ""},
    {"deadmx.test", true, "no_host 10/gone.test", "no mail host"}, /* never its own A */
    {"halfdead.test", true, "ok 10/gone.test 20/mx2.two.test=192.0.2.2=192.0.2.3", ""},
    {"badmx.test", true, "no_host", ""},
    {"alias.test", true, "ok 10/mx1.two.test=192.0.2.1=2001:db8::1", ""},
    {"farmx.test", true,
     "ok 10/mx1.two.test=192.0.2.1=2001:db8::1 20/mx2.two.test=192.0.2.2=192.0.2.3", ""},
    {"mxalias.test", true, "ok 10/alias-a.test=192.0.2.2=192.0.2.3", ""},
    {"loop-a.test", true, "temporary", "too many CNAMEs"},
    {"self.test", true, "temporary", "too many CNAMEs"},
    {"loop-a.test", false, "temporary 0/loop-a.test", "too many CNAMEs"},
    {"sf.test", true, "temporary", "SERVFAIL from 127.0.0.1:"}, /* no A fallback */
    {"refused.test", true, "temporary", "REFUSED from 127.0.0.1:"},
    {"notimp.test", true, "temporary", "NOTIMP"},
    {"formerr.test", true, "temporary", "FORMERR"},
    {"sfhost.test", true, "temporary 10/sf-a.test", "(A sf-a.test)"},
    {"sfonefam.test", true, "ok 0/sfonefam.test=192.0.2.9", ""},
    {"partial.test", true, "ok 10/sf-a.test 20/mx3.two.test=192.0.2.4", ""},
    {"drop.test", true, "temporary", "no answer from 127.0.0.1:"},
    {"udpless.test", false, "ok 0/udpless.test=192.0.2.10", ""},
    {"tc.test", false, "ok 0/tc.test=192.0.2.11", ""},
    {"tcclose.test", false, "temporary 0/tcclose.test", "(A tcclose.test)"},
    {"forged.test", false, "ok 0/forged.test=192.0.2.12", ""},
    {"onlyforged.test", false, "ok 0/onlyforged.test=192.0.2.13", ""}, /* over TCP */
    {"lower.test", false, "ok 0/lower.test=192.0.2.14", ""},           /* no 0x20: over TCP */
    {"garbage.test", true, "temporary", "malformed answer from"},
    {"short.test", true, "temporary", "malformed answer from"},
    {"counts.test", true, "temporary", "malformed answer from"},
    {"counts-tcp.test", true, "temporary", "(MX counts-tcp.test)"},
    {"counts-tc.test", false, "temporary 0/counts-tc.test", "(A counts-tc.test)"},
    {"loopptr.test", true, "temporary", "malformed answer from"},
    {"lame.test", true, "temporary", "lame"},
    {"once.test", false, "ok 0/once.test=192.0.2.15", ""},
    {"noedns.test", false, "ok 0/noedns.test=192.0.2.16", ""},
    {"poison.test", false, "ok 0/poison.test=192.0.2.18", ""},
    {"b\xc3\xbc"
     "cher.test",
     false, "ok 0/xn--bcher-kva.test=192.0.2.22", ""},
    {"mapped.test", false, "ok 0/mapped.test=127.0.0.1", ""}, /* policy sees what it is */
    {"gone.test", false, "no_domain 0/gone.test", ""},
    {"bad name", true, "bad_name", "not a domain name"},
    {"[192.0.2.1]", true, "bad_name", ""},
    {"192.0.2.1", false, "bad_name", ""},
    {"", true, "bad_name", ""},
    {"a..b", true, "bad_name", ""},
};

START_TEST(test_plan_rows)
{
    struct result r;
    const struct dns_plan *p = ask(plans[_i].name, plans[_i].mx, &r);
    char got[512];
    describe(p, got, sizeof(got));
    ck_assert_str_eq(got, plans[_i].want);
    ck_assert_msg(strstr(p->text.ptr, plans[_i].text) != NULL, "%s: '%s' not in '%s'",
                  plans[_i].name, plans[_i].text, p->text.ptr);
    ck_assert((p->status == DNS_OK) == (p->text.len == 0));
    ck_assert_uint_eq(dns_counters(w.dns).plans[p->status], 1);
    ck_assert_uint_gt(p->expires_ms, io_now(w.io)->mono_ms);
    dns_plan_put(&r.plan);
}
END_TEST

START_TEST(test_flags)
{
    struct result r;
    ck_assert(ask("implicit.test", true, &r)->implicit);
    ck_assert(!r.plan->ad && !r.plan->partial && !r.plan->truncated);
    dns_plan_put(&r.plan);
    ck_assert(ask("partial.test", true, &r)->partial);
    ck_assert_uint_le(r.plan->expires_ms, io_now(w.io)->mono_ms + DNS_TEMPORARY_TTL_MS);
    dns_plan_put(&r.plan);
    ck_assert(ask("ad.test", false, &r)->ad);
    dns_plan_put(&r.plan);
    ck_assert(ask("sf.test", true, &r)->hosts == NULL);
    ck_assert(!r.plan->partial && !r.plan->ad);
    dns_plan_put(&r.plan);
    ck_assert_uint_eq(w.server->with_ad, w.server->questions);
    ck_assert_uint_gt(w.server->with_edns, 0);
}
END_TEST

/* ---- F6: caps ---- */

START_TEST(test_sixty_mx)
{
    struct result r;
    const struct dns_plan *p = ask("many.test", true, &r);
    ck_assert_int_eq(p->status, DNS_NO_HOST); /* none of the 60 exists */
    ck_assert_uint_eq(p->host_count, 60);
    ck_assert_uint_eq(p->hosts[0].preference, 1);
    ck_assert_uint_eq(p->hosts[59].preference, 60);
    ck_assert(!p->truncated);
    ck_assert_uint_eq(dns_counters(w.dns).asked, 121);
    dns_plan_put(&r.plan);
}
END_TEST

START_TEST(test_caps)
{
    struct result r;
    const struct dns_plan *p = ask("huge.test", true, &r);
    ck_assert_uint_eq(p->host_count, LIMIT_MX_HOSTS);
    ck_assert(p->truncated);
    ck_assert_str_eq(p->hosts[0].name.ptr, "mx1499.many.test"); /* the most preferred stay */
    ck_assert_uint_eq(p->hosts[99].preference, 100);
    dns_plan_put(&r.plan);
    p = ask("manya.test", true, &r);
    ck_assert_int_eq(p->status, DNS_OK);
    ck_assert_uint_eq(p->hosts[0].address_count, LIMIT_ADDRESSES_PER_HOST);
    ck_assert(p->truncated);
    ck_assert_uint_eq(dns_counters(w.dns).capped, 2);
    dns_plan_put(&r.plan);
}
END_TEST

/* ---- cache and single-flight ---- */

START_TEST(test_cache_hit_completes_later)
{
    struct result r;
    dns_plan_put(&(const struct dns_plan *){ask("two.test", true, &r)});
    unsigned asked = w.server->questions;
    start(&r, "two.test", true);
    ck_assert(dns_pending(w.dns)); /* the loop must not sleep over it */
    dns_run(w.dns);
    ck_assert_int_eq(r.calls, 1);
    ck_assert_int_eq(r.plan->status, DNS_OK);
    ck_assert_uint_eq(w.server->questions, asked);
    ck_assert_uint_eq(dns_counters(w.dns).cache_hits, 5);
    dns_plan_put(&r.plan);
    dns_flush(w.dns);
    ck_assert_uint_eq(dns_counters(w.dns).cached, 0);
    dns_plan_put(&(const struct dns_plan *){ask("two.test", true, &r)});
    ck_assert_uint_eq(w.server->questions, asked + 5);
}
END_TEST

START_TEST(test_single_flight)
{
    enum { N = 50 };
    struct result r[N], host;
    for (int i = 0; i < N; i++) {
        start(&r[i], "slow.test", true);
    }
    start(&host, "slow.test", false); /* another job, the same questions */
    wait_for(&host);
    for (int i = 0; i < N; i++) {
        wait_for(&r[i]);
        ck_assert_int_eq(r[i].calls, 1);
        ck_assert_ptr_eq(r[i].plan, r[0].plan); /* shared */
    }
    ck_assert_uint_eq(w.server->questions, 3); /* MX, A, AAAA */
    ck_assert_uint_ge(dns_counters(w.dns).joined, N - 1);
    for (int i = 0; i < N; i++) {
        dns_plan_put(&r[i].plan);
    }
    dns_plan_put(&host.plan);
}
END_TEST

START_TEST(test_ttl_of_plan)
{
    static const struct {
        const char *name;
        bool mx;
        uint64_t ttl_ms;
    } v[] = {
        {"short-ttl.test", false, 2000}, /* raised to ttl_min */
        {"two.test", true, 30000},       /* mx2 has no AAAA: negative_ttl_max < SOA 60 */
        {"gone.test", true, 30000},
        {"null.test", true, 300000},
        {"sf.test", true, DNS_TEMPORARY_TTL_MS},
        {"nosoa.test", false, DNS_TEMPORARY_TTL_MS},
    };
    struct result r;
    ask(v[_i].name, v[_i].mx, &r);
    uint64_t left = r.plan->expires_ms - io_now(w.io)->mono_ms;
    ck_assert_uint_le(left, v[_i].ttl_ms);
    ck_assert_uint_ge(left + 1000, v[_i].ttl_ms);
    dns_plan_put(&r.plan);
}
END_TEST

START_TEST(test_failure_is_cached_for_a_moment)
{
    struct result r;
    dns_plan_put(&(const struct dns_plan *){ask("sf.test", true, &r)});
    unsigned asked = w.server->questions;
    for (int i = 0; i < 20; i++) {
        dns_plan_put(&(const struct dns_plan *){ask("sf.test", true, &r)});
    }
    ck_assert_uint_eq(w.server->questions, asked);
}
END_TEST

/* ---- cancel, drain, callbacks that do things ---- */

START_TEST(test_cancel)
{
    struct result a, b;
    start(&a, "slow.test", true);
    start(&b, "slow.test", true);
    tick();
    dns_query_cancel(w.dns, &a.q);
    dns_query_cancel(w.dns, &a.q); /* nothing */
    ck_assert(!dns_query_active(&a.q));
    wait_for(&b);
    ck_assert_int_eq(a.calls, 0);
    dns_plan_put(&b.plan);
    /* A ready one as well. */
    start(&a, "slow.test", true);
    dns_query_cancel(w.dns, &a.q);
    dns_run(w.dns);
    ck_assert_int_eq(a.calls, 0);
    /* All cancelled: the answer still fills the cache. */
    start(&a, "two.test", true);
    dns_query_cancel(w.dns, &a.q);
    for (int i = 0; i < 200 && dns_counters(w.dns).cached < 8; i++) {
        tick();
    }
    ck_assert_uint_eq(dns_counters(w.dns).cached, 8);
    ck_assert_int_eq(a.calls, 0);
}
END_TEST

struct chain {
    struct dns_query q;
    struct dns_query *victim;
    int left;
    int calls;
};

static void on_chain(struct dns_query *q, const struct dns_plan *plan)
{
    struct chain *c = q->ctx;
    c->calls++;
    dns_plan_put(&plan);
    if (c->victim) {
        dns_query_cancel(w.dns, c->victim);
    }
    if (--c->left > 0) {
        dns_mx_start(w.dns, q, SLICE("two.test"));
        ck_assert(dns_query_active(q));
    }
}

START_TEST(test_callback_starts_and_cancels)
{
    struct result victim;
    struct chain c = {.q = {.done = on_chain, .ctx = &c}, .victim = &victim.q, .left = 5};
    dns_mx_start(w.dns, &c.q, SLICE("two.test"));
    start(&victim, "two.test", true); /* same job, delivered right after c */
    for (int i = 0; i < 500 && c.left > 0; i++) {
        int before = c.calls;
        tick();
        ck_assert_int_le(c.calls, before + 1); /* what a callback starts completes in a later run */
    }
    ck_assert_int_eq(c.calls, 5);
    ck_assert_int_eq(victim.calls, 0);
}
END_TEST

START_TEST(test_drain_delivers_everything)
{
    struct result r[4];
    start(&r[0], "drop.test", true);
    start(&r[1], "slow.test", true);
    start(&r[2], "bad name", true);
    tick();
    start(&r[3], "equal.test", true); /* not even sent */
    struct chain c = {.q = {.done = on_chain, .ctx = &c}, .left = 3};
    dns_mx_start(w.dns, &c.q, SLICE("drop.test"));
    dns_drain(w.dns);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(r[i].calls, 1);
        ck_assert_int_eq(r[i].plan->status, i == 2 ? DNS_BAD_NAME : DNS_TEMPORARY);
        dns_plan_put(&r[i].plan);
    }
    ck_assert_int_eq(c.calls, 1);
    ck_assert(dns_pending(w.dns) && !dns_idle(w.dns)); /* the one its callback started */
    dns_run(w.dns);
    dns_run(w.dns);
    ck_assert_int_eq(c.calls, 3);
    start(&r[0], "two.test", true);
    dns_run(w.dns);
    ck_assert_int_eq(r[0].plan->status, DNS_TEMPORARY);
    ck_assert_str_eq(r[0].plan->text.ptr, "shutting down");
    dns_plan_put(&r[0].plan);
}
END_TEST

/* ---- the wire ---- */

START_TEST(test_thousands_queue)
{
    enum { N = 1500 };
    static struct result r[N];
    static char names[N][32];
    dns_close_world();
    w.cfg.timeout_ms = 4000; /* one thread answers them all, on a busy machine too */
    dns_open_world();
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d.gone.test", i);
        start(&r[i], names[i], true);
    }
    ck_assert_uint_eq(dns_counters(w.dns).waiting, N);
    dns_run(w.dns);
    ck_assert_uint_eq(dns_counters(w.dns).in_flight, DNS_IN_FLIGHT_MAX);
    for (int i = 0; i < N; i++) {
        wait_for(&r[i]);
        ck_assert_int_eq(r[i].plan->status, DNS_NO_DOMAIN);
        dns_plan_put(&r[i].plan);
    }
    ck_assert_uint_eq(dns_counters(w.dns).in_flight, 0);
    ck_assert_uint_le(dns_counters(w.dns).cached, w.cfg.cache_entries);
    ck_assert_uint_eq(dns_counters(w.dns).evicted, N - w.cfg.cache_entries);
}
END_TEST

START_TEST(test_source_port_per_question)
{
    struct result r;
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof(name), "p%d.gone.test", i);
        dns_plan_put(&(const struct dns_plan *){ask(name, true, &r)});
    }
    ck_assert_uint_ge(w.server->ports_seen, 19); /* the kernel may give the same twice */
}
END_TEST

START_TEST(test_time_out_is_as_configured)
{
    struct result r;
    uint64_t begin = io_now(w.io)->mono_ms;
    dns_plan_put(&(const struct dns_plan *){ask("drop.test", true, &r)});
    uint64_t took = io_now(w.io)->mono_ms - begin;
    ck_assert_uint_ge(took, w.cfg.timeout_ms * w.cfg.tries);
    ck_assert_uint_le(took, w.cfg.timeout_ms * w.cfg.tries * 3);
    ck_assert_uint_eq(dns_counters(w.dns).timeouts, 1);
    ck_assert_uint_eq(dns_counters(w.dns).failures, 1);
}
END_TEST

START_TEST(test_idle_sleeps)
{
    struct result r;
    dns_plan_put(&(const struct dns_plan *){ask("two.test", true, &r)});
    for (int i = 0; i < 20; i++) {
        tick();
    }
    ck_assert(!dns_pending(w.dns));
    ck_assert_uint_eq(w.timers.armed, 0);
    ck_assert_uint_eq(io_in_flight(w.io), 0);
}
END_TEST

START_TEST(test_one_of_two_servers_dead)
{
    dns_close_world();
    struct ip_endpoint two[2] = {{ip_addr_v4(INADDR_LOOPBACK), 1},
                                 w.endpoint}; /* port 1: refused */
    w.cfg.servers = two;
    w.cfg.server_count = 2;
    dns_open_world();
    struct result r;
    ck_assert_int_eq(ask("two.test", true, &r)->status, DNS_OK);
    dns_plan_put(&r.plan);
}
END_TEST

START_TEST(test_no_server)
{
    dns_close_world();
    struct ip_endpoint dead = {ip_addr_v4(INADDR_LOOPBACK), 1};
    w.cfg.servers = &dead;
    dns_open_world();
    struct result r;
    ck_assert_int_eq(ask("two.test", true, &r)->status, DNS_TEMPORARY);
    ck_assert_msg(strstr(r.plan->text.ptr, "refused"), "%s", r.plan->text.ptr);
    dns_plan_put(&r.plan);
}
END_TEST

START_TEST(test_families)
{
    dns_close_world();
    w.cfg.ipv6 = false;
    dns_open_world();
    struct result r;
    char got[256];
    describe(ask("two.test", true, &r), got, sizeof(got));
    ck_assert_str_eq(got, "ok 10/mx1.two.test=192.0.2.1 20/mx2.two.test=192.0.2.2=192.0.2.3");
    dns_plan_put(&r.plan);
    ck_assert_int_eq(ask("implicit6.test", true, &r)->status, DNS_NO_HOST);
    dns_plan_put(&r.plan);
}
END_TEST

START_TEST(test_no_cache)
{
    dns_close_world();
    w.cfg.cache_entries = 0;
    w.cfg.ttl_min_ms = 0;
    dns_open_world();
    struct result r;
    char got[256];
    describe(ask("mxalias.test", true, &r), got, sizeof(got));
    ck_assert_str_eq(got, "ok 10/alias-a.test=192.0.2.2=192.0.2.3");
    dns_plan_put(&r.plan);
    ck_assert_int_eq(ask("loop-a.test", true, &r)->status, DNS_TEMPORARY);
    dns_plan_put(&r.plan);
    ck_assert_uint_eq(dns_counters(w.dns).cached, 0);
}
END_TEST

START_TEST(test_bad_config)
{
    static const struct ip_endpoint none = {{0}, 53};
    struct dns_config bad[4] = {w.cfg, w.cfg, w.cfg, w.cfg};
    bad[0].ipv4 = bad[0].ipv6 = false;
    bad[1].tries = 0;
    bad[2].server_count = DNS_SERVERS_MAX + 1;
    bad[3].servers = &none;
    struct buf error;
    buf_init(&error, 1024);
    for (int i = 0; i < 4; i++) {
        buf_clear(&error);
        ck_assert_ptr_null(dns_open(&bad[i], w.io, &w.timers, &w.rng, &error));
        ck_assert_uint_gt(error.len, 10);
    }
    buf_deinit(&error);
}
END_TEST

START_TEST(test_system_resolver_opens)
{
    dns_close_world();
    w.cfg.server_count = 0;
    dns_open_world(); /* /etc/resolv.conf; nothing is asked */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dns/dns");
    TCase *t = tcase_create("plans");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, test_plan_rows, 0, ARRAY_COUNT(plans));
    tcase_add_test(t, test_flags);
    tcase_add_test(t, test_sixty_mx);
    tcase_add_test(t, test_caps);
    tcase_add_test(t, test_cache_hit_completes_later);
    tcase_add_test(t, test_single_flight);
    tcase_add_loop_test(t, test_ttl_of_plan, 0, 6);
    tcase_add_test(t, test_failure_is_cached_for_a_moment);
    tcase_add_test(t, test_cancel);
    tcase_add_test(t, test_callback_starts_and_cancels);
    tcase_add_test(t, test_drain_delivers_everything);
    tcase_add_test(t, test_thousands_queue);
    tcase_add_test(t, test_source_port_per_question);
    tcase_add_test(t, test_time_out_is_as_configured);
    tcase_add_test(t, test_idle_sleeps);
    tcase_add_test(t, test_one_of_two_servers_dead);
    tcase_add_test(t, test_no_server);
    tcase_add_test(t, test_families);
    tcase_add_test(t, test_no_cache);
    tcase_add_test(t, test_bad_config);
    tcase_add_test(t, test_system_resolver_opens);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
