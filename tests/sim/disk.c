/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Files, names and the calls of core/io/disk.h. Pages and what a crash does to them: disk_page.c.
 */
#include "tests/sim/disk_private.h"
#include "tests/sim/engine.h"
#include "tests/sim/heap.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct drive drive;

/* ---- names ---- */

struct disk_name *disk_names_find(struct disk_names *n, const char *name)
{
    for (unsigned i = 0; i < n->count; i++) {
        if (strcmp(n->list[i].name, name) == 0) {
            return &n->list[i];
        }
    }
    return NULL;
}

static void names_add(struct disk_names *n, const char *name, unsigned file)
{
    must(n->count < DISK_NAMES);
    struct disk_name *e = &n->list[n->count++];
    snprintf(e->name, sizeof(e->name), "%s", name);
    e->file = file;
}

static void names_remove(struct disk_names *n, const char *name)
{
    struct disk_name *e = disk_names_find(n, name);
    if (e) {
        *e = n->list[--n->count];
    }
}

static void names_change(struct disk_names *n, const struct disk_change *c)
{
    switch (c->kind) {
    case CHANGE_CREATE:
        if (!disk_names_find(n, c->to)) {
            names_add(n, c->to, c->file);
        }
        break;
    case CHANGE_RENAME:
        for (unsigned i = n->count; i-- > 0;) { /* one file, one name */
            if (n->list[i].file == c->file) {
                n->list[i] = n->list[--n->count];
            }
        }
        names_remove(n, c->to);
        names_add(n, c->to, c->file);
        break;
    case CHANGE_UNLINK:
        names_remove(n, c->from);
        break;
    }
}

void disk_change_add(enum disk_change_kind kind, const char *from, const char *to, unsigned file)
{
    struct disk *d = drive.disk;
    must(d->change_count < DISK_CHANGES);
    struct disk_change *c = &d->changes[d->change_count++];
    *c = (struct disk_change){.kind = kind, .file = file};
    snprintf(c->from, sizeof(c->from), "%s", from);
    snprintf(c->to, sizeof(c->to), "%s", to);
    names_change(&d->now, c);
}

static void names_sync(struct disk *d)
{
    d->durable = d->now;
    d->change_count = 0;
}

/* ---- files ---- */

static bool file_needed(const struct disk *d, unsigned file)
{
    for (unsigned i = 0; i < DISK_FD_COUNT; i++) {
        if (d->fds[i] == file + 1) {
            return true;
        }
    }
    for (unsigned i = 0; i < d->now.count; i++) {
        if (d->now.list[i].file == file) {
            return true;
        }
    }
    for (unsigned i = 0; i < d->durable.count; i++) {
        if (d->durable.list[i].file == file) {
            return true;
        }
    }
    for (unsigned i = 0; i < d->change_count; i++) {
        if (d->changes[i].file == file) {
            return true;
        }
    }
    return false;
}

static void files_sweep(struct disk *d)
{
    for (unsigned i = 0; i < DISK_FILES; i++) {
        if (d->in_use[i] && !file_needed(d, i)) {
            disk_file_free(&d->files[i]);
            d->in_use[i] = false;
        }
    }
}

unsigned disk_file_new(struct disk *d)
{
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < DISK_FILES; i++) {
            if (!d->in_use[i]) {
                d->in_use[i] = true;
                return i;
            }
        }
        files_sweep(d);
    }
    must_never("more files than DISK_FILES");
}

struct disk_file *disk_file_of(int fd)
{
    must(fd >= DISK_FD_FIRST && fd < DISK_FD_FIRST + DISK_FD_COUNT);
    unsigned i = drive.disk->fds[fd - DISK_FD_FIRST];
    if (i == 0) {
        sim_fail("file descriptor %d is used after it was closed", fd);
    }
    return &drive.disk->files[i - 1];
}

uint64_t disk_used_bytes(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < drive.disk->now.count; i++) {
        sum += drive.disk->files[drive.disk->now.list[i].file].size;
    }
    return sum;
}

bool disk_has_room(const struct disk_file *f, uint64_t end)
{
    uint64_t limit = drive.disk->probe || sim.calm ? 0 : sim.opt.disk_bytes;
    return end <= f->size || !limit || disk_used_bytes() + (end - f->size) <= limit;
}

/* ---- the world's side ---- */

struct disk *disk_new(void)
{
    return heap_world_alloc(sizeof(struct disk));
}

void disk_free(struct disk **d)
{
    for (unsigned i = 0; i < DISK_FILES; i++) {
        disk_file_free(&(*d)->files[i]);
    }
    heap_world_free(*d);
    *d = NULL;
}

struct disk *disk_use(struct disk *d)
{
    struct disk *before = drive.disk;
    drive.disk = d;
    return before;
}

struct disk *disk_fork(void)
{
    const struct disk *d = drive.disk;
    struct disk *copy = heap_world_alloc(sizeof(*copy));
    copy->now = d->now;
    copy->durable = d->durable;
    memcpy(copy->changes, d->changes, d->change_count * sizeof(d->changes[0]));
    copy->change_count = d->change_count;
    copy->probe = true;
    for (unsigned i = 0; i < DISK_FILES; i++) {
        copy->in_use[i] = d->in_use[i];
        if (d->in_use[i]) {
            disk_file_copy(&copy->files[i], &d->files[i]);
        }
    }
    memcpy(copy->fds, d->fds, sizeof(copy->fds)); /* for disk_crash_write */
    return copy;
}

uint64_t disk_steps(void)
{
    return drive.steps;
}

void disk_crash_at(uint64_t step, enum disk_crash how)
{
    drive.crash_at = step;
    drive.crash_how = how;
}

bool disk_step(void)
{
    if (drive.disk->probe) {
        return true;
    }
    drive.steps++;
    sim.counts.disk_steps++;
    if (drive.crash_at && drive.steps >= drive.crash_at) {
        drive.crash_at = 0;
        engine_die(drive.crash_how);
        return false;
    }
    if (sim_chance(sim.opt.probe_ppm)) {
        engine_probe();
    }
    return true;
}

void disk_crash_write(int fd, const void *ptr, size_t len, uint64_t offset, enum disk_crash how)
{
    struct disk_file *f = disk_file_of(fd);
    const char *at = ptr;
    bool whole = sim_below(4) == 0;
    for (size_t done = 0; how != DISK_CRASH_LOSE && done < len; done += DISK_SECTOR) {
        if ((whole || sim_below(2)) && disk_has_room(f, offset + done + DISK_SECTOR)) {
            disk_file_write(f, at + done, DISK_SECTOR, offset + done);
        }
    }
}

void disk_crash(enum disk_crash how)
{
    struct disk *d = drive.disk;
    memset(d->fds, 0, sizeof(d->fds));
    d->locked_fd = 0;
    if (how == DISK_CRASH_KILL) {
        files_sweep(d);
        return;
    }
    for (unsigned i = 0; i < d->change_count; i++) {
        if (how == DISK_CRASH_POWER && sim_below(2)) {
            names_change(&d->durable, &d->changes[i]);
        }
    }
    d->now = d->durable;
    d->change_count = 0;
    files_sweep(d);
    for (unsigned i = 0; i < DISK_FILES; i++) {
        if (d->in_use[i]) {
            disk_file_crash(&d->files[i], how == DISK_CRASH_POWER);
        }
    }
}

bool disk_rot(void)
{
    struct disk *d = drive.disk;
    for (unsigned i = 0; i < d->now.count; i++) {
        const struct disk_name *n = &d->now.list[sim_below(d->now.count)];
        if (strncmp(n->name, "seg-", 4) == 0 && disk_file_rot(&d->files[n->file])) {
            sim_trace("a bit of %s flips", n->name);
            return true;
        }
    }
    return false;
}

static struct disk_file *disk_segment(uint64_t segment)
{
    char name[DISK_NAME_MAX];
    snprintf(name, sizeof(name), "seg-%016llx.log", (unsigned long long)segment);
    const struct disk_name *n = disk_names_find(&drive.disk->now, name);
    return n ? &drive.disk->files[n->file] : NULL;
}

bool disk_peek(uint64_t segment, uint64_t offset, void *to, size_t len)
{
    const struct disk_file *f = disk_segment(segment);
    if (!f || offset + len > f->size) {
        return false;
    }
    disk_file_read(f, to, len, offset);
    return true;
}

bool disk_flip(uint64_t segment, uint64_t offset, unsigned bit)
{
    struct disk_file *f = disk_segment(segment);
    return f && disk_file_flip(f, offset, bit);
}

unsigned disk_open_files(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < DISK_FD_COUNT; i++) {
        n += drive.disk->fds[i] ? 1 : 0;
    }
    return n;
}

/* ---- the ring's side ---- */

/* Copies for probes have no faults. */
bool disk_fault(uint32_t ppm)
{
    return !drive.disk->probe && sim_fault(ppm);
}

int disk_ring_write(int fd, const void *ptr, size_t len, uint64_t offset)
{
    struct disk_file *f = disk_file_of(fd);
    must(len % 4096 == 0 && offset % 4096 == 0 && (uintptr_t)ptr % 4096 == 0);
    if (disk_fault(sim.opt.disk_eio_ppm)) {
        /* Some of it may have happened. */
        disk_file_write(f, ptr, sim_below(len / DISK_SECTOR + 1) * DISK_SECTOR, offset);
        return -EIO;
    }
    if (disk_fault(sim.opt.disk_enospc_ppm) || !disk_has_room(f, offset + len)) {
        return -ENOSPC;
    }
    if (len > 4096 && disk_fault(sim.opt.disk_short_ppm)) {
        len = sim_between(1, len / 4096 - 1) * 4096;
    }
    disk_file_write(f, ptr, len, offset);
    return (int)len;
}

int disk_ring_read(int fd, void *ptr, size_t len, uint64_t offset)
{
    if (fd < 0) {
        return -EBADF; /* how queue/reader.c says that it cannot even begin */
    }
    if (disk_fault(sim.opt.disk_read_eio_ppm)) {
        return -EIO;
    }
    return (int)disk_pread(fd, ptr, len, offset);
}

int disk_ring_sync(int fd)
{
    bool ok = !disk_fault(sim.opt.disk_eio_ppm);
    if (fd == DISK_DIR_FD) {
        if (ok) {
            names_sync(drive.disk);
        }
    } else {
        disk_file_sync(disk_file_of(fd), ok);
    }
    return ok ? 0 : -EIO;
}

int disk_ring_sync_range(int fd, uint64_t offset, size_t len)
{
    bool ok = !disk_fault(sim.opt.disk_eio_ppm);
    disk_file_sync_range(disk_file_of(fd), offset, len, ok);
    return ok ? 0 : -EIO;
}

int disk_ring_allocate(int fd, uint64_t offset, uint64_t len)
{
    struct disk_file *f = disk_file_of(fd);
    if (disk_fault(sim.opt.disk_enospc_ppm) || !disk_has_room(f, offset + len)) {
        return -ENOSPC;
    }
    disk_file_grow(f, offset + len);
    return 0;
}
