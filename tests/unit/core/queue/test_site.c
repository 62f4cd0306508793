/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where recipients go: MX plans of a scripted name server become sites, recipients become parts.
 */
#include "core/app/recovered.h"
#include "core/queue/queue.h"
#include "core/queue/sched.h"
#include "dns/dns.h"
#include "tests/unit/core/queue/rig_mail.h"
#include "tests/unit/dns/script_server.h"

static const struct script_row rows[] = {
    {"one.test", "MX", "MX/10/mx1.test MX/20/mx2.test", 60, 0, 0, 0},
    {"two.test", "MX", "MX/10/mx1.test MX/20/mx2.test", 60, 0, 0, 0},
    {"three.test", "MX", "MX/10/mx2.test", 60, 0, 0, 0},
    {"mx1.test", "A", "A/8.8.8.8", 60, 0, 0, 0},
    {"mx2.test", "A", "A/8.8.8.9", 60, 0, 0, 0},
    {"implicit.test", "A", "A/8.8.8.10", 60, 0, 0, 0},
    {"null.test", "MX", "MX/0/.", 60, 0, 0, 0},
    {"servfail.test", NULL, "", 60, 0, 2, 0},
    {"private.test", "A", "A/10.0.0.1", 60, 0, 0, 0},
    {"us.test", "MX", "MX/10/relay.example.test", 60, 0, 0, 0},
    {"relay.example.test", "A", "A/8.8.8.11", 60, 0, 0, 0},
    {"smart1.test", "A", "A/10.0.0.7 A/10.0.0.8", 60, 0, 0, 0},
    {"smart2.test", "A", "A/10.0.0.9", 60, 0, 0, 0},
};

static struct rig rig;
static struct script *server;
static char dns_setting[64];

/* smarthost: a setting or NULL. */
static void setup(const char *smarthost, rig_script *script)
{
    server = script_start(rows, ARRAY_COUNT(rows));
    snprintf(dns_setting, sizeof(dns_setting), "dns.servers=127.0.0.1:%u", server->port);
    rig_init(&rig);
    rig.smarthost = smarthost;
    rig.dns_server = dns_setting;
    rig.script = script;
    rig_start(&rig, NULL);
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
    script_stop(server);
}

static void submit(const char *const *rcpts, uint32_t count)
{
    rig_submit(&rig, &(struct rig_mail){"a@s.test", rcpts, count, MAIL_NOTIFY_NEVER, 0});
}

static struct queue_site *only_site(void)
{
    size_t bucket = 0;
    ck_assert_uint_eq(rig.queue.sites.count, 1);
    struct map_node *node = map_next(&rig.queue.sites, &bucket, NULL);
    return container_of(node, struct queue_site, by_key);
}

/* ---- routes ---- */

/* Domains behind the same hosts are one site; recipients of one message there are one part. */
START_TEST(recipients_with_the_same_hosts_travel_together)
{
    const char *rcpts[] = {"a@one.test", "b@two.test", "c@three.test", "d@ONE.test",
                           "e@implicit.test"};
    setup(NULL, rig_delivered);
    submit(rcpts, 5);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 3);
    ck_assert_uint_eq(rig.queue.sites.count, 3);
    unsigned seen = 0;
    for (unsigned i = 0; i < 3; i++) {
        const struct rig_part *p = &rig.parts[i];
        bool both = strcmp(p->site, "10:mx1.test:25,20:mx2.test:25") == 0;
        bool second = strcmp(p->site, "10:mx2.test:25") == 0;
        ck_assert_uint_eq(p->count, both ? 3 : 1);
        seen |= both ? 1u : second ? 2u : 4u;
    }
    ck_assert_uint_eq(seen, 7);
    teardown();
}
END_TEST

/* The routes are kept: a second message asks nobody. */
START_TEST(a_route_is_used_until_it_expires)
{
    const char *rcpt = "a@one.test";
    setup(NULL, rig_delivered);
    submit(&rcpt, 1);
    rig_settle(&rig);
    unsigned asked = atomic_load(&server->questions);
    for (unsigned i = 0; i < 3; i++) {
        submit(&rcpt, 1);
        rig_settle(&rig);
    }
    ck_assert_uint_eq(rig.part_count, 4);
    ck_assert_uint_eq(atomic_load(&server->questions), asked);
    teardown();
}
END_TEST

/* What the name service says decides between at once, later and never. */
START_TEST(no_route)
{
    static const struct {
        const char *rcpt, *status;
        bool permanent;
    } cases[] = {
        {"a@null.test", "5.1.10", true},   /* RFC 7505 */
        {"a@nowhere.test", "5.1.2", true}, /* NXDOMAIN */
        {"a@private.test", "5.4.4", true}, /* and not allowed */
        {"a@us.test", "5.4.6", true},      /* RFC 5321 5.1: we are the MX */
        {"a@[10.0.0.1]", "5.4.4", true},   {"a@[300.0.0.1]", "5.1.2", true},    /* no literal */
        {"a@[IPv6:zz]", "5.1.2", true},    {"a@servfail.test", "4.4.3", false}, /* never a bounce */
    };
    setup(NULL, rig_delivered);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct queue_counters before = rig.queue.counters;
        submit(&cases[i].rcpt, 1);
        RIG_UNTIL(&rig, rig.queue.counters.bounced + rig.queue.counters.deferrals >
                            before.bounced + before.deferrals);
        ck_assert_msg((rig.queue.counters.bounced > before.bounced) == cases[i].permanent, "%s",
                      cases[i].rcpt);
    }
    ck_assert_uint_eq(rig.part_count, 0); /* nobody was connected to */
    rig_stop(&rig);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char to[128], status[32];
        snprintf(to, sizeof(to), "\"to\":\"%s\",\"attempt\":1,", cases[i].rcpt);
        snprintf(status, sizeof(status), "\"status\":\"%s\"", cases[i].status);
        ck_assert_msg(rig_log_lines(&rig, to, status) == 1, "%s %s", to, status);
        ck_assert_uint_eq(rig_log_lines(&rig, to, "\"stage\":\"route\""), 1);
    }
    rig_remove(&rig);
    script_stop(server);
}
END_TEST

/* user@[192.0.2.1] (RFC 5321 4.1.3), where private addresses are allowed. */
START_TEST(address_literals)
{
    const char *rcpts[] = {"a@[10.0.0.1]", "b@[IPv6:::1]", "c@[10.0.0.1]", "d@private.test"};
    setup(NULL, rig_delivered);
    rig.conf->delivery.private_targets = CONF_PRIVATE_ALLOW;
    submit(rcpts, 4);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.delivered, 4);
    ck_assert_uint_eq(rig.part_count, 3);
    teardown();
}
END_TEST

/* Several smarthosts by name: one site, in the order they were written, private addresses are fine. */
START_TEST(smarthosts_by_name)
{
    const char *rcpts[] = {"a@one.test", "b@nowhere.test"};
    setup("relay.host=smart1.test:26,smart2.test:27,[10.0.0.5]:28", rig_delivered);
    submit(rcpts, 2);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 1);
    ck_assert_uint_eq(rig.parts[0].count, 2);
    const struct route_plan *plan = only_site()->plan;
    static const char *const want[] = {"10.0.0.7:26", "10.0.0.8:26", "10.0.0.9:27", "10.0.0.5:28"};
    ck_assert_uint_eq(plan->count, ARRAY_COUNT(want));
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        char text[IP_ENDPOINT_TEXT_MAX];
        const char *got = ip_endpoint_text(&plan->candidates[i].endpoint, text);
        bool swapped = i < 2 && strcmp(got, want[1 - i]) == 0; /* addresses of one host */
        ck_assert_msg(swapped || strcmp(got, want[i]) == 0, "%zu: %s", i, got);
    }
    teardown();
}
END_TEST

/* A smarthost's name that does not resolve is our fault: never a bounce. */
START_TEST(a_smarthost_that_is_not_found_defers)
{
    const char *rcpt = "a@one.test";
    setup("relay.host=nowhere.test:25", rig_delivered);
    submit(&rcpt, 1);
    RIG_UNTIL(&rig, rig.queue.counters.deferrals == 1);
    ck_assert_uint_eq(rig.queue.counters.bounced, 0);
    ck_assert_uint_eq(rig.queue.counters.queued, 1);
    teardown();
}
END_TEST

/* ---- parts ---- */

static struct queue_part *take_one(void)
{
    RIG_UNTIL(&rig, !list_empty(&rig.queue.active_sites));
    struct list *node = list_first(&rig.queue.active_sites);
    struct queue_site *s = LIST_ENTRY(node, struct queue_site, active);
    struct queue_part *p = queue_site_take(&rig.queue, s);
    ck_assert_ptr_nonnull(p);
    return p;
}

static void assert_states(const struct queue_message *m, const char *want)
{
    static const char letters[] = "wre";
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        ck_assert_msg(letters[m->rcpts[i].state] == want[i], "recipient %u is %c", i,
                      letters[m->rcpts[i].state]);
    }
}

static void end(struct queue_part *p, rig_script *script)
{
    rig.script = script;
    rig_end_part(&rig, p);
    rig.script = NULL;
}

/* LIMITS RCPTMAX of the peer: the rest goes in the next transaction of the same connection. */
START_TEST(a_part_is_split)
{
    const char *rcpts[] = {"a@x.test", "b@x.test", "c@x.test", "d@x.test", "e@x.test"};
    setup("relay.host=[127.0.0.1]:2525", NULL);
    submit(rcpts, 5);
    struct queue_part *p = take_one();
    struct queue_message *m = p->message;
    assert_states(m, "rrrrr");
    struct queue_part *rest = queue_part_split(&rig.queue, p, 2);
    ck_assert_ptr_nonnull(rest);
    ck_assert_uint_eq(p->count, 2);
    ck_assert_uint_eq(rest->count, 3);
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(i < 2 ? p->rcpts[i] : rest->rcpts[i - 2], i);
    }
    ck_assert_ptr_eq(rest->site, p->site);
    end(p, rig_delivered);
    assert_states(m, "eerrr");
    queue_site_return(&rig.queue, rest); /* the connection ended: it goes on elsewhere */
    assert_states(m, "eerrr");
    p = take_one();
    ck_assert_ptr_eq(p, rest);
    end(p, rig_temporary);
    assert_states(m, "eewww");
    rig.script = rig_delivered;
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.delivered, 5);
    teardown();
}
END_TEST

/* A part that comes back unsent is the next one again, and no attempt was made. */
START_TEST(a_part_comes_back)
{
    const char *rcpts[] = {"a@x.test", "b@x.test"};
    setup("relay.host=[127.0.0.1]:2525", NULL);
    submit(&rcpts[0], 1);
    submit(&rcpts[1], 1);
    struct queue_part *p = take_one();
    struct queue_site *s = p->site;
    RIG_UNTIL(&rig, queue_site_work(s) == 1);
    queue_site_return(&rig.queue, p);
    ck_assert_uint_eq(queue_site_work(s), 2);
    ck_assert(list_linked(&s->active));
    ck_assert_ptr_eq(queue_site_take(&rig.queue, s), p);
    ck_assert_uint_eq(p->message->rcpts[0].attempts, 0);
    struct queue_part *second = queue_site_take(&rig.queue, s);
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_null(queue_site_take(&rig.queue, s));
    ck_assert_uint_eq(queue_site_work(s), 0);
    end(p, rig_delivered);
    end(second, rig_delivered);
    rig_settle(&rig);
    teardown();
}
END_TEST

/* Nobody of the site can be reached: everything that waits for it is deferred, what is being sent not. */
START_TEST(a_site_that_fails)
{
    const char *rcpts[] = {"a@x.test", "b@x.test", "c@x.test"};
    setup("relay.host=[127.0.0.1]:2525", NULL);
    for (unsigned i = 0; i < 3; i++) {
        submit(&rcpts[i], 1);
    }
    struct queue_part *p = take_one();
    struct queue_site *s = p->site;
    RIG_UNTIL(&rig, queue_site_work(s) == 2);
    struct outcome down = outcome_local(OUTCOME_TEMPORARY, OUTCOME_SITE, OUTCOME_STAGE_CONNECT,
                                        (struct enhanced){4, 4, 1}, SLICE("connection refused"));
    queue_site_failed(&rig.queue, s, &down, false);
    ck_assert_uint_eq(rig.queue.counters.deferrals, 0); /* once is no reason */
    timer_stop(&rig.timers, &s->sched->pause);
    queue_site_failed(&rig.queue, s, &down, false);
    ck_assert_uint_eq(queue_site_work(s), 0);
    ck_assert_uint_eq(rig.queue.counters.deferrals, 2);
    assert_states(p->message, "r");
    end(p, rig_delivered);
    rig.script = rig_delivered;
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.delivered, 3);
    teardown();
}
END_TEST

/* A new configuration: what waits for a lookup is asked again, what is ready stays, new mail goes the new
 * way. */
START_TEST(routes_are_found_anew_after_a_reload)
{
    const char *rcpt = "a@one.test";
    setup(NULL, rig_delivered);
    struct conf *before = rig.conf;
    submit(&rcpt, 1);
    rig_settle(&rig);
    submit(&rcpt, 1);
    rig.smarthost = "relay.host=[127.0.0.1]:2525";
    rig_load_conf(&rig, NULL);
    rig_set_conf(&rig);
    conf_free(before);
    rig_settle(&rig);
    submit(&rcpt, 1);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.part_count, 3);
    ck_assert_str_eq(rig.parts[0].site, "10:mx1.test:25,20:mx2.test:25");
    ck_assert_str_eq(rig.parts[2].site, "0:127.0.0.1:2525");
    teardown();
}
END_TEST

static void age_all(uint64_t used_ms)
{
    size_t bucket = 0;
    for (struct map_node *n = map_next(&rig.queue.domains, &bucket, NULL); n;
         n = map_next(&rig.queue.domains, &bucket, n)) {
        container_of(n, struct queue_domain, by_name)->used_ms = used_ms;
    }
    bucket = 0;
    for (struct map_node *n = map_next(&rig.queue.sites, &bucket, NULL); n;
         n = map_next(&rig.queue.sites, &bucket, n)) {
        container_of(n, struct queue_site, by_key)->used_ms = used_ms;
    }
}

/* Domains and sites are forgotten some time after their last use, and not while something is there. */
START_TEST(what_nobody_uses_is_forgotten)
{
    const char *rcpts[] = {"a@one.test", "b@two.test", "c@three.test", "d@nowhere.test"};
    setup(NULL, rig_delivered);
    submit(rcpts, 4);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.domains.count, 4);
    ck_assert_uint_eq(rig.queue.sites.count, 2);
    uint64_t now_ms = io_now(rig.io)->mono_ms;
    ck_assert_uint_gt(now_ms, QUEUE_SITE_LINGER_MS + 1);
    age_all(now_ms - QUEUE_SITE_LINGER_MS);
    queue_sites_sweep(&rig.queue, false);
    ck_assert_uint_eq(rig.queue.domains.count, 4); /* just not yet */
    rig.script = NULL;
    submit(&rcpts[2], 1);
    RIG_UNTIL(&rig, !list_empty(&rig.queue.active_sites));
    age_all(now_ms - QUEUE_SITE_LINGER_MS - 1);
    queue_sites_sweep(&rig.queue, false);
    ck_assert_uint_eq(rig.queue.domains.count, 0);
    ck_assert_uint_eq(rig.queue.sites.count, 1); /* has work */
    ck_assert_uint_eq(only_site()->domains, 0);
    rig.script = rig_delivered;
    rig_settle(&rig);
    age_all(now_ms - QUEUE_SITE_LINGER_MS - 1);
    queue_sites_sweep(&rig.queue, false);
    ck_assert_uint_eq(rig.queue.sites.count, 0);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {recipients_with_the_same_hosts_travel_together,
                            a_route_is_used_until_it_expires,
                            no_route,
                            address_literals,
                            smarthosts_by_name,
                            a_smarthost_that_is_not_found_defers,
                            a_part_is_split,
                            a_part_comes_back,
                            a_site_that_fails,
                            routes_are_found_anew_after_a_reload,
                            what_nobody_uses_is_forgotten};
    return testing_run("core/queue/site", tests, ARRAY_COUNT(tests));
}
