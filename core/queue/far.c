/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Two counts say who still has something of whom: queue->away are parts of this home elsewhere, and messages
 * pinned elsewhere; queue->guests are parts of others here. Each is changed where a part is posted or read,
 * and nowhere else.
 */
#include "core/queue/far.h"
#include "core/queue/warmup.h"
#include "core/base/must.h"
#include "core/queue/brake.h"
#include "core/queue/lesson.h"
#include "core/queue/recall.h"
#include "core/queue/sched.h"

#include <stdatomic.h>
#include <stdlib.h>

void queue_far_post(struct queue *q, unsigned worker, struct mail *m, enum queue_mail_type type)
{
    must(q->group != NULL && worker < q->group->workers && worker != q->worker);
    m->type = (unsigned)type;
    mailbox_post(q->group->boxes[worker], m, q->io);
}

static void far_post_part(struct queue *q, unsigned worker, struct queue_part *p,
                          enum queue_mail_type type)
{
    must(!list_linked(&p->in_list) && !list_linked(&p->ready.link));
    if (queue_part_is_guest(q, p)) {
        must(q->guests > 0);
        q->guests--;
    } else {
        q->away++;
    }
    p->site = NULL;
    atomic_store_explicit(&p->holder, QUEUE_PART_ON_THE_WAY, memory_order_relaxed);
    queue_far_post(q, worker, &p->mail, type);
}

static struct queue_part *far_take_part(struct queue *q, struct mail *m)
{
    struct queue_part *p = container_of(m, struct queue_part, mail);
    if (queue_part_is_guest(q, p)) {
        q->guests++;
    } else {
        must(q->away > 0);
        q->away--;
    }
    atomic_store_explicit(&p->holder, (uint16_t)q->worker, memory_order_relaxed);
    return p;
}

static bool far_is_recalled(const struct queue_part *p)
{
    return atomic_load_explicit(&p->recalled, memory_order_relaxed);
}

/* ---- credits ---- */

struct far_credit {
    struct mail mail;
    struct queue_site *site; /* the owner's */
    unsigned worker;
    struct queue_credit credit;
    bool failed;
    bool dropped;
    struct outcome why;
    char why_text[LIMIT_OUTCOME_TEXT_BYTES];
};

static struct far_credit *far_credit_new(struct queue *q, struct queue_site *there,
                                         const struct queue_credit *c)
{
    struct far_credit *m = malloc(sizeof(*m));
    must(m != NULL); /* a limit that is never given back would stop the site for ever */
    m->site = there;
    m->worker = q->worker;
    m->credit = *c;
    m->failed = false;
    return m;
}

/* What the owner of s has not been told yet. */
static struct far_credit *far_credit_take(struct queue *q, struct queue_site *s)
{
    if (list_linked(&s->credit_link)) {
        list_remove(&s->credit_link);
    }
    struct far_credit *m = far_credit_new(q, s->there, &s->credit);
    s->credit = (struct queue_credit){0};
    return m;
}

static void far_post_credit(struct queue *q, unsigned owner, struct far_credit *m)
{
    queue_far_post(q, owner, &m->mail, QUEUE_MAIL_CREDIT);
}

void queue_far_failed(struct queue *q, struct queue_site *s, const struct outcome *why,
                      bool dropped)
{
    struct far_credit *m = far_credit_take(q, s);
    m->failed = true;
    m->dropped = dropped;
    m->why = *why;
    outcome_copy_text(&m->why, m->why_text, sizeof(m->why_text));
    far_post_credit(q, s->owner, m);
}

void queue_far_tell(struct queue *q, struct queue_site *s)
{
    far_post_credit(q, s->owner, far_credit_take(q, s));
}

void queue_far_run(struct queue *q)
{
    struct list *node;
    while ((node = list_first(&q->credits))) {
        queue_far_tell(q, LIST_ENTRY(node, struct queue_site, credit_link));
    }
    queue_brakes_run(q);
}

/* ---- parts ---- */

void queue_far_offer(struct queue *q, struct queue_part *p, const struct queue_site *s)
{
    p->plan = route_plan_ref(s->plan);
    far_post_part(q, s->owner, p, QUEUE_MAIL_OFFER);
}

void queue_far_assign(struct queue *q, struct queue_part *p, unsigned worker)
{
    p->there = p->site;
    p->plan = route_plan_ref(p->site->plan);
    p->owner = (uint16_t)q->worker;
    p->executor = (uint16_t)worker;
    far_post_part(q, worker, p, QUEUE_MAIL_ASSIGN);
}

void queue_far_return(struct queue *q, struct queue_part *p, struct queue_site *s)
{
    p->there = s->there;
    p->front = true;
    far_post_part(q, s->owner, p, QUEUE_MAIL_RETURN);
}

void queue_far_release(struct queue *q, struct queue_part *p)
{
    route_plan_put(&p->plan);
    far_post_part(q, p->message->queue->worker, p, QUEUE_MAIL_RELEASE);
}

/* The site that a part brings the plan of; NULL: no memory, or the part was routed by another
 * configuration than this worker's, or nothing new is begun here. Then it is let go. */
static struct queue_site *far_site(struct queue *q, struct queue_part *p)
{
    struct queue_site *s = NULL;
    if (!q->leaving && p->serial == q->serial && !far_is_recalled(p)) {
        s = queue_site_get(q, p->plan->key);
    }
    if (s && (!s->plan || s->stale || s->plan->expires_ms < p->plan->expires_ms)) {
        queue_site_set_plan(q, s, route_plan_ref(p->plan));
    }
    route_plan_put(&p->plan);
    if (!s) {
        queue_part_release(q, p);
        return NULL;
    }
    s->used_ms = io_now(q->io)->mono_ms;
    queue_sweep_start(q); /* a worker without mail of its own forgets sites, too */
    return s;
}

static void far_on_offer(struct queue *q, struct mail *m)
{
    struct queue_part *p = far_take_part(q, m);
    struct queue_site *s = far_site(q, p);
    if (!s) {
        return;
    }
    if (!s->sched) { /* ownership has moved on since */
        p->site = s;
        queue_far_offer(q, p, s);
        return;
    }
    queue_meter_add(&s->sched->arrived, 1, io_now(q->io)->mono_ms);
    queue_sched_push(s->sched, p, false);
}

/* Without memory for the directory a site may have two owners (group.h). A worker that is one of them, or has
 * something of the other, has no place for this one. */
static bool far_is_anothers(const struct queue_site *s, const struct queue_site *there)
{
    return s->sched ||
           (s->there != there && (s->granted || s->lane_count || list_linked(&s->credit_link)));
}

static void far_on_assign(struct queue *q, struct mail *m)
{
    struct queue_part *p = far_take_part(q, m);
    struct queue_site *there = p->there;
    unsigned owner = p->owner;
    bool grant = p->grant, current = p->serial == q->serial && !far_is_recalled(p);
    struct queue_site *s = far_site(q, p);
    if (!s) {
        struct queue_credit c = {.done = 1, .granted = grant, .full = current};
        far_post_credit(q, owner, far_credit_new(q, there, &c));
        return;
    }
    if (far_is_anothers(s, there)) {
        struct queue_credit c = {.granted = grant, .full = true};
        far_post_credit(q, owner, far_credit_new(q, there, &c));
        p->there = there;
        p->front = true;
        far_post_part(q, owner, p, QUEUE_MAIL_RETURN);
        return;
    }
    s->there = there;
    s->owner = owner;
    s->granted += grant ? 1 : 0;
    p->site = s;
    queue_lane_push(q, s, p, false);
}

static void far_on_return(struct queue *q, struct mail *m)
{
    struct queue_part *p = far_take_part(q, m);
    struct queue_site *s = p->there;
    queue_sched_credit(s->sched, p->executor, &(struct queue_credit){.done = 1});
    if (s->stale || q->leaving || p->serial != q->serial || far_is_recalled(p)) {
        queue_part_release(q, p);
    } else {
        queue_sched_push(s->sched, p, p->front);
    }
}

static void far_on_release(struct queue *q, struct mail *m)
{
    queue_part_release(q, far_take_part(q, m));
}

/* ---- results ---- */

struct far_result {
    struct mail mail;
    struct queue_part *part;
    struct queue_part_end end; /* its slices are behind the outcomes */
    bool pinned;
    struct outcome outcomes[];
};

static struct slice far_copy(char **fill, struct slice s)
{
    struct slice copy = {*fill, s.len};
    if (s.len) {
        memcpy(*fill, s.ptr, s.len);
    }
    *fill += s.len;
    return copy;
}

static struct far_result *far_result_new(const struct queue_part *p,
                                         const struct queue_part_end *end)
{
    size_t text = end->peer_name.len + end->peer_addr.len + end->source.len + end->tls_version.len +
                  end->tls_cipher.len + end->tls_certificate.len;
    for (uint32_t i = 0; i < p->count; i++) {
        text += end->outcomes[i].text.len;
    }
    struct far_result *r = malloc(sizeof(*r) + p->count * sizeof(r->outcomes[0]) + text);
    if (!r) {
        return NULL;
    }
    char *fill = (char *)&r->outcomes[p->count];
    *r = (struct far_result){.end = *end};
    for (uint32_t i = 0; i < p->count; i++) {
        r->outcomes[i] = end->outcomes[i];
        r->outcomes[i].text = far_copy(&fill, end->outcomes[i].text);
    }
    r->end.outcomes = r->outcomes;
    r->end.peer_name = far_copy(&fill, end->peer_name);
    r->end.peer_addr = far_copy(&fill, end->peer_addr);
    r->end.source = far_copy(&fill, end->source);
    r->end.tls_version = far_copy(&fill, end->tls_version);
    r->end.tls_cipher = far_copy(&fill, end->tls_cipher);
    r->end.tls_certificate = far_copy(&fill, end->tls_certificate);
    r->end.retry = NULL;
    return r;
}

void queue_far_result(struct queue *q, struct queue_part *p, const struct queue_part_end *end,
                      bool pinned)
{
    struct queue *home = p->message->queue;
    struct far_result *r = far_result_new(p, end);
    must(r != NULL); /* as in queue_batch_new: who forgets an outcome sends a second copy */
    r->part = p;
    r->pinned = pinned;
    if (!pinned) {
        must(q->guests > 0);
        q->guests--;
    }
    p->site = NULL;
    queue_far_post(q, home->worker, &r->mail, QUEUE_MAIL_RESULT);
}

static void far_on_result(struct queue *q, struct mail *m)
{
    struct far_result *r = container_of(m, struct far_result, mail);
    struct queue_part *p = r->part;
    if (r->pinned) {
        p->message->readers++;
    } else {
        must(q->away > 0);
        q->away--;
    }
    queue_part_done(q, p, &r->end);
    free(r);
}

struct far_unpin {
    struct mail mail;
    struct queue_message *message;
};

void queue_far_unpin(struct queue *q, struct queue_message *message)
{
    struct far_unpin *u = malloc(sizeof(*u));
    must(u != NULL); /* a message that can never leave memory would never let its worker stop */
    u->message = message;
    must(q->guests > 0);
    q->guests--;
    queue_far_post(q, message->queue->worker, &u->mail, QUEUE_MAIL_UNPIN);
}

static void far_on_unpin(struct queue *q, struct mail *m)
{
    struct far_unpin *u = container_of(m, struct far_unpin, mail);
    must(q->away > 0 && u->message->readers > 0);
    q->away--;
    u->message->readers--;
    queue_settle(q, u->message);
    free(u);
}

static void far_on_credit(struct queue *q, struct mail *m)
{
    struct far_credit *c = container_of(m, struct far_credit, mail);
    struct queue_sched *d = c->site->sched;
    (void)q;
    queue_sched_credit(d, c->worker, &c->credit);
    if (c->failed) {
        queue_sched_failed(d, &c->why, c->dropped);
    }
    free(c);
}

/* ---- the box ---- */

static const struct {
    void (*read)(struct queue *q, struct mail *m);
} far_types[] = {
    /* NOLINTNEXTLINE(misc-redundant-expression): the first */
    [QUEUE_MAIL_OFFER - QUEUE_MAIL_OFFER] = {far_on_offer},
    [QUEUE_MAIL_ASSIGN - QUEUE_MAIL_OFFER] = {far_on_assign},
    [QUEUE_MAIL_RETURN - QUEUE_MAIL_OFFER] = {far_on_return},
    [QUEUE_MAIL_RELEASE - QUEUE_MAIL_OFFER] = {far_on_release},
    [QUEUE_MAIL_RESULT - QUEUE_MAIL_OFFER] = {far_on_result},
    [QUEUE_MAIL_UNPIN - QUEUE_MAIL_OFFER] = {far_on_unpin},
    [QUEUE_MAIL_CREDIT - QUEUE_MAIL_OFFER] = {far_on_credit},
    [QUEUE_MAIL_READ - QUEUE_MAIL_OFFER] = {queue_far_read_on_mail},
    [QUEUE_MAIL_PIECE - QUEUE_MAIL_OFFER] = {queue_far_read_on_mail},
    [QUEUE_MAIL_READ_END - QUEUE_MAIL_OFFER] = {queue_far_read_on_mail},
    [QUEUE_MAIL_MEMO - QUEUE_MAIL_OFFER] = {queue_memo_on_mail},
    [QUEUE_MAIL_RECALL - QUEUE_MAIL_OFFER] = {queue_recall_on_mail},
    [QUEUE_MAIL_PEER - QUEUE_MAIL_OFFER] = {queue_peers_on_mail},
    [QUEUE_MAIL_LESSON - QUEUE_MAIL_OFFER] = {queue_lesson_on_mail},
    [QUEUE_MAIL_BRAKES - QUEUE_MAIL_OFFER] = {queue_brakes_on_mail},
    [QUEUE_MAIL_SHED - QUEUE_MAIL_OFFER] = {queue_brake_on_shed},
    [QUEUE_MAIL_WARMUP - QUEUE_MAIL_OFFER] = {queue_warmup_on_mail},
};

bool queue_far_on_mail(struct queue *q, struct mail *m)
{
    if (m->type < QUEUE_MAIL_OFFER) {
        return false;
    }
    must(m->type - QUEUE_MAIL_OFFER < ARRAY_COUNT(far_types));
    far_types[m->type - QUEUE_MAIL_OFFER].read(q, m);
    return true;
}

void queue_far_drop(struct mail *m)
{
    if (m->type == QUEUE_MAIL_MEMO) {
        queue_memo_drop_mail(m);
        return;
    }
    if (m->type == QUEUE_MAIL_WARMUP) {
        queue_warmup_drop_mail(m);
        return;
    }
    if (m->type == QUEUE_MAIL_PEER) {
        queue_peers_drop_mail(m);
        return;
    }
    if (m->type == QUEUE_MAIL_READ_END) {
        queue_far_read_drop(m);
        return;
    }
    if (m->type == QUEUE_MAIL_LESSON) {
        queue_lesson_drop_mail(m);
        return;
    }
    if (m->type == QUEUE_MAIL_BRAKES || m->type == QUEUE_MAIL_SHED) {
        queue_brake_drop_mail(m);
        return;
    }
    must(m->type == QUEUE_MAIL_CREDIT); /* the other thing that nobody waits for */
    struct far_credit *c = container_of(m, struct far_credit, mail);
    free(c->credit.reply);
    free(c);
}
