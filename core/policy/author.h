/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * author - in whose name a client may write
 *
 * Purpose:   sender.check_header: sender.restrict for each address of the From and Sender fields, as for the
 *            envelope's sender. Only for clients that may send to anybody: what strangers write to a relay
 *            domain has passed through other hands (lists), and is the recipients' to judge.
 *            What other programs might take for another author is refused: no From field, one that cannot
 *            be read, an address where a display name belongs unless it is allowed, too.
 * Thread:    any. Errors: false with the reply in *out; it may point into out->text.
 */
#ifndef RINGPOST_POLICY_AUTHOR_H
#define RINGPOST_POLICY_AUTHOR_H

#include "core/policy/access.h"
#include "proto/mail/authors.h"

/* Must the fields be kept for author_check? */
bool author_is_checked(const struct conf *conf, const struct access_client *c);
bool author_check(const struct conf *conf, const struct access_client *c,
                  const struct mail_authors *authors, struct access_refusal *out);

#endif
