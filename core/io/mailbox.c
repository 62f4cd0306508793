/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/io/mailbox.h"

#include <stdatomic.h>

void mailbox_init(struct mailbox *b, int wake_fd)
{
    atomic_init(&b->head, NULL);
    b->wake_fd = wake_fd;
}

void mailbox_post(struct mailbox *b, struct mail *m, struct io *sender_io)
{
    struct mail *head = atomic_load_explicit(&b->head, memory_order_relaxed);
    do {
        m->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&b->head, &head, m, memory_order_release,
                                                    memory_order_relaxed));
    if (head == NULL) {
        io_wake(sender_io, b->wake_fd);
    }
}

struct mail *mailbox_take(struct mailbox *b)
{
    struct mail *newest = atomic_exchange_explicit(&b->head, NULL, memory_order_acquire);
    struct mail *oldest = NULL;
    while (newest) {
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}
