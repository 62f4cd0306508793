/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/override.h"
#include "core/base/clock.h"
#include "core/base/must.h"
#include "core/obs/log.h"
#include "core/queue/queue.h"

enum { ID_TEXT = 24 };

static struct slice override_key(uint64_t id, char text[ID_TEXT])
{
    int n = snprintf(text, ID_TEXT, "%llu", (unsigned long long)id);
    return slice_of(text, n > 0 ? (size_t)n : 0);
}

bool queue_override_restore(struct automation *a, const struct spool_memo *memo, uint64_t now_ms)
{
    uint64_t id;
    must(memo->kind == QUEUE_MEMO_OVERRIDE);
    return slice_to_u64(memo->key, &id) && automation_restore(a, id, memo->value, now_ms);
}

static struct spool_memo override_memo(const struct automation_change *c, char key[ID_TEXT])
{
    return (struct spool_memo){.kind = QUEUE_MEMO_OVERRIDE,
                               .key = override_key(c->id, key),
                               .value = slice_of(c->bytes, c->len)};
}

/* False: nothing was left. */
static bool override_write(struct queue *q)
{
    struct automation_change change;
    char key[ID_TEXT];
    if (!automation_next_change(q->lessons.automation, io_now(q->io)->wall_us / 1000, &change)) {
        return false;
    }
    const struct spool_memo memo = override_memo(&change, key);
    queue_memo_put(q, &memo);
    return true;
}

void queue_overrides_run(struct queue *q)
{
    struct automation *a = q->lessons.automation;
    if (!a || q->worker != SPOOL_MEMO_WORKER || q->cut) {
        return;
    }
    for (int i = 0; i < QUEUE_OVERRIDES_PER_TURN && automation_has_changes(a); i++) {
        if (!override_write(q)) {
            return;
        }
    }
}

/* Memos are committed in the order in which they were put, so the last one's end is that of all. */
void queue_overrides_tell(struct queue *q, uint64_t id, queue_memo_done *done, void *ctx)
{
    struct automation_change change = {.id = id, .len = 0};
    char key[ID_TEXT];
    must(q->worker == SPOOL_MEMO_WORKER);
    while (override_write(q)) {
    }
    (void)automation_encode(q->lessons.automation, id, &change); /* else it is to be gone */
    const struct spool_memo memo = override_memo(&change, key);
    queue_memo_tell(q, &memo, done, ctx);
}

/* ---- JSON ---- */

static void override_add_text(struct buf *out, const char *name, struct slice text)
{
    if (text.len) {
        buf_addf(out, ",\"%s\":", name);
        obs_json_string(out, text);
    }
}

static void override_add_time(struct buf *out, const char *name, uint64_t ms)
{
    buf_addf(out, ",\"%s\":", name);
    if (ms == AUTOMATION_FOREVER) {
        buf_add(out, SLICE("null"));
        return;
    }
    buf_add_byte(out, '"');
    clock_add_rfc3339(out, ms * 1000);
    buf_add_byte(out, '"');
}

static bool override_is_share(const struct automation_override *o)
{
    switch (o->action) {
    case AUTOMATION_RATE:
    case AUTOMATION_CONNECTIONS:
    case AUTOMATION_PER_CONNECTION:
    case AUTOMATION_SUSPEND:
        return true;
    case AUTOMATION_BOUNCE:
    case AUTOMATION_REROUTE:
    case AUTOMATION_FAIL:
    case AUTOMATION_ACTIONS:
        break;
    }
    return false;
}

/* What of it holds now: messages a day, connections, messages on one of them. */
static uint64_t override_limit(const struct automation_override *o)
{
    const struct automation_bound bound = {o->factor, 0};
    return o->base && o->factor ? automation_bounded(&bound, o->base) : 0;
}

static const char *override_limit_name(enum automation_action action)
{
    return action == AUTOMATION_CONNECTIONS      ? "connections"
           : action == AUTOMATION_PER_CONNECTION ? "messages_per_connection"
                                                 : "messages_per_day";
}

void queue_override_add(struct buf *out, const struct automation_override *o)
{
    uint64_t limit = override_limit(o);
    buf_addf(out, "\"id\":%llu,\"scope\":\"", (unsigned long long)o->id);
    automation_scope_add(out, o->scope);
    buf_addf(out, "\",\"action\":\"%.*s\"", SLICE_ARG(automation_action_name(o->action)));
    override_add_text(out, "who", o->who);
    override_add_text(out, "where", o->where);
    bool fixed = o->manual && o->base; /* a limit by hand is no share of anything */
    if (override_is_share(o) && !fixed) {
        buf_addf(out, ",\"percent\":%u.%02u", o->factor / (AUTOMATION_ONE / 100),
                 o->factor / (AUTOMATION_ONE / 10000) % 100);
    }
    if (limit) {
        buf_addf(out, ",\"%s\":%llu", override_limit_name(o->action), (unsigned long long)limit);
    }
    if (limit && !fixed) {
        buf_addf(out, ",\"of\":%llu", (unsigned long long)o->base);
    }
    override_add_text(out, "source", o->source);
    buf_addf(out, ",\"manual\":%s", o->manual ? "true" : "false");
    override_add_text(out, "rule", o->rule);
    override_add_text(out, o->manual ? "reason" : "sample", o->sample);
    buf_addf(out, ",\"replies\":%u,\"relapses\":%u", o->replies, o->relapses);
    override_add_time(out, "since", o->since_ms);
    override_add_time(out, "last", o->last_ms);
    override_add_time(out, "until", o->until_ms);
    override_add_time(out, "ends", o->end_ms);
}

void queue_overrides_report(struct automation *a, uint64_t now_ms, struct buf *out)
{
    struct automation_override o;
    for (uint64_t id = 0; !out->overflow && automation_next(a, id, now_ms, &o); id = o.id) {
        buf_add_byte(out, '{');
        queue_override_add(out, &o);
        buf_add(out, SLICE("}\n"));
    }
}
