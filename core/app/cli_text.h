/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_text - values as people read them
 *
 * Purpose:   text from strangers, sizes and ages on a terminal.
 * Owner:     none. Thread: any. Units: in the names. Errors: none.
 */
#ifndef RINGPOST_APP_CLI_TEXT_H
#define RINGPOST_APP_CLI_TEXT_H

#include "core/base/buf.h"

/* Control characters (C0, DEL, C1), what turns the writing direction, and broken UTF-8 become '?':
 * a remote server's reply must not move the operator's cursor. */
void cli_text_add(struct buf *out, struct slice text);
/* "512 B", "1.5 KiB", "25.0 MiB". */
void cli_text_add_size(struct buf *out, uint64_t bytes);
/* "45s", "5m03s", "2h10m", "3d04h". */
void cli_text_add_age(struct buf *out, uint64_t seconds);

#endif
