/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client - scripted clients: they send messages, pipeline, cut, stall, vanish
 *
 * Purpose:   each session sends a few messages of the ledger and writes down what it was told.
 * Owner:     the world. Thread: the only one.
 * Limits:    CLIENTS sessions in a run. Errors: replies that break RFC 5321 are sim_fail.
 */
#ifndef RINGPOST_TESTS_SIM_CLIENT_H
#define RINGPOST_TESTS_SIM_CLIENT_H

#include <stdint.h>

enum { CLIENTS = 1024 };

void clients_reset(void);
/* A session begins at this time. */
void client_start_at(uint64_t at_us);
/* Sessions that have not ended. */
unsigned clients_busy(void);

#endif
