/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How much is under way, how bold that is, and what a session may still carry.
 */
#include "core/base/hash.h"
#include "core/base/must.h"
#include "proto/smtp/client_private.h"

#include <stdio.h>

enum { SHAPE_BYTES = 160 };

static bool by_bdat(const struct smtp_client *c)
{
    return c->config.chunking && c->caps.chunking;
}

static bool under_way(const struct smtp_client_slot *s)
{
    return s->mail_sent && s->state != SMTP_SLOT_FREE && s->state != SMTP_SLOT_DONE;
}

enum smtp_client_mode smtp_client_mode_now(const struct smtp_client *c)
{
    unsigned slots = 0, replies = 0;
    bool bdat = false;
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        slots += under_way(&c->slots[i]);
        bdat = bdat || (under_way(&c->slots[i]) && c->slots[i].bdat);
    }
    for (unsigned i = 0; i < c->expect_count; i++) {
        const struct smtp_expect *row = &c->expect[(c->expect_first + i) % SMTP_CLIENT_EXPECT_MAX];
        replies += row->kind == SMTP_EXPECT_QUIT ? 0 : row->count;
    }
    if (slots > 1 && bdat) {
        return SMTP_MODE_OVERLAPPED;
    }
    return replies > 1 ? SMTP_MODE_PIPELINED : SMTP_MODE_STEPWISE;
}

void smtp_client_note_mode(struct smtp_client *c)
{
    if (c->mode != SMTP_MODE_OVERLAPPED) {
        enum smtp_client_mode now = smtp_client_mode_now(c);
        c->mode = now > c->mode ? now : c->mode;
    }
}

bool smtp_client_is_behind(const struct smtp_client *c)
{
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        if (under_way(&c->slots[i])) {
            return true;
        }
    }
    return false;
}

/* What the answer to the command behind the end of a message looks like. */
static uint64_t next_shape(const struct smtp_client *c, const struct smtp_client_slot *s)
{
    return s->bdat ? c->rset_shape : c->mail_shape;
}

void smtp_client_note_served(struct smtp_client *c, const struct smtp_client_slot *s,
                             const struct smtp_reply *r)
{
    /* Its own commands came in one group, or not even that. */
    enum smtp_client_mode shown = c->mode != SMTP_MODE_STEPWISE ? SMTP_MODE_PIPELINED
                                                                : SMTP_MODE_STEPWISE;
    if (s->behind) {
        shown = s->bdat ? SMTP_MODE_OVERLAPPED : SMTP_MODE_PIPELINED;
    }
    c->proven = shown > c->proven ? shown : c->proven;
    c->served++;
    bool same = c->config.check_order && next_shape(c, s) == smtp_client_shape(r);
    c->distinct = c->distinct || !same;
    c->indistinct = c->indistinct || same;
}

/* A word with a digit in it is a number of the message's or the session's. */
uint64_t smtp_client_shape(const struct smtp_reply *r)
{
    char text[SHAPE_BYTES];
    struct slice rest = slice_first(r->text, SHAPE_BYTES);
    size_t n = 0;
    while (rest.len > 0) {
        struct slice word = slice_cut(&rest, ' ');
        bool number = false;
        for (size_t i = 0; i < word.len; i++) {
            number = number || (word.ptr[i] >= '0' && word.ptr[i] <= '9');
        }
        word = number ? SLICE("#") : word;
        for (size_t i = 0; i < word.len && n < sizeof(text); i++) {
            text[n++] = word.ptr[i];
        }
        if (n < sizeof(text)) {
            text[n++] = ' ';
        }
    }
    uint64_t seed = (uint64_t)r->code << 48 | (uint64_t)r->enhanced.cls << 40 |
                    (uint64_t)r->enhanced.subject << 20 | r->enhanced.detail;
    uint64_t shape = hash_bytes(slice_of(text, n), seed);
    return shape ? shape : 1;
}

uint32_t smtp_client_window(const struct smtp_client *c)
{
    if (c->indistinct) {
        return 1;
    }
    if (!by_bdat(c)) {
        return c->config.window;
    }
    uint32_t window = c->config.chunk_window ? c->config.chunk_window : 1;
    if (c->config.careful && c->proven != SMTP_MODE_OVERLAPPED && window > 2) {
        window = 2;
    }
    return c->config.careful && c->served == 0 ? 1 : window;
}

/* Two may always be under way: so the commands of the next need no round trip of their own. */
static bool window_has_bytes(const struct smtp_client *c)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        const struct smtp_client_slot *s = &c->slots[i];
        bool counts = s->state != SMTP_SLOT_FREE && s->state != SMTP_SLOT_DONE;
        bytes += counts ? s->txn->body_bytes : 0;
    }
    return c->slot_count < 2 || bytes < SMTP_CLIENT_WINDOW_BYTES;
}

/* A server that forgets what lies behind a message forgets whole transactions, and would answer the next one
 * in the place of the lost one. So the first two that overlap stand alone: both are answered, or the
 * silence shows it. */
static bool pair_is_full(const struct smtp_client *c)
{
    bool trial = by_bdat(c) && c->config.careful && c->proven != SMTP_MODE_OVERLAPPED;
    const struct smtp_client_slot *s = &c->slots[c->slot_first];
    return trial && c->slot_count == 1 && (s->behind || s->txn->answered);
}

bool smtp_client_can_begin(const struct smtp_client *c)
{
    uint32_t waiting = 0;
    if (c->state != SMTP_CLIENT_SESSION || c->quit_wanted ||
        c->slot_count >= smtp_client_window(c) || !window_has_bytes(c) || pair_is_full(c)) {
        return false;
    }
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        waiting += c->slots[i].state == SMTP_SLOT_PENDING;
    }
    return waiting == 0 && (c->caps.limit_mail == 0 || c->mails < c->caps.limit_mail);
}

bool smtp_client_can_follow(const struct smtp_client *c)
{
    bool ahead = c->config.pipelining && c->caps.pipelining;
    if (!smtp_client_can_begin(c) || (c->expect_count > 0 && !ahead)) {
        return false;
    }
    for (unsigned i = 0; i < SMTP_CLIENT_WINDOW_MAX; i++) {
        enum smtp_slot_state state = c->slots[i].state;
        if (state == SMTP_SLOT_OPEN || state == SMTP_SLOT_BODY) {
            return false;
        }
    }
    return true;
}

uint32_t smtp_client_rcpt_max(const struct smtp_client *c)
{
    uint32_t limit = c->caps.limit_rcpt;
    return limit > 0 && limit < LIMIT_RECIPIENTS_PER_TRANSACTION ? limit
                                                                 : LIMIT_RECIPIENTS_PER_TRANSACTION;
}

/* --- domains (RFC 9422 4.3) ------------------------------------------------------------------ */

static uint64_t domain_hash(struct slice address)
{
    char lower[LIMIT_DOMAIN_BYTES];
    const char *at = address.len ? memrchr(address.ptr, '@', address.len) : NULL;
    struct slice domain = at ? slice_skip(address, (size_t)(at - address.ptr) + 1) : address;
    size_t n = domain.len < sizeof(lower) ? domain.len : sizeof(lower);
    for (size_t i = 0; i < n; i++) {
        char c = domain.ptr[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return hash_bytes(slice_of(lower, n), 0);
}

static uint32_t domain_limit(const struct smtp_client *c)
{
    uint32_t limit = c->caps.limit_rcpt_domain;
    return limit < SMTP_CLIENT_DOMAINS_MAX ? limit : SMTP_CLIENT_DOMAINS_MAX;
}

static bool domain_add(uint64_t *domains, uint32_t *count, uint32_t limit, struct slice address)
{
    uint64_t hash = domain_hash(address);
    for (uint32_t i = 0; i < *count; i++) {
        if (domains[i] == hash) {
            return true;
        }
    }
    if (*count >= limit) {
        return false;
    }
    domains[(*count)++] = hash;
    return true;
}

bool smtp_client_take_domain(struct smtp_client *c, struct slice address)
{
    return c->caps.limit_rcpt_domain == 0 ||
           domain_add(c->domains, &c->domain_count, domain_limit(c), address);
}

uint32_t smtp_client_rcpt_fit(const struct smtp_client *c, const struct slice *addresses,
                              uint32_t count, bool *taken)
{
    uint64_t domains[SMTP_CLIENT_DOMAINS_MAX];
    uint32_t domain_count = c->domain_count, fit = 0, max = smtp_client_rcpt_max(c);
    memcpy(domains, c->domains, sizeof(domains));
    for (uint32_t i = 0; i < count; i++) {
        taken[i] = fit < max && (c->caps.limit_rcpt_domain == 0 ||
                                 domain_add(domains, &domain_count, domain_limit(c), addresses[i]));
        fit += taken[i];
    }
    return fit;
}

/* --- learning -------------------------------------------------------------------------------- */

bool smtp_client_is_shifted(const struct smtp_client *c, const struct smtp_client_slot *s,
                            const struct smtp_reply *r)
{
    bool of_address = r->enhanced.cls == 2 && r->enhanced.subject == 1;
    if (r->code / 100 != 2 || c->expect_count == 0 || (!s->bdat && s->accepted == 0)) {
        return false; /* nothing behind it; or a lone dot */
    }
    uint8_t next = c->expect[c->expect_first].kind;
    if (next == SMTP_EXPECT_QUIT) {
        return r->code == 221;
    }
    /* With BDAT the first message was alone, or the peer has shown elsewhere that they differ. */
    bool known = c->config.check_order && (s->bdat || c->distinct);
    uint64_t shape = next == SMTP_EXPECT_RSET ? c->rset_shape : c->mail_shape;
    return (known && shape == smtp_client_shape(r)) || of_address || s->accepted == 0;
}

void smtp_client_settle_rest(struct smtp_client *c)
{
    for (unsigned i = 0; i < c->slot_count; i++) {
        struct smtp_client_slot *s = smtp_client_slot_at(c, i);
        s->settled = s->settled || !s->txn->answered;
    }
}

struct smtp_client_slot *smtp_client_doubtful(struct smtp_client *c)
{
    for (unsigned i = 0; i < c->slot_count; i++) {
        if (smtp_client_slot_at(c, i)->doubt) {
            return smtp_client_slot_at(c, i);
        }
    }
    return NULL;
}

void smtp_client_drop_pending(struct smtp_client *c, const struct outcome *o)
{
    for (unsigned i = 0; i < c->slot_count; i++) {
        struct smtp_client_slot *s = smtp_client_slot_at(c, i);
        if (s->state == SMTP_SLOT_PENDING) {
            s->txn->again = true;
            smtp_client_slot_finish(s, o);
            smtp_client_set_slot(s, SMTP_SLOT_DONE);
        }
    }
}

void smtp_client_note_trouble(struct smtp_client *c, enum smtp_client_trouble trouble,
                              enum smtp_client_mode mode)
{
    bool session = c->state == SMTP_CLIENT_SESSION || c->state == SMTP_CLIENT_QUITTING;
    if (session && mode != SMTP_MODE_STEPWISE) {
        c->trouble = trouble;
        c->trouble_mode = mode;
    }
}

void smtp_client_note_lesson(struct smtp_client *c, const struct smtp_reply *r)
{
    char text[LIMIT_OUTCOME_TEXT_BYTES];
    if (smtp_client_doubtful(c)) {
        return; /* the reply to BDAT has taught it, whatever comes behind */
    }
    struct outcome o = smtp_reply_outcome(r, OUTCOME_CONNECTION, OUTCOME_STAGE_NONE, text,
                                          sizeof(text));
    const struct enhanced *e = &r->enhanced;
    int head = e->cls ? snprintf(c->lesson, sizeof(c->lesson), "%u %u.%u.%u ", r->code, e->cls,
                                 e->subject, e->detail)
                      : snprintf(c->lesson, sizeof(c->lesson), "%u ", r->code);
    must(head > 0 && (size_t)head < sizeof(c->lesson));
    struct slice words = slice_first(o.text, sizeof(c->lesson) - (size_t)head);
    if (words.len) {
        memcpy(c->lesson + head, words.ptr, words.len);
    }
    c->lesson_bytes = (uint8_t)((size_t)head + words.len);
}

struct slice smtp_client_lesson(const struct smtp_client *c)
{
    return slice_of(c->lesson, c->lesson_bytes);
}

enum smtp_client_trouble smtp_client_trouble(const struct smtp_client *c,
                                             enum smtp_client_mode *mode)
{
    *mode = c->trouble_mode;
    return c->trouble;
}

enum smtp_client_mode smtp_client_proven(const struct smtp_client *c)
{
    return c->proven;
}

uint32_t smtp_client_full(const struct smtp_client *c)
{
    return c->full;
}
