/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mailbox - the pattern of local.maildir
 *
 * Purpose:   "/var/mail/{domain}/{local}": names of a path, some with placeholders. Everything before the
 *            first name with a placeholder is the base, which the operator has made; without any
 *            placeholder the last name is the one mailbox and the base what stands before it.
 *            core/policy/mailbox.h fills it in.
 * Owner:     slices of the pattern. Thread: any.
 * Errors:    mailbox_pattern_valid: false with a reason for the configuration's error message.
 */
#ifndef RINGPOST_CONF_MAILBOX_H
#define RINGPOST_CONF_MAILBOX_H

#include "core/base/slice.h"

enum { MAILBOX_PATTERN_BYTES = 1000 };

enum mailbox_piece { MAILBOX_END, MAILBOX_TEXT, MAILBOX_DOMAIN, MAILBOX_LOCAL };

bool mailbox_pattern_valid(struct slice pattern, const char **why);

/* Of a valid pattern: the base, with its leading and without its closing slash ("/" itself: empty); *rest
 * begins with the first name behind it. */
struct slice mailbox_pattern_base(struct slice pattern, struct slice *rest);
/* Has it a placeholder? Else it is one mailbox for all. */
bool mailbox_pattern_is_per_user(struct slice pattern);
/* Cuts the next name off *rest; false: there is none. */
bool mailbox_pattern_name(struct slice *rest, struct slice *name);
/* Cuts the next piece off a name; text: of MAILBOX_TEXT. */
enum mailbox_piece mailbox_name_piece(struct slice *name, struct slice *text);

#endif
