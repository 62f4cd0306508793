/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A part of a message on its way through a connection: from the site's list into a transaction, and its
 * outcomes from there to the queue.
 */
#include "core/queue/times.h"
#include "core/queue/lesson.h"
#include "core/relay/outbound_private.h"

#include <stdlib.h>

static char outbound_by_mode(const struct queue_message *m)
{
    return m->by & ATTRIBUTES_BY_RETURN ? 'R' : m->by & ATTRIBUTES_BY_NOTIFY ? 'N' : '\0';
}

/* What is left of DELIVERBY's time (RFC 2852 4), in seconds as they were counted when it came in (rounded up in
 * inbound_turn.c): never more than was given. Of mode R there is some, or it would not be sent. */
static int32_t outbound_by_left(const struct queue_message *m, uint64_t now_s)
{
    enum { BY_MAX = 999999999 };
    int64_t left = (int64_t)queue_message_by_s(m) - (int64_t)now_s;
    int64_t least = m->by & ATTRIBUTES_BY_RETURN ? 1 : -BY_MAX;
    left = left > BY_MAX ? BY_MAX : left < least ? least : left;
    return (int32_t)left;
}

/* If the part has more recipients than the peer takes, the others go back with the result. */
static struct outbound_tx *outbound_tx_new(struct outbound *o, struct queue_part *p,
                                           uint32_t rcpt_max)
{
    uint32_t count = p->count < rcpt_max ? p->count : rcpt_max;
    const struct queue_message *m = p->message;
    struct outbound_tx *t = calloc(1, sizeof(*t) + count * sizeof(t->rcpts[0]));
    if (!t) {
        return NULL;
    }
    t->part = p;
    t->began_ms = outbound_now(o);
    for (uint32_t i = 0; i < count; i++) {
        const struct queue_rcpt *r = &m->rcpts[p->rcpts[i]];
        t->rcpts[i] = (struct smtp_client_rcpt){.address = r->address,
                                                .orcpt = r->orcpt,
                                                .notify = r->notify};
    }
    t->txn = (struct smtp_client_txn){
        .sender = m->sender,
        .envid = m->envid,
        .ret = (enum mail_ret)m->ret,
        .flags = (m->flags & QUEUE_MSG_8BIT ? SMTP_TXN_BODY_8BIT : 0u) |
                 (m->flags & QUEUE_MSG_SMTPUTF8 ? SMTP_TXN_SMTPUTF8 : 0u) |
                 (m->flags & QUEUE_MSG_LEADING_DOT ? SMTP_TXN_LEADING_DOT : 0u),
        .body_bytes = m->body_bytes,
        .by_mode = outbound_by_mode(m),
        .by_trace = (m->by & ATTRIBUTES_BY_TRACE) != 0,
        .by_s = outbound_by_left(m, (io_now(o->relay->io)->wall_us + 999999) / 1000000),
        .rcpts = t->rcpts,
        .rcpt_count = count,
    };
    return t;
}

/* How many of its recipients this connection may send, put first. LIMITS RCPTDOMAINMAX may leave none, on a
 * connection that has carried others. */
static uint32_t outbound_fit(struct outbound *o, struct queue_part *p)
{
    uint64_t site_max = route_plan_number(o->plan, CONF_SHAPING_RECIPIENTS_PER_TRANSACTION);
    uint32_t max = smtp_client_rcpt_max(&o->smtp);
    max = site_max < max ? (uint32_t)site_max : max;
    if (o->smtp.caps.limit_rcpt_domain == 0) {
        return p->count < max ? p->count : max;
    }
    struct slice addresses[LIMIT_RECIPIENTS_PER_TRANSACTION];
    bool taken[LIMIT_RECIPIENTS_PER_TRANSACTION];
    uint32_t order[LIMIT_RECIPIENTS_PER_TRANSACTION], at = 0;
    must(p->count <= LIMIT_RECIPIENTS_PER_TRANSACTION);
    for (uint32_t i = 0; i < p->count; i++) {
        addresses[i] = p->message->rcpts[p->rcpts[i]].address;
    }
    uint32_t fit = smtp_client_rcpt_fit(&o->smtp, addresses, p->count, taken);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < p->count; i++) {
            if (taken[i] == (pass == 0)) {
                order[at++] = p->rcpts[i];
            }
        }
    }
    memcpy(p->rcpts, order, p->count * sizeof(order[0]));
    return fit < max ? fit : max;
}

/* A new configuration may ask for TLS, or another login: what was opened before it ends its transactions. */
bool outbound_has_enough(const struct outbound *o)
{
    uint64_t most = route_plan_number(o->plan, CONF_SHAPING_MESSAGES_PER_CONNECTION);
    return o->begun >= queue_brake_messages(o->relay->queue, o->site, most) || o->sheds ||
           (o->messages_max && o->begun >= o->messages_max) || o->spent || o->yields ||
           o->relay->stopping || o->settings != o->relay->settings;
}

/* Begins the site's next part; false: none, or this connection has had enough. */
bool outbound_begin(struct outbound *o)
{
    struct relay *r = o->relay;
    o->sheds = o->sheds || queue_site_sheds(o->site);
    if (outbound_has_enough(o) || !smtp_client_can_begin(&o->smtp) || (o->suspect && !o->served)) {
        return false;
    }
    struct queue_part *p = queue_site_take(r->queue, o->site);
    if (!p) {
        return false;
    }
    uint32_t rcpt_max = outbound_fit(o, p);
    if (rcpt_max == 0) {
        o->spent = true;
        queue_site_return(r->queue, p);
        return false;
    }
    struct queue_part *rest = p->count > rcpt_max && o->site->sched &&
                                      !queue_part_is_guest(r->queue, p)
                                  ? queue_part_split(r->queue, p, rcpt_max)
                                  : NULL;
    struct outbound_tx *t = outbound_tx_new(o, p, rcpt_max);
    if (rest) {
        queue_site_return(r->queue, rest);
    }
    if (!t) {
        queue_site_return(r->queue, p);
        return false;
    }
    o->suspect = o->begun == 0 && p->returns > 0;
    o->begun++;
    r->counters.transactions++;
    if (r->taps.count) {
        taps_transaction(o, p);
    }
    smtp_client_begin(&o->smtp, &t->txn);
    return true;
}

/* The kernel still reads a guest's content: its home must keep it. */
static bool outbound_is_pinned(const struct outbound *o, const struct queue_part *p)
{
    return o->sending_message == p->message && queue_part_is_guest(o->relay->queue, p) &&
           !o->sending_pinned;
}

/* The connection died before the peer said anything about this part, or what it said was not about it: not an
 * attempt, a few times. One that had only no place left on this connection comes first on the next, where it
 * is the first and will be judged. */
static bool outbound_return_part(struct outbound *o, struct outbound_tx *t)
{
    bool blameless = outbound_is_blameless(o, t);
    bool unheard = !t->txn.answered && (!o->suspect || o->served);
    if (!(unheard || t->txn.again) || t->damaged || t->unreadable || o->relay->stopping ||
        (t->part->returns >= RELAY_PART_RETURNS_MAX && !blameless) ||
        outbound_is_pinned(o, t->part)) {
        return false;
    }
    for (uint32_t i = 0; i < t->txn.rcpt_count; i++) {
        if (t->rcpts[i].outcome.kind != OUTCOME_TEMPORARY || t->rcpts[i].outcome.unknown ||
            t->rcpts[i].outcome.scope != OUTCOME_CONNECTION) {
            return false;
        }
    }
    if (blameless) {
        queue_site_return(o->relay->queue, t->part);
    } else {
        t->part->returns++;
        queue_site_return_last(o->relay->queue, t->part);
    }
    return true;
}

/* Let out by the machine is not sent: what still was here when the connection ended has not arrived. */
static void outbound_settle_unknown(const struct outbound *o, struct outbound_tx *t)
{
    bool arrived = outbound_may_have_arrived(o, t);
    for (uint32_t i = 0; i < t->txn.rcpt_count; i++) {
        t->rcpts[i].outcome.unknown = t->rcpts[i].outcome.unknown && arrived;
    }
}

/* What the peer said is tried on the rules: each reply once. That to a recipient is about him alone, that to the
 * message about all who had none of their own, that which ends the connection about all that was on it. */
static void outbound_hear(struct outbound *o, struct outbound_tx *t)
{
    bool heard = false, fail = false;
    for (uint32_t i = 0; i < t->txn.rcpt_count; i++) {
        struct outcome *said = &t->rcpts[i].outcome;
        const struct queue_heard what = {said, t->part->message->label, o->begun};
        bool failed = false;
        if (said->kind == OUTCOME_DELIVERED || !said->remote) {
            continue;
        }
        if (said->scope == OUTCOME_RECIPIENT) {
            failed = queue_lesson_hear(o->relay->queue, o->site, &what);
        } else if (said->scope == OUTCOME_CONNECTION) {
            o->told_fail = o->told ? o->told_fail
                                   : queue_lesson_hear(o->relay->queue, o->site, &what);
            o->told = true;
            failed = o->told_fail && !t->txn.again;
        } else {
            fail = heard ? fail : queue_lesson_hear(o->relay->queue, o->site, &what);
            heard = true;
            failed = fail;
        }
        said->kind = failed ? OUTCOME_PERMANENT : said->kind;
    }
}

void outbound_finish(struct outbound *o, struct outbound_tx *t)
{
    if (o->body == t) {
        outbound_release_body(o);
    }
    outbound_settle_unknown(o, t);
    outbound_learn_served(o);
    outbound_hear(o, t);
    if (outbound_return_part(o, t)) {
        free(t);
        return;
    }
    struct outcome outcomes[LIMIT_RECIPIENTS_PER_TRANSACTION];
    char addr[IP_ENDPOINT_TEXT_MAX];
    for (uint32_t i = 0; i < t->txn.rcpt_count; i++) {
        outcomes[i] = t->rcpts[i].outcome;
        if (outcomes[i].scope != OUTCOME_CONNECTION && !o->served) {
            o->served = true;
            queue_site_served(o->relay->queue, o->site);
        }
        if (t->damaged) {
            outcomes[i] = outcome_local(OUTCOME_PERMANENT, OUTCOME_MESSAGE, OUTCOME_STAGE_BODY,
                                        (struct enhanced){5, 3, 0}, QUEUE_TEXT_DAMAGED);
        } else if (t->unreadable && !outcomes[i].remote) {
            outcomes[i] = outcome_local(OUTCOME_TEMPORARY, OUTCOME_MESSAGE, OUTCOME_STAGE_BODY,
                                        (struct enhanced){4, 3, 0}, QUEUE_TEXT_UNREADABLE);
        }
    }
    for (uint32_t i = t->txn.rcpt_count; i < t->part->count; i++) {
        outcomes[i] = (struct outcome){.kind = OUTCOME_NONE};
    }
    struct queue_part_end end = {
        .outcomes = outcomes,
        .peer_name = outbound_candidate(o)->host,
        .peer_addr = slice_str(ip_endpoint_text(&outbound_candidate(o)->endpoint, addr)),
        .peer_has_dsn = o->smtp.caps.dsn,
        .peer_has_deliverby = o->smtp.caps.deliverby,
        .source = o->plan->source,
        .duration_ms = outbound_now(o) - t->began_ms,
    };
    outbound_tell_tls(o, &end);
    o->yields = o->yields || queue_site_yields(o->site, io_now(o->relay->io)->mono_us);
    bool pinned = outbound_is_pinned(o, t->part);
    o->sending_pinned = o->sending_pinned || pinned;
    queue_part_sent(o->relay->queue, t->part, &end, pinned);
    free(t);
}
