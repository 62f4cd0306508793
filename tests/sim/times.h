/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * times - when a message may go out, and until when; and what the wall clock has shown
 *
 * Purpose:   fields of a header (Send-At, Expire, priority, tenant) by chance, and what follows from them whatever
 *            the wall clock did: nothing before its time, nothing long after its end, no expiry that is too early.
 * Owner:     the process; struct times is a value in each message of the ledger.
 * Thread:    the only one. Units: microseconds: virtual time (_us), the wall clock's since 1970 (_wall).
 * Errors:    a broken promise is sim_fail.
 */
#ifndef RINGPOST_TESTS_SIM_TIMES_H
#define RINGPOST_TESTS_SIM_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TIMES_FIELDS = 320 };

struct times {
    char fields[TIMES_FIELDS]; /* what the client puts on top; the engine takes it away */
    uint64_t began_us;         /* not before that the engine has looked at the clock for it … */
    uint64_t told_us;          /* … and not after; 0: it was not answered */
    bool send_relative, expire_relative;
    int64_t send_at, expire; /* _wall, or us from the engine's look at the clock; 0: none */
};

/* ---- the wall clock ---- */

void times_reset(void);
int64_t times_wall(void);
/* From now on it is off by that. */
void times_jump(int64_t shift_us);
/* What it has shown at the least, or at the most, in between. */
int64_t times_wall_min(uint64_t from_us, uint64_t to_us);
int64_t times_wall_max(uint64_t from_us, uint64_t to_us);

/* ---- messages ---- */

/* Draws a message's fields; without the feature there are none. */
void times_draw(struct times *t);
/* The clock jumps to about the time or the end of that message. */
void times_jump_to(const struct times *t);
/* A new attempt is seen. */
void times_may_be_sent(const struct times *t, unsigned m);
/* May it have ended by its age or its own end? */
bool times_may_be_over(const struct times *t);

#endif
