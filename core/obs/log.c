/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Lines of one worker stay in order; lines of different workers are ordered by their time field only.
 */
#include "core/obs/log.h"
#include "core/base/clock.h"
#include "core/base/must.h"

/* Counted at once: while the reader stands still, the counter is the only sign of it. */
static void obs_drop_line(struct obs_log *l)
{
    l->dropped++;
    obs_sink_count_dropped(l->sink, 1);
}

void obs_log_init(struct obs_log *l, struct obs_sink *sink, enum obs_level level)
{
    *l = (struct obs_log){.sink = sink, .level = level};
    buf_init(&l->chunk, OBS_CHUNK_BYTES + 2 * OBS_LINE_BYTES);
}

static void obs_hand_over(struct obs_log *l)
{
    if (l->chunk.len == 0) {
        return;
    }
    size_t cap_max = l->chunk.cap_max;
    if (obs_sink_push(l->sink, l->chunk.ptr, l->chunk.len)) {
        l->chunk.ptr = NULL;
        buf_init(&l->chunk, cap_max);
        l->chunk_since_ms = 0;
    }
}

void obs_log_deinit(struct obs_log *l)
{
    uint64_t left = 0;
    obs_hand_over(l);
    for (size_t i = 0; i < l->chunk.len; i++) {
        left += l->chunk.ptr[i] == '\n' ? 1 : 0;
    }
    obs_sink_count_dropped(l->sink, left);
    buf_deinit(&l->chunk);
}

static void obs_line_start(struct obs_log *l, enum obs_event event, uint64_t wall_us)
{
    static const struct {
        struct slice name;
        enum obs_level level;
    } rows[] = {
#define X(id, name, level) [id] = {SLICE_INIT(name), level},
        OBS_EVENTS(X)
#undef X
    };
    static const struct slice levels[] = {SLICE_INIT("debug"), SLICE_INIT("info"),
                                          SLICE_INIT("warn"), SLICE_INIT("error")};
    l->line_start = l->chunk.len;
    l->line_open = true;
    buf_add(&l->chunk, SLICE("{\"time\":\""));
    clock_add_rfc3339(&l->chunk, wall_us);
    buf_add(&l->chunk, SLICE("\",\"level\":\""));
    buf_add(&l->chunk, levels[rows[event].level]);
    buf_add(&l->chunk, SLICE("\",\"event\":\""));
    buf_add(&l->chunk, rows[event].name);
    buf_add_byte(&l->chunk, '"');
}

static enum obs_level obs_event_level(enum obs_event event)
{
    static const unsigned char levels[] = {
#define X(id, name, level) [id] = level,
        OBS_EVENTS(X)
#undef X
    };
    must((size_t)event < ARRAY_COUNT(levels));
    return (enum obs_level)levels[event];
}

bool obs_begin(struct obs_log *l, enum obs_event event, uint64_t wall_us)
{
    must(!l->line_open);
    if (obs_event_level(event) < l->level) {
        return false;
    }
    if (l->chunk.len >= OBS_CHUNK_BYTES) {
        obs_hand_over(l);
        if (l->chunk.len) {
            obs_drop_line(l);
            return false;
        }
    }
    if (l->dropped && event != OBS_LOG_DROPPED) {
        uint64_t dropped = l->dropped;
        l->dropped = 0;
        obs_line_start(l, OBS_LOG_DROPPED, wall_us);
        obs_u64(l, OBS_F_COUNT, dropped);
        buf_add(&l->chunk, SLICE("}\n"));
        l->line_open = false;
    }
    obs_line_start(l, event, wall_us);
    return true;
}

static void obs_key(struct obs_log *l, enum obs_field field)
{
    static const struct slice names[] = {
#define X(id, name) [id] = SLICE_INIT(",\"" name "\":"),
        OBS_FIELDS(X)
#undef X
    };
    must(l->line_open && (size_t)field < ARRAY_COUNT(names));
    buf_add(&l->chunk, names[field]);
}

void obs_str(struct obs_log *l, enum obs_field field, struct slice value)
{
    /* Worst case: every byte becomes six. */
    enum { SHORT_BYTES = 32, KEY_BYTES = 64 };
    size_t len = l->chunk.len - l->line_start;
    if (len + 6 * OBS_VALUE_BYTES + KEY_BYTES > OBS_LINE_BYTES) {
        value = slice_first(value, SHORT_BYTES);
    }
    if (len + 6 * SHORT_BYTES + KEY_BYTES > 2 * OBS_LINE_BYTES - OBS_VALUE_BYTES) {
        return; /* the rest is for numbers */
    }
    obs_key(l, field);
    obs_json_string(&l->chunk, slice_first(value, OBS_VALUE_BYTES));
}

void obs_u64(struct obs_log *l, enum obs_field field, uint64_t value)
{
    obs_key(l, field);
    buf_add_u64(&l->chunk, value);
}

void obs_bool(struct obs_log *l, enum obs_field field, bool value)
{
    obs_key(l, field);
    buf_add(&l->chunk, value ? SLICE("true") : SLICE("false"));
}

void obs_end(struct obs_log *l, uint64_t now_ms)
{
    must(l->line_open);
    l->line_open = false;
    buf_add(&l->chunk, SLICE("}\n"));
    if (l->chunk.overflow) {
        l->chunk.len = l->line_start;
        l->chunk.overflow = false;
        obs_drop_line(l);
    }
    if (!l->chunk_since_ms) {
        l->chunk_since_ms = now_ms ? now_ms : 1;
    }
}

uint64_t obs_due_ms(const struct obs_log *l)
{
    return l->chunk.len ? l->chunk_since_ms + OBS_FLUSH_AFTER_MS : UINT64_MAX;
}

void obs_flush(struct obs_log *l, uint64_t now_ms)
{
    if (now_ms >= obs_due_ms(l)) {
        obs_hand_over(l);
        if (l->chunk.len) {
            l->chunk_since_ms = now_ms; /* the sink is full: not a busy loop */
        }
    }
}
