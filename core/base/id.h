/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * id - how a message's 64-bit number is shown to people
 *
 * Purpose:   the form of the log, of the 250, of `queue ls` and of the spool tools, so that an id
 *            taken from one of them is understood by the others.
 * Thread:    any.
 * Units:     "1HV5K0Q4T8ZC3": 13 characters of Crockford's base 32, leading zeros kept.
 * Errors:    id_parse returns false and leaves *out untouched.
 */
#ifndef RINGPOST_BASE_ID_H
#define RINGPOST_BASE_ID_H

#include "core/base/slice.h"

#include <stdint.h>

enum { ID_TEXT_BYTES = 13 };

/* Into dst, with a NUL behind it. */
struct slice id_text(uint64_t id, char dst[ID_TEXT_BYTES + 1]);
/* Letters in any case. */
bool id_parse(struct slice text, uint64_t *out);

#endif
