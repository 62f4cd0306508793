/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * room - whether new mail may still come in, by the limits of the configuration (internal to spool/)
 *
 * Purpose:   the decision behind spool_dir_look: a pure function of sizes and of what was decided before.
 * Thread:    any.
 * Units:     bytes.
 *
 * Hysteresis: mail is refused above size_max or below free_min, and taken again when it is better by one
 * segment: that is the step in which both numbers move.
 */
#ifndef RINGPOST_SPOOL_ROOM_H
#define RINGPOST_SPOOL_ROOM_H

#include "spool/spool.h"

struct spool_room_sizes {
    uint64_t size_bytes; /* segment files, without spares */
    uint64_t free_bytes; /* UINT64_MAX: not known */
    uint64_t segment_bytes;
    unsigned workers;
};

enum spool_room spool_room_decide(enum spool_room before, const struct spool_room_limits *limits,
                                  const struct spool_room_sizes *sizes);

#endif
