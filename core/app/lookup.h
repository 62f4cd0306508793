/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lookup - one question to DNS, for a command
 *
 * Purpose:   asks with the engine's own resolver on a ring of its own and waits.
 * Owner:     the caller puts the plan (dns_plan_put). Thread: the process's first.
 * Limits:    LOOKUP_LIMIT_MS, one try.
 * Errors:    NULL: *why has the reason, without LF. A plan may say so too (its status).
 */
#ifndef RINGPOST_APP_LOOKUP_H
#define RINGPOST_APP_LOOKUP_H

#include "core/conf/conf.h"
#include "dns/dns.h"

enum { LOOKUP_LIMIT_MS = 2000 };

/* server: NULL for all configured ones. mx: the domain's MX hosts; else the name's own addresses. */
const struct dns_plan *lookup_hosts(const struct conf *conf, const struct ip_endpoint *server,
                                    struct slice name, bool mx, struct buf *why);

#endif
