/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Signatures on the offload, and where it cannot take them: a client hears so, a report is signed here.
 */
#include "core/relay/signing.h"

#include "core/app/recovered.h"
#include "tests/unit/core/relay/relay_rig.h"
#include "tests/unit/tls/dkim_key_texts.h"
#include "tls/dkim_hash.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static struct relay_rig rig;
static unsigned on_offload; /* jobs that were out after a report was asked for */
static unsigned refused;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static bool sign(void *ctx, struct slice content, struct queue_bounce *report)
{
    (void)ctx;
    bool taken = signing_report(&rig.relay, content, report);
    on_offload += rig.relay.offload_port.out;
    refused += !taken;
    return taken;
}

/* Parts end here, as the queue's rig does it; the relay only signs. */
static void setup(const char *key, const char *more)
{
    static struct queue_events events;
    const char *sets[] = {key, more, NULL};
    on_offload = refused = 0;
    relay_rig_start(&rig, NULL, sets);
    events = *rig.rig.queue.events;
    events.sign_report = sign;
    rig.rig.queue.events = &events;
    rig.rig.on_turn = NULL;
    rig.rig.script = rig_by_name;
}

static void teardown(void)
{
    rig.relay.stopping = false;
    relay_rig_stop(&rig);
}

#define KEY "dkim.key_pem=" ED25519_RFC8463
#define FIELD "DKIM-Signature: v=1; a=ed25519-sha256;"

static bool report_is_signed(void)
{
    rig_submit_one(&rig.rig, "a@s.test", "perm@one.test");
    rig_settle(&rig.rig);
    ck_assert_uint_eq(rig.rig.queue.counters.dsn, 1);
    const char *body = rig.rig.parts[1].body;
    return strncmp(body, FIELD, sizeof(FIELD) - 1) == 0 && strstr(body, "d=relay.example.test;");
}

START_TEST(a_report_is_signed_by_a_thread)
{
    setup(KEY, NULL);
    ck_assert(report_is_signed());
    ck_assert_uint_eq(on_offload, 1);
    teardown();
}
END_TEST

/* The port may be closed before a thread is done. */
START_TEST(a_report_at_the_end_is_signed_here)
{
    setup(KEY, NULL);
    rig.relay.stopping = true;
    ck_assert(report_is_signed());
    ck_assert_uint_eq(on_offload, 0);
    teardown();
}
END_TEST

START_TEST(a_report_without_a_key_goes_as_it_is)
{
    setup("domains.0.name=other.test", "domains.0.dkim_key_pem=" ED25519_RFC8463);
    ck_assert(!report_is_signed());
    ck_assert_uint_eq(refused, 1);
    teardown();
}
END_TEST

START_TEST(without_keys_nothing_is_begun)
{
    setup("dkim.selector=s", NULL);
    ck_assert(!report_is_signed());
    ck_assert_uint_eq(refused, 1);
    teardown();
}
END_TEST

/* ---- an offload without room ---- */

static atomic_bool waiting;

static void wait_run(struct offload_job *job, void *thread)
{
    (void)job, (void)thread;
    atomic_store(&waiting, true);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void wait_done(struct offload_job *job, void *ctx)
{
    (void)ctx;
    free(job);
}

static bool wait_submit(void)
{
    struct offload_job *job = calloc(1, sizeof(*job));
    *job = (struct offload_job){.run = wait_run, .done = wait_done};
    bool taken = offload_submit(rig.offload, &rig.relay.offload_port, job);
    if (!taken) {
        free(job);
    }
    return taken;
}

/* The thread has one of them, and no more may wait. */
static unsigned fill(void)
{
    unsigned count = wait_submit();
    while (!atomic_load(&waiting)) {
        sched_yield();
    }
    while (wait_submit()) {
        count++;
    }
    return count;
}

static struct dkim_signer *signer_new(void)
{
    struct dkim_signer *s = dkim_signer_begin(rig.settings->dkim, dkim_hash_sha256(), 1000);
    dkim_signer_header(s, SLICE("From: joe@a.test\r\n"));
    ck_assert_int_eq((int)dkim_signer_header_end(s), DKIM_SKIP_NOT);
    ck_assert_uint_eq(dkim_signer_finish(s, 1), 1);
    return s;
}

static unsigned told;

static void on_signed(struct relay *r, struct handle session, const struct dkim_signer *signer)
{
    struct buf text;
    buf_init(&text, 10000);
    ck_assert_ptr_eq(r, &rig.relay);
    ck_assert_uint_eq(session.slot, 5);
    ck_assert_uint_eq(dkim_signer_attach(signer, &text), 1);
    buf_deinit(&text);
    told++;
}

START_TEST(a_full_offload)
{
    const struct handle session = {5, 1};
    setup(KEY, NULL);
    told = 0;
    ck_assert(signing_submit(&rig.relay, session, signer_new(), on_signed));
    ck_assert_uint_eq(told, 0); /* never inside the call */
    RIG_UNTIL(&rig.rig, told == 1);
    pthread_mutex_lock(&gate);
    unsigned count = fill();
    ck_assert_uint_gt(count, 0);
    ck_assert(!signing_submit(&rig.relay, session, signer_new(), on_signed));
    ck_assert(report_is_signed());
    ck_assert_uint_eq(rig.relay.offload_port.out, count);
    pthread_mutex_unlock(&gate);
    RIG_UNTIL(&rig.rig, rig.relay.offload_port.out == 0);
    ck_assert_uint_eq(told, 1);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_report_is_signed_by_a_thread, a_report_at_the_end_is_signed_here,
                            a_report_without_a_key_goes_as_it_is, without_keys_nothing_is_begun,
                            a_full_offload};
    return testing_run("core/relay/signing", tests, ARRAY_COUNT(tests));
}
