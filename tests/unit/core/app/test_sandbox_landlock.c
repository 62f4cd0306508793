/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A child confines itself to two folders of a tree and tries what else there is.
 */
#include "core/app/sandbox_landlock.h"
#include "tests/unit/core/base/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { CHILD_FAILED = 100 };

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    close(fd);
}

/* conf/ (read), conf/a, spool/ (write), spool/old, run/ (sockets), out/, out/secret */
static void tree_make(char *root)
{
    static const char *const folders[] = {"conf", "spool", "run", "out"};
    static const char *const files[] = {"conf/a", "spool/old", "out/secret"};
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq(chdir(root), 0);
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        ck_assert_int_eq(mkdir(folders[i], 0700), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        write_file(files[i]);
    }
}

static void tree_remove(const char *root)
{
    char command[128];
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

static int bind_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    return bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof(to));
}

static int bind_tcp(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof(to));
}

enum what { READS, WRITES, TRUNCATES, MAKES, MAKES_DIR, REMOVES, RENAMES, LISTS, LINKS, SOCKET };

static int attempt(enum what what, const char *path, const char *other)
{
    switch (what) {
    case READS:
        return open(path, O_RDONLY);
    case WRITES:
        return open(path, O_RDWR);
    case TRUNCATES:
        return truncate(path, 0);
    case MAKES:
        return open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    case MAKES_DIR:
        return mkdir(path, 0700);
    case REMOVES:
        return unlink(path);
    case RENAMES:
        return rename(path, other);
    case LISTS:
        return open(path, O_RDONLY | O_DIRECTORY);
    case LINKS:
        return symlink(other, path);
    case SOCKET:
        return bind_unix(path);
    }
    return -1;
}

static const struct {
    enum what what;
    const char *path;
    const char *other;
    bool works;
} rows[] = {
    {READS, "conf/a", NULL, true},
    {LISTS, "conf", NULL, true},
    {WRITES, "conf/a", NULL, false},
    {TRUNCATES, "conf/a", NULL, false},
    {MAKES, "conf/b", NULL, false},
    {REMOVES, "conf/a", NULL, false},
    {READS, "spool/old", NULL, true},
    {WRITES, "spool/old", NULL, true},
    {TRUNCATES, "spool/old", NULL, true},
    {MAKES, "spool/new", NULL, true},
    {MAKES_DIR, "spool/folder", NULL, true},
    {RENAMES, "spool/new", "spool/newer", true},
    {RENAMES, "spool/newer", "spool/folder/newer", true},
    {REMOVES, "spool/old", NULL, true},
    {LINKS, "spool/link", "/etc/shadow", false},
    {SOCKET, "spool/socket", NULL, false},
    {SOCKET, "run/socket", NULL, true},
    {MAKES, "run/file", NULL, false},
    {LISTS, "run", NULL, false},
    {READS, "out/secret", NULL, false},
    {WRITES, "out/secret", NULL, false},
    {LISTS, "out", NULL, false},
    {MAKES, "out/new", NULL, false},
    {REMOVES, "out/secret", NULL, false},
    {RENAMES, "spool/folder/newer", "out/newer", false},
    {RENAMES, "out/secret", "spool/secret", false},
    {READS, "conf/../out/secret", NULL, false},
    {READS, "/etc/shadow", NULL, false},
    {READS, "/etc/passwd", NULL, false},
    {LISTS, "/", NULL, false},
    {LISTS, "/proc/self", NULL, false},
    {READS, "/proc/self/mem", NULL, false},
};

static bool confine(void)
{
    struct landlock l;
    int error = 0;
    bool ok = landlock_open(&l, &error) && landlock_allow(&l, SLICE("conf"), LANDLOCK_READ) &&
              landlock_allow(&l, SLICE("spool"), LANDLOCK_WRITE) &&
              landlock_allow(&l, SLICE("run"), LANDLOCK_SOCKET) &&
              !landlock_allow(&l, SLICE("missing"), LANDLOCK_READ) && l.rules == 3;
    landlock_allow_port(&l, 0);
    ok = ok && landlock_restrict(&l) == 0;
    landlock_close(&l);
    return ok;
}

/* CHILD_FAILED: it could not be tried; 0: all as expected; else the row and 1. */
static int child(void)
{
    if (!confine()) {
        return CHILD_FAILED;
    }
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        errno = 0;
        bool works = attempt(rows[i].what, rows[i].path, rows[i].other) >= 0;
        bool denied = errno == EACCES || errno == EXDEV;
        if (works != rows[i].works || (!works && !denied)) {
            fprintf(stderr, "row %zu: %s: %s\n", i, rows[i].path, strerror(errno));
            return (int)i + 1;
        }
    }
    return 0;
}

static int run_child(int (*body)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(body());
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(files_outside)
{
    char root[] = "/tmp/ringpost-landlock-XXXXXX";
    tree_make(root);
    int row = run_child(child);
    tree_remove(root);
    ck_assert_msg(row == 0, "row %d (100: no Landlock in this kernel)", row - 1);
}
END_TEST

static int child_ports(void)
{
    struct landlock l;
    int error = 0;
    if (!landlock_open(&l, &error)) {
        return CHILD_FAILED;
    }
    bool nets = l.abi >= 4; /* before: not restricted */
    landlock_allow_port(&l, 0);
    bool ok = landlock_restrict(&l) == 0;
    landlock_close(&l);
    ok = ok && bind_tcp(0) == 0;
    errno = 0;
    return ok && (!nets || (bind_tcp(47113) < 0 && errno == EACCES)) ? 0 : 1;
}

START_TEST(other_ports)
{
    ck_assert_int_eq(run_child(child_ports), 0);
}
END_TEST

/* Linux 5.13 to 5.18 refuse a move between folders whatever is allowed: mailboxes need it. */
START_TEST(first_abi_moves_nothing)
{
    ck_assert(!landlock_moves(&(struct landlock){.abi = 1}));
    ck_assert(landlock_moves(&(struct landlock){.abi = 2}));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {files_outside, other_ports, first_abi_moves_nothing};
    return testing_run("sandbox_landlock", tests, ARRAY_COUNT(tests));
}
