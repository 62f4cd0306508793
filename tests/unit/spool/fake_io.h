/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fake_io - a deterministic twin of core/io/disk.c and of the file part of core/io/io.h
 *
 * Purpose:   one directory in memory that forgets what was not made durable. Every step (an operation
 *            that completes, a synchronous call that changes something) is counted, and step N can
 *            fail or be the last thing that happens before the power goes.
 * Model:     data: per 512-byte sector, current and durable bytes. fsync makes the file's dirty sectors
 *            durable; a failed one leaves them in doubt, and no later fsync changes that (fsyncgate).
 *            names: current and durable, with the log of changes between; at a power cut any subset of
 *            the changes may survive, in any combination that makes sense (stricter than a journal).
 * Use:       #include "tests/unit/spool/fake_io.c" in one test: its symbols win over the libraries'.
 */
#ifndef RINGPOST_TESTS_SPOOL_FAKE_IO_H
#define RINGPOST_TESTS_SPOOL_FAKE_IO_H

#include "core/base/rng.h"
#include "core/io/disk.h"
#include "core/io/io.h"

enum { FAKE_IOS = 4 };

enum fake_fault {
    FAKE_FAULT_NONE,
    FAKE_FAULT_CRASH,      /* what is not durable survives sector by sector, at random */
    FAKE_FAULT_CRASH_LOSE, /* nothing that is not durable survives */
    FAKE_FAULT_CRASH_KEEP, /* the process dies, the machine does not: everything survives */
    FAKE_FAULT_EIO,        /* fails without effect */
    FAKE_FAULT_EIO_LATE,   /* has its effect, and fails */
    FAKE_FAULT_ENOSPC,
    FAKE_FAULT_CANCELLED, /* short write: half of it, then the linked fdatasync is cancelled */
    FAKE_FAULT_COUNT
};

/* An empty directory. */
void fake_init(uint64_t seed);
void fake_deinit(void);
/* The fault happens at step `at` (1 = the next one) and, for failures, at `times` steps in a row. */
void fake_fault_at(uint64_t at, enum fake_fault fault, uint64_t times);
uint64_t fake_steps(void);
void fake_steps_reset(void);
/* The power is gone: nothing has an effect any more until fake_restart. */
bool fake_dead(void);
/* Kill now. */
void fake_crash(enum fake_fault how);
/* After a crash and the tear-down of everything that used it: the disk as the next process finds it. */
void fake_restart(void);
/* 0: no limit. */
void fake_space_set(uint64_t bytes);
void fake_time_set(uint64_t mono_ms);
uint64_t fake_time(void);

/* index < FAKE_IOS: one per worker. */
struct io *fake_io(unsigned index);
/* Completes one operation (a random one of those in flight) and hands its event to done. False: none. */
typedef void fake_done_fn(void *ctx, unsigned io_index, const struct io_event *ev);
bool fake_step(fake_done_fn *done, void *ctx);
uint64_t fake_durable_writes(void);

/* The bytes of a file, for tests that damage them (current and durable). NULL: no such file. */
uint8_t *fake_file_bytes(const char *name, size_t *len);
/* Writes through: both copies. */
void fake_file_poke(const char *name, size_t at, uint8_t value);
/* Reads over this byte fail from now on. */
void fake_file_unreadable(const char *name, uint64_t at);
void fake_file_put(const char *name, const void *bytes, size_t len);
bool fake_file_exists(const char *name);
unsigned fake_file_count(const char *prefix);
/* The first name with this prefix in order; "" when there is none. */
const char *fake_file_first(const char *prefix);

#endif
