/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the control thread does while the workers run (core/app/engine_query.c, engine_reload.c): an order goes to all
 * workers, a suspension or a target of queue route first to the one that has the memos.
 */
#include "tests/sim/engine_private.h"
#include "tests/sim/heap.h"
#include "tests/sim/ring.h"

#include <string.h>

bool engine_can_be_asked(void)
{
    if (!engine.life || engine.stopping) {
        return false;
    }
    for (unsigned i = 0; i < sim.opt.workers; i++) {
        if (!engine.life->running[i]) {
            return false;
        }
    }
    return true;
}

static bool is_stored_first(const struct admin_request *r)
{
    return r->verb == ADMIN_SUSPEND || r->verb == ADMIN_RESUME ||
           (r->verb == ADMIN_QUEUE_ROUTE && strcmp(r->to, "default") != 0);
}

static bool control_tell(void *arg)
{
    const unsigned *worker = arg;
    struct worker *w = &engine.life->workers[*worker];
    struct worker_mail *m = worker_mail_new(WORKER_MAIL_QUERY);
    m->request = engine.query.request;
    m->token = 1;
    m->apply = engine.query.applies;
    m->since_ms = engine.query.since_ms;
    m->target = engine.query.target;
    mailbox_post(&w->mailbox, &m->mail, w->io);
    return true;
}

static void control_start(void)
{
    bool one = is_stored_first(&engine.query.request) && !engine.query.applies;
    uint32_t failing = heap_set_failing(0); /* the engine stops without memory for a mail: known */
    engine.query.waiting = one ? 1 : sim.opt.workers;
    for (unsigned i = 0; engine.life && i < (one ? 1 : sim.opt.workers); i++) {
        bool ok;
        unsigned worker = one ? SPOOL_MEMO_WORKER : i;
        if (engine.life->running[worker]) {
            (void)engine_enter(control_tell, &worker, &ok);
            ring_submit(worker);
        }
    }
    heap_set_failing(failing);
}

void engine_ask(const struct admin_request *r, engine_answered_fn *answered)
{
    must(engine_can_be_asked() && !engine.query.answered);
    memset(&engine.query, 0, sizeof(engine.query));
    engine.query.request = *r;
    engine.query.answered = answered;
    engine.query.since_ms = clock_read().wall_us / 1000;
    control_start();
}

static void control_on_answer(const struct worker_mail *m)
{
    struct engine_query *q = &engine.query;
    q->counts.messages += m->counts.messages;
    q->counts.recipients += m->counts.recipients;
    q->counts.sending += m->counts.sending;
    q->verdict = m->verdict > q->verdict ? m->verdict : q->verdict;
    q->target = m->target;
    q->waiting--;
}

static bool control_take(void *arg)
{
    struct life *l = arg;
    struct mail *mail = mailbox_take(&l->control);
    while (mail) {
        struct mail *next = mail->next;
        struct worker_mail *m = container_of(mail, struct worker_mail, mail);
        if (mail->type == CONTROL_MAIL_ANSWER && engine.query.answered) {
            control_on_answer(m);
        }
        worker_mail_free(m);
        mail = next;
    }
    return true;
}

void engine_control(void)
{
    bool ok;
    struct engine_query *q = &engine.query;
    if (!q->answered || !engine.life || !engine_enter(control_take, engine.life, &ok) ||
        q->waiting) {
        return;
    }
    if (q->verdict == WORKER_DONE && is_stored_first(&q->request) && !q->applies) {
        q->applies = true;
        control_start();
        return;
    }
    engine_answered_fn *answered = q->answered;
    q->answered = NULL;
    answered(q->verdict == WORKER_DONE,
             q->verdict == WORKER_REFUSED || q->verdict == WORKER_NOT_STORED, &q->counts);
}

/* ---- reload ---- */

struct control_reload {
    struct worker *worker;
    struct relay_settings *settings;
};

static bool control_reload(void *arg)
{
    const struct control_reload *r = arg;
    struct worker_mail *m = worker_mail_new(WORKER_MAIL_RELOAD);
    m->settings = relay_settings_ref(r->settings);
    mailbox_post(&r->worker->mailbox, &m->mail, r->worker->io);
    return true;
}

bool engine_reload(struct relay_settings *settings)
{
    if (!engine_can_be_asked()) {
        return false;
    }
    uint32_t failing = heap_set_failing(0);
    for (unsigned i = 0; engine.life && i < sim.opt.workers; i++) {
        bool ok;
        struct control_reload r = {&engine.life->workers[i], settings};
        (void)engine_enter(control_reload, &r, &ok);
        ring_submit(i);
    }
    heap_set_failing(failing);
    return true;
}
