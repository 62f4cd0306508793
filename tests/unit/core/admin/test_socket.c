/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/admin/socket.h"
#include "core/base/must.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char dir[64];
    char path[400];
};

static void place_make(struct place *p, bool deep)
{
    *p = (struct place){.dir = "/tmp/ringpost-sock-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(p->dir));
    snprintf(p->path, sizeof(p->path), "%s", p->dir);
    for (int i = 0; deep && i < 4; i++) {
        size_t at = strlen(p->path);
        snprintf(p->path + at, sizeof(p->path) - at, "/%050d", i);
        ck_assert_int_eq(mkdir(p->path, 0700), 0);
    }
    size_t at = strlen(p->path);
    snprintf(p->path + at, sizeof(p->path) - at, "/admin.sock");
}

static void place_end(struct place *p)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", p->dir);
    ck_assert_int_eq(system(command), 0);
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    ck_assert_int_eq(lstat(path, &st), 0);
    return st.st_ino;
}

/* _i 0: a short path, 1: one that does not fit into sun_path. */
START_TEST(listens_with_mode_0600)
{
    struct place p;
    struct admin_socket_file file;
    struct stat st;
    place_make(&p, _i == 1);
    ck_assert_int_eq(strlen(p.path) > 107, _i == 1);
    mode_t old = umask(0);
    int fd = admin_socket_listen(slice_str(p.path), &file);
    umask(old);
    ck_assert_msg(fd >= 0, "%s", strerror(errno));
    ck_assert_int_eq(lstat(p.path, &st), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    int client = admin_socket_connect(slice_str(p.path));
    ck_assert_int_ge(client, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(client);
    admin_socket_remove(slice_str(p.path), &file);
    ck_assert_int_ne(access(p.path, F_OK), 0);
    close(fd);
    place_end(&p);
}
END_TEST

START_TEST(stale_socket_is_replaced)
{
    struct place p;
    struct admin_socket_file first, second;
    place_make(&p, _i == 1);
    int fd = admin_socket_listen(slice_str(p.path), &first);
    ck_assert_int_ge(fd, 0);
    close(fd); /* as after kill -9: the file stays, nobody listens */
    ck_assert_int_eq(access(p.path, F_OK), 0);
    ck_assert_int_lt(admin_socket_connect(slice_str(p.path)), 0);
    ck_assert_int_eq(errno, ECONNREFUSED);
    fd = admin_socket_listen(slice_str(p.path), &second);
    ck_assert_msg(fd >= 0, "%s", strerror(errno));
    int client = admin_socket_connect(slice_str(p.path));
    ck_assert_int_ge(client, 0);
    close(client);
    close(fd);
    place_end(&p);
}
END_TEST

START_TEST(living_socket_is_left)
{
    struct place p;
    struct admin_socket_file first, second = {0};
    place_make(&p, false);
    int fd = admin_socket_listen(slice_str(p.path), &first);
    ino_t inode = inode_of(p.path);
    ck_assert_int_eq(admin_socket_listen(slice_str(p.path), &second), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
    ck_assert_uint_eq(inode_of(p.path), inode);
    close(fd);
    place_end(&p);
}
END_TEST

/* 0: a file, 1: a folder, 2: a symbolic link to nowhere, 3: a link to a stale socket. */
START_TEST(anything_else_is_left)
{
    struct place p;
    struct admin_socket_file file;
    char other[200];
    place_make(&p, false);
    snprintf(other, sizeof(other), "%s/other", p.dir);
    switch (_i) {
    case 0:
        close(open(p.path, O_CREAT | O_WRONLY, 0600));
        break;
    case 1:
        ck_assert_int_eq(mkdir(p.path, 0700), 0);
        break;
    case 2:
        ck_assert_int_eq(symlink("/nonexistent", p.path), 0);
        break;
    case 3:
        close(admin_socket_listen(slice_str(other), &file));
        ck_assert_int_eq(symlink(other, p.path), 0);
        break;
    }
    ino_t inode = inode_of(p.path);
    ck_assert_int_eq(admin_socket_listen(slice_str(p.path), &file), -1);
    ck_assert_int_eq(errno, EEXIST);
    ck_assert_uint_eq(inode_of(p.path), inode);
    place_end(&p);
}
END_TEST

START_TEST(only_the_own_file_is_removed)
{
    struct place p;
    struct admin_socket_file first, second;
    place_make(&p, false);
    int a = admin_socket_listen(slice_str(p.path), &first);
    char moved[200];
    snprintf(moved, sizeof(moved), "%s/moved", p.dir);
    ck_assert_int_eq(rename(p.path, moved), 0);
    int b = admin_socket_listen(slice_str(p.path), &second);
    admin_socket_remove(slice_str(p.path), &first);
    ck_assert_int_eq(access(p.path, F_OK), 0);
    admin_socket_remove(slice_str(p.path), &second);
    ck_assert_int_ne(access(p.path, F_OK), 0);
    close(a);
    close(b);
    place_end(&p);
}
END_TEST

START_TEST(bad_paths)
{
    struct admin_socket_file file;
    char longname[300] = "/tmp/";
    memset(longname + 5, 'x', 200);
    ck_assert_int_eq(admin_socket_listen(slice_str(longname), &file), -1);
    ck_assert_int_eq(errno, ENAMETOOLONG);
    ck_assert_int_eq(admin_socket_connect(SLICE("")), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(admin_socket_connect(SLICE("a\0b")), -1);
    ck_assert_int_eq(admin_socket_listen(SLICE("/nonexistent/x"), &file), -1);
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core/admin/socket");
    TCase *t = tcase_create("socket");
    tcase_add_loop_test(t, listens_with_mode_0600, 0, 2);
    tcase_add_loop_test(t, stale_socket_is_replaced, 0, 2);
    tcase_add_test(t, living_socket_is_left);
    tcase_add_loop_test(t, anything_else_is_left, 0, 4);
    tcase_add_test(t, only_the_own_file_is_removed);
    tcase_add_test(t, bad_paths);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
