/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * body - message text on its way in
 *
 * Purpose:   turns the octets of DATA or BDAT into canonical text: CRLF lines, dots unstuffed, no NUL,
 *            no bare CR or LF. Hands out slices of the input (a run of many lines is one slice) and
 *            gathers the facts of struct smtp_body_facts.
 * Owner:     embedded in the transaction. Thread: the owner's. Memory: none of its own.
 * Limits:    those of the listener; passing one is a fault.
 * Errors:    faults are bits; text after the first fault is still read to its end (the session must
 *            stay in sync) and still judged, so that which fault is reported depends on the message
 *            and not on how it was cut into segments.
 * RFC:       5321 4.1.1.4 (only CRLF.CRLF ends data), 4.5.2; 3030; 2.3.8 (bare CR and LF).
 */
#ifndef RINGPOST_SMTP_BODY_H
#define RINGPOST_SMTP_BODY_H

#include "proto/smtp/headscan.h"
#include "proto/smtp/scan.h"
#include "proto/smtp/server.h"

/* In order of rank: the lowest set bit is the one reported. */
enum {
    SMTP_FAULT_BARE = 1 << 0,
    SMTP_FAULT_NUL = 1 << 1,
    SMTP_FAULT_SIZE = 1 << 2,
    SMTP_FAULT_HEADER_SIZE = 1 << 3,
    SMTP_FAULT_HEADER_FIELDS = 1 << 4,
    SMTP_FAULT_HOPS = 1 << 5,
    SMTP_FAULT_LINE = 1 << 6,
};

enum smtp_body_event {
    SMTP_BODY_MORE, /* the input is used up */
    SMTP_BODY_RUN,  /* *run is canonical text to store */
    SMTP_BODY_END,  /* CRLF.CRLF was consumed; what is left of *in is not message text */
};

struct smtp_body {
    const struct smtp_server_config *config;
    struct smtp_scan scan;
    struct smtp_headscan head;
    struct smtp_body_facts facts;
    uint32_t faults;
    uint8_t state;
    bool dots;     /* DATA: dot-stuffed and ended by CRLF.CRLF */
    bool after_lf; /* the line before ended in a bare LF: "." CRLF does not end the message */
    bool cr_held;  /* the CR of state CR was not handed out */
};

void smtp_body_init(struct smtp_body *b, const struct smtp_server_config *config, bool dots);

enum smtp_body_event smtp_body_step(struct smtp_body *b, struct slice *in, struct slice *run);

/* BDAT: the last chunk is over. True: *run must still be stored (a line end was added). Then, or
 * after SMTP_BODY_END, the facts and faults are final. */
bool smtp_body_finish(struct smtp_body *b, struct slice *run);

/* The reply for the gravest fault, NULL when there is none. */
const struct smtp_verdict *smtp_body_verdict(const struct smtp_body *b);

#endif
