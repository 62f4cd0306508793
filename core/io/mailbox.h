/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mailbox - messages from other threads to a worker
 *
 * Purpose:   many senders, one receiver, no lock. A sender collects nothing and waits for nothing; the
 *            receiver takes everything at once in its loop. The first message into an empty box wakes
 *            the receiver's io (io_wake: IORING_OP_MSG_RING or an eventfd); the others ride along.
 * Owner:     the receiver's thread owns the box; a mail belongs to the sender until posted, then to
 *            the receiver, which frees it or posts it on.
 * Thread:    mailbox_post: any thread that has an io; mailbox_take: the receiver.
 * Limits:    none of its own: senders bound what they have on the way.
 * Errors:    none.
 */
#ifndef RINGPOST_IO_MAILBOX_H
#define RINGPOST_IO_MAILBOX_H

#include "core/io/io.h"

struct mail {
    struct mail *next;
    unsigned type; /* the receiver's enum */
};

struct mailbox {
    struct mail *_Atomic head; /* newest first */
    int wake_fd;               /* of the receiver's io; set before anybody posts */
};

void mailbox_init(struct mailbox *b, int wake_fd);
void mailbox_post(struct mailbox *b, struct mail *m, struct io *sender_io);
/* All mails, oldest first, linked by next; NULL: none. */
struct mail *mailbox_take(struct mailbox *b);

#endif
