/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Purpose: start-up on a directory of any segments. The input is cut into the payloads of frames, whose checksums are
 *          made right (or not), in up to three segments of two logs; recovery must come to an end, name what it
 *          found consistently, and find the same once more when it is run again (recovery may itself be killed).
 * Input:   per frame: a byte (bits 0-1 both set: the next segment; 2: the payload is broken; 3: a block is left out; 4: of
 *          the same group), a byte of half the length, the payload: rows as of spool/format.h.
 * Files:   in a directory of its own under /dev/shm or TMPDIR, removed at the end of the process.
 */
#include "core/base/must.h"
#include "spool/format.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENTS = 3, SALT = 7, PATH_BYTES = 400 };

struct found {
    uint64_t messages, rcpts, memos, damaged;
    uint64_t sum; /* of all ids and places, in whatever order */
};

static char folder[PATH_BYTES / 2];

static void clear(void)
{
    char path[PATH_BYTES];
    DIR *dir = opendir(folder);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%.150s", folder, e->d_name);
            unlink(path);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static void leave(void)
{
    clear();
    rmdir(folder);
}

static void enter(void)
{
    if (folder[0]) {
        clear();
        return;
    }
    const char *temp = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%.100s/ringpost-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm"
             : temp                        ? temp
                                           : "/tmp");
    must(mkdtemp(folder) != NULL);
    atexit(leave);
}

/* ---- the segments ---- */

struct writer {
    uint8_t *bytes; /* of the segment at hand */
    uint64_t number;
    uint64_t lsn;
    uint32_t at, group;
};

static void segment_begin(struct writer *w)
{
    const struct spool_segment_header h = {.major = SPOOL_FORMAT_MAJOR,
                                           .minor = SPOOL_FORMAT_MINOR,
                                           .lineage = (uint32_t)(w->number + 1) % 2,
                                           .number = w->number,
                                           .segment_bytes = SPOOL_SEGMENT_BYTES_MIN,
                                           .salt = SALT};
    memset(w->bytes, 0, SPOOL_SEGMENT_BYTES_MIN);
    spool_segment_header_encode(&h, w->bytes);
    memcpy(w->bytes + SPOOL_SEGMENT_BYTES_MIN - SPOOL_BLOCK_BYTES, w->bytes, SPOOL_BLOCK_BYTES);
    w->at = w->group = SPOOL_DATA_OFFSET;
}

static void segment_end(struct writer *w)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/seg-%016llx.log", folder, (unsigned long long)w->number);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    must(fd >= 0);
    /* Only what is not zero: the rest is a hole. */
    must(pwrite(fd, w->bytes, w->at, 0) == (ssize_t)w->at);
    must(pwrite(fd, w->bytes + SPOOL_SEGMENT_BYTES_MIN - SPOOL_BLOCK_BYTES, SPOOL_BLOCK_BYTES,
                SPOOL_SEGMENT_BYTES_MIN - SPOOL_BLOCK_BYTES) == SPOOL_BLOCK_BYTES);
    must(close(fd) == 0);
    w->number++;
}

static void frame_add(struct writer *w, struct slice payload, unsigned how)
{
    if (!(how & 16)) {
        w->at = (w->at + SPOOL_BLOCK_BYTES - 1) / SPOOL_BLOCK_BYTES * SPOOL_BLOCK_BYTES;
        w->at += how & 8 ? SPOOL_BLOCK_BYTES : 0U;
        w->group = w->at;
    }
    if (w->at + SPOOL_FRAME_HEADER_BYTES + payload.len + 2 * SPOOL_BLOCK_BYTES >
        SPOOL_SEGMENT_BYTES_MIN) {
        return;
    }
    const struct spool_frame_header h = {.payload_bytes = (uint32_t)payload.len,
                                         .epoch = w->number,
                                         .lsn = ++w->lsn,
                                         .offset = w->at,
                                         .group = w->group,
                                         .rows = 1};
    uint8_t *frame = w->bytes + w->at;
    memcpy(frame + SPOOL_FRAME_HEADER_BYTES, payload.ptr, payload.len);
    spool_frame_seal(frame, &h, SALT);
    if (how & 4) {
        frame[SPOOL_FRAME_HEADER_BYTES] ^= 1;
    }
    w->at += spool_frame_bytes((uint32_t)payload.len);
}

static void write_all(struct slice input)
{
    struct writer w = {.number = 1, .bytes = malloc(SPOOL_SEGMENT_BYTES_MIN)};
    must(w.bytes != NULL);
    segment_begin(&w);
    while (input.len >= 3) {
        unsigned how = (uint8_t)input.ptr[0];
        struct slice payload = slice_first(slice_skip(input, 2),
                                           1 + 2 * (size_t)(uint8_t)input.ptr[1]);
        input = slice_skip(input, 2 + payload.len);
        if ((how & 3) == 3 && w.number < SEGMENTS) {
            segment_end(&w);
            segment_begin(&w);
        }
        frame_add(&w, payload, how);
    }
    segment_end(&w);
    free(w.bytes);
}

/* ---- recovery ---- */

static void on_message(void *ctx, unsigned worker, const struct spool_recovered *r)
{
    struct found *f = ctx;
    must(worker < 2 && r->message.rcpt_count > 0);
    unsigned queued = 0;
    for (uint32_t i = 0; i < r->message.rcpt_count; i++) {
        queued += r->message.rcpts[i].status == SPOOL_RCPT_QUEUED;
    }
    must(queued > 0);
    f->messages++;
    f->rcpts += queued;
    f->sum += r->message.id * 31 + r->ref.offset + r->ref.segment * 7;
}

static void on_damage(void *ctx, const struct spool_damage_report *d)
{
    struct found *f = ctx;
    f->damaged += d->kind != SPOOL_DAMAGE_TORN;
}

static void on_memo(void *ctx, const struct spool_memo *memo)
{
    struct found *f = ctx;
    must(memo->key.len > 0 && memo->value.len > 0);
    f->memos++;
}

static struct found recover(void)
{
    const struct spool_options options = {.segment_bytes = SPOOL_SEGMENT_BYTES_MIN, .workers = 2};
    const struct spool_recovery_events events = {on_message, on_damage, on_memo};
    struct found f = {0};
    struct spool_recovery sum;
    struct buf error;
    buf_init(&error, 1024);
    struct spool_dir *dir = spool_dir_open(folder, &options, &error);
    must(dir != NULL);
    must(spool_recover(dir, &events, &f, &sum, &error));
    must(error.len == 0 && sum.messages_live == f.messages && sum.rcpts_queued == f.rcpts);
    must(sum.damaged == f.damaged && sum.memos == f.memos);
    spool_dir_close(&dir);
    buf_deinit(&error);
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enter();
    write_all(slice_of(data, size));
    struct found first = recover();
    struct found second = recover();
    must(first.messages == second.messages && first.rcpts == second.rcpts);
    must(first.sum == second.sum && first.memos == second.memos);
    return 0;
}
