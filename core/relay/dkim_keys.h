/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dkim_keys - from the configuration to the table of signing keys, and doing its jobs
 *
 * Purpose:   joins core/policy/dkim (who signs) with tls/dkim_key (how): domains[].dkim_*, dkim.* and
 *            OpenDKIM's two files make one table. More exact rules win over the default; a domain that
 *            stands in domains[] several times has several keys.
 * Owner:     the result has one reference, the caller's (dkim_table_put).
 * Thread:    loading blocks (files, a trial signature per key: 1 ms for RSA-2048): the start and the
 *            reload. Jobs: any thread with a context of its own.
 * Errors:    NULL, every mistake as a line in errors; warnings (weak keys) likewise.
 */
#ifndef RINGPOST_RELAY_DKIM_KEYS_H
#define RINGPOST_RELAY_DKIM_KEYS_H

#include "core/conf/conf.h"
#include "core/policy/dkim.h"
#include "core/policy/dkim_signer.h"
#include "tls/dkim_key.h"

/* A table without rules when nothing is configured: sign nothing, begin no signer. */
struct dkim_table *dkim_keys_load(const struct conf *conf, struct buf *errors,
                                  struct buf *warnings);

/* For tables that are filled by hand. */
const struct dkim_key_ops *dkim_keys_ops(void);

/* Signs each job's hash; returns how many were signed (a failed one has signature_bytes 0). */
size_t dkim_keys_sign(struct dkim_signing *s, struct dkim_job *jobs, size_t count);

#endif
