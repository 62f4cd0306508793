/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/app/engine_private.h"
#include "core/base/heap.h"
#include "core/queue/override.h"

static void engine_on_recovered(void *ctx, unsigned worker, const struct spool_recovered *found)
{
    struct engine *e = ctx;
    must(worker < e->worker_count);
    for (uint32_t i = 0; i < found->message.rcpt_count; i++) {
        const struct spool_rcpt *r = &found->message.rcpts[i];
        bool queued = r->status == SPOOL_RCPT_QUEUED;
        e->memos.targets_used[queued ? queue_target_of_due(r->next_due_ms) : 0] = true;
    }
    e->no_memory = !recovered_add(&e->recovered[worker], found) || e->no_memory;
}

static void engine_on_memo(void *ctx, const struct spool_memo *memo)
{
    struct engine *e = ctx;
    if (memo->kind == QUEUE_MEMO_OVERRIDE) {
        /* What cannot be read was written by another version. */
        (void)queue_override_restore(e->automation, memo, clock_read().wall_us / 1000);
        return;
    }
    if (memo->kind == QUEUE_MEMO_WARMUP) { /* one table for all workers */
        (void)warmup_restore(e->warmup, memo->key, memo->value);
        return;
    }
    e->no_memory = !memo_list_add(&e->memos, memo) || e->no_memory;
}

static void engine_on_damage(void *ctx, const struct spool_damage_report *report)
{
    static const struct slice kinds[] = {
        [SPOOL_DAMAGE_FRAME] = SLICE_INIT("a stored record is damaged"),
        [SPOOL_DAMAGE_ROW] = SLICE_INIT("a stored record makes no sense"),
        [SPOOL_DAMAGE_SEGMENT] = SLICE_INIT("a segment's header is damaged; it is set aside"),
        [SPOOL_DAMAGE_UNREADABLE] = SLICE_INIT("the disk cannot read it"),
        [SPOOL_DAMAGE_SHORT] = SLICE_INIT("the file has been cut short"),
        [SPOOL_DAMAGE_TORN] = SLICE_INIT("the unacknowledged end of a crash, ignored"),
    };
    struct engine *e = ctx;
    must((size_t)report->kind < ARRAY_COUNT(kinds));
    if (engine_event(e, report->kind == SPOOL_DAMAGE_TORN ? OBS_SPOOL_NOTE : OBS_SPOOL_DAMAGE)) {
        obs_str(&e->log, OBS_F_REASON, kinds[report->kind]);
        obs_str(&e->log, OBS_F_PATH, slice_str(report->file));
        obs_u64(&e->log, OBS_F_SIZE, report->bytes);
        obs_u64(&e->log, OBS_F_COUNT, report->offset);
        engine_event_end(e);
    }
}

bool engine_open_spool(struct engine *e, struct buf *error)
{
    const struct conf *conf = e->settings->conf;
    char path[4096];
    if (!slice_to_cstr(conf->spool.dir, path, sizeof(path))) {
        buf_add(error, SLICE("spool.dir is too long"));
        return false;
    }
    struct spool_options options = {.segment_bytes = conf->spool.segment_bytes,
                                    .workers = e->worker_count};
    e->spool_dir = spool_dir_open(path, &options, error);
    if (!e->spool_dir) {
        return false;
    }
    if (!spool_dir_direct(e->spool_dir) && engine_event(e, OBS_SPOOL_NOTE)) {
        obs_str(&e->log, OBS_F_REASON,
                SLICE("this file system refuses O_DIRECT; commits go through the page cache"));
        obs_str(&e->log, OBS_F_PATH, conf->spool.dir);
        engine_event_end(e);
    }
    struct spool_recovery_events events = {engine_on_recovered, engine_on_damage, engine_on_memo};
    if (!spool_recover(e->spool_dir, &events, e, &e->recovery, error)) {
        return false;
    }
    heap_purge();
    if (e->no_memory) {
        buf_add(error, SLICE("the queue in the spool does not fit into memory"));
        return false;
    }
    if (engine_event(e, OBS_RECOVERED)) {
        obs_u64(&e->log, OBS_F_MESSAGES, e->recovery.messages_live);
        obs_u64(&e->log, OBS_F_RECIPIENTS, e->recovery.rcpts_queued);
        obs_u64(&e->log, OBS_F_DAMAGED, e->recovery.damaged);
        engine_event_end(e);
    }
    room_watch_open(&e->room, e->spool_dir, &e->log, conf);
    return true;
}
