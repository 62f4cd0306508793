/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sandbox_paths - which files the running engine needs
 *
 * Purpose:   everything that the start has named: the spool, mailboxes, the admin socket's folder, and what a
 *            reload reads again (the configuration and all files it names). A file stands for its whole
 *            folder, since certificates and secrets are replaced by renaming or by turning a link; also for
 *            the folder where a link leads now, and those where the links in a folder of CA certificates
 *            lead. Certificates, keys and tables stand for the folder above,
 *            too: certbot and OpenDKIM have one per domain, and domains are added by a reload. Folders that
 *            much else stands in (/etc, /tmp, a home …) are not opened as a whole: of them only the file,
 *            so one that is renamed into place there is not read before a restart.
 * Owner:     paths are valid during the call of each.
 * Thread:    any; file system calls.
 */
#ifndef RINGPOST_APP_SANDBOX_PATHS_H
#define RINGPOST_APP_SANDBOX_PATHS_H

#include "core/app/sandbox_landlock.h"
#include "core/relay/settings.h"

struct sandbox_path_sink {
    void (*each)(void *ctx, struct slice path, enum landlock_access access);
    void *ctx;
};

void sandbox_paths(const struct relay_settings *settings, const struct conf_source *source,
                   const struct sandbox_path_sink *to);

enum sandbox_reach {
    SANDBOX_FOLDER, /* what stands beside it */
    SANDBOX_FAMILY, /* and in the folders beside that: keys have a folder per domain */
};

/* What stands for a file, or folder of files, that may be replaced: see above. */
void sandbox_path_replaceable(struct slice file, enum sandbox_reach reach,
                              const struct sandbox_path_sink *to);

#endif
