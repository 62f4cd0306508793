/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * server_tx - what the parts of the inbound machine share (not for others)
 *
 * Purpose:   server.c (steps, states, answers), server_line.c (command lines), server_cmd.c (verbs),
 *            server_body.c (DATA and BDAT), server_auth.c (STARTTLS and AUTH), server_view.c (what
 *            the driver may look at) and verbs.c (the table) are one machine in seven files.
 * Owner:     struct smtp_transaction belongs to its smtp_server: from MAIL to tx_reset.
 * Thread:    the session's. Errors: as in server.h.
 */
#ifndef RINGPOST_SMTP_SERVER_TX_H
#define RINGPOST_SMTP_SERVER_TX_H

#include "proto/smtp/body.h"
#include "proto/smtp/server.h"

enum { SMTP_TX_TEXT_BYTES = 240, SMTP_TX_ENHANCED_BYTES = 12 };

struct smtp_transaction {
    struct smtp_envelope envelope;
    struct smtp_body body;
    bool body_begun;   /* body is initialised */
    bool storage_open; /* the driver holds storage for this body */
    bool smtputf8;
    uint32_t rcpts_refused;
    uint64_t chunk_bytes; /* octets of all BDAT chunks so far */
    /* A failure that did not come out of the text: the driver's storage, no recipients. */
    const struct smtp_verdict *refused;
    struct smtp_verdict refused_copy; /* of a verdict whose texts are here: */
    char refused_text[SMTP_TX_TEXT_BYTES];
    char refused_enhanced[SMTP_TX_ENHANCED_BYTES];
};

/* An exchange. Allocated by AUTH, wiped and freed when the state is none of the exchange's. */
struct smtp_auth_exchange {
    struct smtp_auth auth;
    struct buf user;   /* LOGIN: the first answer */
    struct buf answer; /* the answer at hand, decoded */
    bool has_user;
    struct buf challenge;
};

void smtp_server_set_state(struct smtp_server *s, enum smtp_server_state to);
/* Writes a reply, counts it when it is an error, closes when it says so. */
void smtp_server_reply(struct smtp_server *s, struct buf *out, const struct smtp_verdict *v);
/* The one end of every transaction: forgets envelope and body, owes the driver a BODY_ABORT when it
 * holds storage. Does not change the state. */
void smtp_server_tx_reset(struct smtp_server *s);
/* tx_reset and back to READY (START without a HELO). */
void smtp_server_tx_end(struct smtp_server *s);
/* The driver's storage is to be dropped: BODY_ABORT follows. */
void smtp_server_abort_body(struct smtp_server *s, const struct smtp_verdict *why);

/* server_line.c: takes one command line off *in and runs it; without a whole line keeps the part. */
void smtp_server_take_line(struct smtp_server *s, struct slice *in, struct buf *out);

/* server_body.c: states DATA, CHUNK, SWALLOW. True: *action is for the driver. */
bool smtp_server_take_body(struct smtp_server *s, struct slice *in, struct buf *out,
                           enum smtp_server_action *action);

/* Skips the octets of the announced chunk, then says reply (NULL: the transaction's fault). Ends the
 * session instead when the chunk is above bdat_swallow_max. */
void smtp_server_swallow(struct smtp_server *s, const struct smtp_verdict *reply, struct buf *out);

/* ---- server_auth.c ---- */
/* The features on offer at this moment of this session. */
uint32_t smtp_server_features(const struct smtp_server *s);
/* Only the verbs of SMTP_VERB_PRE_TLS may run. */
bool smtp_server_needs_tls(const struct smtp_server *s);
/* STARTTLS has run; `behind` is the input behind its line. */
void smtp_server_ready_tls(struct smtp_server *s, struct slice behind, struct buf *out);
/* A line of an exchange, without its CRLF. */
void smtp_server_take_auth(struct smtp_server *s, struct slice line, struct buf *out);
void smtp_server_answer_auth(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out);
/* Wipes and frees the exchange. */
void smtp_server_auth_end(struct smtp_server *s);
extern const struct smtp_verdict smtp_server_must_starttls;

/* ---- verbs.c ---- */
enum {
    SMTP_VERB_JUNK = 1,       /* counts against junk_max */
    SMTP_VERB_ENDS_GROUP = 2, /* RFC 2920 3.1: must be the last of a pipelined group */
    SMTP_VERB_PAYLOAD = 4,    /* octets follow the line: an unreadable line ends the session */
    SMTP_VERB_PRE_TLS = 8,    /* runs though TLS is required and missing */
};

enum smtp_verb_arg { SMTP_ARG_NONE, SMTP_ARG_OPTIONAL, SMTP_ARG_NEEDED };

struct smtp_verb {
    struct slice name;
    uint32_t feature; /* 0: always there */
    uint32_t states;  /* bits 1 << enum smtp_server_state in which it may run */
    uint8_t arg;      /* enum smtp_verb_arg */
    uint8_t flags;
    void (*run)(struct smtp_server *s, struct slice arg, struct buf *out);
    const char *syntax;
    const char *rfc;
};

const struct smtp_verb *smtp_verb_find(struct slice name);
/* By index, for HELP; NULL behind the last. */
const struct smtp_verb *smtp_verb_at(size_t index);
/* A word of another protocol: HTTP methods, header-like "Name:". */
bool smtp_verb_is_foreign(struct slice word);

/* The handlers (server_cmd.c, server_body.c). */
void smtp_server_run_helo(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_ehlo(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_mail(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_rcpt(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_data(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_bdat(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_rset(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_noop(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_vrfy(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_expn(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_help(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_quit(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_starttls(struct smtp_server *s, struct slice arg, struct buf *out);
void smtp_server_run_auth(struct smtp_server *s, struct slice arg, struct buf *out);

/* A verdict of constant text: SMTP_SAY(out, 503, "5.5.1", "Need MAIL first"). */
#define SMTP_SAY(s, out, status, enh, words)                                                       \
    smtp_server_reply((s), (out), &(struct smtp_verdict){(status), false, SLICE(enh), SLICE(words)})

#endif
