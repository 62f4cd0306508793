/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * crash - what kill -9 leaves, found by another rig
 *
 * Purpose:   copies the spool folder of a rig that works on, opens the copy as the next start would, and
 *            compares what was recovered with what the first one knows: durable is durable, lost is what
 *            nobody was told of, a bounce and its report are there both or neither (P1, P2, P3).
 * Owner:     the test. The copy is a rig of its own (rig_stop, rig_remove).
 * Thread:    the test's.
 */
#ifndef RINGPOST_TESTS_QUEUE_CRASH_H
#define RINGPOST_TESTS_QUEUE_CRASH_H

#include "tests/unit/core/queue/rig_mail.h"

#include <dirent.h>
#include <sys/stat.h>

static inline void crash_copy_file(int from_dir, int to_dir, const char *name)
{
    static char chunk[1024 * 1024];
    int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
    int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t n = 0;
    while (from >= 0 && to >= 0 && (n = read(from, chunk, sizeof(chunk))) > 0) {
        ck_assert_int_eq(write(to, chunk, (size_t)n), n);
    }
    ck_assert(from >= 0 && to >= 0 && n == 0);
    close(from);
    close(to);
}

/* The disk of r as it is now; to: rig_init done, not started. */
static inline void crash_copy(const struct rig *r, const struct rig *to)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/spool", r->folder);
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    snprintf(path, sizeof(path), "%s/spool", to->folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    int to_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *e;
    while ((e = readdir(dir))) {
        if (e->d_name[0] != '.') {
            crash_copy_file(dirfd(dir), to_dir, e->d_name);
        }
    }
    close(to_dir);
    closedir(dir);
}

/* A parked one is a message again, until something settles it. */
static inline struct queue_message *crash_find(struct queue *q, uint64_t id)
{
    return queue_find(q, id);
}

enum { CRASH_PENDING_MAX = 8 };

/* The batches with results of this recipient that are not durable yet, oldest first. */
static inline unsigned crash_pending(struct queue *q, const struct queue_message *m, uint32_t rcpt,
                                     struct queue_batch *out[CRASH_PENDING_MAX])
{
    struct list *const lists[] = {&q->batches, &q->unsaved};
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        struct list *node, *tmp;
        LIST_FOR_EACH(node, tmp, lists[i]) {
            struct queue_batch *b = LIST_ENTRY(node, struct queue_batch, link);
            for (uint32_t k = 0; b->message == m && k < b->count; k++) {
                if (b->rows[k].rcpt == rcpt) {
                    ck_assert_uint_lt(n, CRASH_PENDING_MAX);
                    out[n++] = b;
                }
            }
        }
    }
    return n;
}

/* A batch whose report waits for the original to be read back is in no list. */
static inline bool crash_reads_original(struct queue *q, const struct queue_message *m)
{
    struct list *const lists[] = {&q->batches, &q->unsaved};
    uint32_t listed = 0;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        struct list *node, *tmp;
        LIST_FOR_EACH(node, tmp, lists[i]) {
            listed += LIST_ENTRY(node, struct queue_batch, link)->message == m;
        }
    }
    return m->pending_count > listed;
}

/* One recipient of a message that r holds; found: the same message after the start, or NULL. */
static inline void crash_compare_rcpt(struct rig *r, struct rig *after, struct queue_message *m,
                                      uint32_t rcpt, const struct queue_message *found)
{
    struct queue_batch *pending[CRASH_PENDING_MAX];
    unsigned count = crash_pending(&r->queue, m, rcpt, pending);
    const struct queue_rcpt *before = &m->rcpts[rcpt];
    const struct queue_rcpt *now = found ? &found->rcpts[rcpt] : NULL;
    bool queued = now && now->state != QUEUE_RCPT_ENDED;
    bool was_queued = before->state != QUEUE_RCPT_ENDED;
    if (crash_reads_original(&r->queue, m)) {
        ck_assert(queued || !was_queued);
        return;
    }
    /* Of the pending results the first so many were on the disk already. */
    unsigned applied = !queued ? count : now->attempts + count - before->attempts;
    ck_assert_msg(queued == was_queued || (queued && applied < count), "recipient %u of %lu is %s",
                  rcpt, (unsigned long)m->id, queued ? "not ended" : "not there");
    ck_assert_uint_le(applied, count);
    for (unsigned i = 0; i < count; i++) {
        const struct queue_message *dsn = pending[i]->dsn; /* with its results, or not at all */
        ck_assert(!dsn || (i < applied) == (crash_find(&after->queue, dsn->id) != NULL));
    }
}

/* Everything r answers for is there, and nothing else. */
static inline void crash_compare(struct rig *r, struct rig *after)
{
    struct queue_walk walk = {0};
    struct queue_message *m;
    while ((m = queue_walk_next(&r->queue, &walk))) {
        struct queue_message *found = crash_find(&after->queue, m->id);
        if (!m->queued) {
            continue; /* nobody was told of it yet: it may be there or not */
        }
        for (uint32_t i = 0; i < m->rcpt_count; i++) {
            crash_compare_rcpt(r, after, m, i, found);
        }
        if (found) {
            ck_assert_uint_eq(found->arrival_us, m->arrival_us);
            ck_assert_uint_eq(found->flags, m->flags);
            ck_assert_uint_eq(found->body_bytes, m->body_bytes);
            ck_assert(slice_eq(found->sender, m->sender) && slice_eq(found->envid, m->envid));
        }
    }
    walk = (struct queue_walk){0};
    while ((m = queue_walk_next(&after->queue, &walk))) {
        ck_assert_ptr_nonnull(crash_find(&r->queue, m->id)); /* what had ended stays so */
    }
    rig_check_sum(after);
    ck_assert_uint_eq(after->recovery.damaged, 0);
}

#endif
