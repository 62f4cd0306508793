/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * engine_private - what the files of the engine in the simulation share
 *
 * Purpose:   engine.c (life and death, the loop), engine_probe.c (recovery alone), engine_control.c (the control
 *            thread's part while it runs). Nobody else includes this. Owner, thread: see engine.h. Errors: none.
 */
#ifndef RINGPOST_TESTS_SIM_ENGINE_PRIVATE_H
#define RINGPOST_TESTS_SIM_ENGINE_PRIVATE_H

#include "core/app/worker.h"
#include "tests/sim/engine.h"
#include "tests/sim/sim.h"

#include <setjmp.h>

enum { ENGINE_TEXT = 4096 };

/* One life. All of it is the engine's memory. */
struct life {
    struct relay_settings *settings;
    struct spool_dir *dir;
    struct spool_recovery recovery;
    struct connections *admitted;
    struct throttle *throttle;
    struct queue_group group;
    struct budget_table *budgets;
    struct offload *offload;
    struct obs_sink *sink;
    struct mailbox control;
    struct recovered_list recovered[SIM_WORKERS_MAX];
    struct memo_list memos;
    int listen_fds[SIM_WORKERS_MAX];
    struct worker workers[SIM_WORKERS_MAX];
    bool running[SIM_WORKERS_MAX];
    bool no_memory;
};

/* The question that the workers are asked. */
struct engine_query {
    struct admin_request request;
    engine_answered_fn *answered; /* NULL: there is none */
    bool applies;
    unsigned waiting;
    enum worker_verdict verdict;
    uint16_t target;
    uint64_t since_ms;
    struct queue_order_counts counts;
};

extern struct engine_world {
    struct life *life; /* NULL: it does not run */
    jmp_buf death;
    bool inside;
    bool probing;
    bool starting;
    bool stopping;
    struct engine_query query;
    uint64_t out_of_memory; /* failed allocations before this turn */
} engine;

/* Runs a function of the engine; false: it died in there. */
bool engine_enter(bool (*run)(void *arg), void *arg, bool *result);
/* Takes what the workers have told the control thread. */
void engine_control(void);
/* What recovery says of damage. */
void engine_on_damage(void *ctx, const struct spool_damage_report *report);

#endif
