/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * name - domain names as text
 *
 * Purpose:   checks a name and brings it into the one form that is looked up, compared and cached:
 *            A-labels, lower case, no final dot. Recognises address literals, which are not names.
 * Owner:     values. Thread: any.
 * Limits:    LIMIT_DOMAIN_BYTES without final dot as text is 253 on the wire (RFC 1035 2.3.4: 255
 *            octets with lengths and root); labels 1..63 bytes.
 * Errors:    false, *out untouched.
 * RFC:       1035 2.3.1, 1123 2.1, 3696 2, 5891 5. RFC 2181 11 allows any byte in DNS; mail hosts are
 *            letters, digits, '-' (and '_', which exists in the wild).
 */
#ifndef RINGPOST_DNS_NAME_H
#define RINGPOST_DNS_NAME_H

#include "core/base/ipaddr.h"
#include "core/base/limits.h"

enum {
    DNS_NAME_MAX = 253,
    DNS_LABEL_MAX = 63,
};

struct dns_name {
    uint8_t len;
    char text[DNS_NAME_MAX + 1]; /* NUL behind it */
};

must_static((int)DNS_NAME_MAX <= (int)LIMIT_DOMAIN_BYTES, "a name is a domain");

static inline struct slice dns_name_slice(const struct dns_name *n)
{
    return (struct slice){n->text, n->len};
}

/* UTF-8 or ASCII in; IDNA2008 (UTS 46 mapping, non-transitional) when a byte is not ASCII. One final
 * dot is dropped. A last label of digits only is refused (an address, or nothing that exists). */
bool dns_name_to_ascii(struct slice text, struct dns_name *out);

/* An address literal of RFC 5321 4.1.3, with or without brackets: "[192.0.2.1]", "192.0.2.1",
 * "[IPv6:2001:db8::1]", "2001:db8::1", "[2001:db8::1]". */
bool dns_name_is_literal(struct slice text, struct ip_addr *out);

#endif
