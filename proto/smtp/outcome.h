/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * outcome - how one attempt for one recipient ended, as a value
 *
 * Purpose:   protocol code reports what happened and how far it reaches; policy decides what it
 *            means (retry, bounce, slow the site down). Protocol code never decides a retry.
 * Owner:     values. `text` points into memory of whoever made the outcome; that header says how
 *            long it lives. Copy it (outcome_copy_text) to keep it.
 * Thread:    any.
 * Units:     text at most LIMIT_OUTCOME_TEXT_BYTES, always clean: one line, printable ASCII only,
 *            everything else as \xNN (it goes to logs, DSNs and the spool: reliability A20, G7).
 * Errors:    none.
 * RFC:       5321 4.2 (codes), 3463 (enhanced codes).
 */
#ifndef RINGPOST_SMTP_OUTCOME_H
#define RINGPOST_SMTP_OUTCOME_H

#include "core/base/buf.h"
#include "core/base/limits.h"

/* How far a failure reaches: the others of the same group will meet it too. */
enum outcome_scope {
    OUTCOME_RECIPIENT,
    OUTCOME_MESSAGE,    /* every recipient of this message at this peer */
    OUTCOME_CONNECTION, /* this connection or this host; another host may do */
    OUTCOME_SITE, /* every host of the destination (routing, DNS; never made by the machine) */
};

enum outcome_kind {
    OUTCOME_NONE, /* not known yet; for a connection: it ended in order */
    OUTCOME_DELIVERED,
    OUTCOME_TEMPORARY,
    OUTCOME_PERMANENT,
};

enum outcome_stage {
    OUTCOME_STAGE_NONE,  /* nothing is awaited: the connection is idle */
    OUTCOME_STAGE_ROUTE, /* before any connection: routing, DNS */
    OUTCOME_STAGE_CONNECT,
    OUTCOME_STAGE_BANNER,
    OUTCOME_STAGE_EHLO,
    OUTCOME_STAGE_STARTTLS,
    OUTCOME_STAGE_AUTH,
    OUTCOME_STAGE_MAIL,
    OUTCOME_STAGE_RCPT,
    OUTCOME_STAGE_DATA,
    OUTCOME_STAGE_BODY,
    OUTCOME_STAGE_FINAL_DOT,
    OUTCOME_STAGE_BDAT,
    OUTCOME_STAGE_RSET,
    OUTCOME_STAGE_QUIT,
    OUTCOME_STAGE_MAILBOX, /* on this machine: no connection */
};

/* What the peer wants of us and did not get: a matter of the configuration here. */
enum outcome_wants { OUTCOME_WANTS_NOTHING, OUTCOME_WANTS_LOGIN, OUTCOME_WANTS_TLS };

/* RFC 3463; cls 0 means none. */
struct enhanced {
    uint8_t cls;
    uint16_t subject; /* 0..999 */
    uint16_t detail;  /* 0..999 */
};

struct outcome {
    enum outcome_kind kind : 8;
    enum outcome_scope scope : 8;
    enum outcome_stage stage : 8;
    enum outcome_wants wants : 8; /* TEMPORARY only */
    /* TEMPORARY only: the end of the message may have reached the peer, its answer never reached us.
     * A retry may make a second copy (promise P4); count it. */
    bool unknown;
    /* The peer's reply made it (code, text are the peer's); false: our own finding, code is what
     * we would have said. */
    bool remote;
    uint16_t code; /* 0 when there was no reply and none fits */
    struct enhanced enhanced;
    struct slice text;
};

/* "temporary", "final-dot" …: for logs and the spool listing. */
struct slice outcome_kind_name(enum outcome_kind kind);
struct slice outcome_scope_name(enum outcome_scope scope);
struct slice outcome_stage_name(enum outcome_stage stage);

/* Our own finding. `text` is a literal of ours (clean already). */
struct outcome outcome_local(enum outcome_kind kind, enum outcome_scope scope,
                             enum outcome_stage stage, struct enhanced enhanced, struct slice text);

/* The kind a reply code stands for: 2xx delivered, 4xx temporary, 5xx permanent, otherwise none. */
enum outcome_kind outcome_kind_of_code(uint16_t code);

/* "5.1.1 rest" → enhanced and the bytes it took (with one following space). 0: there is none.
 * The class must be 2, 4 or 5; subject and detail have one to three digits. */
size_t enhanced_parse(struct slice s, struct enhanced *out);
/* "5.1.1"; nothing when cls is 0. */
void enhanced_add(struct buf *out, struct enhanced e);

/* Writes raw in clean form into dst (at most cap bytes, cap >= 16) and returns the bytes written.
 * CR, LF, TAB and runs of them and spaces become one space; other controls, DEL and bytes >= 0x80
 * become \xNN. Too long: cut between two escapes, "..." at the end. Clean text stays as it is. */
size_t outcome_text_clean(char *dst, size_t cap, struct slice raw);
/* The same, appended to a buffer, at most LIMIT_OUTCOME_TEXT_BYTES of it. */
void outcome_text_add(struct buf *out, struct slice raw);

/* Moves o->text into dst (LIMIT_OUTCOME_TEXT_BYTES suffice), so that it outlives its maker. */
void outcome_copy_text(struct outcome *o, char *dst, size_t cap);

/* "550 5.1.1 no such user": for logs and Diagnostic-Code. */
void outcome_add_line(struct buf *out, const struct outcome *o);

#endif
