/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client_command - the text of the envelope commands, and the last check before it is made
 *
 * Purpose:   MAIL and RCPT with the parameters the peer offered and no others. Every string that
 *            came from a client passes smtp_envelope_* here, immediately before it is written, even
 *            though it was checked when it was accepted (reliability B6).
 * Owner:     pure functions. Thread: any.
 * Errors:    the checks return false; the writers rely on them (must).
 * RFC:       5321 4.1.1.2-3, 1870 3, 3461 4, 6152 2, 6531 3.4.
 */
#ifndef RINGPOST_SMTP_CLIENT_COMMAND_H
#define RINGPOST_SMTP_CLIENT_COMMAND_H

#include "proto/smtp/client.h"

/* Fits between < and >: no control character, space or angle bracket outside quotes, quotes closed,
 * 8-bit only with utf8, at most LIMIT_ADDRESS_BYTES. The empty address passes: the null sender. */
bool smtp_envelope_address_ok(struct slice address, bool utf8);
/* A parameter value: printable without space, 8-bit only with utf8. */
bool smtp_envelope_value_ok(struct slice value, size_t bytes_max, bool utf8);

void smtp_command_mail(struct buf *out, const struct smtp_client_txn *txn,
                       const struct smtp_caps *caps);
void smtp_command_rcpt(struct buf *out, const struct smtp_client_txn *txn,
                       const struct smtp_client_rcpt *rcpt, const struct smtp_caps *caps);

#endif
