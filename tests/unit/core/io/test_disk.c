/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/io/disk.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64];
static char path[96];
static int dir;

static void setup(void)
{
    snprintf(base, sizeof(base), "/tmp/test_disk_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    snprintf(path, sizeof(path), "%s/spool", base);
    dir = disk_open_dir(path, true);
    ck_assert_int_ge(dir, 0);
}

static bool remove_one(void *ctx, const char *name)
{
    (void)ctx;
    (void)unlinkat(dir, name, 0);
    return true;
}

static void teardown(void)
{
    ck_assert_int_eq(disk_list(dir, remove_one, NULL), 0);
    disk_close(dir);
    rmdir(path);
    rmdir(base);
}

START_TEST(directory)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    char link[128];
    snprintf(link, sizeof(link), "%s/link", base);
    ck_assert_int_eq(symlink(path, link), 0);
    int r = disk_open_dir(link, true);
    ck_assert(r == -ELOOP || r == -ENOTDIR);
    unlink(link);
    snprintf(link, sizeof(link), "%s/none/deep", base);
    ck_assert_int_eq(disk_open_dir(link, false), -ENOENT);
}
END_TEST

/* mkdir -p, but each part durable; what is there already is left alone. */
START_TEST(directory_with_parents)
{
    static const char *const forms[] = {"a/b/c", "d//e/f/", "a/b/other", "a/../g/h"};
    char deep[256];
    struct stat st;
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        snprintf(deep, sizeof(deep), "%s/%s", base, forms[i]);
        int fd = disk_open_dir(deep, true);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0700);
        disk_close(fd);
        fd = disk_open_dir(deep, true);
        ck_assert_int_ge(fd, 0);
        disk_close(fd);
    }
    snprintf(deep, sizeof(deep), "%s/a", base);
    ck_assert_int_eq(stat(deep, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0700, 0700);
    /* A file in the way, a link to nowhere, a path without end. */
    snprintf(deep, sizeof(deep), "%s/file", base);
    int fd = open(deep, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    snprintf(deep, sizeof(deep), "%s/file/x", base);
    ck_assert_int_eq(disk_open_dir(deep, true), -ENOTDIR);
    snprintf(deep, sizeof(deep), "%s/nowhere", base);
    ck_assert_int_eq(symlink("/nonexistent/x", deep), 0);
    snprintf(deep, sizeof(deep), "%s/nowhere/y/z", base);
    ck_assert_int_eq(disk_open_dir(deep, true), -ENOENT);
    static char endless[8192];
    memset(endless, 'x', sizeof(endless) - 1);
    ck_assert_int_eq(disk_open_dir(endless, true), -ENAMETOOLONG);
    static const char *const made[] = {"a/b/c", "a/b/other", "a/b", "a",    "d/e/f",  "d/e",
                                       "d",     "g/h",       "g",   "file", "nowhere"};
    for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
        snprintf(deep, sizeof(deep), "%s/%s", base, made[i]);
        ck_assert_int_eq(remove(deep), 0);
    }
}
END_TEST

START_TEST(files)
{
    char got[16] = {0};
    struct stat st;
    int fd = disk_open(dir, "a", DISK_CREATE, false);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ck_assert_int_eq(disk_open(dir, "a", DISK_CREATE, false), -EEXIST);
    ck_assert_int_eq(disk_open(dir, "b", DISK_READ, false), -ENOENT);
    ck_assert_int_eq(disk_pwrite(fd, "hello", 5, 3), 0);
    ck_assert_int_eq(disk_fsync(fd), 0);
    ck_assert_int_eq(disk_size(fd), 8);
    ck_assert_int_eq(disk_pread(fd, got, sizeof(got), 3), 5);
    ck_assert_str_eq(got, "hello");
    ck_assert_int_eq(disk_pread(fd, got, sizeof(got), 100), 0);
    ck_assert_int_eq(disk_truncate(fd, 4), 0);
    ck_assert_int_eq(disk_size(fd), 4);
    disk_close(fd);
    ck_assert_int_eq(disk_rename(dir, "a", "c"), 0);
    ck_assert_int_eq(disk_rename(dir, "a", "c"), -ENOENT);
    ck_assert_int_eq(disk_unlink(dir, "c"), 0);
    ck_assert_int_eq(disk_unlink(dir, "c"), -ENOENT);
    ck_assert_int_eq(disk_fsync(dir), 0);
}
END_TEST

START_TEST(no_links_no_pipes)
{
    ck_assert_int_eq(symlinkat("/etc/passwd", dir, "l"), 0);
    ck_assert_int_eq(disk_open(dir, "l", DISK_READ, false), -ELOOP);
    ck_assert_int_eq(disk_open(dir, "l", DISK_CREATE, false), -EEXIST);
    ck_assert_int_eq(mkfifoat(dir, "p", 0600), 0);
    ck_assert_int_eq(disk_open(dir, "p", DISK_READ, false), -EINVAL); /* and does not hang */
    ck_assert_int_eq(mkdirat(dir, "d", 0700), 0);
    ck_assert_int_eq(disk_open(dir, "d", DISK_READ, false), -EINVAL);
    unlinkat(dir, "d", AT_REMOVEDIR);
}
END_TEST

static bool count_one(void *ctx, const char *name)
{
    unsigned *n = ctx;
    ck_assert(name[0] == 'f');
    return ++*n < 3;
}

START_TEST(listing)
{
    unsigned n = 0;
    ck_assert_int_eq(disk_list(dir, count_one, &n), 0);
    ck_assert_uint_eq(n, 0);
    for (unsigned i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof(name), "f%u", i);
        disk_close(disk_open(dir, name, DISK_OPEN_CREATE, false));
    }
    ck_assert_int_eq(disk_list(dir, count_one, &n), 0);
    ck_assert_uint_eq(n, 3); /* stopped */
    n = 0;
    ck_assert_int_eq(disk_list(dir, count_one, &n), 0);
    ck_assert_uint_eq(n, 3); /* and begins again */
}
END_TEST

START_TEST(lock_between_processes)
{
    int fd = disk_open(dir, "lock", DISK_OPEN_CREATE, false);
    ck_assert_int_eq(disk_lock(fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int other = disk_open(dir, "lock", DISK_OPEN_CREATE, false);
        _exit(disk_lock(other) == -EWOULDBLOCK ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    disk_close(fd);
    fd = disk_open(dir, "lock", DISK_OPEN_CREATE, false);
    ck_assert_int_eq(disk_lock(fd), 0);
    disk_close(fd);
}
END_TEST

START_TEST(probes)
{
    uint64_t bytes = 0;
    ck_assert_int_eq(disk_free_bytes(dir, &bytes), 0);
    ck_assert_uint_gt(bytes, 0);
    (void)disk_probe_direct(dir);
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert(!disk_knows_dsync(proc)); /* only what is in its list */
    close(proc);
    ck_assert_int_eq(disk_open(dir, "probe.tmp", DISK_READ, false), -ENOENT);
    unsigned char a[16] = {0};
    unsigned char b[16] = {0};
    ck_assert_int_eq(disk_random(a, sizeof(a)), 0);
    ck_assert_int_eq(disk_random(b, sizeof(b)), 0);
    ck_assert(memcmp(a, b, sizeof(a)) != 0);
    int full = open("/dev/full", O_RDWR);
    ck_assert_int_eq(disk_pwrite(full, "x", 1, 0), -ENOSPC);
    close(full);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("disk");
    TCase *t = tcase_create("disk");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, directory);
    tcase_add_test(t, directory_with_parents);
    tcase_add_test(t, files);
    tcase_add_test(t, no_links_no_pipes);
    tcase_add_test(t, listing);
    tcase_add_test(t, lock_between_processes);
    tcase_add_test(t, probes);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
