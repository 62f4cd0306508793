/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   CONNECTING ──connected──► UP ◄──work── IDLE          every state ──(lost, cut)──► GONE
 *        │                    │ └──none──►──┘ │                                        │
 *        └─failed─► NEXT      └── enough ──► QUITTING ──► GONE      nothing in the kernel: back to
 *                    └─ another candidate: CONNECTING; none: the site fails               the pool
 *
 * Memory that the kernel reads while a send is under way: `sending`, and the body: of the message in
 * memory (sending_message counts as a reader of it) or of the reader's buffer (the reader stays open).
 * Bytes go out in the order of `out`, with the body in its place at out[body_at].
 */
#include "core/relay/outbound_private.h"
#include "core/base/secret.h"
#include "core/io/net.h"

#include <errno.h>
#include <stdlib.h>

static void outbound_on_deadline(struct timer *t, void *ctx);

struct io_tag outbound_tag(const struct outbound *o, enum io_kind kind)
{
    return (struct io_tag){kind, o->self};
}

uint64_t outbound_now(const struct outbound *o)
{
    return io_now(o->relay->io)->mono_ms;
}

const struct route_candidate *outbound_candidate(const struct outbound *o)
{
    must(o->candidate < o->plan->count);
    return &o->plan->candidates[o->candidate];
}

/* Leaving IDLE takes it out of the lists: the one place where state and lists are joined. */
static void outbound_set_state(struct outbound *o, enum outbound_state state)
{
    must(o->state != OUTBOUND_GONE);
    if (o->state == OUTBOUND_IDLE) {
        list_remove(&o->link);
        list_remove(&o->idle_link);
    }
    if (o->state == OUTBOUND_CONNECTING && state != OUTBOUND_CONNECTING) {
        must(o->site->connecting > 0);
        o->site->connecting--;
    }
    if (state == OUTBOUND_IDLE) {
        list_push_front(&o->site->idle, &o->link);
        list_push_back(&o->relay->idle, &o->idle_link);
    }
    if (state == OUTBOUND_CONNECTING) {
        o->site->connecting++;
    }
    o->state = (uint8_t)state;
}

/* ---- logging ---- */

void outbound_event(struct outbound *o, enum obs_event event, const struct outcome *why)
{
    struct obs_log *log = o->relay->log;
    if (!obs_begin(log, event, io_now(o->relay->io)->wall_us)) {
        return;
    }
    char text[IP_ENDPOINT_TEXT_MAX];
    obs_u64(log, OBS_F_SESSION, o->id);
    obs_str(log, OBS_F_SITE, o->site->key);
    obs_str(log, OBS_F_PEER, slice_str(ip_endpoint_text(&outbound_candidate(o)->endpoint, text)));
    obs_str(log, OBS_F_PEER_NAME, outbound_candidate(o)->host);
    if (why) {
        obs_str(log, OBS_F_STAGE, outcome_stage_name(why->stage));
        if (why->code) {
            obs_u64(log, OBS_F_CODE, why->code);
        }
        obs_str(log, OBS_F_REPLY, why->text);
    }
    obs_end(log, io_now(o->relay->io)->mono_ms);
}

/* ---- connecting ---- */

static bool outbound_next_candidate(struct outbound *o, size_t from, bool bad_too)
{
    for (size_t i = from; i < o->plan->count && o->tried < OUTBOUND_CANDIDATES_MAX; i++) {
        if (bad_too || o->plan->candidates[i].bad_until_ms <= outbound_now(o)) {
            o->candidate = i;
            o->tried++;
            return true;
        }
    }
    return false;
}

static void outbound_remember_failure(struct outbound *o, const struct outcome *why)
{
    o->failure = *why;
    outcome_copy_text(&o->failure, o->failure_text, sizeof(o->failure_text));
    o->plan->candidates[o->candidate].bad_until_ms = outbound_now(o) + RELAY_ADDRESS_BAD_MS;
    outbound_event(o, OBS_OUTBOUND_TROUBLE, why);
}

static struct outcome outbound_connect_outcome(enum io_status status, int error)
{
    struct slice text = status == IO_REFUSED       ? SLICE("connection refused")
                        : status == IO_TIMED_OUT   ? SLICE("connection timed out")
                        : status == IO_UNREACHABLE ? SLICE("host unreachable")
                        : status == IO_EXHAUSTED   ? SLICE("no descriptors left here")
                                                   : SLICE("connection failed");
    (void)error;
    return outcome_local(OUTCOME_TEMPORARY, OUTCOME_CONNECTION, OUTCOME_STAGE_CONNECT,
                         (struct enhanced){4, 4, 1}, text);
}

static void outbound_fail_candidate(struct outbound *o, const struct outcome *why)
{
    outbound_remember_failure(o, why);
    outbound_gone(o, OUTBOUND_NEXT);
}

static void outbound_connect(struct outbound *o)
{
    const struct route_candidate *c = outbound_candidate(o);
    const struct conf_delivery *d = &o->settings->conf->delivery;
    struct smtp_client_config config = outbound_client_config(o);
    smtp_client_init(&o->smtp, &config);
    o->begun = 0;
    o->fd = net_socket(&c->endpoint.addr, c->endpoint.addr.family == IP_V4 ? &d->source_address4
                                                                           : &d->source_address6);
    outbound_set_state(o, OUTBOUND_CONNECTING);
    if (o->fd < 0) {
        struct outcome why = outbound_connect_outcome(
            o->fd == -ENFILE || o->fd == -EMFILE ? IO_EXHAUSTED : IO_UNREACHABLE, -o->fd);
        outbound_fail_candidate(o, &why);
        return;
    }
    socklen_t len = ip_endpoint_to_sockaddr(&c->endpoint, &o->addr);
    o->ops |= OUTBOUND_OP_CONNECT;
    io_connect(o->relay->io, outbound_tag(o, IO_KIND_OUTBOUND_CONNECT), o->fd,
               (struct sockaddr *)&o->addr, len);
    timer_start(o->relay->timers, &o->deadline, outbound_now(o) + d->connect_timeout_ms);
}

bool outbound_open(struct relay *r, struct queue_site *site)
{
    struct handle self;
    if (!site->plan) {
        return false;
    }
    struct outbound *o = pool_get(&r->outbound, &self);
    if (!o) {
        return false;
    }
    o->self = self;
    o->relay = r;
    o->settings = relay_settings_ref(r->settings);
    o->site = site;
    o->plan = route_plan_ref(site->plan);
    o->id = relay_session_id(r);
    o->fd = -1;
    o->state = OUTBOUND_NEXT;
    o->deadline.fire = outbound_on_deadline;
    o->reader = HANDLE_NONE;
    o->sending_reader = HANDLE_NONE;
    buf_init(&o->out, OUTBOUND_BUF_BYTES);
    buf_init(&o->sending, OUTBOUND_BUF_BYTES);
    buf_init(&o->cipher, OUTBOUND_CIPHER_BYTES);
    buf_init(&o->plain, IO_RECV_BUFFER_BYTES);
    site->connections++;
    r->counters.connections++;
    if (!outbound_next_candidate(o, 0, false)) {
        outbound_next_candidate(o, 0, true);
    }
    outbound_connect(o);
    return true;
}

void relay_on_outbound_connect(struct relay *r, const struct io_event *ev)
{
    struct outbound *o = pool_resolve(&r->outbound, ev->owner);
    if (!o) {
        io_count_stale(r->io);
        return;
    }
    o->ops &= (uint8_t)~OUTBOUND_OP_CONNECT;
    if (o->state != OUTBOUND_CONNECTING) {
        outbound_gone(o, (enum outbound_state)o->state);
        return;
    }
    if (ev->status != IO_OK) {
        struct outcome why = outbound_connect_outcome(ev->status, ev->error);
        outbound_fail_candidate(o, &why);
        return;
    }
    outbound_event(o, OBS_OUTBOUND_OPEN, NULL);
    outbound_set_state(o, OUTBOUND_UP);
    smtp_client_start(&o->smtp);
    outbound_drive(o, (struct slice){NULL, 0});
}

/* ---- the end ---- */

void outbound_release_body(struct outbound *o)
{
    o->body = NULL;
    o->data = (struct slice){NULL, 0};
    o->data_ready = false;
    if (o->reader.gen && (o->ops & OUTBOUND_OP_SEND) && o->sending_reader.gen == 0) {
        o->sending_reader = o->reader;
        o->reader = HANDLE_NONE;
    } else if (o->reader.gen) {
        /* Also when the kernel still has the end of the body before this one (sending_reader): a peer may
         * answer what it has not read. */
        queue_reader_close(o->relay->queue, &o->reader);
    }
}

/* The kernel has given back what it was sending. */
void outbound_sent(struct outbound *o)
{
    must(!(o->ops & OUTBOUND_OP_SEND));
    if (o->sending_reader.gen) {
        queue_reader_close(o->relay->queue, &o->sending_reader);
    }
    struct queue_message *m = o->sending_message;
    if (m) {
        o->sending_message = NULL;
        must(m->readers > 0);
        m->readers--;
        queue_settle(o->relay->queue, m);
    }
}

static void outbound_free(struct outbound *o)
{
    struct relay *r = o->relay;
    struct queue_site *site = o->site;
    must(o->ops == 0 && o->fd < 0 && o->body == NULL);
    timer_stop(r->timers, &o->deadline);
    buf_deinit(&o->out);
    buf_deinit(&o->sending);
    outbound_secure_free(o);
    route_plan_put(&o->plan);
    relay_settings_put(&o->settings);
    must(site->connections > 0);
    site->connections--;
    must(site->working >= (o->greeted ? 1u : 0u));
    site->working -= o->greeted ? 1 : 0;
    r->evicting -= o->evicted ? 1 : 0;
    bool wasted = o->wasted;
    struct outcome why = o->failure;
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    outcome_copy_text(&why, text, sizeof(text));
    pool_put(&r->outbound, o->self);
    pool_site_again(r, site);
    if (wasted && (why.remote || site->working == 0)) {
        /* While others work, only the peer's own word (421) says that it has enough of us. */
        pool_site_failed(r, site, &why);
    }
}

/* The old socket is closed: the next candidate, or the site has failed. */
static void outbound_try_next(struct outbound *o)
{
    struct relay *r = o->relay;
    bool same_in_plaintext = smtp_client_wants_plaintext(&o->smtp) && !o->plaintext;
    smtp_client_deinit(&o->smtp);
    buf_clear(&o->out);
    secret_buf_clear(&o->sending);
    outbound_secure_free(o);
    o->plaintext = same_in_plaintext;
    if (!r->stopping && same_in_plaintext) {
        outbound_connect(o);
        return;
    }
    if (!r->stopping && outbound_next_candidate(o, o->candidate + 1, false)) {
        outbound_connect(o);
        return;
    }
    struct queue_site *site = o->site;
    struct outcome why = o->failure;
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    outcome_copy_text(&why, text, sizeof(text));
    o->state = OUTBOUND_GONE;
    site->connections++; /* keeps the site while we report */
    outbound_free(o);
    site->connections--;
    pool_site_failed(r, site, &why);
}

void outbound_gone(struct outbound *o, enum outbound_state state)
{
    static const struct {
        uint8_t op;
        enum io_kind kind;
    } ops[] = {{OUTBOUND_OP_CONNECT, IO_KIND_OUTBOUND_CONNECT},
               {OUTBOUND_OP_RECV, IO_KIND_OUTBOUND_RECV},
               {OUTBOUND_OP_SEND, IO_KIND_OUTBOUND_SEND}};
    if ((enum outbound_state)o->state != state) {
        outbound_set_state(o, state);
        timer_stop(o->relay->timers, &o->deadline);
        outbound_release_body(o);
        for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
            if (o->ops & ops[i].op) {
                io_cancel(o->relay->io, outbound_tag(o, ops[i].kind));
            }
        }
    }
    if (o->ops) {
        return;
    }
    outbound_sent(o);
    if (o->fd >= 0) {
        outbound_secure_goodbye(o);
        o->ops |= OUTBOUND_OP_CLOSE;
        io_close_fd(o->relay->io, outbound_tag(o, IO_KIND_OUTBOUND_CLOSE), o->fd);
        o->fd = -1;
        return;
    }
    if (state == OUTBOUND_NEXT) {
        outbound_try_next(o);
        return;
    }
    outbound_event(o, OBS_OUTBOUND_CLOSE, NULL);
    smtp_client_deinit(&o->smtp);
    outbound_free(o);
}

void relay_on_outbound_close(struct relay *r, const struct io_event *ev)
{
    struct outbound *o = pool_resolve(&r->outbound, ev->owner);
    if (!o) {
        io_count_stale(r->io);
        return;
    }
    o->ops &= (uint8_t)~OUTBOUND_OP_CLOSE;
    outbound_gone(o, (enum outbound_state)o->state);
}

/* ---- transactions ---- */

static struct outbound_tx *outbound_tx_new(struct outbound *o, struct queue_part *p)
{
    const struct queue_message *m = p->message;
    struct outbound_tx *t = calloc(1, sizeof(*t) + p->count * sizeof(t->rcpts[0]));
    if (!t) {
        return NULL;
    }
    t->part = p;
    t->began_ms = outbound_now(o);
    for (uint32_t i = 0; i < p->count; i++) {
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
        .rcpts = t->rcpts,
        .rcpt_count = p->count,
    };
    return t;
}

/* A new configuration may ask for TLS, or another login: what was opened before it ends its transactions. */
static bool outbound_has_enough(const struct outbound *o)
{
    return o->begun >= o->settings->conf->delivery.messages_per_connection || o->relay->stopping ||
           o->settings != o->relay->settings;
}

/* Begins the site's next part; false: none, or this connection has had enough. */
bool outbound_begin(struct outbound *o)
{
    struct relay *r = o->relay;
    if (outbound_has_enough(o) || !smtp_client_can_begin(&o->smtp) || (o->suspect && !o->served)) {
        return false;
    }
    struct queue_part *p = queue_site_take(r->queue, o->site);
    if (!p) {
        return false;
    }
    uint32_t rcpt_max = smtp_client_rcpt_max(&o->smtp);
    struct queue_part *rest = p->count > rcpt_max ? queue_part_split(r->queue, p, rcpt_max) : NULL;
    struct outbound_tx *t = outbound_tx_new(o, p);
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
    smtp_client_begin(&o->smtp, &t->txn);
    return true;
}

/* The connection died before the peer said anything about this part: not an attempt, once or twice. */
static bool outbound_return_part(struct outbound *o, struct outbound_tx *t)
{
    if (t->txn.answered || t->damaged || t->part->returns >= RELAY_PART_RETURNS_MAX ||
        o->relay->stopping || (o->suspect && !o->served)) {
        return false;
    }
    for (uint32_t i = 0; i < t->txn.rcpt_count; i++) {
        if (t->rcpts[i].outcome.kind != OUTCOME_TEMPORARY || t->rcpts[i].outcome.unknown ||
            t->rcpts[i].outcome.scope != OUTCOME_CONNECTION) {
            return false;
        }
    }
    t->part->returns++;
    queue_site_return_last(o->relay->queue, t->part);
    return true;
}

static void outbound_finish(struct outbound *o, struct outbound_tx *t)
{
    if (o->body == t) {
        outbound_release_body(o);
    }
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
            o->site->failures = 0;
            o->site->down_until_ms = 0;
            pool_site_again(o->relay, o->site);
        }
        if (t->damaged) {
            outcomes[i] = outcome_local(OUTCOME_PERMANENT, OUTCOME_MESSAGE, OUTCOME_STAGE_BODY,
                                        (struct enhanced){5, 3, 0}, QUEUE_TEXT_DAMAGED);
        }
    }
    struct queue_part_end end = {
        .outcomes = outcomes,
        .peer_name = outbound_candidate(o)->host,
        .peer_addr = slice_str(ip_endpoint_text(&outbound_candidate(o)->endpoint, addr)),
        .peer_has_dsn = o->smtp.caps.dsn,
        .duration_ms = outbound_now(o) - t->began_ms,
    };
    queue_part_done(o->relay->queue, t->part, &end);
    free(t);
}

/* ---- the loop around the machine ---- */

static void outbound_closed(struct outbound *o)
{
    const struct outcome *why = smtp_client_outcome(&o->smtp);
    if (why->kind == OUTCOME_NONE) {
        outbound_gone(o, OUTBOUND_GONE);
        return;
    }
    if (!o->greeted && o->state == OUTBOUND_UP) {
        /* A host that refuses to talk (554 greeting) says nothing about our recipients: another host, or
         * later. */
        struct outcome failure = *why;
        failure.kind = OUTCOME_TEMPORARY;
        failure.enhanced.cls = failure.enhanced.cls ? 4 : 0;
        outbound_fail_candidate(o, &failure);
        return;
    }
    bool ours = !why->remote &&
                why->enhanced.subject == 3; /* no memory, a body that cannot be read */
    if (o->state == OUTBOUND_UP && !o->served && !o->suspect && !ours) {
        /* It takes us in and drops us at the first message: as good as not reached, or every message of
         * the queue would make a connection of its own, as fast as they go. */
        o->wasted = true;
        outbound_remember_failure(o, why);
    } else if (o->state == OUTBOUND_UP) {
        outbound_event(o, OBS_OUTBOUND_TROUBLE, why);
    }
    outbound_gone(o, OUTBOUND_GONE);
}

static void outbound_set_deadline(struct outbound *o)
{
    const struct conf_delivery *d = &o->settings->conf->delivery;
    uint64_t wait_ms = d->mail_timeout_ms;
    if (secure_is_open(&o->tls) && !o->tls.up) {
        return; /* one deadline for the whole handshake */
    }
    switch (smtp_client_stage(&o->smtp)) {
    case OUTCOME_STAGE_NONE:
    case OUTCOME_STAGE_ROUTE:
        wait_ms = d->idle_timeout_ms;
        break;
    case OUTCOME_STAGE_CONNECT:
    case OUTCOME_STAGE_BANNER:
        wait_ms = d->greeting_timeout_ms;
        break;
    case OUTCOME_STAGE_EHLO:
    case OUTCOME_STAGE_STARTTLS:
    case OUTCOME_STAGE_AUTH:
        wait_ms = d->ehlo_timeout_ms;
        break;
    case OUTCOME_STAGE_MAIL:
    case OUTCOME_STAGE_RSET:
        wait_ms = d->mail_timeout_ms;
        break;
    case OUTCOME_STAGE_RCPT:
        wait_ms = d->rcpt_timeout_ms;
        break;
    case OUTCOME_STAGE_DATA:
        wait_ms = d->data_timeout_ms;
        break;
    case OUTCOME_STAGE_BODY:
        wait_ms = d->body_timeout_ms;
        break;
    case OUTCOME_STAGE_FINAL_DOT:
    case OUTCOME_STAGE_BDAT:
        wait_ms = d->data_done_timeout_ms;
        break;
    case OUTCOME_STAGE_QUIT:
        wait_ms = RELAY_QUIT_MS;
        break;
    }
    if (o->body && wait_ms > d->body_timeout_ms) {
        wait_ms = d->body_timeout_ms;
    }
    o->unacked = 0;
    timer_start(o->relay->timers, &o->deadline, outbound_now(o) + wait_ms);
}

/* The time is over, but is a slow peer still taking the message? The socket's buffer may be megabytes
 * ahead of it, so only the kernel knows. The first time the answer is only noted: a peer that takes nothing
 * is given up after the second. */
static bool outbound_is_taken(struct outbound *o)
{
    enum outcome_stage stage = smtp_client_stage(&o->smtp);
    bool sending = o->body || stage == OUTCOME_STAGE_BODY || stage == OUTCOME_STAGE_FINAL_DOT ||
                   stage == OUTCOME_STAGE_BDAT;
    int before = o->unacked;
    int left = sending ? net_unacked(o->fd) : 0;
    if (left <= 0 || (before && left >= before)) {
        return false;
    }
    outbound_set_deadline(o);
    o->unacked = left;
    return true;
}

/* Nothing to do for it now: idle, or QUIT when it has had enough. */
static void outbound_rest(struct outbound *o)
{
    if (o->state == OUTBOUND_UP && outbound_has_enough(o)) {
        outbound_set_state(o, OUTBOUND_QUITTING);
        smtp_client_quit(&o->smtp);
    } else if (o->state == OUTBOUND_UP) {
        outbound_set_state(o, OUTBOUND_IDLE);
    }
}

static void outbound_ready(struct outbound *o)
{
    if (!o->greeted) {
        o->greeted = true;
        o->site->working++;
        o->plan->candidates[o->candidate].bad_until_ms = 0;
    }
}

/* Steps the machine; false: the connection has ended and o may be gone. */
static bool outbound_step(struct outbound *o, struct slice *in)
{
    for (;;) {
        switch (smtp_client_step(&o->smtp, in, &o->out)) {
        case SMTP_CLIENT_WANT_REPLY:
            if (o->site->ready_count && !o->body && o->state == OUTBOUND_UP &&
                smtp_client_can_begin(&o->smtp) && outbound_begin(o)) {
                break;
            }
            return true;
        case SMTP_CLIENT_READY:
            outbound_ready(o);
            if (o->state == OUTBOUND_UP && outbound_begin(o)) {
                break;
            }
            if (o->state == OUTBOUND_UP) {
                outbound_rest(o);
                if (o->state == OUTBOUND_QUITTING) {
                    break;
                }
            }
            return true;
        case SMTP_CLIENT_SEND_BODY:
            outbound_body_begin(o);
            break;
        case SMTP_CLIENT_TXN_DONE:
            outbound_finish(o, (struct outbound_tx *)(void *)smtp_client_take(&o->smtp));
            break;
        case SMTP_CLIENT_START_TLS:
            outbound_start_tls(o);
            return true;
        case SMTP_CLIENT_AUTH_CHALLENGE:
            outbound_answer_challenge(o);
            break;
        case SMTP_CLIENT_CLOSED:
            outbound_closed(o);
            return false;
        }
    }
}

void outbound_drive(struct outbound *o, struct slice in)
{
    do {
        if (!outbound_step(o, &in)) {
            return;
        }
    } while (outbound_send(o));
    if (!(o->ops & OUTBOUND_OP_RECV)) {
        o->ops |= OUTBOUND_OP_RECV;
        io_recv(o->relay->io, outbound_tag(o, IO_KIND_OUTBOUND_RECV), o->fd);
    }
    outbound_set_deadline(o);
}

void relay_on_outbound_recv(struct relay *r, const struct io_event *ev)
{
    struct outbound *o = pool_resolve(&r->outbound, ev->owner);
    if (!o) {
        io_count_stale(r->io);
        return;
    }
    o->ops &= (uint8_t)~OUTBOUND_OP_RECV;
    if (o->state == OUTBOUND_GONE || o->state == OUTBOUND_NEXT) {
        outbound_gone(o, (enum outbound_state)o->state);
        return;
    }
    bool over = ev->status != IO_OK && ev->status != IO_RETRY;
    if (over && secure_is_open(&o->tls) && !o->tls.up) {
        smtp_client_tls_failed(&o->smtp, SLICE("the connection was lost in the TLS handshake"));
    } else if (ev->status == IO_EOF) {
        smtp_client_fail(&o->smtp, SMTP_FAIL_EOF);
    } else if (over) {
        smtp_client_fail(&o->smtp, SMTP_FAIL_IO);
    }
    outbound_receive(o, ev->data);
}

void outbound_wake(struct outbound *o)
{
    must(o->state == OUTBOUND_IDLE);
    outbound_set_state(o, OUTBOUND_UP);
    outbound_drive(o, (struct slice){NULL, 0});
}

static void outbound_on_deadline(struct timer *t, void *ctx)
{
    (void)ctx;
    struct outbound *o = container_of(t, struct outbound, deadline);
    switch ((enum outbound_state)o->state) {
    case OUTBOUND_CONNECTING: {
        struct outcome why = outbound_connect_outcome(IO_TIMED_OUT, 0);
        outbound_fail_candidate(o, &why);
        return;
    }
    case OUTBOUND_IDLE:
        outbound_set_state(o, OUTBOUND_QUITTING);
        smtp_client_quit(&o->smtp);
        outbound_drive(o, (struct slice){NULL, 0});
        return;
    case OUTBOUND_UP:
    case OUTBOUND_QUITTING:
        if (outbound_is_taken(o)) {
            return;
        }
        if (secure_is_open(&o->tls) && !o->tls.up) {
            smtp_client_tls_failed(&o->smtp, SLICE("the TLS handshake took too long"));
        }
        smtp_client_fail(&o->smtp, SMTP_FAIL_TIMEOUT);
        outbound_drive(o, (struct slice){NULL, 0});
        return;
    case OUTBOUND_GONE:
    case OUTBOUND_NEXT:
        return;
    }
}

void outbound_shut(struct outbound *o, bool at_once)
{
    switch ((enum outbound_state)o->state) {
    case OUTBOUND_IDLE:
        outbound_set_state(o, OUTBOUND_QUITTING);
        smtp_client_quit(&o->smtp);
        outbound_drive(o, (struct slice){NULL, 0});
        return;
    case OUTBOUND_CONNECTING:
        outbound_gone(o, OUTBOUND_GONE);
        return;
    case OUTBOUND_UP:
    case OUTBOUND_QUITTING:
        if (at_once) {
            smtp_client_fail(&o->smtp, SMTP_FAIL_LOCAL);
            outbound_drive(o, (struct slice){NULL, 0});
        }
        return;
    case OUTBOUND_GONE:
    case OUTBOUND_NEXT:
        return;
    }
}
