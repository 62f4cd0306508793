/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ipaddr - IP addresses, networks and endpoints as values
 *
 * Purpose:   parse, print, compare and classify IPv4 and IPv6 addresses; CIDR membership; address and
 *            port together, to and from the kernel's sockaddr. No DNS, no locale, no allocation.
 * Owner:     plain values; copy freely. All-zero is "no address" (family IP_NONE).
 * Thread:    any.
 * Units:     ports in host order; address bytes in network order.
 * Limits:    text forms are at most IP_TEXT_MAX / IP_ENDPOINT_TEXT_MAX bytes with NUL. Scope ids
 *            ("fe80::1%eth0") are not accepted.
 * Errors:    parse functions return false and leave *out untouched.
 * RFC:       4291 2.2 and 5952 4 (text), 4632 3.1 (CIDR), 4291 2.5.5.2 (v4-mapped), 6052 2.1 (NAT64),
 *            6890 (special ranges).
 *
 * v4-mapped: an address read by ip_addr_parse or from a sockaddr is normalised: ::ffff:192.0.2.1 is
 * the IPv4 address 192.0.2.1, so an access list cannot be walked around by writing it the other way.
 */
#ifndef RINGPOST_BASE_IPADDR_H
#define RINGPOST_BASE_IPADDR_H

#include "core/base/buf.h"

#include <sys/socket.h>

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

enum {
    IP_TEXT_MAX = 46,          /* 45 characters and NUL */
    IP_ENDPOINT_TEXT_MAX = 54, /* "[" 45 "]:65535" NUL */
};

struct ip_addr {
    uint8_t family;    /* enum ip_family */
    uint8_t bytes[16]; /* IPv4: the first four, the rest zero */
};

struct ip_net {
    struct ip_addr base; /* host bits are zero */
    uint8_t prefix_bits; /* 0..32 or 0..128 */
};

struct ip_endpoint {
    struct ip_addr addr;
    uint16_t port;
};

/* What kind of address it is: the first row that fits, in this order. An address that embeds an IPv4
 * address (NAT64 64:ff9b::/96, 6to4 2002::/16) is judged by ip_addr_is_private through it. */
enum ip_class {
    IP_CLASS_UNSPECIFIED, /* 0.0.0.0/8, :: */
    IP_CLASS_LOOPBACK,    /* 127.0.0.0/8, ::1 */
    IP_CLASS_LINK_LOCAL,  /* 169.254.0.0/16, fe80::/10 */
    IP_CLASS_PRIVATE,     /* RFC 1918, 100.64.0.0/10, fc00::/7, fec0::/10 */
    IP_CLASS_MULTICAST,   /* 224.0.0.0/4, ff00::/8 */
    IP_CLASS_RESERVED,    /* documentation, benchmarking, 240.0.0.0/4, broadcast, 100::/64, … */
    IP_CLASS_NAT64,       /* 64:ff9b::/96, 64:ff9b:1::/48 (RFC 6052, RFC 8215) */
    IP_CLASS_GLOBAL,
};

/* "192.0.2.1", "2001:db8::1"; strict dotted quad (no leading zeros, no short forms), no brackets. */
bool ip_addr_parse(struct slice text, struct ip_addr *out);
/* RFC 5952 form. */
void ip_addr_add(struct buf *out, const struct ip_addr *a);
/* The same into a fixed buffer; returns dst. */
const char *ip_addr_text(const struct ip_addr *a, char dst[IP_TEXT_MAX]);
bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b);
struct ip_addr ip_addr_v4(uint32_t host_order);
/* From 4 or 16 raw network-order bytes (A / AAAA record); v4-mapped is normalised. */
struct ip_addr ip_addr_from_bytes(const uint8_t *bytes, size_t len);

enum ip_class ip_addr_class(const struct ip_addr *a);
bool ip_addr_is_loopback(const struct ip_addr *a);
/* True for 0.0.0.0 and :: exactly (a listener's "all addresses"). */
bool ip_addr_is_any(const struct ip_addr *a);
/* The IPv4 address embedded in a NAT64 well-known (64:ff9b::/96) or 6to4 (2002::/16) address. */
bool ip_addr_embedded_v4(const struct ip_addr *a, struct ip_addr *out);
/* Not a place for mail from a public MX: everything but IP_CLASS_GLOBAL, and NAT64/6to4 addresses
 * whose embedded IPv4 address is not global. NAT64 of a global IPv4 address is fine. */
bool ip_addr_is_private(const struct ip_addr *a);

/* "10.0.0.0/8", "::1/128", or an address alone (/32, /128). Host bits that are set are an error
 * (ip_net_parse returns false); ip_net_parse_masked clears them instead. */
bool ip_net_parse(struct slice text, struct ip_net *out);
bool ip_net_parse_masked(struct slice text, struct ip_net *out);
void ip_net_add(struct buf *out, const struct ip_net *n);
bool ip_net_contains(const struct ip_net *n, const struct ip_addr *a);
bool ip_nets_contain(const struct ip_net *nets, size_t count, const struct ip_addr *a);
bool ip_net_eq(const struct ip_net *a, const struct ip_net *b);

/* "192.0.2.1:25", "[2001:db8::1]:25", "[192.0.2.1]:25"; without a port: port_default (an IPv6
 * address alone may then stand without brackets). Port 1..65535. */
bool ip_endpoint_parse(struct slice text, uint16_t port_default, struct ip_endpoint *out);
/* "192.0.2.1:25", "[2001:db8::1]:25". */
void ip_endpoint_add(struct buf *out, const struct ip_endpoint *e);
const char *ip_endpoint_text(const struct ip_endpoint *e, char dst[IP_ENDPOINT_TEXT_MAX]);
bool ip_endpoint_eq(const struct ip_endpoint *a, const struct ip_endpoint *b);

/* Kernel form; returns the length for bind/connect. The address must not be IP_NONE. */
socklen_t ip_endpoint_to_sockaddr(const struct ip_endpoint *e, struct sockaddr_storage *out);
/* False for other families. */
bool ip_endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct ip_endpoint *out);

#endif
