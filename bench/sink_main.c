/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ringpost-bench sink
 */
#include "bench/option.h"
#include "bench/signals.h"
#include "bench/sink.h"

#include "core/base/must.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static bool sink_parse_listen(void *target, struct slice value)
{
    struct sink_options *o = target;
    return bench_addr_parse(value, &o->listen);
}

static bool sink_parse_stage(struct slice name, enum sink_stage *out)
{
    static const struct slice names[SINK_STAGE_COUNT] = {
        [SINK_STAGE_CONNECT] = SLICE_INIT("connect"), [SINK_STAGE_EHLO] = SLICE_INIT("ehlo"),
        [SINK_STAGE_MAIL] = SLICE_INIT("mail"),       [SINK_STAGE_RCPT] = SLICE_INIT("rcpt"),
        [SINK_STAGE_DATA] = SLICE_INIT("data"),       [SINK_STAGE_DOT] = SLICE_INIT("dot"),
        [SINK_STAGE_RSET] = SLICE_INIT("rset"),       [SINK_STAGE_QUIT] = SLICE_INIT("quit"),
        [SINK_STAGE_OTHER] = SLICE_INIT("other"),
    };
    for (unsigned i = 0; i < SINK_STAGE_COUNT; i++) {
        if (slice_eq_nocase(name, names[i])) {
            *out = (enum sink_stage)i;
            return true;
        }
    }
    return false;
}

/* dot=20 */
static bool sink_parse_latency(void *target, struct slice value)
{
    struct sink_options *o = target;
    enum sink_stage stage;
    uint64_t ms;
    if (!sink_parse_stage(slice_cut(&value, '='), &stage) || !slice_to_u64(value, &ms) ||
        ms > 3600000) {
        return false;
    }
    o->latency_ms[stage] = ms;
    return true;
}

/* "12.5" percent = 125. */
static bool sink_parse_permille(struct slice value, unsigned *out)
{
    struct slice whole = slice_cut(&value, '.');
    uint64_t n;
    uint64_t tenth = 0;
    if (!slice_to_u64(whole, &n) || n > 100 || value.len > 1 ||
        (value.len == 1 && !slice_to_u64(value, &tenth))) {
        return false;
    }
    *out = (unsigned)(n * 10 + tenth);
    return *out <= 1000;
}

/* rcpt=450:10, dot=drop:1, dot=lostreply:0.5 */
static bool sink_parse_fail(void *target, struct slice value)
{
    struct sink_options *o = target;
    enum sink_stage stage;
    struct sink_fault fault;
    uint64_t code;
    if (!sink_parse_stage(slice_cut(&value, '='), &stage)) {
        return false;
    }
    struct slice kind = slice_cut(&value, ':');
    if (!sink_parse_permille(value, &fault.permille)) {
        return false;
    }
    if (slice_eq(kind, SLICE("drop"))) {
        fault.code = SINK_FAULT_DROP;
    } else if (slice_eq(kind, SLICE("lostreply")) && stage == SINK_STAGE_DOT) {
        fault.code = SINK_FAULT_LOST_REPLY;
    } else if (slice_to_u64(kind, &code) && code >= 400 && code < 600) {
        fault.code = (unsigned)code;
    } else {
        return false;
    }
    for (size_t i = 0; i < SINK_FAULTS_PER_STAGE; i++) {
        if (o->faults[stage][i].permille == 0) {
            o->faults[stage][i] = fault;
            return true;
        }
    }
    return false;
}

static bool sink_parse_without(void *target, struct slice value)
{
    struct sink_options *o = target;
    for (size_t i = 0; i < SINK_KEYWORDS; i++) {
        if (slice_eq_nocase(value, sink_keywords[i])) {
            o->without[i] = true;
            return true;
        }
    }
    return false;
}

#define FIELD(name) offsetof(struct sink_options, name)

static const struct bench_option sink_rows[] = {
    {"--listen", "IP:PORT", BENCH_OPTION_CUSTOM, 0, 0, 0, sink_parse_listen,
     "default 127.0.0.1:0, a free port"},
    {"--addresses", "N", BENCH_OPTION_NUMBER, FIELD(addresses), 1, 250, NULL,
     "listen on N IPv4 addresses from --listen on, a thread each"},
    {"--threads", "N", BENCH_OPTION_NUMBER, FIELD(threads), 1, 64, NULL, "each with its listener"},
    {"--latency", "STAGE=MS", BENCH_OPTION_CUSTOM, 0, 0, 0, sink_parse_latency,
     "delay of a reply: connect ehlo mail rcpt data dot rset quit other"},
    {"--delay", "MS", BENCH_OPTION_NUMBER, FIELD(delay_ms), 1, 60000, NULL,
     "a round trip: every reply comes so much later, what is behind it does not wait"},
    {"--connections-max", "N", BENCH_OPTION_NUMBER, FIELD(connections_max), 1, 100000, NULL,
     "at a time, then 421"},
    {"--fail", "STAGE=CODE:PERCENT", BENCH_OPTION_CUSTOM, 0, 0, 0, sink_parse_fail,
     "inject a reply (400..599; 421 closes), drop, or dot=lostreply:PERCENT"},
    {"--without", "KEYWORD", BENCH_OPTION_CUSTOM, 0, 0, 0, sink_parse_without,
     "do not offer this EHLO keyword"},
    {"--no-pipelining", NULL, BENCH_OPTION_FLAG, FIELD(without[0]), 0, 0, NULL,
     "--without PIPELINING"},
    {"--no-chunking", NULL, BENCH_OPTION_FLAG, FIELD(without[5]), 0, 0, NULL, "--without CHUNKING"},
    {"--starttls", NULL, BENCH_OPTION_FLAG, FIELD(starttls), 0, 0, NULL,
     "offer STARTTLS with a certificate made now"},
    {"--recipients-max", "N", BENCH_OPTION_NUMBER, FIELD(recipients_max), 1, 1000000, NULL,
     "LIMITS RCPTMAX, 452 beyond"},
    {"--messages-per-connection", "N", BENCH_OPTION_NUMBER, FIELD(messages_per_connection), 1,
     1000000, NULL, "then 421"},
    {"--size-max", "BYTES", BENCH_OPTION_NUMBER, FIELD(size_max), 1, BENCH_MESSAGE_MAX, NULL,
     "advertised SIZE, 552 beyond (64M)"},
    {"--capture", "DIR", BENCH_OPTION_TEXT, FIELD(capture), 0, 0, NULL,
     "write messages to DIR/new/*.eml with *.env"},
    {"--journal", "FILE", BENCH_OPTION_TEXT, FIELD(journal), 0, 0, NULL,
     "append a line 'D <run>-<n> <k>' per copy of a bench message"},
    {"--count", "N", BENCH_OPTION_NUMBER, FIELD(count), 1, UINT64_MAX, NULL,
     "end after N copies of bench messages (one per recipient)"},
    {"--seed", "N", BENCH_OPTION_NUMBER, FIELD(seed), 0, UINT64_MAX, NULL, "of the faults"},
    {"--ready-fd", "FD", BENCH_OPTION_NUMBER, FIELD(ready_fd), 1, 65535, NULL,
     "write the port there when listening"},
};

static const struct bench_command sink_command = {
    .name = "sink",
    .summary = "accept SMTP mail and count it; JSON on stdout at SIGTERM, SIGINT, --count, SIGUSR1",
    .options = sink_rows,
    .option_count = ARRAY_COUNT(sink_rows),
};

static void sink_print(struct bench_sink *s)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    bench_sink_report(s, &b);
    (void)fwrite(b.ptr, 1, b.len, stdout);
    fflush(stdout);
    buf_deinit(&b);
}

static void sink_announce(const struct sink_options *o, uint16_t port)
{
    if (o->ready_fd == 0) {
        fprintf(stderr, "ringpost-bench: sink listens on port %u\n", port);
        return;
    }
    dprintf((int)o->ready_fd, "%u\n", port);
    close((int)o->ready_fd);
}

static int sink_run(const struct sink_options *o)
{
    (void)bench_net_raise_fd_limit();
    int signals = bench_signals_open();
    struct bench_sink *s = bench_sink_open(o);
    if (s == NULL) {
        return 1;
    }
    sink_announce(o, bench_sink_port(s));
    int got;
    while ((got = bench_signals_wait(signals, bench_sink_done_fd(s), -1)) != 0 && got != SIGTERM &&
           got != SIGINT) {
        if (got == SIGUSR1) {
            sink_print(s);
        }
    }
    sink_print(s);
    bench_sink_close(s);
    close(signals);
    return 0;
}

static bool sink_secure(struct sink_options *o)
{
    struct tls_certificate *pair = bench_secure_certificate(0);
    o->secure = pair ? bench_secure_server(pair) : NULL;
    tls_certificate_free(&pair);
    return o->secure != NULL;
}

int sink_main(int argc, char **argv)
{
    struct sink_options o = bench_sink_defaults();
    int status = 0;
    if (!bench_options_read(&sink_command, &o, argc, argv, &status)) {
        return status;
    }
    if (o.threads < o.addresses) {
        o.threads = o.addresses;
    }
    if (o.starttls && !sink_secure(&o)) {
        return 1;
    }
    int code = sink_run(&o);
    tls_context_put(&o.secure);
    return code;
}
