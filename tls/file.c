/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tls/file.h"

#include "core/base/must.h"
#include "core/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 16 * 1024, PATH_BYTES = 4096 };

static bool fail(struct buf *problem, const char *path, const char *remedy)
{
    buf_addf(problem, "%s: %s: %s", path, strerror(errno), remedy);
    return false;
}

static bool read_all(int fd, const char *path, struct buf *out, struct buf *problem)
{
    for (;;) {
        size_t room = out->cap_max - out->len < READ_BYTES ? out->cap_max - out->len : READ_BYTES;
        if (room == 0 || !secret_buf_reserve(out, room)) {
            buf_addf(problem, "%s: larger than %zu bytes: this is not a certificate or key", path,
                     out->cap_max);
            return false;
        }
        ssize_t n = read(fd, out->ptr + out->len, room);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail(problem, path, "check the file system");
        }
        if (n == 0) {
            return true;
        }
        out->len += (size_t)n;
    }
}

bool tls_file_read(const char *path, struct buf *out, struct buf *problem)
{
    must(path != NULL && out->cap_max > 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fail(problem, path,
                    errno == ENOENT ? "check the name, or create it"
                                    : "make it readable for the user Ringpost runs as");
    }
    bool ok = read_all(fd, path, out, problem);
    close(fd);
    return ok;
}

static bool write_all(int fd, struct slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        text = slice_skip(text, n > 0 ? (size_t)n : 0);
    }
    return fsync(fd) == 0;
}

/* The rename itself must last. */
static bool sync_folder(const char *path)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    (void)snprintf(folder, sizeof(folder), "%.*s", n ? (int)n : 1, n ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

bool tls_file_write(const char *path, struct slice text, mode_t mode, struct buf *problem)
{
    char beside[PATH_BYTES];
    int n = snprintf(beside, sizeof(beside), "%s.new", path);
    if (n <= 0 || (size_t)n >= sizeof(beside)) {
        errno = ENAMETOOLONG;
        return fail(problem, path, "use a shorter path");
    }
    /* Left over from a crash; with O_EXCL nobody can have put something else in its place. */
    (void)unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return fail(problem, beside, "make the folder writable for the user Ringpost runs as");
    }
    bool ok = write_all(fd, text);
    ok = close(fd) == 0 && ok;
    ok = ok && rename(beside, path) == 0 && sync_folder(path);
    if (!ok) {
        (void)fail(problem, path, "check the file system");
        (void)unlink(beside);
    }
    return ok;
}

bool tls_file_is_public(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH)) != 0;
}
