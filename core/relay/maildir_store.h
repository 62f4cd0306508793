/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * maildir_store - one message becomes one file in a Maildir
 *
 * Purpose:   the blocking half of local delivery: tmp/NAME, fsync, new/NAME, fsync of the folder.
 * Owner:     whoever calls: maildir_file_begin … maildir_file_finish or maildir_file_abort.
 * Thread:    any, one at a time. Blocks on the disk: a thread of the disk pool, never a worker.
 * Units:     bytes. Content comes canonical (CRLF) and is stored with LF, as programs on this machine
 *            expect it.
 * Errors:    0 or a negative errno. -ENOENT of maildir_file_begin and maildir_look: there is no such
 *            mailbox; the base itself is missing: -ENXIO (a disk that is not mounted must not look like
 *            a recipient who does not exist).
 * Durability: finish returns 0 only after fsync of the file, then of the folder its name stands in.
 *            NAME is the same at each attempt: what is in new/ already is not written again (*there).
 * Security:  below the base no symbolic link is followed: names are opened one by one. Folders are made
 *            with mode 0700, files with 0600.
 */
#ifndef RINGPOST_RELAY_MAILDIR_STORE_H
#define RINGPOST_RELAY_MAILDIR_STORE_H

#include "core/policy/mailbox.h"

enum { MAILDIR_NAME_BYTES = 255, MAILDIR_BUFFER_BYTES = 64 * 1024 };

enum maildir_make {
    MAILDIR_MAKE_NONE, /* the mailbox must be there */
    MAILDIR_MAKE_LAST, /* its own folder is made when it is missing */
    MAILDIR_MAKE_ALL,  /* and everything above it */
};

struct maildir_file {
    int tmp_fd;
    int new_fd;
    int fd;
    bool there; /* an earlier attempt had put it into new/: writes do nothing */
    bool cr;    /* the last byte was a CR, not written yet */
    size_t used;
    const char *name;
    char buffer[MAILDIR_BUFFER_BYTES];
};

/* Is there such a mailbox? */
int maildir_look(const struct mailbox_path *path);

/* name: NUL-terminated, lives until finish or abort. After a failure nothing is open. */
int maildir_file_begin(struct maildir_file *f, const struct mailbox_path *path,
                       enum maildir_make make, const char *name);
int maildir_file_add(struct maildir_file *f, struct slice content);
/* Ends f either way. */
int maildir_file_finish(struct maildir_file *f);
void maildir_file_abort(struct maildir_file *f);

#endif
