/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * headscan - what the inbound machine must know about a header
 *
 * Purpose:   counts fields and Received fields (loop detection) and finds the header's end while the
 *            text streams past. Does not change or keep text (proto/mail/headers.h does the editing
 *            and follows the same rules for what a field is).
 * Owner:     embedded in smtp_body. Thread: the owner's. Memory: none.
 * Limits:    the caller compares `offset` and `fields` with its limits.
 * Errors:    none: what is not a header is a body.
 * RFC:       5322 2.2, 4.5; 5321 6.3.
 */
#ifndef RINGPOST_SMTP_HEADSCAN_H
#define RINGPOST_SMTP_HEADSCAN_H

#include "core/base/slice.h"

struct smtp_headscan {
    uint64_t offset;     /* bytes seen (of the header part) */
    uint64_t line_start; /* offset of the line at hand */
    uint32_t fields;
    uint32_t hops;      /* Received fields */
    uint8_t state;      /* headscan.c */
    uint8_t name_match; /* bytes of "received" matched by the name at hand, or NAME_OTHER */
    bool has_8bit;
    bool ended; /* end is final */
    uint64_t end;
};

/* Takes the next bytes of the message; cheap once ended. */
void smtp_headscan_feed(struct smtp_headscan *h, struct slice text);
/* Bytes that are header for certain (a line whose colon has not come yet is not). */
uint64_t smtp_headscan_bytes(const struct smtp_headscan *h);
/* The message is over: everything was header when the end was not met. */
void smtp_headscan_finish(struct smtp_headscan *h);

#endif
