/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How many connections there are, who gets one, and what happens when none can be had.
 */
#include "core/queue/sched.h"
#include "core/app/recovered.h"
#include "core/relay/relay.h"
#include "tests/unit/core/relay/relay_rig.h"
#include "tests/unit/core/relay/smtp_peer.h"

static struct relay_rig rig;
static struct smtp_peer peer;
static char smarthost[64];

static void setup(const char *const *sets)
{
    static const char *const plain[] = {"relay.tls=none", NULL};
    smtp_peer_init(&peer);
    snprintf(smarthost, sizeof(smarthost), "relay.host=[127.0.0.1]:%u", peer.port);
    relay_rig_start(&rig, smarthost, sets ? sets : plain);
}

static void teardown(void)
{
    relay_rig_stop(&rig);
}

static void submit(unsigned messages)
{
    for (unsigned i = 0; i < messages; i++) {
        rig_submit_one(&rig.rig, "a@s.test", "ok@one.test");
    }
}

static struct queue_site *site(void)
{
    size_t bucket = 0;
    struct map_node *node = map_next(&rig.rig.queue.sites, &bucket, NULL);
    ck_assert_ptr_nonnull(node);
    return container_of(node, struct queue_site, by_key);
}

#define UNTIL(cond) RIG_UNTIL(&rig.rig, cond)

/* A connection is kept and used again; the end is a QUIT. */
START_TEST(a_connection_is_used_again)
{
    setup(NULL);
    smtp_peer_start(&peer);
    for (unsigned i = 1; i <= 5; i++) {
        submit(1);
        rig_settle(&rig.rig);
        ck_assert_uint_eq(atomic_load(&peer.messages), i);
    }
    ck_assert_uint_eq(atomic_load(&peer.connections), 1);
    ck_assert_uint_eq(rig.relay.counters.connections, 1);
    ck_assert_uint_eq(rig.relay.counters.transactions, 5);
    ck_assert_uint_eq(site()->connections, 1);
    ck_assert(!list_empty(&site()->idle));
    teardown();
    smtp_peer_stop(&peer);
    ck_assert_uint_eq(atomic_load(&peer.quits), 1);
}
END_TEST

/* Work for many: as many connections as the site may have, never more; then the rest through them. */
START_TEST(no_more_connections_than_the_site_may_have)
{
    static const char *const sets[] = {"relay.tls=none", "delivery.connections_per_site=3", NULL};
    setup(sets);
    atomic_store(&peer.hold, true);
    smtp_peer_start(&peer);
    submit(12);
    UNTIL(atomic_load(&peer.now) == 3);
    rig_run_ms(&rig.rig, 50);
    ck_assert_uint_eq(site()->connections, 3);
    ck_assert_uint_ge(queue_site_work(site()), 12 - 2 * 3); /* each has one, or two on its way */
    atomic_store(&peer.hold, false);
    rig_settle(&rig.rig);
    ck_assert_uint_eq(atomic_load(&peer.messages), 12);
    ck_assert_uint_eq(atomic_load(&peer.most), 3);
    ck_assert_uint_eq(atomic_load(&peer.connections), 3);
    teardown();
    smtp_peer_stop(&peer);
}
END_TEST

/* A peer that takes its time to say hello: a connection for each part, and not one more. */
START_TEST(no_more_connections_than_work)
{
    setup(NULL);
    atomic_store(&peer.mute, true);
    smtp_peer_start(&peer);
    for (unsigned i = 1; i <= 4; i++) {
        submit(1);
        UNTIL(atomic_load(&peer.now) == i);
        rig_run_ms(&rig.rig, 20);
        ck_assert_uint_eq(site()->connections, i);
    }
    atomic_store(&peer.mute, false);
    rig_settle(&rig.rig);
    ck_assert_uint_eq(atomic_load(&peer.messages), 4);
    ck_assert_uint_eq(atomic_load(&peer.connections), 4);
    teardown();
    smtp_peer_stop(&peer);
}
END_TEST

/* The limit of all connections is the engine's: a worker has its share, at least one. */
START_TEST(the_share_of_a_worker)
{
    static const struct {
        unsigned workers;
        const char *per_site, *total;
        unsigned want;
    } rows[] = {
        {2, "delivery.connections_per_site=20", "delivery.connections_total=6", 3},
        {9, "delivery.connections_per_site=20", "delivery.connections_total=6", 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *sets[] = {"relay.tls=none", rows[i].per_site, rows[i].total, NULL};
        rig.workers = rows[i].workers;
        setup(sets);
        atomic_store(&peer.hold, true);
        smtp_peer_start(&peer);
        submit(10);
        UNTIL(atomic_load(&peer.now) == rows[i].want);
        rig_run_ms(&rig.rig, 50);
        ck_assert_uint_eq(atomic_load(&peer.connections), rows[i].want);
        atomic_store(&peer.hold, false);
        rig_settle(&rig.rig);
        teardown();
        smtp_peer_stop(&peer);
    }
    rig.workers = 0;
}
END_TEST

/* The peer takes two of us and refuses a third: we make do with two, and nothing is deferred. */
START_TEST(a_peer_that_has_enough_of_us)
{
    setup(NULL);
    atomic_store(&peer.serve_max, 2);
    atomic_store(&peer.hold, true);
    smtp_peer_start(&peer);
    submit(2);
    UNTIL(atomic_load(&peer.now) == 2 && site()->working == 2);
    submit(8);
    UNTIL(atomic_load(&peer.refused) > 0 && site()->sched->limit > 0);
    ck_assert_uint_eq(site()->sched->limit, 2);
    ck_assert_uint_gt(site()->sched->limit_until_ms, io_now(rig.rig.io)->mono_ms);
    unsigned refused = atomic_load(&peer.refused);
    atomic_store(&peer.hold, false);
    rig_settle(&rig.rig);
    ck_assert_uint_eq(atomic_load(&peer.messages), 10);
    ck_assert_uint_eq(rig.rig.queue.counters.deferrals, 0);
    ck_assert_uint_le(atomic_load(&peer.refused), refused + 8); /* those that were opened with it */
    teardown();
    smtp_peer_stop(&peer);
}
END_TEST

/* Nobody there: a second try after a pause, then everything that waits is deferred, with the reason, and
 * what comes while the site is down is deferred without asking again. */
START_TEST(nobody_there)
{
    setup(NULL); /* and the peer is not started */
    rig.rig.schedule[0] = 60 * 60 * 1000;
    uint64_t began_ms = io_now(rig.rig.io)->mono_ms;
    submit(3);
    UNTIL(rig.rig.queue.counters.deferrals == 3);
    uint64_t took_ms = io_now(rig.rig.io)->mono_ms - began_ms;
    ck_assert_uint_ge(took_ms, 250 - 1); /* one lost connection defers nothing */
    ck_assert_uint_eq(site()->sched->failures, 2);
    ck_assert_uint_gt(site()->sched->down_until_ms, io_now(rig.rig.io)->mono_ms);
    ck_assert_uint_le(site()->sched->down_until_ms, io_now(rig.rig.io)->mono_ms + 30 * 1000);
    uint64_t asked = rig.relay.counters.connections;
    submit(2);
    UNTIL(rig.rig.queue.counters.deferrals == 5);
    ck_assert_uint_eq(rig.relay.counters.connections, asked);
    ck_assert_uint_eq(rig.rig.queue.counters.queued, 5);
    ck_assert_uint_eq(rig.rig.queue.counters.bounced, 0);
    teardown();
    close(peer.listen_fd);
}
END_TEST

/* The first try fails, at the second somebody is there: nothing is deferred, and the failure forgotten. */
START_TEST(back_after_a_moment)
{
    setup(NULL);
    submit(3);
    UNTIL(site()->sched->failures == 1);
    smtp_peer_start(&peer);
    rig_settle(&rig.rig);
    ck_assert_uint_eq(rig.rig.queue.counters.deferrals, 0);
    ck_assert_uint_eq(atomic_load(&peer.messages), 3);
    ck_assert_uint_eq(site()->sched->failures, 0);
    teardown();
    smtp_peer_stop(&peer);
}
END_TEST

/* Each recipient its own outcome, through a real connection. */
START_TEST(one_refused_recipient)
{
    const char *rcpts[] = {"ok@one.test", "perm@one.test", "ok2@two.test"};
    setup(NULL);
    smtp_peer_start(&peer);
    rig_submit(&rig.rig, &(struct rig_mail){"a@s.test", rcpts, 3, MAIL_NOTIFY_NEVER, 0});
    rig_settle(&rig.rig);
    ck_assert_uint_eq(rig.rig.queue.counters.delivered, 2);
    ck_assert_uint_eq(rig.rig.queue.counters.bounced, 1);
    ck_assert_uint_eq(atomic_load(&peer.messages), 1);
    teardown();
    smtp_peer_stop(&peer);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_connection_is_used_again,    no_more_connections_than_the_site_may_have,
        no_more_connections_than_work, the_share_of_a_worker,
        a_peer_that_has_enough_of_us,  nobody_there,
        back_after_a_moment,           one_refused_recipient};
    return testing_run("core/relay/pool", tests, ARRAY_COUNT(tests));
}
