/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * connections - how many sessions there are, in all and per client address
 *
 * Purpose:   exact limits across all workers: limits.connections and limits.connections_per_ip.
 * Owner:     the engine; connections_open, connections_close when no session is left.
 * Thread:    any (a mutex; taken at accept and close, never on the path of a message).
 * Limits:    one entry per address with a live session.
 * Errors:    connections_admit says which limit refused; NULL memory counts as the global limit.
 */
#ifndef RINGPOST_POLICY_CONNECTIONS_H
#define RINGPOST_POLICY_CONNECTIONS_H

#include "core/base/ipaddr.h"

enum connections_verdict { CONNECTIONS_OK, CONNECTIONS_TOO_MANY, CONNECTIONS_TOO_MANY_OF_ADDRESS };

struct connections;

struct connections *connections_open(uint64_t seed);
void connections_close(struct connections *c);

enum connections_verdict connections_admit(struct connections *c, const struct ip_addr *addr,
                                           uint32_t max, uint32_t max_per_address);
void connections_leave(struct connections *c, const struct ip_addr *addr);
uint32_t connections_count(struct connections *c);

#endif
