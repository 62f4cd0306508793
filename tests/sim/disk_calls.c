/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The functions of core/io/disk.h.
 */
#include "tests/sim/disk_private.h"
#include "tests/sim/engine.h"
#include "tests/sim/sim.h"

#include <errno.h>

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
    const struct disk_name *n = disk_names_find(&d->now, name);
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
        disk_change_add(CHANGE_CREATE, "", name, disk_file_new(d));
        n = disk_names_find(&d->now, name);
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
    (void)disk_file_of(fd);
    engine_check_closed(fd);
    if (drive.disk->locked_fd == fd) {
        drive.disk->locked_fd = 0;
    }
    drive.disk->fds[fd - DISK_FD_FIRST] = 0;
}

int64_t disk_pread(int fd, void *ptr, size_t len, uint64_t offset)
{
    const struct disk_file *f = disk_file_of(fd);
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
    struct disk_file *f = disk_file_of(fd);
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
        disk_file_cut(disk_file_of(fd), len);
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
    return (int64_t)disk_file_of(fd)->size;
}

int disk_rename(int dir_fd, const char *from, const char *to)
{
    must(dir_fd == DISK_DIR_FD);
    int r = disk_call();
    const struct disk_name *n = disk_names_find(&drive.disk->now, from);
    if (!n) {
        return -ENOENT;
    }
    if (r == 0) {
        disk_change_add(CHANGE_RENAME, from, to, n->file);
    }
    return r;
}

int disk_unlink(int dir_fd, const char *name)
{
    must(dir_fd == DISK_DIR_FD);
    int r = disk_call();
    const struct disk_name *n = disk_names_find(&drive.disk->now, name);
    if (!n) {
        return -ENOENT;
    }
    if (r == 0) {
        disk_change_add(CHANGE_UNLINK, name, "", n->file);
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
