/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/live.h"
#include "core/base/must.h"
#include "core/obs/log.h"
#include "core/queue/domain.h"
#include "core/queue/override.h"
#include "core/queue/queue.h"
#include "core/queue/select.h"
#include "core/queue/suspend.h"
#include "core/queue/warmup.h"

static uint64_t live_waiting(const struct queue_live *l)
{
    uint64_t n = (uint64_t)l->held + l->assigned;
    for (size_t i = 0; i < READY_CLASSES; i++) {
        n += l->ready[i];
    }
    return n;
}

static bool live_may_go(const struct queue_live *l)
{
    return live_waiting(l) > l->held;
}

static enum queue_binding live_rate(const struct queue_live *l)
{
    if (l->rests_for.by == QUEUE_TOLL_PROVIDER) {
        return QUEUE_BINDING_PROVIDER;
    }
    if (l->rests_for.by == QUEUE_TOLL_SOURCE) {
        return QUEUE_BINDING_SOURCE;
    }
    if (l->rests_for.by == QUEUE_TOLL_WARMUP) {
        return QUEUE_BINDING_WARMUP;
    }
    return l->rests_for.rate == BUDGET_BYTE_RATE ? QUEUE_BINDING_BYTE_RATE
                                                 : QUEUE_BINDING_MESSAGE_RATE;
}

/* Nothing forbids to send, so it is what is there to send over. */
static enum queue_binding live_connections(const struct queue_live *l, uint64_t *until_ms)
{
    if (l->peer_limit && l->granted >= l->peer_limit) {
        return QUEUE_BINDING_PEER;
    }
    if (l->granted >= l->limit) {
        return l->limit_override ? QUEUE_BINDING_OVERRIDE : QUEUE_BINDING_CONNECTIONS;
    }
    if (l->granted >= l->ramp_limit) {
        return QUEUE_BINDING_RAMP_UP;
    }
    if (l->waits_to_connect) {
        *until_ms = l->connect_ms;
        return l->waits_for_provider ? QUEUE_BINDING_PROVIDER
               : l->waits_for_source ? QUEUE_BINDING_SOURCE
                                     : QUEUE_BINDING_CONNECTION_RATE;
    }
    return l->full == l->workers ? QUEUE_BINDING_PLACES : QUEUE_BINDING_ROUND_TRIP;
}

enum queue_binding queue_live_binding(const struct queue_live *l, uint64_t *until_ms)
{
    *until_ms = 0;
    /* Under these two mail is not even ready: it is put off at once. */
    if (l->suspended) {
        return QUEUE_BINDING_SUSPENDED;
    }
    if (l->back_off_until_ms > l->now_ms) {
        *until_ms = l->back_off_until_ms;
        return QUEUE_BINDING_BACK_OFF;
    }
    if (live_waiting(l) == 0) {
        return QUEUE_BINDING_NOTHING_READY;
    }
    if (l->rests) {
        *until_ms = l->rests_until_ms;
        return l->rests_for.cause ? QUEUE_BINDING_OVERRIDE : live_rate(l);
    }
    if (!live_may_go(l)) {
        *until_ms = l->held_until_ms;
        return l->held_for.cause                       ? QUEUE_BINDING_OVERRIDE
               : l->held_for.by == QUEUE_TOLL_CAMPAIGN ? QUEUE_BINDING_CAMPAIGN
                                                       : QUEUE_BINDING_TENANT;
    }
    return live_connections(l, until_ms);
}

uint64_t queue_live_override(const struct queue_live *l)
{
    uint64_t until_ms;
    if (queue_live_binding(l, &until_ms) != QUEUE_BINDING_OVERRIDE) {
        return 0;
    }
    return l->rests ? l->rests_for.cause : !live_may_go(l) ? l->held_for.cause : l->limit_override;
}

struct slice queue_binding_name(enum queue_binding b)
{
    static const struct slice names[QUEUE_BINDINGS] = {
        [QUEUE_BINDING_NOTHING_READY] = SLICE_INIT("nothing ready"),
        [QUEUE_BINDING_SUSPENDED] = SLICE_INIT("suspended"),
        [QUEUE_BINDING_BACK_OFF] = SLICE_INIT("back-off"),
        [QUEUE_BINDING_OVERRIDE] = SLICE_INIT("override"),
        [QUEUE_BINDING_MESSAGE_RATE] = SLICE_INIT("message rate"),
        [QUEUE_BINDING_BYTE_RATE] = SLICE_INIT("byte rate"),
        [QUEUE_BINDING_PROVIDER] = SLICE_INIT("provider budget"),
        [QUEUE_BINDING_SOURCE] = SLICE_INIT("source limit"),
        [QUEUE_BINDING_WARMUP] = SLICE_INIT("warm-up"),
        [QUEUE_BINDING_TENANT] = SLICE_INIT("tenant limit"),
        [QUEUE_BINDING_CAMPAIGN] = SLICE_INIT("campaign limit"),
        [QUEUE_BINDING_CONNECTION_RATE] = SLICE_INIT("connection rate"),
        [QUEUE_BINDING_RAMP_UP] = SLICE_INIT("ramp-up"),
        [QUEUE_BINDING_PEER] = SLICE_INIT("connections the peer takes"),
        [QUEUE_BINDING_CONNECTIONS] = SLICE_INIT("connections cap"),
        [QUEUE_BINDING_PLACES] = SLICE_INIT("connections_total"),
        [QUEUE_BINDING_ROUND_TRIP] = SLICE_INIT("round trip"),
    };
    must(b < QUEUE_BINDINGS);
    return names[b];
}

uint64_t queue_live_drain_s(const struct queue_live *l)
{
    uint64_t until_ms, waiting = live_waiting(l);
    enum queue_binding b = queue_live_binding(l, &until_ms);
    bool limited = b == QUEUE_BINDING_MESSAGE_RATE ||
                   (b == QUEUE_BINDING_OVERRIDE && l->rests && l->rests_for.by == QUEUE_TOLL_SITE);
    bool rests = b == QUEUE_BINDING_OVERRIDE && l->rests && l->rests_for.by == QUEUE_TOLL_BRAKE;
    uint64_t milli = limited ? l->limit_milli : l->measured ? l->sent_milli : 0;
    if (b == QUEUE_BINDING_SUSPENDED || (b == QUEUE_BINDING_BACK_OFF && waiting == 0)) {
        return QUEUE_LIVE_UNKNOWN; /* what waits is not counted here */
    }
    if (waiting == 0) {
        return 0;
    }
    bool no_pace = b == QUEUE_BINDING_SUSPENDED || b == QUEUE_BINDING_BACK_OFF ||
                   b == QUEUE_BINDING_WARMUP || rests;
    if (no_pace || milli == 0) {
        return QUEUE_LIVE_UNKNOWN;
    }
    return (waiting * 1000 + milli - 1) / milli;
}

/* ---- the picture ---- */

static void live_of_connections(const struct queue_sched *d, struct queue_live *out)
{
    uint64_t now_ms = out->now_ms;
    uint64_t limit = route_plan_number(d->site->plan, CONF_SHAPING_CONNECTIONS);
    const struct automation_effect *e = d->site->brake.effect;
    uint64_t braked = e ? automation_bounded(&e->connections, limit) : limit;
    out->limit_override = braked < limit ? e->cause_id : 0;
    limit = braked;
    uint64_t ramp = queue_sched_ramp(d);
    out->granted = d->granted;
    out->working = d->working;
    out->limit = (uint32_t)limit;
    out->ramp_limit = ramp < UINT32_MAX ? (uint32_t)ramp : UINT32_MAX;
    out->peer_limit = d->limit_until_ms > now_ms ? d->limit : 0;
    out->workers = d->lane_count;
    for (unsigned w = 0; w < d->lane_count; w++) {
        out->full += d->lanes[w].full_until_ms > now_ms ? 1 : 0;
    }
    out->waits_to_connect = d->connect_wait != QUEUE_CONNECT_FREE && timer_armed(&d->retry);
    out->waits_for_provider = d->connect_wait == QUEUE_CONNECT_PROVIDER;
    out->waits_for_source = d->connect_wait == QUEUE_CONNECT_SOURCE;
    out->connect_ms = d->retry.due_ms;
}

/* All that goes there is. */
static bool live_is_suspended(const struct queue *q, const struct queue_site *s)
{
    if (q->suspensions.table.count == 0) {
        return false;
    }
    if (queue_suspend_site(q, s) || queue_suspend_word(q, SLICE("all"), NULL, NULL)) {
        return true;
    }
    size_t bucket = 0, count = 0;
    for (struct map_node *n = map_next(&q->domains, &bucket, NULL); n;
         n = map_next(&q->domains, &bucket, n)) {
        const struct queue_domain *d = container_of(n, struct queue_domain, by_name);
        if (!queue_domain_goes_to(d, s)) {
            continue;
        }
        if (!queue_suspend_word(q, d->name, NULL, NULL)) {
            return false;
        }
        count++;
    }
    return count > 0;
}

void queue_live_of(struct queue *q, const struct queue_site *s, struct queue_live *out)
{
    const struct queue_sched *d = s->sched;
    must(d && s->plan);
    *out = (struct queue_live){.now_ms = io_now(q->io)->mono_ms};
    for (size_t i = 0; i < READY_CLASSES; i++) {
        out->ready[i] = d->waiting.may_go[i];
    }
    out->held = d->waiting.count - ready_may_go(&d->waiting);
    out->assigned = d->assigned;
    out->suspended = live_is_suspended(q, s);
    bool paused = timer_armed(&d->pause);
    out->back_off_until_ms = paused ? d->pause.due_ms : d->down_until_ms;
    out->back_off_why = d->down.text;
    out->rests = timer_armed(&s->rest);
    out->rests_until_ms = s->rests_for.by == QUEUE_TOLL_WARMUP ? s->rests_for.next_us / 1000
                                                               : s->rest.due_ms;
    out->rests_for = s->rests_for;
    out->held_until_ms = d->unhold.due_ms;
    out->held_for = d->holds_for;
    live_of_connections(d, out);
    out->sent_milli = queue_meter_milli(&d->sent, out->now_ms);
    out->measured = d->sent.whole || (d->sent.since_ms && out->now_ms - d->sent.since_ms >= 2000);
    struct budget_limits limits = s->plan->limits.own;
    queue_brake_bound(s, &limits);
    if (limits.limited[BUDGET_MESSAGE_RATE]) {
        const struct rate_rule *r = &limits.rules[BUDGET_MESSAGE_RATE];
        out->limit_milli = (uint64_t)((unsigned __int128)r->units_per_us * 1000000 * 1000 /
                                      r->units_each);
    }
}

/* ---- JSON ---- */

static void live_add_text(struct buf *out, const char *name, struct slice text)
{
    buf_addf(out, ",\"%s\":", name);
    obs_json_string(out, text);
}

static void live_add_replies(struct buf *out, const struct queue_site *s, uint64_t now_ms)
{
    bool first = true;
    buf_add(out, SLICE(",\"replies\":["));
    for (size_t i = 0; s->replies && i < ARRAY_COUNT(s->replies->last); i++) {
        const struct queue_reply *r = &s->replies->last[i];
        if (r->at_ms) {
            buf_addf(out, "%s{\"ago_s\":%llu,\"code\":%u,\"text\":", first ? "" : ",",
                     (unsigned long long)((now_ms - r->at_ms) / 1000), r->code);
            obs_json_string(out, slice_of(r->text, r->len));
            buf_add_byte(out, '}');
            first = false;
        }
    }
    buf_add_byte(out, ']');
}

/* "warm-up day 3: 412 of 500" says more than its name. */
static void live_add_binding_name(struct queue *q, const struct queue_site *s, struct buf *out,
                                  enum queue_binding b)
{
    struct buf text;
    buf_init(&text, 200);
    if (b == QUEUE_BINDING_WARMUP) {
        queue_warmup_binding(q, s, &text);
    }
    live_add_text(out, "binding", text.len ? buf_slice(&text) : queue_binding_name(b));
    buf_deinit(&text);
}

/* The override that holds it up, as `ringpost overrides ls` lists it. */
static void live_add_override(struct queue *q, struct buf *out, const struct queue_live *l)
{
    struct automation_override o;
    uint64_t id = queue_live_override(l);
    if (id && automation_find(q->lessons.automation, id, io_now(q->io)->wall_us / 1000, &o)) {
        buf_add(out, SLICE(",\"override\":{"));
        queue_override_add(out, &o);
        buf_add_byte(out, '}');
    }
}

static void live_add_binding(struct queue *q, const struct queue_site *s, struct buf *out,
                             const struct queue_live *l)
{
    uint64_t until_ms, drain_s = queue_live_drain_s(l);
    enum queue_binding b = queue_live_binding(l, &until_ms);
    live_add_binding_name(q, s, out, b);
    if (until_ms > l->now_ms) {
        buf_addf(out, ",\"binding_for_ms\":%llu", (unsigned long long)(until_ms - l->now_ms));
    }
    if (b == QUEUE_BINDING_BACK_OFF && l->back_off_why.len) {
        live_add_text(out, "because", l->back_off_why);
    }
    if (drain_s == QUEUE_LIVE_UNKNOWN) {
        buf_add(out, SLICE(",\"drain_s\":null"));
    } else {
        buf_addf(out, ",\"drain_s\":%llu", (unsigned long long)drain_s);
    }
}

static void live_add_owner(struct queue *q, const struct queue_site *s, struct buf *out)
{
    struct queue_live l;
    queue_live_of(q, s, &l);
    buf_addf(
        out,
        ",\"connections\":{\"granted\":%u,\"working\":%u,\"limit\":%u},\"ready\":{\"urgent\":%u,"
        "\"normal\":%u,\"bulk\":%u,\"held\":%u,\"assigned\":%u},\"sent_per_s\":%llu.%03llu",
        l.granted, l.working, l.limit, l.ready[READY_URGENT], l.ready[READY_NORMAL],
        l.ready[READY_BULK], l.held, l.assigned, (unsigned long long)(l.sent_milli / 1000),
        (unsigned long long)(l.sent_milli % 1000));
    live_add_binding(q, s, out, &l);
    live_add_override(q, out, &l);
}

static void live_add_source(struct queue *q, const struct queue_site *s, struct buf *out)
{
    struct slice name = queue_site_source(s);
    const struct egress_source *source = name.len ? egress_find(q->egress, name) : NULL;
    if (name.len) {
        live_add_text(out, "source", name);
    }
    if (source && s->plan && !(egress_families_now(source) & s->plan->families)) {
        buf_add(out, SLICE(",\"source_paused\":true"));
    }
    queue_warmup_describe(q, s, out);
}

/* Each domain has one without a source; where all its mail has one, nothing ever stands there. */
static bool live_is_bare(const struct queue *q, const struct queue_site *s)
{
    return egress_count(q->egress) && queue_site_source(s).len == 0 && !s->replies &&
           s->connections == 0 && queue_site_work(s) == 0 &&
           (!s->sched || (s->sched->waiting.count == 0 && s->sched->granted == 0));
}

static void live_add_site(struct queue *q, const struct queue_site *s, struct buf *out)
{
    bool owner = s->sched && s->plan;
    buf_add(out, SLICE("{\"site\":"));
    obs_json_string(out, s->key);
    live_add_source(q, s, out);
    buf_addf(out, ",\"site_id\":%llu,\"worker\":%u,\"owner\":%s", (unsigned long long)s->id,
             q->worker, owner ? "true" : "false");
    if (owner) {
        live_add_owner(q, s, out);
    }
    live_add_replies(out, s, io_now(q->io)->mono_ms);
    buf_add(out, SLICE("}\n"));
}

/* Where nothing may go there is no site before long. */
static void live_add_suspension(const struct queue *q, struct slice word, struct buf *out)
{
    struct slice key;
    struct queue_suspension what;
    if (queue_suspend_word(q, word, &key, &what)) {
        buf_add(out, SLICE("{\"suspension\":"));
        obs_json_string(out, key);
        live_add_text(out, "reason", what.reason);
        if (what.until_ms) {
            buf_add(out, SLICE(",\"until\":\""));
            clock_add_rfc3339(out, what.until_ms * 1000);
            buf_add_byte(out, '"');
        }
        buf_add(out, SLICE("}\n"));
    }
}

void queue_live_report(struct queue *q, struct slice word, uint64_t id, struct buf *out)
{
    char text[LIMIT_DOMAIN_BYTES + 2] = "@";
    size_t len = word.len < LIMIT_DOMAIN_BYTES ? word.len : LIMIT_DOMAIN_BYTES;
    if (len) {
        memcpy(text + 1, word.ptr, len);
    }
    struct queue_rcpt rcpt = {.address = slice_of(text, len + 1)};
    const struct queue_domain *d = word.len ? queue_domain_find(q, queue_key_of(q, &rcpt)) : NULL;
    size_t bucket = 0;
    for (struct map_node *n = map_next(&q->sites, &bucket, NULL); n;
         n = map_next(&q->sites, &bucket, n)) {
        struct queue_site *s = container_of(n, struct queue_site, by_key);
        bool meant = id ? s->id == id
                        : (d && queue_domain_goes_to(d, s)) || slice_eq_nocase(s->key, word) ||
                              queue_site_has_host(s, word);
        if (meant && !s->local && !live_is_bare(q, s)) {
            (void)queue_brake_of(q, s);
            live_add_site(q, s, out);
        }
    }
    if (!id && q->worker == SPOOL_MEMO_WORKER) {
        live_add_suspension(q, word, out);
    }
    if (!id && d && !d->site && d->refusal.text.len) {
        buf_add(out, SLICE("{\"refusal\":"));
        obs_json_string(out, d->refusal.text);
        buf_add(out, SLICE("}\n"));
    }
}
