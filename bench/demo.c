/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   sink (thread) <-- engine (child) <-- source (threads)
 *
 * Source and sink keep one ledger each; their difference is what was lost.
 */
#include "bench/demo.h"

#include "bench/engine.h"
#include "bench/loop.h"
#include "bench/option.h"
#include "bench/signals.h"
#include "bench/sink.h"
#include "bench/source.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEMO_PROGRESS_MS = 100,
    DEMO_BAR_CELLS = 30,
    DEMO_READY_MS = 30000,
    DEMO_STOP_MS = 60000,
    DEMO_SETS_MAX = 16,
    DEMO_PASSWORD_CHARS = 16,
};

struct demo {
    const char *engine_path;
    const char *dir;
    const char *sets[DEMO_SETS_MAX];
    uint64_t set_count;
    uint64_t messages;
    uint64_t sessions;
    uint64_t recipients;
    uint64_t port;
    uint64_t wait_s;
    bool once;

    uint16_t port_used;
    uint16_t submission_port; /* TLS and a login */
    char password[DEMO_PASSWORD_CHARS + 1];
    int signals;
    bool interrupted;
    struct bench_engine engine;
    struct bench_sink *sink;
    struct bench_source *source;
};

static bool demo_parse_set(void *target, struct slice value)
{
    struct demo *d = target;
    if (d->set_count >= DEMO_SETS_MAX || slice_find_byte(value, '=') <= 0) {
        return false;
    }
    d->sets[d->set_count++] = value.ptr;
    return true;
}

#define FIELD(name) offsetof(struct demo, name)

static const struct bench_option demo_rows[] = {
    {"--once", NULL, BENCH_OPTION_FLAG, FIELD(once), 0, 0, NULL,
     "end after the table; status 0 only if nothing was lost"},
    {"--messages", "N", BENCH_OPTION_NUMBER, FIELD(messages), 1, 100000000, NULL, "(1000)"},
    {"--sessions", "N", BENCH_OPTION_NUMBER, FIELD(sessions), 1, 10000, NULL, "(20)"},
    {"--recipients", "N", BENCH_OPTION_NUMBER, FIELD(recipients), 1, 100, NULL,
     "per message at most, most have one (5)"},
    {"--port", "PORT", BENCH_OPTION_NUMBER, FIELD(port), 1, 65435, NULL,
     "where the engine listens; the next free one from there on (2525)"},
    {"--dir", "DIR", BENCH_OPTION_TEXT, FIELD(dir), 0, 0, NULL,
     "spool, log and captured mail (./var)"},
    {"--wait", "SECONDS", BENCH_OPTION_NUMBER, FIELD(wait_s), 1, 86400, NULL,
     "for the last delivery, without progress (30)"},
    {"--set", "KEY=VALUE", BENCH_OPTION_CUSTOM, 0, 0, 0, demo_parse_set, "passed on to the engine"},
    {"--engine", "PATH", BENCH_OPTION_TEXT, FIELD(engine_path), 0, 0, NULL,
     "the ringpost binary (beside this one)"},
};

static const struct bench_command demo_command = {
    .name = "demo",
    .summary = "the engine on loopback with a capture sink behind it",
    .options = demo_rows,
    .option_count = ARRAY_COUNT(demo_rows),
};

/* ---- set-up ----------------------------------------------------------------------------- */

/* In the sink's thread: mail that somebody sent by hand. */
static void demo_captured(struct slice envelope, const char *path)
{
    struct slice mail = slice_cut(&envelope, '\n');
    printf("captured %.*s -> %s\n", SLICE_ARG(mail), path);
    fflush(stdout);
}

static bool demo_open_sink(struct demo *d, char *capture, size_t capture_size)
{
    struct sink_options o = bench_sink_defaults();
    (void)snprintf(capture, capture_size, "%s/captured", d->dir);
    o.capture = capture;
    o.capture_strangers = true;
    o.captured = demo_captured;
    d->sink = bench_sink_open(&o);
    return d->sink != NULL;
}

/* A user for the submission port. By the environment: an argument could be read by everybody here. */
static bool demo_make_user(struct demo *d)
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32: no bias */
    unsigned char random[DEMO_PASSWORD_CHARS];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        bench_complain("the kernel gives no random bytes");
        return false;
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        d->password[i] = letters[random[i] % 32];
    }
    return setenv("RINGPOST_USERS_0_NAME", "demo", 1) == 0 &&
           setenv("RINGPOST_USERS_0_PASSWORD", d->password, 1) == 0;
}

static bool demo_start_engine(struct demo *d)
{
    char fixed[9][BENCH_ENGINE_PATH_BYTES];
    char *argv[2 + 2 * (ARRAY_COUNT(fixed) + DEMO_SETS_MAX) + 1];
    size_t n = 0;
    (void)snprintf(fixed[0], sizeof(fixed[0]), "relay.host=[127.0.0.1]:%u",
                   bench_sink_port(d->sink));
    (void)snprintf(fixed[1], sizeof(fixed[1]), "spool.dir=%s/spool", d->dir);
    (void)snprintf(fixed[2], sizeof(fixed[2]), "listeners.0.address=127.0.0.1");
    (void)snprintf(fixed[3], sizeof(fixed[3]), "listeners.0.port=%u", d->port_used);
    (void)snprintf(fixed[4], sizeof(fixed[4]), "listeners.1.port=%u", d->submission_port);
    (void)snprintf(fixed[5], sizeof(fixed[5]), "listeners.1.mode=submission");
    (void)snprintf(fixed[6], sizeof(fixed[6]), "listeners.1.tls=encrypt");
    (void)snprintf(fixed[7], sizeof(fixed[7]), "listeners.1.access=auth");
    (void)snprintf(fixed[8], sizeof(fixed[8]), "tls.on_missing=self_signed");
    if (!demo_make_user(d)) {
        return false;
    }
    argv[n++] = (char *)d->engine_path;
    argv[n++] = "serve";
    for (size_t i = 0; i < ARRAY_COUNT(fixed); i++) {
        argv[n++] = "--set";
        argv[n++] = fixed[i];
    }
    for (size_t i = 0; i < d->set_count; i++) {
        argv[n++] = "--set";
        argv[n++] = (char *)d->sets[i];
    }
    argv[n] = NULL;
    return bench_engine_start(&d->engine, argv, d->dir);
}

static struct bench_addr demo_address(const struct demo *d)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "127.0.0.1:%u", d->port_used);
    struct bench_addr a = {.len = 0};
    bool parsed = bench_addr_parse(slice_of(text, (size_t)n), &a);
    must(parsed);
    return a;
}

static bool demo_start(struct demo *d)
{
    d->port_used = bench_engine_free_port((uint16_t)d->port);
    if (d->port_used == 0) {
        bench_complain("no free port from %llu on", (unsigned long long)d->port);
        return false;
    }
    if (d->port_used != d->port) {
        printf("Port %llu is taken, using %u.\n", (unsigned long long)d->port, d->port_used);
    }
    d->submission_port = bench_engine_free_port((uint16_t)(d->port_used + 1));
    struct bench_addr to = demo_address(d);
    if (!demo_start_engine(d) || !bench_engine_wait_ready(&d->engine, &to, DEMO_READY_MS)) {
        return false;
    }
    printf(
        "Ringpost listens on 127.0.0.1:%u (and with TLS and login on %u) and relays to a capture sink on port %u: "
        "nothing leaves this machine.\n",
        d->port_used, d->submission_port, bench_sink_port(d->sink));
    return true;
}

/* ---- the run ---------------------------------------------------------------------------- */

static void demo_progress(const struct demo *d, uint64_t accepted, uint64_t delivered, bool last)
{
    char bar[DEMO_BAR_CELLS + 1];
    uint64_t cells = accepted >= d->messages ? DEMO_BAR_CELLS
                                             : accepted * DEMO_BAR_CELLS / d->messages;
    for (size_t i = 0; i < DEMO_BAR_CELLS; i++) {
        bar[i] = i < cells ? '#' : '.';
    }
    bar[DEMO_BAR_CELLS] = '\0';
    bool tty = isatty(STDOUT_FILENO);
    if (tty || last) {
        printf("%s[%s] %llu of %llu accepted, %llu copies delivered%s", tty ? "\r" : "", bar,
               (unsigned long long)accepted, (unsigned long long)d->messages,
               (unsigned long long)delivered, last ? "\n" : "");
        fflush(stdout);
    }
}

/* Until all is delivered, nothing has moved for wait_s, the engine died, or Ctrl-C. */
static void demo_watch(struct demo *d, struct sink_verdict *v)
{
    uint64_t run = bench_source_run_id(d->source);
    uint64_t moved_us = bench_now_us();
    uint64_t moved = 0;
    bool sending = true;
    bool ended = false;
    while (!ended) {
        struct source_totals t;
        int event = sending ? bench_source_done_fd(d->source) : -1;
        int got = bench_signals_wait(d->signals, event, sending ? DEMO_PROGRESS_MS : 10);
        sending = sending && got != 0;
        d->interrupted = got == SIGINT || got == SIGTERM;
        bench_source_totals(d->source, &t);
        bench_sink_compare(d->sink, run, sending ? NULL : bench_source_promised(d->source), v);
        if (t.tried + v->unique != moved) {
            moved = t.tried + v->unique;
            moved_us = bench_now_us();
        }
        bool stuck = bench_now_us() - moved_us > d->wait_s * 1000000;
        bool died = !bench_engine_running(&d->engine);
        ended = d->interrupted || died || stuck || (!sending && v->missing == 0);
        demo_progress(d, t.accepted, v->unique, ended);
        if (died) {
            bench_engine_explain(&d->engine);
        }
    }
    bench_source_join(d->source);
    bench_sink_compare(d->sink, run, bench_source_promised(d->source), v);
}

static void demo_row_latency(const char *name, const struct bench_hist *h)
{
    printf("  %-12s p50 %.2f ms, p99 %.2f ms\n", name, (double)bench_hist_quantile(h, 500) / 1e3,
           (double)bench_hist_quantile(h, 990) / 1e3);
}

/* True when everything was accepted and came exactly once. */
static bool demo_table(struct demo *d, const struct sink_verdict *v)
{
    struct source_totals t;
    struct bench_hist latency;
    bench_source_totals(d->source, &t);
    bench_source_latency(d->source, &latency);
    const struct bench_run *promised = bench_source_promised(d->source);
    uint64_t in_us = bench_source_elapsed_us(d->source);
    uint64_t start_us = bench_source_start_us(d->source);
    uint64_t all_us = v->last_us > start_us ? v->last_us - start_us : 0;
    must(promised->unique == t.accepted_recipients);
    printf("\n  %-12s %llu messages for %llu recipients\n", "accepted",
           (unsigned long long)t.accepted, (unsigned long long)t.accepted_recipients);
    printf("  %-12s %llu\n", "delivered", (unsigned long long)v->unique);
    printf("  %-12s %llu\n", "lost", (unsigned long long)v->missing);
    printf("  %-12s %llu\n", "duplicates", (unsigned long long)v->duplicates);
    printf("  %-12s %.0f messages/s in, %.0f messages/s end to end\n", "speed",
           in_us ? (double)t.accepted * 1e6 / (double)in_us : 0.0,
           all_us ? (double)t.accepted * 1e6 / (double)all_us : 0.0);
    demo_row_latency("dot to 250", &latency);
    demo_row_latency("end to end", &v->latency);
    printf("\n");
    uint64_t refused = t.refused_4xx + t.refused_5xx + t.refused_recipients;
    if (t.accepted != d->messages || refused > 0) {
        printf("  not accepted: %llu refused for now, %llu refused, %llu recipients refused, "
               "%llu unknown, %llu not sent\n",
               (unsigned long long)t.refused_4xx, (unsigned long long)t.refused_5xx,
               (unsigned long long)t.refused_recipients, (unsigned long long)t.unknown,
               (unsigned long long)t.not_sent);
    }
    return t.accepted == d->messages && refused == 0 && v->missing == 0;
}

static bool demo_send(struct demo *d)
{
    struct source_options o = bench_source_defaults();
    struct sink_verdict verdict;
    o.to = demo_address(d);
    o.sessions = d->sessions < d->messages ? d->sessions : d->messages;
    o.messages = d->messages;
    o.size_min = 1024;
    o.size_max = 20 * 1024;
    o.recipients = d->recipients;
    o.vary = true;
    o.pipelining = true;
    o.domains = 20;
    o.timeout_s = d->wait_s;
    printf("Sending %llu messages of 1 to 20 KB over %llu sessions.\n",
           (unsigned long long)o.messages, (unsigned long long)o.sessions);
    fflush(stdout);
    d->source = bench_source_open(&o);
    if (d->source == NULL) {
        return false;
    }
    demo_watch(d, &verdict);
    return demo_table(d, &verdict);
}

static void demo_hints(const struct demo *d)
{
    unsigned port = d->port_used;
    printf("Try it (mail you send by hand appears in %s/captured/new):\n"
           "  swaks --server 127.0.0.1:%u --from you@example.test --to someone@example.test\n"
           "  swaks --server 127.0.0.1:%u --tls --auth PLAIN --auth-user demo --auth-password %s "
           "--from you@example.test --to someone@example.test\n"
           "  printf 'Subject: hello\\r\\n\\r\\nhello\\r\\n' | curl smtp://127.0.0.1:%u "
           "--mail-from you@example.test --mail-rcpt someone@example.test -T -\n"
           "  a real smarthost: ./dev run -c relay.yaml, with relay.yaml:\n"
           "      listeners: [{address: 127.0.0.1, port: 2525, mode: relay}]\n"
           "      spool: {dir: %s/spool}\n"
           "      relay: {host: \"smarthost.example.net:25\"}\n"
           "Log: %s. Ctrl-C ends it.\n",
           d->dir, port, d->submission_port, d->password, port, d->dir, d->engine.log_path);
    fflush(stdout);
}

/* Until Ctrl-C; false when the engine ended by itself. */
static bool demo_stay(struct demo *d)
{
    demo_hints(d);
    for (;;) {
        int got = bench_signals_wait(d->signals, -1, 1000);
        if (got == SIGINT || got == SIGTERM) {
            return true;
        }
        if (!bench_engine_running(&d->engine)) {
            bench_engine_explain(&d->engine);
            return false;
        }
    }
}

static int demo_run(struct demo *d)
{
    char capture[BENCH_ENGINE_PATH_BYTES];
    bool ok = false;
    d->signals = bench_signals_open();
    if (mkdir(d->dir, 0755) < 0 && errno != EEXIST) {
        bench_complain("%s: %s", d->dir, strerror(errno));
        return 1;
    }
    if (demo_open_sink(d, capture, sizeof(capture)) && demo_start(d)) {
        ok = demo_send(d);
        if (!d->once && !d->interrupted && bench_engine_running(&d->engine)) {
            ok = demo_stay(d) && ok;
        }
    }
    /* The sink takes what the engine still delivers while it ends. */
    bench_engine_stop(&d->engine, d->signals, DEMO_STOP_MS);
    if (d->source != NULL) {
        bench_source_close(d->source);
    }
    if (d->sink != NULL) {
        bench_sink_close(d->sink);
    }
    close(d->signals);
    return ok && !d->interrupted ? 0 : 1;
}

int demo_main(int argc, char **argv)
{
    char path[BENCH_ENGINE_PATH_BYTES];
    struct demo d = {
        .dir = "./var",
        .messages = 1000,
        .sessions = 20,
        .recipients = 5,
        .port = 2525,
        .wait_s = 30,
    };
    int status = 0;
    if (!bench_options_read(&demo_command, &d, argc, argv, &status)) {
        return status;
    }
    if (d.engine_path == NULL) {
        if (!bench_engine_default_path(path)) {
            bench_complain("cannot find the engine; name it with --engine");
            return 1;
        }
        d.engine_path = path;
    }
    (void)bench_net_raise_fd_limit();
    return demo_run(&d);
}
