/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * attributes - a message's class, tenant, campaign, source and times, and who says them
 *
 * Purpose:   what the order of the queue and its clock go by. Header fields (headers.priority and its
 *            like) come before the user's defaults, these before the listener's. FUTURERELEASE (RFC 4865)
 *            and DELIVERBY (RFC 2852) say times beside the fields: of two times to send at the later
 *            counts, of two ends the earlier.
 * Owner:     values. Names are slices of the source's texts.
 * Thread:    any; times come as arguments.
 * Units:     _s: seconds since 1970 (32 bits: until 2106); 0: not said.
 * Limits:    names as conf_label_valid; times at most ATTRIBUTES_AHEAD_S_MAX ahead.
 * Errors:    false with the reply in *why: 550 5.6.0 and the field's name. A field that is understood only
 *            in part never sends mail too early, or at all.
 */
#ifndef RINGPOST_POLICY_ATTRIBUTES_H
#define RINGPOST_POLICY_ATTRIBUTES_H

#include "core/policy/access.h"
#include "core/policy/credentials.h"
#include "core/policy/egress.h"

enum { ATTRIBUTES_AHEAD_S_MAX = 366 * 24 * 3600, ATTRIBUTES_FIELDS = 6 };

/* DELIVERBY. Neither RETURN nor NOTIFY: it was not asked for. */
enum {
    ATTRIBUTES_BY_RETURN = 1, /* expire_s is its time */
    ATTRIBUTES_BY_NOTIFY = 2, /* notify_s is */
    ATTRIBUTES_BY_TRACE = 4,  /* a report of each relay is wanted */
};

/* Zero: an ordinary message. */
struct attributes {
    enum conf_priority priority; /* AUTO and NORMAL mean the same */
    uint8_t by;
    uint32_t not_before_s;
    uint32_t expire_s; /* from then on it is not sent */
    uint32_t notify_s; /* from then on its sender is told that it is late */
    struct slice tenant;
    struct slice campaign;
    struct slice source; /* or a pool: what it is to leave by */
    struct slice dkim;   /* domain it is signed for here; not said by anybody */
};

struct attributes_source {
    const struct conf_headers *names;
    const struct egress_table *egress; /* whose names a message may name; NULL: any */
    struct slice
        fields; /* whole fields one after the other, with their CRLF; empty: none that count */
    const struct conf_listener *listener;
    const struct credential *user; /* NULL: nobody we know */
    /* Of the envelope; 0: not said. */
    uint64_t hold_until_s;
    uint64_t by_until_s;
    uint8_t by; /* ATTRIBUTES_BY_* */
    uint64_t now_us;
};

bool attributes_decide(const struct attributes_source *from, struct attributes *out,
                       struct access_refusal *why);

/* Do this client's attributes count? */
bool attributes_trusted(const struct conf *conf, const struct access_client *c);

/* The names of the fields, those that have one; returns how many. */
size_t attributes_field_names(const struct conf_headers *names,
                              struct slice out[ATTRIBUTES_FIELDS]);

/* RFC 3339, "+3600", "+1h30m". up: part of a second counts as a whole one. */
bool attributes_time_parse(struct slice text, uint64_t now_us, bool up, uint64_t *out_s);

#endif
