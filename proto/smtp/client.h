/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client - the sending side of an SMTP connection, without I/O
 *
 * Purpose:   speaks to one peer: greeting, EHLO, STARTTLS and AUTH as configured, then any number of
 *            transactions, pipelined or overlapped as far as the peer and the configuration allow,
 *            then QUIT. It turns reply bytes into commands and into one struct outcome per
 *            recipient. It knows no socket, no clock, no TLS and no retry.
 * Owner:     the outbound session: smtp_client_init, smtp_client_deinit. Transactions and all they
 *            point to belong to the driver and must stay until smtp_client_take gave them back.
 * Thread:    the owner's.
 * Limits:    LIMIT_RECIPIENTS_PER_TRANSACTION per transaction, SMTP_CLIENT_WINDOW_MAX transactions
 *            at a time; replies as in reply.h. Memory: this struct, plus (recipients + 2) ×
 *            LIMIT_OUTCOME_TEXT_BYTES per transaction as soon as one has a text to keep.
 * Errors:    values only. A peer that breaks the protocol ends the connection: 4.5.0, nothing that
 *            was unanswered counts as delivered.
 * Durability: OUTCOME_DELIVERED is given only after a 2xx answer to the end of the body, which the
 *            machine let out itself in smtp_client_body_end. If the connection is lost between
 *            that call and the answer the outcome is TEMPORARY with `unknown` set (P4). Definite
 *            4xx/5xx answers are never changed afterwards.
 * Secrets:   AUTH lines are written into `out` only; when smtp_client_had_secret says so the driver
 *            wipes what it sent. Everything else the machine made of them is wiped at once.
 * RFC:       5321, 1870, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 9422.
 *
 * The driver's loop
 *
 *   smtp_client_start(c);                      then, after every read, begin, quit and body_end:
 *   switch (smtp_client_step(c, &in, &out))    always write `out`, whatever the action is; call
 *                                              step again until WANT_REPLY, READY or CLOSED
 *   SEND_BODY   at = out.len; get smtp_client_body(c). The peer must receive out[0, at), then the
 *               body, then whatever is appended to `out` later. When the driver is about to hand
 *               the LAST bytes of the body to the kernel it may first smtp_client_begin() the next
 *               transaction, and calls smtp_client_body_end(c, out): that appends the end of the
 *               body and, where allowed, the next transaction's commands: one write, one round
 *               trip per message. Small bodies: call body_end at once and write all as one iovec.
 *               Input that arrives meanwhile is stepped as usual (an early refusal, the answers of
 *               earlier transactions).
 *   TXN_DONE    smtp_client_take(c): the oldest transaction, all its outcomes set.
 *   READY       nothing is missing; smtp_client_can_begin(c) says whether a transaction can be
 *               begun (also true during SEND_BODY and WANT_REPLY when the window has room).
 *   WANT_REPLY  read more; the deadline is that of smtp_client_stage(c).
 *   START_TLS   out is empty and nothing more is sent or stepped: shake hands, then either
 *               smtp_client_tls_started or smtp_client_tls_failed; step. With tls_implicit the first
 *               thing of all.
 *   AUTH_CHALLENGE  HMAC-MD5 of smtp_client_challenge(c) with the password: smtp_client_cram; step.
 *   CLOSED      close the socket; smtp_client_outcome(c) says how the connection ended. It comes
 *               after TXN_DONE for every transaction.
 *   On EOF, error or deadline: smtp_client_fail(c, cause), then step until CLOSED.
 *
 * How much is under way (window): with DATA the commands of the next transaction ride behind the final dot of
 * the one before, which is one round trip per message; with BDAT whole transactions follow each other,
 * `chunk_window` of them, but beyond two no more than SMTP_CLIENT_WINDOW_BYTES. A peer not known to
 * bear that (`careful`) gets one message, then two, and all of the window when both were taken.
 *
 * What may be the fault of how we spoke, not of the mail: smtp_client_trouble says so after CLOSED, and in
 * which mode we spoke, for whoever remembers it. Transactions for which that was the end have `again`:
 * nothing definite was said of them. It is trouble when a peer pipelined to answers what does not fit,
 * answers too much, calls accepted commands out of sequence or complains of pipelining; when it offers
 * CHUNKING and does not know BDAT (500 to 504, and it does not understand the RSET behind it: it took the
 * message for commands; if it does, the reply is the message's); and (LOST, SILENT) when the connection ends with more than one reply due.
 * A reply that a peer leaves out shifts those behind it, and 250 is 250: a message would count as taken that
 * was not. So a positive answer to the end of a message, with others under way, delivers nothing when it
 * reads 2.1.x (RFC 3463: of an address), is for no recipient, or (check_order) looks like this peer's answer
 * to what comes next: RSET after BDAT, MAIL after the dot. What that looks like is known from the first of
 * each on the connection. Where both look the same from the beginning nothing is sent behind a message.
 *
 * "Too many messages on this connection" (smtp/hint.h), after a message was taken, is no failure of the
 * message: it has `again`, and the connection ends in order. So is a 421 to a command before the end of
 * the message.
 *
 * Pipelining is conservative where a peer may be confused: RSET goes ahead of MAIL whenever the
 * last transaction did not end with a positive answer to its end or is not answered yet and was
 * sent by BDAT (RFC 3030 4.2: after a failed BDAT only RSET clears the state).
 *
 * Not here: 8BITMIME→7bit conversion. A message that needs 8BITMIME at a peer without it fails with
 * 5.6.3 (RFC 6152 3 allows conversion or failure): conversion breaks signatures and promise P5.
 *
 * TLS by policy            no STARTTLS offered   refused, handshake failed     untrusted certificate
 *   SMTP_TLS_NONE          -                     -                             -
 *   SMTP_TLS_MAY           goes on in plaintext  ends, wants_plaintext         goes on
 *   SMTP_TLS_ENCRYPT       ends, 4.7.4           ends, 4.7.4 or 4.7.5          goes on
 *   SMTP_TLS_VERIFY        ends, 4.7.4           ends, 4.7.4 or 4.7.5          ends, 4.7.5
 * All of these ends are temporary and of the connection: another host, or later. Bytes between the
 * 220 and the handshake end it under every policy (response injection, 4.7.0), as does an AUTH that
 * fails: wrong credentials of ours are no fault of a message. Where TLS comes first (tls_implicit) there
 * is nothing to fall back to: MAY is ENCRYPT.
 *
 * A 530, 534, 535 or 538 to a command after that says the same (RFC 4954 6, RFC 3207 4): we are wanted to
 * log in, or to use TLS. From a relay host it is temporary for whom it was said of, whoever that is; so is
 * from anyone in plaintext a 530 that names TLS. outcome.wants says so for the log.
 */
#ifndef RINGPOST_SMTP_CLIENT_H
#define RINGPOST_SMTP_CLIENT_H

#include "proto/mail/notify.h"
#include "proto/smtp/auth.h"
#include "proto/smtp/client_caps.h"
#include "proto/smtp/hint.h"
#include "proto/smtp/outcome.h"
#include "proto/smtp/reply.h"

enum {
    SMTP_CLIENT_WINDOW_MAX = 16,
    /* Of unanswered messages sent by BDAT: beyond, only two are under way. */
    SMTP_CLIENT_WINDOW_BYTES = 1024 * 1024,
    SMTP_CLIENT_LESSON_BYTES = 160, /* of the reply that something was learned from */
    SMTP_CLIENT_DOMAINS_MAX = 32,   /* a RCPTDOMAINMAX above it is taken for it */
    /* A BDAT body up to this goes out with its envelope, in one write; a bigger one waits for the
     * RCPT answers, because it could not be taken back when every recipient is refused. */
    SMTP_CLIENT_BDAT_EAGER_BYTES = 128 * 1024,
    /* Expected replies: per transaction RSET, MAIL, RCPTs (one row), DATA, end; and EHLO/QUIT. */
    SMTP_CLIENT_EXPECT_MAX = SMTP_CLIENT_WINDOW_MAX * 5 + 2,
    /* What one step may append to `out`: a full group with every DSN parameter. */
    SMTP_CLIENT_OUT_BYTES = 2048 + LIMIT_RECIPIENTS_PER_TRANSACTION *
                                       (LIMIT_ADDRESS_BYTES + LIMIT_ORCPT_BYTES + 80),
};

enum smtp_tls_policy { SMTP_TLS_NONE, SMTP_TLS_MAY, SMTP_TLS_ENCRYPT, SMTP_TLS_VERIFY };

struct smtp_client_config {
    struct slice helo_name; /* must outlive the client */
    bool pipelining;        /* use what the peer offers; false when it got it wrong before */
    bool chunking;
    /* Transactions begun and not done, at most SMTP_CLIENT_WINDOW_MAX. With DATA: 1 one after the other, 2
     * prefetch behind the final dot, more are of no use. */
    uint8_t window;
    uint8_t chunk_window; /* the same with BDAT; 0: as 1 */
    bool careful;         /* the peer has not shown yet that it bears overlapped transactions */
    bool check_order;     /* see above; costs a RSET per connection */
    enum smtp_tls_policy tls;
    bool tls_implicit; /* TLS from the first byte (RFC 8314 3.3); tls is not NONE */
    bool relay; /* a server of the configuration's: what it wants of us is no fault of mail */
    /* AUTH, unless the user is empty. The slices must outlive the client. */
    struct slice auth_user;
    struct slice auth_secret; /* the password; with SMTP_AUTH_XOAUTH2 the token */
    uint32_t auth_mechanisms; /* those that may be used with this secret */
    bool auth_without_tls;    /* also those that show the secret to whoever listens */
    bool auth_optional;       /* a peer that offers no AUTH at all is used without */
};

/* How much we send ahead of replies. */
enum smtp_client_mode {
    SMTP_MODE_STEPWISE,   /* one command at a time */
    SMTP_MODE_PIPELINED,  /* RFC 2920 */
    SMTP_MODE_OVERLAPPED, /* several messages by BDAT; also: BDAT at all */
};

enum smtp_client_trouble {
    SMTP_TROUBLE_NONE,
    SMTP_TROUBLE_REPLIES,  /* replies that do not fit what was sent */
    SMTP_TROUBLE_BDAT,     /* it offers CHUNKING and does not know BDAT */
    SMTP_TROUBLE_PIPELINE, /* it says that we must not pipeline */
    SMTP_TROUBLE_LOST,     /* the connection was lost with more than one reply due */
    SMTP_TROUBLE_SILENT,   /* a reply did not come, likewise */
};

enum smtp_txn_flag {
    SMTP_TXN_BODY_8BIT = 1,     /* the message has bytes >= 0x80 */
    SMTP_TXN_SMTPUTF8 = 2,      /* the message or an address needs SMTPUTF8 */
    SMTP_TXN_LEADING_DOT = 4,   /* a line of the body begins with a dot: DATA needs stuffing */
    SMTP_TXN_NO_FINAL_CRLF = 8, /* the body does not end with CRLF (it came by BDAT) */
};

struct smtp_client_rcpt {
    struct slice address;   /* without <> */
    struct slice orcpt;     /* value as the client sent it ("rfc822;xtext"), empty: none */
    uint8_t notify;         /* MAIL_NOTIFY_* */
    bool sent;              /* machine: RCPT is out */
    bool accepted;          /* machine: RCPT was answered 2xx */
    struct outcome outcome; /* machine: result; its text lives until the next smtp_client_begin
                             * or smtp_client_deinit */
};

struct smtp_client_txn {
    struct slice sender; /* without <>, empty: the null sender */
    struct slice envid;  /* as the client sent it (xtext), empty: none */
    enum mail_ret ret;
    uint32_t flags;      /* SMTP_TXN_* */
    uint64_t body_bytes; /* before dot-stuffing; exactly what the driver will send */
    char by_mode;        /* 'R', 'N': DELIVERBY; 0: not asked for */
    bool by_trace;
    int32_t by_s; /* what is left of the time */
    struct smtp_client_rcpt *rcpts;
    uint32_t rcpt_count; /* 1..LIMIT_RECIPIENTS_PER_TRANSACTION */
    bool answered;       /* machine: at least one reply belonged to it. A failed transaction that
                           * was not answered may be tried again at once elsewhere: a kept
                           * connection may have died before we used it. */
    bool again;          /* machine: so may this one, although it was: see above */
};

enum smtp_client_action {
    SMTP_CLIENT_WANT_REPLY,
    SMTP_CLIENT_READY,
    SMTP_CLIENT_SEND_BODY,
    SMTP_CLIENT_TXN_DONE,
    SMTP_CLIENT_START_TLS,
    SMTP_CLIENT_AUTH_CHALLENGE,
    SMTP_CLIENT_CLOSED,
};

enum smtp_client_cause {
    SMTP_FAIL_EOF,     /* the peer closed */
    SMTP_FAIL_IO,      /* reset or another socket error */
    SMTP_FAIL_TIMEOUT, /* the deadline of smtp_client_stage passed */
    SMTP_FAIL_LOCAL,   /* our side: the body cannot be read, shutdown */
};

enum smtp_client_state {
    SMTP_CLIENT_INIT,
    SMTP_CLIENT_GREETING,
    SMTP_CLIENT_EHLO,
    SMTP_CLIENT_HELO,
    SMTP_CLIENT_STARTTLS,
    SMTP_CLIENT_HANDSHAKE, /* the driver's turn */
    SMTP_CLIENT_AUTH,
    SMTP_CLIENT_SESSION,
    SMTP_CLIENT_QUITTING,
    SMTP_CLIENT_ENDED,
};

enum smtp_slot_state {
    SMTP_SLOT_FREE,
    SMTP_SLOT_PENDING, /* begun, no command sent */
    SMTP_SLOT_OPEN,    /* commands being sent or awaiting the go-ahead */
    SMTP_SLOT_BODY,    /* the driver has to send, or is sending, the body */
    SMTP_SLOT_SENT,    /* the end of the body was let out */
    SMTP_SLOT_DONE,
};

/* One begun transaction. */
struct smtp_client_slot {
    enum smtp_slot_state state;
    struct smtp_client_txn *txn;
    uint32_t rcpt_sent;     /* index of the next RCPT to send */
    uint32_t rcpt_answered; /* index of the next RCPT to be answered */
    uint32_t accepted;
    uint32_t open; /* recipients without an outcome */
    bool mail_sent;
    bool mail_ok;
    bool go_sent; /* DATA or BDAT is out */
    bool bdat;
    bool body_given; /* SEND_BODY was returned */
    bool ended;      /* smtp_client_body_end was called for it */
    bool behind;     /* its commands were sent behind a message that was not answered */
    bool settled;    /* DATA or BDAT was refused, or the end was answered */
    bool lone_dot;   /* 354 though no recipient was accepted: a dot without a body is due */
    bool doubt; /* BDAT was answered 500–504: `verdict` counts if RSET is understood behind it */
    struct outcome verdict;
    struct buf texts;
};

struct smtp_expect {
    uint8_t kind; /* enum smtp_expect_kind, client_private.h */
    uint8_t slot;
    uint16_t count; /* replies this row still waits for */
};

struct smtp_client_auth {
    enum smtp_auth_mechanism mechanism;
    uint32_t refused;     /* mechanisms the peer offered and did not take */
    uint8_t answers_left; /* challenges that may still be answered */
    bool line_due;
    bool begun;         /* the AUTH command is out */
    bool error_read;    /* XOAUTH2: the peer's error was acknowledged */
    bool challenge_due; /* the driver's turn */
    bool challenge_given;
    struct buf challenge;
    unsigned char digest[SMTP_AUTH_DIGEST_BYTES];
};

struct smtp_client {
    struct smtp_client_config config;
    enum smtp_client_state state;
    struct smtp_caps caps;
    struct smtp_reply_parser parser;
    struct smtp_client_slot slots[SMTP_CLIENT_WINDOW_MAX];
    uint8_t slot_first; /* oldest */
    uint8_t slot_count;
    struct smtp_expect expect[SMTP_CLIENT_EXPECT_MAX];
    uint8_t expect_first;
    uint8_t expect_count;
    bool hello_due;
    bool starttls_due;
    bool tls_given; /* START_TLS was returned */
    bool tls;
    bool authenticated;
    bool wants_plaintext;
    bool had_secret;
    bool needs_rset;
    bool chunks_known; /* it has taken a message by BDAT */
    bool doubt_asked;  /* the RSET that decides is out */
    bool quit_wanted;
    uint32_t replies;             /* whole ones that were read */
    uint32_t mails;               /* MAIL commands sent */
    uint32_t served;              /* messages taken by the peer */
    uint32_t full;                /* it had enough of this connection after so many; 0: not */
    bool closing;                 /* 421 after it took messages */
    enum smtp_hint hint;          /* of the reply at hand */
    enum smtp_client_mode mode;   /* the boldest so far on this connection */
    enum smtp_client_mode proven; /* the boldest in which a message was taken */
    enum smtp_client_trouble trouble;
    enum smtp_client_mode trouble_mode;
    uint8_t lesson_bytes;
    char lesson[SMTP_CLIENT_LESSON_BYTES];
    uint64_t mail_shape, rset_shape; /* what the answers look like; 0: not seen yet */
    bool distinct;                   /* that to the end of a message looked different */
    bool indistinct;                 /* it does not: nothing can be sent behind one */
    uint32_t domain_count; /* of recipients in this session, only if RCPTDOMAINMAX is limited */
    uint64_t domains[SMTP_CLIENT_DOMAINS_MAX];
    struct smtp_client_auth auth;
    struct outcome outcome;
    char outcome_text[LIMIT_OUTCOME_TEXT_BYTES];
};

void smtp_client_init(struct smtp_client *c, const struct smtp_client_config *config);
/* Every transaction must have been taken. */
void smtp_client_deinit(struct smtp_client *c);

/* The connection is up: the greeting is awaited. */
void smtp_client_start(struct smtp_client *c);

/* Consumes *in, appends to *out, says what is next (see above). */
enum smtp_client_action smtp_client_step(struct smtp_client *c, struct slice *in, struct buf *out);

/* The handshake of START_TLS is done. verified: the certificate is trusted and names the host. All that
 * the peer said before is forgotten. */
void smtp_client_tls_started(struct smtp_client *c, bool verified);
/* It is not, or the peer has refused our side of it (while smtp_client_tls_is_new); why is one line. */
void smtp_client_tls_failed(struct smtp_client *c, struct slice why);
/* The handshake is done and nothing has come under it yet. In TLS 1.3 ours ends before the server has
 * judged our certificate, or the lack of one: an alert now still belongs to the handshake. */
bool smtp_client_tls_is_new(const struct smtp_client *c);
/* After CLOSED: STARTTLS was offered and failed, and the policy allows plaintext: on a new
 * connection, with SMTP_TLS_NONE (RFC 3207 says nothing of what a failed one is good for). */
bool smtp_client_wants_plaintext(const struct smtp_client *c);

/* Between AUTH_CHALLENGE and smtp_client_cram. */
struct slice smtp_client_challenge(const struct smtp_client *c);
void smtp_client_cram(struct smtp_client *c, const unsigned char digest[SMTP_AUTH_DIGEST_BYTES]);
/* Since the last call `out` was given (a part of) an AUTH exchange: wipe it when it is sent. */
bool smtp_client_had_secret(struct smtp_client *c);

/* There is room in the window and the session is up. */
bool smtp_client_can_begin(const struct smtp_client *c);
/* The same, and its commands would go out at once. */
bool smtp_client_can_follow(const struct smtp_client *c);
/* Recipients one transaction can have here (LIMITS RCPTMAX). Those beyond get 4.5.3 unsent. */
uint32_t smtp_client_rcpt_max(const struct smtp_client *c);
/* Of these, in their order, which may be sent on this connection (LIMITS RCPTDOMAINMAX: domains of a
 * session)? taken[i] says so; the number of them. Those that may not would get 4.5.3 unsent. */
uint32_t smtp_client_rcpt_fit(const struct smtp_client *c, const struct slice *addresses,
                              uint32_t count, bool *taken);
/* Begins a transaction; smtp_client_can_begin must hold. What can be known without asking the peer
 * (size, 8-bit, SMTPUTF8, broken addresses) is decided here, no byte is sent for it. */
void smtp_client_begin(struct smtp_client *c, struct smtp_client_txn *txn);

struct smtp_client_body {
    struct smtp_client_txn *txn;
    bool dot_stuff;     /* send it through mail_dot */
    uint32_t end_bytes; /* smtp_client_body_end will append so many at least, before any command */
};

/* The body to send; only between SEND_BODY and smtp_client_body_end. */
struct smtp_client_body smtp_client_body(const struct smtp_client *c);
/* Likewise: every transaction before it has its outcome, so that giving up the connection makes no other one
 * unknown. */
bool smtp_client_body_is_next(struct smtp_client *c);
/* See above. False: the connection failed meanwhile, do not send the rest of the body; step. */
bool smtp_client_body_end(struct smtp_client *c, struct buf *out);

/* After TXN_DONE: the oldest finished transaction. */
struct smtp_client_txn *smtp_client_take(struct smtp_client *c);

/* QUIT after all that was begun. */
void smtp_client_quit(struct smtp_client *c);

/* The connection is lost, or the driver gives it up. No effect when it has ended already. */
void smtp_client_fail(struct smtp_client *c, enum smtp_client_cause cause);

/* What is awaited, for the read deadline (RFC 5321 4.5.3.2): BODY while the driver sends a body and
 * no reply is due, NONE while idle. */
enum outcome_stage smtp_client_stage(const struct smtp_client *c);

/* After CLOSED, see above; *mode: in which we spoke. */
enum smtp_client_trouble smtp_client_trouble(const struct smtp_client *c,
                                             enum smtp_client_mode *mode);
/* Of the boldest mode in which a message was taken on this connection. */
enum smtp_client_mode smtp_client_proven(const struct smtp_client *c);
/* The reply that taught us either of these, its code first, as far as it is kept; empty: none did. */
struct slice smtp_client_lesson(const struct smtp_client *c);
/* The peer has taken so many messages and wants no more on this connection; 0: it did not say so. */
uint32_t smtp_client_full(const struct smtp_client *c);

/* How the connection ended; kind NONE while it lives or when it ended in order. */
const struct outcome *smtp_client_outcome(const struct smtp_client *c);

#endif
