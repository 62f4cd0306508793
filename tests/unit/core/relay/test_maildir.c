/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Parts on their way into mailboxes: in memory, in pieces, with damage in a piece, at the end of the process.
 */
#include "core/app/recovered.h"
#include "core/relay/maildir.h"
#include "tests/unit/core/relay/relay_rig.h"

#include <dirent.h>
#include <sys/stat.h>

static struct relay_rig rig;
static char folder[64];
static char maildir[128];

static void setup(const char *more)
{
    snprintf(folder, sizeof(folder), "/tmp/ringpost-maildir-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(maildir, sizeof(maildir), "local.maildir=%s/{local}", folder);
    const char *const sets[] = {"access.local_domains=here.test", maildir,
                                "delivery.recipients_per_transaction=10", more, NULL};
    relay_rig_start(&rig, NULL, sets);
}

static void teardown(void)
{
    char command[100];
    relay_rig_stop(&rig);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static void make_box(const char *name)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

/* How many files there are in it; the first one's path. */
static unsigned files(const char *name, const char *part, char first[400])
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s/%s", folder, name, part);
    DIR *d = opendir(path);
    unsigned n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] != '.' && n++ == 0) {
            snprintf(first, 400, "%s/%.150s", path, e->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static unsigned count(const char *name, const char *part)
{
    char first[400];
    return files(name, part, first);
}

static struct slice content(const char *name)
{
    static char bytes[2000000];
    char path[400];
    ck_assert_uint_eq(files(name, "new", path), 1);
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    return slice_of(bytes, n);
}

START_TEST(small)
{
    setup(NULL);
    make_box("ann");
    rig_submit_one(&rig.rig, "a@s.test", "Ann+x@here.test");
    rig_settle(&rig.rig);
    ck_assert(slice_eq(content("ann"), SLICE("Return-Path: <a@s.test>\n"
                                             "Delivered-To: Ann+x@here.test\n"
                                             "Subject: hello\nFrom: a@sender.test\n\n"
                                             ".a dot\nthe body\n")));
    ck_assert_uint_eq(rig.rig.queue.counters.delivered, 1);
    ck_assert_uint_eq(rig.relay.maildirs, 0);
    teardown();
}
END_TEST

/* Outcomes belong to their recipients, whatever becomes of the others; a report says who has no mailbox. */
START_TEST(each_has_an_outcome)
{
    setup(NULL);
    static const char *const rcpts[] = {"u0@here.test", "u1@here.test", "u2@here.test",
                                        "..@here.test", "u4@here.test"};
    make_box("u0");
    make_box("u2");
    make_box("u4");
    make_box("a");
    struct rig_mail mail = {"a@here.test", rcpts, ARRAY_COUNT(rcpts), 0, 0};
    rig_submit(&rig.rig, &mail);
    rig_settle(&rig.rig);
    ck_assert_uint_eq(rig.rig.queue.counters.delivered, 3 + 1);
    ck_assert_uint_eq(rig.rig.queue.counters.bounced, 2);
    ck_assert_uint_eq(count("u0", "new") + count("u2", "new") + count("u4", "new"), 3);
    struct slice report = content("a");
    ck_assert(memmem(report.ptr, report.len, "Return-Path: <>\n", 16) != NULL);
    ck_assert(memmem(report.ptr, report.len, "rfc822; u1@here.test", 20) != NULL);
    ck_assert(memmem(report.ptr, report.len, "rfc822; u2@here.test", 20) == NULL);
    teardown();
}
END_TEST

/* More parts than deliveries at once. */
START_TEST(many)
{
    enum { RCPTS = 300 };
    static char text[RCPTS][24];
    static const char *rcpts[RCPTS];
    setup("local.create=true");
    for (unsigned i = 0; i < RCPTS; i++) {
        snprintf(text[i], sizeof(text[i]), "u%u@here.test", i);
        rcpts[i] = text[i];
    }
    struct rig_mail mail = {"a@s.test", rcpts, RCPTS, 0, 0};
    rig_submit(&rig.rig, &mail);
    RIG_UNTIL(&rig.rig, rig.relay.maildirs == MAILDIR_DELIVERIES);
    rig_settle(&rig.rig);
    for (unsigned i = 0; i < RCPTS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "u%u", i);
        ck_assert_uint_eq(count(name, "new"), 1);
    }
    teardown();
}
END_TEST

START_TEST(in_pieces)
{
    enum { PIECES = 6, TAIL = 12345 };
    static char want[PIECES * RIG_PIECE_BYTES + TAIL];
    static const char *const rcpts[] = {"ann@here.test", "bob@here.test"};
    setup("local.create=true");
    struct rig_mail mail = {"a@s.test", rcpts, 2, 0, 0};
    rig_submit_big(&rig.rig, &mail, PIECES, TAIL);
    rig_settle(&rig.rig);
    rig_fill(want, 0, sizeof(want));
    size_t n = 0;
    for (size_t i = 0; i < sizeof(want); i++) {
        want[n] = want[i];
        n += want[i] == '\r' && i + 1 < sizeof(want) && want[i + 1] == '\n' ? 0 : 1;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct slice got = content(i ? "bob" : "ann");
        ck_assert_uint_gt(got.len, n);
        ck_assert(memcmp(got.ptr + got.len - n, want, n) == 0);
    }
    teardown();
}
END_TEST

/* P6: a piece that is not what was stored. Nothing of the message stays in a mailbox, it bounces. */
START_TEST(a_damaged_piece)
{
    enum { PIECES = 4 };
    static const char *const rcpts[] = {"ann@here.test", "bob@here.test"};
    setup("local.create=true");
    make_box("ann");
    make_box("bob");
    struct rig_mail mail = {"", rcpts, 2, 0, 0};
    struct queue_message *m = NULL;
    rig.relay.stopping = true; /* nothing is delivered before it is damaged */
    rig_submit_big(&rig.rig, &mail, PIECES, 100);
    for (uint32_t slot = 0; slot < rig.rig.queue.messages.made; slot++) {
        struct handle h;
        struct queue_message *found = pool_at(&rig.rig.queue.messages, slot, &h);
        m = found ? found : m;
    }
    ck_assert_ptr_nonnull(m);
    struct spool_place place;
    ck_assert(spool_locate(rig.rig.spool, m->fragments[2].ref, &place));
    char link[64], path[300];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", place.fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    ck_assert_int_gt(n, 0);
    path[n] = '\0';
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, (long)place.offset + 5000, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite("X?", 1, 2, f), 2);
    fclose(f);
    rig.relay.stopping = false;
    rig_settle(&rig.rig);
    ck_assert_uint_eq(rig.rig.queue.counters.bounced, 2);
    ck_assert_uint_eq(rig.rig.queue.counters.damaged, 1);
    ck_assert_uint_eq(count("ann", "new") + count("ann", "tmp"), 0);
    ck_assert_uint_eq(count("bob", "new") + count("bob", "tmp"), 0);
    teardown();
}
END_TEST

/* At the end of the process who has not begun stays in the queue. */
START_TEST(the_end)
{
    enum { RCPTS = 100 };
    static char text[RCPTS][24];
    static const char *rcpts[RCPTS];
    setup("local.create=true");
    for (unsigned i = 0; i < RCPTS; i++) {
        snprintf(text[i], sizeof(text[i]), "u%u@here.test", i);
        rcpts[i] = text[i];
    }
    struct rig_mail mail = {"a@s.test", rcpts, RCPTS, 0, 0};
    rig_submit(&rig.rig, &mail);
    RIG_UNTIL(&rig.rig, rig.relay.maildirs == RCPTS / 10);
    RIG_UNTIL(&rig.rig, relay_stop(&rig.relay));
    const struct queue_counters *c = &rig.rig.queue.counters;
    ck_assert_uint_gt(c->queued, 0);
    ck_assert_uint_eq(c->delivered + c->queued, RCPTS);
    unsigned there = 0;
    for (unsigned i = 0; i < RCPTS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "u%u", i);
        there += count(name, "new");
        ck_assert_uint_eq(count(name, "tmp"), 0);
    }
    ck_assert_uint_eq(there, c->delivered);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {small, each_has_an_outcome, many, in_pieces, a_damaged_piece, the_end};
    return testing_run("core/relay/maildir", tests, ARRAY_COUNT(tests));
}
