/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * notify - the NOTIFY= and RET= choices of a sender, as bits and an enum
 *
 * Purpose:   shared by the SMTP client (passing them on) and the DSN builder (obeying them).
 * RFC:       3461 4.1, 4.3.
 */
#ifndef RINGPOST_MAIL_NOTIFY_H
#define RINGPOST_MAIL_NOTIFY_H

enum {
    MAIL_NOTIFY_DEFAULT = 0, /* not given: failure and delay, as RFC 3461 4.1 leaves to us */
    MAIL_NOTIFY_NEVER = 1,
    MAIL_NOTIFY_SUCCESS = 2,
    MAIL_NOTIFY_FAILURE = 4,
    MAIL_NOTIFY_DELAY = 8,
};

enum mail_ret {
    MAIL_RET_DEFAULT,
    MAIL_RET_FULL,
    MAIL_RET_HDRS,
};

#endif
