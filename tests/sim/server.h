/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * server - scripted servers: they take, refuse, defer, stall, drop, and count connections
 *
 * Purpose:   every address 5.0.<domain>.<host> has one. What it takes goes to the ledger with the place of its
 *            answer, so that it is known whether the engine has read it.
 * Owner:     the world. Thread: the only one.
 * Limits:    SERVERS connections in a run. Errors: what no client may send is sim_fail.
 */
#ifndef RINGPOST_TESTS_SIM_SERVER_H
#define RINGPOST_TESTS_SIM_SERVER_H

#include "tests/sim/net.h"

enum { SERVERS = 8192 };

void servers_reset(void);
net_listener server_listen;
/* What the engine has read of the answers by now is noted; call before it dies. */
void servers_harvest(void);

#endif
