/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/conf/file.h"
#include "core/base/must.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse_errno(struct buf *why, int error)
{
    buf_addf(why, "cannot be read: %s", strerrordesc_np(error) ? strerrordesc_np(error) : "error");
    return false;
}

bool conf_file_is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool conf_file_read(const char *path, size_t bytes_max, struct buf *out, struct buf *why)
{
    struct stat st;
    bool ok = false;
    size_t start = out->len;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return refuse_errno(why, errno);
    }
    if (fstat(fd, &st) != 0) {
        refuse_errno(why, errno);
        goto out;
    }
    if (S_ISDIR(st.st_mode)) {
        buf_add(why, SLICE("is a folder, must be a file"));
        goto out;
    }
    for (;;) {
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            refuse_errno(why, errno);
            goto out;
        }
        if (n == 0) {
            break;
        }
        buf_add(out, slice_of(chunk, (size_t)n));
        if (out->overflow || out->len - start > bytes_max) {
            buf_addf(why, "is larger than %zu bytes", bytes_max);
            goto out;
        }
    }
    ok = true;
out:
    close(fd);
    return ok;
}

/* ---- folders ------------------------------------------------------------------------------- */

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int version_compare(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

static bool wanted(struct slice name, struct slice suffix)
{
    return name.len > suffix.len && name.ptr[0] != '.' &&
           slice_eq(slice_skip(name, name.len - suffix.len), suffix);
}

struct folder_query {
    const char *folder;
    struct slice suffix;
    bool files_only;
    int (*compare)(const void *, const void *);
};

/* One block: the pointer array, then the names behind it. */
static bool folder_list(const struct folder_query *q, char ***names, size_t *count, struct buf *why)
{
    enum { PATH_ROOM = 4096 };
    const size_t array_bytes = CONF_FOLDER_FILES_MAX * sizeof(char *);
    char **list = NULL;
    size_t used = 0, n = 0;
    bool ok = false;
    DIR *dir = opendir(q->folder);
    if (!dir) {
        *names = NULL;
        *count = 0;
        return errno == ENOENT ? true : refuse_errno(why, errno);
    }
    list = calloc(1, array_bytes + CONF_FOLDER_FILES_MAX * (size_t)PATH_ROOM);
    if (!list) {
        refuse_errno(why, ENOMEM);
        goto out;
    }
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        struct slice name = slice_str(e->d_name);
        struct slice base = slice_str(q->folder);
        size_t room = base.len + 1 + name.len + 1;
        struct stat st;
        bool file = fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode);
        if (!wanted(name, q->suffix) || (q->files_only && !file)) {
            continue;
        }
        if (n == CONF_FOLDER_FILES_MAX || room > PATH_ROOM) {
            buf_addf(why, "holds too many files (at most %d) or too long names",
                     CONF_FOLDER_FILES_MAX);
            goto out;
        }
        char *path = (char *)list + array_bytes + used;
        memcpy(path, base.ptr, base.len);
        path[base.len] = '/';
        memcpy(path + base.len + 1, name.ptr, name.len + 1);
        used += room;
        list[n++] = path;
    }
    qsort(list, n, sizeof(*list), q->compare);
    *names = list;
    *count = n;
    list = NULL;
    ok = true;
out:
    free(list);
    closedir(dir);
    return ok;
}

bool conf_folder_list(const char *folder, char ***names, size_t *count, struct buf *why)
{
    const struct folder_query q = {folder, SLICE(".yaml"), false, name_compare};
    return folder_list(&q, names, count, why);
}

bool conf_folder_find(const char *folder, const char *suffix, char ***names, size_t *count,
                      struct buf *why)
{
    const struct folder_query q = {folder, slice_str(suffix), true, version_compare};
    return folder_list(&q, names, count, why);
}

/* Two levels: the folder and those in it. */
/* NOLINTNEXTLINE(misc-no-recursion): depth counts down */
static bool folder_has_file(int folder_fd, int depth)
{
    DIR *dir = fdopendir(folder_fd);
    bool found = false;
    if (!dir) {
        close(folder_fd);
        return false;
    }
    for (struct dirent *e = readdir(dir); e && !found; e = readdir(dir)) {
        struct stat st;
        if (e->d_name[0] == '.' || fstatat(dirfd(dir), e->d_name, &st, 0) != 0) {
            continue;
        }
        int inner = S_ISDIR(st.st_mode) && depth > 1
                        ? openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                        : -1;
        found = S_ISREG(st.st_mode) || (inner >= 0 && folder_has_file(inner, depth - 1));
    }
    closedir(dir);
    return found;
}

bool conf_folder_is_used(const char *root, const char *folder)
{
    char path[4096];
    struct buf b;
    buf_init(&b, sizeof(path));
    buf_add(&b, slice_str(root));
    buf_add(&b, slice_str(folder));
    bool fits = !b.overflow && slice_to_cstr(buf_slice(&b), path, sizeof(path));
    buf_deinit(&b);
    int fd = fits ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return fd >= 0 && folder_has_file(fd, 2);
}
