/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   HEADER ──header_end──► BODY ──finish──► DONE (jobs)
 *      └── no author, no key, no header ──► SKIPPED (from every state; calls do nothing)
 *
 * At the header's end the author's domain chooses the rule, the chosen fields are hashed and the text
 * is let go. Signatures share what they can: two canonicalisations of a header and two of a body are
 * all there are, whatever the number of keys. A header's state is copied for each signature, which
 * appends its own field (RFC 6376 3.7).
 */
#include "core/policy/dkim_signer.h"

#include "core/base/must.h"

#include <stdlib.h>

enum state { STATE_HEADER, STATE_BODY, STATE_DONE, STATE_SKIPPED };

enum {
    /* Every field named once more than it occurs: names of at most 26 bytes and their colons. */
    NAMES_BYTES_MAX = (LIMIT_HEADER_FIELDS + 32) * 32,
    FIELD_BYTES_MAX = NAMES_BYTES_MAX * 2 + 4096,
    BLANK_BYTES = 2,
};

/* A hash with the sink that fills it. */
struct hashing {
    const struct digest_ops *ops;
    struct digest_state state;
    bool used;
};

struct dkim_signer {
    struct dkim_table *table;
    const struct digest_ops *ops;
    const struct dkim_rule *rule;
    enum state state;
    enum dkim_skip skip;
    size_t blank_seen; /* bytes of the empty line between header and body */
    struct dkim_domain author;
    struct dkim_header header;
    struct buf names;
    struct hashing header_hash[DKIM_CANON_COUNT];
    struct hashing body_hash[DKIM_CANON_COUNT];
    struct dkim_canon_body body[DKIM_CANON_COUNT];
    size_t count;
    struct buf fields[DKIM_SIGNATURES_MAX]; /* up to b= */
    struct dkim_job jobs[DKIM_SIGNATURES_MAX];
};

static void hashing_add(void *ctx, struct slice text)
{
    struct hashing *h = ctx;
    h->ops->add(&h->state, text);
}

static struct dkim_sink hashing_begin(struct hashing *h, const struct digest_ops *ops)
{
    h->ops = ops;
    h->used = true;
    ops->init(&h->state);
    return (struct dkim_sink){hashing_add, h};
}

struct dkim_signer *dkim_signer_begin(struct dkim_table *table, const struct digest_ops *sha256,
                                      size_t header_bytes_max)
{
    must(sha256->result_bytes == DIGEST_SHA256_BYTES);
    struct dkim_signer *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->table = dkim_table_ref(table);
    s->ops = sha256;
    dkim_header_init(&s->header, header_bytes_max);
    buf_init(&s->names, NAMES_BYTES_MAX);
    for (size_t i = 0; i < DKIM_SIGNATURES_MAX; i++) {
        buf_init(&s->fields[i], FIELD_BYTES_MAX);
    }
    return s;
}

void dkim_signer_end(struct dkim_signer **signer)
{
    struct dkim_signer *s = *signer;
    *signer = NULL;
    if (!s) {
        return;
    }
    dkim_header_deinit(&s->header);
    buf_deinit(&s->names);
    for (size_t i = 0; i < DKIM_SIGNATURES_MAX; i++) {
        buf_deinit(&s->fields[i]);
    }
    dkim_table_put(&s->table);
    free(s);
}

static void signer_skip(struct dkim_signer *s, enum dkim_skip skip)
{
    must(skip != DKIM_SKIP_NOT);
    s->state = STATE_SKIPPED;
    s->skip = skip;
    s->count = 0;
    dkim_header_deinit(&s->header);
}

/* ---- header ---- */

void dkim_signer_header(struct dkim_signer *s, struct slice text)
{
    must(s->state == STATE_HEADER || s->state == STATE_SKIPPED);
    if (s->state == STATE_HEADER) {
        dkim_header_add(&s->header, text);
    }
}

static enum dkim_skip signer_choose(struct dkim_signer *s)
{
    struct dkim_domain written;
    enum dkim_skip skip = dkim_header_end(&s->header);
    if (skip == DKIM_SKIP_NOT) {
        skip = dkim_header_author(&s->header, &written);
    }
    if (skip != DKIM_SKIP_NOT) {
        return skip;
    }
    /* An address literal is well-formed and has no key. */
    if (!dkim_domain_normalize(dkim_domain_slice(&written), &s->author)) {
        return written.text[0] == '[' ? DKIM_SKIP_NO_KEY : DKIM_SKIP_FROM_SYNTAX;
    }
    s->rule = dkim_table_find(s->table, dkim_domain_slice(&s->author));
    return s->rule ? DKIM_SKIP_NOT : DKIM_SKIP_NO_KEY;
}

enum dkim_skip dkim_signer_header_end(struct dkim_signer *s)
{
    must(s->state == STATE_HEADER || s->state == STATE_SKIPPED);
    if (s->state == STATE_SKIPPED) {
        return s->skip;
    }
    enum dkim_skip skip = signer_choose(s);
    if (skip != DKIM_SKIP_NOT) {
        signer_skip(s, skip);
        return skip;
    }
    for (size_t i = 0; i < s->rule->count; i++) {
        const struct dkim_rule_key *k = &s->rule->keys[i];
        struct hashing *header = &s->header_hash[k->header_canon];
        struct hashing *body = &s->body_hash[k->body_canon];
        if (!header->used) {
            struct dkim_sink sink = hashing_begin(header, s->ops);
            dkim_header_canon(&s->header, k->header_canon, &sink);
        }
        if (!body->used) {
            struct dkim_sink sink = hashing_begin(body, s->ops);
            dkim_canon_body_init(&s->body[k->body_canon], k->body_canon, &sink);
        }
    }
    dkim_header_add_names(&s->header, &s->names);
    dkim_header_deinit(&s->header);
    s->state = STATE_BODY;
    if (s->names.overflow) {
        signer_skip(s, DKIM_SKIP_MEMORY);
    }
    return s->skip;
}

/* ---- body ---- */

/* What follows the last field is an empty line or nothing; otherwise a verifier would not see the same
 * header as we do. */
static bool signer_blank(struct dkim_signer *s, struct slice *text)
{
    static const char blank[BLANK_BYTES] = {'\r', '\n'};
    while (text->len && s->blank_seen < BLANK_BYTES) {
        if (text->ptr[0] != blank[s->blank_seen]) {
            return false;
        }
        s->blank_seen++;
        *text = slice_skip(*text, 1);
    }
    return true;
}

void dkim_signer_body(struct dkim_signer *s, struct slice text)
{
    must(s->state == STATE_BODY || s->state == STATE_SKIPPED);
    if (s->state == STATE_SKIPPED) {
        return;
    }
    if (!signer_blank(s, &text)) {
        signer_skip(s, DKIM_SKIP_HEADER);
        return;
    }
    for (unsigned c = 0; c < DKIM_CANON_COUNT; c++) {
        if (s->body_hash[c].used) {
            dkim_canon_body_add(&s->body[c], text);
        }
    }
}

/* ---- the end ---- */

static bool signer_job(struct dkim_signer *s, const struct dkim_rule_key *k, uint64_t now_s,
                       const uint8_t body_hash[DIGEST_SHA256_BYTES])
{
    struct buf *field = &s->fields[s->count];
    struct dkim_job *job = &s->jobs[s->count];
    struct dkim_signature sig = {
        .algorithm = k->algorithm,
        .header_canon = k->header_canon,
        .body_canon = k->body_canon,
        .domain = k->domain.len ? k->domain : dkim_domain_slice(&s->author),
        .selector = k->selector,
        .names = buf_slice(&s->names),
        .signed_s = now_s,
        .valid_s = dkim_table_valid_s(s->table),
    };
    memcpy(sig.body_hash, body_hash, sizeof(sig.body_hash));
    dkim_signature_begin(field, &sig);
    if (field->overflow) {
        return false;
    }
    struct hashing own = s->header_hash[k->header_canon];
    struct dkim_sink sink = {hashing_add, &own};
    dkim_canon_field(k->header_canon, buf_slice(field), &sink);
    job->key = k->key;
    job->signature_bytes = 0;
    s->ops->done(&own.state, job->hash);
    s->count++;
    return true;
}

size_t dkim_signer_finish(struct dkim_signer *s, uint64_t now_s)
{
    uint8_t body_hash[DKIM_CANON_COUNT][DIGEST_SHA256_BYTES];
    must(s->state == STATE_BODY || s->state == STATE_SKIPPED);
    if (s->state == STATE_SKIPPED) {
        return 0;
    }
    if (s->blank_seen == 1) {
        signer_skip(s, DKIM_SKIP_HEADER);
        return 0;
    }
    for (unsigned c = 0; c < DKIM_CANON_COUNT; c++) {
        if (s->body_hash[c].used) {
            dkim_canon_body_done(&s->body[c]);
            s->ops->done(&s->body_hash[c].state, body_hash[c]);
        }
    }
    s->state = STATE_DONE;
    for (size_t i = 0; i < s->rule->count; i++) {
        const struct dkim_rule_key *k = &s->rule->keys[i];
        if (!signer_job(s, k, now_s, body_hash[k->body_canon])) {
            signer_skip(s, DKIM_SKIP_MEMORY);
            return 0;
        }
    }
    return s->count;
}

struct dkim_job *dkim_signer_jobs(struct dkim_signer *s)
{
    return s->jobs;
}

size_t dkim_signer_count(const struct dkim_signer *s)
{
    return s->count;
}

enum dkim_skip dkim_signer_skip(const struct dkim_signer *s)
{
    return s->skip;
}

struct slice dkim_signer_domain(const struct dkim_signer *s)
{
    if (s->state == STATE_SKIPPED || !s->rule) {
        return SLICE("");
    }
    return s->rule->keys[0].domain.len ? s->rule->keys[0].domain : dkim_domain_slice(&s->author);
}

size_t dkim_signer_attach(const struct dkim_signer *s, struct buf *out)
{
    size_t attached = 0;
    must(s->state == STATE_DONE || s->state == STATE_SKIPPED);
    for (size_t i = 0; i < s->count; i++) {
        const struct dkim_job *job = &s->jobs[i];
        must(job->signature_bytes <= DKIM_JOB_SIGNATURE_BYTES);
        if (job->signature_bytes) {
            buf_add(out, buf_slice(&s->fields[i]));
            dkim_signature_end(out, slice_of(job->signature, job->signature_bytes));
            attached++;
        }
    }
    return attached;
}
