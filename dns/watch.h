/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * watch - readiness of c-ares' descriptors by the ring's one-shot poll
 *
 * Purpose:   for each descriptor that c-ares has open, a poll is in the kernel; its event goes to
 *            ares_process_fds, then the poll is started again. c-ares closes descriptors whenever it
 *            likes; the watch then stays until its cancelled poll has come back.
 * Owner:     the channel embeds the set.
 * Thread:    the worker's.
 * Limits:    the capacity given; a descriptor beyond it is not watched (its questions time out).
 * Errors:    a poll that fails is reported to c-ares as readiness, which finds the error itself.
 *
 *   fd >= 0, polling == 0   new, or between two polls
 *   fd >= 0, polling != 0   in the kernel
 *   fd < 0,  polling != 0   closed by c-ares, waits for the event of the cancelled poll
 */
#ifndef RINGPOST_DNS_WATCH_H
#define RINGPOST_DNS_WATCH_H

#include "core/base/map.h"
#include "core/io/io.h"

struct ares_channeldata;

struct dns_watches {
    struct io *io;
    struct pool pool;
    struct map by_fd;
};

void dns_watches_init(struct dns_watches *ws, struct io *io, uint32_t capacity, uint64_t seed);
/* Idle and closed. */
void dns_watches_deinit(struct dns_watches *ws);

/* What c-ares waits for on fd: POLLIN, POLLOUT; 0: it is about to close it. */
void dns_watches_update(struct dns_watches *ws, struct ares_channeldata *ares, int fd,
                        unsigned want);
/* True when c-ares was called (its time-outs and idle sockets are then worth a look). */
bool dns_watches_on_io(struct dns_watches *ws, const struct io_event *ev);

/* c-ares has no descriptor open. */
bool dns_watches_closed(const struct dns_watches *ws);
/* And no poll is in the kernel. */
bool dns_watches_idle(const struct dns_watches *ws);

#endif
