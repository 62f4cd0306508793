/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * top: one line of totals, then the workers' sites, those with the most waiting first.
 */
#include "core/app/engine_private.h"

#include <fcntl.h>
#include <unistd.h>

void engine_top_open(struct engine *e)
{
    e->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

/* Pages that this process has in memory; 0: the kernel does not say. */
static uint64_t engine_resident_bytes(const struct engine *e)
{
    char text[128];
    ssize_t n = e->statm_fd >= 0 ? pread(e->statm_fd, text, sizeof(text), 0) : 0;
    uint64_t pages;
    struct slice rest = slice_of(text, n > 0 ? (size_t)n : 0);
    (void)slice_cut(&rest, ' ');
    return slice_to_u64(slice_cut(&rest, ' '), &pages) ? pages * (uint64_t)sysconf(_SC_PAGESIZE)
                                                       : 0;
}

/* Figures that only grow are told as they are: whoever asks twice knows the rate. */
static void engine_top_totals(struct engine *e, const struct engine_query *q, struct buf *out)
{
    const struct worker_stats *s = &q->sum;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"at_ms", io_now(e->io)->mono_ms},
        {"accepted", s->queue.accepted},
        {"delivered", s->queue.delivered},
        {"deferrals", s->queue.deferrals},
        {"bounced", s->queue.bounced},
        {"queued", s->queue.queued},
        {"messages", s->queue.messages},
        {"inflight", s->inflight},
        {"sites", s->sites},
        {"sessions", s->sessions},
        {"connections", s->connections},
        {"memory_bytes", engine_resident_bytes(e)},
    };
    buf_add(out, SLICE("{\"totals\":"));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_addf(out, "%s\"%s\":%llu", i ? "," : "{", rows[i].name,
                 (unsigned long long)rows[i].value);
    }
    buf_add(out, SLICE("}}"));
}

/* {"waiting":N,…: written by core/queue/top.c. */
static uint64_t engine_top_waiting(struct slice list)
{
    uint64_t n = 0;
    struct slice rest = slice_skip(list, sizeof("{\"waiting\":") - 1);
    return slice_to_u64(slice_cut(&rest, ','), &n) ? n : 0;
}

static int engine_top_first(const struct slice *lists, unsigned count)
{
    int first = -1;
    for (unsigned w = 0; w < count; w++) {
        if (lists[w].len &&
            (first < 0 || engine_top_waiting(lists[w]) > engine_top_waiting(lists[first]))) {
            first = (int)w;
        }
    }
    return first;
}

void engine_reply_top(struct engine *e, struct engine_query *q)
{
    struct slice lists[LIMIT_WORKERS] = {0};
    struct buf totals;
    must(e->worker_count <= LIMIT_WORKERS);
    for (unsigned w = 0; w < e->worker_count; w++) {
        lists[w] = buf_slice(&q->lists[w]);
    }
    buf_init(&totals, 4096);
    engine_top_totals(e, q, &totals);
    size_t bytes = totals.len + 1;
    bool more = admin_reply(e->admin, q->token, buf_slice(&totals));
    buf_deinit(&totals);
    int first;
    while (more && (first = engine_top_first(lists, e->worker_count)) >= 0) {
        struct slice line = slice_cut(&lists[first], '\n');
        bytes += line.len + 1;
        more = bytes <= ADMIN_TOP_BYTES && admin_reply(e->admin, q->token, line);
    }
}
