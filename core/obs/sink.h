/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sink - where log buffers go
 *
 * Purpose:   one writer thread that alone may block on the descriptor of the log. When its reader is too
 *            slow, buffers are refused and lines counted as dropped. The simulator links its own twin.
 * Owner:     the engine: obs_sink_open … obs_sink_close (writes what it holds).
 * Thread:    any.
 * Limits:    OBS_CHUNKS_MAX buffers on the way.
 * Errors:    obs_sink_open: NULL without a thread or memory. obs_sink_push: false when full.
 */
#ifndef RINGPOST_OBS_SINK_H
#define RINGPOST_OBS_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OBS_CHUNKS_MAX = 64 };

struct obs_sink;
struct obs_sink *obs_sink_open(int fd);
/* Waits until all is written, at most deadline_ms milliseconds (a reader that never reads). */
void obs_sink_close(struct obs_sink *s, unsigned deadline_ms);
uint64_t obs_sink_dropped(struct obs_sink *s);

/* Takes the bytes (malloc'ed) over; false: too many on the way, the caller keeps them. */
bool obs_sink_push(struct obs_sink *s, char *ptr, size_t len);
void obs_sink_count_dropped(struct obs_sink *s, uint64_t lines);

#endif
