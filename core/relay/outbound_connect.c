/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From a site to a connection: which of its addresses, the socket, and the next address when one fails.
 */
#include "core/relay/outbound_private.h"
#include "core/base/secret.h"
#include "core/io/net.h"

#include <errno.h>

static bool outbound_next_candidate(struct outbound *o, size_t from, bool bad_too)
{
    for (size_t i = from; i < o->plan->count && o->tried < OUTBOUND_CANDIDATES_MAX; i++) {
        if (bad_too || !queue_site_is_bad(o->site, &o->plan->candidates[i], outbound_now(o))) {
            o->candidate = i;
            o->tried++;
            return true;
        }
    }
    return false;
}

void outbound_remember_failure(struct outbound *o, const struct outcome *why)
{
    o->failure = *why;
    outcome_copy_text(&o->failure, o->failure_text, sizeof(o->failure_text));
    queue_site_set_bad(o->site, outbound_candidate(o), outbound_now(o) + RELAY_ADDRESS_BAD_MS);
    outbound_event(o, OBS_OUTBOUND_TROUBLE, why);
}

struct outcome outbound_connect_outcome(enum io_status status, int error)
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

void outbound_fail_candidate(struct outbound *o, const struct outcome *why)
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
    o->given = o->taken = 0;
    o->spent = o->torn = false;
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
    timer_start(o->relay->timers, &o->deadline,
                outbound_now(o) + route_plan_number(o->plan, CONF_SHAPING_CONNECT_TIMEOUT));
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

/* The old socket is closed: the next candidate, or the site has failed. */
void outbound_try_next(struct outbound *o)
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
    outbound_free(o); /* its site stays for a while (QUEUE_SITE_LINGER_MS) */
    queue_site_failed(r->queue, site, &why, false);
}
