/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The mode is set on the socket before bind: Linux takes it for the file (less the umask), so there is
 * no moment at which others could connect, and no process-wide umask to change.
 */
#include "core/admin/socket.h"
#include "core/base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ADMIN_BACKLOG = 16 };

struct admin_socket_name {
    struct sockaddr_un addr;
    int dir_fd; /* -1: addr has the path itself */
};

/* "/proc/self/fd/N/name" for a long path. */
static bool admin_name_through_folder(struct admin_socket_name *n, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    char folder[PATH_MAX];
    struct slice dir = slash ? slice_of(path, (size_t)(slash - path)) : SLICE(".");
    if (dir.len == 0) {
        dir = SLICE("/");
    }
    if (!slice_to_cstr(dir, folder, sizeof(folder))) {
        errno = ENAMETOOLONG;
        return false;
    }
    n->dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (n->dir_fd < 0) {
        return false;
    }
    int len = snprintf(n->addr.sun_path, sizeof(n->addr.sun_path), "/proc/self/fd/%d/%s", n->dir_fd,
                       base);
    if (len < 0 || (size_t)len >= sizeof(n->addr.sun_path)) {
        close(n->dir_fd);
        errno = ENAMETOOLONG;
        return false;
    }
    return true;
}

static bool admin_name_init(struct admin_socket_name *n, struct slice path)
{
    char text[PATH_MAX];
    *n = (struct admin_socket_name){.addr = {.sun_family = AF_UNIX}, .dir_fd = -1};
    if (path.len == 0 || !slice_to_cstr(path, text, sizeof(text))) {
        errno = path.len ? ENAMETOOLONG : EINVAL;
        return false;
    }
    if (slice_to_cstr(path, n->addr.sun_path, sizeof(n->addr.sun_path))) {
        return true;
    }
    return admin_name_through_folder(n, text);
}

static void admin_name_deinit(struct admin_socket_name *n)
{
    if (n->dir_fd >= 0) {
        close(n->dir_fd);
    }
}

static int admin_name_connect(const struct admin_socket_name *n)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (const struct sockaddr *)&n->addr, sizeof(n->addr)) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* After EADDRINUSE. True: a left-over socket was removed, bind again. A refused connection is the
 * proof that no process listens; any other answer (also EAGAIN: a full backlog) means one may. */
static bool admin_name_remove_stale(const struct admin_socket_name *n)
{
    struct stat st;
    if (lstat(n->addr.sun_path, &st) != 0) {
        return errno == ENOENT;
    }
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int fd = admin_name_connect(n);
    if (fd >= 0) {
        close(fd);
        errno = EADDRINUSE;
        return false;
    }
    if (errno != ECONNREFUSED) {
        errno = errno == EAGAIN ? EADDRINUSE : errno;
        return false;
    }
    return unlink(n->addr.sun_path) == 0 || errno == ENOENT;
}

static bool admin_name_bind(const struct admin_socket_name *n, int fd)
{
    const struct sockaddr *addr = (const struct sockaddr *)&n->addr;
    if (bind(fd, addr, sizeof(n->addr)) == 0) {
        return true;
    }
    return errno == EADDRINUSE && admin_name_remove_stale(n) &&
           bind(fd, addr, sizeof(n->addr)) == 0;
}

int admin_socket_listen(struct slice path, struct admin_socket_file *file)
{
    struct admin_socket_name n;
    struct stat st;
    int error = 0;
    must(file != NULL);
    if (!admin_name_init(&n, path)) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || fchmod(fd, 0600) != 0 || !admin_name_bind(&n, fd)) {
        error = errno;
        goto out;
    }
    if (lstat(n.addr.sun_path, &st) != 0 || listen(fd, ADMIN_BACKLOG) != 0) {
        error = errno;
        unlink(n.addr.sun_path);
        goto out;
    }
    *file = (struct admin_socket_file){st.st_dev, st.st_ino};
out:
    admin_name_deinit(&n);
    if (error) {
        if (fd >= 0) {
            close(fd);
        }
        errno = error;
        return -1;
    }
    return fd;
}

int admin_socket_connect(struct slice path)
{
    struct admin_socket_name n;
    if (!admin_name_init(&n, path)) {
        return -1;
    }
    int fd = admin_name_connect(&n);
    int error = errno;
    admin_name_deinit(&n);
    errno = error;
    return fd;
}

void admin_socket_remove(struct slice path, const struct admin_socket_file *file)
{
    char text[PATH_MAX];
    struct stat st;
    must(file != NULL);
    if (slice_to_cstr(path, text, sizeof(text)) && lstat(text, &st) == 0 &&
        st.st_dev == file->dev && st.st_ino == file->ino) {
        (void)unlinkat(AT_FDCWD, text, 0); /* the sandbox's word for it */
    }
}
