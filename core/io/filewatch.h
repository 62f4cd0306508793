/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * filewatch - have these files changed?
 *
 * Purpose:   certificates and keys are replaced while the engine runs: written over, renamed into place,
 *            or, as Kubernetes does it, by turning a symbolic link that the whole folder hangs on. The
 *            folders are watched with inotify, which only wakes us; what has changed is told by looking
 *            at the files themselves (through links: device, inode, size, times).
 * Owner:     filewatch_open … filewatch_close.
 * Thread:    one; file system calls, so not a worker's.
 * Limits:    FILEWATCH_MAX files; more are not watched (SIGHUP still reads them).
 * Errors:    filewatch_open: NULL without memory or inotify. A folder that cannot be watched is left out.
 */
#ifndef RINGPOST_IO_FILEWATCH_H
#define RINGPOST_IO_FILEWATCH_H

#include "core/base/slice.h"

enum { FILEWATCH_MAX = 4096 };

struct filewatch;

struct filewatch *filewatch_open(void);
void filewatch_close(struct filewatch **w);

/* Readable when something happened in one of the folders. */
int filewatch_fd(const struct filewatch *w);

/* Replaces the list: clear, add each, and from then on changes are told. Text is copied. */
void filewatch_clear(struct filewatch *w);
void filewatch_add(struct filewatch *w, struct slice path);

/* Reads what inotify has to say; true when a file differs from when it was added or last told. */
bool filewatch_changed(struct filewatch *w);

#endif
