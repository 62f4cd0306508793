/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/relay/taps.h"
#include "core/base/must.h"
#include "core/relay/inbound.h"
#include "core/relay/outbound.h"

enum { TAPS_NOTE_BYTES = LIMIT_DOMAIN_BYTES + IP_ENDPOINT_TEXT_MAX + 64 };

/* ---- who is meant ---- */

/* By the domain's route, as it is known now. */
static bool taps_domain_goes_there(struct queue *q, struct slice domain,
                                   const struct queue_site *site)
{
    char text[LIMIT_DOMAIN_BYTES + 2] = "@";
    struct slice known = slice_first(domain, LIMIT_DOMAIN_BYTES);
    memcpy(text + 1, known.ptr, known.len);
    struct queue_rcpt rcpt = {.address = slice_of(text, known.len + 1)};
    return queue_rcpt_site(q, &rcpt) == site;
}

static bool taps_means_outbound(const struct dialogue *d, const struct outbound *o)
{
    const struct route_candidate *c = &o->plan->candidates[o->candidate];
    struct slice word = slice_str(d->target);
    if (d->is_net) {
        return ip_net_contains(&d->net, &c->endpoint.addr);
    }
    return slice_eq_nocase(c->host, word) || slice_eq_nocase(c->named, word) ||
           slice_eq_nocase(o->site->key, word) || queue_site_has_host(o->site, word) ||
           taps_domain_goes_there(o->relay->queue, word, o->site);
}

static void taps_add(struct dialogue_tap **list, struct taps_entry *e, uint64_t session,
                     struct slice note, const struct clock_now *now)
{
    struct dialogue_tap *tap = dialogue_tap_new(e->dialogue, session, &e->out);
    if (tap) {
        dialogue_note(tap, note, now);
        tap->next = *list;
        *list = tap;
    }
}

static void taps_tell_outbound(struct outbound *o, struct taps_entry *e, const char *how)
{
    char at[IP_ENDPOINT_TEXT_MAX];
    struct buf note;
    const struct route_candidate *c = &o->plan->candidates[o->candidate];
    buf_init(&note, TAPS_NOTE_BYTES);
    buf_addf(&note, "%s to %.*s, %s", how, SLICE_ARG(c->host), ip_endpoint_text(&c->endpoint, at));
    taps_add(&o->taps, e, o->id, buf_slice(&note), io_now(o->relay->io));
    buf_deinit(&note);
}

static void taps_add_outbound(struct outbound *o, struct taps_entry *e, const char *how)
{
    if (taps_means_outbound(e->dialogue, o)) {
        taps_tell_outbound(o, e, how);
    }
}

static void taps_add_inbound(struct inbound *s, struct taps_entry *e, const char *how)
{
    char at[IP_ENDPOINT_TEXT_MAX];
    struct buf note;
    if (!e->dialogue->is_net || !ip_net_contains(&e->dialogue->net, &s->peer.addr)) {
        return;
    }
    buf_init(&note, TAPS_NOTE_BYTES);
    buf_addf(&note, "%s from %s", how, ip_endpoint_text(&s->peer, at));
    taps_add(&s->taps, e, s->id, buf_slice(&note), io_now(s->relay->io));
    s->told = s->out.len;
    buf_deinit(&note);
}

void taps_outbound(struct outbound *o)
{
    struct taps *t = &o->relay->taps;
    for (unsigned i = 0; i < t->count; i++) {
        taps_add_outbound(o, &t->entries[i], "connects");
    }
}

static bool taps_has(const struct dialogue_tap *list, const struct dialogue *d)
{
    while (list && list->dialogue != d) {
        list = list->next;
    }
    return list != NULL;
}

static bool taps_means_part(const struct dialogue *d, const struct queue_part *p)
{
    for (uint32_t i = 0; i < p->count && !d->is_net; i++) {
        struct slice to = p->message->rcpts[p->rcpts[i]].address;
        if (slice_eq_nocase(queue_address_domain(to), slice_str(d->target))) {
            return true;
        }
    }
    return false;
}

/* Where a domain's mail goes is known to the worker that has routed it, not to all that send it. */
void taps_transaction(struct outbound *o, const struct queue_part *p)
{
    struct taps *t = &o->relay->taps;
    for (unsigned i = 0; i < t->count; i++) {
        struct taps_entry *e = &t->entries[i];
        if (!taps_has(o->taps, e->dialogue) && taps_means_part(e->dialogue, p)) {
            taps_tell_outbound(o, e, "is connected");
        }
    }
}

void taps_inbound(struct inbound *s)
{
    struct taps *t = &s->relay->taps;
    for (unsigned i = 0; i < t->count; i++) {
        taps_add_inbound(s, &t->entries[i], "connected");
    }
}

void taps_drop(struct dialogue_tap **list, const struct clock_now *now)
{
    dialogue_note(*list, SLICE("closed"), now);
    while (*list) {
        struct dialogue_tap *tap = *list;
        *list = tap->next;
        dialogue_tap_free(&tap);
    }
}

/* ---- dialogues ---- */

bool taps_begin(struct relay *r, struct dialogue *d)
{
    struct handle h;
    if (r->taps.count == DIALOGUES_MAX) {
        return false;
    }
    struct taps_entry *e = &r->taps.entries[r->taps.count++];
    e->dialogue = dialogue_ref(d);
    buf_init(&e->out, TAPS_OUT_BYTES);
    for (uint32_t slot = 0; slot < r->outbound.made; slot++) {
        struct outbound *o = pool_at(&r->outbound, slot, &h);
        if (o && o->state != OUTBOUND_GONE && o->state != OUTBOUND_NEXT) {
            taps_add_outbound(o, e, "is connected");
        }
    }
    for (uint32_t slot = 0; slot < r->inbound.made; slot++) {
        struct inbound *s = pool_at(&r->inbound, slot, &h);
        if (s && s->state == INBOUND_OPEN && !s->proxy) {
            taps_add_inbound(s, e, "is connected");
        }
    }
    return true;
}

static void taps_remove_of(struct dialogue_tap **at, const struct dialogue *d)
{
    while (*at) {
        struct dialogue_tap *tap = *at;
        if (tap->dialogue == d) {
            *at = tap->next;
            dialogue_tap_free(&tap);
        } else {
            at = &tap->next;
        }
    }
}

static void taps_entry_close(struct taps_entry *e)
{
    dialogue_taken(e->dialogue, e->out.len);
    buf_deinit(&e->out);
    dialogue_put(&e->dialogue);
}

/* The taps' lines go into the entries, whose places change when one ends. */
static void taps_move_out(struct relay *r, const struct dialogue *d, struct buf *out)
{
    struct handle h;
    for (uint32_t slot = 0; slot < r->outbound.made; slot++) {
        struct outbound *o = pool_at(&r->outbound, slot, &h);
        for (struct dialogue_tap *t = o ? o->taps : NULL; t; t = t->next) {
            t->out = t->dialogue == d ? out : t->out;
        }
    }
    for (uint32_t slot = 0; slot < r->inbound.made; slot++) {
        struct inbound *s = pool_at(&r->inbound, slot, &h);
        for (struct dialogue_tap *t = s ? s->taps : NULL; t; t = t->next) {
            t->out = t->dialogue == d ? out : t->out;
        }
    }
}

void taps_end(struct relay *r, uint32_t token)
{
    struct taps *t = &r->taps;
    struct handle h;
    unsigned at = 0;
    while (at < t->count && t->entries[at].dialogue->token != token) {
        at++;
    }
    if (at == t->count) {
        return;
    }
    struct taps_entry *e = &t->entries[at];
    for (uint32_t slot = 0; slot < r->outbound.made; slot++) {
        struct outbound *o = pool_at(&r->outbound, slot, &h);
        if (o) {
            taps_remove_of(&o->taps, e->dialogue);
        }
    }
    for (uint32_t slot = 0; slot < r->inbound.made; slot++) {
        struct inbound *s = pool_at(&r->inbound, slot, &h);
        if (s) {
            taps_remove_of(&s->taps, e->dialogue);
        }
    }
    taps_entry_close(e);
    if (at != --t->count) {
        *e = t->entries[t->count];
        taps_move_out(r, e->dialogue, &e->out);
    }
    t->entries[t->count] = (struct taps_entry){0};
}

void taps_close(struct relay *r)
{
    while (r->taps.count) {
        taps_end(r, r->taps.entries[0].dialogue->token);
    }
}
