/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *   begin ──► tmp/NAME open ──add…──► fsync(file) ─► rename to new/NAME ─► fsync(new/)
 *     └ new/NAME is there: an attempt before a crash got that far ─► fsync(new/)
 *
 * A crash before the last step leaves the recipient in the queue, so the next attempt finds one of: nothing,
 * a file in tmp/ (removed and written again), or the file in new/ (kept). Only if the mail program has moved
 * it to cur/ meanwhile, there will be a second one: a copy too many, never one too few.
 */
#include "core/relay/maildir_store.h"
#include "core/base/must.h"
#include "core/io/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static void shut(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static int again(int fd)
{
    return fd < 0 ? -errno : fd;
}

/* ---- folders ---- */

/* fd may be open for its path only. */
static int folder_sync(int fd)
{
    int readable = again(openat(fd, ".", O_RDONLY | FOLDER));
    if (readable < 0) {
        return readable;
    }
    int e = fsync(readable) < 0 ? -errno : 0;
    close(readable);
    return e;
}

/* Opens name in dir_fd; make: and makes it, durably. Who finds it in the moment between another thread's
 * mkdir and fsync relies on the journal: what is in a folder is never durable before the folder is. */
static int folder_open(int dir_fd, const char *name, bool make)
{
    int fd = again(openat(dir_fd, name, O_PATH | FOLDER));
    if (fd != -ENOENT || !make) {
        return fd;
    }
    if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST) {
        return -errno;
    }
    int e = folder_sync(dir_fd);
    if (e < 0) {
        (void)unlinkat(dir_fd, name,
                       AT_REMOVEDIR); /* the next attempt makes it, and syncs, again */
        return e;
    }
    return again(openat(dir_fd, name, O_PATH | FOLDER));
}

/* The base is the operator's: links in it are his. */
static int base_open(const struct mailbox_path *path, enum maildir_make make)
{
    must(path->base_bytes > 0);
    int fd = again(open(path->text, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (fd == -ENOENT && make == MAILDIR_MAKE_ALL) {
        int made = disk_open_dir(path->text, true);
        if (made < 0) {
            return made == -ENOENT ? -ENXIO : made;
        }
        disk_close(made);
        fd = again(open(path->text, O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    return fd == -ENOENT ? -ENXIO : fd;
}

static int mailbox_open(const struct mailbox_path *path, enum maildir_make make)
{
    uint32_t at = 0;
    const char *name;
    int fd = base_open(path, make);
    while (fd >= 0 && (name = mailbox_path_name(path, &at))) {
        bool last = !mailbox_path_more(path, at);
        bool makes = make == MAILDIR_MAKE_ALL || (make == MAILDIR_MAKE_LAST && last);
        int inner = folder_open(fd, name, makes);
        close(fd);
        fd = inner;
    }
    return fd;
}

int maildir_look(const struct mailbox_path *path)
{
    int fd = mailbox_open(path, MAILDIR_MAKE_NONE);
    if (fd < 0) {
        return fd;
    }
    close(fd);
    return 0;
}

/* ---- a file ---- */

/* tmp/, new/ and cur/ are made in a mailbox without them: an empty folder is one, too. */
static int parts_open(struct maildir_file *f, int box)
{
    int cur = folder_open(box, "cur", true);
    if (cur < 0) {
        return cur;
    }
    close(cur);
    f->tmp_fd = folder_open(box, "tmp", true);
    if (f->tmp_fd < 0) {
        return f->tmp_fd;
    }
    f->new_fd = folder_open(box, "new", true);
    return f->new_fd < 0 ? f->new_fd : 0;
}

static int tmp_open(struct maildir_file *f)
{
    const int how = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    f->fd = openat(f->tmp_fd, f->name, how, 0600);
    if (f->fd < 0 && errno == EEXIST) {
        /* Of an attempt that a crash ended: nobody else uses this name. */
        if (unlinkat(f->tmp_fd, f->name, 0) < 0) {
            return -errno;
        }
        f->fd = openat(f->tmp_fd, f->name, how, 0600);
    }
    return f->fd < 0 ? -errno : 0;
}

int maildir_file_begin(struct maildir_file *f, const struct mailbox_path *path,
                       enum maildir_make make, const char *name)
{
    f->tmp_fd = f->new_fd = f->fd = -1;
    f->there = f->cr = false;
    f->used = 0;
    f->name = name;
    int box = mailbox_open(path, make);
    if (box < 0) {
        return box;
    }
    int e = parts_open(f, box);
    close(box);
    struct stat st;
    if (e == 0) {
        f->there = fstatat(f->new_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
        e = f->there ? 0 : tmp_open(f);
    }
    if (e < 0) {
        maildir_file_abort(f);
        return e == -ENOENT ? -EIO : e; /* it was there a moment ago */
    }
    return 0;
}

static int flush(struct maildir_file *f)
{
    size_t done = 0;
    while (done < f->used) {
        ssize_t n = write(f->fd, f->buffer + done, f->used - done);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    f->used = 0;
    return 0;
}

static int put(struct maildir_file *f, struct slice s)
{
    while (s.len) {
        if (f->used == sizeof(f->buffer)) {
            int e = flush(f);
            if (e < 0) {
                return e;
            }
        }
        size_t room = sizeof(f->buffer) - f->used;
        size_t n = s.len < room ? s.len : room;
        memcpy(f->buffer + f->used, s.ptr, n);
        f->used += n;
        s = slice_skip(s, n);
    }
    return 0;
}

/* A CR that no LF follows (not in content of ours) stays. */
int maildir_file_add(struct maildir_file *f, struct slice content)
{
    int e = 0;
    while (!f->there && e == 0 && content.len) {
        if (f->cr && content.ptr[0] != '\n') {
            e = put(f, SLICE("\r"));
        }
        f->cr = false;
        int at = slice_find_byte(content, '\r');
        size_t n = at < 0 ? content.len : (size_t)at;
        e = e < 0 ? e : put(f, slice_first(content, n));
        f->cr = at >= 0;
        content = slice_skip(content, n + (at >= 0 ? 1 : 0));
    }
    return e;
}

static int finish(struct maildir_file *f)
{
    if (f->there) {
        return folder_sync(f->new_fd);
    }
    int e = f->cr ? put(f, SLICE("\r")) : 0;
    e = e < 0 ? e : flush(f);
    if (e == 0 && fsync(f->fd) < 0) {
        e = -errno;
    }
    if (e == 0) {
        int fd = f->fd; /* some file systems tell of a full disk only now */
        f->fd = -1;
        e = close(fd) < 0 && errno != EINTR ? -errno : 0;
    }
    /* It replaces nothing: the name is ours alone, and begin has found none in new/. */
    if (e == 0 && renameat(f->tmp_fd, f->name, f->new_fd, f->name) < 0) {
        e = -errno;
    }
    return e < 0 ? e : folder_sync(f->new_fd);
}

int maildir_file_finish(struct maildir_file *f)
{
    must(f->new_fd >= 0);
    int e = finish(f);
    if (e < 0) {
        maildir_file_abort(f);
        return e;
    }
    shut(&f->fd);
    shut(&f->tmp_fd);
    shut(&f->new_fd);
    return 0;
}

void maildir_file_abort(struct maildir_file *f)
{
    if (f->tmp_fd >= 0 && !f->there) {
        (void)unlinkat(f->tmp_fd, f->name, 0);
    }
    shut(&f->fd);
    shut(&f->tmp_fd);
    shut(&f->new_fd);
}
