/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * file - bounded reading of whole files, and the names in conf.d
 *
 * Purpose:   the only place where the configuration touches the file system.
 * Owner:     the caller's buffers. Thread: the loader's (blocking system calls).
 * Limits:    bytes_max of the caller; CONF_FOLDER_FILES_MAX names.
 * Errors:    false; why says it in words ("cannot be read: No such file or directory").
 */
#ifndef RINGPOST_CONF_FILE_H
#define RINGPOST_CONF_FILE_H

#include "core/base/buf.h"

/* Appends the contents to out. bytes_max: more is an error. */
bool conf_file_read(const char *path, size_t bytes_max, struct buf *out, struct buf *why);

/* Not access(2): the sandbox has one call for what is asked of a file. */
bool conf_file_is_there(const char *path);

enum { CONF_FOLDER_FILES_MAX = 256 };

/* The paths of <folder>/<name>.yaml, sorted by name, hidden ones left out. A folder that does not
 * exist has none. *names is one allocation for free(); entries are NUL-terminated. */
bool conf_folder_list(const char *folder, char ***names, size_t *count, struct buf *why);

/* The same for names that end in `suffix`: files only, in the order of `sort -V`. */
bool conf_folder_find(const char *folder, const char *suffix, char ***names, size_t *count,
                      struct buf *why);

/* Is there a file in the folder, or in one of the folders in it? root may be NULL. */
bool conf_folder_is_used(const char *root, const char *folder);

#endif
