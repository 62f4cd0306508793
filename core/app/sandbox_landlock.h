/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sandbox_landlock - which files the process may still touch, by the kernel's Landlock
 *
 * Purpose:   a set of files and folders, each with what may be done there, that is then put in force for
 *            ever. What the kernel is too old to restrict (truncation, devices, TCP ports …) stays as it was.
 * Owner:     landlock_open … landlock_close; the restriction stays without it.
 * Thread:    landlock_restrict binds the calling thread and those that it makes later, nobody else: call it
 *            before there are others.
 * Errors:    landlock_open: false when the kernel has none; a path that does not exist has no rule.
 */
#ifndef RINGPOST_APP_SANDBOX_LANDLOCK_H
#define RINGPOST_APP_SANDBOX_LANDLOCK_H

#include "core/base/slice.h"

enum landlock_access {
    LANDLOCK_READ,   /* files read, folders listed */
    LANDLOCK_WRITE,  /* and written, made, renamed, removed */
    LANDLOCK_SOCKET, /* Unix sockets made and removed */
};

struct landlock {
    int abi; /* of the kernel */
    int fd;
    unsigned rules;
};

/* False: `*error` is an errno. */
bool landlock_open(struct landlock *l, int *error);
/* Can renaming from one folder into another be allowed? ABI 1 refuses it always (EXDEV). */
bool landlock_moves(const struct landlock *l);
/* A file, or a folder with all below it. False: it is not there. */
bool landlock_allow(struct landlock *l, struct slice path, enum landlock_access access);
/* TCP may be bound to this port; 0: to one that the kernel chooses. */
void landlock_allow_port(struct landlock *l, uint16_t port);
/* From now on nothing else. 0 or an errno. Sets no_new_privs. */
int landlock_restrict(struct landlock *l);
void landlock_close(struct landlock *l);

#endif
