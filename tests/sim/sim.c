/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/sim.h"
#include "ringpost_version.h"
#include "tests/sim/heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct sim sim;

struct sim_event {
    uint64_t at_us;
    uint64_t order; /* of those at the same time: first come, first served */
    sim_fire_fn *fire;
    uint64_t arg;
    unsigned life; /* 0: not the engine's */
};

/* A binary heap, the next one first. */
static struct {
    struct sim_event *list;
    size_t count, cap;
    uint64_t order;
} agenda;

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void event_swap(size_t a, size_t b)
{
    struct sim_event e = agenda.list[a];
    agenda.list[a] = agenda.list[b];
    agenda.list[b] = e;
}

void sim_at(uint64_t at_us, bool of_engine, sim_fire_fn *fire, uint64_t arg)
{
    must(at_us >= sim.now_us);
    if (agenda.count == agenda.cap) {
        agenda.cap = agenda.cap ? agenda.cap * 2 : 1024;
        agenda.list = heap_world_realloc(agenda.list, agenda.cap * sizeof(*agenda.list));
    }
    size_t i = agenda.count++;
    agenda.list[i] = (struct sim_event){at_us, agenda.order++, fire, arg, of_engine ? sim.life : 0};
    while (i && event_before(&agenda.list[i], &agenda.list[(i - 1) / 2])) {
        event_swap(i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static struct sim_event agenda_pop(void)
{
    struct sim_event first = agenda.list[0];
    agenda.list[0] = agenda.list[--agenda.count];
    size_t i = 0;
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < agenda.count; child++) {
            least = event_before(&agenda.list[child], &agenda.list[least]) ? child : least;
        }
        if (least == i) {
            return first;
        }
        event_swap(i, least);
        i = least;
    }
}

uint64_t sim_next_us(void)
{
    return agenda.count ? agenda.list[0].at_us : UINT64_MAX;
}

void sim_run_due(void)
{
    while (agenda.count && agenda.list[0].at_us <= sim.now_us) {
        struct sim_event e = agenda_pop();
        if (e.life == 0 || e.life == sim.life) {
            e.fire(e.arg);
        }
    }
}

void sim_init(uint64_t seed, features with, bool trace)
{
    sim = (struct sim){.seed = seed, .trace = trace, .now_us = (uint64_t)SIM_HOUR};
    rng_init_seed(&sim.rng, seed);
    agenda.count = 0;
    agenda.order = 0;
    features_draw(seed, with);
    swarm_draw(&sim.opt);
}

void sim_deinit(void)
{
    agenda.count = 0;
}

void sim_fail(const char *format, ...)
{
    va_list args;
    char with[128];
    features_text(with, sizeof(with));
    fprintf(stderr,
            "FAILED seed %llu at %.6f s, life %u, ringpost %s: ", (unsigned long long)sim.seed,
            (double)sim.now_us / SIM_SECOND, sim.life, RINGPOST_VERSION_FULL);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  replay: ringpost-sim --seed %llu --with %s --trace\n",
            (unsigned long long)sim.seed, with);
    abort();
}

void sim_trace(const char *format, ...)
{
    if (!sim.trace) {
        return;
    }
    va_list args;
    fprintf(stderr, "%12.6f %u ", (double)sim.now_us / SIM_SECOND, sim.life);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}
