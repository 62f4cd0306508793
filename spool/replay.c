/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The last step of recovery: live messages are read from their places and dealt to the workers.
 */
#include "spool/recover_private.h"

#include <stdlib.h>

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

/* The message row with this id in the frame at m->ref; it points into r->raw. */
static bool replay_read(struct spool_recovering *r, const struct spool_found *m,
                        struct spool_message_view *v)
{
    struct slice raw = slice_of(r->raw, m->ref.bytes);
    struct spool_frame_header h;
    struct slice payload;
    if (disk_pread(r->at->fd, r->raw, raw.len, m->ref.offset) != (int64_t)raw.len ||
        spool_frame_check(raw, m->ref.segment, r->at->salt, m->ref.offset, &h, &payload) !=
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
    char name[DISK_NAME_MAX];
    r->at = spool_recovery_past(r, m->ref.segment);
    must(r->at != NULL);
    r->file = name;
    spool_name_make(name, SPOOL_NAME_SEGMENT, m->ref.segment);
    struct spool_message_view v;
    if (!grow((void **)&r->raw, &r->raw_cap, m->ref.bytes, 1)) {
        return false;
    }
    if (!replay_read(r, m, &v)) {
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
    size_t count;
    struct spool_found **live = spool_found_live(&r->messages, &count);
    if (!live) {
        return false;
    }
    r->sum->messages_done = r->messages.count - count;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        ok = replay_one(r, live[i]);
    }
    free(live);
    return ok;
}
