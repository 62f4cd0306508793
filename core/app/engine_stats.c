/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * queue stats: the figures of all workers, summed up.
 */
#include "core/app/engine_private.h"

static void engine_sum(uint64_t *to, const uint64_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(*to); i++) {
        to[i] += from[i];
    }
}

void engine_add_stats(struct engine_query *q, const struct worker_stats *s)
{
    engine_sum((uint64_t *)&q->sum.queue, (const uint64_t *)&s->queue, sizeof(s->queue));
    engine_sum((uint64_t *)&q->sum.relay, (const uint64_t *)&s->relay, sizeof(s->relay));
    engine_sum((uint64_t *)&q->sum.io, (const uint64_t *)&s->io, sizeof(s->io));
    q->sum.deferred += s->deferred;
    q->sum.inflight += s->inflight;
    q->sum.sites += s->sites;
    q->sum.sessions += s->sessions;
    q->sum.connections += s->connections;
    q->sum.handshakes.flights += s->handshakes.flights;
    q->sum.handshakes.waited += s->handshakes.waited;
    q->sum.handshakes_waiting += s->handshakes_waiting;
    q->sum.memory_bytes += s->memory_bytes;
    q->sum.spool.segments += s->spool.segments;
    q->sum.spool.bytes_total += s->spool.bytes_total;
    q->sum.spool.bytes_live += s->spool.bytes_live;
    q->sum.spool.commits += s->spool.commits;
    q->sum.spool.frames += s->spool.frames;
    q->sum.spool.bytes_committed += s->spool.bytes_committed;
    q->sum.spool.failures += s->spool.failures;
    q->sum.spool.full = q->sum.spool.full || s->spool.full;
    if (s->spool.health > q->sum.spool.health) {
        q->sum.spool.health = s->spool.health;
    }
    q->spool_ready += s->spool.ready ? 1 : 0;
}

static void engine_stats_spool(const struct engine *e, const struct engine_query *q,
                               struct buf *out)
{
    const struct spool_stats *s = &q->sum.spool;
    buf_addf(out, ",\"spool\":{\"ready\":%s,\"state\":\"%s\",\"full\":%s",
             q->spool_ready == e->worker_count ? "true" : "false", spool_health_name(s->health),
             s->full ? "true" : "false");
    if (e->room.last.free_bytes != UINT64_MAX) {
        buf_addf(out, ",\"free_bytes\":%llu", (unsigned long long)e->room.last.free_bytes);
    }
    buf_addf(out,
             ",\"segments\":%llu,\"bytes\":%llu,\"bytes_live\":%llu,\"commits\":%llu,"
             "\"frames\":%llu,\"bytes_committed\":%llu,\"failures\":%llu}",
             (unsigned long long)s->segments, (unsigned long long)s->bytes_total,
             (unsigned long long)s->bytes_live, (unsigned long long)s->commits,
             (unsigned long long)s->frames, (unsigned long long)s->bytes_committed,
             (unsigned long long)s->failures);
}

static void engine_stats_automation(struct engine *e, struct buf *out)
{
    struct automation_counts c = automation_counts(e->automation);
    buf_addf(out,
             ",\"automation\":{\"overrides\":%llu,\"counters\":%llu,\"fired\":%llu,"
             "\"forgotten_overrides\":%llu,\"forgotten_counters\":%llu}",
             (unsigned long long)c.overrides, (unsigned long long)c.counters,
             (unsigned long long)c.fired, (unsigned long long)c.forgotten_overrides,
             (unsigned long long)c.forgotten_counters);
}

static void engine_stats_sources(const struct engine *e, struct buf *out)
{
    const struct egress_table *t = e->settings->egress;
    size_t paused = 0;
    uint64_t pauses = 0;
    for (size_t i = 0; i < egress_count(t); i++) {
        paused += egress_families_now(egress_at(t, i)) == 0 ? 1 : 0;
        pauses += egress_pauses(egress_at(t, i));
    }
    buf_addf(out, ",\"sources\":{\"count\":%zu,\"paused\":%zu,\"pauses\":%llu}", egress_count(t),
             paused, (unsigned long long)pauses);
}

void engine_reply_stats(struct engine *e, struct engine_query *q)
{
    const struct worker_stats *s = &q->sum;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"accepted", s->queue.accepted},
        {"delivered", s->queue.delivered},
        {"bounced", s->queue.bounced},
        {"expired", s->queue.expired},
        {"cancelled", s->queue.cancelled},
        {"queued", s->queue.queued},
        {"deferred", s->deferred},
        {"inflight", s->inflight},
        {"messages", s->queue.messages},
        {"messages_accepted", s->queue.messages_accepted},
        {"deferrals", s->queue.deferrals},
        {"outcome_unknown", s->queue.unknown},
        {"dsn", s->queue.dsn},
        {"dsn_dropped", s->queue.dsn_dropped},
        {"damaged", s->queue.damaged + e->recovery.damaged},
        {"sites", s->sites},
        {"sessions", s->sessions},
        {"connections", s->connections},
        {"transactions", s->relay.transactions},
        {"tls_in", s->relay.tls_in},
        {"tls_in_failed", s->relay.tls_in_failed},
        {"tls_out", s->relay.tls_out},
        {"tls_out_failed", s->relay.tls_out_failed},
        {"tls_flights", s->handshakes.flights},
        {"tls_flights_waited", s->handshakes.waited},
        {"tls_waiting", s->handshakes_waiting},
        {"reloads", e->reloads},
        {"reloads_refused", e->reloads_refused},
        {"memory_bytes", s->memory_bytes},
        {"log_dropped", obs_sink_dropped(e->sink)},
        {"workers", e->worker_count},
    };
    struct buf out;
    buf_init(&out, 8192);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_addf(&out, "%s\"%s\":%llu", i ? "," : "{", rows[i].name,
                 (unsigned long long)rows[i].value);
    }
    engine_stats_spool(e, q, &out);
    engine_stats_automation(e, &out);
    engine_stats_sources(e, &out);
    buf_addf(&out,
             ",\"io\":{\"backend\":\"%s\",\"fallback\":%s,\"submits\":%llu,\"operations\":%llu,"
             "\"events\":%llu,\"stale\":%llu,\"durable_writes\":%llu,\"short_writes\":%llu}}",
             io_backend_name(e->io_choice.backend),
             e->io_choice.refusal.operation ? "true" : "false", (unsigned long long)s->io.submits,
             (unsigned long long)s->io.ops, (unsigned long long)s->io.events,
             (unsigned long long)s->io.stale, (unsigned long long)s->io.durable_writes,
             (unsigned long long)s->io.short_writes);
    admin_reply(e->admin, q->token, buf_slice(&out));
    buf_deinit(&out);
}
