/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * disk - synchronous file operations
 *
 * Purpose:   what start-up, recovery and the offline tools do with files, and the rare directory
 *            operations of a running engine. Every synchronous file system call of the spool goes
 *            through here, so that a simulator can replace it by linking its twin of disk.c.
 * Owner:     descriptors belong to the caller (disk_close). All are close-on-exec.
 * Thread:    any. Blocks.
 * Units:     bytes.
 * Errors:    negative errno. Interrupted and short transfers are continued here. Names are single
 *            entries of an open directory; symbolic links are never followed (-ELOOP).
 * Durability: nothing is durable before disk_fsync of the file (and of the directory for names).
 */
#ifndef RINGPOST_IO_DISK_H
#define RINGPOST_IO_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_NAME_MAX = 64 };

/* Opens a directory; create: makes it (mode 0700) and those above it (0755) when they are missing,
 * each durable in its parent. A path that ends in a symbolic link is refused. */
int disk_open_dir(const char *path, bool create);

enum disk_open {
    DISK_READ,        /* existing file, read-only */
    DISK_WRITE,       /* existing file, read and write */
    DISK_CREATE,      /* new file or -EEXIST, read and write, mode 0600 */
    DISK_OPEN_CREATE, /* existing or new, read and write, mode 0600 */
};
/* Regular files only (-EINVAL for others). direct: O_DIRECT. */
int disk_open(int dir_fd, const char *name, enum disk_open how, bool direct);
void disk_close(int fd);

/* Bytes read: less than len only at the end of the file. */
int64_t disk_pread(int fd, void *ptr, size_t len, uint64_t offset);
/* 0 when all bytes were written. */
int disk_pwrite(int fd, const void *ptr, size_t len, uint64_t offset);
int disk_truncate(int fd, uint64_t len);
int disk_fsync(int fd);
int64_t disk_size(int fd);

int disk_rename(int dir_fd, const char *from, const char *to);
int disk_unlink(int dir_fd, const char *name);

/* Calls each for every entry but . and .. whose name is shorter than DISK_NAME_MAX; stops when it
 * returns false. */
int disk_list(int dir_fd, bool (*each)(void *ctx, const char *name), void *ctx);

/* An exclusive lock on an open file, freed by disk_close or the end of the process. -EWOULDBLOCK:
 * another process has it. */
int disk_lock(int fd);

/* Whether the file system takes O_DIRECT writes of 4 KiB: tries it on a file that it removes. */
bool disk_probe_direct(int dir_fd);
/* Whether one write with RWF_DSYNC to a file opened with O_DIRECT there is known to be as durable as the write and
 * an fdatasync behind it: ext2 to ext4 and xfs. Elsewhere (FUSE, network disks) the flag may go unheard. */
bool disk_knows_dsync(int dir_fd);
/* Bytes an unprivileged process may still write. */
int disk_free_bytes(int dir_fd, uint64_t *out);

/* Random bytes from the kernel, for salts and tokens. */
int disk_random(void *ptr, size_t len);

#endif
