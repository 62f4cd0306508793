/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/orders.h"
#include "core/admin/request.h"
#include "core/queue/order.h"
#include "tests/sim/engine.h"
#include "tests/sim/ledger.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

enum {
    ORDERS_EVERY_S = 90,
    ORDERS_AGAIN_MS = 500,
    /* A connection may have had the part in its hands when the order was done. */
    ORDERS_TRANSACTION_MINUTES = 30,
    ORDERS_FLYING_S = 2, /* bytes of its own that were on their way */
    ORDERS_SCOPES = 16,  /* 0: all; else a domain */
};

static struct {
    struct admin_request request;
    bool asked;
    uint64_t out_of_memory; /* failed allocations before it */
    unsigned domain;        /* meant by it; 0: not by domain */
    unsigned message, rcpt;
    struct orders_mark suspended[ORDERS_SCOPES];
    bool calm;
    bool takes_back; /* the request is the step below, not one from before the calm */
    unsigned calm_step;
    bool over;
} orders;

void orders_reset(void)
{
    memset(&orders, 0, sizeof(orders));
}

static uint64_t below(uint64_t bound)
{
    return feature_below(FEATURE_ORDERS, bound);
}

/* ---- whom an order means ---- */

enum { MEANS_ALL = UINT32_MAX };

static bool order_means(unsigned m, unsigned rcpt)
{
    const struct ledger_rcpt *r = &ledger_message(m)->rcpts[rcpt];
    const struct queue_select *s = &orders.request.select;
    return s->all                                   ? true
           : s->domain[0]                           ? r->domain == orders.domain
           : s->sender[0]                           ? m == orders.message
           : s->recipient[0] && m == orders.message ? rcpt == orders.rcpt
                                                    : false;
}

static void order_select(bool may_be_all)
{
    struct queue_select *s = &orders.request.select;
    unsigned count = ledger_count();
    unsigned how = count ? (unsigned)below(may_be_all ? 4 : 3) : 0;
    orders.domain = 1 + (unsigned)below(sim.opt.domains);
    orders.message = count ? (unsigned)below(count) : 0;
    if (how == 3) {
        s->all = true;
    } else if (how == 0 || ledger_message(orders.message)->null_sender) {
        snprintf(s->domain, sizeof(s->domain), "d%u.sim.org", orders.domain);
    } else if (how == 1) {
        char text[64];
        ledger_sender(orders.message, text);
        snprintf(s->sender, sizeof(s->sender), "%s", text);
    } else {
        char text[64];
        orders.rcpt = (unsigned)below(ledger_message(orders.message)->rcpt_count);
        ledger_address(orders.message, orders.rcpt, text);
        snprintf(s->recipient, sizeof(s->recipient), "%s", text);
    }
}

/* ---- before and after ---- */

static struct orders_mark *order_mark_of(struct ledger_rcpt *r)
{
    enum admin_verb verb = orders.request.verb;
    return verb == ADMIN_QUEUE_HOLD || verb == ADMIN_QUEUE_RELEASE    ? &r->orders.held
           : verb == ADMIN_QUEUE_DELETE || verb == ADMIN_QUEUE_BOUNCE ? &r->orders.ended
           : verb == ADMIN_QUEUE_ROUTE                                ? &r->orders.routed
                                                                      : NULL;
}

static bool order_takes_back(void)
{
    return orders.request.verb == ADMIN_QUEUE_RELEASE || orders.request.verb == ADMIN_RESUME ||
           (orders.request.verb == ADMIN_QUEUE_ROUTE && strcmp(orders.request.to, "default") == 0);
}

/* Until it is answered it may be so or not, of what there is and of what comes meanwhile. */
static void order_note(struct orders_mark *mark)
{
    mark->maybe = true;
    mark->certain = mark->certain && !order_takes_back() && !orders.request.for_ms;
}

static void order_note_all(bool first)
{
    bool quiet = orders.request.verb == ADMIN_QUEUE_DELETE || orders.request.quiet;
    for (unsigned m = 0; m < ledger_count(); m++) {
        struct ledger_message *msg = ledger_message(m);
        for (unsigned i = 0; i < msg->rcpt_count; i++) {
            struct ledger_rcpt *r = &msg->rcpts[i];
            struct orders_mark *mark = order_mark_of(r);
            if (!mark || !order_means(m, i)) {
                continue;
            }
            order_note(mark);
            r->orders.quietly = r->orders.quietly || (quiet && mark == &r->orders.ended);
            /* What a server has had may have ended, and its result is not durable yet. */
            bool fresh = !r->copies.count && !r->rejects.count && !r->reports.count;
            r->orders.meant = fresh && (first ? msg->state == LEDGER_ACKED : r->orders.meant);
        }
    }
}

static struct orders_mark *order_scope(void)
{
    bool scoped = orders.request.verb == ADMIN_SUSPEND || orders.request.verb == ADMIN_RESUME;
    return scoped ? &orders.suspended[orders.domain] : NULL;
}

static void mark_settle(struct orders_mark *mark, bool meant, bool sending)
{
    if (order_takes_back()) { /* what came while it went on, or is in a transaction, goes on as it was */
        mark->maybe = mark->maybe && (!meant || sending || sim.opt.workers > 1);
    } else if (sending) {
        mark->busy_life = sim.life + 1;
    } else if (meant && !mark->certain && mark->busy_life != sim.life + 1) {
        *mark = (struct orders_mark){true, true, sim.now_us, sim.life, 0};
    }
}

/* sending: some of them may be in transactions. */
static void order_settle(bool sending)
{
    struct orders_mark *scope = order_scope();
    if (scope && !orders.request.for_ms) {
        mark_settle(scope, true, sending);
    }
    order_note_all(false);
    for (unsigned m = 0; m < ledger_count(); m++) {
        struct ledger_message *msg = ledger_message(m);
        for (unsigned i = 0; i < msg->rcpt_count; i++) {
            struct ledger_rcpt *r = &msg->rcpts[i];
            struct orders_mark *mark = order_mark_of(r);
            if (mark && order_means(m, i)) {
                mark_settle(mark, r->orders.meant, sending);
            }
            r->orders.meant = false;
        }
    }
}

/* ---- asking ---- */

static void order_draw(void)
{
    static const enum admin_verb verbs[] = {ADMIN_QUEUE_RETRY,  ADMIN_QUEUE_HOLD,
                                            ADMIN_QUEUE_HOLD,   ADMIN_QUEUE_RELEASE,
                                            ADMIN_QUEUE_BOUNCE, ADMIN_QUEUE_DELETE,
                                            ADMIN_QUEUE_ROUTE,  ADMIN_QUEUE_ROUTE,
                                            ADMIN_SUSPEND,      ADMIN_RESUME};
    struct admin_request *r = &orders.request;
    *r = (struct admin_request){.verb = verbs[below(ARRAY_COUNT(verbs))]};
    bool ends = r->verb == ADMIN_QUEUE_BOUNCE || r->verb == ADMIN_QUEUE_DELETE;
    if (r->verb == ADMIN_QUEUE_ROUTE) {
        if (below(3)) {
            snprintf(r->to, sizeof(r->to), "5.0.%u.1:25", ORDERS_DETOUR);
        } else {
            snprintf(r->to, sizeof(r->to), "default");
        }
    }
    if (r->verb == ADMIN_SUSPEND || r->verb == ADMIN_RESUME) {
        orders.domain = (unsigned)below(sim.opt.domains + 1);
        r->for_ms = r->verb == ADMIN_SUSPEND && below(2) ? 1000 + below(600000) : 0;
    } else {
        order_select(!ends && r->verb != ADMIN_QUEUE_ROUTE);
        r->quiet = r->verb == ADMIN_QUEUE_BOUNCE && below(2);
    }
}

/* What was ordered is taken back, step by step. False: all of it. */
static bool order_draw_calm(void)
{
    struct admin_request *r = &orders.request;
    unsigned step = orders.calm_step;
    *r = (struct admin_request){.verb = ADMIN_RESUME};
    if (step <= sim.opt.domains) {
        orders.domain = step;
    } else if (step == sim.opt.domains + 1) {
        r->verb = ADMIN_QUEUE_RELEASE;
        r->select.all = true;
    } else if (step == sim.opt.domains + 2) {
        r->verb = ADMIN_QUEUE_ROUTE;
        r->select.all = true;
        snprintf(r->to, sizeof(r->to), "default");
    } else {
        return false;
    }
    return true;
}

static void orders_answered(bool done, bool refused, const struct queue_order_counts *counts);

static void orders_ask(uint64_t arg)
{
    (void)arg;
    struct admin_request *r = &orders.request;
    if (orders.asked || (orders.calm && !order_draw_calm())) {
        orders.over = orders.calm && !orders.asked;
        return;
    }
    if (!engine_can_be_asked()) {
        sim_after((uint64_t)ORDERS_AGAIN_MS * SIM_MS, false, orders_ask, 0);
        return;
    }
    if (!orders.calm) {
        order_draw();
    }
    if (r->verb == ADMIN_SUSPEND || r->verb == ADMIN_RESUME) {
        if (orders.domain) {
            snprintf(r->scope, sizeof(r->scope), "domain:d%u.sim.org", orders.domain);
        } else {
            snprintf(r->scope, sizeof(r->scope), "all");
        }
        order_note(order_scope());
    }
    orders.asked = true;
    orders.takes_back = orders.calm;
    orders.out_of_memory = sim.counts.out_of_memory;
    order_note_all(true);
    sim_trace("operator: %s %s%s%s%s%s", admin_verb_name(r->verb), r->scope, r->select.domain,
              r->select.sender, r->select.recipient, r->select.all ? "all" : "");
    engine_ask(r, orders_answered);
}

static void orders_next(void)
{
    uint64_t us = orders.calm ? SIM_SECOND : below(ORDERS_EVERY_S * 2 * (uint64_t)SIM_SECOND);
    sim_after(us, false, orders_ask, 0);
}

static void orders_answered(bool done, bool refused, const struct queue_order_counts *counts)
{
    sim_trace("operator: %s, %llu recipients, %llu in transactions", done ? "done" : "not done",
              (unsigned long long)counts->recipients, (unsigned long long)counts->sending);
    if (done) {
        sim.counts.orders++;
        /* Without memory for a recall a part stays where it is, and may go out (core/queue/recall.h). */
        order_settle(counts->sending || sim.counts.out_of_memory > orders.out_of_memory);
    }
    orders.asked = false;
    orders.calm_step += orders.takes_back && (done || !refused) ? 1 : 0;
    orders_next();
}

void orders_engine_died(void)
{
    if (orders.asked) {
        order_note_all(false);
        orders.asked = false;
        orders_next();
    }
}

void orders_begin(void)
{
    if (feature_on(FEATURE_ORDERS)) {
        orders_next();
    }
}

void orders_calm(void)
{
    orders.over = !feature_on(FEATURE_ORDERS);
    orders.calm = true;
}

bool orders_are_over(void)
{
    return orders.over;
}

/* ---- what holds ---- */

/* Another worker may have begun with it when the order was done there: its outcome comes first. */
static bool forbids(struct orders_mark *mark)
{
    bool young = mark->life == sim.life &&
                 sim.now_us <= mark->since_us + ORDERS_TRANSACTION_MINUTES * SIM_MINUTE;
    bool breaks = mark->certain &&
                  (!young || (sim.opt.workers == 1 &&
                              sim.now_us > mark->since_us + ORDERS_FLYING_S * SIM_SECOND));
    mark->certain = mark->certain && !young;
    return breaks;
}

bool orders_may_detour(unsigned m, unsigned rcpt, unsigned server)
{
    return server == ORDERS_DETOUR && ledger_message(m)->rcpts[rcpt].orders.routed.maybe;
}

void orders_may_be_sent(unsigned m, unsigned rcpt, unsigned server)
{
    struct ledger_rcpt *r = &ledger_message(m)->rcpts[rcpt];
    if (ledger_has_rotten()) {
        return;
    }
    const char *what = forbids(&r->orders.ended)                               ? "ended"
                       : forbids(&r->orders.held)                              ? "held"
                       : forbids(&orders.suspended[0])                         ? "suspended"
                       : forbids(&orders.suspended[r->domain])                 ? "suspended"
                       : server != ORDERS_DETOUR && forbids(&r->orders.routed) ? "routed elsewhere"
                                                                               : NULL;
    if (what) {
        sim_fail("message %u is sent to recipient %u, which an operator has %s", m, rcpt, what);
    }
}

void orders_recovered(unsigned m, unsigned rcpt, uint64_t due_ms)
{
    const struct ledger_rcpt *r = &ledger_message(m)->rcpts[rcpt];
    if (ledger_has_rotten()) {
        return;
    }
    if (r->orders.ended.certain) {
        sim_fail("recipient %u of message %u was ended by an operator, a crash brings it back",
                 rcpt, m);
    }
    if (r->orders.held.certain && !(due_ms & QUEUE_DUE_HELD)) {
        sim_fail("recipient %u of message %u is held, a crash lets it go", rcpt, m);
    }
}
