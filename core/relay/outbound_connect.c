/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From a site to a connection: which of its addresses, the socket, and the next address when one fails.
 */
#include "core/relay/outbound_private.h"
#include "core/base/secret.h"
#include "core/io/net.h"

#include <errno.h>

/* Can the source of this connection reach the address now? */
static bool outbound_may_reach(const struct outbound *o, const struct route_candidate *c)
{
    return !o->source ||
           (egress_families_now(o->source) & egress_family_of(&c->endpoint.addr)) != 0;
}

bool outbound_is_orphaned(const struct outbound *o)
{
    return !outbound_may_reach(o, outbound_candidate(o));
}

static bool outbound_next_candidate(struct outbound *o, size_t from, bool bad_too)
{
    for (size_t i = from; i < o->plan->count && o->tried < OUTBOUND_CANDIDATES_MAX; i++) {
        if (!outbound_may_reach(o, &o->plan->candidates[i])) {
            continue;
        }
        if (bad_too || !queue_site_is_bad(o->site, &o->plan->candidates[i], outbound_now(o))) {
            o->candidate = i;
            o->tried++;
            return true;
        }
    }
    return false;
}

/* Another worker has paused the source this very moment: the bind will find that out, too. What matters is that it
 * is tried: an address of a family that the source lacks would be reached from an address of the kernel's choice. */
static void outbound_first_of_source(struct outbound *o)
{
    must(o->source && (o->source->families & o->plan->families));
    while (!(o->source->families & egress_family_of(&outbound_candidate(o)->endpoint.addr))) {
        o->candidate++;
    }
}

static void outbound_note_failure(struct outbound *o, const struct outcome *why)
{
    o->failure = *why;
    outcome_copy_text(&o->failure, o->failure_text, sizeof(o->failure_text));
    outbound_event(o, OBS_OUTBOUND_TROUBLE, why);
    if (o->taps) {
        dialogue_note(o->taps, why->text, io_now(o->relay->io));
    }
}

void outbound_remember_failure(struct outbound *o, const struct outcome *why)
{
    queue_site_set_bad(o->site, outbound_candidate(o), outbound_now(o) + RELAY_ADDRESS_BAD_MS);
    outbound_note_failure(o, why);
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

void outbound_skip_candidate(struct outbound *o, const struct outcome *why)
{
    outbound_note_failure(o, why);
    outbound_gone(o, OUTBOUND_NEXT);
}

/* The address that the connection is to come from; IP_NONE: the kernel chooses. */
static struct ip_addr outbound_from(const struct outbound *o, const struct ip_addr *to)
{
    const struct conf_delivery *d = &o->settings->conf->delivery;
    if (outbound_proxy_at(o)) { /* the source's addresses are the proxy's */
        return (struct ip_addr){0};
    }
    if (o->source) {
        return to->family == IP_V4 ? o->source->address4 : o->source->address6;
    }
    return to->family == IP_V4 ? d->source_address4 : d->source_address6;
}

/* The source pauses: nobody is to blame but this machine. The next address may be of the other family. */
static void outbound_lost_source(struct outbound *o, const struct ip_addr *from)
{
    struct obs_log *log = o->relay->log;
    bool news = egress_set_gone(o->source, (enum egress_family)egress_family_of(from), true);
    if (news && obs_begin(log, OBS_SOURCE_PAUSED, io_now(o->relay->io)->wall_us)) {
        char text[IP_TEXT_MAX];
        obs_str(log, OBS_F_SOURCE, o->source->name);
        obs_str(log, OBS_F_ADDRESS, slice_str(ip_addr_text(from, text)));
        obs_str(log, OBS_F_REASON, EGRESS_TEXT_GONE);
        obs_end(log, io_now(o->relay->io)->mono_ms);
    }
    o->failure = outcome_local(OUTCOME_TEMPORARY, OUTCOME_CONNECTION, OUTCOME_STAGE_CONNECT,
                               (struct enhanced){4, 4, 1},
                               SLICE("the source's address is not on this machine"));
    outbound_gone(o, OUTBOUND_NEXT);
}

static void outbound_connect(struct outbound *o)
{
    const struct route_candidate *c = outbound_candidate(o);
    struct smtp_client_config config = outbound_client_config(o);
    smtp_client_init(&o->smtp, &config);
    if (o->taps) { /* to the host before */
        taps_drop(&o->taps, io_now(o->relay->io));
    }
    if (o->relay->taps.count) {
        taps_outbound(o);
    }
    o->begun = 0;
    o->given = o->taken = 0;
    o->spent = o->torn = false;
    o->told = o->told_fail = false;
    const struct ip_endpoint *proxy = outbound_proxy_at(o), *to = proxy ? proxy : &c->endpoint;
    const struct ip_addr from = outbound_from(o, &to->addr);
    must(!o->source || proxy || from.family == to->addr.family); /* never from another's address */
    o->fd = net_socket(&to->addr, &from);
    outbound_set_state(o, OUTBOUND_CONNECTING);
    if (o->fd == -EADDRNOTAVAIL && o->source) {
        outbound_lost_source(o, &from);
        return;
    }
    if (o->fd < 0) {
        struct outcome why = outbound_connect_outcome(
            o->fd == -ENFILE || o->fd == -EMFILE ? IO_EXHAUSTED : IO_UNREACHABLE, -o->fd);
        outbound_fail_candidate(o, &why);
        return;
    }
    socklen_t len = ip_endpoint_to_sockaddr(to, &o->addr);
    o->ops |= OUTBOUND_OP_CONNECT;
    io_connect(o->relay->io, outbound_tag(o, IO_KIND_OUTBOUND_CONNECT), o->fd,
               (struct sockaddr *)&o->addr, len);
    o->mark = (struct outbound_mark){.state = OUTBOUND_CONNECTING};
    timer_start(o->relay->timers, &o->deadline,
                outbound_now(o) + route_plan_number(o->plan, CONF_SHAPING_CONNECT_TIMEOUT));
}

bool outbound_find_source(const struct relay *r, const struct queue_site *site,
                          const struct egress_source **out)
{
    const struct route_plan *plan = site->plan;
    *out = plan->source.len ? egress_find(r->settings->egress, plan->source) : NULL;
    return *out ? (egress_families_now(*out) & plan->families) != 0 : plan->source.len == 0;
}

bool outbound_open(struct relay *r, struct queue_site *site)
{
    struct handle self;
    const struct egress_source *source;
    if (!site->plan || !outbound_find_source(r, site, &source)) {
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
    o->source = source;
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
    if (!outbound_next_candidate(o, 0, false) && !outbound_next_candidate(o, 0, true)) {
        outbound_first_of_source(o);
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
        outbound_unreachable(o, &why);
        return;
    }
    if (!outbound_proxy_start(o)) {
        outbound_connected(o);
    }
}

void outbound_connected(struct outbound *o)
{
    outbound_event(o, OBS_OUTBOUND_OPEN, NULL);
    outbound_set_state(o, OUTBOUND_UP);
    smtp_client_start(&o->smtp);
    outbound_drive(o, (struct slice){NULL, 0});
}

void outbound_unreachable(struct outbound *o, const struct outcome *why)
{
    if (outbound_proxy_at(o)) {
        outbound_proxy_unreachable(o, why);
    } else {
        outbound_fail_candidate(o, why);
    }
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
    bool paused = o->source && !(egress_families_now(o->source) & o->plan->families);
    struct outcome why = o->failure;
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    outcome_copy_text(&why, text, sizeof(text));
    o->state = OUTBOUND_GONE;
    outbound_free(o); /* its site stays for a while (QUEUE_SITE_LINGER_MS) */
    if (!paused) {    /* its source's fault is not the site's; its mail is routed anew */
        queue_site_failed(r->queue, site, &why, false);
    }
}
