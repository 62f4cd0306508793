/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/handshakes.h"

void handshakes_init(struct handshakes *all)
{
    *all = (struct handshakes){0};
    list_init(&all->waiting);
}

bool handshakes_may(struct handshakes *all, struct handshake_place *p)
{
    must(p->resume != NULL);
    if (handshakes_waits(p)) {
        return false; /* somebody else woke its session */
    }
    /* Nobody overtakes: who comes behind a queue joins it, also for its next flight. */
    if (p->called || (list_empty(&all->waiting) && all->spent_us < HANDSHAKES_TURN_US)) {
        all->counters.flights++;
        all->counters.waited += p->called;
        p->called = false;
        return true;
    }
    list_push_back(&all->waiting, &p->link);
    all->length++;
    return false;
}

void handshakes_took(struct handshakes *all, uint64_t us)
{
    all->spent_us += us;
}

void handshakes_leave(struct handshakes *all, struct handshake_place *p)
{
    p->called = false;
    if (handshakes_waits(p)) {
        must(all->length > 0);
        list_remove(&p->link);
        all->length--;
    }
}

void handshakes_run(struct handshakes *all)
{
    /* Not those who join while it runs: an answer may bring the next flight at once, for ever. */
    for (uint32_t n = all->length; n > 0 && all->spent_us < HANDSHAKES_TURN_US; n--) {
        struct list *node = list_pop_front(&all->waiting);
        if (!node) {
            break; /* a resumed session has ended others */
        }
        struct handshake_place *p = LIST_ENTRY(node, struct handshake_place, link);
        all->length--;
        p->called = true;
        p->resume(p); /* p may be gone now */
    }
    all->spent_us = 0;
}
