/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * throttle - failed logins per client address and user
 *
 * Purpose:   slows guessing down: after so many failures of one pair within a time the pair is locked
 *            out for that time, whatever the password. A pair, not an address: clients behind one NAT
 *            do not lock each other out, and nobody can lock a user out from elsewhere.
 * Owner:     the engine; throttle_open, throttle_close.
 * Thread:    any (a mutex; once per login).
 * Limits:    THROTTLE_PAIRS pairs are remembered; when full the oldest of a bucket is forgotten.
 * Units:     milliseconds of the monotonic clock.
 * Errors:    throttle_open: NULL without memory.
 */
#ifndef RINGPOST_POLICY_THROTTLE_H
#define RINGPOST_POLICY_THROTTLE_H

#include "core/base/ipaddr.h"
#include "core/base/slice.h"

enum { THROTTLE_PAIRS = 16 * 1024 };

struct throttle_rule {
    uint32_t failures_max; /* 0: never locked */
    uint64_t window_ms;
};

struct throttle;

struct throttle *throttle_open(uint64_t seed);
void throttle_close(struct throttle *t);

bool throttle_locked(struct throttle *t, const struct throttle_rule *rule,
                     const struct ip_addr *addr, struct slice user, uint64_t now_ms);
/* Once per login: clients that try three mechanisms in a row made one mistake. */
void throttle_failed(struct throttle *t, const struct throttle_rule *rule,
                     const struct ip_addr *addr, struct slice user, uint64_t now_ms);
void throttle_succeeded(struct throttle *t, const struct ip_addr *addr, struct slice user);

#endif
