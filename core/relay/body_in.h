/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * body_in - a message on its way in
 *
 * Purpose:   what a session receives between BODY_BEGIN and the commit: our Received field and added
 *            fields, the filtered header, the body; small ones in memory, big ones in fragments that go
 *            to the spool as they fill. At the end it becomes a struct queue_message.
 * Owner:     the session; body_in_open … body_in_close (drops what was stored) or body_in_submit
 *            (the queue took it over).
 * Thread:    the worker's.
 * Limits:    LIMIT_BODY_INLINE_BYTES plus one receive buffer in memory; where limits.memory is used up, an eighth
 *            of it, and nothing more (FULL) when all bodies together are at twice that limit.
 * Errors:    body_in_add: SPOOL_WAIT: call body_in_flush later, before the next add; FULL, FAILED: as
 *            spool_frame_begin.
 */
#ifndef RINGPOST_RELAY_BODY_IN_H
#define RINGPOST_RELAY_BODY_IN_H

#include "core/policy/dkim_signer.h"
#include "core/relay/relay.h"
#include "proto/mail/authors.h"

struct body_in {
    struct relay *relay;
    uint64_t id;
    uint64_t arrival_us;
    uint64_t lost_commits; /* the queue's, at the beginning */
    struct buf bytes;      /* not yet in a fragment */
    uint64_t total;        /* all content so far */
    uint64_t header_bytes;
    struct mail_headers filter;
    struct mail_headers_config filter_config;
    struct mail_authors authors; /* while wants_authors */
    const struct relay_settings *settings;
    struct attributes
        attributes;  /* decided before body_in_submit; names: of the filter, the settings */
    bool submission; /* Date and Message-ID are added when missing (RFC 6409 8) */
    bool wants_authors;
    bool header_over;
    bool ended;   /* the filter has seen the end */
    bool counted; /* bytes.cap is part of relay->inflight_bytes */
    uint32_t fragment_count;
    uint32_t fragment_cap;
    struct spool_fragment_ref *fragments;
    struct queue_hold *holds;
    struct slice sender;           /* of the envelope, for add_missing; valid while receiving */
    struct queue_message *message; /* made, but the spool had no room yet */
    struct dkim_signer *signer;    /* NULL: not signed, or at work elsewhere, or done */
    struct buf signature;          /* fields to go on top */
    char dkim[QUEUE_META_DKIM_BYTES_MAX + 1]; /* whose they are; "": nobody signs */
    bool finished;                            /* all content is in */
    bool reserved;                            /* fragment 0 is kept free for the signature */
};

struct body_in_origin {
    struct slice helo;
    const struct ip_endpoint *peer;
    uint32_t with; /* MAIL_WITH_* */
    const struct smtp_envelope *envelope;
    bool submission;
    bool wants_authors; /* body_in_take_authors will be called */
    bool trusted;       /* the fields that say attributes count; else they are only removed */
};

/* NULL: no memory (452 4.3.1). */
struct body_in *body_in_open(struct relay *r, const struct relay_settings *settings,
                             const struct body_in_origin *origin);
void body_in_close(struct body_in **b);

enum spool_append body_in_add(struct body_in *b, struct slice data);
/* Once, when the header is over: in whose name it is written, without what we added. NULL: not yet, or
 * nobody wants to know. It lives as long as b. */
const struct mail_authors *body_in_take_authors(struct body_in *b);

/* All content was added: the header is over. False: no memory. */
bool body_in_end(struct body_in *b);
/* After body_in_end. True: it must be signed before body_in_submit: take the signer, which the caller
 * then owns, and bring it back with body_in_signed. */
enum body_in_sign { BODY_IN_READY, BODY_IN_TO_SIGN, BODY_IN_NO_MEMORY };
enum body_in_sign body_in_finish(struct body_in *b, struct dkim_signer **signer);
/* Its jobs are done. False: it could not be signed (451: never sent unsigned where a key says so). */
bool body_in_signed(struct body_in *b, const struct dkim_signer *signer);

/* Writes full fragments out. */
enum spool_append body_in_flush(struct body_in *b);

/* The message is complete: makes the queue's message of it and appends its record. APPENDED: the queue
 * owns it, *b is closed; WAIT: again later; else it stays to be closed. */
enum spool_append body_in_submit(struct body_in **b, const struct smtp_envelope *envelope,
                                 const struct smtp_body_facts *facts, struct handle submitter);

#endif
