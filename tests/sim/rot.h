/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rot - bits that flip where a record stands
 *
 * Purpose:   a recovery on a copy shows where messages, pieces of content and reports lie on the disk; one of their
 *            bits, or any other, flips. So the judge knows whose record is damaged (P6).
 * Owner:     the process. Thread: the only one. Limits: ROT_PLACES places, later ones are not hit.
 * Errors:    none.
 */
#ifndef RINGPOST_TESTS_SIM_ROT_H
#define RINGPOST_TESTS_SIM_ROT_H

#include "tests/sim/ledger.h"

enum { ROT_PLACES = 8192 };

/* A recovery begins that notes places. */
void rot_look(void);
void rot_note(const struct spool_recovered *found);
/* A bit of the disk in use flips, in one of the places or anywhere. False: there is nothing to be hit. */
bool rot_flip(struct ledger_flip *out);

#endif
