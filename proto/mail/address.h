/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * address - the mailboxes of a From, Sender or Reply-To field
 *
 * Purpose:   reads an address list and gives each address in it, comments and white space removed.
 *            Strict where an address is concerned, lenient about display names: "Doe, John <j@x>",
 *            "j@x <j@x>" and "Re: J <j@x>" are everywhere. A part of the list without any '@' is a piece
 *            of a name that should have been quoted. Two readings of one field must not lead to two
 *            addresses: one with two '@', two pairs of brackets in one mailbox, an open quote or comment
 *            are syntax errors. What only might be read differently is given, and called odd.
 * Owner:     nobody: the slices live until the sink returns. Thread: any.
 * Limits:    a local part is cut at LIMIT_ADDRESS_BYTES and then odd; a longer domain than
 *            LIMIT_DOMAIN_BYTES is a syntax error.
 * Errors:    enum mail_addresses; what came before the error has been given.
 * RFC:       5322 3.4, 4.4; groups 6854; UTF-8 6532.
 */
#ifndef RINGPOST_MAIL_ADDRESS_H
#define RINGPOST_MAIL_ADDRESS_H

#include "core/base/slice.h"

enum mail_addresses { MAIL_ADDRESSES_READ, MAIL_ADDRESSES_SYNTAX, MAIL_ADDRESSES_STOPPED };

struct mail_address {
    struct slice text;   /* local@domain */
    struct slice local;  /* with its quotes */
    struct slice domain; /* a name or a literal with its brackets */
    bool in_name; /* stands where a display name or a group's name belongs, without quotes: not the
                     address of anybody, but other programs might take it for one */
    bool odd;     /* not as RFC 5322 writes an address: other programs might read another one */
};

struct mail_address_sink {
    bool (*take)(void *ctx, const struct mail_address *a); /* false: no more, STOPPED */
    void *ctx;
};

/* value: what stands behind the field's colon, folded or not. It may hold no address at all. */
enum mail_addresses mail_addresses_each(struct slice value, const struct mail_address_sink *to);

#endif
