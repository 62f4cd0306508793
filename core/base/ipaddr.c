/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Why not inet_pton alone: it needs NUL-terminated text. Reading and printing go through the C
 * library after a bounded copy; everything else works on the bytes. inet_pton(AF_INET) of glibc
 * already refuses leading zeros, short and octal forms.
 */
#include "core/base/ipaddr.h"
#include "core/base/must.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t v4_mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static unsigned addr_bits(const struct ip_addr *a)
{
    return a->family == IP_V4 ? 32 : 128;
}

struct ip_addr ip_addr_from_bytes(const uint8_t *bytes, size_t len)
{
    struct ip_addr a = {0};
    must(len == 4 || len == 16);
    if (len == 16 && memcmp(bytes, v4_mapped_prefix, sizeof(v4_mapped_prefix)) == 0) {
        bytes += sizeof(v4_mapped_prefix);
        len = 4;
    }
    a.family = len == 4 ? IP_V4 : IP_V6;
    memcpy(a.bytes, bytes, len);
    return a;
}

struct ip_addr ip_addr_v4(uint32_t host_order)
{
    uint32_t be = htonl(host_order);
    return ip_addr_from_bytes((const uint8_t *)&be, sizeof(be));
}

bool ip_addr_parse(struct slice text, struct ip_addr *out)
{
    char copy[IP_TEXT_MAX];
    uint8_t bytes[16];
    if (!slice_to_cstr(text, copy, sizeof(copy))) {
        return false;
    }
    bool v6 = slice_find_byte(text, ':') >= 0;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, copy, bytes) != 1) {
        return false;
    }
    *out = ip_addr_from_bytes(bytes, v6 ? 16 : 4);
    return true;
}

const char *ip_addr_text(const struct ip_addr *a, char dst[IP_TEXT_MAX])
{
    dst[0] = '\0';
    if (a->family != IP_NONE) {
        int family = a->family == IP_V4 ? AF_INET : AF_INET6;
        must(inet_ntop(family, a->bytes, dst, IP_TEXT_MAX) == dst);
    }
    return dst;
}

void ip_addr_add(struct buf *out, const struct ip_addr *a)
{
    char text[IP_TEXT_MAX];
    buf_add(out, slice_str(ip_addr_text(a, text)));
}

bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* ---- classes ------------------------------------------------------------------------------- */

struct class_row {
    enum ip_class class;
    uint8_t family;
    uint8_t prefix_bits;
    uint8_t bytes[16];
};

/* IANA special-purpose registries (RFC 6890 and later); the first row that fits wins. */
static const struct class_row class_rows[] = {
    {IP_CLASS_UNSPECIFIED, IP_V4, 8, {0}},
    {IP_CLASS_UNSPECIFIED, IP_V6, 128, {0}},
    {IP_CLASS_LOOPBACK, IP_V4, 8, {127}},
    {IP_CLASS_LOOPBACK, IP_V6, 128, {[15] = 1}},
    {IP_CLASS_LINK_LOCAL, IP_V4, 16, {169, 254}},
    {IP_CLASS_LINK_LOCAL, IP_V6, 10, {0xfe, 0x80}},
    {IP_CLASS_PRIVATE, IP_V4, 8, {10}},
    {IP_CLASS_PRIVATE, IP_V4, 12, {172, 16}},
    {IP_CLASS_PRIVATE, IP_V4, 16, {192, 168}},
    {IP_CLASS_PRIVATE, IP_V4, 10, {100, 64}},
    {IP_CLASS_PRIVATE, IP_V6, 7, {0xfc}},
    {IP_CLASS_PRIVATE, IP_V6, 10, {0xfe, 0xc0}},
    {IP_CLASS_MULTICAST, IP_V4, 4, {224}},
    {IP_CLASS_MULTICAST, IP_V6, 8, {0xff}},
    {IP_CLASS_RESERVED, IP_V4, 24, {192, 0, 0}},
    {IP_CLASS_RESERVED, IP_V4, 24, {192, 0, 2}},
    {IP_CLASS_RESERVED, IP_V4, 24, {192, 88, 99}},
    {IP_CLASS_RESERVED, IP_V4, 15, {198, 18}},
    {IP_CLASS_RESERVED, IP_V4, 24, {198, 51, 100}},
    {IP_CLASS_RESERVED, IP_V4, 24, {203, 0, 113}},
    {IP_CLASS_RESERVED, IP_V4, 4, {240}},
    {IP_CLASS_NAT64, IP_V6, 96, {0x00, 0x64, 0xff, 0x9b}},
    {IP_CLASS_NAT64, IP_V6, 48, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}},
    {IP_CLASS_RESERVED, IP_V6, 8, {0}}, /* v4-compatible and unassigned, ::/8 */
    {IP_CLASS_RESERVED, IP_V6, 64, {0x01, 0x00}},
    {IP_CLASS_RESERVED, IP_V6, 32, {0x20, 0x01, 0x00, 0x00}}, /* Teredo */
    {IP_CLASS_RESERVED, IP_V6, 23, {0x20, 0x01}},
    {IP_CLASS_RESERVED, IP_V6, 32, {0x20, 0x01, 0x0d, 0xb8}},
    {IP_CLASS_RESERVED, IP_V6, 20, {0x3f, 0xff}},
};

static bool prefix_match(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(a, b, whole) != 0) {
        return false;
    }
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

enum ip_class ip_addr_class(const struct ip_addr *a)
{
    must(a->family == IP_V4 || a->family == IP_V6);
    for (size_t i = 0; i < ARRAY_COUNT(class_rows); i++) {
        const struct class_row *row = &class_rows[i];
        if (row->family == a->family && prefix_match(a->bytes, row->bytes, row->prefix_bits)) {
            return row->class;
        }
    }
    return IP_CLASS_GLOBAL;
}

bool ip_addr_is_loopback(const struct ip_addr *a)
{
    return a->family != IP_NONE && ip_addr_class(a) == IP_CLASS_LOOPBACK;
}

bool ip_addr_is_any(const struct ip_addr *a)
{
    static const uint8_t zero[16];
    return a->family != IP_NONE && memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

bool ip_addr_embedded_v4(const struct ip_addr *a, struct ip_addr *out)
{
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (a->family != IP_V6) {
        return false;
    }
    if (memcmp(a->bytes, nat64, sizeof(nat64)) == 0) {
        *out = ip_addr_from_bytes(a->bytes + 12, 4);
        return true;
    }
    if (a->bytes[0] == 0x20 && a->bytes[1] == 0x02) {
        *out = ip_addr_from_bytes(a->bytes + 2, 4);
        return true;
    }
    return false;
}

bool ip_addr_is_private(const struct ip_addr *a)
{
    struct ip_addr inner;
    if (ip_addr_embedded_v4(a, &inner)) {
        return ip_addr_class(&inner) != IP_CLASS_GLOBAL;
    }
    return ip_addr_class(a) != IP_CLASS_GLOBAL;
}

/* ---- networks ------------------------------------------------------------------------------ */

static void net_mask(struct ip_net *n)
{
    for (unsigned bit = n->prefix_bits; bit < 128; bit++) {
        n->base.bytes[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
    }
}

bool ip_net_parse_masked(struct slice text, struct ip_net *out)
{
    struct slice rest = text;
    struct slice addr = slice_cut(&rest, '/');
    struct ip_net n = {0};
    if (!ip_addr_parse(addr, &n.base)) {
        return false;
    }
    uint64_t bits = addr_bits(&n.base);
    bool has_prefix = addr.len != text.len;
    if (has_prefix) {
        uint64_t max = slice_find_byte(addr, ':') >= 0 ? 128 : 32;
        if (rest.len > 3 || !slice_to_u64(rest, &bits) || bits > max) {
            return false;
        }
        /* ::ffff:10.0.0.0/104 is 10.0.0.0/8; a wider prefix reaches beyond the mapped block. */
        if (max == 128 && n.base.family == IP_V4) {
            if (bits < 96) {
                return false;
            }
            bits -= 96;
        }
    }
    n.prefix_bits = (uint8_t)bits;
    net_mask(&n);
    *out = n;
    return true;
}

bool ip_net_parse(struct slice text, struct ip_net *out)
{
    struct ip_net n;
    struct ip_addr given;
    struct slice rest = text;
    if (!ip_net_parse_masked(text, &n) || !ip_addr_parse(slice_cut(&rest, '/'), &given) ||
        !ip_addr_eq(&given, &n.base)) {
        return false;
    }
    *out = n;
    return true;
}

void ip_net_add(struct buf *out, const struct ip_net *n)
{
    ip_addr_add(out, &n->base);
    buf_add_byte(out, '/');
    buf_add_u64(out, n->prefix_bits);
}

bool ip_net_contains(const struct ip_net *n, const struct ip_addr *a)
{
    must(n->prefix_bits <= addr_bits(&n->base));
    return n->base.family == a->family && a->family != IP_NONE &&
           prefix_match(n->base.bytes, a->bytes, n->prefix_bits);
}

bool ip_nets_contain(const struct ip_net *nets, size_t count, const struct ip_addr *a)
{
    for (size_t i = 0; i < count; i++) {
        if (ip_net_contains(&nets[i], a)) {
            return true;
        }
    }
    return false;
}

bool ip_net_eq(const struct ip_net *a, const struct ip_net *b)
{
    return a->prefix_bits == b->prefix_bits && ip_addr_eq(&a->base, &b->base);
}

/* ---- endpoints ----------------------------------------------------------------------------- */

static bool port_parse(struct slice text, uint16_t *out)
{
    uint64_t v;
    if (text.len > 5 || !slice_to_u64(text, &v) || v == 0 || v > UINT16_MAX) {
        return false;
    }
    *out = (uint16_t)v;
    return true;
}

bool ip_endpoint_parse(struct slice text, uint16_t port_default, struct ip_endpoint *out)
{
    struct ip_endpoint e = {.port = port_default};
    struct slice host = text;
    if (text.len && text.ptr[0] == '[') {
        struct slice rest = slice_skip(text, 1);
        int close = slice_find_byte(rest, ']');
        if (close < 0) {
            return false;
        }
        host = slice_first(rest, (size_t)close);
        rest = slice_skip(rest, (size_t)close + 1);
        if (rest.len && (rest.ptr[0] != ':' || !port_parse(slice_skip(rest, 1), &e.port))) {
            return false;
        }
    } else {
        struct slice rest = text;
        struct slice first = slice_cut(&rest, ':');
        /* Two colons: an IPv6 address alone. One: host:port. */
        if (first.len != text.len && slice_find_byte(rest, ':') < 0) {
            host = first;
            if (!port_parse(rest, &e.port)) {
                return false;
            }
        }
    }
    if (!ip_addr_parse(host, &e.addr) || e.port == 0) {
        return false;
    }
    *out = e;
    return true;
}

const char *ip_endpoint_text(const struct ip_endpoint *e, char dst[IP_ENDPOINT_TEXT_MAX])
{
    char addr[IP_TEXT_MAX];
    ip_addr_text(&e->addr, addr);
    int n = e->addr.family == IP_V6
                ? snprintf(dst, IP_ENDPOINT_TEXT_MAX, "[%s]:%u", addr, (unsigned)e->port)
                : snprintf(dst, IP_ENDPOINT_TEXT_MAX, "%s:%u", addr, (unsigned)e->port);
    must(n > 0 && n < IP_ENDPOINT_TEXT_MAX);
    return dst;
}

void ip_endpoint_add(struct buf *out, const struct ip_endpoint *e)
{
    char text[IP_ENDPOINT_TEXT_MAX];
    buf_add(out, slice_str(ip_endpoint_text(e, text)));
}

bool ip_endpoint_eq(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->port == b->port && ip_addr_eq(&a->addr, &b->addr);
}

socklen_t ip_endpoint_to_sockaddr(const struct ip_endpoint *e, struct sockaddr_storage *out)
{
    must(e->addr.family == IP_V4 || e->addr.family == IP_V6);
    memset(out, 0, sizeof(*out));
    if (e->addr.family == IP_V4) {
        struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(e->port)};
        memcpy(&sin.sin_addr, e->addr.bytes, 4);
        memcpy(out, &sin, sizeof(sin));
        return sizeof(sin);
    }
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};
    memcpy(&sin6.sin6_addr, e->addr.bytes, 16);
    memcpy(out, &sin6, sizeof(sin6));
    return sizeof(sin6);
}

bool ip_endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct ip_endpoint *out)
{
    if (len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
        struct sockaddr_in sin;
        memcpy(&sin, sa, sizeof(sin));
        out->addr = ip_addr_from_bytes((const uint8_t *)&sin.sin_addr, 4);
        out->port = ntohs(sin.sin_port);
        return true;
    }
    if (len >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
        struct sockaddr_in6 sin6;
        memcpy(&sin6, sa, sizeof(sin6));
        out->addr = ip_addr_from_bytes((const uint8_t *)&sin6.sin6_addr, 16);
        out->port = ntohs(sin6.sin6_port);
        return true;
    }
    return false;
}
