/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_explain_live - what the running engine says of a destination
 *
 * Purpose:   asks over the admin socket, puts the workers' answers together, shows them.
 * Owner:     the caller puts the JSON. Thread: any; blocks for ADMIN_CLIENT_TIMEOUT_MS at most per question.
 * Limits:    64 sites.
 * Errors:    NULL and a line of reason.
 */
#ifndef RINGPOST_APP_CLI_EXPLAIN_LIVE_H
#define RINGPOST_APP_CLI_EXPLAIN_LIVE_H

#include "core/base/buf.h"

struct json_object;

/* word: a domain, a host of a site, or its key. An array, empty when nothing has gone there lately. */
struct json_object *cli_explain_live(struct slice socket, struct slice word, struct buf *error);
void cli_explain_live_add(struct buf *out, struct json_object *sites);

#endif
