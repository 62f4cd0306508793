/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * classify - what a failure is about: bounce classes
 *
 * Purpose:   one of some thirty classes for every outcome that is not delivered: for logs, lists,
 *            automation and whoever cleans address lists. A table of rows decides, the first that matches;
 *            rows of the configuration come before the built-in ones (classify_builtin.inc).
 * Own:       findings of our own (outcome.remote false) are classified without rows, by stage and enhanced
 *            code: no row can match them.
 * Check:     every row has a sample reply that it must match, and that no row before it in the same
 *            table may take: such a row could never fire for what it is meant for. A row of the
 *            configuration may well take what was a built-in row's: that is what it is for.
 * Owner:     classifier_new, classifier_free; rows are not kept. A scratch belongs to one thread.
 * Thread:    the classifier is immutable: any. A scratch: its owner's.
 * Limits:    CLASSIFY_ROWS_MAX; CLASSIFY_CACHE answers are remembered per scratch.
 * Errors:    classifier_new: NULL; every mistake is in the report with file and line.
 */
#ifndef RINGPOST_POLICY_CLASSIFY_H
#define RINGPOST_POLICY_CLASSIFY_H

#include "core/policy/reply_match.h"

enum { CLASSIFY_ROWS_MAX = 2000, CLASSIFY_CACHE = 512 };

/* Values are kept on disk and in logs: new ones at the end. At most 64. */
enum bounce_class {
    BOUNCE_UNCLASSIFIED,
    BOUNCE_INVALID_RECIPIENT, /* no such mailbox */
    BOUNCE_INACTIVE_MAILBOX,  /* disabled, suspended, not used for long */
    BOUNCE_MAILBOX_FULL,      /* over quota */
    BOUNCE_MOVED,             /* has another address now */
    BOUNCE_BAD_DOMAIN,        /* the domain does not exist or takes no mail */
    BOUNCE_INVALID_SENDER,    /* the envelope or header sender is refused */
    BOUNCE_MESSAGE_TOO_LARGE,
    BOUNCE_CONTENT,      /* format, attachments, headers: not called spam */
    BOUNCE_SPAM_CONTENT, /* this message looks like spam */
    BOUNCE_VIRUS,
    BOUNCE_SPAM_BLOCK,        /* who sends is refused: reputation of the address or network */
    BOUNCE_BLOCKLIST,         /* the same, by a list that is named */
    BOUNCE_DOMAIN_REPUTATION, /* the same, of the sender's domain, of DKIM's, or of a URL's */
    BOUNCE_AUTHENTICATION,    /* SPF, DKIM, DMARC */
    BOUNCE_REVERSE_DNS,       /* PTR record or EHLO name */
    BOUNCE_POLICY,            /* a rule of the receiver, no further reason */
    BOUNCE_RECIPIENT_POLICY,  /* this recipient takes no mail from outside or from this sender */
    BOUNCE_RATE_LIMITED,      /* too much in a time */
    BOUNCE_TOO_MANY_CONNECTIONS,
    BOUNCE_TOO_MANY_MESSAGES,   /* on one connection */
    BOUNCE_TOO_MANY_RECIPIENTS, /* in one transaction */
    BOUNCE_GREYLISTED,
    BOUNCE_RELAYING_DENIED,
    BOUNCE_LOGIN,     /* wants one, or refuses ours */
    BOUNCE_TLS,       /* wants it, or it failed */
    BOUNCE_ROUTING,   /* loops, no route */
    BOUNCE_DNS,       /* could not be looked up */
    BOUNCE_NO_ANSWER, /* no connection came about */
    BOUNCE_TIMEOUT,   /* the peer fell silent */
    BOUNCE_CONNECTION_LOST,
    BOUNCE_PROTOCOL,  /* commands or replies that make no sense */
    BOUNCE_SYSTEM,    /* trouble on the receiver's side, or on ours */
    BOUNCE_TRY_LATER, /* temporary, no further reason */
    BOUNCE_EXPIRED,   /* tried for too long; made by the queue, never by a row */
    BOUNCE_CLASSES,
};

must_static(BOUNCE_CLASSES <= 64, "a set of classes is a word");

/* "mailbox-full". */
struct slice bounce_class_name(enum bounce_class class);
bool bounce_class_find(struct slice name, enum bounce_class *out);

struct classify_row {
    struct conf_origin at;
    struct slice class; /* a name of bounce_class_name */
    struct reply_match_text match;
};

struct classify_rows {
    const struct classify_row *items;
    size_t count;
};

/* The built-in table. Rows' origin: CONF_FROM_FILE, "classify_builtin.inc", line. */
struct classify_rows classify_builtin(void);

struct classifier;

/* extra: before the built-in rows. `builtin` false: only those. */
struct classifier *classifier_new(const struct classify_rows *extra, bool builtin,
                                  struct conf_report *report);
void classifier_free(struct classifier *c);

struct classify_scratch {
    struct pattern_matcher matcher;
    struct classify_answer
        *cache; /* CLASSIFY_CACHE, by hash: of the rows too, so a reload needs no care */
    uint64_t seed;
    uint64_t asked;
    uint64_t cached;
};

bool classify_scratch_open(struct classify_scratch *s, uint64_t seed);
void classify_scratch_close(struct classify_scratch *s);

struct classify_result {
    enum bounce_class class;
    uint32_t row; /* index: extra rows first, then built-in ones; CLASSIFY_NO_ROW: none matched */
};

#define CLASSIFY_NO_ROW UINT32_MAX

/* seen->outcome must not be delivered. */
struct classify_result classify(const struct classifier *c, struct classify_scratch *s,
                                const struct reply_seen *seen);

/* Where a row stands, for explanations. Valid as long as the rows' names are. */
struct conf_origin classify_row_origin(const struct classifier *c, uint32_t row);

#endif
