/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ledger - what was promised and what became of it: the judge
 *
 * Purpose:   clients write down what they sent and what was answered, servers what they took; recoveries are
 *            compared with both. Messages and recipients are known by their addresses: s<message>@d0.sim.org,
 *            r<message>-<recipient>@d<domain>.sim.org (b…: an address no server takes).
 * Owner:     the world: ledger_reset … ledger_end.
 * Thread:    the only one.
 * Errors:    a broken promise (P1–P6) is sim_fail.
 */
#ifndef RINGPOST_TESTS_SIM_LEDGER_H
#define RINGPOST_TESTS_SIM_LEDGER_H

#include "core/base/slice.h"
#include "spool/spool.h"
#include "tests/sim/orders.h"
#include "tests/sim/times.h"

#include <stdbool.h>
#include <stdint.h>

enum { LEDGER_RCPTS = 6 };

enum ledger_state {
    LEDGER_TRIED,   /* its end was not sent yet */
    LEDGER_SENT,    /* no answer yet; after the end of the connection: unknown for ever */
    LEDGER_ACKED,   /* 250 */
    LEDGER_LOST,    /* acknowledged, but a bit of its record flipped */
    LEDGER_REFUSED, /* 4xx, 5xx, or the client went before the end: nobody ever gets it */
};

/* What a server did with a recipient, and whether the engine knows. */
struct ledger_copies {
    unsigned count;
    uint64_t last_us;
    unsigned last_life;
    bool last_known; /* the engine has read the answer */
    bool last_ended; /* … and the last one of that transaction: it has something to record */
};

struct ledger_rcpt {
    unsigned domain;
    bool bad;
    bool named;  /* RCPT was answered with 250 */
    bool denied; /* … with something else */
    struct ledger_copies copies;
    struct ledger_copies rejects; /* 5xx */
    struct ledger_copies reports; /* DSN that says failed */
    struct orders_marks orders;
    uint64_t mark; /* the recovery that found it waiting */
};

struct ledger_message {
    enum ledger_state state;
    bool null_sender;
    char *wire; /* what the client sends: fields that the engine takes away, then … */
    size_t wire_len;
    const char *content; /* … what servers get; within wire */
    size_t content_len;
    unsigned rcpt_count;
    struct ledger_rcpt rcpts[LEDGER_RCPTS];
    uint64_t acked_us;
    uint64_t report_mark; /* the recovery that found a report on it */
    struct times times;
    bool rotten; /* a bit of its record has flipped */
};

/* A bit that has flipped in a segment, and what stands there. */
struct ledger_flip {
    uint64_t segment;
    uint64_t offset;
    bool
        known; /* it was looked up: a place of `message`, or (message == LEDGER_NOBODY) of no mail */
    unsigned message; /* its record, a piece of its content, or a report about it */
    bool is_report;
    bool idle;   /* padding: nobody reads it */
    bool copy;   /* the live spool has no such flip */
    bool judged; /* the next recovery is compared with the one before */
    bool said;   /* damage was reported there */
};

#define LEDGER_NOBODY UINT32_MAX

void ledger_reset(void);

/* ---- clients ---- */

/* A new message with recipients and content by chance. */
unsigned ledger_message_new(void);
struct ledger_message *ledger_message(unsigned m);
unsigned ledger_count(void);
void ledger_address(unsigned m, unsigned rcpt, char out[64]);
void ledger_sender(unsigned m, char out[64]);
void ledger_sent(unsigned m);
void ledger_answered(unsigned m, unsigned code);
/* The wall clock jumps to about the time of one of the messages. */
void ledger_jump(void);
/* The connection is over; ended: the client has sent the whole message. */
void ledger_abandoned(unsigned m);

/* ---- servers ---- */

/* Who an address is; false: nobody we know. */
bool ledger_parse(struct slice address, unsigned *m, unsigned *rcpt, bool *is_sender);
/* A server has taken (or refused for good) a message for this recipient; domain: where. */
void ledger_may_be_sent(unsigned m, unsigned rcpt, struct slice sender);
void ledger_took(unsigned m, unsigned rcpt, struct slice content);
void ledger_rejected(unsigned m, unsigned rcpt);
/* Returns the recipients it speaks of, a bit each. */
unsigned ledger_took_report(unsigned m, struct slice content);
/* The engine has read the answer to the last copy / reject / report (rcpt: those bits). */
enum ledger_fact { LEDGER_COPY, LEDGER_REJECT, LEDGER_REJECT_ENDED, LEDGER_REPORT };
void ledger_known(unsigned m, unsigned rcpt, enum ledger_fact fact);

/* ---- crashes ---- */

void ledger_engine_died(bool power);
void ledger_spool_is_read_only(void);
/* A bit of the spool has flipped; f NULL: nobody knows where, one record may be gone. judged: as a recovery before
 * found everything (the engine is down, or it is a copy). */
void ledger_rotten(const struct ledger_flip *f);
/* A bit has flipped, also on a copy that is being judged: what an order has written may be gone. */
bool ledger_has_rotten(void);
void ledger_recovery_begins(void);
void ledger_recovered(const struct spool_recovered *found);
void ledger_damaged(const struct spool_damage_report *report);
void ledger_recovery_ends(const char *what);

/* The queue is empty and no client is left: every promise must have been kept. */
void ledger_end(void);

#endif
