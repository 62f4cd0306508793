/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * server - the inbound SMTP session as a machine without I/O
 *
 * Purpose:   turns bytes of a client into replies and actions for its driver. Commands, envelope,
 *            DATA and BDAT, STARTTLS and AUTH; policy, storage, TLS and passwords are the driver's.
 *            The same machine runs behind a socket, under the fuzzer and in the simulator: the
 *            meaning never depends on how the bytes were cut into segments.
 * Owner:     the session that embeds struct smtp_server; init, deinit. The config is shared, const,
 *            and outlives the machine.
 * Thread:    the owner's.
 * Memory:    idle: the struct (192 bytes) and the HELO name. A cut command line holds at most
 *            LIMIT_COMMAND_LINE_BYTES (AUTH: SMTP_AUTH_LINE_BYTES), an AUTH exchange as much again,
 *            a transaction its envelope; all are given back at once.
 *            Body bytes are never kept here: BODY_DATA lends slices of the caller's input.
 * Errors:    a client's errors are replies. When memory is missing: 451 4.3.0 or 452 4.3.1.
 * Durability: BODY_COMMIT asks; the 250 is written only by smtp_server_answer, after the driver's
 *            fdatasync. Until then no input is consumed.
 * Secrets:   what an exchange decoded is wiped when it ends, lines always. The driver wipes its own
 *            input when smtp_server_had_secret says so.
 * RFC:       5321, 1870, 2034, 2852, 2920, 3030, 3207, 3461, 4865, 4954, 6152, 6531, 9422.
 *
 * The driver's loop:
 *
 *     smtp_server_greet(&s, &out);
 *     for (;;) switch (smtp_server_step(&s, &in, &out)) {
 *     case SMTP_SERVER_WANT_INPUT: send out, receive, set deadline by smtp_server_phase(); break;
 *     case SMTP_SERVER_FLUSH:      send and clear out, go on; break;
 *     case SMTP_SERVER_WAIT:       an answer is owed: keep `in`, step again after the answer; break;
 *     case SMTP_SERVER_CHECK_MAIL: policy; smtp_server_answer(&s, &verdict, &out), now or later; break;
 *     ...
 *     case SMTP_SERVER_START_TLS:  send out, shake hands, smtp_server_tls_started(&s); what comes
 *                                  next out of the TLS stream is input. On failure close.
 *     case SMTP_SERVER_CLOSE:      send out, close; return;
 *     }
 *
 * Implicit TLS: shake hands, smtp_server_tls_started, then smtp_server_greet.
 */
#ifndef RINGPOST_SMTP_SERVER_H
#define RINGPOST_SMTP_SERVER_H

#include "core/base/limits.h"
#include "proto/smtp/auth.h"
#include "proto/smtp/envelope.h"
#include "proto/smtp/reply_out.h"

enum smtp_server_action {
    SMTP_SERVER_WANT_INPUT, /* all of *in was consumed */
    SMTP_SERVER_FLUSH, /* out holds SMTP_SERVER_OUT_HIGH bytes or more: send and clear it first */
    SMTP_SERVER_WAIT,  /* an answer is outstanding; nothing was consumed */
    SMTP_SERVER_CHECK_MAIL, /* owed an answer. See smtp_server_envelope: the sender */
    SMTP_SERVER_CHECK_RCPT, /* owed an answer. The last recipient of the envelope is the candidate */
    SMTP_SERVER_BODY_BEGIN,  /* owed an answer: open storage. Accept, or e.g. 452 4.3.1 */
    SMTP_SERVER_BODY_DATA,   /* append smtp_server_data(); it lives until the next call */
    SMTP_SERVER_BODY_COMMIT, /* owed an answer: make it durable, then 250 2.0.0 "queued as ID" */
    SMTP_SERVER_BODY_ABORT, /* drop what was stored since BODY_BEGIN; no answer. The envelope may be
                               gone already; smtp_server_fault() says why (NULL: RSET, QUIT, EHLO) */
    SMTP_SERVER_START_TLS,  /* out ends with the 220; owed smtp_server_tls_started, or close */
    SMTP_SERVER_AUTH_CHALLENGE, /* owed smtp_server_challenge: CRAM-MD5 begins */
    SMTP_SERVER_CHECK_AUTH,     /* owed an answer: see smtp_server_auth */
    SMTP_SERVER_CLOSE,          /* send out, then close. Every later step says the same */
};

/* For deadlines. */
enum smtp_server_phase {
    SMTP_PHASE_GREETING, /* before smtp_server_greet */
    SMTP_PHASE_COMMAND,  /* the client's turn: a command (RFC 5321 4.5.3.2.7: 5 minutes) */
    SMTP_PHASE_BODY,     /* DATA or a BDAT chunk is arriving */
    SMTP_PHASE_WAIT,     /* the driver's turn */
    SMTP_PHASE_TLS,      /* the handshake; one deadline for all of it */
    SMTP_PHASE_CLOSED,
};

enum smtp_server_state {
    SMTP_STATE_GREETING,       /* the banner is not out yet */
    SMTP_STATE_START,          /* no HELO/EHLO yet */
    SMTP_STATE_READY,          /* no transaction */
    SMTP_STATE_CHECK_MAIL,     /* answer owed */
    SMTP_STATE_MAIL,           /* sender accepted, no recipient yet */
    SMTP_STATE_CHECK_RCPT,     /* answer owed */
    SMTP_STATE_RCPT,           /* at least one recipient */
    SMTP_STATE_CHECK_DATA,     /* answer owed: storage for DATA */
    SMTP_STATE_DATA,           /* message text up to CRLF.CRLF */
    SMTP_STATE_CHECK_BDAT,     /* answer owed: storage for the first chunk */
    SMTP_STATE_CHUNK,          /* octets of a BDAT chunk */
    SMTP_STATE_BDAT,           /* between chunks */
    SMTP_STATE_SWALLOW,        /* octets of a BDAT chunk outside a transaction that could use it */
    SMTP_STATE_COMMIT,         /* answer owed: is it durable */
    SMTP_STATE_STARTTLS,       /* tls_started owed */
    SMTP_STATE_AUTH_CHALLENGE, /* challenge owed */
    SMTP_STATE_AUTH,           /* the client's next line belongs to the exchange */
    SMTP_STATE_CHECK_AUTH,     /* answer owed */
    SMTP_STATE_CLOSED,
    SMTP_STATE_COUNT
};

enum { SMTP_SERVER_OUT_HIGH = 8 * 1024 }; /* the driver's out buf must take twice this */

struct smtp_server_config {
    struct slice hostname;
    struct slice greeting;     /* behind "220 hostname ESMTP ", may be empty */
    uint64_t size_max;         /* bytes of a message; 0: no limit */
    uint64_t bdat_swallow_max; /* a refused chunk above this ends the session instead */
    uint32_t recipients_max;   /* 1..LIMIT_RECIPIENTS */
    uint32_t line_length_max;  /* without CRLF; 0: any length passes */
    uint32_t header_bytes_max;
    uint32_t header_fields_max;
    uint32_t hops_max;        /* this many Received fields are refused; 0: not counted as a fault */
    uint32_t errors_max;      /* after so many error replies: 421 4.7.0 */
    uint32_t junk_max;        /* NOOP, RSET, ... beyond this count as errors */
    bool normalize_bare_lf;   /* bare LF becomes CRLF instead of 550 (bare CR is always refused) */
    bool refuse_early_talker; /* input before smtp_server_greet: 554 5.5.0 and close */
    bool tls_required;   /* before TLS only EHLO HELO STARTTLS NOOP HELP QUIT; others 530 5.7.0 */
    bool auth_needs_tls; /* before TLS AUTH is not on offer and answered by 538 5.7.11 */
    bool auth_says_530;  /* 530 5.7.0 instead of 538 */
    bool auth_required;  /* MAIL without it: 530 5.7.0. Only where access is refused at MAIL */
    uint32_t auth_mechanisms;   /* SMTP_AUTH_PLAIN, _LOGIN, _CRAM_MD5 */
    uint32_t auth_failures_max; /* the login after so many failed ones: 421 4.7.0; 0: no matter */
    uint32_t features;          /* SMTP_FEATURE_* */
    uint32_t future_release_s;  /* FUTURERELEASE: how long mail may be held */
    uint32_t deliver_by_s;      /* DELIVERBY: the shortest time of mode R */
};

/* The defaults; hostname must still be set. */
void smtp_server_config_init(struct smtp_server_config *c);

/* What was seen while the body streamed past; valid in BODY_COMMIT until the answer. */
struct smtp_body_facts {
    uint64_t size;         /* canonical bytes handed out */
    uint64_t header_end;   /* offset of the first byte behind the header's empty line; the first
                                byte that is not header when there is no empty line; size when the
                                message is all header */
    uint32_t line_longest; /* without CRLF */
    uint32_t header_fields;
    uint32_t hops; /* Received fields */
    bool has_8bit;
    bool header_has_8bit;
    bool leading_dot;    /* some canonical line begins with ".": DATA out must stuff */
    bool normalized;     /* a bare LF was changed */
    bool line_end_added; /* BDAT text did not end in CRLF */
};

/* What holds for one session only. */
enum {
    SMTP_SESSION_NO_TLS = 1,  /* STARTTLS is configured but not to be had: 454 4.7.0 */
    SMTP_SESSION_NO_AUTH = 2, /* AUTH is not offered to this client: 503 5.5.1 */
    SMTP_SESSION_TRUSTED = 4, /* auth_required is not for this client */
};

struct smtp_transaction;   /* server_tx.h */
struct smtp_auth_exchange; /* server_tx.h */

struct smtp_server {
    const struct smtp_server_config *config;
    struct smtp_transaction *tx;     /* between MAIL and its end */
    struct smtp_auth_exchange *auth; /* between AUTH and its answer */
    struct buf line;                 /* a command line cut by the segment's end */
    struct buf helo;
    struct slice data;
    uint64_t chunk_left; /* octets of the BDAT chunk still to come */
    uint64_t chunk_size;
    const struct smtp_verdict *chunk_reply; /* SWALLOW: what to say after the octets */
    uint32_t errors;
    uint32_t junk;
    uint16_t lines_too_long;
    uint8_t state; /* enum smtp_server_state, changed only by smtp_server_set_state */
    bool esmtp;
    bool chunk_last;
    bool line_skip;    /* discarding the rest of a line that is too long */
    bool line_is_auth; /* the line being discarded belonged to AUTH */
    bool first_seen;   /* a byte of the first command was looked at */
    bool abort_due;    /* BODY_ABORT is owed to the driver */
    bool tls;
    bool authenticated;
    bool had_secret;
    uint8_t flags;  /* SMTP_SESSION_* */
    uint32_t now_s; /* since 1970, of the latest smtp_server_set_now */
    uint32_t auth_failures;
    uint32_t auth_failed_mechanisms; /* tried in vain for this user since its failure was counted */
    uint64_t auth_failed_user;       /* a hash; 0: nobody has failed yet */
    const struct smtp_verdict *abort_fault;
};

void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config);
/* Storage the driver opened at BODY_BEGIN and was not told to drop is the driver's to drop. */
void smtp_server_deinit(struct smtp_server *s);

/* Any time: SMTP_SESSION_*. */
void smtp_server_set_flags(struct smtp_server *s, uint8_t flags);

/* Before steps, where FUTURERELEASE or DELIVERBY is on offer: seconds since 1970. */
static inline void smtp_server_set_now(struct smtp_server *s, uint64_t wall_s)
{
    s->now_s = (uint32_t)wall_s;
}

/* Writes the 220 banner. */
void smtp_server_greet(struct smtp_server *s, struct buf *out);

/* Consumes from *in (advances it), appends replies to out, returns what the driver does next. */
enum smtp_server_action smtp_server_step(struct smtp_server *s, struct slice *in, struct buf *out);

/* The answer to CHECK_MAIL, CHECK_RCPT, BODY_BEGIN, BODY_COMMIT, CHECK_AUTH. code 0 or 2xx accepts
 * (with the given text, if any), 4xx/5xx refuses, close or 421 ends the session. Text is copied. */
void smtp_server_answer(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out);

/* Between BODY_BEGIN's acceptance and BODY_COMMIT: storage failed. The rest is read and dropped and
 * v (its text is copied) is the reply at the end. The driver drops its storage by itself; no
 * BODY_ABORT follows. */
void smtp_server_body_fail(struct smtp_server *s, const struct smtp_verdict *v);

/* Any time: a last reply (421 4.3.2 shutting down, 421 4.4.2 timeout) and CLOSE. An open body is
 * announced by BODY_ABORT first. Between START_TLS and tls_started there is nothing a client could
 * read a reply from: just close. */
void smtp_server_shut(struct smtp_server *s, const struct smtp_verdict *v, struct buf *out);

/* The handshake of START_TLS is done, or that of implicit TLS (before smtp_server_greet). All that
 * the client said before is forgotten (RFC 3207 4.2): it must begin with EHLO again. */
void smtp_server_tls_started(struct smtp_server *s);
/* The challenge for CRAM-MD5, "<unique@host>": 1..SMTP_AUTH_CHALLENGE_BYTES. */
void smtp_server_challenge(struct smtp_server *s, struct slice challenge, struct buf *out);
/* Only in CHECK_AUTH: it is wiped by the answer and by smtp_server_deinit. Who checks elsewhere
 * (another thread) takes a copy and wipes it. */
const struct smtp_auth *smtp_server_auth(const struct smtp_server *s);
/* Only in CHECK_AUTH: false when it is the login that has just failed, tried by another mechanism. */
bool smtp_server_auth_is_new(const struct smtp_server *s);
/* Since the last call the input held (a part of) an AUTH exchange: wipe what was consumed. */
bool smtp_server_had_secret(struct smtp_server *s);

enum smtp_server_phase smtp_server_phase(const struct smtp_server *s);
struct slice smtp_server_data(const struct smtp_server *s);
/* From CHECK_MAIL until the answer to BODY_COMMIT; NULL outside a transaction. */
const struct smtp_envelope *smtp_server_envelope(const struct smtp_server *s);
const struct smtp_body_facts *smtp_server_facts(const struct smtp_server *s);
/* Why the body at hand (or the one just aborted) is refused; NULL when it is not. */
const struct smtp_verdict *smtp_server_fault(const struct smtp_server *s);
/* The name of HELO/EHLO; empty before. */
struct slice smtp_server_helo(const struct smtp_server *s);
bool smtp_server_esmtp(const struct smtp_server *s);
static inline bool smtp_server_tls(const struct smtp_server *s)
{
    return s->tls;
}
static inline bool smtp_server_authenticated(const struct smtp_server *s)
{
    return s->authenticated;
}
/* Failed logins of this session. Many clients try one mechanism after the other with the same wrong
 * password: that is one failure. A user counts again when a mechanism comes round again. */
static inline uint32_t smtp_server_auth_failures(const struct smtp_server *s)
{
    return s->auth_failures;
}
/* Error replies since the last accepted message: above 10 the driver may slow the client down. */
static inline uint32_t smtp_server_errors(const struct smtp_server *s)
{
    return s->errors;
}

#endif
