/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/queue/select.h"
#include "core/queue/queue.h"

bool queue_select_empty(const struct queue_select *s)
{
    return !s->all && !s->id && !s->older_than_ms && !s->null_sender && !s->recipient[0] &&
           !s->domain[0] && !s->sender[0] && !s->site[0] && !s->tenant[0] && !s->campaign[0] &&
           !s->source[0] && !s->last_reply[0];
}

bool queue_select_message(const struct queue_select *s, const struct queue_message *m,
                          uint64_t now_us)
{
    if (s->id && s->id != m->id) {
        return false;
    }
    if (s->older_than_ms && m->arrival_us + s->older_than_ms * 1000 > now_us) {
        return false;
    }
    if ((s->sender[0] || s->null_sender) && !slice_eq_nocase(m->sender, slice_str(s->sender))) {
        return false;
    }
    if (s->tenant[0] && !slice_eq_nocase(queue_label_tenant(m->label), slice_str(s->tenant))) {
        return false;
    }
    return !s->campaign[0] ||
           slice_eq_nocase(queue_label_campaign(m->label), slice_str(s->campaign));
}

struct slice queue_address_domain(struct slice address)
{
    const char *at = address.len ? memrchr(address.ptr, '@', address.len) : NULL;
    return at ? slice_skip(address, (size_t)(at - address.ptr) + 1) : (struct slice){NULL, 0};
}

static bool select_contains(struct slice text, struct slice part)
{
    for (size_t i = 0; i + part.len <= text.len; i++) {
        if (slice_starts_nocase(slice_skip(text, i), part)) {
            return true;
        }
    }
    return false;
}

/* As it is shown: the code, the enhanced code, the text. */
static bool select_reply(const struct queue_rcpt *r, struct slice part)
{
    if (!r->last_text) {
        return false;
    }
    struct outcome o = {.code = r->last_code,
                        .enhanced = r->last_enhanced,
                        .text = slice_str(r->last_text)};
    struct buf line;
    buf_init(&line, 2 * LIMIT_OUTCOME_TEXT_BYTES);
    outcome_add_line(&line, &o);
    bool found = select_contains(buf_slice(&line), part);
    buf_deinit(&line);
    return found;
}

bool queue_site_has_host(const struct queue_site *s, struct slice host)
{
    const struct route_plan *plan = s ? s->plan : NULL;
    for (size_t i = 0; plan && i < plan->count; i++) {
        if (slice_eq_nocase(plan->candidates[i].host, host)) {
            return true;
        }
    }
    return false;
}

struct queue_site *queue_rcpt_site(struct queue *q, const struct queue_rcpt *r)
{
    struct queue_domain *d = queue_domain_find(q, queue_key_of(q, r));
    return d ? d->site : NULL;
}

static bool select_source(struct queue *q, const struct queue_select *s,
                          const struct queue_message *m, const struct queue_rcpt *r)
{
    const struct egress_source *source = queue_source_of(q, m, r);
    return source && slice_eq(source->name, slice_str(s->source));
}

bool queue_select_rcpt(struct queue *q, const struct queue_select *s, const struct queue_message *m,
                       const struct queue_rcpt *r)
{
    if (s->recipient[0] && !slice_eq_nocase(r->address, slice_str(s->recipient))) {
        return false;
    }
    if (s->domain[0] && !slice_eq_nocase(queue_address_domain(r->address), slice_str(s->domain))) {
        return false;
    }
    if (s->source[0] && !select_source(q, s, m, r)) {
        return false;
    }
    if (s->last_reply[0] && !select_reply(r, slice_str(s->last_reply))) {
        return false;
    }
    return !s->site[0] || queue_site_has_host(queue_rcpt_site(q, r), slice_str(s->site));
}
