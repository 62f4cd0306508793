/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * server_script - a driver for tests of the inbound machine
 *
 * Purpose:   feeds bytes in any segmentation and records what the machine did: all replies in one buf,
 *            all events in another (their order against each other may depend on the segments, their
 *            contents may not): one line per commit. Shared by the unit test and the fuzz target; header only.
 * Policy:    the local part says what happens. Sender: bad 550, temp 451, close 421, nospace: storage
 *            refused with 452, disk: commit fails with 451, full: storage fails after 8 bytes.
 *            Recipient: bad 550, temp 451, close 421.
 * AUTH:      user "user", password "secret" is right; user "temp" 454, "close" 421, others 535.
 *            CRAM-MD5 has the challenge and the user of RFC 2195. Every check is an event.
 * TLS:       with STARTTLS on offer the byte 0x01 stands for the handshake (segments end before it).
 *            The 220 is recorded there: whether injected input meets it or comes with the verb
 *            must make no difference.
 */
#ifndef RINGPOST_TEST_SERVER_SCRIPT_H
#define RINGPOST_TEST_SERVER_SCRIPT_H

#include "core/base/rng.h"
#include "proto/smtp/server.h"

#include <stdlib.h>

struct script {
    struct smtp_server server;
    struct buf out;     /* as the machine writes it */
    struct buf replies; /* everything sent */
    struct buf events;
    struct buf body;
    struct smtp_body_facts facts; /* of the last commit */
    bool storage;
    bool full_sent;
    uint32_t commits;
    uint32_t aborts;
    bool closed;
    size_t line_peak;
    bool tls_wait; /* START_TLS was said */
    bool secret;
};

static const struct smtp_verdict script_full = {452, false, SLICE_INIT("4.3.1"),
                                                SLICE_INIT("Storage is full")};

static inline void script_init(struct script *t, const struct smtp_server_config *config)
{
    *t = (struct script){0};
    buf_init(&t->out, 4 * SMTP_SERVER_OUT_HIGH);
    buf_init(&t->replies, 1 << 26);
    buf_init(&t->events, 1 << 26);
    buf_init(&t->body, 1 << 28);
    smtp_server_init(&t->server, config);
    smtp_server_greet(&t->server, &t->out);
}

static inline void script_deinit(struct script *t)
{
    smtp_server_deinit(&t->server);
    buf_deinit(&t->out);
    buf_deinit(&t->replies);
    buf_deinit(&t->events);
    buf_deinit(&t->body);
}

static inline struct smtp_verdict script_policy(struct slice local)
{
    if (slice_eq_nocase(local, SLICE("bad"))) {
        return (struct smtp_verdict){550, false, SLICE("5.7.1"), SLICE("Refused")};
    }
    if (slice_eq_nocase(local, SLICE("temp"))) {
        return (struct smtp_verdict){451, false, SLICE("4.7.1"), SLICE("Later")};
    }
    if (slice_eq_nocase(local, SLICE("close"))) {
        return (struct smtp_verdict){421, false, SLICE("4.7.0"), SLICE("Go away")};
    }
    return SMTP_VERDICT_ACCEPT;
}

static inline struct slice script_sender(struct script *t)
{
    struct smtp_sender_view view;
    smtp_envelope_sender(smtp_server_envelope(&t->server), &view);
    return view.parts.local;
}

static inline void script_commit(struct script *t)
{
    const struct smtp_envelope *e = smtp_server_envelope(&t->server);
    struct smtp_sender_view sender;
    struct smtp_rcpt_view rcpt;
    t->facts = *smtp_server_facts(&t->server);
    must(t->facts.size == t->body.len && t->facts.header_end <= t->facts.size);
    smtp_envelope_sender(e, &sender);
    buf_add(&t->events, SLICE("commit "));
    buf_add(&t->events, sender.address);
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        smtp_envelope_rcpt(e, i, &rcpt);
        buf_add(&t->events, i ? SLICE(",") : SLICE(">"));
        buf_add(&t->events, rcpt.address);
    }
    buf_add(&t->events, SLICE(" ["));
    buf_add(&t->events, buf_slice(&t->body));
    buf_add(&t->events, SLICE("]\n"));
    t->commits++;
    t->storage = false;
    struct smtp_verdict v = {250, false, SLICE("2.0.0"), SLICE("queued as 1")};
    if (slice_eq_nocase(sender.parts.local, SLICE("disk"))) {
        v = (struct smtp_verdict){451, false, SLICE("4.3.0"), SLICE("Disk trouble")};
    }
    smtp_server_answer(&t->server, &v, &t->out);
}

static inline void script_store(struct script *t)
{
    enum { FULL_AFTER = 8 };
    buf_add(&t->body, smtp_server_data(&t->server));
    if (t->body.len > FULL_AFTER && slice_eq(script_sender(t), SLICE("full"))) {
        smtp_server_body_fail(&t->server, &script_full);
        t->storage = false;
    }
}

static inline void script_check(struct script *t, enum smtp_server_action action)
{
    const struct smtp_envelope *e = smtp_server_envelope(&t->server);
    struct smtp_verdict v = SMTP_VERDICT_ACCEPT;
    struct slice nothing = {NULL, 0};
    must(smtp_server_step(&t->server, &nothing, &t->out) == SMTP_SERVER_WAIT ||
         t->out.len >= SMTP_SERVER_OUT_HIGH);
    if (action == SMTP_SERVER_CHECK_MAIL) {
        v = script_policy(script_sender(t));
    } else if (action == SMTP_SERVER_CHECK_RCPT) {
        struct smtp_rcpt_view rcpt;
        smtp_envelope_rcpt(e, e->rcpt_count - 1, &rcpt);
        v = script_policy(rcpt.parts.local);
    } else {
        must(!t->storage);
        if (slice_eq_nocase(script_sender(t), SLICE("nospace"))) {
            v = (struct smtp_verdict){452, false, SLICE("4.3.1"), SLICE("No space")};
        }
        t->storage = v.code == 0;
        buf_clear(&t->body);
    }
    smtp_server_answer(&t->server, &v, &t->out);
}

static inline void script_send(struct script *t)
{
    buf_add(&t->replies, buf_slice(&t->out));
    buf_clear(&t->out);
}

#define SCRIPT_CHALLENGE "<1896.697170952@postoffice.reston.mci.net>"
#define SCRIPT_READY_TLS "220 2.0.0 Ready to start TLS\r\n"

static inline void script_start_tls(struct script *t, struct slice in)
{
    must(in.len == 0 && smtp_server_phase(&t->server) == SMTP_PHASE_TLS);
    must(slice_ends_nocase(buf_slice(&t->out), SLICE(SCRIPT_READY_TLS)));
    t->out.len -= sizeof(SCRIPT_READY_TLS) - 1;
    script_send(t);
    t->tls_wait = true;
}

static inline void script_handshake(struct script *t)
{
    must(t->tls_wait);
    t->tls_wait = false;
    buf_add(&t->replies, SLICE(SCRIPT_READY_TLS));
    smtp_server_tls_started(&t->server);
    must(!smtp_server_authenticated(&t->server) && smtp_server_helo(&t->server).len == 0);
}

static inline void script_check_auth(struct script *t)
{
    static const unsigned char tim[] = {0xb9, 0x13, 0xa6, 0x02, 0xc7, 0xed, 0xa7, 0xa4,
                                        0x95, 0xb4, 0xe6, 0xe7, 0x33, 0x4d, 0x38, 0x90};
    const struct smtp_auth *a = smtp_server_auth(&t->server);
    struct smtp_verdict v = {535, false, SLICE("5.7.8"), SLICE("Wrong")};
    bool right = slice_eq(a->authcid, SLICE("user")) && slice_eq(a->password, SLICE("secret"));
    if (a->mechanism == SMTP_AUTH_CRAM_MD5) {
        must(slice_eq(a->challenge, SLICE(SCRIPT_CHALLENGE)) && a->password.len == 0);
        right = slice_eq(a->authcid, SLICE("tim")) && memcmp(a->digest, tim, sizeof(tim)) == 0;
    }
    buf_add(&t->events, SLICE("auth "));
    buf_add(&t->events, smtp_auth_name(a->mechanism));
    const struct slice parts[] = {a->authzid, a->authcid, a->password};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        must(slice_find_byte(parts[i], '\0') < 0);
        buf_add(&t->events, i ? SLICE("/") : SLICE(" "));
        buf_add(&t->events, parts[i]);
    }
    buf_add(&t->events, SLICE("\n"));
    if (right) {
        v = SMTP_VERDICT_ACCEPT;
    } else if (slice_eq(a->authcid, SLICE("temp"))) {
        v = (struct smtp_verdict){454, false, SLICE("4.7.0"), SLICE("Later")};
    } else if (slice_eq(a->authcid, SLICE("close"))) {
        v = (struct smtp_verdict){421, false, SLICE("4.7.0"), SLICE("Go away")};
    }
    smtp_server_answer(&t->server, &v, &t->out);
    must(t->server.auth == NULL);
}

/* One segment: the loop of server.h. */
static inline void script_feed(struct script *t, struct slice in)
{
    for (;;) {
        enum smtp_server_action action = smtp_server_step(&t->server, &in, &t->out);
        t->line_peak = t->server.line.cap > t->line_peak ? t->server.line.cap : t->line_peak;
        t->secret |= smtp_server_had_secret(&t->server);
        switch (action) {
        case SMTP_SERVER_WANT_INPUT:
            must(in.len == 0);
            script_send(t);
            return;
        case SMTP_SERVER_FLUSH:
            script_send(t);
            break;
        case SMTP_SERVER_WAIT:
            must(false); /* script_check answers at once */
            break;
        case SMTP_SERVER_CHECK_MAIL:
        case SMTP_SERVER_CHECK_RCPT:
        case SMTP_SERVER_BODY_BEGIN:
            script_check(t, action);
            break;
        case SMTP_SERVER_BODY_DATA:
            must(t->storage && smtp_server_data(&t->server).len > 0);
            script_store(t);
            break;
        case SMTP_SERVER_BODY_COMMIT:
            must(t->storage);
            script_commit(t);
            break;
        case SMTP_SERVER_BODY_ABORT:
            must(t->storage);
            t->storage = false;
            t->aborts++;
            break;
        case SMTP_SERVER_START_TLS:
            script_start_tls(t, in);
            return;
        case SMTP_SERVER_AUTH_CHALLENGE:
            smtp_server_challenge(&t->server, SLICE(SCRIPT_CHALLENGE), &t->out);
            break;
        case SMTP_SERVER_CHECK_AUTH:
            script_check_auth(t);
            break;
        case SMTP_SERVER_CLOSE:
            script_send(t);
            if (!t->closed) {
                buf_add(&t->replies, SLICE("<close>"));
            }
            t->closed = true;
            return;
        }
    }
}

/* Feeds all in segments of their own exact allocation, so that ASan sees any read beyond one.
 * piece_max 0: whole. Otherwise 1..piece_max bytes each, by rng. */
static inline void script_run(struct script *t, struct slice bytes, size_t piece_max,
                              struct rng *rng)
{
    while (bytes.len && !t->closed) {
        size_t n = piece_max ? 1 + (size_t)rng_below(rng, piece_max) : bytes.len;
        n = n < bytes.len ? n : bytes.len;
        if (t->tls_wait && bytes.ptr[0] == 1) {
            script_handshake(t);
            bytes = slice_skip(bytes, 1);
            continue;
        }
        if (t->server.config->features & SMTP_FEATURE_STARTTLS) {
            int mark = slice_find_byte(slice_skip(slice_first(bytes, n), 1), 1);
            n = mark >= 0 ? (size_t)mark + 1 : n;
        }
        char *copy = malloc(n);
        must(copy != NULL);
        memcpy(copy, bytes.ptr, n);
        script_feed(t, slice_of(copy, n));
        free(copy);
        bytes = slice_skip(bytes, n);
    }
}

#endif
