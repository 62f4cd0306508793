/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sink - an SMTP server that accepts everything, for measuring and for tests
 *
 * Purpose:   the next hop of a measured relay: answers at maximal speed, or with a latency per
 *            reply, or with errors at a stage, and knows which copies of which bench messages came
 *            (ledger). Never a limit on what it takes, so not a server for the Internet.
 * Owner:     bench_sink_open / bench_sink_close; its threads are its own.
 * Thread:    open, close and the report from one thread; sessions live in the sink's threads.
 * Units:     in the names.
 * Errors:    open returns NULL after a line on stderr.
 * RFC:       5321, 2920 (PIPELINING), 3030 (CHUNKING), 1870 (SIZE), 2034, 3461, 6531 as advertised,
 *            3207 (STARTTLS, with a certificate that nobody signed)
 */
#ifndef RINGPOST_BENCH_SINK_H
#define RINGPOST_BENCH_SINK_H

#include "bench/ledger.h"
#include "bench/net.h"
#include "bench/secure.h"

/* Where a reply is sent; latency and faults are configured per stage. */
enum sink_stage {
    SINK_STAGE_CONNECT,
    SINK_STAGE_EHLO,
    SINK_STAGE_MAIL,
    SINK_STAGE_RCPT,
    SINK_STAGE_DATA,
    SINK_STAGE_DOT, /* the end of the message, by dot or BDAT LAST */
    SINK_STAGE_RSET,
    SINK_STAGE_QUIT,
    SINK_STAGE_OTHER,
    SINK_STAGE_COUNT,
};

/* Instead of a reply code. */
enum {
    SINK_FAULT_DROP = 1,       /* closes before anything is taken */
    SINK_FAULT_LOST_REPLY = 2, /* at dot: takes the message, then closes without a reply */
};

enum { SINK_FAULTS_PER_STAGE = 4, SINK_KEYWORDS = 8 };

struct sink_fault {
    unsigned code; /* 400..599 or SINK_FAULT_* */
    unsigned permille;
};

struct sink_options {
    struct bench_addr listen;
    uint64_t addresses; /* listens on so many from `listen` on, IPv4 only; each in a thread */
    uint64_t threads;   /* at least as many as addresses */
    uint64_t latency_ms[SINK_STAGE_COUNT]; /* of one reply: the session waits for it */
    uint64_t
        delay_ms; /* a round trip: every reply leaves so long after it was made, nobody waits */
    uint64_t connections_max; /* at a time, then 421; 0 = no limit */
    struct sink_fault faults[SINK_STAGE_COUNT][SINK_FAULTS_PER_STAGE];
    bool without[SINK_KEYWORDS];      /* EHLO keywords not offered, by row of sink_keywords */
    uint64_t recipients_max;          /* per transaction, LIMITS RCPTMAX; 0 = no limit */
    uint64_t messages_per_connection; /* then 421; 0 = no limit */
    uint64_t size_max;
    uint64_t count;             /* bench_sink_wait returns after so many copies; 0 = never */
    uint64_t ready_fd;          /* 0: the port goes to stderr */
    uint64_t seed;              /* of the faults */
    const char *capture;        /* directory: new/<n>.eml and new/<n>.env */
    const char *journal;        /* a line "D <run>-<n> <k>" per copy */
    bool capture_strangers;     /* only messages without X-Bench-Id */
    bool starttls;              /* offered, with `secure` */
    struct tls_context *secure; /* the caller's */
    void (*captured)(struct slice envelope, const char *path); /* may be NULL; sink's thread */
};

extern const struct slice sink_keywords[SINK_KEYWORDS];

struct sink_totals {
    uint64_t connections;
    uint64_t messages;
    uint64_t recipients;
    uint64_t bytes;
    uint64_t strangers;  /* messages without X-Bench-Id */
    uint64_t secured;    /* messages that came under TLS */
    uint64_t signatures; /* messages with a DKIM-Signature */
    uint64_t faults;     /* replies replaced, connections dropped */
    uint64_t protocol_errors;
    uint64_t copies; /* of bench messages, duplicates included */
};

struct bench_sink;

struct sink_options bench_sink_defaults(void);

/* SIGTERM, SIGINT and SIGUSR1 should be blocked in the calling thread already. */
struct bench_sink *bench_sink_open(const struct sink_options *o);
void bench_sink_close(struct bench_sink *s);

uint16_t bench_sink_port(const struct bench_sink *s);
/* Becomes readable when `count` copies came. */
int bench_sink_done_fd(const struct bench_sink *s);

/* One JSON object in one line. */
void bench_sink_report(struct bench_sink *s, struct buf *out);
/* Of one run: copies that came, and promised ones that did not (0 while promised is NULL). */
struct sink_verdict {
    uint64_t unique;
    uint64_t duplicates;
    uint64_t missing;
    uint64_t last_us; /* of the last copy, 0 when none came */
    struct bench_hist latency;
};
void bench_sink_compare(struct bench_sink *s, uint64_t run, const struct bench_run *promised,
                        struct sink_verdict *out);

int sink_main(int argc, char **argv);

#endif
