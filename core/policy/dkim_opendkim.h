/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_opendkim - OpenDKIM's SigningTable and KeyTable
 *
 * Purpose:   fills a dkim_table from the two files as people have them (seed 003): lines of white
 *            space separated words, '#' comments.
 *              SigningTable   PATTERN KEYNAME    example.org, .example.org, *@example.org,
 *                                                *@*.example.org, * or *@* (every domain)
 *              KeyTable       KEYNAME DOMAIN:SELECTOR:KEY    DOMAIN % is the author's; KEY is a path
 *                                                (begins with / ./ ../) or the key itself
 * Owner:     none. Thread: the loader's. The texts live during the call.
 * Order:     the most exact pattern wins wherever it stands, as with OpenDKIM's plain files. (In its
 *            "refile" sets the first line that matches does.)
 * Limits:    lines of any length, OPENDKIM_ROWS_MAX rows. Only keys that a pattern names are loaded.
 * Errors:    false, every error as "FILE:LINE: what" in errors. Patterns for single users
 *            (joe@example.org) are refused: signing is by domain.
 * Not here:  '%' inside KEY, other data set types (db, ldap, lua), i= (a warning).
 */
#ifndef RINGPOST_POLICY_DKIM_OPENDKIM_H
#define RINGPOST_POLICY_DKIM_OPENDKIM_H

#include "core/policy/dkim.h"

enum { OPENDKIM_ROWS_MAX = 100000 };

struct opendkim_file {
    struct slice name; /* for messages */
    struct slice text;
};

struct opendkim_tables {
    struct opendkim_file signing;
    struct opendkim_file keys;
    struct slice root; /* stands before every absolute path of the KeyTable */
    enum dkim_canon header_canon;
    enum dkim_canon body_canon;
    bool
        multiple; /* MultipleSignatures: further lines for a pattern add signatures, else they warn */
};

bool dkim_opendkim_read(const struct opendkim_tables *in, struct dkim_table *out,
                        struct buf *errors, struct buf *warnings);

#endif
