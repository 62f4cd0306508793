/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * log - events to standard output, never in the way of mail
 *
 * Purpose:   each thread formats events into its own buffer (struct obs_log); full or old buffers
 *            are handed to one writer thread (struct obs_sink) that alone may block on the
 *            descriptor. When the reader of the log is too slow, lines are dropped and counted, and
 *            the next line that gets through says how many.
 * Owner:     the engine owns the sink (obs_sink_open, obs_sink_close: writes what it holds), each
 *            worker its log (obs_log_init, obs_log_deinit: hands over what it holds).
 * Thread:    obs_log: the owner's. obs_sink_*: any.
 * Limits:    OBS_CHUNK_BYTES per buffer, OBS_CHUNKS_MAX buffers on the way; a line at most
 *            2 * OBS_LINE_BYTES: longer field values are cut, texts beyond left out.
 * Errors:    none reach the caller.
 * Output:    values of strangers are JSON strings: quotes, backslashes, what commands a terminal or a
 *            reader (utf8_commands) and bytes that are not UTF-8 are escaped (invalid bytes as the text
 *            \xNN), so one event is one line, on every screen.
 */
#ifndef RINGPOST_OBS_LOG_H
#define RINGPOST_OBS_LOG_H

#include "core/base/buf.h"
#include "core/obs/event.h"
#include "core/obs/sink.h"

enum {
    OBS_CHUNK_BYTES = 64 * 1024,
    OBS_LINE_BYTES = 8 * 1024,
    OBS_VALUE_BYTES = 1024,
    OBS_FLUSH_AFTER_MS = 20,
};

struct obs_log {
    struct obs_sink *sink;
    enum obs_level level;
    struct buf chunk;
    uint64_t chunk_since_ms; /* when its first line came; 0: empty */
    uint64_t dropped;        /* lines, since the last one that got through */
    size_t line_start;
    bool line_open;
};

void obs_log_init(struct obs_log *l, struct obs_sink *sink, enum obs_level level);
void obs_log_deinit(struct obs_log *l);

/* Starts an event; false: its level is not wanted, skip the fields. */
bool obs_begin(struct obs_log *l, enum obs_event event, uint64_t wall_us);
void obs_str(struct obs_log *l, enum obs_field field, struct slice value);
void obs_u64(struct obs_log *l, enum obs_field field, uint64_t value);
void obs_bool(struct obs_log *l, enum obs_field field, bool value);
/* Ends it; now_ms is the monotonic clock, for the flush. */
void obs_end(struct obs_log *l, uint64_t now_ms);

/* Loop phase: hands the buffer over when it is old. obs_due_ms: when that will be (UINT64_MAX: never). */
void obs_flush(struct obs_log *l, uint64_t now_ms);
uint64_t obs_due_ms(const struct obs_log *l);

/* A JSON string with quotes, escaped as above; for other JSON writers too. */
void obs_json_string(struct buf *out, struct slice value);

#endif
