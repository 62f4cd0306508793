/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/server.h"
#include "core/base/buf.h"
#include "tests/sim/dns.h"
#include "tests/sim/heap.h"
#include "tests/sim/ledger.h"
#include "tests/sim/pace.h"
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SERVER_FACTS = 512, SERVER_RCPTS = 128, SERVER_OUT = 64 * 1024 };

struct server_fact {
    uint64_t at; /* known when so many of our bytes were read */
    enum ledger_fact what;
    unsigned message, rcpt;
};

struct server_rcpt {
    unsigned message, rcpt;
    bool is_sender;
};

enum server_state { SERVER_COMMANDS, SERVER_DATA, SERVER_CHUNK };

struct server {
    bool gone, closing;
    unsigned number;
    net_conn conn;
    unsigned domain;
    bool pipelining, chunking;
    enum server_state state;
    char *in;
    size_t in_len;
    char *out; /* not sent yet */
    size_t out_len;
    uint64_t out_total;
    bool flushing;
    bool in_mail;
    char sender[64];
    struct server_rcpt rcpts[SERVER_RCPTS];
    unsigned rcpt_count;
    struct server_rcpt rejected[SERVER_RCPTS]; /* in this transaction */
    unsigned rejected_count;
    struct buf content;
    size_t chunk_left;
    bool chunk_last, chunk_bad;
    struct server_fact facts[SERVER_FACTS];
    unsigned fact_count;
};

static struct {
    struct server *list[SERVERS];
    unsigned count;
    unsigned live[SERVERS];
    unsigned live_count;
} servers;

static void server_free(struct server *s)
{
    if (s) {
        heap_world_free(s->in);
        heap_world_free(s->out);
        buf_deinit(&s->content);
        heap_world_free(s);
    }
}

void servers_reset(void)
{
    for (unsigned i = 0; i < servers.count; i++) {
        server_free(servers.list[i]);
    }
    memset(&servers, 0, sizeof(servers));
}

/* ---- what the engine knows ---- */

static void server_harvest(struct server *s)
{
    uint64_t taken = net_far_taken(s->conn);
    unsigned left = 0;
    for (unsigned i = 0; i < s->fact_count; i++) {
        const struct server_fact *f = &s->facts[i];
        if (f->at <= taken) {
            ledger_known(f->message, f->rcpt, f->what);
        } else {
            s->facts[left++] = *f;
        }
    }
    s->fact_count = left;
}

void servers_harvest(void)
{
    for (unsigned i = 0; i < servers.live_count; i++) {
        server_harvest(servers.list[servers.live[i]]);
    }
}

static void server_fact(struct server *s, enum ledger_fact what, const struct server_rcpt *r)
{
    if (s->fact_count == SERVER_FACTS) {
        server_harvest(s);
    }
    must(s->fact_count < SERVER_FACTS);
    s->facts[s->fact_count++] = (struct server_fact){s->out_total, what, r->message, r->rcpt};
}

/* ---- replies ---- */

static void server_flush(uint64_t who)
{
    struct server *s = servers.list[who];
    s->flushing = false;
    if (s->gone) {
        return;
    }
    struct slice out = slice_of(s->out, s->out_len);
    if (sim_fault(sim.opt.server_drop_ppm)) {
        sim_trace("server %u drops the connection", (unsigned)who);
        net_far_send(s->conn, slice_first(out, (size_t)sim_below(out.len + 1)));
        if (sim_below(2)) {
            net_far_reset(s->conn);
        } else {
            net_far_end(s->conn);
        }
        s->closing = true;
        s->out_len = 0;
        return;
    }
    net_far_send(s->conn, out);
    s->out_len = 0;
    if (s->closing) {
        net_far_end(s->conn);
    }
}

static void server_reply(struct server *s, const char *text)
{
    size_t len = strlen(text);
    must(s->out_len + len <= SERVER_OUT);
    memcpy(s->out + s->out_len, text, len);
    s->out_len += len;
    s->out_total += len;
    if (!s->flushing) {
        s->flushing = true;
        uint64_t us = sim_between(1, sim.opt.net_us);
        if (sim_fault(sim.opt.server_stall_ppm)) {
            us += sim_below(20 * SIM_MINUTE);
        }
        sim_after(us, false, server_flush, s->number);
    }
}

/* Another answer than yes? 0: none. */
static unsigned server_mood(void)
{
    return !sim_fault(sim.opt.server_reply_ppm) ? 0 : (unsigned)sim_between(1, 4);
}

static void server_close(struct server *s, const char *text)
{
    server_reply(s, text);
    s->closing = true;
}

/* ---- transactions ---- */

static void server_reset_tx(struct server *s)
{
    for (unsigned i = 0; i < s->rejected_count; i++) {
        server_fact(s, LEDGER_REJECT_ENDED, &s->rejected[i]);
    }
    s->rejected_count = 0;
    s->in_mail = false;
    s->rcpt_count = 0;
    s->content.len = 0;
    s->chunk_bad = false;
}

static void server_reject(struct server *s, const struct server_rcpt *r)
{
    if (!r->is_sender) {
        ledger_rejected(r->message, r->rcpt);
        if (s->rejected_count < SERVER_RCPTS) {
            s->rejected[s->rejected_count++] = *r;
        }
        server_fact(s, LEDGER_REJECT, r);
    }
}

static void server_took(struct server *s, const struct server_rcpt *r)
{
    if (r->is_sender) {
        struct server_rcpt about = *r;
        about.rcpt = ledger_took_report(r->message, buf_slice(&s->content));
        server_fact(s, LEDGER_REPORT, &about);
    } else {
        ledger_took(r->message, r->rcpt, buf_slice(&s->content));
        server_fact(s, LEDGER_COPY, r);
    }
}

/* The message is here as a whole. */
static void server_final(struct server *s)
{
    unsigned mood = server_mood();
    bool reports = s->rcpt_count && s->rcpts[0].is_sender;
    if (s->rcpt_count == 0) {
        server_reply(s, "554 5.5.1 nobody to take it for\r\n");
    } else if (mood == 1 || (mood == 2 && reports)) {
        server_reply(s, "451 4.3.0 not now\r\n");
    } else if (mood == 2) {
        server_reply(s, "554 5.7.1 never\r\n");
        for (unsigned i = 0; i < s->rcpt_count; i++) {
            server_reject(s, &s->rcpts[i]);
        }
    } else if (mood == 3) {
        server_close(s, "421 4.3.2 going away\r\n");
    } else {
        server_reply(s, "250 2.0.0 taken\r\n");
        for (unsigned i = 0; i < s->rcpt_count; i++) {
            server_took(s, &s->rcpts[i]);
        }
    }
    server_reset_tx(s);
}

static void server_on_mail(struct server *s, struct slice line)
{
    int from = slice_find_byte(line, '<'), to = slice_find_byte(line, '>');
    if (s->in_mail || from < 0 || to < from) {
        sim_fail("the engine says %.*s (a transaction is open: %d)", SLICE_ARG(line), s->in_mail);
    }
    if (net_far_has_engine(s->conn)) {
        pace_on_mail(s->domain, net_source_of(s->conn));
    }
    unsigned mood = server_mood();
    if (mood == 1) {
        server_reply(s, "451 4.3.0 no mail now\r\n");
        return;
    }
    if (mood == 3) {
        server_close(s, "421 4.3.2 going away\r\n");
        return;
    }
    struct slice sender = slice_skip(slice_first(line, (size_t)to), (size_t)from + 1);
    must(slice_to_cstr(sender, s->sender, sizeof(s->sender)));
    s->in_mail = true;
    server_reply(s, "250 2.1.0 ok\r\n");
}

static void server_on_rcpt(struct server *s, struct slice line)
{
    int from = slice_find_byte(line, '<'), to = slice_find_byte(line, '>');
    struct server_rcpt r;
    if (!s->in_mail) {
        server_reply(s, "503 5.5.1 MAIL first\r\n");
        return;
    }
    struct slice address = slice_skip(slice_first(line, (size_t)to), (size_t)from + 1);
    if (from < 0 || to < from || !ledger_parse(address, &r.message, &r.rcpt, &r.is_sender)) {
        sim_fail("the engine says %.*s", SLICE_ARG(line));
    }
    if (r.is_sender && s->sender[0]) {
        sim_fail("mail to the sender of message %u is no report", r.message);
    }
    unsigned domain = r.is_sender ? 0 : ledger_message(r.message)->rcpts[r.rcpt].domain;
    if (!sim.opt.smarthost && domain != s->domain && !dns_has_lied(domain) &&
        !(!r.is_sender && orders_may_detour(r.message, r.rcpt, s->domain))) {
        sim_fail("message %u for domain %u goes to domain %u", r.message, domain, s->domain);
    }
    servers_harvest();
    /* What comes late from a connection that the engine has given up is no new attempt. */
    if (!r.is_sender && net_far_has_engine(s->conn)) {
        ledger_may_be_sent(r.message, r.rcpt, slice_str(s->sender));
        orders_may_be_sent(r.message, r.rcpt, s->domain);
    }
    unsigned mood = server_mood();
    if (address.ptr[0] == 'b' || (mood == 2 && !r.is_sender)) {
        server_reply(s, "550 5.1.1 unknown here\r\n");
        server_reject(s, &r);
    } else if (mood == 1 || s->rcpt_count == SERVER_RCPTS) {
        server_reply(s, "450 4.2.1 later\r\n");
    } else if (mood == 3) {
        server_close(s, "421 4.3.2 going away\r\n");
    } else {
        s->rcpts[s->rcpt_count++] = r;
        server_reply(s, "250 2.1.5 ok\r\n");
    }
}

static void server_on_data(struct server *s)
{
    if (s->rcpt_count == 0) {
        server_reply(s, "554 5.5.1 no valid recipients\r\n");
        server_reset_tx(s);
    } else if (server_mood() == 1) {
        server_reply(s, "451 4.3.0 not now\r\n");
        server_reset_tx(s);
    } else {
        server_reply(s, "354 go on\r\n");
        s->state = SERVER_DATA;
    }
}

static void server_on_bdat(struct server *s, struct slice line)
{
    struct slice rest = slice_skip(line, 5);
    struct slice size = slice_cut(&rest, ' ');
    uint64_t n;
    if (!s->chunking || !slice_to_u64(slice_trim(size), &n)) {
        sim_fail("the engine says %.*s (chunking is offered: %d)", SLICE_ARG(line), s->chunking);
    }
    s->chunk_left = (size_t)n;
    s->chunk_last = slice_eq_nocase(slice_trim(rest), SLICE("LAST"));
    s->chunk_bad = s->chunk_bad || s->rcpt_count == 0;
    s->state = SERVER_CHUNK;
}

static void server_on_ehlo(struct server *s)
{
    server_reset_tx(s);
    server_reply(s, "250-mx.sim.org\r\n");
    if (s->pipelining) {
        server_reply(s, "250-PIPELINING\r\n");
    }
    if (s->chunking) {
        server_reply(s, "250-CHUNKING\r\n");
    }
    server_reply(s, "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
}

static void server_on_line(struct server *s, struct slice line)
{
    sim_trace("server %u hears %.*s", s->number, SLICE_ARG(line));
    if (slice_starts_nocase(line, SLICE("EHLO "))) {
        server_on_ehlo(s);
    } else if (slice_starts_nocase(line, SLICE("HELO "))) {
        server_reply(s, "250 mx.sim.org\r\n");
    } else if (slice_starts_nocase(line, SLICE("MAIL FROM:"))) {
        server_on_mail(s, line);
    } else if (slice_starts_nocase(line, SLICE("RCPT TO:"))) {
        server_on_rcpt(s, line);
    } else if (slice_eq_nocase(line, SLICE("DATA"))) {
        server_on_data(s);
    } else if (slice_starts_nocase(line, SLICE("BDAT "))) {
        server_on_bdat(s, line);
    } else if (slice_eq_nocase(line, SLICE("RSET"))) {
        server_reset_tx(s);
        server_reply(s, "250 2.0.0 ok\r\n");
    } else if (slice_eq_nocase(line, SLICE("QUIT"))) {
        server_close(s, "221 2.0.0 bye\r\n");
    } else {
        sim_fail("the engine says %.*s", SLICE_ARG(line));
    }
}

/* ---- bytes ---- */

/* One line of the message, with CRLF; true: it was the end. */
static bool server_data_line(struct server *s, struct slice line)
{
    if (slice_eq(line, SLICE(".\r\n"))) {
        s->state = SERVER_COMMANDS;
        server_final(s);
        return true;
    }
    buf_add(&s->content, line.ptr[0] == '.' ? slice_skip(line, 1) : line);
    return false;
}

static size_t server_take_chunk(struct server *s, struct slice in)
{
    size_t n = in.len < s->chunk_left ? in.len : s->chunk_left;
    buf_add(&s->content, slice_first(in, n));
    s->chunk_left -= n;
    if (s->chunk_left == 0) {
        s->state = SERVER_COMMANDS;
        if (s->chunk_bad) {
            server_reply(s, "554 5.5.1 no valid recipients\r\n");
            if (s->chunk_last) {
                server_reset_tx(s);
            }
        } else if (s->chunk_last) {
            server_final(s);
        } else {
            server_reply(s, "250 2.0.0 chunk\r\n");
        }
    }
    return n;
}

/* How many bytes were used; 0: more are needed. */
static size_t server_step(struct server *s, struct slice in)
{
    if (s->state == SERVER_CHUNK) {
        return server_take_chunk(s, in);
    }
    int lf = slice_find_byte(in, '\n');
    if (lf < 0) {
        return 0;
    }
    size_t n = (size_t)lf + 1;
    if (n < 2 || in.ptr[n - 2] != '\r') {
        sim_fail("the engine sends a bare LF");
    }
    if (s->state == SERVER_DATA) {
        server_data_line(s, slice_first(in, n));
    } else {
        server_on_line(s, slice_first(in, n - 2));
        if (s->state == SERVER_CHUNK && s->chunk_left == 0) {
            server_take_chunk(s, slice_of(NULL, 0));
        }
    }
    return n;
}

static void server_bytes(unsigned who, struct slice data)
{
    struct server *s = servers.list[who];
    s->in = heap_world_realloc(s->in, s->in_len + data.len + 1);
    memcpy(s->in + s->in_len, data.ptr, data.len);
    s->in_len += data.len;
    size_t used = 0, n = 1;
    while (n && used < s->in_len && !s->closing && !s->gone) {
        n = server_step(s, slice_of(s->in + used, s->in_len - used));
        used += n;
    }
    s->in_len -= used;
    memmove(s->in, s->in + used, s->in_len);
}

static void server_ended(unsigned who)
{
    struct server *s = servers.list[who];
    s->closing = true;
    net_far_end(s->conn);
}

static void server_gone(unsigned who)
{
    struct server *s = servers.list[who];
    server_harvest(s);
    s->gone = true;
    heap_world_free(s->in);
    heap_world_free(s->out);
    s->in = s->out = NULL;
    s->in_len = 0;
    buf_deinit(&s->content);
    for (unsigned i = 0; i < servers.live_count; i++) {
        if (servers.live[i] == who) {
            servers.live[i] = servers.live[--servers.live_count];
        }
    }
}

static const struct net_script server_script = {NULL, server_bytes, server_ended, server_gone};

enum net_answer server_listen(const struct ip_endpoint *at, net_conn conn,
                              const struct net_script **script, unsigned *who)
{
    unsigned source = net_source_of(conn);
    pace_on_connect(at->addr.bytes[2], source, net_count_to(at->addr.bytes[2], source));
    if (sim_fault(sim.opt.refuse_ppm)) {
        return NET_REFUSES;
    }
    if (sim_fault(sim.opt.blackhole_ppm)) {
        return NET_SILENT;
    }
    must(servers.count < SERVERS);
    struct server *s = heap_world_alloc(sizeof(*s));
    *who = servers.count;
    s->number = servers.count;
    servers.live[servers.live_count++] = servers.count;
    *script = &server_script;
    servers.list[servers.count++] = s;
    s->conn = conn;
    s->domain = at->addr.bytes[2];
    s->pipelining = (s->domain + at->addr.bytes[3] + sim.seed) % 3 != 0;
    s->chunking = (s->domain + sim.seed) % 2 == 0;
    s->out = heap_world_alloc(SERVER_OUT);
    buf_init(&s->content, 4 * 1024 * 1024);
    if (server_mood() == 1) {
        server_close(s, "421 4.3.2 too busy\r\n");
    } else {
        server_reply(s, "220 mx.sim.org ESMTP\r\n");
    }
    return NET_ACCEPTS;
}
