/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * job - one plan in the making
 *
 * Purpose:   asks for MX, then for the addresses of every host at once, follows aliases, and decides
 *            what it all means. All queries for the same thing share one job.
 * Owner:     struct dns: a job lives from dns_job_start until its plan was delivered; it goes on when
 *            its queries were cancelled, since its questions cannot be taken back.
 * Thread:    the worker's.
 * Limits:    LIMIT_MX_HOSTS hosts, two questions each, DNS_ALIAS_MAX aliases per question.
 * Errors:    a job always ends in dns->ready; plan NULL then means no memory.
 * RFC:       5321 5.1, 7505 3.
 */
#ifndef RINGPOST_DNS_JOB_H
#define RINGPOST_DNS_JOB_H

#include "dns/cache.h"
#include "dns/plan.h"

enum { JOB_REASON_BYTES = LIMIT_OUTCOME_TEXT_BYTES };

struct dns_job;

/* One question of a job: the MX of the domain, the A or the AAAA of a host. */
struct job_slot {
    struct list wait; /* in an entry's waiters */
    struct dns_job *job;
    enum dns_type type;
    unsigned hops;             /* aliases followed */
    struct dns_name name;      /* asked now */
    enum dns_answer_kind kind; /* the final one */
    uint16_t count;
    struct ip_addr addresses[LIMIT_ADDRESSES_PER_HOST];
};

struct dns_job {
    struct map_node node; /* dns->jobs */
    struct list ready;    /* dns->ready */
    struct list queries;
    struct dns *dns;
    struct dns_name domain;
    bool with_mx;
    bool in_map;
    unsigned pending; /* questions without answer, and one while questions are being asked */
    struct job_slot mx;
    struct job_slot *slots; /* two per host: A, AAAA */
    struct dns_plan_host *hosts;
    struct dns_plan_draft draft;
    char reason[JOB_REASON_BYTES]; /* of the first temporary failure */
    const struct dns_plan *plan;   /* set when ready */
};

/* Joins the job under way or starts one. name as from dns_name_to_ascii. */
void dns_job_join(struct dns *dns, struct dns_query *q, const struct dns_name *name, bool with_mx);
/* Ends at once with a status and no hosts. */
void dns_job_refuse(struct dns *dns, struct dns_query *q, enum dns_status status,
                    struct slice text);
/* Gives an answer to everyone who waits for it. answer NULL: no memory. */
void dns_job_wake(struct dns *dns, struct dns_entry *e, struct dns_answer *answer);
/* Runs the callbacks of a ready job and ends it. */
void dns_job_deliver(struct dns *dns, struct dns_job *job);

#endif
