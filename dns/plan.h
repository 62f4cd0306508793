/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * plan - making and sharing struct dns_plan
 *
 * Purpose:   packs what a job found into one immutable allocation and applies the caps on addresses.
 * Owner:     the result has one reference, the caller's.
 * Thread:    making: any; references: atomic.
 * Limits:    LIMIT_ADDRESSES_PER_SITE over all hosts: in turns, so that no host gets a second address
 *            before every host got one, in order of preference.
 * Errors:    NULL: no memory. dns_plan_last_resort never fails.
 */
#ifndef RINGPOST_DNS_PLAN_H
#define RINGPOST_DNS_PLAN_H

#include "dns/dns.h"
#include "dns/name.h"

struct dns_plan_host {
    struct dns_name name;
    uint16_t preference;
    uint16_t count;
    enum dns_status status;
    struct ip_addr addresses[LIMIT_ADDRESSES_PER_HOST];
};

struct dns_plan_draft {
    enum dns_status status;
    bool implicit;
    bool truncated;
    bool partial;
    bool ad;
    uint16_t host_count;
    uint64_t expires_ms;
    struct slice domain;
    struct slice text;
    const struct dns_plan_host *hosts;
};

const struct dns_plan *dns_plan_make(const struct dns_plan_draft *draft);
/* DNS_TEMPORARY when there is no memory for a plan, or no DNS any more. */
const struct dns_plan *dns_plan_last_resort(bool drained);

#endif
