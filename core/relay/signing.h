/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * signing - a message's DKIM signatures, made on another thread
 *
 * Purpose:   an RSA signature costs twenty times what all the rest of a message costs: the loop hands the
 *            signer's jobs to core/io/offload and goes on with other sessions.
 * Owner:     signing_submit takes the signer over and ends it, after the callback.
 *            signing_report is what the queue's event sign_report calls (core/queue/queue.h).
 * Thread:    the worker; the jobs run on a thread of the offload with a context of its own.
 * Errors:    signing_submit: false when the offload is full or memory is short; the signer is ended.
 *            A report has no client that could send it again: then it is signed at once.
 */
#ifndef RINGPOST_RELAY_SIGNING_H
#define RINGPOST_RELAY_SIGNING_H

#include "core/policy/dkim_signer.h"
#include "core/relay/relay.h"

typedef void signing_done(struct relay *r, struct handle session, const struct dkim_signer *signer);

bool signing_submit(struct relay *r, struct handle session, struct dkim_signer *signer,
                    signing_done *done);

/* ctx: the relay. */
bool signing_report(void *ctx, struct slice content, struct queue_bounce *report);

#endif
