/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/run.h"
#include "core/relay/settings.h"
#include "tests/sim/client.h"
#include "tests/sim/disk.h"
#include "tests/sim/dns.h"
#include "tests/sim/engine.h"
#include "tests/sim/heap.h"
#include "tests/sim/ledger.h"
#include "tests/sim/net.h"
#include "tests/sim/orders.h"
#include "tests/sim/pace.h"
#include "tests/sim/server.h"
#include "tests/sim/times.h"

#include <string.h>

enum {
    RUN_TURN_US = 20,        /* what a turn of a worker may cost */
    RUN_SPIN_TURNS = 200000, /* turns at one place in time: the loop runs away */
    RUN_CALM_CLIENTS = 5,
    RUN_CALM_CLIENTS_MINUTES = 30, /* a healthy engine has answered them by then */
    RUN_DRAIN_HOURS = 24,
    RUN_STOP_MINUTES = 30,
    RUN_PATIENCE_S = 30, /* shutdown.deadline */
    RUN_JUMP_HOURS = 6,
    RUN_DOWN_MAX_S = 60,
    RUN_ROT_PPM = 400000,
    RUN_CROSS_PPM = 100000, /* a minute: the wall clock jumps to where a message is due */
    RUN_STARTS_MAX = 40,    /* in a row that do not get through */
};

static struct {
    struct relay_settings *settings;
    unsigned crashes_left;
    unsigned failed_starts;
    uint64_t start_at; /* the engine is down until then */
    uint64_t moved_us; /* when time last went on by itself */
    unsigned turns;    /* since then */
} run;

static enum disk_crash run_crash_kind(void)
{
    return !sim_chance(sim.opt.power_ppm) ? DISK_CRASH_KILL
           : sim_below(4)                 ? DISK_CRASH_POWER
                                          : DISK_CRASH_LOSE;
}

static void run_plan_crash(void)
{
    if (run.crashes_left && !sim.calm) {
        uint64_t far = sim_below(2) ? 30 : 300;
        disk_crash_at(disk_steps() + sim_between(1, far), run_crash_kind());
    } else {
        disk_crash_at(0, DISK_CRASH_KILL);
    }
}

static void run_start(void)
{
    if (run.crashes_left && sim_fault(sim.opt.nested_ppm)) { /* on the way up */
        run.crashes_left--;
        disk_crash_at(disk_steps() + sim_between(1, 8), run_crash_kind());
    } else {
        disk_crash_at(0, DISK_CRASH_KILL);
    }
    if (sim_fault(sim.opt.disk_rot_ppm) && disk_rot()) {
        ledger_rotten(NULL);
    }
    if (feature_fault(FEATURE_ROT, RUN_ROT_PPM)) {
        (void)engine_rot();
    }
    pace_life_begins();
    if (!engine_start(run.settings)) {
        if (++run.failed_starts > RUN_STARTS_MAX) {
            sim_fail("the engine does not start any more");
        }
        run.start_at = sim.now_us + sim_below((uint64_t)RUN_DOWN_MAX_S * SIM_SECOND);
        return;
    }
    run.failed_starts = 0;
    run.start_at = UINT64_MAX;
    run_plan_crash();
}

/* The engine has died by itself: when will it be back? */
static void run_notice_death(void)
{
    if (!engine_alive() && run.start_at == UINT64_MAX) {
        sim.counts.restarts++;
        run.crashes_left -= run.crashes_left ? 1 : 0;
        run.start_at = sim.now_us + (sim_below(2)
                                         ? sim_below(SIM_SECOND)
                                         : sim_below((uint64_t)RUN_DOWN_MAX_S * SIM_SECOND));
    }
}

static void run_watch_spinning(bool stepped)
{
    if (!stepped) {
        run.turns = 0;
        run.moved_us = sim.now_us;
    } else if (++run.turns > RUN_SPIN_TURNS) {
        sim_fail("the workers have not slept for %u turns", run.turns);
    }
}

/* One thing happens; false: nothing will before until_us. */
static bool run_one(uint64_t until_us)
{
    sim_run_due();
    run_notice_death();
    if (!engine_alive() && run.start_at <= sim.now_us) {
        run_start();
        return true;
    }
    if (engine_step()) {
        run_watch_spinning(true);
        sim.now_us += sim_between(1, RUN_TURN_US);
        return sim.now_us < until_us;
    }
    uint64_t next = sim_next_us();
    uint64_t due = engine_alive() ? engine_due_us() : run.start_at;
    next = due < next ? due : next;
    if (next >= until_us) {
        sim.now_us = until_us > sim.now_us ? until_us : sim.now_us;
        return false;
    }
    run_watch_spinning(false);
    sim.now_us = next > sim.now_us ? next : sim.now_us;
    return true;
}

static void run_stop_late(uint64_t life)
{
    if (engine_alive() && sim.life == life) {
        sim_fail("the engine does not end, %u minutes after its deadline", RUN_STOP_MINUTES);
    }
}

static void run_cut(uint64_t life)
{
    if (engine_alive() && sim.life == life) {
        engine_cut();
        sim_after(RUN_STOP_MINUTES * SIM_MINUTE, false, run_stop_late, life);
    }
}

/* SIGTERM in the middle of it all. */
static void run_stop(uint64_t arg)
{
    (void)arg;
    if (engine_alive() && !sim.calm) {
        sim_trace("the engine is told to stop");
        engine_stop();
        sim_after(RUN_PATIENCE_S * (uint64_t)SIM_SECOND, false, run_cut, sim.life);
    }
}

static void run_clock(uint64_t arg)
{
    (void)arg;
    if (sim_fault(sim.opt.clock_jump_ppm)) {
        int64_t span = (int64_t)(RUN_JUMP_HOURS * SIM_HOUR);
        times_jump((int64_t)sim_below(2 * (uint64_t)span) - span);
    }
    if (feature_fault(FEATURE_TIMES, RUN_CROSS_PPM)) {
        ledger_jump();
    }
    if (!sim.calm) {
        sim_after(SIM_MINUTE, false, run_clock, 0);
    }
}

/* SIGHUP, with other settings. */
static void run_reload(uint64_t arg)
{
    (void)arg;
    struct swarm before = sim.opt;
    if (sim.calm || !engine_can_be_asked()) {
        return;
    }
    swarm_change(&sim.opt);
    struct relay_settings *settings = engine_settings(run.settings);
    if (engine_reload(settings)) {
        sim_trace("reloaded");
        run.settings = settings;
        pace_changed();
    } else {
        sim.opt = before;
    }
}

static void run_safety(void)
{
    uint64_t end = sim.now_us + sim.opt.safety_us;
    for (unsigned i = 0; i < sim.opt.stops; i++) {
        sim_after(sim_below(sim.opt.safety_us), false, run_stop, 0);
    }
    for (unsigned i = 0; i < sim.opt.reloads; i++) {
        sim_after(feature_below(FEATURE_RELOAD, sim.opt.safety_us), false, run_reload, 0);
    }
    sim_after(SIM_MINUTE, false, run_clock, 0);
    for (unsigned i = 0; i < sim.opt.clients; i++) {
        client_start_at(sim.now_us + sim_below(sim.opt.safety_us));
    }
    orders_begin();
    while (run_one(end)) {
    }
}

static bool run_until(uint64_t until, bool (*done)(void))
{
    while (!done()) {
        if (!run_one(until) && sim.now_us >= until) {
            return done();
        }
    }
    return true;
}

static bool run_clients_done(void)
{
    return clients_busy() == 0 && engine_alive();
}

static bool run_drained(void)
{
    return engine_alive() && orders_are_over() && engine_empty() && clients_busy() == 0;
}

static bool run_ended(void)
{
    return !engine_alive();
}

static void run_liveness(void)
{
    char text[1024];
    sim.calm = true;
    heap_set_failing(0);
    disk_crash_at(0, DISK_CRASH_KILL);
    sim_trace("no faults from here");
    orders_calm();
    for (unsigned i = 0; i < RUN_CALM_CLIENTS; i++) {
        client_start_at(sim.now_us + 2 * SIM_MINUTE + sim_below(SIM_MINUTE));
    }
    if (!run_until(sim.now_us + RUN_CALM_CLIENTS_MINUTES * SIM_MINUTE, run_clients_done)) {
        engine_describe(text, sizeof(text));
        sim_fail("%u clients are not answered:%s", clients_busy(), text);
    }
    if (!run_until(sim.now_us + RUN_DRAIN_HOURS * SIM_HOUR, run_drained)) {
        engine_describe(text, sizeof(text));
        sim_fail("the queue does not drain:%s", text);
    }
}

static void run_end(void)
{
    char text[1024];
    uint64_t until = sim.now_us + RUN_STOP_MINUTES * SIM_MINUTE;
    run.start_at = UINT64_MAX - 1; /* not again */
    engine_stop();
    sim_after(RUN_PATIENCE_S * (uint64_t)SIM_SECOND, false, run_cut, sim.life);
    if (!run_until(until, run_ended)) {
        engine_describe(text, sizeof(text));
        sim_fail("the engine does not end:%s", text);
    }
    while (sim_next_us() < until) { /* what is still on the wires */
        sim.now_us = sim_next_us();
        sim_run_due();
    }
    servers_harvest();
    ledger_end();
}

void run_seed(uint64_t seed, const struct run_options *options)
{
    sim_init(seed, options->with, options->trace);
    memset(&run, 0, sizeof(run));
    clients_reset();
    ledger_reset();
    times_reset();
    dns_forget_lies();
    orders_reset();
    servers_reset();
    net_reset_world(server_listen);
    struct disk *disk = disk_new();
    disk_use(disk);
    run.crashes_left = options->crashes < 0 ? sim.opt.crashes : (unsigned)options->crashes;
    pace_reset();
    run.settings = engine_settings(NULL);
    uint64_t began = sim.now_us;
    run_safety();
    run_liveness();
    run_end();
    sim.counts.virtual_us = sim.now_us - began;
    engine_settings_put();
    disk_use(NULL);
    disk_free(&disk);
    servers_reset();
    sim_deinit();
}
