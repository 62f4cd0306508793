/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * authors - in whose name a message is written
 *
 * Purpose:   keeps the From and Sender fields of a header that streams past and gives their addresses.
 *            All fields of these names count: programs differ in which of several they show.
 * Owner:     the struct that embeds it: init, deinit. Thread: the owner's.
 * Input:     a header without its empty line, in pieces of any size, lines ending in CRLF.
 * Limits:    bytes_max of init for all kept fields together; beyond: overflow.
 * Errors:    enum mail_authors_result.
 * RFC:       5322 3.6.2; white space before the colon as 4.5.
 */
#ifndef RINGPOST_MAIL_AUTHORS_H
#define RINGPOST_MAIL_AUTHORS_H

#include "core/base/buf.h"
#include "proto/mail/address.h"

enum mail_authors_result {
    MAIL_AUTHORS_READ,    /* at least one address was given */
    MAIL_AUTHORS_MISSING, /* there is no From field */
    MAIL_AUTHORS_SYNTAX,  /* a field cannot be read, or names nobody */
    MAIL_AUTHORS_STOPPED  /* by the sink */
};

struct mail_authors {
    struct buf text; /* kept fields with their names; overflow: no memory */
    char name[8];    /* of the field at hand, as far as it was seen */
    uint8_t name_len;
    uint8_t state;
    bool keeping;
    uint32_t from_fields;
};

void mail_authors_init(struct mail_authors *a, size_t bytes_max);
void mail_authors_deinit(struct mail_authors *a);
void mail_authors_add(struct mail_authors *a, struct slice header);

/* Each address of each kept field, in their order. */
enum mail_authors_result mail_authors_each(const struct mail_authors *a,
                                           const struct mail_address_sink *to);

#endif
