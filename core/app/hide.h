/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hide - passwords in what the kernel shows of this process
 *
 * Purpose:   settings may come by the environment or by --set, and /proc/PID/environ and /proc/PID/cmdline
 *            show both for as long as the process lives. So we work with copies; in the originals names
 *            stay and values go: all of the environment, those of --set whose key holds a secret.
 *            Memory as a whole: no core file, no ptrace but by root.
 * Owner:     the copies are the caller's: free(). They hold their strings.
 * Thread:    main's, before there is another.
 * Errors:    NULL without memory; nothing has changed then.
 */
#ifndef RINGPOST_APP_HIDE_H
#define RINGPOST_APP_HIDE_H

void hide_memory(void);
char **hide_environment(char *const *environment);
char **hide_arguments(int argc, char *const *argv);

#endif
