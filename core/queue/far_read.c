/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Content of a guest that is not in memory: its home reads it, with its own ring and its own hold on the
 * segment, and lends the piece. One struct goes to and fro; the home's buffer stays until the next READ or
 * the READ_END.
 */
#include "core/queue/far.h"
#include "core/base/must.h"

#include <stdlib.h>

struct queue_far_read {
    struct mail mail;
    struct queue *from; /* who reads */
    struct queue *home; /* of the message */
    struct queue_message *message;
    struct handle reader; /* at who reads */
    uint32_t index;
    bool sent;           /* the home knows of it */
    struct handle local; /* the home's reader */
    enum queue_read_status status;
    struct slice piece;
};

static void far_read_post(struct queue *q, struct queue_far_read *f, enum queue_mail_type type)
{
    const struct queue *to = type == QUEUE_MAIL_PIECE ? f->from : f->home;
    f->mail.type = (unsigned)type;
    mailbox_post(q->group->boxes[to->worker], &f->mail, q->io);
}

struct queue_far_read *queue_far_read_open(struct queue *q, struct queue_message *m,
                                           struct handle reader)
{
    struct queue_far_read *f = calloc(1, sizeof(*f));
    if (f) {
        f->from = q;
        f->home = m->queue;
        f->message = m;
        f->reader = reader;
        f->local = HANDLE_NONE;
    }
    return f;
}

void queue_far_read_start(struct queue *q, struct queue_far_read *f, uint32_t piece)
{
    f->index = piece;
    f->sent = true;
    far_read_post(q, f, QUEUE_MAIL_READ);
}

void queue_far_read_close(struct queue *q, struct queue_far_read **f)
{
    if ((*f)->sent) {
        far_read_post(q, *f, QUEUE_MAIL_READ_END);
    } else {
        free(*f);
    }
    *f = NULL;
}

/* ---- at home ---- */

static void far_read_done(void *ctx, struct handle owner, enum queue_read_status status,
                          struct slice piece)
{
    struct queue_far_read *f = ctx;
    (void)owner;
    f->status = status;
    f->piece = piece;
    far_read_post(f->home, f, QUEUE_MAIL_PIECE);
}

static void far_read_begin(struct queue *q, struct queue_far_read *f)
{
    if (f->local.gen == 0 &&
        !queue_reader_open(q, f->message, far_read_done, f, HANDLE_NONE, &f->local)) {
        far_read_done(f, HANDLE_NONE, QUEUE_READ_FAILED, (struct slice){NULL, 0});
        return;
    }
    queue_reader_read(q, f->local, f->index);
}

static void far_read_end(struct queue *q, struct queue_far_read *f)
{
    if (f->local.gen) {
        queue_reader_close(q, &f->local);
    }
    free(f);
}

void queue_far_read_drop(struct mail *m)
{
    struct queue_far_read *f = container_of(m, struct queue_far_read, mail);
    must(m->type == QUEUE_MAIL_READ_END && f->local.gen == 0); /* an open reader keeps its queue */
    free(f);
}

void queue_far_read_on_mail(struct queue *q, struct mail *m)
{
    struct queue_far_read *f = container_of(m, struct queue_far_read, mail);
    if (m->type == QUEUE_MAIL_READ) {
        far_read_begin(q, f);
    } else if (m->type == QUEUE_MAIL_READ_END) {
        far_read_end(q, f);
    } else {
        queue_reader_on_piece(q, f->reader, f->status, f->piece);
    }
}
