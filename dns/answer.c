/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From c-ares' parsed message to an answer.
 *
 * Why not ares_addrinfo and friends: they lose TTLs, the authority section and the AD bit, and merge
 * what must stay apart (no data, no name, failure). Record order is never trusted: the CNAME chain is
 * followed by owner name, so records of other owners (poison or sloppiness) do not count.
 */
#include "dns/answer.h"

#include "core/base/limits.h"
#include "core/base/must.h"
#include "dns/dns.h"
#include "dns/guard.h"
#include "dns/name.h"

#include <ares.h>
#include <stdlib.h>

/* RFC 2181 8: a TTL with the top bit set is zero. */
static uint32_t answer_ttl(const ares_dns_rr_t *rr)
{
    unsigned ttl = ares_dns_rr_get_ttl(rr);
    return ttl > INT32_MAX ? 0 : ttl;
}

unsigned dns_type_code(enum dns_type type)
{
    switch (type) {
    case DNS_TYPE_A:
        return ARES_REC_TYPE_A;
    case DNS_TYPE_AAAA:
        return ARES_REC_TYPE_AAAA;
    case DNS_TYPE_MX:
        return ARES_REC_TYPE_MX;
    case DNS_TYPE_COUNT:
        break;
    }
    must_never("a question has a type");
    return 0;
}

const char *dns_type_name(enum dns_type type)
{
    return ares_dns_rec_type_tostr((ares_dns_rec_type_t)dns_type_code(type));
}

static void answer_lower_ttl(struct dns_answer *a, uint32_t ttl)
{
    a->ttl_s = a->has_ttl && a->ttl_s < ttl ? a->ttl_s : ttl;
    a->has_ttl = true;
}

/* A copy of head with its lists behind it in the same allocation. */
static struct dns_answer *answer_new(const struct dns_answer *head, size_t tail_bytes, char **tail)
{
    struct dns_answer *a = malloc(sizeof(*a) + tail_bytes);
    if (a) {
        *a = *head;
        *tail = (char *)(a + 1);
    }
    return a;
}

static struct dns_answer *answer_with_text(const struct dns_answer *head, struct slice text)
{
    char *tail;
    struct dns_answer *a = answer_new(head, text.len + 1, &tail);
    if (a) {
        if (text.len > 0) {
            memcpy(tail, text.ptr, text.len);
        }
        tail[text.len] = '\0';
        a->text = slice_of(tail, text.len);
    }
    return a;
}

struct dns_answer *dns_answer_failed(struct slice reason)
{
    return answer_with_text(&(struct dns_answer){.kind = DNS_ANSWER_FAILED}, reason);
}

void dns_answer_free(struct dns_answer *a)
{
    free(a);
}

/* ---- the walk over the answer section ---- */

struct answer_walk {
    const ares_dns_record_t *rec;
    ares_dns_rec_type_t type;
    size_t rr_count;
    struct slice owner; /* where the chain has come to */
    unsigned hops;
    bool found; /* owner has records of the type */
};

static bool answer_rr_is(const ares_dns_rr_t *rr, ares_dns_rec_type_t type, struct slice owner)
{
    return ares_dns_rr_get_type(rr) == type && ares_dns_rr_get_class(rr) == ARES_CLASS_IN &&
           slice_eq_nocase(slice_str(ares_dns_rr_get_name(rr)), owner);
}

/* One pass: is there data for the owner, and if not, which CNAME leads on? */
static const ares_dns_rr_t *answer_walk_step(struct answer_walk *w)
{
    const ares_dns_rr_t *alias = NULL;
    for (size_t i = 0; i < w->rr_count; i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(w->rec, ARES_SECTION_ANSWER, i);
        if (answer_rr_is(rr, w->type, w->owner)) {
            w->found = true;
            return NULL;
        }
        if (!alias && answer_rr_is(rr, ARES_REC_TYPE_CNAME, w->owner)) {
            alias = rr;
        }
    }
    return alias;
}

/* False: the chain is longer than DNS_ALIAS_MAX (or a loop). */
static bool answer_walk_chain(struct answer_walk *w, struct dns_answer *head)
{
    const ares_dns_rr_t *alias;
    while ((alias = answer_walk_step(w)) != NULL) {
        if (++w->hops > DNS_ALIAS_MAX) {
            return false;
        }
        answer_lower_ttl(head, answer_ttl(alias));
        w->owner = slice_str(ares_dns_rr_get_str(alias, ARES_RR_CNAME_CNAME));
    }
    return true;
}

/* ---- addresses ---- */

static struct dns_answer *answer_addresses(const struct answer_walk *w, struct dns_answer *head)
{
    struct ip_addr found[LIMIT_ADDRESSES_PER_HOST];
    for (size_t i = 0; i < w->rr_count; i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(w->rec, ARES_SECTION_ANSWER, i);
        if (!answer_rr_is(rr, w->type, w->owner)) {
            continue;
        }
        answer_lower_ttl(head, answer_ttl(rr));
        if (head->count == LIMIT_ADDRESSES_PER_HOST) {
            head->capped = true;
            continue;
        }
        const void *bytes = w->type == ARES_REC_TYPE_A
                                ? (const void *)ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR)
                                : (const void *)ares_dns_rr_get_addr6(rr, ARES_RR_AAAA_ADDR);
        must(bytes != NULL);
        found[head->count++] = ip_addr_from_bytes(bytes, w->type == ARES_REC_TYPE_A ? 4 : 16);
    }
    must(head->count > 0);
    char *tail;
    size_t bytes = head->count * sizeof(found[0]);
    struct dns_answer *a = answer_new(head, bytes, &tail);
    if (a) {
        memcpy(tail, found, bytes);
        a->addresses = (const struct ip_addr *)(const void *)tail;
    }
    return a;
}

/* ---- MX ---- */

struct answer_mx {
    uint16_t preference;
    struct dns_name name;
};

/* The LIMIT_MX_HOSTS most preferred, in order; a name keeps its best preference. */
struct answer_mx_set {
    struct answer_mx slots[LIMIT_MX_HOSTS];
    struct answer_mx *order[LIMIT_MX_HOSTS];
    unsigned count;
};

static void answer_mx_insert(struct answer_mx_set *set, struct answer_mx *mx)
{
    unsigned at = set->count;
    while (at > 0 && set->order[at - 1]->preference > mx->preference) {
        set->order[at] = set->order[at - 1];
        at--;
    }
    set->order[at] = mx;
    set->count++;
}

static void answer_mx_remove(struct answer_mx_set *set, unsigned at)
{
    must(at < set->count);
    memmove(&set->order[at], &set->order[at + 1], (set->count - at - 1) * sizeof(set->order[0]));
    set->count--;
}

/* True when one had to be left out. */
static bool answer_mx_add(struct answer_mx_set *set, uint16_t preference,
                          const struct dns_name *name)
{
    struct answer_mx *slot = NULL;
    bool capped = false;
    for (unsigned i = 0; i < set->count; i++) {
        if (slice_eq(dns_name_slice(&set->order[i]->name), dns_name_slice(name))) {
            if (set->order[i]->preference <= preference) {
                return false;
            }
            slot = set->order[i];
            answer_mx_remove(set, i);
            break;
        }
    }
    if (!slot && set->count == LIMIT_MX_HOSTS) {
        capped = true;
        slot = set->order[set->count - 1];
        if (slot->preference <= preference) {
            return true;
        }
        answer_mx_remove(set, set->count - 1);
    }
    if (!slot) {
        slot = &set->slots[set->count];
    }
    slot->preference = preference;
    slot->name = *name;
    answer_mx_insert(set, slot);
    return capped;
}

static struct dns_answer *answer_mx_pack(const struct answer_mx_set *set, struct dns_answer *head)
{
    size_t text_bytes = 0;
    for (unsigned i = 0; i < set->count; i++) {
        text_bytes += set->order[i]->name.len + 1u;
    }
    char *tail;
    head->count = (uint16_t)set->count;
    struct dns_answer *a = answer_new(head, set->count * sizeof(struct dns_mx) + text_bytes, &tail);
    if (!a) {
        return NULL;
    }
    struct dns_mx *mx = (struct dns_mx *)(void *)tail;
    char *text = tail + set->count * sizeof(struct dns_mx);
    for (unsigned i = 0; i < set->count; i++) {
        const struct dns_name *name = &set->order[i]->name;
        memcpy(text, name->text, name->len + 1u);
        mx[i] = (struct dns_mx){set->order[i]->preference, slice_of(text, name->len)};
        text += name->len + 1u;
    }
    a->mx = mx;
    return a;
}

static struct dns_answer *answer_mx_hosts(const struct answer_walk *w, struct dns_answer *head)
{
    struct answer_mx_set set;
    set.count = 0;
    for (size_t i = 0; i < w->rr_count; i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(w->rec, ARES_SECTION_ANSWER, i);
        if (!answer_rr_is(rr, w->type, w->owner)) {
            continue;
        }
        answer_lower_ttl(head, answer_ttl(rr));
        struct slice target = slice_str(ares_dns_rr_get_str(rr, ARES_RR_MX_EXCHANGE));
        struct dns_name name;
        if (target.len == 0 || slice_eq(target, SLICE("."))) {
            head->null_mx = true;
        } else if (dns_name_to_ascii(target, &name)) {
            uint16_t preference = ares_dns_rr_get_u16(rr, ARES_RR_MX_PREFERENCE);
            head->capped = answer_mx_add(&set, preference, &name) || head->capped;
        }
    }
    return answer_mx_pack(&set, head);
}

/* ---- without data ---- */

static bool answer_has_ns(const ares_dns_record_t *rec)
{
    size_t n = ares_dns_record_rr_cnt(rec, ARES_SECTION_AUTHORITY);
    for (size_t i = 0; i < n; i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(rec, ARES_SECTION_AUTHORITY, i);
        if (ares_dns_rr_get_type(rr) == ARES_REC_TYPE_NS) {
            return true;
        }
    }
    return false;
}

/* RFC 2308 5: the lesser of the SOA's own TTL and its MINIMUM. */
static bool answer_take_soa(const ares_dns_record_t *rec, struct dns_answer *head)
{
    size_t n = ares_dns_record_rr_cnt(rec, ARES_SECTION_AUTHORITY);
    for (size_t i = 0; i < n; i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(rec, ARES_SECTION_AUTHORITY, i);
        if (ares_dns_rr_get_type(rr) == ARES_REC_TYPE_SOA) {
            uint32_t minimum = ares_dns_rr_get_u32(rr, ARES_RR_SOA_MINIMUM);
            answer_lower_ttl(head, answer_ttl(rr));
            answer_lower_ttl(head, minimum > INT32_MAX ? 0 : minimum);
            return true;
        }
    }
    return false;
}

static struct dns_answer *answer_nothing(const struct answer_walk *w, struct dns_answer *head)
{
    unsigned flags = ares_dns_record_get_flags(w->rec);
    bool soa = answer_take_soa(w->rec, head);
    if (ares_dns_record_get_rcode(w->rec) == ARES_RCODE_NXDOMAIN) {
        head->kind = DNS_ANSWER_NXDOMAIN;
    } else if (w->hops > 0 && !soa) {
        struct dns_name target;
        if (!dns_name_to_ascii(w->owner, &target)) {
            return dns_answer_failed(SLICE("CNAME to something that is no host name"));
        }
        head->kind = DNS_ANSWER_ALIAS;
        return answer_with_text(head, dns_name_slice(&target));
    } else if (!soa && !(flags & (ARES_FLAG_AA | ARES_FLAG_RA)) && answer_has_ns(w->rec)) {
        return dns_answer_failed(SLICE("lame answer (a referral)"));
    } else {
        head->kind = DNS_ANSWER_NODATA;
    }
    if (!soa) {
        head->has_ttl = false;
    }
    return answer_with_text(head, SLICE(""));
}

struct dns_answer *dns_answer_from_record(const struct ares_dns_record *rec, struct slice name,
                                          enum dns_type type)
{
    must(rec != NULL && name.len > 0);
    ares_dns_rcode_t rcode = ares_dns_record_get_rcode(rec);
    unsigned flags = ares_dns_record_get_flags(rec);
    if (rcode != ARES_RCODE_NOERROR && rcode != ARES_RCODE_NXDOMAIN) {
        const char *text = ares_dns_rcode_tostr(rcode);
        return dns_answer_failed(text ? slice_str(text) : SLICE("unknown response code"));
    }
    if (flags & ARES_FLAG_TC) {
        return dns_answer_failed(SLICE("truncated answer"));
    }
    struct answer_walk walk = {
        .rec = rec,
        .type = (ares_dns_rec_type_t)dns_type_code(type),
        .rr_count = ares_dns_record_rr_cnt(rec, ARES_SECTION_ANSWER),
        .owner = name,
    };
    struct dns_answer head = {.kind = DNS_ANSWER_DATA, .ad = (flags & ARES_FLAG_AD) != 0};
    if (!answer_walk_chain(&walk, &head)) {
        return dns_answer_failed(SLICE("too many CNAMEs"));
    }
    if (!walk.found) {
        return answer_nothing(&walk, &head);
    }
    return type == DNS_TYPE_MX ? answer_mx_hosts(&walk, &head) : answer_addresses(&walk, &head);
}

struct dns_answer *dns_answer_from_wire(const uint8_t *bytes, size_t len, struct slice name,
                                        enum dns_type type)
{
    ares_dns_record_t *rec = NULL;
    if (!dns_guard_plausible(bytes, len) || ares_dns_parse(bytes, len, 0, &rec) != ARES_SUCCESS) {
        return dns_answer_failed(SLICE("malformed answer"));
    }
    struct dns_answer *a = dns_answer_from_record(rec, name, type);
    ares_dns_record_destroy(rec);
    return a;
}
