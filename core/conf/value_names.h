/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * value_names - the textual types: names, paths, addresses
 *
 * Purpose:   parse and print functions of value.c's type table; same contract as conf_value_parse.
 * Owner:     text results point into the input. Thread: any.
 * RFC:       1123 2.1 (host names), 5322 2.2 (field names), 5321 4.1.2, 4.1.3 (mailbox, literals).
 */
#ifndef RINGPOST_CONF_VALUE_NAMES_H
#define RINGPOST_CONF_VALUE_NAMES_H

#include "core/conf/value.h"

/* Letters, digits and inner hyphens in labels of 1..63, at most 253 in all, no dot at the end. */
bool conf_domain_valid(struct slice s);

/* Names of tenants, campaigns, sources and providers: letters, digits, - _ . @ +; case matters. */
enum { CONF_LABEL_BYTES_MAX = 64 };
bool conf_label_valid(struct slice s);

bool conf_text_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                     struct buf *why);
bool conf_domain_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                       struct buf *why);
bool conf_ehlo_name_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                          struct buf *why);
bool conf_path_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                     struct buf *why);
bool conf_field_name_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                           struct buf *why);
bool conf_label_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                      struct buf *why);
bool conf_mailbox_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                        struct buf *why);
void conf_text_print(const struct conf_key *key, const union conf_value *v, struct buf *out);

bool conf_address_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                        struct buf *why);
void conf_address_print(const struct conf_key *key, const union conf_value *v, struct buf *out);
bool conf_net_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                    struct buf *why);
void conf_net_print(const struct conf_key *key, const union conf_value *v, struct buf *out);
bool conf_endpoint_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                         struct buf *why);
void conf_endpoint_print(const struct conf_key *key, const union conf_value *v, struct buf *out);
bool conf_relay_host_parse(const struct conf_key *key, struct slice text, union conf_value *out,
                           struct buf *why);
void conf_relay_host_print(const struct conf_key *key, const union conf_value *v, struct buf *out);

#endif
