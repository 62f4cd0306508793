/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The reader takes a hold of its own on the piece's segment, so compaction may move the message while a
 * piece is being read: the next piece is simply found at its new place.
 *
 * A failure found before the kernel is asked (no such segment, no memory) still goes through the ring as a
 * read of nothing: results never come inside the call.
 */
#include "core/queue/reader.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"

#include <stdlib.h>

struct queue_reader {
    struct handle self;
    struct queue_message *message;
    queue_read_fn *done;
    void *ctx;
    struct handle owner;
    struct spool_hold hold;
    struct spool_ref ref;
    struct spool_place place;
    char *buffer;
    size_t capacity;
    size_t have;
    struct queue_far_read *far; /* of a guest's message; NULL: of our own */
    bool in_kernel;             /* or with the guest's home */
    bool closed;
    char scratch; /* target of the read of nothing */
};

const size_t queue_reader_size = sizeof(struct queue_reader);

uint32_t queue_message_pieces(const struct queue_message *m)
{
    return m->fragment_count + (m->inline_bytes ? 1u : 0u);
}

bool queue_reader_open(struct queue *q, struct queue_message *m, queue_read_fn *done, void *ctx,
                       struct handle owner, struct handle *out)
{
    struct handle self;
    struct queue_reader *r = pool_get(&q->readers, &self);
    if (!r) {
        return false;
    }
    r->self = self;
    r->message = m;
    r->done = done;
    r->ctx = ctx;
    r->owner = owner;
    *out = self;
    if (m->queue != q) {
        r->far = queue_far_read_open(q, m, self);
        if (!r->far) {
            *out = HANDLE_NONE;
            pool_put(&q->readers, self);
        }
        return r->far != NULL;
    }
    r->hold.pinned = true; /* a struct queue_hold is what compaction expects */
    m->readers++;
    return true;
}

static void queue_reader_free(struct queue *q, struct queue_reader *r)
{
    must(!r->in_kernel);
    if (r->far) {
        queue_far_read_close(q, &r->far);
        pool_put(&q->readers, r->self);
        return;
    }
    if (r->hold.segment) {
        spool_release(q->spool, &r->hold);
    }
    free(r->buffer);
    struct queue_message *m = r->message;
    pool_put(&q->readers, r->self);
    must(m->readers > 0);
    m->readers--;
    queue_settle(q, m);
}

void queue_reader_close(struct queue *q, struct handle *reader)
{
    struct queue_reader *r = pool_resolve(&q->readers, *reader);
    *reader = HANDLE_NONE;
    must(r != NULL && !r->closed);
    r->closed = true;
    if (!r->in_kernel) {
        queue_reader_free(q, r);
    }
}

static void queue_reader_continue(struct queue *q, struct queue_reader *r)
{
    struct io_tag tag = {IO_KIND_BODY_READ, r->self};
    r->in_kernel = true;
    io_read(q->io, tag, r->place.fd, r->buffer + r->have, r->place.bytes - r->have,
            r->place.offset + r->have);
}

static bool queue_reader_prepare(struct queue *q, struct queue_reader *r)
{
    if (!spool_locate(q->spool, r->ref, &r->place)) {
        return false;
    }
    spool_hold(q->spool, &r->hold, r->ref);
    if (r->place.bytes > r->capacity) {
        free(r->buffer);
        r->buffer = malloc(r->place.bytes);
        r->capacity = r->buffer ? r->place.bytes : 0;
    }
    return r->buffer != NULL;
}

void queue_reader_read(struct queue *q, struct handle reader, uint32_t index)
{
    struct queue_reader *r = pool_resolve(&q->readers, reader);
    must(r != NULL && !r->in_kernel && !r->closed);
    must(index < queue_message_pieces(r->message));
    if (r->far) {
        r->in_kernel = true;
        queue_far_read_start(q, r->far, index);
        return;
    }
    if (r->hold.segment) {
        spool_release(q->spool, &r->hold);
    }
    r->ref = index < r->message->fragment_count ? r->message->fragments[index].ref
                                                : r->message->ref;
    r->have = 0;
    if (!queue_reader_prepare(q, r)) {
        r->place = (struct spool_place){.fd = -1};
        r->in_kernel = true;
        io_read(q->io, (struct io_tag){IO_KIND_BODY_READ, r->self}, -1, &r->scratch, 1, 0);
        return;
    }
    queue_reader_continue(q, r);
}

void queue_reader_on_piece(struct queue *q, struct handle reader, enum queue_read_status status,
                           struct slice piece)
{
    struct queue_reader *r = pool_resolve(&q->readers, reader);
    must(r != NULL && r->far != NULL && r->in_kernel); /* it waits for its answer before it goes */
    r->in_kernel = false;
    if (r->closed) {
        queue_reader_free(q, r);
        return;
    }
    r->done(r->ctx, r->owner, status, piece);
}

static void queue_reader_say(struct queue *q, const struct queue_reader *r, struct slice reason)
{
    if (obs_begin(q->log, OBS_SPOOL_DAMAGE, io_now(q->io)->wall_us)) {
        char id[QUEUE_ID_TEXT_BYTES + 1];
        obs_str(q->log, OBS_F_ID, queue_id_text(r->message->id, id));
        obs_str(q->log, OBS_F_REASON, reason);
        obs_end(q->log, io_now(q->io)->mono_ms);
    }
}

static enum queue_read_status queue_reader_check(struct queue *q, struct queue_reader *r,
                                                 struct slice *piece)
{
    if (spool_frame_body(&r->place, r->ref, slice_of(r->buffer, r->have), r->message->id, piece)) {
        return QUEUE_READ_OK;
    }
    q->counters.damaged++;
    queue_reader_say(q, r, SLICE("the stored content fails its checksum"));
    return QUEUE_READ_DAMAGED;
}

/* What was durable is gone for good when the file ends before it (somebody cut it); an error may pass. */
static enum queue_read_status queue_reader_failed(struct queue *q, const struct queue_reader *r,
                                                  const struct io_event *ev)
{
    if (r->place.fd < 0) {
        return QUEUE_READ_FAILED; /* not asked for: no such segment, or no memory */
    }
    if (ev->status != IO_OK) {
        queue_reader_say(q, r, SLICE("the disk cannot read the stored content"));
        return QUEUE_READ_FAILED;
    }
    q->counters.damaged++;
    queue_reader_say(q, r, SLICE("the file ends before the stored content"));
    return QUEUE_READ_DAMAGED;
}

void queue_reader_on_io(struct queue *q, const struct io_event *ev)
{
    struct queue_reader *r = pool_resolve(&q->readers, ev->owner);
    if (!r) {
        io_count_stale(q->io);
        return;
    }
    must(r->in_kernel);
    r->in_kernel = false;
    if (r->closed) {
        queue_reader_free(q, r);
        return;
    }
    struct slice piece = {NULL, 0};
    enum queue_read_status status;
    if (ev->status == IO_RETRY) {
        queue_reader_continue(q, r);
        return;
    }
    if (ev->status == IO_OK && ev->result > 0 && r->place.fd >= 0) {
        r->have += (size_t)ev->result;
        if (r->have < r->place.bytes) {
            queue_reader_continue(q, r);
            return;
        }
        status = queue_reader_check(q, r, &piece);
    } else {
        status = queue_reader_failed(q, r, ev);
    }
    r->done(r->ctx, r->owner, status, piece);
}
