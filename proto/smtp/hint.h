/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hint - what a negative reply says about the connection rather than about the message
 *
 * Purpose:   two things that no code or enhanced code tells apart from a verdict about mail: that this
 *            connection has carried enough messages, and that we should not have sent ahead.
 * Owner:     nothing. Thread: any. Errors: none; what is not recognised is no hint.
 * Limits:    reads the first SMTP_HINT_BYTES of the text.
 */
#ifndef RINGPOST_SMTP_HINT_H
#define RINGPOST_SMTP_HINT_H

#include "core/base/slice.h"

enum { SMTP_HINT_BYTES = 512 };

enum smtp_hint {
    SMTP_HINT_NONE,
    SMTP_HINT_FULL,       /* "too many messages on this connection" and the like: 421, 450-452 */
    SMTP_HINT_PIPELINING, /* "improper use of SMTP command pipelining", "synchronization error" */
};

enum smtp_hint smtp_hint_of(uint16_t code, struct slice text);

#endif
