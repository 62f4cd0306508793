/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mailbox - which folder is a recipient's mailbox
 *
 * Purpose:   fills local.maildir in with the parts of an address. The address comes from a stranger, so
 *            what it puts into a path is one name and nothing else: no slash, no leading dot, no control
 *            character, valid UTF-8. Letters of ASCII are made small in both parts; quotes that need not
 *            be there go; a sub-address ("user+tag") belongs to "user".
 * Owner:     values. Thread: any.
 * Limits:    MAILBOX_PATH_BYTES; a name has at most 255 bytes.
 * Errors:    false: no mailbox can have that name.
 */
#ifndef RINGPOST_POLICY_MAILBOX_H
#define RINGPOST_POLICY_MAILBOX_H

#include "core/conf/conf.h"

enum { MAILBOX_PATH_BYTES = 3000 };

/* base and the names below it, each followed by a NUL. */
struct mailbox_path {
    char text[MAILBOX_PATH_BYTES];
    uint32_t base_bytes; /* without the NUL */
    uint32_t bytes;      /* with all NULs */
};

/* Is the domain one whose mail is delivered here? */
bool mailbox_is_local(const struct conf *conf, struct slice domain);
/* address: "user@example.org", or without a domain: our own host's. */
bool mailbox_find(const struct conf *conf, struct slice address, struct mailbox_path *out);

/* The next name below the base, NUL-terminated; begin with at = 0. NULL: no more. */
const char *mailbox_path_name(const struct mailbox_path *p, uint32_t *at);
/* Is there another one? */
bool mailbox_path_more(const struct mailbox_path *p, uint32_t at);

#endif
