/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * far - parts, results and credits on the way between workers
 *
 * Purpose:   what the queues of two workers say to each other. A part travels by its own mail node, so
 *            handing it over copies nothing and allocates nothing; the first mail into an empty box wakes
 *            the other ring, the others ride along.
 * Owner:     whoever has the mail. Thread: the sender's, then the receiver's.
 * Limits:    an owner gives away at most what an executor has room for (sched.h).
 * Errors:    without memory for a result the recipients are tried again later, as if their outcome were
 *            unknown: a second copy is possible then (P4), a lost one is not.
 *
 *   home ──OFFER──► owner ──ASSIGN──► executor ──RESULT──► home      the way of a part
 *                     ◄──RETURN── executor                          it was not sent, others may
 *   anybody ──RELEASE──► home                                       it is to be routed again
 *   executor ──UNPIN──► home                                        the kernel has given its bytes back
 *   executor ──CREDIT──► owner                                      what it has done and needs no more
 *   executor ──READ──► home ──PIECE──► executor … ──READ_END──► home      content on the home's disk
 *
 * Leaving: a worker that stops gives back what it has of others' (RELEASE) and waits until nothing of its
 * own is away. From then on it offers, assigns and returns nothing. So when all workers leave
 * (queue_group.leaving) and the box has been read once more, nothing can come that anybody waits for.
 */
#ifndef RINGPOST_QUEUE_FAR_H
#define RINGPOST_QUEUE_FAR_H

#include "core/queue/queue.h"

enum queue_mail_type {
    QUEUE_MAIL_OFFER = 100, /* above the control thread's own (core/app/worker.h) */
    QUEUE_MAIL_ASSIGN,
    QUEUE_MAIL_RETURN,
    QUEUE_MAIL_RELEASE,
    QUEUE_MAIL_RESULT,
    QUEUE_MAIL_UNPIN,
    QUEUE_MAIL_CREDIT,
    QUEUE_MAIL_READ,
    QUEUE_MAIL_PIECE,
    QUEUE_MAIL_READ_END,
    QUEUE_MAIL_MEMO,   /* core/queue/memo.h */
    QUEUE_MAIL_RECALL, /* core/queue/recall.h */
    QUEUE_MAIL_PEER,   /* core/queue/peers.h */
    QUEUE_MAIL_LESSON, /* core/queue/lesson.h */
    QUEUE_MAIL_BRAKES, /* core/queue/brake.h */
    QUEUE_MAIL_SHED,
    QUEUE_MAIL_WARMUP, /* core/queue/warmup.h */
};

/* To another worker's queue. Whoever sends a type of his own reads it, and lets go what nobody will read. */
void queue_far_post(struct queue *q, unsigned worker, struct mail *m, enum queue_mail_type type);
/* True: the mail was for the queue and is dealt with. */
bool queue_far_on_mail(struct queue *q, struct mail *m);
/* A mail that nobody will read any more (both ends have stopped). */
void queue_far_drop(struct mail *m);

void queue_far_offer(struct queue *q, struct queue_part *p, const struct queue_site *s);
void queue_far_assign(struct queue *q, struct queue_part *p, unsigned worker);
void queue_far_return(struct queue *q, struct queue_part *p, struct queue_site *s);
void queue_far_release(struct queue *q, struct queue_part *p);
/* The outcomes of a guest. pinned: the kernel still reads its content; queue_far_unpin follows. An outcome of
 * kind NONE: nothing was tried with that recipient. */
void queue_far_result(struct queue *q, struct queue_part *p, const struct queue_part_end *end,
                      bool pinned);
void queue_far_unpin(struct queue *q, struct queue_message *m);
/* The site failed here; with it goes everything else that the owner has to know. */
void queue_far_failed(struct queue *q, struct queue_site *s, const struct outcome *why,
                      bool dropped);
/* What its owner has not been told yet. */
void queue_far_tell(struct queue *q, struct queue_site *s);
/* The same for all sites; once per turn. */
void queue_far_run(struct queue *q);

/* ---- far_read.c: a reader of a guest's content ---- */

struct queue_far_read;
/* NULL: no memory. reader: whom PIECE is for. */
struct queue_far_read *queue_far_read_open(struct queue *q, struct queue_message *m,
                                           struct handle reader);
void queue_far_read_start(struct queue *q, struct queue_far_read *f, uint32_t piece);
/* No read may be under way. */
void queue_far_read_close(struct queue *q, struct queue_far_read **f);
/* READ, PIECE, READ_END. */
void queue_far_read_on_mail(struct queue *q, struct mail *m);
/* A READ_END that its home will not read any more. */
void queue_far_read_drop(struct mail *m);

#endif
