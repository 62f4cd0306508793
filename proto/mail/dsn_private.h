/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dsn_private - the seam between dsn.c (the message) and dsn_report.c (its two report parts)
 *
 * Purpose:   for nobody else. Owner, thread, errors: as dsn.h.
 */
#ifndef RINGPOST_MAIL_DSN_PRIVATE_H
#define RINGPOST_MAIL_DSN_PRIVATE_H

#include "proto/mail/dsn.h"

/* The worst that happened decides subject and tone: DSN_FAILED, DSN_DELAYED or DSN_RELAYED. */
enum dsn_action dsn_worst(const struct dsn *d);

/* An address or host name as header text: controls become "?", bytes >= 0x80 pass only with utf8
 * (else \xNN). Never adds a line, and never makes one too long. */
void dsn_add_word(struct buf *out, struct slice s, bool utf8);

/* The text for people; the fields for programs (RFC 3464 2), global: of message/global-delivery-
 * status (RFC 6533). */
void dsn_add_text(struct buf *out, const struct dsn *d);
void dsn_add_status(struct buf *out, const struct dsn *d, bool global);

#endif
