/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `ringpost overrides …` at the worker that has the memos: it counts at once, and is answered when it is durable.
 */
#include "core/app/worker.h"
#include "core/queue/override.h"

static void overrides_on_stored(void *ctx, enum queue_memo_end end)
{
    struct worker_mail *m = ctx;
    m->verdict = end == QUEUE_MEMO_KEPT ? WORKER_DONE : WORKER_NOT_STORED;
    m->mail.type = CONTROL_MAIL_ANSWER;
    worker_tell(m->self, m);
}

/* The last one's id; 0: there was none. */
static uint64_t overrides_cancel(struct worker *w, struct worker_mail *m)
{
    const struct admin_request *r = &m->request;
    struct automation *a = w->queue.lessons.automation;
    uint64_t now_ms = io_now(w->io)->wall_us / 1000, last = 0;
    struct automation_override o;
    if (!r->select.all) {
        last = automation_cancel(a, r->override_id) ? r->override_id : 0;
        m->counts.messages = last ? 1 : 0;
        return last;
    }
    while (automation_next(a, 0, now_ms, &o) && automation_cancel(a, o.id)) {
        last = o.id;
        m->counts.messages++;
    }
    return last;
}

static uint64_t overrides_add(struct worker *w, struct worker_mail *m)
{
    struct automation_order order;
    struct automation_keys keys;
    struct automation_override made;
    struct buf why;
    uint64_t now_ms = io_now(w->io)->wall_us / 1000, id = 0;
    buf_init(&why, 1024);
    if (admin_request_override(&m->request, &order, &keys, &why)) { /* it was checked */
        id = automation_impose(w->queue.lessons.automation, &order, &keys, now_ms);
    }
    buf_deinit(&why);
    if (id && automation_find(w->queue.lessons.automation, id, now_ms, &made)) {
        buf_add_byte(&m->answer, '{');
        queue_override_add(&m->answer, &made);
        buf_add(&m->answer, SLICE("}\n"));
    }
    return id;
}

void worker_overrides(struct worker *w, struct worker_mail *m)
{
    bool add = m->request.verb == ADMIN_OVERRIDES_ADD;
    uint64_t id = add ? overrides_add(w, m) : overrides_cancel(w, m);
    m->self = w;
    if (id == 0) {
        m->verdict = add ? WORKER_REFUSED : WORKER_NOT_FOUND;
        m->mail.type = CONTROL_MAIL_ANSWER;
        worker_tell(w, m);
        return;
    }
    queue_brakes_changed(&w->queue);
    queue_overrides_tell(&w->queue, id, overrides_on_stored, m);
}
