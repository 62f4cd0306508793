/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * check - what one row cannot say
 *
 * Purpose:   relations between keys, and the values that follow from others (host name, socket path,
 *            ports of relay hosts).
 * Owner:     new texts go into a->arena. Thread: the loader's.
 * Errors:    reported at the place of the key that is named; a relation is not judged when one of its
 *            keys was refused already.
 */
#ifndef RINGPOST_CONF_CHECK_H
#define RINGPOST_CONF_CHECK_H

#include "core/conf/apply.h"
#include "core/conf/conf.h"

/* Fills what was left empty. The list items behind c are still the loader's to write. */
void conf_derive(struct conf_apply *a, struct conf *c);
void conf_check(const struct conf_apply *a, const struct conf_node *root, const struct conf *c);

/* Room that conf_derive may take in the arena. */
enum { CONF_DERIVE_BYTES_MAX = 16 * 1024 };

#endif
