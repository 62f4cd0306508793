/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   part ─► recipient ─► (content from memory) ──────────────► job: begin, add, finish ─► outcome ─► next
 *               └─► reader: a piece ─► job: [begin,] add [, finish] ─► the next piece ─┘
 *
 * One job is in the pool at a time, and what it works on (the piece, the message's body) does not move before
 * it is back. A failure in the middle of a file is told to the next job, which removes the file.
 */
#include "core/relay/maildir.h"
#include "core/conf/mailbox.h"
#include "core/relay/outbound.h"

#include <errno.h>
#include <stdlib.h>

enum { MAILDIR_TEXT_BYTES = 128, MAILDIR_HOST_BYTES = 180 };

struct maildir_delivery {
    struct offload_job job;
    struct relay *relay;
    struct queue_part *part;
    uint64_t began_ms;
    uint32_t at; /* recipient, in the part */
    uint32_t piece;
    uint32_t pieces;
    struct handle reader;
    bool damaged; /* the content: nobody of this part gets it */

    /* The job: what is to be done, and what came of it. */
    bool begin;
    bool finish;
    bool abort;
    enum maildir_make make;
    struct slice content;
    int error;
    bool missing; /* there is no such mailbox */
    struct buf head;
    struct mailbox_path path;
    char name[MAILDIR_NAME_BYTES + 1];
    struct maildir_file file;

    struct outcome outcomes[LIMIT_RECIPIENTS_PER_TRANSACTION];
    char texts[LIMIT_RECIPIENTS_PER_TRANSACTION][MAILDIR_TEXT_BYTES];
};

enum maildir_make maildir_make_of(const struct conf *conf)
{
    if (conf->local.create) {
        return MAILDIR_MAKE_ALL;
    }
    return mailbox_pattern_is_per_user(conf->local.maildir) ? MAILDIR_MAKE_NONE : MAILDIR_MAKE_LAST;
}

/* ---- on a thread of the pool ---- */

static void maildir_run(struct offload_job *job, void *thread)
{
    (void)thread;
    struct maildir_delivery *d = container_of(job, struct maildir_delivery, job);
    d->error = 0;
    d->missing = false;
    if (d->abort) {
        maildir_file_abort(&d->file);
        return;
    }
    if (d->begin) {
        d->error = maildir_file_begin(&d->file, &d->path, d->make, d->name);
        d->missing = d->error == -ENOENT;
        if (d->error < 0) {
            return;
        }
        d->error = maildir_file_add(&d->file, buf_slice(&d->head));
    }
    d->error = d->error < 0 ? d->error : maildir_file_add(&d->file, d->content);
    if (d->error < 0) {
        maildir_file_abort(&d->file);
    } else if (d->finish) {
        d->error = maildir_file_finish(&d->file);
    }
}

/* ---- outcomes ---- */

static const struct queue_rcpt *maildir_rcpt(const struct maildir_delivery *d)
{
    return &d->part->message->rcpts[d->part->rcpts[d->at]];
}

static void maildir_outcome(struct maildir_delivery *d, enum outcome_kind kind, uint16_t code,
                            struct enhanced enhanced, struct slice text)
{
    struct outcome *o = &d->outcomes[d->at];
    *o = outcome_local(kind, OUTCOME_RECIPIENT, OUTCOME_STAGE_MAILBOX, enhanced, text);
    o->code = code;
    outcome_copy_text(o, d->texts[d->at], MAILDIR_TEXT_BYTES);
    d->at++;
}

static void maildir_no_mailbox(struct maildir_delivery *d)
{
    maildir_outcome(d, OUTCOME_PERMANENT, 550, (struct enhanced){5, 1, 1},
                    SLICE("no such mailbox here"));
}

static void maildir_busy(struct maildir_delivery *d)
{
    maildir_outcome(d, OUTCOME_TEMPORARY, 451, (struct enhanced){4, 3, 2},
                    SLICE("too much is being delivered at once"));
}

static void maildir_failed(struct maildir_delivery *d, int error)
{
    char text[MAILDIR_TEXT_BYTES], reason[64];
    int n = error == ENXIO ? snprintf(text, sizeof(text), "the folder of the mailboxes is missing")
                           : snprintf(text, sizeof(text), "the mailbox cannot be written: %s",
                                      strerror_r(error, reason, sizeof(reason)));
    bool full = error == ENOSPC, quota = error == EDQUOT;
    struct enhanced e = full    ? (struct enhanced){4, 3, 1}
                        : quota ? (struct enhanced){4, 2, 2}
                                : (struct enhanced){4, 3, 0};
    maildir_outcome(d, OUTCOME_TEMPORARY, full || quota ? 452 : 451, e,
                    slice_of(text, n > 0 ? (size_t)n : 0));
}

static void maildir_damaged(struct maildir_delivery *d)
{
    maildir_outcome(d, OUTCOME_PERMANENT, 554, (struct enhanced){5, 3, 0}, QUEUE_TEXT_DAMAGED);
}

/* ---- a recipient ---- */

static void maildir_next(struct maildir_delivery *d);

/* "1793619821.0HWT4N0C00000R7.mail.example.org": the same at each attempt. */
static void maildir_name(struct maildir_delivery *d, const struct conf *conf)
{
    const struct queue_message *m = d->part->message;
    char id[QUEUE_ID_TEXT_BYTES + 1], host[MAILDIR_HOST_BYTES] = "";
    struct slice h = slice_first(conf->identity.hostname, sizeof(host));
    struct slice text = queue_id_text(m->id, id);
    for (size_t i = 0; i < h.len; i++) {
        host[i] = h.ptr[i];
        if (host[i] == '/' || host[i] == ':') {
            host[i] = '_';
        }
    }
    snprintf(d->name, sizeof(d->name), "%llu.%.*sR%u.%.*s",
             (unsigned long long)(m->arrival_us / 1000000), SLICE_ARG(text), d->part->rcpts[d->at],
             (int)h.len, host);
}

/* False: the recipient has its outcome. */
static bool maildir_address(struct maildir_delivery *d)
{
    const struct conf *conf = d->relay->settings->conf;
    const struct queue_rcpt *r = maildir_rcpt(d);
    if (conf->local.maildir.len == 0 || !mailbox_find(conf, r->address, &d->path)) {
        maildir_no_mailbox(d);
        return false;
    }
    d->make = maildir_make_of(conf);
    maildir_name(d, conf);
    buf_clear(&d->head);
    buf_addf(&d->head, "Return-Path: <%.*s>\r\nDelivered-To: %.*s\r\n",
             SLICE_ARG(d->part->message->sender), SLICE_ARG(r->address));
    if (d->head.overflow) {
        maildir_busy(d);
        return false;
    }
    return true;
}

static void maildir_submit(struct maildir_delivery *d, struct slice content)
{
    d->content = content;
    must(offload_submit(d->relay->disk, &d->relay->disk_port, &d->job));
}

static void maildir_on_read(void *ctx, struct handle owner, enum queue_read_status status,
                            struct slice piece)
{
    (void)owner;
    struct maildir_delivery *d = ctx;
    d->begin = d->piece == 0;
    d->finish = d->piece + 1 == d->pieces;
    switch (status) {
    case QUEUE_READ_OK:
        maildir_submit(d, piece);
        return;
    case QUEUE_READ_DAMAGED:
        d->damaged = true;
        break;
    case QUEUE_READ_FAILED:
        break;
    }
    d->abort = true;
    if (!d->begin) {
        maildir_submit(d, slice_of("", 0));
        return;
    }
    maildir_next(d);
}

/* False: the recipient has its outcome. */
static bool maildir_start(struct maildir_delivery *d)
{
    struct queue_message *m = d->part->message;
    struct queue *q = d->relay->queue;
    if (!maildir_address(d)) {
        return false;
    }
    d->abort = false;
    d->piece = 0;
    d->pieces = queue_message_pieces(m);
    if (m->body || d->pieces == 0) {
        d->begin = d->finish = true;
        maildir_submit(d, slice_of(m->body, m->body ? m->body_bytes : 0));
        return true;
    }
    if (d->reader.gen == 0 &&
        !queue_reader_open(q, m, maildir_on_read, d, HANDLE_NONE, &d->reader)) {
        maildir_busy(d);
        return false;
    }
    queue_reader_read(q, d->reader, 0);
    return true;
}

/* ---- the part ---- */

static void maildir_end(struct maildir_delivery *d)
{
    struct relay *r = d->relay;
    struct queue_site *site = d->part->site;
    struct queue_part_end end = {
        .outcomes = d->outcomes,
        .final = true,
        .duration_ms = io_now(r->io)->mono_ms - d->began_ms,
    };
    must(d->at == d->part->count);
    if (d->reader.gen) {
        queue_reader_close(r->queue, &d->reader);
    }
    queue_part_sent(r->queue, d->part, &end, false);
    must(site->connections > 0 && r->maildirs > 0);
    site->connections--;
    r->maildirs--;
    buf_deinit(&d->head);
    free(d);
    if (queue_site_work(site)) {
        queue_site_activate(r->queue, site);
    }
}

/* At the end of the process: who has not begun stays in the queue. */
static void maildir_leave_rest(struct maildir_delivery *d)
{
    struct queue *q = d->relay->queue;
    if (!d->relay->stopping || d->at == 0 || d->at == d->part->count) {
        return;
    }
    struct queue_part *rest = queue_part_split(q, d->part, d->at);
    if (rest) {
        queue_site_return(q, rest);
    }
}

static void maildir_next(struct maildir_delivery *d)
{
    if (d->abort) { /* the content could not be read */
        d->abort = false;
        if (!d->damaged) {
            maildir_outcome(d, OUTCOME_TEMPORARY, 451, (struct enhanced){4, 3, 0},
                            QUEUE_TEXT_UNREADABLE);
        }
    }
    maildir_leave_rest(d);
    while (d->at < d->part->count) {
        if (d->damaged) {
            maildir_damaged(d);
        } else if (maildir_start(d)) {
            return;
        }
    }
    maildir_end(d);
}

static void maildir_done(struct offload_job *job, void *ctx)
{
    (void)ctx;
    struct maildir_delivery *d = container_of(job, struct maildir_delivery, job);
    if (d->abort) {
        maildir_next(d);
        return;
    }
    if (d->error == 0 && !d->finish) {
        d->piece++;
        queue_reader_read(d->relay->queue, d->reader, d->piece);
        return;
    }
    if (d->missing) {
        maildir_no_mailbox(d);
    } else if (d->error < 0) {
        maildir_failed(d, -d->error);
    } else {
        maildir_outcome(d, OUTCOME_DELIVERED, 250, (struct enhanced){2, 0, 0},
                        SLICE("delivered to the mailbox"));
    }
    maildir_next(d);
}

static bool maildir_begin(struct relay *r, struct queue_site *site)
{
    struct maildir_delivery *d = calloc(1, sizeof(*d));
    struct queue_part *p = d ? queue_site_take(r->queue, site) : NULL;
    if (!p) {
        free(d);
        return false;
    }
    d->job.run = maildir_run;
    d->job.done = maildir_done;
    d->relay = r;
    d->part = p;
    d->began_ms = io_now(r->io)->mono_ms;
    d->reader = HANDLE_NONE;
    buf_init(&d->head, 4 * LIMIT_COMMAND_LINE_BYTES);
    site->connections++;
    r->maildirs++;
    maildir_next(d);
    return true;
}

void maildir_serve(struct relay *r, struct queue_site *site)
{
    while (queue_site_work(site) && r->maildirs < MAILDIR_DELIVERIES) {
        if (!maildir_begin(r, site)) {
            queue_site_activate(r->queue, site); /* no memory: in the next turn */
            return;
        }
    }
}
