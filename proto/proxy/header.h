/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * header - the PROXY protocol's header, versions 1 and 2
 *
 * Purpose:   reads the header that a load balancer puts before the first byte of a connection, fed in
 *            any segmentation; writes one. Nothing is guessed: a listener either demands a header
 *            from trusted peers or never looks for one, and what is not exactly a header is BAD
 *            (reliability E2). Who may send one is the caller's to check, before the first byte.
 * Owner:     the session at its beginning: proxy_parser_init, feed until it is decided, forget.
 * Thread:    the owner's.
 * Limits:    v1 PROXY_V1_BYTES with CRLF. v2 16 + 65535 bytes; of these the address block is kept, the
 *            TLVs stream past and must fill the announced length exactly. This struct, no memory.
 * Errors:    PROXY_BAD: close without a word. Every byte is judged when it comes: a client that
 *            speaks SMTP is BAD at its first byte.
 * Units:     ports in host order. v4-mapped IPv6 becomes IPv4 (core/base/ipaddr.h), so that access
 *            rules see one address, however it is written.
 * Spec:      haproxy.org proxy-protocol.txt, 2020/03/05: 2.1 (v1), 2.2 (v2), 2.2.3 (CRC32C).
 *
 *   v2 bytes   0..11 signature   12 version 2, command   13 family, transport   14..15 length, then
 *              the addresses (12, 36 or 216 bytes), then TLVs: type, length (2), value
 *
 * Decisions:
 *   LOCAL                                  the proxy's own health check: the block is skipped unread
 *   v1 UNKNOWN, v2 unspecified or unix     UNKNOWN: proxied, nobody knows for whom
 *   datagrams, other commands, versions    BAD
 *   a CRC32C TLV                           must be right, and alone
 */
#ifndef RINGPOST_PROXY_HEADER_H
#define RINGPOST_PROXY_HEADER_H

#include "core/base/buf.h"
#include "core/base/ipaddr.h"

enum {
    PROXY_V1_BYTES = 107,
    PROXY_V2_FIXED_BYTES = 16,
    PROXY_V2_INET6_BYTES = 36,
};

enum proxy_result {
    PROXY_MORE,    /* all of *in was consumed, it is not decided */
    PROXY_PROXIED, /* source and destination are set */
    PROXY_LOCAL,   /* the connection's own addresses count */
    PROXY_UNKNOWN, /* no addresses; do not trust the connection's own */
    PROXY_BAD,
};

struct proxy_header {
    uint8_t version;           /* 1 or 2; 0 before the first byte decides */
    struct ip_endpoint source; /* PROXIED: the client */
    struct ip_endpoint destination;
};

struct proxy_parser {
    struct proxy_header header;
    uint8_t result; /* enum proxy_result: once decided it stays */
    uint8_t kind;   /* v2: what the fixed part announced, enum proxy_result */
    uint8_t block;  /* v2: bytes of the address block */
    bool crc_seen;
    uint8_t tlv_type;
    uint8_t tlv_head;  /* bytes of the TLV's type and length that are in */
    uint16_t tlv_left; /* bytes of its value still to come */
    uint16_t used;     /* bytes kept */
    uint32_t left;     /* v2: bytes of the announced length still to come */
    uint32_t crc;
    uint32_t crc_said;
    uint8_t bytes[PROXY_V1_BYTES]; /* v1: the line; v2: fixed part and IP addresses */
};

void proxy_parser_init(struct proxy_parser *p);

/* Takes the header's bytes from the front of *in and no byte behind it. *out is set unless MORE and
 * BAD. */
enum proxy_result proxy_parser_feed(struct proxy_parser *p, struct slice *in,
                                    struct proxy_header *out);

/* Headers for tests and for connections we make. Addresses of different families are both written as
 * IPv6. An IP_NONE source: UNKNOWN (v1), LOCAL (v2). */
void proxy_add_v1(struct buf *out, const struct ip_endpoint *source,
                  const struct ip_endpoint *destination);
void proxy_add_v2(struct buf *out, const struct ip_endpoint *source,
                  const struct ip_endpoint *destination);

#endif
