/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * way - by which names replies and overrides know the way of a piece of mail
 *
 * Purpose:   the one place that makes the keys of core/policy/automation.h: source, site, provider, tenant,
 *            campaign, DKIM domain.
 * Owner:     plain values that point into the site and the label. Thread: whoever may read these.
 * Limits:    none. Errors: none.
 */
#ifndef RINGPOST_QUEUE_WAY_H
#define RINGPOST_QUEUE_WAY_H

#include "core/policy/automation.h"
#include "core/queue/label.h"

struct queue_site;

/* label: NULL: what is true for all mail of the site. s has a plan. */
void queue_way_keys(const struct queue_site *s, const struct queue_label *label,
                    struct automation_keys *out);

#endif
