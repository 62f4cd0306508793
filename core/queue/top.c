/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/top.h"
#include "core/obs/log.h"
#include "core/queue/live.h"
#include "core/queue/queue.h"

#include <stdlib.h>

struct top_row {
    const struct queue_site *site;
    uint64_t waiting;
    uint64_t under_way;
};

static bool top_is_more(const struct top_row *a, const struct top_row *b)
{
    return a->waiting != b->waiting ? a->waiting > b->waiting : a->under_way > b->under_way;
}

/* rows: the largest so far, the largest first. Few are kept, so most sites cost one comparison. */
static void top_keep(struct top_row *rows, uint32_t *count, uint32_t limit, struct top_row row)
{
    uint32_t at = *count < limit ? (*count)++ : limit;
    if (at == limit) {
        if (!top_is_more(&row, &rows[limit - 1])) {
            return;
        }
        at--;
    }
    for (; at && top_is_more(&row, &rows[at - 1]); at--) {
        rows[at] = rows[at - 1];
    }
    rows[at] = row;
}

static void top_add_rate(struct buf *out, const char *name, const struct queue_meter *m,
                         uint64_t now_ms)
{
    uint64_t milli = queue_meter_milli(m, now_ms);
    buf_addf(out, ",\"%s\":%llu.%03llu", name, (unsigned long long)(milli / 1000),
             (unsigned long long)(milli % 1000));
}

/* The newest of what connections were told. */
static void top_add_reply(struct buf *out, const struct queue_site *s, uint64_t now_ms)
{
    const struct queue_reply *newest = NULL;
    for (size_t i = 0; s->replies && i < ARRAY_COUNT(s->replies->last); i++) {
        const struct queue_reply *r = &s->replies->last[i];
        newest = r->at_ms && (!newest || r->at_ms > newest->at_ms) ? r : newest;
    }
    if (s->replies && s->replies->elsewhere.at_ms > (newest ? newest->at_ms : 0)) {
        newest = &s->replies->elsewhere;
    }
    if (newest) {
        buf_addf(out, ",\"last\":{\"ago_s\":%llu,\"code\":%u,\"text\":",
                 (unsigned long long)((now_ms - newest->at_ms) / 1000), newest->code);
        obs_json_string(out, slice_of(newest->text, newest->len));
        buf_add_byte(out, '}');
    }
}

static void top_add(struct queue *q, const struct top_row *row, struct buf *out)
{
    const struct queue_site *s = row->site;
    const struct queue_sched *d = s->sched;
    struct queue_live l;
    uint64_t until_ms;
    queue_live_of(q, s, &l);
    buf_addf(out, "{\"waiting\":%llu,\"site\":", (unsigned long long)row->waiting);
    obs_json_string(out, s->key);
    buf_addf(out, ",\"site_id\":%llu,\"worker\":%u,\"in_flight\":%llu,\"connections\":%u",
             (unsigned long long)s->id, q->worker, (unsigned long long)row->under_way, l.granted);
    top_add_rate(out, "in_per_s", &d->arrived, l.now_ms);
    top_add_rate(out, "delivered_per_s", &d->delivered, l.now_ms);
    top_add_rate(out, "deferred_per_s", &d->deferred, l.now_ms);
    buf_add(out, SLICE(",\"binding\":"));
    obs_json_string(out, queue_binding_name(queue_live_binding(&l, &until_ms)));
    top_add_reply(out, s, l.now_ms);
    buf_add(out, SLICE("}\n"));
}

void queue_top_report(struct queue *q, uint32_t limit, struct buf *out)
{
    struct top_row *rows = calloc(limit, sizeof(*rows));
    uint32_t count = 0;
    size_t bucket = 0;
    for (struct map_node *n = rows ? map_next(&q->sites, &bucket, NULL) : NULL; n;
         n = map_next(&q->sites, &bucket, n)) {
        const struct queue_site *s = container_of(n, struct queue_site, by_key);
        if (s->sched && s->plan) {
            struct top_row row = {s, s->sched->waiting.count,
                                  (uint64_t)s->sched->assigned + s->under_way};
            top_keep(rows, &count, limit, row);
        }
    }
    for (uint32_t i = 0; i < count && !out->overflow; i++) {
        size_t before = out->len;
        top_add(q, &rows[i], out);
        out->len = out->overflow ? before : out->len;
    }
    out->overflow = false; /* the rest has less to do */
    free(rows);
}
