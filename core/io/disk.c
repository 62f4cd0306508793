/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plain calls, each with its error as the return value. RESOLVE_NO_SYMLINKS is not used: names have no
 * slash (checked here), so O_NOFOLLOW is the whole of it.
 */
#include "core/io/disk.h"
#include "core/base/must.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { DISK_PROBE_BYTES = 4096 };

static const char disk_probe_name[] = "probe.tmp";

/* The directory entry of a directory we made must be as durable as what we put into it. */
static int disk_sync_parent(const char *path)
{
    char parent[PATH_MAX];
    size_t len = strnlen(path, sizeof(parent));
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    if (len >= sizeof(parent)) {
        return -ENAMETOOLONG;
    }
    memcpy(parent, path, len);
    parent[len] = 0;
    int fd = open(len ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* Makes what is missing above the last component. */
static int disk_make_parents(const char *path)
{
    char above[PATH_MAX];
    size_t len = strnlen(path, sizeof(above));
    if (len >= sizeof(above)) {
        return -ENAMETOOLONG;
    }
    memcpy(above, path, len + 1);
    while (len > 1 && above[len - 1] == '/') {
        len--;
    }
    for (size_t i = 1; i < len; i++) {
        if (above[i] != '/' || above[i - 1] == '/') {
            continue;
        }
        above[i] = 0;
        int r = mkdir(above, 0755) < 0 ? -errno : disk_sync_parent(above);
        if (r < 0 && r != -EEXIST) {
            return r;
        }
        above[i] = '/';
    }
    return 0;
}

static int disk_make_dir(const char *path)
{
    if (mkdir(path, 0700) == 0) {
        return 0;
    }
    if (errno != ENOENT) {
        return -errno;
    }
    int r = disk_make_parents(path);
    return r == 0 && mkdir(path, 0700) < 0 ? -errno : r;
}

int disk_open_dir(const char *path, bool create)
{
    must(path != NULL);
    bool made = false;
    if (create) {
        int r = disk_make_dir(path);
        if (r < 0 && r != -EEXIST) {
            return r;
        }
        made = r == 0;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (made) {
        int r = disk_sync_parent(path);
        if (r < 0) {
            close(fd);
            return r;
        }
    }
    return fd;
}

static int disk_open_flags(enum disk_open how)
{
    switch (how) {
    case DISK_READ:
        return O_RDONLY;
    case DISK_WRITE:
        return O_RDWR;
    case DISK_CREATE:
        return O_RDWR | O_CREAT | O_EXCL;
    case DISK_OPEN_CREATE:
        return O_RDWR | O_CREAT;
    }
    must(false);
    return 0;
}

int disk_open(int dir_fd, const char *name, enum disk_open how, bool direct)
{
    must(strchr(name, '/') == NULL);
    /* O_NONBLOCK: a FIFO that somebody left here must not block the start. */
    int flags = disk_open_flags(how) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
                (direct ? O_DIRECT : 0);
    int fd = openat(dir_fd, name, flags, 0600);
    if (fd < 0) {
        return -errno;
    }
    struct stat st;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(st.st_mode)) {
        r = -EINVAL;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

void disk_close(int fd)
{
    must(fd >= 0);
    close(fd);
}

int64_t disk_pread(int fd, void *ptr, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (char *)ptr + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    return (int64_t)done;
}

int disk_pwrite(int fd, const void *ptr, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd, (const char *)ptr + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            return -EIO;
        }
        done += (size_t)n;
    }
    return 0;
}

int disk_truncate(int fd, uint64_t len)
{
    return ftruncate(fd, (off_t)len) < 0 ? -errno : 0;
}

int disk_fsync(int fd)
{
    /* Never repeated, not even on EINTR: a second fsync may succeed without having written. */
    return fsync(fd) < 0 ? -errno : 0;
}

int64_t disk_size(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

int disk_rename(int dir_fd, const char *from, const char *to)
{
    must(strchr(from, '/') == NULL && strchr(to, '/') == NULL);
    return renameat(dir_fd, from, dir_fd, to) < 0 ? -errno : 0;
}

int disk_unlink(int dir_fd, const char *name)
{
    must(strchr(name, '/') == NULL);
    return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
}

int disk_list(int dir_fd, bool (*each)(void *ctx, const char *name), void *ctx)
{
    /* A descriptor of its own: fdopendir takes it over and moves its position. */
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    DIR *d = fdopendir(fd);
    if (!d) {
        int r = -errno;
        close(fd);
        return r;
    }
    int r = 0;
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e) {
            r = -errno;
            break;
        }
        size_t len = strnlen(e->d_name, DISK_NAME_MAX);
        bool dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        if (!dots && len < DISK_NAME_MAX && !each(ctx, e->d_name)) {
            break;
        }
    }
    closedir(d);
    return r;
}

int disk_lock(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

bool disk_probe_direct(int dir_fd)
{
    (void)unlinkat(dir_fd, disk_probe_name, 0);
    int fd = disk_open(dir_fd, disk_probe_name, DISK_CREATE, true);
    if (fd < 0) {
        return false;
    }
    bool ok = false;
    void *block = aligned_alloc(DISK_PROBE_BYTES, DISK_PROBE_BYTES);
    if (block) {
        memset(block, 0, DISK_PROBE_BYTES);
        ok = disk_pwrite(fd, block, DISK_PROBE_BYTES, 0) == 0;
    }
    free(block);
    close(fd);
    (void)unlinkat(dir_fd, disk_probe_name, 0);
    return ok;
}

bool disk_knows_dsync(int dir_fd)
{
    static const uint32_t known[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC};
    struct statfs st;
    if (fstatfs(dir_fd, &st) != 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if ((uint32_t)st.f_type == known[i]) {
            return true;
        }
    }
    return false;
}

int disk_free_bytes(int dir_fd, uint64_t *out)
{
    struct statvfs st;
    if (fstatvfs(dir_fd, &st) < 0) {
        return -errno;
    }
    *out = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

int disk_random(void *ptr, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = getrandom((char *)ptr + done, len - done, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        done += (size_t)n;
    }
    return 0;
}
