/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The threads of the sink and what they count. One mutex guards the counts: it is taken once per
 * message and once per connection, which costs nothing beside the system calls of a message.
 */
#include "bench/sink_session.h"

#include "bench/capture.h"
#include "bench/option.h"

#include <errno.h>
#include <stdatomic.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

const struct slice sink_keywords[SINK_KEYWORDS] = {
    SLICE_INIT("PIPELINING"),
    SLICE_INIT("SIZE"),
    SLICE_INIT("8BITMIME"),
    SLICE_INIT("SMTPUTF8"),
    SLICE_INIT("ENHANCEDSTATUSCODES"),
    SLICE_INIT("CHUNKING"),
    SLICE_INIT("DSN"),
    SLICE_INIT("LIMITS"),
};

struct bench_sink {
    struct sink_options options;
    struct sink_worker *workers;
    pthread_t *threads;
    size_t worker_count; /* with a loop */
    size_t thread_count; /* running */
    uint16_t port;
    int done_fd;
    int journal_fd;
    pthread_mutex_t lock; /* guards what follows */
    struct sink_totals totals;
    struct bench_ledger ledger;
    struct bench_capture capture;
    _Atomic uint64_t open; /* connections */
};

struct sink_options bench_sink_defaults(void)
{
    struct sink_options o = {.addresses = 1, .threads = 1, .size_max = 64 * 1024 * 1024};
    (void)bench_addr_parse(SLICE("127.0.0.1:0"), &o.listen);
    return o;
}

/* ---- counting --------------------------------------------------------------------------- */

static void sink_count(struct bench_sink *s, uint64_t *counter)
{
    pthread_mutex_lock(&s->lock);
    (*counter)++;
    pthread_mutex_unlock(&s->lock);
}

bool sink_count_connection(struct bench_sink *s)
{
    sink_count(s, &s->totals.connections);
    uint64_t open = atomic_fetch_add(&s->open, 1);
    return s->options.connections_max == 0 || open < s->options.connections_max;
}

void sink_count_close(struct bench_sink *s)
{
    atomic_fetch_sub(&s->open, 1);
}

void sink_count_fault(struct bench_sink *s)
{
    sink_count(s, &s->totals.faults);
}

void sink_count_protocol_error(struct bench_sink *s)
{
    sink_count(s, &s->totals.protocol_errors);
}

/* Under the lock. */
static void sink_note(struct sink_worker *w, const struct sink_message *m,
                      const struct bench_stamp *stamp)
{
    struct bench_sink *s = w->sink;
    struct bench_run *run = bench_ledger_run(&s->ledger, stamp->run);
    if (run == NULL) {
        s->totals.strangers++;
        return;
    }
    uint64_t now_us = bench_now_us();
    uint64_t before = s->totals.copies;
    run->messages++;
    for (uint64_t i = 0; i < m->recipients; i++) {
        (void)bench_run_note(run, stamp, m->indexes[i], now_us);
        s->totals.copies++;
        if (s->journal_fd >= 0) {
            buf_addf(&w->journal, "D %016llx-%llu %llu\n", (unsigned long long)stamp->run,
                     (unsigned long long)stamp->number, (unsigned long long)m->indexes[i]);
        }
    }
    uint64_t goal = s->options.count;
    if (goal > 0 && before < goal && s->totals.copies >= goal) {
        uint64_t one = 1;
        ssize_t n = write(s->done_fd, &one, sizeof(one));
        (void)n;
    }
}

void sink_take(struct sink_worker *w, const struct sink_message *m)
{
    struct bench_sink *s = w->sink;
    struct bench_stamp stamp;
    bool ours = bench_stamp_find(m->text, &stamp);
    bool with_signature = bench_message_is_signed(m->text);
    pthread_mutex_lock(&s->lock);
    s->totals.messages++;
    s->totals.recipients += m->recipients;
    s->totals.bytes += m->bytes;
    s->totals.secured += m->secured;
    s->totals.signatures += with_signature;
    if (ours) {
        sink_note(w, m, &stamp);
    } else {
        s->totals.strangers++;
    }
    uint64_t number = s->totals.messages;
    pthread_mutex_unlock(&s->lock);
    if (s->options.capture == NULL || (ours && s->options.capture_strangers)) {
        return;
    }
    char path[BENCH_CAPTURE_PATH_BYTES];
    if (bench_capture_write(&s->capture, number, m, path) && s->options.captured != NULL) {
        s->options.captured(m->envelope, path);
    }
}

/* ---- threads ---------------------------------------------------------------------------- */

static void sink_accept(struct bench_watch *watch, uint32_t events)
{
    (void)events;
    struct sink_worker *w = container_of(watch, struct sink_worker, listener);
    for (int budget = 64; budget > 0; budget--) {
        int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE) {
                usleep(1000); /* level-triggered: do not spin while descriptors are short */
            }
            return;
        }
        bench_net_nodelay(fd);
        sink_session_open(w, fd);
    }
}

static void sink_after_batch(void *ctx)
{
    struct sink_worker *w = ctx;
    size_t at = 0;
    while (at < w->journal.len) {
        ssize_t n = write(w->sink->journal_fd, w->journal.ptr + at, w->journal.len - at);
        if (n < 0 && errno != EINTR) {
            bench_complain("sink: journal: %s", strerror(errno));
            break;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    buf_clear(&w->journal);
}

/* Where thread i listens. */
static struct bench_addr sink_address(const struct sink_options *o, size_t i)
{
    struct bench_addr a = o->listen;
    if (a.ss.ss_family == AF_INET && o->addresses > 1) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&a.ss;
        v4->sin_addr.s_addr = htonl(ntohl(v4->sin_addr.s_addr) + (uint32_t)(i % o->addresses));
    }
    return a;
}

static bool sink_worker_open(struct bench_sink *s, size_t i)
{
    struct sink_worker *w = &s->workers[i];
    struct bench_addr at = sink_address(&s->options, i);
    w->sink = s;
    w->options = &s->options;
    list_init(&w->sessions);
    rng_init_seed(&w->rng, s->options.seed + i);
    buf_init(&w->journal, SIZE_MAX / 2);
    w->listener = (struct bench_watch){bench_net_listen(&at), sink_accept};
    if (w->listener.fd < 0) {
        bench_complain("sink: cannot listen on port %u: %s", bench_addr_port(&s->options.listen),
                       strerror(errno));
        return false;
    }
    if (!bench_loop_init(&w->loop, w)) {
        bench_complain("sink: event loop: %s", strerror(errno));
        close(w->listener.fd);
        return false;
    }
    w->loop.after_batch = sink_after_batch;
    s->worker_count++;
    /* All further threads must share the port that the first one got. */
    s->port = bench_net_port(w->listener.fd);
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&s->options.listen.ss;
    v4->sin_port = htons(s->port);
    return bench_loop_add(&w->loop, &w->listener, BENCH_LOOP_LISTEN);
}

static void *sink_thread(void *arg)
{
    struct sink_worker *w = arg;
    bench_loop_run(&w->loop);
    return NULL;
}

static bool sink_start(struct bench_sink *s)
{
    if (s->options.journal != NULL) {
        s->journal_fd = open(s->options.journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (s->journal_fd < 0) {
            bench_complain("sink: %s: %s", s->options.journal, strerror(errno));
            return false;
        }
    }
    if (s->options.capture != NULL && !bench_capture_open(&s->capture, s->options.capture)) {
        return false;
    }
    for (size_t i = 0; i < s->options.threads; i++) {
        if (!sink_worker_open(s, i)) {
            return false;
        }
    }
    for (size_t i = 0; i < s->worker_count; i++) {
        if (pthread_create(&s->threads[i], NULL, sink_thread, &s->workers[i]) != 0) {
            bench_complain("sink: cannot start a thread");
            return false;
        }
        s->thread_count++;
    }
    return true;
}

struct bench_sink *bench_sink_open(const struct sink_options *o)
{
    must(o->threads > 0);
    struct bench_sink *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->options = *o;
    s->journal_fd = -1;
    s->workers = calloc(o->threads, sizeof(*s->workers));
    s->threads = calloc(o->threads, sizeof(*s->threads));
    s->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&s->lock, NULL);
    bench_ledger_init(&s->ledger);
    if (s->workers == NULL || s->threads == NULL || s->done_fd < 0 || !sink_start(s)) {
        bench_sink_close(s);
        return NULL;
    }
    return s;
}

void bench_sink_close(struct bench_sink *s)
{
    must(s->threads || s->thread_count == 0);
    for (size_t i = 0; i < s->thread_count; i++) {
        bench_loop_stop(&s->workers[i].loop);
        pthread_join(s->threads[i], NULL);
    }
    for (size_t i = 0; i < s->worker_count; i++) {
        struct sink_worker *w = &s->workers[i];
        sink_after_batch(w);
        sink_session_close_all(w);
        close(w->listener.fd);
        bench_loop_deinit(&w->loop);
        buf_deinit(&w->journal);
    }
    if (s->journal_fd >= 0) {
        close(s->journal_fd);
    }
    if (s->done_fd >= 0) {
        close(s->done_fd);
    }
    bench_ledger_deinit(&s->ledger);
    pthread_mutex_destroy(&s->lock);
    free(s->threads);
    free(s->workers);
    free(s);
}

/* ---- report ----------------------------------------------------------------------------- */

uint16_t bench_sink_port(const struct bench_sink *s)
{
    return s->port;
}

int bench_sink_done_fd(const struct bench_sink *s)
{
    return s->done_fd;
}

void bench_sink_report(struct bench_sink *s, struct buf *out)
{
    static const struct {
        const char *name;
        size_t offset;
    } rows[] = {
        {"connections", offsetof(struct sink_totals, connections)},
        {"messages", offsetof(struct sink_totals, messages)},
        {"recipients", offsetof(struct sink_totals, recipients)},
        {"bytes", offsetof(struct sink_totals, bytes)},
        {"strangers", offsetof(struct sink_totals, strangers)},
        {"secured", offsetof(struct sink_totals, secured)},
        {"signed", offsetof(struct sink_totals, signatures)},
        {"faults", offsetof(struct sink_totals, faults)},
        {"protocol_errors", offsetof(struct sink_totals, protocol_errors)},
    };
    pthread_mutex_lock(&s->lock);
    buf_addf(out, "{\"port\":%u", s->port);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *field = (const char *)&s->totals + rows[i].offset;
        buf_addf(out, ",\"%s\":%llu", rows[i].name,
                 (unsigned long long)*(const uint64_t *)(const void *)field);
    }
    buf_add(out, SLICE(",\"runs\":"));
    bench_ledger_add_json(&s->ledger, out);
    buf_add(out, SLICE("}\n"));
    pthread_mutex_unlock(&s->lock);
}

void bench_sink_compare(struct bench_sink *s, uint64_t run, const struct bench_run *promised,
                        struct sink_verdict *out)
{
    must(promised == NULL || promised->id == run);
    pthread_mutex_lock(&s->lock);
    const struct bench_run *seen = bench_ledger_find(&s->ledger, run);
    *out = (struct sink_verdict){.missing = promised ? bench_run_missing(promised, seen) : 0};
    if (seen != NULL) {
        out->unique = seen->unique;
        out->duplicates = seen->duplicates;
        out->last_us = seen->last_us;
        out->latency = seen->latency;
    }
    pthread_mutex_unlock(&s->lock);
}
