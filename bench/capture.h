/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * capture - received messages as files
 *
 * Purpose:   DIR/new/<number>.eml is the message byte for byte (without dot-stuffing), <number>.env
 *            its MAIL and RCPT arguments. The .env is complete before the .eml appears.
 * Owner:     the sink. Thread: the sink's threads (numbers are distinct).
 * Errors:    a line on stderr and false.
 */
#ifndef RINGPOST_BENCH_CAPTURE_H
#define RINGPOST_BENCH_CAPTURE_H

#include "bench/sink_session.h"

enum { BENCH_CAPTURE_PATH_BYTES = 1024 };

struct bench_capture {
    const char *dir;
    uint64_t start_us; /* of the wall clock: names stay unique across runs */
};

bool bench_capture_open(struct bench_capture *c, const char *dir);
/* path receives the name of the .eml. */
bool bench_capture_write(const struct bench_capture *c, uint64_t number,
                         const struct sink_message *m, char path[BENCH_CAPTURE_PATH_BYTES]);

/* Without the dots that DATA doubled; out must be empty. */
void bench_capture_unstuff(struct slice text, struct buf *out);

#endif
