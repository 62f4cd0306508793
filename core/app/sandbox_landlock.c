/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The system calls themselves: Debian 12 has neither a library for them nor headers of today's kernels.
 * Reading is meant with its effects: following links and walking through folders is never restricted.
 */
#include "core/app/sandbox_landlock.h"
#include "core/base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h up to ABI 6 (Linux 6.12). */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_MAKE_SOCK = 1 << 9,
    FS_MAKE_FIFO = 1 << 10,
    FS_MAKE_BLOCK = 1 << 11,
    FS_MAKE_SYM = 1 << 12,
    FS_REFER = 1 << 13,     /* ABI 2: renaming from one folder into another */
    FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    FS_FIRST = FS_REFER - 1,

    NET_BIND_TCP = 1 << 0, /* ABI 4 */
    SCOPES = 3,            /* ABI 6: abstract sockets, signals to processes outside */

    RULE_PATH = 1,
    RULE_PORT = 2,
    CREATE_VERSION = 1,
};

struct ruleset_attr {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

struct path_attr {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

struct port_attr {
    uint64_t allowed;
    uint64_t port;
};

static uint64_t handled_fs(int abi)
{
    return (uint64_t)FS_FIRST | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
           (abi >= 5 ? FS_IOCTL_DEV : 0);
}

static uint64_t access_rights(enum landlock_access access)
{
    switch (access) {
    case LANDLOCK_READ:
        return FS_READ_FILE | FS_READ_DIR;
    case LANDLOCK_WRITE:
        return FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE |
               FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE;
    case LANDLOCK_SOCKET:
        return FS_MAKE_SOCK | FS_REMOVE_FILE;
    }
    must_never("an access");
}

bool landlock_open(struct landlock *l, int *error)
{
    *l = (struct landlock){.fd = -1};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    if (abi < 1) {
        *error = abi < 0 ? errno : ENOSYS;
        return false;
    }
    l->abi = (int)abi;
    struct ruleset_attr attr = {
        .fs = handled_fs(l->abi),
        .net = l->abi >= 4 ? NET_BIND_TCP : 0,
        .scoped = l->abi >= 6 ? SCOPES : 0,
    };
    /* An older kernel takes members that it does not know when they are zero, as they are there. */
    l->fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    *error = l->fd < 0 ? errno : 0;
    return l->fd >= 0;
}

bool landlock_moves(const struct landlock *l)
{
    return (handled_fs(l->abi) & FS_REFER) != 0;
}

bool landlock_allow(struct landlock *l, struct slice path, enum landlock_access access)
{
    enum { ON_FILES = FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE };
    char text[PATH_MAX];
    struct stat st;
    must(l->fd >= 0);
    if (!slice_to_cstr(path, text, sizeof(text))) {
        return false;
    }
    int fd = open(text, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct path_attr rule = {.allowed = access_rights(access) & handled_fs(l->abi), .fd = fd};
    bool there = fstat(fd, &st) == 0;
    if (there && !S_ISDIR(st.st_mode)) {
        rule.allowed &= ON_FILES;
    }
    bool added = there && rule.allowed &&
                 syscall(SYS_landlock_add_rule, l->fd, RULE_PATH, &rule, 0) == 0;
    close(fd);
    l->rules += added;
    return added;
}

void landlock_allow_port(struct landlock *l, uint16_t port)
{
    struct port_attr rule = {NET_BIND_TCP, port};
    if (l->abi >= 4) {
        (void)syscall(SYS_landlock_add_rule, l->fd, RULE_PORT, &rule, 0);
    }
}

int landlock_restrict(struct landlock *l)
{
    must(l->fd >= 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_landlock_restrict_self, l->fd, 0) != 0) {
        return errno;
    }
    return 0;
}

void landlock_close(struct landlock *l)
{
    if (l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
    }
}
