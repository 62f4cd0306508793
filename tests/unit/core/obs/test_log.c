/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/obs/log.h"
#include "core/base/clock.h"
#include "tests/unit/core/base/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

enum { WALL_2026 = 1795260300 }; /* 2026-11-21T11:25:00Z */

static const uint64_t wall_us = (uint64_t)WALL_2026 * 1000000 + 123456;

static int output_file(void)
{
    char path[] = "/tmp/ringpost-log-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    return fd;
}

static char *output_text(int fd)
{
    off_t len = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)len + 1);
    ck_assert_int_eq(pread(fd, text, (size_t)len, 0), len);
    close(fd);
    return text;
}

/* Not strstr: the sanitizer's measures all the rest of the text each time. */
static unsigned count_of(const char *text, const char *word)
{
    unsigned n = 0;
    const char *end = text + strlen(text), *at = text;
    while (at <
           end) { /* by lines: ThreadSanitizer looks at all that memmem() is given, each time */
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        const char *next = feed ? feed + 1 : end;
        while ((at = memmem(at, (size_t)(next - at), word, strlen(word)))) {
            n++;
            at++;
        }
        at = next;
    }
    return n;
}

/* Takes nothing until the log gives up waiting: a pipe that is full. */
static void full_pipe(int fds[2])
{
    static char junk[4096];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    while (write(fds[1], junk, sizeof(junk)) > 0) {
    }
    ck_assert_int_eq(fcntl(fds[1], F_SETFL, 0), 0);
}

static void line(struct obs_log *l, enum obs_event event, uint64_t number)
{
    if (obs_begin(l, event, wall_us)) {
        obs_u64(l, OBS_F_COUNT, number);
        obs_end(l, 1000);
    }
}

START_TEST(one_line_per_event)
{
    int fd = output_file();
    struct obs_sink *sink = obs_sink_open(fd);
    struct obs_log log;
    obs_log_init(&log, sink, OBS_INFO);
    ck_assert(obs_begin(&log, OBS_DELIVERED, wall_us));
    obs_str(&log, OBS_F_TO, SLICE("b@example.org"));
    obs_str(&log, OBS_F_REPLY, SLICE("250 \"fine\"\r\nEVIL"));
    obs_u64(&log, OBS_F_DELAY_MS, UINT64_MAX);
    obs_bool(&log, OBS_F_UNKNOWN, true);
    obs_bool(&log, OBS_F_REMOTE, false);
    obs_end(&log, 1000);
    ck_assert(obs_begin(&log, OBS_SPOOL_DAMAGE, wall_us));
    obs_end(&log, 1000);
    obs_log_deinit(&log);
    obs_sink_close(sink, 5000);
    char *text = output_text(fd);
    ck_assert_str_eq(
        text,
        "{\"time\":\"2026-11-21T11:25:00.123456Z\",\"level\":\"info\",\"event\":\"delivered\","
        "\"to\":\"b@example.org\",\"reply\":\"250 \\\"fine\\\"\\r\\nEVIL\","
        "\"delay_ms\":18446744073709551615,\"outcome_unknown\":true,\"remote\":false}\n"
        "{\"time\":\"2026-11-21T11:25:00.123456Z\",\"level\":\"error\",\"event\":\"spool_damage\"}\n");
    free(text);
}
END_TEST

START_TEST(levels)
{
    static const struct {
        enum obs_level level;
        bool debug, info, warn, error;
    } rows[] = {
        {OBS_DEBUG, true, true, true, true},
        {OBS_INFO, false, true, true, true},
        {OBS_WARN, false, false, true, true},
        {OBS_ERROR, false, false, false, true},
    };
    struct obs_sink *sink = obs_sink_open(output_file());
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct {
            enum obs_event event;
            bool wanted;
        } asked[] = {{OBS_INBOUND_OPEN, rows[i].debug},
                     {OBS_DELIVERED, rows[i].info},
                     {OBS_DSN_DROPPED, rows[i].warn},
                     {OBS_SPOOL_DAMAGE, rows[i].error}};
        struct obs_log log;
        obs_log_init(&log, sink, rows[i].level);
        for (size_t k = 0; k < ARRAY_COUNT(asked); k++) {
            bool begun = obs_begin(&log, asked[k].event, wall_us);
            ck_assert_int_eq(begun, asked[k].wanted);
            if (begun) {
                obs_end(&log, 1);
            }
        }
        obs_log_deinit(&log);
    }
    obs_sink_close(sink, 5000);
}
END_TEST

/* Long values are cut, a line stays below its bound whatever is put into it, and stays a line. */
START_TEST(long_values_are_cut)
{
    static char junk[20000];
    int fd = output_file();
    struct obs_sink *sink = obs_sink_open(fd);
    struct obs_log log;
    memset(junk, 1, sizeof(junk)); /* six bytes each in JSON */
    obs_log_init(&log, sink, OBS_DEBUG);
    for (unsigned lines = 0; lines < 5; lines++) {
        ck_assert(obs_begin(&log, OBS_REJECTED, wall_us));
        for (unsigned f = 0; f < OBS_FIELD_COUNT; f++) {
            obs_str(&log, (enum obs_field)f, slice_of(junk, sizeof(junk)));
        }
        obs_end(&log, 1000);
    }
    obs_log_deinit(&log);
    obs_sink_close(sink, 5000);
    char *text = output_text(fd), *at = text;
    ck_assert_uint_eq(count_of(text, "\n"), 5);
    for (char *end; (end = strchr(at, '\n')); at = end + 1) {
        size_t len = (size_t)(end - at);
        ck_assert_uint_gt(len, OBS_VALUE_BYTES);
        ck_assert_uint_le(len, 2 * OBS_LINE_BYTES);
        ck_assert(end[-1] == '}');
    }
    free(text);
}
END_TEST

START_TEST(flushed_when_old_or_full)
{
    int fd = output_file();
    struct obs_sink *sink = obs_sink_open(fd);
    struct obs_log log;
    obs_log_init(&log, sink, OBS_INFO);
    ck_assert_uint_eq(obs_due_ms(&log), UINT64_MAX); /* an idle worker sleeps */
    line(&log, OBS_DELIVERED, 1);
    ck_assert_uint_eq(obs_due_ms(&log), 1000 + OBS_FLUSH_AFTER_MS);
    obs_flush(&log, 1000 + OBS_FLUSH_AFTER_MS - 1);
    ck_assert_uint_gt(log.chunk.len, 0);
    obs_flush(&log, 1000 + OBS_FLUSH_AFTER_MS);
    ck_assert_uint_eq(log.chunk.len, 0);
    ck_assert_uint_eq(obs_due_ms(&log), UINT64_MAX);
    unsigned lines = 1;
    for (; log.chunk.len < OBS_CHUNK_BYTES; lines++) {
        line(&log, OBS_DELIVERED, 2);
    }
    line(&log, OBS_DELIVERED, 3); /* the full one is handed over by itself */
    ck_assert_uint_lt(log.chunk.len, 1000);
    obs_log_deinit(&log);
    obs_sink_close(sink, 5000);
    char *text = output_text(fd);
    ck_assert_uint_eq(count_of(text, "\n"), lines + 1);
    free(text);
}
END_TEST

static uint64_t milliseconds(void)
{
    return clock_read().mono_ms;
}

struct reader {
    int fd;
    size_t len;
    char text[32 * 1024 * 1024];
};

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    ssize_t n;
    while ((n = read(r->fd, r->text + r->len, 65536)) > 0) {
        r->len += (size_t)n;
    }
    r->text[r->len] = '\0';
    return NULL;
}

static void flush_until_taken(struct obs_log *l)
{
    while (l->chunk.len) {
        obs_flush(l, milliseconds() + 100000);
    }
}

/* The reader of the log has stopped: no call waits, memory stays bounded, what is lost is counted, and
 * the first line that gets through afterwards says how much. */
START_TEST(a_reader_that_stops_loses_lines_and_stops_nobody)
{
    enum { LINES = 100000 };
    static struct reader reader;
    int fds[2];
    full_pipe(fds);
    struct obs_sink *sink = obs_sink_open(fds[1]);
    struct obs_log log;
    obs_log_init(&log, sink, OBS_INFO);
    uint64_t before = milliseconds();
    for (unsigned i = 0; i < LINES; i++) {
        line(&log, OBS_DELIVERED, i);
    }
    ck_assert_uint_lt(milliseconds() - before, 5000);
    ck_assert_uint_le(log.chunk.len, OBS_CHUNK_BYTES + OBS_LINE_BYTES);
    uint64_t lost = log.dropped;
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_eq(obs_sink_dropped(sink), lost); /* seen while the reader stands still */
    obs_flush(&log, 5000); /* no room: it is asked again later, not at once */
    ck_assert_uint_eq(obs_due_ms(&log), 5000 + OBS_FLUSH_AFTER_MS);
    pthread_t thread;
    reader.fd = fds[0];
    ck_assert_int_eq(pthread_create(&thread, NULL, reader_main, &reader), 0);
    flush_until_taken(&log);
    line(&log, OBS_DELIVERED, LINES);
    flush_until_taken(&log); /* what the sink has no room for at the very end is lost too */
    obs_log_deinit(&log);
    ck_assert_uint_eq(obs_sink_dropped(sink), lost);
    obs_sink_close(sink, 20000);
    close(fds[1]);
    pthread_join(thread, NULL);
    const char *text = reader.text;
    while (*text == '\0' && text < reader.text + reader.len) {
        text++; /* what filled the pipe */
    }
    ck_assert_uint_eq(count_of(text, "\"delivered\"") + lost, LINES + 1);
    char want[64];
    snprintf(want, sizeof(want), "\"event\":\"log_dropped\",\"count\":%lu}", (unsigned long)lost);
    ck_assert_uint_eq(count_of(text, want), 1);
    ck_assert_uint_eq(count_of(text, "log_dropped"), 1);
}
END_TEST

/* Nobody reads at all: the end of the engine does not wait for ever. */
START_TEST(closing_has_a_deadline)
{
    int fds[2];
    full_pipe(fds);
    struct obs_sink *sink = obs_sink_open(fds[1]);
    struct obs_log log;
    obs_log_init(&log, sink, OBS_INFO);
    line(&log, OBS_STOPPED, 1);
    obs_log_deinit(&log);
    uint64_t before = milliseconds();
    obs_sink_close(sink, 100);
    uint64_t took = milliseconds() - before;
    ck_assert_uint_ge(took, 90);
    ck_assert_uint_lt(took, 5000);
}
END_TEST

/* A reader that has gone: the log is lost, the engine goes on (SIGPIPE is ignored by signals.c). */
START_TEST(a_closed_reader)
{
    int fds[2];
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe(fds), 0);
    close(fds[0]);
    struct obs_sink *sink = obs_sink_open(fds[1]);
    struct obs_log log;
    obs_log_init(&log, sink, OBS_INFO);
    for (unsigned i = 0; i < 20000; i++) {
        line(&log, OBS_DELIVERED, i);
    }
    obs_log_deinit(&log);
    obs_sink_close(sink, 5000);
}
END_TEST

struct writer {
    pthread_t thread;
    struct obs_sink *sink;
    unsigned index;
};

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    struct obs_log log;
    obs_log_init(&log, w->sink, OBS_INFO);
    for (unsigned i = 0; i < 2000; i++) {
        if (obs_begin(&log, OBS_DELIVERED, wall_us)) {
            obs_u64(&log, OBS_F_WORKER, w->index);
            obs_u64(&log, OBS_F_COUNT, i);
            obs_end(&log, 1000);
        }
        if (i % 700 == 0) { /* altogether fewer buffers than may be on the way */
            obs_flush(&log, 2000);
        }
    }
    obs_log_deinit(&log);
    return NULL;
}

/* Workers share the sink: lines are never mixed, each worker's own are in order. */
START_TEST(several_workers)
{
    int fd = output_file();
    struct writer writers[4];
    struct obs_sink *sink = obs_sink_open(fd);
    for (unsigned i = 0; i < ARRAY_COUNT(writers); i++) {
        writers[i] = (struct writer){.sink = sink, .index = i};
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]), 0);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(writers); i++) {
        pthread_join(writers[i].thread, NULL);
    }
    ck_assert_uint_eq(obs_sink_dropped(sink), 0);
    obs_sink_close(sink, 20000);
    char *text = output_text(fd), *at = text, *last = text + strlen(text);
    unsigned next[ARRAY_COUNT(writers)] = {0};
    for (char *end; (end = memchr(at, '\n', (size_t)(last - at))); at = end + 1) {
        unsigned worker, number;
        *end = '\0';
        const char *fields = strstr(at, "\"worker\":");
        testing_that(at[0] == '{' && end[-1] == '}' && fields);
        testing_that(sscanf(fields, "\"worker\":%u,\"count\":%u}", &worker, &number) == 2);
        testing_that(worker < ARRAY_COUNT(writers) && next[worker]++ == number);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(writers); i++) {
        ck_assert_uint_eq(next[i], 2000);
    }
    free(text);
}
END_TEST

static void begin_twice(void *ctx)
{
    struct obs_log log;
    obs_log_init(&log, ctx, OBS_DEBUG);
    obs_begin(&log, OBS_DELIVERED, wall_us);
    obs_begin(&log, OBS_DELIVERED, wall_us);
}

static void field_outside(void *ctx)
{
    struct obs_log log;
    obs_log_init(&log, ctx, OBS_DEBUG);
    obs_u64(&log, OBS_F_COUNT, 1);
}

START_TEST(misuse_aborts)
{
    testing_must_abort(begin_twice, NULL, "!l->line_open");
    testing_must_abort(field_outside, NULL, "l->line_open");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {one_line_per_event,
                            levels,
                            long_values_are_cut,
                            flushed_when_old_or_full,
                            a_reader_that_stops_loses_lines_and_stops_nobody,
                            closing_has_a_deadline,
                            a_closed_reader,
                            several_workers,
                            misuse_aborts};
    return testing_run("core/obs/log", tests, ARRAY_COUNT(tests));
}
