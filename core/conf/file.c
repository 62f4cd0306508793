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

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool wanted(struct slice name)
{
    return name.len > 5 && name.ptr[0] != '.' &&
           slice_eq(slice_skip(name, name.len - 5), SLICE(".yaml"));
}

/* One block: the pointer array, then the names behind it. */
bool conf_folder_list(const char *folder, char ***names, size_t *count, struct buf *why)
{
    enum { PATH_ROOM = 4096 };
    const size_t array_bytes = CONF_FOLDER_FILES_MAX * sizeof(char *);
    char **list = NULL;
    size_t used = 0, n = 0;
    bool ok = false;
    DIR *dir = opendir(folder);
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
        struct slice base = slice_str(folder);
        size_t room = base.len + 1 + name.len + 1;
        if (!wanted(name)) {
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
    qsort(list, n, sizeof(*list), name_compare);
    *names = list;
    *count = n;
    list = NULL;
    ok = true;
out:
    free(list);
    closedir(dir);
    return ok;
}
