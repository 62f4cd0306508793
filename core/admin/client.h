/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client - asks the running engine over its admin socket
 *
 * Purpose:   the blocking side of request.h for the command line.
 * Owner:     the caller; nothing stays open after the call. Thread: any, blocks.
 * Limits:    a reply line of ADMIN_CLIENT_LINE_MAX; timeout_ms without a byte from the engine.
 * Errors:    by result; error gets one line without LF.
 */
#ifndef RINGPOST_ADMIN_CLIENT_H
#define RINGPOST_ADMIN_CLIENT_H

#include "core/admin/request.h"

enum {
    ADMIN_CLIENT_LINE_MAX = 4 * 1024 * 1024,
    ADMIN_CLIENT_TIMEOUT_MS = 15 * 1000,
    ADMIN_CLIENT_ORDER_MS = 120 * 1000, /* more for an order */
};

enum admin_client_result {
    ADMIN_CLIENT_OK,          /* the last line was {"done":…} */
    ADMIN_CLIENT_UNREACHABLE, /* nobody listens there, or we may not connect */
    ADMIN_CLIENT_REFUSED,     /* the engine answered {"error":…} */
    ADMIN_CLIENT_BROKEN,      /* cut, silent for too long, or not our protocol */
};

struct admin_client_sink {
    void (*line)(void *ctx, struct slice json); /* each line but the last; without LF */
    void *ctx;
    bool truncated; /* set: the engine has more than the limit let through */
};

enum admin_client_result admin_client_call(struct slice path, const struct admin_request *req,
                                           uint64_t timeout_ms, struct admin_client_sink *sink,
                                           struct buf *error);

#endif
