/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The spool's folder: does it exist, on what, does O_DIRECT work, how much room, how long a commit
 * takes. The test file has no name where the file system can do that (O_TMPFILE), and loses it at once
 * where not, so that a killed doctor leaves nothing.
 */
#include "core/app/cli_text.h"
#include "core/app/doctor_check.h"
#include "core/base/clock.h"
#include "core/base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    DISK_BLOCK = 4096,
    DISK_SAMPLES = 50,
    DISK_SAMPLE_BUDGET_MS = 3000, /* a very slow disk gives fewer samples */
    DISK_SLOW_US = 20 * 1000,
    DISK_TOO_FAST_US = 4, /* no medium is that fast: nothing was flushed */
    DISK_SEGMENTS = 3,    /* per worker: the current one, the next, one being compacted */
};

struct disk_fs {
    unsigned long magic;
    const char *name;
    enum doctor_status status;
    const char *change;
};

static const struct disk_fs disk_fs_table[] = {
    {EXT4_SUPER_MAGIC, "ext4", DOCTOR_PASS, ""},
    {XFS_SUPER_MAGIC, "xfs", DOCTOR_PASS, ""},
    {BTRFS_SUPER_MAGIC, "btrfs", DOCTOR_WARN,
     "copy on write makes every commit dearer: chattr +C on the empty folder, or use ext4 or xfs"},
    {F2FS_SUPER_MAGIC, "f2fs", DOCTOR_PASS, ""},
    {0x2FC12FC1, "zfs", DOCTOR_WARN, "a separate log device makes commits fast"},
    {0xCA451A4E, "bcachefs", DOCTOR_PASS, ""},
    {TMPFS_MAGIC, "tmpfs", DOCTOR_WARN,
     "mail is lost with power or reboot: set spool.dir to a folder on a disk"},
    {RAMFS_MAGIC, "ramfs", DOCTOR_WARN,
     "mail is lost with power or reboot: set spool.dir to a folder on a disk"},
    {OVERLAYFS_SUPER_MAGIC, "overlay", DOCTOR_WARN,
     "a container's own layer is lost with the container: mount a volume for spool.dir"},
    {NFS_SUPER_MAGIC, "nfs", DOCTOR_WARN,
     "durability and locking depend on the server: use a local or block-storage volume"},
    {0xFF534D42, "cifs", DOCTOR_WARN,
     "durability and locking depend on the server: use a local or block-storage volume"},
    {0xFE534D42, "smb", DOCTOR_WARN,
     "durability and locking depend on the server: use a local or block-storage volume"},
    {V9FS_MAGIC, "9p", DOCTOR_WARN,
     "durability depends on the host: use a local or block-storage volume"},
    {FUSE_SUPER_MAGIC, "fuse", DOCTOR_WARN,
     "durability depends on its driver: use a local or block-storage volume"},
};

static const char disk_advice_rights[] = "give the engine's user the right to write there";

/* The folder, or the nearest one above it that exists. */
static bool disk_existing(const char *path, char *dst, size_t size, bool *itself)
{
    struct stat st;
    if (!slice_to_cstr(slice_str(path), dst, size)) {
        return false;
    }
    *itself = true;
    while (stat(dst, &st) != 0) {
        char *slash = strrchr(dst, '/');
        *itself = false;
        if (errno != ENOENT) {
            return false;
        }
        if (!slash) {
            return slice_to_cstr(SLICE("."), dst, size);
        }
        slash[slash == dst ? 1 : 0] = '\0';
    }
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return false;
    }
    return true;
}

static int disk_temp_file(const char *dir)
{
    char name[PATH_MAX + 32];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)) {
        return fd;
    }
    snprintf(name, sizeof(name), "%s/.ringpost-doctor-XXXXXX", dir);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0) {
        unlink(name);
    }
    return fd;
}

static void disk_say_fs(struct doctor *d, const char *dir)
{
    struct statfs fs;
    if (statfs(dir, &fs) != 0) {
        doctor_say(d, DOCTOR_WARN, "spool file system", "", "%s: %s", dir, strerror(errno));
        return;
    }
    unsigned long magic = (unsigned long)fs.f_type & 0xffffffff;
    for (size_t i = 0; i < ARRAY_COUNT(disk_fs_table); i++) {
        const struct disk_fs *row = &disk_fs_table[i];
        if (row->magic == magic) {
            doctor_say(d, row->status, "spool file system", row->change, "%s", row->name);
            return;
        }
    }
    doctor_say(d, DOCTOR_WARN, "spool file system", "ext4 and xfs are what is tested",
               "unknown type %#lx", magic);
}

static void disk_say_space(struct doctor *d, const char *dir)
{
    const struct conf_spool *c = &d->conf->spool;
    struct statvfs vfs;
    char free_text[32] = "", need_text[32] = "";
    if (statvfs(dir, &vfs) != 0) {
        doctor_say(d, DOCTOR_WARN, "spool space", "", "%s: %s", dir, strerror(errno));
        return;
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t workers = d->conf->workers ? d->conf->workers : (uint64_t)(cpus > 0 ? cpus : 1);
    uint64_t free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    uint64_t need = c->min_free_bytes + workers * DISK_SEGMENTS * c->segment_bytes;
    struct buf text;
    buf_init(&text, 64);
    cli_text_add_size(&text, free_bytes);
    slice_to_cstr(buf_slice(&text), free_text, sizeof(free_text));
    buf_clear(&text);
    cli_text_add_size(&text, need);
    slice_to_cstr(buf_slice(&text), need_text, sizeof(need_text));
    buf_deinit(&text);
    bool short_of = free_bytes < need;
    bool none = free_bytes < c->min_free_bytes + c->segment_bytes;
    doctor_say(d,
               none       ? DOCTOR_FAIL
               : short_of ? DOCTOR_WARN
                          : DOCTOR_PASS,
               "spool space",
               short_of ? "free space, or lower spool.segment_size and spool.min_free" : "",
               "%s free, an empty spool wants %s", free_text, need_text);
    if (vfs.f_files && vfs.f_favail < 100) {
        doctor_say(d, DOCTOR_FAIL, "spool inodes", "remove files on this file system", "%llu free",
                   (unsigned long long)vfs.f_favail);
    }
}

static int disk_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Blocks that were written before, as in a prepared segment. Returns samples; 0: errno says why. */
static size_t disk_measure(int fd, void *block, uint64_t samples[DISK_SAMPLES])
{
    for (unsigned i = 0; i < DISK_SAMPLES; i++) {
        if (pwrite(fd, block, DISK_BLOCK, (off_t)i * DISK_BLOCK) != DISK_BLOCK) {
            return 0;
        }
    }
    if (fsync(fd) != 0) {
        return 0;
    }
    size_t n = 0;
    uint64_t end_ms = clock_read().mono_ms + DISK_SAMPLE_BUDGET_MS;
    while (n < DISK_SAMPLES && clock_read().mono_ms < end_ms) {
        uint64_t start = clock_read().mono_us;
        if (pwrite(fd, block, DISK_BLOCK, (off_t)n * DISK_BLOCK) != DISK_BLOCK ||
            fdatasync(fd) != 0) {
            return 0;
        }
        samples[n++] = clock_read().mono_us - start;
    }
    qsort(samples, n, sizeof(samples[0]), disk_compare);
    return n;
}

static void disk_say_latency(struct doctor *d, int fd, void *block)
{
    uint64_t samples[DISK_SAMPLES];
    size_t n = disk_measure(fd, block, samples);
    if (n == 0) {
        doctor_say(d, DOCTOR_FAIL, "spool commit", "the disk refuses writes: see the kernel's log",
                   "%s", strerror(errno));
        return;
    }
    unsigned long long p50 = samples[n / 2], worst = samples[n - 1];
    if (p50 >= DISK_SLOW_US) {
        doctor_say(d, DOCTOR_WARN, "spool commit",
                   "a single session gets one message per commit: a disk with a power-safe write "
                   "cache is faster",
                   "4 KiB write and fdatasync: p50 %llu µs, worst of %zu %llu µs", p50, n, worst);
    } else if (p50 <= DISK_TOO_FAST_US) {
        doctor_say(d, DOCTOR_WARN, "spool commit", "use a disk, with write barriers on",
                   "4 KiB write and fdatasync: p50 %llu µs: nothing is flushed", p50);
    } else {
        doctor_say(d, DOCTOR_PASS, "spool commit", "",
                   "4 KiB write and fdatasync: p50 %llu µs, worst of %zu %llu µs", p50, n, worst);
    }
}

static void disk_say_file(struct doctor *d, const char *dir)
{
    int fd = disk_temp_file(dir);
    if (fd < 0) {
        doctor_say(d, DOCTOR_FAIL, "spool folder", disk_advice_rights, "%s: %s", dir,
                   strerror(errno));
        return;
    }
    void *block = aligned_alloc(DISK_BLOCK, DISK_BLOCK);
    must(block != NULL);
    memset(block, 0x5a, DISK_BLOCK);
    int flags = fcntl(fd, F_GETFL);
    bool direct = fcntl(fd, F_SETFL, flags | O_DIRECT) == 0 &&
                  pwrite(fd, block, DISK_BLOCK, 0) == DISK_BLOCK;
    if (!direct) {
        fcntl(fd, F_SETFL, flags);
    }
    doctor_say(d, direct ? DOCTOR_PASS : DOCTOR_WARN, "spool O_DIRECT",
               direct ? "" : "commits go through the page cache: correct, with more processor time",
               "%s", direct ? "works" : "refused");
    disk_say_latency(d, fd, block);
    free(block);
    close(fd);
}

void doctor_check_spool(struct doctor *d)
{
    char dir[PATH_MAX];
    bool itself = false;
    const char *path = d->conf->spool.dir.ptr; /* NUL-terminated: conf.h */
    if (!disk_existing(path, dir, sizeof(dir), &itself)) {
        doctor_say(d, DOCTOR_FAIL, "spool folder",
                   errno == EACCES ? disk_advice_rights : "set spool.dir to a folder", "%s: %s",
                   path, strerror(errno));
        return;
    }
    if (access(dir, W_OK | X_OK) != 0) {
        doctor_say(d, DOCTOR_FAIL, "spool folder", disk_advice_rights, "%s: %s", dir,
                   strerror(errno));
        return;
    }
    doctor_say(d, DOCTOR_PASS, "spool folder", "", itself ? "%s" : "%s can be created", path);
    disk_say_fs(d, dir);
    disk_say_space(d, dir);
    disk_say_file(d, dir);
}
