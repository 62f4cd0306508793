/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * shaping_option - the options of shaping rules, one row each
 *
 * Purpose:   reading, ranges, error texts, defaults, `ringpost explain`, the JSON Schema and
 *            docs/SHAPING.md come from the rows: a new option is a row and a name in the enum.
 * Owner:     constant data. Thread: any.
 * Units:     min and max in the unit of the kind: a count, milliseconds; of rates: of `count`.
 */
#ifndef RINGPOST_CONF_SHAPING_OPTION_H
#define RINGPOST_CONF_SHAPING_OPTION_H

#include "core/base/buf.h"
#include "core/conf/keys.h"
#include "core/conf/shaping.h"

enum {
    CONF_RATE_PER_S_MAX = 1000000,
    CONF_RATE_BYTES_PER_S_MAX = 1000000000,
    CONF_RATE_BYTES_MIN = 1000, /* a period */
};
#define CONF_RATE_PERIOD_US_MAX (UINT64_C(86400) * 1000000)
#define CONF_RATE_BURST_MAX (UINT64_C(1) << 31)

enum conf_shaping_kind {
    CONF_SHAPING_COUNT,
    CONF_SHAPING_RATE,       /* 30/min */
    CONF_SHAPING_BYTES_RATE, /* 10MB/min */
    CONF_SHAPING_DURATION,
    CONF_SHAPING_WORD, /* `choices` */
};

struct conf_shaping_row {
    struct slice name; /* "connections", "timeouts.connect" */
    enum conf_shaping_kind kind;
    unsigned scopes; /* 1 << conf_shaping_scope: where it may stand */
    uint64_t min;
    uint64_t max;
    const char *key;       /* the configuration key that is its default, or NULL */
    const char *relay_key; /* the same towards relay hosts where it is another */
    uint64_t fallback;     /* without key; rates have none: no limit */
    const char *choices;
    const char *unit; /* of a count, for the documentation */
    const char *doc;
};

extern const struct conf_shaping_row conf_shaping_rows[CONF_SHAPING_OPTIONS];

/* "default", "providers", … and "mx_suffix", …: as they are written. */
extern const struct slice conf_shaping_scope_names[CONF_SHAPING_SCOPES];
extern const struct slice conf_shaping_match_names[CONF_SHAPING_MATCHES];

static inline bool conf_shaping_is_rate(enum conf_shaping_option o)
{
    return conf_shaping_rows[o].kind == CONF_SHAPING_RATE ||
           conf_shaping_rows[o].kind == CONF_SHAPING_BYTES_RATE;
}

/* "timeouts" of "timeouts.connect" (empty: it stands alone), and "connect". */
struct slice conf_shaping_option_group(const struct conf_shaping_row *row);
struct slice conf_shaping_option_leaf(const struct conf_shaping_row *row);

/* The option as a key, with the range of the key it stands for. Not for rates. */
struct conf_key conf_shaping_key(enum conf_shaping_option o);

/* What holds when no rule says anything; relay: towards relay hosts. *key: the configuration key it
 * comes from, or NULL. */
struct conf_shaping_value conf_shaping_default(const struct conf *conf, enum conf_shaping_option o,
                                               bool relay, const char **key);

/* "30/min" of the option's row; on false `why` says what is wrong and what is allowed. */
bool conf_shaping_parse(enum conf_shaping_option o, struct slice text,
                        struct conf_shaping_value *out, struct buf *why);
bool conf_shaping_parse_burst(enum conf_shaping_option o, struct slice text,
                              struct conf_shaping_value *v, struct buf *why);
/* The value as YAML flow text that is read back to the same: 10, 100/s, {limit: 100/s, burst: 5}. */
void conf_shaping_value_add(struct buf *out, enum conf_shaping_option o,
                            const struct conf_shaping_value *v);
/* "100/s", and its burst alone. */
void conf_rate_add(struct buf *out, enum conf_shaping_option o, const struct conf_rate *r);
void conf_rate_burst_add(struct buf *out, enum conf_shaping_option o, const struct conf_rate *r);
/* "1–1000", "1/day–1000000/s". */
void conf_shaping_range_add(struct buf *out, enum conf_shaping_option o);
/* A rate's burst when none is written: what comes in 100 ms, at least one. */
uint64_t conf_rate_burst(uint64_t count, uint64_t period_us);

#endif
