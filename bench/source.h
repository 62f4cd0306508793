/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * source - an SMTP load generator that knows what it was promised
 *
 * Purpose:   sends bench messages over many sessions, in the patterns a relay meets, and keeps for
 *            each message what the server said: accepted, refused, not sent, or unknown (the
 *            connection went away after the end of the message left).
 * Owner:     bench_source_open / bench_source_close; its threads are its own.
 * Thread:    open, close, stop and the reports from any one thread.
 * Units:     in the names; sizes are message bytes with CRLF, before dot-stuffing.
 * Errors:    open returns NULL after a line on stderr.
 * RFC:       5321, 2920 (pipelining, only when offered), 3030 (BDAT, only when offered),
 *            3207 (STARTTLS), 8314 (TLS from the first byte), 4616 (AUTH PLAIN)
 *
 * Journal lines, each appended with one write after the event (T before anything is sent):
 *   T <run>-<n>          tried
 *   O <run>-<n>          promised: 250 for all recipients that are not listed as R
 *   R <run>-<n> <k> <c>  recipient k was refused with code c (stands before the O)
 *   F <run>-<n> <code>   refused; code 0: the connection went away before the end was sent
 *   U <run>-<n>          unknown
 */
#ifndef RINGPOST_BENCH_SOURCE_H
#define RINGPOST_BENCH_SOURCE_H

#include "bench/ledger.h"
#include "bench/net.h"
#include "bench/secure.h"

enum {
    SOURCE_RECIPIENTS_MAX = 1024,
    SOURCE_IN_FLIGHT_MAX = 64,
    SOURCE_CODES = 600,
    SOURCE_FIELDS_BYTES = 256,
};

struct source_options {
    struct bench_addr to;
    uint64_t sessions;
    uint64_t messages;
    uint64_t size_min; /* sizes are uniform in [size_min, size_max] */
    uint64_t size_max;
    uint64_t recipients;
    uint64_t per_connection; /* 0 = no limit */
    uint64_t in_flight; /* messages per session whose end is not answered yet (overlap, bdat) */
    uint64_t domains;
    uint64_t rate; /* messages a second, 0 = as fast as the server */
    uint64_t threads;
    uint64_t timeout_s;
    uint64_t seed; /* 0 = random; otherwise the run's id, and the text */
    bool pipelining;
    bool overlap; /* dot and the next envelope in one write (RFC 2920 3.1) */
    bool bdat;
    bool keep_going; /* reconnect when the server goes away */
    bool vary;       /* 1..recipients, mostly 1 */
    bool hold;       /* no messages: sessions stay open after EHLO */
    bool starttls;   /* STARTTLS, or the connection is of no use */
    bool tls;        /* TLS from the first byte */
    const char *from;
    char fields[SOURCE_FIELDS_BYTES]; /* more header fields with CRLF, or "" */
    const char *journal;
    const char *user;           /* AUTH PLAIN, or NULL */
    const char *password;       /* with user */
    struct tls_context *secure; /* with starttls, tls; the caller's */
};

struct source_totals {
    uint64_t tried;
    uint64_t accepted;
    uint64_t accepted_recipients;
    uint64_t refused_recipients; /* of accepted messages */
    uint64_t refused_4xx;
    uint64_t refused_5xx;
    uint64_t unknown;
    uint64_t not_sent;
    uint64_t connections;
    uint64_t secured; /* of them: under TLS */
    uint64_t connect_errors;
    uint64_t connections_lost; /* in the middle of a message */
    uint64_t held;
    uint64_t bytes;               /* of accepted messages */
    uint64_t codes[SOURCE_CODES]; /* of refused messages */
    const char *tls_version;      /* of the last secured connection, or NULL */
    const char *tls_cipher;
};

struct bench_source;

struct source_options bench_source_defaults(void);

struct bench_source *bench_source_open(const struct source_options *o);
/* No new messages; what is under way ends. */
void bench_source_stop(struct bench_source *s);
/* Ends the threads at once; reports and `promised` stay readable. */
void bench_source_join(struct bench_source *s);
/* The same, and frees. */
void bench_source_close(struct bench_source *s);

/* Becomes readable when every session ended, or with `hold` when all are open. */
int bench_source_done_fd(const struct bench_source *s);

void bench_source_totals(struct bench_source *s, struct source_totals *out);
/* A copy of the dot-to-250 latencies. */
void bench_source_latency(struct bench_source *s, struct bench_hist *out);
/* To be read after done or join only. */
const struct bench_run *bench_source_promised(const struct bench_source *s);
uint64_t bench_source_run_id(const struct bench_source *s);
uint64_t bench_source_start_us(const struct bench_source *s);
/* From the first connect to the last reply. */
uint64_t bench_source_elapsed_us(struct bench_source *s);

/* One JSON object in one line. */
void bench_source_report(struct bench_source *s, struct buf *out);

int source_main(int argc, char **argv);

#endif
