/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * keys - the key table
 *
 * Purpose:   one row per configuration key. Reading, ranges, error texts, `ringpost config`, the JSON
 *            Schema, environment names, --set and docs/CONFIG.md all come from it: a new key is a row
 *            in keys.c and a member in conf.h, nothing else.
 * Owner:     constant data. Thread: any.
 * Units:     min and max in the unit of the type: milliseconds, bytes, characters of a text, a count.
 */
#ifndef RINGPOST_CONF_KEYS_H
#define RINGPOST_CONF_KEYS_H

#include "core/base/slice.h"

enum conf_type {
    CONF_BOOL,
    CONF_COUNT,
    CONF_PORT,
    CONF_DURATION,
    CONF_SIZE,
    CONF_ENUM,
    CONF_TEXT,       /* printable ASCII */
    CONF_DOMAIN,     /* host name */
    CONF_EHLO_NAME,  /* host name or address literal */
    CONF_PATH,       /* file system path */
    CONF_FIELD_NAME, /* header field name */
    CONF_LABEL,      /* name of a tenant, campaign, source or pool */
    CONF_MAILBOX,    /* addr-spec */
    CONF_ADDRESS,
    CONF_ADDRESS4,
    CONF_ADDRESS6,
    CONF_NET,
    CONF_ENDPOINT, /* min = the port when none is written */
    CONF_RELAY_HOST,
    CONF_WEIGHT,       /* "name:3"; a list of them may be written as a map {name: 3} */
    CONF_EGRESS_PROXY, /* "socks5://192.0.2.1:1080" */
    CONF_WARMUP_DAYS, /* "google:20 50"; a list of them may be written as a map {google: [20, 50]} */
};

enum conf_shape {
    CONF_ONE,
    CONF_LIST,
    CONF_ONE_OR_LIST, /* a list; a single value may stand without brackets */
};

enum {
    CONF_RELOAD = 1,   /* SIGHUP takes a new value */
    CONF_ZERO_OFF = 2, /* 0 is allowed besides min..max and means off */
    CONF_EMPTY_OK = 4, /* empty text is allowed and means what `empty` says */
    CONF_SECRET = 8,   /* never printed; RINGPOST_<PATH>_FILE names a file that holds it */
    CONF_POWER_OF_2 = 16,
    CONF_MULTIPLE_1M = 32,
};

struct conf_key {
    struct slice path; /* "limits.message_size", "listeners[].port" */
    enum conf_type type;
    enum conf_shape shape;
    unsigned flags;
    uint64_t min;
    uint64_t max;
    uint32_t items_min; /* lists */
    uint32_t items_max;
    const char *unit;     /* of a count, for the documentation ("bytes", "percent") or NULL */
    const char *fallback; /* the default as text; lists separated by commas */
    const char *empty;    /* what an empty text or list means, or NULL */
    const char *choices;  /* CONF_ENUM: "auto|uring", in the order of the C enum */
    const char *doc;
    size_t offset; /* in struct conf, or in the item of a list group */
    size_t size;
};

/* The part of a path before the last dot. A list group ("listeners") holds items of its own struct. */
struct conf_group {
    struct slice name;
    const char *doc;
    uint32_t items_min; /* list groups: 1.., others 0 */
    uint32_t items_max;
    size_t offset; /* of {items, count} */
    size_t item_size;
};

struct conf_table {
    const struct conf_key *keys;
    size_t key_count;
    const struct conf_group *groups;
    size_t group_count;
    size_t conf_size;
};

/* keys_groups.c */
enum { CONF_GROUPS = 31 };
extern const struct conf_group conf_groups[CONF_GROUPS];
extern const struct conf_table conf_table;

/* By path with "[]" for indexes; NULL when there is none. */
const struct conf_key *conf_table_key(const struct conf_table *t, struct slice path);
const struct conf_group *conf_table_group(const struct conf_table *t, struct slice name);

static inline bool conf_group_is_list(const struct conf_group *g)
{
    return g->items_max > 0;
}

/* The group a key stands in (NULL: top level) and its name there. */
const struct conf_group *conf_key_group(const struct conf_table *t, const struct conf_key *k);
struct slice conf_key_leaf(const struct conf_key *k);

#endif
