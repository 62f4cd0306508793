/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sim - one simulated world: time, chance, what happens next, and what went wrong
 *
 * Purpose:   the real engine (core/app/worker.c and all below it) runs in one thread upon twins of core/io:
 *            disk.c (files that forget what was not synced), io.c (the ring), net.c (sockets to scripted
 *            clients and servers), offload.c, dns.c, clock.c, sink.c, heap.c. Everything by chance comes from
 *            one seed, so a run is told by its seed and the commit.
 * Owner:     the process: twins have no context in their signatures, so the world is one global.
 * Thread:    the only one (pthread_create fails in here).
 * Units:     microseconds of virtual time.
 * Errors:    sim_fail ends the process with the seed.
 */
#ifndef RINGPOST_TESTS_SIM_SIM_H
#define RINGPOST_TESTS_SIM_SIM_H

#include "core/base/must.h"
#include "core/base/rng.h"
#include "core/base/slice.h"
#include "tests/sim/feature.h"
#include "tests/sim/swarm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SIM_MS = 1000,
    SIM_SECOND = 1000 * 1000,
    SIM_WORKERS_MAX = 4,
};

#define SIM_MINUTE (60 * (uint64_t)SIM_SECOND)
#define SIM_HOUR (60 * SIM_MINUTE)
/* What the wall clock shows at virtual time 0: November 2026. */
#define SIM_EPOCH_US (1795000000 * (uint64_t)SIM_SECOND)

/* What a seed has shown; summed over seeds by main.c. */
struct sim_counts {
    uint64_t virtual_us;
    uint64_t restarts;   /* crashes that the engine was started after */
    uint64_t probes;     /* crash states that recovery alone was judged on */
    uint64_t steps;      /* turns of workers */
    uint64_t disk_steps; /* places where a crash may be */
    uint64_t acked;      /* messages */
    uint64_t refused;
    uint64_t copies; /* recipients that a server took a message for */
    uint64_t duplicates;
    uint64_t reports;
    uint64_t faults;
    uint64_t orders; /* of operators, done */
    uint64_t flips;  /* of bits, aimed at a record */
    uint64_t out_of_memory;
};

struct sim {
    uint64_t seed;
    struct rng rng;
    struct swarm opt;
    uint64_t now_us;
    int64_t wall_shift_us; /* the wall clock's jumps */
    unsigned life;         /* of the engine: grows with each start */
    bool calm;             /* the liveness phase: no faults any more */
    bool trace;
    struct sim_counts counts;
};

extern struct sim sim;

/* A new world. */
void sim_init(uint64_t seed, features with, bool trace);
void sim_deinit(void);

/* ---- chance ---- */

static inline uint64_t sim_below(uint64_t bound)
{
    return rng_below(&sim.rng, bound);
}

static inline uint64_t sim_between(uint64_t low, uint64_t high)
{
    return low + rng_below(&sim.rng, high - low + 1);
}

/* True once in a million × ppm. */
static inline bool sim_chance(uint32_t ppm)
{
    return ppm && rng_below(&sim.rng, 1000000) < ppm;
}

/* A fault of the safety phase. */
static inline bool sim_fault(uint32_t ppm)
{
    if (sim.calm || !sim_chance(ppm)) {
        return false;
    }
    sim.counts.faults++;
    return true;
}

/* ---- what happens next ---- */

typedef void sim_fire_fn(uint64_t arg);
/* Calls fire(arg) when the time has come. of_engine: forgotten when the engine dies before. */
void sim_at(uint64_t at_us, bool of_engine, sim_fire_fn *fire, uint64_t arg);
static inline void sim_after(uint64_t us, bool of_engine, sim_fire_fn *fire, uint64_t arg)
{
    sim_at(sim.now_us + us, of_engine, fire, arg);
}
/* When the next thing happens; UINT64_MAX: nothing will. */
uint64_t sim_next_us(void);
/* Lets everything happen that is due. */
void sim_run_due(void);

/* ---- what went wrong ---- */

_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* With --trace: one line to standard error. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
