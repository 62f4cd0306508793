/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Makes the report that a batch owes. The headers of the original come from memory or, when the body
 * was dropped (a retry failed), from its first piece on disk: then the batch waits for that read.
 * If the original cannot be read the report goes out without it: that it failed is what matters.
 *
 *   queue_bounce_start ─► (read) ─► build ─► events->sign_report ─► signed: the batch is appended
 *
 * Until then the batch is in no list; m->pending_count keeps the original. At the end of the engine nothing
 * waits here: who reads or signs is waited for.
 */
#include "core/queue/queue.h"
#include "core/queue/times.h"
#include "proto/mail/dsn.h"

#include <stdlib.h>

enum {
    QUEUE_DSN_BYTES_MAX = 900 * 1024, /* fits one frame together with signatures and results */
};

struct queue_bounce {
    struct queue *queue;
    struct queue_batch *batch;
    struct handle reader;
    uint64_t id;
    struct dsn_facts facts;
    struct buf content;
};

static bool queue_has_leading_dot(struct slice body)
{
    if (body.len && body.ptr[0] == '.') {
        return true;
    }
    return body.len && memmem(body.ptr, body.len, "\n.", 2) != NULL;
}

static size_t queue_header_bytes(struct slice content)
{
    const char *end = content.len ? memmem(content.ptr, content.len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - content.ptr) + 4 : content.len;
}

static uint32_t queue_bounce_rcpts(const struct queue_batch *b, struct dsn_rcpt *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        if (!b->rows[i].notice) {
            continue;
        }
        const struct queue_rcpt *r = &b->message->rcpts[b->rows[i].rcpt];
        enum dsn_action action = (enum dsn_action)(b->rows[i].notice - 1);
        out[n++] = (struct dsn_rcpt){
            .address = r->address,
            .orcpt = r->orcpt,
            .action = action,
            .outcome =
                {
                    .kind = action == DSN_RELAYED || action == DSN_DELIVERED ? OUTCOME_DELIVERED
                            : action == DSN_FAILED                           ? OUTCOME_PERMANENT
                                                                             : OUTCOME_TEMPORARY,
                    .remote = b->remote_mta.len > 0,
                    .code = r->last_code,
                    .enhanced = r->last_enhanced,
                    .text = slice_str(r->last_text),
                },
            .remote_mta = b->remote_mta,
            .last_attempt_us = b->at_us,
        };
    }
    return n;
}

/* The signature stands on top: a part of the header. */
static struct queue_message *queue_bounce_message(const struct queue_bounce *bounce,
                                                  struct slice signature)
{
    struct queue *q = bounce->queue;
    struct slice sender = bounce->batch->message->sender;
    struct slice content = buf_slice(&bounce->content);
    struct queue_message_init init = {
        .id = bounce->id,
        .arrival_us = io_now(q->io)->wall_us,
        .flags = QUEUE_MSG_DSN | (bounce->facts.body_8bit ? QUEUE_MSG_8BIT : 0u) |
                 (bounce->facts.smtputf8 ? QUEUE_MSG_SMTPUTF8 : 0u) |
                 (queue_has_leading_dot(content) ? QUEUE_MSG_LEADING_DOT : 0u),
        .rcpt_count = 1,
        .rcpt_bytes = sender.len,
    };
    struct queue_message *m = queue_message_new(q, &init);
    char *body = malloc(signature.len + content.len);
    must(m != NULL && body != NULL);
    if (signature.len) {
        memcpy(body, signature.ptr, signature.len);
    }
    memcpy(body + signature.len, content.ptr, content.len);
    queue_message_add_rcpt(m, sender, (struct slice){NULL, 0}, 0);
    m->body_bytes = signature.len + content.len;
    m->header_bytes = signature.len + queue_header_bytes(content);
    queue_message_give_body(q, m, body);
    return m;
}

static void queue_bounce_log(struct queue *q, const struct queue_batch *b)
{
    if (obs_begin(q->log, OBS_DSN, io_now(q->io)->wall_us)) {
        char id[QUEUE_ID_TEXT_BYTES + 1], original[QUEUE_ID_TEXT_BYTES + 1];
        obs_str(q->log, OBS_F_ID, queue_id_text(b->dsn->id, id));
        obs_str(q->log, OBS_F_REASON, queue_id_text(b->message->id, original));
        obs_str(q->log, OBS_F_TO, b->message->sender);
        obs_end(q->log, io_now(q->io)->mono_ms);
    }
}

/* Where the peer could not take the message as it is, it could not take a report that quotes it either. */
static bool queue_bounce_headers_only(const struct queue_batch *b)
{
    static const struct enhanced rows[] = {{5, 6, 3}, {5, 6, 7}, {5, 3, 4}};
    for (uint32_t i = 0; i < b->count; i++) {
        const struct enhanced *e = &b->message->rcpts[b->rows[i].rcpt].last_enhanced;
        for (size_t k = 0; b->rows[i].notice && k < ARRAY_COUNT(rows); k++) {
            if (e->cls == rows[k].cls && e->subject == rows[k].subject &&
                e->detail == rows[k].detail) {
                return true;
            }
        }
    }
    return false;
}

/* Ends in bounce->content. original: what there is of it. */
static void queue_bounce_write(struct queue_bounce *bounce, struct slice original)
{
    struct queue *q = bounce->queue;
    struct queue_batch *b = bounce->batch;
    struct queue_message *m = b->message;
    struct dsn_rcpt rcpts[QUEUE_BATCH_RCPTS_MAX];
    char id_text[QUEUE_ID_TEXT_BYTES + 1];
    struct slice headers = slice_first(original, m->header_bytes);
    if (headers.len >= 4 && memcmp(headers.ptr + headers.len - 4, "\r\n\r\n", 4) == 0) {
        headers.len -= 2;
    }
    bool whole = original.len == m->body_bytes && original.len > 0;
    struct dsn dsn = {
        .reporting_mta = q->conf->identity.hostname,
        .from = q->conf->dsn.from,
        .sender = m->sender,
        .envid = m->envid,
        .queue_id = queue_id_text(m->id, id_text),
        .arrival_us = m->arrival_us,
        .now_us = io_now(q->io)->wall_us,
        .retry_until_us = queue_message_end_ms(m, &q->conf->queue) * 1000,
        .deliver_by_us = queue_message_by_s(m) * 1000000,
        .unique = bounce->id,
        .ret = queue_bounce_headers_only(b) ? MAIL_RET_HDRS : (enum mail_ret)m->ret,
        .smtputf8 = (m->flags & QUEUE_MSG_SMTPUTF8) != 0,
        .headers = headers,
        .body = whole ? slice_skip(original, m->header_bytes) : (struct slice){NULL, 0},
        .body_bytes = m->body_bytes -
                      (m->header_bytes < m->body_bytes ? m->header_bytes : m->body_bytes),
        .original_bytes_max = q->conf->dsn.original_bytes_max,
        .rcpts = rcpts,
        .rcpt_count = queue_bounce_rcpts(b, rcpts),
    };
    bool ok = dsn_build(&bounce->content, &dsn, &bounce->facts);
    if (!ok) { /* too big with the original: without it a report always fits */
        buf_clear(&bounce->content);
        dsn.headers = dsn.body = (struct slice){NULL, 0};
        ok = dsn_build(&bounce->content, &dsn, &bounce->facts);
    }
    must(ok);
}

/* original: all of it, or its first piece, or nothing. */
static void queue_bounce_build(struct queue_bounce *bounce, struct slice original)
{
    struct queue *q = bounce->queue;
    bounce->id = queue_next_id(q, io_now(q->io)->wall_us);
    buf_init(&bounce->content, QUEUE_DSN_BYTES_MAX);
    queue_bounce_write(bounce, original);
    queue_body_unused(q, bounce->batch->message);
    if (!q->events->sign_report ||
        !q->events->sign_report(q->ctx, buf_slice(&bounce->content), bounce)) {
        queue_bounce_signed(bounce, SLICE(""));
    }
}

void queue_bounce_signed(struct queue_bounce *bounce, struct slice signature)
{
    struct queue *q = bounce->queue;
    struct queue_batch *b = bounce->batch;
    must(b->dsn == NULL && bounce->content.len > 0);
    b->dsn = queue_bounce_message(bounce, signature);
    buf_deinit(&bounce->content);
    free(bounce);
    queue_bounce_log(q, b);
    queue_batch_append(q, b);
}

static void queue_bounce_on_read(void *ctx, struct handle owner, enum queue_read_status status,
                                 struct slice piece)
{
    (void)owner;
    struct queue_bounce *bounce = ctx;
    struct queue *q = bounce->queue;
    struct handle reader = bounce->reader;
    queue_bounce_build(bounce, status == QUEUE_READ_OK ? piece : (struct slice){NULL, 0});
    queue_reader_close(q, &reader);
}

void queue_bounce_start(struct queue *q, struct queue_batch *b)
{
    struct queue_message *m = b->message;
    must(m->sender.len > 0 && b->dsn == NULL);
    struct queue_bounce *bounce = calloc(1, sizeof(*bounce));
    must(bounce != NULL); /* as in queue_batch_new */
    bounce->queue = q;
    bounce->batch = b;
    bool read = !m->body && queue_message_pieces(m) > 0 &&
                queue_reader_open(q, m, queue_bounce_on_read, bounce, HANDLE_NONE, &bounce->reader);
    if (read) {
        queue_reader_read(q, bounce->reader, 0);
    } else {
        queue_bounce_build(bounce, slice_of(m->body, m->body ? m->body_bytes : 0));
    }
}
