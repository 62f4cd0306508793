/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * select - which recipients of which messages an operator means
 *
 * Purpose:   all that is given must be true. id, sender, tenant, campaign and age are of the message; the others
 *            of each recipient, so that of a message to two domains one recipient can be meant.
 * Owner:     a plain value without pointers: it is copied into mails as it is.
 * Thread:    any; queue_select_rcpt with a site: the queue's.
 * Limits:    names as long as these things can be; last_reply QUEUE_SELECT_REPLY_BYTES.
 * Errors:    none: what is not known matches nothing.
 *
 * A site is meant by the name of one of its hosts. Where a domain's mail goes is known while it has been routed
 * lately; what is only stored has no site.
 */
#ifndef RINGPOST_QUEUE_SELECT_H
#define RINGPOST_QUEUE_SELECT_H

#include "core/base/limits.h"
#include "core/base/slice.h"

struct queue;
struct queue_message;
struct queue_rcpt;
struct queue_site;

enum { QUEUE_SELECT_NAME_BYTES = 64, QUEUE_SELECT_REPLY_BYTES = 200 };

struct queue_select {
    uint64_t id;            /* 0: any */
    uint64_t older_than_ms; /* 0: any */
    bool all;               /* everything is meant: said explicitly */
    bool null_sender;       /* sender "" is meant, not any */
    char recipient[LIMIT_ADDRESS_BYTES + 2];
    char domain[LIMIT_DOMAIN_BYTES + 1];
    char sender[LIMIT_ADDRESS_BYTES + 2];
    char site[LIMIT_DOMAIN_BYTES + 1];
    char tenant[QUEUE_SELECT_NAME_BYTES + 1];
    char campaign[QUEUE_SELECT_NAME_BYTES + 1];
    char source[QUEUE_SELECT_NAME_BYTES + 1];      /* it would leave by now: queue_source_of */
    char last_reply[QUEUE_SELECT_REPLY_BYTES + 1]; /* a part of it, case does not matter */
};

/* Nothing is given: it would mean everything. */
bool queue_select_empty(const struct queue_select *s);
bool queue_select_message(const struct queue_select *s, const struct queue_message *m,
                          uint64_t now_us);
/* Of a message that matches. */
bool queue_select_rcpt(struct queue *q, const struct queue_select *s, const struct queue_message *m,
                       const struct queue_rcpt *r);

/* The right side of an address; empty: it has none. */
struct slice queue_address_domain(struct slice address);
/* Whether one of the site's hosts has this name. */
bool queue_site_has_host(const struct queue_site *s, struct slice host);
/* Where this recipient's mail goes; NULL: not known now. */
struct queue_site *queue_rcpt_site(struct queue *q, const struct queue_rcpt *r);

#endif
