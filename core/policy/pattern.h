/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pattern - a regular expression that cannot run away
 *
 * Purpose:   the one place that uses PCRE2. Letters match in any case; bytes, not UTF-8 (replies are clean
 *            ASCII, outcome.h). Compiled to machine code where the system allows it.
 * Owner:     pattern_compile, pattern_free. A matcher belongs to one thread: pattern_matcher_open, _close.
 * Thread:    a pattern is immutable: any. A matcher: its owner's.
 * Limits:    PATTERN_BYTES_MAX of text, 64 KiB compiled; a match tries PATTERN_MATCH_LIMIT steps in at most
 *            PATTERN_DEPTH_LIMIT levels and PATTERN_HEAP_KIB. What exceeds them did not match and is counted
 *            in the matcher (`exceeded`): a peer's text chooses how hard a pattern works.
 * Errors:    pattern_compile: NULL with a sentence; pattern_matcher_open: NULL without memory.
 */
#ifndef RINGPOST_POLICY_PATTERN_H
#define RINGPOST_POLICY_PATTERN_H

#include "core/base/slice.h"

enum {
    PATTERN_BYTES_MAX = 1024,
    PATTERN_MATCH_LIMIT = 20000,
    PATTERN_DEPTH_LIMIT = 500,
    PATTERN_HEAP_KIB = 256,
    PATTERN_ERROR_BYTES = 160,
};

struct pattern;

struct pattern_matcher {
    void *data;        /* of PCRE2 */
    void *context;     /* of PCRE2: the limits */
    uint64_t tried;    /* matches asked for */
    uint64_t exceeded; /* of these, given up at a limit */
};

/* error: NUL-terminated, with the place in the pattern. */
struct pattern *pattern_compile(struct slice text, char error[PATTERN_ERROR_BYTES]);
void pattern_free(struct pattern *p);

bool pattern_matcher_open(struct pattern_matcher *m);
void pattern_matcher_close(struct pattern_matcher *m);

/* Somewhere in the subject. */
bool pattern_matches(const struct pattern *p, struct pattern_matcher *m, struct slice subject);

#endif
