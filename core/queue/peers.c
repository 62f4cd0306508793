/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/peers.h"
#include "core/queue/far.h"
#include "core/queue/queue.h"

#include <stdlib.h>

must_static(PEERS_MAX <= SPOOL_MEMOS_MAX / 2, "there is room for other memos");
must_static((int)PEERS_ROW_BYTES <= (int)SPOOL_MEMO_VALUE_BYTES_MAX, "a row is a memo");

static uint64_t wall_ms(const struct queue *q)
{
    return io_now(q->io)->wall_us / 1000;
}

/* ---- memos ---- */

/* The longest names lose their first letters; the row has them. */
static struct spool_memo peer_memo(struct slice key, struct slice row)
{
    size_t extra = key.len > SPOOL_MEMO_KEY_BYTES_MAX ? key.len - SPOOL_MEMO_KEY_BYTES_MAX : 0;
    return (
        struct spool_memo){.kind = QUEUE_MEMO_PEER, .key = slice_skip(key, extra), .value = row};
}

static void memo_end(struct queue *q, const struct peers_entry *e)
{
    struct spool_memo memo = peer_memo(peers_entry_key(e), SLICE(""));
    queue_memo_put(q, &memo);
}

static void peers_on_gone(void *ctx, const struct peers_entry *e)
{
    memo_end(ctx, e);
}

static void peers_watch(struct queue *q)
{
    if (!timer_armed(&q->peers.tidy) && !q->stopping) {
        timer_start(q->timers, &q->peers.tidy, io_now(q->io)->mono_ms + QUEUE_PEERS_TIDY_MS);
    }
}

static void peers_on_tidy(struct timer *t, void *ctx)
{
    (void)ctx;
    struct queue *q = container_of(t, struct queue, peers.tidy);
    if (peers_tidy(&q->peers.table, wall_ms(q))) {
        peers_watch(q);
    }
}

static void peers_on_later(struct timer *t, void *ctx)
{
    (void)t; /* queue_peers_run comes in the same turn */
    (void)ctx;
}

void queue_peers_open(struct queue *q)
{
    peers_init(&q->peers.table, rng_u64(q->rng), PEERS_MAX);
    q->peers.later.fire = peers_on_later;
    q->peers.tidy.fire = peers_on_tidy;
    if (q->worker == SPOOL_MEMO_WORKER) {
        q->peers.table.gone = peers_on_gone;
        q->peers.table.ctx = q;
    }
}

void queue_peers_stop(struct queue *q)
{
    timer_stop(q->timers, &q->peers.later);
    timer_stop(q->timers, &q->peers.tidy);
}

void queue_peers_close(struct queue *q)
{
    queue_peers_stop(q);
    peers_deinit(&q->peers.table);
}

void queue_peers_remember(struct queue *q, const struct spool_memo *memo)
{
    struct peers_entry *e;
    must(memo->kind == QUEUE_MEMO_PEER);
    bool holds = peers_restore(&q->peers.table, memo->value, wall_ms(q), &e) != PEERS_REFUSED;
    if (q->worker != SPOOL_MEMO_WORKER) {
        return;
    }
    if (holds) {
        e->kept = true;
        peers_watch(q);
    } else {
        struct spool_memo end = {.kind = memo->kind, .key = memo->key};
        queue_memo_put(q, &end);
    }
}

/* ---- between workers ---- */

struct peers_mail {
    struct mail mail;
    uint32_t bytes;
    char row[];
};

static void peers_post(struct queue *q, unsigned worker, struct slice row)
{
    struct peers_mail *p = malloc(sizeof(*p) + row.len);
    if (p) {
        p->mail.type = QUEUE_MAIL_PEER;
        p->bytes = (uint32_t)row.len;
        memcpy(p->row, row.ptr, row.len);
        mailbox_post(q->group->boxes[worker], &p->mail, q->io);
    }
}

static void peers_publish(struct queue *q, struct peers_entry *e)
{
    struct buf row;
    buf_init(&row, PEERS_ROW_BYTES);
    peers_encode(e, &row);
    if (!row.overflow && q->worker != SPOOL_MEMO_WORKER) {
        peers_post(q, SPOOL_MEMO_WORKER, buf_slice(&row));
    } else if (!row.overflow) {
        struct spool_memo memo = peer_memo(peers_entry_key(e), buf_slice(&row));
        queue_memo_put(q, &memo);
        e->kept = true;
        peers_watch(q);
        for (unsigned w = 0; w < q->workers; w++) {
            if (w != q->worker) {
                peers_post(q, w, buf_slice(&row));
            }
        }
    }
    buf_deinit(&row);
}

void queue_peers_run(struct queue *q)
{
    struct queue_peers *p = &q->peers;
    if (list_empty(&p->table.changed)) {
        return;
    }
    uint64_t now_ms = io_now(q->io)->mono_ms;
    if (now_ms - p->second_at_ms >= 1000) {
        p->second_at_ms = now_ms;
        p->room = QUEUE_PEERS_ROWS;
    }
    struct peers_entry *e;
    /* While the disk takes nothing they wait here, where there is one of a peer. */
    while (p->room > 0 && list_empty(&q->memos.waiting) && (e = peers_changed(&p->table))) {
        p->room--;
        peers_publish(q, e);
    }
    if (!list_empty(&p->table.changed) && !timer_armed(&p->later) && !q->stopping) {
        timer_start(q->timers, &p->later, now_ms + 1000);
    }
}

void queue_peers_on_mail(struct queue *q, struct mail *m)
{
    struct peers_mail *p = container_of(m, struct peers_mail, mail);
    struct peers_entry *e;
    bool news = peers_restore(&q->peers.table, slice_of(p->row, p->bytes), wall_ms(q), &e) ==
                PEERS_NEWS;
    if (news && q->worker == SPOOL_MEMO_WORKER) {
        peers_tell(&q->peers.table, e);
    }
    free(p);
}

void queue_peers_drop_mail(struct mail *m)
{
    free(container_of(m, struct peers_mail, mail));
}

/* ---- orders and questions ---- */

bool queue_peers_end(struct queue *q, struct slice host, queue_memo_done *done, void *ctx)
{
    const struct peers_entry *last = NULL;
    bool known = false;
    must(q->worker == SPOOL_MEMO_WORKER);
    for (const struct peers_entry *e = NULL; (e = peers_next(&q->peers.table, e, host));) {
        known = known || e->kept || peers_holds(e, wall_ms(q));
        if (e->kept && last) {
            memo_end(q, last);
        }
        last = e->kept ? e : last;
    }
    if (last) {
        /* In their order: when it is durable all are. */
        struct spool_memo memo = peer_memo(peers_entry_key(last), SLICE(""));
        queue_memo_tell(q, &memo, done, ctx);
    } else if (known) {
        done(ctx, QUEUE_MEMO_KEPT);
    }
    return known;
}

uint32_t queue_peers_forget(struct queue *q, struct slice host)
{
    struct peers *table = &q->peers.table;
    uint32_t count = 0;
    struct peers_entry *e = peers_next(table, NULL, host);
    while (e) {
        struct peers_entry *after = peers_next(table, e, host);
        count += peers_holds(e, wall_ms(q));
        peers_forget(table, e);
        e = after;
    }
    return count;
}

static void report_time(struct buf *out, const char *name, uint64_t ms)
{
    buf_addf(out, ",\"%s\":\"", name);
    clock_add_rfc3339(out, ms * 1000);
    buf_add_byte(out, '"');
}

static void report_fact(void *ctx, const struct peers_fact *f)
{
    static const struct slice topics[PEERS_TOPIC_COUNT] = {
        [PEERS_LEVEL] = SLICE_INIT("level"),
        [PEERS_MESSAGES] = SLICE_INIT("messages_per_connection"),
        [PEERS_IDLE] = SLICE_INIT("idle_milliseconds"),
    };
    struct buf *out = ctx;
    if (out->overflow) {
        return;
    }
    buf_add(out, SLICE("{\"peer\":"));
    obs_json_string(out, f->key);
    buf_add(out, SLICE(",\"address\":"));
    obs_json_string(out, f->witness.address);
    buf_addf(out, ",\"topic\":\"%.*s\",\"learned\":", SLICE_ARG(topics[f->topic]));
    if (f->topic == PEERS_LEVEL) {
        obs_json_string(out, peers_level_name(f->level));
        buf_add(out, SLICE(",\"reason\":"));
        obs_json_string(out, peers_reason_name(f->reason));
    } else {
        buf_add_u64(out, f->value);
    }
    report_time(out, "since", f->since_ms);
    report_time(out, "until", f->until_ms);
    buf_add(out, SLICE(",\"reply\":"));
    obs_json_string(out, f->witness.reply);
    buf_add(out, SLICE("}\n"));
}

void queue_peers_report(const struct queue *q, struct buf *out)
{
    peers_each(&q->peers.table, wall_ms(q), report_fact, out);
}
