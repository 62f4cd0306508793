/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * maildir - parts that are delivered on this machine
 *
 * Purpose:   takes parts from the site of local mailboxes and puts their messages there, one recipient
 *            after the other; what becomes of each is an outcome like any other.
 * Owner:     a delivery owns its leased part until queue_part_done; it ends itself.
 * Thread:    the worker's; files are touched by the threads of the disk pool only (maildir_store.h).
 * Limits:    MAILDIR_DELIVERIES at once per worker, some 90 KiB each. Their jobs always find room in the
 *            pool: engine.c sizes its queue for them.
 * Errors:    no mailbox: permanent 5.1.1; no room: 4.3.1, over quota: 4.2.2; any other trouble: 4.3.0,
 *            each with what the system said.
 */
#ifndef RINGPOST_RELAY_MAILDIR_H
#define RINGPOST_RELAY_MAILDIR_H

#include "core/policy/mailbox.h"
#include "core/relay/maildir_store.h"
#include "core/relay/relay.h"

/* Gives parts of the site to deliveries while there are some of both. */
void maildir_serve(struct relay *r, struct queue_site *site);
/* What may be made when it is missing. */
enum maildir_make maildir_make_of(const struct conf *conf);

#endif
