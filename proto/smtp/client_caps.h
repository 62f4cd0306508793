/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client_caps - what a peer's EHLO answer offers
 *
 * Purpose:   one row per EHLO keyword the client uses; others are ignored. A keyword with a broken
 *            argument is treated as not offered (SIZE: as offered without limit).
 * Owner:     a value, embedded in the client machine; forgotten after STARTTLS (RFC 3207 4.2).
 * Thread:    any. Errors: none.
 * RFC:       5321 4.1.1.1, 1870, 2852, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 8689, 9422.
 */
#ifndef RINGPOST_SMTP_CLIENT_CAPS_H
#define RINGPOST_SMTP_CLIENT_CAPS_H

#include "core/base/slice.h"

struct smtp_caps {
    bool esmtp; /* EHLO was accepted (not HELO) */
    bool pipelining;
    bool chunking;
    bool size;
    bool eightbitmime;
    bool smtputf8;
    bool dsn;
    bool enhancedstatuscodes;
    bool starttls;
    bool requiretls;
    bool deliverby;
    bool auth;
    uint32_t auth_mechanisms;   /* SMTP_AUTH_* that are known to us */
    uint64_t size_max;          /* 0: no limit named */
    uint32_t by_min_s;          /* DELIVERBY: the shortest time of mode R; 0: any */
    uint32_t limit_rcpt;        /* LIMITS RCPTMAX, 0: none */
    uint32_t limit_mail;        /* LIMITS MAILMAX, 0: none */
    uint32_t limit_rcpt_domain; /* LIMITS RCPTDOMAINMAX, 0: none */
};

/* text: an EHLO reply's lines joined with LF (struct smtp_reply.text); the first is the greeting. */
void smtp_caps_parse(struct smtp_caps *caps, struct slice text);

#endif
