/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * engine - the real engine upon the twins: started, stepped, killed, started again
 *
 * Purpose:   what core/app/engine.c does for the workers, without threads: spool, recovery, workers, the end.
 *            Workers are stepped one turn at a time in an order by chance. A crash frees all memory of the
 *            engine and leaves what the disk keeps.
 * Owner:     the process. Thread: the only one.
 * Errors:    what the engine should never do ends the run (sim_fail).
 */
#ifndef RINGPOST_TESTS_SIM_ENGINE_H
#define RINGPOST_TESTS_SIM_ENGINE_H

#include "tests/sim/disk.h"

#include <stdbool.h>

struct relay_settings;
struct admin_request;
struct queue_order_counts;

/* By sim.opt; old: those before, or NULL. */
struct relay_settings *engine_settings(const struct relay_settings *old);
/* The workers get these, if they can be told now; the caller keeps its reference. */
bool engine_reload(struct relay_settings *settings);
/* False: it refused to start, or died on the way; the disk is as it was left. */
bool engine_start(struct relay_settings *settings);
/* Of all settings that were made: nobody in the engine has a reference any more; and the run puts its own. */
enum { ENGINE_SETTINGS = 64 };
void engine_settings_drop(void);
void engine_settings_put(void);
bool engine_alive(void);
/* Dies now. Does not return when called from within the engine. */
void engine_die(enum disk_crash how);
/* One turn of one worker that has something to do; false: none has. */
bool engine_step(void);
/* When a worker wants to be stepped though nothing has happened; UINT64_MAX: never. */
uint64_t engine_due_us(void);
/* Begins the orderly end (SIGTERM): step until engine_alive says no. */
void engine_stop(void);
/* Its patience is over. */
void engine_cut(void);
/* Nothing is in the queue. */
bool engine_empty(void);
/* For messages about a queue that does not drain. */
void engine_describe(char *out, size_t bytes);

/* Asks all workers as the control thread does. done: every worker has done it; refused: not now. Not called when
 * the engine dies or ends before: orders_engine_died. */
typedef void engine_answered_fn(bool done, bool refused, const struct queue_order_counts *counts);
bool engine_can_be_asked(void);
void engine_ask(const struct admin_request *r, engine_answered_fn *answered);

/* What a crash here would leave, judged by recovery alone. */
void engine_probe(void);
/* A bit of a record flips while the engine is down; the next start is judged on it. False: there is none. */
bool engine_rot(void);
/* Fails when an operation upon fd is under way. */
void engine_check_closed(int fd);

#endif
