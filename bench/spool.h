/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * spool - a full spool in seconds
 *
 * Purpose:   `ringpost-bench spool`: a directory as an engine leaves it whose destination has been down: many
 *            messages, each deferred once. Written by spool/ itself, without SMTP.
 * Owner:     spool_main; the engine must not run on it.
 * Thread:    main. Units: seconds, bytes.
 * Errors:    exit status 1 and a sentence on stderr.
 */
#ifndef RINGPOST_BENCH_SPOOL_H
#define RINGPOST_BENCH_SPOOL_H

int spool_main(int argc, char **argv);

#endif
