/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_top_table - the engine's answer to `top` as a table
 *
 * Purpose:   rates of the whole engine out of two answers, a line per site. What strangers wrote goes through
 *            cli_text_add.
 * Owner:     plain values. Thread: any. Units: as the fields are named (docs/ADMIN.md).
 * Errors:    false when a line is not what `top` answers; nothing is appended then.
 */
#ifndef RINGPOST_APP_CLI_TOP_TABLE_H
#define RINGPOST_APP_CLI_TOP_TABLE_H

#include "core/base/buf.h"

struct cli_top_totals {
    bool known;
    uint64_t at_ms;
    uint64_t accepted;
    uint64_t delivered;
    uint64_t deferrals;
    uint64_t queued;
    uint64_t inflight;
    uint64_t sites;
    uint64_t sessions;
    uint64_t connections;
    uint64_t memory_bytes;
};

bool cli_top_read_totals(struct slice json, struct cli_top_totals *out);
/* before: of an earlier answer; not known: there are no rates yet. */
void cli_top_add_head(struct buf *out, const struct cli_top_totals *now,
                      const struct cli_top_totals *before);
void cli_top_add_columns(struct buf *out);
bool cli_top_add_site(struct buf *out, struct slice json);
/* At most so many characters of each line of text. 0: all. */
void cli_top_add_cut(struct buf *out, struct slice text, size_t width);

#endif
