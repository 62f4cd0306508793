/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim - who signs for which author domain
 *
 * Purpose:   the table author domain → signatures (selector, key, canonicalisations): exact names,
 *            sub-domains of a name, and a default for every other domain. The most exact rule wins
 *            and is the only one: exact name, nearest parent with sub-domains, default.
 * Owner:     dkim_table_new; keys are loaded by and belong to the table. Reference-counted
 *            (dkim_table_ref, dkim_table_put): a message in the making keeps the keys it signs with
 *            through a reload.
 * Thread:    filled by one; immutable afterwards, then any.
 * Limits:    DKIM_SIGNATURES_MAX signatures per domain.
 * Errors:    dkim_table_add: false, one line "WHERE: what is wrong" in errors. Warnings likewise.
 * RFC:       6376 3.5 (d=, s=), 8616 2 (A-labels).
 */
#ifndef RINGPOST_POLICY_DKIM_H
#define RINGPOST_POLICY_DKIM_H

#include "core/base/map.h"
#include "proto/mail/dkim_header.h"

enum { DKIM_SIGNATURES_MAX = 4 };

struct dkim_key; /* of tls/, or a test's: never looked into here */

struct dkim_key_facts {
    enum dkim_algorithm algorithm;
    unsigned bits;
    bool weak; /* works, but is to be warned of */
};

/* How keys come and go; siblings do not include each other, core/relay joins tls/ with this. */
struct dkim_key_ops {
    /* is_path: text names a file; else it is the key. NULL: the reason, without LF, is in why. */
    struct dkim_key *(*load)(struct slice text, bool is_path, struct dkim_key_facts *facts,
                             struct buf *why);
    void (*release)(struct dkim_key *key);
};

struct dkim_entry {
    struct slice domain; /* "" : every domain that has no rule */
    bool names;          /* for the domain itself */
    bool subdomains;     /* for everything below it */
    struct slice
        signing_domain; /* d=; "": domain, for the default the author's own; "%": always that */
    struct slice selector;
    struct slice key; /* path or text */
    bool key_is_path;
    enum dkim_canon header_canon;
    enum dkim_canon body_canon;
    struct slice where; /* "file:12" or a configuration key, for messages */
};

struct dkim_rule_key {
    const struct dkim_key *key;
    enum dkim_algorithm algorithm;
    enum dkim_canon header_canon;
    enum dkim_canon body_canon;
    struct slice selector;
    struct slice domain; /* "": the author's */
};

struct dkim_rule {
    struct map_node node;
    struct slice pattern; /* "example.org", ".example.org" (what is below it), "" */
    size_t count;
    struct dkim_rule_key keys[DKIM_SIGNATURES_MAX];
};

struct dkim_table;

/* A word of somebody's file for a message of one line: controls become "?". */
void dkim_add_shown(struct buf *out, struct slice word);

/* NULL: no memory. valid_s: x= lies so much after t=; 0: no x=. */
struct dkim_table *dkim_table_new(const struct dkim_key_ops *ops, uint64_t valid_s);
struct dkim_table *dkim_table_ref(struct dkim_table *t);
void dkim_table_put(struct dkim_table **t);

bool dkim_table_add(struct dkim_table *t, const struct dkim_entry *e, struct buf *errors,
                    struct buf *warnings);
size_t dkim_table_count(const struct dkim_table *t); /* rules; 0: nothing is ever signed */
/* Every rule, in no order: start with *bucket = 0 and NULL; NULL at the end. */
const struct dkim_rule *dkim_table_next(const struct dkim_table *t, size_t *bucket,
                                        const struct dkim_rule *after);
uint64_t dkim_table_valid_s(const struct dkim_table *t);
/* The file of every key that was read from one, each once, in no order. */
void dkim_table_key_files(const struct dkim_table *t, void (*each)(void *ctx, struct slice path),
                          void *ctx);
/* domain as dkim_domain_normalize makes it. NULL: not signed. */
const struct dkim_rule *dkim_table_find(const struct dkim_table *t, struct slice domain);

/* A-labels, lower case, no final dot. False: no domain name (an address literal, an odd character, too
 * long). */
bool dkim_domain_normalize(struct slice text, struct dkim_domain *out);
/* RFC 6376 3.1: labels of letters, digits, '-', '_', with dots between. */
bool dkim_selector_valid(struct slice text);

#endif
