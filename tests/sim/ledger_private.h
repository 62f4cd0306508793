/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ledger_private - what the files of the judge share
 *
 * Purpose:   ledger.c (messages, copies, the end), ledger_recovery.c (what crashes and flipped bits leave).
 *            Nobody else includes this. Owner, thread: see ledger.h. Errors: none.
 */
#ifndef RINGPOST_TESTS_SIM_LEDGER_PRIVATE_H
#define RINGPOST_TESTS_SIM_LEDGER_PRIVATE_H

#include "tests/sim/ledger.h"
#include "tests/sim/sim.h"

enum {
    LEDGER_MESSAGES = 4096,
    LEDGER_DEATHS = 256,
    /* How long a result may be undurable: lazy frames wait some ms, commits take some. */
    LEDGER_LAZY_US = 2 * SIM_SECOND,
    LEDGER_STALL_US = 90 * SIM_SECOND,
};

struct ledger {
    struct ledger_message list[LEDGER_MESSAGES];
    unsigned count;
    uint64_t deaths[LEDGER_DEATHS]; /* when each life ended */
    uint64_t recovery;              /* number of the recovery that runs */
    unsigned flips;                 /* of bits */
    unsigned flips_anywhere; /* of them: it is not known whose, so many messages may be lost */
    unsigned lost;
    struct ledger_flip flip; /* the newest, until a recovery has been judged on it */
    unsigned reports_found;  /* by this recovery */
    unsigned reports_before;
    unsigned read_only_life; /* + 1: in this life the spool was read-only once */
};

extern struct ledger ledger;

/* It may be gone without a trace. */
bool ledger_lost_by_rot(unsigned m);
/* It may have ended, and nobody hears of it: mail of the null sender, or the report had nowhere to go. */
bool ledger_may_end_quietly(const struct ledger_message *msg, const struct ledger_rcpt *r);
/* It may have ended though no server refused it. */
bool ledger_may_end_alone(const struct ledger_message *msg, const struct ledger_rcpt *r);

#endif
