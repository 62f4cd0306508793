/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * disk_private - what the files of the simulated disk share
 *
 * Purpose:   disk.c (files, names, crashes, the ring's side), disk_calls.c (core/io/disk.h). Nobody else
 *            includes this. Owner, thread: see disk.h. Errors: none.
 */
#ifndef RINGPOST_TESTS_SIM_DISK_PRIVATE_H
#define RINGPOST_TESTS_SIM_DISK_PRIVATE_H

#include "tests/sim/disk.h"
#include "tests/sim/disk_page.h"

enum {
    DISK_NAMES = 256,
    DISK_CHANGES = 2048, /* while no fsync of the directory succeeds */
    DISK_FILES = 256
};

struct disk_name {
    char name[DISK_NAME_MAX];
    unsigned file;
};

struct disk_names {
    struct disk_name list[DISK_NAMES];
    unsigned count;
};

enum disk_change_kind { CHANGE_CREATE, CHANGE_RENAME, CHANGE_UNLINK };

struct disk_change {
    enum disk_change_kind kind;
    unsigned file;
    char from[DISK_NAME_MAX];
    char to[DISK_NAME_MAX];
};

struct disk {
    struct disk_file files[DISK_FILES]; /* not used: no name, no descriptor */
    bool in_use[DISK_FILES];
    unsigned fds[DISK_FD_COUNT]; /* file + 1; 0: closed */
    int locked_fd;
    struct disk_names now, durable;
    struct disk_change changes[DISK_CHANGES];
    unsigned change_count;
    bool probe; /* a copy: no faults, no crashes */
};

extern struct drive {
    struct disk *disk;
    uint64_t steps, crash_at;
    enum disk_crash crash_how;
} drive;

struct disk_name *disk_names_find(struct disk_names *n, const char *name);
void disk_change_add(enum disk_change_kind kind, const char *from, const char *to, unsigned file);
/* A slot for a file. */
unsigned disk_file_new(struct disk *d);
/* Fails when the descriptor is not open. */
struct disk_file *disk_file_of(int fd);
bool disk_has_room(const struct disk_file *f, uint64_t end);
/* A fault by chance; copies for probes have none. */
bool disk_fault(uint32_t ppm);

#endif
