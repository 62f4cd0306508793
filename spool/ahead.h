/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ahead - the next segment file is read while this one is looked at (internal to spool/)
 *
 * Purpose:   a start reads all of the log: copying it out of the page cache takes as long as understanding
 *            it, and a disk that is waited for takes longer.
 * Owner:     recovery has a zeroed struct spool_ahead; spool_ahead_stop. Thread: the owner's; one of its own
 *            runs between start and take.
 * Limits:    files of SPOOL_AHEAD_BYTES_MAX; larger ones are read when they are wanted.
 * Errors:    of spool_file_load. Without a thread the file is read when it is wanted.
 */
#ifndef RINGPOST_SPOOL_AHEAD_H
#define RINGPOST_SPOOL_AHEAD_H

#include "spool/scan.h"

#include <pthread.h>

enum { SPOOL_AHEAD_BYTES_MAX = 128 * 1024 * 1024 };

struct spool_ahead {
    struct spool_file file;
    pthread_t thread;
    bool running;
    int fd;
    int result;
};

/* Nothing may be running. */
void spool_ahead_start(struct spool_ahead *a, int fd);
/* *file has the bytes of fd then; its memory of before is used again. Returns as spool_file_load. */
int spool_ahead_take(struct spool_ahead *a, int fd, struct spool_file *file);
void spool_ahead_stop(struct spool_ahead *a);

#endif
