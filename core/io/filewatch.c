/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/io/filewatch.h"
#include "core/base/must.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 8 };

/* Enough to tell two states of a file apart; all zero: it is not there. */
struct file_state {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct watched {
    char *path;
    struct file_state state;
};

struct filewatch {
    int fd;
    size_t count;
    struct watched files[FILEWATCH_MAX];
    size_t folder_count;
    int folders[FILEWATCH_MAX]; /* watch descriptors */
};

struct filewatch *filewatch_open(void)
{
    struct filewatch *w = calloc(1, sizeof(*w));
    if (w) {
        w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    }
    if (w && w->fd < 0) {
        free(w);
        w = NULL;
    }
    return w;
}

void filewatch_close(struct filewatch **wp)
{
    struct filewatch *w = *wp;
    *wp = NULL;
    if (w) {
        filewatch_clear(w);
        close(w->fd);
        free(w);
    }
}

int filewatch_fd(const struct filewatch *w)
{
    return w->fd;
}

void filewatch_clear(struct filewatch *w)
{
    for (size_t i = 0; i < w->count; i++) {
        free(w->files[i].path);
    }
    for (size_t i = 0; i < w->folder_count; i++) {
        inotify_rm_watch(w->fd, w->folders[i]);
    }
    w->count = 0;
    w->folder_count = 0;
}

static struct file_state state_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return (struct file_state){0};
    }
    return (struct file_state){st.st_dev, st.st_ino, st.st_size, st.st_ctim};
}

static bool state_same(const struct file_state *a, const struct file_state *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* The folder that holds the name: that is where a link is turned. */
static void folder_watch(struct filewatch *w, struct slice path)
{
    char folder[PATH_MAX];
    size_t n = path.len;
    while (n > 0 && path.ptr[n - 1] != '/') {
        n--;
    }
    struct slice name = n ? slice_first(path, n) : SLICE("./");
    if (!slice_to_cstr(name, folder, sizeof(folder))) {
        return;
    }
    int wd = inotify_add_watch(w->fd, folder,
                               IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB |
                                   IN_ONLYDIR);
    for (size_t i = 0; i < w->folder_count && wd >= 0; i++) {
        wd = w->folders[i] == wd ? -1 : wd; /* watched already */
    }
    if (wd >= 0 && w->folder_count < FILEWATCH_MAX) {
        w->folders[w->folder_count++] = wd;
    }
}

/* The name that the link `path` stands for, into text; empty: it is no link. */
static struct slice link_target(const char *path, char text[PATH_MAX])
{
    char link[PATH_MAX];
    ssize_t n = readlink(path, link, sizeof(link));
    struct slice folder = slice_str(path);
    while (folder.len > 0 && (n <= 0 || link[0] == '/' || folder.ptr[folder.len - 1] != '/')) {
        folder.len--;
    }
    if (n <= 0 || folder.len + (size_t)n >= PATH_MAX) {
        return slice_of("", 0);
    }
    memcpy(text, folder.ptr, folder.len);
    memcpy(text + folder.len, link, (size_t)n);
    text[folder.len + (size_t)n] = '\0';
    return slice_of(text, folder.len + (size_t)n);
}

/* The folders that a file's name, and the names of the links it may be, stand in. */
static void file_watch(struct filewatch *w, const char *path)
{
    char names[2][PATH_MAX];
    struct slice name = slice_str(path);
    for (unsigned hop = 0; hop < LINKS_MAX && name.len; hop++) {
        folder_watch(w, name);
        name = link_target(name.ptr, names[hop % 2]);
    }
}

void filewatch_add(struct filewatch *w, struct slice path)
{
    if (w->count == FILEWATCH_MAX || path.len == 0) {
        return;
    }
    char *copy = strndup(path.ptr, path.len);
    if (!copy) {
        return;
    }
    file_watch(w, copy); /* before the look: no change falls between */
    w->files[w->count++] = (struct watched){copy, state_of(copy)};
}

bool filewatch_changed(struct filewatch *w)
{
    char events[4096];
    while (read(w->fd, events, sizeof(events)) > 0) {
        /* they only say when to look */
    }
    bool changed = false;
    for (size_t i = 0; i < w->count; i++) {
        struct file_state now = state_of(w->files[i].path);
        changed = !state_same(&now, &w->files[i].state) || changed;
        w->files[i].state = now;
    }
    return changed;
}
