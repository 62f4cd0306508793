/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * spool - the durable log of one engine: what was accepted and what became of it
 *
 * Purpose:   a directory of segment files. Each worker appends frames to its own current segment and
 *            learns when they are durable (group commit); the queue keeps holds on what is still
 *            needed, and segments without holds are given back, oldest first. A start reads all of it
 *            back (spool_recover). Format: spool/format.h; crash argument: spool/commit.c, reclaim
 *            argument: spool/reclaim.c.
 * Owner:     struct spool_dir: the control thread, opened before the workers and closed after them.
 *            struct spool: its worker. struct spool_hold: embedded in the queue's message.
 * Thread:    spool_dir_*, spool_recover, spool_tool_*: the control thread while no worker runs
 *            (spool_dir_look, spool_dir_free_bytes: at any time).
 *            spool_*: the worker's thread. spool_frame_body: any.
 * Units:     bytes, milliseconds (mono or wall as named), microseconds (_us, wall).
 * Limits:    one frame: SPOOL_FRAME_BYTES_MAX of rows; that bounds an envelope (check
 *            spool_message_bytes; answer 452 4.5.3 to the recipient that no longer fits).
 * Errors:    appending says SPOOL_WAIT / FULL / FAILED (below). Failed frames are reported by
 *            events->committed, never silently dropped.
 * Durability: a frame is durable when events->committed has covered its lsn with SPOOL_COMMITTED,
 *            never before. All records of one message (fragments, message, results, copies) must go
 *            to the same struct spool while the process lives.
 */
#ifndef RINGPOST_SPOOL_SPOOL_H
#define RINGPOST_SPOOL_SPOOL_H

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/base/list.h"
#include "core/base/timer.h"
#include "core/io/io.h"

#include <stdio.h>

enum {
    SPOOL_SEGMENT_BYTES_MIN = 1024 * 1024,
    SPOOL_SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024,
    SPOOL_SEGMENT_BYTES_MAX = 1024 * 1024 * 1024,
    SPOOL_FRAME_BYTES_MAX = 960 * 1024,
    SPOOL_FRAGMENTS_MAX = 32 * 1024, /* of a message: 4 GiB in pieces of 128 KiB */
    SPOOL_META_BYTES_MAX = 16 * 1024,
    SPOOL_MEMO_KEY_BYTES_MAX = 255,
    SPOOL_MEMO_VALUE_BYTES_MAX = 4096,
    SPOOL_MEMOS_MAX = 24000, /* live ones */
    SPOOL_MEMO_WORKER = 0,   /* whose log has them: see spool/memo.h */
};

struct spool_dir;
struct spool;

/* Zero means default. */
struct spool_options {
    uint64_t segment_bytes; /* multiple of 1 MiB, 64 MiB */
    unsigned workers;       /* number of struct spool that will be opened; 1 */
    unsigned spares;        /* finished segments kept for re-use, in the whole directory; 2 */
    unsigned buffers;       /* commit buffers of 1 MiB per worker, allocated when needed; 8 */
    uint32_t lazy_ms;       /* how long lazy frames wait for company; 5 */
};

/* ---- values ---- */

/* The place of a frame. */
struct spool_ref {
    uint64_t segment;
    uint32_t offset;
    uint32_t bytes; /* header, payload, padding */
};

/* A piece of a message's content that stands in a frame of its own. */
struct spool_fragment_ref {
    struct spool_ref ref;
    uint32_t body_bytes;
};

enum spool_rcpt_status {
    SPOOL_RCPT_QUEUED, /* to be delivered; deferred when attempts > 0 */
    SPOOL_RCPT_DELIVERED,
    SPOOL_RCPT_BOUNCED,
    SPOOL_RCPT_EXPIRED,
    SPOOL_RCPT_CANCELLED,
    SPOOL_RCPT_STATUS_COUNT
};

struct spool_rcpt {
    struct slice address;
    struct slice orcpt;
    uint8_t notify; /* opaque to the spool */
    enum spool_rcpt_status status;
    uint16_t attempts;
    uint64_t next_due_ms; /* wall clock; 0: at once */
};

struct spool_message {
    uint64_t id; /* chosen by the queue, unique in the directory: above spool_recovery.id_max */
    uint64_t arrival_us;   /* wall clock */
    uint32_t flags;        /* opaque to the spool */
    uint8_t ret;           /* opaque */
    uint32_t header_bytes; /* of the content, with the empty line */
    uint64_t body_bytes; /* the whole content: header and body, all fragments and the inline part */
    struct slice sender; /* without <>; empty for the null sender */
    struct slice envid;
    struct slice meta; /* opaque: client, HELO, protocol, tenant … */
    const struct spool_rcpt *rcpts;
    uint32_t rcpt_count;
    const struct spool_fragment_ref
        *fragments; /* content in order; the inline part comes after them */
    uint32_t fragment_count;
    const struct iovec *body; /* inline content */
    unsigned body_count;
};

enum spool_result_kind {
    SPOOL_RESULT_DELIVERED = 1,
    SPOOL_RESULT_BOUNCED,
    SPOOL_RESULT_EXPIRED,
    SPOOL_RESULT_CANCELLED,
    SPOOL_RESULT_DEFERRED,
};

struct spool_result {
    uint64_t id;
    uint32_t rcpt; /* index in the message */
    enum spool_result_kind kind;
    uint16_t attempts;
    uint64_t next_due_ms; /* DEFERRED: wall clock */
    uint64_t at_us;       /* wall clock */
    uint16_t code;        /* 0: none */
    uint8_t enhanced_class;
    uint16_t enhanced_subject;
    uint16_t enhanced_detail;
    struct slice text; /* at most LIMIT_OUTCOME_TEXT_BYTES */
};

/* What a recipient is after such a result. */
enum spool_rcpt_status spool_status_after(enum spool_result_kind kind);

/* Keeps a segment on disk while what it names is needed. Zero-initialise. One hold covers any number
 * of frames of one segment; a message whose fragments lie in several segments needs one for each. */
struct spool_hold {
    struct list link;
    uint64_t segment; /* 0: holds nothing */
    uint32_t bytes;
    bool
        pinned; /* the owner's: no message that could move now, spool_compact_next passes it over */
    bool memo;  /* the spool's own: it moves it itself */
};

/* Something to be remembered that is not mail: a STATE row. */
struct spool_memo {
    uint8_t kind; /* the queue's; unknown ones are carried on */
    struct slice key;
    struct slice value; /* empty: forget it */
};

/* ---- the directory ---- */

/* Opens (mode 0700, created when missing), locks, checks the version, takes the fence. NULL: *error
 * says why in one sentence without a full stop ("…/spool is in use by another ringpost (pid 12)"). */
struct spool_dir *spool_dir_open(const char *path, const struct spool_options *options,
                                 struct buf *error);
void spool_dir_close(struct spool_dir **dir);
/* False: the file system refuses O_DIRECT; writes go through the page cache (say so once). */
bool spool_dir_direct(const struct spool_dir *dir);
const char *spool_dir_path(const struct spool_dir *dir);
/* Bytes that a process without privileges can still write; UINT64_MAX when the kernel does not say. */
uint64_t spool_dir_free_bytes(const struct spool_dir *dir);

/* Room by configuration: while it is not OK every worker refuses new mail (spool_takes_mail), results and
 * delivery go on. */
enum spool_room {
    SPOOL_ROOM_OK,
    SPOOL_ROOM_MAX_SIZE, /* the log is larger than size_max */
    SPOOL_ROOM_MIN_FREE, /* the file system has less than free_min left */
};

/* 0: no limit. size_max is raised to what the workers need when idle, and a segment. */
struct spool_room_limits {
    uint64_t size_max;
    uint64_t free_min;
};

struct spool_room_look {
    enum spool_room room;
    bool changed;        /* since the last look */
    uint64_t size_bytes; /* segment files, without spares */
    uint64_t free_bytes; /* see spool_dir_free_bytes */
};

/* Measures and decides; to be called now and then by the control thread, also while workers run. Room
 * comes back one segment later than it went: spool/room.h. */
void spool_dir_look(struct spool_dir *dir, const struct spool_room_limits *limits,
                    struct spool_room_look *out);

/* ---- recovery: once, after spool_dir_open and before any spool_open ---- */

/* A message with at least one queued recipient. All memory lives until the callback returns. */
struct spool_recovered {
    struct spool_message message; /* states are merged; body = NULL: the content stays on disk */
    struct spool_ref ref;         /* the frame that holds the message and the inline content */
    uint32_t inline_bytes;        /* of the content, in ref */
    bool damaged;                 /* a fragment names a segment that is gone: cannot be delivered */
};

enum spool_damage {
    SPOOL_DAMAGE_FRAME,   /* acknowledged bytes are broken: a record is lost, reported, skipped */
    SPOOL_DAMAGE_ROW,     /* the frame's checksum is right but a row makes no sense */
    SPOOL_DAMAGE_SEGMENT, /* both header blocks of a segment are broken: it is set aside */
    SPOOL_DAMAGE_UNREADABLE, /* the disk refuses to read it */
    SPOOL_DAMAGE_SHORT, /* the file ends before its segment does: a segment is made at full length */
    SPOOL_DAMAGE_TORN,  /* not damage: the unacknowledged end of a crash, ignored */
};

struct spool_damage_report {
    enum spool_damage kind;
    const char *file;
    uint64_t segment;
    uint64_t offset;
    uint64_t bytes;
};

struct spool_recovery_events {
    /* Every live message once, oldest first; worker < options.workers: whose queue it belongs to. */
    void (*message)(void *ctx, unsigned worker, const struct spool_recovered *m);
    void (*damage)(void *ctx, const struct spool_damage_report *report); /* may be NULL */
    /* Every live memo once, in no order, during the call; may be NULL. */
    void (*memo)(void *ctx, const struct spool_memo *memo);
};

struct spool_recovery {
    uint64_t segments;
    uint64_t frames;
    uint64_t messages_live;
    uint64_t messages_done;
    uint64_t rcpts_queued;
    uint64_t damaged; /* reports that are damage (not TORN) */
    uint64_t torn;
    uint64_t id_max;
    uint64_t lsn_max;
    uint64_t memos;
};

/* False: the directory cannot be read, or memory is exhausted; *error says so. */
bool spool_recover(struct spool_dir *dir, const struct spool_recovery_events *events, void *ctx,
                   struct spool_recovery *summary, struct buf *error);

/* ---- one worker's log ---- */

enum spool_commit_result {
    SPOOL_COMMITTED, /* durable */
    SPOOL_LOST,      /* not durable and never will be: 451 4.3.0; results must be appended again */
};

enum spool_incident {
    SPOOL_INCIDENT_WRITE_FAILED,    /* a commit failed: the segment has ended */
    SPOOL_INCIDENT_NO_SEGMENT,      /* a new segment could not be made; tried again later */
    SPOOL_INCIDENT_READ_ONLY,       /* no log to write to: nothing is accepted */
    SPOOL_INCIDENT_RECOVERED,       /* writing works again */
    SPOOL_INCIDENT_RECLAIM_STOPPED, /* deletions cannot be made durable: nothing is deleted any more */
    SPOOL_INCIDENT_FENCED, /* another engine has taken this directory: for ever read-only */
};

struct spool_events {
    /* Covers all frames after the last call up to lsn_upto. Never called inside an append. */
    void (*committed)(void *ctx, uint64_t lsn_upto, enum spool_commit_result result);
    /* After SPOOL_WAIT, FULL or FAILED: trying again makes sense now. */
    void (*space)(void *ctx);
    /* For the log; error is an errno or 0. May be NULL. */
    void (*incident)(void *ctx, enum spool_incident what, uint64_t segment, int error);
};

/* After spool_recover. The first segment is made in the background: appends say SPOOL_WAIT until then.
 * Then the queue takes its holds on what was recovered and calls spool_adopted. NULL: no memory. */
struct spool *spool_open(struct spool_dir *dir, unsigned worker, struct io *io,
                         struct timer_wheel *timers, const struct spool_events *events, void *ctx);
/* All holds on recovered messages are taken: what has none may be given back from now on. */
void spool_adopted(struct spool *spool);
/* Stops the timers and the making of segments. Commits go on; call until it returns true (nothing in
 * the kernel, nothing to commit), then spool_close. */
bool spool_stop(struct spool *spool);
void spool_close(struct spool **spool);

/* The handler of IO_KIND_SPOOL. */
void spool_on_io(struct spool *spool, const struct io_event *ev);

enum spool_append {
    SPOOL_APPENDED,
    SPOOL_WAIT, /* buffers are busy or the next segment is being made: again after events->space */
    SPOOL_FULL, /* no room on the disk: 452 4.3.1 */
    SPOOL_FAILED, /* the disk refuses writes: 451 4.3.0 */
};

/* Who may use the last bytes of the last segment: new mail stops first, results last, so that a full
 * disk can drain. */
enum spool_class {
    SPOOL_CLASS_MAIL,
    SPOOL_CLASS_DEFERRAL, /* a result that may be forgotten: it ends nothing */
    SPOOL_CLASS_COMPACT,  /* a message appended again, see spool_compact_next */
    SPOOL_CLASS_RESULT,   /* results; also a DSN in the frame of the result that caused it */
};

enum spool_urgency {
    SPOOL_LAZY,   /* may wait lazy_ms for company: results */
    SPOOL_URGENT, /* somebody waits for it */
};

/* What the beginning of a new message should be told: APPENDED or WAIT (come in), FULL or FAILED. Changes
 * nothing. It asks for the room of one piece of content; who was let in may still meet FULL later. */
enum spool_append spool_takes_mail(const struct spool *spool);

/* Whether an attempt may begin. False: its result would have no place in this run's log (no segment could
 * be made since the start, so that each start would send again what it cannot remember), or another engine
 * has the spool and sends it. */
bool spool_records(const struct spool *spool);

/* A frame is built without returning to the loop: begin, then rows whose encoded sizes
 * (spool_*_bytes) sum to at most bytes_max, then end or cancel. */
enum spool_append spool_frame_begin(struct spool *spool, enum spool_class cls, size_t bytes_max);
void spool_add_message(struct spool *spool, const struct spool_message *m);
void spool_add_fragment(struct spool *spool, uint64_t id, uint32_t index, struct slice body);
void spool_add_result(struct spool *spool, const struct spool_result *r);
void spool_frame_end(struct spool *spool, enum spool_urgency urgency, uint64_t *lsn,
                     struct spool_ref *ref);
void spool_frame_cancel(struct spool *spool);

/* One memo in a frame of its own, urgent; only of the log of SPOOL_MEMO_WORKER. It is remembered when
 * events->committed covers *lsn with COMMITTED, else what was before still is. FULL: also when there are
 * SPOOL_MEMOS_MAX of them. FAILED: also without memory. */
enum spool_append spool_memo_put(struct spool *spool, const struct spool_memo *memo, uint64_t *lsn);

/* Encoded sizes with their row headers. */
size_t spool_message_bytes(const struct spool_message *m);
size_t spool_fragment_bytes(size_t body_bytes);
size_t spool_result_bytes(const struct spool_result *r);

/* The loop's commit phase. */
void spool_commit(struct spool *spool);
/* When spool_commit wants to be called (mono ms): TIMER_NEVER while there is nothing to do or a flush
 * is in the kernel. */
uint64_t spool_commit_due_ms(const struct spool *spool);
/* Everything up to here is decided: durable, or reported as lost. */
uint64_t spool_decided_lsn(const struct spool *spool);

/* ---- holds and bodies ---- */

/* Take a hold directly after spool_frame_end (before it is durable is right), release it when nothing
 * in the frame is needed: for a message, after the results that end it are durable. Holding a second
 * frame of the same segment adds to the hold. False: there is no such segment (damaged reference). */
bool spool_hold(struct spool *spool, struct spool_hold *hold, struct spool_ref ref);
void spool_release(struct spool *spool, struct spool_hold *hold);
/* A hold that only counts: fold turns it into a number that the owner keeps as segment and bytes (hold is
 * empty then), unfold turns that back into the same hold. In between it is in force. */
void spool_hold_fold(struct spool *spool, struct spool_hold *hold);
void spool_hold_unfold(struct spool *spool, struct spool_hold *hold, uint64_t segment,
                       uint32_t bytes);

/* A message of the oldest segments that should move so that space can be given back; NULL: nothing to
 * do. The queue appends it again (same id, same recipients, current states, SPOOL_CLASS_COMPACT;
 * fragments that lie in a held segment too), and when that is durable it releases this hold and
 * takes one on the new place. Until then the same hold is returned again. */
struct spool_hold *spool_compact_next(struct spool *spool);
/* When spool_compact_next says NULL: the segment of which a folded hold should move (the owner unfolds one,
 * then spool_compact_next returns it); 0: none. */
uint64_t spool_compact_folded(struct spool *spool);

/* Where a held frame can be read, by any thread while the hold lasts. */
struct spool_place {
    int fd; /* buffered, read-only: any alignment */
    uint64_t offset;
    size_t bytes;
    uint64_t salt; /* for spool_frame_body; never show it */
};

/* False: no such segment (a fragment ref whose segment is gone). */
bool spool_locate(const struct spool *spool, struct spool_ref ref, struct spool_place *place);

/* Promise P6: checks that raw (place.bytes read at place.offset) is the very frame that ref names and
 * holds content of this message. *body: the inline content of its MESSAGE, or its FRAGMENT. */
bool spool_frame_body(const struct spool_place *place, struct spool_ref ref, struct slice raw,
                      uint64_t id, struct slice *body);

/* ---- statistics ---- */

enum spool_state {
    SPOOL_STATE_STARTING, /* the first segment is being made */
    SPOOL_STATE_READY,
    SPOOL_STATE_SEALING, /* a segment has failed, its seal is not durable yet */
    SPOOL_STATE_READ_ONLY,
    SPOOL_STATE_FENCED,
};

/* What new mail meets, the better before the worse: the worst worker speaks for the engine. */
enum spool_health {
    SPOOL_HEALTH_READY,
    SPOOL_HEALTH_STARTING,
    SPOOL_HEALTH_MAX_SIZE, /* 452: enum spool_room */
    SPOOL_HEALTH_MIN_FREE,
    SPOOL_HEALTH_FULL, /* 452: no room for another segment on the disk */
    SPOOL_HEALTH_STALLED, /* a commit takes longer than SPOOL_STALLED_MS: the disk hangs, who sends waits */
    SPOOL_HEALTH_READ_ONLY, /* 451: the disk refuses writes */
    SPOOL_HEALTH_FENCED,
};

enum { SPOOL_STALLED_MS = 3000 };

/* "ready", "starting", "max_size", "min_free", "full", "stalled", "read-only", "fenced" */
const char *spool_health_name(enum spool_health health);

struct spool_stats {
    enum spool_state state;
    enum spool_health health;
    bool ready;        /* spool_ready */
    bool full;         /* no next segment because the disk is full */
    uint64_t segments; /* of this worker, and recovered ones that it holds */
    uint64_t bytes_total;
    uint64_t bytes_live; /* held */
    uint64_t commits;
    uint64_t frames;
    uint64_t bytes_committed; /* with padding */
    uint64_t failures;        /* commits that failed */
    uint64_t segments_made;
    uint64_t segments_reclaimed;
};

void spool_stats(const struct spool *spool, struct spool_stats *out);
/* Readiness: new mail can be made durable now. */
bool spool_ready(const struct spool *spool);

/* ---- offline tools: read-only, without the lock ---- */

/* Each returns a process exit status: 0 fine, 1 damage found or no such message, 2 unreadable. */
int spool_tool_ls(const char *path, bool json, FILE *out, FILE *err);
/* The content as it was accepted (CRLF lines). */
int spool_tool_cat(const char *path, uint64_t id, FILE *out, FILE *err);
int spool_tool_verify(const char *path, FILE *out, FILE *err);

#endif
