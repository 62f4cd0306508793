/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * shaping - the rules under `shaping:` as they were written
 *
 * Purpose:   shaping.default, providers, domains, sources, tenants, campaigns: from ringpost.yaml and
 *            conf.d, then shaping.d/<name>.yaml beside them (sorted; the same groups, with or without
 *            `shaping:` around), on top of the built-in rules (core/policy/shaping_defaults.yaml), merged
 *            rule by rule and option by option. What an option is, its range and its default: one row in
 *            shaping_option.c. Which rules apply to a destination: core/policy/shaping.h.
 * Merge:     the same option of the same rule in a later file replaces the earlier one, as a whole.
 * Owner:     the conf; ends with it. Thread: immutable after conf_load.
 * Units:     as the option's row says: counts, milliseconds; rates: conf_rate.
 * Limits:    CONF_SHAPING_*_MAX; nodes and bytes as every source of a load (conf.h).
 * Errors:    reported by conf_load with file:line:col, all of them. So are rules that can never apply.
 */
#ifndef RINGPOST_CONF_SHAPING_H
#define RINGPOST_CONF_SHAPING_H

#include "core/conf/conf.h"
#include "core/conf/tree.h"

enum {
    CONF_SHAPING_NAME_BYTES_MAX = 64, /* conf_label_valid: providers, sources, tenants, campaigns */
    CONF_SHAPING_HOST_BYTES_MAX = 253, /* RFC 1035 2.3.4, as text */
};

/* In the order of the documentation. */
enum conf_shaping_option {
    CONF_SHAPING_CONNECTIONS,
    CONF_SHAPING_CONNECTION_RATE,
    CONF_SHAPING_MESSAGE_RATE,
    CONF_SHAPING_BYTE_RATE,
    CONF_SHAPING_MESSAGES_PER_CONNECTION,
    CONF_SHAPING_RECIPIENTS_PER_TRANSACTION,
    CONF_SHAPING_CHUNKING_WINDOW,
    CONF_SHAPING_TLS, /* enum conf_tls_policy */
    CONF_SHAPING_IDLE_TIMEOUT,
    CONF_SHAPING_CONNECT_TIMEOUT, /* timeouts.connect … */
    CONF_SHAPING_GREETING_TIMEOUT,
    CONF_SHAPING_EHLO_TIMEOUT,
    CONF_SHAPING_MAIL_TIMEOUT,
    CONF_SHAPING_RCPT_TIMEOUT,
    CONF_SHAPING_DATA_TIMEOUT,
    CONF_SHAPING_BODY_TIMEOUT,
    CONF_SHAPING_DATA_DONE_TIMEOUT,
    CONF_SHAPING_BACK_OFF_FAILURES, /* back_off.failures … */
    CONF_SHAPING_BACK_OFF_FIRST,
    CONF_SHAPING_BACK_OFF_MAX,
    CONF_SHAPING_RAMP_UP_FIRST, /* ramp_up.first … */
    CONF_SHAPING_RAMP_UP_STEP,
    CONF_SHAPING_RAMP_UP_INTERVAL,
    CONF_SHAPING_WEIGHT,
    CONF_SHAPING_OPTIONS,
};

/* Options that count something several may share come first. */
#define CONF_SHAPING_BUDGETS (CONF_SHAPING_BYTE_RATE + 1)

enum conf_shaping_state {
    CONF_SHAPING_SILENT, /* says nothing */
    CONF_SHAPING_SET,
    CONF_SHAPING_UNSET, /* what less specific rules say does not count either */
};

struct conf_rate {
    uint64_t count; /* 0: no limit */
    uint64_t period_us;
    uint64_t burst; /* 1 … count */
};

struct conf_shaping_value {
    enum conf_shaping_state state;
    bool shared;           /* one budget for all sites of the provider */
    uint64_t number;       /* everything but rates */
    struct conf_rate rate; /* rates */
};

struct conf_shaping_setting {
    enum conf_shaping_option option;
    struct conf_shaping_value value;
    struct conf_origin at; /* the file and line that set it; "built-in" for ours */
};

enum conf_shaping_scope {
    CONF_SHAPING_DEFAULT,
    CONF_SHAPING_PROVIDER,
    CONF_SHAPING_DOMAIN,
    CONF_SHAPING_SOURCE,
    CONF_SHAPING_TENANT,
    CONF_SHAPING_CAMPAIGN,
    CONF_SHAPING_SCOPES,
};

enum conf_shaping_match {
    CONF_SHAPING_MX_SUFFIX,
    CONF_SHAPING_MX_HOST,
    CONF_SHAPING_DOMAIN_NAME,
    CONF_SHAPING_DOMAIN_SUFFIX,
    CONF_SHAPING_MATCHES,
};

struct conf_shaping_rules {
    const struct conf_shaping_rule *items; /* in the order they were first named */
    size_t count;
};

struct conf_shaping_rule {
    enum conf_shaping_scope scope;
    struct slice name; /* lower case for domains; "" for the default */
    struct conf_origin at;
    const struct conf_shaping_setting *settings; /* each option at most once, by enum order */
    size_t count;
    struct conf_names match[CONF_SHAPING_MATCHES]; /* providers: lower case, without outer dots */
    unsigned match_unset;                          /* 1 << kind: emptied by a later file */
    bool replaces;                                 /* nothing of earlier files is in it */
    struct conf_shaping_rules
        sources; /* of default, provider, domain: for one egress source each */
};

struct conf_shaping {
    struct conf_shaping_rules
        removed;                   /* built-in ones that a file has unset; name and scope only */
    struct conf_shaping_rule base; /* shaping.default */
    struct conf_shaping_rules by[CONF_SHAPING_SCOPES]; /* [CONF_SHAPING_DEFAULT] is empty */
    struct conf_arena *arena;
};

/* NULL: the rule says nothing about it. */
const struct conf_shaping_setting *conf_shaping_find(const struct conf_shaping_rule *rule,
                                                     enum conf_shaping_option option);

/* The rules as YAML lines inside `shaping:`; read again they give the same rules. */
void conf_shaping_print(const struct conf_shaping *s, struct buf *out);
/* Their part of the JSON Schema: properties of "shaping", each behind a comma. */
void conf_shaping_print_schema(struct buf *out, unsigned depth);

#endif
