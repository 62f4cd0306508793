/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * keys_rows - the words that the rows of the key table are written in
 *
 * Purpose:   what every row of a kind has in common; only core/conf/keys.c includes it.
 * Owner:     constants. Thread: any. Units: milliseconds, bytes.
 */
#ifndef RINGPOST_CONF_KEYS_ROWS_H
#define RINGPOST_CONF_KEYS_ROWS_H

#include "core/base/limits.h"
#include "core/conf/conf.h"
#include "core/conf/keys.h"
#include "core/conf/value_names.h"
#include "core/conf/warmup.h"

#define AT(member)                                                                                 \
    .offset = offsetof(struct conf, member), .size = sizeof(((struct conf *)0)->member)
#define AT_LISTENER(member)                                                                        \
    .offset = offsetof(struct conf_listener, member),                                              \
    .size = sizeof(((struct conf_listener *)0)->member)

#define AT_USER(member)                                                                            \
    .offset = offsetof(struct conf_user, member), .size = sizeof(((struct conf_user *)0)->member)
#define AT_DOMAIN(member)                                                                          \
    .offset = offsetof(struct conf_domain, member),                                                \
    .size = sizeof(((struct conf_domain *)0)->member)

#define AT_SOURCE(member)                                                                          \
    .offset = offsetof(struct conf_egress_source, member),                                         \
    .size = sizeof(((struct conf_egress_source *)0)->member)
#define AT_POOL(member)                                                                            \
    .offset = offsetof(struct conf_egress_pool, member),                                           \
    .size = sizeof(((struct conf_egress_pool *)0)->member)
#define AT_RULE(member)                                                                            \
    .offset = offsetof(struct conf_egress_rule, member),                                           \
    .size = sizeof(((struct conf_egress_rule *)0)->member)

#define AT_PLAN(member)                                                                            \
    .offset = offsetof(struct conf_warmup_plan, member),                                           \
    .size = sizeof(((struct conf_warmup_plan *)0)->member)

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

/* What every row of a kind has in common. */
#define KEY(name) .path = SLICE_INIT(name)
#define BOOL(text) .type = CONF_BOOL, .fallback = text
#define COUNT(lo, hi, text) .type = CONF_COUNT, .min = lo, .max = hi, .fallback = text
#define PORT(text) .type = CONF_PORT, .min = 1, .max = UINT16_MAX, .fallback = text
#define DURATION(lo, hi, text) .type = CONF_DURATION, .min = lo, .max = hi, .fallback = text
#define SIZE(lo, hi, text) .type = CONF_SIZE, .min = lo, .max = hi, .fallback = text
#define ENUM(names, text) .type = CONF_ENUM, .choices = names, .fallback = text
#define DOC(text) .doc = text
/* Optional: empty unless set. */
#define FILE_PATH .type = CONF_PATH, .max = 3800, .fallback = ""
#define FILE_PATHS                                                                                 \
    .type = CONF_PATH, .shape = CONF_ONE_OR_LIST, .min = 1, .max = 3800, .items_max = 16,          \
    .fallback = ""
#define DOMAINS                                                                                    \
    .type = CONF_DOMAIN, .shape = CONF_LIST, .min = 1, .max = LIMIT_DOMAIN_BYTES,                  \
    .items_max = 10000, .fallback = ""
#define SECRET(most) .type = CONF_TEXT, .max = most, .fallback = ""
#define LABEL .type = CONF_LABEL, .min = 1, .max = CONF_LABEL_BYTES_MAX, .fallback = ""
#define FIELD(text) .type = CONF_FIELD_NAME, .max = 76, .fallback = text
#define PRIORITY ENUM("auto|urgent|normal|bulk", "auto")
#define TLS_POLICY "none|may|encrypt|verify"
#define DKIM_CANON "relaxed/relaxed|relaxed/simple|simple/relaxed|simple/simple"

#endif
