/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Version 2 runs byte by byte over its fixed part and address block and skips over TLV values; version
 * 1 gathers its one line and takes it apart at the LF. Rejected: to wait for a whole header in the
 * caller's buffer, which lets a peer hold 64 KB per connection.
 */
#include "proto/proxy/header.h"

#include "core/base/crc32c.h"
#include "core/base/must.h"

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const struct slice v1_word = SLICE_INIT("PROXY ");

enum { TLV_CRC32C = 3, TLV_HEAD_BYTES = 3, UNIX_BLOCK_BYTES = 216, INET_BLOCK_BYTES = 12 };
must_static(sizeof(signature) == 12, "the signature has no NUL behind it");
must_static(PROXY_V2_FIXED_BYTES + PROXY_V2_INET6_BYTES <= PROXY_V1_BYTES, "v2 fits into bytes");

void proxy_parser_init(struct proxy_parser *p)
{
    *p = (struct proxy_parser){.result = PROXY_MORE};
}

/* ---- version 1 ---- */

static bool v1_address(struct slice text, bool v6, struct ip_addr *out)
{
    /* The family must be the one announced, before v4-mapped is made IPv4. */
    return (slice_find_byte(text, ':') >= 0) == v6 && ip_addr_parse(text, out);
}

static bool v1_port(struct slice text, uint16_t *out)
{
    uint64_t port;
    if ((text.len > 1 && text.ptr[0] == '0') || !slice_to_u64(text, &port) || port > 65535) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

/* line: behind "PROXY ", without CRLF. */
static enum proxy_result v1_parse(struct slice line, struct proxy_header *out)
{
    struct slice protocol = slice_cut(&line, ' ');
    bool v6 = slice_eq(protocol, SLICE("TCP6"));
    if (slice_eq(protocol, SLICE("UNKNOWN"))) {
        return PROXY_UNKNOWN; /* whatever follows */
    }
    if (!v6 && !slice_eq(protocol, SLICE("TCP4"))) {
        return PROXY_BAD;
    }
    struct slice source = slice_cut(&line, ' ');
    struct slice destination = slice_cut(&line, ' ');
    struct slice source_port = slice_cut(&line, ' ');
    if (!v1_address(source, v6, &out->source.addr) ||
        !v1_address(destination, v6, &out->destination.addr) ||
        !v1_port(source_port, &out->source.port) || !v1_port(line, &out->destination.port)) {
        return PROXY_BAD;
    }
    return PROXY_PROXIED;
}

static enum proxy_result v1_byte(struct proxy_parser *p, char c)
{
    must(p->used < PROXY_V1_BYTES);
    p->bytes[p->used++] = (uint8_t)c;
    if (p->used <= v1_word.len) {
        return c == v1_word.ptr[p->used - 1] ? PROXY_MORE : PROXY_BAD;
    }
    bool after_cr = p->bytes[p->used - 2] == '\r';
    if (after_cr != (c == '\n') || c == '\0') {
        return PROXY_BAD; /* a bare CR or LF */
    }
    if (c == '\n') {
        return v1_parse(slice_of(p->bytes + v1_word.len, p->used - v1_word.len - 2), &p->header);
    }
    return p->used == PROXY_V1_BYTES ? PROXY_BAD : PROXY_MORE;
}

/* ---- version 2 ---- */

/* The fixed part is in: what it announces. */
static enum proxy_result v2_announce(struct proxy_parser *p)
{
    p->left = (uint32_t)p->bytes[14] << 8 | p->bytes[15];
    if (p->bytes[12] == 0x20) {
        p->kind = PROXY_LOCAL;
        return PROXY_MORE; /* the family is ignored, the block skipped (2.2) */
    }
    switch (p->bytes[13]) {
    case 0x00:
        p->kind = PROXY_UNKNOWN;
        break;
    case 0x11:
        p->kind = PROXY_PROXIED;
        p->block = INET_BLOCK_BYTES;
        break;
    case 0x21:
        p->kind = PROXY_PROXIED;
        p->block = PROXY_V2_INET6_BYTES;
        break;
    case 0x31:
        p->kind = PROXY_UNKNOWN;
        p->block = UNIX_BLOCK_BYTES;
        break;
    default:
        return PROXY_BAD;
    }
    return p->left >= p->block ? PROXY_MORE : PROXY_BAD;
}

static enum proxy_result v2_fixed_byte(struct proxy_parser *p, char c)
{
    size_t at = p->used;
    p->bytes[p->used++] = (uint8_t)c;
    if (at < sizeof(signature) && c != signature[at]) {
        return PROXY_BAD;
    }
    if (at == 12 && c != 0x20 && c != 0x21) {
        return PROXY_BAD;
    }
    if (p->used < PROXY_V2_FIXED_BYTES) {
        return PROXY_MORE;
    }
    p->crc = crc32c(0, p->bytes, PROXY_V2_FIXED_BYTES);
    return v2_announce(p);
}

static uint16_t v2_u16(const uint8_t *at)
{
    return (uint16_t)((unsigned)at[0] << 8 | at[1]);
}

static void v2_addresses(struct proxy_parser *p)
{
    const uint8_t *at = p->bytes + PROXY_V2_FIXED_BYTES;
    size_t n = p->block == INET_BLOCK_BYTES ? 4 : 16;
    must(p->used == PROXY_V2_FIXED_BYTES + p->block && 2 * n + 4 == p->block);
    p->header.source = (struct ip_endpoint){ip_addr_from_bytes(at, n), v2_u16(at + 2 * n)};
    p->header.destination = (struct ip_endpoint){ip_addr_from_bytes(at + n, n),
                                                 v2_u16(at + 2 * n + 2)};
}

/* All announced bytes are in. */
static enum proxy_result v2_over(struct proxy_parser *p)
{
    if (p->kind == PROXY_LOCAL) {
        return PROXY_LOCAL;
    }
    if (p->tlv_head != 0 || (p->crc_seen && p->crc != p->crc_said)) {
        return PROXY_BAD; /* a TLV that the length cuts off */
    }
    if (p->kind == PROXY_PROXIED) {
        v2_addresses(p);
    }
    return (enum proxy_result)p->kind;
}

/* A part of the address block; returns the bytes taken. Only IP addresses are kept. */
static size_t v2_take_block(struct proxy_parser *p, struct slice in, size_t block_left)
{
    size_t n = in.len < block_left ? in.len : block_left;
    if (p->kind == PROXY_PROXIED) {
        must(p->used + n <= sizeof(p->bytes));
        memcpy(p->bytes + p->used, in.ptr, n);
        p->used = (uint16_t)(p->used + n);
    }
    p->crc = crc32c(p->crc, in.ptr, n);
    return n;
}

/* One byte of a TLV's type and length. */
static enum proxy_result v2_tlv_head(struct proxy_parser *p, char c)
{
    p->crc = crc32c(p->crc, &c, 1);
    switch (p->tlv_head++) {
    case 0:
        p->tlv_type = (uint8_t)c;
        return PROXY_MORE;
    case 1:
        p->tlv_left = (uint16_t)((unsigned)(uint8_t)c << 8);
        return PROXY_MORE;
    default:
        p->tlv_left = (uint16_t)(p->tlv_left | (uint8_t)c);
        break;
    }
    if (p->tlv_left > p->left - 1) { /* left counts the byte at hand */
        return PROXY_BAD;
    }
    if (p->tlv_type == TLV_CRC32C) {
        if (p->crc_seen || p->tlv_left != 4) {
            return PROXY_BAD;
        }
        p->crc_seen = true;
    }
    p->tlv_head = p->tlv_left ? TLV_HEAD_BYTES : 0;
    return PROXY_MORE;
}

/* A part of a TLV's value. The checksum counts as zeros in its own sum. */
static size_t v2_take_value(struct proxy_parser *p, struct slice in)
{
    static const char zero[1] = {0};
    size_t n = in.len < p->tlv_left ? in.len : p->tlv_left;
    if (p->tlv_type == TLV_CRC32C) {
        n = 1;
        p->crc_said = p->crc_said << 8 | (uint8_t)in.ptr[0];
        p->crc = crc32c(p->crc, zero, 1);
    } else {
        p->crc = crc32c(p->crc, in.ptr, n);
    }
    p->tlv_left = (uint16_t)(p->tlv_left - n);
    p->tlv_head = p->tlv_left ? TLV_HEAD_BYTES : 0;
    return n;
}

/* A part of what follows the fixed part. */
static enum proxy_result v2_take(struct proxy_parser *p, struct slice *in)
{
    struct slice part = slice_first(*in, p->left);
    size_t announced = (size_t)p->bytes[14] << 8 | p->bytes[15];
    size_t done = announced - p->left;
    size_t n = part.len;
    enum proxy_result result = PROXY_MORE;
    if (p->kind != PROXY_LOCAL) {
        if (done < p->block) {
            n = v2_take_block(p, part, p->block - done);
        } else if (p->tlv_head < TLV_HEAD_BYTES) {
            n = 1;
            result = v2_tlv_head(p, part.ptr[0]);
        } else {
            n = v2_take_value(p, part);
        }
    }
    must(n > 0 && n <= p->left);
    p->left -= (uint32_t)n;
    *in = slice_skip(*in, n);
    return result;
}

/* ---- both ---- */

static enum proxy_result first_byte(struct proxy_parser *p, char c)
{
    p->header.version = c == v1_word.ptr[0] ? 1 : c == signature[0] ? 2 : 0;
    return p->header.version ? PROXY_MORE : PROXY_BAD;
}

static enum proxy_result take(struct proxy_parser *p, struct slice *in)
{
    if (p->header.version == 2 && p->used >= PROXY_V2_FIXED_BYTES) {
        return v2_take(p, in);
    }
    char c = in->ptr[0];
    if (p->header.version == 0 && first_byte(p, c) == PROXY_BAD) {
        return PROXY_BAD;
    }
    *in = slice_skip(*in, 1);
    return p->header.version == 1 ? v1_byte(p, c) : v2_fixed_byte(p, c);
}

enum proxy_result proxy_parser_feed(struct proxy_parser *p, struct slice *in,
                                    struct proxy_header *out)
{
    while (p->result == PROXY_MORE && in->len > 0) {
        enum proxy_result result = take(p, in);
        bool whole = p->header.version == 2 && p->used >= PROXY_V2_FIXED_BYTES && p->left == 0;
        p->result = (uint8_t)(result == PROXY_MORE && whole ? v2_over(p) : result);
    }
    if (p->result != PROXY_MORE && p->result != PROXY_BAD) {
        *out = p->header;
    }
    return (enum proxy_result)p->result;
}

/* ---- writing ---- */

/* The sixteen bytes of an address as IPv6. */
static void as_v6(const struct ip_addr *a, uint8_t bytes[16])
{
    if (a->family == IP_V6) {
        memcpy(bytes, a->bytes, 16);
        return;
    }
    memset(bytes, 0, 10);
    bytes[10] = bytes[11] = 0xFF;
    memcpy(bytes + 12, a->bytes, 4);
}

static bool both_v4(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->addr.family == IP_V4 && b->addr.family == IP_V4;
}

static void v1_add_address(struct buf *out, const struct ip_addr *a, bool v4)
{
    if (!v4 && a->family == IP_V4) {
        buf_add(out, SLICE("::ffff:"));
    }
    ip_addr_add(out, a);
    buf_add_byte(out, ' ');
}

void proxy_add_v1(struct buf *out, const struct ip_endpoint *source,
                  const struct ip_endpoint *destination)
{
    if (source->addr.family == IP_NONE) {
        buf_add(out, SLICE("PROXY UNKNOWN\r\n"));
        return;
    }
    must(destination->addr.family != IP_NONE);
    bool v4 = both_v4(source, destination);
    buf_add(out, v4 ? SLICE("PROXY TCP4 ") : SLICE("PROXY TCP6 "));
    v1_add_address(out, &source->addr, v4);
    v1_add_address(out, &destination->addr, v4);
    buf_add_u64(out, source->port);
    buf_add_byte(out, ' ');
    buf_add_u64(out, destination->port);
    buf_add(out, SLICE("\r\n"));
}

static void v2_add_address(struct buf *out, const struct ip_addr *a, bool v4)
{
    uint8_t bytes[16];
    as_v6(a, bytes);
    buf_add(out, v4 ? slice_of(a->bytes, 4) : slice_of(bytes, 16));
}

static void v2_add_u16(struct buf *out, unsigned value)
{
    buf_add_byte(out, (char)(value >> 8));
    buf_add_byte(out, (char)(value & 0xFF));
}

void proxy_add_v2(struct buf *out, const struct ip_endpoint *source,
                  const struct ip_endpoint *destination)
{
    buf_add(out, slice_of(signature, sizeof(signature)));
    if (source->addr.family == IP_NONE) {
        buf_add(out, slice_of("\x20\0\0\0", 4));
        return;
    }
    must(destination->addr.family != IP_NONE);
    bool v4 = both_v4(source, destination);
    buf_add(out, v4 ? SLICE("\x21\x11") : SLICE("\x21\x21"));
    v2_add_u16(out, v4 ? INET_BLOCK_BYTES : PROXY_V2_INET6_BYTES);
    v2_add_address(out, &source->addr, v4);
    v2_add_address(out, &destination->addr, v4);
    v2_add_u16(out, source->port);
    v2_add_u16(out, destination->port);
}
