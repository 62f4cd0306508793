/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reports and their signatures: nothing of an attempt is written before the signature is there, and then
 * both are one frame.
 */
#include "core/app/recovered.h"
#include "tests/unit/core/queue/rig_mail.h"

#define SIGNATURE "DKIM-Signature: v=1;\r\n b=abc\r\n"

enum { WAITING_MAX = 4 };

static struct rig rig;
static struct {
    struct queue_bounce *reports[WAITING_MAX];
    unsigned count;
    unsigned asked;
    bool at_once;
    bool refuse;
} signer;

static bool sign(void *ctx, struct slice content, struct queue_bounce *report)
{
    ck_assert_ptr_eq(ctx, &rig);
    ck_assert(slice_starts_nocase(content, SLICE("From: ")) ||
              slice_starts_nocase(content, SLICE("Date: ")) ||
              memmem(content.ptr, content.len, "\r\nFrom: ", 8));
    signer.asked++;
    if (signer.refuse) {
        return false;
    }
    if (signer.at_once) {
        queue_bounce_signed(report, SLICE(SIGNATURE));
        return true;
    }
    ck_assert_uint_lt(signer.count, WAITING_MAX);
    signer.reports[signer.count++] = report;
    return true;
}

static void setup(void)
{
    static struct queue_events events;
    memset(&signer, 0, sizeof(signer));
    rig_init(&rig);
    rig.script = rig_by_name;
    rig_start(&rig, NULL);
    events = *rig.queue.events;
    events.sign_report = sign;
    rig.queue.events = &events;
}

static void teardown(void)
{
    rig_stop(&rig);
    rig_remove(&rig);
}

static bool is_signed(unsigned part)
{
    const char *body = rig.parts[part].body;
    return body && strncmp(body, SIGNATURE, sizeof(SIGNATURE) - 1) == 0;
}

START_TEST(a_report_waits_for_its_signature)
{
    setup();
    rig_submit_one(&rig, "a@s.test", "perm@one.test");
    RIG_UNTIL(&rig, signer.count == 1);
    rig_run_ms(&rig, 50);
    ck_assert_uint_eq(rig.queue.counters.bounced, 1);
    ck_assert_uint_eq(rig_messages(&rig), 1);
    ck_assert(list_empty(&rig.queue.batches) && list_empty(&rig.queue.unsaved));
    queue_bounce_signed(signer.reports[0], SLICE(SIGNATURE));
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.dsn, 1);
    ck_assert_uint_eq(rig.part_count, 2);
    ck_assert(is_signed(1));
    ck_assert_ptr_nonnull(strstr(rig.parts[1].body, "no such user here"));
    teardown();
}
END_TEST

static void one_report(bool is_to_be_signed)
{
    rig_submit_one(&rig, "a@s.test", "perm@one.test");
    rig_settle(&rig);
    ck_assert_uint_eq(signer.asked, 1);
    ck_assert_uint_eq(rig.queue.counters.dsn, 1);
    ck_assert(is_signed(1) == is_to_be_signed);
}

START_TEST(signed_at_once)
{
    setup();
    signer.at_once = true;
    one_report(true);
    teardown();
}
END_TEST

START_TEST(nobody_signs_for_it)
{
    setup();
    signer.refuse = true;
    one_report(false);
    teardown();
}
END_TEST

/* They may come back in another order than they were asked for. */
START_TEST(several_at_a_time)
{
    setup();
    for (unsigned i = 0; i < 3; i++) {
        rig_submit_one(&rig, "a@s.test", "perm@one.test");
    }
    RIG_UNTIL(&rig, signer.count == 3);
    for (unsigned i = 3; i-- > 0;) {
        queue_bounce_signed(signer.reports[i], SLICE(SIGNATURE));
        rig_run_ms(&rig, 5);
    }
    rig_settle(&rig);
    ck_assert_uint_eq(rig.queue.counters.dsn, 3);
    ck_assert_uint_eq(rig.part_count, 6);
    teardown();
}
END_TEST

/* The original is read from the disk first; the signature is a part of the report's header. */
START_TEST(a_big_original)
{
    const char *rcpt = "perm@one.test";
    setup();
    rig_submit_big(&rig, &(struct rig_mail){"a@s.test", &rcpt, 1, 0, 0}, 2, 1000);
    RIG_UNTIL(&rig, signer.count == 1);
    queue_bounce_signed(signer.reports[0], SLICE(SIGNATURE));
    rig_settle(&rig);
    ck_assert(is_signed(1));
    ck_assert_ptr_nonnull(strstr(rig.parts[1].body, "Subject: hello"));
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {a_report_waits_for_its_signature, signed_at_once, nobody_signs_for_it,
                            several_at_a_time, a_big_original};
    return testing_run("core/queue/bounce", tests, ARRAY_COUNT(tests));
}
