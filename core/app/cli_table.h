/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_table - the admin socket's JSON lines as text for people
 *
 * Purpose:   renders the answers of `queue …` and `suspend …` (docs/ADMIN.md has the fields). Reads
 *            what it knows and shows unknown statistics as they are, so an older command line works
 *            with a newer engine.
 * Owner:     none. Thread: any.
 * Errors:    false when the line is not one JSON object; nothing is appended then.
 */
#ifndef RINGPOST_APP_CLI_TABLE_H
#define RINGPOST_APP_CLI_TABLE_H

#include "core/base/buf.h"

void cli_table_add_ls_head(struct buf *out);
/* now_s: wall clock in seconds, for "next in 4m00s". */
bool cli_table_add_ls(struct buf *out, struct slice json, uint64_t now_s);
bool cli_table_add_show(struct buf *out, struct slice json, uint64_t now_s);
bool cli_table_add_stats(struct buf *out, struct slice json);
/* What an order has done, or would do. */
bool cli_table_add_order(struct buf *out, struct slice json);
void cli_table_add_peer_head(struct buf *out);
bool cli_table_add_peer(struct buf *out, struct slice json, uint64_t now_s);
bool cli_table_add_forgotten(struct buf *out, struct slice json);
void cli_table_add_suspension_head(struct buf *out);
bool cli_table_add_suspension(struct buf *out, struct slice json, uint64_t now_s);

#endif
