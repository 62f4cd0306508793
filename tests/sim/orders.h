/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * orders - an operator at work, and whether what was ordered holds
 *
 * Purpose:   hold, release, retry, bounce, delete, route, suspend and resume at random moments, each asked of the
 *            workers as the control thread asks (engine_ask). What was answered as done must hold, over crashes,
 *            until an order takes it back; what was not answered may or may not have happened.
 * Owner:     the process; a struct orders_marks is in each recipient of the ledger. One order at a time.
 * Thread:    the only one. Errors: an order that does not hold is sim_fail.
 */
#ifndef RINGPOST_TESTS_SIM_ORDERS_H
#define RINGPOST_TESTS_SIM_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

enum { ORDERS_DETOUR = 210 }; /* the "domain" of the server that mail is routed to */

struct orders_mark {
    bool maybe;   /* an order was given */
    bool certain; /* … answered, and meant this one */
    uint64_t since_us;
    unsigned life;
    unsigned
        busy_life; /* + 1: an order met it in a transaction; the next one like it does not name it again */
};

struct orders_marks {
    struct orders_mark ended, held, routed;
    bool quietly; /* nobody may hear of its end */
    bool meant;   /* by the order under way */
};

void orders_reset(void);
/* The operator comes. */
void orders_begin(void);
/* No more of it: everything is taken back. */
void orders_calm(void);
bool orders_are_over(void);
void orders_engine_died(void);

/* An attempt for this recipient is seen at that server. */
void orders_may_be_sent(unsigned m, unsigned rcpt, unsigned server);
/* Its mail may be there for an order's sake. */
bool orders_may_detour(unsigned m, unsigned rcpt, unsigned server);
/* Recovery has found it waiting, due then. */
void orders_recovered(unsigned m, unsigned rcpt, uint64_t due_ms);

#endif
