/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * print - the table's rows as text
 *
 * Purpose:   the pieces conf_print_* share; also with a table of a test's own.
 * Owner:     the caller's buffer; check its overflow flag once at the end. Thread: any.
 */
#ifndef RINGPOST_CONF_PRINT_H
#define RINGPOST_CONF_PRINT_H

#include "core/base/buf.h"
#include "core/conf/keys.h"

/* A value as YAML flow text that is JSON too (base: the struct the key's offset counts from).
 * Secrets come out as "(redacted)". */
void conf_key_value_add(struct buf *out, const struct conf_key *key, const void *base);
/* The default, in the same form. */
void conf_key_default_add(struct buf *out, const struct conf_key *key);
/* "text" with JSON escapes. */
void conf_quote_add(struct buf *out, struct slice text);

void conf_print_yaml_table(const struct conf_table *t, const void *conf, struct buf *out);

#endif
