/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * channel - c-ares on the ring
 *
 * Purpose:   puts questions on the wire and brings answers back: sockets by c-ares, readiness by
 *            io_poll, one coarse timer. Every question has a socket (source port) of its own, 0x20
 *            and a DNS cookie; truncated answers are asked again over TCP. A question that got no
 *            valid answer over UDP in time is asked over TCP (a resolver that loses the letter case,
 *            a path that drops large packets, a spoofer) at least once, then again, until
 *            tries * timeout_ms have passed since it was first asked.
 * Owner:     struct dns owns the channel. A dns_ask is embedded in its owner and belongs to the
 *            channel from dns_channel_ask until dns_channel_next returns it.
 * Thread:    the worker's.
 * Limits:    in_flight_max questions on the wire, further ones wait in order.
 * Errors:    every question comes back with an answer; NULL stands for no memory.
 * Completions: c-ares' callbacks only note the answer; nothing of ours runs inside them.
 */
#ifndef RINGPOST_DNS_CHANNEL_H
#define RINGPOST_DNS_CHANNEL_H

#include "core/base/list.h"
#include "core/base/rng.h"
#include "core/base/timer.h"
#include "core/io/io.h"
#include "dns/answer.h"

struct dns_config;
struct dns_channel;

struct dns_ask {
    struct list link;
    struct slice name; /* NUL behind it; the owner's */
    enum dns_type type;
    struct dns_channel *channel;
    struct dns_answer *answer; /* the receiver of dns_channel_next takes it; NULL: no memory */
    uint64_t first_ms;         /* when it went on the wire */
    bool tcp;
    bool timed_out;
};

struct dns_channel_counters {
    uint64_t asked;
    uint64_t timeouts;
    uint32_t in_flight;
    uint32_t waiting;
};

struct dns_channel *dns_channel_open(const struct dns_config *cfg, struct io *io,
                                     struct timer_wheel *timers, struct rng *rng,
                                     struct buf *error);
/* Every question comes back (unanswered ones as FAILED), sockets are closed. No dns_channel_ask after. */
void dns_channel_stop(struct dns_channel *ch);
/* True when no poll is in the kernel any more. */
bool dns_channel_idle(const struct dns_channel *ch);
/* Stopped and idle; all answers taken. */
void dns_channel_close(struct dns_channel *ch);

void dns_channel_ask(struct dns_channel *ch, struct dns_ask *ask);
/* Time-outs, clean-up, and what waits goes out while there is room. */
void dns_channel_run(struct dns_channel *ch);
bool dns_channel_pending(const struct dns_channel *ch);
/* The next question that is answered, or NULL. */
struct dns_ask *dns_channel_next(struct dns_channel *ch);
void dns_channel_on_io(struct dns_channel *ch, const struct io_event *ev);
const struct dns_channel_counters *dns_channel_counters(const struct dns_channel *ch);

#endif
