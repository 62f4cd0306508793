/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Moves a message out of an old, mostly dead segment: its pieces are read one by one and appended again
 * under the same id with the recipients' present states; when that is durable, the holds change to the
 * new places and the old segment can go. One message at a time: this is housekeeping.
 *
 *   IDLE ─(spool_compact_next)─► READING ─(all pieces appended, record appended)─► COMMITTING ─► IDLE
 *
 * Crash safety: both copies carry the id; recovery takes the later one and applies results by id. The
 * pieces have the same numbering in both copies, so a reader may change over between two pieces.
 */
#include "core/queue/queue.h"

#include <stdlib.h>

enum { COMPACT_AGAIN_MS = 60 * 1000 };

enum queue_compact_state { COMPACT_READING, COMPACT_APPENDING, COMPACT_COMMITTING };

struct queue_compaction {
    struct queue *queue;
    struct queue_message *message; /* NULL: it ended meanwhile */
    enum queue_compact_state state;
    struct handle reader;
    uint32_t piece;
    struct slice data; /* the reader's */
    uint64_t lsn;
    struct spool_ref ref;
    uint32_t inline_bytes;
    struct spool_hold hold;
    uint32_t fragment_count; /* appended */
    struct spool_fragment_ref *fragments;
    struct queue_hold *fragment_holds;
};

static void queue_compact_drop(struct queue *q, struct queue_compaction *c)
{
    if (c->hold.segment) {
        spool_release(q->spool, &c->hold);
    }
    for (uint32_t i = 0; i < c->fragment_count; i++) {
        if (c->fragment_holds[i].hold.segment) {
            spool_release(q->spool, &c->fragment_holds[i].hold);
        }
    }
    free(c->fragments);
    free(c->fragment_holds);
    struct handle reader = c->reader;
    q->compaction = NULL;
    free(c);
    if (reader.gen) {
        queue_reader_close(q, &reader);
    }
}

static bool queue_compact_append_record(struct queue *q, struct queue_compaction *c)
{
    struct queue_message *m = c->message;
    if (m->pending_count) {
        /* The record would say "bounced" before the frame with the report is durable (P2). */
        return false;
    }
    struct queue_record parts = {.rcpts = calloc(m->rcpt_count, sizeof(*parts.rcpts))};
    if (!parts.rcpts) {
        return false;
    }
    struct spool_message record;
    queue_message_record(m, &parts, &record);
    record.fragments = c->fragments;
    record.fragment_count = c->fragment_count;
    struct iovec iov = {(void *)(uintptr_t)c->data.ptr, c->data.len};
    record.body = &iov;
    record.body_count = c->data.len ? 1 : 0;
    bool ok = spool_frame_begin(q->spool, SPOOL_CLASS_COMPACT, spool_message_bytes(&record)) ==
              SPOOL_APPENDED;
    if (ok) {
        spool_add_message(q->spool, &record);
        spool_frame_end(q->spool, SPOOL_LAZY, &c->lsn, &c->ref);
        spool_hold(q->spool, &c->hold, c->ref);
        c->inline_bytes = (uint32_t)c->data.len;
    }
    free(parts.rcpts);
    return ok;
}

static bool queue_compact_append_fragment(struct queue *q, struct queue_compaction *c)
{
    if (spool_frame_begin(q->spool, SPOOL_CLASS_COMPACT, spool_fragment_bytes(c->data.len)) !=
        SPOOL_APPENDED) {
        return false;
    }
    spool_add_fragment(q->spool, c->message->id, c->piece, c->data);
    uint64_t lsn;
    struct spool_fragment_ref *f = &c->fragments[c->fragment_count];
    spool_frame_end(q->spool, SPOOL_LAZY, &lsn, &f->ref);
    f->body_bytes = (uint32_t)c->data.len;
    c->fragment_holds[c->fragment_count].hold.pinned = true;
    spool_hold(q->spool, &c->fragment_holds[c->fragment_count].hold, f->ref);
    c->fragment_count++;
    return true;
}

/* Appends what is in c->data, goes on to the next piece or to the commit. */
static void queue_compact_step(struct queue *q, struct queue_compaction *c)
{
    must(c->state == COMPACT_APPENDING);
    uint32_t pieces = queue_message_pieces(c->message);
    bool is_fragment = c->piece < c->message->fragment_count;
    if (is_fragment && !queue_compact_append_fragment(q, c)) {
        return; /* no room: see queue_compact_again */
    }
    if (is_fragment) {
        c->piece++;
        c->data = (struct slice){NULL, 0};
        if (c->piece < pieces) {
            c->state = COMPACT_READING;
            queue_reader_read(q, c->reader, c->piece);
            return;
        }
    }
    if (queue_compact_append_record(q, c)) {
        c->state = COMPACT_COMMITTING;
        queue_reader_close(q, &c->reader);
    }
}

static void queue_compact_on_read(void *ctx, struct handle owner, enum queue_read_status status,
                                  struct slice piece)
{
    (void)owner;
    struct queue_compaction *c = ctx;
    struct queue *q = c->queue;
    must(c->state == COMPACT_READING);
    if (status != QUEUE_READ_OK || c->message == NULL) {
        /* Damaged or unreadable: it stays where it is, its next attempt will report it. */
        if (c->message) {
            c->message->compact_after_ms = io_now(q->io)->mono_ms + COMPACT_AGAIN_MS;
        }
        queue_compact_drop(q, c);
        return;
    }
    c->data = piece;
    c->state = COMPACT_APPENDING;
    queue_compact_step(q, c);
}

static void queue_compact_start(struct queue *q, struct queue_message *m)
{
    struct queue_compaction *c = calloc(1, sizeof(*c));
    if (!c) {
        return;
    }
    c->queue = q;
    c->message = m;
    if (m->fragment_count) {
        c->fragments = calloc(m->fragment_count, sizeof(*c->fragments));
        c->fragment_holds = calloc(m->fragment_count, sizeof(*c->fragment_holds));
    }
    c->hold.pinned = true;
    bool memory = !m->fragment_count || (c->fragments && c->fragment_holds);
    if (!memory || queue_message_pieces(m) == 0 ||
        !queue_reader_open(q, m, queue_compact_on_read, c, HANDLE_NONE, &c->reader)) {
        free(c->fragments);
        free(c->fragment_holds);
        free(c);
        return;
    }
    q->compaction = c;
    c->state = COMPACT_READING;
    queue_reader_read(q, c->reader, 0);
}

/* Its piece found no room. The reader keeps the message and its segment, so to wait for room could be to
 * wait for oneself: a message that has ended meanwhile goes, and on a full disk this is not the time. */
static void queue_compact_again(struct queue *q, struct queue_compaction *c)
{
    enum spool_append prospect = spool_takes_mail(q->spool);
    if (c->message->open_count > 0 && prospect != SPOOL_FULL && prospect != SPOOL_FAILED) {
        queue_compact_step(q, c);
        return;
    }
    c->message->compact_after_ms = io_now(q->io)->mono_ms + COMPACT_AGAIN_MS;
    queue_compact_drop(q, c);
}

void queue_compact_run(struct queue *q)
{
    struct queue_compaction *c = q->compaction;
    if (c) {
        if (c->state == COMPACT_APPENDING) {
            queue_compact_again(q, c);
        }
        return;
    }
    struct spool_hold *hold = spool_compact_next(q->spool);
    if (!hold) {
        queue_unpark_seek(q, spool_compact_folded(q->spool)); /* then it is the next */
        hold = spool_compact_next(q->spool);
    }
    if (hold) {
        struct queue_message *m = container_of(hold, struct queue_hold, hold)->message;
        if (m->queued && m->open_count && m->compact_after_ms <= io_now(q->io)->mono_ms) {
            queue_compact_start(q, m);
        }
    }
}

static void queue_compact_adopt(struct queue *q, struct queue_compaction *c)
{
    struct queue_message *m = c->message;
    must(c->fragment_count == m->fragment_count);
    spool_release(q->spool, &m->hold.hold);
    spool_hold(q->spool, &m->hold.hold, c->ref);
    m->ref = c->ref;
    for (uint32_t i = 0; i < m->fragment_count; i++) {
        spool_release(q->spool, &m->fragment_holds[i].hold);
        spool_hold(q->spool, &m->fragment_holds[i].hold, c->fragments[i].ref);
        m->fragments[i] = c->fragments[i];
    }
}

void queue_compact_decided(struct queue *q, uint64_t lsn_upto, enum spool_commit_result result)
{
    struct queue_compaction *c = q->compaction;
    if (!c) {
        return;
    }
    if (result == SPOOL_LOST && c->state != COMPACT_COMMITTING) {
        /* Fragments appended so far may be lost with the segment: begin anew. */
        if (c->state == COMPACT_READING) {
            c->message = NULL;
        } else {
            queue_compact_drop(q, c);
        }
        return;
    }
    if (c->state == COMPACT_COMMITTING && c->lsn <= lsn_upto) {
        struct queue_message *m = c->message;
        if (result == SPOOL_COMMITTED && m) {
            queue_compact_adopt(q, c);
        }
        queue_compact_drop(q, c);
        if (m) {
            queue_settle(q, m);
        }
    }
}

bool queue_compact_has(const struct queue *q, const struct queue_message *m)
{
    return q->compaction && q->compaction->message == m;
}

/* NULL: whatever is under way is given up (shutdown). */
void queue_compact_forget(struct queue *q, const struct queue_message *m)
{
    struct queue_compaction *c = q->compaction;
    if (!c || (m && c->message != m)) {
        return;
    }
    if (c->state == COMPACT_READING) {
        must(m == NULL); /* an open reader keeps the message */
        c->message = NULL;
        return;
    }
    queue_compact_drop(q, c);
}
