/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * state - the inside of struct dns
 *
 * Purpose:   shared by dns.c (the interface) and job.c (plans in the making), and by nobody else.
 * Owner:     dns_open makes it, dns_close ends it. Thread: the worker's. Errors: see dns.h.
 * Limits:    job_count is bounded by the active queries and by the questions under way.
 */
#ifndef RINGPOST_DNS_STATE_H
#define RINGPOST_DNS_STATE_H

#include "dns/job.h"

struct dns {
    struct io *io;
    struct dns_channel *channel;
    struct dns_cache cache;
    struct map jobs;            /* under way and not delivered, by name and kind */
    struct list ready;          /* jobs with a plan */
    struct dns_job last_resort; /* for queries that no job can be made for */
    struct dns_counters counters;
    uint32_t job_count; /* without last_resort */
    bool ipv4;
    bool ipv6;
    bool drained;
};

#endif
