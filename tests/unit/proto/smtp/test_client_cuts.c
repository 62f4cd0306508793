/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The peer's replies cut at every byte, in every mode, by everything that ends a connection: each message
 * ends as what was really said of it (P3) and what was really sent (P4).
 *
 * A model of a server reads what the machine writes and makes the replies, each marked with what it
 * answers. The machine hears the first N bytes of them; N goes over all.
 */
#include "proto/smtp/client.h"

#include "core/base/must.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { TXNS = 5, RCPTS = 2, REPLIES = 64 };

enum kind { K_HELLO, K_RSET, K_MAIL, K_RCPT, K_DATA, K_END };

struct mark {
    size_t end; /* of the reply in the stream */
    enum kind kind;
    int txn;
    uint32_t rcpt;
    unsigned code;
};

/* How the server answers; NULL: as usual. */
struct answers {
    const char *name;
    const char *mail[TXNS];
    const char *rcpt[TXNS]; /* to the second recipient */
    const char *end[TXNS];
};

static const struct answers scripts[] = {
    {.name = "all is well"},
    {.name = "some refusals",
     .mail = {[1] = "450 4.7.1 later\r\n"},
     .rcpt = {[0] = "550 5.1.1 nobody\r\n", [3] = "451-4.2.1\r\n451 4.2.1 later\r\n"},
     .end = {[2] = "554 5.7.1 spam\r\n"}},
    {.name = "refusals at the end", .end = {[0] = "451 4.3.0 x\r\n", [4] = "550 5.7.1 x\r\n"}},
    {.name = "full after two", .mail = {[2] = "452 4.3.2 too many messages per connection\r\n"}},
};

struct server {
    const struct answers *answers;
    const char *caps;
    struct buf in; /* not understood yet */
    struct buf stream;
    struct mark marks[REPLIES];
    unsigned mark_count;
    int txn;
    uint32_t rcpt, accepted;
    bool in_text, quit;
    unsigned
        omit; /* number of the reply that is never sent; 0: none (that would be the greeting) */
};

struct play {
    struct server server;
    struct smtp_client client;
    struct smtp_client_txn txns[TXNS];
    struct smtp_client_rcpt rcpts[TXNS][RCPTS];
    bool ended[TXNS];
    unsigned begun, taken;
    struct buf out;
    bool closed;
    unsigned turns; /* times something new was heard */
};

#define NO_CAPS "250 mx\r\n"
#define PIPE "250-mx\r\n250 PIPELINING\r\n"
#define BDAT_ONLY "250-mx\r\n250 CHUNKING\r\n"
#define BOTH "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"

/* turns: how often the client waits for the server until TXNS messages are through, with greeting and EHLO;
 * so many round trips. */
static const struct way {
    const char *name;
    const char *caps;
    bool careful;
    uint8_t chunk_window;
    unsigned turns;
} ways[] = {
    {"stepwise", NO_CAPS, false, 4, 2 + 5 * TXNS}, /* MAIL, two RCPT, DATA, the dot */
    {"pipelined", PIPE, false, 4, 2 + 1 + TXNS},   {"chunked", BDAT_ONLY, false, 4, 2 + 4 * TXNS},
    {"overlapped", BOTH, false, 4, 2 + 2},         {"careful", BOTH, true, 4, 2 + 1 + 1 + 1},
    {"all at once", BOTH, false, 16, 2 + 1},
};

/* ---- the server ---- */

static void say(struct server *v, const char *reply, enum kind kind)
{
    struct slice text = slice_str(reply);
    must(v->mark_count < REPLIES);
    if (v->omit == 0 || v->mark_count != v->omit) {
        buf_add(&v->stream, text);
    }
    v->marks[v->mark_count++] = (struct mark){.end = v->stream.len,
                                              .kind = kind,
                                              .txn = v->txn,
                                              .rcpt = v->rcpt,
                                              .code = (unsigned)strtoul(reply, NULL, 10)};
}

static const char *or_ok(const char *reply)
{
    return reply ? reply : "250 2.0.0 ok: 4711\r\n";
}

static void server_mail(struct server *v)
{
    v->txn++;
    v->rcpt = v->accepted = 0;
    const char *reply = v->answers->mail[v->txn];
    say(v, reply ? reply : "250 2.1.0 ok\r\n", K_MAIL);
    v->rcpt = reply ? UINT32_MAX : 0; /* nothing is accepted */
}

static void server_rcpt(struct server *v)
{
    if (v->rcpt == UINT32_MAX) {
        say(v, "503 5.5.1 MAIL first\r\n", K_RCPT);
        return;
    }
    const char *reply = v->rcpt == 1 ? v->answers->rcpt[v->txn] : NULL;
    say(v, or_ok(reply), K_RCPT);
    v->accepted += reply == NULL;
    v->rcpt++;
}

/* One command or body; false: not all of it is there. */
static bool server_read(struct server *v)
{
    struct slice in = buf_slice(&v->in);
    const char *end =
        in.len ? memmem(in.ptr, in.len, v->in_text ? ".\r\n" : "\r\n", v->in_text ? 3 : 2) : NULL;
    if (!end) {
        return false;
    }
    size_t n = (size_t)(end - in.ptr) + (v->in_text ? 3 : 2);
    if (v->in_text) {
        v->in_text = false;
        say(v, or_ok(v->answers->end[v->txn]), K_END);
    } else if (slice_starts_nocase(in, SLICE("EHLO"))) {
        say(v, v->caps, K_HELLO);
    } else if (slice_starts_nocase(in, SLICE("RSET"))) {
        say(v, "250 2.0.0 reset\r\n", K_RSET);
    } else if (slice_starts_nocase(in, SLICE("MAIL"))) {
        server_mail(v);
    } else if (slice_starts_nocase(in, SLICE("RCPT"))) {
        server_rcpt(v);
    } else if (slice_starts_nocase(in, SLICE("DATA"))) {
        v->in_text = v->accepted > 0;
        say(v, v->in_text ? "354 go\r\n" : "503 5.5.1 no\r\n", K_DATA);
    } else if (slice_starts_nocase(in, SLICE("BDAT"))) {
        size_t body = strtoul(in.ptr + 5, NULL, 10);
        if (in.len < n + body) {
            return false;
        }
        n += body;
        say(v, v->accepted ? or_ok(v->answers->end[v->txn]) : "503 5.5.1 no\r\n", K_END);
    } else {
        ck_assert(slice_starts_nocase(in, SLICE("QUIT")));
        v->quit = true;
    }
    buf_consume(&v->in, n);
    return true;
}

/* ---- the driver ---- */

static void play_out(struct play *p)
{
    buf_add(&p->server.in, buf_slice(&p->out));
    buf_clear(&p->out);
    while (server_read(&p->server)) {
    }
}

static void play_begin(struct play *p)
{
    if (p->begun < TXNS && smtp_client_can_begin(&p->client)) {
        smtp_client_begin(&p->client, &p->txns[p->begun++]);
    }
}

static void play_settle(struct play *p, struct slice in)
{
    while (!p->closed) {
        switch (smtp_client_step(&p->client, &in, &p->out)) {
        case SMTP_CLIENT_TXN_DONE:
            ck_assert_ptr_eq(smtp_client_take(&p->client), &p->txns[p->taken]);
            p->taken++;
            break;
        case SMTP_CLIENT_SEND_BODY: {
            ptrdiff_t t = smtp_client_body(&p->client).txn - p->txns;
            buf_add(&p->out, SLICE("Hi\r\n"));
            play_begin(p);
            p->ended[t] = smtp_client_body_end(&p->client, &p->out);
            break;
        }
        case SMTP_CLIENT_CLOSED:
            p->closed = true;
            break;
        case SMTP_CLIENT_START_TLS:
        case SMTP_CLIENT_AUTH_CHALLENGE:
            ck_abort();
        case SMTP_CLIENT_READY:
        case SMTP_CLIENT_WANT_REPLY:
            if (p->begun == TXNS || !smtp_client_can_follow(&p->client)) {
                return;
            }
            play_begin(p);
            break;
        }
    }
}

static void play_open(struct play *p, const struct way *way, const struct answers *answers)
{
    struct smtp_client_config config = {.helo_name = SLICE("me.test"),
                                        .pipelining = true,
                                        .chunking = true,
                                        .check_order = true,
                                        .careful = way->careful,
                                        .window = 2,
                                        .chunk_window = way->chunk_window};
    memset(p, 0, sizeof(*p));
    p->server = (struct server){.answers = answers, .caps = way->caps, .txn = -1};
    buf_init(&p->server.in, 1 << 20);
    buf_init(&p->server.stream, 1 << 20);
    buf_init(&p->out, SMTP_CLIENT_OUT_BYTES);
    for (unsigned t = 0; t < TXNS; t++) {
        for (unsigned i = 0; i < RCPTS; i++) {
            p->rcpts[t][i] = (struct smtp_client_rcpt){.address = SLICE("b@y")};
        }
        p->txns[t] = (struct smtp_client_txn){.sender = SLICE("a@x"),
                                              .rcpts = p->rcpts[t],
                                              .rcpt_count = RCPTS,
                                              .body_bytes = 4};
    }
    smtp_client_init(&p->client, &config);
    smtp_client_start(&p->client);
    say(&p->server, "220 mx\r\n", K_HELLO);
}

/* Hears the first `limit` bytes; the number heard. */
static size_t play_hear(struct play *p, size_t limit)
{
    size_t heard = 0;
    for (;;) {
        size_t n = p->server.stream.len < limit ? p->server.stream.len : limit;
        if (n == heard || p->closed) {
            return heard;
        }
        struct slice in = slice_skip(slice_first(buf_slice(&p->server.stream), n), heard);
        p->turns++;
        char *copy = malloc(in.len);
        memcpy(copy, in.ptr, in.len);
        play_settle(p, slice_of(copy, in.len));
        free(copy);
        heard = n;
        play_out(p);
    }
}

static void play_close(struct play *p)
{
    smtp_client_deinit(&p->client);
    buf_deinit(&p->server.in);
    buf_deinit(&p->server.stream);
    buf_deinit(&p->out);
}

/* ---- what must have come of it ---- */

/* What was said of recipient i of t within the first `heard` bytes: a code, 0: nothing definite. */
static unsigned said_of(const struct play *p, int t, uint32_t i, size_t heard, bool *any)
{
    unsigned code = 0;
    bool refused = false;
    for (unsigned m = 0; m < p->server.mark_count && p->server.marks[m].end <= heard; m++) {
        const struct mark *mark = &p->server.marks[m];
        if (mark->txn != t || mark->kind == K_RSET || mark->kind == K_HELLO) {
            continue;
        }
        *any = true;
        bool concerns = mark->kind == K_MAIL || mark->kind == K_END || mark->kind == K_DATA ||
                        (mark->kind == K_RCPT && mark->rcpt == i);
        if (concerns && !refused && (mark->code >= 400 || mark->kind == K_END)) {
            code = mark->code;
            refused = mark->code >= 400;
        }
    }
    return code;
}

static void play_check(const struct play *p, size_t heard, const char *what)
{
    ck_assert_msg(p->taken == p->begun && p->closed, "%s: %u of %u", what, p->taken, p->begun);
    for (unsigned t = 0; t < p->begun; t++) {
        bool any = false;
        for (uint32_t i = 0; i < RCPTS; i++) {
            const struct outcome *o = &p->rcpts[t][i].outcome;
            unsigned code = said_of(p, (int)t, i, heard, &any);
            /* One verdict stands for the message when it was given; it is never taken back. */
            enum outcome_kind kind = code ? outcome_kind_of_code((uint16_t)code)
                                          : OUTCOME_TEMPORARY;
            ck_assert_msg(o->kind == kind, "%s: %u.%u is %d, not %d", what, t, i, o->kind, kind);
            ck_assert_msg(o->remote == (code != 0), "%s: %u.%u remote %d", what, t, i, o->remote);
            ck_assert_msg(o->unknown == (code == 0 && p->ended[t]), "%s: %u.%u unknown %d", what, t,
                          i, o->unknown);
            ck_assert_msg(code || o->scope == OUTCOME_CONNECTION, "%s: %u.%u scope", what, t, i);
        }
        ck_assert_msg(any || !p->txns[t].answered, "%s: %u was not answered", what, t);
    }
}

/* Of what was sent when the connection was lost: the boldest description that fits. */
static enum smtp_client_mode mode_of(const struct play *p, size_t heard)
{
    unsigned due = 0, open = 0;
    bool ends[TXNS] = {false}, bdat = strstr(p->server.caps, "CHUNKING");
    for (unsigned m = 0; m < p->server.mark_count; m++) {
        const struct mark *mark = &p->server.marks[m];
        bool heard_it = mark->end <= heard;
        due += !heard_it;
        if (mark->txn >= 0 && mark->kind != K_RSET && !heard_it) {
            ends[mark->txn] = true;
        }
    }
    for (unsigned t = 0; t < TXNS; t++) {
        open += ends[t];
    }
    return bdat && open > 1 ? SMTP_MODE_OVERLAPPED
           : due > 1        ? SMTP_MODE_PIPELINED
                            : SMTP_MODE_STEPWISE;
}

enum cut { CUT_EOF, CUT_IO, CUT_TIMEOUT, CUT_LOCAL, CUT_GARBAGE, CUT_COUNT };

static bool at_boundary(const struct play *p, size_t heard)
{
    for (unsigned m = 0; m < p->server.mark_count; m++) {
        if (p->server.marks[m].end == heard) {
            return true;
        }
    }
    return heard == 0;
}

static void play_cut(struct play *p, enum cut cut, size_t heard, const char *what)
{
    static const enum smtp_client_cause causes[] = {[CUT_EOF] = SMTP_FAIL_EOF,
                                                    [CUT_IO] = SMTP_FAIL_IO,
                                                    [CUT_TIMEOUT] = SMTP_FAIL_TIMEOUT,
                                                    [CUT_LOCAL] = SMTP_FAIL_LOCAL};
    bool session = p->client.state == SMTP_CLIENT_SESSION ||
                   p->client.state == SMTP_CLIENT_QUITTING;
    bool slots = p->client.slot_count > 0;
    enum smtp_client_mode want = mode_of(p, heard), mode;
    if (cut == CUT_GARBAGE) {
        play_settle(p, SLICE("\xff\x16garbage\r\n"));
    } else {
        smtp_client_fail(&p->client, causes[cut]);
        play_settle(p, SLICE(""));
    }
    enum smtp_client_trouble trouble = smtp_client_trouble(&p->client, &mode);
    if (cut == CUT_LOCAL) {
        ck_assert_msg(trouble == SMTP_TROUBLE_NONE, "%s: trouble %d", what, trouble);
    } else if (cut == CUT_GARBAGE && slots) {
        ck_assert_msg((trouble == SMTP_TROUBLE_REPLIES) == (p->client.mode > SMTP_MODE_STEPWISE),
                      "%s: trouble %d", what, trouble);
    } else if (cut != CUT_GARBAGE && slots) {
        bool due = session && want != SMTP_MODE_STEPWISE;
        ck_assert_msg((trouble != SMTP_TROUBLE_NONE) == due, "%s: trouble %d", what, trouble);
        ck_assert_msg(!due || mode == want, "%s: mode %d, not %d", what, mode, want);
    }
}

static void cut_everywhere(const struct way *way, const struct answers *answers, enum cut cut)
{
    static struct play p;
    char what[160];
    bool more = true;
    unsigned tried = 0;
    for (size_t limit = 0; more; limit++) {
        play_open(&p, way, answers);
        size_t heard = play_hear(&p, limit);
        more = heard == limit;
        snprintf(what, sizeof(what), "%s, %s, cut %d at %zu", way->name, answers->name, cut, limit);
        if (heard == limit && !p.closed && (cut != CUT_GARBAGE || at_boundary(&p, heard))) {
            play_cut(&p, cut, heard, what);
            play_check(&p, heard, what);
            tried++;
        } else if (!p.closed) {
            smtp_client_fail(&p.client, SMTP_FAIL_LOCAL);
            play_settle(&p, SLICE(""));
        }
        play_close(&p);
    }
    ck_assert_msg(tried > (cut == CUT_GARBAGE ? 8 : 150), "%s: only %u", what, tried);
}

START_TEST(every_cut)
{
    for (size_t a = 0; a < ARRAY_COUNT(scripts); a++) {
        for (int cut = 0; cut < CUT_COUNT; cut++) {
            cut_everywhere(&ways[_i], &scripts[a], (enum cut)cut);
        }
    }
}
END_TEST

/* Nothing is cut: everything is said, and in as few round trips as the mode allows. */
START_TEST(uncut)
{
    static struct play p;
    play_open(&p, &ways[_i], &scripts[0]);
    (void)play_hear(&p, SIZE_MAX);
    ck_assert_uint_eq(p.taken, TXNS);
    ck_assert_msg(p.turns == ways[_i].turns, "%s: %u round trips", ways[_i].name, p.turns);
    for (unsigned t = 0; t < TXNS; t++) {
        ck_assert_int_eq(p.rcpts[t][0].outcome.kind, OUTCOME_DELIVERED);
        ck_assert(!p.txns[t].again && p.txns[t].answered);
    }
    smtp_client_fail(&p.client, SMTP_FAIL_EOF);
    play_settle(&p, SLICE(""));
    play_close(&p);
}
END_TEST

/* What the server decided about t; 0: nothing was said of it. */
static unsigned verdict_on(const struct server *v, int t)
{
    for (unsigned m = 0; m < v->mark_count; m++) {
        if (v->marks[m].txn == t && v->marks[m].kind == K_END && m != v->omit) {
            return v->marks[m].code;
        }
    }
    return 0;
}

/* One reply is left out, whichever: all behind it are shifted. No message counts as delivered of which the
 * server did not say so. (The first on a connection that is not careful, or by DATA, has nothing to be
 * compared with: there one missing reply may do harm, as it always did.) */
static void omit_everywhere(const struct way *way, const struct answers *answers)
{
    static struct play p;
    unsigned replies = REPLIES, troubled = 0;
    for (unsigned omit = 1; omit < replies; omit++) {
        enum smtp_client_mode mode;
        play_open(&p, way, answers);
        p.server.omit = omit;
        (void)play_hear(&p, SIZE_MAX);
        replies = p.server.mark_count > omit ? REPLIES : 0;
        if (!p.closed) {
            smtp_client_fail(&p.client, SMTP_FAIL_TIMEOUT);
            play_settle(&p, SLICE(""));
        }
        troubled += smtp_client_trouble(&p.client, &mode) != SMTP_TROUBLE_NONE;
        bool seen = false;
        for (unsigned t = 0; t < p.begun; t++) {
            bool first = !seen && strcmp(way->name, "pipelined") == 0;
            seen = seen || p.rcpts[t][0].outcome.kind == OUTCOME_DELIVERED;
            for (unsigned i = 0; i < RCPTS && !first; i++) {
                bool delivered = p.rcpts[t][i].outcome.kind == OUTCOME_DELIVERED;
                ck_assert_msg(!delivered || verdict_on(&p.server, (int)t) / 100 == 2,
                              "%s, %s, reply %u left out: %u.%u", way->name, answers->name, omit, t,
                              i);
            }
        }
        play_close(&p);
    }
    bool bold = strstr(way->caps, "PIPELINING") != NULL;
    ck_assert_msg(bold ? troubled > 2 : troubled == 0, "%s: %u", way->name, troubled);
}

START_TEST(a_reply_is_left_out)
{
    static const unsigned which[] = {0, 1, 2, 4};
    for (size_t a = 0; a < ARRAY_COUNT(scripts); a++) {
        omit_everywhere(&ways[which[_i]], &scripts[a]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/smtp/client cuts");
    TCase *tc = tcase_create("cuts");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, every_cut, 0, ARRAY_COUNT(ways));
    tcase_add_loop_test(tc, uncut, 0, ARRAY_COUNT(ways));
    tcase_add_loop_test(tc, a_reply_is_left_out, 0, 4);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
