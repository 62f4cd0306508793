/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A question or an order goes to every worker; what they answer is put together. A suspension, or the target of
 * queue route, is stored first, by the worker that has the memos, and only then told to all:
 *
 *   suspend ─► QUERY to SPOOL_MEMO_WORKER ─(durable)─► QUERY, apply, to all ─(walks over)─► done
 */
#include "core/app/engine_private.h"

#include <stdlib.h>

struct engine_verb {
    enum {
        ENGINE_ASK_ALL,  /* workers */
        ENGINE_ASK_MEMO, /* the worker that has the memos */
        ENGINE_STORE,    /* there first, then all */
    } ask;
    /* What is said when all have answered, beside their lines; NULL: nothing. */
    void (*reply)(struct engine *e, struct engine_query *q);
    bool lists; /* their lines are kept apart, for reply */
    struct slice not_found;
};
static const struct engine_verb engine_verbs[ADMIN_VERB_COUNT]; /* at the end */

static const struct engine_verb *engine_query_verb(const struct engine_query *q)
{
    must(q->request.verb < ADMIN_VERB_COUNT);
    return &engine_verbs[q->request.verb];
}

static bool engine_is_stored_first(const struct engine_query *q)
{
    const struct admin_request *r = &q->request;
    bool unnamed = r->verb == ADMIN_QUEUE_ROUTE &&
                   (r->dry_run || slice_eq(slice_str(r->to), SLICE("default")));
    return engine_query_verb(q)->ask == ENGINE_STORE && !unnamed;
}

static void engine_query_tell(struct engine *e, const struct engine_query *q, unsigned worker)
{
    struct worker_mail *m = worker_mail_new(WORKER_MAIL_QUERY);
    m->request = q->request;
    m->request.limit += q->request.verb == ADMIN_QUEUE_LS ? 1 : 0; /* one more: is there more? */
    m->token = q->token;
    m->apply = q->applies;
    m->since_ms = q->since_ms;
    m->target = q->target;
    m->dialogue = q->request.verb == ADMIN_TRACE ? engine_trace_dialogue(e, q->token) : NULL;
    engine_tell(e, worker, m);
}

static void engine_query_start(struct engine *e, struct engine_query *q)
{
    bool one = engine_query_verb(q)->ask == ENGINE_ASK_MEMO ||
               (engine_is_stored_first(q) && !q->applies);
    q->waiting = one ? 1 : e->worker_count;
    for (unsigned w = 0; w < q->waiting; w++) {
        engine_query_tell(e, q, one ? SPOOL_MEMO_WORKER : w);
    }
}

void engine_on_query(void *ctx, const struct admin_request *request, uint32_t token)
{
    struct engine *e = ctx;
    if (request->verb == ADMIN_TRACE && !engine_trace_open(e, request, token)) {
        admin_reply_fail(e->admin, token, ADMIN_BUSY, SLICE("4 traces run already"));
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(e->queries); i++) {
        struct engine_query *q = &e->queries[i];
        if (q->token) {
            continue;
        }
        *q = (struct engine_query){.token = token,
                                   .request = *request,
                                   .since_ms = clock_read().wall_us / 1000};
        if (engine_query_verb(q)->lists) {
            q->lists = calloc(e->worker_count, sizeof(*q->lists));
            must(q->lists != NULL);
        }
        engine_query_start(e, q);
        return;
    }
    /* Who asked before has gone, and the workers are not through with it. */
    admin_reply_fail(e->admin, token, ADMIN_BUSY, SLICE("too many questions, try again"));
}

/* ---- queue ls ---- */

/* {"id":"0123456789ABC",…: the order of this text is the order of the ids. */
static struct slice engine_line_id(struct slice list)
{
    return slice_first(slice_skip(list, sizeof("{\"id\":\"") - 1), QUEUE_ID_TEXT_BYTES);
}

static int engine_list_first(const struct slice *lists, unsigned count)
{
    int first = -1;
    struct slice least = {"", 0};
    for (unsigned w = 0; w < count; w++) {
        if (lists[w].len == 0) {
            continue;
        }
        struct slice id = engine_line_id(lists[w]);
        must(id.ptr != NULL);
        if (first < 0 || memcmp(id.ptr, least.ptr, id.len) < 0) {
            first = (int)w;
            least = id;
        }
    }
    return first;
}

/* The workers' lists, each in the order of ids, become one. */
static void engine_reply_list(struct engine *e, struct engine_query *q)
{
    struct slice *lists = calloc(e->worker_count, sizeof(*lists));
    must(lists != NULL);
    for (unsigned w = 0; w < e->worker_count; w++) {
        lists[w] = buf_slice(&q->lists[w]);
    }
    int first;
    bool more = true;
    while (more && (first = engine_list_first(lists, e->worker_count)) >= 0) {
        more = admin_reply(e->admin, q->token, slice_cut(&lists[first], '\n'));
        if (lists[first].len == 0 && q->verdict == WORKER_CUT) {
            break; /* what is cut off here could belong before the others' next */
        }
    }
    free(lists);
}

/* ---- counts ---- */

static void engine_add_counts(struct queue_order_counts *to, const struct queue_order_counts *from)
{
    to->messages += from->messages;
    to->recipients += from->recipients;
    to->sending += from->sending;
    to->waiting += from->waiting;
    to->deferred += from->deferred;
    to->ready += from->ready;
    to->held += from->held;
    to->suspended += from->suspended;
    to->bytes += from->bytes;
}

static void engine_reply_counts(struct engine *e, struct engine_query *q)
{
    const struct queue_order_counts *c = &q->counts;
    bool states = !admin_verb_is_order(q->request.verb);
    struct buf out;
    buf_init(&out, 4096);
    buf_addf(&out, "{\"verb\":\"%s\",\"dry_run\":%s,\"messages\":%llu,\"recipients\":%llu",
             admin_verb_name(q->request.verb), q->request.dry_run ? "true" : "false",
             (unsigned long long)c->messages, (unsigned long long)c->recipients);
    if (states) {
        buf_addf(&out,
                 ",\"waiting\":%llu,\"deferred\":%llu,\"ready\":%llu,\"held\":%llu,"
                 "\"suspended\":%llu",
                 (unsigned long long)c->waiting, (unsigned long long)c->deferred,
                 (unsigned long long)c->ready, (unsigned long long)c->held,
                 (unsigned long long)c->suspended);
    }
    buf_addf(&out, ",\"sending\":%llu,\"bytes\":%llu}", (unsigned long long)c->sending,
             (unsigned long long)c->bytes);
    admin_reply(e->admin, q->token, buf_slice(&out));
    buf_deinit(&out);
    if (!states && !q->request.dry_run && engine_event(e, OBS_ORDER)) {
        obs_str(&e->log, OBS_F_REASON, slice_str(admin_verb_name(q->request.verb)));
        if (q->request.scope[0] || q->request.to[0]) {
            obs_str(&e->log, OBS_F_TO,
                    slice_str(q->request.to[0] ? q->request.to : q->request.scope));
        }
        obs_u64(&e->log, OBS_F_MESSAGES, c->messages);
        obs_u64(&e->log, OBS_F_RECIPIENTS, c->recipients);
        engine_event_end(e);
    }
}

static void engine_reply_sums(struct engine *e, struct engine_query *q)
{
    if (queue_select_empty(&q->request.select)) {
        engine_reply_stats(e, q);
    } else {
        engine_reply_counts(e, q);
    }
}

static void engine_reply_cancelled(struct engine *e, struct engine_query *q)
{
    struct buf out;
    buf_init(&out, 256);
    buf_addf(&out, "{\"verb\":\"%s\",\"cancelled\":%llu}", admin_verb_name(q->request.verb),
             (unsigned long long)q->counts.messages);
    admin_reply(e->admin, q->token, buf_slice(&out));
    buf_deinit(&out);
}

static void engine_reply_forgotten(struct engine *e, struct engine_query *q)
{
    struct buf out;
    buf_init(&out, 256);
    buf_addf(&out, "{\"verb\":\"%s\",\"peers\":%llu}", admin_verb_name(q->request.verb),
             (unsigned long long)q->counts.messages);
    admin_reply(e->admin, q->token, buf_slice(&out));
    buf_deinit(&out);
}

/* ---- answers ---- */

static void engine_query_end(struct engine *e, struct engine_query *q)
{
    for (unsigned w = 0; q->lists && w < e->worker_count; w++) {
        buf_deinit(&q->lists[w]);
    }
    free(q->lists);
    *q = (struct engine_query){0};
}

static void engine_query_reply(struct engine *e, struct engine_query *q)
{
    if (admin_verb_is_stream(q->request.verb)) {
        engine_trace_begun(e, q->token);
        return; /* it goes on */
    }
    if (engine_query_verb(q)->reply) {
        engine_query_verb(q)->reply(e, q);
    }
    switch (q->verdict) {
    case WORKER_DONE:
        admin_reply_end(e->admin, q->token);
        return;
    case WORKER_CUT:
        admin_reply_fail(e->admin, q->token, ADMIN_OVERFLOW,
                         SLICE("the answer is too large, ask for less"));
        return;
    case WORKER_REFUSED:
    case WORKER_NOT_FOUND:
    case WORKER_NOT_STORED:
        break;
    }
    must_never("refusals are answered before");
}

/* True: there is nothing to go on with. */
static bool engine_query_refused(struct engine *e, const struct engine_query *q)
{
    switch (q->verdict) {
    case WORKER_DONE:
    case WORKER_CUT:
        return false;
    case WORKER_REFUSED:
        admin_reply_fail(e->admin, q->token, ADMIN_BUSY,
                         q->request.verb == ADMIN_QUEUE_ROUTE && !q->applies
                             ? SLICE(
                                   "mail is routed to 255 places already; those that none goes to "
                                   "any more are forgotten at a restart")
                             : SLICE("too many orders, try again"));
        break;
    case WORKER_NOT_FOUND:
        must(engine_query_verb(q)->not_found.len > 0);
        admin_reply_fail(e->admin, q->token, ADMIN_NOT_FOUND, engine_query_verb(q)->not_found);
        break;
    case WORKER_NOT_STORED:
        admin_reply_fail(e->admin, q->token, ADMIN_NOT_STORED,
                         SLICE("the spool has no room for it; nothing has changed"));
        break;
    }
    return true;
}

void engine_on_answer(struct engine *e, struct worker_mail *m)
{
    struct engine_query *q = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(e->queries) && !q; i++) {
        q = e->queries[i].token == m->token ? &e->queries[i] : NULL;
    }
    must(q != NULL && q->waiting > 0);
    engine_add_stats(q, &m->stats);
    engine_add_counts(&q->counts, &m->counts);
    q->verdict = m->verdict > q->verdict ? m->verdict : q->verdict;
    if (q->lists) {
        q->lists[m->worker] = m->answer;
        buf_init(&m->answer, 1); /* freed with the mail */
    }
    struct slice lines = buf_slice(&m->answer);
    while (lines.len && admin_reply(e->admin, q->token, slice_cut(&lines, '\n'))) {
    }
    if (--q->waiting > 0) {
        return;
    }
    bool over = engine_query_refused(e, q);
    if (!over && engine_is_stored_first(q) && !q->applies) {
        q->applies = true;
        q->target = m->target;
        engine_query_start(e, q);
        return;
    }
    if (!over) {
        engine_query_reply(e, q);
    }
    engine_query_end(e, q);
}

/* ---- the rows ---- */

#define NOT_SUSPENDED SLICE_INIT("that is not suspended")
#define NO_OVERRIDE SLICE_INIT("there is no such override; `ringpost overrides ls` lists them")
#define NOT_WARMING                                                                                \
    SLICE_INIT("that source does not warm up at that provider; `ringpost warmup ls` lists where "  \
               "they do")
#define NO_PEER SLICE_INIT("nothing was learned of that host")

static const struct engine_verb engine_verbs[ADMIN_VERB_COUNT] = {
    [ADMIN_QUEUE_STATS] = {ENGINE_ASK_ALL, .reply = engine_reply_sums},
    [ADMIN_QUEUE_LS] = {ENGINE_ASK_ALL, .reply = engine_reply_list, .lists = true},
    [ADMIN_QUEUE_SHOW] = {ENGINE_ASK_ALL},
    [ADMIN_QUEUE_RETRY] = {ENGINE_ASK_ALL, .reply = engine_reply_counts},
    [ADMIN_QUEUE_HOLD] = {ENGINE_ASK_ALL, .reply = engine_reply_counts},
    [ADMIN_QUEUE_RELEASE] = {ENGINE_ASK_ALL, .reply = engine_reply_counts},
    [ADMIN_QUEUE_BOUNCE] = {ENGINE_ASK_ALL, .reply = engine_reply_counts},
    [ADMIN_QUEUE_DELETE] = {ENGINE_ASK_ALL, .reply = engine_reply_counts},
    [ADMIN_QUEUE_ROUTE] = {ENGINE_STORE, .reply = engine_reply_counts},
    [ADMIN_SUSPEND_LS] = {ENGINE_ASK_MEMO},
    [ADMIN_SUSPEND] = {ENGINE_STORE, .reply = engine_reply_counts},
    [ADMIN_RESUME] = {ENGINE_STORE, .reply = engine_reply_counts, .not_found = NOT_SUSPENDED},
    [ADMIN_EXPLAIN] = {ENGINE_ASK_ALL},
    [ADMIN_PEERS_LS] = {ENGINE_ASK_MEMO},
    [ADMIN_PEERS_FORGET] = {ENGINE_STORE, .reply = engine_reply_forgotten, .not_found = NO_PEER},
    [ADMIN_OVERRIDES_LS] = {ENGINE_ASK_MEMO},
    [ADMIN_OVERRIDES_CANCEL] = {ENGINE_ASK_MEMO, .reply = engine_reply_cancelled,
                                .not_found = NO_OVERRIDE},
    [ADMIN_OVERRIDES_ADD] = {ENGINE_ASK_MEMO},
    [ADMIN_TOP] = {ENGINE_ASK_ALL, .reply = engine_reply_top, .lists = true},
    [ADMIN_TRACE] = {ENGINE_ASK_ALL},
    [ADMIN_WARMUP_LS] = {ENGINE_ASK_MEMO},
    [ADMIN_WARMUP_SET] = {ENGINE_ASK_MEMO, .not_found = NOT_WARMING},
};
