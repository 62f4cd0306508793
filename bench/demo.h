/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * demo - what `./dev run` runs
 *
 * Purpose:   engine and capture sink on loopback, real messages through both, a table, lines to try
 *            by hand; nothing leaves the machine.
 * Owner:     the process. Thread: main; the sink and the source have their own.
 * Errors:    exit 0 when everything was accepted and delivered once, 1 when not (or the engine did
 *            not start, with the end of its stderr), 64 for wrong options.
 */
#ifndef RINGPOST_BENCH_DEMO_H
#define RINGPOST_BENCH_DEMO_H

int demo_main(int argc, char **argv);

#endif
