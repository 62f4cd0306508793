/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a client has sent and not heard about is a queue of expected replies; a step is made when it is empty
 * (or at once, when the client pipelines).
 */
#include "tests/sim/client.h"
#include "core/base/buf.h"
#include "tests/sim/heap.h"
#include "tests/sim/ledger.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

enum { CLIENT_EXPECTS = 64, CLIENT_LINE = 2048, CLIENT_PATIENCE_S = 600 };

enum expect_kind {
    EXPECT_GREETING,
    EXPECT_EHLO,
    EXPECT_MAIL,
    EXPECT_RCPT,
    EXPECT_DATA,
    EXPECT_CHUNK, /* a BDAT that is not the last */
    EXPECT_FINAL,
    EXPECT_RSET,
    EXPECT_QUIT,
};

struct expect {
    enum expect_kind kind;
    unsigned message, rcpt;
};

struct client {
    bool used, gone;
    bool cut; /* it does not listen any more */
    net_conn conn;
    bool pipelines, chunks;
    unsigned left;    /* messages to begin */
    unsigned message; /* under way */
    unsigned at;      /* step within the message: 0 MAIL, 1… RCPT, then DATA */
    unsigned named;
    struct expect expects[CLIENT_EXPECTS];
    unsigned expect_first, expect_count;
    char line[CLIENT_LINE];
    size_t line_len;
    uint64_t heard_us;
    unsigned replies;
};

static struct {
    struct client list[CLIENTS];
    unsigned count;
    unsigned busy;
} clients;

void clients_reset(void)
{
    memset(&clients, 0, sizeof(clients));
}

unsigned clients_busy(void)
{
    return clients.busy;
}

static void expect_add(struct client *c, enum expect_kind kind, unsigned rcpt)
{
    must(c->expect_count < CLIENT_EXPECTS);
    c->expects[(c->expect_first + c->expect_count++) % CLIENT_EXPECTS] =
        (struct expect){kind, c->message, rcpt};
}

static void client_say(struct client *c, enum expect_kind kind, unsigned rcpt, const char *text)
{
    expect_add(c, kind, rcpt);
    net_far_send(c->conn, slice_str(text));
}

/* ---- one message ---- */

/* The client vanishes, at any byte of what it was about to send. */
static bool client_cuts(struct client *c, struct slice next)
{
    if (!sim_fault(sim.opt.client_cut_ppm)) {
        return false;
    }
    sim_trace("client %u vanishes", (unsigned)(c - clients.list));
    c->cut = true;
    net_far_send(c->conn, slice_first(next, (size_t)sim_below(next.len + 1)));
    if (sim_below(2)) {
        net_far_reset(c->conn);
    } else {
        net_far_end(c->conn);
    }
    return true;
}

static void client_send_chunks(struct client *c)
{
    const struct ledger_message *m = ledger_message(c->message);
    struct slice rest = slice_of(m->wire, m->wire_len);
    unsigned pieces = (unsigned)sim_between(0, 3);
    while (pieces-- && rest.len > 1) {
        char text[64];
        size_t n = sim_between(1, rest.len);
        snprintf(text, sizeof(text), "BDAT %zu\r\n", n);
        client_say(c, EXPECT_CHUNK, 0, text);
        if (client_cuts(c, slice_first(rest, n))) {
            return;
        }
        net_far_send(c->conn, slice_first(rest, n));
        rest = slice_skip(rest, n);
    }
    char text[64];
    snprintf(text, sizeof(text), "BDAT %zu LAST\r\n", rest.len);
    /* All but the last byte, so that a cut is not the whole. */
    if (rest.len && client_cuts(c, slice_first(rest, rest.len - 1))) {
        return;
    }
    ledger_sent(c->message);
    client_say(c, EXPECT_FINAL, 0, text);
    net_far_send(c->conn, rest);
}

static void client_send_data(struct client *c)
{
    const struct ledger_message *m = ledger_message(c->message);
    struct buf out;
    buf_init(&out, m->wire_len * 2 + 64);
    bool start = true;
    for (size_t i = 0; i < m->wire_len; i++) {
        if (start && m->wire[i] == '.') {
            buf_add_byte(&out, '.');
        }
        buf_add_byte(&out, m->wire[i]);
        start = m->wire[i] == '\n';
    }
    if (!client_cuts(c, buf_slice(&out))) {
        buf_add(&out, SLICE(".\r\n"));
        ledger_sent(c->message);
        expect_add(c, EXPECT_FINAL, 0);
        net_far_send(c->conn, buf_slice(&out));
    }
    buf_deinit(&out);
}

/* The next command of the message; false: there is nothing to send before an answer. */
static bool client_next(struct client *c)
{
    const struct ledger_message *m = ledger_message(c->message);
    char text[192], address[64];
    if (c->at == 0) {
        ledger_sender(c->message, address);
        snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\n", address);
        client_say(c, EXPECT_MAIL, 0, text);
    } else if (c->at <= m->rcpt_count) {
        ledger_address(c->message, c->at - 1, address);
        snprintf(text, sizeof(text), "RCPT TO:<%s>\r\n", address);
        client_say(c, EXPECT_RCPT, c->at - 1, text);
    } else if (c->at == m->rcpt_count + 1) {
        if (c->chunks) {
            client_send_chunks(c);
        } else {
            client_say(c, EXPECT_DATA, 0, "DATA\r\n");
        }
    } else {
        return false;
    }
    c->at++;
    return true;
}

static void client_begin(struct client *c)
{
    if (c->left == 0) {
        client_say(c, EXPECT_QUIT, 0, "QUIT\r\n");
        return;
    }
    c->left--;
    c->message = ledger_message_new();
    c->at = 0;
    c->named = 0;
    c->chunks = sim.opt.chunking_in && sim_below(2);
    do {
    } while (client_next(c) && c->pipelines);
}

/* ---- replies ---- */

static void client_after_message(struct client *c)
{
    if (c->expect_count == 0) {
        client_begin(c);
    }
}

static void client_on_final(struct client *c, const struct expect *e, unsigned code)
{
    ledger_answered(e->message, code);
    if (code == 421) {
        net_far_end(c->conn);
        return;
    }
    client_after_message(c);
}

static void client_on_reply(struct client *c, unsigned code)
{
    if (c->expect_count == 0) {
        if (code != 421) {
            sim_fail("a client got %u without asking", code);
        }
        net_far_end(c->conn);
        return;
    }
    struct expect e = c->expects[c->expect_first % CLIENT_EXPECTS];
    c->expect_first++;
    c->expect_count--;
    if (code == 421) {
        if (e.kind == EXPECT_FINAL) {
            ledger_answered(e.message, code);
        }
        net_far_end(c->conn);
        return;
    }
    switch (e.kind) {
    case EXPECT_GREETING:
        if (code != 220) {
            net_far_end(c->conn);
            return;
        }
        client_say(c, EXPECT_EHLO, 0, "EHLO client.sim.org\r\n");
        return;
    case EXPECT_EHLO:
    case EXPECT_RSET:
        client_begin(c);
        return;
    case EXPECT_RCPT:
        if (code == 250) {
            ledger_message(e.message)->rcpts[e.rcpt].named = true;
            c->named++;
        } else {
            ledger_message(e.message)->rcpts[e.rcpt].denied = true;
        }
        break;
    case EXPECT_MAIL:
    case EXPECT_CHUNK:
        break;
    case EXPECT_DATA:
        if (code == 354) {
            client_send_data(c);
        } else {
            ledger_abandoned(e.message);
            client_say(c, EXPECT_RSET, 0, "RSET\r\n");
        }
        return;
    case EXPECT_FINAL:
        client_on_final(c, &e, code);
        return;
    case EXPECT_QUIT:
        net_far_end(c->conn);
        return;
    }
    if (!c->pipelines && c->expect_count == 0) {
        if (e.kind == EXPECT_MAIL && code != 250) {
            ledger_abandoned(e.message);
            client_say(c, EXPECT_RSET, 0, "RSET\r\n");
            return;
        }
        (void)client_next(c);
    }
}

static void client_bytes(unsigned who, struct slice data)
{
    struct client *c = &clients.list[who];
    c->heard_us = sim.now_us;
    for (size_t i = 0; i < data.len && !c->gone && !c->cut; i++) {
        must(c->line_len < CLIENT_LINE);
        c->line[c->line_len++] = data.ptr[i];
        if (data.ptr[i] != '\n') {
            continue;
        }
        unsigned code = 0;
        if (c->line_len < 6 || sscanf(c->line, "%3u", &code) != 1 || code < 200 || code > 599) {
            sim_fail("a client got a line that is no reply: %.*s", (int)c->line_len, c->line);
        }
        bool last = c->line[3] == ' ';
        c->line_len = 0;
        if (last) {
            c->replies++;
            client_on_reply(c, code);
        }
    }
}

static void client_gone(unsigned who)
{
    struct client *c = &clients.list[who];
    must(!c->gone);
    c->gone = true;
    clients.busy--;
    for (unsigned i = 0; i < c->expect_count; i++) {
        ledger_abandoned(c->expects[(c->expect_first + i) % CLIENT_EXPECTS].message);
    }
    ledger_abandoned(c->message);
}

static void client_ended(unsigned who)
{
    net_far_end(clients.list[who].conn);
}

static void client_watch(uint64_t who)
{
    struct client *c = &clients.list[who];
    if (c->gone) {
        return;
    }
    uint64_t until = c->heard_us + (uint64_t)CLIENT_PATIENCE_S * SIM_SECOND;
    if (until <= sim.now_us) {
        sim_trace("client %u has waited long enough", (unsigned)who);
        net_far_reset(c->conn);
        until = sim.now_us + SIM_MINUTE;
    }
    sim_at(until, false, client_watch, who);
}

static void client_release(uint64_t who)
{
    net_far_hold(clients.list[who].conn, false);
}

static void client_opened(unsigned who)
{
    struct client *c = &clients.list[who];
    expect_add(c, EXPECT_GREETING, 0);
    c->heard_us = sim.now_us;
    if (sim_fault(sim.opt.client_stall_ppm)) { /* it does not read for a while */
        net_far_hold(c->conn, true);
        sim_after(sim_below(4 * SIM_MINUTE), false, client_release, who);
    }
}

static const struct net_script client_script = {client_opened, client_bytes, client_ended,
                                                client_gone};

static void client_start(uint64_t arg)
{
    (void)arg;
    must(clients.count < CLIENTS);
    unsigned who = clients.count++;
    struct client *c = &clients.list[who];
    *c = (struct client){.used = true,
                         .pipelines = sim_below(2),
                         .left = (unsigned)sim_between(1, 3),
                         .heard_us = sim.now_us};
    struct ip_endpoint from = {ip_addr_v4(0x07000000 + who), (uint16_t)(1024 + who)};
    c->message = ledger_message_new(); /* nobody's, so that there is one */
    c->conn = net_far_connect(&from, &client_script, who);
    sim_after((uint64_t)CLIENT_PATIENCE_S * SIM_SECOND, false, client_watch, who);
}

void client_start_at(uint64_t at_us)
{
    clients.busy++;
    sim_at(at_us, false, client_start, 0);
}
