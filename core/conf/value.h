/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * value - one value: text to C, C to text
 *
 * Purpose:   a row per type: how it is read and checked, printed, and how large it is in a list.
 * Owner:     text values point into what was read; conf_value_own copies them into an arena.
 * Thread:    any. Units: as the key's row says.
 * Errors:    conf_value_parse writes "what is wrong, what is allowed" to `why` and returns false.
 */
#ifndef RINGPOST_CONF_VALUE_H
#define RINGPOST_CONF_VALUE_H

#include "core/base/buf.h"
#include "core/conf/arena.h"
#include "core/conf/conf.h"
#include "core/conf/keys.h"
#include "core/conf/warmup_plan.h"

/* Which member counts follows from the type; integers of every width, enums and bool: number. */
union conf_value {
    uint64_t number;
    struct slice text;
    struct ip_addr addr;
    struct ip_net net;
    struct ip_endpoint endpoint;
    struct conf_relay_host relay;
    struct conf_weight weight;
    struct conf_egress_proxy proxy;
    struct conf_warmup_list warmup;
};

bool conf_value_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                      struct buf *why);
void conf_value_print(const struct conf_key *key, const union conf_value *v, struct buf *out);
/* Replaces the texts inside by copies in the arena. */
void conf_value_own(const struct conf_key *key, union conf_value *v, struct conf_arena *arena);

/* Bytes of one item in a list of this type. */
size_t conf_value_item_size(enum conf_type type);
/* To and from the member of struct conf (size: key->size for a single value, else the item's). */
void conf_value_store(const struct conf_key *key, const union conf_value *v, void *field,
                      size_t size);
void conf_value_load(const struct conf_key *key, const void *field, size_t size,
                     union conf_value *v);

/* "a port", "a duration": for messages. */
const char *conf_type_noun(enum conf_type type);
/* "1–65535", "0 or 5m–30d": what is allowed; nothing for types without a range. */
void conf_range_add(struct buf *out, const struct conf_key *key);
/* "a, b, c" from "a|b|c". */
void conf_choices_add(struct buf *out, const char *choices);
/* True for types whose YAML form is a bare word or number. */
bool conf_type_is_number(enum conf_type type);
bool conf_type_prints_plain(enum conf_type type);
/* Foreign text as messages show it: numbers as they are, everything else in quotes. */
void conf_value_show(struct buf *out, struct slice text);

#endif
