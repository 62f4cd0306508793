/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A second copy (report, attempt after a 5xx) needs an excuse: the answer to the first was never read, or the
 * engine has died since and its record may not have been durable by then.
 */
#include "tests/sim/ledger_private.h"
#include "tests/sim/dns.h"
#include "tests/sim/heap.h"

#include <stdio.h>
#include <string.h>

struct ledger ledger;

void ledger_reset(void)
{
    for (unsigned i = 0; i < ledger.count; i++) {
        heap_world_free(ledger.list[i].wire);
    }
    memset(&ledger, 0, sizeof(ledger));
}

struct ledger_message *ledger_message(unsigned m)
{
    must(m < ledger.count);
    return &ledger.list[m];
}

unsigned ledger_count(void)
{
    return ledger.count;
}

/* ---- names ---- */

void ledger_sender(unsigned m, char out[64])
{
    out[0] = 0;
    if (!ledger.list[m].null_sender) {
        snprintf(out, 64, "s%u@d0.sim.org", m);
    }
}

void ledger_address(unsigned m, unsigned rcpt, char out[64])
{
    const struct ledger_rcpt *r = &ledger.list[m].rcpts[rcpt];
    snprintf(out, 64, "%c%u-%u@d%u.sim.org", r->bad ? 'b' : 'r', m, rcpt, r->domain);
}

bool ledger_parse(struct slice address, unsigned *m, unsigned *rcpt, bool *is_sender)
{
    char text[64], kind;
    unsigned domain;
    if (!slice_to_cstr(address, text, sizeof(text))) {
        return false;
    }
    *rcpt = 0;
    *is_sender = sscanf(text, "s%u@d%u.sim.org", m, &domain) == 2;
    if (*is_sender) {
        return *m < ledger.count && domain == 0;
    }
    return sscanf(text, "%c%u-%u@d%u.sim.org", &kind, m, rcpt, &domain) == 4 && *m < ledger.count &&
           *rcpt < ledger.list[*m].rcpt_count && ledger.list[*m].rcpts[*rcpt].domain == domain;
}

/* ---- messages ---- */

static size_t content_bytes(void)
{
    if (sim_chance(sim.opt.body_big_ppm)) {
        return sim_between(100, 500) * 1024;
    }
    return sim_below(8) ? sim_between(0, 2000) : sim_between(2000, 60000);
}

static void content_make(struct ledger_message *msg, unsigned m)
{
    size_t want = content_bytes(), cap = want + 1024, fields = strlen(msg->times.fields);
    msg->wire = heap_world_alloc(fields + cap);
    memcpy(msg->wire, msg->times.fields, fields);
    char *c = msg->wire + fields;
    size_t n = (size_t)snprintf(c, cap, "Subject: message %u\r\nX-Sim: %u\r\n\r\n", m, m);
    while (n < want) {
        size_t line = sim_below(5) ? sim_between(0, 80) : sim_between(0, 900);
        if (sim_below(6) == 0) {
            c[n++] = '.';
        }
        for (size_t i = 0; i < line && n < want + 64; i++) {
            c[n] = (char)(' ' + (n * 7 + line * 13 + m) % 94);
            n++;
        }
        c[n++] = '\r';
        c[n++] = '\n';
    }
    msg->content = c;
    msg->content_len = n;
    msg->wire_len = fields + n;
}

unsigned ledger_message_new(void)
{
    must(ledger.count < LEDGER_MESSAGES);
    unsigned m = ledger.count++;
    struct ledger_message *msg = &ledger.list[m];
    *msg = (struct ledger_message){.null_sender = sim_below(16) == 0,
                                   .rcpt_count = (unsigned)sim_between(1, LEDGER_RCPTS)};
    for (unsigned i = 0; i < msg->rcpt_count; i++) {
        msg->rcpts[i].domain = (unsigned)sim_between(1, sim.opt.domains);
        msg->rcpts[i].bad = sim_below(12) == 0;
    }
    times_draw(&msg->times);
    content_make(msg, m);
    return m;
}

void ledger_sent(unsigned m)
{
    ledger.list[m].state = LEDGER_SENT;
}

void ledger_answered(unsigned m, unsigned code)
{
    struct ledger_message *msg = &ledger.list[m];
    sim_trace("client: message %u was answered with %u", m, code);
    msg->times.told_us = sim.now_us;
    if (code / 100 == 2) {
        msg->state = LEDGER_ACKED;
        msg->acked_us = sim.now_us;
        sim.counts.acked++;
        return;
    }
    sim.counts.refused++;
    if (ledger.read_only_life == sim.life + 1) {
        /* Said at the end of point 4 of the crash argument in spool/commit.c: a 451 while not even a seal can
         * be written may come back after a crash. For the client it is as unknown as no answer. */
        return;
    }
    msg->state = LEDGER_REFUSED;
    for (unsigned i = 0; i < msg->rcpt_count; i++) {
        if (msg->rcpts[i].copies.count) {
            sim_fail("message %u was sent to recipient %u, and then refused with %u", m, i, code);
        }
    }
}

void ledger_abandoned(unsigned m)
{
    struct ledger_message *msg = &ledger.list[m];
    if (msg->state == LEDGER_TRIED) {
        msg->state = LEDGER_REFUSED;
    }
}

void ledger_jump(void)
{
    unsigned first = ledger.count ? (unsigned)feature_below(FEATURE_TIMES, ledger.count) : 0;
    for (unsigned i = 0; i < ledger.count; i++) {
        const struct ledger_message *msg = &ledger.list[(first + i) % ledger.count];
        if (msg->state == LEDGER_ACKED && (msg->times.send_at || msg->times.expire)) {
            times_jump_to(&msg->times);
            return;
        }
    }
}

/* ---- copies ---- */

static bool excused(const struct ledger_copies *c)
{
    if (!c->last_known) {
        return true;
    }
    if (c->last_life == sim.life) {
        return false;
    }
    if (!c->last_ended) {
        return true;
    }
    uint64_t window = LEDGER_LAZY_US;
    window = sim.opt.disk_stall_ppm ? (uint64_t)LEDGER_STALL_US : window;
    bool ill = ledger.flips || sim.opt.disk_eio_ppm || sim.opt.disk_enospc_ppm ||
               sim.opt.disk_bytes || sim.opt.oom_ppm;
    uint64_t died = ledger.deaths[c->last_life % LEDGER_DEATHS];
    return ill || died < c->last_us + window;
}

static void copies_add(struct ledger_copies *c)
{
    c->count++;
    c->last_us = sim.now_us;
    c->last_life = sim.life;
    c->last_known = c->last_ended = false;
}

void ledger_may_be_sent(unsigned m, unsigned rcpt, struct slice sender)
{
    const struct ledger_message *msg = &ledger.list[m];
    const struct ledger_rcpt *r = &msg->rcpts[rcpt];
    char want[64];
    ledger_sender(m, want);
    if (!slice_eq(sender, slice_str(want))) {
        sim_fail("message %u goes out with sender <%.*s>", m, SLICE_ARG(sender));
    }
    if (msg->state == LEDGER_TRIED || msg->state == LEDGER_REFUSED || r->denied ||
        (msg->state == LEDGER_ACKED && !r->named)) {
        sim_fail(
            "message %u goes to recipient %u, but it was not accepted for it (state %d, named %d)",
            m, rcpt, msg->state, r->named);
    }
    times_may_be_sent(&msg->times, m);
    if (r->rejects.count && !excused(&r->rejects)) {
        sim_fail("P3: message %u is sent to recipient %u again after a definite 5xx", m, rcpt);
    }
    if (r->copies.count && !excused(&r->copies)) {
        sim_fail(
            "P4: message %u is sent to recipient %u again after a 250 that was read %llu us ago "
            "(in life %u)",
            m, rcpt, (unsigned long long)(sim.now_us - r->copies.last_us), r->copies.last_life);
    }
}

/* What we add on top: one Received field. */
static struct slice content_below_received(struct slice c)
{
    if (!slice_starts_nocase(c, SLICE("Received:"))) {
        return c;
    }
    do {
        int lf = slice_find_byte(c, '\n');
        c = lf < 0 ? slice_skip(c, c.len) : slice_skip(c, (size_t)lf + 1);
    } while (c.len && (c.ptr[0] == ' ' || c.ptr[0] == '\t'));
    return c;
}

void ledger_took(unsigned m, unsigned rcpt, struct slice content)
{
    struct ledger_message *msg = &ledger.list[m];
    struct slice rest = content_below_received(content);
    size_t same = 0;
    while (same < rest.len && same < msg->content_len && rest.ptr[same] == msg->content[same]) {
        same++;
    }
    if (same != rest.len || same != msg->content_len) {
        sim_fail(
            "P5: message %u came with other content: %zu bytes instead of %zu, other from %zu: <%.*s>",
            m, rest.len, msg->content_len, same,
            SLICE_ARG(slice_first(slice_skip(rest, same > 20 ? same - 20 : 0), 80)));
    }
    struct ledger_copies *c = &msg->rcpts[rcpt].copies;
    sim.counts.copies++;
    sim.counts.duplicates += c->count ? 1 : 0;
    sim_trace("server: message %u for recipient %u, copy %u", m, rcpt, c->count + 1);
    copies_add(c);
}

void ledger_rejected(unsigned m, unsigned rcpt)
{
    sim_trace("server: message %u is refused for recipient %u", m, rcpt);
    copies_add(&ledger.list[m].rcpts[rcpt].rejects);
}

static void report_on(unsigned m, unsigned rcpt)
{
    struct ledger_copies *c = &ledger.list[m].rcpts[rcpt].reports;
    if (c->count && !excused(c)) {
        sim_fail("P2: a second report about recipient %u of message %u", rcpt, m);
    }
    copies_add(c);
}

unsigned ledger_took_report(unsigned m, struct slice content)
{
    static const struct slice field = SLICE_INIT("Final-Recipient: rfc822;");
    static const char over[] = "delivery time expired";
    unsigned mask = 0;
    sim_trace("server: a report on message %u", m);
    sim.counts.reports++;
    if (ledger.list[m].null_sender) {
        sim_fail("a report to the null sender of message %u", m);
    }
    if (memmem(content.ptr, content.len, over, sizeof(over) - 1) &&
        !times_may_be_over(&ledger.list[m].times)) {
        sim_fail("message %u is reported as expired, and its time is not over", m);
    }
    while (content.len) {
        int lf = slice_find_byte(content, '\n');
        struct slice line = lf < 0 ? content : slice_first(content, (size_t)lf);
        content = slice_skip(content, lf < 0 ? content.len : (size_t)lf + 1);
        unsigned of, rcpt;
        bool is_sender;
        if (slice_starts_nocase(line, field) &&
            ledger_parse(slice_trim(slice_skip(line, field.len)), &of, &rcpt, &is_sender)) {
            if (of != m || is_sender) {
                sim_fail("the report to the sender of message %u speaks of message %u", m, of);
            }
            report_on(m, rcpt);
            mask |= 1u << rcpt;
        }
    }
    if (!mask) {
        sim_fail("a report on message %u that names no recipient", m);
    }
    return mask;
}

/* From now on the engine has something to record. */
static void copies_known(struct ledger_copies *c, bool ended)
{
    c->last_known = c->last_known || c->count;
    if (ended && c->count && !c->last_ended) {
        c->last_ended = true;
        c->last_us = sim.now_us;
    }
}

void ledger_known(unsigned m, unsigned rcpt, enum ledger_fact fact)
{
    struct ledger_message *msg = &ledger.list[m];
    switch (fact) {
    case LEDGER_COPY:
        copies_known(&msg->rcpts[rcpt].copies, true);
        break;
    case LEDGER_REJECT:
        copies_known(&msg->rcpts[rcpt].rejects, false);
        break;
    case LEDGER_REJECT_ENDED:
        copies_known(&msg->rcpts[rcpt].rejects, true);
        break;
    case LEDGER_REPORT:
        for (unsigned i = 0; i < msg->rcpt_count; i++) {
            if (rcpt & 1u << i) {
                copies_known(&msg->rcpts[i].reports, true);
            }
        }
        break;
    }
}

/* ---- the end ---- */

bool ledger_may_end_alone(const struct ledger_message *msg, const struct ledger_rcpt *r)
{
    return times_may_be_over(&msg->times) || dns_has_lied(r->domain) || r->orders.ended.maybe;
}

bool ledger_may_end_quietly(const struct ledger_message *msg, const struct ledger_rcpt *r)
{
    if (r->orders.quietly) {
        return true;
    }
    if (!msg->null_sender) { /* a report is not older than what it speaks of */
        return dns_has_lied(0) || (sim.opt.max_age_s && times_may_be_over(&msg->times));
    }
    return r->rejects.count || ledger_may_end_alone(msg, r);
}

void ledger_end(void)
{
    for (unsigned m = 0; m < ledger.count; m++) {
        const struct ledger_message *msg = &ledger.list[m];
        unsigned done = 0;
        for (unsigned i = 0; i < msg->rcpt_count; i++) {
            const struct ledger_rcpt *r = &msg->rcpts[i];
            bool ended = r->copies.count || r->reports.count || ledger_may_end_quietly(msg, r);
            done += r->copies.count || r->reports.count ? 1 : 0;
            if (msg->state == LEDGER_ACKED && r->named && !ended && !ledger_lost_by_rot(m)) {
                sim_fail("P2: message %u was acknowledged, but recipient %u got neither it nor its "
                         "sender a report",
                         m, i);
            }
        }
        for (unsigned i = 0; i < msg->rcpt_count && msg->state == LEDGER_SENT && done; i++) {
            const struct ledger_rcpt *r = &msg->rcpts[i];
            if (r->named && !r->copies.count && !r->reports.count &&
                !ledger_may_end_quietly(msg, r) && !ledger_lost_by_rot(m)) {
                sim_fail("P2: message %u reached some recipients, but not %u", m, i);
            }
        }
    }
}
