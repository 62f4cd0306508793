/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   CONNECTING ──connected──► UP ◄──work── IDLE          every state ──(lost, cut)──► GONE
 *        │                    │ └──none──►──┘ │                                        │
 *        └─failed─► NEXT      └── enough ──► QUITTING ──► GONE      nothing in the kernel: back to
 *                    └─ another candidate: CONNECTING; none: the site fails               the pool
 */
#include "core/queue/lesson.h"
#include "core/relay/outbound_private.h"
#include "core/io/net.h"

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

/* Leaving a state takes it out of the lists: the one place where state and lists are joined. */
void outbound_set_state(struct outbound *o, enum outbound_state state)
{
    must(o->state != OUTBOUND_GONE);
    if (list_linked(&o->link)) {
        list_remove(&o->link);
    }
    if (o->state == OUTBOUND_IDLE) {
        list_remove(&o->idle_link);
    }
    if (o->state == OUTBOUND_CONNECTING && state != OUTBOUND_CONNECTING) {
        must(o->site->connecting > 0);
        o->site->connecting--;
    }
    if (state == OUTBOUND_IDLE) {
        o->idle_since_ms = outbound_now(o);
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
    if (o->source) {
        obs_str(log, OBS_F_SOURCE, o->source->name);
    }
    obs_str(log, OBS_F_PEER, slice_str(ip_endpoint_text(&outbound_candidate(o)->endpoint, text)));
    obs_str(log, OBS_F_PEER_NAME, outbound_candidate(o)->host);
    if (why) {
        obs_str(log, OBS_F_STAGE, outcome_stage_name(why->stage));
        if (why->code) {
            obs_u64(log, OBS_F_CODE, why->code);
        }
        obs_str(log, OBS_F_REPLY, why->text);
        if (why->wants != OUTCOME_WANTS_NOTHING) {
            obs_str(log, OBS_F_HINT, queue_hint(o->settings->conf, why->wants));
        }
    }
    obs_end(log, io_now(o->relay->io)->mono_ms);
}

/* ---- the end ---- */

void outbound_free(struct outbound *o)
{
    struct relay *r = o->relay;
    struct queue_site *site = o->site;
    if (o->taps) {
        taps_drop(&o->taps, io_now(r->io));
    }
    must(o->ops == 0 && o->fd < 0 && o->body == NULL);
    timer_stop(r->timers, &o->deadline);
    outbound_proxy_free(o);
    buf_deinit(&o->out);
    buf_deinit(&o->sending);
    outbound_secure_free(o);
    route_plan_put(&o->plan);
    relay_settings_put(&o->settings);
    r->evicting -= o->evicted ? 1 : 0;
    bool wasted = o->wasted;
    struct outcome why = o->failure;
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    outcome_copy_text(&why, text, sizeof(text));
    bool greeted = o->greeted;
    if (o->sheds) {
        must(site->leaving > 0);
        site->leaving--;
    } else if (site->surplus) {
        site->surplus--;
    }
    pool_put(&r->outbound, o->self);
    queue_site_connection_over(r->queue, site, greeted);
    if (wasted) {
        queue_site_failed(r->queue, site, &why, true);
    }
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

/* ---- the loop around the machine ---- */

static void outbound_closed(struct outbound *o)
{
    const struct outcome *why = smtp_client_outcome(&o->smtp);
    bool learned = outbound_learn_closed(o);
    if (o->state == OUTBOUND_UP && why->kind != OUTCOME_NONE && !o->told) {
        const struct queue_heard heard = {why, NULL, o->begun};
        o->told = true;
        o->told_fail = queue_lesson_hear(o->relay->queue, o->site, &heard);
    }
    if (why->kind == OUTCOME_NONE) {
        outbound_gone(o, OUTBOUND_GONE);
        return;
    }
    if (!o->greeted && o->state == OUTBOUND_UP) {
        /* A host that refuses to talk (554 greeting) says nothing about our recipients: another host, or
         * later. */
        struct outcome failure = *why;
        if (!o->told_fail) { /* no rule says that it does */
            failure.kind = OUTCOME_TEMPORARY;
            failure.enhanced.cls = failure.enhanced.cls ? 4 : 0;
        }
        outbound_fail_candidate(o, &failure);
        return;
    }
    bool ours = !why->remote &&
                why->enhanced.subject == 3; /* no memory, a body that cannot be read */
    if (o->state == OUTBOUND_UP && !o->served && !o->suspect && !ours && !learned) {
        /* It takes us in and drops us at the first message: as good as not reached, or every message of
         * the queue would make a connection of its own, as fast as they go. */
        o->wasted = true;
        outbound_remember_failure(o, why);
    } else if (o->state == OUTBOUND_UP) {
        outbound_event(o, OBS_OUTBOUND_TROUBLE, why);
    }
    outbound_gone(o, OUTBOUND_GONE);
}

static struct outbound_mark outbound_mark(const struct outbound *o)
{
    return (struct outbound_mark){.state = o->state,
                                  .stage = (uint8_t)smtp_client_stage(&o->smtp),
                                  .replies = o->smtp.replies,
                                  .given = o->given,
                                  .taken = o->taken};
}

static void outbound_set_deadline(struct outbound *o)
{
    static const uint8_t options[] = {
        [OUTCOME_STAGE_NONE] = CONF_SHAPING_IDLE_TIMEOUT,
        [OUTCOME_STAGE_ROUTE] = CONF_SHAPING_IDLE_TIMEOUT,
        [OUTCOME_STAGE_MAILBOX] = CONF_SHAPING_IDLE_TIMEOUT,
        [OUTCOME_STAGE_CONNECT] = CONF_SHAPING_GREETING_TIMEOUT,
        [OUTCOME_STAGE_BANNER] = CONF_SHAPING_GREETING_TIMEOUT,
        [OUTCOME_STAGE_EHLO] = CONF_SHAPING_EHLO_TIMEOUT,
        [OUTCOME_STAGE_STARTTLS] = CONF_SHAPING_EHLO_TIMEOUT,
        [OUTCOME_STAGE_AUTH] = CONF_SHAPING_EHLO_TIMEOUT,
        [OUTCOME_STAGE_MAIL] = CONF_SHAPING_MAIL_TIMEOUT,
        [OUTCOME_STAGE_RSET] = CONF_SHAPING_MAIL_TIMEOUT,
        [OUTCOME_STAGE_RCPT] = CONF_SHAPING_RCPT_TIMEOUT,
        [OUTCOME_STAGE_DATA] = CONF_SHAPING_DATA_TIMEOUT,
        [OUTCOME_STAGE_BODY] = CONF_SHAPING_BODY_TIMEOUT,
        [OUTCOME_STAGE_FINAL_DOT] = CONF_SHAPING_DATA_DONE_TIMEOUT,
        [OUTCOME_STAGE_BDAT] = CONF_SHAPING_DATA_DONE_TIMEOUT,
        [OUTCOME_STAGE_QUIT] = CONF_SHAPING_OPTIONS, /* RELAY_QUIT_MS */
    };
    enum outcome_stage stage = smtp_client_stage(&o->smtp);
    if (secure_is_open(&o->tls) && !o->tls.up) {
        return; /* one deadline for the whole handshake */
    }
    must(stage < ARRAY_COUNT(options));
    uint64_t body_ms = route_plan_number(o->plan, CONF_SHAPING_BODY_TIMEOUT);
    uint64_t wait_ms = options[stage] == CONF_SHAPING_OPTIONS
                           ? RELAY_QUIT_MS
                           : route_plan_number(o->plan, options[stage]);
    if (o->body && wait_ms > body_ms) {
        wait_ms = body_ms;
    }
    if (o->state == OUTBOUND_IDLE) {
        uint64_t known_ms = outbound_learned_idle_ms(o);
        wait_ms = known_ms < wait_ms ? known_ms : wait_ms;
    }
    o->unacked = 0;
    o->mark = outbound_mark(o);
    timer_start(o->relay->timers, &o->deadline, outbound_now(o) + wait_ms);
}

/* Bytes of a reply, or of a TLS record, are no step: the time is for the whole of it (RFC 5321 4.5.3.2), or
 * a peer could hold us for days with a byte now and then. */
static void outbound_renew_deadline(struct outbound *o)
{
    struct outbound_mark now = outbound_mark(o);
    bool moved = now.state != o->mark.state || now.stage != o->mark.stage ||
                 now.replies != o->mark.replies || now.given != o->mark.given ||
                 now.taken != o->mark.taken;
    if (moved || !timer_armed(&o->deadline)) {
        outbound_set_deadline(o);
    }
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

/* The time is over, but the answer lies in the socket, and only buffers to read it are missing: it counts. */
static bool outbound_is_heard(struct outbound *o)
{
    if (!(o->ops & OUTBOUND_OP_RECV) || net_unread(o->fd) <= 0) {
        return false;
    }
    timer_start(o->relay->timers, &o->deadline, outbound_now(o) + OUTBOUND_HEARD_MS);
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
        pool_watch_idle(o->relay, o->site);
    }
}

static void outbound_ready(struct outbound *o)
{
    if (!o->greeted) {
        o->greeted = true;
        queue_site_greeted(o->relay->queue, o->site);
        queue_site_set_bad(o->site, outbound_candidate(o), 0);
    }
}

/* It works, and the commands of one more transaction would go out at once. */
static bool outbound_has_room(const struct outbound *o)
{
    return o->state == OUTBOUND_UP && !o->body && smtp_client_can_follow(&o->smtp) &&
           !outbound_has_enough(o) && (!o->suspect || o->served);
}

static void outbound_offer_room(struct outbound *o)
{
    bool room = outbound_has_room(o);
    if (o->state == OUTBOUND_UP && room != list_linked(&o->link)) {
        if (room) {
            list_push_back(&o->site->roomy, &o->link);
        } else {
            list_remove(&o->link);
        }
    }
}

/* Steps the machine; false: the connection has ended and o may be gone. */
static bool outbound_step(struct outbound *o, struct slice *in)
{
    for (;;) {
        switch (o->taps ? outbound_step_tapped(o, in) : smtp_client_step(&o->smtp, in, &o->out)) {
        case SMTP_CLIENT_WANT_REPLY:
            if (outbound_body_is_hopeless(o)) {
                smtp_client_fail(&o->smtp, SMTP_FAIL_LOCAL);
                break;
            }
            if (outbound_has_room(o) && queue_site_work(o->site) && outbound_begin(o)) {
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
    if (!(o->ops & OUTBOUND_OP_RECV) && !secure_waits_for_turn(&o->tls)) {
        o->ops |= OUTBOUND_OP_RECV;
        io_recv(o->relay->io, outbound_tag(o, IO_KIND_OUTBOUND_RECV), o->fd);
    }
    outbound_offer_room(o);
    outbound_renew_deadline(o);
}

void outbound_fill(struct outbound *o)
{
    must(o->state == OUTBOUND_UP);
    list_remove(&o->link);
    outbound_drive(o, (struct slice){NULL, 0});
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
    if (o->state == OUTBOUND_CONNECTING) {
        outbound_proxy_received(o, ev);
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

void outbound_on_deadline(struct timer *t, void *ctx)
{
    (void)ctx;
    struct outbound *o = container_of(t, struct outbound, deadline);
    switch ((enum outbound_state)o->state) {
    case OUTBOUND_CONNECTING: {
        struct outcome why = outbound_connect_outcome(IO_TIMED_OUT, 0);
        outbound_unreachable(o, &why);
        return;
    }
    case OUTBOUND_IDLE:
        outbound_set_state(o, OUTBOUND_QUITTING);
        smtp_client_quit(&o->smtp);
        outbound_drive(o, (struct slice){NULL, 0});
        return;
    case OUTBOUND_UP:
    case OUTBOUND_QUITTING:
        if (outbound_is_taken(o) || outbound_is_heard(o)) {
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
