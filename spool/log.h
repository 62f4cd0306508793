/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * log - one worker's log while it runs (internal to spool/)
 *
 * Purpose:   struct spool and the calls between its parts: append.c builds frames in groups,
 *            commit.c makes groups durable, make.c prepares segments, reclaim.c gives them back,
 *            segment.c keeps the list of segments and the holds.
 * Owner:     the worker. Thread: the worker's.
 */
#ifndef RINGPOST_SPOOL_LOG_H
#define RINGPOST_SPOOL_LOG_H

#include "spool/dir.h"

enum {
    SPOOL_RETRY_MS_FIRST = 1000,
    SPOOL_RETRY_MS_MAX = 10000,
    SPOOL_LAZY_TIMES_SCARCE = 20,
    SPOOL_SEALS_PENDING_MAX = SPOOL_SEALS_MAX,
    SPOOL_ZERO_BYTES = 1024 * 1024,
};

/* The operations a log can have in the kernel: the slot of their handle. The generation counts, so
 * that a completion is matched with the operation that was started last. */
enum spool_op { SPOOL_OP_COMMIT, SPOOL_OP_MAKE, SPOOL_OP_RECLAIM, SPOOL_OP_COUNT };

struct spool_segment {
    uint64_t number;
    uint64_t salt;
    uint64_t file_bytes;
    struct list holds;
    uint64_t live_bytes;
    uint32_t hold_count;     /* all of them */
    uint32_t folded_count;   /* those that are not in the list */
    uint32_t durable_end;    /* frames before it are durable */
    unsigned groups;         /* in memory, not yet durable */
    bool finished;           /* nothing is appended any more */
    int write_fd;            /* -1: finished */
    int read_fd;             /* buffered; of the past: past->fd */
    struct spool_past *past; /* NULL: made in this run */
};

/* One commit buffer: frames that become durable together. */
struct spool_group {
    struct list link;
    uint8_t *bytes; /* NULL: not allocated yet */
    size_t len;
    struct spool_segment *segment;
    uint32_t offset;
    uint64_t lsn_last;
    uint64_t lazy_since_ms;
    uint64_t seals_upto; /* this group makes the pending seals before this index durable */
    unsigned frames;
    bool urgent;
};

enum spool_make_step {
    SPOOL_MAKE_IDLE,
    SPOOL_MAKE_WAITING, /* failed; the timer is armed */
    SPOOL_MAKE_FALLOCATE,
    SPOOL_MAKE_ZERO,
    SPOOL_MAKE_HEADER,
    SPOOL_MAKE_TRAILER,
    SPOOL_MAKE_FILE_SYNC,
    SPOOL_MAKE_DIR_SYNC,
};

struct spool_make {
    enum spool_make_step step;
    struct spool_segment *segment; /* being made */
    uint8_t *bytes;                /* zeros, then the header block; aligned */
    uint64_t zeroed;
    enum io_status failure; /* of the last attempt; IO_OK: none */
    struct timer retry;
    uint32_t retry_ms;
};

struct spool_frame {
    bool open;
    struct spool_group *group;
    size_t at; /* of the frame in the group */
    size_t bytes_max;
    size_t used; /* rows so far */
    uint16_t rows;
};

struct spool {
    struct spool_dir *dir;
    unsigned worker;
    struct io *io;
    struct timer_wheel *timers;
    struct spool_events events;
    void *ctx;

    enum spool_state state;
    bool adopted;
    bool stopping;
    bool wants_space; /* somebody was refused: events.space is due */
    uint32_t op_gen[SPOOL_OP_COUNT];
    bool op_busy[SPOOL_OP_COUNT];

    /* All segments this log knows, ascending numbers: the past, finished ones, the current one; the
     * next one is not in it yet. */
    struct spool_segment **segments;
    size_t segment_count;
    size_t segment_cap;
    struct spool_segment *current;
    struct spool_segment *next;
    uint32_t append_at; /* of the next group in current */

    struct spool_group *groups; /* dir->options.buffers */
    struct list free;
    struct list waiting; /* closed, in order */
    struct spool_group *filling;
    struct spool_group *flying;
    uint64_t flying_since_ms;
    struct spool_frame frame;
    struct spool_memos memos;
    uint64_t lsn_next;
    uint64_t lsn_decided;
    uint64_t lsn_lost; /* frames up to here are lost; reported when the seal is durable */

    struct spool_seal seals[SPOOL_SEALS_PENDING_MAX];
    size_t seal_count;
    uint64_t seals_base; /* index of seals[0] since the start */

    struct spool_make make;
    struct spool_segment *leaving; /* removed, its directory entry not yet durably so */
    bool leaving_spare;            /* it was renamed to a spare */
    uint64_t reclaim_after_ms;     /* a removal failed: not before */

    struct spool_stats stats;
};

struct io_tag spool_op_start(struct spool *spool, enum spool_op op);
void spool_incident(struct spool *spool, enum spool_incident what, uint64_t segment, int error);

/* segment.c */
struct spool_segment *spool_segment_new(uint64_t number, uint64_t file_bytes);
void spool_segment_free(struct spool_segment **segment);
/* Room for one more; false: no memory. Push needs it. */
bool spool_segment_reserve(struct spool *spool);
void spool_segment_push(struct spool *spool, struct spool_segment *segment);
void spool_segment_drop(struct spool *spool, struct spool_segment *segment);
struct spool_segment *spool_segment_find(const struct spool *spool, uint64_t number);
/* Nothing is appended any more; the write descriptor goes when no group needs it. */
void spool_segment_finish(struct spool_segment *segment);
/* Drops the views of segments that other workers have removed. */
void spool_segments_forget_past(struct spool *spool);
static inline uint32_t spool_segment_end(const struct spool_segment *s)
{
    return (uint32_t)(s->file_bytes - SPOOL_BLOCK_BYTES);
}

/* append.c */
void spool_group_close(struct spool *spool);
void spool_group_drop(struct spool *spool, struct spool_group *group);
/* The next segment becomes the current one. */
void spool_log_advance(struct spool *spool);
/* A group of pending seals alone, in a fresh segment. */
void spool_seals_commit(struct spool *spool);
void spool_seal_add(struct spool *spool, struct spool_seal seal);
/* Whoever adds what can wait (the past), or goes on in spite of failures, asks first. */
bool spool_seals_room(const struct spool *spool);

/* memo.c */
void spool_memos_decided(struct spool *spool, uint64_t lsn_upto, enum spool_commit_result result);
/* What the memos have in this segment is appended again. */
void spool_memos_move(struct spool *spool, struct spool_segment *segment);
void spool_add_memo(struct spool *spool, const struct spool_memo *memo, uint64_t sequence);

/* commit.c */
void spool_commit_done(struct spool *spool, const struct io_event *ev);
/* make.c has made a segment, or failed. */
void spool_commit_on_segment(struct spool *spool);
void spool_commit_on_no_segment(struct spool *spool);
/* Another engine has the directory: nothing is committed any more. */
void spool_commit_fence(struct spool *spool);
void spool_space(struct spool *spool);

/* make.c */
void spool_make_init(struct spool *spool);
void spool_make_deinit(struct spool *spool);
/* Starts making the next segment when one is wanted and none is under way. */
void spool_make_next(struct spool *spool);
void spool_make_later(struct spool *spool);
/* Room has come free: a maker that waits because of a full disk need not wait longer. */
void spool_make_freed(struct spool *spool);
void spool_make_done(struct spool *spool, const struct io_event *ev);

/* reclaim.c */
void spool_reclaim(struct spool *spool);
void spool_reclaim_done(struct spool *spool, const struct io_event *ev);

#endif
