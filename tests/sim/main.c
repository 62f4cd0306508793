/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ringpost-sim --seed N [--with FEATURES] [--crashes N] [--trace]      one seed, again
 * ringpost-sim [--from N] [--count N] [--seconds N] [--with FEATURES]  many
 * ringpost-sim --named                              those that found something once (seeds.h)
 */
#include "ringpost_version.h"
#include "tests/sim/run.h"
#include "tests/sim/seeds.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct options {
    uint64_t seed, from, count, seconds;
    struct run_options run;
    bool one, named;
};

/* The real clock: clock_gettime is the simulator's. */
static double main_clock(clockid_t id)
{
    struct timespec ts;
    syscall(SYS_clock_gettime, id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void counts_add(struct sim_counts *sum, const struct sim_counts *one)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)one;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++) {
        to[i] += from[i];
    }
}

static void report(const struct sim_counts *c, uint64_t seeds, double seconds)
{
    double minutes = seconds / 60;
    uint64_t points = c->restarts + c->probes;
    double cpu = main_clock(CLOCK_PROCESS_CPUTIME_ID) / 60;
    printf("%" PRIu64 " seeds in %.1f s: %" PRIu64 " crash points (%" PRIu64 " restarts, %" PRIu64
           " recoveries judged), %.0f a minute (of CPU: %.0f); %.1f virtual hours, %.0f a minute\n",
           seeds, seconds, points, c->restarts, c->probes, (double)points / minutes,
           (double)points / cpu, (double)c->virtual_us / 3.6e9,
           (double)c->virtual_us / 3.6e9 / minutes);
    printf("%" PRIu64 " messages acknowledged, %" PRIu64 " refused; %" PRIu64
           " copies delivered, %" PRIu64 " of them second ones; %" PRIu64 " reports; %" PRIu64
           " faults, %" PRIu64 " failed allocations, %" PRIu64 " flipped bits, %" PRIu64
           " orders; %" PRIu64 " turns, %" PRIu64 " steps of the disk\n",
           c->acked, c->refused, c->copies, c->duplicates, c->reports, c->faults, c->out_of_memory,
           c->flips, c->orders, c->steps, c->disk_steps);
}

/* must() and sanitizers know no seed. */
static void on_abort(int signo)
{
    char text[512], with[128];
    features_text(with, sizeof(with));
    int n = snprintf(text, sizeof(text),
                     "ABORTED seed %" PRIu64 ", ringpost " RINGPOST_VERSION_FULL
                     ": ringpost-sim --seed %" PRIu64 " --with %s --trace\n",
                     sim.seed, sim.seed, with);
    if (write(STDERR_FILENO, text, (size_t)n) == n) {
        signal(signo, SIG_DFL);
    }
    raise(signo);
}

static int run_many(const struct options *o)
{
    struct sim_counts sum = {0};
    double start = main_clock(CLOCK_MONOTONIC), now = start;
    uint64_t n = 0;
    printf("seeds from %" PRIu64 "\n", o->from);
    fflush(stdout);
    while (n < o->count && (o->seconds == 0 || now - start < (double)o->seconds)) {
        run_seed(o->from + n, &o->run);
        counts_add(&sum, &sim.counts);
        n++;
        now = main_clock(CLOCK_MONOTONIC);
    }
    report(&sum, n, now - start);
    return 0;
}

static int run_named(void)
{
    for (size_t i = 0; i < sizeof(sim_seeds) / sizeof(sim_seeds[0]); i++) {
        printf("seed %" PRIu64 ": %s\n", sim_seeds[i].seed, sim_seeds[i].what);
        fflush(stdout);
        struct run_options run = {.crashes = -1};
        if (!features_parse(sim_seeds[i].with, &run.with)) {
            fprintf(stderr, "seeds.h names a feature that there is not: %s\n", sim_seeds[i].with);
            return 70;
        }
        run_seed(sim_seeds[i].seed, &run);
    }
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: ringpost-sim --seed N [--with FEATURES] [--crashes N] [--trace]\n"
                    "       ringpost-sim [--from N] [--count N] [--seconds N] [--with FEATURES]\n"
                    "       ringpost-sim --named\n");
    return 64;
}

static bool number(const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = text ? strtoull(text, &end, 10) : 0;
    return text && *text && *end == 0;
}

int main(int argc, char **argv)
{
    signal(SIGABRT, on_abort);
    struct options o = {.from = 1, .count = UINT64_MAX, .run = {FEATURES_DRAWN, -1, false}};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        uint64_t n;
        if (strcmp(argv[i], "--trace") == 0) {
            o.run.trace = true;
        } else if (strcmp(argv[i], "--named") == 0) {
            o.named = true;
        } else if (strcmp(argv[i], "--seed") == 0 && number(value, &o.seed)) {
            o.one = true;
            i++;
        } else if (strcmp(argv[i], "--crashes") == 0 && number(value, &n)) {
            o.run.crashes = (int)n;
            i++;
        } else if (strcmp(argv[i], "--with") == 0 && value && features_parse(value, &o.run.with)) {
            i++;
        } else if (strcmp(argv[i], "--from") == 0 && number(value, &o.from)) {
            i++;
        } else if (strcmp(argv[i], "--count") == 0 && number(value, &o.count)) {
            i++;
        } else if (strcmp(argv[i], "--seconds") == 0 && number(value, &o.seconds)) {
            i++;
        } else {
            return usage();
        }
    }
    if (o.named) {
        return run_named();
    }
    if (o.one) {
        double start = main_clock(CLOCK_MONOTONIC);
        run_seed(o.seed, &o.run);
        report(&sim.counts, 1, main_clock(CLOCK_MONOTONIC) - start);
        return 0;
    }
    return run_many(&o);
}
