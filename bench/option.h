/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * option - command-line options as a table
 *
 * Purpose:   one row per option gives parsing, range errors and --help.
 * Owner:     tables are const; text values point into argv.
 * Thread:    the caller's.
 * Units:     numbers take K, M (1024-based) suffixes.
 * Errors:    reported on stderr with the option's name and what is allowed.
 */
#ifndef RINGPOST_BENCH_OPTION_H
#define RINGPOST_BENCH_OPTION_H

#include "core/base/slice.h"

enum bench_option_kind {
    BENCH_OPTION_FLAG,   /* bool */
    BENCH_OPTION_NUMBER, /* uint64_t within [min, max] */
    BENCH_OPTION_TEXT,   /* const char * */
    BENCH_OPTION_CUSTOM, /* parse() decides; may be given several times */
};

struct bench_option {
    const char *name; /* "--sessions"; "-c" too */
    const char *arg;  /* for help: "N"; NULL for flags */
    enum bench_option_kind kind;
    size_t offset;
    uint64_t min;
    uint64_t max;
    bool (*parse)(void *target, struct slice value);
    const char *help;
};

struct bench_command {
    const char *name;
    const char *summary;
    const struct bench_option *options;
    size_t option_count;
};

/* Fills target. False: the process is to end with *status, 0 after --help, 64 after a mistake. */
bool bench_options_read(const struct bench_command *c, void *target, int argc, char **argv,
                        int *status);

/* "4K" = 4096. */
bool bench_option_number(struct slice text, uint64_t *out);

/* "ringpost-bench: " + text + newline on stderr. */
void bench_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
