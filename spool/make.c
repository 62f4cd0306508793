/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Making the next segment, ahead of need, so that neither ENOSPC nor a slow allocation ever meets a
 * commit. Everything that can wait for the disk is a ring operation; opening, renaming and unlinking
 * one name are not worth one. But on a file system that is frozen or hangs they would hold the loop: so they are
 * done only right behind a write or flush that came back.
 *
 *   a new file:  create make-N.tmp ► fallocate ► zero-fill ► headers ► fsync ► rename ► fsync dir ► ready
 *   a spare:     rename spare-M to make-N.tmp ────────────────► headers ► fsync ► rename ► fsync dir ► ready
 *
 * Zero-filling: an unwritten extent would make each commit a metadata transaction too. A spare keeps
 * its old frames: they have another epoch and another salt, so they are noise to a reader. That it was
 * a segment once is durably over: reclaim.c puts it among the spares only after fsync of the directory.
 *
 * Any failure removes the file, tells commit.c, and is tried again by timer, 1 s … 10 s. Said once: a failure of another
 * kind, or the first after a success.
 */
#include "spool/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static void make_step(struct spool *spool, enum spool_make_step step);

static void make_retry(struct timer *t, void *ctx)
{
    (void)ctx;
    struct spool *spool = container_of(t, struct spool, make.retry);
    must(spool->make.step == SPOOL_MAKE_WAITING);
    spool->make.step = SPOOL_MAKE_IDLE;
    spool_make_next(spool);
}

void spool_make_init(struct spool *spool)
{
    spool->make = (struct spool_make){.retry = {.fire = make_retry},
                                      .retry_ms = SPOOL_RETRY_MS_FIRST};
}

static void make_forget(struct spool *spool)
{
    spool_segment_free(&spool->make.segment);
    free(spool->make.bytes);
    spool->make.bytes = NULL;
}

void spool_make_deinit(struct spool *spool)
{
    if (spool->make.retry.fire) {
        timer_stop(spool->timers, &spool->make.retry);
    }
    if (spool->make.segment) {
        char name[DISK_NAME_MAX];
        spool_name_make(name, SPOOL_NAME_MAKE, spool->make.segment->number);
        (void)disk_unlink(spool->dir->fd, name);
    }
    make_forget(spool);
}

void spool_make_later(struct spool *spool)
{
    struct spool_make *m = &spool->make;
    if (m->step != SPOOL_MAKE_IDLE && m->step != SPOOL_MAKE_WAITING) {
        return;
    }
    if (spool->stopping || spool->state == SPOOL_STATE_FENCED || !spool_seals_room(spool)) {
        m->step = SPOOL_MAKE_IDLE; /* this disk has failed a thousand times: only a restart helps */
        return;
    }
    m->step = SPOOL_MAKE_WAITING;
    timer_start(spool->timers, &m->retry, io_now(spool->io)->mono_ms + m->retry_ms);
    m->retry_ms = m->retry_ms * 2 < SPOOL_RETRY_MS_MAX ? m->retry_ms * 2 : SPOOL_RETRY_MS_MAX;
}

void spool_make_freed(struct spool *spool)
{
    struct spool_make *m = &spool->make;
    if (m->step == SPOOL_MAKE_WAITING && m->failure == IO_NO_SPACE) {
        timer_stop(spool->timers, &m->retry);
        m->step = SPOOL_MAKE_IDLE;
        spool_make_next(spool);
    }
}

static enum io_status make_status_of(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return IO_NO_SPACE;
    case EROFS:
    case EACCES:
    case EPERM:
        return IO_READ_ONLY;
    default:
        return IO_DISK_ERROR;
    }
}

static void make_failed(struct spool *spool, enum io_status status, int error)
{
    struct spool_make *m = &spool->make;
    uint64_t number = m->segment ? m->segment->number : 0;
    if (m->segment) {
        char name[DISK_NAME_MAX];
        spool_name_make(name, SPOOL_NAME_MAKE, number);
        (void)disk_unlink(spool->dir->fd, name); /* else the next start removes it */
    }
    make_forget(spool);
    bool news = m->failure != status;
    m->failure = status;
    m->step = SPOOL_MAKE_IDLE;
    if (news) {
        spool_incident(spool, SPOOL_INCIDENT_NO_SEGMENT, number, error);
    }
    spool_make_later(spool);
    spool_commit_on_no_segment(spool);
}

/* ---- whether and how to begin ---- */

static bool make_wanted(const struct spool *spool)
{
    if (spool->next || spool->make.step != SPOOL_MAKE_IDLE || spool->state == SPOOL_STATE_FENCED) {
        return false;
    }
    if (spool->flying) {
        return false; /* its completion comes back to here, and says that the disk does not hang */
    }
    if (spool->stopping) {
        return spool->state == SPOOL_STATE_SEALING; /* somebody waits for the end of it */
    }
    /* With a quarter of the current one used, most of it is left for the time that this takes. */
    return !spool->current || spool->wants_space ||
           spool->append_at > spool->current->file_bytes / 4;
}

/* Opens make-N.tmp: a spare under a new name, or a new file. *spare says which. */
static int make_open(struct spool *spool, struct spool_segment *s, bool *spare)
{
    struct spool_dir *dir = spool->dir;
    char name[DISK_NAME_MAX];
    char old[DISK_NAME_MAX];
    spool_name_make(name, SPOOL_NAME_MAKE, s->number);
    uint64_t number = spool_spare_take(dir);
    *spare = number != 0;
    int r = 0;
    if (*spare) {
        spool_name_make(old, SPOOL_NAME_SPARE, number);
        r = disk_rename(dir->fd, old, name);
        *spare = r == 0;
    }
    s->write_fd = disk_open(dir->fd, name, *spare ? DISK_WRITE : DISK_CREATE, dir->direct);
    if (s->write_fd >= 0) {
        s->read_fd = disk_open(dir->fd, name, DISK_READ, false);
    }
    r = s->write_fd < 0 ? s->write_fd : s->read_fd < 0 ? s->read_fd : 0;
    return r < 0 ? r : disk_random(&s->salt, sizeof(s->salt));
}

static bool make_fenced(struct spool *spool)
{
    if (spool_dir_fence(spool->dir) != SPOOL_FENCE_TAKEN) {
        return false; /* unreadable: then making the file fails too, with a better reason */
    }
    spool_commit_fence(spool);
    return true;
}

static void make_begin(struct spool *spool)
{
    struct spool_make *m = &spool->make;
    struct spool_dir *dir = spool->dir;
    m->segment = spool_segment_new(spool_dir_number(dir), dir->options.segment_bytes);
    m->bytes = aligned_alloc(SPOOL_BLOCK_BYTES, SPOOL_ZERO_BYTES);
    m->zeroed = 0;
    if (!m->segment || !m->bytes) {
        make_failed(spool, IO_EXHAUSTED, ENOMEM);
        return;
    }
    memset(m->bytes, 0, SPOOL_ZERO_BYTES);
    bool spare = false;
    int r = make_open(spool, m->segment, &spare);
    if (r < 0) {
        make_failed(spool, make_status_of(-r), -r);
        return;
    }
    make_step(spool, spare ? SPOOL_MAKE_HEADER : SPOOL_MAKE_FALLOCATE);
}

void spool_make_next(struct spool *spool)
{
    if (!make_wanted(spool) || make_fenced(spool)) {
        return;
    }
    make_begin(spool);
}

/* ---- the steps ---- */

static void make_header(struct spool *spool)
{
    const struct spool_segment *s = spool->make.segment;
    const struct spool_segment_header h = {
        .major = SPOOL_FORMAT_MAJOR,
        .minor = SPOOL_FORMAT_MINOR,
        .lineage = spool->worker,
        .number = s->number,
        .created_us = io_now(spool->io)->wall_us,
        .segment_bytes = s->file_bytes,
        .salt = s->salt,
    };
    spool_segment_header_encode(&h, spool->make.bytes);
}

static void make_ready(struct spool *spool)
{
    struct spool_make *m = &spool->make;
    if (!spool_segment_reserve(spool)) {
        make_failed(spool, IO_EXHAUSTED, ENOMEM);
        return;
    }
    must(spool->next == NULL);
    spool->next = m->segment;
    m->segment = NULL;
    make_forget(spool);
    m->failure = IO_OK;
    m->step = SPOOL_MAKE_IDLE;
    if (spool->state == SPOOL_STATE_READY) {
        m->retry_ms = SPOOL_RETRY_MS_FIRST;
    }
    spool->stats.segments_made++;
    atomic_fetch_add(&spool->dir->bytes_total, spool->next->file_bytes);
    spool_room_grown(spool->dir);
    spool_commit_on_segment(spool);
}

/* The file is whole: give it its name. */
static void make_rename(struct spool *spool)
{
    char from[DISK_NAME_MAX];
    char to[DISK_NAME_MAX];
    spool_name_make(from, SPOOL_NAME_MAKE, spool->make.segment->number);
    spool_name_make(to, SPOOL_NAME_SEGMENT, spool->make.segment->number);
    int r = disk_rename(spool->dir->fd, from, to);
    if (r < 0) {
        make_failed(spool, make_status_of(-r), -r);
        return;
    }
    make_step(spool, SPOOL_MAKE_DIR_SYNC);
}

static void make_step(struct spool *spool, enum spool_make_step step)
{
    struct spool_make *m = &spool->make;
    struct spool_segment *s = m->segment;
    struct io *io = spool->io;
    m->step = step;
    struct io_tag tag = spool_op_start(spool, SPOOL_OP_MAKE);
    switch (step) {
    case SPOOL_MAKE_IDLE:
    case SPOOL_MAKE_WAITING:
        must(false);
        break;
    case SPOOL_MAKE_DIR_SYNC:
        io_fsync(io, tag, spool->dir->fd, false);
        break;
    case SPOOL_MAKE_FALLOCATE:
        io_fallocate(io, tag, s->write_fd, 0, s->file_bytes);
        break;
    case SPOOL_MAKE_ZERO:
        io_write(io, tag, s->write_fd, m->bytes, SPOOL_ZERO_BYTES, m->zeroed);
        break;
    case SPOOL_MAKE_HEADER:
        make_header(spool);
        io_write(io, tag, s->write_fd, m->bytes, SPOOL_BLOCK_BYTES, 0);
        break;
    case SPOOL_MAKE_TRAILER:
        io_write(io, tag, s->write_fd, m->bytes, SPOOL_BLOCK_BYTES,
                 s->file_bytes - SPOOL_BLOCK_BYTES);
        break;
    case SPOOL_MAKE_FILE_SYNC:
        io_fsync(io, tag, s->write_fd, false);
        break;
    }
}

static bool make_short(const struct spool *spool, const struct io_event *ev)
{
    switch (spool->make.step) {
    case SPOOL_MAKE_ZERO:
        return ev->result != SPOOL_ZERO_BYTES;
    case SPOOL_MAKE_HEADER:
    case SPOOL_MAKE_TRAILER:
        return ev->result != SPOOL_BLOCK_BYTES;
    case SPOOL_MAKE_IDLE:
    case SPOOL_MAKE_WAITING:
    case SPOOL_MAKE_FALLOCATE:
    case SPOOL_MAKE_FILE_SYNC:
    case SPOOL_MAKE_DIR_SYNC:
        return false;
    }
    must(false);
    return false;
}

static void make_advance(struct spool *spool)
{
    struct spool_make *m = &spool->make;
    switch (m->step) {
    case SPOOL_MAKE_IDLE:
    case SPOOL_MAKE_WAITING:
        must(false);
        break;
    case SPOOL_MAKE_FALLOCATE:
        make_step(spool, SPOOL_MAKE_ZERO);
        break;
    case SPOOL_MAKE_ZERO:
        m->zeroed += SPOOL_ZERO_BYTES;
        make_step(spool, m->zeroed < m->segment->file_bytes ? SPOOL_MAKE_ZERO : SPOOL_MAKE_HEADER);
        break;
    case SPOOL_MAKE_HEADER:
        make_step(spool, SPOOL_MAKE_TRAILER);
        break;
    case SPOOL_MAKE_TRAILER:
        make_step(spool, SPOOL_MAKE_FILE_SYNC);
        break;
    case SPOOL_MAKE_FILE_SYNC:
        make_rename(spool);
        break;
    case SPOOL_MAKE_DIR_SYNC:
        make_ready(spool);
        break;
    }
}

void spool_make_done(struct spool *spool, const struct io_event *ev)
{
    struct spool_make *m = &spool->make;
    bool sync = m->step == SPOOL_MAKE_FILE_SYNC || m->step == SPOOL_MAKE_DIR_SYNC;
    if (ev->status == IO_RETRY && !sync) {
        make_step(spool, m->step);
        return;
    }
    bool skip = ev->status == IO_UNSUPPORTED && m->step == SPOOL_MAKE_FALLOCATE;
    if (ev->status != IO_OK && !skip) {
        make_failed(spool, ev->status, ev->error);
        return;
    }
    if (!skip && make_short(spool, ev)) {
        make_failed(spool, IO_DISK_ERROR, EIO);
        return;
    }
    make_advance(spool);
}
