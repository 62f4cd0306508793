/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/sim/swarm.h"
#include "tests/sim/sim.h"

/* On in one seed of `of`; then anything up to max, small values more often. */
static uint32_t swarm_rate(unsigned of, uint32_t max)
{
    if (sim_below(of)) {
        return 0;
    }
    uint32_t rate = (uint32_t)sim_between(1, max);
    return sim_below(3) ? 1 + rate / 10 : rate;
}

static void swarm_size(struct swarm *s)
{
    s->workers = sim_below(3) ? (unsigned)sim_between(1, SIM_WORKERS_MAX) : 1;
    s->clients = (unsigned)sim_between(5, 60);
    s->domains = (unsigned)sim_between(1, 6);
    s->crashes = sim_below(6) ? (unsigned)sim_between(1, 20) : 0;
    s->stops = sim_below(3) ? 0 : (unsigned)sim_between(1, 3);
    s->safety_us = sim_between(1, 30) * SIM_MINUTE;
}

static void swarm_configuration(struct swarm *s)
{
    s->smarthost = sim_below(3) == 0;
    s->chunking_in = sim_below(3) != 0;
    s->connections_per_site = (unsigned)sim_between(1, 8);
    s->recipients_per_transaction = sim_below(2) ? 100 : (unsigned)sim_between(1, 4);
    s->window = (unsigned)sim_between(1, 8);
    s->retry_first_s = (unsigned)sim_between(5, 300);
}

static void swarm_disk(struct swarm *s)
{
    s->disk_us = (unsigned)(sim_below(2) ? sim_between(20, 500) : sim_between(500, 20000));
    s->disk_eio_ppm = swarm_rate(4, 20000);
    s->disk_enospc_ppm = swarm_rate(5, 20000);
    s->disk_short_ppm = swarm_rate(3, 300000);
    s->disk_stall_ppm = swarm_rate(5, 10000);
    s->disk_bytes = sim_below(6) ? 0 : sim_between(8, 24) << 20;
    s->disk_dsync = sim_below(2);
    s->disk_rot_ppm = sim_below(8) ? 0 : 300000;
    s->disk_read_eio_ppm = swarm_rate(6, 100000);
    s->power_ppm = (uint32_t)(sim_below(3) ? 600000 : sim_below(1000001));
    s->nested_ppm = sim_below(2) ? 300000 : 0;
    s->probe_ppm = sim_below(3) ? 250000 : 50000;
}

static void swarm_wires(struct swarm *s)
{
    s->recv_retry_ppm = swarm_rate(3, 200000);
    s->recv_short_ppm = swarm_rate(2, 700000);
    s->send_short_ppm = swarm_rate(3, 300000);
    s->accept_end_ppm = swarm_rate(4, 100000);
    s->dispatch_part_ppm = swarm_rate(2, 500000);
    s->net_us = (unsigned)(sim_below(2) ? sim_between(100, 2000) : sim_between(2000, 300000));
    s->net_reset_ppm = swarm_rate(4, 20000);
    s->refuse_ppm = swarm_rate(3, 300000);
    s->blackhole_ppm = swarm_rate(4, 100000);
}

static void swarm_peers(struct swarm *s)
{
    s->client_cut_ppm = swarm_rate(3, 300000);
    s->client_stall_ppm = swarm_rate(4, 200000);
    s->server_reply_ppm = swarm_rate(2, 300000);
    s->server_drop_ppm = swarm_rate(3, 100000);
    s->server_stall_ppm = swarm_rate(4, 30000);
    s->body_big_ppm = swarm_rate(3, 200000);
    s->dns_lie_ppm = swarm_rate(3, 400000);
}

void swarm_change(struct swarm *s)
{
    s->connections_per_site = 1 + (unsigned)feature_below(FEATURE_RELOAD, 8);
    s->recipients_per_transaction = 1 + (unsigned)feature_below(FEATURE_RELOAD, 100);
    s->window = 1 + (unsigned)feature_below(FEATURE_RELOAD, 8);
    s->retry_first_s = 5 + (unsigned)feature_below(FEATURE_RELOAD, 295);
    if (s->rate) {
        s->rate = 10 + (unsigned)feature_below(FEATURE_RELOAD, 300);
        s->burst = 1 + (unsigned)feature_below(FEATURE_RELOAD, 8);
    }
    if (feature_on(FEATURE_SOURCES)) {
        s->sources = (unsigned)feature_below(FEATURE_RELOAD, 4);
    }
}

void swarm_draw(struct swarm *s)
{
    *s = (struct swarm){0};
    swarm_size(s);
    swarm_configuration(s);
    swarm_disk(s);
    swarm_wires(s);
    swarm_peers(s);
    s->clock_jump_ppm = swarm_rate(4, 200000);
    s->oom_ppm = swarm_rate(4, 20000);
    if (feature_on(FEATURE_TIMES) && feature_below(FEATURE_TIMES, 2)) {
        s->max_age_s = 600 + (unsigned)feature_below(FEATURE_TIMES, 3 * 3600);
    }
    if (feature_on(FEATURE_SOURCES)) {
        s->sources = (unsigned)feature_below(FEATURE_SOURCES, 4);
        s->rate = feature_below(FEATURE_SOURCES, 4)
                      ? 10 + (unsigned)feature_below(FEATURE_SOURCES, 300)
                      : 0;
        s->burst = 1 + (unsigned)feature_below(FEATURE_SOURCES, 8);
    }
    if (feature_on(FEATURE_RELOAD)) {
        s->reloads = 1 + (unsigned)feature_below(FEATURE_RELOAD, 6);
    }
}
