/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * envelope - sender and recipients of one transaction
 *
 * Purpose:   compact storage while the transaction lasts: one growing arena of bytes and one array of
 *            offsets; nothing is allocated before the first MAIL.
 * Owner:     the struct that embeds it (smtp_server's transaction): init, deinit.
 * Thread:    the owner's.
 * Units:     bytes. Views hold slices into the arena: they die with the next change of the envelope.
 * Limits:    recipients_max of the listener; the arena's ceiling is SMTP_ENVELOPE_BYTES_MAX.
 * Errors:    false: no memory or the ceiling; the envelope is as before.
 */
#ifndef RINGPOST_SMTP_ENVELOPE_H
#define RINGPOST_SMTP_ENVELOPE_H

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "proto/smtp/param.h"
#include "proto/smtp/path.h"

enum { SMTP_ENVELOPE_BYTES_MAX = LIMIT_ENVELOPE_BYTES };

struct smtp_sender_view {
    struct slice address; /* empty: the null sender */
    struct smtp_address parts;
    uint64_t size_declared; /* 0: not declared */
    bool smtputf8;
    enum smtp_body_type body;
    enum mail_ret ret;
    struct slice envid_xtext;
    struct slice envid;      /* decoded */
    struct slice auth_xtext; /* AUTH=, "<>" or xtext; empty: not given */
    uint64_t hold_until_s;   /* not before: seconds since 1970; 0: not given */
    enum smtp_by_mode by;
    bool by_trace;
    uint64_t by_until_s; /* seconds since 1970 */
};

struct smtp_rcpt_view {
    struct slice address; /* local@domain or "postmaster" */
    struct smtp_address parts;
    uint8_t notify;          /* MAIL_NOTIFY_*, 0: not given */
    struct slice orcpt_raw;  /* "rfc822;a+2Bb@x", validated, fit for passing on; empty: not given */
    struct slice orcpt_type; /* "rfc822" */
    struct slice orcpt;      /* decoded address, UTF-8 for type utf-8 */
};

struct smtp_envelope {
    struct buf arena;
    struct buf offsets; /* uint32_t per recipient */
    uint32_t rcpt_count;
    uint32_t sender_bytes; /* the sender's record is the first in the arena */
};

void smtp_envelope_init(struct smtp_envelope *e);
void smtp_envelope_deinit(struct smtp_envelope *e);

/* Replaces everything. */
bool smtp_envelope_set_sender(struct smtp_envelope *e, const struct smtp_path *path,
                              const struct smtp_mail_params *params);
/* After set_sender: what HOLDFOR, HOLDUNTIL and BY mean by the clock. Seconds since 1970; 0: not given. */
void smtp_envelope_set_times(struct smtp_envelope *e, uint64_t hold_until_s, uint64_t by_until_s);
bool smtp_envelope_push_rcpt(struct smtp_envelope *e, const struct smtp_path *path,
                             const struct smtp_rcpt_params *params);
/* Forgets the last recipient (the driver refused it). */
void smtp_envelope_pop_rcpt(struct smtp_envelope *e);

/* A sender must be set. */
void smtp_envelope_sender(const struct smtp_envelope *e, struct smtp_sender_view *out);
/* index < rcpt_count. */
void smtp_envelope_rcpt(const struct smtp_envelope *e, uint32_t index, struct smtp_rcpt_view *out);

#endif
