/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The last step of recovery: live messages are read from their places and dealt to the workers.
 */
#include "spool/recover_private.h"

#include <stdlib.h>

enum { REPLAY_RUN_BYTES = 1024 * 1024, REPLAY_GAP_BYTES = 4096 };

static bool grow(void **array, size_t *cap, size_t need, size_t item)
{
    if (need <= *cap) {
        return true;
    }
    size_t to = need + need / 2;
    void *grown = realloc(*array, to * item);
    if (!grown) {
        return false;
    }
    *array = grown;
    *cap = to;
    return true;
}

/* How many bytes to read at once from m on: those of the live messages that follow closely, too. */
static uint32_t replay_run(const struct spool_recovering *r, const struct spool_found *m)
{
    uint32_t end = m->ref.offset + m->ref.bytes;
    const struct spool_found *next = m;
    while ((next = spool_found_next(&r->messages, next)) && next->ref.segment == m->ref.segment &&
           next->ref.offset < end + REPLAY_GAP_BYTES &&
           next->ref.offset + next->ref.bytes - m->ref.offset <= REPLAY_RUN_BYTES) {
        uint32_t next_end = next->ref.offset + next->ref.bytes;
        end = next_end > end ? next_end : end;
    }
    return end - m->ref.offset;
}

static bool replay_pread(struct spool_recovering *r, struct spool_ref ref)
{
    r->raw_ref = (struct spool_ref){0, 0, 0};
    if (disk_pread(r->at->fd, r->raw, ref.bytes, ref.offset) != (int64_t)ref.bytes) {
        return false;
    }
    r->raw_ref = ref;
    return true;
}

/* The frame of m, in r->raw: read before, or now with those behind it, or (one of them cannot be read)
 * alone. *no_memory is set or not. */
static bool replay_frame(struct spool_recovering *r, const struct spool_found *m, bool *no_memory,
                         struct slice *raw)
{
    bool have = r->raw_ref.segment == m->ref.segment && r->raw_ref.offset <= m->ref.offset &&
                m->ref.offset + m->ref.bytes <= r->raw_ref.offset + r->raw_ref.bytes;
    if (!have) {
        struct spool_ref run = {m->ref.segment, m->ref.offset, replay_run(r, m)};
        if (!grow((void **)&r->raw, &r->raw_cap, run.bytes, 1)) {
            *no_memory = true;
            return false;
        }
        have = replay_pread(r, run) || replay_pread(r, m->ref);
    }
    *raw = slice_of(r->raw + (have ? m->ref.offset - r->raw_ref.offset : 0), m->ref.bytes);
    return have;
}

/* The message row with this id in the frame; it points into the frame. */
static bool replay_decode(struct spool_recovering *r, const struct spool_found *m, struct slice raw,
                          struct spool_message_view *v)
{
    struct spool_frame_header h;
    struct slice payload;
    if (spool_frame_check(raw, m->ref.segment, r->at->salt, m->ref.offset, &h, &payload) !=
        SPOOL_FRAME_OK) {
        return false;
    }
    struct spool_row row;
    while (spool_row_next(&payload, &row)) {
        if (row.type == SPOOL_ROW_MESSAGE && spool_message_decode(row.payload, v) &&
            v->id == m->id && v->rcpt_count == m->rcpt_count) {
            return true;
        }
    }
    return false;
}

static bool replay_lists(struct spool_recovering *r, const struct spool_found *m,
                         const struct spool_message_view *v, bool *damaged)
{
    if (!grow((void **)&r->rcpts, &r->rcpt_cap, v->rcpt_count, sizeof(*r->rcpts)) ||
        !grow((void **)&r->fragments, &r->fragment_cap, v->fragment_count, sizeof(*r->fragments))) {
        return false;
    }
    struct slice rest = v->rcpts;
    for (uint32_t i = 0; i < v->rcpt_count; i++) {
        must(spool_message_next_rcpt(&rest, &r->rcpts[i]));
        r->rcpts[i].status = (enum spool_rcpt_status)m->rcpts[i].status;
        r->rcpts[i].attempts = m->rcpts[i].attempts;
        r->rcpts[i].next_due_ms = m->rcpts[i].next_due_ms;
    }
    rest = v->fragments;
    *damaged = false;
    for (uint32_t i = 0; i < v->fragment_count; i++) {
        must(spool_message_next_fragment(&rest, &r->fragments[i]));
        struct spool_ref ref = r->fragments[i].ref;
        const struct spool_past *p = spool_recovery_past(r, ref.segment);
        *damaged = *damaged || !p || ref.offset >= p->valid_end ||
                   ref.bytes > SPOOL_GROUP_BYTES_MAX;
    }
    return true;
}

static bool replay_one(struct spool_recovering *r, const struct spool_found *m)
{
    r->at = spool_recovery_past(r, m->ref.segment);
    must(r->at != NULL);
    spool_name_make(r->file, SPOOL_NAME_SEGMENT, m->ref.segment);
    struct spool_message_view v;
    struct slice raw;
    bool no_memory = false;
    bool have = replay_frame(r, m, &no_memory, &raw);
    if (no_memory) {
        return false;
    }
    if (!have || !replay_decode(r, m, raw, &v)) {
        spool_recovery_report(r, SPOOL_DAMAGE_UNREADABLE, m->ref.offset, m->ref.bytes);
        return true;
    }
    struct spool_recovered out = {.ref = m->ref, .inline_bytes = (uint32_t)v.body.len};
    if (!replay_lists(r, m, &v, &out.damaged)) {
        return false;
    }
    out.message = spool_message_of(&v);
    out.message.rcpts = r->rcpts;
    out.message.fragments = r->fragments;
    r->sum->messages_live++;
    r->sum->rcpts_queued += m->queued;
    unsigned worker = r->worker_next;
    r->worker_next = (worker + 1) % r->dir->options.workers;
    r->events->message(r->ctx, worker, &out);
    return true;
}

bool spool_recovery_replay(struct spool_recovering *r)
{
    struct spool_found *m = spool_found_next(&r->messages, NULL);
    bool ok = true;
    r->sum->messages_done = r->messages.by_id.count;
    while (ok && m) {
        r->sum->messages_done--;
        ok = replay_one(r, m);
        m = spool_found_next(&r->messages, m);
    }
    return ok;
}
