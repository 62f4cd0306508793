/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ringpost-bench source
 */
#include "bench/option.h"
#include "bench/signals.h"
#include "bench/source.h"

#include "core/base/must.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PASSWORD_VARIABLE "RINGPOST_BENCH_PASSWORD"

static bool source_parse_to(void *target, struct slice value)
{
    struct source_options *o = target;
    return bench_addr_parse(value, &o->to) && bench_addr_port(&o->to) != 0;
}

/* 1K or 1000-20000 */
static bool source_parse_size(void *target, struct slice value)
{
    struct source_options *o = target;
    struct slice low = slice_cut(&value, '-');
    uint64_t min;
    if (!bench_option_number(low, &min) || min < BENCH_MESSAGE_MIN || min > BENCH_MESSAGE_MAX) {
        return false;
    }
    uint64_t max = min;
    if (value.len > 0 &&
        (!bench_option_number(value, &max) || max < min || max > BENCH_MESSAGE_MAX)) {
        return false;
    }
    o->size_min = min;
    o->size_max = max;
    return true;
}

static bool source_parse_header(void *target, struct slice value)
{
    struct source_options *o = target;
    size_t have = strlen(o->fields);
    if (value.len == 0 || value.len + 3 > sizeof(o->fields) - have) {
        return false;
    }
    (void)snprintf(o->fields + have, sizeof(o->fields) - have, "%.*s\r\n", (int)value.len,
                   value.ptr);
    return true;
}

#define FIELD(name) offsetof(struct source_options, name)

static const struct bench_option source_rows[] = {
    {"--to", "IP:PORT", BENCH_OPTION_CUSTOM, 0, 0, 0, source_parse_to, "where to send (required)"},
    {"--sessions", "N", BENCH_OPTION_NUMBER, FIELD(sessions), 1, 100000, NULL, "at once (1)"},
    {"--messages", "N", BENCH_OPTION_NUMBER, FIELD(messages), 1, UINT32_MAX, NULL, "in all (1000)"},
    {"--size", "BYTES|MIN-MAX", BENCH_OPTION_CUSTOM, 0, 0, 0, source_parse_size,
     "message size, at least 320 (1K)"},
    {"--recipients", "R", BENCH_OPTION_NUMBER, FIELD(recipients), 1, SOURCE_RECIPIENTS_MAX, NULL,
     "per message (1)"},
    {"--vary", NULL, BENCH_OPTION_FLAG, FIELD(vary), 0, 0, NULL, "1..R recipients, mostly 1"},
    {"--per-connection", "M", BENCH_OPTION_NUMBER, FIELD(per_connection), 1, UINT32_MAX, NULL,
     "messages per connection (no limit)"},
    {"--pipelining", NULL, BENCH_OPTION_FLAG, FIELD(pipelining), 0, 0, NULL,
     "envelope in one write, when offered"},
    {"--overlap", NULL, BENCH_OPTION_FLAG, FIELD(overlap), 0, 0, NULL,
     "and the next envelope together with the dot"},
    {"--bdat", NULL, BENCH_OPTION_FLAG, FIELD(bdat), 0, 0, NULL, "BDAT LAST, when offered"},
    {"--in-flight", "N", BENCH_OPTION_NUMBER, FIELD(in_flight), 1, SOURCE_IN_FLIGHT_MAX, NULL,
     "messages under way per session with --overlap, --bdat (2)"},
    {"--domains", "D", BENCH_OPTION_NUMBER, FIELD(domains), 1, 10000000, NULL,
     "recipients spread over example0..D-1.test (1)"},
    {"--from", "ADDRESS", BENCH_OPTION_TEXT, FIELD(from), 0, 0, NULL,
     "sender (bench@example.test)"},
    {"--header", "FIELD", BENCH_OPTION_CUSTOM, 0, 0, 0, source_parse_header,
     "one more header field, like 'X-Priority: 1'"},
    {"--starttls", NULL, BENCH_OPTION_FLAG, FIELD(starttls), 0, 0, NULL,
     "STARTTLS on every connection; certificates are not checked"},
    {"--tls", NULL, BENCH_OPTION_FLAG, FIELD(tls), 0, 0, NULL,
     "TLS from the first byte (port 465)"},
    {"--auth", "USER", BENCH_OPTION_TEXT, FIELD(user), 0, 0, NULL,
     "AUTH PLAIN on every connection; the password is in $" PASSWORD_VARIABLE},
    {"--rate", "N", BENCH_OPTION_NUMBER, FIELD(rate), 1, 10000000, NULL,
     "messages a second at most"},
    {"--threads", "N", BENCH_OPTION_NUMBER, FIELD(threads), 1, 64, NULL, "(1)"},
    {"--timeout", "SECONDS", BENCH_OPTION_NUMBER, FIELD(timeout_s), 1, 86400, NULL,
     "give up a silent connection (300)"},
    {"--unique-seed", "N", BENCH_OPTION_NUMBER, FIELD(seed), 1, UINT64_MAX, NULL,
     "the run's id and its text (random)"},
    {"--journal", "FILE", BENCH_OPTION_TEXT, FIELD(journal), 0, 0, NULL,
     "append T/O/R/F/U lines, see bench/source.h"},
    {"--keep-going", NULL, BENCH_OPTION_FLAG, FIELD(keep_going), 0, 0, NULL,
     "reconnect when the server goes away"},
    {"--hold", NULL, BENCH_OPTION_FLAG, FIELD(hold), 0, 0, NULL,
     "send nothing: keep the sessions open after EHLO until SIGTERM"},
};

static const struct bench_command source_command = {
    .name = "source",
    .summary = "send bench messages; JSON on stdout at the end and at SIGUSR1",
    .options = source_rows,
    .option_count = ARRAY_COUNT(source_rows),
};

static void source_print(struct bench_source *s)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    bench_source_report(s, &b);
    (void)fwrite(b.ptr, 1, b.len, stdout);
    fflush(stdout);
    buf_deinit(&b);
}

/* Until every session ended; with --hold until a signal. A second signal ends at once. */
static void source_wait(struct bench_source *s, const struct source_options *o, int signals)
{
    int event_fd = bench_source_done_fd(s);
    bool stopped = false;
    for (;;) {
        int got = bench_signals_wait(signals, event_fd, -1);
        if (got == SIGUSR1) {
            source_print(s);
        } else if ((got == SIGTERM || got == SIGINT) && (stopped || o->hold)) {
            return;
        } else if (got == SIGTERM || got == SIGINT) {
            stopped = true;
            bench_source_stop(s);
        } else if (got == 0 && o->hold) {
            source_print(s); /* all open */
            event_fd = -1;
        } else if (got == 0) {
            return;
        }
    }
}

/* 0: everything that was tried is promised. */
static int source_verdict(struct bench_source *s, const struct source_options *o)
{
    struct source_totals t;
    bench_source_totals(s, &t);
    if (o->hold) {
        return t.held == o->sessions ? 0 : 1;
    }
    return t.accepted == o->messages && t.refused_recipients == 0 ? 0 : 1;
}

static int source_run(const struct source_options *o)
{
    (void)bench_net_raise_fd_limit();
    int signals = bench_signals_open();
    struct bench_source *s = bench_source_open(o);
    if (s == NULL) {
        return 1;
    }
    source_wait(s, o, signals);
    int code = source_verdict(s, o);
    if (!o->hold) {
        source_print(s);
    }
    bench_source_close(s);
    close(signals);
    return code;
}

/* What the table cannot say; 0 or an exit status. */
static int source_check(struct source_options *o)
{
    if (o->to.len == 0) {
        bench_complain("source: --to IP:PORT is missing");
        return 64;
    }
    if (o->size_min < BENCH_MESSAGE_MIN + strlen(o->fields)) {
        bench_complain("source: --size is too small for --header");
        return 64;
    }
    if (o->starttls && o->tls) {
        bench_complain("source: --starttls and --tls: one of them");
        return 64;
    }
    o->password = o->user ? getenv(PASSWORD_VARIABLE) : NULL;
    if (o->user && !o->password) {
        bench_complain("source: --auth needs $" PASSWORD_VARIABLE);
        return 64;
    }
    if (o->threads > o->sessions) {
        o->threads = o->sessions;
    }
    if (o->starttls || o->tls) {
        o->secure = bench_secure_client();
        return o->secure ? 0 : 1;
    }
    return 0;
}

int source_main(int argc, char **argv)
{
    struct source_options o = bench_source_defaults();
    int status = 0;
    if (!bench_options_read(&source_command, &o, argc, argv, &status)) {
        return status;
    }
    int code = source_check(&o);
    if (code == 0) {
        code = source_run(&o);
    }
    tls_context_put(&o.secure);
    return code;
}
