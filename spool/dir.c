/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Opening: one engine per directory. flock keeps a second engine of this machine out; the token in
 * the lock file keeps out an old engine that still runs somewhere else where flock does not reach
 * (a network disk, a pod that was declared dead): before it makes its next segment it finds a
 * foreign token and stops accepting.
 */
#include "spool/dir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static const char lock_name[] = "lock";

enum { LOCK_TEXT_MAX = 256 };

struct name_kind {
    const char *prefix;
    const char *suffix;
};

static const struct name_kind name_kinds[] = {
    [SPOOL_NAME_SEGMENT] = {"seg-", ".log"},
    [SPOOL_NAME_MAKE] = {"make-", ".tmp"},
    [SPOOL_NAME_SPARE] = {"spare-", ".log"},
    [SPOOL_NAME_BAD] = {"bad-", ".log"},
};

enum { NAME_DIGITS = 16 };

void spool_name_make(char out[DISK_NAME_MAX], enum spool_name kind, uint64_t number)
{
    int n = snprintf(out, DISK_NAME_MAX, "%s%016" PRIx64 "%s", name_kinds[kind].prefix, number,
                     name_kinds[kind].suffix);
    must(n > 0 && n < DISK_NAME_MAX);
}

static bool name_parse_as(struct slice name, const struct name_kind *k, uint64_t *number)
{
    struct slice prefix = slice_str(k->prefix);
    struct slice suffix = slice_str(k->suffix);
    if (name.len != prefix.len + NAME_DIGITS + suffix.len ||
        !slice_eq(slice_first(name, prefix.len), prefix) ||
        !slice_eq(slice_skip(name, prefix.len + NAME_DIGITS), suffix)) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = prefix.len; i < prefix.len + NAME_DIGITS; i++) {
        char c = name.ptr[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (!hex) {
            return false;
        }
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *number = v;
    return v != 0 && v < UINT64_MAX / 2;
}

bool spool_name_parse(const char *name, enum spool_name *kind, uint64_t *number)
{
    struct slice s = slice_str(name);
    for (size_t i = 0; i < ARRAY_COUNT(name_kinds); i++) {
        if (name_parse_as(s, &name_kinds[i], number)) {
            *kind = (enum spool_name)i;
            return true;
        }
    }
    return false;
}

/* ---- listing ---- */

struct name_list {
    enum spool_name kind;
    uint64_t *numbers;
    size_t count;
    size_t cap;
    bool no_memory;
};

static bool name_list_add(void *ctx, const char *name)
{
    struct name_list *l = ctx;
    enum spool_name kind;
    uint64_t number;
    if (!spool_name_parse(name, &kind, &number) || kind != l->kind) {
        return true;
    }
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        uint64_t *grown = realloc(l->numbers, cap * sizeof(*grown));
        if (!grown) {
            l->no_memory = true;
            return false;
        }
        l->numbers = grown;
        l->cap = cap;
    }
    l->numbers[l->count++] = number;
    return true;
}

static int number_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int spool_dir_numbers(int dir_fd, enum spool_name kind, uint64_t **numbers, size_t *count)
{
    struct name_list l = {.kind = kind};
    int r = disk_list(dir_fd, name_list_add, &l);
    if (r == 0 && l.no_memory) {
        r = -ENOMEM;
    }
    if (r < 0) {
        free(l.numbers);
        return r;
    }
    if (l.count) {
        qsort(l.numbers, l.count, sizeof(*l.numbers), number_order);
    }
    *numbers = l.numbers;
    *count = l.count;
    return 0;
}

/* ---- lock and fence ---- */

struct lock_text {
    uint64_t major;
    uint64_t pid;
    uint64_t token;
};

/* "ringpost spool <major>.<minor>\npid <n>\ntoken <n>\n". False: empty or not ours. */
static bool lock_text_parse(struct slice text, struct lock_text *out)
{
    struct slice line = slice_cut(&text, '\n');
    struct slice head = SLICE("ringpost spool ");
    if (line.len < head.len || !slice_eq(slice_first(line, head.len), head)) {
        return false;
    }
    line = slice_skip(line, head.len);
    struct lock_text t = {0};
    if (!slice_to_u64(slice_cut(&line, '.'), &t.major)) {
        return false;
    }
    line = slice_cut(&text, '\n');
    (void)slice_cut(&line, ' ');
    bool ok = slice_to_u64(line, &t.pid);
    line = slice_cut(&text, '\n');
    (void)slice_cut(&line, ' ');
    ok = slice_to_u64(line, &t.token) && ok;
    /* A newer version may write its text in another way; its major number must still be seen. */
    if (!ok && t.major <= SPOOL_FORMAT_MAJOR) {
        return false;
    }
    *out = t;
    return true;
}

static bool lock_text_read(int fd, struct lock_text *out)
{
    char text[LOCK_TEXT_MAX];
    int64_t n = disk_pread(fd, text, sizeof(text), 0);
    return n > 0 && lock_text_parse(slice_of(text, (size_t)n), out);
}

static int lock_text_write(const struct spool_dir *dir)
{
    char text[LOCK_TEXT_MAX];
    memset(text, '\n', sizeof(text)); /* fixed size: a rewrite is one small overwrite */
    int n = snprintf(text, sizeof(text), "ringpost spool %d.%d\npid %ld\ntoken %" PRIu64 "\n",
                     SPOOL_FORMAT_MAJOR, SPOOL_FORMAT_MINOR, (long)getpid(), dir->token);
    must(n > 0 && (size_t)n < sizeof(text));
    text[n] = '\n';
    int r = disk_pwrite(dir->lock_fd, text, sizeof(text), 0);
    if (r == 0) {
        r = disk_fsync(dir->lock_fd);
    }
    return r == 0 ? disk_fsync(dir->fd) : r;
}

enum spool_fence spool_dir_fence(const struct spool_dir *dir)
{
    int fd = disk_open(dir->fd, lock_name, DISK_READ, false);
    if (fd < 0) {
        return SPOOL_FENCE_UNREADABLE;
    }
    struct lock_text t;
    bool ok = lock_text_read(fd, &t);
    disk_close(fd);
    if (!ok) {
        return SPOOL_FENCE_UNREADABLE;
    }
    return t.token == dir->token ? SPOOL_FENCE_OURS : SPOOL_FENCE_TAKEN;
}

static bool dir_lock(struct spool_dir *dir, struct buf *error)
{
    dir->lock_fd = disk_open(dir->fd, lock_name, DISK_OPEN_CREATE, false);
    if (dir->lock_fd < 0) {
        buf_addf(error, "%s/%s: %s", dir->path, lock_name, strerror(-dir->lock_fd));
        return false;
    }
    struct lock_text t = {0};
    bool known = lock_text_read(dir->lock_fd, &t);
    int r = disk_lock(dir->lock_fd);
    if (r == -EWOULDBLOCK) {
        buf_addf(error, "%s is in use by another ringpost (pid %" PRIu64 ")", dir->path, t.pid);
        return false;
    }
    if (r < 0) {
        buf_addf(error, "%s/%s: cannot be locked: %s", dir->path, lock_name, strerror(-r));
        return false;
    }
    if (known && t.major > SPOOL_FORMAT_MAJOR) {
        buf_addf(error,
                 "%s was written by a newer ringpost (spool format %" PRIu64 ", this one knows %d)",
                 dir->path, t.major, SPOOL_FORMAT_MAJOR);
        return false;
    }
    r = disk_random(&dir->token, sizeof(dir->token));
    r = r < 0 ? r : lock_text_write(dir);
    if (r < 0) {
        buf_addf(error, "%s/%s: cannot be written: %s", dir->path, lock_name, strerror(-r));
        return false;
    }
    return true;
}

/* ---- spares and leftovers ---- */

uint64_t spool_spare_take(struct spool_dir *dir)
{
    pthread_mutex_lock(&dir->spares_lock);
    uint64_t number = dir->spare_count ? dir->spares[--dir->spare_count] : 0;
    pthread_mutex_unlock(&dir->spares_lock);
    return number;
}

bool spool_spare_has_room(struct spool_dir *dir, uint64_t file_bytes)
{
    pthread_mutex_lock(&dir->spares_lock);
    bool room = dir->spare_count < dir->options.spares;
    pthread_mutex_unlock(&dir->spares_lock);
    return room && file_bytes == dir->options.segment_bytes;
}

void spool_spare_put(struct spool_dir *dir, uint64_t number)
{
    pthread_mutex_lock(&dir->spares_lock);
    /* Workers ask for room before they put: a few more than options.spares may come. Those beyond
     * the array stay on disk until the next start. */
    if (dir->spare_count < SPOOL_SPARES_MAX) {
        dir->spares[dir->spare_count++] = number;
    }
    pthread_mutex_unlock(&dir->spares_lock);
}

static int64_t dir_file_bytes(const struct spool_dir *dir, const char *name)
{
    int fd = disk_open(dir->fd, name, DISK_READ, false);
    if (fd < 0) {
        return fd;
    }
    int64_t size = disk_size(fd);
    disk_close(fd);
    return size;
}

static void dir_number_above(struct spool_dir *dir, uint64_t number)
{
    if (number >= atomic_load(&dir->number_next)) {
        atomic_store(&dir->number_next, number + 1);
    }
}

/* Removes what a crash left half made and takes stock of spares. */
static int dir_tidy(struct spool_dir *dir)
{
    char name[DISK_NAME_MAX];
    uint64_t *numbers = NULL;
    size_t count = 0;
    int r = spool_dir_numbers(dir->fd, SPOOL_NAME_MAKE, &numbers, &count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        spool_name_make(name, SPOOL_NAME_MAKE, numbers[i]);
        dir_number_above(dir, numbers[i]);
        (void)disk_unlink(dir->fd, name); /* stays for the next start when it cannot go */
    }
    free(numbers);
    if (r < 0) {
        return r;
    }
    numbers = NULL;
    r = spool_dir_numbers(dir->fd, SPOOL_NAME_SPARE, &numbers, &count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        spool_name_make(name, SPOOL_NAME_SPARE, numbers[i]);
        dir_number_above(dir, numbers[i]);
        int64_t size = dir_file_bytes(dir, name);
        if (size >= 0 && spool_spare_has_room(dir, (uint64_t)size)) {
            spool_spare_put(dir, numbers[i]);
        } else {
            (void)disk_unlink(dir->fd, name);
        }
    }
    free(numbers);
    if (r < 0) {
        return r;
    }
    static const enum spool_name kept[] = {SPOOL_NAME_SEGMENT, SPOOL_NAME_BAD};
    for (size_t k = 0; k < ARRAY_COUNT(kept); k++) {
        numbers = NULL;
        r = spool_dir_numbers(dir->fd, kept[k], &numbers, &count);
        if (r < 0) {
            return r;
        }
        if (count) {
            dir_number_above(dir, numbers[count - 1]);
        }
        if (kept[k] == SPOOL_NAME_BAD) {
            atomic_store(&dir->bad_count, (unsigned)count);
        }
        free(numbers);
    }
    return 0;
}

/* ---- open and close ---- */

static void dir_options(struct spool_options *o)
{
    o->segment_bytes = o->segment_bytes ? o->segment_bytes : SPOOL_SEGMENT_BYTES_DEFAULT;
    o->workers = o->workers ? o->workers : 1;
    o->spares = o->spares ? o->spares : 2;
    o->buffers = o->buffers ? o->buffers : 8;
    o->lazy_ms = o->lazy_ms ? o->lazy_ms : 5;
    must(o->segment_bytes >= SPOOL_SEGMENT_BYTES_MIN);
    must(o->segment_bytes <= SPOOL_SEGMENT_BYTES_MAX);
    must(o->segment_bytes % SPOOL_SEGMENT_BYTES_MIN == 0);
    must(o->workers <= LIMIT_WORKERS && o->spares <= SPOOL_SPARES_MAX);
    must(o->buffers >= 2 && o->buffers + 4 < SPOOL_SEALS_MAX / 2);
}

struct spool_dir *spool_dir_open(const char *path, const struct spool_options *options,
                                 struct buf *error)
{
    struct spool_dir *dir = calloc(1, sizeof(*dir));
    if (!dir) {
        buf_add(error, SLICE("out of memory"));
        return NULL;
    }
    dir->options = *options;
    dir_options(&dir->options);
    dir->fd = dir->lock_fd = -1;
    spool_memos_init(&dir->memos, 0);
    pthread_mutex_init(&dir->spares_lock, NULL);
    atomic_store(&dir->number_next, 1);
    dir->path = strdup(path);
    dir->fd = dir->path ? disk_open_dir(path, true) : -ENOMEM;
    if (dir->fd < 0) {
        buf_addf(error, "%s: %s", path,
                 dir->fd == -ELOOP || dir->fd == -ENOTDIR ? "is not a directory of its own"
                                                          : strerror(-dir->fd));
        goto out;
    }
    if (!dir_lock(dir, error)) {
        goto out;
    }
    dir->direct = disk_probe_direct(dir->fd);
    dir->dsync = dir->direct && disk_knows_dsync(dir->fd);
    int r = dir_tidy(dir);
    if (r < 0) {
        buf_addf(error, "%s: %s", path, strerror(-r));
        goto out;
    }
    return dir;
out:
    spool_dir_close(&dir);
    return NULL;
}

void spool_dir_close(struct spool_dir **dir)
{
    struct spool_dir *d = *dir;
    if (!d) {
        return;
    }
    for (size_t i = 0; i < d->past_count; i++) {
        if (d->past[i].fd >= 0) {
            disk_close(d->past[i].fd);
        }
    }
    free(d->past);
    spool_memos_deinit(&d->memos);
    if (d->lock_fd >= 0) {
        disk_close(d->lock_fd);
    }
    if (d->fd >= 0) {
        disk_close(d->fd);
    }
    pthread_mutex_destroy(&d->spares_lock);
    free(d->path);
    free(d);
    *dir = NULL;
}

uint64_t spool_dir_number(struct spool_dir *dir)
{
    return atomic_fetch_add(&dir->number_next, 1);
}

bool spool_dir_direct(const struct spool_dir *dir)
{
    return dir->direct;
}

const char *spool_dir_path(const struct spool_dir *dir)
{
    return dir->path;
}

uint64_t spool_dir_free_bytes(const struct spool_dir *dir)
{
    uint64_t bytes;
    return disk_free_bytes(dir->fd, &bytes) == 0 ? bytes : UINT64_MAX;
}
