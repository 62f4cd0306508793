/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The bytes of a parked message: numbers in base 128, least first. Nobody else reads them and they
 * never reach the disk, so they have no version and no checks. What is the same for many (a label, the
 * text of a reply) stands there as a pointer: a share in it.
 */
#include "core/queue/park_bytes.h"
#include "core/base/must.h"
#include "core/queue/label.h"
#include "core/queue/select.h"

#include <stdlib.h>

/* ---- bytes ---- */

static void park_number(struct buf *b, uint64_t v)
{
    char bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    buf_add(b, slice_of(bytes, n));
}

static void park_text(struct buf *b, struct slice s)
{
    park_number(b, s.len);
    buf_add(b, s);
}

static uint64_t park_take_number(struct slice *from)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        must(from->len > 0 && shift < 64);
        uint8_t byte = (uint8_t)from->ptr[0];
        *from = slice_skip(*from, 1);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return v;
        }
    }
}

static struct slice park_take_text(struct slice *from)
{
    size_t len = park_take_number(from);
    must(from->len >= len);
    struct slice s = slice_first(*from, len);
    *from = slice_skip(*from, len);
    return s;
}

/* ---- recipients ---- */

enum {
    PARK_TOLD = 1,
    PARK_SHARED = 2,
    PARK_OWN = 4,
    PARK_DUE = 8,
    PARK_FAILED = 16,
    PARK_ORCPT = 32,
    PARK_TARGET = 64,
};
enum {
    PARK_FAILED_NUMBERS = 5
}; /* what a recipient has behind PARK_FAILED; skim_rcpt passes over it */

static void park_rcpt(struct queue_park *p, const struct queue_rcpt *r, uint64_t base_ms)
{
    struct buf *b = &p->scratch;
    struct slice said = slice_str(r->last_text ? r->last_text : "");
    struct text *shared = r->last_text ? text_take(&p->texts, said) : NULL;
    unsigned bits = (r->delay_told ? PARK_TOLD : 0u) | (shared ? PARK_SHARED : 0u) |
                    (r->last_text && !shared ? PARK_OWN : 0u) | (r->due_ms ? PARK_DUE : 0u) |
                    (r->last_code || r->last_enhanced.cls || r->last_class ? PARK_FAILED : 0u) |
                    (r->orcpt.len ? PARK_ORCPT : 0u) | (r->target ? PARK_TARGET : 0u);
    buf_add_byte(b, (char)bits);
    buf_add_byte(b, (char)(r->state | r->result << 4));
    buf_add_byte(b, (char)r->notify);
    park_number(b, r->attempts);
    park_text(b, r->address);
    if (bits & PARK_ORCPT) {
        park_text(b, r->orcpt);
    }
    if (bits & PARK_TARGET) {
        buf_add_byte(b, (char)r->target);
    }
    if (bits & PARK_DUE) {
        park_number(b, r->due_ms ^ base_ms); /* near each other: few bytes */
    }
    if (bits & PARK_FAILED) {
        park_number(b, r->last_code);
        park_number(b, r->last_enhanced.cls);
        park_number(b, r->last_enhanced.subject);
        park_number(b, r->last_enhanced.detail);
        park_number(b, r->last_class);
    }
    if (bits & PARK_SHARED) {
        buf_add(b, slice_of((const char *)&shared, sizeof(shared)));
    } else if (bits & PARK_OWN) {
        park_text(b, said);
    }
    p->deferred += r->state == QUEUE_RCPT_WAITING && r->attempts ? 1 : 0;
}

/* What a recipient was told: a copy that is the recipient's own. keep: the lot keeps its share. */
static char *park_take_said(struct queue_park *p, unsigned bits, struct slice *from, bool keep)
{
    struct text *shared = NULL;
    struct slice said = {NULL, 0};
    if (bits & PARK_SHARED) {
        must(from->len >= sizeof(shared));
        memcpy(&shared, from->ptr, sizeof(shared));
        *from = slice_skip(*from, sizeof(shared));
        said = text_slice(shared);
    } else if (bits & PARK_OWN) {
        said = park_take_text(from);
    } else {
        return NULL;
    }
    char *copy = malloc(said.len + 1); /* without memory: as if nothing had been said */
    if (copy) {
        (void)slice_to_cstr(said, copy, said.len + 1);
    }
    if (shared && !keep) {
        text_put(&p->texts, shared);
    }
    return copy;
}

static void park_take_rcpt(struct queue_park *p, struct queue_message *m, struct slice *from,
                           bool keep)
{
    must(from->len >= 3);
    unsigned bits = (uint8_t)from->ptr[0];
    unsigned state = (uint8_t)from->ptr[1];
    uint8_t notify = (uint8_t)from->ptr[2];
    *from = slice_skip(*from, 3);
    uint64_t attempts = park_take_number(from);
    struct slice address = park_take_text(from), orcpt = {NULL, 0};
    if (bits & PARK_ORCPT) {
        orcpt = park_take_text(from);
    }
    struct queue_rcpt *r = queue_message_add_rcpt(m, address, orcpt, notify);
    r->attempts = (uint16_t)attempts;
    r->result = (uint8_t)(state >> 4);
    if ((state & 15) == QUEUE_RCPT_ENDED) {
        queue_rcpt_set_state(m, r, QUEUE_RCPT_ENDED);
    }
    r->delay_told = (bits & PARK_TOLD) != 0;
    if (bits & PARK_TARGET) {
        must(from->len > 0);
        r->target = (uint8_t)from->ptr[0];
        *from = slice_skip(*from, 1);
    }
    if (bits & PARK_DUE) {
        r->due_ms = park_take_number(from) ^ (m->arrival_us / 1000);
    }
    if (bits & PARK_FAILED) {
        r->last_code = (uint16_t)park_take_number(from);
        r->last_enhanced.cls = (uint8_t)park_take_number(from);
        r->last_enhanced.subject = (uint16_t)park_take_number(from);
        r->last_enhanced.detail = (uint16_t)park_take_number(from);
        r->last_class = (uint8_t)park_take_number(from);
    }
    r->last_text = park_take_said(p, bits, from, keep);
    if (!keep && r->state == QUEUE_RCPT_WAITING && r->attempts) {
        must(p->deferred > 0);
        p->deferred--;
    }
}

/* ---- messages ---- */

static size_t park_strings(const struct queue_message *m)
{
    size_t n = 0;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        n += m->rcpts[i].address.len + m->rcpts[i].orcpt.len;
    }
    return n;
}

enum { PARK_LABEL = 1, PARK_TIMES = 2, PARK_BY_SHIFT = 2, PARK_PRIORITY_SHIFT = 5 };
must_static(CONF_PRIORITY_BULK < 8 && CONF_PRIORITY_URGENT < 8 && ATTRIBUTES_BY_TRACE < 8,
            "priority and by fit three bits each");

static void park_attributes(struct buf *b, const struct queue_message *m)
{
    bool times = m->not_before_s || m->expire_s || m->notify_s;
    buf_add_byte(b, (char)((m->label ? PARK_LABEL : 0) | (times ? PARK_TIMES : 0) |
                           m->by << PARK_BY_SHIFT | m->priority << PARK_PRIORITY_SHIFT));
    if (m->label) {
        buf_add(b, slice_of((const char *)&m->label, sizeof(m->label)));
    }
    if (times) {
        park_number(b, m->not_before_s);
        park_number(b, m->expire_s);
        park_number(b, m->notify_s);
    }
}

static void park_take_attributes(struct slice *from, struct queue_message *m)
{
    must(from->len > 0);
    unsigned bits = (uint8_t)from->ptr[0];
    *from = slice_skip(*from, 1);
    m->by = bits >> PARK_BY_SHIFT & 7;
    m->priority = (uint8_t)(bits >> PARK_PRIORITY_SHIFT);
    if (bits & PARK_LABEL) {
        must(from->len >= sizeof(m->label));
        memcpy(&m->label, from->ptr, sizeof(m->label));
        *from = slice_skip(*from, sizeof(m->label));
    }
    if (bits & PARK_TIMES) {
        m->not_before_s = (uint32_t)park_take_number(from);
        m->expire_s = (uint32_t)park_take_number(from);
        m->notify_s = (uint32_t)park_take_number(from);
    }
}

void park_message(struct queue_park *p, const struct queue_message *m)
{
    struct buf *b = &p->scratch;
    buf_clear(b);
    park_number(b, m->rcpt_count);
    park_number(b, park_strings(m));
    park_text(b, m->sender);
    park_text(b, m->envid);
    park_number(b, m->ref.offset);
    park_number(b, m->arrival_us);
    park_number(b, m->body_bytes);
    park_number(b, m->header_bytes);
    park_number(b, m->flags);
    park_number(b, m->ret);
    park_attributes(b, m);
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        park_rcpt(p, &m->rcpts[i], m->arrival_us / 1000);
    }
}

struct slice park_init(const struct lot_item *item, struct queue_message_init *init)
{
    struct slice from = slice_of((const char *)item->data, item->data_bytes);
    *init = (struct queue_message_init){.id = item->id};
    init->rcpt_count = (uint32_t)park_take_number(&from);
    init->rcpt_bytes = park_take_number(&from);
    init->sender = park_take_text(&from);
    init->envid = park_take_text(&from);
    return from;
}

void park_take_message(struct queue_park *p, const struct lot_item *item, struct slice from,
                       struct queue_message *m, bool keep)
{
    m->ref = (struct spool_ref){item->segment, (uint32_t)park_take_number(&from), item->held_bytes};
    m->arrival_us = park_take_number(&from);
    m->body_bytes = park_take_number(&from);
    m->header_bytes = park_take_number(&from);
    m->inline_bytes = (uint32_t)m->body_bytes;
    m->flags = (uint32_t)park_take_number(&from);
    m->ret = (uint8_t)park_take_number(&from);
    park_take_attributes(&from, m);
    uint32_t count = 0;
    struct queue_message_init init;
    (void)park_init(item, &init);
    while (count++ < init.rcpt_count) {
        park_take_rcpt(p, m, &from, keep);
    }
    must(from.len == 0);
    m->queued = true;
}

/* An upper bound of what park_message writes. */
size_t park_bound(const struct queue_message *m)
{
    size_t n = 128 + m->sender.len + m->envid.len + m->rcpt_count * (size_t)64 + park_strings(m);
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        n += m->rcpts[i].last_text ? strlen(m->rcpts[i].last_text) : 0;
    }
    return n;
}

/* What park_message took is given back. */
void park_give_up(struct queue_park *p, const struct queue_message *m)
{
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        const struct queue_rcpt *r = &m->rcpts[i];
        struct text *t = r->last_text ? text_find(&p->texts, slice_str(r->last_text)) : NULL;
        if (t) {
            text_put(&p->texts, t);
        }
        p->deferred -= r->state == QUEUE_RCPT_WAITING && r->attempts ? 1 : 0;
    }
}

/* ---- a look without making a message ---- */

static bool skim_label(const struct queue_label *l, const struct queue_select *s)
{
    return (!s->tenant[0] || slice_eq_nocase(queue_label_tenant(l), slice_str(s->tenant))) &&
           (!s->campaign[0] || slice_eq_nocase(queue_label_campaign(l), slice_str(s->campaign)));
}

/* Cuts a recipient off; true: its address is one of those that are meant, and it was told something if that is
 * asked for. */
static bool skim_rcpt(struct slice *from, const struct queue_select *s)
{
    must(from->len >= 3);
    unsigned bits = (uint8_t)from->ptr[0];
    *from = slice_skip(*from, 3);
    (void)park_take_number(from);
    struct slice address = park_take_text(from);
    bool meant = (!s->recipient[0] || slice_eq_nocase(address, slice_str(s->recipient))) &&
                 (!s->domain[0] ||
                  slice_eq_nocase(queue_address_domain(address), slice_str(s->domain))) &&
                 (!s->last_reply[0] || (bits & (PARK_SHARED | PARK_OWN)));
    if (bits & PARK_ORCPT) {
        (void)park_take_text(from);
    }
    if (bits & PARK_TARGET) {
        *from = slice_skip(*from, 1);
    }
    if (bits & PARK_DUE) {
        (void)park_take_number(from);
    }
    for (unsigned i = 0; (bits & PARK_FAILED) && i < PARK_FAILED_NUMBERS; i++) {
        (void)park_take_number(from);
    }
    if (bits & PARK_SHARED) {
        *from = slice_skip(*from, sizeof(struct text *));
    } else if (bits & PARK_OWN) {
        (void)park_take_text(from);
    }
    return meant;
}

bool park_may_mean(const struct lot_item *item, const struct queue_select *s, uint64_t now_us)
{
    struct queue_message_init init;
    struct queue_message m = {0}; /* of its attributes */
    struct slice from = park_init(item, &init);
    if ((s->sender[0] || s->null_sender) && !slice_eq_nocase(init.sender, slice_str(s->sender))) {
        return false;
    }
    (void)park_take_number(&from);
    uint64_t arrival_us = park_take_number(&from);
    if (s->older_than_ms && arrival_us + s->older_than_ms * 1000 > now_us) {
        return false;
    }
    for (unsigned i = 0; i < 4; i++) { /* sizes, flags, ret */
        (void)park_take_number(&from);
    }
    park_take_attributes(&from, &m);
    if (!skim_label(m.label, s)) {
        return false;
    }
    if (!s->recipient[0] && !s->domain[0] && !s->last_reply[0]) {
        return true;
    }
    for (uint32_t i = 0; i < init.rcpt_count; i++) {
        if (skim_rcpt(&from, s)) {
            return true;
        }
    }
    return false;
}
