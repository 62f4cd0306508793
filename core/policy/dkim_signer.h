/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_signer - one message on its way to its signatures
 *
 * Purpose:   takes the content as it streams past (after every change to the header), hashes what the
 *            author's domain asks for and no more, and ends in jobs. A job is plain data: the part
 *            that costs (RSA) runs wherever and whenever the driver likes, in batches; then the
 *            signatures become header text.
 * Owner:     dkim_signer_begin … dkim_signer_end; holds a reference to the table (and so to the keys)
 *            until then: end it only when no thread works on its jobs.
 * Thread:    the owner's; between finish and attach the jobs may be another thread's.
 * Limits:    the header is kept until its end, at most header_bytes_max; then some 4 KiB. Body
 *            memory: none.
 * Errors:    enum dkim_skip says why a message is not signed; calls after that do nothing.
 * RFC:       6376 5 and 3.7.
 *
 *     s = dkim_signer_begin(table, sha256, header_bytes_max);
 *     dkim_signer_header(s, …)…; skip = dkim_signer_header_end(s);
 *     dkim_signer_body(s, …)…;           the empty line behind the header comes first
 *     dkim_signer_finish(s, now_s);
 *     for each of jobs[0 … count): dkim_key_sign(job->key, ctx, job->hash, job->signature, &n)
 *     dkim_signer_attach(s, &text); → goes on top of the header
 *     dkim_signer_end(&s);
 */
#ifndef RINGPOST_POLICY_DKIM_SIGNER_H
#define RINGPOST_POLICY_DKIM_SIGNER_H

#include "core/base/digest.h"
#include "core/policy/dkim.h"

enum { DKIM_JOB_SIGNATURE_BYTES = 512 };

struct dkim_job {
    const struct dkim_key *key;
    uint8_t hash[DIGEST_SHA256_BYTES];
    uint16_t signature_bytes; /* set by whoever signs; 0: not signed */
    uint8_t signature[DKIM_JOB_SIGNATURE_BYTES];
};

struct dkim_signer;

/* NULL: no memory. sha256 outlives it. */
struct dkim_signer *dkim_signer_begin(struct dkim_table *table, const struct digest_ops *sha256,
                                      size_t header_bytes_max);
void dkim_signer_end(struct dkim_signer **s);

void dkim_signer_header(struct dkim_signer *s, struct slice text);
enum dkim_skip dkim_signer_header_end(struct dkim_signer *s);
/* Everything behind the last field. */
void dkim_signer_body(struct dkim_signer *s, struct slice text);
/* The content is complete. Returns the number of jobs; 0: nothing to sign (dkim_signer_skip). */
size_t dkim_signer_finish(struct dkim_signer *s, uint64_t now_s);
struct dkim_job *dkim_signer_jobs(struct dkim_signer *s);
/* As _finish returned it. */
size_t dkim_signer_count(const struct dkim_signer *s);

enum dkim_skip dkim_signer_skip(const struct dkim_signer *s);
/* The d= of the first signature, for the log; "" when there is none. */
struct slice dkim_signer_domain(const struct dkim_signer *s);

/* Appends one DKIM-Signature field per signed job; returns how many. */
size_t dkim_signer_attach(const struct dkim_signer *s, struct buf *out);

#endif
