/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * answer - what one question brought
 *
 * Purpose:   the meaning of a DNS message for one question (name, type): data, nothing, no such name,
 *            an alias that the server did not follow, or a failure with its reason. Only records that
 *            answer the question, at the end of its CNAME chain, count; others are ignored.
 * Owner:     one allocation, ended with dns_answer_free. Immutable.
 * Thread:    any.
 * Units:     ttl_s in seconds: the least of the chain and the records (negative: RFC 2308 5).
 * Limits:    LIMIT_MX_HOSTS names (the most preferred ones), LIMIT_ADDRESSES_PER_HOST addresses;
 *            DNS_ALIAS_MAX CNAMEs. Linear time, no allocation sized by a count of the peer.
 * Errors:    NULL: no memory. Everything a server may send is a kind.
 * RFC:       1035 4.1, 2181 5.4.1, 10.1, 2308 2, 5321 5.1, 7505 3.
 */
#ifndef RINGPOST_DNS_ANSWER_H
#define RINGPOST_DNS_ANSWER_H

#include "core/base/ipaddr.h"

#include <stdint.h>

struct ares_dns_record;

enum dns_type { DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_MX, DNS_TYPE_COUNT };

enum dns_answer_kind {
    DNS_ANSWER_DATA,
    DNS_ANSWER_NODATA,
    DNS_ANSWER_NXDOMAIN,
    DNS_ANSWER_ALIAS, /* ends in a CNAME without data and without proof of none: ask for `text` */
    DNS_ANSWER_FAILED,
};

struct dns_mx {
    uint16_t preference;
    struct slice name; /* as struct dns_name's text */
};

struct dns_answer {
    enum dns_answer_kind kind;
    bool ad;
    bool capped;
    bool null_mx; /* a root target was among the MX (RFC 7505) */
    bool has_ttl; /* false: negative without SOA, failure */
    uint32_t ttl_s;
    uint16_t count;                  /* DATA; MX may be 0: records exist, none names a host */
    const struct ip_addr *addresses; /* A, AAAA */
    const struct dns_mx *mx;         /* by preference, names distinct */
    struct slice text;               /* ALIAS: target name; FAILED: reason. NUL behind it */
};

/* name as struct dns_name's text. */
struct dns_answer *dns_answer_from_record(const struct ares_dns_record *rec, struct slice name,
                                          enum dns_type type);
/* Parses a whole message first; malformed is FAILED. */
struct dns_answer *dns_answer_from_wire(const uint8_t *bytes, size_t len, struct slice name,
                                        enum dns_type type);
struct dns_answer *dns_answer_failed(struct slice reason);
void dns_answer_free(struct dns_answer *a);

/* RFC 1035 3.2.2 code, and its name. */
unsigned dns_type_code(enum dns_type type);
const char *dns_type_name(enum dns_type type);

#endif
