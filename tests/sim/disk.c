/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Files, names and the calls of core/io/disk.h. Pages and what a crash does to them: disk_page.c.
 */
#include "tests/sim/disk.h"
#include "tests/sim/disk_page.h"
#include "tests/sim/engine.h"
#include "tests/sim/heap.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { DISK_NAMES = 256, DISK_CHANGES = 256, DISK_FILES = 256 };

struct disk_name {
    char name[DISK_NAME_MAX];
    unsigned file;
};

struct disk_names {
    struct disk_name list[DISK_NAMES];
    unsigned count;
};

enum disk_change_kind { CHANGE_CREATE, CHANGE_RENAME, CHANGE_UNLINK };

struct disk_change {
    enum disk_change_kind kind;
    unsigned file;
    char from[DISK_NAME_MAX];
    char to[DISK_NAME_MAX];
};

struct disk {
    struct disk_file files[DISK_FILES]; /* not used: no name, no descriptor */
    bool in_use[DISK_FILES];
    unsigned fds[DISK_FD_COUNT]; /* file + 1; 0: closed */
    int locked_fd;
    struct disk_names now, durable;
    struct disk_change changes[DISK_CHANGES];
    unsigned change_count;
    bool probe; /* a copy: no faults, no crashes */
};

static struct {
    struct disk *disk;
    uint64_t steps, crash_at;
    enum disk_crash crash_how;
} drive;

/* ---- names ---- */

static struct disk_name *names_find(struct disk_names *n, const char *name)
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
    struct disk_name *e = names_find(n, name);
    if (e) {
        *e = n->list[--n->count];
    }
}

static void names_change(struct disk_names *n, const struct disk_change *c)
{
    switch (c->kind) {
    case CHANGE_CREATE:
        if (!names_find(n, c->to)) {
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

static void change_add(enum disk_change_kind kind, const char *from, const char *to, unsigned file)
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

static unsigned file_new(struct disk *d)
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

static struct disk_file *file_of(int fd)
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

static bool disk_has_room(const struct disk_file *f, uint64_t end)
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
    memcpy(copy->changes, d->changes, sizeof(copy->changes));
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
    struct disk_file *f = file_of(fd);
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
static bool disk_fault(uint32_t ppm)
{
    return !drive.disk->probe && sim_fault(ppm);
}

int disk_ring_write(int fd, const void *ptr, size_t len, uint64_t offset)
{
    struct disk_file *f = file_of(fd);
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
        disk_file_sync(file_of(fd), ok);
    }
    return ok ? 0 : -EIO;
}

int disk_ring_sync_range(int fd, uint64_t offset, size_t len)
{
    bool ok = !disk_fault(sim.opt.disk_eio_ppm);
    disk_file_sync_range(file_of(fd), offset, len, ok);
    return ok ? 0 : -EIO;
}

int disk_ring_allocate(int fd, uint64_t offset, uint64_t len)
{
    struct disk_file *f = file_of(fd);
    if (disk_fault(sim.opt.disk_enospc_ppm) || !disk_has_room(f, offset + len)) {
        return -ENOSPC;
    }
    disk_file_grow(f, offset + len);
    return 0;
}

/* ---- core/io/disk.h ---- */

/* 0, or how this changing call shall fail. */
static int disk_call(void)
{
    if (drive.disk->probe) {
        return 0;
    }
    must(disk_step());
    return disk_fault(sim.opt.disk_eio_ppm / 4)      ? -EIO
           : disk_fault(sim.opt.disk_enospc_ppm / 4) ? -ENOSPC
                                                     : 0;
}

int disk_open_dir(const char *path, bool create)
{
    (void)path;
    (void)create;
    return DISK_DIR_FD;
}

int disk_open(int dir_fd, const char *name, enum disk_open how, bool direct)
{
    (void)direct;
    must(dir_fd == DISK_DIR_FD);
    struct disk *d = drive.disk;
    const struct disk_name *n = names_find(&d->now, name);
    if (!n && (how == DISK_READ || how == DISK_WRITE)) {
        return -ENOENT;
    }
    if (n && how == DISK_CREATE) {
        return -EEXIST;
    }
    if (!n) {
        int r = disk_call();
        if (r < 0) {
            return r;
        }
        change_add(CHANGE_CREATE, "", name, file_new(d));
        n = names_find(&d->now, name);
    }
    for (unsigned i = 0; i < DISK_FD_COUNT; i++) {
        if (d->fds[i] == 0) {
            d->fds[i] = n->file + 1;
            return DISK_FD_FIRST + (int)i;
        }
    }
    return -EMFILE;
}

void disk_close(int fd)
{
    if (fd == DISK_DIR_FD) {
        return;
    }
    (void)file_of(fd);
    engine_check_closed(fd);
    if (drive.disk->locked_fd == fd) {
        drive.disk->locked_fd = 0;
    }
    drive.disk->fds[fd - DISK_FD_FIRST] = 0;
}

int64_t disk_pread(int fd, void *ptr, size_t len, uint64_t offset)
{
    const struct disk_file *f = file_of(fd);
    if (offset >= f->size) {
        return 0;
    }
    size_t n = f->size - offset < len ? (size_t)(f->size - offset) : len;
    disk_file_read(f, ptr, n, offset);
    return (int64_t)n;
}

int disk_pwrite(int fd, const void *ptr, size_t len, uint64_t offset)
{
    int r = disk_call();
    if (r < 0) {
        return r;
    }
    struct disk_file *f = file_of(fd);
    if (!disk_has_room(f, offset + len)) {
        return -ENOSPC;
    }
    disk_file_write(f, ptr, len, offset);
    return 0;
}

int disk_truncate(int fd, uint64_t len)
{
    int r = disk_call();
    if (r == 0) {
        disk_file_cut(file_of(fd), len);
    }
    return r;
}

int disk_fsync(int fd)
{
    int r = disk_call();
    return r < 0 ? r : disk_ring_sync(fd);
}

int64_t disk_size(int fd)
{
    return (int64_t)file_of(fd)->size;
}

int disk_rename(int dir_fd, const char *from, const char *to)
{
    must(dir_fd == DISK_DIR_FD);
    int r = disk_call();
    const struct disk_name *n = names_find(&drive.disk->now, from);
    if (!n) {
        return -ENOENT;
    }
    if (r == 0) {
        change_add(CHANGE_RENAME, from, to, n->file);
    }
    return r;
}

int disk_unlink(int dir_fd, const char *name)
{
    must(dir_fd == DISK_DIR_FD);
    int r = disk_call();
    const struct disk_name *n = names_find(&drive.disk->now, name);
    if (!n) {
        return -ENOENT;
    }
    if (r == 0) {
        change_add(CHANGE_UNLINK, name, "", n->file);
    }
    return r;
}

int disk_list(int dir_fd, bool (*each)(void *ctx, const char *name), void *ctx)
{
    must(dir_fd == DISK_DIR_FD);
    for (unsigned i = 0; i < drive.disk->now.count; i++) {
        if (!each(ctx, drive.disk->now.list[i].name)) {
            break;
        }
    }
    return 0;
}

int disk_lock(int fd)
{
    if (drive.disk->locked_fd) {
        return -EWOULDBLOCK;
    }
    drive.disk->locked_fd = fd;
    return 0;
}

bool disk_probe_direct(int dir_fd)
{
    (void)dir_fd;
    return true;
}

bool disk_knows_dsync(int dir_fd)
{
    (void)dir_fd;
    return sim.opt.disk_dsync;
}

int disk_free_bytes(int dir_fd, uint64_t *out)
{
    (void)dir_fd;
    uint64_t used = disk_used_bytes();
    *out = !sim.opt.disk_bytes         ? UINT64_MAX
           : sim.opt.disk_bytes > used ? sim.opt.disk_bytes - used
                                       : 0;
    return 0;
}

int disk_random(void *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)ptr)[i] = (uint8_t)rng_u64(&sim.rng);
    }
    return 0;
}
