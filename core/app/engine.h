/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * engine - the running server: control thread, workers, shared parts
 *
 * Purpose:   composition root. Opens the spool, recovers it, starts one worker per core, listens, obeys
 *            signals (SIGHUP reload, SIGTERM/SIGINT drain, a second one ends at once), answers the
 *            admin socket, shuts down.
 * Owner:     engine_run owns everything it makes and settings.
 * Thread:    the main thread; it becomes the control thread.
 * Errors:    returned as exit status: 0 orderly end, 1 start or run-time failure (already printed to
 *            standard error with place and remedy).
 */
#ifndef RINGPOST_APP_ENGINE_H
#define RINGPOST_APP_ENGINE_H

#include "core/relay/settings.h"

/* src must stay valid: a reload reads it again. */
int engine_run(const struct conf_source *src, struct relay_settings *settings);

#endif
