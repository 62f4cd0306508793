/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One block: references | plan | hosts | addresses | text (domain, reason, host names; each with NUL).
 */
#include "dns/plan.h"

#include "core/base/must.h"

#include <stdatomic.h>
#include <stdlib.h>

struct plan_block {
    _Atomic uint32_t refs;
    struct dns_plan plan;
};

#define PLAN_LAST_RESORT(reason)                                                                   \
    {                                                                                              \
        .status = DNS_TEMPORARY, .domain = {"", 0}, .text = SLICE_INIT(reason)                     \
    }

static const struct dns_plan plan_no_memory = PLAN_LAST_RESORT("out of memory");
static const struct dns_plan plan_drained = PLAN_LAST_RESORT("shutting down");

const struct dns_plan *dns_plan_last_resort(bool drained)
{
    return drained ? &plan_drained : &plan_no_memory;
}

static struct plan_block *plan_block_of(const struct dns_plan *plan)
{
    if (plan == &plan_no_memory || plan == &plan_drained) {
        return NULL;
    }
    return container_of((struct dns_plan *)plan, struct plan_block, plan);
}

const struct dns_plan *dns_plan_ref(const struct dns_plan *plan)
{
    struct plan_block *b = plan_block_of(plan);
    if (b) {
        uint32_t before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
        must(before > 0 && before < UINT32_MAX);
    }
    return plan;
}

void dns_plan_put(const struct dns_plan **plan)
{
    struct plan_block *b = *plan ? plan_block_of(*plan) : NULL;
    *plan = NULL;
    if (b) {
        uint32_t before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
        must(before > 0);
        if (before == 1) {
            free(b);
        }
    }
}

/* How many addresses each host may keep. Returns the sum. */
static unsigned plan_share(const struct dns_plan_draft *d, uint16_t *share)
{
    unsigned total = 0;
    bool more = true;
    for (unsigned turn = 0; more && turn < LIMIT_ADDRESSES_PER_HOST; turn++) {
        more = false;
        for (unsigned i = 0; i < d->host_count && total < LIMIT_ADDRESSES_PER_SITE; i++) {
            if (d->hosts[i].count > turn) {
                share[i]++;
                total++;
                more = true;
            }
        }
    }
    return total;
}

static struct slice plan_text(char **at, struct slice s)
{
    char *to = *at;
    if (s.len > 0) {
        memcpy(to, s.ptr, s.len);
    }
    to[s.len] = '\0';
    *at += s.len + 1;
    return slice_of(to, s.len);
}

static void plan_fill_hosts(struct dns_plan *p, const struct dns_plan_draft *d,
                            const uint16_t *share, struct ip_addr *addresses, char **text)
{
    struct dns_host *hosts = (struct dns_host *)(void *)(container_of(p, struct plan_block, plan) +
                                                         1);
    for (unsigned i = 0; i < d->host_count; i++) {
        const struct dns_plan_host *from = &d->hosts[i];
        must(share[i] <= from->count);
        memcpy(addresses, from->addresses, share[i] * sizeof(*addresses));
        hosts[i] = (struct dns_host){
            .name = plan_text(text, dns_name_slice(&from->name)),
            .preference = from->preference,
            .address_count = share[i],
            .addresses = share[i] ? addresses : NULL,
            .status = from->status,
        };
        p->truncated = p->truncated || share[i] < from->count;
        p->usable_count = (uint16_t)(p->usable_count + (share[i] > 0));
        addresses += share[i];
    }
    p->hosts = hosts;
}

const struct dns_plan *dns_plan_make(const struct dns_plan_draft *d)
{
    must(d->host_count <= LIMIT_MX_HOSTS);
    uint16_t share[LIMIT_MX_HOSTS] = {0};
    unsigned total = plan_share(d, share);
    size_t text_bytes = d->domain.len + d->text.len + 2;
    for (unsigned i = 0; i < d->host_count; i++) {
        text_bytes += d->hosts[i].name.len + 1u;
    }
    size_t host_bytes = d->host_count * sizeof(struct dns_host);
    struct plan_block *b = malloc(sizeof(*b) + host_bytes + total * sizeof(struct ip_addr) +
                                  text_bytes);
    if (!b) {
        return NULL;
    }
    struct ip_addr *addresses = (struct ip_addr *)(void *)((char *)(b + 1) + host_bytes);
    char *text = (char *)(addresses + total);
    atomic_init(&b->refs, 1);
    b->plan = (struct dns_plan){
        .status = d->status,
        .host_count = d->host_count,
        .implicit = d->implicit,
        .truncated = d->truncated,
        .partial = d->partial,
        .ad = d->ad,
        .expires_ms = d->expires_ms,
        .domain = plan_text(&text, d->domain),
        .text = plan_text(&text, d->text),
    };
    if (d->host_count > 0) {
        plan_fill_hosts(&b->plan, d, share, addresses, &text);
    }
    must((d->status == DNS_OK) == (b->plan.usable_count > 0));
    return &b->plan;
}
