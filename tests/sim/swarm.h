/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * swarm - which faults this seed has, and how many
 *
 * Purpose:   each seed switches each kind of fault on or off and draws its rate: some runs have only slow
 *            disks, some everything (swarm testing: what is absent lets others reach further).
 * Owner:     struct sim. Thread: the only one. Units: *_ppm: chances of one in a million.
 * Errors:    none.
 */
#ifndef RINGPOST_TESTS_SIM_SWARM_H
#define RINGPOST_TESTS_SIM_SWARM_H

#include <stdbool.h>
#include <stdint.h>

struct swarm {
    /* size */
    unsigned workers;
    unsigned clients; /* sessions in the safety phase */
    unsigned domains;
    unsigned crashes;
    unsigned stops;     /* orderly ends in between */
    uint64_t safety_us; /* length of the safety phase */
    /* configuration */
    bool smarthost;
    bool chunking_in;
    unsigned connections_per_site;
    unsigned recipients_per_transaction;
    unsigned window;
    unsigned retry_first_s;
    unsigned max_age_s; /* 0: days */
    unsigned sources;   /* 0: none */
    unsigned rate;      /* messages a minute to a site from a source; 0: no limit */
    unsigned burst;
    unsigned reloads;
    /* disk */
    uint32_t disk_eio_ppm;
    uint32_t disk_enospc_ppm;
    uint32_t disk_short_ppm;
    uint32_t disk_stall_ppm;
    uint32_t disk_read_eio_ppm;
    unsigned disk_us;      /* usual length of a write */
    uint64_t disk_bytes;   /* 0: no end */
    uint32_t disk_rot_ppm; /* a bit flips while the engine is down */
    bool disk_dsync;       /* RWF_DSYNC instead of fdatasync */
    uint32_t power_ppm;    /* of the crashes: power, not only the process */
    uint32_t nested_ppm;   /* a crash during the start that follows a crash */
    uint32_t probe_ppm;    /* of the disk's steps: look at what a crash here would leave */
    /* ring */
    uint32_t recv_retry_ppm;
    uint32_t recv_short_ppm;
    uint32_t send_short_ppm;
    uint32_t accept_end_ppm;
    uint32_t dispatch_part_ppm;
    /* network */
    unsigned net_us;
    uint32_t net_reset_ppm; /* per piece of data */
    uint32_t refuse_ppm;
    uint32_t blackhole_ppm;
    /* peers */
    uint32_t client_cut_ppm;
    uint32_t client_stall_ppm;
    uint32_t server_reply_ppm; /* another reply than yes */
    uint32_t server_drop_ppm;
    uint32_t server_stall_ppm;
    uint32_t body_big_ppm;
    uint32_t dns_lie_ppm;
    /* machine */
    uint32_t clock_jump_ppm;
    uint32_t oom_ppm;
};

/* Draws from sim.rng; what belongs to features, from their streams. */
void swarm_draw(struct swarm *s);
/* Other values for what a reload may change. */
void swarm_change(struct swarm *s);

#endif
