/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench/spool.h"

#include "bench/option.h"

#include "core/io/choose.h"
#include "spool/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FILL_HOLDS_MAX = 4096, FILL_BATCH = 256 };

struct fill {
    uint64_t messages;
    uint64_t size;
    uint64_t due_s;
    uint64_t domains;
    const char *dir;
    bool fresh; /* not tried yet */

    struct spool_dir *spool_dir;
    struct spool *spool;
    struct io *io;
    struct timer_wheel timers;
    struct spool_hold holds[FILL_HOLDS_MAX]; /* one per segment: none is given back */
    unsigned hold_count;
    uint64_t made;
    uint64_t lsn;
    uint64_t decided;
    bool lost;
    char *body;
};

static void fill_on_committed(void *ctx, uint64_t lsn_upto, enum spool_commit_result result)
{
    struct fill *f = ctx;
    f->decided = lsn_upto;
    f->lost = f->lost || result != SPOOL_COMMITTED;
}

static void fill_on_space(void *ctx)
{
    (void)ctx;
}

static void fill_on_recovered(void *ctx, unsigned worker, const struct spool_recovered *m)
{
    (void)ctx, (void)worker, (void)m;
}

static void fill_on_io(void *ctx, const struct io_event *ev)
{
    spool_on_io(((struct fill *)ctx)->spool, ev);
}

static void fill_on_other(void *ctx, const struct io_event *ev)
{
    (void)ctx, (void)ev;
}

static uint64_t fill_wall_us(void)
{
    return clock_read().wall_us;
}

static void fill_hold(struct fill *f, struct spool_ref ref)
{
    struct spool_hold *last = f->hold_count ? &f->holds[f->hold_count - 1] : NULL;
    if (!last || last->segment != ref.segment) {
        must(f->hold_count < FILL_HOLDS_MAX);
        spool_hold(f->spool, &f->holds[f->hold_count++], ref);
    }
}

/* The same words as a host that greylists, with nothing of the recipient's in them. */
static bool fill_result(struct fill *f, uint64_t id, uint64_t due_ms)
{
    struct spool_result r = {
        .id = id,
        .kind = SPOOL_RESULT_DEFERRED,
        .attempts = 1,
        .next_due_ms = due_ms,
        .at_us = fill_wall_us(),
        .code = 451,
        .enhanced_class = 4,
        .enhanced_subject = 7,
        .enhanced_detail = 1,
        .text = SLICE("greylisted, please come back later"),
    };
    struct spool_ref ref;
    if (spool_frame_begin(f->spool, SPOOL_CLASS_RESULT, spool_result_bytes(&r)) != SPOOL_APPENDED) {
        return false;
    }
    spool_add_result(f->spool, &r);
    spool_frame_end(f->spool, SPOOL_LAZY, &f->lsn, &ref);
    return true;
}

/* False: the spool has no room at the moment. */
static bool fill_message(struct fill *f, uint64_t id, uint64_t due_ms)
{
    char from[64], to[64];
    int from_bytes = snprintf(from, sizeof(from), "bounce-%07llu@list.example.org",
                              (unsigned long long)f->made);
    int to_bytes = snprintf(to, sizeof(to), "reader%07llu@host%llu.example",
                            (unsigned long long)f->made,
                            (unsigned long long)(f->made % f->domains));
    struct spool_rcpt rcpt = {.address = slice_of(to, (size_t)to_bytes),
                              .next_due_ms = f->fresh ? due_ms : 0};
    struct iovec body = {f->body, f->size};
    struct spool_message m = {
        .id = id,
        .arrival_us = fill_wall_us(),
        .header_bytes = (uint32_t)(f->size < 64 ? f->size : 64),
        .body_bytes = f->size,
        .sender = slice_of(from, (size_t)from_bytes),
        .rcpts = &rcpt,
        .rcpt_count = 1,
        .body = &body,
        .body_count = 1,
    };
    if (spool_frame_begin(f->spool, SPOOL_CLASS_MAIL, spool_message_bytes(&m)) != SPOOL_APPENDED) {
        return false;
    }
    struct spool_ref ref;
    spool_add_message(f->spool, &m);
    spool_frame_end(f->spool, SPOOL_LAZY, &f->lsn, &ref);
    fill_hold(f, ref);
    return true;
}

static void fill_turn(struct fill *f)
{
    uint64_t soon = io_now(f->io)->mono_ms + 20;
    uint64_t commit = spool_commit_due_ms(f->spool);
    uint64_t next = timer_wheel_next(&f->timers);
    next = next < commit ? next : commit;
    io_wait(f->io, next < soon ? next : soon);
    io_dispatch(f->io);
    timer_wheel_run(&f->timers, io_now(f->io)->mono_ms, f);
}

/* Appends in batches: messages, then their results, so a result never stands before its message. */
static void fill_all(struct fill *f)
{
    uint64_t base = (fill_wall_us() / 1000) << 22;
    uint64_t due_ms = fill_wall_us() / 1000 + f->due_s * 1000;
    uint64_t told = f->fresh ? f->messages : 0;
    while (!f->lost && (told < f->messages || f->made < f->messages || f->decided < f->lsn)) {
        bool room = true;
        for (unsigned n = 0; room && n < FILL_BATCH && f->made < f->messages; n++) {
            room = fill_message(f, base + f->made, due_ms);
            f->made += room ? 1 : 0;
        }
        while (room && told < f->made) {
            room = fill_result(f, base + told, due_ms);
            told += room ? 1 : 0;
        }
        spool_commit(f->spool);
        fill_turn(f);
    }
}

static bool fill_open(struct fill *f, struct buf *error)
{
    static const struct spool_events events = {fill_on_committed, fill_on_space, NULL};
    static struct io_route routes[IO_KIND_COUNT];
    for (int i = 0; i < IO_KIND_COUNT; i++) {
        routes[i] = (struct io_route){"other", fill_on_other};
    }
    routes[IO_KIND_SPOOL] = (struct io_route){"spool", fill_on_io};
    struct io_choice choice = io_choose(IO_WANT_AUTO, 64);
    int code = choice.refusal.error;
    f->io = choice.backend ? io_open(choice.backend, 64, routes, f, &code) : NULL;
    if (!f->io) {
        buf_addf(error, "neither io_uring nor epoll works: %s", strerror(code));
        return false;
    }
    timer_wheel_init(&f->timers, io_now(f->io)->mono_ms);
    struct spool_options options = {.workers = 1};
    struct spool_recovery_events recovery = {.message = fill_on_recovered};
    struct spool_recovery summary;
    f->spool_dir = spool_dir_open(f->dir, &options, error);
    if (!f->spool_dir || !spool_recover(f->spool_dir, &recovery, f, &summary, error)) {
        return false;
    }
    if (summary.messages_live) {
        buf_add(error, SLICE("there is mail in this spool already"));
        return false;
    }
    f->spool = spool_open(f->spool_dir, 0, f->io, &f->timers, &events, f);
    if (!f->spool) {
        buf_add(error, SLICE("out of memory"));
        return false;
    }
    spool_adopted(f->spool);
    return true;
}

static void fill_close(struct fill *f)
{
    while (!spool_stop(f->spool)) {
        spool_commit(f->spool);
        fill_turn(f);
    }
    for (unsigned i = 0; i < f->hold_count; i++) {
        spool_release(f->spool, &f->holds[i]);
    }
    spool_close(&f->spool);
    spool_dir_close(&f->spool_dir);
    io_wait(f->io, 0);
    io_close(f->io);
}

static const struct bench_option fill_options[] = {
    {"--dir", "DIR", BENCH_OPTION_TEXT, offsetof(struct fill, dir), 0, 0, NULL,
     "the spool; made when it is missing"},
    {"--messages", "N", BENCH_OPTION_NUMBER, offsetof(struct fill, messages), 1, 1u << 30, NULL,
     "how many, one recipient each (100000)"},
    {"--size", "BYTES", BENCH_OPTION_NUMBER, offsetof(struct fill, size), 64, 128 * 1024, NULL,
     "of the content of each (512)"},
    {"--due", "SECONDS", BENCH_OPTION_NUMBER, offsetof(struct fill, due_s), 0, 1u << 30, NULL,
     "when they are to be tried again (3600)"},
    {"--domains", "N", BENCH_OPTION_NUMBER, offsetof(struct fill, domains), 1, 1u << 20, NULL,
     "their recipients are in so many domains (1)"},
    {"--fresh", NULL, BENCH_OPTION_FLAG, offsetof(struct fill, fresh), 0, 0, NULL,
     "without a first attempt that failed"},
};

static const struct bench_command fill_command = {"spool", "Fills a spool with messages that wait.",
                                                  fill_options, ARRAY_COUNT(fill_options)};

static bool fill_body(struct fill *f)
{
    static const char header[] = "Subject: bench\r\n\r\n";
    f->body = malloc(f->size);
    for (uint64_t i = 0; f->body && i < f->size; i++) {
        f->body[i] = i + 2 == f->size ? '\r' : i + 1 == f->size ? '\n' : i % 72 == 71 ? ' ' : 'x';
    }
    if (f->body) {
        memcpy(f->body, header, sizeof(header) - 1);
    }
    return f->body != NULL;
}

int spool_main(int argc, char **argv)
{
    static struct fill f = {.messages = 100000, .size = 512, .due_s = 3600, .domains = 1};
    int status;
    if (!bench_options_read(&fill_command, &f, argc, argv, &status)) {
        return status;
    }
    if (!f.dir) {
        bench_complain("spool: --dir is needed (--help)");
        return 64;
    }
    struct buf error;
    buf_init(&error, 4096);
    if (!fill_body(&f) || !fill_open(&f, &error)) {
        bench_complain("%.*s", SLICE_ARG(buf_slice(&error)));
        return 1;
    }
    uint64_t start_us = fill_wall_us();
    fill_all(&f);
    fill_close(&f);
    free(f.body);
    buf_deinit(&error);
    printf("{\"messages\":%llu,\"ms\":%llu,\"segments\":%u}\n", (unsigned long long)f.made,
           (unsigned long long)((fill_wall_us() - start_us) / 1000), f.hold_count);
    if (f.lost) {
        bench_complain("a commit failed");
    }
    return f.lost ? 1 : 0;
}
