/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The threads of the source, the numbers they hand out and what they count. Counts stand under one
 * mutex, taken twice per message; message numbers come from one atomic, so the promised ledger is
 * dense whatever thread sent what.
 */
#include "bench/source_session.h"

#include "bench/option.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    SOURCE_CONNECTING_MAX = 64, /* per thread: a listener's backlog is not the thing to measure */
    SOURCE_TICK_MS = 1,
};

struct bench_source {
    struct source_options options;
    struct bench_template text;
    struct source_worker *workers;
    pthread_t *threads;
    size_t worker_count;
    size_t thread_count;
    int done_fd;
    int journal_fd;
    uint64_t run_id;
    atomic_bool stopping;
    _Atomic uint64_t next;
    _Atomic uint64_t sessions_done;
    pthread_mutex_t lock; /* guards what follows */
    struct source_totals totals;
    struct bench_hist latency;
    struct bench_ledger promised;
    struct bench_run *run;
    uint64_t start_us;
    uint64_t last_us;
};

struct source_options bench_source_defaults(void)
{
    struct source_options o = {
        .sessions = 1,
        .messages = 1000,
        .size_min = 1024,
        .size_max = 1024,
        .recipients = 1,
        .in_flight = 2,
        .domains = 1,
        .threads = 1,
        .timeout_s = 300,
        .from = "bench@example.test",
    };
    return o;
}

/* ---- what the sessions ask and report --------------------------------------------------- */

static bool source_stopping(const struct source_worker *w)
{
    return atomic_load_explicit(&w->source->stopping, memory_order_relaxed);
}

bool source_exhausted(const struct source_worker *w)
{
    if (w->options->hold) {
        return source_stopping(w);
    }
    return source_stopping(w) || atomic_load(&w->source->next) >= w->options->messages;
}

/* How many messages this thread may have begun by now. */
static bool source_token(const struct source_worker *w)
{
    uint64_t share = w->options->rate * w->session_count;
    uint64_t elapsed_us = bench_now_us() - w->start_us;
    double allowed = (double)share * (double)elapsed_us / ((double)w->options->sessions * 1e6) +
                     1.0;
    return (double)w->issued < allowed;
}

enum source_next source_take(struct source_worker *w, uint64_t *number)
{
    if (w->options->hold || source_exhausted(w)) {
        return SOURCE_NEXT_NONE;
    }
    if (w->options->rate > 0 && !source_token(w)) {
        return SOURCE_NEXT_WAIT;
    }
    *number = atomic_fetch_add(&w->source->next, 1);
    if (*number >= w->options->messages) {
        return SOURCE_NEXT_NONE;
    }
    w->issued++;
    return SOURCE_NEXT_MESSAGE;
}

static void source_count(struct source_worker *w, uint64_t *counter)
{
    pthread_mutex_lock(&w->source->lock);
    (*counter)++;
    pthread_mutex_unlock(&w->source->lock);
}

void source_count_connect(struct source_worker *w, bool ok, const struct tls_facts *tls)
{
    struct source_totals *t = &w->source->totals;
    pthread_mutex_lock(&w->source->lock);
    *(ok ? &t->connections : &t->connect_errors) += 1;
    if (ok && tls != NULL) {
        t->secured++;
        t->tls_version = tls->version;
        t->tls_cipher = tls->cipher;
    }
    pthread_mutex_unlock(&w->source->lock);
}

void source_count_lost(struct source_worker *w)
{
    source_count(w, &w->source->totals.connections_lost);
}

static void source_signal_done(struct bench_source *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->done_fd, &one, sizeof(one));
    (void)n;
}

void source_count_held(struct source_worker *w)
{
    struct bench_source *s = w->source;
    pthread_mutex_lock(&s->lock);
    bool all = ++s->totals.held == s->options.sessions;
    pthread_mutex_unlock(&s->lock);
    if (all) {
        source_signal_done(s);
    }
}

static void source_journal(struct source_worker *w, const char *event, const struct source_tx *tx)
{
    buf_addf(&w->journal, "%s %016llx-%llu", event, (unsigned long long)w->source->run_id,
             (unsigned long long)tx->number);
}

static void source_journal_flush(struct source_worker *w)
{
    size_t at = 0;
    while (at < w->journal.len) {
        ssize_t n = write(w->source->journal_fd, w->journal.ptr + at, w->journal.len - at);
        if (n < 0 && errno != EINTR) {
            bench_complain("source: journal: %s", strerror(errno));
            break;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    buf_clear(&w->journal);
}

void source_count_tried(struct source_worker *w, const struct source_tx *tx)
{
    source_count(w, &w->source->totals.tried);
    if (w->source->journal_fd >= 0) {
        source_journal(w, "T", tx);
        buf_add_byte(&w->journal, '\n');
        source_journal_flush(w); /* before the first byte of it leaves */
    }
}

static bool source_recipient_refused(const struct source_tx *tx, uint64_t k)
{
    return (tx->refused_bits[k / 64] >> (k % 64) & 1) != 0;
}

static void source_journal_outcome(struct source_worker *w, const struct source_tx *tx,
                                   unsigned code)
{
    if (w->source->journal_fd < 0) {
        return;
    }
    if (code == 250) {
        for (uint64_t k = 0; tx->refused > 0 && k < tx->recipients; k++) {
            if (source_recipient_refused(tx, k)) {
                source_journal(w, "R", tx);
                buf_addf(&w->journal, " %llu %u\n", (unsigned long long)k, tx->rcpt_code);
            }
        }
        source_journal(w, "O", tx);
    } else if (code == SOURCE_UNKNOWN) {
        source_journal(w, "U", tx);
    } else {
        source_journal(w, "F", tx);
        buf_addf(&w->journal, " %u", code);
    }
    buf_add_byte(&w->journal, '\n');
}

/* Under the lock. */
static void source_promise(struct bench_source *s, const struct source_tx *tx, uint64_t now_us)
{
    struct bench_stamp stamp = {s->run_id, tx->number, s->options.recipients, tx->end_us};
    s->totals.accepted++;
    s->totals.accepted_recipients += tx->recipients - tx->refused;
    s->totals.refused_recipients += tx->refused;
    s->totals.bytes += tx->size;
    bench_hist_add(&s->latency, now_us - tx->end_us);
    for (uint64_t k = 0; k < tx->recipients; k++) {
        if (!source_recipient_refused(tx, k)) {
            (void)bench_run_note(s->run, &stamp, k, now_us);
        }
    }
}

void source_count_outcome(struct source_worker *w, const struct source_tx *tx, unsigned code)
{
    struct bench_source *s = w->source;
    struct source_totals *t = &s->totals;
    uint64_t now_us = bench_now_us();
    must(code < SOURCE_CODES);
    pthread_mutex_lock(&s->lock);
    s->last_us = now_us;
    if (code == 250) {
        source_promise(s, tx, now_us);
    } else if (code == SOURCE_UNKNOWN) {
        t->unknown++;
    } else if (code == SOURCE_NOT_SENT) {
        t->not_sent++;
    } else {
        t->codes[code]++;
        *(code >= 400 && code < 500 ? &t->refused_4xx : &t->refused_5xx) += 1;
    }
    pthread_mutex_unlock(&s->lock);
    source_journal_outcome(w, tx, code);
}

void source_session_ended(struct source_worker *w)
{
    struct bench_source *s = w->source;
    w->done++;
    if (atomic_fetch_add(&s->sessions_done, 1) + 1 == s->options.sessions) {
        source_signal_done(s);
    }
}

/* ---- threads ---------------------------------------------------------------------------- */

void source_launch(struct source_worker *w)
{
    while (w->started < w->session_count && w->connecting < SOURCE_CONNECTING_MAX) {
        source_session_connect(&w->sessions[w->started++]);
    }
}

/* With a rate: wakes as many sessions as there are tokens. Once a second: silent servers. */
static void source_tick(struct timer *t, void *ctx)
{
    struct source_worker *w = ctx;
    uint64_t now_us = bench_now_us();
    bool waiting = !list_empty(&w->waiting);
    while (!list_empty(&w->waiting) && (source_exhausted(w) || source_token(w))) {
        struct list *node = list_pop_front(&w->waiting);
        source_session_run(LIST_ENTRY(node, struct source_session, waiting));
    }
    for (size_t i = 0; i < w->started && !waiting; i++) {
        struct source_session *s = &w->sessions[i];
        if (source_session_busy(s) && now_us - s->active_us > w->options->timeout_s * 1000000) {
            source_session_lost(s);
        }
    }
    bench_loop_timer(&w->loop, t, w->options->rate > 0 ? SOURCE_TICK_MS : 1000);
}

/* Idle sessions learn of a stop here; every other one at its next reply. */
static void source_after_batch(void *ctx)
{
    struct source_worker *w = ctx;
    if (w->source->journal_fd >= 0) {
        source_journal_flush(w);
    }
    if (source_stopping(w)) {
        for (size_t i = 0; i < w->session_count; i++) {
            struct source_session *s = &w->sessions[i];
            if (s->phase == SOURCE_READY && s->count == 0) {
                source_session_run(s);
            }
        }
    }
}

static void *source_thread(void *arg)
{
    struct source_worker *w = arg;
    w->start_us = bench_now_us();
    bench_loop_timer(&w->loop, &w->tick, SOURCE_TICK_MS);
    source_launch(w);
    bench_loop_run(&w->loop);
    return NULL;
}

static bool source_worker_open(struct bench_source *s, size_t i)
{
    struct source_worker *w = &s->workers[i];
    const struct source_options *o = &s->options;
    w->source = s;
    w->options = o;
    w->text = &s->text;
    w->session_count = (size_t)(o->sessions / o->threads + (i < o->sessions % o->threads));
    w->ring_size = (size_t)o->in_flight;
    w->tick.fire = source_tick;
    list_init(&w->waiting);
    rng_init_seed(&w->rng, s->run_id + i);
    buf_init(&w->journal, SIZE_MAX / 2);
    if (!bench_loop_init(&w->loop, w)) {
        bench_complain("source: event loop: %s", strerror(errno));
        return false;
    }
    w->loop.after_batch = source_after_batch;
    s->worker_count++;
    w->sessions = calloc(w->session_count, sizeof(*w->sessions));
    bool ok = w->sessions != NULL || w->session_count == 0;
    for (size_t k = 0; ok && k < w->session_count; k++) {
        source_session_init(&w->sessions[k], w);
        size_t rings = o->hold ? 1 : w->ring_size;
        w->sessions[k].ring = calloc(rings, sizeof(struct source_tx));
        ok = w->sessions[k].ring != NULL;
    }
    return ok;
}

static bool source_start(struct bench_source *s)
{
    const struct source_options *o = &s->options;
    struct rng rng;
    if (!rng_init_kernel(&rng)) {
        return false;
    }
    s->run_id = o->seed ? o->seed : rng_u64(&rng);
    s->run = bench_ledger_run(&s->promised, s->run_id);
    if (o->journal != NULL) {
        s->journal_fd = open(o->journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (s->journal_fd < 0) {
            bench_complain("source: %s: %s", o->journal, strerror(errno));
            return false;
        }
    }
    if (s->run == NULL || !bench_template_init(&s->text, s->run_id, (size_t)o->size_max)) {
        return false;
    }
    for (size_t i = 0; i < o->threads; i++) {
        if (!source_worker_open(s, i)) {
            return false;
        }
    }
    s->start_us = s->last_us = bench_now_us();
    for (size_t i = 0; i < s->worker_count; i++) {
        if (pthread_create(&s->threads[i], NULL, source_thread, &s->workers[i]) != 0) {
            bench_complain("source: cannot start a thread");
            return false;
        }
        s->thread_count++;
    }
    return true;
}

struct bench_source *bench_source_open(const struct source_options *o)
{
    must(o->threads > 0 && o->sessions > 0 && o->recipients > 0 && o->in_flight > 0);
    must(o->size_min >= BENCH_MESSAGE_MIN && o->size_max >= o->size_min);
    struct bench_source *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->options = *o;
    s->journal_fd = -1;
    s->workers = calloc(o->threads, sizeof(*s->workers));
    s->threads = calloc(o->threads, sizeof(*s->threads));
    s->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&s->lock, NULL);
    bench_ledger_init(&s->promised);
    if (s->workers == NULL || s->threads == NULL || s->done_fd < 0 || !source_start(s)) {
        bench_source_close(s);
        return NULL;
    }
    return s;
}

void bench_source_stop(struct bench_source *s)
{
    atomic_store(&s->stopping, true);
    for (size_t i = 0; i < s->thread_count; i++) {
        bench_loop_wake(&s->workers[i].loop);
    }
}

static void source_worker_close(struct source_worker *w)
{
    source_journal_flush(w);
    for (size_t k = 0; w->sessions != NULL && k < w->session_count; k++) {
        source_session_deinit(&w->sessions[k]);
        free(w->sessions[k].ring);
    }
    free(w->sessions);
    timer_stop(&w->loop.wheel, &w->tick);
    bench_loop_deinit(&w->loop);
    buf_deinit(&w->journal);
}

void bench_source_join(struct bench_source *s)
{
    for (size_t i = 0; i < s->thread_count; i++) {
        bench_loop_stop(&s->workers[i].loop);
        pthread_join(s->threads[i], NULL);
    }
    s->thread_count = 0;
}

void bench_source_close(struct bench_source *s)
{
    bench_source_join(s);
    for (size_t i = 0; i < s->worker_count; i++) {
        source_worker_close(&s->workers[i]);
    }
    if (s->journal_fd >= 0) {
        close(s->journal_fd);
    }
    if (s->done_fd >= 0) {
        close(s->done_fd);
    }
    bench_template_deinit(&s->text);
    bench_ledger_deinit(&s->promised);
    pthread_mutex_destroy(&s->lock);
    free(s->threads);
    free(s->workers);
    free(s);
}

/* ---- report ----------------------------------------------------------------------------- */

int bench_source_done_fd(const struct bench_source *s)
{
    return s->done_fd;
}

void bench_source_totals(struct bench_source *s, struct source_totals *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->totals;
    pthread_mutex_unlock(&s->lock);
}

void bench_source_latency(struct bench_source *s, struct bench_hist *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->latency;
    pthread_mutex_unlock(&s->lock);
}

const struct bench_run *bench_source_promised(const struct bench_source *s)
{
    return s->run;
}

uint64_t bench_source_run_id(const struct bench_source *s)
{
    return s->run_id;
}

uint64_t bench_source_start_us(const struct bench_source *s)
{
    return s->start_us;
}

uint64_t bench_source_elapsed_us(struct bench_source *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t elapsed = s->last_us - s->start_us;
    pthread_mutex_unlock(&s->lock);
    return elapsed;
}

void bench_source_report(struct bench_source *s, struct buf *out)
{
    pthread_mutex_lock(&s->lock);
    uint64_t us = s->last_us - s->start_us;
    double per_second = us ? (double)s->totals.accepted * 1e6 / (double)us : 0.0;
    buf_addf(out, "{\"run\":\"%016llx\",\"start_us\":%llu,\"last_us\":%llu,\"per_second\":%.1f",
             (unsigned long long)s->run_id, (unsigned long long)s->start_us,
             (unsigned long long)s->last_us, per_second);
    source_totals_add_json(&s->totals, out);
    buf_add(out, SLICE(",\"dot_to_250_us\":"));
    bench_hist_add_json(&s->latency, out);
    buf_add(out, SLICE("}\n"));
    pthread_mutex_unlock(&s->lock);
}
