/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * disk - the twin of core/io/disk.c: one directory that forgets what was not made durable
 *
 * Purpose:   data: pages of 4 KiB with a current and a durable side; per 512-byte sector it is known whether
 *            they differ. An fsync makes the dirty sectors of its file durable; a failed one leaves them in
 *            doubt, and no later fsync changes that (fsyncgate). Names: current and durable, with the log of
 *            changes between; at a power cut any subset of the changes survives (stricter than a journal).
 *            A process that dies loses nothing of this, but a write of its that is in the kernel may end
 *            half done; what it left unsynced is lost if the power goes later.
 * Owner:     the world. A probe works on a copy (disk_fork) whose pages are shared until written.
 * Thread:    the only one.
 * Errors:    as core/io/disk.h; faults by sim.opt.
 */
#ifndef RINGPOST_TESTS_SIM_DISK_H
#define RINGPOST_TESTS_SIM_DISK_H

#include "core/io/disk.h"

enum {
    DISK_FD_FIRST = 10000,
    DISK_FD_COUNT = 512,
    DISK_DIR_FD = 9999,
};

enum disk_crash {
    DISK_CRASH_KILL,  /* the process is gone, the machine is not */
    DISK_CRASH_POWER, /* of what is not durable any sector survives or not, by chance */
    DISK_CRASH_LOSE,  /* nothing of it survives */
};

struct disk;

/* An empty directory. */
struct disk *disk_new(void);
void disk_free(struct disk **d);
/* The one that the functions of core/io/disk.h work on; returns the one before. */
struct disk *disk_use(struct disk *d);
struct disk *disk_fork(void);

/* What the ring does with files: bytes, or a negative errno. */
int disk_ring_write(int fd, const void *ptr, size_t len, uint64_t offset);
int disk_ring_read(int fd, void *ptr, size_t len, uint64_t offset);
int disk_ring_sync(int fd);
/* After a write with RWF_DSYNC. */
int disk_ring_sync_range(int fd, uint64_t offset, size_t len);
int disk_ring_allocate(int fd, uint64_t offset, uint64_t len);

/* A write that is in the kernel at the moment of the crash: some of its sectors are there. */
void disk_crash_write(int fd, const void *ptr, size_t len, uint64_t offset, enum disk_crash how);
/* After those. Descriptors are closed. */
void disk_crash(enum disk_crash how);

/* Every change is a step; the crash comes before the step of this number (0: none), by engine_die. */
uint64_t disk_steps(void);
void disk_crash_at(uint64_t step, enum disk_crash how);
/* Called before a change happens: the crash, a probe. False: the engine has died here and now. */
bool disk_step(void);

/* A bit of a segment flips; the engine is down. */
bool disk_rot(void);
/* Bytes of a segment, as they are now; false: it is not there, or not so long. */
bool disk_peek(uint64_t segment, uint64_t offset, void *to, size_t len);
/* One of its bits flips, on the medium and in the page cache. */
bool disk_flip(uint64_t segment, uint64_t offset, unsigned bit);

unsigned disk_open_files(void);
uint64_t disk_used_bytes(void);

#endif
