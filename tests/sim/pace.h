/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pace - limits of connections and rates, per destination and source
 *
 * Purpose:   writes the file with sources and shaping of a run, and counts what servers see: connections to one
 *            destination from one source never above the limit, and not more transactions since the engine's start
 *            than burst and rate give, nor in any stretch of time than that and what connections may hold in hand.
 * Owner:     the process. Thread: the only one.
 * Limits:    PACE_SOURCES sources (0: none), destinations as domains.
 * Errors:    a limit that is exceeded is sim_fail.
 */
#ifndef RINGPOST_TESTS_SIM_PACE_H
#define RINGPOST_TESTS_SIM_PACE_H

#include <stdbool.h>
#include <stddef.h>

enum { PACE_SOURCES = 4, PACE_PATH = 64 };

/* Settings are new: limits of before count as long as connections of before may be there. */
void pace_reset(void);
void pace_changed(void);
void pace_life_begins(void);
/* The path of a file with this run's sources and shaping; false: there is none. */
bool pace_file(char path[PACE_PATH]);
/* open: connections there from that source, this one too. */
void pace_on_connect(unsigned domain, unsigned source, unsigned open);
void pace_on_mail(unsigned domain, unsigned source);

#endif
