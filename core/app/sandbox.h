/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sandbox - what is left to the engine once it runs
 *
 * Purpose:   a hole in a parser must not become more than that process's mail. Layers, each of which holds
 *            without the others:
 *
 *              files        Landlock: the spool and what the configuration named (sandbox_paths.h)
 *              calls        seccomp: a list of system calls (sandbox_calls.h)
 *              rings        seccomp does not see what a ring does: each ring takes only the operations
 *                           that core/io has (core/io/uring_restrict.h); always on
 *              memory       no core file, not readable by others (hide.h); always on
 *              privileges   no_new_privs: no program, set-user-id or not, gives more
 *
 * Order:     sandbox_confine_files before the first thread (Landlock binds a thread and its children);
 *            sandbox_confine_calls when everything is open, before the first client is served.
 * Owner:     the engine. Thread: the control thread.
 * Errors:    sandbox.mode auto: what the kernel does not have is left out and `missing` says so; enforce:
 *            false, and `error` says what is missing. off: nothing is done.
 */
#ifndef RINGPOST_APP_SANDBOX_H
#define RINGPOST_APP_SANDBOX_H

#include "core/relay/settings.h"

struct sandbox {
    int landlock_abi; /* 0: files are not confined */
    unsigned paths;   /* rules */
    unsigned calls;   /* system calls that may succeed; 0: calls are not confined */
    char missing[160];
};

bool sandbox_confine_files(struct sandbox *s, const struct relay_settings *settings,
                           const struct conf_source *source, struct buf *error);
bool sandbox_confine_calls(struct sandbox *s, const struct conf *conf, bool epoll,
                           struct buf *error);

/* A reload was refused with these errors: if the sandbox may be why, the remedy is added. */
void sandbox_explain(const struct sandbox *s, struct buf *errors);

#endif
