/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * guard - the sockets of c-ares, and what may reach its parser
 *
 * Purpose:   ares_dns_parse (1.34) allocates and zeroes for the record counts in a header before it
 *            looks at the records: a message of 17 bytes that claims 3 * 65535 records costs 16 MB and
 *            9 ms of the loop. So our socket functions stand between kernel and c-ares: a message
 *            that is shorter than its counts allow is cut down to what is plainly malformed (UDP), or
 *            ends the connection (TCP), before it is parsed. A forwarder hands such a message
 *            through, so trusting the resolver is no defence. Likewise what is no response to a query:
 *            c-ares takes our own question, sent back, for "no such records".
 * Owner:     the channel embeds it; it must outlive its c-ares channels.
 * Thread:    the worker's.
 * Limits:    DNS_GUARD_STREAMS TCP connections at a time (c-ares keeps one per server).
 * Errors:    as socket calls: -1 and errno.
 * RFC:       1035 4.1.1, 4.2.2, 5452 9.1.
 */
#ifndef RINGPOST_DNS_GUARD_H
#define RINGPOST_DNS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ares_channeldata;

enum { DNS_GUARD_STREAMS = 64, DNS_GUARD_HEADER_BYTES = 12 };

/* Where in a stream of length-prefixed messages we are. */
struct dns_guard_stream {
    int fd;      /* 0: free */
    uint32_t at; /* bytes of the message seen, prefix included */
    uint8_t head[2 + DNS_GUARD_HEADER_BYTES];
};

struct dns_guard {
    struct dns_guard_stream streams[DNS_GUARD_STREAMS];
    uint64_t refused; /* messages kept from the parser */
};

/* Is it a response, and can a message of len bytes hold the records its header announces? */
bool dns_guard_plausible(const uint8_t *message, size_t len);
/* Takes the next bytes of the stream; false: it holds a message that is not plausible. */
bool dns_guard_stream_feed(struct dns_guard_stream *s, const uint8_t *bytes, size_t len);

/* Gives a c-ares channel our socket functions; call it before the first question. */
int dns_guard_attach(struct dns_guard *g, struct ares_channeldata *ares);

#endif
