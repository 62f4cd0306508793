/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * limits - every bound of the engine, in one place
 *
 * Purpose:   fixed ceilings that no configuration may exceed, with the relations between them.
 *            Configurable limits have their defaults and ranges in core/conf/keys; these stand above.
 * Units:     in the names.
 */
#ifndef RINGPOST_BASE_LIMITS_H
#define RINGPOST_BASE_LIMITS_H

#include "core/base/must.h"

enum {
    /* RFC 5321 4.5.3.1: local part 64, domain 255, path 256 including <>. */
    LIMIT_LOCAL_PART_BYTES = 64,
    LIMIT_DOMAIN_BYTES = 255,
    LIMIT_ADDRESS_BYTES = 254,
    /* RFC 3461 4.4 (ENVID 100) and 4.2 (ORCPT 500), after xtext encoding. */
    LIMIT_ENVID_BYTES = 100,
    LIMIT_ORCPT_BYTES = 500,

    /* A command line with its CRLF; RFC 5321 asks for 512 plus what extensions add. */
    LIMIT_COMMAND_LINE_BYTES = 4096,
    /* A reply line of a peer, a whole multi-line reply of a peer. */
    LIMIT_REPLY_LINE_BYTES = 4096,
    LIMIT_REPLY_LINES = 64,
    LIMIT_REPLY_BYTES = 32 * 1024,
    /* What is kept of a reply in an outcome, a log line, a DSN. */
    LIMIT_OUTCOME_TEXT_BYTES = 512,

    /* Text line of a message without CRLF (RFC 5321 4.5.3.1.6 allows 998). */
    LIMIT_HEADER_BYTES = 100 * 1024,
    LIMIT_HEADER_FIELDS = 1000,
    LIMIT_HOPS = 100,

    LIMIT_RECIPIENTS = 100000,
    /* What one transaction's envelope may take in memory, so that its record fits a frame of the spool
     * (core/queue/queue.c checks the sum). Recipients beyond get 452 4.5.3. */
    LIMIT_ENVELOPE_BYTES = 448 * 1024,
    LIMIT_RECIPIENTS_PER_TRANSACTION = 100,

    /* A body above this is spooled in fragments while it arrives (spool/format.h). */
    LIMIT_BODY_INLINE_BYTES = 128 * 1024,
    LIMIT_BODY_FRAGMENT_BYTES = 128 * 1024,
    LIMIT_BODY_EARLY_FRAGMENTS = 256, /* smaller ones, while memory is short */

    LIMIT_WORKERS = 256,
    LIMIT_LISTENERS = 64,

    LIMIT_MX_HOSTS = 100,
    LIMIT_ADDRESSES_PER_HOST = 20,
    LIMIT_ADDRESSES_PER_SITE = 100,
};

must_static(LIMIT_ADDRESS_BYTES >= LIMIT_LOCAL_PART_BYTES + 1, "an address holds a local part");
must_static(LIMIT_REPLY_LINES * 8 <= LIMIT_REPLY_BYTES, "a reply of short lines fits");

#endif
